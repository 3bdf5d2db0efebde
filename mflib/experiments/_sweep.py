"""Sweeps: a function on every combination of its parameters, anywhere, and never twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Executor, Future, as_completed, wait
from dataclasses import dataclass, fields
from typing import Any, Literal

import cloudpickle
import pandas as pd
from tqdm import tqdm

from mflib.experiments._cache import Store, key
from mflib.experiments._pool import one_thread, pool

__all__ = ["sweep"]


def sweep(
    function: Callable[..., Mapping[str, Any]],
    parameters: Mapping[str, Iterable[Any] | Mapping[str, Any]],
    *,
    executor: Executor | Literal["serial"] | None = None,
    cache: str | os.PathLike[str] | None = None,
    version: str | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Call a function on every combination of parameters and tabulate what it returns.

    Each call, a *cell*, runs on one Torch thread and one BLAS thread: results do not depend on
    where the cells run nor in which order they finish.

    Parameters
    ----------
    function : callable
        Takes one keyword argument for each parameter and returns a mapping of results. It may be a
        lambda, a closure or defined in a notebook.
    parameters : mapping
        For each name the values, or a mapping from labels to values: then the table holds labels.
    executor : concurrent.futures.Executor or "serial", optional
        Where the cells run. If not given, in worker processes, one for each core; they take
        seconds to start, once a session. ``Client(...).get_executor()`` of dask.distributed spreads
        them over several machines. "serial" runs them one after the other in this process, for
        short cells and for debuggers.
    cache : path-like, optional
        Folder where each result is kept as soon as it is there, and read from next time: a sweep
        that was killed continues where it was. A result serves again for the same arguments, the
        same version and a function of the same module and name. **Nothing else counts**: not the
        code of the function, the variables, files and packages that it uses, nor the state of an
        object whose method it is. The folder is created for you alone. Results are pickles, which
        can run any code when they are read: use no folder of somebody else's.
    version : str, optional
        With a cache: your name for the present state of all that the results depend on beside the
        arguments. Give another one after each change of it, and results are computed anew; go back
        to an old one, and its results are still there. Delete the folder to be rid of them all.
    progress : bool
        Whether to show a bar, on stderr.

    Returns
    -------
    DataFrame
        One row for each combination, the last parameter changing fastest: parameters, then results.

    Raises
    ------
    ValueError
        If a parameter has no values, a result has the name of a parameter, a cache has no version,
        or if the folder is a file or others can write to it.
    TypeError
        If the executor is not one, a parameter's name is no text or its values are not several,
        the function returns no mapping, or, with a cache, the function has no name, as a lambda, or
        an argument cannot be pickled: functions and classes among the arguments count by name.
    Exception
        The first error of a cell, with a note that names the cell; a RuntimeError with its text if
        it cannot be sent from one process to another. Cells that run then are finished, others not
        begun, and what is finished stays in the cache.

    References
    ----------
    Used in :ref:`finite-width`.

    Examples
    --------
    >>> sweep(lambda a, b: {"sum": a + b}, {"a": [1, 2], "b": {"ten": 10}}, executor="serial")
       a    b  sum
    0  1  ten   11
    1  2  ten   12
    """
    if not (executor is None or executor == "serial" or isinstance(executor, Executor)):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor or 'serial', got {executor!r}; "
            "a dask Client has get_executor()."
        )
    if not callable(function):
        raise TypeError(f"function must be a function, got {function!r}.")
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters must map names to values, got {type(parameters).__name__}.")
    for name, values in parameters.items():
        if not isinstance(name, str):
            raise TypeError(f"parameters must have texts for names, got {name!r}.")
        single = isinstance(values, str) or getattr(values, "ndim", 1) == 0  # arrays of no axis
        if single or not isinstance(values, Iterable):
            raise TypeError(f"parameters[{name!r}] must be values in a list, got {values!r}.")
    labelled = {
        name: list(values.items()) if isinstance(values, Mapping) else [(v, v) for v in values]
        for name, values in parameters.items()
    }
    for name, values in labelled.items():
        if not values:
            raise ValueError(f"parameters[{name!r}] is empty: give at least one value.")
    cells = [dict(zip(labelled, c, strict=True)) for c in itertools.product(*labelled.values())]
    labels = [{name: label for name, (label, _) in cell.items()} for cell in cells]
    arguments = [{name: value for name, (_, value) in cell.items()} for cell in cells]
    store = None if cache is None else _store(cache, version)
    calls = [
        _Call(function, a, store, key(function, str(version), a) if store else "")
        for a in arguments
    ]
    results = _results(calls, labels, executor, progress)
    return pd.DataFrame([{**a, **b} for a, b in zip(labels, results, strict=True)])


def _store(cache: str | os.PathLike[str], version: str | None) -> Store:
    if not isinstance(cache, str | os.PathLike):
        raise TypeError(f"cache must be the path of a folder, got {cache!r}.")
    if cache == "":  # to Path it is the working directory
        raise ValueError("cache must be the path of a folder, got ''; leave it out for no cache.")
    if version is not None and not isinstance(version, str):
        raise TypeError(f"version must be a text, got {version!r}.")
    if not version:
        raise ValueError(
            f"with a cache, version must be a text of yours, got {version!r}: give version='1', "
            "and another one whenever the function or what it uses changes."
        )
    try:
        return Store(cache)
    except (FileExistsError, NotADirectoryError):
        raise ValueError(
            f"cache must be a folder, but {os.fspath(cache)!r} leads to a file."
        ) from None


def _results(calls, labels, executor, progress) -> list[Mapping[str, Any]]:
    """Return what the calls return, in their order: kept results and new ones."""
    results = {place: kept for place, call in enumerate(calls) if (kept := call.kept()) is not None}
    missing = {place: call for place, call in enumerate(calls) if place not in results}
    with (
        one_thread(),
        contextlib.closing(_outcomes(missing, executor)) as outcomes,
        tqdm(total=len(calls), initial=len(results), disable=not progress) as bar,
    ):
        for place, outcome in outcomes:
            try:
                result = outcome()
                results[place] = pickle.loads(result) if isinstance(result, bytes) else result
            except Exception as error:
                cell = ", ".join(f"{name}={label!r}" for name, label in labels[place].items())
                error.add_note(f"This is the cell {cell} of a sweep.")
                raise
            calls[place].keep(results[place])
            bar.update()
    return [results[place] for place in range(len(calls))]


def _outcomes(calls, executor) -> Generator[tuple[int, Callable[[], Any]], None, None]:
    """Yield the place of each call, in the order of finishing, and what gives its result."""
    if executor == "serial":
        yield from calls.items()
        return
    workers = pool() if executor is None else executor
    places: dict[Future, int] = {}
    try:
        for place, call in calls.items():
            places[workers.submit(call)] = place
        for future in as_completed(places):
            yield places[future], future.result
    except GeneratorExit:  # a cell failed: those that run can still finish and be kept
        wait([future for future in places if not future.cancel()])
        raise
    except KeyboardInterrupt:
        for future in places:
            future.cancel()
        if executor is None:
            workers.shutdown(kill_workers=True)
        raise


@dataclass(frozen=True)
class _Call:
    """One cell of a sweep: what to call, and where to keep what comes out."""

    function: Callable[..., Mapping[str, Any]]
    arguments: Mapping[str, Any]
    store: Store | None
    key: str

    def __call__(self) -> Mapping[str, Any]:
        with one_thread():
            result = self.function(**self.arguments)
        if not isinstance(result, Mapping):
            raise TypeError(f"the function of a sweep must return a mapping, got {result!r}.")
        if clash := [name for name in result if name in self.arguments]:
            raise ValueError(
                f"the function of a sweep returned {clash[0]!r}, which is the name of a parameter; "
                "give the result another name."
            )
        if self.store and self.store.folder.is_dir():  # not so on another machine
            self.keep(result)
        return result

    def kept(self) -> Mapping[str, Any] | None:
        return self.store.load(self.key) if self.store else None

    def keep(self, result: Mapping[str, Any]) -> None:
        if self.store and self.key not in self.store:
            self.store.save(self.key, result)

    def __reduce__(self):
        content = [getattr(self, field.name) for field in fields(self)]
        return _Parcel, (_version(), cloudpickle.dumps(content))


@dataclass(frozen=True)
class _Parcel:
    """A call sent to another process. What is unpacked, there and back, fails in its cell only."""

    version: str  # of the sender's mflib
    content: bytes

    def __call__(self) -> bytes:
        if self.version != _version():
            raise RuntimeError(
                f"the workers run mflib {_version()}, this session {self.version}; install the "
                "same everywhere and start the workers anew."
            )
        try:
            return cloudpickle.dumps(_Call(*pickle.loads(self.content))())
        except Exception as error:
            if _survives(error):
                raise
            text = "".join(traceback.format_exception_only(error)).strip()
            raise RuntimeError(f"an error that cannot leave its process: {text}") from error


def _version() -> str:
    return sys.modules["mflib"].__version__


def _survives(error: Exception) -> bool:
    """Whether an error says the same after it was sent to another process."""
    try:
        return str(pickle.loads(cloudpickle.dumps(error))) == str(error)
    except Exception:
        return False
