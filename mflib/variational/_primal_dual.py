r"""A start for Newton's method: the primal and the dual problem together, by secants.

On fixed nodes, let :math:`\alpha` interpolate the data and let z be a field. Then

.. math::

    0 \le \int D_\varphi(\alpha, \beta)\, d\mu = P(\alpha) - D(z), \qquad
    \beta = (\varphi')^{-1}(z),

the gap between the primal and the dual objective, which is closed where :math:`\alpha = \beta`.
Newton's method replaces :math:`\varphi'` by a tangent: the dual one at :math:`\beta`, the primal
one at :math:`\alpha`. For a high power both are wrong by orders of magnitude wherever z is about to
change its sign, and both steps come out short. The secant through :math:`(\alpha,
\varphi'(\alpha))` and :math:`(\beta, z)` closes the gap in a few steps, whatever the scales.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mflib.variational._dual import DiscreteDual
from mflib.variational._finite_elements import Assembly
from mflib.variational._quadrature import Pieces, gauss_rule

_GAP = 1e-12  # relative to the cost; what is left is less than the quadrature of fixed nodes errs
_MAX_SYSTEMS = 20
_OCTAVES = 996  # 1e300
_STEEP = 1e6  # growth of the mirror map over an octave: more than that of any power below 20


def approximate(grid: FixedNodes) -> tuple[np.ndarray, int]:
    """Return a state near the dual's optimum, and how many linear systems that took."""
    phi, inner, zero = grid.potential, grid.dual.potential, np.zeros(1)
    # the quadratic problem, and the field that fits its solution where it is largest
    curvature = float(inner.hessian(zero)[0])
    weight = grid.like_units(1 / curvature)
    state = grid.solve(weight, grid.targets)
    alpha = grid.field(state) * weight
    largest = np.abs(grid.units(alpha)).max()
    if largest == 0:
        return state, 1
    size, half = inner.mirror(np.array([largest, 0.5 * largest]))
    gap, systems = np.inf, 1
    start = None
    if not (size <= _STEEP * half and np.isfinite(grid.sum(phi.bregman(alpha, zero)))):
        # far out in a tail a potential that grows exponentially is as good as infinite
        start = _finite_start(grid, state)
    if start:
        (state, alpha), systems = start, 2
    else:
        state = grid.enlarge(state, size / (curvature * largest))
    while systems < _MAX_SYSTEMS:
        z = grid.field(state)
        beta = phi.inverse_mirror(z)
        cost = grid.sum(phi.bregman(alpha, zero))
        last, gap = gap, grid.sum(phi.bregman(alpha, beta)) / cost if cost else 0.0
        if not gap > _GAP or 1e-6 > gap > 0.5 * last:
            break
        weight = _secant(phi, alpha, beta, z)
        step = grid.solve(weight, grid.integral(alpha - beta))
        systems += 1
        if not np.isfinite(step).all():
            break
        rise = grid.field(step)
        run = weight * rise + beta - alpha  # keeps the integral of alpha
        # the gap is a sum, of P and -D: each has its own step size
        alpha, state = (
            alpha + run * _search(partial(_slope, grid.sum, phi, alpha, run)),
            state + step * _search(partial(_slope_dual, grid.sum, phi, z, rise, grid.gain(step))),
        )
    return state, systems


def _finite_start(grid: FixedNodes, state: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The best multiple of a field, and an interpolant one Newton step away from it."""
    try:
        state = state * best_multiple(grid, state)
        beta = grid.potential.inverse_mirror(grid.field(state))
    except ValueError:  # too large for an inverse without a formula
        return None
    weight = 1 / grid.potential.hessian(beta)
    step = grid.solve(weight, grid.targets - grid.integral(beta))
    return state, beta + weight * grid.field(step)


def best_multiple(grid: FixedNodes, state: np.ndarray) -> float:
    """Where the dual is largest on the ray through a state, within a factor of two."""
    field, gain = grid.field(state), grid.gain(state)
    return _scale(partial(_slope_dual, grid.sum, grid.potential, 0.0, field, gain))


def _slope(integral, phi, alpha, run, t: float) -> float:
    return integral(phi.mirror(alpha + t * run) * run)


def _slope_dual(integral, phi, z, rise, gain: float, t: float) -> float:
    return integral(phi.inverse_mirror(z + t * rise) * rise) - gain


def _secant(phi, alpha: np.ndarray, beta: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Slopes of the inverse mirror map between two points; its derivative where they coincide."""
    run, rise = beta - alpha, z - phi.mirror(alpha)
    apart = np.abs(run) > 1e-8 * np.abs(beta)
    return np.where(apart, run, 1.0) / np.where(apart, rise, phi.hessian(beta))


def _search(slope: Callable[[float], float]) -> float:
    """Shorten a full step until a convex function rises there no steeper than it fell at first."""
    start, t = slope(0.0), 1.0
    if not start < 0:
        return 0.0
    for _ in range(30):
        if slope(t) <= -0.9 * start:  # false where it has overflown
            break
        t *= 0.4
    return t


def _scale(slope: Callable[[float], float]) -> float:
    """Where the dual is largest on a ray, within a factor of two: its slope there changes sign.

    A potential that grows exponentially may ask for hundreds of octaves: they are bisected.
    """

    def rises(octaves: int) -> bool:
        try:
            return slope(2.0**octaves) < 0
        except ValueError:  # too far for an inverse without a formula
            return False

    up = rises(0)
    direction, inner, outer = 1 if up else -1, 0, 1
    while outer < _OCTAVES and rises(direction * outer) == up:
        inner, outer = outer, min(2 * outer, _OCTAVES)
    while outer - inner > 1:
        middle = (inner + outer) // 2
        if rises(direction * middle) == up:
            inner = middle
        else:
            outer = middle
    return 2.0 ** (direction * outer)


class FixedNodes:
    """Quadrature nodes that do not follow the field, all in one array, shape (count, K)."""

    def __init__(self, dual: DiscreteDual, count: int) -> None:
        self.dual, self.assemblies, places = dual, [], []
        self.targets = dual.targets
        for o in dual.orientations:
            zero = np.zeros(len(o.left))
            pieces = Pieces(o.left, o.right, zero, zero, o.element)
            rule = gauss_rule(pieces, dual.potential, count)
            self.assemblies.append(Assembly.at(o, o.element, rule.offset, rule.weights))
            places.append(o.grid[o.element] + rule.offset)
        self.potential: Any = dual.potential_at(np.concatenate(places, axis=1))
        self.weights = np.concatenate([a.weights for a in self.assemblies], axis=1)

    def field(self, state: np.ndarray) -> np.ndarray:
        fields = [
            a.interpolate(self.dual.nodal_values(a.orientation, state)) for a in self.assemblies
        ]
        return np.concatenate(fields, axis=1)

    def units(self, values: np.ndarray) -> np.ndarray:
        """What belongs to units of the network."""
        return values

    def like_units(self, value: float) -> np.ndarray:
        """A value at every unit."""
        return np.full(self.weights.shape, value)

    def enlarge(self, state: np.ndarray, factor: float) -> np.ndarray:
        """The state whose field is as large as that of a solution of the quadratic problem."""
        return state * factor

    def sum(self, values: np.ndarray) -> float:
        return float(np.vdot(self.weights, values))

    def gain(self, state: np.ndarray) -> float:
        """The linear part of the dual."""
        return float(state @ self.targets)

    def integral(self, values: np.ndarray) -> np.ndarray:
        parts = [
            self.dual.against_basis(a.orientation, a.load_vector(v)) for a, v in self._parts(values)
        ]
        return np.sum(parts, axis=0)

    def mass_matrices(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [a.mass_matrix(w) for a, w in self._parts(weights)]

    def solve(self, weights: np.ndarray, right: np.ndarray) -> np.ndarray:
        return self.dual.solve(self.mass_matrices(weights), right)

    def _parts(self, values: np.ndarray):
        ends = np.cumsum([len(a.element) for a in self.assemblies])[:-1]
        return zip(self.assemblies, np.split(values, ends, axis=1), strict=True)
