"""How far networks are from the limit, and which part of that is whose."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mflib import representation
from mflib._torch import torch
from mflib._validation import count, dataset
from mflib.experiments._distances import grid_points, on_grid
from mflib.experiments._pool import one_thread
from mflib.flow import mirror_flow
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential, Quadratic

__all__ = ["lazy_limit", "sampling_law", "split_error"]


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
        \ \text{ s.t. }\
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
    if not isinstance(net, ShallowNetwork):
        raise TypeError(f"net must be a ShallowNetwork, got {type(net).__name__}.")
    x, y = dataset(x, y)
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
        targets = (y - net(x).numpy()) * net.width / len(bias)
        sigma, neurons = net.activation, (weight, bias)
        fit = representation.solve(
            x, targets, activation=sigma, potential=potential, neurons=neurons
        )
        if fit.status is not representation.Status.CONVERGED:
            raise ValueError(f"no output layer of net interpolates the data: {fit.status.value}.")
        features = np.vstack([net.hidden(x).numpy().T, np.ones((int(output_bias), len(targets)))])
        alpha = potential.inverse_mirror(features @ fit.multipliers)
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
    grid: ArrayLike | None = None,
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
    grid : array-like, shape (N,), optional
        As in :func:`distance`.
    **flow
        Options of :func:`~mflib.flow.mirror_flow`.

    Returns
    -------
    dict
        "status" of the flow, and the largest differences on the grid of four pairs of functions:
        "error" of the network and the limit; "sampling", of the lazy limit of the same hidden units
        and the limit; "lazy_gap", of the network and that lazy limit; "nonlinearity", of the
        network and its lazy limit with output bias, see :func:`lazy_limit`.

    References
    ----------
    Eq. :eq:`eq-finite-parts`.

    Examples
    --------
    >>> from mflib import variational
    >>> from mflib.potentials import Quadratic
    >>> x, y = [-0.5, 0.1, 0.6], [0.0, 0.3, 0.1]
    >>> row = split_error(1000, 0, Quadratic(), x=x, y=y, limit=variational.solve(x, y))
    >>> row["nonlinearity"] < row["sampling"] < 0.1
    True
    """
    points = grid_points(grid)
    exact = on_grid(limit, "limit", points)  # before the work, lest it be in vain
    net = ShallowNetwork(width, activation=activation, density=density, seed=seed)
    run = mirror_flow(net, x, y, potential=potential, scaled=scaled, **flow)
    effective = potential if scaled else Quadratic()
    own, bias_too = (
        lazy_limit(net, x, y, potential=effective, output_bias=with_bias)
        for with_bias in (False, True)
    )
    network, lazy, lazy_with_bias = (
        on_grid(net, "the network", points) for net in (run.network, own, bias_too)
    )
    return {
        "status": run.status.name,
        "error": float(np.abs(network - exact).max()),
        "sampling": float(np.abs(lazy - exact).max()),
        "lazy_gap": float(np.abs(network - lazy).max()),
        "nonlinearity": float(np.abs(network - lazy_with_bias).max()),
    }


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
    grid: ArrayLike | None = None,
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
    grid : array-like, shape (N,), optional
        As in :func:`distance`.

    Returns
    -------
    ndarray, shape (draws,)
        The largest absolute value of the process on the grid, for each draw.

    Raises
    ------
    ValueError
        If the units are too few to interpolate the data.

    References
    ----------
    :prf:ref:`finite-sampling`.

    Examples
    --------
    >>> law = sampling_law([-0.5, 0.1, 0.6], [0.0, 0.3, 0.1])
    >>> law.shape, bool(0.1 < np.median(law) < 10)
    ((1000,), True)
    """
    potential = Quadratic() if potential is None else potential
    options = {"activation": activation, "density": density}
    multipliers = representation.solve(x, y, potential=potential, **options).multipliers
    net = ShallowNetwork(count("units", units), seed=seed, **options)
    count("draws", draws)
    points = grid_points(grid)
    with torch.no_grad(), one_thread():
        at_data, at_grid = net.hidden(x).numpy().T, net.hidden(points).numpy().T
        if (rank := np.linalg.matrix_rank(at_data)) < len(multipliers):
            raise ValueError(
                f"units={units} units span {rank} of the {len(multipliers)} dimensions that the "
                "data need; draw more units."
            )
        alpha = potential.inverse_mirror(at_data @ multipliers)
        metric = at_data.T / potential.hessian(alpha)
        influence = at_grid - at_data @ np.linalg.solve(metric @ at_data, metric @ at_grid)
        influence *= alpha[:, None]
        influence -= influence.mean(axis=0)
        noise = np.random.default_rng(seed).standard_normal((draws, units)) / np.sqrt(units)
        return np.abs(noise @ influence).max(axis=1)
