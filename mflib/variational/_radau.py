r"""The path of training for any potential: Radau's collocation, at O(m) a step.

On distinct inputs with counts W, of m data in all, and the means of their targets,

.. math::

    \lambda' = \tfrac1m W (\bar y - h_\lambda), \qquad \lambda(0) = 0.

Its Jacobian is :math:`-\tfrac1m W K`, so what an implicit method solves with is
:math:`(K + R)^{-1}` with :math:`R = m s W^{-1}`: a ridge, which the stages make complex. The
multipliers and the coefficients of the field, :math:`\lambda = C^\top\xi`, are both carried as sums
of their increments: one from the other would cost the digits of divided differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mflib._collocation import POINTS, NoConvergence, Stages, Walk, between
from mflib.potentials import Quadratic
from mflib.variational._banded import Arrow, RidgeSystem
from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._quadrature import LEVELS, gauss

_CHECKS, _WEIGHTS = (0.5 * array for array in gauss(6))  # where the equation is put to the test


class Model:
    """The equation, for data merged at distinct inputs."""

    def __init__(self, data: Data, *model, far: bool = False) -> None:
        self.data, self.m = data, len(data.targets)
        self.means, self.counts = data.y, np.bincount(data.group).astype(float)
        self.rest, self.gaps = data.targets - data.y[data.group], np.diff(data.x)
        self.dual = DiscreteDual(data.x, data.y, *model, far=far)

    def evaluate(self, xi: np.ndarray, level: int) -> Evaluation:
        try:
            at = self.dual.evaluate(xi, LEVELS[level])
        except ValueError:  # too far for a potential whose inverse has no formula
            raise NoConvergence from None
        if not np.isfinite(at.load).all():
            raise NoConvergence
        return at

    def values(self, at: Evaluation) -> np.ndarray:
        """Values of h at the distinct inputs."""
        return self.dual.separate(at.load)

    def values_at(self, xis: np.ndarray, level: int) -> np.ndarray:
        """The same for several coefficients, one in a row."""
        try:
            loads = self.dual.loads(xis, LEVELS[level])
        except ValueError:
            raise NoConvergence from None
        if not np.isfinite(loads).all():
            raise NoConvergence
        return self.dual.separate(loads.T).T

    def matrix(self, at: Evaluation) -> Arrow:
        return self.dual.newton_matrix(at.mass_matrices)

    def system(self, matrix: Arrow, rate: complex) -> RidgeSystem:
        """The system with which (rate + W K / m) d = W e / m is solved for d."""
        return RidgeSystem(self.gaps, matrix, self.m * rate / self.counts)

    def loss(self, h: np.ndarray) -> float:
        """Mean squared error over all data."""
        return float((self.counts * (self.means - h) ** 2).sum() + self.rest @ self.rest) / self.m

    def early(self, last: float) -> tuple[Arrow, np.ndarray, float]:
        """The metric of fields, the path where it is a straight line, and its fastest rate.

        The line is an implicit Euler step of the quadratic's path, too short to bend.
        """
        d = self.dual
        quadratic = DiscreteDual(d.x, d.y, d.slope, Quadratic(), d.density)
        nothing = np.zeros(len(d.x))
        matrix = quadratic.newton_matrix(quadratic.evaluate(nothing, LEVELS[2]).mass_matrices)
        units = 2 * (d.panels.spread**2 + float(d.density.moment(1)) ** 2 + (d.x**2).max())
        # K is at most the mean of sigma^2, which is at most the mean of (|x| + |b|)^2
        xi, multipliers = self.system(matrix, max(units, 1 / last)).solve(self.means)
        h = d.separate(matrix @ xi)
        moved = self.m * np.linalg.norm(multipliers / np.sqrt(self.counts))
        rate = float(np.linalg.norm(np.sqrt(self.counts) * h) / moved) if moved else 1.0
        return matrix, xi, rate


@dataclass(frozen=True)
class Step:
    """A step that was accepted: from a state to another by a polynomial through seven stages."""

    stop: float
    length: float
    start: np.ndarray  # xi, (n,)
    increments: np.ndarray  # of xi, (7, n)
    level: int

    def state(self, point: float) -> np.ndarray:
        """Coefficients at a point of [0, 1]."""
        return self.start + between(self.increments, np.array([point]))[0]


class RadauPath(Walk):
    """The path as far as it is known; a state is the multipliers and then the coefficients xi."""

    def __init__(self, model: Model, last: float, rtol: float) -> None:
        matrix, line, rate = model.early(last)
        self.model, self.n = model, len(model.means)
        # the integral of z^2: twice that of the quadratic, whose phi'' is 2
        self.metric = Arrow(2 * matrix.bands, 2 * matrix.border, 2 * matrix.corner)
        step = 0.1 * float(model.dual.potential.hessian(np.zeros(1))[0]) / (2 * rate)
        size = float(self._size(line[None])[0]) or 1.0
        super().__init__(np.zeros(2 * self.n), step, size, rtol)
        self.level, self.defect = 0, 0.0
        self.taken: list[Step] = []
        self.at = model.evaluate(self.xi, self.level)

    @property
    def multipliers(self) -> np.ndarray:
        return self.state[: self.n]

    @property
    def xi(self) -> np.ndarray:
        return self.state[self.n :]

    def increments(self, step: float) -> np.ndarray:
        """Solve the equations of a step, with a quadrature that its end does not see through."""
        stages, xi = Stages(self._velocity, step), self._predicted(step)
        while True:
            middle = self.xi + xi[len(POINTS) // 2]
            matrix = self.model.matrix(self.model.evaluate(middle, self.level))
            stages.linearize(self._resolvent(matrix))
            # both kinds of unknowns from one solve: else rounding would part them for ever
            increments = stages.invert(self._velocity(xi) + self._pull(matrix, xi))
            tolerance = 0.01 * self.rtol * self.size
            increments = stages.solve(increments, self.norm, tolerance)
            self._end = self.model.evaluate(self.xi + increments[-1, self.n :], self.level)
            if self._is_resolved():
                return increments
            xi, self.level = increments[:, self.n :], self.level + 1

    def norm(self, rows: np.ndarray) -> np.ndarray:
        return self._size(rows[:, self.n :])

    def moved(self, increments: np.ndarray) -> float:
        error = self.next_term(increments)[self.n :]
        h = self.model.dual.separate(self.model.matrix(self._end) @ error)
        return float(np.abs(h).max())

    def loss(self) -> float:
        return self.model.loss(self.model.values(self.at))

    def _size(self, xi: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum((xi * (self.metric @ xi.T).T).sum(axis=1), 0.0))

    def _predicted(self, step: float) -> np.ndarray:
        """Increments of the coefficients if the polynomial of the last step went on, (7, n)."""
        if not self.taken:
            return np.zeros((len(POINTS), self.n))
        last = self.taken[-1]
        return between(last.increments, 1 + POINTS * (step / last.length)) - last.increments[-1]

    def _velocity(self, increments: np.ndarray) -> np.ndarray:
        """That of the multipliers, at increments that end in those of the coefficients."""
        model = self.model
        h = model.values_at(self.xi + increments[:, -self.n :], self.level)
        return model.counts / model.m * (model.means - h)

    def _pull(self, matrix: Arrow, xi: np.ndarray) -> np.ndarray:
        """How much a linear model slows down between the state and increments of coefficients."""
        model = self.model
        return model.counts / model.m * model.dual.separate(matrix @ xi.T).T

    def _resolvent(self, matrix: Arrow) -> Callable:
        model, to_values = self.model, self.model.m / self.model.counts

        def resolvent(shift: complex) -> Callable:
            system = model.system(matrix, shift)

            def solve(rest: np.ndarray) -> np.ndarray:
                right = rest if isinstance(shift, complex) else rest.real
                return np.concatenate(system.solve(to_values * right)[::-1])

            return solve

        return resolvent

    def _is_resolved(self) -> bool:
        """Whether the next finer quadrature, if there is one, sees the same end of the step."""
        if self.level + 2 >= len(LEVELS):
            return True
        h = self.model.values(self._end)
        finer = self.model.values(self.model.evaluate(self._end.xi, self.level + 1))
        enough = max(0.01 * self.rtol, 1e-14) * np.abs(h).max()
        return bool(np.abs(h - finer).max() <= enough)

    def _accept(self, time: float, increments: np.ndarray) -> None:
        step = Step(time, time - self.time, self.xi, increments[:, self.n :], self.level)
        moved = increments[-1, : self.n] * self.model.m / (self.model.counts * step.length)
        self.defect = max(self.defect, self._missed(step, moved))
        self.taken.append(step)
        self.at = self._end
        super()._accept(time, increments)

    def _missed(self, step: Step, moved: np.ndarray) -> float:
        """How far a step's multipliers are from its mean residual, by nodes of their own."""
        states = step.start + between(step.increments, 0.5 + _CHECKS)
        h = self.model.values_at(states, self.level)
        return float(np.abs(moved - (self.model.means - _WEIGHTS @ h)).max())
