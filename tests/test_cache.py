"""Keys that change with the computation and only then; results that are whole or not there."""

import functools
import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from mflib import ShallowNetwork, experiments, variational
from mflib.experiments import _cache
from mflib.potentials import Potential, Power, Quadratic
from tests.problems import X, Y


def key(function, **arguments):
    return _cache.keys(function, [arguments])[0]


def define(source, name="f", **scope):
    """Run a piece of source as a notebook runs a cell."""
    exec(compile(source, "<cell>", "exec"), scope := {"__name__": "__main__", "np": np, **scope})
    return scope[name]


CHANGES = {
    "constant": ("def f(a): return {'b': 2 * a}", "def f(a): return {'b': 3 * a}"),
    "operation": ("def f(a): return {'b': 2 * a}", "def f(a): return {'b': 2 + a}"),
    "sign of zero": ("def f(a): return 0.0", "def f(a): return -0.0"),
    "type of a constant": ("def f(a): return a + 1", "def f(a): return a + True"),
    "called method": ("def f(a): return a.min()", "def f(a): return a.max()"),
    "names of parameters": ("def f(a, b): return a", "def f(b, a): return b"),
    "default": ("def f(a, n=1): return a * n", "def f(a, n=2): return a * n"),
    "keyword default": ("def f(a, *, n=1): return a * n", "def f(a, *, n=2): return a * n"),
    "global variable": ("n = 1\ndef f(a): return a * n", "n = 2\ndef f(a): return a * n"),
    "one read in an inner function": (
        "n = 1\ndef f(a): return [n * i for i in a]",
        "n = 2\ndef f(a): return [n * i for i in a]",
    ),
    "inner function": (
        "def f(a):\n  def g(): return 1\n  return g()",
        "def f(a):\n  def g(): return 2\n  return g()",
    ),
    "closure": (
        "def outer(n):\n  def g(a): return a * n\n  return g\nf = outer(1)",
        "def outer(n):\n  def g(a): return a * n\n  return g\nf = outer(2)",
    ),
    "function called": (
        "def g(): return 1\ndef f(a): return g()",
        "def g(): return 2\ndef f(a): return g()",
    ),
    "one behind a cache": (
        "import functools\n@functools.cache\ndef g(): return 1\ndef f(a): return g()",
        "import functools\n@functools.cache\ndef g(): return 2\ndef f(a): return g()",
    ),
    "recursive function": (
        "def f(a): return a and 1 + f(a - 1)",
        "def f(a): return a and 2 + f(a - 1)",
    ),
    "bound argument": (
        "from functools import partial\nf = partial(lambda a, b: a * b, b=1)",
        "from functools import partial\nf = partial(lambda a, b: a * b, b=2)",
    ),
    "method of a class": (
        "class A:\n  def g(self): return 1\ndef f(a): return A().g()",
        "class A:\n  def g(self): return 2\ndef f(a): return A().g()",
    ),
    "property of a class": (
        "class A:\n  @property\n  def g(self): return 1\ndef f(a): return A().g",
        "class A:\n  @property\n  def g(self): return 2\ndef f(a): return A().g",
    ),
    "parent of a class": (
        "class A: n = 1\nclass B(A): pass\ndef f(a): return B().n",
        "class A: n = 2\nclass B(A): pass\ndef f(a): return B().n",
    ),
    "object's method": (
        "class A:\n  def g(self, a): return 1\nf = A().g",
        "class A:\n  def g(self, a): return 2\nf = A().g",
    ),
    "object's contents": (
        "class A:\n  def __init__(self, n): self.n = n\n  def __call__(self, a): pass\nf = A(1)",
        "class A:\n  def __init__(self, n): self.n = n\n  def __call__(self, a): pass\nf = A(2)",
    ),
    "function of a package": ("def f(a): return np.sin(a)", "def f(a): return np.cos(a)"),
    "module": (
        "import math as m\ndef f(a): return m.sqrt(a)",
        "import cmath as m\ndef f(a): return m.sqrt(a)",
    ),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_another_computation_has_another_key(before, after):
    assert key(define(before)) == key(define(before))
    assert key(define(before)) != key(define(after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-15])),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0], dtype=np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object)),
        (torch.zeros(3), torch.ones(3)),
        (torch.zeros(3), torch.zeros(3, requires_grad=True)),
        (1, 1.0),
        ([1, [2]], [[1], 2]),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": 2}),
        ({"a", "b"}, {"a", "c"}),
        ("1", b"1"),
        (None, "None"),
        (Power(3), Power(4)),
        (stats.uniform(-1, 2), stats.uniform(-1, 3)),
        (stats.uniform(-1, 2), stats.norm(-1, 2)),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (ShallowNetwork(5, seed=0), ShallowNetwork(5, seed=1)),
        (variational.solve(X, Y), variational.solve(X, 2 * Y)),
    ],
)
def test_another_value_has_another_key(before, after):
    def read(a):
        return {"b": before}

    first = key(read), key(np.sum, a=before), key(functools.partial(np.sum, before))
    before = after
    second = key(read), key(np.sum, a=after), key(functools.partial(np.sum, after))
    assert not set(first) & set(second)


def test_a_key_depends_on_nothing_else():
    one = define("def f(a):\n  return {'b': np.sin(a)}")
    other = define("\n\n# a comment\ndef f(a):\n\n  return {'b': np.sin(a)}  # another")
    other.__code__ = other.__code__.replace(co_filename="elsewhere")
    assert key(one, a=1, b=2) == key(other, b=2, a=1)


def test_a_key_survives_use():
    @dataclass
    class Pair:
        first: int

    class Cosh(Potential):
        value = gradient = hessian = np.cosh

    solution, density = variational.solve(X, Y), stats.truncnorm(-1, 2)
    pair, cosh = Pair(1), Cosh()

    def f():
        return solution, density, pair, Pair, cosh

    before = key(f)
    solution.curvature(X), solution.penalties, solution.slopes  # computed once and stored in it
    density.pdf(0.3), pair.__reduce_ex__(4), repr(pair), stats.norm.rvs()
    assert key(f) == before


def test_equal_values_need_not_be_the_same_object():
    a, b = np.arange(3.0), np.arange(3.0)
    assert key(np.sum, a=[a, a, "x" * 50]) == key(np.sum, a=[a, b, "x" * 25 + "x" * 25])
    assert key(np.sum, a=np.arange(6.0)[::2]) == key(np.sum, a=np.array([0.0, 2.0, 4.0]))


CELL = """
def f(a):
    return np.sin(1.0) if a in {"u", "v", "w"} else [len(i) for i in a]
"""
PROGRAM = f"""
import numpy as np
from mflib.experiments import _cache
exec(compile({CELL!r}, "elsewhere", "exec"))
print(_cache.keys(f, [dict(a={{"x", "y", "z"}})])[0])
"""


def test_keys_are_the_same_in_another_process():
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == key(define(CELL), a={"z", "y", "x"})


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Two modules of a user, of which one imports the other."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "study_tools.py").write_text("N = 1\n")
    (tmp_path / "study.py").write_text("import study_tools\ndef f(a): return study_tools.N * a\n")
    yield tmp_path, importlib.import_module("study")
    for name in ("study", "study_tools"):
        del sys.modules[name]


@pytest.mark.parametrize("edited", ["study.py", "study_tools.py"])
@pytest.mark.parametrize("by_module", [False, True])
def test_a_users_module_counts_with_all_that_it_imports(modules, edited, by_module):
    folder, study = modules
    calls_it = define("def f(a): return study.f(a)", study=study)
    before = key(calls_it) if by_module else key(study.f)
    with open(folder / edited, "a") as file:
        file.write("M = 2\n")
    assert (key(calls_it) if by_module else key(study.f)) != before


def test_a_users_module_counts_as_it_is_in_memory(modules):
    _, study = modules
    before = key(study.f)
    study.study_tools.N = 2
    after = key(study.f)
    study.f.__code__ = (lambda a: a).__code__
    assert len({before, after, key(study.f)}) == 3


@pytest.mark.parametrize(
    ("source", "package", "names"),
    [
        (b"import a.b, c as d\ndef f():\n  import e", None, {"a.b", "c", "e"}),
        (b"from a import b", None, {"a", "a.b"}),
        (b"from . import b", "p.q", {"p.q", "p.q.b"}),
        (b"from ..a import b", "p.q", {"p.a", "p.a.b"}),
        (b"try:\n  from .a import b\nexcept ImportError:\n  from a import b", "", {"a", "a.b"}),
        (b"\x7fELF\0", None, set()),
    ],
)
def test_imports_are_found(source, package, names):
    assert _cache._imports(source, package) == names


def test_versions_count(monkeypatch):
    before = key(experiments.trial)
    for name, value in {"library": lambda: "edited", "LIBRARY": "older", "_VERSIONS": ()}.items():
        with monkeypatch.context() as patch:
            patch.setattr(_cache, name, value)
            assert key(experiments.trial) != before
    function = define("def f(a): return pytest.approx(a)", pytest=pytest)
    before = key(function)
    monkeypatch.setattr(pytest, "__version__", "0")
    assert key(function) != before


def test_the_library_is_its_code_and_data(monkeypatch):
    read = []
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or b"")
    assert _cache.library() != _cache.LIBRARY
    assert {"__init__.py", "_cache.py", "_flow.py", "titanium.csv"} <= set(read)


def test_what_cannot_be_seen_is_refused():
    with pytest.raises(TypeError, match="with a cache, .* must be made of what can be pickled"):
        key(np.sum, a=(i for i in range(3)))


def test_a_kept_result_is_read_back(tmp_path):
    store = _cache.Store(tmp_path / "new" / "folder")
    result = {"a": 0.1 + 0.2, "b": np.arange(5), "c": lambda: 3, "d": torch.ones(2)}
    assert store.load("k") is None and "k" not in store
    store.save("k", result)
    read = store.load("k")
    assert "k" in store and read["a"] == result["a"] and read["c"]() == 3
    np.testing.assert_array_equal(read["b"], result["b"])
    assert torch.equal(read["d"], result["d"])


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_a_cache_is_private(tmp_path, monkeypatch):
    store = _cache.Store(tmp_path / "new")
    store.save("k", {"a": 1})
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert (store.folder / "k").stat().st_mode & 0o777 == 0o600
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o770)
    with pytest.raises(ValueError, match="others can write to the folder cache = .*chmod go-w"):
        _cache.Store(tmp_path / "shared")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ValueError, match="others can write to the folder cache"):
        _cache.Store(tmp_path / "new")


def test_a_damaged_result_is_never_taken_for_whole(tmp_path):
    store = _cache.Store(tmp_path)
    store.save("k", {"a": np.arange(4.0)})
    whole = (tmp_path / "k").read_bytes()
    swapped = bytearray(whole)
    swapped[whole.index(np.float64(2.0).tobytes()) + 7] ^= 1  # still a pickle, of another array
    for damaged in (b"", whole[:20], whole[:-1], whole + b"x", bytes(swapped), b"\0" * len(whole)):
        (tmp_path / "k").write_bytes(damaged)
        with pytest.warns(UserWarning, match="k is damaged .* computed again"):
            assert store.load("k") is None
        assert "k" not in store


def test_a_write_that_is_broken_off_leaves_nothing(tmp_path, monkeypatch):
    store = _cache.Store(tmp_path)
    seen = []

    def fail(source, target):
        seen.append((Path(source).stat().st_size > 32, Path(target).exists()))
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        store.save("k", {"a": 1})
    assert seen == [(True, False)] and not list(tmp_path.iterdir())


def test_potentials_are_told_apart_end_to_end(tmp_path):
    def compare(phi):
        return experiments.trial(50, 0, phi, x=X[:2], y=Y[:2], max_time=1.0)

    rows = experiments.sweep(
        compare, {"phi": [Quadratic(), Power(2)]}, executor="serial", cache=tmp_path
    )
    again = experiments.sweep(
        compare, {"phi": [Quadratic(), Power(2)]}, executor="serial", cache=tmp_path
    )
    assert rows["loss"].equals(again["loss"]) and len(list(tmp_path.iterdir())) == 2
