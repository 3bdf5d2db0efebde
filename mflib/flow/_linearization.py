r"""Mirror flow, linearized where it is.

The linearization is the residual r, the kernel :math:`K = J M^{-1} J^\top`,
:math:`M = \nabla^2 \Phi`, and the product :math:`J^\top v`. Sums over the units are taken a block
of units at a time, so that what is as large as J stays in the cache and is never stored.
Kinks along which the flow slides are held, see ``mflib.flow._sliding``.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

from mflib._torch import torch
from mflib.flow._parameters import Layout
from mflib.mirror_maps import MirrorMap, mirror_map
from mflib.networks import ShallowNetwork
from mflib.potentials import Potential, check_where_used

__all__ = ["Decay", "Kinks", "Linearization", "MirrorFlow", "Tolerance", "kernel_of"]

_ROUNDING = 4 * torch.finfo(torch.float64).eps
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

    def solve(self, values: torch.Tensor) -> torch.Tensor:
        """Return K^-1 times these values, without what no parameter can change."""
        return self.basis @ (self.basis.T @ values / self.values * self.alive)

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


@dataclasses.dataclass(frozen=True)
class Linearization:
    """A point of the flow with all that is linear algebra there."""

    theta: torch.Tensor  # (2 + D, n + 1), see Layout
    zeta: torch.Tensor
    residual: torch.Tensor  # (m,)
    kernel: torch.Tensor  # (m, m)
    rate: float
    positive: torch.Tensor  # u > 0, (m, n + 1)
    held: Kinks  # along which the flow slides
    reaction: torch.Tensor  # R of mflib.flow._sliding, (H, m)
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


class MirrorFlow:
    """The flow of a network's parameters, and its linearizations.

    Parameters
    ----------
    net : ShallowNetwork
        The network at the start.
    x, y : Tensor, shapes (m, D) and (m,)
        The data.
    potential, scaled, center
        What defines the mirror map, see `mirror_flow`.
    rate : float
        The learning rate.
    """

    def __init__(
        self,
        net: ShallowNetwork,
        x: torch.Tensor,
        y: torch.Tensor,
        *,
        potential: Potential,
        scaled: bool,
        center: str,
        rate: float,
    ) -> None:
        self.layout, self.x, self.y, self.rate = Layout(net, x), x, y, rate / len(y)
        self.no_kinks = Kinks(*torch.zeros((2, 0), dtype=torch.long, device=x.device))
        theta = self.layout.theta()
        self.mirror = mirror_map(potential, theta, scaled=scaled, center=center, width=net.width)
        self.start = self.linearize(self.mirror.dual(theta), theta)
        if not self.start.finite():
            raise ValueError(
                "net or its derivative is infinite or not a number at x: check its parameters, "
                f"the activation {net.activation!r}, and the scale of x and y."
            )

    def linearize(self, zeta: torch.Tensor, theta: torch.Tensor | None = None) -> Linearization:
        """Linearize at zeta, where no kink is held."""
        m, blocks = len(self.y), list(self.layout.blocks())
        primal = torch.empty_like(zeta) if theta is None else theta
        positive = torch.empty((m, zeta.shape[1]), dtype=torch.bool, device=zeta.device)
        residual, kernel = -self.y, self.y.new_zeros((m, m))
        for block in blocks:
            mirror = self.mirror_of(block)
            if theta is None:
                primal[:, block] = mirror.primal(zeta[:, block])
            positive[:, block], j = self.layout.jacobian(primal, block)
            residual = residual + j[0] @ primal[0, block]
            kernel += kernel_of(j, mirror.metric(primal[:, block]))
        return Linearization(
            theta=primal,
            zeta=zeta,
            residual=residual,
            kernel=kernel,
            rate=self.rate,
            positive=positive,
            held=self.no_kinks,
            reaction=self.y.new_zeros((0, m)),
            jacobian=j if len(blocks) == 1 else None,
        )

    def pull_back(self, at: Linearization, v: torch.Tensor) -> torch.Tensor:
        """Return J^T v."""
        if at.jacobian is not None:
            result = v @ at.jacobian
        else:
            result = torch.empty_like(at.zeta)
            for block in self.layout.blocks():
                result[:, block] = v @ self.layout.jacobian(at.theta, block)[1]
        if at.held.any():
            forces = self.layout.design[at.held.points].T * (at.reaction @ v)
            result[1:].index_add_(1, at.held.units, forces, alpha=-1)
        return result

    def is_rounding(self, at: Linearization) -> bool:
        """Whether the residual is what the rounding of its terms, and of theta, leaves."""
        terms = self.y.abs()
        for block in self.layout.blocks():
            _, j = self.layout.jacobian(at.theta, block)
            terms = terms + (j * at.theta[:, None, block]).abs().sum((0, 2))
        return at.loss <= float(((_ROUNDING * terms) ** 2).mean())

    def mirror_of(self, units) -> MirrorMap:
        """Return the mirror map of some units."""
        return MirrorMap(self.mirror.potential, self.mirror.center[:, units], self.mirror.scale)

    def changes(self, at: Linearization) -> tuple[float, float]:
        """Return the sup norm of theta's change and the relative change of the kernel."""
        kernel = self.start.kernel
        moved = torch.linalg.norm(at.kernel - kernel) / torch.linalg.norm(kernel)
        return float((at.theta - self.start.theta).abs().max()), float(moved)

    def check_potential(self, at: Linearization) -> None:
        """Raise if the methods of the potential do not fit each other where the parameters are."""
        phi, argument = self.mirror.potential, self.mirror._moved(at.theta)
        check_where_used(phi, lambda: [(phi, argument.cpu().numpy())], torch)

    def network(self, at: Linearization) -> ShallowNetwork:
        """Return a network with the parameters of a state."""
        return self.layout.network(at.theta)


class Tolerance:
    """The error that a step may have, relative to all that was to be learned at the start."""

    def __init__(self, start: Linearization, rtol: float) -> None:
        self.residual, self.rtol = start.residual, rtol

    def share(self, values: torch.Tensor, decay: Decay) -> float:
        """Return the size of a function, given at the data, in units of the tolerance.

        At the data and in the kernel's norm: if the kernel is nearly singular, that norm of what is
        to be learned may be so large that it alone would allow anything.
        """
        return max(
            float(norm(values)) / max(self.rtol * float(norm(self.residual)), 1e-300)
            for norm in (torch.linalg.vector_norm, decay.function_norm)
        )


def kernel_of(j: torch.Tensor, metric: torch.Tensor) -> torch.Tensor:
    """Return J M^-1 J^T, (m, m), from J, (2 + D, m, units), and M, (2 + D, units)."""
    return ((j / metric[:, None]) @ j.mT).sum(0)
