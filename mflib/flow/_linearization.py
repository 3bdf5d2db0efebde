r"""The network as a map of its parameters, linearized where the flow is.

The linearization is the residual r, the kernel :math:`K = J M^{-1} J^\top`,
:math:`M = \nabla^2 \Phi`, and the product :math:`J^\top v`. Sums over the units are taken a block
of units at a time, so that what is as large as J stays in the cache and is never stored.
Kinks along which the flow slides are held, see ``mflib.flow._sliding``.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterator

import torch

from mflib.flow._sliding import Contacts, Kinks, gram_solve, jacobian_kernel
from mflib.mirror_maps import MirrorMap, mirror_map
from mflib.networks import ShallowNetwork

__all__ = ["Decay", "Linearization", "Model"]

_BLOCK = 1 << 17  # entries of a block of J: one megabyte, which stays in the cache
_NULL = 1e-13  # eigenvalues of K below this share of the largest are rounding


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


@dataclasses.dataclass(frozen=True)
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

    def __init__(self, net, x, y, potential, scaled, center, rate, rtol) -> None:
        self.net, device = net, net.input_bias.device
        x, self.y = torch.as_tensor(x, device=device), torch.as_tensor(y, device=device)
        self.rate = rate / len(y)
        self.design = torch.cat([-torch.ones_like(x[:, :1]), x], dim=1)  # u = design @ (b, w)
        self.same = (x[:, None] == x).all(-1).to(x.dtype)  # repeated inputs share their kinks
        self.first = self.same.tril(-1).sum(1) == 0
        sides = torch.tensor([-1e-300, 1e-300], dtype=x.dtype, device=device)
        self.sides = net.activation.derivative(sides).tolist()
        theta = torch.vstack([net.output_weight, net.input_bias, net.input_weight.T])
        theta = torch.hstack([theta, net.output_bias.expand(len(theta), 1)])
        self.mirror = mirror_map(potential, theta, scaled=scaled, center=center, width=net.width)
        none = torch.zeros(0, dtype=torch.long, device=device)
        self.free, self.no_reaction = Kinks(none, none), self.design[:0] @ self.design.T
        self.start = self.linearize(self.mirror.dual(theta), theta)
        self.rtol = rtol
        if not self.start.finite():
            raise ValueError(
                "net or its derivative is infinite or not a number at x: check its parameters, "
                f"the activation {net.activation!r}, and the scale of x and y."
            )

    def linearize(self, zeta: torch.Tensor, theta: torch.Tensor | None = None) -> Linearization:
        """Linearize at zeta, where no kink is held."""
        m, blocks = len(self.y), list(self._blocks(zeta))
        primal = torch.empty_like(zeta) if theta is None else theta
        positive = torch.empty((m, zeta.shape[1]), dtype=torch.bool, device=zeta.device)
        residual, kernel = -self.y, torch.zeros_like(self.same)
        for block in blocks:
            mirror = self._mirror(block)
            if theta is None:
                primal[:, block] = mirror.primal(zeta[:, block])
            near = primal[:, block]
            positive[:, block], j = self._jacobian(near, block.stop > self.net.width)
            residual = residual + j[0] @ near[0]
            kernel += jacobian_kernel(j, mirror.metric(near))
        return Linearization(
            primal, zeta, residual, kernel, self.rate, positive, self.free, self.no_reaction,
            j if len(blocks) == 1 else None,
        )  # fmt: skip

    def pull_back(self, at: Linearization, v: torch.Tensor) -> torch.Tensor:
        """Return J^T v."""
        if at.jacobian is not None:
            result = v @ at.jacobian
        else:
            result = torch.empty_like(at.zeta)
            for block in self._blocks(at.zeta):
                _, j = self._jacobian(at.theta[:, block], block.stop > self.net.width)
                result[:, block] = v @ j
        if at.held.any():
            forces = self.design[at.held.points].T * (at.reaction @ v)
            result[1:].index_add_(1, at.held.units, forces, alpha=-1)
        return result

    def _blocks(self, zeta: torch.Tensor) -> Iterator[slice]:
        entries = _BLOCK if zeta.device.type == "cpu" else 1 << 26
        size = max(256, entries // (len(zeta) * len(self.y)))
        for start in range(0, zeta.shape[1], size):
            yield slice(start, start + size)

    def _mirror(self, units) -> MirrorMap:
        """Return the mirror map of some units."""
        return MirrorMap(self.mirror.potential, self.mirror.center[:, units], self.mirror.scale)

    def _jacobian(self, theta, bias: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return u > 0, (m, units), and the derivatives by a, b, w, (2 + D, m, units).

        bias : whether the last unit is the one that stands for the output bias.
        """
        u = self.design @ theta[1:]
        j = torch.empty((len(theta), *u.shape), dtype=u.dtype, device=u.device)
        j[0] = self.net.activation(u)
        slopes = self.net.activation.derivative(u) * theta[0]
        torch.mul(self.design.T[:, :, None], slopes, out=j[1:])
        if bias:
            j[0, :, -1], j[1:, :, -1] = 1.0, 0.0
        return u > 0, j

    def share(self, values: torch.Tensor, decay: Decay) -> float:
        """Return the size of a function beside all that is to be learned, in units of rtol.

        At the data and in the kernel's norm: if the kernel is nearly singular, that norm of what is
        to be learned may be so large that it alone would allow anything.
        """
        norms = torch.linalg.vector_norm, decay.function_norm
        return max(
            float(norm(values)) / max(self.rtol * float(norm(self.start.residual)), 1e-300)
            for norm in norms
        )

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
        """Go from `at` to zeta - J^T v, with J of `through`, and hold the kinks that slide."""
        new = self.linearize(at.zeta - self.pull_back(through, v))
        if self.sides[0] == self.sides[1] or not new.finite():
            return new
        met = self._met(at, through, new)
        if met.any() and not self._matters(at, new, met):
            met = self.free
        kinks = through.held.joined(met)
        if not kinks.any():
            return new
        return self._hold(new, kinks, len(through.held.units), v, keep=self._nearly_done(at))

    def _met(self, at, through, new) -> Kinks:
        """Return the preactivations that have changed their sign and were not held."""
        before = at.positive
        if at.held.any():
            before = before.clone()
            before[at.held] = through.positive[at.held]
        crossed = (new.positive != before) & self.first[:, None]
        if through.held.any():
            crossed[through.held] = False
        return Kinks(*torch.nonzero(crossed, as_tuple=True))

    def _matters(self, at: Linearization, new: Linearization, met: Kinks) -> bool:
        """Whether it changes the function, seen at the tolerance, to put these kinks back to 0."""
        near = new.theta[:, met.units]
        change = near[0] * (self.design[met.points] * near[1:].T).sum(1)
        change *= self.sides[1] - self.sides[0]
        change = torch.zeros_like(self.y).index_add_(0, met.points, change.abs())
        return self.share(change, at.decay) > 0.1

    def _nearly_done(self, at: Linearization) -> bool:
        """Whether what is left to learn is below the tolerance: the velocity's sign is unknown."""
        return self.share(at.residual, at.decay) <= 1 and 2 * at.decay.stuck_loss() < at.loss

    def _hold(self, new, kinks: Kinks, before: int, v, *, keep: bool = False) -> Linearization:
        """Hold those of the kinks that slide; the first `before` ones have been held so far.

        keep : whether these stay held in any case.
        """
        contacts = Contacts(kinks, self.design, self.mirror)
        units, place = contacts.units, contacts.place
        near = new.theta[:, units]
        _, j = self._jacobian(near, bias=False)
        forces = self.same[kinks.points] * v
        own, unit = (forces * -j[1].T[place]).sum(1), forces.sum(1) * near[0, place]
        slides, side = contacts.sliding(near, j, own, unit, v, self.sides)
        if keep:
            slides[:before], side[:before] = True, 1.0
        touched = slides.clone()
        touched[:before] = True
        if not bool(touched.any()):
            return new
        zeta = new.zeta[:, units]
        put = contacts.put(zeta, touched, side)
        new.zeta[:, units], new.theta[:, units] = zeta, put
        new.positive[:, units], after = self._jacobian(put, bias=False)
        if new.jacobian is not None:
            new.jacobian[:, :, units] = after
        moved = contacts.kernel(put, after) - contacts.kernel(near, j)
        gram, moves = contacts.products(put, after)
        reaction = gram_solve(gram[slides][:, slides], moves[slides])
        return dataclasses.replace(
            new,
            residual=new.residual + after[0] @ put[0] - j[0] @ near[0],
            kernel=new.kernel + moved - moves[slides].T @ reaction,
            held=kinks.those(slides),
            reaction=reaction,
        )
