"""Regression on noisy data: how far a fit is from the truth at new inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mflib import variational
from mflib._validation import count, finite_array, number, values_at
from mflib.potentials import Potential

__all__ = ["Risk", "regression_trial", "risk"]

NODES, WEIGHTS = np.polynomial.legendre.leggauss(4)


class Risk(NamedTuple):
    r"""The mean error of a fit h of a truth f at a new input X, uniform on an interval.

    Attributes
    ----------
    absolute : float
        The L1 risk :math:`E|h(X) - f(X)|`, in units of the targets.
    squared : float
        The L2 risk :math:`E(h(X) - f(X))^2`, in units of the targets, squared.

    References
    ----------
    :cite:t:`joshi2024noisy`, who ask which of the two stays bounded as the data grow in number.

    Examples
    --------
    >>> risk(np.abs, np.zeros_like, [0.0]).absolute
    0.5
    """

    absolute: float
    squared: float


def risk(
    fit: Callable[[np.ndarray], np.ndarray],
    truth: Callable[[np.ndarray], np.ndarray],
    x: ArrayLike,
    *,
    interval: tuple[float, float] = (-1.0, 1.0),
) -> Risk:
    r"""Integrate how far a fit is from the truth, with Gauss's rule between any two data.

    Fits are smooth between data, so four nodes each are plenty for the squared error. The absolute
    one has a corner wherever fit and truth cross, and is good to three digits from ten data on.

    Parameters
    ----------
    fit, truth : callables
        Functions of an array, elementwise.
    x : array-like, shape (m,)
        The inputs of the data; those outside of the interval do not matter.
    interval : pair of floats
        Where new inputs lie.

    Returns
    -------
    Risk

    Raises
    ------
    ValueError
        If the interval is empty, or a function gives anything but one finite number for each point.
    TypeError
        If one is no function, or gives no real numbers.

    References
    ----------
    Used in :ref:`noise`.

    Examples
    --------
    >>> [round(mean, 12) for mean in risk(np.square, np.zeros_like, [0.0])]
    [0.333333333333, 0.2]
    """
    low, high = (number("interval", end, cure="give two numbers") for end in interval)
    if not low < high:
        raise ValueError(f"interval must be (low, high) with low < high, got ({low!r}, {high!r}).")
    inner = np.unique(np.clip(finite_array("x", x).ravel(), low, high))
    edges = np.unique(np.concatenate([[low], inner, [high]]))
    half = np.diff(edges)[:, None] / 2
    points = (edges[:-1, None] + half * (1 + NODES)).ravel()
    weights = (half * WEIGHTS).ravel() / (high - low)
    error = np.abs(values_at("fit", fit, points) - values_at("truth", truth, points))
    return Risk(float(weights @ error), float(weights @ error**2))


def regression_trial(
    m: int,
    seed: int,
    potential: Potential,
    *,
    truth: Callable[[np.ndarray], np.ndarray] = np.zeros_like,
    noise: float = 1.0,
    inputs: str = "random",
    **solve: Any,
) -> dict[str, Any]:
    r"""Draw m noisy values of a function on [-1, 1], fit them, and measure the risk.

    The targets are :math:`y_i = f(x_i) + \sigma \varepsilon_i` with standard normal
    :math:`\varepsilon_i`. Different potentials meet the same data for the same seed.

    Parameters
    ----------
    m, seed : int
        How many data, and which.
    potential : Potential
    truth : callable
        The function f; zero, if not given: then the data are pure noise.
    noise : float
        Its standard deviation :math:`\sigma`.
    inputs : "random" or "even"
        Uniform on [-1, 1], or at the middles of m equal parts of it.
    **solve
        Options of :func:`mflib.variational.solve`: activation, density, ridge.

    Returns
    -------
    dict
        "status" of the fit, and "absolute" and "squared", as in :class:`Risk`.

    Raises
    ------
    ValueError
        If an argument is not as above.
    TypeError
        If the truth is no function.

    References
    ----------
    Used in :ref:`noise`; the question is that of :cite:t:`joshi2024noisy`.

    Examples
    --------
    >>> from mflib.potentials import Quadratic
    >>> trial = regression_trial(50, 0, Quadratic(), inputs="even")
    >>> trial["status"], 0.5 < trial["squared"] < 1.5
    ('CONVERGED', True)
    """
    count("m", m), count("seed", seed, least=0)
    deviation = number("noise", noise, least=0.0, cure="it is a standard deviation")
    if inputs not in ("random", "even"):
        raise ValueError(f"inputs must be 'random' or 'even', got {inputs!r}.")
    rng = np.random.default_rng([seed, m])
    x = np.sort(rng.uniform(-1, 1, m)) if inputs == "random" else (2 * np.arange(m) + 1) / m - 1
    y = values_at("truth", truth, x) + deviation * rng.standard_normal(m)
    fit = variational.solve(x, y, potential=potential, **solve)
    return {"status": fit.status.name} | risk(fit, truth, x)._asdict()
