r"""How h depends on the targets: its derivative, and what regression makes of that.

At the optimum :math:`h + R\lambda = y` at the data, and the derivative of h there with respect to
:math:`\lambda` is :math:`K = -\nabla^2 g`. Hence

.. math::

    \frac{\partial \lambda}{\partial y} = G = (K + R)^{-1}, \qquad
    \frac{\partial h}{\partial y} = I - R G,

with the factorized system of Newton's method; the diagonal costs no more than a few solves.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from mflib.variational._banded import RidgeSystem
from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._finite_elements import Orientation
from mflib.variational._quadrature import Level, gauss_rule, split

_CHUNK = 4_000_000  # entries of the derivative that are computed at once


class _Ramps(NamedTuple):
    """Functions slope * (b - origin) of the kink b on intervals, each within an element."""

    owner: np.ndarray  # which point each belongs to
    element: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    origin: np.ndarray
    slope: np.ndarray


class Sensitivity:
    """Derivatives at the optimum of a problem, as `at` has it."""

    def __init__(self, data: Data, dual: DiscreteDual, at: Evaluation, level: Level) -> None:
        self.data, self.dual, self.xi, self.level = data, dual, at.xi, level
        self.matrix = dual.newton_matrix(at.mass_matrices)
        self.system = RidgeSystem(np.diff(data.x), self.matrix, data.ridge)

    @cached_property
    def inverse_diagonal(self) -> np.ndarray:
        """The diagonal of G, of the merged data."""
        return self.system.inverse_diagonal()

    @property
    def complements(self) -> np.ndarray:
        """One less the leverages, (m,): without cancellation where those are almost 1."""
        d, shares = self.data, self.data.shares
        return (1 - shares) + shares * (d.ridge * self.inverse_diagonal)[d.group]

    def leave_one_out(self, multipliers: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Residuals at each datum of what the others say, to first order in what changes."""
        d = self.data
        inverse = 1 / np.where(d.ridges > 0, d.ridges, np.inf)
        others = np.bincount(d.group, inverse, len(d.x))[d.group] - inverse
        alone = np.bincount(d.group)[d.group] == 1
        # of a datum alone the ridge cancels, which may be zero
        direct = multipliers / (self.inverse_diagonal[d.group] + np.where(alone, 0.0, others))
        complements = np.where(alone | (d.ridges == 0), 1.0, self.complements)
        return np.where(alone | (d.ridges == 0), direct, residuals / complements)

    def gcv(self, multipliers: np.ndarray) -> float:
        """Generalized cross-validation; for an interpolant, the limit of a vanishing ridge."""
        ridges, count = self.data.ridges, len(self.data.ridges)
        if not ridges.any():
            return float(count * (multipliers @ multipliers) / self.inverse_diagonal.sum() ** 2)
        if not ridges.all():
            return float("nan")  # some data have an infinite weight
        mean = 1 / np.mean(1 / ridges)
        return float(count * mean * (ridges @ multipliers**2) / self.complements.sum() ** 2)

    def jacobian(self, t: np.ndarray) -> np.ndarray:
        """Derivatives of h(t) with respect to all targets, shape (len(t), m)."""
        size = max(1, _CHUNK // len(self.dual.grid))
        parts = [self._of_merged(t[k : k + size]) for k in range(0, len(t), size)]
        merged = np.concatenate([np.empty((0, len(self.data.x))), *parts])
        return merged[:, self.data.group] * self.data.shares

    def _of_merged(self, t: np.ndarray) -> np.ndarray:
        """A functional f.h + b.xi has the derivative f - G R f + C'P^-1 b, where P xi = C e + b."""
        values, loads = self.functional(t)
        right = self.data.ridge[:, None] * values.T
        return values - self.system.solve(right, -loads.T)[1].T

    def functional(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f and b, shape (len(t), n), with h(t) = f.h + b.xi to first order in all changes."""
        values, loads, ramps = (self._from_data if len(self.data.x) > 1 else self._from_kernel)(t)
        for o, ramp in ramps:
            nodal = self._integrals(o, ramp, len(t))
            hats = (1 - self.dual.slope) * nodal[:, self.dual.interior]
            loads = loads + np.concatenate([hats, nodal @ o.global_functions], axis=1)
        return values, loads

    def _from_data(self, t: np.ndarray):
        """h(t) from the line through the data beside t, or of the end slope, and the curvature."""
        x, count = self.data.x, len(t)
        j = np.clip(np.searchsorted(x, t, side="right") - 1, 0, len(x) - 2)
        before, after = np.flatnonzero(t < x[0]), np.flatnonzero(t > x[-1])
        inside = np.flatnonzero((t >= x[0]) & (t <= x[-1]))
        values, loads = np.zeros((2, count, len(x)))
        left, right = x[j[inside]], x[j[inside] + 1]
        part = (t[inside] - left) / (right - left)
        values[inside, j[inside]] = 1 - part
        values[inside, j[inside] + 1] = part
        # where ends nearly coincide, the combination C h knows more of their slope than a chord
        for outside, end, sign in ((before, 0, -0.5), (after, -1, 0.5)):
            slope = np.concatenate([np.full(self.dual.n_interior, sign), [0.0, 1.0]])
            values[outside, end] = 1.0
            loads[outside] = (t[outside] - x[end])[:, None] * (self.matrix @ slope)
        ramps = [
            (inside, j[inside] + 1, left, t[inside], left, part - 1),
            (inside, j[inside] + 1, t[inside], right, right, part),
            (before, 0, t[before], x[0], t[before], 1.0),
            (before, 1, x[0], x[1], x[1], (t[before] - x[0]) / (x[1] - x[0])),
            (after, len(x) - 1, x[-2], x[-1], x[-2], (t[after] - x[-1]) / (x[-1] - x[-2])),
            (after, len(x), x[-1], t[after], t[after], -1.0),
        ]
        ramp = _joined(ramps)
        ramp = ramp._replace(slope=(1 - self.dual.slope) * ramp.slope)
        return values, loads, [(o, ramp) for o in self.dual.orientations]

    def _from_kernel(self, t: np.ndarray):
        """h(t) from a single datum's field, which is integrated against the features at t."""
        x, rows, s = self.data.x[0], np.arange(len(t)), self.dual.slope
        low, high = np.minimum(t, x), np.maximum(t, x)
        spans = [(0, -np.inf, low), (t > x, low, high), (1, high, np.inf)]
        ramps = []
        for o in self.dual.orientations:
            below, above = (1.0, s) if o.signs[0] == 1 else (-s, -1.0)
            parts = [
                (rows, element, start, stop, t, -np.where(stop <= t, below, above))
                for element, start, stop in spans
            ]
            ramps.append((o, _joined(parts)))
        return *np.zeros((2, len(t), 1)), ramps

    def _integrals(self, o: Orientation, ramp: _Ramps, count: int) -> np.ndarray:
        r"""Integrals of ramps against hat functions with weight :math:`p/\varphi''`, by owner."""
        first, last = (np.searchsorted(o.element, ramp.element, side) for side in ("left", "right"))
        many = last - first
        index = np.repeat(np.arange(len(many)), many)
        part = first[index] + np.arange(len(index)) - np.repeat(np.cumsum(many) - many, many)
        corner = o.grid[ramp.element[index]]
        left = np.maximum(o.left[part], ramp.start[index] - corner)
        right = np.minimum(o.right[part], ramp.stop[index] - corner)
        some = right > left
        index, left, right = index[some], left[some], right[some]
        pieces = o.pieces(self.dual.nodal_values(o, self.xi), left, right, ramp.element[index])
        pieces = split(pieces._replace(element=index), self.dual.potential, self.level)
        offset, alpha, weights = gauss_rule(pieces, self.dual.potential, self.level.nodes)
        index, element = pieces.element, ramp.element[pieces.element]
        b = o.grid[element] + offset
        weights = weights * o.pdf(b) / self.dual.potential.hessian(alpha)
        weights *= ramp.slope[index] * (b - ramp.origin[index])
        nodal, width = np.zeros((count, len(o.grid))), len(o.grid)
        for shift, shape in enumerate(o.shape_functions(offset, element)):
            where = ramp.owner[index] * width + element + shift
            sums = np.einsum("nk,nk->k", weights, shape)
            nodal += np.bincount(where, sums, count * width).reshape(count, width)
        return nodal


def _joined(parts: list[tuple]) -> _Ramps:
    rows = [np.broadcast_arrays(*part) for part in parts]
    return _Ramps(*(np.concatenate(column) for column in zip(*rows, strict=True)))
