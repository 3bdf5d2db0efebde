"""Densities against their definition."""

import copy
import math
import pickle

import cloudpickle
import numpy as np
import pytest
import torch
from scipy import integrate, stats

import mflib
from mflib import densities, experiments, functionals, representation, variational
from mflib.potentials import Power, Quadratic, Regularized
from tests import hostile
from tests.problems import X, Y

SAMPLES = np.random.default_rng(3).uniform(-2, 5, 9)  # in no order
VALUES = np.random.default_rng(4).normal(size=9)


def test_bend_is_of_one_input():
    with pytest.raises(ValueError, match=r"x must have shape \(m,\), got \(3, 2\)"):
        densities.bend(np.arange(6.0).reshape(3, 2), [0.0, 1.0, 0.0], 0.5)


def test_bend_has_the_masses_of_the_turns():
    floor = 0.2
    p = densities.bend(SAMPLES, VALUES, floor)
    order = np.argsort(SAMPLES)
    x, y = SAMPLES[order], VALUES[order]
    assert p.support() == (x[0], x[-1])
    turns = [
        abs((y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1]))
        for i in range(1, 8)
    ]
    for i, turn in zip(range(1, 8), turns, strict=True):
        low = x[0] if i == 1 else (x[i - 1] + x[i]) / 2
        high = x[-1] if i == 7 else (x[i] + x[i + 1]) / 2
        expected = 0.8 * turn / sum(turns) + floor * (high - low) / (x[-1] - x[0])
        mass = integrate.quad(p.pdf, low, high, epsabs=1e-12)[0]
        assert mass == pytest.approx(expected, rel=1e-9)
    even = densities.bend(SAMPLES, VALUES, 1.0)
    np.testing.assert_allclose(even.pdf(x[1:-1]), 1 / (x[-1] - x[0]), rtol=1e-12)


@pytest.mark.parametrize("floor", [0.0, -0.5, 1.5, np.nan])
def test_bend_needs_a_floor(floor):
    with pytest.raises(ValueError, match="floor must be"):
        densities.bend(SAMPLES, VALUES, floor)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [1, 2]), ([0, 1, 2], [1, 2, 3])])
def test_bend_needs_a_bend(x, y):
    with pytest.raises(ValueError, match="at least three, not on a line"):
        densities.bend(x, y, 0.5)


def test_the_former_name_is_deprecated():
    with pytest.warns(DeprecationWarning, match=r"use densities\.bend"):
        assert experiments.bend_density is densities.bend


class Humps(stats.rv_continuous):
    """Of one's own: nothing but a pdf."""

    def _pdf(self, t):
        return 0.5 * (stats.norm.pdf(t, -0.5, 0.3) + stats.norm.pdf(t, 0.5, 0.3))


def step(t):
    return np.where(t < 0.3, 3.0, 1 / 7)


BELLS = [stats.Normal(mu=mu, sigma=0.3) for mu in (-0.5, 0.5)]
POINTS = np.random.default_rng(8).normal(3.0, 0.02, 40)
KDE = stats.gaussian_kde(POINTS)
BAND = np.sqrt(KDE.covariance[0, 0])


def of_scipy(frozen):
    return frozen.cdf, frozen.mean(), frozen.std(), frozen.support()


def of_humps(loc=0.0, scale=1.0):
    def cdf(t):
        return sum(0.5 * stats.norm.cdf((t - loc) / scale, mu, 0.3) for mu in (-0.5, 0.5))

    return cdf, loc, scale * np.sqrt(0.25 + 0.09), (-np.inf, np.inf)


def of_kernels():
    ends = POINTS.min() - 39 * BAND, POINTS.max() + 39 * BAND
    sd = np.sqrt(POINTS.var() + BAND**2)
    return lambda t: stats.norm.cdf(t[:, None], POINTS, BAND).mean(axis=1), POINTS.mean(), sd, ends


# what is given, where it is positive if it does not know, and its cdf, mean, sd, support
GIVEN = {
    "newer": (stats.Normal(mu=3.0, sigma=0.02), None, of_scipy(stats.norm(3, 0.02))),
    "one-sided": (stats.make_distribution(stats.gamma)(a=2.5), None, of_scipy(stats.gamma(2.5))),
    "heavy": (stats.make_distribution(stats.t)(df=6.0), None, of_scipy(stats.t(6))),
    "truncated": (
        stats.truncate(stats.Normal(), ub=0.5, lb=-1.0),
        None,
        of_scipy(stats.truncnorm(-1, 0.5)),
    ),
    "function": (lambda t: np.exp(-t), (0, np.inf), of_scipy(stats.expon())),
    "jump": (
        step,
        (0, 1),
        (
            lambda t: np.where(t < 0.3, 3 * t, 0.9 + (t - 0.3) / 7),
            0.2,
            np.sqrt(0.027 + 0.973 / 21 - 0.04),
            (0.0, 1.0),
        ),
    ),
    "mixture": (stats.Mixture(BELLS, weights=[0.5, 0.5]), None, of_humps()),
    "one's own": (Humps()(), None, of_humps()),
    "far and narrow": (Humps()(loc=300, scale=0.01), None, of_humps(300, 0.01)),
    "kernels": (KDE, None, of_kernels()),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_density_by_its_pdf(name):
    """Its distribution function, moments and quantiles, and its support."""
    given, support, (cdf, mean, sd, ends) = GIVEN[name]
    p = densities.of(given, support=support)
    assert (p.mean(), p.std()) == pytest.approx((mean, sd), rel=1e-11, abs=1e-13)
    assert p.var() == pytest.approx(sd**2, rel=1e-11)
    assert p.moment(2) == pytest.approx(sd**2 + mean**2, rel=1e-11)
    q = np.array([1e-3, 0.02, 0.3, 0.5, 0.77, 0.999])
    np.testing.assert_allclose(cdf(p.ppf(q)), q, rtol=1e-10)
    np.testing.assert_allclose(cdf(p.isf(q)), 1 - q, rtol=1e-10)
    np.testing.assert_allclose(p.cdf(p.ppf(q)), q, rtol=1e-10)
    np.testing.assert_allclose(p.sf(p.ppf(q)), 1 - q, rtol=1e-10)
    assert p.median() == p.ppf(0.5)
    assert p.support() == pytest.approx(ends)
    np.testing.assert_array_equal(p.ppf([0.0, 1.0]), p.support())
    np.testing.assert_array_equal(p.isf([1.0, 0.0]), p.support())
    np.testing.assert_array_equal([p.cdf(-1e200), p.sf(-1e200)], [0.0, p.sf(ends[0])])
    assert np.isnan(p.ppf([-0.1, 1.1])).all()
    draws = p.rvs(size=(2000, 2), random_state=5)
    np.testing.assert_array_equal(
        draws, p.rvs(size=(2000, 2), random_state=np.random.default_rng(5))
    )
    assert (
        stats.kstest(np.sort(draws.ravel()), lambda t: np.ravel(cdf(np.asarray(t)))).pvalue > 1e-3
    )
    assert repr(p).startswith("densities.of(")


def test_tails_keep_their_digits():
    p = densities.of(lambda t: np.exp(-t), support=(0, np.inf))
    np.testing.assert_allclose(p.sf(50.0), np.exp(-50.0), rtol=1e-12)
    np.testing.assert_allclose(p.isf(1e-15), -np.log(1e-15), rtol=1e-12)


@pytest.mark.parametrize("solve", [variational.solve, representation.solve])
@pytest.mark.parametrize("name", ["newer", "function", "one's own", "truncated"])
def test_solvers_take_any_density(name, solve):
    """The solution is that under SciPy's own distribution, or under the pdf said otherwise."""
    given, support, _ = GIVEN[name]
    same = {
        "newer": stats.norm(3, 0.02),
        "function": stats.expon(),
        "one's own": densities.of(GIVEN["mixture"][0]),
        "truncated": stats.truncnorm(-1, 0.5),
    }[name]
    middle, spread = same.mean(), same.std()
    x, y = middle + 0.5 * spread * np.sort(X), Y
    model = {"activation": "abs", "potential": Regularized(Power(3), 1)}
    h, expected = (
        solve(x, y, density=p, **model) for p in (densities.of(given, support=support), same)
    )
    assert h.status is expected.status
    assert h.cost == pytest.approx(expected.cost, rel=1e-9)


def test_networks_draw_their_biases_from_any_density():
    net = mflib.ShallowNetwork(500, density=KDE, seed=3)
    assert stats.kstest(net.input_bias.detach().numpy(), GIVEN["kernels"][2][0]).pvalue > 1e-3


def test_what_scipy_wraps_around_a_circle_is_drawn_from_its_density():
    given = stats.vonmises_line(1.9, loc=1.0, scale=2.0)  # SciPy's own rvs are in [-pi, pi]
    net = mflib.ShallowNetwork(500, density=given, seed=3)
    assert stats.kstest(net.input_bias.detach().numpy(), given.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("given", "support", "kind", "words"),
    [
        (stats.vonmises(1.0), None, ValueError, "use stats.vonmises_line"),
        ("normal", None, TypeError, "must be a distribution such as"),
        (stats.poisson(3), None, TypeError, "must be a distribution such as"),
        (stats.Normal, None, TypeError, "is the class Normal: give it its parameters"),
        (step, None, TypeError, "say where it is positive"),
        (stats.norm(0, 1), (0, 1), TypeError, "and a support"),
        (step, (1, 0), ValueError, "low < high"),
        (step, (0, np.nan), ValueError, "low < high"),
        (lambda t: 2 + 0 * t, (0, 1), ValueError, "integrates to 2 over its support"),
        (lambda t: np.sin(9 * t), (0, 1), ValueError, "finite and not negative"),
        (lambda t: np.nan * t, (0, 1), ValueError, "finite and not negative"),
        (lambda t: 1 / t**2, (1, np.inf), ValueError, "its variance finite"),
        (
            stats.gaussian_kde(np.random.default_rng(0).normal(size=(2, 9))),
            None,
            ValueError,
            "of 2",
        ),
    ],
)
def test_what_has_no_density_is_refused(given, support, kind, words):
    with pytest.raises(kind, match=words):
        densities.of(given, support=support)


def test_what_lacks_a_method_is_no_distribution():
    class Half:
        pdf = staticmethod(stats.norm.pdf)

    with pytest.raises(TypeError, match="Half object .* has no cdf, sf, ppf"):
        densities.of(Half())


def test_a_normal_of_scipy_is_pickled_as_what_it_is():
    """Alone and in a mixture, by value and by deepcopy; in worker processes, too."""
    t, normal = np.linspace(-2, 2, 9), stats.Normal(mu=-0.5, sigma=0.4)
    mixture = stats.Mixture([normal, stats.Normal(mu=0.4, sigma=0.3)])
    for density in (normal, mixture, stats.truncate(normal, -1, 1), stats.Normal()):
        for again in (pickle.loads(pickle.dumps(density)), copy.deepcopy(density)):
            np.testing.assert_array_equal(again.pdf(t), density.pdf(t))
    again = pickle.loads(pickle.dumps(densities.of(mixture)))
    np.testing.assert_array_equal(again.pdf(t), mixture.pdf(t))
    np.testing.assert_array_equal(pickle.loads(cloudpickle.dumps(mixture)).pdf(t), mixture.pdf(t))


def test_a_density_without_a_name_is_shown_as_it_is():
    assert "Named" in repr(densities.Defined("Named", "Named"))


# What users bring.


class Hump(stats.rv_continuous):
    def _pdf(self, x):
        return 0.75 * (1 - x**2)


class Twice(stats.rv_continuous):
    def _pdf(self, x):
        return 1.5 * (1 - x**2)


class Scalar(stats.rv_continuous):
    def _pdf(self, x):
        return 0.5 if x > 0 else 0.5


class Shaped(stats.rv_continuous):
    def _pdf(self, x, c):
        return c + 0 * x


def test_a_family_without_parameters_is_frozen():
    """Unfrozen, SciPy integrated its pdf for each value of its distribution function."""
    with hostile.at_most(10):
        own = densities.of(Hump(a=-1, b=1))
        assert (own.std(), own.mean()) == pytest.approx((np.sqrt(0.2), 0.0), rel=1e-12, abs=1e-14)
        h = variational.solve([-0.4, 0.1, 0.5], [0.3, -0.2, 0.4], density=Hump(a=-1, b=1))
    assert h.status.name == "CONVERGED"
    assert densities.of(stats.norm) is stats.norm  # SciPy's knows its moments


SAMPLE = np.random.default_rng(0).normal(size=99)
BROUGHT = {
    "t": (stats.t, TypeError, "with its parameters: call t with its df"),
    "own with a shape": (Shaped(name="own"), TypeError, "call own with its c"),
    "own class": (Hump, TypeError, "density is the class Hump: give it"),
    "SciPy's class": (type(stats.norm), TypeError, "density is the class norm_gen"),
    "twice": (Twice(a=-1, b=1), ValueError, "integrates to 2 over its support"),
    "if": (Scalar(a=-1, b=1), TypeError, "fails for .*; write it elementwise, .*of NumPy"),
    "sample": (SAMPLE, TypeError, "of a sample make one by stats.gaussian_kde"),
    "list": (SAMPLE.tolist(), TypeError, "of a sample make one by stats.gaussian_kde"),
    "tensor": (torch.tensor(SAMPLE), TypeError, "of a sample make one by stats.gaussian_kde"),
    "discrete": (stats.poisson, TypeError, "is discrete; kinks need a pdf"),
    "discrete, frozen": (stats.poisson(3), TypeError, "is discrete; kinks need a pdf"),
    "Torch": (torch.distributions.Normal(0.0, 1.0), TypeError, "use its counterpart there"),
    "blurred": (
        stats.Mixture([stats.Normal(), stats.Normal(mu=0.3, sigma=1e-9)]),
        ValueError,
        "part of width 1e-09 at 0.3, where rounding blurs it; give that part more width",
    ),
}


@pytest.mark.parametrize("name", BROUGHT)
def test_what_is_no_density_yet_is_refused_at_once_with_the_cure(name):
    given, kind, words = BROUGHT[name]
    with hostile.at_most(2), pytest.raises(kind, match=words):
        densities.of(given)


@pytest.mark.parametrize(
    ("pdf", "words"),
    [
        (lambda t: 0.5 if t > 0 else 0.5, "with ValueError: .* ambiguous"),
        (lambda t: math.exp(-t), "with TypeError: "),
        (lambda t: 0.5 + 0 * t[:, None], "must act elementwise"),
    ],
)
def test_a_function_takes_arrays(pdf, words):
    with pytest.raises(TypeError, match=f"density.pdf of .*{words}.*; write it elementwise"):
        densities.of(pdf, support=(-1, 1))
    assert densities.of(lambda t: 0.5, support=(-1, 1)).std() == pytest.approx(np.sqrt(1 / 3))


def spiked(*spikes, weights=None):
    return stats.Mixture([stats.Normal(mu=m, sigma=s) for m, s in spikes], weights=weights)


@pytest.mark.parametrize(
    "mixture",
    [
        spiked((0.123, 1e-4), (0.5, 0.3), weights=[0.01, 0.99]),
        spiked((-3.0, 1e-4), (0.5, 0.3)),
        spiked((-0.3, 1e-5), (0.0, 1.0), weights=[0.001, 0.999]),
        spiked((-0.5, 1e-4), (0.1, 1e-4), (0.6, 1e-4)),
    ],
)
def test_a_narrow_part_of_a_mixture_is_found(mixture):
    """By its moments, and by three solvers that put their panels without each other."""
    p, data = densities.of(mixture), ([-0.4, 0.05, 0.5], [0.3, -0.2, 0.4])
    exact = mixture.mean(), mixture.variance()
    assert (p.mean(), p.var()) == pytest.approx(exact, rel=1e-10, abs=1e-13)
    found = [solver.solve(*data, density=p, ridge=0.1) for solver in (variational, representation)]
    assert [h.status.name for h in found] == ["CONVERGED"] * 2
    assert found[1].cost == pytest.approx(found[0].cost, rel=1e-10)
    if mixture.weights[0] != 1 / 3:  # where kinks of only one direction turn there is no tilt
        model = {"potential": Quadratic(), "density": p}
        cost = functionals.relu_cost(found[0], data[0], **model).cost
        assert cost == pytest.approx(found[0].cost, rel=1e-9)


def test_a_density_too_far_from_zero_says_how_far_in_widths():
    """From the 0.05 to the 0.95 quantile of a normal law are 3.29 deviations."""
    with pytest.raises(ValueError, match=r"lies 3e\+08 times its width from zero"):
        densities.of(stats.Normal(mu=1e12, sigma=1e3))
