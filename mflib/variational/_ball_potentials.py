r"""Potentials in ball arithmetic: every value comes with a radius that holds the truth.

All potentials here are even, :math:`\varphi(x) = F(x/C)` with :math:`F = A\psi + Qu^2` and
u = x/C; so half of each suffices.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from mflib._flint import arb
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized, Rescaled


def zero_within(radius: Any) -> Any:
    """The ball around 0 that holds all numbers of at most this size."""
    return arb(0, radius.abs_upper())


def hull(*balls: Any) -> Any:
    """The smallest ball that holds all of these."""
    result = balls[0]
    for ball in balls[1:]:
        result = result.union(ball)
    return result


def largest(*balls: Any) -> Any:
    """An upper bound of all of these."""
    return functools.reduce(lambda a, b: a.max(b), balls).upper()


class Curve(NamedTuple):
    """F where Re u > 0, along a parameter s of which all are entire functions."""

    u: Any
    value: Any
    slope: Any
    rise: Any  # the derivative of the slope with respect to s


class BallPotential:
    """A potential for u >= 0, as :math:`F = Qu^2`.

    given : the potential whose floating-point inverse the enclosures start from.
    """

    def __init__(self, given: Potential, share: Any, square: Any, scale: Any) -> None:
        self.given, self.share, self.square, self.scale = given, share, square, scale

    def value(self, u: Any) -> Any:
        return self.square * u * u

    def slope(self, u: Any) -> Any:
        return 2 * self.square * u

    def bend(self, u: Any) -> Any:
        return 2 * self.square

    def square_integral(self, u: Any) -> Any:
        """The integral of F'^2 from 0 to u."""
        return 4 * self.square**2 * u**3 / 3

    def primitives(self, u: Any) -> tuple[Any, Any, Any]:
        """Integrals of u, uF' and F against dF', by parts."""
        if u == 0:
            return arb(0), arb(0), arb(0)
        value, slope, squares = self.value(u), self.slope(u), self.square_integral(u)
        return u * slope - value, (u * slope**2 - squares) / 2, value * slope - squares

    def curve(self, s: Any) -> Curve:
        """By u = s, unless another parameter serves better."""
        return Curve(s, self.value(s), self.slope(s), self.bend(s))

    def parameter(self, u: Any) -> Any:
        return u

    @property
    def reaches_zero(self) -> bool:
        """Whether some s gives u = 0."""
        return True

    @property
    def is_quadratic(self) -> bool:
        return type(self) is BallPotential

    def is_flat(self, u: Any) -> bool:
        """Whether F'' is nearly that at 0."""
        there, here = self.bend(arb(0)), self.bend(u)
        return bool(here < 2 * there and there < 2 * here)

    @property
    def least_bend(self) -> Any:
        """A lower bound of F'' on all of R."""
        return 2 * self.square

    def largest_bend(self, least: Any, most: Any) -> Any:
        """An upper bound of F'' where least <= |u| <= most."""
        return self.bend(most)

    def convexity(self, least: Any) -> Any:
        """A g with D_F(u, v) >= g (u - v)^2 / 2 for all v, where |u| >= least."""
        return self.least_bend

    def inverse(self, slope: Any) -> Any:
        """The u >= 0 with F'(u) = slope > 0: wherever Newton ends, F' is steep, and so it is near.

        |u - v| <= |F'(u) - F'(v)| / least F''.
        """
        v = self._start(slope)
        for _ in range(12):
            step = (self.slope(v) - slope) / self.bend(v)
            new = (v - step).mid()
            if not new > 0:
                break
            v = new
            if step.abs_upper() <= 16 * step.rad() or step.contains(0):
                break
        return self.around(v, self.slope(v) - slope)

    def around(self, v: Any, miss: Any) -> Any:
        """The ball around v that holds the inverse, if F'(v) misses its argument by so much."""
        return v + zero_within(miss / self.least_bend)

    def _start(self, slope: Any) -> Any:
        z = np.array([float(slope.mid() / self.scale.mid())])
        with np.errstate(all="ignore"):
            u = float(self.given.inverse_mirror(z)[0]) / float(self.scale.mid())
        return arb(u) if np.isfinite(u) and u > 0 else slope.mid() / (2 * self.least_bend.mid())

    def alpha(self, z: Any) -> Any:
        """The coefficient of a field of any sign."""
        return self.scale * self.reduced(z)

    def reduced(self, z: Any) -> Any:
        """U = alpha/C of a field of any sign."""
        slope = self.scale * z
        if slope > 0:
            return self.inverse(slope)
        if slope < 0:
            return -self.inverse(-slope)
        return zero_within(slope / self.least_bend)


class BallPower(BallPotential):
    r"""With :math:`\psi = |u|^p`, p > 2; u = e^s unless p is an integer."""

    def __init__(self, *parts: Any, exponent: float) -> None:
        super().__init__(*parts)
        self.p: Any = int(exponent) if exponent == int(exponent) else arb(exponent)

    @property
    def reaches_zero(self) -> bool:
        return isinstance(self.p, int)

    def value(self, u: Any) -> Any:
        return super().value(u) + self.share * u**self.p

    def slope(self, u: Any) -> Any:
        return super().slope(u) + self.share * self.p * u ** (self.p - 1)

    def bend(self, u: Any) -> Any:
        return super().bend(u) + self.share * self.p * (self.p - 1) * u ** (self.p - 2)

    def square_integral(self, u: Any) -> Any:
        part, p = self.share * self.p, self.p
        mixed = 4 * self.square * part * u ** (p + 1) / (p + 1)
        return super().square_integral(u) + mixed + part**2 * u ** (2 * p - 1) / (2 * p - 1)

    def convexity(self, least: Any) -> Any:
        return self.least_bend + self.share * least ** (self.p - 2) / 2

    def curve(self, s: Any) -> Curve:
        if self.reaches_zero:
            return super().curve(s)
        u, power = s.exp(), self.share * (self.p * s).exp()
        square = self.square * u * u
        slope = (2 * square + self.p * power) / u
        rise = (2 * square + self.p * (self.p - 1) * power) / u
        return Curve(u, square + power, slope, rise)

    def parameter(self, u: Any) -> Any:
        return u if self.reaches_zero else u.log()


class BallHypentropy(BallPotential):
    r"""With :math:`\psi = u\,\mathrm{asinh}(u/\beta) - \sqrt{u^2 + \beta^2} + \beta`.

    The parameter is s of u = beta sinh s.
    """

    def __init__(self, *parts: Any, beta: float) -> None:
        super().__init__(*parts)
        self.beta = arb(beta)

    def value(self, u: Any) -> Any:
        return self.curve(self.parameter(u)).value

    def slope(self, u: Any) -> Any:
        return super().slope(u) + self.share * self.parameter(u)

    def bend(self, u: Any) -> Any:
        return super().bend(u) + self.share / (u * u + self.beta**2).sqrt()

    def square_integral(self, u: Any) -> Any:
        x, s = u / self.beta, self.parameter(u)
        root = (1 + x * x).sqrt()
        own = self.beta * (x * s * s - 2 * root * s + 2 * x)
        mixed = self.beta**2 * ((2 * x * x + 1) * s - x * root) / 4
        return (
            super().square_integral(u) + 4 * self.square * self.share * mixed + self.share**2 * own
        )

    def curve(self, s: Any) -> Curve:
        sinh, cosh = s.sinh_cosh()
        u = self.beta * sinh
        psi = self.beta * (s * sinh - cosh + 1)
        rise = self.share + 2 * self.square * self.beta * cosh
        return Curve(
            u,
            super().value(u) + self.share * psi,
            super().slope(u) + self.share * s,
            rise,
        )

    def parameter(self, u: Any) -> Any:
        return (u / self.beta).asinh()

    def largest_bend(self, least: Any, most: Any) -> Any:
        return self.bend(least)


def ball_potential(given: Potential) -> BallPotential:
    """Return a potential's enclosure, or raise if there is none."""
    phi: Any = given
    scale = arb(1)
    while type(phi) is Rescaled:
        phi, scale = phi.phi, scale * arb(phi.c)
    psi, omega = phi, arb(0)
    if type(phi) is Regularized:
        psi, omega = phi.psi, arb(phi.omega)
    if type(psi) is Quadratic or (type(psi) is Power and psi.exponent == 2):
        return BallPotential(given, arb(0), arb(1), scale)
    parts = given, 1 / (1 + omega), omega / (1 + omega), scale
    if omega > 0 and type(psi) is Power and psi.exponent > 2:
        return BallPower(*parts, exponent=psi.exponent)
    if omega > 0 and type(psi) is Hypentropy:
        return BallHypentropy(*parts, beta=psi.beta)
    raise NotImplementedError(
        f"potential {given!r} has no enclosure: certify serves Quadratic, and Regularized powers "
        "and hypentropies, whose curvature has a positive lower bound; use "
        "Regularized(potential, omega) with one of these."
    )
