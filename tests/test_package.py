"""The package as a whole: what it names, what it loads, which way its imports point."""

import ast
import importlib
import importlib.metadata
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc

import mflib

SOURCE = Path(mflib.__file__).parent
MODULES = sorted(path.stem for path in SOURCE.glob("*.py") if path.stem != "__init__")

# Each module may import those in front of it, and no other.
LAYERS = {
    "_validation": (),
    "_cache": (),
    "_pool": ("_cache",),
    "_slider": ("_validation",),
    "_sweep": ("_cache", "_pool"),
    "potentials": ("_validation",),
    "activations": ("_validation",),
    "datasets": ("_validation",),
    "networks": ("_validation", "activations"),
    "mirror_maps": ("_validation", "potentials"),
    "_kinks": ("mirror_maps",),
    "_linearization": ("_kinks", "mirror_maps", "networks"),
    "flow": ("_validation", "_linearization", "activations", "potentials", "networks"),
    "_mirror_steps": ("potentials",),
    "descent": ("_validation", "_mirror_steps", "mirror_maps", "potentials"),
    "_quadrature": ("potentials",),
    "_finite_elements": ("_quadrature", "potentials"),
    "_primal_dual": ("_quadrature", "_finite_elements"),
    "variational": (
        *("_validation", "_quadrature", "_finite_elements", "_primal_dual"),
        *("activations", "potentials"),
    ),
    "functionals": ("_validation", "potentials"),
    # no solver of the other's
    "_measures": ("_validation", "activations", "potentials"),
    "_trajectory": ("_validation", "_measures", "activations", "potentials"),
    "representation": (
        *("_validation", "_measures", "_trajectory"),
        *("activations", "potentials"),
    ),
    "ridges": ("_validation", "activations"),
    "_held_out": ("_validation",),
    "_finite_width": (
        *("_pool", "_validation", "activations", "flow"),
        *("networks", "potentials", "representation"),
    ),
}


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_neither_torch_nor_matplotlib():
    loaded = python(
        "import mflib, sys\n"
        "mflib.potentials.Power(3).gradient(1.0), mflib.activations.relu(2.0)\n"
        "mflib.variational.solve([0.1, 0.5], [1.0, 2.0])(0.3)\n"
        "mflib.representation.solve([0.1, 0.5], [1.0, 2.0])([0.3])\n"
        "print([m for m in ('torch', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_torch_is_loaded_when_something_trains():
    assert (
        python("import mflib, sys\nmflib.ShallowNetwork\nprint('torch' in sys.modules)") == "True"
    )


@pytest.mark.parametrize("name", mflib.__all__)
def test_every_public_name_exists_and_is_listed(name):
    assert getattr(mflib, name) is not None
    assert name in dir(mflib)
    assert getattr(mflib, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mflib' has no attribute 'mirror'"):
        _ = mflib.mirror


def test_the_version_is_that_of_the_metadata():
    assert mflib.__version__ == importlib.metadata.version("mflib")


@pytest.mark.parametrize("module", LAYERS)
def test_imports_point_one_way(module):
    imported = set()
    for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "mflib":
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mflib."):
            imported.add(node.module.removeprefix("mflib."))
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("mflib.") for alias in node.names)
    assert imported <= set(LAYERS[module])


def test_every_module_is_in_the_table():
    assert set(MODULES) == {*LAYERS, "experiments", "plotting"}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_defines(name):
    module = importlib.import_module(f"mflib.{name}")
    if name.startswith("_"):
        return
    for public in module.__all__:
        assert getattr(module, public).__doc__ if callable(getattr(module, public)) else True
        assert hasattr(module, public)


# What the programming interface says about each name. The examples run as doctests.

DESCRIBED = {
    f"{module}.{name}": value
    for module in MODULES
    if not module.startswith("_")
    for name in importlib.import_module(f"mflib.{module}").__all__
    if inspect.isroutine(value := getattr(importlib.import_module(f"mflib.{module}"), name))
    or inspect.isclass(value)
}


def described(value):
    if inspect.isclass(value):
        return ClassDoc(value, config={"show_class_members": False})
    return FunctionDoc(value)


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_public_name_has_an_example(name):
    assert any(line.startswith(">>>") for line in described(DESCRIBED[name])["Examples"])


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_parameter_is_described_and_every_array_has_a_shape(name):
    text = described(DESCRIBED[name])
    if inspect.isfunction(DESCRIBED[name]):
        documented = [n.strip(" *") for p in text["Parameters"] for n in p.name.split(",")]
        assert sorted(documented) == sorted(inspect.signature(DESCRIBED[name]).parameters)
    summary = [*text["Summary"], *text["Extended Summary"]]
    for entry in (*text["Parameters"], *text["Attributes"], *text["Returns"]):
        if "array" in entry.type:
            assert "shape" in " ".join([entry.type, *entry.desc, *summary]), entry


@pytest.mark.parametrize("name", DESCRIBED)
def test_what_it_returns_and_raises_is_said(name):
    value = DESCRIBED[name]
    if inspect.isfunction(value):
        text, source = described(value), inspect.getsource(value)
        assert text["Returns"] or inspect.signature(value).return_annotation in (None, "None")
        assert text["Raises"] or "raise " not in source


BOOK = SOURCE.parent / "chapters"
TEXT = "\n".join(path.read_text("utf-8") for path in BOOK.glob("*.md"))
ENTRIES = (SOURCE.parent / "references.bib").read_text("utf-8")
KEYS = re.findall(r"^@\w+\{(\w+),", ENTRIES, re.MULTILINE)
# labels of sections, of equations in dollars, of other equations and theorems, of figures
LABEL = r"^\((.+)\)=$|^\$\$ \((.+)\)$|^:label: (.+)$|^ +name: (.+)$"
LABELS = re.findall(LABEL, TEXT, re.MULTILINE)
TARGETS = {"cite": set(KEYS), "book": {"".join(groups) for groups in LABELS}}
ROLE = re.compile(r":(cite|eq|numref|ref|prf:ref)(?::[tp])?:`([^`]+)`")


def sources(docstring: str) -> list[tuple[str, str]]:
    """Each publication and each place in the book that a docstring names."""
    return [
        ("cite" if role == "cite" else "book", target)
        for role, targets in ROLE.findall(docstring)
        for target in targets.split(",")
    ]


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_public_name_says_where_it_comes_from(name):
    """A publication, or a place in the book: an equation, a theorem, a figure or a section."""
    named = sources(DESCRIBED[name].__doc__)
    assert named, f"{name} names no source: cite one, or say where the book explains it"
    for kind, target in named:
        assert target in TARGETS[kind], f"{name} refers to {target!r}, which is nowhere"


def test_the_interface_shows_every_module():
    page = (SOURCE.parent / "chapters" / "api.rst").read_text("utf-8")
    for module in MODULES:
        assert module.startswith("_") or f".. automodule:: mflib.{module}\n" in page
