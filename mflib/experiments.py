"""Sweeps over widths, seeds and potentials, the exponents they show, and tests on held-out data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from mflib import representation
from mflib._pool import one_thread
from mflib._sweep import sweep
from mflib._validation import dataset, number
from mflib.flow import _threads, mirror_flow
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential, Quadratic

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

GRID = np.linspace(-1.5, 1.5, 501)
"""Where the paper compares functions."""


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


def lazy_limit(
    net: ShallowNetwork,
    x: ArrayLike,
    y: ArrayLike,
    *,
    potential: Potential | None = None,
    output_bias: bool = True,
) -> ShallowNetwork:
    r"""Return what mirror flow makes of a network if it trains the output layer only, exactly.

    .. math::

        \min_{\alpha, \delta}\ \sum_{k=1}^n D_\varphi(\alpha_k, 0) + D_\varphi(\delta, 0)
        \quad\text{s.t.}\quad
        \frac1n \sum_k \alpha_k\, \sigma(w_k x_i - b_k) + \frac\delta n = y_i - f(x_i, \hat\theta),

    and output weights :math:`a_k = \hat a_k + \alpha_k / n`, output bias
    :math:`d = \hat d + \delta / n`: problem (P) with the network's own units. The output bias
    is one more unit, whose output is always 1.

    Parameters
    ----------
    net : ShallowNetwork
        At initialization; it is left as it is.
    x : array-like, shape (m,) or (m, D)
    y : array-like, shape (m,)
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given, for unscaled ones.
    output_bias : bool
        Whether the output bias is trained, too.

    Returns
    -------
    ShallowNetwork

    Raises
    ------
    ValueError
        If the data do not fit, or no output layer interpolates them.

    References
    ----------
    :cite:t:`liang2025implicit`

    Examples
    --------
    >>> lazy = lazy_limit(ShallowNetwork(50), [-0.5, 0.1], [0.3, 0.0])
    >>> lazy([-0.5]).detach().numpy().round(9).tolist()
    [0.3]
    """
    potential = Quadratic() if potential is None else potential
    one = float(net.activation(np.ones(1))[0])
    if output_bias and abs(one - 1) > 1e-12:
        raise ValueError(
            f"output_bias=True needs an activation with value 1 at 1, and {net.activation!r} has "
            f"{one:g}: set output_bias=False."
        )
    with torch.no_grad():
        weight, bias = net.input_weight.numpy(), net.input_bias.numpy()
        if output_bias:
            weight, bias = np.vstack([weight, 0 * weight[:1]]), np.append(bias, -1.0)
        # representation.solve gives each of its units the mass 1/len(bias), and here it is 1/n
        targets = (np.asarray(y, dtype=float) - net(x).numpy()) * net.width / len(bias)
        sigma, neurons = net.activation, (weight, bias)
        fit = representation.solve(
            x, targets, activation=sigma, potential=potential, neurons=neurons
        )
        if fit.status is not representation.Status.CONVERGED:
            raise ValueError(f"no output layer of net interpolates the data: {fit.status.value}.")
        features = np.vstack([net.hidden(x).numpy().T, np.ones((int(output_bias), len(targets)))])
        zero = potential.gradient(np.zeros(1))
        alpha = potential.inverse_gradient(features @ fit.multipliers + zero)
        lazy = copy.deepcopy(net)
        lazy.output_weight.add_(torch.from_numpy(alpha[: net.width] / net.width))
        lazy.output_bias.add_(float(alpha[net.width :].sum()) / net.width)
    return lazy


def split_error(
    width: int,
    seed: int,
    potential: Potential,
    *,
    x: ArrayLike,
    y: ArrayLike,
    limit: Callable[[np.ndarray], np.ndarray],
    activation: str = "relu",
    density=None,
    scaled: bool = False,
    **flow: Any,
) -> dict[str, Any]:
    """Train one network from the zero function and split its error into parts.

    Parameters
    ----------
    width, seed : int
        Of the network.
    potential : Potential
    x, y : array-likes, shape (m,)
        The data.
    limit : callable
        The function that is learned at infinite width.
    activation, density
        As in :class:`~mflib.networks.ShallowNetwork`.
    scaled : bool
        Whether the potential is scaled.
    **flow
        Options of :func:`~mflib.flow.mirror_flow`.

    Returns
    -------
    dict
        "status" of the flow, and the largest differences on GRID of four pairs of functions:
        "error" of the network and the limit; "sampling", of the lazy limit of the same hidden units
        and the limit; "lazy_gap", of the network and that lazy limit; "nonlinearity", of the
        network and its lazy limit with output bias, see :func:`lazy_limit`.

    Examples
    --------
    >>> from mflib import variational
    >>> from mflib.potentials import Quadratic
    >>> x, y = [-0.5, 0.1, 0.6], [0.0, 0.3, 0.1]
    >>> row = split_error(1000, 0, Quadratic(), x=x, y=y, limit=variational.solve(x, y))
    >>> row["nonlinearity"] < row["sampling"] < 0.1
    True
    """
    net = ShallowNetwork(width, activation=activation, density=density, seed=seed)
    run = mirror_flow(net, x, y, potential=potential, scaled=scaled, **flow)
    effective = potential if scaled else Quadratic()
    own, bias_too = (
        lazy_limit(net, x, y, potential=effective, output_bias=with_bias)
        for with_bias in (False, True)
    )
    on_grid, exact = [_on_grid(f) for f in (run.network, own, bias_too)], np.asarray(limit(GRID))
    network, lazy, lazy_with_bias = on_grid
    return {
        "status": run.status.name,
        "error": float(np.abs(network - exact).max()),
        "sampling": float(np.abs(lazy - exact).max()),
        "lazy_gap": float(np.abs(network - lazy).max()),
        "nonlinearity": float(np.abs(network - lazy_with_bias).max()),
    }


def _on_grid(net: ShallowNetwork) -> np.ndarray:
    """Evaluate a network on GRID, in parts that stay in the cache."""
    values, at_once = np.empty_like(GRID), max(1, 250_000 // net.width)
    with torch.no_grad(), _threads(0):
        for first in range(0, len(GRID), at_once):
            part = slice(first, first + at_once)
            values[part] = net(GRID[part]).numpy()
    return values


def sampling_law(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: str = "relu",
    potential: Potential | None = None,
    density=None,
    units: int = 10_000,
    draws: int = 1000,
    seed: int = 0,
) -> np.ndarray:
    r"""Draw from the limit law of the sampling error, times the root of the width.

    The lazy limit of n random units solves problem (P) for their empirical measure. To first order

    .. math::

        h_n(x) - \bar h(x) \approx \frac1n \sum_{k=1}^n \xi_k(x) - \mathbb{E}\, \xi(x), \qquad
        \xi_k(x) = \alpha_k \bigl(\sigma_k(x) - \textstyle\sum_i c_i(x)\, \sigma_k(x_i)\bigr),

    where c(x) solves
    :math:`\sum_j \mathbb{E}[\sigma(x_i)\, \sigma(x_j) / \varphi''(\alpha)]\, c_j(x) =
    \mathbb{E}[\sigma(x_i)\, \sigma(x) / \varphi''(\alpha)]`. By the central limit theorem
    :math:`\sqrt n\, (h_n - \bar h)` tends to a Gaussian process with the covariance of
    :math:`\xi`.

    Parameters
    ----------
    x, y : array-likes, shape (m,)
        The data, for networks that start at zero.
    activation, potential, density
        As in :func:`~mflib.representation.solve`.
    units : int
        Sample from which the covariance is estimated.
    draws : int
    seed : int

    Returns
    -------
    ndarray, shape (draws,)
        The largest absolute value of the process on GRID, for each draw.

    Examples
    --------
    >>> law = sampling_law([-0.5, 0.1, 0.6], [0.0, 0.3, 0.1])
    >>> law.shape, bool(0.1 < np.median(law) < 10)
    ((1000,), True)
    """
    potential = Quadratic() if potential is None else potential
    options = {"activation": activation, "density": density}
    multipliers = representation.solve(x, y, potential=potential, **options).multipliers
    net = ShallowNetwork(units, seed=seed, **options)
    with torch.no_grad(), one_thread():
        at_data, on_grid = net.hidden(x).numpy().T, net.hidden(GRID).numpy().T
        alpha = potential.inverse_gradient(at_data @ multipliers + potential.gradient(np.zeros(1)))
        metric = at_data.T / potential.hessian(alpha)
        influence = on_grid - at_data @ np.linalg.solve(metric @ at_data, metric @ on_grid)
        influence *= alpha[:, None]
        influence -= influence.mean(axis=0)
        noise = np.random.default_rng(seed).standard_normal((draws, units)) / np.sqrt(units)
        return np.abs(noise @ influence).max(axis=1)


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


class Interval(NamedTuple):
    """A fitted exponent and its confidence interval."""

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
    n, y = np.asarray(n, dtype=float), np.asarray(y, dtype=float)
    if n.ndim != 1 or n.shape != y.shape or not ((n > 0).all() and (y > 0).all()):
        raise ValueError("n and y must be positive and of equal length.")
    sizes, place, counts = np.unique(n, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or counts.min() < 2:
        raise ValueError(
            "n must have at least two different values, each with at least two measurements, got "
            f"{dict(zip(sizes.tolist(), counts.tolist(), strict=True))} measurements."
        )
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


def held_out(
    fit: Callable[[np.ndarray, np.ndarray], Callable], x: ArrayLike, y: ArrayLike, taken: ArrayLike
) -> np.ndarray:
    """Fit some of the data and return the errors at the others.

    Parameters
    ----------
    fit : callable
        Takes inputs (k,) or (k, D) and targets (k,), and returns a function of such inputs.
    x : array-like, shape (m,) or (m, D)
    y : array-like, shape (m,)
    taken : array-like of int, shape (k,)
        Positions of the data that the fit is given.

    Returns
    -------
    ndarray, shape (m - k,)
        Prediction less target at the data not taken, in their order.

    Raises
    ------
    ValueError
        If nothing is taken, nothing is left out or a position is out of range.

    Examples
    --------
    >>> def line(x, y):
    ...     return np.poly1d(np.polyfit(x, y, 1))
    >>> held_out(line, [0, 1, 2, 3], [0, 1, 5, 3], [0, 1, 3]).round(12).tolist()
    [-3.0]
    """
    inputs, targets = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    positions = np.asarray(taken)
    given = np.isin(np.arange(len(targets)), positions)
    if given.all() or given.sum() != positions.size or positions.size == 0:
        raise ValueError(
            f"taken must name some, not all, of the positions 0 to {len(targets) - 1}, each once, "
            f"got {positions.tolist()}."
        )
    function = fit(inputs[given], targets[given])
    return np.asarray(function(inputs[~given])) - targets[~given]


def leave_one_out(
    fit: Callable[[np.ndarray, np.ndarray], Callable], x: ArrayLike, y: ArrayLike
) -> np.ndarray:
    """Predict every inner data point from all the others.

    The two outermost are always kept: to predict them would be to extrapolate.

    Parameters
    ----------
    fit : callable
        As in :func:`held_out`.
    x, y : array-likes, shape (m,)
        One input, in any order.

    Returns
    -------
    ndarray, shape (m - 2,)
        Prediction less target at the inner points, in the order of the data.

    Examples
    --------
    >>> def line(x, y):
    ...     return lambda t: np.interp(t, x, y)
    >>> leave_one_out(line, [0, 1, 2, 3], [0, 1, 5, 3]).tolist()
    [1.5, -3.0]
    """
    inputs = np.asarray(x, dtype=float)
    everyone = np.arange(len(inputs))
    inner = everyone[(inputs > inputs.min()) & (inputs < inputs.max())]
    return np.concatenate([held_out(fit, inputs, y, everyone[everyone != i]) for i in inner])


def rms(errors: ArrayLike) -> float:
    """Return the root mean square.

    Parameters
    ----------
    errors : array-like

    Returns
    -------
    float

    Examples
    --------
    >>> rms([3.0, -4.0, 0.0, 0.0])
    2.5
    """
    return float(np.sqrt(np.mean(np.square(errors))))


def bend_density(x: ArrayLike, y: ArrayLike, floor: float):
    r"""Return a density of kinks that follows how much the data bend.

    The broken line through the data turns at :math:`x_i` by the difference of its slopes. The
    density has a step for each inner point, from the middle of one gap to that of the next, with
    mass in proportion to the size of that turn; what it lacks up to 1 is spread evenly.

    Parameters
    ----------
    x, y : array-likes, shape (m,)
        At least three data points, in any order.
    floor : float
        Share of the mass that is spread evenly, in (0, 1].

    Returns
    -------
    frozen scipy.stats distribution
        A histogram on the range of the data.

    Raises
    ------
    ValueError
        If there are fewer than three data, they lie on a line, or the floor is outside (0, 1].

    Examples
    --------
    >>> p = bend_density([0, 1, 2, 4], [0, 0, 1, 1], floor=0.5)  # turns by 1 and -1
    >>> p.cdf([0.0, 1.5, 4.0]).tolist()
    [0.0, 0.4375, 1.0]
    """
    points, targets = dataset(x, y)
    number("floor", floor, above=0.0, cure="data need kinks everywhere")
    order = np.argsort(points[:, 0])
    nodes = points[order, 0]
    turn = np.abs(np.diff(np.diff(targets[order]) / np.diff(nodes)))
    if floor > 1 or not turn.sum() > 0:
        raise ValueError(
            f"floor must be at most 1 and the data at least three, not on a line; got floor "
            f"{floor!r} and turns {turn.tolist()}."
        )
    edges = np.concatenate([nodes[:1], 0.5 * (nodes[1:-2] + nodes[2:-1]), nodes[-1:]])
    even = np.diff(edges) / (edges[-1] - edges[0])
    mass = (1 - floor) * turn / turn.sum() + floor * even
    return stats.rv_histogram((mass, edges), density=False)
