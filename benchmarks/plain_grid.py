"""The plain way to the limit: the variational problem on a grid, handed to CVXPY.

Derivatives become differences and integrals become sums. The data lie between grid points; there h
is interpolated linearly, which is several times as accurate as moving them to the nearest point.
"""

import warnings
from typing import NamedTuple

import cvxpy as cp
import numpy as np
from scipy import sparse


class GridSolution(NamedTuple):
    """Values of h on the grid, and how the solver ended."""

    grid: np.ndarray
    values: np.ndarray
    status: str
    iterations: int | None

    def __call__(self, x):
        """Evaluate h."""
        return np.interp(x, self.grid, self.values)


class Grid:
    """Equally spaced points on [-reach, reach], with differences, sums and interpolation."""

    def __init__(self, reach: float = 1.5, size: int = 501) -> None:
        self.points, self.dx = np.linspace(-reach, reach, size, retstep=True)
        self.kinks = self.points[1:-1]  # where second differences live

    def bend(self, h):
        """Return h'' at the kinks."""
        return cp.diff(h, 2) / self.dx**2

    def end_slopes(self, h):
        """Return h'(+inf) + h'(-inf)."""
        return (h[-1] - h[-2] + h[1] - h[0]) / self.dx

    def at(self, h, x):
        """Interpolate h linearly at x."""
        x = np.asarray(x)
        left = np.clip(((x - self.points[0]) / self.dx).astype(int), 0, len(self.points) - 2)
        share, row = (x - self.points[left]) / self.dx, np.arange(len(x))
        entries = np.concatenate([1 - share, share])
        places = np.concatenate([row, row]), np.concatenate([left, left + 1])
        return sparse.csr_array((entries, places), shape=(len(x), len(self.points))) @ h

    def solve(self, h, cost, conditions, solver: str) -> GridSolution:
        """Solve with the solver's own tolerances; its verdict is returned, not warned of."""
        problem = cp.Problem(cp.Minimize(cost), [c for c in conditions if c.size])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            problem.solve(solver=solver)
        iterations = problem.solver_stats.num_iters
        return GridSolution(self.points, h.value, problem.status, iterations)


def theorem2(x, y, density, grid: Grid, *, solver: str = "SCS") -> GridSolution:
    """Minimise G1 + G2 + G3 over the values of h on the grid (ReLU, quadratic)."""
    h = cp.Variable(len(grid.points))
    bend, t, p = grid.bend(h), grid.kinks, density.pdf(grid.kinks)
    inside = p > 0
    g1 = cp.sum_squares(cp.multiply(np.sqrt(grid.dx / p[inside]), bend[inside]))
    g2 = cp.square(grid.end_slopes(h))
    g3 = cp.square(grid.dx * (np.abs(t) @ bend) - 2 * grid.at(h, [0.0])[0]) / density.moment(2)
    return grid.solve(h, g1 + g2 + g3, [grid.at(h, x) == y, bend[~inside] == 0], solver)


def theorem8(x, y, density, grid: Grid, exponent: int, *, solver: str) -> GridSolution:
    """Minimise the integral of D_phi(h''/(2p), 0) p over the values of h on the grid (|.|)."""
    h = cp.Variable(len(grid.points))
    bend, t, p = grid.bend(h), grid.kinks, density.pdf(grid.kinks)
    inside = p > 0
    alpha = cp.multiply(1 / (2 * p[inside]), bend[inside])
    conditions = [
        grid.at(h, x) == y,
        bend[~inside] == 0,
        grid.end_slopes(h) == 0,
        grid.at(h, [0.0])[0] == 0.5 * grid.dx * (np.abs(t) @ bend),
    ]
    return grid.solve(h, divergence(alpha, p[inside] * grid.dx, exponent), conditions, solver)


def coefficients(
    x, y, density, grid: Grid, activation: str, exponent: int, *, solver: str
) -> GridSolution:
    """Solve the same problems in better variables: alpha on the grid, and an affine function.

    The values of h are badly conditioned unknowns; alpha is what the cost is made of.
    """
    p = density.pdf(grid.kinks)
    t, mass = grid.kinks[p > 0], p[p > 0] * grid.dx
    alpha, level, slope = cp.Variable(len(t)), cp.Variable(), cp.Variable()

    def h(points):
        # |x - t|/2 bends by 1 at t; h'' is p alpha for ReLU, 2 p alpha for |.|
        half_bend = mass if activation == "abs" else 0.5 * mass
        points = np.asarray(points)
        return level + slope * points + (np.abs(points[:, None] - t) * half_bend) @ alpha

    cost, conditions = divergence(alpha, mass, exponent), [h(x) == y]
    if activation == "relu":
        cost += cp.square(2 * slope) + cp.square(2 * level) / density.moment(2)
    else:
        conditions += [level == 0, slope == 0]
    return grid.solve(h(grid.points), cost, conditions, solver)


def divergence(alpha, mass: np.ndarray, exponent: int):
    """Sum phi(alpha) over the mass of each kink, phi = x^2, or (|x|^q + x^2)/2 with q > 2."""
    quadratic = cp.sum_squares(cp.multiply(np.sqrt(mass), alpha))
    if exponent == 2:
        return quadratic
    return 0.5 * (mass @ cp.power(cp.abs(alpha), exponent) + quadratic)
