"""One network trained, and measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mflib.experiments._distances import grid_points, on_grid
from mflib.flow import mirror_flow
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential

__all__ = ["trial"]


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
    input_weight=None,
    output_scale: float = 0.0,
    grid: ArrayLike | None = None,
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
    activation, density, input_weight, output_scale
        As in :class:`~mflib.networks.ShallowNetwork`.
    grid : array-like, shape (N,), optional
        As in :func:`distance`.
    **flow
        Options of :func:`~mflib.flow.mirror_flow`.

    Returns
    -------
    dict
        "status", "loss", "steps", "parameter_change", "kernel_change", and "error" if a limit is
        given: the largest difference on the grid.

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
    points = grid_points(grid)
    if limit is not None:
        exact = on_grid(limit, "limit", points)  # before the work, lest it be in vain
    net = ShallowNetwork(
        width,
        activation=activation,
        density=density,
        input_weight=input_weight,
        output_scale=output_scale,
        seed=seed,
    )
    run = mirror_flow(net, x, y, potential=potential, **flow)
    result: dict[str, Any] = {"status": run.status.name}
    for name in ("loss", "steps", "parameter_change", "kernel_change"):
        result[name] = getattr(run, name)
    if limit is not None:
        after, before = (on_grid(f, "the network", points) for f in (run.network, net))
        result["error"] = float(np.abs(after - before - exact).max())
    return result
