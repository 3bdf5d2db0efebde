"""Sweeps over widths, seeds and potentials, the exponents they show, and tests on held-out data.

Distances and errors of functions have the unit of the targets; exponents and defects have none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mflib._finite_width import (
    GRID,
    distance,
    lazy_limit,
    on_grid,
    sampling_law,
    split_error,
)
from mflib._held_out import bend_density, held_out, leave_one_out, rms
from mflib._sweep import sweep
from mflib._validation import count, finite_array, function, number, values_at
from mflib.flow import mirror_flow
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential

__all__ = [
    "GRID",
    "Exponent",
    "Interval",
    "bend_density",
    "distance",
    "exponent_interval",
    "fit_exponent",
    "held_out",
    "lazy_limit",
    "leave_one_out",
    "rms",
    "sampling_law",
    "split_error",
    "superposition_defect",
    "sweep",
    "trial",
]


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

    Raises
    ------
    ValueError
        If an argument is not as above, or the limit is not one finite number for each point.
    TypeError
        If the limit is no function, or gives no real numbers.

    References
    ----------
    :cite:t:`liang2025implicit`, Figures 1 and 2.

    Examples
    --------
    >>> from mflib.potentials import Quadratic
    >>> trial(100, 0, Quadratic(), x=[0.0, 0.5], y=[0.1, 0.2])["status"]
    'CONVERGED'
    """
    if limit is not None:
        exact = on_grid(limit, "limit")  # before the work, lest it be in vain
    net = ShallowNetwork(
        width, activation=activation, density=density, output_scale=output_scale, seed=seed
    )
    run = mirror_flow(net, x, y, potential=potential, **flow)
    result: dict[str, Any] = {"status": run.status.name}
    for name in ("loss", "steps", "parameter_change", "kernel_change"):
        result[name] = getattr(run, name)
    if limit is not None:
        change = on_grid(run.network, "the network") - on_grid(net, "the network")
        result["error"] = float(np.abs(change - exact).max())
    return result


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


class Exponent(NamedTuple):
    """A fitted power law y = factor n^exponent.

    Attributes
    ----------
    exponent, standard_error, factor : float

    References
    ----------
    Used in :ref:`finite-width`.

    Examples
    --------
    >>> round(fit_exponent([1, 10, 100], [5.0, 5.0, 5.0]).factor, 6)
    5.0
    """

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

    References
    ----------
    Used in :ref:`finite-width`.

    Examples
    --------
    >>> fit = fit_exponent([1, 10, 100], [3.0, 0.3, 0.03])
    >>> round(fit.exponent, 6), round(fit.factor, 6)
    (-1.0, 3.0)
    """
    n, y = finite_array("n", n), finite_array("y", y)
    shapes = n.ndim == 1 and n.size >= 3 and n.shape == y.shape
    if not shapes or min(n.min(), y.min()) <= 0 or np.ptp(n) == 0:
        raise ValueError(
            "n and y must be positive, of equal length, and have at least three points, n not all "
            "the same."
        )
    line = stats.linregress(np.log(n), np.log(y))
    return Exponent(float(line.slope), float(line.stderr), float(np.exp(line.intercept)))


class Interval(NamedTuple):
    """A fitted exponent and its confidence interval.

    Attributes
    ----------
    exponent, low, high : float

    References
    ----------
    :cite:t:`efron1987better`

    Examples
    --------
    >>> interval = exponent_interval([1, 1, 9, 9], [8.0, 10.0, 2.9, 3.1])
    >>> interval.low < interval.exponent < interval.high
    True
    """

    exponent: float
    low: float
    high: float


def exponent_interval(
    n: ArrayLike, y: ArrayLike, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Interval:
    r"""Fit a power law to repeated measurements, with a bootstrap interval for the exponent.

    The exponent is that of :func:`fit_exponent` on all points. Its interval comes from
    resampling the measurements at each n on their own, so that the design, how many there are
    at which n, stays as it is; bias-corrected and accelerated [1]_. A systematic departure from a
    power law is not in the interval: look at fits over several ranges of n.

    Parameters
    ----------
    n, y : array-likes, shape (k,)
        Positive; at least two values of n, each with at least two measurements.
    level : float
        Of confidence, between 0 and 1.
    resamples : int
    seed : int
        Of the resampling.

    Returns
    -------
    Interval
        The exponent and the ends of its interval.

    Raises
    ------
    ValueError
        If a value is not positive, there are too few, or the level is not between 0 and 1.

    References
    ----------
    .. [1] :cite:t:`efron1987better`

    Examples
    --------
    >>> fit = exponent_interval([1, 1, 100, 100], [1.0, 1.1, 0.1, 0.11])
    >>> round(fit.exponent, 3), fit.low < -0.5 < fit.high
    (-0.5, True)
    """
    n, y = finite_array("n", n), finite_array("y", y)
    if n.ndim != 1 or n.shape != y.shape or not ((n > 0).all() and (y > 0).all()):
        raise ValueError("n and y must be positive and of equal length.")
    sizes, place, counts = np.unique(n, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or counts.min() < 2:
        raise ValueError(
            "n must have at least two different values, each with at least two measurements, got "
            f"{dict(zip(sizes.tolist(), counts.tolist(), strict=True))} measurements."
        )
    level = number("level", level, cure="it is a probability")
    count("resamples", resamples), count("seed", seed, least=0)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    centred = np.log(sizes) - np.average(np.log(sizes), weights=counts)
    share = counts * centred / (counts @ centred**2)  # least squares, from the means at each n

    def slope(*samples, axis=-1):
        return sum(c * np.mean(s, axis=axis) for c, s in zip(share, samples, strict=True))

    samples = [np.log(y[place == k]) for k in range(len(sizes))]
    ends = stats.bootstrap(
        samples, slope, n_resamples=resamples, confidence_level=level, rng=seed
    ).confidence_interval
    return Interval(float(slope(*samples)), float(ends.low), float(ends.high))
