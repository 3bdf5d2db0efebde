"""The parameter-space solver against 12 digits, dense formulas, optimality and its rival."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

import mflib
from mflib import activations, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.representation import Status, _solver
from mflib.representation._measures import measure_on
from tests.problems import DENSITIES, LIMITS, SCALED, UNIFORM, X, Y
from tests.strategies import data, potentials, repeatable, sigmas

QUERY = np.array([-1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23])


@pytest.mark.parametrize("problem", LIMITS, ids=lambda problem: problem.name)
def test_reference_limits(problem):
    rep = representation.solve(problem.x, problem.y, **problem.model)
    assert rep.status is Status.CONVERGED
    assert 0 < rep.iterations <= 60
    np.testing.assert_allclose(rep(problem.query), problem.h, rtol=0, atol=1e-8)
    assert rep.cost == pytest.approx(problem.cost, rel=1e-8)
    assert rep.gap <= 1e-8 * rep.cost
    assert rep.residual <= 1e-8
    np.testing.assert_allclose(rep(problem.x), problem.y, rtol=0, atol=1e-8)


# Against the solver in function space, with which it shares no code.


@repeatable(25)
@given(data(), sigmas, potentials, st.sampled_from(list(DENSITIES)))
def test_both_solvers_agree(points, activation, potential, name):
    # there coefficients grow like exp(z): the solvers stop at 1e-9 of the data, and say STALLED
    assume(not (isinstance(potential, Hypentropy) and name in ("student", "gap")))
    model = {"activation": activation, "potential": potential, "density": DENSITIES[name]}
    try:
        sol = variational.solve(*points, **model)
    except ValueError as error:
        assume("density vanishes" not in str(error))
        raise
    rep = representation.solve(*points, **model)
    assert sol.status is variational.Status.CONVERGED
    assert rep.status is Status.CONVERGED
    scale = np.abs(sol(QUERY)).max()
    np.testing.assert_allclose(rep(QUERY), sol(QUERY), rtol=0, atol=1e-7 * scale)
    assert rep.cost == pytest.approx(sol.cost, rel=1e-7)


# Optimality, by plain quadrature and bisection.


@pytest.mark.parametrize("name", ["elu", "softplus", "tanh", "leaky_relu"])
@pytest.mark.parametrize("scaled", ["quadratic", "power 4", "hypentropy", "lopsided"])
def test_any_activation_interpolates_and_is_optimal(name, scaled):
    """h = int alpha sigma dmu with phi'(alpha) - phi'(0) = sum_i lambda_i sigma(w x_i - b)."""
    potential, density, sigma = SCALED[scaled], DENSITIES["truncated"], activations.get(name)
    x, y = X[:3], Y[:3]
    rep = representation.solve(x, y, activation=name, potential=potential, density=density)
    assert rep.status is Status.CONVERGED
    np.testing.assert_allclose(rep(x), y, atol=1e-8)
    query, shift = np.array([*x, -1.1, 0.3]), potential.gradient(np.zeros(1))

    def field(w, b):
        return sigma(w * x - b) @ rep.multipliers

    w, b, mass = graded_nodes(field, density, kinks=query)
    z = field(w[:, None], b[:, None]) + shift
    low, high = np.full(z.shape, -1e6), np.full(z.shape, 1e6)
    for _ in range(90):  # bisection
        middle = 0.5 * (low + high)
        small = potential.gradient(middle) < z
        low, high = np.where(small, middle, low), np.where(small, high, middle)
    exact = sigma(query[:, None] * w - b) @ (mass * low)
    np.testing.assert_allclose(rep(query), exact, atol=1e-7)
    assert rep.cost == pytest.approx(mass @ potential.bregman(low, 0.0), rel=1e-7)


def graded_nodes(field, density, kinks):
    """Plain Gauss nodes (w, b), graded towards the zeros of a field, where alpha is steep."""
    low, high = density.support()
    grid, powers = np.linspace(low, high, 300), 0.5 ** np.arange(2, 50)
    edges = [grid, kinks, -kinks]
    for w in (-1.0, 1.0):
        values = np.array([field(w, b) for b in grid])
        for k in np.flatnonzero(values[1:] * values[:-1] < 0):
            zero = optimize.brentq(lambda b, w=w: field(w, b), grid[k], grid[k + 1], xtol=1e-15)
            edges += [zero - powers, [zero], zero + powers]
    edges = np.unique(np.concatenate(edges))
    edges = edges[(low <= edges) & (edges <= high)]
    half, (nodes, weights) = 0.5 * np.diff(edges)[:, None], np.polynomial.legendre.leggauss(8)
    b = (edges[:-1, None] + half * (1 + nodes)).ravel()
    mass = (half * weights).ravel() * density.pdf(b) / 2
    return np.repeat([1.0, -1.0], len(b)), np.tile(b, 2), np.tile(mass, 2)


def test_features_of_low_rank():
    """sin(w x - b) spans only sin and cos: two points can be met, and three cannot."""
    rep = representation.solve([0.3, 1.1], [0.5, -0.8], activation="sine")
    assert rep.status is Status.CONVERGED
    a, b = np.linalg.solve(np.column_stack([np.sin([0.3, 1.1]), np.cos([0.3, 1.1])]), [0.5, -0.8])
    np.testing.assert_allclose(rep(QUERY), a * np.sin(QUERY) + b * np.cos(QUERY), atol=1e-9)
    rep = representation.solve(X[:3], Y[:3], activation="sine")
    assert rep.status is Status.STALLED
    assert rep.residual > 1e-3


def test_the_gap_is_that_of_the_dual():
    """cost - (lambda . y - int phi*(z)), with phi* of x^2 known: z^2 / 4."""
    rep = representation.solve(X, Y, activation="tanh")

    def conjugate(b):
        z = [float(rep.multipliers @ np.tanh(w * X - b)) for w in (-1, 1)]
        return 0.5 * 0.5 * (z[0] ** 2 + z[1] ** 2) / 4

    dual = rep.multipliers @ Y - integrate.quad(conjugate, -1, 1, epsabs=1e-9, epsrel=1e-13)[0]
    assert rep.cost == pytest.approx(dual, rel=1e-9)


# The neurons of a network as measure.


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("name", ["relu", "abs", "tanh"])
def test_the_quadratic_is_the_least_norm_solution(name, dim):
    net = mflib.ShallowNetwork(60, input_dim=dim, activation=name, seed=2)
    w, b = net.input_weight.detach().numpy(), net.input_bias.detach().numpy()
    rng = np.random.default_rng(34)  # no points close to each other, which with tanh costs digits
    x, query = rng.uniform(-0.9, 0.9, (5, dim)), rng.uniform(-1, 1, (4, dim))
    rep = representation.solve(x, Y, activation=name, neurons=(w, b))
    assert rep.status is Status.CONVERGED

    def features(points):
        return activations.get(name)(points @ w.T - b)

    # minimise (1/n) sum alpha^2 subject to (1/n) sum alpha sigma = y
    alpha = np.linalg.lstsq(features(x) / 60, Y, rcond=None)[0]
    np.testing.assert_allclose(rep(query), features(query) @ alpha / 60, rtol=1e-8, atol=1e-9)
    assert rep.cost == pytest.approx((alpha**2).mean(), rel=1e-9)
    assert 1 <= rep.iterations <= 2  # the second against the rounding of the first
    gram = representation.kernel(x, activation=name, neurons=(w, b))
    np.testing.assert_allclose(gram, features(x) @ features(x).T / 120, rtol=1e-13)


@pytest.mark.parametrize("scaled", ["power 3", "hypentropy", "lopsided"])
def test_neurons_satisfy_the_optimality_conditions(scaled):
    """Cheaper than any other interpolant: moves within the null space only add to the cost."""
    potential, rng = SCALED[scaled], np.random.default_rng(5)
    w, b = rng.choice([-1.0, 1.0], 80), rng.uniform(-1, 1, 80)
    rep = representation.solve(X, Y, potential=potential, neurons=(w, b))
    features = np.maximum(w[:, None] * X - b[:, None], 0)
    z = features @ rep.multipliers + potential.gradient(np.zeros(1))
    alpha = np.array([
        optimize.brentq(lambda a, v=v: float(potential.gradient(np.array([a]))[0]) - v, -1e4, 1e4)
        for v in z
    ])  # fmt: skip
    np.testing.assert_allclose(features.T @ alpha / 80, Y, atol=1e-8)
    assert rep.cost == pytest.approx(potential.bregman(alpha, 0.0).mean(), rel=1e-8)
    for _ in range(20):
        move = rng.normal(size=80)
        move -= features @ np.linalg.lstsq(features, move, rcond=None)[0]
        assert potential.bregman(alpha + 0.1 * move, 0.0).mean() > rep.cost


def test_weights_of_one_dimension_may_be_flat():
    rng = np.random.default_rng(1)
    w, b = rng.choice([-1.0, 1.0], 50), rng.uniform(-1, 1, 50)
    flat = representation.solve(X, Y, neurons=(w, b))
    column = representation.solve(X[:, None], Y, neurons=(w[:, None], b))
    np.testing.assert_array_equal(flat(QUERY), column(QUERY[:, None]))


def test_too_few_neurons_end_with_a_status():
    """Three units cannot pass through five points."""
    rep = representation.solve(X, Y, neurons=([1.0, -1.0, 1.0], [-0.9, -0.8, -0.3]))
    assert rep.status is Status.STALLED
    assert rep.residual > 1e-3
    best = np.linalg.lstsq(
        np.column_stack([np.maximum(X + 0.9, 0), np.maximum(0.8 - X, 0), np.maximum(X + 0.3, 0)]),
        Y,
        rcond=None,
    )[1]
    assert rep.residual >= np.sqrt(best[0] / 5) * 0.999


def test_no_step_at_all_ends_with_a_status():
    """|alpha|^300 is flat, then a wall: along Newton's step the dual has no slope that is seen."""
    rng = np.random.default_rng(0)
    neurons = rng.choice([-1.0, 1.0], 50), rng.uniform(-1, 1, 50)
    rep = representation.solve(X, Y, potential=Regularized(Power(300), 1), neurons=neurons)
    assert (rep.status, rep.iterations, rep.residual) == (Status.STALLED, 0, np.abs(Y).max())


def test_many_neurons_approach_their_density():
    rng = np.random.default_rng(0)
    w, b = rng.choice([-1.0, 1.0], 200_000), rng.uniform(-1, 1, 200_000)
    model = {"activation": "abs", "potential": SCALED["power 3"]}
    finite = representation.solve(X, Y, neurons=(w, b), **model)
    infinite = representation.solve(X, Y, density=UNIFORM, **model)
    inside = QUERY[np.abs(QUERY) < 1]
    np.testing.assert_allclose(finite(inside), infinite(inside), atol=0.01)


# Where the other solver does not go.


def test_data_outside_the_support():
    """h is straight beyond the kinks, so three points there leave only their line."""
    x, y = [-0.5, 0.4, 1.5, 2.5], [0.3, -0.8, 1.0, 1.7]
    rep = representation.solve(x, y)
    assert rep.status is Status.CONVERGED
    np.testing.assert_allclose(rep(x), y, atol=1e-8)
    np.testing.assert_allclose(rep([1.2, 3.5]), [0.79, 2.4], atol=1e-7)


def test_the_order_of_the_data_is_that_of_the_multipliers():
    order = [3, 0, 4, 2, 1]
    model = {"activation": "softplus", "potential": SCALED["power 4"]}
    rep = representation.solve(X, Y, **model)
    other = representation.solve(X[order], Y[order], **model)
    np.testing.assert_allclose(other(QUERY), rep(QUERY), atol=1e-7)
    np.testing.assert_allclose(other.cost, rep.cost, rtol=1e-8)


@pytest.mark.parametrize(("activation", "beta"), [("relu", 0.1), ("abs", 1e-3)])
def test_trial_steps_may_overflow_in_silence(activation, beta):
    """Far from the optimum sinh(z) is infinite: the line search must take it as too long."""
    model = {"activation": activation, "potential": Hypentropy(beta), "density": stats.norm(0, 0.6)}
    rep, sol = (solver.solve(X, Y, **model) for solver in (representation, variational))
    assert rep.status is Status.CONVERGED
    assert rep.cost == pytest.approx(sol.cost, rel=1e-8)


def test_zero_targets_give_zero():
    rep = representation.solve(X, 0 * Y, potential=SCALED["power 4"])
    assert rep.status is Status.CONVERGED
    assert not rep(QUERY).any()
    assert rep.cost == rep.iterations == 0


def test_iterations_are_those_of_all_refinements(monkeypatch):
    newton, steps = _solver._newton, []

    def counted(*arguments):
        multipliers, count = newton(*arguments)
        steps.append(count)
        return multipliers, count

    monkeypatch.setattr(_solver, "_newton", counted)
    assert representation.solve(X, Y, potential=SCALED["power 3"]).iterations == sum(steps)
    assert sum(steps) > steps[-1]


def test_evaluation_in_parts_equals_evaluation_at_once():
    rep = representation.solve(X, Y, activation="abs")
    grid = np.linspace(-1, 1, 3001)
    assert rep(grid).shape == (3001,)
    np.testing.assert_allclose(rep(grid[::500]), rep(grid)[::500], rtol=1e-9, atol=1e-10)
    assert rep([]).shape == (0,)


# Penalised problems.


@pytest.mark.parametrize("x", [X, np.array([0.63, -0.71, 0.63, -0.32, 0.63])])
@pytest.mark.parametrize("kind", ["number", "matrix"])
def test_the_quadratic_with_a_ridge_is_kernel_ridge_regression(x, kind):
    rng = np.random.default_rng(2)
    w, b = rng.choice([-1.0, 1.0], 60), rng.uniform(-1, 1, 60)

    def features(points):
        return np.maximum(np.outer(points, w) - b, 0)

    factor = rng.normal(size=(5, 5))
    ridge = {"number": 0.03, "matrix": 0.01 * factor @ factor.T}[kind]
    matrix = ridge * np.eye(5) if kind == "number" else ridge
    multipliers = np.linalg.solve(features(x) @ features(x).T / 120 + matrix, Y)
    rep = representation.solve(x, Y, neurons=(w, b), ridge=ridge)
    assert rep.status is Status.CONVERGED
    np.testing.assert_allclose(rep.multipliers, multipliers, rtol=1e-8)
    expected = features(QUERY) @ features(x).T @ multipliers / 120
    np.testing.assert_allclose(rep(QUERY), expected, rtol=0, atol=1e-10)
    assert rep.residual < 1e-10


@pytest.mark.parametrize("scaled", ["power 3", "power 4", "hypentropy", "lopsided"])
def test_with_a_ridge_the_sum_of_cost_and_misfit_is_least(scaled):
    potential, rng, ridge = SCALED[scaled], np.random.default_rng(5), 0.02
    w, b = rng.choice([-1.0, 1.0], 80), rng.uniform(-1, 1, 80)
    features = np.maximum(w[:, None] * X - b[:, None], 0)
    rep = representation.solve(X, Y, potential=potential, neurons=(w, b), ridge=ridge)

    def objective(alpha):
        misfit = ((features.T @ alpha / 80 - Y) ** 2).sum() / (2 * ridge)
        return potential.bregman(alpha, 0.0).mean() + misfit

    def slope(alpha):
        pull = features @ (features.T @ alpha / 80 - Y) / ridge
        return (potential.gradient(alpha) - potential.gradient(np.zeros(1)) + pull) / 80

    found = optimize.minimize(
        objective, np.zeros(80), jac=slope, method="BFGS", options={"gtol": 1e-9}
    )
    h = np.maximum(np.outer(QUERY, w) - b, 0) @ found.x / 80
    np.testing.assert_allclose(rep(QUERY), h, rtol=0, atol=1e-5)
    misfit = 0.5 * ridge * (rep.multipliers**2).sum()
    assert rep.cost + misfit == pytest.approx(objective(found.x), rel=1e-8)
    assert rep.gap < 1e-8 * rep.cost


def test_a_vanishing_ridge_interpolates():
    model = {"activation": "abs", "potential": SCALED["power 4"]}
    exact = representation.solve(X, Y, **model)
    gaps = [
        np.abs(representation.solve(X, Y, ridge=ridge, **model)(QUERY) - exact(QUERY)).max()
        for ridge in (1e-8, 1e-9)
    ]
    assert gaps[1] < 0.2 * gaps[0] < 1e-3


PLANE = np.random.default_rng(0).uniform(-1, 1, (5, 2))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y[:4]}, ValueError, "x and y .*same length, got 5 inputs and 4 targets"),
        ({"x": [], "y": []}, ValueError, "x is empty: give at least one"),
        ({"x": [0.1, 0.2, 0.1, 0.3, 0.4]}, ValueError, r"x contains 0\.1 more than once; average"),
        ({"x": [0.1, np.nan, 0.2, 0.3, 0.4]}, ValueError, "x contains nan; remove or replace"),
        ({"y": [0.1, np.inf, 0.2, 0.3, 0.4]}, ValueError, "y contains inf; remove or replace"),
        ({"x": PLANE}, ValueError, r"x has 2 inputs .*serves one.*neurons=\(w, b\)"),
        ({"activation": "gelu"}, ValueError, "activation 'gelu' is unknown; choose one of"),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        ({"potential": Power(1.5)}, ValueError, r"Power\(1\.5\) has Hessian inf at 0.*finite"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        ({"density": "normal"}, TypeError, "density must be a frozen .*'normal' has no"),
        (
            {"density": UNIFORM, "neurons": ([1.0], [0.0])},
            ValueError,
            "density and neurons are both given; give one",
        ),
        ({"ridge": -1.0}, ValueError, "ridge has the negative eigenvalue -1; it must be"),
        ({"ridge": -1e-14}, ValueError, "ridge has the negative eigenvalue -1e-14; it must be"),
        (
            {"ridge": np.ones((5, 5)) + 1e-6 * np.tri(5)},
            ValueError,
            "ridge .*symmetric.*symmetrise",
        ),
        ({"ridge": np.eye(4)}, ValueError, r"ridge .*shape \(5, 5\), got shape \(4, 4\)"),
        ({"ridge": np.triu(np.ones((5, 5)))}, ValueError, "ridge .*symmetric.*symmetrise"),
        ({"ridge": "big"}, TypeError, "ridge must be an array of real numbers"),
        ({"neurons": 7}, TypeError, r"neurons must be a pair \(w, b\), got int"),
        ({"neurons": ([1.0, -1.0], [0.0])}, ValueError, r"neurons .*\(n, 1\) and \(n,\).*\(2, 1\)"),
        ({"neurons": ([], [])}, ValueError, r"neurons must have shapes"),
        ({"neurons": ([1.0, np.nan], [0.0, 0.1])}, ValueError, r"neurons\[0\] contains nan"),
        ({"neurons": (np.ones((4, 3)), np.ones(4))}, ValueError, r"neurons .*to fit x.*\(4, 3\)"),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"x": X, "y": Y} | change
    with pytest.raises(error, match=message):
        representation.solve(arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize(
    ("x", "options", "error", "message"),
    [
        ([0.1, np.nan], {}, ValueError, "x contains nan; remove or replace"),
        ([], {}, ValueError, "x is empty: give at least one"),
        (PLANE, {}, ValueError, r"x has 2 inputs .*serves one.*neurons=\(w, b\)"),
        (X, {"activation": "gelu"}, ValueError, "activation 'gelu' is unknown"),
        (X, {"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        (X, {"density": "normal"}, TypeError, "density must be a frozen .*'normal' has no"),
    ],
)
def test_bad_input_of_the_kernel(x, options, error, message):
    with pytest.raises(error, match=message):
        representation.kernel(x, **options)


def test_a_potential_by_default_is_the_quadratic():
    first = representation.solve(X, Y)
    second = representation.solve(X, Y, potential=Quadratic(), density=UNIFORM, activation="relu")
    np.testing.assert_array_equal(first(QUERY), second(QUERY))


@pytest.mark.parametrize("potential", [Power(3), Power(4)], ids=repr)
def test_settling_looks_at_all_that_must_be_refined(potential):
    """Only the halves of rough panels are looked at again, and that is enough."""
    x = np.array(X)[:, None]
    multipliers = np.array([[30.0, -70.0, 0.3, 0.0, 1e3], [-2.0, 5.0, 1.0, 40.0, -0.7]])
    sigma, phi = activations.get("relu"), Regularized(potential, 0.01)
    settled, refined = (measure_on(x, sigma, phi, stats.norm(0.1, 0.6), None) for _ in range(2))
    start = len(settled.edges)
    settled.settle(multipliers)
    while any([refined.refine(row) for row in multipliers]):  # all panels, each time
        pass
    assert len(settled.edges) > start + 20
    np.testing.assert_array_equal(settled.edges, refined.edges)


def test_shapes_of_what_is_evaluated():
    rep = representation.solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0], density=stats.uniform(-1, 2))
    assert rep(0.1).shape == ()
    assert [rep(x).shape for x in ([], [0.1], [[0.1], [0.2]])] == [(0,), (1,), (2,)]
    assert float(rep(0.1)) == float(rep([0.1])[0])
    with pytest.raises(ValueError, match=r"x must have shape \(k, 1\) or \(k,\), got \(2, 3\)"):
        rep(np.ones((2, 3)))
    neurons = np.eye(2), np.zeros(2)
    plane = representation.solve([[0.1, 0.2]], [1.0], neurons=neurons)
    assert plane([[0.1, 0.2], [0.0, 1.0]]).shape == (2,)
    with pytest.raises(ValueError, match=r"x must have shape \(k, 2\), got \(3,\)"):
        plane([0.1, 0.2, 0.3])
