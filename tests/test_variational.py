"""The function-space solver against 12 digits, closed forms, brute force, optimality and laws."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from mflib import activations, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status, _solver
from mflib.variational._finite_elements import Dual, Evaluation, _solve_small
from mflib.variational._primal_dual import _search, _slope, _slope_dual, approximate
from mflib.variational._quadrature import LEVELS
from tests.problems import DENSITIES, LIMITS, SCALED, UNIFORM, Lopsided, X, Y

QUERY = np.array([-7.3, -1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23, 4.6])

every_density = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
JUMPS = np.array([0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 1.1, 1.2, 1.3, 1.4, 1.7, 1.9])  # of |b|


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


# Optimality conditions, and what the pieces of a solution say of each other.


@pytest.mark.parametrize(
    ("potential", "density"),
    [
        pytest.param(potential, density, id=f"{first}, {second}")
        for first, potential in SCALED.items()
        for second, density in DENSITIES.items()
        if (first, second) != ("hypentropy", "student")  # which has no minimiser: see below
    ],
)
def test_abs_is_stationary(potential, density):
    """phi'(h'' / 2p) - phi'(0) is a sum of the features |x_i - t|."""
    sol = variational.solve(X, Y, activation="abs", potential=potential, density=density)
    assert sol.status is Status.CONVERGED
    t = np.linspace(-1.3, 1.35, 301)
    p = (density.pdf(t) + density.pdf(-t)) / 2
    t, p = t[p > 1e-3], p[p > 1e-3]
    field = potential.gradient(sol.curvature(t) / (2 * p)) - potential.gradient(np.zeros(1))
    features = np.abs(t[:, None] - X)
    multipliers = np.linalg.lstsq(features, field, rcond=None)[0]
    np.testing.assert_allclose(features @ multipliers, field, atol=1e-9 * np.abs(field).max())
    # strong duality: the cost is g(lambda), and phi* = z alpha - D(alpha, 0)
    assert sol.gap <= 1e-10 * sol.cost


@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu"])
@every_density
def test_derivatives_are_those_of_differences(activation, density):
    sol = variational.solve(
        X, Y, activation=activation, potential=SCALED["power 3"], density=density
    )
    t, d = np.array([-1.57, -0.83, -0.11, 0.05, 0.23, 0.51, 0.79, 1.83]), 1e-4
    first = (sol(t + d) - sol(t - d)) / (2 * d)
    second = (sol.derivative(t + d) - sol.derivative(t - d)) / (2 * d)
    scale = np.abs(sol.curvature(t)).max()
    np.testing.assert_allclose(sol.derivative(t), first, atol=1e-6 * scale)
    np.testing.assert_allclose(sol.curvature(t), second, atol=1e-5 * scale)


@pytest.mark.parametrize("slope", [-1.0, -0.4, 0.0, 0.3])
@every_density
def test_slopes_are_those_far_away(slope, density):
    sol = variational.solve(X, Y, activation=activations.leaky_relu(slope), density=density)
    far = sol.derivative([-1e9, 1e9])
    np.testing.assert_allclose(sol.slopes, far, rtol=1e-8)
    bend, _ = integrate.quad(
        lambda t: float(sol.curvature(t)),
        *(-30, 30),
        points=sorted([*X, *(-X), *JUMPS, *(-JUMPS)]),
        limit=1000,
        epsabs=1e-6,
    )
    tail = 2e-2 if np.isinf(density.support()[0]) else 1e-5
    assert sol.slopes[1] - sol.slopes[0] == pytest.approx(bend, abs=tail)
    if slope == -1.0:
        assert abs(sum(sol.slopes)) < 1e-9 * abs(sol.slopes[0])


@pytest.mark.parametrize(
    "density",
    [UNIFORM, stats.norm(0, 0.6), stats.truncnorm(-2, 2, 0, 0.7)],
    ids=["uniform", "normal", "truncated"],
)
def test_penalties_are_their_integrals(density):
    sol = variational.solve(X, Y, density=density)
    low, high = np.clip(density.support(), -7, 7)
    options = {"points": sorted([0.0, *X]), "limit": 500, "epsabs": 1e-11, "epsrel": 1e-11}

    def integral(f):
        return integrate.quad(lambda t: float(f(t)), low, high, **options)[0]

    g1 = integral(lambda t: sol.curvature(t) ** 2 / density.pdf(t))
    g2 = (sol.derivative(1e6) + sol.derivative(-1e6)) ** 2
    g3 = (integral(lambda t: sol.curvature(t) * abs(t)) - 2 * sol(0.0)) ** 2 / density.var()
    expected = {"G1": g1, "G2": float(g2), "G3": float(g3)}
    assert sol.penalties == pytest.approx(expected, rel=1e-7)
    assert min(expected.values()) > 1e-3 * sol.cost, "a problem that would hide a wrong constant"
    assert sum(expected.values()) == pytest.approx(sol.cost, rel=1e-8)


def test_penalties_pass_over_a_gap_in_the_density():
    density = stats.rv_histogram(([1, 0, 1], [-1.5, -0.2, 0.2, 1.5]), density=False)
    sol = variational.solve([-0.7, 0.6], [1.0, 0.3], density=density)
    assert sum(sol.penalties.values()) == pytest.approx(sol.cost, rel=1e-9)


def test_penalties_are_empty_where_the_theorem_is_silent():
    assert variational.solve(X, Y, activation="abs").penalties == {}
    assert variational.solve(X, Y, potential=SCALED["power 4"]).penalties == {}
    for shift in (0.2, 1e-7):
        assert variational.solve(X, Y, density=stats.norm(shift, 1)).penalties == {}


def test_shapes_of_what_is_evaluated():
    sol = variational.solve(X, Y, activation="abs", potential=SCALED["power 4"])
    grid = np.linspace(-2, 2, 6).reshape(2, 3)
    for function in (sol, sol.derivative, sol.curvature):
        assert function(grid).shape == (2, 3)
        assert function(0.3).shape == ()
        assert function([]).shape == (0,)
        assert float(function(grid[1, 2])) == pytest.approx(float(function(grid)[1, 2]), rel=1e-12)


# Laws. Each holds for every potential, and none for a solver with a misplaced constant.

LAWS = pytest.mark.parametrize(
    ("activation", "potential", "stretched"),
    [
        ("relu", SCALED["quadratic"], lambda c: stats.uniform(-1.2 * c, 2.9 * c)),
        ("relu", SCALED["power 4"], lambda c: stats.skewnorm(4, -0.5 * c, 0.9 * c)),
        (
            "abs",
            SCALED["regularized hypentropy"],
            lambda c: stats.rv_histogram(
                ([1, 5, 2], [-1.1 * c, -0.4 * c, 0.3 * c, 1.3 * c]), density=False
            ),
        ),
        (
            activations.leaky_relu(0.25),
            SCALED["lopsided"],
            lambda c: stats.truncnorm(-1.5, 2.5, -0.1 * c, 0.8 * c),
        ),
    ],
    ids=["relu", "relu scaled", "abs", "leaky lopsided"],
)


@LAWS
def test_the_order_of_the_data_does_not_matter(activation, potential, stretched):
    model = {"activation": activation, "potential": potential, "density": stretched(1)}
    sol, order = variational.solve(X, Y, **model), np.argsort(X)[::-1]
    other = variational.solve(X[order], Y[order], **model)
    np.testing.assert_allclose(sol(QUERY), other(QUERY), rtol=1e-11)
    np.testing.assert_allclose(sol(X), Y, rtol=1e-11)


@LAWS
def test_reflection(activation, potential, stretched):
    model = {"activation": activation, "potential": potential, "density": stretched(1)}
    sol, mirrored = variational.solve(X, Y, **model), variational.solve(-X, Y, **model)
    np.testing.assert_allclose(sol(QUERY), mirrored(-QUERY), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(sol.slopes, [-s for s in mirrored.slopes[::-1]], rtol=1e-9)
    assert sol.cost == pytest.approx(mirrored.cost, rel=1e-11)


@LAWS
def test_stretching_the_line_stretches_the_graph(activation, potential, stretched):
    """sigma(c u) = c sigma(u): alpha stays if x, b and y all grow by c."""
    c, model = 3.7, {"activation": activation, "potential": potential}
    sol = variational.solve(X, Y, density=stretched(1), **model)
    wide = variational.solve(c * X, c * Y, density=stretched(c), **model)
    np.testing.assert_allclose(c * sol(QUERY), wide(c * QUERY), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(sol.slopes, wide.slopes, rtol=1e-9)
    assert sol.cost == pytest.approx(wide.cost, rel=1e-10)


@LAWS
def test_a_point_on_the_curve_changes_nothing(activation, potential, stretched):
    model = {"activation": activation, "potential": potential, "density": stretched(1)}
    sol = variational.solve(X, Y, **model)
    extra = np.array([-0.55, 0.31])
    more = variational.solve([*X, *extra], [*Y, *sol(extra)], **model)
    np.testing.assert_allclose(more(QUERY), sol(QUERY), rtol=1e-8, atol=1e-8)
    assert more.cost == pytest.approx(sol.cost, rel=1e-9)


@LAWS
def test_a_multiple_of_the_potential_changes_only_the_cost(activation, potential, stretched):
    class Triple(Lopsided):
        def value(self, x):
            return 3 * potential.value(x) + 0.8 * x  # nor does an affine term

        def gradient(self, x):
            return 3 * potential.gradient(x) + 0.8

        def hessian(self, x):
            return 3 * potential.hessian(x)

        def bregman(self, x, y):
            return 3 * potential.bregman(x, y)

        def inverse_gradient(self, z):
            return potential.inverse_gradient((z - 0.8) / 3)

    model = {"activation": activation, "density": stretched(1)}
    sol = variational.solve(X, Y, potential=potential, **model)
    triple = variational.solve(X, Y, potential=Triple(), **model)
    np.testing.assert_allclose(sol(QUERY), triple(QUERY), rtol=1e-9, atol=1e-10)
    assert triple.cost == pytest.approx(3 * sol.cost, rel=1e-10)


@pytest.mark.parametrize("potential", [Power(2), Regularized(Power(2), 5.0)], ids=repr)
def test_the_quadratic_has_other_names(potential):
    sol, same = variational.solve(X, Y), variational.solve(X, Y, potential=potential)
    np.testing.assert_allclose(sol(QUERY), same(QUERY), rtol=1e-10)
    assert same.cost == pytest.approx(sol.cost, rel=1e-11)


def test_data_may_lie_on_the_edge_of_the_support_or_of_its_mirror_image():
    for low in (-1.7, -1.2):  # the support is [low, low + 2.9]
        sol = variational.solve([-1.7, 0.1, 1.7], Y[:3], density=stats.uniform(low, 2.9))
        assert sol.status is Status.CONVERGED
        np.testing.assert_allclose(sol([-1.7, 0.1, 1.7]), Y[:3], rtol=1e-10)


def test_abs_does_not_see_a_reflected_density_but_relu_does():
    def left_and_right(activation):
        return [
            variational.solve(X, Y, activation=activation, density=stats.norm(mean, 0.5))(QUERY)
            for mean in (0.3, -0.3)
        ]

    np.testing.assert_allclose(*left_and_right("abs"), rtol=1e-9)
    one, other = left_and_right("relu")
    assert np.abs(one - other).max() > 0.01


def test_leaky_relu_runs_from_abs_to_relu():
    for slope, name in [(-1.0, "abs"), (0.0, "relu")]:
        leaky = variational.solve(X, Y, activation=activations.leaky_relu(slope))
        np.testing.assert_array_equal(leaky(QUERY), variational.solve(X, Y, activation=name)(QUERY))


@every_density
def test_both_orientations_of_abs_are_one_field(density):
    """A leaky ReLU next to the absolute value has two, and almost the same solution."""
    model = {"potential": SCALED["power 3"], "density": density}
    sol = variational.solve(X, Y, activation="abs", **model)
    near = variational.solve(X, Y, activation=activations.leaky_relu(-1 + 1e-9), **model)
    assert [len(s._dual.fields) for s in (sol, near)] == [1, 2]
    np.testing.assert_allclose(near(QUERY), sol(QUERY), rtol=0, atol=1e-7)
    np.testing.assert_allclose(near.derivative(QUERY), sol.derivative(QUERY), rtol=0, atol=1e-6)
    np.testing.assert_allclose(near.curvature(QUERY), sol.curvature(QUERY), rtol=1e-6, atol=1e-6)
    assert near.cost == pytest.approx(sol.cost, rel=1e-8)


def test_zero_targets_give_zero():
    sol = variational.solve(X, 0 * Y, activation="abs", potential=SCALED["power 4"])
    assert sol.status is Status.CONVERGED
    assert not sol(QUERY).any()
    assert sol.cost == 0


def test_a_solution_is_frozen_and_prints_its_certificate():
    sol = variational.solve(X, Y)
    with pytest.raises(AttributeError):
        sol.cost = 0.0
    assert "residual=" in repr(sol)
    assert "_dual" not in repr(sol)


# Awkward problems.

POTENTIALS = (
    [Regularized(Power(p), omega) for p in (2.5, 3, 4, 8) for omega in (1e-3, 1, 10)]
    + [Hypentropy(beta) for beta in (1e-3, 1, 1e3)]
    + [Regularized(Hypentropy(beta), omega) for beta in (1e-3, 1e3) for omega in (1e-3, 10)]
    + [Lopsided()]
)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
def test_awkward_potentials_and_magnitudes(potential, size):
    activation = "relu" if size == 1.0 else "abs"
    sol = variational.solve(X, size * Y, activation=activation, potential=potential)
    certify(sol, size * Y)


@pytest.mark.parametrize("activation", ["relu", "abs", "leaky_relu"])
@pytest.mark.parametrize(
    "potential",
    [Quadratic(), Regularized(Power(3), 1), Regularized(Power(8), 0.01), Hypentropy(0.01)],
    ids=repr,
)
def test_points_that_almost_coincide(potential, activation):
    x = [-0.8, 0.1, 0.101, 0.102, 0.55]
    sol = variational.solve(x, Y, activation=activation, potential=potential)
    certify(sol, Y)
    np.testing.assert_allclose(sol(x), Y, rtol=1e-8)


@pytest.mark.parametrize("m", [1, 2, 3, 30, 200])
@pytest.mark.parametrize("potential", [Regularized(Power(4), 1), Hypentropy(0.1)], ids=repr)
def test_few_and_many_points(potential, m):
    x = np.random.default_rng(m).uniform(-1, 1, m)
    y = np.sin(7 * x) + 0.3
    certify(variational.solve(x, y, activation="abs", potential=potential), y)


@pytest.mark.parametrize("exponent", [2.5, 3, 4, 6, 8])
def test_newton_needs_few_steps_on_random_hard_problems(exponent):
    """White noise on points 1e-3 apart, of any size; power 8 is where dual steps get short."""
    rng = np.random.default_rng(int(2 * exponent))
    for _ in range(16):
        m, omega = rng.choice([2, 5, 20, 60]), 10.0 ** rng.integers(-3, 2)
        x = rng.uniform(-0.9, 0.9, m)
        if rng.random() < 0.5:
            x = -0.5 + np.cumsum(1e-3 * (1 + rng.random(m)))
        y = rng.choice([1e-6, 1.0, 1e6]) * rng.standard_normal(m)
        activation = rng.choice(["relu", "abs", "leaky_relu"])
        density = [UNIFORM, stats.norm(0, 0.5)][rng.integers(2)]
        potential = Regularized(Power(exponent), omega)
        sol = variational.solve(x, y, activation=activation, potential=potential, density=density)
        assert sol.status is Status.CONVERGED
        assert sol.iterations <= {6: 40, 8: 60}.get(exponent, 30)


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)], ids=repr)
def test_many_noisy_points_keep_their_digits(potential, activation):
    """Offsets within an element, not positions, carry the digits where data are dense."""
    x = np.linspace(-1, 1, 4000)
    y = np.sin(5 * x) + 0.1 * np.random.default_rng(0).standard_normal(len(x))
    sol = variational.solve(x, y, activation=activation, potential=potential)
    assert sol.status is Status.CONVERGED
    assert sol.residual <= 1e-10
    np.testing.assert_allclose(sol(x), y, atol=1e-10)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_start_is_near_the_dual_optimum(activation):
    """On fixed nodes the secants close the gap; Newton's method has little left to do."""
    potential = Regularized(Power(6), 0.01)
    order = np.argsort(X)
    slope = activations.get(activation).slope
    dual = Dual(np.array(X)[order], np.array(Y)[order], slope, potential, UNIFORM)
    xi, systems = approximate(dual, 48)
    assert systems <= 12
    best = variational.solve(X, Y, activation=activation, potential=potential)
    at = dual.evaluate(xi, LEVELS[3])
    value = at.cost + xi @ at.gradient
    assert value == pytest.approx(best.cost, rel=1e-3)


def test_a_start_shortens_steps_of_both_problems_in_the_right_place():
    x, y = np.array([-0.71, -0.32, 0.1, 0.63, 0.9]), np.array([1.0, -2.0, 0.5, 3.0, -1.0])
    dual = Dual(x, y, 0.0, Regularized(Power(8), 1e-3), UNIFORM)
    assert approximate(dual, 16)[1] <= 11  # 13 if the primal step were too long by as much


@pytest.mark.parametrize("potential", SCALED.values(), ids=SCALED.keys())
def test_slopes_along_a_step_are_those_of_both_objectives(potential):
    rng = np.random.default_rng(0)
    weights, point, run = rng.uniform(0.1, 1, 5), *rng.uniform(-1, 1, (2, 5))
    zero, t, d, gain = np.zeros(1), 0.7, 1e-5, 0.3

    def primal(t):
        return weights @ potential.bregman(point + t * run, zero)

    def dual(t):
        z = point + t * run
        alpha = potential.inverse_mirror(z)
        return weights @ (z * alpha - potential.bregman(alpha, zero)) - gain * t

    for objective, slope in (
        (primal, _slope(weights.dot, potential, point, run, t)),
        (dual, _slope_dual(weights.dot, potential, point, run, gain, t)),
    ):
        difference = (objective(t + d) - objective(t - d)) / (2 * d)
        assert slope == pytest.approx(difference, rel=1e-6, abs=1e-8)


def certify(sol, y) -> None:
    assert sol.status is Status.CONVERGED
    assert sol.iterations <= 30
    assert sol.residual <= 1e-10 * np.abs(y).max()
    assert sol.gap <= 1e-10 * sol.cost
    assert np.isfinite(sol(QUERY)).all()


def test_a_solve_that_stops_short_says_so(monkeypatch):
    monkeypatch.setattr(_solver, "_MAX_ITERATIONS", 2)
    sol = variational.solve(X, Y, potential=Regularized(Power(8), 1e-3))
    assert sol.status is Status.STALLED
    assert sol.residual > 1e-6
    assert sol.gap > 1e-6


@pytest.mark.parametrize(
    ("x", "y", "activation", "beta"), [(X, Y, "abs", 0.4), (X[2:4], 1e71 * Y[2:4], "relu", 1e3)]
)
def test_a_problem_without_a_minimiser_ends_with_a_status(x, y, activation, beta):
    """alpha = beta sinh(z) outgrows a tail of Student's t unless z is bounded."""
    model = {"potential": Hypentropy(beta), "density": stats.t(3, scale=0.5)}
    sol = variational.solve(x, y, activation=activation, **model)
    assert sol.status is Status.STALLED
    assert sol.iterations <= 60


UNBOUNDED = [stats.expon(-1), stats.pareto(2.5, loc=-2), stats.lognorm(1, loc=-1.5)]


@pytest.mark.parametrize("density", UNBOUNDED, ids=["exponential", "Pareto", "lognormal"])
def test_a_field_may_overflow_where_there_are_no_kinks(density):
    """sinh(z) is infinite far from the data, on the side where the density vanishes."""
    sol = variational.solve(X, Y, potential=Hypentropy(0.5), density=density)
    far = np.array([-1e4, -800.0, 800.0, 1e4])
    assert sol.status is Status.CONVERGED
    assert np.isfinite([*sol.slopes, *sol.curvature(far), sol.cost, sol.gap]).all()
    np.testing.assert_allclose(sol(X), Y, rtol=1e-9)
    np.testing.assert_allclose(sol.derivative(far), np.repeat(sol.slopes, 2), rtol=1e-3)


ANY_DENSITY = [
    *(UNIFORM, stats.norm(0, 0.2), stats.t(2.1), *UNBOUNDED),
    *(stats.beta(1.1, 1.2, -1, 2), stats.gamma(3, loc=-1)),
]


@pytest.mark.parametrize(
    "potential",
    [
        *(Quadratic(), Regularized(Power(3), 1), Regularized(Power(8), 1e-2)),
        *(Hypentropy(1), Hypentropy(1e-3), Regularized(Hypentropy(0.1), 1)),
    ],
    ids=repr,
)
def test_what_converged_is_finite_everywhere(potential):
    """Targets of any size; inside, at the edge and far from the support. Nothing warns."""
    t = np.array([-1e3, -3, -1, -0.3, 0, 0.4, 1, 3, 1e3])
    rng, converged = np.random.default_rng(0), 0
    for density in ANY_DENSITY:
        for size in (1e-300, 1e-9, 1.0, 1e6, 1e140):
            m = rng.integers(1, 6)
            x, y = rng.uniform(-0.9, 0.9, m), size * rng.standard_normal(m)
            activation = rng.choice(["relu", "abs", "leaky_relu"])
            model = {"activation": activation, "potential": potential, "density": density}
            sol = variational.solve(x, y, **model)
            functions = np.concatenate([sol(t), sol.derivative(t), sol.curvature(t)])
            numbers = [*sol.slopes, *sol.penalties.values(), sol.cost, sol.gap, sol.residual]
            if sol.status is Status.CONVERGED:
                converged += 1
                assert np.isfinite(functions).all()
                assert np.isfinite(numbers).all()
                np.testing.assert_allclose(sol(x), y, rtol=0, atol=1e-6 * np.abs(y).max())
    assert converged > 20


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_a_cost_that_overflows_is_no_convergence(activation):
    """The data are met, but the cost, of order 1e120, is infinite in the far tail's quadrature."""
    sol = variational.solve(
        X[:2], 1e100 * Y[:2], activation=activation, density=stats.t(2.1), potential=Quadratic()
    )
    assert not np.isfinite(sol.cost)
    assert sol.status is Status.STALLED


def test_a_solution_that_stops_short_is_the_curve_it_says_it_is(monkeypatch):
    """One function: h' is the integral of h'' across the data, and misses them by `residual`."""
    monkeypatch.setattr(_solver, "_MAX_ITERATIONS", 2)
    sol = variational.solve(X, Y, activation="leaky_relu", potential=Regularized(Power(8), 1e-3))
    assert np.abs(sol(X) - Y).max() == pytest.approx(sol.residual, rel=1e-9)
    ends = np.array([-0.9, *np.sort(X), 0.9])
    bends = [integrate.quad(sol.curvature, *ends[i : i + 2], epsabs=1e-7)[0] for i in range(6)]
    np.testing.assert_allclose(np.diff(sol.derivative(ends)), bends, atol=1e-5)


# Newton's method.


class Line:
    """A dual whose gradient is given along a line; it notes where it is evaluated."""

    targets = np.ones(2)

    def __init__(self, gradient):
        self.gradient, self.seen = gradient, []

    def evaluate(self, t, level):
        self.seen.append(t[0])
        return Evaluation(t, 0.0, np.array(self.gradient(t[0])), [])

    def error(self, combined):
        return np.abs(combined).max()

    def steps(self, length=1.0, tries=60):
        at = self.evaluate(np.zeros(2), LEVELS[0])
        self.seen.clear()
        found = _solver._damped(self, at, np.array([length, 0.0]), LEVELS[0], tries)
        assert found.xi[0] == self.seen[-1]
        return self.seen


def falling(first, slope, other=0.0, rest=0.0):
    """A dual's slope along the line, and one across it, that is `other` and then `rest`."""
    return lambda t: [first - slope * t, rest if t else other]


@pytest.mark.parametrize(
    ("gradient", "length", "steps"),
    [
        (falling(4, 1), 4.0, [1]),  # Newton's step on a parabola
        (falling(4, 4), 1.5, [1]),  # at its end the slope may be minus half of what it was
        (falling(4, 4), 1.5001, [1, 0.4]),  # but no less
        (falling(4, 4), 30.0, [1, 0.4, 0.4**2, 0.4**3, 0.4**4]),  # 0.768 is less than 1.5
        (falling(4e-3, 4e-3), 30.0, [1, 0.4, 0.4**2, 0.4**3, 0.4**4]),  # in any unit
        (falling(1, 2, other=8, rest=2.0), 1.0, [1]),  # or else the residual is a quarter
        (falling(1, 2, other=8, rest=2.1), 1.0, [1, 0.4]),
        # where rounding hides the slope, the residual has to fall by a quarter of the step
        (falling(1e-14, 0, other=8, rest=6.0), 1.0, [1]),
        (falling(1e-14, 0, other=8, rest=6.1), 1.0, [1, 0.4]),
        (falling(1e-14, 0, other=8, rest=7.3), 1.0, [1, 0.4, 0.4**2]),
        (falling(-1e-14, 0, other=8, rest=6.0), 1.0, [1]),
        (falling(1e-12, 0, other=8, rest=9.0), 1.0, [1]),  # here it does not
    ],
)
def test_steps_are_shortened_until_the_slope_or_the_residual_falls(gradient, length, steps):
    assert Line(gradient).steps(length) == pytest.approx([length * t for t in steps], rel=1e-14)


def test_steps_are_shortened_so_many_times_at_most():
    assert len(Line(falling(4, 4)).steps(30.0, tries=3)) == 3


@pytest.mark.parametrize(
    ("slope", "steps"),
    [
        (lambda t: t - 1, [0, 1]),  # a parabola: the full step
        (lambda t: 0.1 * t - 1, [0, 1]),  # which is never prolonged
        (lambda t: 1.9 * t - 1, [0, 1]),
        (lambda t: 1.91 * t - 1, [0, 1, 0.4]),
        (lambda t: 100 * t - 8, [0, 1, 0.4, 0.4**2, 0.4**3]),
        (lambda t: math.nan if t > 0.5 else t - 1, [0, 1, 0.4]),
        (lambda t: t, [0]),  # there is nothing to gain
        (lambda t: t - math.nan, [0]),
    ],
)
def test_a_start_shortens_its_steps(slope, steps):
    seen = []
    step = _search(lambda t: seen.append(t) or slope(t))
    assert seen == pytest.approx(steps, rel=1e-14)
    assert step == (seen[-1] if math.isfinite(slope(0.0)) else 0.0)


def test_a_start_ends_at_a_system_without_a_solution(monkeypatch):
    dual = Dual(np.sort(X), Y, 0.0, Regularized(Power(4), 1), UNIFORM)
    solutions = iter([Dual.solve(dual, dual.evaluate(np.zeros(5), LEVELS[0]).mass, dual.targets)])
    monkeypatch.setattr(Dual, "solve", lambda *_: next(solutions, np.full(5, np.nan)))
    xi, systems = approximate(dual, 4)
    assert systems == 2
    assert np.isfinite(xi).all()


def test_a_start_gives_up_shortening():
    assert _search(lambda t: 1.0 if t else -1.0) == pytest.approx(0.4**30)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 9])
def test_values_are_found_again_from_their_combination(m):
    rng = np.random.default_rng(m)
    x, h = np.sort(rng.uniform(-1, 1, m)), rng.standard_normal(m)
    dual = Dual(x, h, 0.0, Quadratic(), UNIFORM)
    np.testing.assert_allclose(dual.separate(dual.combine(h)), h, rtol=1e-11)
    assert dual.error(dual.combine(h)) == pytest.approx(np.abs(h).max())


def test_converged_promises_ten_digits_or_what_rounding_leaves():
    def tolerance(x, y):
        return Dual(np.array(x), np.array(y), 0.0, Quadratic(), UNIFORM).tolerance()

    eps = np.finfo(float).eps
    assert tolerance([0.3], [-7.0]) == pytest.approx(7e-10)
    steep = tolerance([0.0, 0.1, 0.1 + 1e-7], [0.0, 1.0, -2.0])  # ten times eps width sqrt(m) slope
    assert steep == pytest.approx(2e-10 + 10 * eps * 0.1 * math.sqrt(3) * 3e7, rel=1e-5)
    assert tolerance([0.0, 1.0, 1 + 1e-14], [0.0, 1.0, -2.0]) == pytest.approx(2e-6)


def test_small_systems_of_any_scale():
    for first, second in ((1e200, 1e-200), (1e-300, 1.0)):
        matrix = np.array([[first, 0.0], [0.0, second]])
        np.testing.assert_allclose(_solve_small(matrix, matrix @ [2.0, -3.0]), [2.0, -3.0])
    assert np.isnan(_solve_small(np.array([[np.nan]]), np.ones(1))).all()


@pytest.fixture
def systems(monkeypatch):
    """The linear systems that are solved."""
    solved, solve = [], Dual.solve
    monkeypatch.setattr(Dual, "solve", lambda *system: solved.append(system) or solve(*system))
    return solved


@pytest.mark.parametrize("potential", [Regularized(Power(8), 1e-3), Hypentropy(0.01)], ids=repr)
def test_iterations_are_linear_systems(systems, potential):
    sol = variational.solve(X, Y, potential=potential)
    assert 3 < sol.iterations == len(systems)


@pytest.fixture
def levels(monkeypatch):
    """The levels on which Newton's method runs."""
    seen, newton = [], _solver._newton

    def spy(dual, at, level, budget):
        seen.append(level)
        return newton(dual, at, level, budget)

    monkeypatch.setattr(_solver, "_newton", spy)
    return seen


@pytest.mark.parametrize(
    ("potential", "density", "index"),
    [
        (Quadratic(), "uniform", 0),
        (Quadratic(), "skewed", None),
        (Regularized(Power(4), 1), "normal", None),
        (Regularized(Power(8), 1e-3), "uniform", None),
        (Regularized(Power(2.5), 1), "uniform", 4),  # not smooth at 0
    ],
)
def test_newton_runs_once_where_the_quadrature_is_fine_enough(levels, potential, density, index):
    size = 1e6 if potential == Quadratic() else 1.0
    variational.solve(X, size * Y, potential=potential, density=DENSITIES[density])
    (level,) = levels
    assert index is None or level == LEVELS[index]


@pytest.mark.parametrize(("m", "nodes"), [(30, 16), (2000, 4)])
def test_many_points_need_few_nodes(monkeypatch, levels, m, nodes):
    counts = []
    monkeypatch.setattr(
        _solver, "approximate", lambda dual, count: counts.append(count) or approximate(dual, 4)
    )
    x = np.linspace(-1, 1, m)
    variational.solve(x, np.sin(5 * x), potential=Regularized(Power(4), 1))
    assert counts == [nodes]
    assert levels == [LEVELS[0]]


@pytest.mark.parametrize("c", [2.0**-30, 2.0**30])
def test_units_change_no_step(levels, c):
    """x^8 + omega x^2 with omega c^6 and targets c y: every number is a power of c times what it
    was, but for the rounding of roots. Newton's full steps would diverge here."""
    x, y = [-0.5, -0.4999, -0.4998], np.array([1.0, -2.0, 0.5])
    sol = variational.solve(x, y, potential=Regularized(Power(8), 1e-3))
    assert sol.status is Status.CONVERGED
    first = levels.copy()
    scaled = variational.solve(x, c * y, potential=Regularized(Power(8), 1e-3 * c**6))
    assert levels == 2 * first
    assert abs(scaled.iterations - sol.iterations) <= 1
    np.testing.assert_allclose(scaled(QUERY), c * sol(QUERY), rtol=1e-12)


def test_the_number_of_steps_is_limited(monkeypatch):
    monkeypatch.setattr(_solver, "_MAX_ITERATIONS", 15)
    x, y = [-0.5, -0.4999, -0.4998], [1.0, -2.0, 0.5]
    sol = variational.solve(x, y, potential=Regularized(Power(8), 1e-3))
    assert (sol.status, sol.iterations) == (Status.STALLED, 15)


def test_where_rounding_hides_the_slope_the_residual_counts():
    """Three points 1e-5 apart, steep: without that the method stalls."""
    x = [-0.49998810845669295, -0.4999779569797652, -0.4999626290758425]
    y = [-320259.82051300805, -1188563.6707285785, 205964.79563766601]
    sol = variational.solve(x, y, potential=Regularized(Power(8), 10))
    assert sol.status is Status.CONVERGED


# Bad input.


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y[:4]}, ValueError, "x and y .*same length, got 5 inputs and 4 targets"),
        ({"x": [], "y": []}, ValueError, "x is empty: give at least one"),
        ({"x": [0.1, 0.2, 0.1, 0.3, 0.4]}, ValueError, r"x contains 0\.1 more than once; average"),
        ({"x": [0.1, np.nan, 0.2, 0.3, 0.4]}, ValueError, "x contains nan; remove or replace"),
        ({"x": [0.1, -np.inf, 0.2, 0.3, 0.4]}, ValueError, "x contains -inf; remove or replace"),
        ({"y": [0.1, np.inf, 0.2, 0.3, 0.4]}, ValueError, "y contains inf; remove or replace"),
        ({"x": "abcde"}, TypeError, "x must be an array of real numbers, got 'abcde'"),
        ({"y": Y * 1j}, TypeError, "y must be an array of real numbers, got"),
        (
            {"x": np.ones((5, 1, 1))},
            ValueError,
            r"x must have shape \(m,\) or \(m, D\).*\(5, 1, 1\)",
        ),
        (
            {"x": np.eye(5)[:, :2] + X[:, None]},
            ValueError,
            r"x .*got 2; use representation\.solve in higher",
        ),
        (
            {"x": X - 1},
            ValueError,
            r"x contains -1\.71, outside the support \[-1, 1\].* and its mirror image: .*Widen",
        ),
        ({"activation": "gelu"}, ValueError, "activation 'gelu' is unknown; choose one of"),
        (
            {"activation": "tanh"},
            ValueError,
            "activation tanh .*needs 'relu', 'abs' or a leaky ReLU; use representation.solve",
        ),
        ({"activation": None}, TypeError, "activation must be a name or an Activation, got None"),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        ({"potential": Power(1.5)}, ValueError, r"Power\(1\.5\) has Hessian inf at 0.*finite"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        ({"density": stats.t(2)}, ValueError, "density .*variance.*inf.*lighter tails"),
        ({"density": stats.t}, TypeError, "density must be a frozen"),
        ({"density": "normal"}, TypeError, "density must be a frozen .*'normal' has no"),
        (
            {"density": stats.rv_histogram(([1, 0, 1], [-1.5, -0.75, 0.7, 1.5]), density=False)},
            ValueError,
            r"density vanishes between x = -0\.32 and x = 0\.63, .* and cannot .*drop it or change",
        ),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"x": X, "y": Y} | change
    with pytest.raises(error, match=message):
        variational.solve(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_solutions_are_evaluated_at_finite_points_only():
    sol = variational.solve(X, Y)
    for function in (sol, sol.derivative, sol.curvature):
        with pytest.raises(ValueError, match="x contains nan"):
            function([0.1, np.nan])
