"""How much to smooth: the ridge of least generalized cross-validation."""

from __future__ import annotations

import numpy as np
from scipy import optimize

from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual
from mflib.variational._quadrature import LEVELS
from mflib.variational._smoothing import Point, Ridged, reach, start

_STEP = np.log(10.0)
_MOST = 0.9  # degrees of freedom for each datum: beyond, h all but interpolates
_MOST_STEPS = 60
_RESOLUTION = 0.02  # of the logarithm; the criterion is flat where it is least
_ACCURACY = 1e-7  # of h, on the way
_USELESS = 1e-3  # errors of h: what is measured there says nothing


class Criterion:
    """Generalized cross-validation as a function of the logarithm of the ridge.

    Points are remembered: the next one starts from the nearest.
    """

    def __init__(self, data: Data, dual: DiscreteDual) -> None:
        self.data, self.dual = data, dual
        spread = data.targets - data.y[data.group]
        self.within = float(np.sum(spread**2 / data.ridges))  # of repeated inputs, about their mean
        self.level = LEVELS[0 if len(data.x) > 500 else 2]
        self.points: dict[float, Point] = {}
        self.matrix = None
        if dual.is_quadratic:
            at = dual.evaluate(np.zeros(len(data.x)), self.level)
            self.matrix = dual.newton_matrix(at.mass_matrices)

    def __call__(self, log_ridge: float) -> float:
        """Return the logarithm of the criterion."""
        return self.measure(log_ridge)[0]

    def measure(self, log_ridge: float) -> tuple[float, float]:
        """Return the logarithm of the criterion, and the degrees of freedom for each datum."""
        problem = Ridged(self.dual, np.exp(log_ridge) * self.data.ridge)
        if self.matrix is not None:
            system = problem.factorize(self.matrix)
            multipliers = system.solve(self.dual.y)[1]
        else:
            point = self._solve(problem, log_ridge)
            if not point.size <= _USELESS:
                return np.inf, np.nan
            system, multipliers = problem.system(point.at.mass_matrices), point.multipliers
        many, rest = len(self.data.targets), problem.ridge * system.inverse_diagonal()
        freedom = float(len(rest) - rest.sum())
        missed = self.within + float(np.sum((problem.ridge * multipliers) ** 2 / self.data.ridge))
        with np.errstate(divide="ignore"):
            return float(np.log(missed / many) - 2 * np.log(1 - freedom / many)), freedom / many

    def _solve(self, problem: Ridged, log_ridge: float) -> Point:
        point = None
        if self.points:
            near = self.points[min(self.points, key=lambda other: abs(other - log_ridge))]
            moved = problem.at(near.at.xi, near.multipliers, self.level)
            point = reach(problem, moved, self.level, _ACCURACY)[0]
        if point is None or not point.size <= _ACCURACY:
            point = reach(problem, start(problem, self.level)[0], self.level, _ACCURACY)[0]
        self.points[log_ridge] = point
        return point


def choose(data: Data, dual: DiscreteDual) -> float:
    """Return the factor of the data's ridge for which generalized cross-validation is least.

    From where h is all but zero to where it all but interpolates, or is not found, by decades; then
    the minimum between the neighbours of the best.
    """
    criterion = Criterion(data, dual)
    curvature = float(dual.potential.hessian(np.zeros(1))[0])
    size = dual.panels.spread + np.abs(data.x).max() + abs(float(dual.density.mean()))
    log_ridge = float(np.log(np.sum(1 / data.ridge) * size**2 / curvature))
    found: dict[float, float] = {}
    for _ in range(_MOST_STEPS):
        value, freedom = criterion.measure(log_ridge)
        if not np.isfinite(value):
            break
        found[log_ridge] = value
        log_ridge -= _STEP
        if freedom > _MOST:
            break
    if not found:  # no noise and nothing else
        return float(np.exp(log_ridge))
    best = min(found, key=found.__getitem__)
    bounds = (max(best - _STEP, min(found)), min(best + _STEP, max(found)))
    options = {"xatol": _RESOLUTION}
    fine = optimize.minimize_scalar(criterion, bounds=bounds, method="bounded", options=options)
    return float(np.exp(fine.x if fine.fun < found[best] else best))
