"""Put random problems to mflib and judge what comes back, in processes that can be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tools.fuzz.kinds import KINDS
from tools.fuzz.oracles import Unsure

LIMIT = 10  # seconds of work that a call may take
_PATIENCE = 12  # times that, by the clock, until a process is killed that does not return
FINE = ("CONVERGED", "COMPLETED", "answered")
FAILURES = ("wrong", "warning", "error", "hang")
_LIBRARY = str(Path(__file__).resolve().parents[2] / "mflib")


class Result(NamedTuple):
    kind: str
    number: int
    outcome: str  # a status, "answered", "refused", or one of FAILURES
    note: str = ""  # what is wrong, or what was said
    unchecked: bool = False


class Late(BaseException):
    """Raised when a call has worked for too long; not an Exception, lest somebody catch it."""


def _late(*_: Any) -> None:
    raise Late


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise Late after so much processor time of this process, where the system can tell."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGPROF, _late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def draw(kind: str, seed: int, index: int) -> Any:
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
    return KINDS[kind].draw(rng)


def attempt(kind: str, seed: int, index: int) -> Result:
    """Draw a problem, put it to mflib, and judge the outcome."""
    problem = draw(kind, seed, index)
    try:
        with at_most(LIMIT), warnings.catch_warnings():
            warnings.simplefilter("error")
            answer = KINDS[kind].run(problem)
    except Late:
        return Result(kind, index, "hang", f"more than {LIMIT} s of work")
    except Warning as warning:
        return Result(kind, index, "warning", _told(warning))
    except (ValueError, TypeError) as error:
        return _refused(kind, index, problem, error)
    except Exception as error:
        return Result(kind, index, "error", _told(error))
    status = answer.get("status") if isinstance(answer, dict) else getattr(answer, "status", None)
    outcome = str(getattr(status, "name", status or "answered"))
    if _must(problem, "answer") and outcome not in FINE:
        return Result(kind, index, "wrong", f"{outcome}, though the problem is gentle")
    if _must(problem, "refuse"):
        return Result(kind, index, "wrong", f"{outcome}, though it should be refused")
    try:
        with at_most(6 * LIMIT):
            fault = KINDS[kind].check(problem, answer)
    except (Late, Unsure) as doubt:
        return Result(kind, index, outcome, f"not checked: {doubt!r}", unchecked=outcome in FINE)
    except Exception as error:
        return Result(kind, index, "error", f"in the check: {_told(error)}")
    return Result(kind, index, "wrong" if fault else outcome, fault or "")


def _must(problem: Any, what: str) -> bool:
    if isinstance(problem, dict):
        return problem.get("must") == what or (what == "answer" and problem.get("gentle") is True)
    return False


def _refused(kind: str, index: int, problem: Any, error: Exception) -> Result:
    """A refusal is mflib's own: raised in its code, with a message."""
    raised = traceback.extract_tb(error.__traceback__)[-1].filename
    if not raised.startswith(_LIBRARY) or not str(error):
        return Result(kind, index, "error", _told(error))
    if _must(problem, "answer"):
        return Result(kind, index, "wrong", f"refused, though the problem is gentle: {error}")
    return Result(kind, index, "refused", str(error))


def _told(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(_LIBRARY)]
    place = f"{Path(frame.filename).name}:{frame.lineno}"
    if ours and ours[-1] is not frame:
        place += f", from {Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__}: {str(error)[:200]} ({place})"


def _work(pipe: connection.Connection) -> None:
    """Try what comes through the pipe, until None does."""
    torch.set_num_threads(1)
    while (task := pipe.recv()) is not None:
        pipe.send(attempt(*task))


class _Worker:
    """A process of ours that can be killed, and begun anew."""

    def __init__(self) -> None:
        method = "forkserver" if sys.platform == "linux" else "spawn"
        context: Any = multiprocessing.get_context(method)
        context.set_forkserver_preload([__name__])
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,))
        self.process.start()
        theirs.close()
        self.task: tuple[str, int, int] | None = None
        self.since = 0.0

    def give(self, task: tuple[str, int, int]) -> None:
        self.task, self.since = task, time.monotonic()
        self.pipe.send(task)

    def end(self) -> None:
        if self.task is None and self.process.is_alive():
            self.pipe.send(None)
            self.process.join(5)
        self.process.kill()
        self.process.join()


def tasks(kinds: list[str], seed: int, start: int = 0) -> Iterator[tuple[str, int, int]]:
    """Problems of all kinds in turn, without end; of cheap kinds several at a time."""
    next_of = dict.fromkeys(kinds, start)
    while True:
        for kind in kinds:
            for _ in range(KINDS[kind].share):
                yield kind, seed, next_of[kind]
                next_of[kind] += 1


def run(kinds: list[str], seed: int, seconds: float, jobs: int) -> Iterator[Result]:
    """Try problems until the time is over, several at once; yield results as they come."""
    workers, waiting, end = (
        [_Worker() for _ in range(jobs)],
        tasks(kinds, seed),
        time.monotonic() + seconds,
    )
    try:
        while True:
            for k, worker in enumerate(workers):
                if worker.task is None and time.monotonic() < end:
                    worker.give(next(waiting))
                elif worker.task and time.monotonic() > worker.since + _PATIENCE * LIMIT:
                    yield _gone(worker, "hang", "does not return")
                    workers[k] = _Worker()
            busy = [worker for worker in workers if worker.task]
            if not busy:
                return
            for pipe in connection.wait([worker.pipe for worker in busy], timeout=1):
                k = next(k for k, worker in enumerate(workers) if worker.pipe is pipe)
                try:
                    result = workers[k].pipe.recv()
                    workers[k].task = None
                except (EOFError, OSError):  # closed by its end, or reset by a kill
                    result = _gone(workers[k], "error", "the process died")
                    workers[k] = _Worker()
                yield result
    finally:
        for worker in workers:
            worker.end()


def _gone(worker: _Worker, outcome: str, note: str) -> Result:
    assert worker.task is not None
    kind, _, index = worker.task
    worker.end()
    return Result(kind, index, outcome, note)
