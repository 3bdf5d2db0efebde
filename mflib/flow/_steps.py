"""Exponential midpoint steps, their sizes, and the way to the end of the flow."""

from __future__ import annotations

import math

from mflib._torch import torch
from mflib.flow._linearization import Decay, Linearization
from mflib.flow._record import MAX_STEPS, Flow, FlowStatus, Record
from mflib.flow._sliding import Sliding

__all__ = ["StepSizes", "Steps", "integrate", "midpoint_step"]

_UNSEEN = 1e-14  # of the loss: a change that its rounding hides
_MAX_TRIALS = 2 * MAX_STEPS
_CORRECTIONS = 6  # they bring an error down to a sixtieth


def midpoint_step(sliding: Sliding, at: Linearization, step: float) -> tuple[Linearization, float]:
    """Advance by one exponential midpoint step; returns the new state and its error.

    The kernel and the Jacobian are frozen at a predicted midpoint, so what the step says of the
    residual and what the network says differ by terms of third order: that is the error, in units
    of what rtol allows. Above 1 it is also where the loss would
    grow, as it never does along the flow.
    """
    middle = sliding.move(at, at, at.decay.integral(0.5 * step))
    if not middle.finite():
        return at, math.inf
    decay = Decay(middle.kernel, at.residual, at.rate)
    new = sliding.move(at, middle, decay.integral(step))
    if not new.finite():
        return at, math.inf
    predicted = decay.residual(step)
    error = sliding.tolerance.share(new.residual - predicted, decay)
    if error <= 1 and new.loss > at.loss:
        least = float((predicted**2).mean())
        if max(new.loss / at.loss - 1, 1 - least / at.loss) <= _UNSEEN:
            return at, error
        new = _corrected(sliding, at, predicted, new)
        if not new.loss <= at.loss:
            # beside the predicted decrease of the loss; above 1, since it grows
            error = max((new.loss - least) / max(at.loss - least, 1e-300), 1.01)
    return new, error if math.isfinite(error) else math.inf


def _corrected(
    sliding: Sliding, at: Linearization, predicted: torch.Tensor, new: Linearization
) -> Linearization:
    """Take back so much of an error that the loss falls, as it does along the flow.

    The error is one that rtol allows, but more than the step had to gain: fast directions, at rest
    before, have been stirred up. Newton's steps to the predicted residual, each by half, since
    where K has peaks whole ones overshoot.
    """
    for _ in range(_CORRECTIONS):
        new = sliding.move(new, new, 0.5 * new.decay.solve(new.residual - predicted))
        if not new.finite() or new.loss < at.loss:
            break
    return new


class StepSizes:
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


class Steps:
    """Where the flow is, and the step that it tries next."""

    def __init__(self, sliding: Sliding) -> None:
        self.sliding, self.sizes = sliding, StepSizes()
        self.at, self.time, self.at_rest = sliding.flow.start, 0.0, False
        self.trials = 0
        self.step = self.first = 1 / self.at.decay.fastest()

    def advance(self, stop: float) -> FlowStatus | None:
        """Do one step that meets the tolerance, up to `stop` at most; say why if there is none."""
        while not self.at_rest:
            trial = min(self.step, stop - self.time)
            if not math.isfinite(self.time + trial):
                return FlowStatus.STALLED
            if self.trials >= _MAX_TRIALS:
                return FlowStatus.MAX_STEPS
            new, error = midpoint_step(self.sliding, self.at, trial)
            self.trials += 1
            if not new.loss < self.at.loss and self.sliding.flow.is_rounding(self.at):
                self.at_rest = True
                break
            self.step = self.sizes.after(trial, error)
            if error <= 1:
                self.at, self.time = new, min(self.time + trial, stop)
                return None
            least = max(self.time, self.first)
            if least + self.step == least:
                return FlowStatus.STEP_TOO_SMALL
        if math.isinf(stop):
            return FlowStatus.ROUNDING
        self.time = stop
        return None


def integrate(
    sliding: Sliding, loss_target: float, save_at: list[float], max_time: float, progress: bool
) -> Flow:
    """Follow the flow until the loss is at its target, or something else ends it."""
    steps, record = Steps(sliding), Record(sliding.flow, save_at, progress)
    record.add(0.0, steps.at)
    while (status := _ended(steps, loss_target, max_time, record.steps)) is None:
        stop = record.save_at[0] if record.save_at else max_time
        status = steps.advance(stop)
        if status is not None:
            break
        record.add(steps.time, steps.at)
    return record.result(steps.at, status)


def _ended(steps: Steps, loss_target: float, max_time: float, count: int) -> FlowStatus | None:
    loss, stuck_loss = steps.at.loss, steps.at.decay.stuck_loss()
    if loss <= loss_target:
        return FlowStatus.CONVERGED
    if steps.time >= max_time:
        at_rest = steps.at_rest or steps.sliding.flow.is_rounding(steps.at)
        return FlowStatus.ROUNDING if at_rest else FlowStatus.MAX_TIME
    if stuck_loss > loss_target and loss <= 1.001 * stuck_loss:
        return FlowStatus.STALLED
    return FlowStatus.MAX_STEPS if count >= MAX_STEPS else None
