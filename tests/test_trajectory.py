"""The path at infinite width against matrix exponentials, plain quadrature, networks and limits."""

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, stats

import mflib
from mflib import _collocation, activations, datasets, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.representation import TrajectoryStatus, _measures, _trajectory
from tests.problems import DENSITIES, SCALED, UNIFORM, UNSCALED, X, Y

QUERY = np.array([-1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23])
REPEATED = np.array([0.63, -0.71, 0.63, -0.32, 0.63])
POWER_4 = UNSCALED["(|x|^4 + x^2)/2"]
POTENTIALS = SCALED | {"power 4": POWER_4}


def plain_nodes(density, kinks, panels=300):
    """Gauss nodes (w, b, mass), with no refinement but edges at the kinks."""
    low, high = density.ppf(1e-14), density.isf(1e-14)
    edges = np.unique(np.concatenate([np.linspace(low, high, panels), kinks, -kinks]))
    edges = edges[(low <= edges) & (edges <= high)]
    half, (nodes, weights) = 0.5 * np.diff(edges)[:, None], np.polynomial.legendre.leggauss(7)
    b = (edges[:-1, None] + half * (1 + nodes)).ravel()
    mass = (half * weights).ravel() * density.pdf(b) / 2
    return np.repeat([1.0, -1.0], len(b)), np.tile(b, 2), np.tile(mass, 2)


@pytest.mark.parametrize("name", ["relu", "abs", "tanh"])
@pytest.mark.parametrize("density", ["uniform", "normal", "skewed"])
@pytest.mark.parametrize("x", [X, REPEATED], ids=["distinct", "repeated"])
def test_the_quadratic_path_is_a_matrix_exponential(name, density, x):
    """The exponential of ((-K, y), (0, 0)) / m carries (0, 1) to (lambda, 1); no inverse of K."""
    w, b, mass = plain_nodes(DENSITIES[density], np.concatenate([x, QUERY]))
    sigma = activations.get(name)
    features = sigma(np.outer(w, x) - b[:, None])
    kernel = (features.T * mass) @ features / 2
    cross = (sigma(np.outer(w, QUERY) - b[:, None]).T * mass) @ features / 2
    times = np.array([0.0, 0.7, 30.0, 2e4])
    path = representation.trajectory(x, Y, times, activation=name, density=DENSITIES[density])
    assert path.status is TrajectoryStatus.COMPLETED
    for k, t in enumerate(times):
        block = np.zeros((6, 6))
        block[:5, :5], block[:5, 5] = -kernel, Y
        multipliers = linalg.expm(block * t / 5)[:5, 5]
        np.testing.assert_allclose(path(QUERY)[k], cross @ multipliers, rtol=0, atol=1e-8)
        np.testing.assert_allclose(path.values[k], kernel @ multipliers, rtol=0, atol=1e-8)
        np.testing.assert_allclose(path.multipliers[k], multipliers, rtol=1e-6, atol=1e-7)
        cost = 0.5 * multipliers @ kernel @ multipliers
        assert path.cost[k] == pytest.approx(cost, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("name", ["relu", "abs", "softplus"])
@pytest.mark.parametrize("scaled", ["power 3", "power 4", "hypentropy", "lopsided"])
def test_other_potentials_follow_the_equation(name, scaled):
    """Against an explicit method of order eight on a plain grid, while nothing is stiff."""
    potential, sigma = POTENTIALS[scaled], activations.get(name)
    w, b, mass = plain_nodes(UNIFORM, np.concatenate([X, QUERY]))
    features = sigma(np.outer(w, X) - b[:, None])
    shift = potential.gradient(np.zeros(1))

    def alpha(multipliers):
        return potential.inverse_gradient(features @ multipliers + shift)

    times = [0.5, 5.0, 50.0]
    exact = integrate.solve_ivp(
        lambda _, multipliers: (Y - (mass * alpha(multipliers)) @ features) / 5,
        (0, times[-1]), np.zeros(5), method="DOP853", t_eval=times, rtol=1e-11, atol=1e-12,
    ).y.T  # fmt: skip
    path = representation.trajectory(X, Y, times, activation=name, potential=potential)
    np.testing.assert_allclose(path.multipliers, exact, rtol=0, atol=1e-6)
    h = [(mass * alpha(row)) @ sigma(np.outer(w, QUERY) - b[:, None]) for row in exact]
    np.testing.assert_allclose(path(QUERY), h, rtol=0, atol=1e-7)


TIMES = 10.0 ** np.arange(-0.5, 4.1, 0.5)


@pytest.mark.parametrize(
    ("activation", "potential", "scaled", "unit"),
    [
        ("abs", Quadratic(), True, 1.0),
        ("abs", POWER_4, True, 1.0),
        ("relu", SCALED["hypentropy"], True, 1.0),
        ("relu", UNSCALED["(|x|^4 + x^2)/2"], False, 2.0),  # phi''(0) = 1: twice as fast as x^2
    ],
    ids=["x^2", "power 4", "hypentropy", "unscaled"],
)
def test_networks_follow_the_path(activation, potential, scaled, unit):
    """At ten times: the path of the density as n^(-1/2), that of their own neurons closely."""
    x, y = datasets.figure2()
    net = mflib.ShallowNetwork(20_000, activation=activation, seed=1)
    flow = {"potential": potential, "scaled": scaled, "loss_target": 1e-25, "rtol": 3e-3}
    run = mflib.mirror_flow(net, x, y, save_at=TIMES, max_time=TIMES[-1], **flow)
    assert len(run.snapshots) == 10
    with torch.no_grad():
        trained = np.array([snapshot(QUERY).numpy() for snapshot in run.snapshots])
    model = {"activation": activation, "potential": potential if scaled else Quadratic()}
    limit = representation.trajectory(x, y, unit * TIMES, rtol=1e-5, **model)(QUERY)
    np.testing.assert_allclose(trained, limit, rtol=0, atol=3 / np.sqrt(20_000))
    assert np.abs(np.diff(limit, axis=0)).max(axis=1)[:-1].min() > 1.5e-3  # times differ
    if isinstance(model["potential"], Quadratic):
        own = representation.trajectory(x, y, unit * TIMES, neurons=neurons(net), **model)
        np.testing.assert_allclose(trained, own(QUERY), rtol=0, atol=1e-3)


def neurons(net):
    return net.input_weight.detach().numpy(), net.input_bias.detach().numpy()


@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("scaled", ["quadratic", "power 3", "power 4", "hypentropy"])
def test_the_path_ends_at_the_solution(activation, scaled):
    model = {
        "activation": activation,
        "potential": POTENTIALS[scaled],
        "density": DENSITIES["skewed"],
    }
    sol = variational.solve(X, Y, **model)
    path = representation.trajectory(X, Y, [30.0, 1e9], rtol=1e-5, **model)
    np.testing.assert_allclose(path(QUERY)[1], sol(QUERY), rtol=0, atol=1e-6)
    np.testing.assert_allclose(path.cost[1], sol.cost, rtol=1e-7)
    assert np.abs(path(QUERY)[0] - sol(QUERY)).max() > 1e-3


@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_repeated_inputs_act_by_their_mean(scaled):
    """Three targets at 0.63: only their mean moves h, and their spread stays in the loss."""
    times, model = np.array([0.3, 20.0, 1e9]), {"potential": POTENTIALS[scaled], "rtol": 1e-5}
    path = representation.trajectory(REPEATED, Y, times, **model)
    means, same = Y.copy(), [0, 2, 4]
    means[same] = Y[same].mean()
    other = representation.trajectory(REPEATED, means, times, **model)
    np.testing.assert_allclose(path(QUERY), other(QUERY), rtol=0, atol=1e-9)
    spread = ((Y - means) ** 2).mean()
    np.testing.assert_allclose(path.loss, other.loss + spread, rtol=1e-9)
    drift = np.outer(times / 5, Y - means)
    np.testing.assert_allclose(path.multipliers, other.multipliers + drift, rtol=1e-6, atol=1e-7)
    sol = variational.solve(REPEATED[[0, 1, 3]], means[[0, 1, 3]], potential=POTENTIALS[scaled])
    np.testing.assert_allclose(path(QUERY)[2], sol(QUERY), rtol=0, atol=1e-6)


@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_data_taken_twice_change_nothing(scaled):
    model = {"activation": "abs", "potential": POTENTIALS[scaled], "rtol": 1e-7}
    once = representation.trajectory(X, Y, [3.0, 100.0], **model)
    twice = representation.trajectory(np.tile(X, 2), np.tile(Y, 2), [3.0, 100.0], **model)
    np.testing.assert_allclose(twice(QUERY), once(QUERY), rtol=0, atol=1e-8)
    np.testing.assert_allclose(twice.loss, once.loss, rtol=1e-7)
    np.testing.assert_allclose(twice.multipliers, np.tile(once.multipliers, 2) / 2, rtol=1e-6)


@pytest.mark.parametrize("scaled", ["quadratic", "power 3"])
def test_the_order_of_the_data_is_that_of_the_results(scaled):
    order, times = [3, 0, 4, 2, 1], [0.5, 50.0]
    model = {"potential": POTENTIALS[scaled], "rtol": 1e-7}
    path = representation.trajectory(X, Y, times, **model)
    other = representation.trajectory(X[order], Y[order], times, **model)
    np.testing.assert_allclose(other(QUERY), path(QUERY), rtol=0, atol=1e-8)
    for name in ("multipliers", "values"):
        expected = getattr(path, name)[:, order]
        np.testing.assert_allclose(getattr(other, name), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_the_record_is_that_of_the_function(scaled):
    times = [0.0, 2.0, 200.0]
    path = representation.trajectory(X, Y, times, potential=POTENTIALS[scaled])
    np.testing.assert_array_equal(path.times, times)
    np.testing.assert_allclose(path(X), path.values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(((path(X) - Y) ** 2).mean(axis=1), path.loss, rtol=1e-7)
    assert not path(QUERY)[0].any()
    assert path.cost[0] == 0
    assert path([]).shape == (3, 0)


@pytest.mark.parametrize("scaled", ["power 3", "power 4", "hypentropy"])
def test_the_error_is_honest(scaled):
    """It bounds the true one, which falls with the tolerance."""
    x, y = datasets.figure2()
    model = {"activation": "abs", "potential": POTENTIALS[scaled]}
    times = [10.0, 1e3, 1e4]
    exact = representation.trajectory(x, y, times, rtol=1e-10, **model).values
    for rtol in (1e-5, 1e-8):
        path = representation.trajectory(x, y, times, rtol=rtol, **model)
        assert np.abs(path.values - exact).max() < path.error < 1e3 * rtol


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_motorcycle_at_all_times(activation):
    """Eigenvalues over ten decades: the loss falls to the spread at repeated times, and stops."""
    x, y = datasets.motorcycle()
    x, y = (x - 30) / 27.6, y / 100
    path = representation.trajectory(x, y, 10.0 ** np.arange(0, 15, 2), activation=activation)
    means = np.array([y[x == at].mean() for at in x])
    assert (np.diff(path.loss) < 0).all() or np.ptp(path.loss[-2:]) < 1e-10
    np.testing.assert_allclose(path.loss[-1], ((y - means) ** 2).mean(), rtol=1e-8)
    np.testing.assert_allclose(path(x)[-1], means, rtol=0, atol=1e-6)
    assert path.loss[4] > 1.001 * path.loss[-1]


def test_steps_are_limited_and_rows_from_there_on_are_nan(monkeypatch):
    monkeypatch.setattr(_collocation, "_MOST_STEPS", 10)
    path = representation.trajectory(X, Y, [1.0, 10.0, 1e4], potential=POWER_4, rtol=1e-5)
    assert path.status is TrajectoryStatus.STALLED
    for rows in (path.loss, path.cost, path(QUERY), path.multipliers):
        assert np.isfinite(rows[0]).all()
        assert np.isnan(rows[2]).all()


def counted(monkeypatch) -> list:
    """Note the length of each step that is tried."""
    increments, steps = _trajectory._Path._increments, []

    def noting(self, step):
        steps.append(step)
        return increments(self, step)

    monkeypatch.setattr(_trajectory._Path, "_increments", noting)
    return steps


def test_steps_grow_with_time(monkeypatch):
    """Each factor of ten thousand adds as many as the first at most, and few at the end."""
    steps, counts = counted(monkeypatch), []
    for time in (1e4, 1e8, 1e12):
        steps.clear()
        representation.trajectory(*datasets.figure2(), [time], potential=POWER_4)
        counts.append(len(steps))
    assert 20 < counts[0] < 60
    assert counts[0] < counts[1] < 3 * counts[0]
    assert counts[2] - counts[1] < 20  # where it ended before


def test_a_smaller_tolerance_takes_more_steps_and_errs_less(monkeypatch):
    steps, results = counted(monkeypatch), []
    for rtol in (1e-4, 1e-9):
        steps.clear()
        path = representation.trajectory(X, Y, [100.0], potential=POWER_4, rtol=rtol)
        results.append((len(steps), path.error))
    assert results[0][0] < results[1][0]
    assert results[0][1] > 100 * results[1][1] > 0


def test_progress_is_printed_when_asked_for(capsys):
    representation.trajectory(X, Y, [1e4], potential=POWER_4)
    assert not capsys.readouterr().out
    path = representation.trajectory(X, Y, [1e4], potential=POWER_4, progress=True)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["step 10", "step 20"]
    assert path.loss[-1] <= float(lines[-1].split("loss ")[1])
    with pytest.raises(TypeError, match="progress must be True or False"):
        representation.trajectory(X, Y, [1.0], progress="yes")


def test_a_stiff_potential_overflows_in_silence():
    path = representation.trajectory(
        [0.1, 0.5], [0.0, 1e4], [1.0, 10.0], potential=Hypentropy(1e-3)
    )
    assert path.status is TrajectoryStatus.COMPLETED
    np.testing.assert_allclose(path.values[1], [0.0, 1e4], rtol=0, atol=1e-5)


def test_zero_targets_stay_at_zero():
    path = representation.trajectory(X, 0 * Y, [1.0, 1e3], potential=POWER_4)
    assert path.status is TrajectoryStatus.COMPLETED
    assert not path(QUERY).any()


def test_the_plane_needs_neurons():
    rng = np.random.default_rng(4)
    x, w, b = rng.normal(size=(5, 2)), rng.normal(size=(40, 2)), rng.normal(size=40)
    features = np.maximum(x @ w.T - b, 0)
    kernel = features @ features.T / 80
    path = representation.trajectory(x, Y, [3.0], neurons=(w, b))
    expected = Y - linalg.expm(-kernel * 3 / 5) @ Y
    np.testing.assert_allclose(path(x)[0], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["relu", "abs", "tanh"])
@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_kernel(name, scaled):
    x, potential = np.array([0.63, -0.71, 0.63, -1.32]), SCALED[scaled]
    for density in (DENSITIES["normal"], UNIFORM):
        w, b, mass = plain_nodes(density, x)
        features = activations.get(name)(np.outer(w, x) - b[:, None])
        expected = (features.T * mass) @ features / potential.hessian(np.zeros(1))
        model = {"activation": name, "potential": potential, "density": density}
        observed = representation.kernel(x, **model)
        np.testing.assert_allclose(observed, expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["relu", "abs", "tanh"])
@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_kernel_of_two_sets(name, scaled):
    x, second = np.array([0.63, -0.71, 0.63]), np.array([-1.32, 0.2, -0.71, 2.0])
    potential = SCALED[scaled]
    for density in (DENSITIES["normal"], UNIFORM):
        w, b, mass = plain_nodes(density, np.append(x, second))
        one, two = (activations.get(name)(np.outer(w, t) - b[:, None]) for t in (x, second))
        expected = (one.T * mass) @ two / potential.hessian(np.zeros(1))
        model = {"activation": name, "potential": potential, "density": density}
        np.testing.assert_allclose(
            representation.kernel(x, second, **model), expected, rtol=0, atol=1e-10
        )
        observed = representation.kernel(x, x, **model)
        np.testing.assert_allclose(observed, representation.kernel(x, **model), rtol=1e-13)


def test_kernel_of_two_sets_in_the_plane():
    rng = np.random.default_rng(1)
    w, b = rng.standard_normal((50, 2)), rng.uniform(-1, 1, 50)
    x, second = rng.uniform(-1, 1, (3, 2)), rng.uniform(-1, 1, (4, 2))
    expected = np.tanh(x @ w.T - b) @ np.tanh(second @ w.T - b).T / 50 / 2
    observed = representation.kernel(x, second, activation="tanh", neurons=(w, b))
    np.testing.assert_allclose(observed, expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"x2 must have the shape of x .*got \(4,\) beside \(3, 2"):
        representation.kernel(x, second[:, 0], neurons=(w, b))


@pytest.mark.parametrize("scaled", ["quadratic", "power 4"])
def test_the_derivative_is_the_slope_at_all_times(scaled):
    path = representation.trajectory(X, Y, [1.0, 30.0], potential=SCALED[scaled])
    t, step = np.array([-1.2, -0.4, 0.03, 0.5]), 1e-6
    slope = (path(t + step) - path(t - step)) / (2 * step)
    np.testing.assert_allclose(path.derivative(t), slope, rtol=0, atol=1e-6)
    assert path.derivative(0.1).shape == (2,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"times": []}, ValueError, "times must be increasing and not negative"),
        ({"times": 3.0}, ValueError, "times must be increasing.*got 3.0"),
        ({"times": [1.0, 1.0]}, ValueError, "times must be increasing"),
        ({"times": [-1.0, 1.0]}, ValueError, "times must be .*not negative"),
        ({"times": [1.0, np.inf]}, ValueError, "times contains inf; remove"),
        ({"rtol": 0.0}, ValueError, "rtol must be finite and > 1e-13"),
        ({"rtol": "small"}, TypeError, "rtol must be a real number"),
        ({"y": Y[:4]}, ValueError, "x and y .*same length, got 5 inputs and 4 targets"),
        ({"x": [], "y": []}, ValueError, "x is empty: give at least one"),
        ({"x": [0.1, np.nan, 0.2, 0.3, 0.4]}, ValueError, "x contains nan; remove or replace"),
        ({"x": np.ones((5, 2))}, ValueError, r"x has 2 inputs .*neurons=\(w, b\)"),
        (
            {"activation": "heaviside"},
            ValueError,
            "activation 'heaviside' is unknown; choose one of",
        ),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        (
            {"density": UNIFORM, "neurons": ([1.0], [0.0])},
            ValueError,
            "density and neurons are both given; give one",
        ),
    ],
)
@pytest.mark.parametrize("module", [representation, variational], ids=["dense", "banded"])
def test_bad_input(module, change, error, message):
    if module is variational and ("neurons" in change or np.ndim(change.get("x")) == 2):
        pytest.skip("what it does not take")
    arguments = {"x": X, "y": Y, "times": [1.0]} | change
    with pytest.raises(error, match=message):
        module.trajectory(**arguments)


def test_hypentropy_far_out_overflows_in_silence():
    model = {"potential": Regularized(Hypentropy(1e-3), 1e-9)}
    path = representation.trajectory(X, 1e3 * Y, [1.0, 1e6], rtol=1e-5, **model)
    assert path.status is TrajectoryStatus.COMPLETED
    np.testing.assert_allclose(path.values[1], 1e3 * Y, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("share", "status"),
    [(0.9e-10, TrajectoryStatus.COMPLETED), (1.1e-10, TrajectoryStatus.STALLED)],
)
def test_a_tail_may_hold_so_much(monkeypatch, share, status):
    most = share * np.abs(Y).max()
    monkeypatch.setattr(_measures.Biases, "tail", lambda *_: np.array(most))
    path = representation.trajectory(X, Y, [1.0], potential=POWER_4, rtol=1e-5)
    assert path.status is status
