"""Data without units: inputs on the support of the kinks, targets as a line and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


def basis(t: np.ndarray) -> np.ndarray:
    return np.stack([np.ones(len(t)), t], axis=1)


@dataclass(frozen=True)
class Scaled:
    """Data in scaled units, and the way there and back.

    The line through the data is ``basis(t) @ coefficients``, whose `coefficients` are linear in
    the targets y: ``functionals @ y``.
    """

    t: np.ndarray
    z: np.ndarray
    w: np.ndarray
    map: tuple[float, float, float, float]
    coefficients: np.ndarray
    functionals: np.ndarray
    rank: float
    spread: float

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, w: np.ndarray, density: Any) -> Scaled:
        low, high = density.support()
        if not np.isfinite([low, high]).all():
            low, high = -1.0, 1.0
        ends = 0.5 * x.min(), 0.5 * x.max()  # whose sum and difference do not overflow
        to = ends[0] + ends[1], ends[1] - ends[0], 0.5 * (low + high), 0.5 * (high - low)
        t = np.clip(_map(x, to), low, high)
        root = np.sqrt(w / w.max())
        functionals = np.linalg.pinv(root[:, None] * basis(t)) * root
        size = np.abs(y).max() or 1.0  # squares must not overflow
        coefficients = functionals @ (y / size)
        errors = y / size - basis(t) @ coefficients
        errors[np.abs(errors) < 1e-14] = 0.0  # rounding
        spread = float(np.sqrt(w @ errors**2 / w.sum()))
        rank = float(min(2, len(np.unique(t))))
        return cls(
            t,
            errors / (spread or 1.0),
            w,
            to,
            size * coefficients,
            functionals,
            rank,
            size * spread,
        )

    @property
    def bent(self) -> bool:
        """Whether a curve could fit better than the line."""
        return self.spread > 0 and len(np.unique(self.t)) > 2

    def inputs(self, x: np.ndarray) -> np.ndarray:
        return _map(x, self.map)

    def targets(self, t: np.ndarray, h: Any) -> np.ndarray:
        """The line and the curve, in the units of y."""
        return basis(t) @ self.coefficients + self.spread * h

    def response(self, t: np.ndarray, h: Any) -> np.ndarray:
        r"""The derivative of line and curve at points with respect to y, shape (len(t), m).

        With the projection P onto lines it is :math:`P + H (I - P)`; the spread counts as fixed,
        which for the quadratic makes no difference.
        """
        result = basis(t) @ self.functionals
        if h is not None:
            k = h.jacobian(t)
            result += k - (k @ basis(self.t)) @ self.functionals
        return result

    def left_out(self, h: Any) -> float:
        """The mean squared error of leaving one datum out, to first order, in scaled units."""
        own = 1 - np.diagonal(self.response(self.t, h))
        errors = np.divide(self.z - h(self.t), own, out=np.full(len(own), np.inf), where=own > 1e-9)
        return float(np.average(errors**2, weights=self.w))


def _map(x: np.ndarray, to: tuple[float, float, float, float]) -> np.ndarray:
    middle, half, center, reach = to
    return center + reach * ((x - middle) / half) if half else np.full(len(x), center)
