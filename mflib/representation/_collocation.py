r"""One step of Radau's collocation of seven stages for a gradient flow in a scaled metric.

The step meets :math:`\xi' = r(\xi)` at seven points of its interval by a polynomial of degree
seven; it is of order thirteen at the end of the step and L-stable. Newton's method has one Jacobian
for all stages, in the basis of the eigenvectors of the coefficients, so it costs solves of size m.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.special import roots_jacobi

_STAGES = 7
_MAX_NEWTON = 12

_interior = roots_jacobi(_STAGES - 1, 1, 0)[0]
POINTS = 0.5 * (1 + np.append(_interior, 1.0))  # in (0, 1], the last at the end
_powers = np.arange(_STAGES)
_INVERSE = POINTS[:, None] ** _powers @ np.linalg.inv(
    POINTS[:, None] ** (_powers + 1) / (_powers + 1)
)
_VALUES, _VECTORS = np.linalg.eig(_INVERSE)
_BACK = np.linalg.inv(_VECTORS)
# from increments at the stages to the last Legendre coefficients of the polynomial
_LAST = np.linalg.inv(legvander(2 * np.append(0.0, POINTS) - 1, _STAGES))[-2:, 1:]
ORDER = _STAGES + 1  # in the step, of the error estimate


class NoConvergence(Exception):
    """Newton's method does not meet the stages: take a shorter step."""


class Stages:
    """The equations of one step: increments Z, shape (7, r), with Z / step = A r(start + Z)."""

    def __init__(self, velocity: Callable, start: np.ndarray, step: float) -> None:
        self.velocity, self.start, self.step = velocity, start, step

    def linearize(self, jacobian: np.ndarray) -> None:
        """Take a Jacobian of the velocity, shape (r, r), for Newton's method."""
        if not np.isfinite(jacobian).all():
            raise NoConvergence
        unit = np.eye(len(self.start))
        self.inverses = np.linalg.inv(_VALUES[:, None, None] / self.step * unit - jacobian)

    def newton(self, increments: np.ndarray) -> np.ndarray:
        """Return what Newton's method adds to increments."""
        rest = self.velocity(self.start + increments) - _INVERSE @ increments / self.step
        solved = (self.inverses @ (_BACK @ rest)[:, :, None])[:, :, 0]
        return (_VECTORS @ solved).real

    def solve(self, increments: np.ndarray, tolerance: float) -> np.ndarray:
        """Return the increments to a tolerance in norm, ten times that where rounding stops."""
        size = np.inf
        for _ in range(_MAX_NEWTON):
            change = self.newton(increments)
            size, previous = np.linalg.norm(change, axis=1).max(), size
            if not size < 2 * previous:
                break
            increments = increments + change
            if size <= tolerance:
                return increments
        if not previous <= 10 * tolerance:
            raise NoConvergence
        return increments


def next_term(increments: np.ndarray) -> np.ndarray:
    """Extrapolate the Legendre coefficients of the polynomial by one: an estimate of its error.

    That of the end of the step, of order thirteen, is smaller by far if the step is short enough.
    """
    before, last = _LAST @ increments
    falls = float(np.linalg.norm(last)) / max(float(np.linalg.norm(before)), 1e-300)
    return min(1.0, falls) * last
