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

from typing import NamedTuple

import torch

from mflib.mirror_maps import MirrorMap

__all__ = ["Contacts", "Kinks", "gram_solve", "jacobian_kernel"]

_BESIDE = 1e-8  # what is held, or let go, lies this far beside its kink: rounding has no say


class Kinks(NamedTuple):
    """Some preactivations u_k(x_i), by their i and k."""

    points: torch.Tensor  # (H,)
    units: torch.Tensor  # (H,)

    def those(self, mask: torch.Tensor) -> Kinks:
        """Return a part of them."""
        return Kinks(self.points[mask], self.units[mask])

    def joined(self, other: Kinks) -> Kinks:
        """Return these, then the others."""
        return Kinks(*(torch.cat(pair) for pair in zip(self, other, strict=True)))

    def any(self) -> bool:
        """Whether there are some."""
        return len(self.points) > 0


class Contacts:
    """The units that have some kinks, cut out of the network.

    Parameters
    ----------
    kinks : Kinks
        H preactivations, of K units.
    design : Tensor, shape (m, 1 + D)
        The gradient of u(x_i) by b and w: -1 and x_i.
    mirror : MirrorMap
        The mirror map of the whole network.
    """

    def __init__(self, kinks: Kinks, design: torch.Tensor, mirror: MirrorMap) -> None:
        self.units, self.place = torch.unique(kinks.units, return_inverse=True)
        self.design, self.rows = design, design[kinks.points]  # C, (H, 1 + D)
        self.shared = self.place[:, None] == self.place
        self.mirror = MirrorMap(mirror.potential, mirror.center[:, self.units], mirror.scale)

    def kernel(self, near: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        """Return what the units contribute to J M^-1 J^T, (m, m)."""
        return jacobian_kernel(j, self.mirror.metric(near))

    def products(self, near: torch.Tensor, j: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return C M^-1 C^T, (H, H), and C M^-1 J^T, (H, m).

        near : parameters a, b, w of the units, (2 + D, K); j : the derivatives, (2 + D, m, K).
        """
        c = self.rows / self.mirror.metric(near)[1:].T[self.place]
        return (c @ self.rows.T) * self.shared, (c @ self.design.T) * -j[1].T[self.place]

    def sliding(self, near, j, own, unit, v, sides) -> tuple[torch.Tensor, torch.Tensor]:
        """Return along which kinks the flow slides and to which side, -1 or 1, it leaves the rest.

        It slides if the force that keeps u at 0 is that of a slope between the two sides.

        own : the forces of the present slopes, (H,); unit : those of the slope 1, (H,);
        v : the integral of the residual, (m,); sides : the slopes on the left and on the right.
        """
        gram, moves = self.products(near, j)
        slides, side = torch.ones_like(self.place, dtype=torch.bool), torch.ones_like(own)
        push = moves @ v
        while True:
            needed = own[slides] - gram_solve(gram[slides][:, slides], push[slides])
            excess = needed - 0.5 * (sides[0] + sides[1]) * unit[slides]
            inside = excess.abs() <= 0.5 * (sides[1] - sides[0]) * unit[slides]
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
            force = damping[place] * gram_solve(gram, error)
            trial[1:].index_add_(1, place, rows.T * -force)
            moved = self.mirror.primal(trial)
            # far from its centre a steep potential makes Newton's step too long, unit by unit
            closer = by_unit(beyond(moved)) < by_unit(error)
            zeta[:, closer], near[:, closer] = trial[:, closer], moved[:, closer]
            damping = torch.where(closer, (2 * damping).clamp(max=1), 0.25 * damping)
        return near


def gram_solve(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solve with a Gram matrix whose rows may depend on each other."""
    return torch.linalg.solve_ex(gram + torch.diag(1e-13 * gram.diagonal()), right)[0]


def jacobian_kernel(j: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
    """Return J M^-1 J^T, (m, m), from J, (2 + D, m, units), and M, (2 + D, units)."""
    return ((j / metric[:, None]) @ j.mT).sum(0)
