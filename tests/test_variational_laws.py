"""Laws that hold for every potential, and for no solver with a misplaced constant."""

import numpy as np
import pytest
from scipy import stats

from mflib import activations, variational
from mflib.potentials import Power, Regularized
from mflib.variational import Status
from tests.problems import DENSITIES, QUERY, SCALED, Lopsided, X, Y

every_density = pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())

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
    assert [len(s._dual.orientations) for s in (sol, near)] == [1, 2]
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
