"""Numbers that say something of an answer, and numbers in messages, by other means."""

import types

import numpy as np
import pytest
import torch
from scipy import stats

import mflib
from mflib import (
    activations,
    densities,
    experiments,
    functionals,
    mirror_maps,
    plotting,
    representation,
    ridges,
)
from mflib.potentials import Entropy, Hypentropy, Power, Quadratic, Regularized
from mflib.representation import Status, _dual, _solver
from mflib.representation._trajectory import _Path
from tests.problems import QUERY, UNIFORM, Cosh, Own, X, Y

TARGETS = {"one": Y, "two": np.column_stack([Y, 3.0 - Y**2])}
RIDGES = {
    "none": 0.0,
    "number": 0.02,
    "diagonal": np.linspace(0.0, 0.2, 5),
    "matrix": 0.01 * (np.exp(-np.abs(np.subtract.outer(X, X))) + 3 * np.outer(X, X)),
}


def some_neurons(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 2.0, n), rng.uniform(-1, 1, n)


def features_of(neurons, x) -> np.ndarray:
    return np.maximum(neurons[0][:, None] * x - neurons[1][:, None], 0)


@pytest.mark.parametrize("ridge", RIDGES)
@pytest.mark.parametrize("targets", TARGETS)
def test_the_certificate_of_what_was_stopped_early(monkeypatch, ridge, targets):
    """After one step; of beta asinh the divergence's conjugate is beta (cosh z - 1)."""
    monkeypatch.setattr(_solver, "_MAX_ITERATIONS", 1)
    y, beta, neurons = TARGETS[targets], 0.3, some_neurons(40)
    rep = representation.solve(
        X, y, potential=Hypentropy(beta), neurons=neurons, ridge=RIDGES[ridge]
    )
    matrix = RIDGES[ridge] if np.ndim(RIDGES[ridge]) == 2 else RIDGES[ridge] * np.eye(5)
    features, found = features_of(neurons, X), []
    for target, multipliers in zip(
        np.atleast_2d(y.T), np.atleast_2d(rep.multipliers.T), strict=True
    ):
        z, penalty = features @ multipliers, multipliers @ matrix @ multipliers
        errors = target - features.T @ (beta * np.sinh(z)) / 40 - matrix @ multipliers
        conjugate = (beta * (np.cosh(z) - 1)).mean()
        cost = (beta * z * np.sinh(z)).mean() - conjugate
        dual = multipliers @ target - conjugate - 0.5 * penalty
        found.append((cost, abs(cost + 0.5 * penalty - dual), np.abs(errors).max()))
    np.testing.assert_allclose([rep.cost, rep.gap, rep.residual], np.squeeze(np.transpose(found)))
    assert (rep.iterations, rep.status) == (len(found), Status.STALLED)
    if targets == "two":
        low, high = np.sort(rep.gap)
        assert f"(2 targets, cost={min(rep.cost):.3g}…{max(rep.cost):.3g}, " in repr(rep)
        assert f" gap={low:.3g}…{high:.3g}, " in repr(rep)


@pytest.mark.parametrize("targets", TARGETS)
def test_the_quadratic_takes_as_many_steps_as_it_says(monkeypatch, targets):
    steps, step = [], _dual.Dual.step
    monkeypatch.setattr(_dual.Dual, "step", lambda *a: steps.append(1) or step(*a))
    rep = representation.solve(X, TARGETS[targets], neurons=some_neurons(40))
    assert rep.iterations == len(steps)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("size", [1.0, 1e12])
@pytest.mark.parametrize("beta", [None, 1e3])
def test_several_targets_are_solved_if_each_is_beside_its_own_size(beta, size, order):
    """Three units meet the first target; they miss the second, which may be small beside it."""
    neurons = some_neurons(3)
    reached = size * features_of(neurons, X).T @ [1.0, -2.0, 0.5]
    potential = Quadratic() if beta is None else Hypentropy(beta * size)
    model = {"potential": potential, "neurons": neurons}
    rep = representation.solve(X, np.column_stack([reached, Y])[:, ::order], **model)
    assert rep.status is Status.STALLED
    assert rep.residual[::order][0] <= 1e-8 * size
    assert rep.residual[::order][1] > 1e-3
    assert representation.solve(X, reached, **model).status is Status.CONVERGED


def test_several_targets_have_nodes_of_their_own():
    both = np.column_stack([Y, 1e3 * np.cos(9 * X)])
    model = {"potential": Regularized(Power(4), 0.1), "activation": "abs"}
    rep, (one, other) = (
        representation.solve(X, both, **model),
        [representation.solve(X, y, **model) for y in both.T],
    )
    np.testing.assert_array_equal(rep(QUERY), np.stack([one(QUERY), other(QUERY)], axis=-1))
    np.testing.assert_array_equal(
        rep.derivative(QUERY), np.stack([one.derivative(QUERY), other.derivative(QUERY)], axis=-1)
    )
    assert rep.iterations == one.iterations + other.iterations


def test_the_error_of_a_path_is_the_sum_over_all_steps(monkeypatch):
    """Of each as a change of h at the data, here 1, 2, 3, ... billionths."""
    steps = iter(range(1, 10_000))
    taken = []
    monkeypatch.setattr(_Path, "moved", lambda *_: taken.append(1e-9 * next(steps)) or taken[-1])
    path = representation.trajectory(X, Y, [1.0, 1e3], potential=Hypentropy(0.5), rtol=1e-6)
    assert path.error == pytest.approx(sum(taken))
    assert len(taken) > 3
    assert representation.trajectory(X, Y, [1.0, 1e3]).error == 0.0


# Messages: each number is that of the one who asks.


class Broken(Cosh):
    """With one method that is not a number beyond 0.05, where the next probe is at 0.067."""

    def __init__(self, method, value):
        self.method, self.bad = method, value

    def value(self, x):
        return self._of("value", x)

    def gradient(self, x):
        return self._of("gradient", x)

    def hessian(self, x):
        return self._of("hessian", x)

    def _of(self, name, x):
        good = np.sinh(x) if name == "gradient" else np.cosh(x)
        return np.where(x > 0.05, self.bad, good) if name == self.method else good


def odd(**changed):
    """The uniform law on [-1, 1] with other methods."""
    names = (*densities._METHODS, "mean")
    return types.SimpleNamespace(**{name: getattr(UNIFORM, name) for name in names} | changed)


class Noise:
    """A function whose curvature is rough wherever one looks."""

    slopes = (0.0, 0.0)

    def __call__(self, x):
        return 0.0 * np.asarray(x)

    def curvature(self, t):
        return np.sin(1e15 * t)


def net(**options):
    return mflib.ShallowNetwork(20, **options)


def panels(shape):
    return plotting.slider(
        [0.0, 1.0, 2.0], {"y": np.zeros(shape)}, ["a", "b"], name="n", label="l", description="d"
    )


def plane(shape, start=0):
    square = np.zeros(shape)
    texts = {"name": "n", "label": "l", "description": "d"}
    return plotting.plane_slider({"t": square}, ["a", "b"], start=start, **texts)


def named(at):
    _, ax = plotting.figure()
    ax.plot([2.0, 3.0], [5.0, 7.0], label="line")
    ax.set(xlim=(1.0, 4.0), ylim=(0.0, 9.0))
    plotting.label_curves(ax, at=at)


MESSAGES = {
    "eigenvalue": (
        lambda: representation.solve([0.1, 0.2], [0, 1], ridge=[-0.25, 3.0]),
        "negative eigenvalue -0.25;",
    ),
    "ridge": (
        lambda: representation.solve([0.1, 0.2], [0, 1], ridge=np.ones((2, 3))),
        "have shape (2,) or be a symmetric matrix of shape (2, 2), got shape (2, 3)",
    ),
    "x2": (
        lambda: representation.kernel([0.1, 0.2, 0.3], [[0.1, 0.2]]),
        "got (1, 2) beside (3,).",
    ),
    "x of solutions": (
        lambda: representation.solve([0.1, 0.2], [0, 1])(np.ones((3, 4))),
        "x must have shape (k, 1) or (k,), got (3, 4).",
    ),
    "data on a side": (
        lambda: representation.solve([0.1, 2.0, 2.5, 3.0, 4.5], [0, 1, 0, 1, 0]),
        "x contains 2, 2.5, 3 on one side of all kinks, which lie between -1 and 1: h is straight "
        "there, but the targets of these 4 points",
    ),
    "unseen": (
        lambda: representation.solve([0.3, 0.1], [[2, 7], [0, 1]], neurons=([1.0], [0.2])),
        "x contains 0.1, where no unit responds: sigma(w . x - b) vanishes there for all w and b, "
        "and h with it, but the target is 1.",
    ),
    "second moment": (
        lambda: representation.solve([0.1], [1], density=odd(std=lambda: 2 * UNIFORM.std())),
        "density's second moment is missed by 7.5e-01",
    ),
    "mean": (
        lambda: representation.solve([0.1], [1], density=odd(mean=lambda: 0.5 * UNIFORM.std())),
        "density's mean is missed by 5.0e-01",
    ),
    "moments of a cost": (
        lambda: functionals.relu_cost(
            Noise(), [], potential=Quadratic(), density=odd(std=lambda: 2 * UNIFORM.std())
        ),
        "second moment is missed by 7.5e-01",
    ),
    "curvature": (
        lambda: functionals.share_curvature([1, 2e200], 0.0, 0.25, 0.75, Power(4)),
        "reaches 2e+200, where",
    ),
    "derivative": (
        lambda: net(activation=Own(lambda u: u**2, lambda u: u)),
        "its derivative is -2.3 at u = -2.3, where its values rise by -4.6;",
    ),
    "derivative on the right": (
        lambda: net(activation=Own(lambda u: u.clip(0) ** 2, lambda u: u.clip(0) * 3)),
        "its derivative is 0.0039 at u = 0.0013, where its values rise by 0.0026;",
    ),
    "activation": (
        lambda: representation.solve(
            [0.1], [1], activation=Own(lambda u: np.sqrt(0.05 - u), lambda u: u)
        ),
        "infinite or not a number at u = 0.067.",
    ),
    "slope": (lambda: activations.leaky_relu(1.5), "got 1.5."),
    "domain": (
        lambda: mirror_maps.mirror_map(
            Entropy(), np.zeros(2), scaled=False, center="initialization", width=2
        ),
        "is defined on (0, inf) only, and some initial parameters",
    ),
    "domain in solvers": (
        lambda: representation.solve([0.1], [1], potential=Entropy().at_scale(2.0)),
        "is defined on (0, inf) only, and parameters",
    ),
    "value": (
        lambda: representation.solve([0.1], [1], potential=Broken("value", np.nan)),
        "value is not finite at x = 0.067;",
    ),
    "gradient": (
        lambda: representation.solve([0.1], [1], potential=Broken("gradient", np.nan)),
        "gradient is not finite at x = 0.067;",
    ),
    "hessian": (
        lambda: representation.solve([0.1], [1], potential=Broken("hessian", -1.0)),
        "hessian is negative or not a number at x = 0.067;",
    ),
    "mass": (
        lambda: densities.of(lambda t: 0.5 + 0 * t, support=(-1, 3)),
        "integrates to 2 over its support (-1, 3);",
    ),
    "narrow part": (
        lambda: densities.of(
            stats.Mixture([stats.Normal(mu=1e6, sigma=1e-7), stats.Normal()], weights=[0.5, 0.5])
        ),
        "with a part of width 1e-07 at 1e+06,",
    ),
    "size of a density": (
        lambda: densities.of(stats.norm(2e120, 1e101)),
        "median 2e+120 and standard deviation 1e+101,",
    ),
    "pdf": (
        lambda: densities.of(odd(pdf=lambda t: t.round(1), std=lambda: 2.0, median=lambda: 1.0)),
        "around the median it is [-0.4, 1.2, 2.2];",
    ),
    "law": (
        lambda: net(input_weight=stats.uniform(-1, 3)),
        "begins at -1 and its 0.9 quantile is 1.7;",
    ),
    "kde": (
        lambda: densities.of(stats.gaussian_kde(np.random.default_rng(0).normal(size=(3, 10)))),
        "a gaussian_kde of 3 variables;",
    ),
    "bend": (
        lambda: densities.bend([0, 1, 2, 4], [0, 0, 1, 1], 1.5),
        "got floor 1.5 and turns [1.0, 1.0].",
    ),
    "directions": (
        lambda: ridges.stretched(np.ones((5, 2)), [1, 2, 3]),
        "got shape (5, 2) and [1.0, 2.0, 3.0].",
    ),
    "points of a kernel": (
        lambda: ridges.cubic_kernel(np.ones((5, 2)), np.ones((4, 3)), reach=9.0),
        "got (5, 2) and (4, 3).",
    ),
    "inputs": (lambda: net(input_dim=2)(np.ones((5, 3))), "have shape (m, 2), got (5, 3);"),
    "layer": (
        lambda: net(input_dim=3, density=densities.normal_layer(2.0, 0.5)),
        "density normal_layer(2, 0.5) serves one input, got input_dim=3.",
    ),
    "inputs of the flow": (
        lambda: mflib.mirror_flow(net(input_dim=2), np.ones((4, 3)), np.ones(4)),
        "x has 3 inputs per data point and net takes 2;",
    ),
    "save_at": (
        lambda: mflib.mirror_flow(net(), [0.1], [1.0], max_time=5.0, save_at=[1.0, 7.0]),
        "between 0 and max_time = 5, got [1.0, 7.0].",
    ),
    "claims": (
        lambda: experiments.Evidence("identity").claim("a", [1.0, 2.0], [1.0, 2.0, 3.0]),
        "got (2,) and (3,).",
    ),
    "units": (
        lambda: experiments.sampling_law([-0.5, 0.1, 0.6], [0, 1, 0], units=2, draws=2),
        "units=2 units span 2 of the 3 dimensions",
    ),
    "value at one": (
        lambda: experiments.lazy_limit(net(activation="tanh"), [0.1], [1.0]),
        "and tanh has 0.761594: set",
    ),
    "measurements": (
        lambda: experiments.exponent_interval([1, 1, 9], [1.0, 2.0, 3.0]),
        "got {1.0: 2, 9.0: 1} measurements.",
    ),
    "interval": (
        lambda: experiments.risk(np.sin, np.cos, [0.0], interval=(2.0, 1.0)),
        "got (2.0, 1.0).",
    ),
    "frames": (
        lambda: panels((2, 4)),
        "has shape (2, 4), but 2 values and 3 abscissae need (2, 3).",
    ),
    "curves of a plane": (lambda: plane((3, 4, 2)), "has shape (3, 4, 2), but needs (2, N, 2)."),
    "start": (lambda: plane((2, 4, 2), start=2), "start must be between 0 and 1, got 2."),
    "abscissa": (lambda: named(5.5), "seen at 5.5; the limits are (1, 4)."),
    "points": (
        lambda: plotting.points(plotting.figure()[1], [1, 2, 3], [4, 5]),
        "got (3,) and (2,).",
    ),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_numbers_in_messages_are_those_of_the_case(case):
    call, words = MESSAGES[case]
    with pytest.raises((ValueError, TypeError)) as caught, torch.no_grad():
        call()
    assert words in str(caught.value)
    plotting._style.plt.close("all")


def test_panels_that_stay_rough_are_counted():
    with pytest.raises(ValueError, match=r"still rough on (\d+) of \1 panels"):
        functionals.relu_cost(Noise(), [], potential=Quadratic(), density=UNIFORM)


def test_a_trial_hands_every_option_on():
    network = {
        "density": stats.norm(0.2, 0.6),
        "input_weight": stats.halfnorm(scale=1.5),
        "output_scale": 0.5,
    }
    flow, grid = {"potential": Hypentropy(0.3), "scaled": True}, np.linspace(-0.5, 2.0, 7)
    row = experiments.trial(60, 3, x=X, y=Y, limit=np.sin, grid=grid, **network, **flow)
    net = mflib.ShallowNetwork(60, seed=3, **network)
    run = mflib.mirror_flow(net, X, Y, **flow)
    with torch.no_grad():
        change = (run.network(grid) - net(grid)).numpy()
    assert row["error"] == pytest.approx(np.abs(change - np.sin(grid)).max(), rel=1e-9)
    assert [row["loss"], row["steps"]] == [run.loss, run.steps]


def test_an_interval_is_of_as_many_resamples_as_asked_for(monkeypatch):
    drawn, bootstrap = [], stats.bootstrap
    monkeypatch.setattr(stats, "bootstrap", lambda *a, **o: drawn.append(o) or bootstrap(*a, **o))
    n, y = [1, 1, 1, 9, 9, 9], [8.0, 10.0, 11.0, 2.9, 3.1, 2.2]
    one, other = (experiments.exponent_interval(n, y, resamples=77, seed=seed) for seed in (1, 2))
    assert {o["n_resamples"] for o in drawn} == {77, 0}
    assert one != other
    assert one == experiments.exponent_interval(n, y, resamples=77, seed=1)


@pytest.mark.parametrize("option", ["size", "fontsize"])
@pytest.mark.parametrize("at", [None, 0.5])
def test_names_stand_apart_by_the_size_of_their_type_at_any_resolution(at, option):
    _, ax = plotting.figure(dpi=60)
    ax.plot([0.0, 1.0], [[0.0, 0.0], [1.0, 1.01]], label=["one", "other"])
    plotting.label_curves(ax, at=at, **{option: 20})
    ends = [ax.transData.transform(text.xy)[1] * 72 / 60 for text in ax.texts]
    heights = [end + text.xyann[1] for end, text in zip(ends, ax.texts, strict=True)]
    assert heights[1] - heights[0] == pytest.approx(1.25 * 20)
    assert np.mean(heights) - np.mean(ends) == pytest.approx(0.0 if at is None else 2.0)
    plotting._style.plt.close("all")
