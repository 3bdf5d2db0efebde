"""Proved bounds: they hold against independent answers, and every planted fault breaks one."""

import builtins
import math
import runpy
import subprocess
import sys

import numpy as np
import pytest
from flint import arb, ctx
from scipy import stats

from mflib import _flint, activations, densities, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized, Rescaled
from mflib.variational import _ball_field, _ball_potentials, _proof
from mflib.variational._ball_densities import ball_density
from mflib.variational._ball_potentials import ball_potential
from tests.problems import LIMITS, Lopsided, X, Y

UNIFORM = stats.uniform(-1, 2)
POTENTIALS = [
    Quadratic(),
    Power(2),
    Regularized(Power(2.5), 0.4),
    Regularized(Power(3), 1),
    Regularized(Power(4), 0.3).at_scale(3.0),
    Rescaled(Rescaled(Regularized(Power(4), 0.3), 2.0), 1.5),
    Regularized(Hypentropy(0.2), 0.7),
]
DENSITIES = [
    UNIFORM,
    stats.uniform(-1.2, 2.9),
    stats.norm(0.1, 0.6),
    stats.truncnorm(-1.5, 2.5, loc=-0.1, scale=0.8),
    stats.truncnorm(-np.inf, 1.4, loc=0.1, scale=0.8),
    stats.Uniform(a=-1.0, b=1.5),
    stats.Normal(mu=0.1, sigma=0.7),
]


def outside(proved, x, values) -> float:
    """By how much values leave their enclosures, in units of the largest."""
    low, high = proved(x)
    return float(np.maximum(low - values, values - high).max() / np.abs(values).max())


@pytest.mark.parametrize("problem", LIMITS, ids=lambda p: p.name)
def test_stored_limits_lie_in_their_enclosures(problem):
    h = variational.solve(problem.x, problem.y, **problem.model)
    proved = h.certify()
    assert 0 < proved.bound <= 1e-11 * np.abs(problem.y).max()
    assert outside(proved, problem.query, problem.h) <= 1e-12  # they have twelve digits
    assert outside(proved, problem.query, h(problem.query)) <= 1e-13
    assert proved.cost[0] * (1 - 1e-11) <= problem.cost <= proved.cost[1] * (1 + 1e-11)
    assert proved.cost[1] - proved.cost[0] <= 1e-10 * proved.cost[0]


@pytest.mark.parametrize("activation", ["abs", "relu", activations.leaky_relu(0.3)])
@pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
def test_the_other_solver_agrees(potential, activation):
    density = DENSITIES[POTENTIALS.index(potential) % 2]
    model = {"activation": activation, "potential": potential, "density": density}
    proved = variational.solve(X, Y, **model).certify()
    other = representation.solve(X, Y, **model)
    t = np.linspace(-0.7, 0.9, 5)
    assert proved.bound <= 1e-9
    assert outside(proved, t, other(t)) <= 1e-8
    assert abs(other.cost - proved.cost[0]) <= 1e-8 * proved.cost[0]


@pytest.mark.parametrize(
    "density",
    DENSITIES,
    ids=lambda d: (
        getattr(getattr(d, "dist", d), "name", type(d).__name__) + str(getattr(d, "args", ""))
    ),
)
def test_densities(density):
    phi = Regularized(Power(3), 0.5)
    given = densities.of(density)
    h = variational.solve(X, Y, potential=phi, density=given)
    proved = h.certify()
    t = np.linspace(-0.7, 0.9, 5)
    assert proved.bound <= 1e-10 and outside(proved, t, h(t)) <= 1e-12
    low, middle, high = max(-1.0, given.support()[0]), 0.2, min(1.3, given.support()[1])
    with _proof.precision(128):
        balls = ball_density(given, 128)
        found = [float(v) for v in balls.moments(arb(low), arb(high))]
        assert float(balls.pdf(arb(middle))) == pytest.approx(float(given.pdf(middle)), rel=1e-13)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    b = low + (high - low) * (nodes + 1) / 2
    p = given.pdf(b) * weights * (high - low) / 2
    assert found == pytest.approx([p.sum(), p @ b, p @ b**2], rel=1e-12)


@pytest.mark.parametrize("activation", ["abs", "relu"])
def test_one_datum_has_a_closed_form(activation):
    """For |u| and x^2: h(x) = y K(x, x_1) / K(x_1, x_1), K = E[|wx - b||wx_1 - b|]."""
    proved = variational.solve([0.25], [3.0], activation=activation).certify((-1.0, 1.0))
    share = 1 if activation == "abs" else 0.5  # of u^2, on average over both orientations
    cost = 9 / (share * (0.25**2 + 1 / 3))
    assert proved.cost == pytest.approx((cost, cost), rel=1e-14)
    h = variational.solve([0.25], [3.0], activation=activation)
    assert 0 < h.certify().bound <= proved.bound < 1e-14
    assert proved.interval == (-1.0, 1.0) and h.certify().interval == (0.25, 0.25)


@pytest.mark.parametrize("potential", POTENTIALS[::2], ids=repr)
def test_nothing_to_learn_is_learned_exactly(potential):
    proved = variational.solve(X, 0 * Y, potential=potential).certify()
    assert proved.bound == proved.slope == 0 and proved.cost == (0, 0)
    assert np.array_equal(proved(X), np.zeros((2, 5)))


@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)], ids=repr)
def test_fields_that_vanish_on_an_interval(potential):
    """Data of |x - t| for one t: the field is zero beyond."""
    x = np.array([-0.5, 0.0, 0.5])
    h = variational.solve(x, [1.0, 0.0, -1.0], potential=potential)
    proved = h.certify((-1.0, 1.0))
    t = np.linspace(-1, 1, 9)
    assert proved.bound < 1e-12 and outside(proved, t, h(t)) <= 1e-14


@pytest.mark.parametrize("gap", [1e-3, 1e-6, 1e-9])
def test_points_that_nearly_coincide(gap):
    x = np.array([-0.4, 0.1, 0.1 + gap, 0.7])
    y = np.array([1.0, 0.3, 0.3 + gap, -0.5])
    h = variational.solve(x, y, activation="abs", potential=Regularized(Power(3), 1))
    proved = h.certify()
    assert proved.bound <= 1e-15 / gap + 1e-12
    t = np.linspace(-0.4, 0.7, 9)
    assert outside(proved, t, h(t)) <= 1e-13


@pytest.mark.parametrize("ridge", [0.05, np.array([0.0, 0.1, 0.3, 0.0, 0.02]), 1e-9])
def test_a_ridge(ridge):
    model = {"activation": "abs", "potential": Regularized(Power(3), 0.5), "ridge": ridge}
    h = variational.solve(X, Y, **model)
    proved = h.certify()
    t = np.linspace(-0.7, 0.9, 5)
    assert proved.bound <= 1e-7 and outside(proved, t, h(t)) <= 1e-12
    assert proved.cost[0] - 1e-9 <= h.cost <= proved.cost[1] + 1e-9


def test_repeated_inputs_count_as_one():
    x, y = np.append(X, X[:2]), np.append(Y, [0.5, 0.1])
    ridge = np.array([0.1, 0.0, 0.1, 0.1, 0.1, 0.3, 0.2])
    both = [variational.solve(x, y, ridge=ridge).certify()]
    mean = (Y[0] / 0.1 + 0.5 / 0.3) / (1 / 0.1 + 1 / 0.3)
    single = np.append(1 / (1 / 0.1 + 1 / 0.3), ridge[1:5])
    both.append(variational.solve(X, np.append(mean, Y[1:]), ridge=single).certify())
    low, high = both[0](X)
    assert np.abs(low - both[1](X)[0]).max() < 1e-7 and np.all(low <= high)


def test_several_targets():
    found = variational.solve(X, np.stack([Y, Y[::-1]], axis=1)).certify()
    assert len(found) == 2
    assert found[1].cost == variational.solve(X, Y[::-1]).certify().cost or (
        found[1].cost == pytest.approx(variational.solve(X, Y[::-1]).cost, rel=1e-12)
    )


def perturbed(h, scale: float, rng):
    """The problem of a solution, with coefficients that are off by a relative error."""
    stored = _proof.Problem(h._data, h._dual, h._point.at.xi, h._point.multipliers)
    noise = 1 + scale * rng.standard_normal((2, len(stored.xi)))
    return _proof.Problem(h._data, h._dual, stored.xi * noise[0], stored.multipliers * noise[1])


def shortfall(h, problem, t) -> float:
    """The largest distance from the minimiser, in units of what was proved."""
    proved = _proof.certify(problem, (float(t[0]), float(t[-1])))
    with _proof.precision(128):
        field = _ball_field.Field(problem.model(128), problem.exact_multipliers())
        wrong = np.array([float(field.value(arb(float(s)))) for s in t])
    return float(np.abs(wrong - h(t)).max() / proved.bound)


CASES = [
    {"activation": "abs"},
    {"activation": "relu", "potential": Regularized(Power(4), 1)},
    {"activation": "abs", "potential": Regularized(Hypentropy(0.5), 1)},
    {"activation": "relu", "potential": Regularized(Power(3), 0.2), "ridge": 0.01},
]


@pytest.mark.parametrize("scale", [1e-8, 1e-5])
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_perturbed_multipliers_never_get_too_small_a_bound(case, scale):
    h, rng = variational.solve(X, Y, **case), np.random.default_rng(0)
    t = np.linspace(-0.71, 0.94, 9)
    tries = 9 if "potential" in case else 24  # in all, more than a hundred
    ratios = [shortfall(h, perturbed(h, scale, rng), t) for _ in range(tries)]
    assert max(ratios) <= 1 and min(ratios) > 1e-4


FAR = np.linspace(-8, 8, 5)


def one_datum(**model):
    """One datum seen from far, where the bound is nearly as small as can be."""
    h = variational.solve([0.1], [1.0], activation="abs", **model)
    return shortfall(h, perturbed(h, 1e-6, np.random.default_rng(1)), FAR)


def test_the_bound_is_nearly_sharp_for_one_datum():
    assert 0.3 < one_datum() <= 1
    assert 0.1 < one_datum(potential=Regularized(Power(3), 1)) <= 1


@pytest.mark.parametrize("fault", ["convexity", "correction", "data", "radius"])
def test_a_constant_wrong_by_ten_is_caught(monkeypatch, fault):
    """Each part of the bound, made smaller, gives a bound that a perturbation exceeds."""
    if fault == "convexity":  # D >= 10 g/2 (u - v)^2
        fine = _ball_potentials.BallPotential.convexity
        assert convexity_holds(Quadratic(), fine)
        assert not convexity_holds(Quadratic(), lambda phi, u: 10 * fine(phi, u))
        return
    if fault == "correction":
        slope = _proof.Proof.slope.func
        monkeypatch.setattr(_proof.Proof, "slope", property(lambda p: slope(p) / 10))
    elif fault == "data":
        monkeypatch.setattr(_proof.Proof, "slope", property(lambda p: arb(0)))
    else:  # the distance from the data
        monkeypatch.setattr(_proof.Proof, "radius", lambda p, low, high: arb(0))
    assert one_datum() > 1


@pytest.mark.parametrize("ends", [(-1.0, 1.0), (-0.7, 0.9), (0.15, 0.2), (-3.0, 0.0)])
@pytest.mark.parametrize("x", [[0.1], [-0.4, 0.8], [-0.7, 0.0, 0.1, 0.9], [-0.7, 0.5, 0.6, 0.7]])
def test_no_point_is_farther_from_the_data_than_the_radius(x, ends):
    """Wherever the widest gap is: in the middle of the data, at their ends or beyond."""
    proof = variational.solve(x, np.ones(len(x))).certify()._proof
    t = np.linspace(*ends, 2001)
    farthest = np.abs(t[:, None] - x).min(axis=1).max()
    assert farthest <= float(proof.radius(*map(arb, ends))) + 1e-15 <= farthest + 2e-3


@pytest.mark.parametrize("ridge", [0.0, 0.2])
def test_the_bound_of_one_datum_by_hand(ridge):
    """Multipliers off by a thousandth, with K = E |w x - b|^2 / 2: all is a formula."""
    x, y = 0.25, 3.0
    h, K = variational.solve([x], [y], activation="abs", ridge=ridge), (x**2 + 1 / 3) / 2
    exact = y / (K + ridge)
    stored = _proof.Problem(h._data, h._dual, 1.001 * h._point.at.xi, 1.001 * h.multipliers)
    proved, wide = (_proof.certify(stored, (x, end)) for end in (x, x + 2))
    # the correction changes h by K d, and the objective by no more than (K + R) d^2 / 2
    d = 1e-3 * exact
    assert proved.bound == pytest.approx(d * (K + np.sqrt(ridge * (K + ridge))), rel=0.02)
    assert proved.bound >= d * K * (1 - 1e-12)
    assert wide.bound - proved.bound == pytest.approx(2 * proved.slope, rel=1e-12)
    # and slopes by the correction, and as much as this objective leaves, each by Cauchy-Schwarz
    slope = d * (np.sqrt(K / 2) + np.sqrt((K + ridge) / 2))  # 1/phi'' = 1/2
    assert proved.slope == pytest.approx(slope, rel=0.02)
    best, low, high = K * exact**2 / 2, *proved.cost
    gap = (K + ridge) * d**2 / 2
    loose = 2 * np.sqrt(2 * gap * ridge) * exact  # of what the ridge takes
    assert best - 1.001 * gap - 1.1 * loose <= low <= best * (1 + 1e-12)
    assert best * (1 - 1e-12) <= high <= best + 0.02 * gap + 1.1 * loose
    if not ridge:
        assert low == pytest.approx(best - gap, rel=1e-10)
    else:
        assert high - low > 0.5 * loose


def test_at_a_datum_the_nearest_tells():
    """Bounds are as narrow at each of the data as over them alone."""
    h = variational.solve(X, Y, activation="abs", potential=Regularized(Power(3), 1))
    stored = perturbed(h, 1e-5, np.random.default_rng(0))
    proved = _proof.certify(stored, (X[0], X[0]))
    low, high = proved(np.append(X, X + 0.01).reshape(2, 5))
    assert low.shape == (2, 5)
    most = 2 * proved.bound + np.array([[0.0], [0.02]]) * proved.slope
    assert (high - low <= most * (1 + 1e-6) + 1e-14).all()
    assert (high - low)[0].max() == pytest.approx(2 * proved.bound, rel=1e-6)


def test_an_enclosure_says_what_it_is_about():
    model = {"activation": activations.leaky_relu(0.3), "potential": POTENTIALS[5]}
    each = variational.solve(X, np.stack([Y, Y[::-1]], axis=1), density=DENSITIES[2], **model)
    for h, proved in zip(each, each.certify((-0.3, 0.2)), strict=True):
        alone = h.certify((-0.3, 0.2))
        assert proved.interval == alone.interval == (-0.3, 0.2)
        assert (proved.bound, proved.cost) == (alone.bound, alone.cost)
        low, high = proved.cost
        assert repr(proved) == f"Enclosure(bound={alone.bound:.2g}, cost=({low!r}, {high!r}))"
        assert low < high and f"{alone.bound:.2g}" != f"{alone.slope:.2g}"
        said = " ".join(proved.assumptions)
        for words in ("s = 0.3", repr(POTENTIALS[5]), "norm", "0.1", "0.6"):
            assert words in said


def convexity_holds(given, convexity) -> bool:
    """D_F(u, v) >= g (u - v)^2 / 2, at many points."""
    u, v = (a.ravel() for a in np.meshgrid(np.linspace(0, 4, 41), np.linspace(-6, 6, 121)))
    with _proof.precision(128):
        phi = ball_potential(given)
        g = np.array([float(convexity(phi, arb(float(a)))) for a in np.linspace(0, 4, 41)])
    g = np.interp(u, np.linspace(0, 4, 41), g)
    scale = float(phi.scale)
    gap = given.bregman(scale * u, scale * v) - 0.5 * g * (u - v) ** 2
    return bool((gap >= -1e-12 * (1 + np.abs(gap))).all())


@pytest.mark.parametrize("given", [*POTENTIALS, Regularized(Power(7.3), 0.01)], ids=repr)
def test_curvatures_are_bounded(given):
    """What the proof says of F, tried at many points."""
    assert convexity_holds(given, lambda phi, u: phi.convexity(u))
    u = np.linspace(0.0, 4, 41)
    with _proof.precision(128):
        phi = ball_potential(given)
        scale = float(phi.scale)
        bend = [float(phi.bend(arb(float(a)))) for a in u]
        assert bend == pytest.approx(scale**2 * given.hessian(scale * u), rel=1e-12)
        assert min(bend) >= float(phi.least_bend) * (1 - 1e-12)
        assert max(bend[3:9]) <= float(phi.largest_bend(arb(0.3), arb(0.8))) * (1 + 1e-12)
        for a in (0.03, 1.7):
            curve = phi.curve(phi.parameter(arb(a)))
            wanted = given.bregman(np.array([scale * a]), np.zeros(1))[0]
            assert float(curve.value) == pytest.approx(wanted, rel=1e-10)
            assert float(curve.slope) == pytest.approx(float(phi.slope(arb(a))), rel=1e-12)
            assert phi.inverse(phi.slope(arb(a))).overlaps(arb(a))


@pytest.mark.parametrize("given", [p for p in POTENTIALS if p != Power(2)], ids=repr)
def test_closed_forms_are_the_quadrature(given):
    with _proof.precision(128):
        phi, start, stop = ball_potential(given), arb(0.2), arb(2.1)

        def by_quadrature(weight):
            def integrand(s, _):
                curve = phi.curve(s)
                return weight(curve) * curve.rise

            return _ball_field.integrate(integrand, phi.parameter(start), phi.parameter(stop))

        closed = [a - b for a, b in zip(phi.primitives(stop), phi.primitives(start), strict=True)]
        weights = (lambda c: c.u, lambda c: c.u * c.slope, lambda c: c.value)
        for form, weight in zip(closed, weights, strict=True):
            assert form.overlaps(by_quadrature(weight)) and form.rad() < 1e-20


def test_floats_are_rounded_outwards(monkeypatch):
    with _proof.precision(128):
        above, below = 1 + arb(2) ** -60, 1 - arb(2) ** -60
        assert _proof.upward(above) > 1 > _proof.downward(below)
        assert _proof.upward(arb(1)) == _proof.downward(arb(1)) == 1
        assert _proof.upward(arb("nan")) == math.inf == -_proof.downward(arb("nan"))
        assert float(above) == 1  # to nearest: what a planted `float` would say


def test_the_radius_of_an_inverse_is_needed(monkeypatch):
    """Wherever Newton ends: here, from a start that is off by 1e-10, without a step."""
    given = Regularized(Power(3), 1)
    with _proof.precision(128):
        phi = ball_potential(given)
        near = arb(1.3) + arb(1e-10)
        miss = phi.slope(near) - phi.slope(arb(1.3))
        assert phi.around(near, miss).contains(arb(1.3))
        monkeypatch.setattr(_ball_potentials, "zero_within", lambda radius: arb(0))
        assert not phi.around(near, miss).contains(arb(1.3))


def test_a_ball_end_has_its_length():
    """An integral between balls holds those between all their points."""
    with _proof.precision(128):
        wide = _ball_field.integrate(lambda s, _: 2 * s, arb(1, 1e-3), arb(2))
        assert wide.contains(4 - arb(1.0005) ** 2) and wide.contains(4 - arb(0.9995) ** 2)


def test_undecided_comparisons_ask_for_bits():
    with _proof.precision(64):
        wide = arb(0.5, 1e-3)
        assert _ball_field.is_less(arb(0), wide) and not _ball_field.is_less(wide, arb(0))
        with pytest.raises(_ball_field.Undecided):
            _ball_field.is_less(wide, arb(0.5))
        with pytest.raises(_ball_field.Undecided):
            _ball_field._at_least(arb(0.5), arb(0.9, 0.6))
        assert _ball_field._at_least(arb(0.5), arb(0.6, 0.2)) == arb(0.5)


def test_the_precision_is_put_back():
    before = ctx.prec
    variational.solve(X, Y).certify()(0.3)
    assert ctx.prec == before


def test_what_has_no_enclosure_is_refused_by_name():
    cases = [
        (NotImplementedError, "potential Lopsided", {"potential": Lopsided()}),
        (NotImplementedError, "Hypentropy.* omega", {"potential": Hypentropy(0.5)}),
        (NotImplementedError, "density .*norm.uniform", {"density": stats.t(4)}),
        (NotImplementedError, "density is a layer", {"density": densities.normal_layer()}),
    ]
    for error, message, model in cases:
        with pytest.raises(error, match=message.replace("norm.uniform", "stats.uniform")):
            variational.solve(X, Y, **model).certify()
    h = variational.solve(X, Y)
    for interval in ([0.0], [1.0, 0.0], [0.0, np.nan]):
        with pytest.raises(ValueError, match="interval"):
            h.certify(interval)


def test_nan_and_infinity_prove_nothing(monkeypatch):
    h = variational.solve(X, Y)
    object.__setattr__(
        h, "_point", h._point.__class__(**{**vars(h._point), "multipliers": Y * np.nan})
    )
    with pytest.raises(ValueError, match="not finite"):
        h.certify()
    monkeypatch.setattr(_proof.Proof, "bound", lambda proof, interval: arb("nan"))
    with pytest.raises(ValueError, match="could not be enclosed with 1024 bits"):
        variational.solve(X, Y).certify()


def test_repr_is_short():
    proved = variational.solve([0.2, 0.6], [1.0, 2.0]).certify()
    assert repr(proved).startswith("Enclosure(bound=") and len(repr(proved)) < 100
    assert any("stored multipliers" in line for line in proved.assumptions)


@pytest.mark.parametrize("missing", ["flint", "other"])
def test_only_a_missing_flint_is_explained(monkeypatch, missing):
    real = builtins.__import__

    def without(name, *rest):
        if name == "flint":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError) as caught:
        runpy.run_path(_flint.__file__)
    assert ("mflib[certify]" in str(caught.value)) == (missing == "flint")


def test_importing_mflib_loads_no_flint():
    code = "import sys; from mflib import variational; variational.solve([0.1], [1.0]); "
    code += "print('flint' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_targets_of_ones_own():
    """The bound is that for the other targets' minimiser; of another shape they are refused."""
    h, other = (variational.solve(X, y) for y in (Y, 1.001 * Y))
    t = np.linspace(-0.7, 0.9, 9)
    proved = h.certify(targets=1.001 * Y)
    assert np.abs(h(t) - other(t)).max() <= proved.bound <= 0.1
    assert outside(proved, t, other(t)) <= 0
    with pytest.raises(ValueError, match="targets must have shape"):
        h.certify(targets=Y[:2])
