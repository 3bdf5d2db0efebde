r"""A bound on the distance from the minimiser, by duality and strong convexity.

The argument is :prf:ref:`pd-bound` of the book. The field of the stored multipliers misses the data
by e; adding features over the core makes up for it, at a cost that the dual bounds from below.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mflib._flint import arb, arb_mat, ctx
from mflib.densities import defined
from mflib.variational._ball_densities import ball_density
from mflib.variational._ball_field import Cell, Field, Model, Undecided
from mflib.variational._ball_potentials import ball_potential, hull, largest, zero_within
from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual
from mflib.variational._enclosure import Enclosure

BITS = (128, 256, 512, 1024)
_SMALL = 2.0**-50  # of the targets: a bound that more bits need not improve
_CAUTION = 1e3  # between a share of the targets and that of a field
_LOCK = threading.RLock()  # the precision of python-flint belongs to the whole process


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Compute with so many bits, alone, and leave the precision as it was."""
    with _LOCK, ctx.workprec(bits):
        yield


def upward(value: Any) -> float:
    """The least float that is certainly no less than a ball, or infinity."""
    return _outward(value.upper(), math.inf)


def downward(value: Any) -> float:
    """The largest float that is certainly no more than a ball, or minus infinity."""
    return _outward(value.lower(), -math.inf)


def _outward(end: Any, towards: float) -> float:
    if not end.is_finite():
        return towards
    near = float(end)
    if math.isfinite(near) and (arb(near) >= end if towards > 0 else arb(near) <= end):
        return near
    return math.nextafter(near, towards)


@dataclass(frozen=True)
class Problem:
    """Data and model as they are stored: floats, and what can be read from them."""

    data: Data
    dual: DiscreteDual
    xi: np.ndarray
    multipliers: np.ndarray

    def model(self, bits: int) -> Model:
        """Balls of the model."""
        x = [arb(float(t)) for t in self.data.x]
        slope, phi = arb(self.dual.slope), ball_potential(self.dual.potential)
        return Model(x, slope, phi, ball_density(self.dual.density, bits))

    def targets(self) -> tuple[list, list]:
        """Balls of targets and ridges; repeated inputs are one, weighted by their ridges."""
        data, y, ridges = self.data, [], []
        for k in range(len(data.x)):
            own = np.flatnonzero(data.group == k)
            values = [(arb(float(data.targets[i])), arb(float(data.ridges[i]))) for i in own]
            exact = [value for value, ridge in values if ridge == 0]
            weights = [1 / ridge for _, ridge in values if ridge > 0]
            if exact or len(values) == 1:
                y.append(exact[0] if exact else values[0][0])
                ridges.append(arb(0) if exact else values[0][1])
            else:
                total = sum(weights, arb(0))
                weighted = (w * v for w, (v, _) in zip(weights, values, strict=True))
                y.append(sum(weighted, arb(0)) / total)
                ridges.append(1 / total)
        return y, ridges

    def exact_multipliers(self) -> list:
        """The multipliers that the stored coefficients stand for, without their rounding.

        Those of a ridge are kept by themselves: residuals are formed with them.
        """
        if self.data.ridge.any() or len(self.xi) < 2:
            return [arb(float(a)) for a in self.multipliers]
        x, xi = ([arb(float(t)) for t in array] for array in (self.data.x, self.xi))
        mean, slope, hats = xi[-2], xi[-1], xi[:-2]
        lift = (x[-1] - x[0]) * mean / 4
        nodes = [lift + slope / 2, *hats, lift - slope / 2]
        rise = [(nodes[i + 1] - nodes[i]) / (x[i + 1] - x[i]) for i in range(len(x) - 1)]
        ends = [-mean / 2, *rise, mean / 2]
        return [ends[i + 1] - ends[i] for i in range(len(x))]


@dataclass(frozen=True)
class Proof:
    """The numbers of the proof, as balls, with as many bits."""

    problem: Problem
    bits: int
    field: Field
    y: list
    ridges: list

    @classmethod
    def of(cls, problem: Problem, bits: int) -> Proof:
        """Begin a proof; the precision must be set already."""
        found = Field(problem.model(bits), problem.exact_multipliers())
        return cls(problem, bits, found, *problem.targets())

    @property
    def potential(self):
        return self.field.model.potential

    @cached_property
    def values(self) -> list:
        """H at the data."""
        return self.field.values()

    @cached_property
    def errors(self) -> list:
        """What is missing from h + R lambda = y."""
        known = zip(self.y, self.values, self.ridges, self.field.multipliers, strict=True)
        return [y - h - r * a for y, h, r, a in known]

    @cached_property
    def weights(self) -> list:
        """Where a correction is cheap: about 1/phi'' in each cell of the core, as exact numbers."""
        cells = (cell._replace(most=cell.most.max(self.floor)) for cell in self.field.cells)
        curvature = (self._curvature(cell, arb(0)) for cell in cells)
        exact = (arb(float(1 / value) * 0.99) for value in curvature)
        inside = (cell.piece.in_core for cell in self.field.cells)
        return [weight if there else arb(0) for weight, there in zip(exact, inside, strict=True)]

    @cached_property
    def floor(self) -> Any:
        """A u beside which a correction is small, if it is as large a share as the errors are."""
        phi, most = self.potential, largest(*(cell.most for cell in self.field.cells))
        share = largest(*map(abs, self.errors)) / largest(*map(abs, self.y), arb(2) ** -1000)
        share = float(share) * _CAUTION
        if not (0 < share < 1 and most > 0):
            return most
        return abs(phi.reduced(phi.slope(most) * share / phi.scale)).upper()

    def _curvature(self, cell: Cell, change: Any) -> Any:
        """Phi'' is no more in a cell, if coefficients change by no more than this."""
        u = change / self.potential.scale
        least = (cell.least - u).max(arb(0)).lower()
        return self.potential.largest_bend(least, cell.most + u) / self.potential.scale**2

    @cached_property
    def correction(self) -> tuple[list, list]:
        """The coefficients d of (G + R) d = e, and G d."""
        gram, ridges = self.field.gram(self.weights), self.ridges
        diagonal = [
            ridges[i] if i == j else 0 for i in range(len(ridges)) for j in range(len(ridges))
        ]
        try:
            d = (gram + arb_mat(len(ridges), len(ridges), diagonal)).solve(
                arb_mat(len(ridges), 1, self.errors)
            )
        except ZeroDivisionError:  # singular, as far as these bits tell
            raise Undecided from None
        return list(d.entries()), list((gram * d).entries())

    @cached_property
    def changes(self) -> list:
        """Bounds on what the correction changes in each cell."""
        most = {id(p): self.field.most(p, self.correction[0]) for p in self.field.pieces}
        pairs = zip(self.weights, self.field.cells, strict=True)
        return [weight * most[id(cell.piece)] for weight, cell in pairs]

    @cached_property
    def square(self) -> Any:
        """D G d."""
        return sum((a * b for a, b in zip(*self.correction, strict=True)), arb(0))

    @cached_property
    def gap(self) -> Any:
        """A bound of the cost of the corrected coefficients less the least cost."""
        d, _ = self.correction
        slack = sum((r * a * a for r, a in zip(self.ridges, d, strict=True)), arb(0))
        triples = zip(self.weights, self.field.cells, self.changes, strict=True)
        share = largest(*(w * self._curvature(cell, change) for w, cell, change in triples))
        return (share * abs(self.square) + slack) / 2

    @cached_property
    def slope(self) -> Any:
        """A bound on the mean distance of the coefficients from the optimal ones."""
        cells, least = self.field.cells, self.potential.least_bend
        spread = sum((w * c.moments[0] for w, c in zip(self.weights, cells, strict=True)), arb(0))
        slack = self.field.mass_beyond() / least
        for cell, change in zip(cells, self.changes, strict=True):
            u = (cell.least - change / self.potential.scale).max(arb(0)).lower()
            slack += cell.moments[0] / self.potential.convexity(u) / 2
        slack *= self.potential.scale**2
        return root(spread / 2 * self.square) + root(2 * self.gap * slack)

    @cached_property
    def at_data(self) -> list:
        """Bounds on the distance of h from the minimiser at the data."""
        moved = self.correction[1]
        return [abs(a) + root(2 * r * self.gap) for a, r in zip(moved, self.ridges, strict=True)]

    def cost(self) -> Any:
        """A ball for the least cost: between the dual value and that value and the gap."""
        f, d = self.field, self.correction[0]
        terms = zip(f.multipliers, self.y, self.values, strict=True)
        primal = self.field.cost()
        dual = sum((a * (y - h) for a, y, h in terms), arb(0)) + primal
        total = dual + hull(arb(0), self.gap)
        if not any(r > 0 for r in self.ridges):
            return total
        known = list(zip(self.ridges, f.multipliers, d, strict=True))
        total -= sum((r * a * a for r, a, _ in known), arb(0)) / 2
        slack = root(sum((r * (a + b) ** 2 for r, a, b in known), arb(0)))
        return total - (slack + zero_within(root(2 * self.gap))) ** 2 / 2

    def is_sharp(self) -> bool:
        """Whether more bits would hardly change the bound."""
        return bool(self.slope.rad() <= 0.1 * self.slope.mid())

    def cost_ends(self) -> tuple[float, float]:
        cost = self.cost()
        return max(downward(cost), 0.0), upward(cost)

    def bound(self, interval: tuple[float, float]) -> Any:
        """A bound over an interval: no point of it is farther from all data than the radius."""
        return largest(*self.at_data) + self.radius(*map(arb, interval)) * self.slope

    def radius(self, low: Any, high: Any) -> Any:
        """The largest distance of a point of an interval from the nearest input."""
        x = self.field.model.x
        middles = [(a + b) / 2 for a, b in zip(x, x[1:], strict=False)]
        points = [low, high, *(t for t in middles if low < t < high)]
        return largest(*(abs(self._nearest(t)) for t in points))

    def _nearest(self, t: Any) -> Any:
        distances = [abs(t - x) for x in self.field.model.x]
        nearest = distances[0]
        for other in distances[1:]:
            nearest = nearest.min(other)
        return nearest

    def at(self, t: float) -> tuple[float, float]:
        """Lower and upper bound of the minimiser at a point."""
        with precision(self.bits):
            point = arb(t)
            near = [
                a + abs(point - x) * self.slope
                for a, x in zip(self.at_data, self.field.model.x, strict=True)
            ]
            error = near[0]
            for other in near[1:]:
                error = error.min(other)
            value = self.field.value(point) + zero_within(error)
            return downward(value), upward(value)


def root(square: Any) -> Any:
    """The root of what is not negative, though its ball may reach below 0."""
    return zero_within(square.abs_upper().sqrt()) if square.contains(0) else square.sqrt()


def certify(problem: Problem, interval: tuple[float, float] | None) -> Enclosure:
    """Prove a bound with as many bits as it needs, or raise if no number of them will do."""
    hull_of_data = float(problem.data.x[0]), float(problem.data.x[-1])
    ends = hull_of_data if interval is None else interval
    small, found = _SMALL * float(np.abs(problem.data.targets).max()), None
    for bits in BITS:
        with precision(bits), suppress(Undecided):
            proof = Proof.of(problem, bits)
            bound = upward(proof.bound(ends))
            numbers = bound, upward(proof.slope), *proof.cost_ends()
            if all(map(math.isfinite, numbers)):
                found = (proof, *numbers)
                if bound <= small or proof.is_sharp():
                    break
    if found is None:
        raise ValueError(
            f"the data could not be enclosed with {BITS[-1]} bits: inputs nearly coincide, or the "
            "multipliers are far from any optimum; drop a datum, or give a ridge."
        )
    proof, bound, slope, *cost = found
    return Enclosure(bound, slope, (cost[0], cost[1]), ends, _assumptions(problem), proof)


def _assumptions(problem: Problem) -> tuple[str, ...]:
    d = problem.dual
    return (
        "x, y and ridge are the floats that were given; inputs that solve merges count as one",
        f"the activation is max(u, 0) + s min(u, 0) with s = {d.slope!r}",
        f"the potential is {d.potential!r} and the density {defined(d.density)!r}, "
        "their parameters taken as they stand",
        "the bound is for the exact function of the stored multipliers, not for rounded values of "
        "it",
        "Arb and python-flint have no error that matters",
    )
