r"""The quadratic's path of training: twelve ridges, whatever the time.

The Laplace transform of :math:`\lambda' = \tfrac1m W (\bar y - K\lambda)` is a ridge solution, with
:math:`R = m s W^{-1}`, divided by s. On a contour around the negative axis the
trapezoidal rule inverts it,

.. math::

    \lambda(t) = \sum_k \frac{c_k}{z_k} \bigl( K + \tfrac{m z_k}{t} W^{-1} \bigr)^{-1} \bar y,

with the same points and weights for all times, to rounding: they approximate the exponential on
the whole negative axis to 5e-14.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mflib.variational._banded import RidgeSystem
from mflib.variational._quadrature import LEVELS
from mflib.variational._radau import Model


def talbot(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    r"""Return z and c with :math:`e^{-u} \approx \Re \sum_k c_k / (z_k + u)` for all u >= 0.

    One of each conjugate pair; the error falls like :math:`3.89^{-2\,\mathrm{count}}`.

    References
    ----------
    :cite:t:`trefethen2006talbot`, the cotangent contour.
    """
    n = 2 * count
    angle = (np.arange(count) + 0.5) * 2 * np.pi / n
    turned = 0.6407 * angle
    z = n * (0.5071 * angle / np.tan(turned) - 0.6122 + 0.2645j * angle)
    slope = n * (0.5071 * (1 / np.tan(turned) - turned / np.sin(turned) ** 2) + 0.2645j)
    return z, 2 * np.exp(z) * slope / (1j * n)


_POINTS, _COEFFICIENTS = talbot()


class ContourPath:
    """The path for the quadratic: with no steps, and no error but rounding."""

    error = 0.0

    def __init__(self, model: Model) -> None:
        self.model, self.n, self.defect = model, len(model.means), 0.0
        self.level = 2  # exact to rounding on the density's panels
        self._move(0.0, np.zeros(self.n), np.zeros(self.n))
        self.matrix = model.matrix(self.at)

    def advance(self, time: float, progress: bool) -> None:
        """Go to a time."""
        if time == 0:
            return
        model = self.model
        found = np.zeros((4, self.n))
        for z, c, system in self._systems(time):
            xi, multipliers = system.solve(model.means.astype(complex))
            left = model.means - self._values(xi) - system.ridge * multipliers
            more = system.solve(left)
            state = np.stack([xi + more[0], multipliers + more[1]])
            found += np.concatenate([(c / z * state).real, (c / time * state).real])
        self._move(time, *found[:2])
        # the equation itself: the velocity of the sum against h of the sum, by quadrature
        missed = model.m / model.counts * found[3] - (model.means - model.values(self.at))
        self.defect = max(self.defect, float(np.abs(missed).max()))

    def jacobian(self, time: float, values: np.ndarray, loads: np.ndarray) -> np.ndarray:
        """Derivatives of functionals f.h + b.xi with respect to the means, shape (k, n).

        For one ridge R that is f - G R f + C'P^-1 b, with its system P and G = (K + R)^-1.
        """

        def derivative(system: RidgeSystem) -> np.ndarray:
            right = system.ridge[:, None] * values.T
            return values - system.solve(right, -loads.T)[1].T

        return self._inverted(time, derivative, values)

    def traces(self, stops: np.ndarray) -> np.ndarray:
        """The trace of the derivative of h at the data with respect to the means, at each time."""

        def trace(system: RidgeSystem) -> complex:
            return self.n - (system.ridge * system.inverse_diagonal()).sum()

        return np.array([float(self._inverted(time, trace, 0.0)) for time in stops])

    def _inverted(self, time: float, of, like) -> np.ndarray:
        """Sum what one takes of the systems along the contour."""
        total = np.zeros_like(like, dtype=float)
        if time > 0:
            for z, c, system in self._systems(time):
                total = total + (c / z * of(system)).real
        return total

    def _systems(self, time: float) -> Iterator[tuple[complex, complex, RidgeSystem]]:
        for z, c in zip(_POINTS, _COEFFICIENTS, strict=True):
            yield z, c, self.model.system(self.matrix, z / time)

    def _values(self, xi: np.ndarray) -> np.ndarray:
        return self.model.dual.separate(self.matrix @ xi)

    def _move(self, time: float, xi: np.ndarray, multipliers: np.ndarray) -> None:
        self.time, self.xi, self.multipliers = time, xi, multipliers
        self.at = self.model.evaluate(xi, self.level)
