"""Results kept on disk, under keys that change whenever the computation might.

A stale result is a wrong one, so a key covers the code of a function and all that this code reads,
by value. It does not cover where the code stands: a cell of a notebook has the same key tomorrow.
"""

from __future__ import annotations

import ast
import contextlib
import copyreg
import dis
import functools
import hashlib
import importlib.util
import os
import pickle
import sys
import sysconfig
import tempfile
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import scipy
import torch

__all__ = ["LIBRARY", "Store", "keys", "library", "own_modules"]

_VERSIONS = (sys.version, np.__version__, scipy.__version__, torch.__version__)
_PLACES = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
_INSTALLED = tuple(place + os.sep for place in _PLACES | set(map(os.path.realpath, _PLACES)))
# what Python adds to a class, partly on first use: no result depends on it
_INCIDENTAL = {
    *("__doc__", "__module__", "__firstlineno__", "__dict__", "__weakref__", "__slotnames__"),
    *("__annotations__", "_abc_impl"),
}


class Store:
    """Results on disk, each in a file of its own, whole or not there at all.

    Parameters
    ----------
    folder : path-like
        Created if missing, for its owner alone.

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


def keys(function: Callable, calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a name for each call of a function, another one if anything might come out different.

    Parameters
    ----------
    function : callable
        It counts with its code, defaults, closure and the global variables that it reads; what is
        from an installed package counts by name and version, and mflib as a whole.
    calls : iterable of mappings
        The keyword arguments of each call, by value.

    Returns
    -------
    list of str
        The same in every process.

    Raises
    ------
    TypeError
        If some object does not let its contents be seen: it cannot be pickled.

    Examples
    --------
    >>> n = 2
    >>> first = keys(lambda x: n * x, [{"x": 1}, {"x": 3}])
    >>> first == keys(lambda x: n * x, [{"x": 1}, {"x": 3}])
    True
    >>> n = 5
    >>> set(first) & set(keys(lambda x: n * x, [{"x": 1}, {"x": 3}]))
    set()
    """
    # mflib twice: its files may have changed, and are perhaps not yet imported again
    computation = _Digest()((_VERSIONS, LIBRARY, library(), function))
    return [_Digest()((computation, sorted(call.items()))).hex() for call in calls]


def library() -> str:
    """Return a digest of mflib's code and data, as the files are now."""
    files = (p for p in Path(__file__).parents[1].rglob("*") if p.suffix in {".py", ".csv"})
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(files))).hexdigest()


LIBRARY = library()  # as it was when imported


def own_modules() -> Iterator[types.ModuleType]:
    """Yield the imported modules that are neither installed nor built in: the user's own."""
    return (module for module in list(sys.modules.values()) if _is_own(module))


def _is_own(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or file.startswith(_INSTALLED) or "dist-packages" in file:
        return False
    return module.__name__ != "__main__" and os.path.exists(file)


def _sources(module: types.ModuleType) -> dict[str, tuple]:
    """Return source and plain variables of a user's module and of all of those that it imports."""
    found: dict[str, tuple] = {}
    names = {module.__name__}
    while names:
        own = sys.modules.get(name := names.pop())
        if own is not None and name not in found and _is_own(own):
            source = Path(str(own.__file__)).read_bytes()
            variables = ((k, v) for k, v in vars(own).items() if not k.startswith("__"))
            found[name] = source, {k: v for k, v in variables if type(v) in _LEAVES}
            names |= _imports(source, own.__package__)
    return dict(sorted(found.items()))


@functools.cache
def _imports(source: bytes, package: str | None) -> frozenset[str]:
    """Return the names of all modules that a piece of source might import."""
    names: set[str] = set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # compiled from another language
        return frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):  # in no package: a fallback of scripts
                base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                names.update([base], (f"{base}.{alias.name}" for alias in node.names))
    return frozenset(names)


class _Digest:
    """Digests of objects by value: equal for equal contents, whatever is shared among them."""

    def __init__(self) -> None:
        self.open: list[int] = []  # the objects around the present one
        self.known: dict[int, tuple[Any, bytes]] = {}  # with the object, lest its id is used anew

    def __call__(self, obj: Any) -> bytes:
        if id(obj) in self.open:  # a cycle, such as a function that calls itself
            return hashlib.sha256(b"cycle %d" % self.open.index(id(obj))).digest()
        if id(obj) not in self.known:
            self.open.append(id(obj))
            content = hashlib.sha256(type(obj).__qualname__.encode() + b"\0")
            if type(obj) in _LEAVES:
                content.update(obj if isinstance(obj, bytes) else repr(obj).encode())
            else:
                digests = map(self, _parts(obj))
                unordered = isinstance(obj, set | frozenset)
                content.update(b"".join(sorted(digests) if unordered else digests))
            self.open.pop()
            self.known[id(obj)] = obj, content.digest()
        return self.known[id(obj)][1]


# behind the functions of np.random, which are its methods
_GLOBAL_GENERATOR = getattr(np.random.random, "__self__", None)


def _parts(obj: Any) -> Iterable[Any]:
    """Return all that makes up an object."""
    if isinstance(obj, type):
        return _class_parts(obj)
    if type(obj) in _PARTS:
        return _PARTS[type(obj)](obj)
    if obj is _GLOBAL_GENERATOR:  # what SciPy's distributions hold: no state of their own
        return ["the global generator"]
    if callable(getattr(obj, "__wrapped__", None)):  # such as functools.cache, staticmethod
        return [obj.__wrapped__]
    return _pickled_parts(obj)


def _pickled_parts(obj: Any) -> Iterable[Any]:
    try:
        reduced = copyreg.dispatch_table.get(type(obj), lambda o: o.__reduce_ex__(4))(obj)
    except Exception as error:
        raise TypeError(
            f"with a cache, the function and its arguments must be made of what can be pickled; "
            f"{obj!r} cannot: {error}"
        ) from error
    if isinstance(reduced, str):  # by name, as ufuncs are
        return [type(obj), reduced, _origin(sys.modules.get(getattr(obj, "__module__", "")))]
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if isinstance(state, dict):  # what was computed from the rest, and when, does not matter
        computed = functools.cached_property
        state = {
            k: v for k, v in state.items() if not isinstance(getattr(type(obj), k, None), computed)
        }
    return [type(obj), make, arguments, state, list(items or ()), list(pairs or ())]


def _code_parts(code: types.CodeType) -> Iterable[Any]:
    """Return a code object's content without its place: file and lines."""
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    table = getattr(code, "co_exceptiontable", b"")
    return [code.co_code, code.co_consts, counts, names, table]


def _function_parts(function: types.FunctionType) -> Iterable[Any]:
    if _is_known_by_name(function):
        return [function.__qualname__, _origin(sys.modules[function.__module__])]
    scope = function.__globals__
    reads = {name: scope[name] for name in sorted(_globals(function.__code__)) if name in scope}
    return [
        function.__code__,
        function.__defaults__,
        function.__kwdefaults__,
        function.__closure__,
        vars(function),
        reads,
        _origin(sys.modules.get(function.__module__)),
    ]


def _globals(code: types.CodeType) -> set[str]:
    """Return the names of the global variables that code reads, functions inside it included."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in _GLOBAL}
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return names.union(*map(_globals, inner))


def _class_parts(cls: type) -> Iterable[Any]:
    name = cls.__qualname__
    if _is_known_by_name(cls) or not cls.__flags__ & _MADE_IN_PYTHON:
        return [name, _origin(sys.modules.get(cls.__module__))]
    members = {k: vars(cls)[k] for k in sorted(vars(cls).keys() - _INCIDENTAL)}
    return [name, cls.__bases__, members, _origin(sys.modules.get(cls.__module__))]


def _cell_parts(cell: types.CellType) -> Iterable[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # of a variable that has no value yet
        return []


def _tensor_parts(tensor: torch.Tensor) -> Iterable[Any]:
    array = tensor.detach().cpu().numpy()
    return [str(tensor.device), tensor.requires_grad, array]


def _is_known_by_name(obj: Any) -> bool:
    """Whether a function or class is where its name says, in an installed package or in mflib."""
    module = sys.modules.get(obj.__module__ or "")
    if module is None or module.__name__ == "__main__" or isinstance(_origin(module), dict):
        return False
    found: Any = module
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj


def _origin(module: types.ModuleType | None) -> Any:
    """Return what tells a module from other versions of it."""
    if module is None or module.__name__ == "__main__":
        return None
    root = module.__name__.partition(".")[0]
    if _is_own(module) and root != "mflib":  # all of mflib counts anyway
        return _sources(module)
    return module.__name__, str(getattr(sys.modules.get(root), "__version__", None))


_MADE_IN_PYTHON = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME"}
_LEAVES = {type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes}
_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    **dict.fromkeys((tuple, list, set, frozenset), iter),
    **dict.fromkeys((dict, types.MappingProxyType), lambda mapping: mapping.items()),
    **dict.fromkeys((torch.Tensor, torch.nn.Parameter), _tensor_parts),
    types.CodeType: _code_parts,
    types.FunctionType: _function_parts,
    types.CellType: _cell_parts,
    types.ModuleType: lambda module: [_origin(module)],
    types.MemberDescriptorType: lambda slot: [slot.__name__],
    property: lambda p: [p.fget, p.fset, p.fdel],
    functools.cached_property: lambda p: [p.func],
}
