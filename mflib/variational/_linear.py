"""Several targets at once where h is linear in them: one factorization for the quadratic.

What this gives up on, the solver for a single target does again.
"""

from __future__ import annotations

import numpy as np

from mflib.variational._certificate import Tails, beyond, moments_agree
from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._quadrature import LEVELS, Level
from mflib.variational._smoothing import PROMISE, Point, Ridged

_REFINEMENTS = 3


class Several:
    """The matrices of a quadratic problem, by the solver's quadrature and by a finer one."""

    def __init__(self, data: Data, dual: DiscreteDual) -> None:
        self.data, self.dual = data, dual
        first = 0 if len(data.x) > 500 else 2
        self.level: Level = LEVELS[first]
        coarse, fine = (
            dual.evaluate(np.zeros(len(data.x)), level) for level in LEVELS[first : first + 2]
        )
        self.masses = fine.mass_matrices
        self.matrix, self.finer = (dual.newton_matrix(at.mass_matrices) for at in (coarse, fine))
        self.sound = moments_agree(dual)

    def interpolate(self) -> list[tuple[Point, float] | None]:
        """For each target its interpolant and gap, or None where it does not meet the data."""
        targets = self.dual.combine(self.data.y)
        xi = np.zeros_like(targets)
        for _ in range(_REFINEMENTS):
            xi = xi + self.matrix.solve(targets - self.finer @ xi)
        errors = self.dual.separate(targets - self.finer @ xi)
        gaps = np.abs(np.sum(xi * (targets - self.finer @ xi), axis=0))
        points = self._points(xi, self.dual.multipliers(xi), errors, self.data.y - errors)
        return [
            (point, float(gap)) if np.abs(point.errors).max() <= dual.tolerance() else None
            for point, gap, dual in zip(points, gaps, self._duals(), strict=True)
        ]

    def smooth(self) -> list[tuple[Point, float] | None]:
        """The same with a ridge."""
        y, problem = self.data.y, Ridged(self.dual, self.data.ridge)
        system, ridge = problem.factorize(self.matrix), self.data.ridge[:, None]
        xi, multipliers, errors = np.zeros_like(y), np.zeros_like(y), y
        for _ in range(_REFINEMENTS):
            step = system.solve(errors)
            xi, multipliers = xi + step[0], multipliers + step[1]
            values = self.dual.separate(self.finer @ xi)
            errors = y - values - ridge * multipliers
        gaps = problem.gaps_of(self.finer, xi, multipliers, errors)
        sizes = problem.sizes(errors, y)
        met = (sizes <= PROMISE) & (2 * gaps <= PROMISE**2 * (problem.weights @ y**2))
        points = self._points(xi, multipliers, errors, values, sizes)
        return [
            (p, float(gap)) if ok else None for p, gap, ok in zip(points, gaps, met, strict=True)
        ]

    def _duals(self) -> list[DiscreteDual]:
        return [self.dual.with_targets(column) for column in self.data.y.T]

    def _points(self, xi, multipliers, errors, values, sizes=None) -> list[Point]:
        load = self.finer @ xi
        costs = 0.5 * np.sum(xi * load, axis=0)  # D(alpha, 0) = z^2 / (2 phi'')
        gradients = self.dual.combine(self.data.y) - load
        sizes = np.abs(errors).max(axis=0) if sizes is None else sizes
        columns = zip(xi.T, costs.tolist(), gradients.T, load.T, strict=True)
        evaluations = [Evaluation(*column, self.masses) for column in columns]
        rest = multipliers.T, values.T, errors.T, sizes.tolist()
        return [Point(*parts) for parts in zip(evaluations, *rest, strict=True)]

    def tails(self, dual: DiscreteDual, point: Point) -> bool:
        """Whether the integrals do not notice what lies beyond the panels."""
        return self.sound and beyond(dual, point.at) is Tails.NEGLIGIBLE
