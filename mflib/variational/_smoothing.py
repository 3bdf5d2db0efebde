r"""Problem (P) with a ridge: noisy data, met only as far as their noise deserves.

.. math::

    \min_{\alpha}\ \int D_\varphi(\alpha, 0)\, d\mu + \tfrac12 \sum_i r_i^2 / R_i,
    \qquad r_i = y_i - h(x_i) .

At the optimum :math:`r = R\lambda`. A datum's slack r is one more unit that only this datum sees,
with a quadratic potential; so the start and Newton's method are those of the interpolant.
Multipliers and coefficients are both kept, as sums of their increments, and residuals are formed
from values: slopes of noisy data would leave rounding errors of the size of noise over a gap.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import numpy as np

from mflib.potentials import Potential
from mflib.variational._banded import Arrow, RidgeSystem
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._primal_dual import FixedNodes, approximate, best_multiple
from mflib.variational._quadrature import LEVELS, Level

_MAX_ITERATIONS = 60
_MAX_TRIES = 120  # of lengths, in all steps together; the hardest that converge take 20
PROMISE = 1e-8  # of the targets, in the norm of the inverse ridge


class Ridged:
    """The dual with a ridge; a point is coefficients and multipliers, side by side."""

    def __init__(self, dual: DiscreteDual, ridge: np.ndarray) -> None:
        self.dual, self.ridge, self.gaps = dual, ridge, np.diff(dual.x)
        self.weights = np.divide(1.0, ridge, out=np.zeros_like(ridge), where=ridge > 0)
        self.exact = ridge == 0

    def system(self, mass_matrices) -> RidgeSystem:
        """Factorize for Newton steps."""
        return self.factorize(self.dual.newton_matrix(mass_matrices))

    def factorize(self, matrix: Arrow) -> RidgeSystem:
        return RidgeSystem(self.gaps, matrix, self.ridge)

    def size(self, errors: np.ndarray) -> float:
        """The norm of the inverse ridge, that of the targets being 1.

        Where there is no ridge, the largest error in units of the largest target.
        """
        return float(self.sizes(errors[:, None], self.dual.y[:, None])[0])

    def sizes(self, errors: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The size of errors for each of several targets, shape (m, k)."""
        square, scale = self.weights @ errors**2, self.weights @ y**2
        exact = np.abs(errors[self.exact]).max(axis=0, initial=0.0)
        parts = np.sqrt(square / np.where(scale > 0, scale, 1.0)) * (scale > 0), exact
        largest = np.abs(y).max(axis=0)
        return np.maximum(parts[0], parts[1] / np.where(largest > 0, largest, 1.0))

    def at(self, xi: np.ndarray, multipliers: np.ndarray, level: Level) -> Point:
        """Evaluate h with a level of quadrature."""
        at = self.dual.evaluate(xi, level)
        values = self.dual.separate(at.load)
        errors = self.dual.y - values - self.ridge * multipliers
        return Point(at, multipliers, values, errors, self.size(errors))

    def gap(self, point: Point) -> float:
        r"""The primal less the dual objective at a point, where they are finite.

        Without rounding that is :math:`\tfrac12 e^\top R^{-1} e` with the errors e. The field that
        gave h has the coefficients xi and not quite those that belong to the multipliers; the
        divergence between the two counts as well, or what the ridge makes of the difference of the
        multipliers, whichever is less.
        """
        matrix = self.dual.newton_matrix(point.at.mass_matrices)
        columns = (part[:, None] for part in (point.at.xi, point.multipliers, point.errors))
        return float(self.gaps_of(matrix, *columns)[0])

    def gaps_of(self, matrix: Arrow, xi, multipliers, errors) -> np.ndarray:
        """The gap for each of several targets; arrays of shape (m, k)."""
        drift = xi - self.dual.coefficients(multipliers)
        field = np.sum(drift * (matrix @ drift), axis=0)
        rest = errors + self.ridge[:, None] * (multipliers - self.dual.multipliers(xi))
        return 0.5 * np.fmin(self.weights @ errors**2 + field, self.weights @ rest**2)

    def keeps_promise(self, point: Point, gap: float) -> bool:
        r"""Whether :math:`\|h - h^*\| \le \sqrt{2\,\mathrm{gap}}` is small beside the targets."""
        largest = PROMISE**2 * (self.weights @ self.dual.y**2)
        return bool(2 * gap <= largest and point.size <= PROMISE)

    def with_targets(self, y: np.ndarray) -> Ridged:
        """The same problem for other targets."""
        other = copy.copy(self)
        other.dual = self.dual.with_targets(y)
        return other


@dataclass(frozen=True)
class Point:
    """An approximate optimum."""

    at: Evaluation
    multipliers: np.ndarray
    values: np.ndarray  # h at the data
    errors: np.ndarray  # what is missing from h + R multipliers = y
    size: float  # of the errors, relative to the targets


def smooth(problem: Ridged) -> tuple[Point, Level, int]:
    """Maximise the dual; returns the optimum as a finer level sees it, the level, the steps."""
    (point, iterations), tries = start(problem, LEVELS[0]), 0
    *coarse, finest = itertools.pairwise(LEVELS)
    for level, finer in (*coarse, finest):
        check = problem.at(point.at.xi, point.multipliers, finer)
        difference = problem.size(check.errors - point.errors)
        if (level, finer) == finest or difference <= max(1e-11, 0.1 * check.size):
            budget = _MAX_ITERATIONS - iterations, _MAX_TRIES - tries
            point, steps, tried = reach(problem, point, level, 1e-14, *budget)
            iterations, tries = iterations + steps, tries + tried
            if steps:
                check = problem.at(point.at.xi, point.multipliers, finer)
            if check.size <= max(1e-4 * PROMISE, 4 * point.size):
                break
        point = check
    return check, level, iterations


def start(problem: Ridged, level: Level) -> tuple[Point, int]:
    """Return a point near the optimum, from secants on fixed nodes, and the systems solved."""
    panels = sum(len(o.left) for o in problem.dual.orientations)
    nodes = _Slack(problem, count=4 if panels > 1000 else 16)
    state, systems = approximate(nodes)
    return problem.at(*nodes.parts(state[0]), level), int(systems[0])


def reach(
    problem: Ridged,
    point: Point,
    level: Level,
    accuracy: float,
    most_steps: int = _MAX_ITERATIONS,
    most_tries: int = _MAX_TRIES,
) -> tuple[Point, int, int]:
    """Iterate to an accuracy, or until errors stop falling.

    Returns the best point, the steps, and the lengths that were tried for them.
    """
    steps, tries, system = 0, 0, None
    while steps < most_steps and tries < most_tries and point.size > accuracy:
        if system is None or not problem.dual.is_quadratic:
            system = problem.system(point.at.mass_matrices)
        step = system.solve(point.errors)
        steps += 1
        if not all(np.isfinite(part).all() for part in step):
            break
        close = point.size <= 1e-6  # full steps, until rounding leaves nothing to gain
        if close:
            new, tried = _try(problem, point, step, level), 1
        else:
            new, tried = _damped(problem, point, step, level, most_tries - tries)
        tries += tried
        if new is None:  # where nothing has moved, nothing ever would
            break
        last = point.size
        if new.size < last or not close:
            point = new
        if close and not new.size <= 0.5 * last:
            break
    return point, steps, tries


def _damped(
    problem: Ridged, point: Point, step, level: Level, most: int
) -> tuple[Point | None, int]:
    """Shorten the step until the dual, along it, falls less steeply than half its first rise.

    None where no length serves, of as many as are allowed, before it is too short to move anything.
    Also returns how many lengths were tried.
    """
    xi, multipliers = step
    initial, t = point.errors @ multipliers, 1.0
    clear = initial > 1e3 * np.finfo(float).eps * (np.abs(problem.dual.y) @ np.abs(multipliers))
    for tried in range(most):
        short = t * xi, t * multipliers
        if _is_lost(point, short):
            return None, tried
        trial = _try(problem, point, short, level)
        if trial and clear and trial.errors @ multipliers >= -0.5 * initial:
            return trial, tried + 1
        if trial and trial.size <= (0.25 if clear else 1 - 0.25 * t) * point.size:
            return trial, tried + 1
        t *= 0.4
    return None, most


def _try(problem: Ridged, point: Point, step, level: Level) -> Point | None:
    """Evaluate; None if too far for a potential whose inverse has no formula."""
    try:
        return problem.at(point.at.xi + step[0], point.multipliers + step[1], level)
    except ValueError:
        return None


def _is_lost(point: Point, step) -> bool:
    """Whether rounding leaves a point where it is."""
    here = point.at.xi, point.multipliers
    return all((at + along == at).all() for at, along in zip(here, step, strict=True))


class _Slack(FixedNodes):
    """Fixed nodes and, after them, one for each datum: its slack, by the root of its ridge.

    There is one target; its state is coefficients and multipliers, side by side.
    """

    def __init__(self, problem: Ridged, count: int) -> None:
        super().__init__(problem.dual, count)
        self.problem, self.root = problem, np.sqrt(problem.ridge)
        self.inner, self.targets = len(self.weights), problem.dual.y[None]
        self.weights = np.concatenate([self.weights, np.ones(len(self.root))])
        self.potential = _WithSlack(self.potential, self.inner)

    def parts(self, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients and multipliers."""
        return state[..., : len(self.root)], state[..., len(self.root) :]

    def units(self, values: np.ndarray) -> np.ndarray:
        return values[..., : self.inner]

    def like_units(self, value: float) -> np.ndarray:
        return np.concatenate([np.full(self.inner, value), np.ones(len(self.root))])[None]

    def enlarge(self, state: np.ndarray, factor: np.ndarray) -> np.ndarray:
        # the slacks are quadratic: what the units gain, they may have to pay
        return state if abs(factor - 1) < 1e-9 else state * best_multiple(self, state)

    def field(self, state: np.ndarray) -> np.ndarray:
        xi, multipliers = self.parts(state)
        return np.concatenate([super().field(xi), self.root * multipliers], axis=-1)

    def integral(self, values: np.ndarray) -> np.ndarray:
        units = super().integral(self.units(values))
        return self.dual.separate(units.T).T + self.root * values[..., self.inner :]

    def solve(self, weights: np.ndarray, right: np.ndarray) -> np.ndarray:
        masses = self.mass_matrices(self.units(weights)[0])
        return np.concatenate(self.problem.system(masses).solve(right[0]))[None]

    def gain(self, state: np.ndarray) -> np.ndarray:
        return super().gain(self.parts(state)[1])


class _WithSlack:
    """A potential for the first entries of the last axis, and half the square for the others."""

    def __init__(self, potential: Potential, count: int) -> None:
        self.potential, self.count = potential, count

    def _apply(self, function, slack, *arrays) -> np.ndarray:
        heads = (a[..., : self.count] if a.shape[-1] > 1 else a for a in arrays)
        tails = (a[..., self.count :] if a.shape[-1] > 1 else a for a in arrays)
        return np.concatenate([function(*heads), slack(*tails)], axis=-1)

    def hessian(self, alpha: np.ndarray) -> np.ndarray:
        return self._apply(self.potential.hessian, np.ones_like, alpha)

    def mirror(self, alpha: np.ndarray) -> np.ndarray:
        return self._apply(self.potential.mirror, np.copy, alpha)

    def inverse_mirror(self, z: np.ndarray) -> np.ndarray:
        return self._apply(self.potential.inverse_mirror, np.copy, z)

    def bregman(self, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return self._apply(self.potential.bregman, lambda a, b: 0.5 * (a - b) ** 2, alpha, beta)
