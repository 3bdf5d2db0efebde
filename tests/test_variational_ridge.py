"""Noisy data: the ridge of `variational.solve`, against the solver in parameter space and SciPy."""

import numpy as np
import pytest
from scipy import interpolate, stats

from mflib import activations, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status
from mflib.variational._dual import DiscreteDual
from mflib.variational._quadrature import LEVELS
from mflib.variational._smoothing import Ridged, smooth

UNIFORM = stats.uniform(-1, 2)
POTENTIALS = {
    "x^2": Quadratic(),
    "x^4": Regularized(Power(4), 1),
    "x^8": Regularized(Power(8), 1e-3),
    "hypentropy": Regularized(Hypentropy(0.1), 0.1),
}
ACTIVATIONS = {"relu": "relu", "abs": "abs", "leaky": activations.leaky_relu(0.3)}
DENSITIES = {"uniform": UNIFORM, "normal": stats.norm(0.2, 0.6)}
QUERY = np.linspace(-1.3, 1.3, 53)


def noisy(m, seed, *, repeats=False):
    """Unsorted data with weights over three orders; some at one place, some almost."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, m), rng.standard_normal(m) * 10.0 ** rng.uniform(-1, 2)
    if repeats:
        x[1], x[3], x[5] = x[0], x[2] + 1e-9, np.nextafter(x[4], 2)
    return x, y, rng.uniform(0.5, 2, m) * 10.0 ** rng.integers(-4, 2)


@pytest.mark.parametrize("m", [1, 2, 3, 12])
@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
def test_agrees_with_parameter_space(activation, potential, density, m):
    x, y, ridge = noisy(m, m, repeats=m > 6)
    model = {"activation": activation, "potential": potential, "density": density}
    h = variational.solve(x, y, ridge=ridge, **model)
    other = representation.solve(x, y, ridge=ridge, **model)
    assert h.status is Status.CONVERGED
    size = np.abs(other(QUERY)).max()
    np.testing.assert_allclose(h(QUERY), other(QUERY), rtol=0, atol=1e-9 * max(size, 1))
    np.testing.assert_allclose(h(x), h.fitted, rtol=0, atol=1e-12 * np.abs(y).max())
    largest = np.abs(other.multipliers).max()
    np.testing.assert_allclose(h.multipliers, other.multipliers, rtol=0, atol=1e-9 * largest)
    assert h.cost == pytest.approx(other.cost, rel=1e-9)


def test_is_the_smoothing_spline_where_that_is_the_same_problem():
    """A wide uniform density and x^2 penalise the integral of h''^2 alone, but for the ends."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 300))
    y = np.sin(4 * x) + 0.3 * rng.standard_normal(300)
    half = 1e4  # the density is 1 / (2 half): the cost G1 = 2 half * integral h''^2
    spline = interpolate.make_smoothing_spline(x, y, lam=1e-3)
    ridge = 1e-3 / (2 * half)  # |y - h|^2 / (2 ridge) + G1 is the spline's objective, scaled
    h = variational.solve(x, y, density=stats.uniform(-half, 2 * half), ridge=0.5 * ridge)
    inside = np.linspace(x[0], x[-1], 200)
    np.testing.assert_allclose(h(inside), spline(inside), atol=2e-4)


@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
@pytest.mark.parametrize("together", [True, False])
def test_gap_bounds_the_error(potential, together):
    """At points that are no optimum, even where coefficients are not those of the multipliers."""
    rng = np.random.default_rng(2)
    x, y, ridge = np.sort(rng.uniform(-1, 1, 9)), rng.standard_normal(9), rng.uniform(0.1, 1, 9)
    problem = Ridged(DiscreteDual(x, y, 0.0, potential, UNIFORM), ridge)
    best = smooth(problem)[0]
    for size in 10.0 ** np.arange(-9, -2):
        multipliers = best.multipliers + size * rng.standard_normal(9)
        xi = problem.dual.coefficients(multipliers)
        if not together:
            xi = xi + size * rng.standard_normal(9)
        point = problem.at(xi, multipliers, LEVELS[4])
        error = np.sqrt(np.sum((point.values - best.values) ** 2 / ridge))
        gap = problem.gap(point)
        bound = np.sqrt(2 * gap)
        assert error <= bound <= 1e3 * error
        assert problem.keeps_promise(point, gap) == (bound <= 1e-8 * np.sqrt(np.sum(y**2 / ridge)))


def test_errors_of_zero_are_no_promise():
    """Multipliers made to fit coefficients that are no optimum leave nothing but the gap."""
    rng = np.random.default_rng(2)
    x, y, ridge = np.sort(rng.uniform(-1, 1, 9)), rng.standard_normal(9), rng.uniform(0.1, 1, 9)
    problem = Ridged(DiscreteDual(x, y, 0.0, Quadratic(), UNIFORM), ridge)
    best, kept = smooth(problem)[0], []
    for size in 10.0 ** np.arange(-10, -2):
        xi = best.at.xi + size * rng.standard_normal(9)
        values = problem.at(xi, best.multipliers, LEVELS[4]).values
        point = problem.at(xi, (y - values) / ridge, LEVELS[4])
        gap = problem.gap(point)
        kept.append(problem.keeps_promise(point, gap))
        assert point.size < 1e-14
        assert kept[-1] == (np.sqrt(2 * gap) <= 1e-8 * np.sqrt(np.sum(y**2 / ridge)))
    assert kept[0] and not kept[-1]


@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)])
@pytest.mark.parametrize("ridge", [1e-9, 1e-4, 1e-1, 1e4])
def test_many_random_points(potential, ridge):
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, 3000)
    x[1] = x[0] + 1e-14
    h = variational.solve(
        x, np.sin(4 * x) + rng.standard_normal(3000), potential=potential, ridge=ridge
    )
    assert h.status is Status.CONVERGED
    assert h(x) == pytest.approx(h.fitted, abs=1e-11)
    assert np.isfinite(h.derivative(x)).all()


def test_a_ridge_that_vanishes_interpolates():
    x, y, _ = noisy(9, 9)
    h, smooth = variational.solve(x, y), variational.solve(x, y, ridge=1e-17)
    np.testing.assert_allclose(smooth(QUERY), h(QUERY), atol=1e-8 * np.abs(y).max())
    np.testing.assert_allclose(smooth.multipliers, h.multipliers, rtol=1e-8)


def test_data_with_and_without_a_ridge():
    x, y, ridge = noisy(9, 3)
    ridge[[2, 5]] = 0
    x[7] = x[2]  # what repeats a datum without a ridge does not count
    h = variational.solve(x, y, ridge=ridge, potential=POTENTIALS["x^4"])
    other = representation.solve(x, y, ridge=np.diag(ridge), potential=POTENTIALS["x^4"])
    assert h.status is Status.CONVERGED
    np.testing.assert_allclose(h.fitted[[2, 5, 7]], y[[2, 5, 2]], rtol=1e-9)
    np.testing.assert_allclose(h(QUERY), other(QUERY), rtol=0, atol=1e-8 * np.abs(y).max())
    np.testing.assert_allclose(h.multipliers, other.multipliers, rtol=1e-6)


def test_repeats_are_weighted_means():
    x, y = np.array([0.5, -0.2, 0.5, 0.1, 0.5]), np.array([1.0, 2.0, 4.0, -1.0, 2.0])
    ridge = np.array([0.1, 0.2, 0.3, 0.4, 0.6])
    weights = 1 / ridge[[0, 2, 4]]
    mean = weights @ y[[0, 2, 4]] / weights.sum()
    h = variational.solve(x, y, ridge=ridge)
    once = variational.solve(
        [-0.2, 0.1, 0.5], [2.0, -1.0, mean], ridge=[0.2, 0.4, 1 / weights.sum()]
    )
    np.testing.assert_allclose(h(QUERY), once(QUERY), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(ridge * h.multipliers, y - h.fitted, rtol=1e-12)


def test_outside_the_support_with_a_ridge():
    """h is straight there, and beyond all kinks three points need not be on a line."""
    x, y = np.array([-2.0, -1.5, -0.5, 0.4, 1.3, 1.9, 2.4]), np.array([1.0, 3, 0, 2, 1, 4, 1])
    for activation in ("relu", "abs"):
        h = variational.solve(x, y, ridge=0.3, activation=activation)
        other = representation.solve(x, y, ridge=0.3, activation=activation)
        np.testing.assert_allclose(h(QUERY), other(QUERY), rtol=1e-9)
        assert h.status is Status.CONVERGED


@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
def test_a_huge_ridge_leaves_nothing(potential):
    x, y, _ = noisy(12, 1)
    h = variational.solve(x, y, ridge=1e30, potential=potential)
    assert h.status is Status.CONVERGED
    assert np.abs(h.fitted).max() < 1e-20
    np.testing.assert_allclose(h.multipliers, y / 1e30)


def test_targets_that_are_all_equal_or_zero():
    x = np.linspace(-0.9, 0.8, 7)
    for activation in ("relu", "abs"):
        h = variational.solve(x, np.full(7, 3.0), ridge=1e-6, activation=activation)
        other = representation.solve(x, np.full(7, 3.0), ridge=1e-6, activation=activation)
        np.testing.assert_allclose(h(QUERY), other(QUERY), rtol=1e-9)
        flat = variational.solve(x, np.zeros(7), ridge=1.0, activation=activation)
        assert flat.status is Status.CONVERGED
        assert not flat(QUERY).any()


@pytest.mark.parametrize(
    ("ridge", "error", "says"),
    [
        (-1.0, ValueError, "ridge contains -1; it must be at least 0"),
        ([0.1, -0.5, 0.1], ValueError, "ridge contains -0.5"),
        ([0.1, 0.2], ValueError, r"shape \(3,\), one for each datum, got shape \(2,\)"),
        (np.eye(3), ValueError, r"got shape \(3, 3\)"),
        (np.nan, ValueError, "ridge contains nan"),
        (np.inf, ValueError, "ridge contains inf"),
        ([0.1, np.nan, 0.1], ValueError, "ridge contains nan"),
        (None, TypeError, "ridge must be"),
        (1j, TypeError, "ridge must be"),
    ],
)
def test_bad_ridge(ridge, error, says):
    with pytest.raises(error, match=says):
        variational.solve([0.1, -0.4, 0.7], [1.0, 2.0, 3.0], ridge=ridge)


@pytest.mark.parametrize("ridge", [0.0, [0, 0, 1.0]])
def test_repeats_without_a_ridge(ridge):
    with pytest.raises(ValueError, match=r"x contains 0.1 more than once; .*a positive ridge"):
        variational.solve([0.1, 0.1, 0.7], [1.0, 2.0, 3.0], ridge=ridge)


@pytest.mark.parametrize(
    "density", [stats.t(2.5), stats.t(3), stats.lognorm(1.5)], ids=["t2.5", "t3", "lognorm"]
)
def test_one_datum_under_heavy_tails_has_a_closed_form(density):
    """With K = E[(wx - b)^2] / 2 the ridge R leaves K / (K + R) of the target."""
    x, R = 0.3, 0.5
    h = variational.solve([x], [2.0], activation="abs", density=density, ridge=R)
    K = 0.5 * (x**2 + density.moment(2))
    assert h.status is Status.CONVERGED
    np.testing.assert_allclose(h(x), 2 * K / (K + R), rtol=1e-7)
