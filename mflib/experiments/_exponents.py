"""Exponents of power laws, and how far they can be trusted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mflib._validation import count, finite_array, number

__all__ = ["Exponent", "Interval", "exponent_interval", "fit_exponent"]


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
        The exponent, its standard error and the factor, infinite if it overflows.

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
    if not shapes or min(n.min(), y.min()) <= 0 or np.ptp(np.log(n)) == 0:
        raise ValueError(
            "n and y must be positive, of equal length, and have at least three points, n not all "
            "the same."
        )
    line = stats.linregress(np.log(n), np.log(y))
    with np.errstate(over="ignore", under="ignore"):
        factor = float(np.exp(line.intercept))
    return Exponent(float(line.slope), float(line.stderr), factor)


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
        At least two are drawn.
    seed : int
        Of the resampling.

    Returns
    -------
    Interval
        The exponent and the ends of its interval. Measurements that agree at each n have an
        interval of length zero. If all resamples lie on one side of the exponent, which a few may,
        no bias can be estimated: the interval is that of their percentiles and of the exponent.

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
    if np.ptp(np.log(sizes)) == 0 or counts.min() < 2:
        raise ValueError(
            "n must have at least two different values, each with at least two measurements, got "
            f"{dict(zip(sizes.tolist(), counts.tolist(), strict=True))} measurements."
        )
    level = number("level", level, cure="it is a probability")
    count("resamples", resamples), count("seed", seed, least=0, most=math.inf)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}.")
    centred = np.log(sizes) - np.average(np.log(sizes), weights=counts)
    share = counts * centred / (counts @ centred**2)  # least squares, from the means at each n

    def slope(*samples, axis=-1):
        return sum(c * np.mean(s, axis=axis) for c, s in zip(share, samples, strict=True))

    samples = [np.log(y[place == k]) for k in range(len(sizes))]
    exponent, options = float(slope(*samples)), {"confidence_level": level, "rng": seed}
    drawn = stats.bootstrap(
        samples, slope, n_resamples=max(resamples, 2), method="percentile", **options
    )
    slopes = drawn.bootstrap_distribution
    if np.ptp([exponent, slopes.min(), slopes.max()]) <= 1e-12 * max(1.0, abs(exponent)):
        return Interval(exponent, exponent, exponent)  # but for rounding, all agree at each n
    ends = drawn.confidence_interval
    if not slopes.min() < exponent < slopes.max():
        return Interval(exponent, min(float(ends.low), exponent), max(float(ends.high), exponent))
    ends = stats.bootstrap(
        samples, slope, n_resamples=0, bootstrap_result=drawn, method="BCa", **options
    ).confidence_interval
    return Interval(exponent, float(ends.low), float(ends.high))
