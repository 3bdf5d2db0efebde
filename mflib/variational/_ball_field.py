r"""Integrals of a dual field's coefficients, in ball arithmetic.

Units are (w, b) with w = 1 or -1, each with probability 1/2, and b with density p. Between
neighbours of the breakpoints :math:`w x_i` the field :math:`z = \sum_i \lambda_i \sigma_s(w x_i -
b)` is linear in b. Where it rises or falls, the variable of integration is u, with :math:`\alpha =
Cu` and :math:`F'(u) = C|z|`: no inverse is needed but at the ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from mflib._flint import acb, arb, arb_mat, ctx
from mflib.variational._ball_densities import BallNormal, BallUniform
from mflib.variational._ball_potentials import BallPotential, hull, largest, zero_within

_MOST_CUTS = 40


class Undecided(ArithmeticError):
    """A comparison that needs more bits."""


def is_less(a: Any, b: Any) -> bool:
    """Whether a < b; raise if the balls do not tell."""
    if a < b:
        return True
    if a >= b:
        return False
    raise Undecided


@dataclass(frozen=True)
class Model:
    """What a field is made of but for its multipliers; all are balls."""

    x: list  # increasing
    slope: Any  # of the activation, on the left
    potential: BallPotential
    density: BallUniform | BallNormal


class Integrals(NamedTuple):
    r"""Of :math:`\alpha p`, :math:`b\alpha p` and :math:`D_\varphi(\alpha, 0) p` over a piece."""

    zeroth: Any
    first: Any
    cost: Any


class Piece(NamedTuple):
    """An interval of biases on which the field is linear, z = level - tilt b."""

    w: int
    low: Any
    high: Any
    slopes: list  # of sigma(w x_i - b) in its argument
    level: Any
    tilt: Any
    in_core: bool

    def field(self, b: Any) -> Any:
        return self.level - self.tilt * b


class Cell(NamedTuple):
    """A part of a piece with bounds of u = |alpha|/C, and the density's first moments."""

    piece: Piece
    moments: tuple[Any, Any, Any]
    least: Any
    most: Any


class Part(NamedTuple):
    """A part of a piece: where it begins, the field there, and which u may be neglected."""

    piece: Piece
    low: Any
    field: Any
    smallest: Any


class Field:
    """The field of multipliers, which may be balls, with its integrals."""

    def __init__(self, model: Model, multipliers: list) -> None:
        self.model, self.multipliers = model, multipliers
        self.pieces = [piece for w in (1, -1) for piece in self._pieces(w)]

    def _pieces(self, w: int) -> list[Piece]:
        m, density = self.model, self.model.density
        kinks = sorted((w * x for x in m.x), key=float)
        body = self._reach(density.body, kinks, density.support)
        core = self._reach(density.core, kinks, density.support)
        edges = [body[0]]
        for t in sorted([*kinks, *core], key=float):
            if is_less(edges[-1], t) and is_less(t, body[1]):
                edges.append(t)
        edges.append(body[1])
        return [
            self._piece(w, low, high, core) for low, high in zip(edges, edges[1:], strict=False)
        ]

    @staticmethod
    def _reach(ends: tuple, kinks: list, support: tuple) -> tuple:
        """Let an interval reach the data, as far as the support goes."""
        low, high = ends[0].min(kinks[0]), ends[1].max(kinks[-1])
        return low.max(support[0]), high.min(support[1])

    def _piece(self, w: int, low: Any, high: Any, core: tuple) -> Piece:
        m, middle = self.model, (low + high) / 2
        slopes = [arb(1) if is_less(middle, w * x) else m.slope for x in m.x]
        products = [a * s for a, s in zip(self.multipliers, slopes, strict=True)]
        level = sum((c * w * x for c, x in zip(products, m.x, strict=True)), arb(0))
        inside = is_less(core[0], middle) and is_less(middle, core[1])
        return Piece(w, low, high, slopes, level, sum(products, arb(0)), inside)

    @cached_property
    def integrals(self) -> list[Integrals]:
        return [self.integrate(piece, piece.low, piece.high) for piece in self.pieces]

    def values(self) -> list:
        """H at the inputs."""
        return [self.value(x) for x in self.model.x]

    def value(self, x: Any) -> Any:
        """H at a point; a piece in which this unit turns is cut there."""
        total = self._tail(x) / self._least_hessian
        for piece, whole in zip(self.pieces, self.integrals, strict=True):
            turn = piece.w * x
            before, after = whole, Integrals(arb(0), arb(0), arb(0))
            if is_less(turn, piece.high):
                before, after = after, whole
                if is_less(piece.low, turn):
                    before = self.integrate(piece, piece.low, turn)
                    after = Integrals(*(a - b for a, b in zip(whole, before, strict=True)))
            for part, slope in ((before, 1), (after, self.model.slope)):
                total += slope * (turn * part.zeroth - part.first) / 2
        return total

    def cost(self) -> Any:
        r"""The integral of :math:`D_\varphi(\alpha, 0) \le z\alpha \le z^2 / \min\varphi''`."""
        inside = sum((part.cost for part in self.integrals), arb(0)) / 2
        size = sum((abs(a) for a in self.multipliers), arb(0))
        return inside + self._tail(arb(0)) * size / self._least_hessian

    @property
    def _least_hessian(self) -> Any:
        return self.model.potential.least_bend / self.model.potential.scale**2

    def _tail(self, x: Any) -> Any:
        r"""A ball for the integral of z sigma(wx - b) over the tails, both at most |x| + |b|."""
        size = sum((abs(a) for a in self.multipliers), arb(0))
        far = largest(*map(abs, [x, *self.model.x]))
        total = arb(0)
        for low, high in self.model.density.tails():
            zeroth, _, second = self.model.density.moments(low, high)
            total += 2 * (far**2 * zeroth + second)
        return zero_within(size * total)

    @cached_property
    def cells(self) -> list[Cell]:
        """The pieces, cut until phi'' hardly varies."""
        return [cell for piece in self.pieces for cell in self._cells(piece)]

    def _cells(self, piece: Piece) -> list[Cell]:
        phi, cells = self.model.potential, []
        edges = [piece.low, *self._cuts(piece), piece.high]
        u = [phi.reduced(piece.field(b)) for b in edges]
        for low, high, at_low, at_high in zip(edges, edges[1:], u, u[1:], strict=False):
            sizes = abs(at_low), abs(at_high)
            least = sizes[0].min(sizes[1]).lower() if at_low * at_high > 0 else arb(0)
            moments = self.model.density.moments(low, high)
            cells.append(Cell(piece, moments, least, largest(*sizes)))
        return cells

    def _cuts(self, piece: Piece) -> list:
        """Towards the zero of the field, where it is a quarter, a sixteenth, and so on."""
        phi, cuts = self.model.potential, set()
        if phi.is_quadratic or not abs(piece.tilt) > 0:
            return []
        zero = float(piece.level / piece.tilt)
        for end in (piece.low, piece.high):
            for k in range(1, _MOST_CUTS):
                cut = arb(zero + (float(end) - zero) * 0.25**k)
                if not (piece.low < cut < piece.high):
                    break
                cuts.add(float(cut))
                if phi.is_flat(abs(phi.reduced(piece.field(cut)))):
                    break
        return [arb(cut) for cut in sorted(cuts)]

    def gram(self, weights: list) -> arb_mat:
        """The integrals of products of features, with a weight for each cell."""
        moments: dict = {}
        for weight, cell in zip(weights, self.cells, strict=True):
            known = moments.setdefault(id(cell.piece), [cell.piece, arb(0), arb(0), arb(0)])
            for k, moment in enumerate(cell.moments):
                known[k + 1] += weight * moment
        x, total = self.model.x, arb_mat(len(self.model.x), len(self.model.x))
        for piece, zeroth, first, second in moments.values():
            column = arb_mat(len(x), 1, piece.slopes)
            at = arb_mat(len(x), 1, [s * piece.w * t for s, t in zip(piece.slopes, x, strict=True)])
            cross = at * column.transpose()
            total += (at * at.transpose()) * (zeroth / 2)
            total += (column * column.transpose()) * (second / 2)
            total -= (cross + cross.transpose()) * (first / 2)
        return total

    def most(self, piece: Piece, coefficients: list) -> Any:
        """An upper bound over a piece of a sum of features, which is linear there."""
        terms = [c * s for c, s in zip(coefficients, piece.slopes, strict=True)]
        level = sum((t * piece.w * x for t, x in zip(terms, self.model.x, strict=True)), arb(0))
        tilt = sum(terms, arb(0))
        return largest(*(abs(level - tilt * b) for b in (piece.low, piece.high)))

    def mass_beyond(self) -> Any:
        """The mass of the tails."""
        parts = (self.model.density.moments(*ends)[0] for ends in self.model.density.tails())
        return sum(parts, arb(0))

    def integrate(self, piece: Piece, low: Any, high: Any) -> Integrals:
        """Integrals over a part of a piece."""
        ends = piece.field(low), piece.field(high)
        rise = abs(piece.tilt) * (high - low)
        if not rise > largest(*map(abs, ends)) * arb(2) ** -(ctx.prec // 2):
            return self._constant(low, high, ends)
        u = [self.model.potential.reduced(z) for z in ends]
        part = Part(piece, low, ends[0], largest(*map(abs, u)) * arb(2) ** -(5 * ctx.prec // 16))
        if ends[0] * ends[1] > 0:
            return self._signed(part, 1 if ends[0] > 0 else -1, abs(u[0]), abs(u[1]))
        falls = 1 if piece.tilt > 0 else -1
        before = self._signed(part, falls, abs(u[0]), arb(0))
        after = self._signed(part, -falls, arb(0), abs(u[1]))
        return Integrals(*(a + b for a, b in zip(before, after, strict=True)))

    def _constant(self, low: Any, high: Any, ends: tuple) -> Integrals:
        """Where the field hardly varies."""
        phi = self.model.potential
        u = hull(*(phi.reduced(z) for z in ends))
        zeroth, first, _ = self.model.density.moments(low, high)
        far = largest(abs(low), abs(high))
        moment = u.mid() * first + zero_within((u - u.mid()) * far * zeroth)
        value = hull(arb(0), phi.value(u.abs_upper())) if u.contains(0) else phi.value(abs(u))
        return Integrals(phi.scale * u * zeroth, phi.scale * moment, value * zeroth)

    def _signed(self, part: Part, sign: int, start: Any, stop: Any) -> Integrals:
        """Where the field has one sign, from u = start to u = stop."""
        phi, density = self.model.potential, self.model.density
        spare = Integrals(arb(0), arb(0), arb(0))
        if not (phi.reaches_zero and all(u > 0 or u == 0 for u in (start, stop))):
            start, stop = (_at_least(part.smallest, u) for u in (start, stop))
            spare = self._near_zero(part)
        per_rise = sign / (-phi.scale * part.piece.tilt)  # db = dF'(u) times this
        offset = part.low - sign * phi.scale * part.field * per_rise
        if isinstance(density, BallUniform):
            here = zip(phi.primitives(stop), phi.primitives(start), strict=True)
            one, rising, cost = (density.largest * per_rise * (a - b) for a, b in here)
            first = offset * one + per_rise * rising
            found = Integrals(sign * phi.scale * one, sign * phi.scale * first, cost)
        else:
            found = self._by_quadrature(part, sign, start, stop)
        return Integrals(*(a + b for a, b in zip(found, spare, strict=True)))

    def _by_quadrature(self, part: Part, sign: int, start: Any, stop: Any) -> Integrals:
        phi, density = self.model.potential, self.model.density
        per_rise = sign / (-phi.scale * part.piece.tilt)
        offset = part.low - sign * phi.scale * part.field * per_rise

        def integral(weight: Callable) -> Any:
            def integrand(s: Any, _: bool) -> Any:  # entire, so analytic wherever it is asked for
                curve = phi.curve(s)
                b = offset + curve.slope * per_rise
                return weight(curve, b) * density.pdf(b) * curve.rise

            return integrate(integrand, phi.parameter(start), phi.parameter(stop)) * per_rise

        zeroth = integral(lambda curve, b: curve.u) * sign * phi.scale
        first = integral(lambda curve, b: curve.u * b) * sign * phi.scale
        return Integrals(zeroth, first, integral(lambda curve, b: curve.value))

    def _near_zero(self, part: Part) -> Integrals:
        """A ball for what is left out, or is too much, where u is at most twice the smallest."""
        phi, u, piece = self.model.potential, 2 * part.smallest, part.piece
        width = 2 * phi.slope(u) / (phi.scale * abs(piece.tilt))
        mass = self.model.density.largest * width
        far = largest(abs(piece.low), abs(piece.high)) + width
        alpha = phi.scale * u * mass
        return Integrals(*map(zero_within, (alpha, alpha * far, phi.value(u) * mass)))


def _at_least(smallest: Any, u: Any) -> Any:
    """Return u, or the smallest if u is not certainly more, but at most twice that."""
    if u > smallest:
        return u
    if u <= 2 * smallest:
        return smallest
    raise Undecided


def integrate(f: Callable, start: Any, stop: Any) -> Any:
    """A ball for the integral of an analytic function between two balls.

    Arb integrates from centre to centre; what is between centre and end is the length times a
    value.
    """
    tolerance = arb(2) ** -(5 * ctx.prec // 8)
    found = acb.integral(f, acb(start.mid()), acb(stop.mid()), rel_tol=tolerance)
    for end, sign in ((start, -1), (stop, 1)):
        if end.rad() > 0:
            found += sign * f(acb(end), False) * zero_within(end - end.mid())
    return found.real
