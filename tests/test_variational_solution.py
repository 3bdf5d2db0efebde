"""A solution meets the optimality conditions, and its pieces agree with each other."""

from functools import partial

import numpy as np
import pytest
from scipy import integrate, stats

from mflib import activations, representation, variational
from mflib.potentials import Power, Quadratic, Regularized
from mflib.variational import Status
from tests.problems import DENSITIES, JUMPS, SCALED, UNIFORM, X, Y

every_density = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())


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


# Several targets at once.


@pytest.mark.parametrize("options", [{}, {"ridge": 0.1}, {"activation": "abs"}])
@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 0.5)], ids=repr)
def test_several_targets_are_as_many_problems(options, potential):
    targets = np.column_stack([Y, np.abs(Y) - 1, 0 * Y, 1e3 * Y**2])
    several = variational.solve(X, targets, potential=potential, **options)
    t = np.array([[-1.3, -0.2, 0.31], [0.0, 0.5, 0.9]])
    assert several(t).shape == several.derivative(t).shape == several.curvature(t).shape
    assert several(t).shape == (2, 3, 4) and several(0.1).shape == (4,) and len(several) == 4
    same = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11)  # x^2: one factorization
    for j, y in enumerate(targets.T):
        one = variational.solve(X, y, potential=potential, **options)
        same(several(t)[..., j], one(t))
        same(several.derivative(t)[..., j], one.derivative(t))
        same(several.curvature(t)[..., j], one.curvature(t))
        same(several.multipliers[:, j], one.multipliers)
        same(several.cost[j], one.cost)
        for name in ("cost", "gap", "residual"):
            assert getattr(several, name)[j] == getattr(several[j], name)
    assert several.iterations == sum(h.iterations for h in several)
    assert several.status is variational.Status.CONVERGED


def test_both_solvers_return_several_targets_alike():
    targets, t = np.column_stack([Y, Y**2]), np.linspace(-1.2, 1.2, 7)
    model = {"potential": Regularized(Power(3), 1)}
    one, two = (solver.solve(X, targets, **model) for solver in (variational, representation))
    np.testing.assert_allclose(one(t), two(t), rtol=0, atol=1e-7)
    np.testing.assert_allclose(one.derivative(t), two.derivative(t), rtol=0, atol=1e-6)
    np.testing.assert_allclose(one.cost, two.cost, rtol=1e-8)
    assert one.multipliers.shape == two.multipliers.shape == targets.shape
    np.testing.assert_allclose(one.multipliers, two.multipliers, rtol=1e-5)


def test_several_targets_stall_if_one_does():
    """Of data almost on top of each other only those are met that hardly differ."""
    x = [0.1, np.nextafter(0.1, 1), 0.5]
    several = variational.solve(x, [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    assert [h.status.name for h in several] == ["CONVERGED", "STALLED"]
    assert several.status is variational.Status.STALLED
    assert repr(several).startswith("Solutions(2 targets, cost=0…") and "STALLED" in repr(several)
