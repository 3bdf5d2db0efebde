"""Names that change with version and arguments, and only then; results whole or not there."""

import array
import collections
import functools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from mflib import ShallowNetwork, representation, variational
from mflib.experiments import _cache
from mflib.potentials import Hypentropy, Power, Regularized
from tests.problems import X, Y


def key(a):
    return _cache.key(test_another_value_has_another_key, "1", {"a": a})


class Rows(list):
    """Like a list, with something beside it."""

    title = None


def titled(title):
    rows = Rows([1])
    rows.title = title
    return rows


def one(a):
    return {"b": a}


def other(a):
    return {"b": a}


LIKE_LISTS = [list, Rows, collections.deque, collections.UserList, np.array, pd.Series]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *((make([1.0, 2.0]), make([1.0, 2.5])) for make in LIKE_LISTS),
        *((make([1.0]), make([1.0, 1.0])) for make in LIKE_LISTS),
        *((make([[1, 2]]), make([[1, 3]])) for make in LIKE_LISTS[:4]),
        (titled("x"), titled("y")),
        (array.array("d", [1.0]), array.array("d", [2.0])),
        (range(3), range(4)),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-15])),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0], dtype=np.float32)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object)),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"a": [2.0]})),
        (torch.zeros(3), torch.ones(3)),
        (torch.zeros(3), torch.zeros(3, requires_grad=True)),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ([1, [2]], [[1], 2]),
        ([1, 2], (1, 2)),
        ({"a": 1}, {"a": 2}),
        (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
        ({"a", "b"}, {"a", "c"}),
        ({"a"}, frozenset({"a"})),
        ("1", b"1"),
        (None, "None"),
        (np.sin, np.cos),
        (Power(3), Power(4)),
        (Hypentropy(0.1), Hypentropy(np.nextafter(0.1, 1))),
        (Regularized(Power(4), 1), Regularized(Power(4), 2)),
        (functools.partial(one, 1), functools.partial(one, 2)),
        (stats.uniform(-1, 2), stats.uniform(-1, 3)),
        (stats.uniform(-1, 2), stats.norm(-1, 2)),
        (np.random.default_rng(1), np.random.default_rng(2)),
        (ShallowNetwork(5, seed=0), ShallowNetwork(5, seed=1)),
        (variational.solve(X, Y), variational.solve(X, 2 * Y)),
    ],
)
def test_another_value_has_another_key(first, second):
    assert key(first) == key(first)
    assert key(first) != key(second)
    assert key([{"deep": (first,)}]) != key([{"deep": (second,)}])


def test_version_names_and_function_count_and_the_order_does_not():
    keys = [
        _cache.key(one, "1", {"a": 1, "b": 2}),
        _cache.key(one, "2", {"a": 1, "b": 2}),
        _cache.key(one, "1", {"a": 2, "b": 1}),
        _cache.key(one, "1", {"a": 1, "c": 2}),
        _cache.key(other, "1", {"a": 1, "b": 2}),
    ]
    assert len(set(keys)) == 5
    assert _cache.key(one, "1", {"b": 2, "a": 1}) == keys[0]


def test_functions_of_one_name_in_two_modules_are_two(monkeypatch):
    before = _cache.key(one, "1", {"a": 1})
    monkeypatch.setattr(one, "__module__", "elsewhere")
    assert _cache.key(one, "1", {"a": 1}) != before


def test_nothing_else_counts():
    def scoped(source, **scope):
        exec(compile(source, "<cell>", "exec"), scope := {"__name__": "__main__", **scope})
        return _cache.key(scope["f"], "1", {"a": 1})

    assert scoped("def f(a): return n", n=1) == scoped("\n\ndef f(a): return 2 * n", n=2)


def test_a_key_survives_use():
    solution, density = variational.solve(X, Y), stats.truncnorm(-1, 2)
    everything = [solution, density, representation.solve(X, Y), Power(3), ShallowNetwork(5)]
    before = key(everything)
    solution.curvature(X), solution.penalties, solution.slopes  # computed once and stored in it
    density.pdf(0.3), density.rvs(), stats.norm.rvs()
    assert key(everything) == before


def test_equal_values_need_not_be_the_same_object():
    a, b = np.arange(3.0), np.arange(3.0)
    assert key([a, a, "x" * 50]) == key([a, b, "x" * 25 + "x" * 25])
    assert key(np.arange(6.0)[::2]) == key(np.array([0.0, 2.0, 4.0]))


PROGRAM = """
from mflib.experiments import _cache
print(_cache.key(_cache.key, "1", {"a": [set("abcdefghij"), 0.1]}))
"""


def test_keys_are_the_same_in_another_process():
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == _cache.key(_cache.key, "1", {"a": [set("jihgfedcba"), 0.1]})


LOOP: list = []


@pytest.mark.parametrize("value", [(i for i in "a"), lambda: 3, (LOOP, LOOP.append(LOOP))])
def test_what_cannot_be_seen_is_refused(value):
    with pytest.raises(TypeError, match="with a cache, the parameters must .* can be pickled"):
        key(value)


@pytest.mark.parametrize("function", [lambda a: a, functools.partial(one, 1)])
def test_what_has_no_name_is_refused(function):
    with pytest.raises(TypeError, match="with a cache, the function must have a name.*`def`"):
        _cache.key(function, "1", {"a": 1})


def test_what_else_lies_in_the_folder_does_no_harm(tmp_path):
    store = _cache.Store(tmp_path)
    for name, age in (("old.tmp", 2e5), ("new.tmp", 60.0)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    for name in ("folder", "folder.tmp", "k"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    store = _cache.Store(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"new.tmp", "folder", "folder.tmp", "k", "notes.txt"}
    with pytest.warns(UserWarning, match="k is a folder where a result belongs"):
        assert store.load("k") is None
    store.save("other", {"a": 1})
    assert store.load("other") == {"a": 1}


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
