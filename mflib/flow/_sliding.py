r"""Sliding along kinks.

Where :math:`\sigma'` jumps at 0, the velocity of the flow jumps as a preactivation
:math:`u_k(x_i) = w_k \cdot x_i - b_k` changes its sign. If the velocities of both sides point to
the kink, the flow slides along it [1]_: the slope lies between the one-sided ones, where it holds
:math:`u_k(x_i) = 0`. With the gradients of all preactivations so held as the rows of C, and
:math:`M = \nabla^2\Phi`, that replaces J by

.. math::

    \tilde J^\top = J^\top - C^\top R, \qquad R = (C M^{-1} C^\top)^{-1}\, C M^{-1} J^\top,
    \qquad \tilde J M^{-1} \tilde J^\top = J M^{-1} J^\top - (C M^{-1} J^\top)^\top R .

References
----------
.. [1] :cite:t:`filippov1988differential`
"""

from __future__ import annotations

import dataclasses

from mflib._torch import torch
from mflib.flow._linearization import Kinks, Linearization, MirrorFlow, Tolerance, kernel_of

__all__ = ["Sliding"]

_BESIDE = 1e-8  # what is held, or let go, lies this far beside its kink: rounding has no say


class Sliding:
    """Moves along the flow that end beside a kink, or on it, where the flow does.

    Parameters
    ----------
    flow : MirrorFlow
        The flow without its kinks.
    tolerance : Tolerance
        Kinks that matter less are crossed.
    """

    def __init__(self, flow: MirrorFlow, tolerance: Tolerance) -> None:
        self.flow, self.tolerance = flow, tolerance
        x, y = flow.x, flow.y
        self.design = flow.layout.design
        self.same = (x[:, None] == x).all(-1).to(x.dtype)  # repeated inputs share their kinks
        self.first = self.same.tril(-1).sum(1) == 0
        beside = torch.tensor([-1e-300, 1e-300], dtype=y.dtype, device=y.device)
        self.slopes = flow.layout.net.activation.derivative(beside).tolist()

    def move(self, at: Linearization, through: Linearization, v: torch.Tensor) -> Linearization:
        """Go from `at` to zeta - J^T v, with J of `through`, and hold the kinks that slide."""
        new = self.flow.linearize(at.zeta - self.flow.pull_back(through, v))
        if self.slopes[0] == self.slopes[1] or not new.finite():
            return new
        met = self._met(at, through, new)
        if met.any() and not self._matter(at, new, met):
            met = self.flow.no_kinks
        kinks = through.held.joined(met)
        if not kinks.any():
            return new
        return self.hold(new, kinks, len(through.held.units), v, keep=self._nearly_done(at))

    def _met(self, at: Linearization, through: Linearization, new: Linearization) -> Kinks:
        """Return the preactivations that have changed their sign and were not held."""
        before = at.positive
        if at.held.any():
            before = before.clone()
            before[at.held] = through.positive[at.held]
        crossed = (new.positive != before) & self.first[:, None]
        if through.held.any():
            crossed[through.held] = False
        return Kinks(*torch.nonzero(crossed, as_tuple=True))

    def _matter(self, at: Linearization, new: Linearization, met: Kinks) -> bool:
        """Whether it changes the function, seen at the tolerance, to put these kinks back to 0."""
        near = new.theta[:, met.units]
        change = near[0] * (self.design[met.points] * near[1:].T).sum(1)
        change *= self.slopes[1] - self.slopes[0]
        change = torch.zeros_like(new.residual).index_add_(0, met.points, change.abs())
        return self.tolerance.share(change, at.decay) > 0.1

    def _nearly_done(self, at: Linearization) -> bool:
        """Whether what is left to learn is below the tolerance: the velocity's sign is unknown."""
        share = self.tolerance.share(at.residual, at.decay)
        return share <= 1 and 2 * at.decay.stuck_loss() < at.loss

    def hold(
        self, new: Linearization, kinks: Kinks, before: int, v: torch.Tensor, *, keep: bool = False
    ) -> Linearization:
        """Hold those of the kinks that slide; the first `before` ones have been held so far.

        keep : whether these stay held in any case.
        """
        constraints = _Constraints(kinks, self.flow)
        units, place = constraints.units, constraints.place
        near = new.theta[:, units]
        _, j = self.flow.layout.jacobian_of(near)
        forces = self.same[kinks.points] * v
        present, unit = (forces * -j[1].T[place]).sum(1), forces.sum(1) * near[0, place]
        slides, side = constraints.sliding(near, j, present, unit, v, self.slopes)
        if keep:
            slides[:before], side[:before] = True, 1.0
        touched = slides.clone()
        touched[:before] = True
        if not bool(touched.any()):
            return new
        zeta = new.zeta[:, units]
        put = constraints.put(zeta, touched, side)
        new.zeta[:, units], new.theta[:, units] = zeta, put
        new.positive[:, units], after = self.flow.layout.jacobian_of(put)
        if new.jacobian is not None:
            new.jacobian[:, :, units] = after
        moved = constraints.kernel(put, after) - constraints.kernel(near, j)
        gram, moves = constraints.products(put, after)
        reaction = _gram_solve(gram[slides][:, slides], moves[slides])
        return dataclasses.replace(
            new,
            residual=new.residual + after[0] @ put[0] - j[0] @ near[0],
            kernel=new.kernel + moved - moves[slides].T @ reaction,
            held=kinks.those(slides),
            reaction=reaction,
        )


class _Constraints:
    """The constraints u_k(x_i) = 0 of some kinks, and the units that they concern.

    Parameters
    ----------
    kinks : Kinks
        H preactivations, of K units.
    flow : MirrorFlow
        The flow of the whole network.
    """

    def __init__(self, kinks: Kinks, flow: MirrorFlow) -> None:
        self.units, self.place = torch.unique(kinks.units, return_inverse=True)
        self.design = flow.layout.design
        self.rows = self.design[kinks.points]  # C, (H, 1 + D)
        self.shared = self.place[:, None] == self.place
        self.mirror = flow.mirror_of(self.units)

    def kernel(self, near: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """Return what the units contribute to J M^-1 J^T, (m, m)."""
        return kernel_of(j, self.mirror.metric(near))

    def products(self, near: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return C M^-1 C^T, (H, H), and C M^-1 J^T, (H, m).

        near : parameters a, b, w of the units, (2 + D, K); j : the derivatives, (2 + D, m, K).
        """
        c = self.rows / self.mirror.metric(near)[1:].T[self.place]
        return (c @ self.rows.T) * self.shared, (c @ self.design.T) * -j[1].T[self.place]

    def sliding(self, near, j, present, unit, v, slopes) -> tuple[torch.Tensor, torch.Tensor]:
        """Return along which kinks the flow slides and to which side, -1 or 1, it leaves the rest.

        It slides if the force that keeps u at 0 is that of a slope between the two sides.

        present : the forces of the present slopes, (H,); unit : those of the slope 1, (H,);
        v : the integral of the residual, (m,); slopes : on the left and on the right.
        """
        gram, moves = self.products(near, j)
        slides, side = torch.ones_like(self.place, dtype=torch.bool), torch.ones_like(present)
        push = moves @ v
        while True:
            needed = present[slides] - _gram_solve(gram[slides][:, slides], push[slides])
            excess = needed - 0.5 * (slopes[0] + slopes[1]) * unit[slides]
            inside = excess.abs() <= 0.5 * (slopes[1] - slopes[0]) * unit[slides]
            if bool(inside.all()):
                return slides, side
            side[slides] = torch.where(inside, 1.0, torch.sign(excess))
            slides[slides.clone()] = inside

    def put(self, zeta: torch.Tensor, which: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        """Add to zeta, (2 + D, K), C^T forces that put some kinks beside 0; return theta."""
        rows, place, shared = self.rows[which], self.place[which], self.shared[which][:, which]
        small = _BESIDE * rows.abs().sum(1)
        target = 2 * side[which] * small

        def beyond(near: torch.Tensor) -> torch.Tensor:
            return (rows * near[1:].T[place]).sum(1) - target

        def by_unit(error: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(zeta[0]).index_add_(0, place, error**2)

        near, damping = self.mirror.primal(zeta), torch.ones_like(zeta[0])
        for _ in range(100):
            error = beyond(near)
            if bool((error.abs() <= small).all()):
                break
            gram = (rows / self.mirror.metric(near)[1:].T[place]) @ rows.T * shared
            trial = zeta.clone()
            force = damping[place] * _gram_solve(gram, error)
            trial[1:].index_add_(1, place, rows.T * -force)
            moved = self.mirror.primal(trial)
            # far from its centre a steep potential makes Newton's step too long, unit by unit
            closer = by_unit(beyond(moved)) < by_unit(error)
            zeta[:, closer], near[:, closer] = trial[:, closer], moved[:, closer]
            damping = torch.where(closer, (2 * damping).clamp(max=1), 0.25 * damping)
        return near


def _gram_solve(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solve with a Gram matrix whose rows may depend on each other."""
    return torch.linalg.solve_ex(gram + torch.diag(1e-13 * gram.diagonal()), right)[0]
