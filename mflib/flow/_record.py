"""What a flow ends with: its status, the trained network and the record of its training."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np

from mflib.flow._linearization import Linearization, MirrorFlow
from mflib.networks import ShallowNetwork

__all__ = ["MAX_STEPS", "Flow", "FlowStatus", "Record"]

MAX_STEPS = 10_000


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
        f"{MAX_STEPS} steps, or twice as many trials, did not bring the loss to its target: the "
        "network crosses too many kinks or bends; use a wider network or a larger rtol"
    )
    STALLED = (
        "the gradient vanished while the loss is above its target: what is left of the residual "
        "lies where no parameter can change the output; repeated inputs with different targets "
        "and networks too narrow for the data do this; average such targets, or use a wider network"
    )
    ROUNDING = (
        "what is left of the residual is rounding: in double precision the loss comes no closer to "
        "its target; give a larger loss_target, or bring the outputs of the network to order one"
    )
    STEP_TOO_SMALL = (
        "the step size fell below the rounding of time: the flow blows up or jumps; "
        "use a wider network or a larger rtol"
    )

    def __repr__(self) -> str:
        return f"FlowStatus.{self.name}"  # the explanation has several lines


@dataclass(frozen=True, eq=False)
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
    >>> from mflib import ShallowNetwork, mirror_flow
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


class Record:
    """The states of a flow, noted one after the other.

    Parameters
    ----------
    flow : MirrorFlow
        The flow.
    save_at : list of float
        Times at which to keep a copy of the network.
    progress : bool
        Whether to print the loss every hundred steps.
    """

    def __init__(self, flow: MirrorFlow, save_at: list[float], progress: bool) -> None:
        self.flow, self.progress = flow, progress
        self.save_at, self.snapshots = list(save_at), list[ShallowNetwork]()
        self.rows: list[tuple[float, float, float, float]] = []

    @property
    def steps(self) -> int:
        """Steps so far."""
        return len(self.rows) - 1

    def add(self, time: float, at: Linearization) -> None:
        """Note one more state."""
        self.rows.append((time, at.loss, *self.flow.changes(at)))
        if self.progress and self.steps % 100 == 0:
            print(f"step {self.steps}: time {time:.3g}, loss {at.loss:.3g}")
        while self.save_at and time >= self.save_at[0]:
            self.snapshots.append(self.flow.network(at))
            self.save_at.pop(0)

    def result(self, at: Linearization, status: FlowStatus) -> Flow:
        """Return the record of a run that ended so, with the state added last."""
        self.flow.check_potential(at)
        names = "time", "loss", "parameter_change", "kernel_change"
        columns = dict(zip(names, np.array(self.rows).T, strict=True))
        return Flow(
            network=self.flow.network(at),
            status=status,
            steps=self.steps,
            history=columns,
            snapshots=tuple(self.snapshots),
            **{name: float(column[-1]) for name, column in columns.items()},
        )
