"""CONVERGED is right by what the solver's own quadrature does not see, or it is not said."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from mflib import variational
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized
from mflib.variational import Status, _solver
from mflib.variational._certificate import Tails, beyond, moments_agree
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._panels import Tail, smooth_panels
from mflib.variational._quadrature import LEVELS
from mflib.variational._smoothing import Ridged
from tests.problems import UNIFORM, Cosh, X, Y, mirrored

ONE = {"activation": "abs", "potential": Quadratic()}

LIGHT = [
    *(UNIFORM, stats.norm(0.1, 0.6), stats.laplace(0.2), stats.logistic(0, 0.3), stats.gumbel_r()),
    *(stats.expon(-1), stats.gamma(3, loc=-1), stats.weibull_min(1.5, loc=-1), stats.moyal()),
    *(stats.beta(1.1, 1.2, -1, 2), stats.triang(0.3, -1, 2), stats.semicircular(), stats.cosine()),
    *(stats.invgauss(1, loc=-1), stats.skewnorm(4), stats.gennorm(0.7), stats.loggamma(2.0)),
    *(stats.maxwell(-1), stats.truncnorm(-1.5, 2.5), stats.hypsecant(), stats.exponnorm(1.0)),
]
HEAVY = [
    *(stats.t(2.1), stats.t(2.3), stats.t(5), stats.pareto(2.1, loc=-2), stats.lomax(2.2, loc=-1)),
    *(stats.invgamma(2.2, loc=-1), stats.lognorm(3.0, loc=-1), stats.johnsonsu(1, 2)),
    *(stats.f(8, 4.2, loc=-1), stats.betaprime(2, 2.1, loc=-1), stats.burr12(2, 1.2, loc=-1)),
    *(stats.burr(3, 2, loc=-1), stats.fisk(2.5, loc=-1), stats.mielke(3, 2.5, loc=-1)),
    *(stats.genpareto(0.4, loc=-1), stats.genextreme(-0.3), stats.nct(3, 0.5)),
    *(stats.loglaplace(2.5, loc=-1), stats.crystalball(2, 3.5), stats.jf_skew_t(3, 4)),
]
HEAVIEST = [
    *(stats.t(2.02), stats.t(2.05), stats.pareto(2.03, loc=-2), stats.lomax(2.01, loc=-1)),
    *(stats.f(8, 4.1, loc=-1), stats.betaprime(2, 2.04, loc=-1), stats.invgamma(2.05, loc=-1)),
]


def name(density) -> str:
    return density.dist.name + str(density.args)


def exact_cost(x: float, y: float, density) -> float:
    """y^2 / E (x - wB)^2 with w = +-1, since E wB = 0."""
    return y**2 / (x**2 + density.var() + density.mean() ** 2)


# One datum: the cost is known for every density.


@pytest.mark.parametrize("density", LIGHT + HEAVY, ids=name)
def test_the_cost_of_one_datum_is_that_of_the_second_moment(density):
    sol = variational.solve([0.3], [1.7], density=density, **ONE)
    assert sol.status is Status.CONVERGED
    assert sol.cost == pytest.approx(exact_cost(0.3, 1.7, density), rel=1e-9)


@pytest.mark.parametrize("density", HEAVIEST, ids=name)
def test_a_tail_beyond_double_precision_is_no_convergence(density):
    sol = variational.solve([0.3], [1.7], density=density, **ONE)
    assert abs(sol.cost / exact_cost(0.3, 1.7, density) - 1) > 1e-9
    assert sol.residual < 1e-10 and sol.gap < 1e-10, "the solver's own quadrature sees nothing"
    assert sol.status is Status.STALLED


def test_relu_does_not_see_the_upper_tail():
    """Units with their kink beyond the data, on the side they face, answer to none of them."""
    heavy = stats.pareto(2.02, loc=-2)
    assert variational.solve(X, Y, density=heavy).status is Status.CONVERGED
    assert variational.solve(X, Y, density=mirrored(heavy)).status is Status.STALLED


def nearly_uniform(mass=1.0, mean=0.0, second=1 / 3, far=0.0):
    """A pdf that is not quite that of its moments: by a factor, or by a narrow part far away."""

    class Nearly(stats.rv_continuous):
        def _pdf(self, x):
            return 0.5 * mass * (np.abs(x) <= 1) + far * stats.norm.pdf(x, 1e6, 1e-3)

        def _cdf(self, x):
            return np.clip(0.5 * (x + 1), 0, 1)

        def _ppf(self, q):
            return 2 * q - 1

        def _stats(self):
            return mean, second - mean**2, 0.0, 0.0

    return Given(Nearly(a=-1, b=2e6 if far else 1)())


class Given:
    """A distribution that is taken at its word: not one whose pdf alone is asked."""

    def __init__(self, frozen):
        self.frozen = frozen

    def __getattr__(self, name):
        if name in ("dist", "frozen"):
            raise AttributeError(name)
        return getattr(self.frozen, name)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
def test_the_residual_is_that_of_a_finer_quadrature(ridge):
    """Of the next level, and several times that of the level that found the solution."""
    h = variational.solve(
        [-0.5, 0.1, 0.6], [0.0, 1.0, 0.0], potential=Hypentropy(0.05), ridge=ridge
    )
    problem, own = Ridged(h._dual, h._data.ridge), LEVELS.index(h._level)
    seen, finer = (
        problem.at(h._point.at.xi, h._point.multipliers, level) for level in LEVELS[own : own + 2]
    )
    assert h.residual == pytest.approx(np.abs(finer.errors).max(), rel=0.1)
    assert h.residual > 3 * np.abs(seen.errors).max()
    gap = problem.gap(finer) if ridge else abs(finer.multipliers @ finer.errors)
    assert h.gap == pytest.approx(gap, rel=0.1)


@pytest.mark.parametrize(
    ("density", "status"),
    [
        (nearly_uniform(), Status.CONVERGED),
        (nearly_uniform(mass=1 + 4e-10), Status.CONVERGED),
        (nearly_uniform(mass=1 + 6e-10), Status.STALLED),
        (nearly_uniform(mass=1 - 6e-10), Status.STALLED),
        (nearly_uniform(second=(1 + 1e-8) / 3), Status.CONVERGED),  # as a quadrature may give it
        (nearly_uniform(second=(1 + 3e-6) / 3), Status.STALLED),
        (nearly_uniform(second=(1 - 3e-6) / 3), Status.STALLED),
        (nearly_uniform(mean=3e-6), Status.STALLED),
        (nearly_uniform(mean=1e-6, second=1 / 3 + 1, far=1e-12), Status.STALLED),
    ],
)
def test_moments_of_the_quadrature_are_compared(density, status):
    assert variational.solve(X, Y, density=density).status is status


def dual_of(density, x=(0.3,), y=(1.7,), slope=-1.0, potential=None) -> DiscreteDual:
    return DiscreteDual(np.array(x), np.array(y), slope, potential or Quadratic(), density)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize(("size", "agree"), [(4.9e-10, True), (5.1e-10, False)])
def test_moments_agree_to_five_in_ten_digits(which, size, agree):
    dual = dual_of(stats.norm())
    missing = np.zeros(3)
    missing[which] = size
    dual.panels = dataclasses.replace(dual.panels, missing=missing)
    assert moments_agree(dual) is agree


@pytest.mark.parametrize(
    ("slope", "mass", "lower", "upper", "agree"),
    [
        (0.0, 0.0, True, False, True),  # ReLU sees the lower tail only
        (0.0, 1e-9, True, False, False),
        (0.0, 0.0, False, True, False),
        (0.3, 0.0, True, False, False),  # the others see both
        (-1.0, 0.0, True, False, False),
    ],
)
def test_a_tail_may_lack_what_nothing_sees(slope, mass, lower, upper, agree):
    dual = dual_of(stats.norm(), slope=slope)
    tails = [
        dataclasses.replace(tail, complete=complete)
        for tail, complete in zip(dual.panels.tails, (lower, upper), strict=True)
    ]
    missing = np.array([mass, 1e-3, 1e-3])
    dual.panels = dataclasses.replace(dual.panels, missing=missing, tails=tuple(tails))
    assert moments_agree(dual) is agree


@pytest.mark.parametrize("counts", ["cost", "load"])
@pytest.mark.parametrize(("share", "found"), [(0.9, Tails.NEGLIGIBLE), (1.1, Tails.CUT)])
def test_an_octave_of_a_tail_may_hold_one_in_ten_digits(counts, share, found):
    """|.|, x^2: alpha = y r / E at the distance r, so cost and constraint both go like p r^3."""
    dual, t = dual_of(stats.norm()), np.array([50.0])
    at = dual.evaluate(np.array([1.0]), LEVELS[0])
    at = dual.evaluate(dual.solve(at.mass_matrices, dual.targets), LEVELS[3])
    r, second = t - 0.3, 0.3**2 + 1
    p = share * 1e-10 * second / (0.5 * r**3)
    dual.panels = dataclasses.replace(dual.panels, tails=(Tail(1, t, p, True, np.inf, np.inf),))
    if counts == "cost":
        dual.y = 1.2 * dual.y
    else:
        at = dataclasses.replace(at, cost=1.2 * at.cost)
    assert beyond(dual, at) is found


# A potential that grows slower than a square.


def multiplier(inverse, x: float, y: float, density, most: float, reach=np.inf) -> float:
    """k with E |x - B| alpha(k |x - B|) = y, by adaptive quadrature."""
    ends = [-reach, -9.0, -3.0, -x, x, 3.0, 9.0, reach]

    def value(k):
        def integrand(b):
            r = np.array([abs(x - b), abs(x + b)])
            return 0.5 * float(r @ inverse(k * r)) * density.pdf(b)

        options = {"limit": 200, "epsabs": 1e-12, "epsrel": 1e-10}
        return sum(integrate.quad(integrand, *ends[i : i + 2], **options)[0] for i in range(7))

    return optimize.brentq(lambda k: value(k) - y, 1e-6, most, xtol=1e-14, rtol=1e-12)


@pytest.mark.parametrize(
    ("beta", "y", "density", "most", "reach"),
    [
        (1.0, 2.0, stats.norm(0, 0.5), 12, 16),
        (1e-3, 5.0, stats.norm(0.2, 0.8), 12, 26),  # the integrand's peak lies far out
        (1e-6, 40.0, stats.norm(0, 1.0), 12, 32),
        (1.0, 3.0, stats.laplace(0, 0.2), 4.5, 120),
        (0.2, 9.0, stats.logistic(0, 0.3), 3.2, 190),
    ],
)
def test_hypentropy_under_light_tails_of_any_field(beta, y, density, most, reach):
    x, potential = 0.3, Hypentropy(beta)
    sol = variational.solve([x], [y], activation="abs", potential=potential, density=density)
    k = multiplier(lambda z: beta * np.sinh(z), x, y, density, most, reach)
    assert sol.status is Status.CONVERGED
    p = density.pdf(0.9) + density.pdf(-0.9)
    assert float(sol.curvature(0.9)) == pytest.approx(p * beta * math.sinh(0.6 * k), rel=1e-8)


WITHOUT = list(
    itertools.product(
        [stats.t(2.1), stats.t(3, scale=0.5), stats.t(12), stats.lognorm(1, loc=-1.5)],
        [Hypentropy(1.0), Hypentropy(1e-3)],
        [1e-60, 1e-9, 1e3],
    )
)


@pytest.mark.parametrize(("density", "potential", "size"), WITHOUT)
def test_nobody_converges_where_there_is_no_minimiser(density, potential, size):
    """phi* = beta (cosh - 1) of a field that grows linearly has no integral: the infimum is 0."""
    for x, y in (([0.3], [size]), (X, size * Y)):
        sol = variational.solve(x, y, activation="abs", potential=potential, density=density)
        assert sol.status is Status.STALLED


@pytest.mark.parametrize("size", [0.01, 30.0])
@pytest.mark.parametrize(
    ("density", "exists"),
    [
        (stats.gennorm(0.8), False),
        (stats.gennorm(0.94), False),
        (stats.exponweib(2, 0.7), False),
        (stats.gengamma(6, 0.5), False),
        (stats.gennorm(1.1), True),
        (stats.gumbel_r(), True),
        (stats.moyal(), True),
        (stats.pearson3(1.315), True),
    ],
)
def test_order_of_the_tail_decides_whether_hypentropy_has_a_minimiser(density, exists, size):
    """-log p ~ |b|^c: cosh of any field with a slope has an integral for c >= 1, none below."""
    model = {"activation": "abs", "potential": Hypentropy(1.0), "density": density}
    sol = variational.solve([0.3, 1.2], [size, -0.5 * size], **model)
    assert sol.status is (Status.CONVERGED if exists else Status.STALLED)


@pytest.mark.parametrize(
    "density",
    [
        stats.gamma(0.5),
        stats.weibull_min(0.6),
        stats.dgamma(0.6),
        stats.beta(0.5, 2),
        stats.powerlaw(0.4),
        stats.gamma(0.9, -0.3),
    ],
)
def test_a_pdf_that_grows_without_bound_is_refused(density):
    """Near 0 numbers are dense enough to go on for ever, but not as a distance from the data."""
    with pytest.raises(ValueError, match="density has an infinite pdf at .*representation.solve"):
        variational.solve([0.3, 0.7], [0.7, 0.3], density=density)


def test_a_narrow_peak_is_no_infinity():
    edges = [-1.0, 0.2, 0.2 + 1e-6, 1.0]
    density = stats.rv_histogram((np.array([1.0, 8.0, 1.0]), np.array(edges)), density=False)
    sol = variational.solve([0.1], [1.0], activation="abs", density=density)
    assert sol.status is Status.CONVERGED
    assert sol.cost == pytest.approx(1 / (0.01 + density.moment(2)), rel=1e-9)


class Slow(Potential):
    """Like |x|^1.5 for large x: phi* ~ |z|^3."""

    def value(self, x):
        return (1 + x**2) ** 0.75

    def gradient(self, x):
        return 1.5 * x * (1 + x**2) ** -0.25

    def hessian(self, x):
        return 1.5 * (1 + x**2) ** -1.25 * (1 + 0.5 * x**2)


@pytest.mark.parametrize(
    ("nu", "status"), [(2.5, Status.STALLED), (2.9, Status.STALLED), (4.5, Status.CONVERGED)]
)
def test_the_tail_decides_whether_there_is_a_minimiser(nu, status):
    for size in (1e-12, 1.0):
        sol = variational.solve(
            [0.3], [size], activation="abs", potential=Slow(), density=stats.t(nu)
        )
        assert sol.status is status


def test_an_odd_solution_has_a_bounded_field_and_a_minimiser():
    model = {"activation": "abs", "density": stats.t(5), "potential": Hypentropy(0.5)}
    sol = variational.solve([-0.5, 0.5], [-1.0, 1.0], **model)
    assert sol.status is Status.CONVERGED
    assert float(sol(0.0)) == pytest.approx(0.0, abs=1e-12)


# A potential that grows faster than a square.


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0])
@pytest.mark.parametrize(
    "density", [stats.t(3, scale=0.5), stats.t(5), stats.norm(0, 0.5)], ids=name
)
def test_a_start_does_not_overflow_in_a_tail(density, size):
    x, potential = 0.3, Cosh()
    sol = variational.solve([x], [size], activation="abs", potential=potential, density=density)
    assert sol.status is Status.CONVERGED
    assert sol.iterations <= 20
    k = multiplier(np.arcsinh, x, size, density, 1e15)
    p = density.pdf(0.9) + density.pdf(-0.9)
    assert float(sol.curvature(0.9)) == pytest.approx(p * math.asinh(0.6 * k), rel=1e-6)


@pytest.mark.parametrize("activation", ["abs", "relu"])
@pytest.mark.parametrize("density", [stats.t(3, scale=0.5), stats.t(5)], ids=name)
def test_steep_data_and_a_steep_potential_under_heavy_tails(density, activation):
    model = {"activation": activation, "density": density}
    sol = variational.solve(X, Y, potential=Cosh(), **model)
    assert sol.status is Status.CONVERGED
    assert sol.iterations <= 40
    np.testing.assert_allclose(sol(X), Y, rtol=1e-9)


# What no unit sees; coordinates far from zero; shapes.


@pytest.mark.parametrize(
    ("x", "density", "named"),
    [
        ([4.0, 7.0, 12.0], stats.uniform(4, 21), "4"),
        ([7.0, -5.0, 12.0], stats.uniform(5, 21), "-5"),
        ([0.25, 0.5], stats.uniform(0.25, 1), "0.25"),
        ([-0.2, 0.4], stats.norm(50, 1), "-0.2"),  # its pdf underflows there
        ([1.5, 3.0], stats.pareto(3, loc=1), "1.5"),
    ],
)
def test_a_datum_that_no_unit_sees_is_named(x, density, named):
    with pytest.raises(ValueError, match=f"x contains {named}, (which no ReLU unit|outside)"):
        variational.solve(x, np.ones(len(x)), density=density)


def test_other_activations_see_every_datum():
    x = [4.0, 7.0, 12.0]
    for activation in ("abs", "leaky_relu"):
        sol = variational.solve(x, Y[:3], activation=activation, density=stats.uniform(4, 21))
        assert sol.status is Status.CONVERGED


@pytest.mark.parametrize("offset", [2000.0, 1.6e9])
def test_inputs_far_from_zero(offset):
    """ReLU, kinks of one sign: those that face left are far away, so the kernel is a cubic spline,
    int_{-1}^{1} (s - t)_+ (u - t)_+ dt / 4 in shifted coordinates."""

    def kernel(s, u):
        low, high = np.minimum(s, u), np.maximum(s, u)
        return ((1 + low) ** 3 / 3 + (high - low) * (1 + low) ** 2 / 2) / 4

    u, y = np.array([-0.75, -0.25, 0.125, 0.5]), np.array([1.0, 0.3, -0.6, 0.2])
    query = np.linspace(-0.75, 0.5, 11)
    sol = variational.solve(offset + u, y, density=stats.uniform(offset - 1, 2))
    weights = np.linalg.solve(kernel(u[:, None], u), y)
    assert sol.status is Status.CONVERGED
    np.testing.assert_allclose(sol(offset + query), kernel(query[:, None], u) @ weights, atol=1e-9)
    assert sol.cost == pytest.approx(y @ weights, rel=1e-9)


def test_a_density_that_rounding_blurs_is_no_convergence():
    x = 1.6e9 + np.array([-0.5, 0.25, 0.75])
    sol = variational.solve(x, Y[:3], activation="abs", density=stats.norm(1.6e9, 1))
    assert sol.status is Status.STALLED


# The status, and what a result says of itself.


@pytest.mark.parametrize(
    ("factor", "status"), [(1 - 1e-9, Status.STALLED), (1 + 1e-9, Status.CONVERGED)]
)
def test_the_residual_may_be_as_large_as_the_tolerance(monkeypatch, factor, status):
    problem = {"activation": "abs", "potential": Regularized(Power(4), 1)}
    residual = variational.solve(X, Y, **problem).residual
    moments = _solver.moments_agree

    def last(dual):  # what is asked after Newton's method
        monkeypatch.setattr(DiscreteDual, "tolerance", lambda _: factor * residual)
        return moments(dual)

    monkeypatch.setattr(_solver, "moments_agree", last)
    assert variational.solve(X, Y, **problem).status is status


def test_the_certificate_is_that_of_a_finer_level():
    x = np.linspace(-0.9, 0.9, 7)
    sol = variational.solve(
        x, np.cos(9 * x), potential=Regularized(Power(3), 0.01), density=stats.norm(0, 0.5)
    )
    dual, xi = sol._dual, sol._point.at.xi
    fine = dual.evaluate(xi, LEVELS[LEVELS.index(sol._level) + 1])
    assert fine.cost != dual.evaluate(xi, sol._level).cost
    assert sol.cost == fine.cost
    assert sol.residual == np.abs(dual.separate(fine.gradient)).max()


def test_results_compare_by_identity_and_print_briefly():
    one, same = variational.solve(X, Y), variational.solve(X, Y)
    assert one == one and one != same
    assert len({one, same, one}) == 2
    for sol in (one, variational.solve([0.3], [1.0], density=stats.t(2.02), **ONE)):
        assert len(repr(sol)) < 200
        assert f"status=Status.{sol.status.name}" in repr(sol)


def test_an_evaluation_is_not_needed_where_there_is_no_tail():
    dual = dual_of(UNIFORM)
    at = Evaluation(np.array([1.0]), 1.0, np.array([0.0]), np.array([0.0]), [])
    assert beyond(dual, at) is Tails.NEGLIGIBLE
    assert smooth_panels(UNIFORM).tails == ()
