r"""The dual problem in function space, assembled like linear finite elements.

A unit is a kink at t that faces right, :math:`\sigma_s(x - t)` with density :math:`p(t)/2`, or
left, :math:`\sigma_s(t - x)` with density :math:`p(-t)/2`. The fields
:math:`z = \sum_i \lambda_i \sigma_s(\pm(x_i - t))` are piecewise linear with kinks at the data.
Second divided differences of the features are hat functions, the same for both orientations; two
global functions complete the basis. Newton's matrix is then tridiagonal, but for two rows and
columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mflib.potentials import Potential
from mflib.variational._quadrature import Level, Pieces, nodes, smooth_panels, split


class Field:
    """Kinks that face one way, or for the absolute value both: their density and their features.

    The features are those of the data, on an extended grid.
    """

    def __init__(self, signs: tuple[int, ...], x, grid: np.ndarray, slope: float, density) -> None:
        self.signs, self.grid, self.density = signs, grid, density
        panels = np.unique(np.concatenate([sign * smooth_panels(density) for sign in signs]))
        edges = np.union1d(panels, x)
        inhabited = self.inhabited(edges[:-1], edges[1:])
        left, right = edges[:-1][inhabited], edges[1:][inhabited]
        # element j lies between grid[j] and grid[j + 1]; the first and last hold the tails
        self.element = np.searchsorted(x, 0.5 * (left + right))
        self.widths, start = np.diff(grid), grid[self.element]
        self.left, self.right = left - start, right - start
        # sigma_s(u) = (1 - s)/2 |u| + (1 + s)/2 u, u = x - t, for the mean of both end points and
        # for their difference quotient; between the end points |u| is a sum of hats, left out here
        middle = 0.5 * (x[0] + x[-1])
        even, odd = np.zeros((2, len(grid))), np.stack([middle - grid, np.ones(len(grid))])
        for ends, side in ((slice(2), 1.0), (slice(-2, None), -1.0)):
            even[0, ends], even[1, ends] = np.abs(middle - grid[ends]), side
        both = 0.5 * (1 - slope) * even + 0.5 * (1 + slope) * signs[0] * odd
        self.globals = both[: len(x)].T  # a single point has no difference quotient

    def pdf(self, t: np.ndarray) -> np.ndarray:
        """Half the density of the biases, as kinks that face right or left: p(t)/2 or p(-t)/2."""
        return 0.5 * sum(self.density.pdf(sign * t) for sign in self.signs)

    def inhabited(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether there are kinks from left to right, with no edge of the support in between."""
        inside = 0.5 * (left + right) + (right - left) * [[-0.4], [0.0], [0.4]]
        return np.any(self.pdf(inside) > 0, axis=0)

    def hats(self, offset: np.ndarray, element: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both linear shape functions of each element; in the tails they extend beyond it.

        Offsets, from the element's left node, have the element's shape or one axis before it.
        """
        width = self.widths[element]
        return (width - offset) / width, offset / width

    def pieces(self, z: np.ndarray, left, right, element) -> Pieces:
        """The field with nodal values z, from left to right within each element."""

        def at(offset: np.ndarray) -> np.ndarray:
            low, high = self.hats(offset, element)
            return low * z[element] + high * z[element + 1]

        return Pieces(left, right, at(left), at(right), element)


@dataclass(frozen=True)
class Samples:
    """A field's elements at quadrature nodes: K pieces with as many nodes each."""

    field: Field
    element: np.ndarray  # (K,)
    weights: np.ndarray  # (nodes, K), with the density
    low: np.ndarray  # (nodes, K): the hat that falls over the element
    high: np.ndarray  # and the one that rises

    @classmethod
    def at(
        cls, field: Field, element: np.ndarray, offset: np.ndarray, weights: np.ndarray
    ) -> Samples:
        """Sample at nodes given by their offset from the element's left node."""
        p = field.pdf(field.grid[element] + offset)
        return cls(field, element, weights * p, *field.hats(offset, element))

    def interpolate(self, nodal: np.ndarray) -> np.ndarray:
        """Values at the nodes of the function that is linear between its values on the grid."""
        return self.low * nodal[self.element] + self.high * nodal[self.element + 1]

    def load(self, values: np.ndarray) -> np.ndarray:
        """Integrals against the hat functions of the grid."""
        density, load = self.weights * values, np.zeros(len(self.field.grid))
        load[:-1] += self._sum(density, self.low)
        load[1:] += self._sum(density, self.high)
        return load

    def mass(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mass matrix with these weights: its diagonal and what is beside it."""
        density, diagonal = self.weights * values, np.zeros(len(self.field.grid))
        rising = density * self.high
        diagonal[:-1] += self._sum(density * self.low, self.low)
        diagonal[1:] += self._sum(rising, self.high)
        return diagonal, self._sum(rising, self.low)

    def _sum(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        pieces = np.einsum("nk,nk->k", first, second)
        return np.bincount(self.element, pieces, len(self.field.grid) - 1)


@dataclass(frozen=True)
class Evaluation:
    """Value, gradient and curvature of the dual at one point, as finite elements assemble them."""

    xi: np.ndarray
    cost: float
    gradient: np.ndarray
    mass: list[tuple[np.ndarray, np.ndarray]]  # each field's mass matrix: diagonal, off-diagonal


class Dual:
    """max over xi of g(xi) = xi . targets - integral of phi*(z)  (theory: section 4)."""

    def __init__(self, x, y, slope: float, potential: Potential, density) -> None:
        self.x, self.y, self.slope, self.potential, self.density = x, y, slope, potential, density
        reach = max(x[-1] - x[0], density.std())
        self.grid = np.concatenate([[x[0] - reach], x, [x[-1] + reach]])
        # both orientations of a kink of the absolute value are the same function
        facing: tuple[tuple[int, ...], ...] = ((1, -1),) if slope == -1 else ((1,), (-1,))
        self.fields = [Field(signs, x, self.grid, slope, density) for signs in facing]
        self.hats = slice(2, len(x))  # interior data points, as indices of the grid
        self.n_hats = max(len(x) - 2, 0)
        self.targets = self.combine(y)

    def combine(self, h: np.ndarray) -> np.ndarray:
        """Combine values at the data as the basis combines features.

        A hat takes a difference of slopes; the two global functions, less their hats, take the mean
        of the end values, corrected by the end slopes, and the mean of the end slopes.
        """
        if len(h) < 2:
            return h
        slopes, width = np.diff(h) / np.diff(self.x), self.x[-1] - self.x[0]
        mean = 0.5 * (h[0] + h[-1]) + 0.25 * width * (slopes[0] - slopes[-1])
        return np.concatenate([np.diff(slopes), [mean, 0.5 * (slopes[0] + slopes[-1])]])

    def separate(self, combined: np.ndarray) -> np.ndarray:
        """Invert `combine`: integrate the slope differences twice."""
        if len(combined) < 2:
            return combined
        bends, mean, slope = combined[:-2], combined[-2], combined[-1]
        slopes = slope - 0.5 * bends.sum() + np.append(0.0, np.cumsum(bends))
        rise = np.append(0.0, np.cumsum(slopes * np.diff(self.x)))
        return mean + 0.25 * (self.x[-1] - self.x[0]) * bends.sum() - 0.5 * rise[-1] + rise

    def error(self, combined: np.ndarray) -> float:
        """Largest |y - h| at the data, from its combination."""
        return float(np.abs(self.separate(combined)).max())

    def rounding(self) -> float:
        """The error of h at the data that rounding of slope differences adds up to."""
        slopes = np.abs(np.diff(self.y) / np.diff(self.x))
        width = (self.x[-1] - self.x[0]) * np.sqrt(len(self.x))
        return float(np.finfo(float).eps * width * slopes.max(initial=0))

    def tolerance(self) -> float:
        """The residual that CONVERGED promises: 1e-10 of the targets, or rounding of slopes."""
        largest = float(np.abs(self.y).max())
        return min(1e-10 * largest + 10 * self.rounding(), 1e-6 * largest)

    def nodal(self, f: Field, xi: np.ndarray) -> np.ndarray:
        """Values of the field z on the grid: hats at interior points, two global features."""
        z = f.globals @ xi[self.n_hats :]
        z[self.hats] += (1 - self.slope) * xi[: self.n_hats]
        return z

    def project(self, f: Field, load: np.ndarray) -> np.ndarray:
        """The transpose of `nodal`."""
        return np.concatenate([(1 - self.slope) * load[self.hats], f.globals.T @ load])

    def pieces(self, f: Field, xi: np.ndarray) -> Pieces:
        """The field z on intervals where it and the density are smooth."""
        return f.pieces(self.nodal(f, xi), f.left, f.right, f.element)

    def evaluate(self, xi: np.ndarray, level: Level) -> Evaluation:
        cost, gradient, mass = 0.0, self.targets.copy(), []
        for f in self.fields:
            pieces = split(self.pieces(f, xi), self.potential, level)
            offset, alpha, weights = nodes(pieces, self.potential, level.nodes)
            samples = Samples.at(f, pieces.element, offset, weights)
            gradient -= self.project(f, samples.load(alpha))
            cost += float((samples.weights * self.potential.bregman(alpha, np.zeros(1))).sum())
            # -Hessian of g: the mass matrix with weight 1/phi''(alpha)
            mass.append(samples.mass(1 / self.potential.hessian(alpha)))
        return Evaluation(xi, cost, gradient, mass)

    def solve(self, mass: list[tuple[np.ndarray, np.ndarray]], right: np.ndarray) -> np.ndarray:
        """Solve the arrow system: a tridiagonal solve for the hats, a 2 x 2 Schur complement."""
        n, hats, scale = self.n_hats, self.hats, 1 - self.slope
        corner = np.zeros((len(self.targets) - n,) * 2)
        border = np.zeros((n, len(corner)))
        bands = np.zeros((3, n))
        for f, (diagonal, off) in zip(self.fields, mass, strict=True):
            product = diagonal[:, None] * f.globals
            product[:-1] += off[:, None] * f.globals[1:]
            product[1:] += off[:, None] * f.globals[:-1]
            corner += f.globals.T @ product
            border += scale * product[hats]
            bands += scale**2 * np.stack([off[hats.start - 1 :][:n], diagonal[hats], off[hats][:n]])
        if n == 0:
            return _solve_small(corner, right)
        inner = linalg.solve_banded(
            (1, 1), bands, np.column_stack([right[:n], border]), check_finite=False
        )
        schur = corner - border.T @ inner[:, 1:]
        outer = _solve_small(schur, right[n:] - border.T @ inner[:, 0])
        return np.concatenate([inner[:, 0] - inner[:, 1:] @ outer, outer])


def _solve_small(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric system of one or two unknowns, scaled to a unit diagonal."""
    scale = 1 / np.sqrt(np.diag(matrix))
    matrix = scale[:, None] * matrix * scale
    if not np.isfinite(matrix).all():
        return np.full_like(right, np.nan)
    return scale * np.linalg.lstsq(matrix, scale * right, rcond=None)[0]
