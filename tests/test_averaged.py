"""Input weights of any law: averaged potentials, layers whose kinks depend on them, networks."""

import math
import pickle

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, stats

from mflib import (
    ShallowNetwork,
    activations,
    datasets,
    densities,
    experiments,
    functionals,
    mirror_flow,
    representation,
    variational,
)
from mflib.potentials import Averaged, Entropy, Hypentropy, Potential, Power, Quadratic, Regularized
from tests.problems import QUERY, Lopsided, X, Y

QUARTIC = Regularized(Power(4), 0.7)
ONE_AND_THREE = stats.rv_discrete(values=([1, 3], [0.25, 0.75]))()
LAWS = {
    "halfnorm": stats.halfnorm(scale=0.7),
    "rayleigh": stats.rayleigh(),
    "uniform": stats.uniform(0.5, 1.0),
    "exponential": stats.expon(),
    "histogram": stats.rv_histogram(([1, 0, 3], [0.1, 0.4, 1.0, 2.5]), density=False)(),
    "narrow": stats.truncnorm(-8, 8, loc=1.0, scale=1e-3),
    "discrete": ONE_AND_THREE,
    "poisson": stats.poisson(2.5),
    "moved exponential": stats.expon(loc=0.3, scale=0.5),
    "moved discrete": stats.rv_discrete(values=([0, 2], [0.25, 0.75]))(loc=1),
    "moved poisson": stats.poisson(1.5, loc=1),
}
LAYERS = [densities.normal_layer(1.2, 0.5), densities.linear_layer(0.8, 1.1)]
EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS, ids=repr)


NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def expectation(law, function) -> float:
    """E[function(rho)] by many panels in rho itself, or a sum."""
    if hasattr(law, "pmf"):
        atoms = np.arange(80.0)
        return float(law.pmf(atoms) @ function(atoms))
    low, high = law.support()
    high = high if math.isfinite(high) else 40 * law.ppf(0.9)
    middle = law.ppf(np.linspace(0.001, 0.999, 41))
    ends = low + (middle[0] - low) * 2.0 ** -np.arange(30)
    edges = np.unique([low, *ends, *middle, *law_jumps(law), *np.geomspace(middle[-1], high, 20)])
    half = 0.5 * np.diff(edges)[:, None]
    rho = edges[:-1, None] + half * (1 + NODES)
    return float((half * WEIGHTS * law.pdf(rho) * function(rho)).sum())


def law_jumps(law) -> list[float]:
    return [0.4, 1.0] if law is LAWS["histogram"] else []


@pytest.mark.parametrize(
    ("p", "law"),
    [(2.5, law) for law in LAWS] + [(p, "halfnorm") for p in (1.5, 2.0, 4.0)],
)
def test_of_powers_it_is_a_power(p, law):
    """phi*_W(z) = E[rho^q] phi*(z) with 1/p + 1/q = 1."""
    x = np.array([-3e7, -2.0, 0.0, 1e-9, 0.3, 4.1, 1e20])
    phi, law = Quadratic() if p == 2 else Power(p), LAWS[law]
    factor = expectation(law, lambda r: r ** (p / (p - 1))) ** (1 - p)
    average = Averaged(phi, law)
    for method in ("value", "gradient"):
        expected = factor * getattr(phi, method)(x)
        np.testing.assert_allclose(getattr(average, method)(x), expected, rtol=2e-10)
    np.testing.assert_allclose(average.inverse_gradient(average.gradient(x)), x, rtol=1e-13)
    for at in (0.0, 0.3):
        expected = factor * phi.hessian(np.array([at]))
        np.testing.assert_allclose(average.hessian(np.array([at])), expected, rtol=2e-10)


def test_of_hypentropy_and_normal_weights_it_is_known():
    """E[rho sinh(rho z)] = z exp(z^2/2), the derivative of E[cosh(w z)]."""
    z = np.array([-11.0, -2.0, 1e-5, 0.7, 6.0, 12.0])
    average = Averaged(Hypentropy(0.3), stats.halfnorm())
    np.testing.assert_allclose(average.inverse_gradient(z), 0.3 * z * np.exp(z**2 / 2), rtol=1e-12)
    value = 0.3 * (z**2 * np.exp(z**2 / 2) - np.expm1(z**2 / 2))
    np.testing.assert_allclose(average.value(average.inverse_gradient(z)), value, rtol=1e-11)


@pytest.mark.parametrize(
    ("phi", "law"),
    [(QUARTIC, law) for law in LAWS]
    + [(Regularized(Hypentropy(0.05), 0.3), "exponential")]
    + [(Lopsided(), "halfnorm"), (Lopsided(), "narrow")],
)
def test_it_is_the_one_of_the_averaged_conjugate(phi, law):
    """The inverse mirror map, the metric and the conjugate, each by an adaptive rule."""
    law = LAWS[law]
    average = Averaged(phi, law)
    for z in (-40.0, -0.02, 0.9, 13.0):
        x = float(average.inverse_gradient(z))

        def alpha(r, z=z):
            return phi.inverse_mirror(r * z)

        def conjugate(r, z=z):
            return r * z * alpha(r, z) - phi.bregman(alpha(r, z), np.zeros(1))

        metric = 1 / float(average.hessian(np.array([x]))[0])
        terms = (
            (x, lambda r, alpha=alpha: r * alpha(r)),
            (metric, lambda r, alpha=alpha: r**2 / phi.hessian(alpha(r))),
            (x * z - float(average.value(x)), conjugate),
        )
        for found, integrand in terms:
            assert found == pytest.approx(expectation(law, integrand), rel=1e-9)


def test_one_size_only_is_another_unit():
    point = stats.rv_discrete(values=([2], [1.0]))()
    x = np.array([-30.0, 1e-4, 2.0])
    np.testing.assert_allclose(
        Averaged(QUARTIC, point).gradient(x), QUARTIC.at_scale(2).gradient(x)
    )


def test_scipys_newer_distributions_serve_as_laws():
    new = stats.truncate(stats.Normal(mu=1.0, sigma=0.5), 0.1, 3.0)
    old = stats.truncnorm(-1.8, 4, loc=1.0, scale=0.5)
    x = np.array([0.01, 3.0, 700.0])
    first, second = Averaged(QUARTIC, new), Averaged(QUARTIC, old)
    np.testing.assert_allclose(first.gradient(x), second.gradient(x), rtol=1e-12)
    net = ShallowNetwork(2000, input_weight=new, seed=1)
    assert stats.kstest(abs(net.input_weight.detach().numpy()[:, 0]), old.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("phi", "law"),
    [
        (Quadratic(), stats.pareto(1.9)),
        (Quadratic(), stats.halfcauchy()),
        (QUARTIC, stats.pareto(1.2)),
        (Hypentropy(0.1), stats.expon()),
        (Hypentropy(1e5), stats.pareto(9)),
        (Quadratic(), stats.zipf(2.5)),
    ],
)
def test_tails_without_the_moment_are_refused(phi, law):
    with pytest.raises(ValueError, match="law has tails too heavy .* is infinite"):
        Averaged(phi, law)


def test_tails_with_the_moment_are_not():
    """|z|^(4/3) is all that a quartic asks of them."""
    law, z = stats.pareto(1.9), 3.7
    phi = Power(4)
    expected = float(phi.inverse_gradient(z)) * 1.9 / (1.9 - 4 / 3)
    assert float(Averaged(phi, law).inverse_gradient(z)) == pytest.approx(expected, rel=1e-9)


class LogCosh(Potential):
    """Bounded gradient."""

    def value(self, x):
        return np.logaddexp(x, -x) - math.log(2)

    def gradient(self, x):
        return np.tanh(x)

    def hessian(self, x):
        return 1 / np.cosh(x) ** 2


@pytest.mark.parametrize(
    ("phi", "law", "error", "pattern"),
    [
        ("power", stats.halfnorm(), TypeError, "phi must be a Potential"),
        (Entropy(), stats.halfnorm(), ValueError, "Entropy.* is defined on"),
        (LogCosh(), stats.halfnorm(), ValueError, "bounded gradient"),
        (QUARTIC, stats.norm(), ValueError, r"law must be the law of a size.*halfnorm"),
        (QUARTIC, stats.rv_discrete(values=([0], [1.0]))(), ValueError, "not 0 altogether"),
        (QUARTIC, stats.Normal, TypeError, "law is the class Normal"),
        (QUARTIC, stats.gamma, TypeError, "law must be a frozen distribution with its"),
        (QUARTIC, 1.0, TypeError, "law must be a frozen scipy.stats distribution"),
        (QUARTIC, stats.arcsine(), ValueError, "pdf is infinite somewhere"),
    ],
)
def test_what_is_no_potential_or_no_law_is_refused(phi, law, error, pattern):
    with pytest.raises(error, match=pattern):
        Averaged(phi, law)


def test_it_compares_prints_and_travels_by_its_parameters():
    first, second = (Averaged(QUARTIC, stats.halfnorm(scale=0.5)) for _ in range(2))
    assert first == second and hash(first) == hash(second)
    assert first != Averaged(QUARTIC, stats.halfnorm(scale=0.6)) and first != QUARTIC
    assert first != Averaged(Quadratic(), stats.halfnorm(scale=0.5))
    assert repr(first) == "Averaged(Regularized(Power(4), 0.7), halfnorm(scale=0.5))"
    assert pickle.loads(pickle.dumps(first)) == first
    sample = [stats.rv_discrete(values=([1, 3], [0.25, 0.75]))() for _ in range(2)]
    assert Averaged(QUARTIC, sample[0]) == Averaged(QUARTIC, sample[1])
    own = stats.rv_histogram(([1, 2], [0.5, 1.0, 2.0]), density=False)()
    assert Averaged(QUARTIC, own) == Averaged(QUARTIC, own)


def test_potentials_of_different_weights_or_parts_share_no_table():
    """x^2 over E[rho^2], which is 3 or 7 for the same two sizes; and that of an averaged one."""
    for share, second in ((0.25, 7.0), (0.75, 3.0)):
        law = stats.rv_discrete(values=([1, 3], [share, 1 - share]))()
        for c in (1.0, 2.0):
            part = Averaged(Quadratic().at_scale(c), law)
            assert float(part.value(2.0)) == pytest.approx(4 / (c**2 * second), rel=1e-12)
            twice = Averaged(part, LAWS["rayleigh"])  # E[rho^2] = 2
            assert float(twice.value(2.0)) == pytest.approx(2 / (c**2 * second), rel=1e-9)


def test_what_is_out_of_range_is_zero_infinite_or_nan():
    average = Averaged(Power(4), stats.halfnorm())
    x = np.array([np.nan, np.inf, -np.inf, 1e-250, -1e250])
    np.testing.assert_array_equal(average.gradient(x), [np.nan, np.inf, -np.inf, 0.0, -np.inf])
    assert average.gradient(np.zeros(0)).shape == (0,)
    single = average.gradient(torch.tensor([2.0], dtype=torch.float32))
    assert single.dtype == torch.float32
    assert float(single) == pytest.approx(float(average.gradient(2.0)), rel=1e-6)


# Functions: against a quadrature over weights and biases themselves.


def on_weights_and_biases(joint, multipliers, activation, phi, t) -> tuple[np.ndarray, float]:
    """h(t), the integral of alpha sigma over w and kinks, and the cost, on a plain product rule.

    joint : the density of |w| and the kink of units that face right.
    """
    sigma, beside = activations.get(activation), 0.3 * 2.0 ** -np.arange(22)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    sizes = np.unique([0.0, *1.5 ** -np.arange(1.0, 30), *np.linspace(0.8, 12, 30)])

    def rule(edges):
        half = 0.5 * np.diff(edges)[:, None]
        return (edges[:-1, None] + half * (1 + nodes)).ravel(), (half * weights).ravel()

    (r, dr), h, cost = rule(sizes), np.zeros(len(t)), 0.0
    for side in (1.0, -1.0):

        def field(k, side=side):
            return multipliers @ sigma(side * X[:, None] - k)

        far = 3.0 * 1.6 ** np.arange(50)
        edges = np.unique([*-far, *np.linspace(-3, 3, 40), *far, *side * X, *side * QUERY])
        left, right = field(edges[:-1]), field(edges[1:])
        cross = left * right < 0  # alpha is nearly singular where the field vanishes
        zeros = (edges[:-1] + np.diff(edges) * left / (left - right + (left == right)))[cross]
        zeros = np.append(zeros, (side * X).max())  # from there on no ReLU unit sees a datum
        graded = zeros[:, None] + np.concatenate([-beside, [0.0], beside])
        k, dk = rule(np.unique([*edges, *graded.ravel()]))
        for some in np.array_split(np.arange(len(k)), 40):
            alpha = phi.inverse_mirror(r[:, None] * field(k[some]))
            mass = 0.5 * dr[:, None] * joint(r[:, None], k[some]) * dk[some]
            h += sigma(side * np.asarray(t)[:, None] - k[some]) @ (r @ (alpha * mass))
            cost += (phi.value(alpha) * mass).sum()
    return h, cost


def test_independent_weights_and_kinks_by_a_product_rule():
    law, p = stats.halfnorm(scale=0.9), stats.norm(0.2, 0.6)
    model = {"activation": "abs", "potential": Averaged(QUARTIC, law), "density": p}
    h, rep = variational.solve(X, Y, **model), representation.solve(X, Y, **model)
    assert h.status.name == rep.status.name == "CONVERGED"
    exact, cost = on_weights_and_biases(
        lambda r, k: law.pdf(r) * p.pdf(k), rep.multipliers, "abs", QUARTIC, QUERY
    )
    size = np.abs(exact).max()
    np.testing.assert_allclose(h(QUERY), exact, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(rep(QUERY), exact, rtol=0, atol=1e-8 * size)
    assert [h.cost, rep.cost] == pytest.approx([cost, cost], rel=1e-9)


def test_normal_weights_and_biases_by_a_product_rule():
    """The density of |w| and b/|w| from those of w and b, whatever depends on what."""
    layer = LAYERS[0]
    w, b = stats.halfnorm(scale=layer.weight), stats.norm(scale=layer.bias)
    model = {"activation": "relu", "potential": QUARTIC, "density": layer}
    h, rep = variational.solve(X, Y, **model), representation.solve(X, Y, **model)
    exact, cost = on_weights_and_biases(
        lambda r, k: w.pdf(r) * b.pdf(r * k) * r, rep.multipliers, "relu", QUARTIC, QUERY
    )
    size = np.abs(exact).max()
    np.testing.assert_allclose(h(QUERY), exact, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(rep(QUERY), exact, rtol=0, atol=1e-8 * size)
    assert [h.cost, rep.cost] == pytest.approx([cost, cost], rel=1e-8)


@pytest.mark.parametrize(
    ("layer", "activation", "phi"),
    [
        (LAYERS[0], "leaky_relu", Hypentropy(0.5)),
        (LAYERS[1], "abs", QUARTIC),
        (LAYERS[1], "relu", Hypentropy(0.5)),
    ],
)
def test_both_solvers_find_the_same_for_layers(layer, activation, phi):
    model = {"activation": activation, "potential": phi, "density": layer}
    h, rep = variational.solve(X, Y, **model), representation.solve(X, Y, **model)
    assert h.status.name == rep.status.name == "CONVERGED"
    np.testing.assert_allclose(h(QUERY), rep(QUERY), rtol=0, atol=1e-9 * np.abs(Y).max())
    assert h.cost == pytest.approx(rep.cost, rel=1e-9)
    step = 1e-3  # h'' is the difference quotient of h, away from the data
    around = h(0.4 + step * np.array([-1, 0, 1]))
    assert h.curvature(0.4) == pytest.approx(np.diff(around, 2)[0] / step**2, rel=1e-4)
    assert h.penalties == {}


def arc_cosine(x, x2) -> np.ndarray:
    """E[relu(u.g) relu(v.g)] for normal g in the plane, u = (x, -1) and v = (x2, -1)."""
    u, v = (np.column_stack([s, -np.ones(len(s))]) for s in (x, x2))
    sizes = np.linalg.norm(u, axis=1)[:, None] * np.linalg.norm(v, axis=1)
    cos = np.clip(u @ v.T / sizes, -1, 1)
    theta = np.arccos(cos)
    return sizes / (2 * np.pi) * (np.sin(theta) + (np.pi - theta) * cos)


def test_normal_layers_have_the_arc_cosine_kernel():
    layer = densities.normal_layer()
    kernel = representation.kernel(X, density=layer)
    np.testing.assert_allclose(kernel, 0.5 * arc_cosine(X, X), rtol=1e-10)
    weights = np.linalg.solve(arc_cosine(X, X), Y)
    expected = arc_cosine(QUERY, X) @ weights
    for solver in (variational, representation):
        h = solver.solve(X, Y, density=layer)
        np.testing.assert_allclose(h(QUERY), expected, rtol=0, atol=1e-8 * np.abs(expected).max())


def test_the_path_of_a_normal_layer_is_an_exponential_of_its_kernel():
    times, decay = [1.0, 300.0], -0.5 * arc_cosine(X, X) / len(X)
    path = representation.trajectory(X, Y, times, density=densities.normal_layer(), rtol=1e-8)
    for values, time in zip(path.values, times, strict=True):
        np.testing.assert_allclose(values, Y - linalg.expm(time * decay) @ Y, atol=1e-6)


@EVERY_LAYER
def test_a_layer_is_what_its_weights_and_biases_are(layer):
    """Kinks weighed by w^2, and sizes over tau(t): each law against a sample of w and b."""
    w, b = layer.draw(200_000, np.random.default_rng(0))
    second = expectation(layer.law, lambda r: r**2)
    assert (w**2).mean() == pytest.approx(second, rel=0.02)
    kink, share = b / w, w**2 / second
    for t in (-3.0, -0.4, 0.1, 0.9, 2.2):
        below = (share * (kink <= t)).mean()
        assert layer.kinks.cdf(t) == pytest.approx(below, abs=0.008)
    size = np.abs(w) / layer.scale(kink)
    assert stats.kstest(size, layer.law.cdf).pvalue > 1e-3
    near = np.abs(kink) < 0.3  # independent of where: among near kinks, and among the others
    assert stats.ks_2samp(size[near], size[~near]).pvalue > 1e-3


def test_flat_kinks_with_tails_are_a_distribution():
    p = densities.linear_layer(2.0, 3.0).kinks
    q = np.array([0.0, 1e-9, 0.03, 0.125, 0.4, 0.5, 0.8, 0.97, 1.0])
    np.testing.assert_allclose(p.cdf(p.ppf(q)), q, atol=1e-15)
    np.testing.assert_allclose(p.sf(p.isf(q)), q, atol=1e-15)
    t = np.array([-7.0, -1.4, 0.2, 1.6, 40.0])
    np.testing.assert_allclose((p.cdf(t + 1e-6) - p.cdf(t - 1e-6)) / 2e-6, p.pdf(t), rtol=1e-5)
    halves = (0, 1.5), (1.5, np.inf)
    second = 2 * sum(integrate.quad(lambda t: t**2 * p.pdf(t), *ends)[0] for ends in halves)
    assert p.moment(2) == p.var() == p.std() ** 2 == pytest.approx(second, rel=1e-7)
    assert p.moment(0) == 1 and p.moment(1) == p.mean() == p.median() == 0
    assert stats.kstest(p.rvs(2000, 1), p.cdf).pvalue > 0.01


# Networks.


def parameters(net) -> tuple[np.ndarray, np.ndarray]:
    return net.input_weight.detach().numpy()[:, 0], net.input_bias.detach().numpy()


def test_networks_draw_sizes_and_kinks_independently():
    net = ShallowNetwork(
        5000, density=stats.norm(0.3, 0.5), input_weight=stats.halfnorm(scale=2.0), seed=4
    )
    w, b = parameters(net)
    assert stats.kstest(np.abs(w), stats.halfnorm(scale=2.0).cdf).pvalue > 0.01
    assert stats.kstest(b / np.abs(w), stats.norm(0.3, 0.5).cdf).pvalue > 0.01
    assert abs(stats.spearmanr(np.abs(w), np.abs(b / w)).statistic) < 0.05
    assert abs(np.sign(w).mean()) < 0.05
    plane = ShallowNetwork(50, input_dim=2, input_weight=ONE_AND_THREE, seed=4)
    sizes = np.linalg.norm(plane.input_weight.detach().numpy(), axis=1)
    assert set(sizes.round(12)) == {1.0, 3.0}


def test_without_a_law_the_same_numbers_are_drawn_as_ever():
    net = ShallowNetwork(3, seed=0)
    rng = np.random.default_rng(0)
    direction = np.sign(rng.standard_normal((3, 1)))
    np.testing.assert_array_equal(net.input_weight.detach().numpy(), direction)
    np.testing.assert_array_equal(net.input_bias.detach().numpy(), rng.uniform(-1, 1, 3))


@pytest.mark.parametrize(
    "start",
    [{"input_weight": stats.halfnorm()}, {"density": LAYERS[0]}, {"density": LAYERS[1]}],
    ids=["halfnorm", "normal", "linear"],
)
def test_the_flow_ends_at_the_lazy_limit_of_these_units(start):
    """Nonlinearity, of order n^-2, is all that is left."""
    net = ShallowNetwork(3000, activation="abs", seed=1, **start)
    y = 0.1 * Y  # for coefficients that leave small weights where they are
    run = mirror_flow(net, X, y, potential=QUARTIC, scaled=True, loss_target=1e-14, rtol=1e-3)
    assert run.status.name == "CONVERGED"
    lazy = experiments.lazy_limit(net, X, y, potential=QUARTIC)
    assert experiments.distance(run.network, lazy, grid=np.linspace(-1.1, 1.1, 45)) < 1e-3


def test_wide_networks_meet_the_averaged_limit_and_no_other():
    law, phi, (x, y) = stats.halfnorm(), Hypentropy(1.0), datasets.figure2()
    w, b = parameters(ShallowNetwork(20_000, input_weight=law, seed=0))
    model = {"activation": "relu", "potential": phi}
    sample = representation.solve(x, y, **model, neurons=(w, b))
    averaged = variational.solve(x, y, activation="relu", potential=Averaged(phi, law))
    near = experiments.distance(sample, averaged)
    far = experiments.distance(sample, variational.solve(x, y, **model))
    assert near < 0.015 < 0.03 < far


@pytest.mark.parametrize(
    ("call", "error", "pattern"),
    [
        (lambda: ShallowNetwork(3, input_weight=stats.norm()), ValueError, "input_weight must be"),
        (lambda: ShallowNetwork(3, input_weight=2.0), TypeError, "input_weight must be a frozen"),
        (
            lambda: ShallowNetwork(3, density=LAYERS[0], input_weight=stats.halfnorm()),
            ValueError,
            "input_weight is given, and density normal_layer",
        ),
        (lambda: ShallowNetwork(3, density=LAYERS[0], input_dim=2), ValueError, "serves one input"),
        (lambda: densities.of(LAYERS[1]), TypeError, "serves ShallowNetwork, variational and"),
        (
            lambda: representation.solve(X, Y, density=LAYERS[0], activation="tanh"),
            ValueError,
            "activation tanh is not piecewise linear",
        ),
        (
            lambda: functionals.relu_cost(
                variational.solve(X, Y), potential=QUARTIC, density=LAYERS[0], knots=X
            ),
            TypeError,
            "must not depend on its kink",
        ),
        (lambda: densities.normal_layer(0.0), ValueError, "weight must be finite and > 0"),
        (lambda: densities.linear_layer(1.0, -2.0), ValueError, "bias must be finite and > 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, pattern):
    with pytest.raises(error, match=pattern):
        call()
