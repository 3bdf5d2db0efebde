"""The package as a whole: what it names, what it loads, which way its imports point."""

import ast
import enum
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
from _ext import interface

SOURCE = Path(mflib.__file__).parent
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")
MODULES = sorted(
    path.stem
    for path in SOURCE.iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem[0] != "_"
)

# From the theory's nouns to what uses them: a module imports only what stands on a line above it.
# The two solvers share a line, so that each checks the other.
ORDER = [
    ("_flint", "_torch", "_validation", "_collocation"),
    ("_averages", "activations", "densities", "datasets"),
    ("potentials",),
    ("mirror_maps", "networks", "functionals", "ridges", "variational", "representation"),
    ("flow", "descent"),
    ("experiments", "plotting", "sklearn"),
]
LINE = {name: line for line, names in enumerate(ORDER) for name in names}


def python(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_no_more_than_it_needs():
    loaded = python(
        "import mflib, sys\n"
        "mflib.potentials.Power(3).gradient(1.0), mflib.activations.relu(2.0)\n"
        "mflib.variational.solve([0.1, 0.5], [1.0, 2.0])(0.3)\n"
        "mflib.representation.solve([0.1, 0.5], [1.0, 2.0])([0.3])\n"
        "print([m for m in ('torch', 'matplotlib', 'pandas', 'sklearn') if m in sys.modules])"
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


def imports(file: Path) -> set[tuple[str, ...]]:
    """Return what of mflib a file imports, as paths such as ("flow", "_sliding", "Kinks")."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{file.name}, line {node.lineno}: write the whole path of an import")
        modules = [node.module] if isinstance(node, ast.ImportFrom) else [""]
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [f"{m}.{a.name}".strip(".").split(".") for m in modules for a in node.names]
            found |= {tuple(name[1:]) for name in names if name[0] == "mflib"}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_point_one_way(file):
    own = file.relative_to(SOURCE).with_suffix("").parts[0]
    for first, *rest in imports(file):
        assert first == own or LINE[first] < LINE[own], f"{own} must not import {first}"
        private = [part for part in rest if part.startswith("_")]
        assert first == own or not private, f"{private[0]} is private to {first}"


def test_every_module_has_its_place():
    private = {"_flint", "_torch", "_validation", "_collocation", "_averages"}
    assert set(LINE) == {*MODULES, *private}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_exports_what_it_defines(name):
    module = importlib.import_module(f"mflib.{name}")
    for public in module.__all__:
        assert getattr(module, public).__doc__ if callable(getattr(module, public)) else True
        assert hasattr(module, public)


# What the programming interface says about each name. The examples run as doctests.

DESCRIBED = {
    f"{module}.{name}": value
    for module in MODULES
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


STATUSES = [value for value in DESCRIBED.values() if inspect.isclass(value)]
STATUSES = [value for value in STATUSES if issubclass(value, enum.Enum)]


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_a_status_prints_as_its_name_and_the_interface_explains_it(kind):
    page = inspect.cleandoc(kind.__doc__).splitlines()
    interface.explain_members(None, "class", "", kind, None, page)
    text = "\n".join(page)
    for member in kind:
        assert repr(member) == f"{kind.__name__}.{member.name}"
        assert f"``{member.name}``\n    {member.value}.\n" in text
        assert text.index(member.value) < text.index("References\n------")
        assert member.value == member.value.strip(" .")
    bad = [member for member in kind if member.name not in ("CONVERGED", "COMPLETED")]
    for member in bad:  # a cause and a cure
        assert re.search(r"\b(use|give|allow|choose|add|drop|widen)\b", member.value.lower())


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


def test_the_interface_has_a_page_for_every_module():
    pages = SOURCE.parent.glob("chapters/api/*.rst")
    assert {page.stem for page in pages} == set(MODULES)
    for module in MODULES:
        page = SOURCE.parent / "chapters" / "api" / f"{module}.rst"
        assert f".. automodule:: mflib.{module}\n" in page.read_text("utf-8")
