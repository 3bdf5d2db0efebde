"""Sweeps over widths, seeds and potentials, and the exponents they show."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from scipy import stats

from mflib.flow import _threads, mirror_flow
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential

__all__ = ["GRID", "Exponent", "distance", "fit_exponent", "superposition_defect", "sweep", "trial"]

GRID = np.linspace(-1.5, 1.5, 501)
"""Where the paper compares functions."""


def sweep(
    function: Callable[..., Mapping[str, Any]],
    parameters: Mapping[str, Iterable[Any] | Mapping[str, Any]],
    *,
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Call a function on every combination of parameters and tabulate what it returns.

    Parameters
    ----------
    function : callable
        Takes one keyword argument for each parameter and returns a mapping of results.
    parameters : mapping
        For each name the values, or a mapping from labels to values: then the table holds labels.
    executor : concurrent.futures.Executor, optional
        Runs the calls; one after the other in this process if not given.

    Returns
    -------
    DataFrame
        One row for each combination, the last parameter changing fastest: parameters, then results.

    Raises
    ------
    ValueError
        If a parameter has no values.

    Examples
    --------
    >>> sweep(lambda a, b: {"sum": a + b}, {"a": [1, 2], "b": {"ten": 10}})
       a    b  sum
    0  1  ten   11
    1  2  ten   12
    """
    labelled = {
        name: list(values.items()) if isinstance(values, Mapping) else [(v, v) for v in values]
        for name, values in parameters.items()
    }
    for name, values in labelled.items():
        if not values:
            raise ValueError(f"parameters[{name!r}] is empty: give at least one value.")
    cells = list(itertools.product(*labelled.values()))
    calls = [{name: v for name, (_, v) in zip(labelled, cell, strict=True)} for cell in cells]
    if executor is None:
        results = [function(**call) for call in calls]
    else:
        results = [future.result() for future in [executor.submit(function, **c) for c in calls]]
    labels = [{name: k for name, (k, _) in zip(labelled, cell, strict=True)} for cell in cells]
    return pd.DataFrame([{**a, **b} for a, b in zip(labels, results, strict=True)])


def trial(
    width: int,
    seed: int,
    potential: Potential,
    *,
    x: ArrayLike,
    y: ArrayLike,
    limit: Callable[[np.ndarray], np.ndarray] | None = None,
    activation: str = "relu",
    density=None,
    output_scale: float = 0.0,
    **flow: Any,
) -> dict[str, Any]:
    """Train one network and measure how it changed and how far it is from the limit.

    Parameters
    ----------
    width, seed : int
        Of the network.
    potential : Potential
    x, y : array-likes, shape (m,)
        The data.
    limit : callable, optional
        The function that the trained change f(x, theta) - f(x, initial theta) is compared with.
    activation, density, output_scale
        As in :class:`~mflib.networks.ShallowNetwork`.
    **flow
        Options of :func:`~mflib.flow.mirror_flow`.

    Returns
    -------
    dict
        "status", "loss", "steps", "parameter_change", "kernel_change", and "error" if a limit is
        given: the largest difference on GRID.

    Examples
    --------
    >>> from mflib.potentials import Quadratic
    >>> trial(100, 0, Quadratic(), x=[0.0, 0.5], y=[0.1, 0.2])["status"]
    'CONVERGED'
    """
    net = ShallowNetwork(
        width, activation=activation, density=density, output_scale=output_scale, seed=seed
    )
    run = mirror_flow(net, x, y, potential=potential, **flow)
    result: dict[str, Any] = {"status": run.status.name}
    for name in ("loss", "steps", "parameter_change", "kernel_change"):
        result[name] = getattr(run, name)
    if limit is not None:
        starts_at_zero = not output_scale
        change = run.network if starts_at_zero else lambda t: run.network(t) - net(t)
        result["error"] = distance(change, limit)
    return result


def distance(first: Callable, second: Callable) -> float:
    """Return the largest difference of two functions on GRID.

    Parameters
    ----------
    first, second : callables
        Networks, solutions or functions of an array, elementwise.

    Returns
    -------
    float

    Examples
    --------
    >>> round(distance(np.sin, np.zeros_like), 4)
    0.9975
    """
    # in parts that stay in the cache: a wide network on all of GRID takes gigabytes
    with torch.no_grad(), _threads(0):
        return max(
            float(np.abs(np.asarray(first(part)) - np.asarray(second(part))).max())
            for part in np.array_split(GRID, 50)
        )


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
        If all functions vanish.

    Examples
    --------
    >>> superposition_defect(lambda y: lambda t: y[0] ** 2 + 0 * t, [[1.0], [2.0]])
    0.8
    """
    parts = np.asarray(parts, dtype=float)
    values = [np.asarray(solve(part)(GRID)) for part in parts]
    size = sum(float(np.abs(h).max()) for h in values)
    if size == 0:
        raise ValueError("parts give functions that vanish on GRID; give targets that are not 0.")
    return float(np.abs(solve(parts.sum(axis=0))(GRID) - sum(values)).max()) / size


class Exponent(NamedTuple):
    """A fitted power law y = C n^exponent."""

    exponent: float
    standard_error: float
    factor: float


def fit_exponent(n: ArrayLike, y: ArrayLike) -> Exponent:
    """Fit a power law by least squares in the logarithms.

    Parameters
    ----------
    n, y : array-likes, shape (k,)
        Positive; at least three points.

    Returns
    -------
    Exponent
        The exponent, its standard error and the factor.

    Raises
    ------
    ValueError
        If there are fewer than three points or one is not positive.

    Examples
    --------
    >>> fit = fit_exponent([1, 10, 100], [3.0, 0.3, 0.03])
    >>> round(fit.exponent, 6), round(fit.factor, 6)
    (-1.0, 3.0)
    """
    n, y = np.asarray(n, dtype=float), np.asarray(y, dtype=float)
    if n.size < 3 or n.shape != y.shape or not ((n > 0).all() and (y > 0).all()):
        raise ValueError(
            "n and y must be positive, of equal length, and have at least three points."
        )
    line = stats.linregress(np.log(n), np.log(y))
    return Exponent(float(line.slope), float(line.stderr), float(np.exp(line.intercept)))
