"""Mirror flow of a network, with its arguments looked at."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mflib._torch import torch
from mflib._validation import dataset, finite_array, flag, limit, number
from mflib.flow._linearization import MirrorFlow, Tolerance
from mflib.flow._record import Flow
from mflib.flow._sliding import Sliding
from mflib.flow._steps import integrate
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential, Quadratic

__all__ = ["mirror_flow"]


def mirror_flow(
    net: ShallowNetwork,
    x: ArrayLike,
    y: ArrayLike,
    *,
    potential: Potential | None = None,
    scaled: bool = False,
    center: str = "initialization",
    learning_rate: float | None = None,
    loss_target: float = 1e-7,
    max_time: float = math.inf,
    rtol: float = 1e-2,
    save_at: Sequence[float] | None = None,
    progress: bool = False,
) -> Flow:
    r"""Train all parameters of a network by mirror flow.

    .. math::

        \frac{d}{dt} \nabla\Phi(\theta) = -\eta\, \nabla L(\theta), \qquad
        L(\theta) = \frac{1}{2m} \sum_{i=1}^m (f(x_i, \theta) - y_i)^2,

    with :math:`\Phi(\theta) = \sum_k \varphi(\theta_k - \hat\theta_k)` (Assumption 1), or scaled,
    :math:`\Phi(\theta) = n^{-2} \sum_k \varphi(n(\theta_k - \hat\theta_k))` (Assumption 7) [1]_.
    Each step is an exponential midpoint step in the dual variable, of second order; its size is set
    by how well the step predicts the residual, measured as a change of the function. Where the
    velocity jumps, at the kinks of activations such as ReLU, the flow is Filippov's [2]_: the
    limit of mirror descent with small steps, which may slide along kinks.

    Parameters
    ----------
    net : ShallowNetwork
        The network at initialization; it is left as it is.
    x : array-like, shape (m,) or (m, D)
        Inputs; repeated ones are allowed.
    y : array-like, shape (m,)
        Targets.
    potential : Potential, optional
        ``Quadratic()`` if not given: gradient flow.
    scaled : bool
        Whether the potential acts on :math:`n(\theta - \hat\theta)`.
    center : {"initialization", "origin"}
        Where the potential has its centre; "origin" puts :math:`\varphi` at :math:`\theta_k`
        itself, for unscaled potentials only.
    learning_rate : float, optional
        :math:`\eta`; 1/n if not given. It only sets the unit of time.
    loss_target : float
        Stop when the mean squared error is at most this.
    max_time : float
        Stop at this time at the latest.
    rtol : float
        Largest error of a step, relative to all that is to be learned: at the data, and as a
        function in the norm of the present kernel's Hilbert space, so that slow directions count as
        much as fast ones.
    save_at : sequence of float, optional
        Increasing times at which to keep a copy of the network.
    progress : bool
        Whether to print the loss every hundred steps.

    Returns
    -------
    Flow

    Raises
    ------
    ValueError
        If the data are empty, of different lengths or not finite, a number is out of range, the
        centre is unknown or the Hessian of the potential vanishes or is infinite at the start.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    .. [1] :cite:t:`liang2025implicit`; the integrator: :cite:t:`hochbruck2010exponential`.
    .. [2] :cite:t:`filippov1988differential`

    Examples
    --------
    >>> run = mirror_flow(ShallowNetwork(500), [-0.5, 0.5], [0.1, 0.3])
    >>> run.status.name, bool(run.loss <= 1e-7)
    ('CONVERGED', True)
    """
    if not isinstance(net, ShallowNetwork):
        raise TypeError(f"net must be a ShallowNetwork, got {type(net).__name__}.")
    points, targets = dataset(x, y, distinct=False)
    for name, parameter in net.named_parameters():
        if parameter.dtype != torch.float64:
            raise ValueError(
                f"{name} of net is {parameter.dtype}, too coarse for the flow; call net.double()."
            )
    if points.shape[1] != net.input_weight.shape[1]:
        raise ValueError(
            f"x has {points.shape[1]} inputs per data point and net takes "
            f"{net.input_weight.shape[1]}; set input_dim of ShallowNetwork accordingly."
        )
    loss_target = number("loss_target", loss_target, above=0.0, cure="give a positive number")
    rtol = number("rtol", rtol, above=0.0, cure="give a positive number")
    max_time = limit("max_time", max_time)
    rate = 1 / net.width if learning_rate is None else learning_rate
    rate = number("learning_rate", rate, least=1e-100, most=1e100, cure="it only sets the time")
    stops = _checked_times(save_at, max_time)
    progress = flag("progress", progress)
    potential = Quadratic() if potential is None else potential
    with torch.inference_mode(False), torch.no_grad(), _threads(net.width * len(targets) ** 2):
        flow = MirrorFlow(
            net,
            *(
                torch.as_tensor(values, device=net.input_bias.device)
                for values in (points, targets)
            ),
            potential=potential,
            scaled=scaled,
            center=center,
            rate=rate,
        )
        sliding = Sliding(flow, Tolerance(flow.start, rtol))
        return integrate(sliding, loss_target, stops, max_time, progress)


@contextlib.contextmanager
def _threads(work: int) -> Iterator[None]:
    """Use one Torch thread unless products of large matrices, n m^2, take most of the time."""
    before = torch.get_num_threads()
    if work < 300_000_000:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _checked_times(save_at, max_time: float) -> list[float]:
    times = finite_array("save_at", [] if save_at is None else save_at)
    if (
        times.ndim != 1
        or (np.diff(times) <= 0).any()
        or (times < 0).any()
        or (times > max_time).any()
    ):
        raise ValueError(
            f"save_at must be increasing times between 0 and max_time = {max_time:g}, "
            f"got {save_at!r}."
        )
    return times.tolist()
