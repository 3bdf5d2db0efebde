"""How far functions are apart, on one grid for all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike

from mflib import activations
from mflib._validation import finite_array, function, values_at
from mflib.experiments._pool import one_thread
from mflib.networks import ShallowNetwork

__all__ = ["GRID", "distance", "on_grid", "superposition_defect"]

#: The points on which functions are compared, shape (501,): the interval [-1.5, 1.5].
GRID = np.linspace(-1.5, 1.5, 501)
"""Where the paper compares functions."""
GRID.setflags(write=False)  # it is everybody's


def distance(first: Callable, second: Callable) -> float:
    """Return the largest difference of two functions on GRID.

    Parameters
    ----------
    first, second : callables
        Networks, solutions or functions of an array, elementwise.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a function gives anything but one finite number for each point.
    TypeError
        If one is no function, or gives no real numbers.

    References
    ----------
    :cite:t:`liang2025implicit`, Figures 1 and 2, whose grid it is.

    Examples
    --------
    >>> round(distance(np.sin, np.zeros_like), 4)
    0.9975
    """
    return float(np.abs(on_grid(first, "first") - on_grid(second, "second")).max())


def on_grid(f: Callable, name: str) -> np.ndarray:
    """Evaluate on GRID: a network by its kinks where it can be, all else in parts, to save memory.

    The parts of a network stay in the cache.
    """
    with torch.no_grad(), one_thread():
        if (
            isinstance(f, ShallowNetwork)
            and len(f.input_weight.T) == 1
            and isinstance(f.activation, activations.PiecewiseLinear)
        ):
            return _by_kinks(f, f.activation.slope)
        at_once = max(1, 250_000 // getattr(f, "width", 2_500))
        # a function may write to what it is given
        parts = np.array_split(GRID.copy(), -(-len(GRID) // at_once))
        return np.concatenate([values_at(name, f, part) for part in parts])


def _by_kinks(net: ShallowNetwork, left: float) -> np.ndarray:
    r"""Evaluate a network of one input on GRID in O(n), for units with these slopes, `left` and 1.

    With :math:`\sigma(u) = p u + q |u|` and :math:`|w x - b| = \pm(|w| x - b \sign w)`, plus to the
    right of the kink and minus to the left, sums over the kinks in each cell of GRID suffice.
    """
    w, b, a = (p.numpy() for p in (net.input_weight[:, 0], net.input_bias, net.output_weight))
    sign = np.where(w == 0, -np.sign(b), np.sign(w))  # without a kink: |b|, as if right of one
    kinks = np.divide(b, w, out=np.full_like(b, -np.inf), where=w != 0)
    cells = np.searchsorted(GRID, kinks)
    slope, height = (
        2 * np.bincount(cells, share, len(GRID) + 1).cumsum()[:-1] - share.sum()
        for share in (a * sign * w, a * sign * b)
    )
    p, q = 0.5 * (1 + left), 0.5 * (1 - left)
    return p * ((a @ w) * GRID - a @ b) + q * (slope * GRID - height) + float(net.output_bias)


def superposition_defect(solve: Callable, parts: ArrayLike) -> float:
    r"""Measure how far the map from data to functions is from linear.

    .. math::

        \frac{\| h_{y_1 + \dots + y_k} - h_{y_1} - \dots - h_{y_k} \|}
             {\| h_{y_1} \| + \dots + \| h_{y_k} \|}, \qquad \| h \| = \max |h| \text{ on GRID.}

    Zero for a linear map, such as the interpolant of least norm in a Hilbert space.

    Parameters
    ----------
    solve : callable
        Takes targets, shape (m,), and returns a function of an array.
    parts : array-like, shape (k, m)
        The targets :math:`y_1, \dots, y_k`, not all zero.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If all functions vanish, or one gives anything but one finite number for each point.
    TypeError
        If `solve` returns no function, or that no real numbers.

    References
    ----------
    Eq. :eq:`eq-act-defect`; why it is zero in a Hilbert space: :prf:ref:`sp-linear`.

    Examples
    --------
    >>> superposition_defect(lambda y: lambda t: y[0] ** 2 + 0 * t, [[1.0], [2.0]])
    0.8
    """
    parts = finite_array("parts", parts)
    if parts.ndim != 2:
        raise ValueError(f"parts must have shape (k, m), got {parts.shape}.")
    function("solve", solve)

    def values_for(targets: np.ndarray, name: str) -> np.ndarray:  # copies: it may write to them
        return values_at(f"solve({name})", solve(targets.copy()), GRID.copy())

    values = [values_for(part, f"parts[{i}]") for i, part in enumerate(parts)]
    size = sum(float(np.abs(h).max()) for h in values)
    if size == 0:
        raise ValueError("parts give functions that vanish on GRID; give targets that are not 0.")
    whole = values_for(parts.sum(axis=0), "parts.sum(axis=0)")
    return float(np.abs(whole - sum(values)).max()) / size
