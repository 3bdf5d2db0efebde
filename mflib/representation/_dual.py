"""The dual of problem (P) on the nodes of a measure."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from mflib.representation._measures import Measure


class Dual:
    r"""The dual of problem (P) with a ridge R, in a basis where it is well conditioned.

    Its unknown :math:`\xi` has the norm of :math:`z = \sum_i \lambda_i \sigma_i` in
    :math:`L^2(\mu)`. Repeated inputs, and features of low rank, leave directions of
    :math:`\lambda` that move no z: these are no part of the basis.
    """

    def __init__(self, measure: Measure, y: np.ndarray, root: np.ndarray) -> None:
        nodes = measure.nodes()
        features = np.sqrt(nodes.mass)[:, None] * measure.features(nodes, measure.points)
        # with R = root.T @ root the rows of both add up to K + R
        _, sizes, rows = linalg.svd(np.concatenate([features, root]), full_matrices=False)
        kept = sizes > 1e-13 * sizes[0]
        self.sizes, self.rows = sizes[kept], rows[kept]
        self.from_basis = (self.rows / self.sizes[:, None]).T
        self.right, self.root = y @ self.from_basis, root @ self.from_basis
        self.evaluations = 0
        self.discretize(measure)

    def discretize(self, measure: Measure) -> Dual:
        """Take the nodes of a measure, and keep the basis."""
        nodes = measure.nodes()
        self.potential, self.mass = measure.potential_at(measure.places(nodes)), nodes.mass
        self.basis = measure.features(nodes, measure.points) @ self.from_basis
        return self

    def to_basis(self, multipliers: np.ndarray) -> np.ndarray:
        return self.sizes * (self.rows @ multipliers)

    def evaluate(self, xi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return alpha at the nodes and the gradient of the dual; xi may have several rows."""
        self.evaluations += 1
        alpha = self.potential.inverse_mirror(xi @ self.basis.T)
        return alpha, self.right - (alpha * self.mass) @ self.basis - (xi @ self.root.T) @ self.root

    def curvature(self, alpha: np.ndarray) -> np.ndarray:
        """Return minus the Hessian of the dual."""
        weights = self.mass / self.potential.hessian(alpha)
        return (self.basis.T * weights) @ self.basis + self.root.T @ self.root

    def step(self, alpha: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the Newton step."""
        return np.linalg.lstsq(self.curvature(alpha), gradient, rcond=1e-15)[0]

    def length(self, xi: np.ndarray, step: np.ndarray, initial: float) -> float:
        """Find where the slope along a step has fallen to half; 0 where rounding hides it."""
        low, high, t, factor = 0.0, np.inf, 1.0, 4.0
        while high > 1e-8 and factor < 1e150:
            slope = self._slope(xi + t * step, step)
            if abs(slope) <= 0.5 * initial:
                return t
            low, high = (t, high) if slope > 0 else (low, t)
            if np.isinf(high):
                t, factor = t * factor, factor**2
            elif high < 1.001 * low:
                break
            else:
                t = np.sqrt(low * high) if low > 0 else high / 8
        return 0.0

    def _slope(self, trial: np.ndarray, step: np.ndarray) -> float:
        """Slope of the dual at a trial point; where alpha overflows, the dual falls beyond all."""
        with np.errstate(over="ignore", invalid="ignore"):
            slope = float(self.evaluate(trial)[1] @ step)
        return slope if np.isfinite(slope) else -np.inf
