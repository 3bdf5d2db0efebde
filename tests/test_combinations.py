"""Options that act together: each pair beside a formula that knows nothing of the code."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

import mflib
from mflib import densities, representation
from mflib.potentials import (
    Averaged,
    Entropy,
    Hypentropy,
    Local,
    Power,
    Quadratic,
    Regularized,
    Rescaled,
)
from tests.flows import CURVED, PLACES, flat, jacobian, metric_of, reference
from tests.problems import Cosh, Lopsided, X

POINTS = np.array([0.03, 0.4, 1.7, 2.6])

# Potentials within potentials: what is built, and phi(x) for a number x.

BASES = {
    "quadratic": (Quadratic(), lambda x: x**2),
    "power 3": (Power(3), lambda x: abs(x) ** 3),
    "power 4": (Power(4), lambda x: x**4),
    "power 1.6": (Power(1.6), lambda x: abs(x) ** 1.6),
    "hypentropy": (
        Hypentropy(0.7),
        lambda x: x * math.asinh(x / 0.7) - math.sqrt(x**2 + 0.49),
    ),
    "entropy": (Entropy(), lambda x: x * math.log(x) - x),
    "own": (Cosh(), math.cosh),
    "lopsided": (Lopsided(), lambda x: x**2 + 0.7 * x + max(x, 0.0) ** 3),
}


def half_normal_moment(q: float) -> float:
    return 2 ** (q / 2) * special.gamma((q + 1) / 2) / math.sqrt(math.pi)


def averaged(p: float, scale: float = 1.0) -> tuple:
    """Under half-normal sizes c |x|^p has c |x|^p / E[rho^q]^(p - 1) with 1/p + 1/q = 1."""
    factor = scale**-p / half_normal_moment(p / (p - 1)) ** (p - 1)
    phi = Averaged(Power(p).at_scale(scale) if scale != 1 else Power(p), stats.halfnorm())
    return phi, lambda x: factor * abs(x) ** p


BASES |= {"averaged": averaged(4.0), "averaged of scaled": averaged(3.0, 2.0)}

WRAPPINGS = ["s", "a", "r", "ss", "sa", "sr", "rs", "ra", "rr", "srs", "rsr"]


def beside_square(f, omega):
    return lambda x: (f(x) + omega * x**2) / (1 + omega)


def in_unit(f, c):
    return lambda x: f(x / c)


def wrapped(base: str, how: str) -> tuple:
    """Put a potential in a scale c ("s", or "a" by at_scale) or beside omega x^2 ("r")."""
    phi, value = BASES[base]
    for kind, c in zip(how, (2.0, 0.6, 1.5), strict=False):
        if kind == "r":
            phi, value = Regularized(phi, c), beside_square(value, c)
        else:
            phi = Rescaled(phi, c) if kind == "s" else phi.at_scale(c)
            value = in_unit(value, c)
    return phi, value


@pytest.mark.parametrize(
    ("base", "how"),
    [
        (base, how)
        for base, how in itertools.product(BASES, WRAPPINGS)
        if base != "entropy" or "r" not in how  # which is for all of R
    ],
)
def test_potentials_within_potentials(base, how):
    """Values by composition, up to a constant; all else by differences and by definition."""
    phi, value = wrapped(base, how)
    signs = [1.0] if base == "entropy" else [1.0, -1.0]
    x = np.concatenate([sign * POINTS for sign in signs])
    exact = np.array([value(float(t)) for t in x])
    constant = phi.value(x)[0] - exact[0]
    np.testing.assert_allclose(phi.value(x) - constant, exact, rtol=1e-9, atol=1e-12)
    step = 1e-4 * np.abs(x)
    slope = np.array([(value(a) - value(b)) for a, b in zip(x + step, x - step, strict=True)])
    gradient = phi.gradient(x)
    np.testing.assert_allclose(gradient, slope / (2 * step), rtol=1e-6, atol=1e-9)
    rise = phi.gradient(x + step) - phi.gradient(x - step)
    np.testing.assert_allclose(phi.hessian(x), rise / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(phi.inverse_gradient(gradient), x, rtol=1e-9)
    y = 0.7 * x[::-1] if len(signs) > 1 else 0.3 * x[::-1]
    by_definition = exact - [value(float(t)) for t in y] - phi.gradient(y) * (x - y)
    np.testing.assert_allclose(phi.bregman(x, y), by_definition, rtol=1e-6, atol=1e-9)
    low, high = phi.domain
    assert (low, high) == ((0.0 if base == "entropy" else -math.inf), math.inf)


@pytest.mark.parametrize("base", ["quadratic", "hypentropy", "own", "lopsided"])
def test_potentials_whose_scale_depends_on_the_place(base):
    """phi(tau x) / tau^2, for a tau of each entry."""
    phi, value = BASES[base]
    tau = np.array([0.5, 1.0, 1.3, 2.0])
    local = Local(phi, tau)
    pairs = [(float(t), float(s)) for t, s in zip(POINTS, tau, strict=True)]
    exact = np.array([value(s * t) / s**2 for t, s in pairs])
    slope = [(value(s * (t + 1e-5)) - value(s * (t - 1e-5))) / (2e-5 * s**2) for t, s in pairs]
    np.testing.assert_allclose(local.value(POINTS), exact, rtol=1e-12)
    np.testing.assert_allclose(local.gradient(POINTS), slope, rtol=1e-6)
    rise = (local.gradient(POINTS + 1e-5) - local.gradient(POINTS - 1e-5)) / 2e-5
    np.testing.assert_allclose(local.hessian(POINTS), rise, rtol=1e-6)
    np.testing.assert_allclose(local.inverse_gradient(local.gradient(POINTS)), POINTS, rtol=1e-9)
    start = np.array([value(0.0) / s**2 for s in tau])
    tangent = [(value(1e-5 * s) - value(-1e-5 * s)) / (2e-5 * s**2) for s in tau]
    if base != "lopsided":  # it has no slope at 0, as an averaged potential
        np.testing.assert_array_equal(local.mirror(POINTS), local.gradient(POINTS))
    by_definition = exact - start - np.array(tangent) * POINTS
    np.testing.assert_allclose(local.bregman(POINTS, np.zeros(4)), by_definition, rtol=1e-5)


# Densities: a law that the package takes, and SciPy's own for the same.


class ByPdfOnly(stats.rv_continuous):
    """A user's family with a pdf and nothing else."""

    def _pdf(self, t):
        return 2 / np.pi * np.exp(-np.logaddexp(t, -t))


CENTRE, SPREAD = 3.0, 0.4
LAWS = {
    "normal": (stats.Normal(mu=CENTRE, sigma=SPREAD), stats.norm(CENTRE, SPREAD)),
    "shifted": (SPREAD * stats.Normal() + CENTRE, stats.norm(CENTRE, SPREAD)),
    "function": (
        densities.of(lambda t: 0.5 * (3 - t), support=(1, 3)),
        stats.triang(0, loc=1, scale=2),
    ),
    "half line": (
        densities.of(lambda t: 2 * np.exp(-2 * (t - 5)), support=(5, math.inf)),
        stats.expon(loc=5, scale=0.5),
    ),
    "pdf only": (
        ByPdfOnly(name="sech")(loc=CENTRE, scale=SPREAD),
        stats.hypsecant(loc=CENTRE, scale=SPREAD),
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_what_has_only_a_pdf_knows_the_rest(law):
    given, known = LAWS[law]
    p = densities.of(given)
    assert [p.mean(), p.median(), p.var(), p.std()] == pytest.approx(
        [known.mean(), known.median(), known.var(), known.std()], rel=1e-9
    )
    assert [p.moment(k) for k in range(5)] == pytest.approx(
        [known.moment(k) for k in range(5)], rel=1e-8
    )
    t = known.ppf([0.02, 0.4, 0.5, 0.97])
    for method in ("pdf", "cdf", "sf"):
        np.testing.assert_allclose(getattr(p, method)(t), getattr(known, method)(t), rtol=1e-8)
    far = known.isf(1e-15)
    assert p.sf(far) == pytest.approx(1e-15, rel=1e-3, abs=0)
    q = [1e-13, 0.2, 0.5, 0.9, 1.0]
    for method in ("ppf", "isf"):
        np.testing.assert_allclose(getattr(p, method)(q), getattr(known, method)(q), rtol=1e-7)
    assert np.isnan(p.ppf([-0.1, 1.1])).all()
    drawn = p.rvs(size=2000, random_state=3)
    assert stats.kstest(drawn, known.cdf).pvalue > 0.01
    assert (drawn != p.rvs(size=2000, random_state=4)).all()


@pytest.mark.parametrize("weight", [1.0, 0.4])
@pytest.mark.parametrize("bias", [1.0, 3.0])
@pytest.mark.parametrize("kind", ["normal", "linear"])
def test_layers_by_integrals_over_their_weights(kind, weight, bias):
    """Kinks b/w have the density p of a ratio; given one, E[w^2] follows from p(w | t)."""
    if kind == "normal":
        layer, law = densities.normal_layer(weight, bias), stats.norm
        law_w, law_b, end = law(scale=weight), law(scale=bias), 12 * weight
    else:
        layer, law = densities.linear_layer(weight, bias), stats.uniform
        law_w, law_b, end = law(-weight, 2 * weight), law(-bias, 2 * bias), weight
    total, r = law_w.var(), bias / weight

    def moment(t, power):
        """Of |w|^power, and the density of kinks, together: int |w| p(w) p(b = wt) |w|^power."""
        edges = sorted({0.0, min(end, bias / t)}) + [end]
        return 2 * sum(
            integrate.quad(lambda w: w ** (1 + power) * law_w.pdf(w) * law_b.pdf(w * t), *pair)[0]
            for pair in itertools.pairwise(edges)
        )

    for t in r * np.array([0.2, 1.4, 6.0]):
        squared = moment(t, 2) / moment(t, 0)
        assert layer.law.moment(2) * layer.scale(t) ** 2 == pytest.approx(squared, rel=1e-6)
        assert layer.kinks.pdf(t) == pytest.approx(moment(t, 2) / total, rel=1e-6)
        assert layer.kinks.pdf(-t) == pytest.approx(layer.kinks.pdf(t))
        fourth = layer.law.moment(4) * layer.scale(t) ** 4
        assert fourth == pytest.approx(moment(t, 4) / moment(t, 0), rel=1e-6)
    assert layer.law.moment(2) == pytest.approx(total)
    w, b = layer.draw(4000, np.random.default_rng(1))
    assert stats.kstest(w, law_w.cdf).pvalue > 0.01
    assert stats.kstest(b, law_b.cdf).pvalue > 0.01
    assert repr(layer) == f"{kind}_layer({weight:g}, {bias:g})"


@pytest.mark.parametrize("r", [1.0, 0.3, 5.0])
def test_the_kinks_of_uniform_layers_are_a_distribution(r):
    kinks = densities.linear_layer(2.0, 2.0 * r).kinks
    assert integrate.quad(kinks.pdf, -np.inf, 0)[0] == pytest.approx(0.5)
    for t in r * np.array([-30.0, -0.4, 0.7, 2.0]):
        below = integrate.quad(kinks.pdf, -np.inf, min(t, -r))[0]
        below += integrate.quad(kinks.pdf, -r, t, points=[r] if t > r else None)[0] if t > -r else 0
        assert kinks.cdf(t) == pytest.approx(below, rel=1e-6)
        assert kinks.sf(-t) == pytest.approx(below, rel=1e-6)
        assert kinks.ppf(below) == pytest.approx(t, rel=1e-5)
        assert kinks.isf(below) == pytest.approx(-t, rel=1e-5)
    assert kinks.sf(1e6 * r) == pytest.approx(1.25e-19, abs=0)
    assert kinks.isf(1.25e-19) == pytest.approx(1e6 * r)
    second = 2 * integrate.quad(lambda t: t**2 * kinks.pdf(t), 0, r)[0]
    second += 2 * integrate.quad(lambda t: t**2 * kinks.pdf(t), r, np.inf)[0]
    assert [kinks.moment(k) for k in range(3)] == pytest.approx([1, 0, second], rel=1e-6)
    assert [kinks.var(), kinks.std() ** 2] == pytest.approx([second, second], rel=1e-6)
    assert (kinks.mean(), kinks.median()) == (0.0, 0.0)
    assert stats.kstest(kinks.rvs(size=4000, random_state=1), kinks.cdf).pvalue > 0.01


@pytest.mark.parametrize("phi", [Quadratic(), Regularized(Hypentropy(0.2), 0.3)])
@pytest.mark.parametrize("weight", [1.0, 0.4])
@pytest.mark.parametrize("shift", [0.0, 50.0])
def test_the_kernel_between_two_sets_of_a_normal_layer_is_the_arc_cosine_one(phi, weight, shift):
    """Of (w, b) normal, also where data lie far from zero, and of a curvature that is not 2."""
    x, x2, bias = X + shift, np.array([-0.4, 0.1, 0.8]) + shift, 3.0
    u, v = (np.column_stack([weight * t, np.full(len(t), bias)]) for t in (x, x2))
    sizes = np.outer(np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1))
    cross = weight * bias * np.subtract.outer(x, x2)  # |u| |v| sin of the angle
    angle = np.arctan2(np.abs(cross), u @ v.T)
    exact = sizes / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * np.cos(angle))
    model = {"potential": phi, "density": densities.normal_layer(weight, bias)}
    kernel = representation.kernel(x, x2, **model)
    np.testing.assert_allclose(kernel, exact / phi.hessian(np.zeros(1)), rtol=1e-7)


# Networks.


@pytest.mark.parametrize("scale", [0.0, 0.7])
@pytest.mark.parametrize("law", [None, stats.halfnorm(scale=2.0), stats.uniform(0.5, 1.0)])
@pytest.mark.parametrize("dim", [1, 3])
def test_networks_are_drawn_from_their_laws(dim, law, scale):
    """Sizes, kinks (off centre), directions and outputs, each of its law and independent."""
    kinks, n = stats.norm(0.8, 0.3), 4000
    net = mflib.ShallowNetwork(
        n, input_dim=dim, density=kinks, input_weight=law, output_scale=scale, seed=5
    )
    w, b, a = (p.detach().numpy() for p in (net.input_weight, net.input_bias, net.output_weight))
    size = np.linalg.norm(w, axis=1)
    if law is None:
        np.testing.assert_allclose(size, 1.0, rtol=1e-14)
    else:
        assert stats.kstest(size, law.cdf).pvalue > 0.01
        assert stats.spearmanr(size, b / size).pvalue > 0.01
    assert stats.kstest(b / size, kinks.cdf).pvalue > 0.01
    unit = w / size[:, None]
    np.testing.assert_allclose(unit.T @ unit / n, np.eye(dim) / dim, atol=0.03)
    np.testing.assert_allclose(unit.mean(axis=0), 0.0, atol=0.04)
    if scale:
        assert stats.kstest(a * np.sqrt(n) / scale, "norm").pvalue > 0.01
    else:
        assert not a.any()
    assert net.width == n
    with torch.no_grad():
        x = np.linspace(-1, 1, 2 * dim).reshape(2, dim)
        by_hand = np.maximum(x @ w.T - b, 0) @ a + float(net.output_bias)
        np.testing.assert_allclose(net(x).numpy(), by_hand, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("width", [1, 4])
def test_outputs_of_narrow_networks_have_the_deviation_of_their_width(width):
    nets = [mflib.ShallowNetwork(width, output_scale=0.7, seed=seed) for seed in range(800)]
    outputs = np.array([[*net.output_weight.tolist(), net.output_bias.item()] for net in nets])
    deviations = outputs.std(axis=0) * np.sqrt(width)
    np.testing.assert_allclose(deviations, 0.7, rtol=0.1)
    assert np.abs(np.corrcoef(outputs.T) - np.eye(width + 1)).max() < 0.15


# Flows.


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("rate", [None, 0.03])
def test_flows_of_all_options_together(place, dim, rate):
    """Repeated inputs of several dimensions, sizes of weights, outputs that are not zero."""
    law = stats.uniform(0.5, 1.0)
    net = mflib.ShallowNetwork(
        5, input_dim=dim, activation="tanh", input_weight=law, output_scale=0.6, seed=2
    )
    x = np.column_stack([X, X[::-1]])[[0, 1, 1, 2], :dim]
    y, times = np.array([0.5, -1.0, 0.4, 0.9]), np.array([3.0, 20.0])
    potential, second = CURVED["lopsided"]
    options = PLACES[place] | ({} if rate is None else {"learning_rate": rate})
    stops = times / (1 if rate is None else 5 * rate)
    with torch.no_grad():
        run = mflib.mirror_flow(
            *(net, x, y),
            **options,
            potential=potential,
            save_at=stops,
            max_time=stops[-1],
            rtol=1e-6,
            loss_target=1e-30,
        )
        exact = reference(net, torch.tensor(x), y, second, PLACES[place], times)
        for snapshot, parameters in zip(run.snapshots, exact, strict=True):
            torch.testing.assert_close(flat(snapshot), parameters, rtol=0, atol=1e-4)
        kernels = [
            (j := jacobian(at, torch.tensor(x))) / metric_of(at, net, second, PLACES[place]) @ j.T
            for at in (net, run.network)
        ]
        change = torch.linalg.norm(kernels[1] - kernels[0]) / torch.linalg.norm(kernels[0])
        moved = (flat(run.network) - flat(net)).abs().max()
        loss = ((run.network(x) - torch.tensor(y)) ** 2).mean()
    assert [run.kernel_change, run.parameter_change, run.loss] == pytest.approx(
        [float(change), float(moved), float(loss)], rel=1e-9
    )
    assert run.time == pytest.approx(stops[-1])
