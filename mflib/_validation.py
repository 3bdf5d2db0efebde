"""Checks at the boundary of the package: bad input is named once, with its cure."""

from __future__ import annotations

import math
from typing import Any

import array_api_compat
import numpy as np
from array_api_compat import is_array_api_obj
from numpy.typing import ArrayLike


def array_namespace(x: Any) -> Any:
    """NumPy, Torch, ... by the array; plain NumPy arrays skip the search, which takes longer."""
    return np if type(x) is np.ndarray else array_api_compat.array_namespace(x)


def as_array(x: Any) -> Any:
    """Leave floating arrays and tensors alone; make everything else a float64 NumPy array."""
    if type(x) is np.ndarray and x.dtype == np.float64:
        return x
    if is_array_api_obj(x):
        xp = array_namespace(x)
        return x if xp.isdtype(x.dtype, "real floating") else xp.astype(x, xp.float64)
    return np.asarray(x, dtype=np.float64)


def as_arrays(x: Any, y: Any) -> tuple[Any, Any]:
    """Bring two arguments to one namespace: a plain number joins the other's."""
    if is_array_api_obj(x) == is_array_api_obj(y):
        return as_array(x), as_array(y)
    if is_array_api_obj(x):
        x = as_array(x)
        return x, array_namespace(x).asarray(y, dtype=x.dtype, device=x.device)
    y, x = as_arrays(y, x)
    return x, y


def number(name: str, value: Any, *, above: float, cure: str) -> float:
    """Return value as a finite float above a bound, or raise."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}.") from None
    if not (math.isfinite(result) and result > above):
        raise ValueError(f"{name} must be finite and > {above:g} ({cure}), got {value!r}.")
    return result


def finite_array(name: str, value: ArrayLike) -> np.ndarray:
    """Return value as a finite float64 array, or raise."""
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be an array of real numbers, got {value!r}.") from None
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)].flat[0]
        raise ValueError(f"{name} contains {bad}; remove or replace what is not finite.")
    return array


def dataset(x: ArrayLike, y: ArrayLike, *, distinct: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs (m, D) and targets (m,), or raise.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Inputs.
    y : array-like, shape (m,)
        Targets.
    distinct : bool
        Whether repeated inputs are an error: two targets at one input cannot both be interpolated.
    """
    x, y = finite_array("x", x), finite_array("y", y)
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim != 2 or y.ndim != 1:
        raise ValueError(
            f"x must have shape (m,) or (m, D) and y shape (m,), got {x.shape} and {y.shape}."
        )
    if len(x) != len(y):
        raise ValueError(
            f"x and y must have the same length, got {len(x)} inputs and {len(y)} targets."
        )
    if x.size == 0:
        raise ValueError("x is empty: give at least one data point.")
    if distinct:
        values, counts = np.unique(x, axis=0, return_counts=True)
        if (counts > 1).any():
            point = np.array2string(values[counts > 1][0].squeeze())
            raise ValueError(
                f"x contains {point} more than once; average the targets of repeated inputs first."
            )
    return x, y


def frozen_density(density: Any) -> Any:
    """Return a frozen continuous scipy.stats distribution with a finite second moment, or raise."""
    missing = [
        name
        for name in ("pdf", "cdf", "rvs", "support", "std", "median", "moment")
        if not callable(getattr(density, name, None))
    ]
    if missing:
        raise TypeError(
            "density must be a frozen continuous scipy.stats distribution such as "
            f"stats.uniform(-1, 2); {density!r} has no {', '.join(missing)}."
        )
    try:
        spread = float(density.std())
    except TypeError:
        raise TypeError(
            f"density must be a frozen distribution with its parameters, such as stats.norm(0, 1); "
            f"got {density!r}."
        ) from None
    if not (math.isfinite(spread) and spread > 0):
        raise ValueError(
            f"density must have a finite positive variance, but its standard deviation is "
            f"{spread}; the theory needs E[B^2]: choose lighter tails or check the parameters."
        )
    return density


def count(name: str, value: int) -> int:
    """Return value as an int of at least 1, or raise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}.")
    return int(value)
