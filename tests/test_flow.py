"""Mirror flow against autograd, a stiff solver of SciPy, closed forms and the lazy limit."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import mflib
from mflib import (
    FlowStatus,
    datasets,
    experiments,
    potentials,
    representation,
    ridges,
)
from mflib.flow import _flow, _sliding, _steps
from mflib.potentials import Power, Regularized
from tests.flows import (
    CURVED,
    Constant,
    Step,
    every_place,
    every_potential,
    flat,
    jacobian,
    random_problem,
    reference,
    sliding_of,
    small_network,
)
from tests.problems import UNSCALED, X, Y


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


# How right it is.


@every_place
@every_potential
def test_flow_agrees_with_a_stiff_solver(potential, second, place):
    net, x, y, times = small_network(), X[:3], Y[:3], [0.7, 9.0, 60.0]
    run = mflib.mirror_flow(
        *(net, x, y),
        potential=potential,
        **place,
        max_time=times[-1],
        save_at=times,
        rtol=1e-8,
        loss_target=1e-30,
    )
    assert run.status is FlowStatus.MAX_TIME
    for snapshot, exact in zip(
        run.snapshots, reference(net, x, y, second, place, times), strict=True
    ):
        assert (flat(snapshot) - flat(net)).abs().max() > 1e-3
        torch.testing.assert_close(flat(snapshot), exact, rtol=0, atol=5e-5)


def test_a_smaller_rtol_comes_closer():
    net, x, y = small_network(), X[:3], Y[:3]
    potential, second = CURVED["power 4"]
    (exact,) = reference(net, x, y, second, {}, [40.0])
    errors = []
    for rtol in (1e-1, 1e-3, 1e-5):
        run = mflib.mirror_flow(
            net, x, y, potential=potential, max_time=40, rtol=rtol, loss_target=1e-30
        )
        errors.append(float((flat(run.network) - exact).abs().max()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def active_run(width: int, travel: float, **options) -> mflib.Flow:
    """Train on targets so large that parameters move by `travel`: kernel and kinks move along."""
    x, y = datasets.figure1()
    size = travel * width / 53  # n times the change of a parameter in the lazy limit, for y
    net = mflib.ShallowNetwork(width, seed=0)
    run = mflib.mirror_flow(net, x, size * y, loss_target=1e-8 * size**2, **options)
    assert run.status is FlowStatus.CONVERGED
    return run


def test_the_default_tolerance_serves_the_active_regime():
    run, exact = active_run(180, 3.0), active_run(180, 3.0, rtol=1e-4)
    size = exact.network(np.linspace(-1, 1, 201)).abs().max()
    assert experiments.distance(run.network, exact.network) < 0.01 * size
    assert run.kernel_change == pytest.approx(exact.kernel_change, rel=0.03)
    assert run.steps <= 20


@pytest.mark.parametrize(("width", "rtol"), [(100, 1e-2), (180, 0.1)])
def test_kinks_are_not_let_go_by_the_error_of_the_residual(width, rtol):
    """At the end the residual's sign may be wrong; all kinks would leave, and the kernel jump."""
    run = active_run(width, 3.0, rtol=rtol)
    last = run.history["kernel_change"][-2:]
    assert last[1] == pytest.approx(last[0], rel=0.05)


# Closed forms.


def test_a_single_mode_decays_exponentially():
    """With x^2 the output follows y (1 - exp(-eta (n + 1) t / 2)), and one step is exact."""
    n, y, times = 11, 1.7, np.array([0.2, 1.5, 6.0])
    net = mflib.ShallowNetwork(n, activation=Constant())
    run = mflib.mirror_flow(
        *(net, [0.3, -0.9], [y, y]),
        save_at=times,
        max_time=6,
        learning_rate=0.05,
        loss_target=1e-30,
    )
    outputs = [float(s([0.0])) for s in run.snapshots]
    np.testing.assert_allclose(outputs, y * -np.expm1(-0.05 * (n + 1) / 2 * times), rtol=1e-13)


@pytest.mark.parametrize("place", [{}, {"scaled": True}])
def test_a_single_mode_of_a_curved_potential(place):
    """Let c be the common change of n + 1 parameters: dt = phi''(s c) dc / (eta (y - (n+1) c))."""
    n, y = 9, 4.0
    net = mflib.ShallowNetwork(n, activation=Constant())
    scale = n if place else 1
    run = mflib.mirror_flow(
        *(net, [0.3], [y]),
        potential=UNSCALED["(|x|^4 + x^2)/2"],
        **place,
        max_time=6,
        rtol=1e-6,
        loss_target=1e-30,
    )
    c = float(run.network([0.0])) / (n + 1)
    assert 0.3 < (n + 1) * c / y < 0.999
    time, _ = integrate.quad(
        lambda u: (6 * (scale * u) ** 2 + 1) * n / (y - (n + 1) * u), *(0, c), epsabs=1e-12
    )
    assert time == pytest.approx(run.time, rel=1e-4)


@pytest.mark.parametrize("name", ["quadratic", "power 4", "hypentropy"])
def test_a_linear_model_reaches_the_interpolant_of_least_divergence(name):
    """Its KKT conditions: the change of the mirror map lies in the span of the features."""
    phi = {
        "quadratic": lambda u: 2 * u,
        "power 4": lambda u: 2 * u**3 + u,
        "hypentropy": lambda u: np.arcsinh(u / 0.5),
    }[name]
    n = 40
    net = mflib.ShallowNetwork(n, activation=Step(), output_scale=1.0, seed=2)
    run = mflib.mirror_flow(
        net, X, Y, potential=CURVED[name][0], scaled=True, loss_target=1e-24, rtol=1e-3
    )
    assert run.status is FlowStatus.CONVERGED
    move = [
        run.network.output_weight - net.output_weight,
        run.network.output_bias - net.output_bias,
    ]
    dual = phi(n * np.concatenate([move[0].numpy(), move[1].numpy()[None]]))
    features = np.vstack([net.hidden(X).numpy().T, np.ones(len(X))])
    v, *_ = np.linalg.lstsq(features, dual, rcond=None)
    np.testing.assert_allclose(features @ v, dual, atol=1e-11 * np.abs(dual).max())
    for frozen in ("input_weight", "input_bias"):
        torch.testing.assert_close(getattr(run.network, frozen), getattr(net, frozen))


# The record of a run.


def test_the_record_describes_the_run():
    net = mflib.ShallowNetwork(1000, output_scale=0.5, seed=1)  # no kink is held in the end
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run = mflib.mirror_flow(net, X, Y, potential=Regularized(Power(3), 1), scaled=True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), "the network given must stay as it is"
    assert run.status is FlowStatus.CONVERGED
    mse = float(((run.network(X) - torch.tensor(Y)) ** 2).mean())
    assert run.loss == pytest.approx(mse, rel=1e-9)
    assert run.loss <= 1e-7
    moved = (flat(run.network) - flat(net)).abs().max()
    assert run.parameter_change == pytest.approx(float(moved), rel=1e-12)
    kernels = []
    for at in (net, run.network):
        j = jacobian(at, torch.tensor(X))
        kernels.append(j / (3 * 1000 * (flat(at) - flat(net)).abs() + 1) @ j.T)
    change = torch.linalg.norm(kernels[1] - kernels[0]) / torch.linalg.norm(kernels[0])
    assert run.kernel_change == pytest.approx(float(change), rel=1e-9)
    history = run.history
    assert {len(column) for column in history.values()} == {run.steps + 1}
    assert history["time"][0] == history["parameter_change"][0] == history["kernel_change"][0] == 0
    start = float(((net(X) - torch.tensor(Y)) ** 2).mean())
    assert history["loss"][0] == pytest.approx(start, rel=1e-12)
    assert (np.diff(history["time"]) > 0).all()
    assert (np.diff(history["loss"]) < 0).all()
    for name in ("time", "loss", "parameter_change", "kernel_change"):
        assert history[name][-1] == getattr(run, name)


@pytest.mark.parametrize(
    ("row", "unit"), [(0, 2), (1, 2), (2, 2), (3, 2), (0, -1)], ids=["a", "b", "w1", "w2", "d"]
)
def test_every_parameter_counts_as_change(row, unit):
    """The output bias as well, which moves less than others in most runs."""
    flow = sliding_of(small_network(2), np.eye(2), Y[:2], CURVED["quadratic"][0], {}).flow
    theta = flow.start.theta.clone()
    theta[row, unit] -= 3.5
    changed, _ = flow.changes(dataclasses.replace(flow.start, theta=theta))
    assert changed == pytest.approx(3.5, rel=1e-14)
    moved = flat(flow.layout.network(theta)) - flat(flow.layout.net)
    assert sorted(moved.abs())[-2:] == pytest.approx([0.0, 3.5])


OPTIONS = {
    "potential": Regularized(Power(4), 1),
    "scaled": True,
    "center": "origin",
    "learning_rate": 0.3,
    "loss_target": 0.7,
    "max_time": 40.0,
    "rtol": 1e-4,
    "save_at": [0.7],
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_the_run(option):
    net = mflib.ShallowNetwork(40, activation="tanh", output_scale=1.0, seed=3)
    plain = {"potential": Regularized(Power(3), 1), "max_time": 60.0}
    run = mflib.mirror_flow(net, X, Y, **plain)
    other = mflib.mirror_flow(net, X, Y, **plain | {option: OPTIONS[option]})
    assert not torch.equal(flat(other.network), flat(run.network))
    assert run.history["time"].tolist() != other.history["time"].tolist()


def test_snapshots_are_the_runs_that_stop_there():
    net = mflib.ShallowNetwork(200, seed=6)
    times = [0.0, 3.0, 500.0]
    run = mflib.mirror_flow(net, X, Y, save_at=times, max_time=2000, rtol=1e-5)
    assert set(times) <= set(run.history["time"])
    assert len(run.snapshots) == len(times)
    assert torch.equal(flat(run.snapshots[0]), flat(net))
    for time, snapshot in zip(times[1:], run.snapshots[1:], strict=True):
        stopped = mflib.mirror_flow(net, X, Y, max_time=time, rtol=1e-5)
        assert stopped.time == time
        torch.testing.assert_close(flat(snapshot), flat(stopped.network), rtol=0, atol=5e-4)


def test_the_learning_rate_only_sets_the_unit_of_time():
    net = mflib.ShallowNetwork(50, activation="softplus", seed=6)
    slow = mflib.mirror_flow(net, X, Y, max_time=90)
    fast = mflib.mirror_flow(net, X, Y, max_time=90 / (50 * 0.4), learning_rate=0.4)
    torch.testing.assert_close(flat(slow.network), flat(fast.network), rtol=0, atol=1e-10)


def test_a_run_is_reproducible():
    net = mflib.ShallowNetwork(100, seed=6)
    first, second = (mflib.mirror_flow(net, X, Y) for _ in range(2))
    assert torch.equal(flat(first.network), flat(second.network))


def test_small_products_take_one_thread_and_the_number_is_restored():
    before, seen = torch.get_num_threads(), set()

    class Counting(Constant):
        def __call__(self, u):
            seen.add(torch.get_num_threads())
            return super().__call__(u)

    try:
        torch.set_num_threads(3)
        net = mflib.ShallowNetwork(11, activation=Counting())
        seen.clear()  # a network tries its activation
        mflib.mirror_flow(net, X, Y)
        assert seen == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_flow_works_in_the_plane():
    net = mflib.ShallowNetwork(800, input_dim=2, activation="abs", seed=1)
    x = np.random.default_rng(3).normal(size=(5, 2))
    run = mflib.mirror_flow(net, x, Y, potential=Regularized(Power(4), 1), scaled=True)
    assert run.status is FlowStatus.CONVERGED
    assert float(((run.network(x) - torch.tensor(Y)) ** 2).mean()) <= 1e-7


def test_progress_is_printed_only_if_asked_for(capsys):
    net = mflib.ShallowNetwork(100, seed=6)
    mflib.mirror_flow(net, X, Y)
    assert capsys.readouterr().out == ""
    mflib.mirror_flow(net, X, Y, progress=True)
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"step 0: time 0, loss {float((net(X) - torch.tensor(Y)).square().mean()):.3g}"


KINDS = ["relu", "abs", "elu", "softplus", "tanh", "sine", "gelu", "silu", "cubic_relu"]


@pytest.mark.parametrize("seed", [1, 6, 33, 47, 57, *range(7, 14), *range(15, 25)])
def test_the_recorded_loss_never_rises(seed):
    """An error that rtol allows may be more than is left to gain: the first five of these rose."""
    problem, options = random_problem(np.random.default_rng(seed), KINDS)
    run = mflib.mirror_flow(*problem, **options)
    assert run.status in (FlowStatus.CONVERGED, FlowStatus.MAX_TIME, FlowStatus.STALLED)
    assert (np.diff(run.history["loss"]) <= 0).all()


# How a run ends.


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ({"output_scale": 1e13}, {}),
        ({"output_scale": 1e20}, {}),
        ({"output_scale": 1e60}, {}),
        ({}, {"loss_target": 1e-32}),
        ({}, {"loss_target": 1e-36}),
        ({"activation": "tanh"}, {"loss_target": 1e-300}),
        ({"activation": "gelu", "output_scale": 3.0}, {"loss_target": 1e-300}),
        ({"activation": "abs"}, {"loss_target": 1e-40, "scaled": True}),
        ({"activation": "tanh"}, {"loss_target": 1e-40, "learning_rate": 1e-90}),
    ],
)
def test_time_stays_finite_and_rounding_is_called_so(kind, options):
    net, x, y = mflib.ShallowNetwork(50, **kind), [-0.5, 0.1, 0.6], [0.0, 0.3, 0.1]
    run = mflib.mirror_flow(net, x, y, **options)
    assert run.status in (FlowStatus.CONVERGED, FlowStatus.ROUNDING)
    assert np.isfinite(run.history["time"]).all()
    assert (np.diff(run.history["loss"]) <= 0).all()
    size = 1 + float(net.hidden(x).abs().max(0).values @ net.output_weight.abs())
    assert run.loss <= (1e-13 * size) ** 2 or run.status is FlowStatus.CONVERGED


def test_a_flow_at_rest_goes_on_to_the_times_asked_for():
    net = mflib.ShallowNetwork(50, activation="tanh", output_scale=1.0, seed=1)
    times = [1.0, 1e12, 1e13]
    run = mflib.mirror_flow(net, X, Y, loss_target=1e-300, save_at=times, max_time=1e14)
    assert (run.status, run.time) == (FlowStatus.ROUNDING, 1e14)
    assert set(times) <= set(run.history["time"])
    torch.testing.assert_close(flat(run.snapshots[2]), flat(run.network), rtol=1e-12, atol=1e-14)
    assert run.loss < 1e-27


def test_steps_too_short_to_be_seen_are_no_rounding():
    net = mflib.ShallowNetwork(50, activation="tanh", output_scale=0.5, seed=2)
    times = 1 + 1e-15 * np.arange(150)
    run = mflib.mirror_flow(net, X, Y, save_at=times, max_time=1e3)
    assert run.status is FlowStatus.MAX_TIME
    assert len(run.snapshots) == 150
    assert (np.diff(run.history["loss"]) <= 0).all()


def test_trials_are_limited(monkeypatch):
    monkeypatch.setattr(_steps, "_MAX_TRIALS", 3)
    run = mflib.mirror_flow(mflib.ShallowNetwork(60, seed=0), X, Y)
    assert (run.status, run.steps) == (FlowStatus.MAX_STEPS, 3)


@pytest.mark.parametrize("made", [False, True])
def test_networks_trained_in_inference_mode_are_ordinary_ones(made):
    with torch.inference_mode():
        inside = mflib.ShallowNetwork(50)
    net = inside if made else mflib.ShallowNetwork(50)
    with torch.inference_mode():
        run = mflib.mirror_flow(net, X, Y)
    with torch.enable_grad():
        run.network(X).sum().backward()
        net(X).sum().backward()
    for trained in (run.network, net):
        assert all(p.grad is not None for p in trained.parameters())


def test_a_target_that_is_met_at_once_takes_no_step():
    net = mflib.ShallowNetwork(30, seed=0)
    run = mflib.mirror_flow(net, X, 1e-5 * Y)
    assert (run.status, run.steps, run.time) == (FlowStatus.CONVERGED, 0, 0.0)
    assert torch.equal(flat(run.network), flat(net))
    loss = mflib.mirror_flow(net, X, Y, max_time=1e-9).history["loss"][0]
    assert mflib.mirror_flow(net, X, Y, loss_target=loss).steps == 0


def test_max_time_ends_the_flow_exactly_there():
    run = mflib.mirror_flow(mflib.ShallowNetwork(300, seed=0), X, Y, max_time=123.4)
    assert (run.status, run.time) == (FlowStatus.MAX_TIME, 123.4)
    assert run.loss > 1e-7


@pytest.mark.parametrize("n", [30, 1000])
def test_repeated_inputs_with_different_targets_stall_at_their_spread(n):
    x, y = [0.3, -0.6, 0.3, 0.8], [1.0, 0.2, 0.4, -0.5]
    run = mflib.mirror_flow(mflib.ShallowNetwork(n, seed=0), x, y)
    assert run.status is FlowStatus.STALLED
    assert run.loss == pytest.approx((0.3**2 + 0.3**2) / 4, rel=2e-3)
    np.testing.assert_allclose(run.network(x), [0.7, 0.2, 0.7, -0.5], atol=0.03)


def test_repeated_inputs_with_equal_targets_converge():
    run = mflib.mirror_flow(mflib.ShallowNetwork(500, seed=0), [0.3, -0.6, 0.3], [1.0, 0.2, 1.0])
    assert run.status is FlowStatus.CONVERGED


def test_an_output_that_cannot_vary_stalls_at_the_variance():
    net = mflib.ShallowNetwork(12, activation=Constant())
    run = mflib.mirror_flow(net, X, Y)
    assert run.status is FlowStatus.STALLED
    assert run.loss == pytest.approx(Y.var(), rel=2e-3)


def test_the_number_of_steps_is_limited(monkeypatch):
    monkeypatch.setattr(_steps, "MAX_STEPS", 3)
    run = mflib.mirror_flow(mflib.ShallowNetwork(60, seed=0), X, Y)
    assert (run.status, run.steps) == (FlowStatus.MAX_STEPS, 3)
    assert run.loss < run.history["loss"][0]


@pytest.mark.parametrize("errors", [[1.01], itertools.repeat(1.01)], ids=["far", "just"])
def test_steps_that_keep_failing_end_the_flow(monkeypatch, errors):
    errors = iter(errors)  # just too large, and then far too large; or just too large for ever
    monkeypatch.setattr(_steps, "midpoint_step", lambda _, at, step: (at, next(errors, math.inf)))
    run = mflib.mirror_flow(mflib.ShallowNetwork(60, seed=0), X, Y)
    assert (run.status, run.steps) == (FlowStatus.STEP_TOO_SMALL, 0)


@pytest.mark.parametrize("part", [0, 1])
def test_a_step_that_overflows_is_rejected(monkeypatch, part):
    """At its predicted midpoint, or at its end."""
    move, calls = _sliding.Sliding.move, itertools.count()

    class Overflown:
        kernel = np.eye(len(X))

        def finite(self):
            return False

    def some(sliding, *arguments):
        return Overflown() if next(calls) == part else move(sliding, *arguments)

    monkeypatch.setattr(_sliding.Sliding, "move", some)
    run = mflib.mirror_flow(mflib.ShallowNetwork(60, seed=0), X, Y)
    assert run.status is FlowStatus.CONVERGED


@pytest.mark.parametrize("infinite", [np.float32("inf"), torch.tensor(math.inf)])
def test_infinity_of_any_kind_sets_no_limit(infinite):
    run = mflib.mirror_flow(mflib.ShallowNetwork(60, seed=0), X, Y, max_time=infinite)
    assert run.status is FlowStatus.CONVERGED


def test_single_precision_is_refused():
    net = mflib.ShallowNetwork(60, seed=0)
    with pytest.raises(ValueError, match=r"input_weight of net is torch.float32, .*net.double\(\)"):
        mflib.mirror_flow(net.float(), X, Y)
    assert mflib.mirror_flow(net.double(), X, Y).status is FlowStatus.CONVERGED


@pytest.mark.parametrize("power", [-99, 99])
def test_the_learning_rate_sets_the_time_and_nothing_else(power):
    net = mflib.ShallowNetwork(60, seed=0)
    run, other = (mflib.mirror_flow(net, X, Y, learning_rate=rate) for rate in (1.0, 10.0**power))
    assert other.steps == run.steps
    assert other.time == pytest.approx(run.time / 10.0**power, rel=1e-9)


def test_every_status_explains_itself():
    assert all(len(status.value) > 20 for status in FlowStatus)
    assert len({status.value for status in FlowStatus}) == len(FlowStatus)


# From narrow to wide.


@pytest.mark.parametrize(("activation", "scaled", "most"), [("relu", False, 6), ("abs", True, 25)])
def test_a_wide_network_takes_few_steps(activation, scaled, most):
    """Where plain descent at rate 1/n needs 10^5: what the exponential midpoint step is for."""
    net = mflib.ShallowNetwork(4860, activation=activation, seed=0)
    data = datasets.figure2() if scaled else datasets.figure1()
    run = mflib.mirror_flow(net, *data, potential=Regularized(Power(4), 1), scaled=scaled)
    assert run.status is FlowStatus.CONVERGED
    assert run.steps <= most


@pytest.mark.parametrize("width", [20, 60, 180])
@pytest.mark.parametrize("potential", UNSCALED.values(), ids=UNSCALED.keys())
def test_narrow_networks_train_across_their_kinks(width, potential):
    net = mflib.ShallowNetwork(width, seed=1)
    run = mflib.mirror_flow(net, *datasets.figure1(), potential=potential)
    assert run.status is FlowStatus.CONVERGED
    assert run.loss <= 1e-7


def distance_from_lazy_limit(width: int, potential, loss_target: float) -> float:
    net = mflib.ShallowNetwork(width, seed=0)
    x, y = datasets.figure1()
    run = mflib.mirror_flow(net, x, y, potential=potential, loss_target=loss_target)
    assert run.status is FlowStatus.CONVERGED
    neurons = (net.input_weight.numpy(), net.input_bias.numpy())
    limit = representation.solve(x, y, neurons=neurons)
    return experiments.distance(run.network, limit)


@pytest.mark.parametrize("potential", UNSCALED.values(), ids=UNSCALED.keys())
def test_wide_networks_approach_their_own_lazy_limit(potential):
    """Trained further than 1e-7, whose residual of 3e-4 alone is felt as 1e-3 between the data."""
    widths = [1620, 4860, 20000]
    distances = [distance_from_lazy_limit(n, potential, 1e-11) for n in widths]
    assert distances[1] < 1e-3
    assert experiments.fit_exponent(widths, distances).exponent < -0.75


@pytest.mark.parametrize("potential", UNSCALED.values(), ids=UNSCALED.keys())
def test_the_default_target_comes_within_a_thousandth_of_the_lazy_limit(potential):
    assert distance_from_lazy_limit(4860, potential, 1e-7) < 1e-3


# Bad input.

NET = mflib.ShallowNetwork(10, seed=0)
GOOD = {"net": NET, "x": X, "y": Y}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"net": torch.nn.Linear(1, 1)}, TypeError, "net must be a ShallowNetwork, got Linear"),
        ({"y": Y[:3]}, ValueError, "x and y .*same length, got 5 inputs and 3 targets"),
        ({"x": [], "y": []}, ValueError, "x is empty: give at least one"),
        ({"x": [0.1, np.nan, 0, 0, 0]}, ValueError, "x contains nan; remove or replace"),
        ({"y": [0.1, np.inf, 0, 0, 0]}, ValueError, "y contains inf; remove or replace"),
        ({"x": ["a", "b"]}, TypeError, "x must be an array of real numbers, got"),
        ({"x": X + 1j}, TypeError, "x must be an array of real numbers, got"),
        ({"x": np.ones((5, 2))}, ValueError, "x has 2 inputs .*net takes 1; set input_dim"),
        ({"x": np.ones((5, 1, 1))}, ValueError, r"x must have shape \(m,\) or \(m, D\)"),
        ({"y": Y[:, None]}, ValueError, r"y shape \(m,\), got .*\(5, 1\)"),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(3)}, ValueError, r"Hessian .*Power\(3\).*use Regularized"),
        ({"center": "zero"}, ValueError, "center must be .*got 'zero'"),
        ({"center": "origin", "scaled": True}, ValueError, "center='origin'.*use center="),
        ({"loss_target": 0}, ValueError, "loss_target .* > 0 .*positive number.*got 0"),
        ({"loss_target": np.nan}, ValueError, "loss_target .*got nan"),
        ({"rtol": -1e-3}, ValueError, r"rtol .*positive number.*got -0\.001"),
        ({"rtol": "small"}, TypeError, "rtol .*'small'"),
        ({"max_time": 0}, ValueError, r"max_time .* > 0 \(math.inf sets no limit\), got 0"),
        ({"max_time": np.nan}, ValueError, "max_time .*got nan"),
        ({"max_time": "long"}, TypeError, "max_time .*'long'"),
        ({"learning_rate": 0}, ValueError, "learning_rate .*>= 1e-100.* only sets the time.*got 0"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate .*got inf"),
        ({"save_at": [1, 1]}, ValueError, r"save_at .*increasing .*got \[1, 1\]"),
        ({"save_at": [2, 1]}, ValueError, r"save_at .*increasing .*got \[2, 1\]"),
        ({"save_at": [-1, 1]}, ValueError, r"save_at .*between 0 and .*got \[-1, 1\]"),
        ({"save_at": [1, 9], "max_time": 5}, ValueError, r"save_at .*max_time = 5, got \[1, 9\]"),
        ({"save_at": [np.nan]}, ValueError, "save_at contains nan"),
    ],
)
def test_bad_input(change, error, message):
    arguments = GOOD | change
    with pytest.raises(error, match=message):
        mflib.mirror_flow(arguments.pop("net"), arguments.pop("x"), arguments.pop("y"), **arguments)


def test_an_infinite_hessian_is_refused():
    with pytest.raises(ValueError, match=r"Hessian .*Power\(1\.5\).*infinite"):
        mflib.mirror_flow(NET, X, Y, potential=potentials.Power(1.5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_flow_stays_on_its_device():
    net = mflib.ShallowNetwork(2000, seed=0)
    here = mflib.mirror_flow(net, X, Y, potential=Regularized(Power(4), 1), scaled=True)
    there = mflib.mirror_flow(net.cuda(), X, Y, potential=Regularized(Power(4), 1), scaled=True)
    assert there.network.input_bias.is_cuda
    torch.testing.assert_close(here.network(X), there.network(X).cpu(), rtol=0, atol=1e-6)


def test_a_loose_tolerance_costs_accuracy_only():
    """In the norm of a nearly singular kernel alone, the loss grew, for thousands of steps."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (10, 2))
    y = np.sin(2 * x[:, 0] + x[:, 1]) + x[:, 1] ** 2 - 0.5
    kind = {"activation": "abs", "density": stats.uniform(-1.5, 3), "seed": 0}
    net = mflib.ShallowNetwork(500, input_dim=2, **kind)
    w = net.input_weight.detach().numpy()  # shares its memory with the network
    w[:] = ridges.stretched(w, (1.0, 0.25))
    run = mflib.mirror_flow(net, x, y, potential=Regularized(Power(4), 1), scaled=True, rtol=0.1)
    assert run.status is FlowStatus.CONVERGED
    assert run.steps <= 60
    assert run.history["loss"].max() <= 1.1 * run.history["loss"][0]


def test_large_products_take_all_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for work, threads in ((1_000, 1), (400_000_000, 2)):
            with _flow._threads(work):
                assert torch.get_num_threads() == threads
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
