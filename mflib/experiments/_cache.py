"""Results kept on disk: each in a file of its own, named by the call that it belongs to."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
from array_api_compat import is_torch_array
from scipy import stats

__all__ = ["Store", "key"]

_A_DAY = 86_400.0  # no write takes that long: in seconds


class Store:
    """Results on disk, each in a file of its own, whole or not there at all.

    Parameters
    ----------
    folder : path-like
        Created if missing, for its owner alone. What a killed process left half-written is removed
        after a day.

    Raises
    ------
    ValueError
        If others can write to the folder: to read a pickle is to run what is in it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self.folder.stat()
        if os.name == "posix" and (status.st_mode & 0o022 or status.st_uid != os.geteuid()):
            raise ValueError(
                f"others can write to the folder cache = {str(folder)!r}, and to read a pickle is "
                f"to run what is in it; give a folder of yours, after `chmod go-w` if need be."
            )
        for left in self.folder.glob("*.tmp"):
            if left.is_file() and time.time() - left.stat().st_mtime > _A_DAY:
                left.unlink(missing_ok=True)

    def save(self, key: str, result: Any) -> None:
        """Keep a result; who reads at the same time finds all of it or nothing."""
        data = cloudpickle.dumps(result)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it may have been removed
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with open(descriptor, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.replace(temporary, self.folder / key)
        except BaseException:
            os.unlink(temporary)
            raise

    def load(self, key: str) -> Any:
        """Return a kept result, or None if there is none or, with a warning, if it is damaged."""
        path = self.folder / key
        if path.is_dir():
            message = f"{path} is a folder where a result belongs, which will not be kept."
            warnings.warn(message, stacklevel=2)
            return None
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise pickle.UnpicklingError("wrong checksum")
            return pickle.loads(content[32:])
        except Exception as error:
            path.unlink(missing_ok=True)
            message = f"{path} is damaged ({error!r}) and will be computed again."
            warnings.warn(message, stacklevel=2)
            return None

    def __contains__(self, key: str) -> bool:
        return (self.folder / key).exists()


def key(function: Callable, version: str, arguments: Mapping[str, Any]) -> str:
    """Return the name of a call's result: of the function's name, the version and the arguments.

    Parameters
    ----------
    function : callable
        It counts by its module and name, not by its code or by what it reads.
    version : str
    arguments : mapping of str to object
        By value, as pickle sees them: functions and classes among them by their names.

    Returns
    -------
    str
        The same in every process.

    Raises
    ------
    TypeError
        If the function has no name, or an argument cannot be pickled.

    Examples
    --------
    >>> one = key(print, "1", {"a": [0.5], "b": "x"})
    >>> one == key(print, "1", {"b": "x", "a": [0.5]}), one == key(print, "2", {"a": [0.5]})
    (True, False)
    """
    name = getattr(function, "__qualname__", "<nameless>")
    if name.rpartition(".")[2].startswith("<"):  # lambdas, which all have the same name
        raise TypeError(
            f"with a cache, the function must have a name, to tell its results from those of "
            f"others; got {function!r}: write it with `def`."
        )
    try:
        return _digest((function.__module__, name, version, sorted(arguments.items())))
    except Exception as error:
        raise TypeError(
            f"with a cache, the parameters must be made of what can be pickled, and an argument of "
            f"{name} cannot: {error}"
        ) from error


def _digest(value: Any) -> str:
    file = io.BytesIO()
    _ByValue(file, protocol=4).dump(value)
    return hashlib.sha256(file.getvalue()).hexdigest()


class _ByValue(pickle.Pickler):
    """Pickles that only serve to be compared: equal for equal contents, in every process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fast = True  # no memo: which of the parts are one object does not matter

    def persistent_id(self, value: Any) -> Any:
        """Stand in for what pickle writes in no certain order, or with an address."""
        if type(value) in (set, frozenset):
            return type(value).__name__, sorted(map(_digest, value))
        if is_torch_array(value):
            return "tensor", str(value.device), value.requires_grad, value.detach().cpu().numpy()
        if value is stats.norm.random_state:  # of all SciPy distributions: no state of their own
            return "the global generator"
        return None

    def reducer_override(self, value: Any) -> Any:
        """Leave out what an object has computed from the rest of it: it may do so at any time."""
        state, kind = getattr(value, "__dict__", None), type(value)
        computed = {
            name
            for name in (state if isinstance(state, dict) else ())
            if isinstance(getattr(kind, name, None), functools.cached_property)
        }
        if not computed:
            return NotImplemented
        make, arguments, state, *rest = value.__reduce_ex__(4)
        return make, arguments, {k: v for k, v in state.items() if k not in computed}, *rest
