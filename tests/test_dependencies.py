"""What a chapter depends on is what its code can reach, whichever way it gets there."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import mflib
from tools import notebooks
from tools.dependencies import Repository, code_only

ROOT = notebooks.ROOT
SMALL = {
    "mflib/__init__.py": """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from mflib import a, rooms
            from mflib.b import B
            from mflib.rooms import run
        __version__ = "1"
        def __getattr__(name):
            from importlib import import_module
            return import_module(f"mflib.{name}")
        """,
    "mflib/a.py": "A = 1",
    "mflib/b.py": "from mflib._own import own\nB = own",
    "mflib/_own.py": "def own(): return 1",
    "mflib/lazy.py": "def f():\n    from mflib import a\n    return a.A",
    "mflib/rooms/__init__.py": """
        from mflib.rooms._run import run
        from .walk import walk as go
        def here():
            return run(1)
        """,
    "mflib/rooms/_run.py": "from mflib import a\ndef run(x): return a.A",
    "mflib/rooms/walk.py": "from ._inner import deep\ndef walk(): return deep",
    "mflib/rooms/_inner.py": "deep = 1",
    "mflib/tables.py": """
        def _read(name): return open(name)
        def one(): return _read("one.csv")
        def two(): return _read(TWO)
        TWO = "two.csv"
        def none(): return 1
        """,
    "mflib/uses.py": "from mflib import tables\ndef f(): return tables.one()",
    "mflib/loud/__init__.py": "from mflib.loud.c import c\nimport sys\nsys.path[:] = []\n",
    "mflib/loud/c.py": "c = 1",
    "mflib/data/one.csv": "1",
    "mflib/data/two.csv": "2",
    "mflib/data/new.csv": "3",
    "results/r.json": "{}",
    "helpers.py": "import mflib.a",
}
ALL = {name.removeprefix("mflib/") for name in SMALL if name.endswith(".py")} - {"helpers.py"}
OTHERS = {"data/one.csv", "data/two.csv"}  # which some module names


@pytest.fixture
def repository(tmp_path):
    for name, text in SMALL.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line.removeprefix(" " * 8) for line in text.splitlines()]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    (tmp_path / "chapters").mkdir()
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        ("import numpy as np\nnp.array(1)", set()),
        ("import mflib", set()),
        ("import mflib.rooms", set()),
        ("import mflib.a", {"a.py"}),
        ("import mflib\nmflib.a.A", {"a.py"}),
        ("import mflib\nx = f(mflib.a.A)[0].b", {"a.py"}),
        ("import mflib as m\nm.B(1)", {"b.py", "_own.py"}),
        ("import mflib.b as c\nc.B", {"b.py", "_own.py"}),
        ("from mflib import a as z", {"a.py"}),
        ("from mflib import lazy", {"lazy.py", "a.py"}),
        ("def f():\n    from mflib import B\n    return B", {"b.py", "_own.py"}),
        ("from mflib.b import B", {"b.py", "_own.py"}),
        ("from mflib.a import *", {"a.py"}),
        # a package: only what is taken from it
        ("from mflib import run", {"rooms/_run.py", "a.py"}),
        ("from mflib import rooms\nrooms.run(1)", {"rooms/_run.py", "a.py"}),
        ("from mflib import rooms as r\nr.go()", {"rooms/walk.py", "rooms/_inner.py"}),
        ("import mflib.rooms.walk", {"rooms/walk.py", "rooms/_inner.py"}),
        ("from mflib.rooms import here", {"rooms/__init__.py", "rooms/_run.py", "a.py"}),
        ("from mflib.loud import c", {"loud/c.py", "loud/__init__.py"}),  # it acts on import
        # a package as a value: all of it
        ("from mflib import rooms\nf(rooms)", {n for n in ALL if "rooms" in n} | {"a.py"}),
        ("from mflib import rooms\ngetattr(rooms, n)", {n for n in ALL if "rooms" in n} | {"a.py"}),
        ("from mflib.rooms import *", {n for n in ALL if "rooms" in n} | {"a.py"}),
        ("import mflib\ngetattr(mflib, name)", ALL | OTHERS),
        ("import mflib as m\nn = m\nn.a", ALL | OTHERS),
        ("import mflib\nvars(mflib)[name]", ALL | OTHERS),
        ("import mflib\nmflib.__dict__[name]", ALL | OTHERS),
        ("import mflib\nmflib.unknown", ALL | OTHERS),
        ("import mflib\nmflib.__version__", {"__init__.py"}),
        ("from mflib import *", ALL | OTHERS),
        ("import importlib\nimportlib.import_module(name)", ALL | OTHERS),
        ("f = __import__", ALL | OTHERS),
        ("import sys\nsys.modules['mflib.a']", {"a.py"}),
        # data: what the functions read
        ("from mflib import tables\ntables.none()", {"tables.py"}),
        ("from mflib import tables\ntables.one()", {"tables.py", "data/one.csv"}),
        ("from mflib.tables import two", {"tables.py", "data/two.csv"}),
        ("from mflib import tables\ngetattr(tables, n)()", {"tables.py"} | OTHERS),
        ("import mflib\nmflib.uses.f()", {"uses.py", "tables.py", "data/one.csv"}),
        # other files of the repository
        ("open('../results/r.json')", {"../results/r.json"}),
        ("open('../results/none.json')", set()),
        ("import helpers", {"../helpers.py", "a.py"}),
    ],
)
def test_what_code_reaches(repository, code, reached):
    inputs = repository.inputs(code, repository.root / "chapters")
    expected = {str(Path("mflib", name)) for name in reached if not name.startswith("../")}
    assert set(inputs) == expected | {n[3:] for n in reached if n.startswith("../")}


def test_code_that_cannot_be_read_may_reach_everything(repository):
    inputs = repository.inputs(None, repository.root / "chapters")
    assert set(inputs) == {str(Path("mflib", name)) for name in ALL | OTHERS}


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("x = 1", "x = 1  # why", True),
        ("x = 1", "# why\n\nx = 1", True),
        ("x = 1", '"""What."""\nx = 1', True),
        ("class A:\n    b = 1", 'class A:\n    """What."""\n    b = 1', True),
        ("async def f():\n    pass", 'async def f():\n    "What."\n    pass', True),
        ("x = 1", "x = 2", False),
        ('x = "#a"', 'x = "#b"', False),
        ('x = """\n# a\n"""', 'x = """\n# b\n"""', False),  # text that looks like a comment
        ('def f():\n    return f"""\n# {a}"""', 'def f():\n    return f"""\n# {b}"""', False),
        ("def f():\n    x = 1\n    'a'", "def f():\n    x = 1\n    'b'", False),
    ],
)
def test_comments_and_docstrings_are_no_code(old, new, same):
    assert (code_only(old) == code_only(new)) == same


def test_every_public_name_counts_as_its_module():
    """What the interpreter says, against what is read from the code."""
    repository = Repository(ROOT)
    for name in mflib.__all__:
        value = getattr(mflib, name)
        file = sys.modules[getattr(value, "__module__", value.__name__)].__file__
        reached = repository.inputs(f"import mflib\nmflib.{name}", ROOT / "chapters")
        own = Path(file or "")
        if own.name == "__init__.py":  # a package, as a whole
            assert {p.relative_to(ROOT).as_posix() for p in own.parent.rglob("*.py")} <= {*reached}
        assert own.relative_to(ROOT).as_posix() in reached
        assert "mflib/__init__.py" not in reached


PROGRAM = """
import json, os, sys
import matplotlib.pyplot, pandas, scipy.stats, torch
for name, code in json.loads(sys.argv[1]).items():
    if os.fork() == 0:
        exec(code)
        print(name, *(module for module in sys.modules if module.startswith("mflib.")), flush=True)
        os._exit(0)
    os.wait()
"""


def imports(code: str) -> str:
    """Return the statements that import mflib."""
    nodes = ast.walk(ast.parse(code))
    kinds = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    return "\n".join(line for node in kinds if "mflib" in (line := ast.unparse(node)))


def test_what_is_reached_covers_what_the_interpreter_loads():
    """Modules of packages apart: a package loads all, of which a chapter may use a part."""
    repository, inputs, code = Repository(ROOT), {}, {}
    for path in notebooks.chapter_sources(ROOT):
        source = notebooks.read_source(path)
        inputs[path.stem] = set(notebooks.inputs_of(source, path.parent, repository))
        cells = [
            cell.source for cell in notebooks.code_cells(source) if "%" not in cell.source[:80]
        ]
        code[path.stem] = imports("\n".join(cells))
    command = [sys.executable, "-c", PROGRAM, json.dumps(code)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = [line.split() for line in run.stdout.splitlines()]
    assert {name for name, *_ in loaded} == set(inputs)
    for name, *modules in loaded:
        files = {repository.path(module).relative_to(ROOT).as_posix() for module in modules}
        public = {file for file in files if file.count("/") == 1 and "/_" not in file}
        if name != "benchmarks":  # which takes Evidence alone of a package that loads the models
            assert public - inputs[name] == set(), name


def test_every_table_is_named_by_the_code_that_reads_it():
    """Otherwise nothing would depend on it."""
    every = set(Repository(ROOT).inputs(None, ROOT / "chapters"))
    tables = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("mflib/data/*.csv")}
    assert tables
    assert tables <= every
