r"""Mirror flow of a finite network, in few steps although the problem is stiff.

With residual :math:`r = f(x, \theta) - y` and dual variable :math:`\zeta = \nabla\Phi(\theta)`,

.. math::

    \dot\zeta = -\frac{\eta}{m} J^\top r, \qquad
    \dot r = -\frac{\eta}{m} K r, \qquad K = J\,(\nabla^2\Phi)^{-1} J^\top .

K has only m rows but eigenvalues that span many orders of magnitude, which is why a plain loop
needs 10^5 steps. An exponential integrator solves the linear part exactly and moves only as K does,
which for a wide network is hardly at all. Narrow networks slide along kinks of the activation;
what that does to J is in ``mflib._kinks``, and K itself in ``mflib._linearization``.

The unit of time is set by :math:`\eta`, which is 1/n unless given. Losses are mean squared errors,
in the squared unit of y.
"""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from mflib._linearization import Decay, Linearization, Model
from mflib._validation import dataset, finite_array, flag, limit, number
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential, Quadratic

__all__ = ["Flow", "FlowStatus", "mirror_flow"]

_MAX_STEPS = 10_000


class FlowStatus(enum.Enum):
    """How a flow ended; the value is the explanation.

    References
    ----------
    What brings each of them about: :ref:`when-it-breaks`.

    Examples
    --------
    >>> FlowStatus.CONVERGED.value
    'the loss reached its target'
    """

    CONVERGED = "the loss reached its target"
    MAX_TIME = "the flow reached max_time before the loss reached its target; allow more time"
    MAX_STEPS = (
        f"{_MAX_STEPS} steps did not bring the loss to its target: the network crosses too many "
        "kinks; use a wider network or a larger rtol"
    )
    STALLED = (
        "the gradient vanished while the loss is above its target: what is left of the residual "
        "lies where no parameter can change the output; repeated inputs with different targets "
        "and networks too narrow for the data do this"
    )
    STEP_TOO_SMALL = (
        "the step size fell below the rounding of time: the flow blows up or jumps; "
        "use a wider network or a larger rtol"
    )


@dataclass(frozen=True)
class Flow:
    r"""A trained network and the record of its training; returned by :func:`mirror_flow`.

    Attributes
    ----------
    network : ShallowNetwork
        A trained copy.
    status : FlowStatus
        Why the flow ended.
    loss : float
        Final mean squared error (not halved).
    time : float
        Time of the flow at the end, in the units of :math:`1/\eta`.
    steps : int
        Accepted steps.
    parameter_change : float
        :math:`\|\theta - \hat\theta\|_\infty`.
    kernel_change : float
        :math:`\|K - K_0\|_F / \|K_0\|_F`.
    history : dict of str to ndarray
        "time", "loss", "parameter_change" and "kernel_change" at the start and after each step,
        each of shape (steps + 1,).
    snapshots : tuple of ShallowNetwork
        Copies of the network at those times of `save_at` that the flow reached.

    References
    ----------
    Eq. :eq:`eq-mirror-flow`; its kernel: eq. :eq:`eq-kernel`.

    Examples
    --------
    >>> run = mirror_flow(ShallowNetwork(500), [-0.5, 0.5], [0.1, 0.3], save_at=[1.0])
    >>> sorted(run.history), len(run.snapshots)
    (['kernel_change', 'loss', 'parameter_change', 'time'], 1)
    """

    network: ShallowNetwork
    status: FlowStatus
    loss: float
    time: float
    steps: int
    parameter_change: float
    kernel_change: float
    history: dict[str, np.ndarray] = field(repr=False)
    snapshots: tuple[ShallowNetwork, ...] = field(repr=False)


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
    # whatever mode is on, the trained copy is an ordinary network
    with torch.inference_mode(False), torch.no_grad(), _threads(net.width * len(targets) ** 2):
        model = Model(net, points, targets, potential, scaled, center, rate, rtol)
        return _integrate(model, loss_target, max_time, stops, progress)


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


def midpoint_step(model: Model, at: Linearization, step: float) -> tuple[Linearization, float]:
    """Advance by one exponential midpoint step; returns the new state and its error.

    The kernel and the Jacobian are frozen at a predicted midpoint, so what the step says of the
    residual and what the network says differ by terms of third order: that is the error, in units
    of what rtol allows.
    """
    middle = model.reach(at, at, at.decay.integral(0.5 * step))
    if not middle.finite():
        return at, math.inf
    decay = Decay(middle.kernel, at.residual, model.rate)
    new = model.reach(at, middle, decay.integral(step))
    if not new.finite():
        return at, math.inf
    error = model.share(new.residual - decay.residual(step), decay)
    return new, error if math.isfinite(error) else math.inf


class _StepSizes:
    """The next step from the last errors, which grow like the cube of the step and may reach 1.

    If the errors of equal steps fall from step to step, they are expected to go on falling:
    Gustafsson's predictive control, see :cite:t:`hairer1996stiff`, section IV.8.
    """

    def __init__(self) -> None:
        self.accepted: tuple[float, float] | None = None

    def after(self, step: float, error: float) -> float:
        """Return the next step after one with this error."""
        error = max(error, 1e-30)
        factor = 0.9 * error ** (-1 / 3)
        if error <= 1:
            if self.accepted is not None:
                last_step, last_error = self.accepted
                trend = step / last_step * (last_error / error) ** (1 / 3)
                factor *= min(max(1.0, trend), 2.0)
            self.accepted = step, error
        return step * min(100.0, max(0.1, factor))


def _integrate(model, loss_target, max_time, save_at, progress) -> Flow:
    at, time, status = model.start, 0.0, None
    rows, snapshots, stops = [], [], [*save_at, max_time]
    step = first = 1 / at.decay.fastest()
    sizes = _StepSizes()
    while True:
        rows.append((time, at.loss, *model.changes(at)))
        if progress and len(rows) % 100 == 1:
            print(f"step {len(rows) - 1}: time {time:.3g}, loss {at.loss:.3g}")
        while len(stops) > 1 and time >= stops[0]:
            snapshots.append(model.network(at))
            stops.pop(0)
        status = _ended(at.loss, at.decay.stuck_loss(), loss_target, time, max_time, len(rows) - 1)
        while status is None:
            trial = min(step, stops[0] - time)
            new, error = midpoint_step(model, at, trial)
            step = sizes.after(trial, error)
            if error <= 1:
                at, time = new, min(time + trial, stops[0])
                break
            if max(time, first) + step == max(time, first):
                status = FlowStatus.STEP_TOO_SMALL
        if status is not None:
            break
    times, losses, parameters, kernels = np.array(rows).T
    return Flow(
        network=model.network(at),
        status=status,
        loss=at.loss,
        time=time,
        steps=len(rows) - 1,
        parameter_change=float(parameters[-1]),
        kernel_change=float(kernels[-1]),
        history={
            "time": times,
            "loss": losses,
            "parameter_change": parameters,
            "kernel_change": kernels,
        },
        snapshots=tuple(snapshots),
    )


def _ended(loss, stuck_loss, target, time, max_time, steps) -> FlowStatus | None:
    if loss <= target:
        return FlowStatus.CONVERGED
    if time >= max_time:
        return FlowStatus.MAX_TIME
    if stuck_loss > target and loss <= 1.001 * stuck_loss:
        return FlowStatus.STALLED
    return FlowStatus.MAX_STEPS if steps >= _MAX_STEPS else None
