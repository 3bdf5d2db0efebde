"""Sliding along kinks against projections by autograd, brute force and descent in small steps."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats

import mflib
from mflib import FlowStatus, MirrorDescent, datasets, experiments
from mflib.flow import _steps
from mflib.flow._linearization import Kinks, Linearization
from mflib.flow._sliding import Sliding
from mflib.potentials import Power, Quadratic, Regularized
from tests.flows import CURVED, PLACES, flat, jacobian, sliding_of
from tests.problems import UNSCALED


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


NARROW = {
    "relu, x^2": (20, 0, "relu", "x^2"),
    "relu, x^3": (20, 2, "relu", "(|x|^3 + x^2)/2"),
    "relu, x^4": (20, 1, "relu", "(|x|^4 + x^2)/2"),
    "abs, scaled x^3": (20, 2, "abs", "(|x|^3 + x^2)/2"),
    "abs, scaled x^4": (20, 0, "abs", "(|x|^4 + x^2)/2"),
}
every_narrow = pytest.mark.parametrize("case", NARROW.values(), ids=NARROW.keys())


def figure_setting(activation):
    scaled = activation == "abs"
    return scaled, *(datasets.figure2() if scaled else datasets.figure1())


def sliding_state(case, least: int = 2) -> tuple[Sliding, Linearization]:
    """Run until the flow slides along some kinks."""
    n, seed, activation, potential = case
    scaled, x, y = figure_setting(activation)
    net = mflib.ShallowNetwork(n, activation=activation, seed=seed)
    sliding = sliding_of(net, x, y, UNSCALED[potential], {"scaled": scaled})
    at = sliding.flow.start
    for step in np.geomspace(1, 6000, 40):
        at, error = _steps.midpoint_step(sliding, at, step)
        assert error < math.inf
        if len(at.held.units) >= least:
            return sliding, at
    raise AssertionError("nothing slides")


@every_narrow
def test_held_kinks_project_the_jacobian(case):
    """K and J^T v are those of J by autograd, projected so that C M^-1 J^T vanishes."""
    sliding, at = sliding_state(case)
    flow = sliding.flow
    net, x = flow.network(at), flow.x
    phi, scale = flow.mirror.potential, flow.mirror.scale
    metric = phi.hessian(scale * (flat(net) - flat(flow.network(flow.start))))
    order = torch.cat([p.reshape(-1) for p in net.parameters()])
    assert order.shape == metric.shape
    j = jacobian(net, x)
    n, c = net.width, []
    for point, unit in zip(*(part.tolist() for part in at.held), strict=True):
        row = torch.zeros_like(metric)
        row[unit], row[n + unit] = x[point, 0], -1.0  # by w and b, the first parameters
        c.append(row)
        assert abs(net.preactivation(x)[point, unit]) < 1e-7
    c = torch.stack(c)
    reaction = torch.linalg.pinv(c / metric @ c.T) @ (c / metric @ j.T)
    projected = j - reaction.T @ c
    torch.testing.assert_close(at.kernel, projected / metric @ projected.T, rtol=1e-9, atol=1e-10)
    v = torch.linspace(-1, 0.5, len(x), dtype=torch.float64)
    pulled = flow.pull_back(at, v)
    a, b, w, d = pulled[0, :-1], pulled[1, :-1], pulled[2:, :-1], pulled[0, -1:]
    pulled = torch.cat([w.T.reshape(-1), b, a, d])
    torch.testing.assert_close(pulled, v @ projected, rtol=1e-9, atol=1e-11)


def test_steps_along_kinks_have_an_error_of_third_order():
    """Once the step is below the fastest time scale; beyond it fast directions have died out."""
    sliding, at = sliding_state((100, 0, "abs", "(|x|^4 + x^2)/2"), least=3)
    steps = 0.5 / at.decay.fastest() * 2.0 ** -np.arange(4)
    errors = [_steps.midpoint_step(sliding, at, step)[1] for step in steps]
    assert experiments.fit_exponent(steps, errors).exponent == pytest.approx(3, abs=0.1)


def descended(net, x, y, potential, scaled, time: float, step: float):
    """The network after so much time of mirror descent in small steps."""
    net = copy.deepcopy(net)
    rate = 0.5 * step / net.width  # the loss below is not halved
    optimizer = MirrorDescent(net.parameters(), rate, potential=potential, scaled=scaled)
    inputs, targets = torch.as_tensor(x), torch.as_tensor(y)
    with torch.enable_grad():
        for _ in range(round(time / step)):
            optimizer.zero_grad()
            ((net(inputs) - targets) ** 2).mean().backward()
            optimizer.step()
    return net


@every_narrow
def test_narrow_networks_follow_descent_in_small_steps(case):
    """An independent answer: descent with a step of 2 is within 1e-4 of its limit here."""
    n, seed, activation, potential = case
    scaled, x, y = figure_setting(activation)
    net = mflib.ShallowNetwork(n, activation=activation, seed=seed)
    time, errors = 4000.0, []
    slow = descended(net, x, y, UNSCALED[potential], scaled, time, step=2.0)
    assert experiments.distance(slow, net) > 0.1
    for rtol in (1e-3, 1e-4):
        run = mflib.mirror_flow(
            *(net, x, y),
            potential=UNSCALED[potential],
            scaled=scaled,
            rtol=rtol,
            max_time=time,
            loss_target=1e-30,
        )
        assert run.status is FlowStatus.MAX_TIME
        errors.append(experiments.distance(run.network, slow))
    assert errors[0] < 1e-2
    assert errors[1] < 1e-3


@pytest.mark.parametrize("width", [20, 60, 100])
@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("potential", UNSCALED.values(), ids=UNSCALED.keys())
def test_narrow_networks_take_few_steps(width, activation, potential):
    """Stepping over the kinks instead of along them takes 200 to 8000 steps at width 20."""
    scaled, x, y = figure_setting(activation)
    for seed in range(3):
        net = mflib.ShallowNetwork(width, activation=activation, seed=seed)
        run = mflib.mirror_flow(net, x, y, potential=potential, scaled=scaled)
        assert run.status is FlowStatus.CONVERGED
        assert run.steps <= (35 if scaled else 28)


@pytest.mark.parametrize(("activation", "left"), [("relu", 0.0), ("abs", -1.0)])
def test_a_kink_is_held_where_both_velocities_point_to_it(activation, left):
    """One unit at the kink of two equal inputs: the velocities of both sides by brute force."""
    rng, outcomes = np.random.default_rng(2), []
    for _ in range(200):
        x, v, (a, w) = rng.normal(size=4), rng.normal(size=4), rng.normal(size=2)
        x[3] = x[0]
        u = w * x - w * x[0]
        net = mflib.ShallowNetwork(1, activation=activation)
        net.output_weight[:], net.input_weight[:], net.input_bias[:] = a, w, w * x[0]
        sliding = sliding_of(net, x, np.zeros(4), CURVED["power 4"][0], PLACES["origin"])
        kink = Kinks(torch.tensor([0]), torch.tensor([0]))
        at = sliding.hold(sliding.flow.start, kink, 1, torch.tensor(v))
        speeds = []
        for slope in (left, 1.0):
            force = a * v * np.where(u == 0, slope, np.where(u > 0, 1.0, left))
            by_weight, by_bias = x[0] * (force @ x), force.sum()
            speeds.append(-by_weight / (6 * w**2 + 1) - by_bias / (6 * (w * x[0]) ** 2 + 1))
        if min(map(abs, speeds)) < 1e-12:
            continue  # at rest on one side: either is right
        if speeds[0] > 0 > speeds[1]:
            outcomes.append("held")
            assert len(at.held.units) == 1
        else:
            assert len(at.held.units) == 0
        if min(speeds) > 0:
            outcomes.append("right")
            assert at.positive[[0, 3], 0].all()
        if max(speeds) < 0:
            outcomes.append("left")
            assert not at.positive[[0, 3], 0].any()
    assert min(outcomes.count(which) for which in ("held", "right", "left")) > 10


def test_kinks_that_meet_at_repeated_inputs_are_held_once():
    x, y = datasets.figure1()
    net, spread = mflib.ShallowNetwork(20, seed=0), 0.02 * (-1.0) ** np.arange(5)
    doubled = np.concatenate([x, x]), np.concatenate([y + spread, y - spread])
    both = [sliding_of(net, *data, Quadratic(), {}) for data in ((x, y), doubled)]
    once, twice = (sliding.flow.start for sliding in both)
    for step in np.geomspace(1, 3000, 12):
        once, _ = _steps.midpoint_step(both[0], once, step)
        twice, _ = _steps.midpoint_step(both[1], twice, step)
    assert len(once.held.units) >= 2
    torch.testing.assert_close(twice.held, once.held)
    torch.testing.assert_close(twice.theta, once.theta, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rtol", [0.1, 1e-2])
@pytest.mark.parametrize("seed", range(5))
def test_kinks_are_put_back_where_the_potential_is_steep(seed, rtol):
    """Units far from their start: Newton's steps along a quartic mirror map are too long."""
    density = stats.norm(0, 0.5)
    net = mflib.ShallowNetwork(300, density=density, seed=seed)
    potential = Regularized(Power(4), 1)
    run = mflib.mirror_flow(net, *datasets.figure2(), potential=potential, scaled=True, rtol=rtol)
    assert run.status is FlowStatus.CONVERGED
    assert run.steps <= 30


@pytest.mark.parametrize(("activation", "power", "seed"), [("relu", 3, 0), ("abs", 4, 1)])
def test_kinks_held_at_the_end_stay_where_they_are(activation, power, seed):
    """Put on the other side of their kinks at each step, they would keep the loss above 1e-15."""
    net = mflib.ShallowNetwork(50, activation=activation, seed=seed)
    data = datasets.figure1() if activation == "relu" else datasets.figure2()
    options = {"scaled": activation == "abs", "loss_target": 1e-16}
    run = mflib.mirror_flow(net, *data, potential=Regularized(Power(power), 1), **options)
    assert run.status is FlowStatus.CONVERGED
    assert run.steps <= 40
