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

import copy
import math
from collections.abc import Callable, Iterator
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


def approximate(grid: FixedNodes) -> tuple[np.ndarray, np.ndarray]:
    """Return a state near the dual's optimum for each target, and how many systems that took.

    Targets go on by themselves: what is done in one step for all of them saves calls.
    """
    phi, inner, zero = grid.potential, grid.dual.potential, np.zeros(1)
    # the quadratic problem, and the field that fits its solution where it is largest
    curvature = float(inner.hessian(zero)[0])
    weight = grid.like_units(1 / curvature)
    state = grid.solve(weight, grid.targets)
    alpha = grid.field(state) * weight
    largest = np.abs(grid.units(alpha)).max(axis=-1)
    systems, gap = np.ones(len(state), dtype=int), np.full(len(state), np.inf)
    size, half = inner.mirror(largest), inner.mirror(0.5 * largest)
    # far out in a tail a potential that grows exponentially is as good as infinite
    near = (size <= _STEEP * half) & np.isfinite(grid.sum(phi.bregman(alpha, zero)))
    live = np.flatnonzero(largest > 0)
    for row in live[~near[live]]:
        start = _finite_start(grid[[row]], state[[row]])
        if start:
            state[row], alpha[row], systems[row] = start[0][0], start[1][0], 2
        else:
            near[row] = True
    if len(rows := live[near[live]]):
        state[rows] = grid[rows].enlarge(state[rows], size[rows] / (curvature * largest[rows]))
    while len(live := live[systems[live] < _MAX_SYSTEMS]):
        z = grid.field(state[live])
        beta = phi.inverse_mirror(z)
        cost = grid.sum(phi.bregman(alpha[live], zero))
        last, apart = gap[live], grid.sum(phi.bregman(alpha[live], beta))
        gap[live] = new = np.divide(apart, cost, out=np.zeros_like(cost), where=cost != 0)
        on = (new > _GAP) & ~((new < 1e-6) & (new > 0.5 * last))
        live, z, beta = live[on], z[on], beta[on]
        if not len(live):
            break
        old = alpha[live]
        weight = _secant(phi, old, beta, z)
        step = grid.solve(weight, grid.integral(old - beta))
        systems[live] += 1
        on = np.isfinite(step).all(axis=-1)
        live, z, rise = live[on], z[on], grid.field(step[on])
        run = weight[on] * rise + (beta - old)[on]  # keeps the integral of alpha
        # the gap is a sum, of P and -D: each has its own step size
        t = _search(partial(_slope, grid.sum, phi, old[on], run), len(live))
        alpha[live] = old[on] + t[:, None] * run
        gain = grid[live].gain(step[on])
        t = _search(partial(_slope_dual, grid.sum, phi, z, rise, gain), len(live))
        state[live] += t[:, None] * step[on]
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
    slope = partial(_slope_dual, grid.sum, grid.potential, 0.0 * field, field, gain)
    return _scale(lambda t: float(slope(np.array([t]), np.arange(1))[0]))


def _slope(integral, phi, alpha, run, t: np.ndarray, rows: np.ndarray) -> np.ndarray:
    alpha, run = _some(alpha, rows), _some(run, rows)
    return integral(phi.mirror(alpha + t[:, None] * run) * run)


def _slope_dual(integral, phi, z, rise, gain, t: np.ndarray, rows: np.ndarray) -> np.ndarray:
    z, rise = _some(z, rows), _some(rise, rows)
    return integral(phi.inverse_mirror(z + t[:, None] * rise) * rise) - gain[rows]


def _some(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return array if len(rows) == len(array) else array[rows]  # which would be a copy


def _secant(phi, alpha: np.ndarray, beta: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Slopes of the inverse mirror map between two points; its derivative where they coincide."""
    run, rise = beta - alpha, z - phi.mirror(alpha)
    apart = np.abs(run) > 1e-8 * np.abs(beta)
    return np.where(apart, run, 1.0) / np.where(apart, rise, phi.hessian(beta))


def _search(slope: Callable[[np.ndarray, np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """Shorten full steps until convex functions rise there no steeper than they fell at first.

    The slope is asked for at places t, one for each of the functions that are numbered in rows.
    """
    start = slope(np.zeros(count), np.arange(count))
    t, rows = np.where(start < 0, 1.0, 0.0), np.flatnonzero(start < 0)
    for _ in range(30):
        if not len(rows):
            break
        rows = rows[~(slope(t[rows], rows) <= -0.9 * start[rows])]  # where it has overflown, too
        t[rows] *= 0.4
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
    """Quadrature nodes that do not follow the field, N in all; the same for all targets.

    Values at the nodes have shape (k, N), states (k, n).
    """

    def __init__(self, dual: DiscreteDual, count: int) -> None:
        self.dual, self.assemblies, places = dual, [], []
        self.targets = np.atleast_2d(dual.targets)
        for o in dual.orientations:
            zero = np.zeros(len(o.left))
            pieces = Pieces(o.left, o.right, zero, zero, o.element)
            rule = gauss_rule(pieces, dual.potential, count)
            self.assemblies.append(Assembly.at(o, o.element, rule.offset, rule.weights))
            places.append(o.grid[o.element] + rule.offset)
        self.potential: Any = dual.potential_at(_joined(places))
        self.weights = _joined([a.weights for a in self.assemblies])

    def with_targets(self, targets: np.ndarray) -> FixedNodes:
        """The same nodes for other targets."""
        other = copy.copy(self)
        other.targets = targets
        return other

    def __getitem__(self, rows) -> FixedNodes:
        """The same nodes for some of the targets."""
        return self.with_targets(self.targets[rows])

    def field(self, state: np.ndarray) -> np.ndarray:
        return _joined(
            [a.interpolate(self.dual.nodal_values(a.orientation, state)) for a in self.assemblies]
        )

    def units(self, values: np.ndarray) -> np.ndarray:
        """What belongs to units of the network."""
        return values

    def like_units(self, value: float) -> np.ndarray:
        """A value at every unit, for each target."""
        return np.full((len(self.targets), len(self.weights)), value)

    def enlarge(self, state: np.ndarray, factor: np.ndarray) -> np.ndarray:
        """The state whose field is as large as that of a solution of the quadratic problem."""
        return state * factor[:, None]

    def sum(self, values: np.ndarray) -> np.ndarray:
        return values @ self.weights

    def gain(self, state: np.ndarray) -> np.ndarray:
        """The linear part of the dual."""
        return np.sum(state * self.targets, axis=-1)

    def integral(self, values: np.ndarray) -> np.ndarray:
        parts = [
            self.dual.against_basis(a.orientation, a.load_vector(v)) for a, v in self._parts(values)
        ]
        return np.sum(parts, axis=0)

    def mass_matrices(self, weights: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        return [a.mass_matrix(w) for a, w in self._parts(weights)]

    def solve(self, weights: np.ndarray, right: np.ndarray) -> np.ndarray:
        return self.dual.solve(self.mass_matrices(weights), right)

    def _parts(self, values: np.ndarray) -> Iterator[tuple[Assembly, np.ndarray]]:
        """The values of each orientation, at the nodes of each piece."""
        ends = np.cumsum([a.weights.size for a in self.assemblies])
        for a, part in zip(self.assemblies, np.split(values, ends, axis=-1)[:-1], strict=True):
            yield a, part.reshape(*values.shape[:-1], *a.weights.shape)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Put the nodes of all orientations into one line."""
    flat = [p.reshape(*p.shape[:-2], math.prod(p.shape[-2:])) for p in parts]
    return np.concatenate(flat, axis=-1)
