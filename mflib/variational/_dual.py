r"""The dual problem in function space, in a basis where Newton's matrix is sparse.

Second divided differences of the features :math:`\sigma_s(\pm(x_i - t))` are hat functions, the
same for both orientations; two global functions complete the basis. Newton's matrix is then a mass
matrix, tridiagonal but for two rows and columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mflib.potentials import Local, Potential
from mflib.variational._finite_elements import Assembly, Orientation
from mflib.variational._panels import smooth_panels
from mflib.variational._quadrature import GaussRule, Level, Pieces, Varying, amid, gauss_rule, split


@dataclass(frozen=True)
class Evaluation:
    """Value, gradient and curvature of the dual at one point, as finite elements assemble them."""

    xi: np.ndarray
    cost: float
    gradient: np.ndarray
    # for each orientation the mass matrix with weight 1/phi'': diagonal, off-diagonal
    mass_matrices: list[tuple[np.ndarray, np.ndarray]]


class DiscreteDual:
    r"""max over xi of g(xi) = xi . targets - integral of phi*(z)  (theory: section 4).

    The coefficients xi belong to the hat functions of the interior data, in order, and then to the
    global functions. Where the size of a weight depends on its kink, scale says how.
    """

    def __init__(
        self,
        x,
        y,
        slope: float,
        potential: Potential,
        density,
        *,
        scale: Callable | None = None,
        far: bool = False,
    ) -> None:
        self.scale = scale
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
        self.targets = self.combine(y)

    def combine(self, h: np.ndarray) -> np.ndarray:
        """Combine values at the data as the basis combines features.

        A hat function takes a difference of slopes; the two global functions, less their hat
        functions, take the mean of the end values, corrected by the end slopes, and the mean of
        the end slopes.
        """
        if len(h) < 2:
            return h
        slopes, width = np.diff(h) / np.diff(self.x), self.x[-1] - self.x[0]
        mean = 0.5 * (h[0] + h[-1]) + 0.25 * width * (slopes[0] - slopes[-1])
        return np.concatenate([np.diff(slopes), [mean, 0.5 * (slopes[0] + slopes[-1])]])

    def separate(self, combined: np.ndarray) -> np.ndarray:
        """Invert `combine`: sum the slope differences twice."""
        if len(combined) < 2:
            return combined
        changes, mean, slope = combined[:-2], combined[-2], combined[-1]
        slopes = slope - 0.5 * changes.sum() + np.append(0.0, np.cumsum(changes))
        rise = np.append(0.0, np.cumsum(slopes * np.diff(self.x)))
        return mean + 0.25 * (self.x[-1] - self.x[0]) * changes.sum() - 0.5 * rise[-1] + rise

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

    def nodal_values(self, orientation: Orientation, xi: np.ndarray) -> np.ndarray:
        """The field z on the grid."""
        z = orientation.global_functions @ xi[self.n_interior :]
        z[self.interior] += (1 - self.slope) * xi[: self.n_interior]
        return z

    def against_basis(self, orientation: Orientation, load: np.ndarray) -> np.ndarray:
        """From integrals against the hat functions of the grid: the transpose of `nodal_values`."""
        hats = (1 - self.slope) * load[self.interior]
        return np.concatenate([hats, orientation.global_functions.T @ load])

    def pieces(self, orientation: Orientation, xi: np.ndarray) -> Pieces:
        """The field z on intervals where it and the density are smooth."""
        o = orientation
        return o.pieces(self.nodal_values(o, xi), o.left, o.right, o.element)

    def potential_at(self, t: np.ndarray) -> Potential:
        """The potential of units that turn at these places."""
        return self.potential if self.scale is None else Local(self.potential, self.scale(t))

    def coefficients(self, pieces: Pieces, rule: GaussRule) -> tuple[Potential, np.ndarray]:
        """The potential at quadrature nodes, and alpha; nodes know that of the middle."""
        if not isinstance(self.varying, Varying):
            return self.potential, rule.alpha
        phi = self.varying.at(pieces.element, rule.offset)
        return phi, phi.inverse_mirror(amid(self.varying, pieces).mirror(rule.alpha))

    def evaluate(self, xi: np.ndarray, level: Level) -> Evaluation:
        """Assemble the dual's gradient and curvature, and the primal cost of its field."""
        cost, gradient, mass_matrices = 0.0, self.targets.copy(), []
        for o in self.orientations:
            pieces = split(self.pieces(o, xi), self.varying, level)
            rule = gauss_rule(pieces, self.varying, level.nodes)
            assembly = Assembly.at(o, pieces.element, rule.offset, rule.weights)
            phi, alpha = self.coefficients(pieces, rule)
            gradient -= self.against_basis(o, assembly.load_vector(alpha))
            divergence = phi.bregman(alpha, np.zeros(1))
            cost += float((assembly.weights * divergence).sum())
            # -Hessian of g: the mass matrix with weight 1/phi''(alpha)
            mass_matrices.append(assembly.mass_matrix(1 / phi.hessian(alpha)))
        return Evaluation(xi, cost, gradient, mass_matrices)

    def solve(
        self, mass_matrices: list[tuple[np.ndarray, np.ndarray]], right: np.ndarray
    ) -> np.ndarray:
        """Solve the arrow system: a tridiagonal solve for the hats, a 2 x 2 Schur complement."""
        n, interior, scale = self.n_interior, self.interior, 1 - self.slope
        corner = np.zeros((len(self.targets) - n,) * 2)
        border = np.zeros((n, len(corner)))
        bands = np.zeros((3, n))
        for o, (diagonal, off) in zip(self.orientations, mass_matrices, strict=True):
            product = diagonal[:, None] * o.global_functions
            product[:-1] += off[:, None] * o.global_functions[1:]
            product[1:] += off[:, None] * o.global_functions[:-1]
            corner += o.global_functions.T @ product
            border += scale * product[interior]
            beside = off[interior.start - 1 :][:n], off[interior][:n]
            bands += scale**2 * np.stack([beside[0], diagonal[interior], beside[1]])
        if n == 0:
            return _solve_small(corner, right)
        try:
            inner = linalg.solve_banded(
                (1, 1), bands, np.column_stack([right[:n], border]), check_finite=False
            )
        except np.linalg.LinAlgError:  # where nothing is left of the curvature
            return np.full_like(right, np.nan)
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
