"""Sweeps against loops, wherever their cells run and whatever befalls them."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from loky import cpu_count
from threadpoolctl import threadpool_info, threadpool_limits

import mflib
from mflib import experiments
from mflib.experiments import _pool
from mflib.potentials import Power, Quadratic, Regularized
from tests.problems import X, Y

sweep = experiments.sweep


@contextmanager
def dask_cluster():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",  # any free port: without one it is 8787, and warns if taken
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


EXECUTORS = {
    "serial": lambda: nullcontext("serial"),
    "worker processes": lambda: nullcontext(None),
    "threads": lambda: ThreadPoolExecutor(3),
    "dask": dask_cluster,
}


@pytest.fixture(scope="module", params=EXECUTORS.values(), ids=EXECUTORS)
def executor(request):
    with request.param() as executor:
        yield executor


def spend_unlike_time(a, b, c):
    time.sleep(0.03 * (a == 2 and b == 10))  # the first cells finish last
    return {"product": a * b * c, "first": a}


def test_a_sweep_is_a_nested_loop(executor):
    parameters = {"a": [2, 3], "b": {"ten": 10, "half": 0.5}, "c": (1, 7, 9)}
    table = sweep(spend_unlike_time, parameters, executor=executor)
    assert list(table.columns) == ["a", "b", "c", "product", "first"]
    expected = [
        [a, label, c, a * b * c, a]
        for a in (2, 3)
        for label, b in (("ten", 10), ("half", 0.5))
        for c in (1, 7, 9)
    ]
    assert table.to_numpy().tolist() == expected


def test_results_do_not_depend_on_the_executor(executor, tmp_path):
    def train(width, seed, phi):
        matrix = np.random.default_rng(seed).standard_normal((500, 500))
        row = experiments.trial(width, seed, phi, x=X[:3], y=Y[:3], max_time=50.0)
        return {**row, "trace": np.trace(matrix @ matrix @ matrix), "total": float(matrix.sum())}

    potentials = {"x²": Quadratic(), "|x|³ + x²": Regularized(Power(3), 1)}
    parameters = {"width": [30, 300], "phi": potentials, "seed": range(2)}
    table = sweep(train, parameters, executor=executor, cache=tmp_path, version="1")
    loop = [
        {"width": width, "phi": phi, "seed": seed, **train(width, seed, potentials[phi])}
        for width in (30, 300)
        for phi in potentials
        for seed in range(2)
    ]
    with _pool.one_thread():
        pd.testing.assert_frame_equal(table, pd.DataFrame(loop), check_exact=False, rtol=1e-9)
        assert table.equals(sweep(train, parameters, executor="serial"))  # to the last bit
    assert len(list(tmp_path.iterdir())) == 8
    assert table.equals(sweep(train, parameters, executor=executor, cache=tmp_path, version="1"))


def test_each_cell_has_one_thread(executor):
    def threads(a):
        pools = [pool["num_threads"] for pool in threadpool_info()]
        return {"torch": torch.get_num_threads(), "most": max(pools), "pools": len(pools)}

    def several():
        return torch.get_num_threads(), [pool["num_threads"] for pool in threadpool_info()]

    usual = torch.get_num_threads()
    torch.set_num_threads(2)  # threads started later inherit this
    with threadpool_limits(2):
        before = several()
        table = sweep(threads, {"a": range(3)}, executor=executor)
        after = several()
    torch.set_num_threads(usual)
    # CVXPY, where another test has loaded it, brings a library that has one thread only
    assert before[0] == 2 and max(before[1]) == 2
    assert after == before
    assert (table["torch"] == 1).all() and (table["most"] == 1).all() and (table["pools"] > 1).all()


def test_an_error_names_its_cell_and_loses_no_other(executor, tmp_path):
    def invert(a, b):
        return {"inverse": 1 / a, "n": b["n"]}

    parameters = {"a": [1, 2, 0], "b": {"B": {"n": 5}}}
    with pytest.raises(ZeroDivisionError, match="This is the cell a=0, b='B' of a sweep"):
        sweep(invert, parameters, executor=executor, cache=tmp_path, version="1")
    kept = len(list(tmp_path.iterdir()))
    assert kept == 2 or executor != "serial"
    parameters["a"] = [1, 2]
    table = sweep(invert, parameters, executor=executor, cache=tmp_path, version="1")
    assert table["inverse"].tolist() == [1.0, 0.5]
    assert len(list(tmp_path.iterdir())) == 2


def test_cells_that_run_during_an_error_finish_and_are_kept(executor, tmp_path):
    def cell(a):
        (tmp_path / f"started-{a}").touch()
        if a == 0:
            raise ValueError
        time.sleep(0.03)
        return {"b": a}

    cache = tmp_path / "cache"
    with pytest.raises(ValueError, match="a=0"):
        sweep(cell, {"a": [1, 0, *range(2, 400)]}, executor=executor, cache=cache, version="1")
    wait_until(lambda: len([*cache.iterdir()]) == len([*tmp_path.glob("started-*")]) - 1)
    assert len(list(cache.iterdir())) < 399


def test_results_from_another_machine_are_kept_here(tmp_path, monkeypatch):
    with ThreadPoolExecutor(1) as threads, monkeypatch.context() as patch:
        here, main = Path.is_dir, threading.main_thread()
        patch.setattr(Path, "is_dir", lambda p: threading.current_thread() is main and here(p))
        sweep(same, {"a": [1, 2]}, executor=threads, cache=tmp_path / "new", version="1")
    assert len(list((tmp_path / "new").iterdir())) == 2


def same(a):
    return {"b": a}


def adding(term):
    """A closure, as a notebook's cell would make it."""
    return lambda a: {"b": a + term}


def test_functions_may_come_from_a_notebook(executor, tmp_path):
    scope = {"__name__": "__main__", "factor": 2, "Quadratic": Quadratic}
    exec("class Own(Quadratic): gain = 10\ndef f(a): return {'b': factor * a * Own.gain}", scope)
    for factor in (2, 3, 2):  # the workers are the same ones each time
        scope["factor"] = factor
        options = {"executor": executor, "cache": tmp_path, "version": str(factor)}
        table = sweep(scope["f"], {"a": [1, 2]}, **options)
        assert table["b"].tolist() == [10 * factor, 20 * factor]
        table = sweep(adding(factor), {"a": [1]}, executor=executor)
        assert table["b"].tolist() == [1 + factor]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_function_must_return_a_mapping(executor):
    with pytest.raises(TypeError, match="function of a sweep must return a mapping, got 3"):
        sweep(lambda a: a, {"a": [3]}, executor=executor)


def test_a_result_must_not_hide_a_parameter(executor):
    with pytest.raises(ValueError, match="returned 'a', which is the name of a parameter; give"):
        sweep(lambda a: {"b": a, "a": 2 * a}, {"a": [3]}, executor=executor)


@pytest.mark.parametrize("inside", [(), ("folder",)])
def test_a_cache_that_is_a_file_is_named(tmp_path, inside):
    (tmp_path / "file").touch()
    options = {"cache": (tmp_path / "file").joinpath(*inside), "version": "1"}
    with pytest.raises(ValueError, match="cache must be a folder, but .*file.* leads to a file"):
        sweep(spend_unlike_time, {"a": [3]}, executor="serial", **options)


def test_workers_are_few_and_stay():
    first, second = (sweep(lambda a: {"pid": os.getpid()}, {"a": range(9)}) for _ in range(2))
    pids = {*first["pid"], *second["pid"]}
    assert os.getpid() not in pids and len(pids) <= cpu_count()


def test_workers_start_anew_after_an_edit(monkeypatch):
    reuse: list[dict] = []
    monkeypatch.setattr(_pool, "get_reusable_executor", lambda **options: reuse.append(options))
    monkeypatch.setattr(_pool, "_ages", {})
    for file in (__file__, __file__, experiments.__file__, experiments.__file__):
        monkeypatch.setattr(_pool, "own_modules", lambda file=file: {"a": file, "b": __file__})
        _pool.pool()
    assert [options["reuse"] for options in reuse] == ["auto", "auto", False, "auto"]


def test_own_modules_are_those_that_may_change():
    own = _pool.own_modules()
    assert own[__name__] == __file__
    assert not {"numpy", "json", "sys", "__main__"} & set(own)


def test_workers_with_another_mflib_are_found_out(monkeypatch):
    monkeypatch.setattr(mflib, "__version__", "another")
    with pytest.raises(RuntimeError, match=r"workers run mflib \d.*, this session another; "):
        sweep(spend_unlike_time, {"a": [1], "b": [2], "c": [3]})


def test_an_empty_parameter_is_named():
    with pytest.raises(ValueError, match=r"parameters\['b'\] is empty: give at least one"):
        sweep(spend_unlike_time, {"a": [1], "b": [], "c": {}})


def compared(phi):
    return experiments.trial(50, 0, phi, x=X[:2], y=Y[:2], max_time=1.0)


def test_only_arguments_and_version_make_another_cell(tmp_path):
    calls: list[object] = []

    def cell(a):
        calls.append(a)
        return {"b": factor * a}

    def both():
        options = {"executor": "serial", "cache": tmp_path, "version": version}
        return sweep(cell, {"a": {"first": 1, "second": 2.0}}, **options)["b"].tolist()

    factor, version = 1, "1"
    assert both() == [1, 2] and calls == [1, 2.0]
    factor = 10  # which nobody was told
    assert both() == [1, 2] and len(calls) == 2
    version = "2"
    assert both() == [10, 20] and len(calls) == 4
    version = "1"
    assert both() == [1, 2] and len(calls) == 4
    for path in tmp_path.iterdir():  # of the labels none counts
        path.unlink()
    table = sweep(compared, {"phi": [Quadratic(), Power(2)]}, cache=tmp_path, version="a")
    again = sweep(compared, {"phi": [Power(2), Quadratic()]}, cache=tmp_path, version="a")
    assert table["loss"].tolist() == again["loss"].tolist()[::-1]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("version", [None, ""])
def test_a_cache_needs_a_version(tmp_path, version):
    with pytest.raises(ValueError, match="with a cache, version must be .*give version='1', and"):
        sweep(same, {"a": [1]}, cache=tmp_path / "new", version=version)
    assert not (tmp_path / "new").exists()


def test_a_folder_in_the_place_of_a_result_does_no_harm(tmp_path):
    options = {"executor": "serial", "cache": tmp_path, "version": "1"}
    sweep(same, {"a": [1, 2]}, **options)
    first = sorted(tmp_path.iterdir())[0]
    first.unlink(), first.mkdir(), (first / "mine").touch()
    for _ in range(2):
        with pytest.warns(UserWarning, match="is a folder where a result belongs"):
            assert sweep(same, {"a": [1, 2]}, **options)["b"].tolist() == [1, 2]
    assert (first / "mine").exists()


class Failed(Exception):
    """It is made of two things, of which a pickle knows one."""

    def __init__(self, code, place):
        super().__init__(f"code {code} at {place}")


class Doubled(Exception):
    """It can be unpickled, and says something else then."""

    def __init__(self, code):
        super().__init__(f"code {code}")


class Locked(Exception):
    def __reduce__(self):
        raise TypeError("no")


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


class Unreadable:
    def __reduce__(self):
        return int, ("seven",)


ERRORS = {
    "two arguments": (lambda: Failed(7, "home"), "Failed: code 7 at home"),
    "another text": (lambda: Doubled(7), "Doubled: code 7\n"),
    "not to be pickled": (lambda: Locked("at home"), "Locked: at home"),
    "holds a lock": (lambda: ValueError("at home", threading.Lock()), "ValueError.*at home.*lock"),
    "no text": (lambda: Mute(), r"Mute: <exception str\(\) failed>"),
    "a group": (lambda: ExceptionGroup("at home", [Failed(7, "a")]), "at home .1 sub-exception"),
    "plain": (lambda: KeyError("home"), "^'home'\n"),
    "with a note": (lambda: noted(Failed(7, "a"), "look here"), "code 7 at a\nlook here"),
    "in the answer": (lambda: Unreadable(), "invalid literal .* 'seven'"),
    "an answer that stays": (lambda: (i for i in "a"), "cannot pickle 'generator'"),
}


def noted(error, note):
    error.add_note(note)
    return error


@pytest.mark.parametrize(("make", "text"), ERRORS.values(), ids=ERRORS)
def test_the_text_of_any_error_comes_home_and_costs_no_other_cell(make, text):
    def cell(a):
        if a != 2:
            return {"b": a}
        if isinstance(outcome := make(), Exception):
            raise outcome
        return {"b": outcome}

    workers = _pool.pool()
    with pytest.raises(Exception, match=text) as raised:
        sweep(cell, {"a": [1, 2, 3]})
    assert raised.value.__notes__[-1] == "This is the cell a=2 of a sweep."
    assert _pool.pool() is workers
    assert sweep(cell, {"a": [1, 3]})["b"].tolist() == [1, 3]


def test_what_is_no_executor_is_named():
    with pytest.raises(TypeError, match="executor must be .* got 2; a dask Client has get_execu"):
        sweep(spend_unlike_time, {"a": [1]}, executor=2)


@pytest.mark.parametrize("progress", [False, True])
def test_progress_is_shown_on_stderr(progress, capsys, tmp_path):
    options = {"executor": "serial", "cache": tmp_path, "version": "1", "progress": progress}
    sweep(same, {"a": [1, 2]}, **options)
    sweep(same, {"a": [1, 2, 3, 4]}, **options)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("2/2" in err and "4/4" in err and "| 0/4" not in err) if progress else err == ""


CELL = """
import os, time

def cell(a, b):
    open(f"{folder}/started-{a}-{b}-{time.monotonic_ns()}-{os.getpid()}", "w").close()
    while a > 1 and not os.path.exists(f"{folder}/go"):
        time.sleep(0.01)
    return {"sum": a + b, "list": [a] * 1000}
"""
PARAMETERS = {"a": range(4), "b": [10, 20, 30]}
PROGRAM = f"""
import sys
from mflib import experiments
folder = sys.argv[1]
exec(compile({CELL!r}, "elsewhere", "exec"))
experiments.sweep(cell, {PARAMETERS!r}, cache=folder + "/cache", version="1")
"""


def wait_until(condition):
    deadline = time.monotonic() + 100
    while not (value := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def ended(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def starts(folder):
    """The process of each start of each cell."""
    names = [path.name.split("-") for path in folder.glob("started-*")]
    return sorted((int(a), int(b), int(pid)) for _, a, b, _, pid in names)


def test_a_killed_sweep_resumes(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["LOKY_MAX_CPU_COUNT"] = "1"  # a worker takes seconds to start
    run = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment)
    cache = tmp_path / "cache"
    wait_until(lambda: any(a > 1 for a, _, _ in starts(tmp_path)) and len([*cache.iterdir()]) == 6)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    wait_until(lambda: all(ended(pid) for *_, pid in starts(tmp_path)))
    before = starts(tmp_path)
    broken_off = sorted(cache.iterdir())[0]
    broken_off.write_bytes(broken_off.read_bytes()[:-500])
    (cache / "half.tmp").write_bytes(b"half")
    (tmp_path / "go").touch()

    scope = {"__name__": "__main__", "folder": str(tmp_path)}
    exec(CELL, scope)
    with pytest.warns(UserWarning, match="is damaged .* will be computed again"):
        table = sweep(scope["cell"], PARAMETERS, cache=cache, version="1")
    expected = [(a, b, a + b, [a] * 1000) for a in range(4) for b in (10, 20, 30)]
    assert [tuple(row) for row in table.to_numpy().tolist()] == expected
    again = [(a, b) for a, b, pid in starts(tmp_path) if (a, b, pid) not in before]
    unfinished = [(a, b) for a in (2, 3) for b in (10, 20, 30)]
    assert [cell for cell in again if cell[0] > 1] == unfinished
    assert len(again) == 7  # and the damaged one
    sweep(scope["cell"], PARAMETERS, cache=cache, version="1")
    assert len(starts(tmp_path)) == len(before) + 7


def test_an_interrupt_ends_the_workers(tmp_path):  # the last test: others need workers
    scope = {"__name__": "__main__", "folder": str(tmp_path)}
    exec(CELL, scope)

    def interrupt():
        try:
            wait_until(lambda: any(a > 1 for a, _, _ in starts(tmp_path)))
        finally:  # the sweep would wait for ever
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # other tests in this process, which start kernels, may have left a handler of their own
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            sweep(scope["cell"], PARAMETERS, cache=tmp_path / "cache", version="1")
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        wait_until(lambda: all(ended(pid) for *_, pid in starts(tmp_path)))
    finally:
        (tmp_path / "go").touch()
    assert len(list((tmp_path / "cache").iterdir())) == 6
