r"""The dual problem in function space, in a basis where Newton's matrix is sparse.

Second divided differences of the features :math:`\sigma_s(\pm(x_i - t))` are hat functions, the
same for both orientations; two global functions complete the basis. Newton's matrix is then a mass
matrix, tridiagonal but for two rows and columns.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from mflib.potentials import Potential, Quadratic, check_where_used
from mflib.variational._banded import Arrow
from mflib.variational._finite_elements import Assembly, Orientation
from mflib.variational._panels import smooth_panels
from mflib.variational._quadrature import (
    Level,
    Pieces,
    Varying,
    coefficients,
    gauss_rule,
    potential_at,
    split,
)

_MANY = 5000


@dataclass(frozen=True)
class Evaluation:
    """Value, gradient and curvature of the dual at a point, as finite elements assemble them.

    Or at several points, along a first axis of each array.
    """

    xi: np.ndarray
    cost: np.ndarray
    gradient: np.ndarray
    load: np.ndarray  # the values of h at the data, combined: targets less gradient
    # for each orientation the mass matrix with weight 1/phi'': diagonal, off-diagonal
    mass_matrices: list[tuple[np.ndarray, np.ndarray]]

    def __getitem__(self, rows) -> Evaluation:
        """What it is at some of several points."""
        masses = [(diagonal[rows], off[rows]) for diagonal, off in self.mass_matrices]
        return Evaluation(
            self.xi[rows], self.cost[rows], self.gradient[rows], self.load[rows], masses
        )

    def put(self, rows, other: Evaluation) -> None:
        """Replace some of several points."""
        for mine, new in zip(self._arrays(), other._arrays(), strict=True):
            mine[rows] = new

    def _arrays(self) -> list[np.ndarray]:
        return [self.xi, self.cost, self.gradient, self.load, *chain(*self.mass_matrices)]


class DiscreteDual:
    r"""max over xi of g(xi) = xi . targets - integral of phi*(z)  (theory: section 4).

    The coefficients xi belong to the hat functions of the interior data, in order, and then to the
    global functions. Where the size of a weight depends on its kink, scale says how. Several
    targets, y of shape (k, m), have as many problems, side by side; coefficients are then (k, m).
    """

    def __init__(
        self,
        x,
        y,
        slope: float,
        potential: Potential,
        density,
        scale: Callable | None = None,
        *,
        far: bool = False,
    ) -> None:
        self.x, self.y, self.slope, self.potential, self.density = x, y, slope, potential, density
        self.panels = smooth_panels(density, far=far)
        reach = max(x[-1] - x[0], self.panels.spread)
        self.grid = np.concatenate([[x[0] - reach], x, [x[-1] + reach]])
        self.varying: Potential | Varying = potential
        if scale is not None:
            self.varying = Varying(potential, scale, self.grid)
        # both orientations of a kink of the absolute value are the same function
        facing: tuple[tuple[int, ...], ...] = ((1, -1),) if slope == -1 else ((1,), (-1,))
        self.orientations = [
            Orientation(signs, x, self.grid, slope, density, self.panels.edges) for signs in facing
        ]
        self.interior = slice(2, len(x))  # data points that are no end points, in the grid
        self.n_interior = max(len(x) - 2, 0)
        self.targets = self.combine(y.T).T

    @property
    def is_quadratic(self) -> bool:
        """Whether the mass matrices are the same everywhere, so that h is linear in y."""
        return isinstance(self.potential, Quadratic)

    def combine(self, h: np.ndarray) -> np.ndarray:
        """Combine values at the data as the basis combines features.

        A hat function takes a difference of slopes; the two global functions, less their hat
        functions, take the mean of the end values, corrected by the end slopes, and the mean of
        the end slopes.
        """
        if len(h) < 2:
            return h
        slopes, width = np.diff(h, axis=0) / self._gaps(h), self.x[-1] - self.x[0]
        mean = 0.5 * (h[0] + h[-1]) + 0.25 * width * (slopes[0] - slopes[-1])
        ends = np.stack([mean, 0.5 * (slopes[0] + slopes[-1])])
        return np.concatenate([np.diff(slopes, axis=0), ends])

    def separate(self, combined: np.ndarray) -> np.ndarray:
        """Invert `combine`, for one or several columns: sum the slope differences twice."""
        if len(combined) < 2:
            return combined
        changes, mean, slope = combined[:-2], combined[-2], combined[-1]
        total, none = changes.sum(axis=0), np.zeros_like(combined[:1])
        slopes = slope - 0.5 * total + np.concatenate([none, np.cumsum(changes, axis=0)])
        rise = np.concatenate([none, np.cumsum(slopes * self._gaps(slopes), axis=0)])
        return mean + 0.25 * (self.x[-1] - self.x[0]) * total - 0.5 * rise[-1] + rise

    def multipliers(self, xi: np.ndarray) -> np.ndarray:
        r"""The :math:`\lambda` of coefficients: the transpose of `combine`."""
        if len(xi) < 2:
            return xi
        hats, mean, slope = xi[:-2], xi[-2:-1], xi[-1:]
        lift = 0.25 * (self.x[-1] - self.x[0]) * mean
        nodes = np.concatenate([lift + 0.5 * slope, hats, lift - 0.5 * slope])
        slopes = np.diff(nodes, axis=0) / self._gaps(xi)
        return np.diff(np.concatenate([-0.5 * mean, slopes, 0.5 * mean]), axis=0)

    def coefficients(self, multipliers: np.ndarray) -> np.ndarray:
        """Invert `multipliers`: sum them twice."""
        if len(multipliers) < 2:
            return multipliers
        mean = multipliers.sum(axis=0)
        slopes = np.cumsum(multipliers[:-1], axis=0) - 0.5 * mean
        rise = np.cumsum(slopes * self._gaps(slopes), axis=0)
        slope = -rise[-1]
        first = 0.25 * (self.x[-1] - self.x[0]) * mean + 0.5 * slope
        return np.concatenate([first + rise[:-1], np.stack([mean, slope])])

    def _gaps(self, like: np.ndarray) -> np.ndarray:
        """Differences of the inputs, for values that may have several columns."""
        return np.diff(self.x).reshape(-1, *(1,) * (like.ndim - 1))

    def with_targets(self, y: np.ndarray) -> DiscreteDual:
        """The same problem for other targets."""
        other = copy.copy(self)
        other.y, other.targets = y, self.combine(y.T).T
        return other

    def __getitem__(self, rows) -> DiscreteDual:
        """The problems of some of several targets."""
        other = copy.copy(self)
        other.y, other.targets = self.y[rows], self.targets[rows]
        return other

    def error(self, combined: np.ndarray) -> np.ndarray:
        """Largest |y - h| at the data, from its combination."""
        return np.abs(self.separate(combined.T)).max(axis=0)

    def size(self) -> np.ndarray:
        """The largest target."""
        return np.abs(self.y).max(axis=-1)

    def rounding(self) -> np.ndarray:
        """The error of h at the data that rounding of slope differences adds up to."""
        slopes = np.abs(np.diff(self.y) / np.diff(self.x))
        width = (self.x[-1] - self.x[0]) * np.sqrt(len(self.x))
        return np.finfo(float).eps * width * slopes.max(axis=-1, initial=0)

    def tolerance(self) -> np.ndarray:
        """The residual that CONVERGED promises: 1e-10 of the targets, or rounding of slopes."""
        largest = self.size()
        return np.minimum(1e-10 * largest + 10 * self.rounding(), 1e-6 * largest)

    def nodal_values(self, orientation: Orientation, xi: np.ndarray) -> np.ndarray:
        """The field z on the grid, or several of them in rows."""
        z = xi[..., self.n_interior :] @ orientation.global_functions.T
        z[..., self.interior] += (1 - self.slope) * xi[..., : self.n_interior]
        return z

    def against_basis(self, orientation: Orientation, load: np.ndarray) -> np.ndarray:
        """From integrals against the hat functions of the grid: the transpose of `nodal_values`."""
        hats = (1 - self.slope) * load[..., self.interior]
        return np.concatenate([hats, load @ orientation.global_functions], axis=-1)

    def pieces(self, orientation: Orientation, xi: np.ndarray) -> Pieces:
        """The field z on intervals where it and the density are smooth."""
        o = orientation
        return o.pieces(self.nodal_values(o, xi), o.left, o.right, o.element)

    def potential_at(self, t: np.ndarray) -> Potential:
        """The potential of units that turn at these places."""
        return potential_at(self.varying, t)

    def evaluate(self, xi: np.ndarray, level: Level) -> Evaluation:
        """Assemble the dual's gradient and curvature, and the primal cost of its field."""
        cost, load, mass_matrices = np.zeros(xi.shape[:-1]), np.zeros_like(xi), []
        for o, assembly, phi, alpha in self._assembled(xi, level):
            load += self.against_basis(o, assembly.load_vector(alpha))
            cost += assembly.integral(phi.bregman(alpha, np.zeros(1)))
            # -Hessian of g: the mass matrix with weight 1/phi''(alpha)
            mass_matrices.append(assembly.mass_matrix(1 / phi.hessian(alpha)))
        return Evaluation(xi, cost, self.targets - load, load, mass_matrices)

    def check_potential(self, xi: np.ndarray, level: Level) -> None:
        """Raise if the methods of the potential do not fit each other at the coefficients."""
        check_where_used(
            self.potential, lambda: (pair for _, _, *pair in self._assembled(xi, level))
        )

    def loads(self, xis: np.ndarray, level: Level) -> np.ndarray:
        """The loads at several points, one in a row; together where data are few and calls dear."""
        if len(xis) > 1 and xis.size > _MANY:
            return np.concatenate([self.loads(xi[None], level) for xi in xis])
        assembled = self._assembled(xis, level)
        parts = [self.against_basis(o, a.load_vector(alpha)) for o, a, _, alpha in assembled]
        return np.sum(parts, axis=0)

    def _assembled(self, xi: np.ndarray, level: Level) -> Iterator[tuple]:
        """For each orientation its shape functions, potential and coefficients at nodes."""
        varying, fields = self.varying, xi.shape[:-1]
        if isinstance(varying, Varying):
            varying = varying._replace(grid=np.tile(self.grid[:-1], math.prod(fields)))
        for o in self.orientations:
            pieces = split(self.pieces(o, xi), varying, level)
            rule = gauss_rule(pieces, varying, level.nodes)
            assembly = Assembly.at(o, pieces.element, rule.offset, rule.weights, fields)
            yield o, assembly, *coefficients(varying, pieces, rule)

    def newton_matrix(self, mass_matrices: list[tuple[np.ndarray, np.ndarray]]) -> Arrow:
        """Assemble minus the Hessian of the dual from the mass matrices of the orientations."""
        n, interior, scale = self.n_interior, self.interior, 1 - self.slope
        parts = []
        for o, (diagonal, off) in zip(self.orientations, mass_matrices, strict=True):
            product = diagonal[..., None] * o.global_functions
            product[..., :-1, :] += off[..., None] * o.global_functions[1:]
            product[..., 1:, :] += off[..., None] * o.global_functions[:-1]
            beside = off[..., interior.start - 1 :][..., :n], off[..., interior][..., :n]
            bands = np.stack([beside[0], diagonal[..., interior], beside[1]], axis=-2)
            corner = o.global_functions.T @ product
            parts.append((scale**2 * bands, scale * product[..., interior, :], corner))
        return Arrow(*(sum(arrays) for arrays in zip(*parts, strict=True)))

    def solve(
        self, mass_matrices: list[tuple[np.ndarray, np.ndarray]], right: np.ndarray
    ) -> np.ndarray:
        """Solve for a Newton step."""
        return self.newton_matrix(mass_matrices).solve(right)
