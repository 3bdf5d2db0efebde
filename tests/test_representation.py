"""The parameter-space solver against 12 digits, dense formulas, optimality and its rival."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

import mflib
from mflib import activations, representation, variational
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized
from mflib.representation import Status, _solver
from mflib.representation._measures import measure_on
from mflib.representation._tails import diverges, thirds
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
    low, high = density.ppf(1e-30), density.isf(1e-30)
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
        (
            {"activation": "heaviside"},
            ValueError,
            "activation 'heaviside' is unknown; choose one of",
        ),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        ({"potential": Power(1.5)}, ValueError, r"Power\(1\.5\) has Hessian inf at 0.*finite"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        ({"density": "normal"}, TypeError, "density must be a distribution .*'normal'"),
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
        (X, {"activation": "heaviside"}, ValueError, "activation 'heaviside' is unknown"),
        (X, {"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        (X, {"density": "normal"}, TypeError, "density must be a distribution .*'normal'"),
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
def test_adapted_nodes_integrate_alpha(potential):
    """Against panels that are all halved until nothing changes, for each of two fields."""
    phi, fields = (
        Regularized(potential, 0.01),
        np.array([[30.0, -70, 0.3, 0, 1e3], [-2, 5, 1, 40, -0.7]]),
    )
    measure = measure_on(X[:, None], "relu", phi, stats.norm(0.1, 0.6), None)
    start = len(measure.nodes().mass)
    assert measure.adapt(fields)
    assert len(measure.nodes().mass) > start + 400
    assert not measure.adapt(fields)
    # panels that are all halved, towards everywhere: what is rough in one is seen in the next
    edges = np.unique(np.concatenate([*measure.edges, X]))
    for _ in range(3):
        edges = np.union1d(edges, 0.5 * (edges[1:] + edges[:-1]))
    half, (nodes, weights) = 0.5 * np.diff(edges)[:, None], np.polynomial.legendre.leggauss(6)
    t = (half * (1 + nodes) + edges[:-1, None]).ravel()
    for field in fields:
        expected = 0.0
        for w in (1.0, -1.0):
            alpha = phi.inverse_gradient(np.maximum(w * (X - t[:, None]), 0) @ field)
            expected += 0.5 * (half * weights).ravel() * stats.norm(0.1, 0.6).pdf(w * t) @ alpha
        nodes_now = measure.nodes()
        observed = nodes_now.mass @ measure.alpha(nodes_now, field)
        assert observed == pytest.approx(expected, rel=1e-10)


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


# Certificates: the tails, what nothing fits, far from zero, and thresholds.

ONE_DATUM = {
    "uniform": stats.uniform(-1, 2), "norm": stats.norm(0.1, 0.6), "laplace": stats.laplace(0, 0.4),
    "logistic": stats.logistic(0.1, 0.3), "expon": stats.expon(-1, 0.7),
    "gamma 0.3": stats.gamma(0.3, loc=-1), "gamma 2.5": stats.gamma(2.5, loc=-1, scale=0.4),
    "chi2 1": stats.chi2(1, loc=-0.5), "arcsine": stats.arcsine(-1, 2),
    "beta": stats.beta(2, 3, loc=-1, scale=2), "triang": stats.triang(0.3, -1, 2),
    "weibull": stats.weibull_min(0.7, loc=-1), "gumbel": stats.gumbel_r(0, 0.5),
    "lognorm 0.5": stats.lognorm(0.5, loc=-1), "lognorm 3": stats.lognorm(3.0, loc=-1),
    "t 2.02": stats.t(2.02), "t 2.05": stats.t(2.05), "t 2.1": stats.t(2.1), "t 2.3": stats.t(2.3),
    "t 3": stats.t(3), "t 30": stats.t(30), "pareto 2.1": stats.pareto(2.1, loc=-2),
    "pareto 4": stats.pareto(4, loc=-2), "lomax": stats.lomax(2.2, loc=-1),
    "invgamma": stats.invgamma(2.2, loc=-1), "f 4.2": stats.f(8, 4.2),
    "betaprime": stats.betaprime(2, 2.1), "burr12": stats.burr12(2, 1.2),
    "mielke": stats.mielke(5, 3.0), "dgamma": stats.dgamma(0.5), "gennorm": stats.gennorm(0.5),
    "genextreme": stats.genextreme(-0.4), "kappa3": stats.kappa3(3.0), "fisk": stats.fisk(3),
    "rice": stats.rice(1.0), "loguniform": stats.loguniform(1e-3, 1e3),
    "crystalball": stats.crystalball(2, 3.5), "far": stats.norm(1e6, 1.0),
    "histogram": stats.rv_histogram(([1, 5, 2], [-1.1, -0.4, 0.3, 1.3]), density=False),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_DATUM)
def test_one_datum_has_a_closed_form_under_any_tail(name):
    """|x - B| has the second moment x^2 + E[B^2], the mean apart, and that is all there is."""
    density, x = ONE_DATUM[name], 0.3
    second = x**2 + density.var() + density.mean() ** 2
    options = {"activation": "abs", "density": density}
    if name in ("t 2.02", "t 2.05"):  # of b^2 p a part is beyond 1e100
        for call in (
            lambda: representation.solve([x], [1.0], **options),
            lambda: representation.kernel([x], **options),
            lambda: representation.trajectory([x], [1.0], [1.0], **options),
        ):
            with pytest.raises(ValueError, match="density's second moment is missed by .*lighter"):
                call()
        return
    rep = representation.solve([x], [1.0], **options)
    assert rep.status is Status.CONVERGED
    assert rep.cost == pytest.approx(1 / second, rel=1e-9)
    assert representation.kernel([x], **options)[0, 0] == pytest.approx(second / 2, rel=1e-9)


class Stated:
    """A distribution whose deviation is not that of its pdf."""

    def __init__(self, density):
        self.density = density

    def __getattr__(self, name):
        return getattr(self.density, name)

    def std(self):
        return 1.1


def test_a_pdf_that_does_not_fit_its_moments_is_refused():
    density = Stated(stats.norm())
    with pytest.raises(ValueError, match=r"density's second moment is missed by .*does not fit"):
        representation.solve([0.3], [1.0], density=density)


@pytest.mark.parametrize("y", [0.1, 10.0])
@pytest.mark.parametrize("density", [stats.t(4), stats.t(30), stats.lognorm(1.0), stats.pareto(5)])
def test_where_there_is_no_minimiser_nobody_says_converged(density, y):
    """phi* of hypentropy grows like cosh, and has no integral under these tails."""
    model = {"activation": "abs", "potential": Hypentropy(1.0), "density": density}
    assert representation.solve([0.3], [y], **model).status is Status.STALLED
    path = representation.trajectory([0.3], [y], [1.0], rtol=1e-5, **model)
    assert path.status is representation.TrajectoryStatus.STALLED


@pytest.mark.parametrize("size", [0.01, 30.0])
@pytest.mark.parametrize(
    ("density", "exists"),
    [
        (stats.weibull_min(0.6), False),
        (stats.weibull_max(0.8), False),
        (stats.gennorm(0.9), False),
        (stats.exponweib(2, 0.7), False),
        (stats.gengamma(6, 0.5), False),
        (stats.gennorm(1.1), True),
        (stats.gumbel_r(), True),
        (stats.moyal(), True),
        (stats.hypsecant(0.5, 2.0), True),
        (stats.pearson3(1.315), True),
    ],
)
def test_order_of_the_tail_decides_whether_hypentropy_has_a_minimiser(density, exists, size):
    """-log p ~ |b|^c: cosh of any field with a slope has an integral for c >= 1, none below.

    Where the pdf underflows a field of small targets has not begun to grow: nodes see nothing.
    """
    model = {"activation": "abs", "potential": Hypentropy(1.0), "density": density}
    rep = representation.solve([0.3, 1.2], [size, -0.5 * size], **model)
    assert rep.status is (Status.CONVERGED if exists else Status.STALLED)
    path = representation.trajectory([0.3], [size], [1.0], rtol=1e-5, **model)
    assert (path.status is representation.TrajectoryStatus.COMPLETED) == exists


@pytest.mark.parametrize("q", [1.0, 2.0])
@pytest.mark.parametrize("exponent", [2.0, 4.0, 1.5])
@pytest.mark.parametrize("excess", [-0.02, 0.02])
def test_powers_are_compared_by_their_exponents(q, exponent, excess):
    """z alpha p ~ r^(q s) r^-e with s = 1 + 1/(p - 1): no integral from e = 1 + q s on."""
    r = thirds(1e40)
    e = 1 + q * (1 + 1 / (exponent - 1)) + excess
    p, z = 1e30 * r**-e, 2.0 - 0.5 * r**q
    assert diverges(p, z, Power(exponent), np.abs(z)) == (excess < 0)
    assert not diverges(p, z, Power(exponent), 1e14 * np.abs(z))  # a slope of rounding only
    assert not diverges(p, z[-1:] * [1, 1, 1], Power(exponent), np.abs(z))


class Bounded(Potential):
    """sqrt(1 + x^2), whose gradient stays in (-1, 1)."""

    def value(self, x):
        return (1 + x**2) ** 0.5

    def gradient(self, x):
        return x * (1 + x**2) ** -0.5

    def hessian(self, x):
        return (1 + x**2) ** -1.5


def test_a_bounded_gradient_has_no_integral_where_the_field_grows():
    z, p = 3 * thirds(30.0), np.exp(-(thirds(30.0) ** 2) / 2)
    assert diverges(p, z, Bounded(), z)
    assert not diverges(p, z, Regularized(Bounded(), 0.1), z)


class Squares(activations.Activation):
    def __call__(self, u):
        return u**2

    def derivative(self, u):
        return 2 * u


@pytest.mark.parametrize("nu", [3.0, 3.95, 4.5])
def test_a_kernel_without_an_integral_is_refused(nu):
    """E[(x -+ B)^4] = x^4 + 6 x^2 E[B^2] + E[B^4], and no E[B^4] up to four degrees of freedom."""
    model = {"activation": Squares(), "density": stats.t(nu)}
    if nu < 4:
        with pytest.raises(ValueError, match="the square of activation .* has no integral"):
            representation.kernel([0.3], **model)
    else:
        second, fourth = nu / (nu - 2), 3 * nu**2 / ((nu - 2) * (nu - 4))
        moment = 0.3**4 + 6 * 0.3**2 * second + fourth
        assert representation.kernel([0.3], **model)[0, 0] == pytest.approx(moment / 2, rel=1e-8)


@pytest.mark.parametrize("y", [1.0, 30.0])
@pytest.mark.parametrize("density", [stats.laplace(0, 0.4), stats.norm(0, 0.5)])
def test_where_the_tail_is_just_light_enough_there_is_one(density, y):
    """h = int beta sinh(lambda |x - b|) |x - b| p(b) db, by SciPy's quadrature and root finder."""
    x, beta = 0.3, 0.7

    def h(multiplier):
        def part(b):
            u = abs(x - b)
            return 0.5 * beta * u * (np.exp(multiplier * u + density.logpdf(b))
                                     - np.exp(-multiplier * u + density.logpdf(b)))  # fmt: skip

        pieces = itertools.pairwise([-700, -60, -5, 0, x, 5, 60, 700])
        return sum(integrate.quad(part, *ends, epsabs=0, epsrel=1e-11)[0] for ends in pieces)

    rep = representation.solve(
        [x], [y], activation="abs", potential=Hypentropy(beta), density=density
    )
    assert rep.status is Status.CONVERGED
    assert h(rep.multipliers[0]) == pytest.approx(y, rel=1e-8)


@pytest.mark.parametrize(
    ("x", "options", "point"),
    [
        ([4.0, 7.0, 12.0], {"density": stats.uniform(4, 21)}, "4."),
        ([0.5, 0.0, 1.5], {"density": stats.uniform(0, 3)}, "0."),
        ([0.5, -0.5, 0.2], {"neurons": ([1.0, 1.0, 1.0], [0.0, 0.1, -0.2])}, "-0.5"),
        ([[1.0, 1.0], [1.0, -2.0]], {"neurons": (np.eye(2)[[1, 1]], [0.0, -1.0])}, r"\[ 1. -2.\]"),
    ],
)
def test_a_datum_that_no_unit_sees_is_named(x, options, point):
    y = np.arange(1.0, len(x) + 1)
    for call in (
        lambda: representation.solve(x, y, **options),
        lambda: representation.solve(x, y, ridge=1e-3, **options),
        lambda: representation.trajectory(x, y, [1.0], **options),
    ):
        with pytest.raises(ValueError, match=f"x contains {point}, where no unit responds"):
            call()
    seen = np.diag(representation.kernel(x, **options)) > 0
    assert representation.solve(x, np.where(seen, y, 0.0), ridge=1e-3, **options).status is (
        Status.CONVERGED
    )


def test_data_on_one_side_of_all_kinks_must_be_on_a_line():
    x, y = [-0.5, 1947.0, 1950.0, 1962.0], np.array([0.1, 1.0, 2.0, 3.0])
    message = "x contains 1947, 1950, 1962 on one side of all kinks.*not on a line"
    with pytest.raises(ValueError, match=message):
        representation.solve(x, y)
    near = representation.solve(x, y, ridge=1e-6)  # approached, they need not be
    np.testing.assert_allclose(near(x), variational.solve(x, y, ridge=1e-6)(x), rtol=1e-4)
    with pytest.raises(ValueError, match=message):
        representation.trajectory(x, y, [1.0])
    assert representation.solve([-0.5, 1.5, 2.0, 3.0], y[[0, 0, 0, 0]]).status is Status.CONVERGED


@pytest.mark.parametrize("span", [3600.0, 30.0])
def test_inputs_far_from_zero_cost_no_digits(span):
    u = np.array([-0.9, -0.4, -0.1, 0.3, 0.8])
    x, density = 1.6e9 + span * u, stats.uniform(1.6e9 - span, 2 * span)
    rep, sol = (solver.solve(x, Y, density=density) for solver in (representation, variational))
    assert rep.status is Status.CONVERGED
    grid = 1.6e9 + span * np.linspace(-0.9, 0.9, 19)
    np.testing.assert_allclose(rep(grid), sol(grid), rtol=0, atol=1e-9)
    late = representation.trajectory(x, Y, [1e30], density=density)
    np.testing.assert_allclose(late(grid)[0], sol(grid), rtol=0, atol=1e-9)


# Several targets at once.


def columns(k: int) -> np.ndarray:
    """Targets whose sizes differ by ten orders, one column of them zero."""
    targets = np.random.default_rng(5).standard_normal((len(X), k)) * 10.0 ** np.arange(k)
    targets[:, 2] = 0
    return targets


@pytest.mark.parametrize("scaled", ["quadratic", "power 3", "lopsided"])
@pytest.mark.parametrize("model", [{}, {"activation": "tanh", "density": DENSITIES["student"]}])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_several_targets_are_as_many_problems(scaled, model, ridge):
    targets, model = columns(4), model | {"potential": SCALED[scaled], "ridge": ridge}
    several = representation.solve(X, targets, **model)
    assert several.status is Status.CONVERGED
    assert several(QUERY).shape == several.derivative(QUERY).shape == (len(QUERY), 4)
    assert several(0.1).shape == several.cost.shape == (4,)
    for j, y in enumerate(targets.T):
        one, size = representation.solve(X, y, **model), np.abs(y).max()
        np.testing.assert_allclose(several(QUERY)[:, j], one(QUERY), rtol=0, atol=1e-8 * size)
        np.testing.assert_allclose(
            several.multipliers[:, j], one.multipliers, atol=1e-6 * np.abs(one.multipliers).max()
        )
        assert several.cost[j] == pytest.approx(one.cost, rel=1e-8)
        assert several.residual[j] <= 1e-8 * size
        assert several.gap[j] <= 1e-8 * several.cost[j]


def test_one_column_is_a_table_of_one():
    rep = representation.solve(X, Y[:, None])
    np.testing.assert_array_equal(rep(QUERY)[:, 0], representation.solve(X, Y)(QUERY))
    assert rep.multipliers.shape == (5, 1) and rep.residual.shape == (1,)


def test_targets_in_several_columns_are_met_in_the_plane():
    rng = np.random.default_rng(3)
    neurons = rng.standard_normal((200, 2)), rng.uniform(-1, 1, 200)
    x, targets = rng.uniform(-1, 1, (5, 2)), columns(3)
    rep = representation.solve(x, targets, neurons=neurons)
    np.testing.assert_allclose(rep(x), targets, atol=1e-8 * np.abs(targets).max())
    assert rep.derivative(x).shape == (5, 2, 3)


def test_one_target_that_stalls_is_told_from_the_others():
    """sin(w x - b) spans two functions, so of three data some columns can be met."""
    x = X[:3]
    targets = np.column_stack([np.sin(x), [1.0, -1.0, 1.0], np.cos(x)])
    rep = representation.solve(x, targets, activation="sine")
    assert rep.status is Status.STALLED
    assert (rep.residual < 1e-8).tolist() == [True, False, True]


def test_a_target_out_of_reach_is_found_in_any_column():
    density = stats.uniform(0.5, 1)
    targets = np.array([[0.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"x contains 0.1, where no unit .*the target is 3"):
        representation.solve([-0.2, 0.1, 0.9], targets, density=density)
    beyond = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.5]])
    with pytest.raises(ValueError, match="targets of these 3 points are not on a line"):
        representation.solve([1.0, 2.0, 3.0], beyond, density=UNIFORM)
    line = representation.solve([1.0, 2.0, 3.0], beyond[:, :1], density=UNIFORM)
    assert line.status is Status.CONVERGED


@pytest.mark.parametrize("shape", [(5, 0), (5, 2, 1)])
def test_targets_are_columns_or_nothing(shape):
    with pytest.raises(ValueError, match=r"y (has )?shape .*\(5, "):
        representation.solve(X, np.ones(shape))


# Derivatives.


@pytest.mark.parametrize("name", ["relu", "abs", "elu", "tanh"])
@pytest.mark.parametrize("scaled", ["quadratic", "power 4", "hypentropy"])
def test_the_derivative_is_the_slope_of_the_function(name, scaled):
    """Also outside of the support, at data and at the ends, where h' is continuous."""
    rep = representation.solve(X, Y, activation=name, potential=SCALED[scaled])
    t, step = np.array([*QUERY, *X, -1.0, 1.0, 2.5]), 1e-6
    slope = (rep(t + step) - rep(t - step)) / (2 * step)
    np.testing.assert_allclose(rep.derivative(t), slope, rtol=0, atol=1e-3 * np.abs(slope).max())
    assert rep.derivative(0.3).shape == ()
    middle = np.linspace(-0.02, 0.02, 5)  # where h is smooth: the order is two
    slope = (rep(middle + step) - rep(middle - step)) / (2 * step)
    np.testing.assert_allclose(rep.derivative(middle), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scaled", ["quadratic", "power 3"])
def test_both_solvers_agree_on_the_derivative(scaled):
    model = {"potential": SCALED[scaled], "density": DENSITIES["truncated"]}
    rep, sol = (s.solve(X, Y, **model) for s in (representation, variational))
    expected = sol.derivative(QUERY)
    np.testing.assert_allclose(
        rep.derivative(QUERY), expected, rtol=0, atol=1e-7 * np.abs(expected).max()
    )


def test_gradients_in_the_plane():
    rng = np.random.default_rng(3)
    neurons = rng.standard_normal((200, 2)), rng.uniform(-1, 1, 200)
    x, query, step = rng.uniform(-1, 1, (5, 2)), rng.uniform(-1, 1, (7, 2)), 1e-6
    rep = representation.solve(x, Y, activation="tanh", neurons=neurons)
    path = representation.trajectory(x, Y, [1.0, 9.0], activation="tanh", neurons=neurons)
    for h, gradient in ((rep, rep.derivative(query)), (path, path.derivative(query))):
        for d, e in enumerate(np.eye(2)):
            slope = (h(query + step * e) - h(query - step * e)) / (2 * step)
            np.testing.assert_allclose(gradient[..., d], slope, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("off", "status"), [(0.9e-8, "CONVERGED"), (1.1e-8, "STALLED")])
def test_converged_is_to_a_residual_of_1e_8(monkeypatch, off, status):
    newton = _solver._newton

    def inexact(*arguments):
        multipliers, steps = newton(*arguments)
        return multipliers * (1 + off), steps

    monkeypatch.setattr(_solver, "_newton", inexact)
    rep = representation.solve([0.3], [-7.0])
    assert rep.status.name == status
    assert rep.residual == pytest.approx(7 * off, rel=1e-6)


def test_results_compare_and_hash_by_identity_and_print_shortly():
    first, second = (representation.solve(X, Y) for _ in range(2))
    assert first == first and first != second and len({first, second}) == 2
    many = representation.trajectory(np.linspace(-0.9, 0.9, 40), np.ones(40), np.arange(1.0, 99.0))
    assert many == many and hash(many) == hash(many)
    several = representation.solve(X, np.random.default_rng(0).standard_normal((5, 1000)))
    for result in (first, many, several):
        assert repr(result).count("\n") == 0
        assert len(repr(result)) < 200
    assert repr(first).startswith("Representation(cost=") and "1000 targets" in repr(several)
    assert repr(many).endswith("status=TrajectoryStatus.COMPLETED)")


def test_between_data_far_apart_smooth_units_are_seen_to_turn():
    """tanh turns within 1, panels are as wide as the density's deviation where no datum is."""
    x, y, density = (
        np.array([-147.0, -90.0, 21.5, 103.0]),
        [-0.4, -2.0, 1.5, 0.0],
        stats.norm(2, 90),
    )
    rep = representation.solve(x, y, activation="tanh", density=density)
    assert rep.status.name == "CONVERGED"
    b = np.arange(-1200, 1200, 0.05)  # the trapezoid rule is exact to rounding here
    mass = 0.05 * density.pdf(b) / 2
    query = np.array([-120.0, -34.3, -34.0, 62.0, 400.0])

    def h(t):
        return sum(
            (mass * 0.5 * (np.tanh(w * x - b[:, None]) @ rep.multipliers)) @ np.tanh(w * t - b)
            for w in (1, -1)
        )

    np.testing.assert_allclose(rep(query), [h(t) for t in query], rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([998.5, 1000.0, 1000.5], "x contains 998.5, where no unit responds"),
        (
            [1000.0, 1002.0, 1003.0, 1004.5],
            "x contains 1002, 1003, 1004.5 on one side of all kinks, which lie between -1001 and "
            "1001:",
        ),
    ],
)
def test_places_far_from_zero_are_named_as_they_were_given(x, message):
    """Inside they are measured from an origin among the data."""
    with pytest.raises(ValueError, match=message):
        representation.solve(x, np.cos(x), density=stats.uniform(999, 2))
