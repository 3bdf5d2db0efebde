r"""Steps of mirror descent, elementwise on tensors.

A step takes x to x + d with :math:`\varphi'(x + d) = \varphi'(x) - z`. `plain` says so; the others
find the same d in fewer passes over the memory. All make it exactly zero where z is.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from mflib._torch import torch
from mflib.potentials import Entropy, Hypentropy, Potential, Power, Quadratic, Regularized, Rescaled

Tensor = torch.Tensor


class Piece(NamedTuple):
    """Some parameters, of which none but `out` may be changed; all but `out` of one dtype."""

    theta: Tensor
    centre: Tensor | None  # None is the origin
    gradient: Tensor
    out: Tensor  # where theta + d / scale goes; may be theta, and is written last
    lr: float
    scale: float

    def x(self) -> Tensor:
        x = self.theta if self.centre is None else self.theta - self.centre
        return x if self.scale == 1 else x * self.scale

    def longest(self) -> float:
        """Return the largest |z|."""
        low, high = self.gradient.aminmax()
        return abs(self.lr) * self.scale * torch.maximum(-low, high).item()

    def z(self, factor: float = 1.0) -> Tensor:
        return self.gradient * (factor * self.lr * self.scale)


def plain(potential: Potential, piece: Piece) -> None:
    """Step by the definition of d."""
    x, z = piece.x(), piece.z()
    end = potential.inverse_gradient(potential.gradient(x) - z)
    d = torch.where(z == 0, 0.0, end - x)
    torch.add(piece.theta, d, alpha=1 / piece.scale, out=piece.out)


def fused(potential: Potential, piece: Piece) -> None:
    """Step in the fastest way that is known for the potential."""
    kind, exponent = type(potential), _exponent(potential)
    if (
        isinstance(potential, Rescaled) and kind is Rescaled
    ):  # phi(s (theta - c) / C), its slope divided by C
        c = potential.c
        fused(potential.phi, piece._replace(scale=piece.scale / c, lr=piece.lr * c**2))
    elif kind is Quadratic:  # gradient descent, whatever the centre
        torch.add(piece.theta, piece.gradient, alpha=-0.5 * piece.lr, out=piece.out)
    elif kind is Entropy:  # a factor, so that small parameters keep their digits
        torch.mul(piece.theta, piece.z(-1.0).exp_(), out=piece.out)
    elif isinstance(potential, Hypentropy) and kind is Hypentropy:
        _hypentropy(potential, piece)
    elif isinstance(potential, Regularized) and exponent == 3:
        _cubic(potential, piece)
    elif isinstance(potential, Regularized) and exponent == 4:
        _quartic(potential, piece)
    else:
        _newton(potential, piece)


def bound(potential: Potential, x: float, z: float) -> float:
    """Bound all numbers of a step, `plain` and `fused`, by those of x and z; inf if none is known.

    The bounds are generous: where they are too large a step takes a copy, and is as exact.
    """
    exponent = _exponent(potential)
    if type(potential) is Quadratic:
        return 2.0 * (x + z)
    if type(potential) is Hypentropy:  # of x^2, x / beta, and |x + d| <= (|x| + beta) exp|z|
        beta = potential.beta
        most = (1.0 + x + beta + 1.0 / beta) * math.exp(min(z, 700.0))
        return most * most
    if isinstance(potential, Regularized) and exponent in (3, 4):  # of x^3, and |d| <= |z| / phi''
        weight = 1.0 + potential.omega + 1.0 / potential.omega
        most = 4.0 * weight * (1.0 + x + z)
        return most * most * most * most
    return math.inf


def _exponent(potential: Potential) -> float | None:
    """Return p of a regularized power, and None of all else."""
    if type(potential) is Regularized and type(potential.psi) is Power:
        return potential.psi.exponent
    return None


def _hypentropy(potential: Hypentropy, piece: Piece) -> None:
    r"""By :math:`d = x(\cosh z - 1) - \sqrt{x^2 + \beta^2}\sinh z`."""
    beta2, longest = (potential.beta / piece.scale) ** 2, piece.longest()
    limits = torch.finfo(piece.theta.dtype)
    # for long steps the two terms would cancel
    if not (longest < 0.9 and limits.tiny < beta2 < limits.max):
        return plain(potential, piece)
    # the potential of theta - c itself, which is a hypentropy as well
    piece = piece._replace(lr=piece.lr * piece.scale, scale=1.0)
    x, z = piece.x(), piece.z()
    d = (x * x).add_(beta2).sqrt_()
    if longest**3 < 6.0 * limits.eps:  # cosh z - 1 = z^2/2, to rounding, and sinh z = z + z^3/6
        if longest**2 > limits.eps:  # else sinh z = z
            d.addcmul_(d, z * z, value=1 / 6)
        d.addcmul_(x, z, value=-0.5)
        torch.addcmul(piece.theta, d, z, value=-1.0, out=piece.out)
    else:  # sinh z = e (2 + e) / (2 + 2 e) and cosh z - 1 = e^2 / (2 + 2 e) with e = exp z - 1
        e = z.expm1_()
        more = e + 2.0
        d.mul_(more).addcmul_(x, e, value=-1.0).mul_(e)
        torch.addcdiv(piece.theta, d, more.sub_(1.0), value=-0.5, out=piece.out)
    return None


def _cubic(potential: Regularized, piece: Piece) -> None:
    """By the root of 3 |y| y + 2 omega y = c."""
    omega, x, z = potential.omega, piece.x(), piece.z()
    c = x.abs()
    work = torch.empty_like(c)
    c.mul_(3.0).add_(2.0 * omega).mul_(x).add_(z, alpha=-(1.0 + omega))
    torch.abs(c, out=work).mul_(3.0).add_(omega**2).sqrt_().add_(omega)
    d = c.div_(work).sub_(x)
    moved = z.sign_().square_()
    torch.addcmul(piece.theta, d, moved, value=1 / piece.scale, out=piece.out)


def _quartic(potential: Regularized, piece: Piece) -> None:
    """By Newton's method for 4 (x + d)^3 + 2 omega d - 4 x^3 = -(1 + omega) z, divided by d."""
    x, z = piece.x(), piece.z(1.0 + potential.omega)
    slope = (x * x).mul_(12.0).add_(2.0 * potential.omega)
    d = (z / slope).neg_()
    work, error = torch.empty_like(x), torch.empty_like(x)
    for _ in range(6):
        torch.addcmul(slope, torch.add(d, x, alpha=3.0, out=work), d, value=4.0, out=error)
        error.mul_(d).add_(z)
        torch.addcmul(slope, torch.add(d, x, alpha=2.0, out=work), d, value=12.0, out=work)
        d.addcdiv_(error, work, value=-1.0)
        error.abs_().sub_(torch.abs(z, out=work), alpha=torch.finfo(x.dtype).eps ** 0.5)
        if error.amax().item() <= 0:
            torch.add(piece.theta, d, alpha=1 / piece.scale, out=piece.out)
            return None
    return plain(potential, piece)


def _newton(potential: Potential, piece: Piece) -> None:
    """By Newton's method from x, which needs two or three steps where z is small."""
    x, z = piece.x(), piece.z()
    eps = torch.finfo(x.dtype).eps
    start, hessian = _slopes(potential, x)
    # one step more leaves what rounding does
    enough = z.abs().mul_(eps**0.5).add_(start.abs(), alpha=16 * eps)
    y = torch.addcdiv(x, z, hessian, value=-1.0)
    for _ in range(6):
        gradient, hessian = _slopes(potential, y)
        error = (gradient - start).add_(z)
        last = error.abs().sub_(enough).amax().item() <= 0
        y.addcdiv_(error, hessian, value=-1.0)
        if last:
            torch.add(piece.theta, y.sub_(x), alpha=1 / piece.scale, out=piece.out)
            return None
    return plain(potential, piece)


def _slopes(potential: Potential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradient and Hessian; they share a power where that of the Hessian is finite."""
    p = _exponent(potential)
    if p is None or p < 2 or not isinstance(potential, Regularized):
        return potential.gradient(x), potential.hessian(x)
    constant = 2.0 * potential.omega / (1.0 + potential.omega)
    power = x.abs().pow_(p - 2.0).mul_(p / (1.0 + potential.omega))
    return (power + constant).mul_(x), power.mul_(p - 1.0).add_(constant)
