r"""Radau's collocation of seven stages, and the control of its steps, for both kinds of path.

A step meets :math:`\xi' = r(\xi)` at seven points of its interval by a polynomial of degree seven;
it is of order thirteen at the end of the step and L-stable. Newton's method has one Jacobian for
all stages, in the basis of the eigenvectors of the coefficients: it costs a solve with a shifted
Jacobian for each real eigenvalue and for each pair of complex ones.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.special import roots_jacobi

_STAGES = 7
_MAX_NEWTON = 12
_MOST_STEPS = 20_000
_MOST_IN_VAIN = 250  # until time has doubled: the number of steps grows like its logarithm

_interior = roots_jacobi(_STAGES - 1, 1, 0)[0]
POINTS = 0.5 * (1 + np.append(_interior, 1.0))  # in (0, 1], the last at the end
_powers = np.arange(_STAGES)
_INVERSE = POINTS[:, None] ** _powers @ np.linalg.inv(
    POINTS[:, None] ** (_powers + 1) / (_powers + 1)
)
_all_values, _all_vectors = np.linalg.eig(_INVERSE)
_upper = _all_values.imag >= 0  # one of each pair stands for both
_VALUES = _all_values[_upper]
_VECTORS = _all_vectors[:, _upper] * np.where(_VALUES.imag > 0, 2.0, 1.0)
_BACK = np.linalg.inv(_all_vectors)[_upper]
# from increments at the stages to the last Legendre coefficients of the polynomial
_TO_LEGENDRE = np.linalg.inv(legvander(2 * np.append(0.0, POINTS) - 1, _STAGES))[:, 1:]
ORDER = _STAGES + 1  # in the step, of the error estimate


class TrajectoryStatus(enum.Enum):
    """How a trajectory ended; the value is the explanation.

    References
    ----------
    The integrator: :cite:t:`hairer1996stiff`.

    Examples
    --------
    >>> TrajectoryStatus.COMPLETED.value
    'the path at all times, to the accuracy of its `error`'
    """

    COMPLETED = "the path at all times, to the accuracy of its `error`"
    STALLED = (
        "the integrator could not make its steps small enough, or took too many; the rows from "
        "there on are NaN. Likely cause: a potential nearly flat or nearly singular at these "
        "magnitudes, or whose conjugate has no integral under the density's tails; use a larger "
        "rtol, shorter times or lighter tails"
    )

    def __repr__(self) -> str:
        return f"TrajectoryStatus.{self.name}"  # the explanation has several lines


class NoConvergence(Exception):
    """Newton's method does not meet the stages: take a shorter step."""


class Stages:
    """The equations of one step: increments Z, shape (7, N), with Z / step = A r(Z).

    Parameters
    ----------
    velocity : callable
        r, from increments (7, N) to the velocities (7, k) of the first k components. The others
        are linear functions of these, and carried along.
    step : float
    """

    def __init__(self, velocity: Callable, step: float) -> None:
        self.velocity, self.step = velocity, step

    def linearize(self, resolvent: Callable) -> None:
        """Take a Jacobian J of the velocity for Newton's method.

        Its `resolvent` makes of a number s, real or complex, a function that solves
        (s - J) d = r for d, with all N components.
        """
        real = _VALUES.imag == 0
        shifts = [v.real if r else v for v, r in zip(_VALUES / self.step, real, strict=True)]
        self.solvers = [resolvent(shift) for shift in shifts]

    def newton(self, increments: np.ndarray) -> np.ndarray:
        """Return what Newton's method adds to increments."""
        rest = self.velocity(increments)
        return self.invert(rest - _INVERSE @ increments[:, : rest.shape[1]] / self.step)

    def invert(self, rest: np.ndarray) -> np.ndarray:
        """Return the increments Z with Z / step = A (J Z + rest)."""
        rows = zip(self.solvers, _BACK @ rest, strict=True)
        return (_VECTORS @ np.array([solve(row) for solve, row in rows])).real

    def solve(self, increments: np.ndarray, norm: Callable, tolerance: float) -> np.ndarray:
        """Return the increments to a tolerance in norm, ten times that where rounding stops."""
        size = np.inf
        for _ in range(_MAX_NEWTON):
            change = self.newton(increments)
            size, previous = norm(change).max(), size
            if not size < 2 * previous:
                break
            increments = increments + change
            if size <= tolerance:
                return increments
        if not previous <= 10 * tolerance:
            raise NoConvergence
        return increments


def between(increments: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Evaluate the polynomial through the stages at points of [0, 1]; it is 0 at 0."""
    return legvander(2 * points - 1, _STAGES) @ (_TO_LEGENDRE @ increments)


class Walk(abc.ABC):
    """A path from time 0, as far as it is known, and the control of its steps."""

    def __init__(self, state: np.ndarray, step: float, size: float, rtol: float) -> None:
        self.time, self.state, self.error, self.steps = 0.0, state, 0.0, 0
        self.mark = 0.0, 0  # time and steps when time had last doubled
        self.step, self.size, self.rtol = step, size, rtol

    @abc.abstractmethod
    def increments(self, step: float) -> np.ndarray:
        """Solve the equations of a step, or raise NoConvergence and leave no trace."""

    @abc.abstractmethod
    def norm(self, rows: np.ndarray) -> np.ndarray:
        """Return the norm of each row, shape (k, N) -> (k,)."""

    @abc.abstractmethod
    def moved(self, increments: np.ndarray) -> float:
        """Return how much the error of a step moves h at the data, at most."""

    @abc.abstractmethod
    def loss(self) -> float:
        """Return the mean squared error."""

    def advance(self, stop: float, progress: bool) -> None:
        """Go on to a time, or raise NoConvergence."""
        while self.time < stop:
            count = np.ceil((stop - self.time) / self.step)
            step = (stop - self.time) / count
            self.steps += 1
            if progress and self.steps % 10 == 0:
                print(f"step {self.steps}: time {self.time:.3g}, loss {self.loss():.3g}")
            if self.time > 2 * self.mark[0]:
                self.mark = self.time, self.steps
            vain = self.steps > min(_MOST_STEPS, self.mark[1] + _MOST_IN_VAIN)
            if vain or not self.time + 1e-3 * step > self.time:
                raise NoConvergence
            try:
                increments = self.increments(step)
                error = self._error(increments)
            except NoConvergence:
                error = np.inf
            self.step = step * min(3.0, max(0.2, 0.8 * max(error, 1e-20) ** (-1 / ORDER)))
            if error <= 1:
                self._accept(stop if count == 1 else self.time + step, increments)

    def _accept(self, time: float, increments: np.ndarray) -> None:
        self.error += self.moved(increments)
        self.time, self.state = time, self.state + increments[-1]
        self.size = float(self.norm(self.state[None])[0]) or self.size

    def _error(self, increments: np.ndarray) -> float:
        """Error of a step, in units of the tolerance."""
        size = max(self.size, float(self.norm(self.state + increments[-1:])[0]))
        error = float(self.norm(self.next_term(increments)[None])[0]) / (self.rtol * size)
        return error if np.isfinite(error) else np.inf

    def next_term(self, increments: np.ndarray) -> np.ndarray:
        """Extrapolate the Legendre coefficients of the polynomial by one: its error, estimated.

        That of the end of the step, of order thirteen, is smaller by far if the step is short
        enough.
        """
        last = _TO_LEGENDRE[-2:] @ increments
        before, size = self.norm(last)
        return min(1.0, size / max(before, 1e-300)) * last[1]
