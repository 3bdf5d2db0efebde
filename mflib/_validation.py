"""Checks at the boundary of the package: bad input is named once, with its cure."""

from __future__ import annotations

import math
import reprlib
import warnings
from collections.abc import Callable
from typing import Any, SupportsFloat

import array_api_compat
import numpy as np
from array_api_compat import is_array_api_obj, is_torch_array
from numpy.typing import ArrayLike


def array_namespace(x: Any) -> Any:
    """Return the module whose functions serve an array: NumPy, Torch or another.

    What is written with them serves potentials and activations of your own, with NumPy in the
    solvers and with Torch in the flow. Names are those of the Python array API standard.

    Parameters
    ----------
    x : array or tensor, any shape

    Returns
    -------
    module

    Raises
    ------
    TypeError
        If x is no array.

    References
    ----------
    How it is used: :ref:`mirror-flow`.

    Examples
    --------
    >>> array_namespace(np.ones(2)).expm1(np.zeros(2)).tolist()
    [0.0, 0.0]
    """
    # plain NumPy arrays skip the search, which takes longer
    try:
        return np if type(x) is np.ndarray else array_api_compat.array_namespace(x)
    except TypeError:
        raise TypeError(f"x must be an array or tensor, got {reprlib.repr(x)}.") from None


def as_array(x: Any) -> Any:
    """Leave floating arrays and tensors alone; make everything else float64, by default NumPy."""
    if type(x) is np.ndarray and x.dtype == np.float64:
        return x
    if is_array_api_obj(x) and not getattr(x, "is_meta", False):
        xp = array_namespace(x)
        if xp.isdtype(x.dtype, "real floating"):
            return x
        if xp.isdtype(x.dtype, ("bool", "integral")):
            return xp.astype(x, xp.float64)
    return real_array("the argument", x)


def as_arrays(x: Any, y: Any) -> tuple[Any, Any]:
    """Bring two arguments to one namespace: numbers join arrays, and arrays tensors."""
    rank_x, rank_y = (is_array_api_obj(a) + is_torch_array(a) for a in (x, y))
    x, y = as_array(x), as_array(y)
    if rank_x > rank_y:
        y = array_namespace(x).asarray(np.array(y), dtype=x.dtype, device=x.device)
    if rank_x < rank_y:
        x = array_namespace(y).asarray(np.array(x), dtype=y.dtype, device=y.device)
    return x, y


def _floats(value: Any) -> np.ndarray | None:
    """Return a float64 copy of what is real numbers, and None of anything else."""
    try:
        if is_torch_array(value):  # from any device, of any precision, without its history
            value = value.detach().cpu()
            value = value.double() if value.is_floating_point() else value
        array = np.asarray(value)
        if array.dtype.kind not in "biufO":  # NumPy would read strings and dates as numbers
            return None
        if array.dtype.kind == "O" and not all(map(_is_real, array.flat)):
            return None
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last is Torch's, of no data
        return None


def _is_real(entry: Any) -> bool:
    return isinstance(entry, SupportsFloat) and not isinstance(entry, complex)


def real_array(name: str, value: Any) -> np.ndarray:
    """Return value as a new float64 array, finite or not, or raise."""
    array = _floats(value)
    if array is None:
        raise TypeError(f"{name} must be an array of real numbers, got {reprlib.repr(value)}.")
    if np.ma.is_masked(value):
        raise ValueError(f"{name} has masked entries; remove or replace them.")
    return array


def finite_array(name: str, value: ArrayLike) -> np.ndarray:
    """Return value as a new finite float64 array, or raise."""
    array = real_array(name, value)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"{name} contains {bad}; remove or replace what is not finite.")
    return array


def number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    cure: str,
) -> float:
    """Return value as a finite float within bounds, or raise."""
    array = _floats(value)
    if array is None or array.ndim:
        raise TypeError(f"{name} must be a real number, got {reprlib.repr(value)}.")
    result = float(array)
    if not (math.isfinite(result) and result > above and least <= result <= most):
        bounds = {" and >": above, " and >=": least, " and <=": most}
        allowed = "".join(f"{sign} {b:g}" for sign, b in bounds.items() if math.isfinite(b))
        raise ValueError(f"{name} must be finite{allowed} ({cure}), got {value!r}.")
    return result


def stopping_times(times: ArrayLike) -> np.ndarray:
    """Return times as a new array of one dimension, increasing and not negative, or raise."""
    result = finite_array("times", times)
    if result.ndim != 1 or not result.size or (np.diff(result) <= 0).any() or result[0] < 0:
        raise ValueError(f"times must be increasing and not negative, got {times!r}.")
    return result


def limit(name: str, value: Any) -> float:
    """Return value as a positive float, infinite if it sets no limit, or raise."""
    array = _floats(value)
    if array is not None and array.tolist() == math.inf:
        return math.inf
    return number(name, value, above=0.0, cure="math.inf sets no limit")


def count(name: str, value: Any, *, least: int = 1, most: float = 2**31 - 1) -> int:
    """Return value as an int from 1 to what an array could hold, or other bounds, or raise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {reprlib.repr(value)}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {reprlib.repr(value)}.")
    if value > most:
        raise ValueError(f"{name} must be at most {most:,}, got {reprlib.repr(value)}.")
    return int(value)


def flag(name: str, value: Any) -> bool:
    """Return value as a bool, or raise: a word such as "no" would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {reprlib.repr(value)}.")
    return bool(value)


def function(name: str, value: Any) -> Any:
    """Return value if it can be called, or raise."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {reprlib.repr(value)}.")
    return value


def elementwise_values(
    what: str, f: Callable, *arrays: Any, functions: str = "functions of array_namespace(x)"
) -> Any:
    """Return what somebody's function makes of an array or tensor, of its kind and shape, or raise.

    Arrays after the first broadcast with it. NumPy's functions take tensors, but only in part, and
    with a warning at each call.
    """
    x = arrays[0]
    given = f"{'a tensor' if is_torch_array(x) else 'an array'} of shape {tuple(x.shape)}"
    cure = f"write it elementwise, with operators or {functions}"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="__array_wrap__")
            result = f(*arrays)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if "__array_wrap__" in said:
            said = "a function of NumPy"
        raise TypeError(f"{what} fails for {given}, with {said.rstrip('.')}; {cure}.") from error
    if is_torch_array(result) != is_torch_array(x) or getattr(result, "shape", None) != x.shape:
        raise TypeError(
            f"{what} must act elementwise, but for {given} it is {reprlib.repr(result)}; {cure}."
        )
    return result


def values_at(name: str, f: Callable, points: np.ndarray) -> np.ndarray:
    """Return what somebody's function gives at points, one finite number for each, or raise."""
    values = finite_array(f"what {name} returns", function(name, f)(points))
    if values.shape != points.shape[:1]:  # it would be broadcast
        raise ValueError(
            f"what {name} returns has shape {values.shape}, but {len(points)} points need "
            f"{points.shape[:1]}: return one number for each."
        )
    return values


def dataset(
    x: ArrayLike, y: ArrayLike, *, distinct: bool = True, columns: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (m, D) and targets (m,) or (m, k), or raise.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Inputs.
    y : array-like, shape (m,)
        Targets.
    distinct : bool
        Whether repeated inputs are an error: two targets at one input cannot both be interpolated.
    columns : bool
        Whether y may have shape (m, k), too.
    """
    x, y = finite_array("x", x), finite_array("y", y)
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or y.ndim not in ((1, 2) if columns else (1,)):
        raise ValueError(
            f"x must have shape (m,) or (m, D) and y shape (m,){' or (m, k)' * columns}, got "
            f"{x.shape} and {y.shape}."
        )
    if len(x) != len(y):
        raise ValueError(
            f"x and y must have the same length, got {len(x)} inputs and {len(y)} targets."
        )
    if x.size == 0:
        raise ValueError("x is empty: give at least one data point.")
    if y.size == 0:
        raise ValueError(f"y has shape {y.shape}, and no targets in it: give at least one column.")
    for name, values in (("x", x), ("y", y)):
        if (largest := np.abs(values).max()) > 1e150:
            raise ValueError(f"{name} reaches {largest:g}, whose square overflows; rescale it.")
    if distinct:
        values, counts = np.unique(x, axis=0, return_counts=True)
        if (counts > 1).any():
            point = np.array2string(values[counts > 1][0].squeeze())
            raise ValueError(
                f"x contains {point} more than once; average the targets of repeated inputs first."
            )
    return x, y
