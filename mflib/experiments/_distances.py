"""How far functions are apart at the points of a grid, and sizes of errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mflib import activations
from mflib._validation import finite_array, function, values_at
from mflib.experiments._pool import no_gradients, one_thread

if TYPE_CHECKING:
    from mflib.networks import ShallowNetwork

__all__ = ["GRID", "distance", "grid_points", "on_grid", "rms", "superposition_defect"]

#: The points on which functions are compared, shape (501,): the interval [-1.5, 1.5].
GRID = np.linspace(-1.5, 1.5, 501)
"""Where the paper compares functions."""
GRID.setflags(write=False)  # it is everybody's


def distance(first: Callable, second: Callable, *, grid: ArrayLike | None = None) -> float:
    """Return the largest difference of two functions on a grid.

    Parameters
    ----------
    first, second : callables
        Networks, solutions or functions of an array, elementwise.
    grid : array-like, shape (N,), optional
        The points where they are compared, in any order; GRID if not given. Data outside
        of [-1.5, 1.5] need another one, such as ``np.linspace(x.min(), x.max(), 501)``.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a function gives anything but one finite number for each point, or the grid is empty.
    TypeError
        If one is no function, or gives no real numbers.

    References
    ----------
    :cite:t:`liang2025implicit`, Figures 1 and 2, whose grid is GRID.

    Examples
    --------
    >>> round(distance(np.sin, np.zeros_like), 4)
    0.9975
    >>> round(distance(np.sin, np.zeros_like, grid=[0.0, 0.5]), 4)
    0.4794
    """
    points = grid_points(grid)
    apart = on_grid(first, "first", points) - on_grid(second, "second", points)
    return float(np.abs(apart).max())


def grid_points(grid: ArrayLike | None) -> np.ndarray:
    """Return the points where functions are compared, in increasing order, or raise."""
    if grid is None:
        return GRID
    points = finite_array("grid", grid)
    if points.ndim != 1 or not points.size:
        raise ValueError(f"grid must have shape (N,), with points in it, got {points.shape}.")
    return np.sort(points)


def on_grid(f: Callable, name: str, grid: np.ndarray) -> np.ndarray:
    """Evaluate on a grid: a network by its kinks if it can be, all else in parts, to save memory.

    The parts of a network stay in the processor's cache.
    """
    networks = sys.modules.get("mflib.networks")  # not imported, Torch may be missing: f is none
    with no_gradients(), one_thread():
        if (
            networks
            and isinstance(f, networks.ShallowNetwork)
            and len(f.input_weight.T) == 1
            and isinstance(f.activation, activations.PiecewiseLinear)
        ):
            return _by_kinks(f, f.activation.slope, grid)
        at_once = max(1, 250_000 // getattr(f, "width", 2_500))
        # a function may write to what it is given
        parts = np.array_split(grid.copy(), -(-len(grid) // at_once))
        return np.concatenate([values_at(name, f, part) for part in parts])


def _by_kinks(net: ShallowNetwork, left: float, grid: np.ndarray) -> np.ndarray:
    r"""Evaluate a network of one input on a grid in O(n), for units with slopes `left` and 1.

    With :math:`\sigma(u) = p u + q |u|` and :math:`|w x - b| = \pm(|w| x - b \sign w)`, plus to the
    right of the kink and minus to the left, sums over the kinks in each cell of the grid suffice.
    """
    w, b, a = (p.numpy() for p in (net.input_weight[:, 0], net.input_bias, net.output_weight))
    sign = np.where(w == 0, -np.sign(b), np.sign(w))  # without a kink: |b|, as if right of one
    kinks = np.divide(b, w, out=np.full_like(b, -np.inf), where=w != 0)
    cells = np.searchsorted(grid, kinks)
    slope, height = (
        2 * np.bincount(cells, share, len(grid) + 1).cumsum()[:-1] - share.sum()
        for share in (a * sign * w, a * sign * b)
    )
    p, q = 0.5 * (1 + left), 0.5 * (1 - left)
    return p * ((a @ w) * grid - a @ b) + q * (slope * grid - height) + float(net.output_bias)


def superposition_defect(
    solve: Callable, parts: ArrayLike, *, grid: ArrayLike | None = None
) -> float:
    r"""Measure how far the map from data to functions is from linear.

    .. math::

        \frac{\| h_{y_1 + \dots + y_k} - h_{y_1} - \dots - h_{y_k} \|}
             {\| h_{y_1} \| + \dots + \| h_{y_k} \|}, \qquad \| h \| = \max |h| \text{ on the grid.}

    Zero for a linear map, such as the interpolant of least norm in a Hilbert space.

    Parameters
    ----------
    solve : callable
        Takes targets, shape (m,), and returns a function of an array.
    parts : array-like, shape (k, m)
        The targets :math:`y_1, \dots, y_k`, not all zero.
    grid : array-like, shape (N,), optional
        As in :func:`distance`.

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
    points = grid_points(grid)

    def values_for(targets: np.ndarray, name: str) -> np.ndarray:  # copies: it may write to them
        return values_at(f"solve({name})", solve(targets.copy()), points.copy())

    values = [values_for(part, f"parts[{i}]") for i, part in enumerate(parts)]
    size = sum(float(np.abs(h).max()) for h in values)
    if size == 0:
        raise ValueError(
            "parts give functions that vanish on the grid; give targets that are not 0."
        )
    whole = values_for(parts.sum(axis=0), "parts.sum(axis=0)")
    return float(np.abs(whole - sum(values)).max()) / size


def rms(errors: ArrayLike) -> float:
    """Return the root mean square.

    Parameters
    ----------
    errors : array-like, any shape

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no errors.

    References
    ----------
    Used in :ref:`real-data`.

    Examples
    --------
    >>> rms([3.0, -4.0, 0.0, 0.0])
    2.5
    """
    values = finite_array("errors", errors)
    if not values.size:
        raise ValueError("errors is empty: give at least one.")
    _, exponent = np.frexp(np.abs(values).max())  # a power of two: scaling by it does not round
    scaled = np.ldexp(values, -exponent)  # whose squares neither overflow nor vanish
    return float(np.ldexp(np.sqrt(np.mean(np.square(scaled))), exponent))
