"""The cost of a function under ReLU, against brute force, Theorem 2 and both solvers."""

import numpy as np
import pytest
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import leggauss
from scipy import optimize, stats

from mflib import functionals, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import DENSITIES, SCALED, UNIFORM, Cosh, X, Y


def kappa(u, tau, right, left, potential, alpha_right):
    """What share_curvature minimises, as a function of one coefficient."""
    alpha_left = (u - right * alpha_right) / left
    cost = right * potential.bregman(alpha_right, 0.0) + left * potential.bregman(alpha_left, 0.0)
    return cost - 0.5 * tau * (right * alpha_right - left * alpha_left)


@pytest.mark.parametrize("name", SCALED)
def test_a_curvature_is_shared_at_least_cost(name):
    potential = SCALED[name]
    rng = np.random.default_rng(7)
    u, tau = rng.normal(0, 3, (2, 20))
    right, left = rng.uniform(0.05, 0.9, (2, 20))
    alpha_right, alpha_left = functionals.share_curvature(u, tau, right, left, potential)
    np.testing.assert_allclose(right * alpha_right + left * alpha_left, u, rtol=1e-10, atol=1e-12)
    for k in range(20):
        args = (u[k], tau[k], right[k], left[k], potential)
        found = optimize.minimize_scalar(lambda a, args=args: float(kappa(*args, a)))
        assert kappa(*args, alpha_right[k]) <= found.fun + 1e-9
        assert alpha_right[k] == pytest.approx(found.x, abs=1e-5)


def test_kinks_of_one_direction_take_all():
    right, left = functionals.share_curvature([0.6, 0.6], 2.0, [0.3, 0.0], [0.0, 0.2], Quadratic())
    assert right[0] == pytest.approx(2.0, rel=1e-12)
    assert left[1] == pytest.approx(3.0, rel=1e-12)
    assert right[0] - left[0] == pytest.approx(1.0, rel=1e-12), "half the tilt"


def test_hypentropy_has_a_closed_form():
    """A tilt only widens it: the scale beta becomes beta cosh(tau / 2)."""
    beta, p = 0.3, 0.7
    u, tau = np.array([-2.0, 0.1, 1.4, 5.0]), np.array([0.0, -1.0, 3.0, 6.0])
    phi = Hypentropy(beta)
    alpha = functionals.share_curvature(u, tau, p / 2, p / 2, phi)[0]
    scale = beta * np.cosh(tau / 2)
    closed = p * (u / p * np.arcsinh(u / p / scale) - np.hypot(u / p, scale) + beta)
    np.testing.assert_allclose(kappa(u, tau, p / 2, p / 2, phi, alpha), closed, rtol=1e-11)


@pytest.mark.parametrize(
    ("u", "tau"),
    [
        (0.0008646388406731414, 7.131576538666888),
        (-0.00068796867208307, 0.9602846573473167),
        (0.0003399682405622727, 28.031249389668552),
        (0.012739180880531501, 17.202199620551042),
        (0.02121693879087387, 83.18011350220085),
    ],
)
def test_no_curvature_is_shared_with_a_warning(u, tau):
    """Where SciPy's root finder steps out of its bracket by a rounding."""
    phi = Regularized(Power(3), 1.0)
    right, left = functionals.share_curvature(u, tau, 0.5, 0.5, phi)
    assert right / 2 + left / 2 == pytest.approx(u, rel=1e-9, abs=1e-12)
    assert phi.gradient(right) - phi.gradient(left) == pytest.approx(tau, rel=1e-12)


def test_a_curvature_at_which_the_gradient_overflows_is_refused():
    message = r"bend / \(right \+ left\) reaches 1000, where the gradient of .* is no number"
    with pytest.raises(ValueError, match=message):
        functionals.share_curvature([1.0, 30.0], [0.1], [0.01], [0.02], Cosh())
    right, left = functionals.share_curvature([12.0], [0.1], [0.01], [0.02], Cosh())
    assert 0.01 * right + 0.02 * left == pytest.approx(12.0, rel=1e-9)
    # sinh(right) - sinh(left) = 0.1, by the addition theorem
    assert right - left == pytest.approx(0.1 / np.cosh(400.0), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("power", [3, 5.8, 7.41])
def test_a_side_with_hardly_any_density_takes_no_digits(power, swapped):
    """Nearly all of the mean is the other side's coefficient, whose field is next to nothing."""
    phi, sides, tau = Power(power), (9.4, 5.7e-5), 0.16
    sides, tau = (sides[::-1], -tau) if swapped else (sides, tau)
    right, left = functionals.share_curvature(0.05, tau, *sides, phi)
    assert sides[0] * right + sides[1] * left == pytest.approx(0.05, rel=1e-12)
    assert phi.gradient(right) - phi.gradient(left) == pytest.approx(tau, rel=1e-12)


class Smooth:
    """No solution of anything: h'' is a cubic on [-1, 1], with any outer slope and h(0)."""

    bend = Polynomial([0.7, -1.1, 0.4, 2.0])

    def __init__(self, slope, height):
        self.slopes = (slope, slope + self.bend.integ()(1) - self.bend.integ()(-1))
        self.height = height

    def __call__(self, x):
        assert x == 0.0
        return self.height

    def curvature(self, t):
        return np.where(np.abs(t) <= 1, self.bend(t), 0.0)

    def moments(self):
        """s and c, by antiderivatives."""
        first = (Polynomial([0, 1]) * self.bend).integ()
        return np.array([sum(self.slopes), first(1) - 2 * first(0) + first(-1) - 2 * self.height])


ONE_SIDED = stats.truncnorm(-1.2 / 0.7, 0.8 / 0.7, loc=0.2, scale=0.7)


def brute_force(h, potential, density):
    """Least cost over the difference of both coefficients at Gauss nodes: a program, solved."""
    t, w = leggauss(40)
    right, left, u = 0.5 * density.pdf(t), 0.5 * density.pdf(-t), h.curvature(t)
    total, moments = right + left, h.moments()

    def coefficients(v):
        return (u + v * total) / (2 * right), (u - v * total) / (2 * left)

    def cost(v):
        sides = zip((right, left), coefficients(v), strict=True)
        return sum(w @ (p * potential.bregman(alpha, np.zeros(1))) for p, alpha in sides)

    def gradient(v):
        alpha_right, alpha_left = coefficients(v)
        return 0.5 * w * total * (potential.gradient(alpha_right) - potential.gradient(alpha_left))

    rows = np.stack([w * total, w * total * t])
    start = rows.T @ np.linalg.solve(rows @ rows.T, moments)
    equal = {"type": "eq", "fun": lambda v: rows @ v - moments, "jac": lambda v: rows}
    options = {"ftol": 1e-13, "maxiter": 1000}
    found = optimize.minimize(
        cost, start, jac=gradient, method="SLSQP", constraints=equal, options=options
    )
    assert found.success
    return found.fun


@pytest.mark.parametrize("name", ["quadratic", "power 3", "hypentropy", "lopsided"])
@pytest.mark.parametrize("density", [UNIFORM, ONE_SIDED], ids=["even", "one-sided"])
def test_the_cost_is_the_least_over_all_coefficients(name, density):
    h, potential = Smooth(0.4, -0.8), SCALED[name]
    result = functionals.relu_cost(h, [], potential=potential, density=density)
    assert result.cost == pytest.approx(brute_force(h, potential, density), rel=1e-5)


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.4, 0.0), (0.0, -0.3)])
def test_a_tilt_that_is_given_stays_as_it_is(tilt):
    """Also that of zero: the two fields are then equal, and each side has half of h''."""
    h, model = Smooth(-0.9, 0.5), {"potential": Quadratic(), "density": UNIFORM}
    found, best = (functionals.relu_cost(h, [], **model, **o) for o in ({"tilt": tilt}, {}))
    assert found[1:] == tilt
    assert found.cost < best.cost - 1e-3


@pytest.mark.parametrize("name", ["quadratic", "power 4", "hypentropy"])
def test_the_tilt_maximises(name):
    """At any other tilt the value is lower: less the more, the further away."""
    h, model = Smooth(-0.9, 0.5), {"potential": SCALED[name], "density": ONE_SIDED}
    best = functionals.relu_cost(h, [], **model)
    for direction in ([1, 0], [0, 1], [-2, 1]):
        values = [
            functionals.relu_cost(
                h, [], **model, tilt=(best.C + r * direction[0], best.S + r * direction[1])
            ).cost
            for r in (-0.2, -0.1, 0.0, 0.1, 0.2)
        ]
        assert values[2] == pytest.approx(best.cost, rel=1e-12)
        assert (np.diff(values, 2) < 0).all()
        assert max(values[1], values[3]) < values[2]


@pytest.mark.parametrize("density", ["uniform", "student"])
def test_for_the_quadratic_it_is_theorem_2(density):
    """G1 + G2 + G3, with C = 4 s and S = -4 c / E[B^2]."""
    frozen = {"uniform": UNIFORM, "student": stats.t(7, scale=0.5)}[density]
    h = variational.solve(X, Y, density=frozen)
    result = functionals.relu_cost(h, X, potential=Quadratic(), density=frozen)
    assert result.cost == pytest.approx(sum(h.penalties.values()), rel=1e-9)
    np.testing.assert_allclose(result.C, 4 * sum(h.slopes), rtol=1e-8)
    np.testing.assert_allclose(result.C**2 / 16, h.penalties["G2"], rtol=1e-8)
    np.testing.assert_allclose(result.S**2 / 16 * frozen.moment(2), h.penalties["G3"], rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "density"),
    [
        *[("quadratic", "skewed"), ("power 4", "uniform"), ("power 3", "skewed")],
        *[("hypentropy", "truncated"), ("lopsided", "shifted")],
    ],
)
def test_of_a_solution_it_is_the_cost_and_the_tilt_is_in_the_multipliers(name, density):
    """C = sum lambda x and S = sum lambda, though relu_cost knows neither data nor multipliers."""
    model = {"potential": SCALED[name], "density": DENSITIES[density]}
    h, weights = variational.solve(X, Y, **model), representation.solve(X, Y, **model).multipliers
    result = functionals.relu_cost(h, X, **model)
    assert result.cost == pytest.approx(h.cost, rel=1e-8)
    expected = [weights @ X, weights.sum()]
    np.testing.assert_allclose(result[1:], expected, atol=1e-6 * np.abs(weights).sum())


def test_other_interpolants_cost_more():
    model = {"potential": SCALED["power 3"], "density": UNIFORM}
    best = variational.solve(X, Y, **model)
    for other in (
        variational.solve(X, Y),
        variational.solve(X, Y, activation="abs", potential=model["potential"]),
    ):
        assert functionals.relu_cost(other, X, **model).cost > 1.001 * best.cost
        tilt = functionals.relu_cost(best, X, **model)[1:]
        assert functionals.relu_cost(other, X, **model, tilt=tilt).cost > 1.001 * best.cost


def test_jumps_and_gaps_of_the_density():
    density = stats.rv_histogram(([2, 0, 3, 1], [-1.0, -0.2, 0.15, 0.6, 1.4]), density=False)
    knots = np.concatenate([X, [-1.0, -0.2, 0.15, 0.6, 1.4], [1.0, 0.2, -0.15, -0.6, -1.4]])
    model = {"potential": SCALED["hypentropy"], "density": density}
    h = variational.solve(X, Y, **model)
    assert functionals.relu_cost(h, knots, **model).cost == pytest.approx(h.cost, rel=1e-9)


def test_no_kinks_to_share_with():
    with pytest.raises(ValueError, match="right \\+ left must be positive.*leave"):
        functionals.share_curvature([1.0, 1.0], 0.0, [0.5, 0.0], [0.5, 0.0], Quadratic())


def test_no_tilt_helps_where_directions_do_not_meet():
    """Kinks on [0.2, 1] face right and on [-1, -0.2] left: the moments of h are what they are."""
    density = stats.uniform(0.2, 0.8)
    with pytest.raises(ValueError, match="no tilt gives h its two moments.*give a tilt"):
        functionals.relu_cost(Smooth(0.4, -0.8), [], potential=Quadratic(), density=density)


def test_a_curvature_that_stays_rough_is_refused():
    class Rough:
        slopes = 0.0, 0.0

        def __call__(self, t):
            return 0.0

        def curvature(self, t):
            return np.sin(1e9 * t)

    model = {"potential": Quadratic(), "density": stats.uniform(-1, 2), "tilt": (0.0, 0.0)}
    with pytest.raises(ValueError, match=r"h.curvature is still rough .* among knots"):
        functionals.relu_cost(Rough(), [0.0], **model)


def test_a_search_for_the_tilt_that_takes_too_long_is_an_error(monkeypatch):
    monkeypatch.setattr(functionals, "_MAX_ITERATIONS", 0)
    model = {"potential": Quadratic(), "density": stats.uniform(-1, 2)}
    sol = variational.solve(X, Y, **model)
    with pytest.raises(ValueError, match="no tilt gives h its two moments"):
        functionals.relu_cost(sol, X, **model)


@pytest.mark.parametrize(
    "density",
    [UNIFORM, stats.norm(), stats.truncnorm(-1.5, 2), stats.t(2.3), stats.pareto(2.5, loc=-2)],
    ids=["uniform", "normal", "truncated", "student", "pareto"],
)
def test_one_datum(density):
    """Under x^2 it costs y^2 over the mean of sigma(w x - b)^2; kappa vanishes everywhere."""
    x, y, model = -0.76, 0.66, {"potential": Quadratic(), "density": density}
    h = variational.solve([x], [y], **model)
    second, (nodes, weights) = 0.0, leggauss(12)
    for w in (1.0, -1.0):  # (wx - b)_+ = u in panels of u, wide ones far out
        ends = [w * x - end for end in density.support() if np.isfinite(end) and end < w * x]
        edges = np.unique(np.concatenate([[0.0], np.logspace(-9, 90, 1500), ends]))
        half = 0.5 * np.diff(edges)[:, None]
        u = half * (1 + nodes) + edges[:-1, None]
        second += 0.5 * (half * weights * u**2 * density.pdf(w * x - u)).sum()
    assert functionals.relu_cost(h, [x], **model).cost == pytest.approx(y**2 / second, rel=1e-9)


@pytest.mark.parametrize("name", ["quadratic", "power 4"])
def test_knots_a_rounding_apart_change_nothing(name):
    model = {"potential": SCALED[name], "density": UNIFORM}
    h = variational.solve(X, Y, **model)
    close = np.concatenate([X, np.nextafter(X, 2), np.nextafter(X, -2), X + 1e-15])
    assert functionals.relu_cost(h, close, **model).cost == pytest.approx(h.cost, rel=1e-9)


def test_a_density_that_the_nodes_miss_is_refused():
    model = {"potential": Quadratic(), "density": stats.t(2.02)}
    with pytest.raises(ValueError, match="density's mass, mean or second moment is missed by"):
        functionals.relu_cost(Smooth(0.4, -0.8), [-1.0, 1.0], **model)


@pytest.mark.parametrize("shift", [2e-9, -2e-9, 5e-10, -5e-10])
def test_moments_may_be_missed_by_a_billionth(shift):
    class Shifted:
        def __getattr__(self, name):
            return getattr(stats.norm(), name)

        def mean(self):
            return shift

    h, potential = Smooth(0.4, -0.8), Quadratic()
    if abs(shift) < 1e-9:
        functionals.relu_cost(h, [-1.0, 1.0], potential=potential, density=Shifted())
    else:
        with pytest.raises(ValueError, match="second moment is missed by 2.0e-09"):
            functionals.relu_cost(h, [-1.0, 1.0], potential=potential, density=Shifted())
