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

from mflib._quadrature import Level, Pieces, nodes, smooth_panels, split
from mflib.potentials import Potential


class Field:
    """Kinks that face one way: their density and the data's features on an extended grid."""

    def __init__(self, sign: int, x: np.ndarray, grid: np.ndarray, slope: float, density) -> None:
        self.sign, self.grid, self.density = sign, grid, density
        panels = np.sort(sign * smooth_panels(density))
        edges = np.unique(np.concatenate([panels, x[(panels[0] < x) & (x < panels[-1])]]))
        middle = 0.5 * (edges[1:] + edges[:-1])
        inhabited = self.pdf(middle[:, None] + np.diff(edges)[:, None] * [-0.4, 0.0, 0.4]).any(
            axis=1
        )
        self.left, self.right = edges[:-1][inhabited], edges[1:][inhabited]
        # element j lies between grid[j] and grid[j + 1]; the first and last hold the tails
        self.element = np.searchsorted(x, middle[inhabited])
        # sigma_s(u) = (1 - s)/2 |u| + (1 + s)/2 u, u = x - t, for the mean of both end points and
        # for their difference quotient; between the end points |u| is a sum of hats, left out here
        middle = 0.5 * (x[0] + x[-1])
        even, odd = np.zeros((2, len(grid))), np.stack([middle - grid, np.ones(len(grid))])
        for ends, side in ((slice(2), 1.0), (slice(-2, None), -1.0)):
            even[0, ends], even[1, ends] = np.abs(middle - grid[ends]), side
        both = 0.5 * (1 - slope) * even + 0.5 * (1 + slope) * sign * odd
        self.globals = both[: min(len(x), 2)].T  # a single point has no difference quotient

    def pdf(self, t: np.ndarray) -> np.ndarray:
        """Half the density of the biases, as kinks of this orientation: p(t)/2 or p(-t)/2."""
        return 0.5 * self.density.pdf(self.sign * t)

    def hats(self, t: np.ndarray, element: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both linear shape functions of each element at t; in the tails they extend beyond it."""
        left, right = self.grid[element][:, None], self.grid[element + 1][:, None]
        return (right - t) / (right - left), (t - left) / (right - left)

    def pieces(self, z: np.ndarray) -> Pieces:
        """The field with nodal values z, on intervals where field and density are smooth."""
        ends = []
        for t in (self.left, self.right):
            low, high = self.hats(t[:, None], self.element)
            ends.append(low[:, 0] * z[self.element] + high[:, 0] * z[self.element + 1])
        return Pieces(self.left, self.right, *ends)


@dataclass(frozen=True)
class Evaluation:
    """Value, gradient and curvature of the dual at one point, as finite elements assemble them."""

    cost: float
    gradient: np.ndarray
    mass: list[tuple[np.ndarray, np.ndarray]]  # diagonal and off-diagonal of both mass matrices

    def finite(self) -> bool:
        """Whether a Newton step can be computed."""
        parts = [self.gradient, *(part for pair in self.mass for part in pair)]
        return all(np.isfinite(part).all() for part in parts)


class Dual:
    """max over xi of g(xi) = xi . targets - integral of phi*(z)  (theory: section 4)."""

    def __init__(self, x, y, slope: float, potential: Potential, density) -> None:
        self.x, self.y, self.slope, self.potential, self.density = x, y, slope, potential, density
        reach = max(x[-1] - x[0], density.std())
        self.grid = np.concatenate([[x[0] - reach], x, [x[-1] + reach]])
        self.fields = [Field(sign, x, self.grid, slope, density) for sign in (1, -1)]
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

    def error(self, at: Evaluation) -> float:
        """Largest |y - h| at the data."""
        return float(np.abs(self.separate(at.gradient)).max())

    def tolerance(self) -> float:
        """The residual that CONVERGED promises: 1e-10 of the targets, or rounding of slopes."""
        rounding = 0.0
        if len(self.x) > 1:
            slopes = np.abs(np.diff(self.y) / np.diff(self.x))
            rounding = 100 * np.finfo(float).eps * (self.x[-1] - self.x[0]) * slopes.max()
        return float(1e-10 * np.abs(self.y).max() + rounding)

    def nodal(self, f: Field, xi: np.ndarray) -> np.ndarray:
        """Values of the field z on the grid: hats at interior points, two global features."""
        z = f.globals @ xi[self.n_hats :]
        z[self.hats] += (1 - self.slope) * xi[: self.n_hats]
        return z

    def project(self, f: Field, load: np.ndarray) -> np.ndarray:
        """The transpose of `nodal`."""
        return np.concatenate([(1 - self.slope) * load[self.hats], f.globals.T @ load])

    def evaluate(self, xi: np.ndarray, level: Level) -> Evaluation:
        cost, gradient, mass = 0.0, self.targets.copy(), []
        for f in self.fields:
            pieces = split(f.pieces(self.nodal(f, xi)), self.potential, level)
            t, alpha, w = nodes(pieces, self.potential, level.nodes)
            w = w * f.pdf(t)
            element = np.searchsorted(self.x, 0.5 * (pieces.left + pieces.right))
            low, high = f.hats(t, element)

            def assemble(density, element=element):
                return np.bincount(element, density.sum(axis=1), len(self.grid) - 1)

            load = np.zeros(len(self.grid))
            load[:-1] += assemble(w * alpha * low)
            load[1:] += assemble(w * alpha * high)
            gradient -= self.project(f, load)
            cost += float((w * self.potential.bregman(alpha, np.zeros(1))).sum())
            # -Hessian of g: the mass matrix with weight 1/phi''(alpha)
            w = w / self.potential.hessian(alpha)
            diagonal = np.zeros(len(self.grid))
            diagonal[:-1] += assemble(w * low**2)
            diagonal[1:] += assemble(w * high**2)
            mass.append((diagonal, assemble(w * low * high)))
        return Evaluation(cost, gradient, mass)

    def newton_step(self, at: Evaluation) -> np.ndarray:
        """Solve the arrow system: a tridiagonal solve for the hats, a 2 x 2 Schur complement."""
        n, hats, scale = self.n_hats, self.hats, 1 - self.slope
        corner = np.zeros((len(self.targets) - n,) * 2)
        border = np.zeros((n, len(corner)))
        bands = np.zeros((3, n))
        for f, (diagonal, off) in zip(self.fields, at.mass, strict=True):
            product = diagonal[:, None] * f.globals
            product[:-1] += off[:, None] * f.globals[1:]
            product[1:] += off[:, None] * f.globals[:-1]
            corner += f.globals.T @ product
            border += scale * product[hats]
            bands += scale**2 * np.stack([off[hats.start - 1 :][:n], diagonal[hats], off[hats][:n]])
        right = at.gradient
        if n == 0:
            return _solve_small(corner, right)
        inner = linalg.solve_banded((1, 1), bands, np.column_stack([right[:n], border]))
        schur = corner - border.T @ inner[:, 1:]
        outer = _solve_small(schur, right[n:] - border.T @ inner[:, 0])
        return np.concatenate([inner[:, 0] - inner[:, 1:] @ outer, outer])


def _solve_small(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric system of one or two unknowns, scaled to a unit diagonal."""
    scale = 1 / np.sqrt(np.diag(matrix))
    return scale * np.linalg.lstsq(scale[:, None] * matrix * scale, scale * right, rcond=None)[0]
