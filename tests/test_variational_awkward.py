"""Steep potentials, close points, heavy tails and sizes at which numbers overflow."""

import numpy as np
import pytest
from scipy import integrate, stats

from mflib import variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status, _newton
from tests.problems import QUERY, UNIFORM, Lopsided, X, Y

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


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize("size", [1e-90, 1e-60, 1e60, 1e90])
def test_a_scale_that_is_its_own_changes_nothing(size, ridge):
    """(|x|^3 + s x^2)/(1 + s) at s x: fields of size s^2, of which products underflow."""

    def solved(s):
        weight = ridge * (1 + s) / (2 * s)
        return variational.solve(X, s * Y, potential=Regularized(Power(3), s), ridge=weight)

    h, one = solved(size), solved(1.0)
    assert h.status is Status.CONVERGED
    np.testing.assert_allclose(h(QUERY) / size, one(QUERY), rtol=1e-9)


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


def certify(sol, y) -> None:
    assert sol.status is Status.CONVERGED
    assert sol.iterations <= 30
    assert sol.residual <= 1e-10 * np.abs(y).max()
    assert sol.gap <= 1e-10 * sol.cost
    assert np.isfinite(sol(QUERY)).all()


def test_a_solve_that_stops_short_says_so(monkeypatch):
    monkeypatch.setattr(_newton, "_MAX_ITERATIONS", 2)
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
    monkeypatch.setattr(_newton, "_MAX_ITERATIONS", 2)
    sol = variational.solve(X, Y, activation="leaky_relu", potential=Regularized(Power(8), 1e-3))
    assert np.abs(sol(X) - Y).max() == pytest.approx(sol.residual, rel=1e-9)
    ends = np.array([-0.9, *np.sort(X), 0.9])
    bends = [integrate.quad(sol.curvature, *ends[i : i + 2], epsabs=1e-7)[0] for i in range(6)]
    np.testing.assert_allclose(np.diff(sol.derivative(ends)), bends, atol=1e-5)
