"""The function-space solver against 12 digits, closed forms and brute force."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize

from mflib import activations, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status
from tests.problems import DENSITIES, JUMPS, LIMITS, QUERY, X, Y

every_density = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())


def kernel(x, slope: float, density) -> np.ndarray:
    """E sigma(w x_i - b) sigma(w x_j - b) by adaptive quadrature."""
    x = np.asarray(x)

    def features(u):
        return np.where(u > 0, u, slope * u)

    def integrand(b):
        right, left = features(x - b), features(-x - b)
        return 0.5 * density.pdf(b) * (np.outer(right, right) + np.outer(left, left))

    low, high = density.support()
    breaks = [p for p in np.unique([*x, *(-x), *JUMPS, *(-JUMPS)]) if low < p < high]
    matrix, _ = integrate.quad_vec(
        integrand, low, high, points=breaks, epsabs=1e-13, epsrel=1e-12, norm="max"
    )
    return matrix


# Reference answers.


@pytest.mark.parametrize("problem", LIMITS, ids=lambda problem: problem.name)
def test_reference_limits(problem):
    sol = variational.solve(problem.x, problem.y, **problem.model)
    assert sol.status is Status.CONVERGED
    assert sol.iterations <= 15
    np.testing.assert_allclose(sol(problem.query), problem.h, rtol=0, atol=1e-10)
    assert sol.cost == pytest.approx(problem.cost, rel=1e-10)
    assert sol.gap <= 1e-10 * sol.cost
    assert sol.residual <= 1e-10
    np.testing.assert_allclose(sol(problem.x), problem.y, rtol=0, atol=1e-12)
    split = problem.activation == "relu" and isinstance(problem.potential, Quadratic)
    assert list(sol.penalties) == (["G1", "G2", "G3"] if split else [])
    if split:
        assert sum(sol.penalties.values()) == pytest.approx(problem.cost, rel=1e-10)


# Closed forms.


def relu_kernel(x: float, t: float) -> float:
    """E relu(w x - b) relu(w t - b) for b uniform on [-1, 1], by hand, for x and t in there."""
    x, t = sorted((x, t))
    right = (1 + x) ** 3 / 3 + (t - x) * (1 + x) ** 2 / 2
    left = (1 - t) ** 3 / 3 + (t - x) * (1 - t) ** 2 / 2
    return (right + left) / 4


def test_one_point_in_closed_form():
    """h = y K(., x) / K(x, x), and K(x, x) = (1 + 3 x^2) / 6."""
    x, y = 0.37, -1.9
    sol = variational.solve([x], [y])
    assert sol.status is Status.CONVERGED
    assert sol.cost == pytest.approx(6 * y**2 / (1 + 3 * x**2), rel=1e-12)
    for q in (-0.9, -0.2, 0.37, 0.8):
        assert float(sol(q)) == pytest.approx(y * relu_kernel(q, x) / relu_kernel(x, x), rel=1e-12)


@pytest.mark.parametrize("slope", [-1.0, -0.4, 0.3])
def test_one_point_by_quadrature(slope):
    x, y, density = 0.37, -1.9, DENSITIES["shifted"]
    sol = variational.solve([x], [y], activation=activations.leaky_relu(slope), density=density)
    matrix = kernel([x, *QUERY], slope, density)
    np.testing.assert_allclose(sol(QUERY), y * matrix[0, 1:] / matrix[0, 0], rtol=1e-8)


def test_two_points_in_closed_form():
    x, y = [-0.45, 0.62], [1.3, 0.4]
    sol = variational.solve(x, y)
    a, b, c = relu_kernel(x[0], x[0]), relu_kernel(x[0], x[1]), relu_kernel(x[1], x[1])
    det = a * c - b * b
    first, second = (c * y[0] - b * y[1]) / det, (a * y[1] - b * y[0]) / det
    assert sol.cost == pytest.approx(first * y[0] + second * y[1], rel=1e-11)
    for q in (-0.9, -0.2, 0.3, 0.8):
        exact = first * relu_kernel(q, x[0]) + second * relu_kernel(q, x[1])
        assert float(sol(q)) == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("beta", [0.03, 0.5, 20.0])
def test_one_point_of_hypentropy_by_hand(beta):
    """abs: alpha = beta sinh(k |x - t|), so y = (beta/2) [F(1 - x) + F(1 + x)] with
    F(a) = int_0^a u sinh(k u) du = a cosh(k a) / k - sinh(k a) / k^2."""
    x, y = 0.3, 0.8

    def value(k):
        return sum(
            beta / 2 * (a * math.cosh(k * a) / k - math.sinh(k * a) / k**2) for a in (1 - x, 1 + x)
        )

    k = optimize.brentq(lambda k: value(k) - y, 1e-3, 40, xtol=1e-14, rtol=1e-15)
    sol = variational.solve([x], [y], activation="abs", potential=Hypentropy(beta))
    for t in (-0.8, 0.1, 0.9):
        exact = beta * math.sinh(k * abs(x - t))
        assert float(sol.curvature(t)) == pytest.approx(exact, rel=1e-10)
    # D(alpha, 0) = beta (z sinh z - cosh z + 1) with z = k |x - t|
    cost = sum(
        beta / 2 * (a * math.cosh(k * a) - 2 * math.sinh(k * a) / k + a) for a in (1 - x, 1 + x)
    )
    assert sol.cost == pytest.approx(cost, rel=1e-9)


def test_a_curve_drawn_by_hand():
    """abs, uniform, (|x|^3 + x^2)/2: choose the field z = 3.1 |t + 0.4| - 1.7 |t - 0.5|, integrate
    h = int alpha |x - t| dt / 2 with alpha = (sqrt(1 + 6 |z|) - 1) / 3 sign(z) by brute force, and
    give the solver nothing but the two values."""
    x = np.array([-0.4, 0.5])

    def h(q):
        def integrand(t):
            z = 3.1 * abs(t + 0.4) - 1.7 * abs(t - 0.5)
            return math.copysign(math.sqrt(1 + 6 * abs(z)) - 1, z) / 3 * abs(q - t) / 2

        kinks = [-0.4, (1.7 * 0.5 - 3.1 * 0.4) / 4.8, 0.5, *([q] if abs(q) < 1 else [])]
        return integrate.quad(integrand, -1, 1, points=kinks, epsabs=1e-13, epsrel=1e-13)[0]

    potential = Regularized(Power(3), 1)
    sol = variational.solve(x, [h(t) for t in x], activation="abs", potential=potential)
    for q in (-0.9, -0.15, 0.2, 0.8, 1.7):
        assert float(sol(q)) == pytest.approx(h(q), rel=1e-10)


# Brute force.


@pytest.mark.parametrize("slope", [-1.0, -0.5, 0.0, 0.3])
@every_density
def test_quadratic_is_kernel_interpolation(density, slope):
    """The dense formula h = K(., x) K(x, x)^-1 y, with K by adaptive quadrature."""
    sol = variational.solve(X, Y, activation=activations.leaky_relu(slope), density=density)
    assert sol.status is Status.CONVERGED
    matrix = kernel([*X, *QUERY], slope, density)
    weights = np.linalg.solve(matrix[:5, :5], Y)
    exact = matrix[5:, :5] @ weights
    np.testing.assert_allclose(sol(QUERY), exact, rtol=0, atol=2e-7 * np.abs(exact).max())
    assert sol.cost == pytest.approx(Y @ weights, rel=1e-7)


def test_theorem_2_on_a_grid():
    """G1 + G2 + G3 of a spline with kinks at 4000 points, by least squares."""
    count = 4000
    t = -1 + (np.arange(count) + 0.5) * 2 / count
    # h = c0 + c1 x + sum_j u_j |x - t_j| / 2: then G2 = (2 c1)^2, G3 = 3 (2 c0)^2, h'' = u / dt

    def design(x):
        return np.column_stack([np.ones_like(x), x, np.abs(x[:, None] - t) / 2])

    weights = np.concatenate([[12.0, 4.0], np.full(count, 2 / (2 / count))])  # 1 / (p dt)
    root = np.sqrt(weights)
    coefficients = np.linalg.lstsq(design(X) / root, Y, rcond=None)[0]
    sol = variational.solve(X, Y)
    inside = QUERY[np.abs(QUERY) < 1]
    np.testing.assert_allclose(sol(inside), design(inside) / root @ coefficients, atol=1e-5)
    assert sol.cost == pytest.approx(coefficients @ coefficients, rel=1e-5)
    g = sol.penalties
    assert g["G2"] == pytest.approx(coefficients[1] ** 2, rel=1e-4)
    assert g["G3"] == pytest.approx(coefficients[0] ** 2, rel=1e-4)


@pytest.mark.parametrize(
    ("potential", "value"),
    [
        (Regularized(Power(4), 1), lambda a: (a**4 + a**2) / 2),
        (Regularized(Power(3), 0.2), lambda a: (abs(a) ** 3 + 0.2 * a**2) / 1.2),
        (Hypentropy(0.4), lambda a: a * np.arcsinh(a / 0.4) - np.hypot(a, 0.4) + 0.4),
    ],
    ids=["power 4", "power 3", "hypentropy"],
)
def test_theorem_8_on_a_grid(potential, value):
    """No curve through the data that satisfies the constraints is cheaper: candidates are drawn
    at random on a grid of kinks, and the solver's own, put on the grid, costs what it says."""
    count, density = 3000, DENSITIES["shifted"]
    edges = np.linspace(-1.7, 1.7, count + 1)
    t, dt = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    p = (density.pdf(t) + density.pdf(-t)) / 2
    sol = variational.solve(X, Y, activation="abs", potential=potential, density=density)
    alive = p > 0

    def cost(bend):
        return (value(bend[alive] / (2 * p[alive])) * p[alive]).sum() * dt

    own = sol.curvature(t)
    assert cost(own) == pytest.approx(sol.cost, rel=2e-3)
    # h'(+inf) + h'(-inf) = 0 and h(0) = int h'' |x| dx / 2: then h = int h'' |x - t| / 2
    np.testing.assert_allclose(np.abs(X[:, None] - t) / 2 @ own * dt, Y, atol=2e-3)
    features = np.abs(X[:, None] - t[alive]) / 2 * dt
    rng = np.random.default_rng(0)
    for frequency in rng.uniform(1, 9, 40):
        wave = p[alive] * np.cos(frequency * t[alive] + rng.uniform(0, 6))
        wave -= (
            features.T
            * p[alive][:, None]
            @ np.linalg.solve(features * p[alive] @ features.T, features @ wave)
        )
        costs = []
        for size in (-0.1, 0.0, 0.1):
            bend = own.copy()
            bend[alive] += size * wave
            costs.append(cost(bend))
        assert costs[1] < min(costs[0], costs[2])
        # stationary: the odd part of the change is small beside the even one
        assert abs(costs[2] - costs[0]) < 0.03 * (costs[2] + costs[0] - 2 * costs[1])
