r"""The network as a map of its parameters, linearized where the flow is.

The linearization is the residual r, the kernel :math:`K = J M^{-1} J^\top`,
:math:`M = \nabla^2 \Phi`, and the product :math:`J^\top v`. Sums over the units are taken a block
of units at a time, so that what is as large as J stays in the cache and is never stored.

**Kinks.** Where :math:`\sigma'` jumps at 0 the velocity jumps as a preactivation
:math:`u_k(x_i) = w_k \cdot x_i - b_k` changes its sign. If the velocities of both sides point to
the kink, the flow slides along it [1]_: the slope lies between the one-sided ones, where it holds
:math:`u_k(x_i) = 0`. With the gradients of all held preactivations as the rows of C,

.. math::

    \tilde J^\top = J^\top - C^\top R, \qquad \tilde K = K - (C M^{-1} J^\top)^\top R, \qquad
    R = (C M^{-1} C^\top)^{-1}\, C M^{-1} J^\top .

References
----------
.. [1] :cite:t:`filippov1988differential`
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from mflib.networks import ShallowNetwork
from mflib.potentials import MirrorMap, mirror_map

__all__ = ["Decay", "Kinks", "Linearization", "Model"]

_BLOCK = 1 << 17  # entries of a block of J: one megabyte, which stays in the cache
_NULL = 1e-13  # eigenvalues of K below this share of the largest are rounding
_ZERO = 1e-9  # a preactivation below this share of its terms is held; above, its sign is sure


class Decay:
    """The linear flow r' = -rate K r, in the eigenbasis of K."""

    def __init__(self, kernel: torch.Tensor, residual: torch.Tensor, rate: float) -> None:
        values, self.basis = torch.linalg.eigh(kernel)
        self.alive = values > _NULL * values[-1]
        self.values = torch.where(self.alive, values, 1.0)
        self.rate, self.coefficients = rate, self.basis.T @ residual

    def residual(self, t: float) -> torch.Tensor:
        """Return r(t)."""
        decayed = torch.exp(-self.rate * t * self.values)
        return self.basis @ (torch.where(self.alive, decayed, 1.0) * self.coefficients)

    def integral(self, t: float) -> torch.Tensor:
        """Return rate * the integral of r from 0 to t."""
        weights = -torch.expm1(-self.rate * t * self.values) / self.values
        return self.basis @ (torch.where(self.alive, weights, self.rate * t) * self.coefficients)

    def fastest(self) -> float:
        """Return the largest rate of decay."""
        return self.rate * float(self.values[-1])

    def stuck_loss(self) -> float:
        """Return the mean square of what no parameter can change."""
        return float((self.coefficients**2 * ~self.alive).mean())

    def function_norm(self, values: torch.Tensor) -> float:
        """Norm in the RKHS of K of the least function with these values at the data."""
        return float(((self.basis.T @ values) ** 2 / self.values * self.alive).sum().sqrt())


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


@dataclass(frozen=True)
class Linearization:
    """A point of the flow with all that is linear algebra there."""

    theta: torch.Tensor  # (2 + D, n + 1), see Model
    zeta: torch.Tensor
    residual: torch.Tensor  # (m,)
    kernel: torch.Tensor  # (m, m)
    rate: float
    positive: torch.Tensor  # u > 0, (m, n + 1)
    held: Kinks
    reaction: torch.Tensor  # R, (H, m)
    jacobian: torch.Tensor | None  # (2 + D, m, n + 1), if that is a single block

    @property
    def loss(self) -> float:
        """The mean squared error."""
        return float((self.residual**2).mean())

    @functools.cached_property
    def decay(self) -> Decay:
        """The flow of the residual for as long as K is what it is here."""
        return Decay(self.kernel, self.residual, self.rate)

    def finite(self) -> bool:
        """Whether nothing has overflowed."""
        return bool(torch.isfinite(self.residual.sum() + self.kernel.sum()))


class Model:
    """The network as a map of one array of parameters, (2 + D, n + 1), with rows a, b, w.

    The last column is one more unit, which is always 1: its output weight is d, and the rest of it
    has no effect.
    """

    def __init__(self, net, x, y, potential, scaled, center, rate) -> None:
        self.net, device = net, net.input_bias.device
        x, self.y = torch.as_tensor(x, device=device), torch.as_tensor(y, device=device)
        self.rate = rate / len(y)
        self.design = torch.cat([-torch.ones_like(x[:, :1]), x], dim=1)  # u = design @ (b, w)
        self.same = (x[:, None] == x).all(-1).to(x.dtype)  # repeated inputs share their kinks
        self.first = self.same.tril(-1).sum(1) == 0
        sides = torch.tensor([-1e-300, 1e-300], dtype=x.dtype, device=device)
        self.left, self.right = net.activation.derivative(sides).tolist()
        theta = torch.vstack([net.output_weight, net.input_bias, net.input_weight.T])
        theta = torch.hstack([theta, net.output_bias.expand(len(theta), 1)])
        self.mirror = mirror_map(potential, theta, scaled=scaled, center=center, width=net.width)
        none = torch.zeros(0, dtype=torch.long, device=device)
        self.start = self.linearize(self.mirror.dual(theta), Kinks(none, none), theta)

    # One state.

    def linearize(
        self, zeta: torch.Tensor, held: Kinks, theta: torch.Tensor | None = None
    ) -> Linearization:
        """Linearize at zeta, where the held preactivations are zero."""
        m, blocks = len(self.y), list(self._blocks(zeta))
        primal = torch.empty_like(zeta) if theta is None else theta
        positive = torch.empty((m, zeta.shape[1]), dtype=torch.bool, device=zeta.device)
        residual, kernel = -self.y, torch.zeros_like(self.same)
        for block in blocks:
            mirror = self._mirror(block)
            if theta is None:
                primal[:, block] = mirror.primal(zeta[:, block])
            part = primal[:, block]
            positive[:, block], j = self._jacobian(part, block)
            residual = residual + j[0] @ part[0]
            kernel += ((j / mirror.metric(part)[:, None]) @ j.mT).sum(0)
        reaction = self.design[:0] @ self.design.T
        if held.any():
            gram, moves = self._held(primal[:, held.units], held)
            reaction = _solve(gram, moves)
            kernel -= moves.T @ reaction
        return Linearization(
            primal, zeta, residual, kernel, self.rate, positive, held, reaction,
            j if len(blocks) == 1 else None,
        )  # fmt: skip

    def pull_back(self, at: Linearization, v: torch.Tensor) -> torch.Tensor:
        """Return J^T v."""
        if at.jacobian is not None:
            result = v @ at.jacobian
        else:
            result = torch.empty_like(at.zeta)
            for block in self._blocks(at.zeta):
                result[:, block] = v @ self._jacobian(at.theta[:, block], block)[1]
        if at.held.any():
            self._add_forces(result, at.held, -(at.reaction @ v))
        return result

    def _blocks(self, zeta: torch.Tensor) -> Iterator[slice]:
        size = max(1, _BLOCK // (len(zeta) * len(self.y)))
        for start in range(0, zeta.shape[1], size):
            yield slice(start, start + size)

    def _mirror(self, units) -> MirrorMap:
        """Return the mirror map of some units."""
        return MirrorMap(self.mirror.potential, self.mirror.centre[:, units], self.mirror.scale)

    def _jacobian(self, theta: torch.Tensor, block: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return u > 0 and the derivatives by a, b and w of a block of units."""
        u = self.design @ theta[1:]
        j = torch.empty((len(theta), *u.shape), dtype=u.dtype, device=u.device)
        j[0] = self.net.activation(u)
        torch.mul(
            self.design.T[:, :, None], self.net.activation.derivative(u) * theta[0], out=j[1:]
        )
        if block.stop > self.net.width:
            j[0, :, -1], j[1:, :, -1] = 1.0, 0.0
        return u > 0, j

    def changes(self, at: Linearization) -> tuple[float, float]:
        """Return the sup norm of theta's change and the relative change of the kernel."""
        kernel = self.start.kernel
        moved = torch.linalg.norm(at.kernel - kernel) / torch.linalg.norm(kernel)
        return float((at.theta - self.start.theta).abs().max()), float(moved)

    def network(self, at: Linearization) -> ShallowNetwork:
        """Return a network with the parameters of a state."""
        net = copy.deepcopy(self.net)
        net.output_weight.copy_(at.theta[0, :-1])
        net.output_bias.copy_(at.theta[0, -1])
        net.input_bias.copy_(at.theta[1, :-1])
        net.input_weight.copy_(at.theta[2:, :-1].T)
        return net

    # Kinks.

    def reach(self, at: Linearization, through: Linearization, v: torch.Tensor) -> Linearization:
        """Go from `at` to zeta - J^T v, J taken from `through`, and hold the kinks that slide."""
        zeta = at.zeta - self.pull_back(through, v)
        held = through.held
        self._put(zeta, held, torch.ones_like(zeta[0, held.units]))
        new = self.linearize(zeta, held)
        if self.left == self.right or not new.finite():
            return new
        met = Kinks(*torch.nonzero(self._crossed(at, through, new), as_tuple=True))
        kinks = held.joined(met)
        if not kinks.any():
            return new
        slides, side = self._sliding(new, kinks, v)
        changed = slides.clone()
        changed[: len(held.points)] ^= True
        if not bool(changed.any()):
            return new
        changed[: len(held.points)] = True
        changed |= slides
        side[slides] = 1.0
        self._put(zeta, kinks.those(changed), side[changed])
        return self.linearize(zeta, kinks.those(slides))

    def _crossed(self, at, through, new) -> torch.Tensor:
        """Return which preactivations have changed their sign and are not held, (m, n + 1)."""
        before = at.positive
        if at.held.any():
            before = before.clone()
            before[at.held] = through.positive[at.held]
        crossed = (new.positive != before) & self.first[:, None]
        crossed[new.held] = False
        return crossed

    def _sliding(self, at: Linearization, kinks: Kinks, v) -> tuple[torch.Tensor, torch.Tensor]:
        """Return which kinks the flow slides along and the side, -1 or 1, to which it leaves others.

        It slides where the force a_k r_i s that keeps u_k(x_i) = 0 has a slope s between the sides.
        """
        slides = torch.ones_like(kinks.points, dtype=torch.bool)
        side = torch.zeros_like(at.theta[0, kinks.units])
        while kinks.any():
            gram, moves = self._held(near := at.theta[:, kinks.units], kinks)
            pull = self.same[kinks.points] * v
            raw = (pull * self._slopes(near)).sum(1)
            needed = raw - _solve(gram, moves @ v)
            unit = near[0] * pull.sum(1)
            excess = needed - 0.5 * (self.left + self.right) * unit
            inside = excess.abs() <= 0.5 * (self.right - self.left) * unit
            side[slides] = torch.where(inside, 0.0, torch.sign(excess))
            slides[slides.clone()] = inside
            if bool(inside.all()):
                break
            kinks = kinks.those(inside)
        return slides, side

    def _put(self, zeta: torch.Tensor, kinks: Kinks, side: torch.Tensor) -> None:
        """Move zeta along C^T until the preactivations are zero, or just beside it."""
        if not kinks.any():
            return
        mirror, points = self._mirror(kinks.units), self.design[kinks.points]
        small = _ZERO * points.abs().sum(1)
        for _ in range(20):
            near = mirror.primal(zeta[:, kinks.units])
            error = (points * near[1:].T).sum(1) - 2 * side * small
            if not bool((error.abs() > small).any()):
                return
            gram, _ = self._held(near, kinks)
            self._add_forces(zeta, kinks, -_solve(gram, error))

    def _held(self, near: torch.Tensor, kinks: Kinks) -> tuple[torch.Tensor, torch.Tensor]:
        """Return C M^-1 C^T, (H, H), and C M^-1 J^T, (H, m), at the parameters of the units."""
        points, units = kinks
        gradients = self.design[points] / self._mirror(units).metric(near)[1:].T
        gram = (gradients @ self.design[points].T) * (units[:, None] == units)
        return gram, (gradients @ self.design.T) * self._slopes(near)

    def _slopes(self, theta: torch.Tensor) -> torch.Tensor:
        """Return a sigma'(u) of some units, (units, m)."""
        u = theta[1:].T @ self.design.T
        return self.net.activation.derivative(u) * theta[0][:, None]

    def _add_forces(self, zeta: torch.Tensor, kinks: Kinks, forces: torch.Tensor) -> None:
        """Add C^T forces."""
        zeta[1:].index_add_(1, kinks.units, self.design[kinks.points].T * forces)


def _solve(gram: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solve with a Gram matrix, whose rows may depend on each other."""
    ridge = torch.diag(1e-13 * gram.diagonal())
    return torch.linalg.solve_ex(gram + ridge, right)[0]
