r"""Steps of mirror descent, elementwise on tensors.

A step takes x to x + d with :math:`\varphi'(x + d) = \varphi'(x) - z`. `plain` says so; the others
find the same d in fewer passes over the memory. All make it exactly zero where z is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mflib.potentials import Entropy, Hypentropy, Potential, Power, Quadratic, Regularized, Rescaled

Displacement = Callable[[Potential, Tensor, Tensor], Tensor]


def plain(potential: Potential, x: Tensor, z: Tensor) -> Tensor:
    """Return d by its definition."""
    end = potential.inverse_gradient(potential.gradient(x) - z)
    return torch.where(z == 0, 0.0, end - x)


def fused(potential: Potential, x: Tensor, z: Tensor) -> Tensor:
    """Return d in the fastest way that is known for the potential."""
    if type(potential) is Hypentropy:
        return _hypentropy(potential, x, z)
    if type(potential) is Regularized and potential.psi == Power(3):
        return _cubic(potential, x, z)
    return _newton(potential, x, z)


def step(
    potential: Potential,
    place: tuple[Tensor, Tensor | None, float],
    gradient: Tensor,
    lr: float,
    *,
    out: Tensor,
    displacement: Displacement = fused,
) -> None:
    """Write the end of a step from a place: parameters, their centre or None for 0, and scale."""
    theta, centre, scale = place
    if type(potential) is Rescaled:  # phi(s (theta - c) / C), its slope divided by C
        place, lr = (theta, centre, scale / potential.c), lr * potential.c**2
        step(potential.phi, place, gradient, lr, out=out, displacement=displacement)
    elif type(potential) is Quadratic:  # gradient descent, whatever the centre
        torch.add(theta, gradient, alpha=-0.5 * lr, out=out)
    elif type(potential) is Entropy:  # a factor, so that small parameters keep their digits
        torch.mul(theta, torch.exp(gradient * (-lr * scale)), out=out)
    else:
        x = theta if centre is None else theta - centre
        d = displacement(potential, x if scale == 1 else x * scale, gradient * (lr * scale))
        torch.add(theta, d, alpha=1 / scale, out=out)


def _hypentropy(potential: Hypentropy, x: Tensor, z: Tensor) -> Tensor:
    r"""By :math:`d = x(\cosh z - 1) - \sqrt{x^2 + \beta^2}\sinh z`, with t = tanh(z/2)."""
    t = (0.5 * z).tanh_()
    square = t * t
    beta2 = potential.beta**2
    limits = torch.finfo(x.dtype)
    # for long steps the two terms would cancel
    if not (float(square.amax()) < 0.2 and limits.tiny < beta2 < limits.max):
        return plain(potential, x, z)
    root = (x * x).add_(beta2).sqrt_()
    return root.addcmul_(x, t, value=-1.0).mul_(t).div_(square.sub_(1.0).mul_(0.5))


def _cubic(potential: Regularized, x: Tensor, z: Tensor) -> Tensor:
    """By the root of 3 |y| y + 2 omega y = c."""
    omega = potential.omega
    c = x.abs().mul_(3.0).add_(2.0 * omega).mul_(x).add_(z, alpha=-(1.0 + omega))
    y = c / c.abs().mul_(3.0).add_(omega**2).sqrt_().add_(omega)
    return y.sub_(x).mul_(z.sign().square_())


def _newton(potential: Potential, x: Tensor, z: Tensor) -> Tensor:
    """By Newton's method from x, which needs two or three steps where z is small."""
    eps = torch.finfo(x.dtype).eps
    start, hessian = _slopes(potential, x)
    # then the next step leaves what rounding does
    enough = z.abs().mul_(eps**0.5).add_(start.abs(), alpha=16 * eps)
    y = x - z / hessian
    for _ in range(6):
        gradient, hessian = _slopes(potential, y)
        error = gradient - start + z
        last = float((error.abs() - enough).amax()) <= 0
        y = y - error / hessian
        if last:
            return y - x
    return plain(potential, x, z)


def _slopes(potential: Potential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return gradient and Hessian; they share a power where that of the Hessian is finite."""
    psi = getattr(potential, "psi", None)
    if type(potential) is not Regularized or type(psi) is not Power or psi.exponent < 2:
        return potential.gradient(x), potential.hessian(x)
    p, constant = psi.exponent, 2.0 * potential.omega / (1.0 + potential.omega)
    power = (x * x if p == 4 else x.abs().pow_(p - 2.0)).mul_(p / (1.0 + potential.omega))
    return (power + constant).mul_(x), power.mul_(p - 1.0).add_(constant)
