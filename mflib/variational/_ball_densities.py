"""Densities in ball arithmetic: uniform, normal, and normal within bounds."""

from __future__ import annotations

import math
from typing import Any

from scipy import stats

from mflib._flint import arb
from mflib.densities import defined

INFINITY = arb("inf")


class BallUniform:
    """The uniform density on an interval."""

    def __init__(self, low: Any, high: Any) -> None:
        self.support = self.body = self.core = low, high
        self.largest = 1 / (high - low)

    def pdf(self, t: Any) -> Any:
        """The density between the ends of its support; t may be complex."""
        return self.largest

    def moments(self, low: Any, high: Any) -> tuple[Any, Any, Any]:
        """The integrals of p, tp and t^2 p between two points of the support."""
        return tuple((high**k - low**k) / k * self.largest for k in (1, 2, 3))

    def tails(self) -> list[tuple[Any, Any]]:
        """Where the density goes on beyond its body."""
        return []


class BallNormal:
    """A normal density, perhaps cut off and divided by what is left.

    Integrals are done over the body, wide enough that little is left for the tails; the core is
    where coefficients may be corrected.
    """

    def __init__(self, mean: Any, spread: Any, low: Any, high: Any, bits: int) -> None:
        self.mean, self.spread, self.support = mean, spread, (low, high)
        self._mass = arb(1)
        self._mass = self.moments(low, high)[0]
        self.largest = 1 / (spread * (2 * arb.pi()).sqrt() * self._mass)
        reach = math.ceil(math.sqrt(2 * math.log(2) * bits)) + 2
        self.body = self._within(reach, reach)
        self.core = self._within(reach, 3)

    def _within(self, most: int, otherwise: int) -> tuple[Any, Any]:
        """The support if it ends within so many deviations, otherwise fewer of them."""
        low, high = self.support
        far = [arb(float(self.mean + sign * otherwise * self.spread)) for sign in (-1, 1)]
        near = self.mean - most * self.spread < low, self.mean + most * self.spread > high
        return (
            low if near[0] else far[0],
            high if near[1] else far[1],
        )

    def pdf(self, t: Any) -> Any:
        v = (t - self.mean) / self.spread
        return self.largest * (-v * v / 2).exp()

    def moments(self, low: Any, high: Any) -> tuple[Any, Any, Any]:
        v = [(end - self.mean) / self.spread for end in (low, high)]
        # of two differences the one that cancels fewer digits
        low_end, high_end = v if v[0] > 0 else (-v[1], -v[0])
        mass = _above(low_end) - _above(high_end)
        bells = [_bell(u, 0) for u in v]
        first = bells[0] - bells[1]
        second = mass + _bell(v[0], 1) - _bell(v[1], 1)
        mu, s = self.mean, self.spread
        raw = mass, mu * mass + s * first, mu * mu * mass + 2 * mu * s * first + s * s * second
        return tuple(moment / self._mass for moment in raw)

    def tails(self) -> list[tuple[Any, Any]]:
        (low, high), body = self.support, self.body
        ends = [(low, body[0])] if low < body[0] else []
        return ends + ([(body[1], high)] if body[1] < high else [])


def _above(v: Any) -> Any:
    """The mass of a standard normal variable above v."""
    if not v.is_finite():
        return arb(0) if v > 0 else arb(1)
    return (v / arb(2).sqrt()).erfc() / 2


def _bell(v: Any, power: int) -> Any:
    """Standard normal density times a power of v."""
    if not v.is_finite():
        return arb(0)
    return v**power * (-v * v / 2).exp() / (2 * arb.pi()).sqrt()


def ball_density(density: Any, bits: int) -> BallUniform | BallNormal:
    """Return a density's enclosure, its parameters taken as they stand, or raise."""
    name, parameters = _family(density)
    shapes, loc, scale = parameters
    loc, scale = arb(loc), arb(scale)
    if name == "uniform":
        return BallUniform(loc, loc + scale)
    low, high = (arb(end) for end in (shapes or (-math.inf, math.inf)))
    low = loc + scale * low if low.is_finite() else -INFINITY
    high = loc + scale * high if high.is_finite() else INFINITY
    return BallNormal(loc, scale, low, high, bits)


def _family(density: Any) -> tuple[str, tuple]:
    given = getattr(density, "given", density)  # what SciPy's newer distributions became
    if type(given) is stats.Uniform:
        low, high = float(given.a), float(given.b)
        return "uniform", ((), low, arb(high) - arb(low))
    if type(given) is stats.Normal or type(given).__name__ == "StandardNormal":
        return "norm", ((), float(given.mu), float(given.sigma))
    family: Any = getattr(density, "dist", None)
    for name in ("uniform", "norm", "truncnorm"):
        known = getattr(stats, name)
        if type(family) is type(known) and (family.a, family.b) == (known.a, known.b):
            shapes, loc, scale = family._parse_args(*density.args, **density.kwds)
            return name, (tuple(map(float, shapes)), float(loc), float(scale))
    raise NotImplementedError(
        f"density {defined(density)!r} has no enclosure: certify serves stats.uniform, stats.norm "
        "and stats.truncnorm; solve with one of these."
    )
