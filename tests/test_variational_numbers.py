"""Every number of a result against one computed otherwise, under options in combination.

For the quadratic all of them are matrices of one kernel; under other potentials the sums of a plain
quadrature and the dense solver tell them.
"""

import dataclasses
import re

import numpy as np
import pytest
from scipy import stats

from mflib import representation, variational
from mflib.potentials import Averaged, Hypentropy, Power, Quadratic, Regularized, Rescaled
from mflib.variational import (
    Status,
    TrajectoryStatus,
    _contour,
    _linear,
    _newton,
    _smoothing,
    _trajectory,
)
from mflib.variational._banded import Arrow, RidgeSystem
from mflib.variational._dual import DiscreteDual
from mflib.variational._radau import RadauPath
from mflib.variational._response import Response
from tests.plain import NODES, QUERY, WEIGHTS, Plain, flow
from tests.problems import DENSITIES, Lopsided


def close(actual, expected, digits=7):
    size = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=10.0**-digits * size)


# The quadratic: all is linear.

MIXED = stats.Mixture(
    [stats.Normal(mu=-0.5, sigma=0.4), stats.Normal(mu=0.4, sigma=0.3)], weights=[0.3, 0.7]
)


class Mixture:
    """What `Plain` asks of it."""

    support, pdf = MIXED.support, MIXED.pdf


LAWS = DENSITIES | {"mixture": MIXED}
SQUARES = {
    "x^2": Quadratic(),
    "power 2": Regularized(Power(2), 5.0),
    "scaled": Quadratic().at_scale(3.0),
    "nested": Rescaled(Rescaled(Regularized(Power(2), 0.7), 2.0), 0.3),
    "averaged": Averaged(Quadratic(), stats.halfnorm(scale=1.3)),
}
INPUTS = {
    "one": [0.37],
    "two": [0.6, -0.2],
    "unsorted": [0.63, -0.71, 0.08, -0.32, 0.94],
    "one place": [0.37, 0.37, 0.37],
    "repeated": [0.63, -0.71, 0.63, -0.32, 0.63, -0.71],
}
X5 = np.array(INPUTS["unsorted"])
TARGETS = np.array([[0.2, -1.3, 0.9, 0.4, -0.7, 2.1], [1.1, 0.3, -0.8, 0.2, 3.0, -0.4]]).T
RIDGES = {
    "none": 0.0,
    "number": 0.03,
    "each": np.array([0.02, 0.3, 0.07, 0.004, 0.5, 0.11]),
    "some": np.array([0.0, 0.3, 0.07, 0.0, 0.5, 0.11]),
    "gcv": "gcv",
}
QUADRATIC = [
    ("relu", "x^2", "uniform", "unsorted", "none", 1),
    ("abs", "power 2", "shifted", "unsorted", "each", 2),
    ("leaky_relu", "scaled", "normal", "repeated", "each", 1),
    ("relu", "nested", "mixture", "repeated", "number", 2),
    ("abs", "averaged", "truncated", "unsorted", "some", 1),
    ("abs", "x^2", "mixture", "repeated", "some", 2),
    ("leaky_relu", "nested", "gap", "two", "none", 2),
    ("relu", "scaled", "shifted", "one", "none", 1),
    ("leaky_relu", "averaged", "uniform", "one", "each", 2),
    ("relu", "power 2", "skewed", "one place", "each", 1),
    ("abs", "scaled", "normal", "two", "number", 1),
    ("relu", "averaged", "jump", "repeated", "gcv", 1),
    ("leaky_relu", "x^2", "normal", "repeated", "gcv", 2),
    ("relu", "nested", "truncated", "unsorted", "some", 2),
    ("abs", "x^2", "jump", "one place", "number", 2),
]


def data_of(inputs, ridge, k):
    """Inputs, targets of k columns, and as many ridges."""
    x, given = np.array(INPUTS[inputs]), RIDGES[ridge]
    y = TARGETS[: len(x), 0] if k == 1 else TARGETS[: len(x)]
    return x, y, given[: len(x)] if isinstance(given, np.ndarray) else given


def model_of(activation, potential, law):
    model = {"activation": activation, "potential": SQUARES[potential], "density": LAWS[law]}
    return model, model | {"density": Mixture if law == "mixture" else LAWS[law]}


@pytest.mark.parametrize(("activation", "square", "law", "inputs", "ridge", "k"), QUADRATIC)
def test_a_quadratic_solution_is_linear_algebra(activation, square, law, inputs, ridge, k):
    x, y, given = data_of(inputs, ridge, k)
    m = len(x)
    model, plain = model_of(activation, square, law)
    plain = Plain(x, **plain)
    several = variational.solve(x, y, ridge=given, **model)
    assert several.status is Status.CONVERGED
    for h, own in zip([several] if k == 1 else several, y.reshape(m, k).T, strict=True):
        R = np.full(m, h.ridge if ridge == "gcv" else given)
        K, across = plain.kernel(), plain.kernel(QUERY)
        G = np.linalg.inv(K + np.diag(R))
        multipliers, hat = G @ own, K @ G
        close(h.multipliers, multipliers)
        close(h.fitted, hat @ own)
        close(h(QUERY), across @ multipliers)
        step = 1e-5
        slope = (plain.kernel(QUERY + step) - plain.kernel(QUERY - step)) @ multipliers / 2 / step
        inside = law not in ("gap", "jump")
        if inside:
            close(h.derivative(QUERY), slope, 4)
        assert h.cost == pytest.approx(0.5 * multipliers @ K @ multipliers, rel=1e-6)
        close(h.jacobian(QUERY), across @ G)
        close(h.leverages, np.diag(hat))
        assert h.degrees_of_freedom == pytest.approx(np.trace(hat), rel=1e-6)
        close(h.leave_one_out, multipliers / np.diag(G), 6)
        if ridge == "some":
            assert np.isnan(h.gcv)
        elif ridge == "none":
            assert h.gcv == pytest.approx(m * multipliers @ multipliers / np.trace(G) ** 2)
        else:
            weights = 1 / R / np.mean(1 / R)
            error = m * weights @ (own - hat @ own) ** 2 / (m - np.trace(hat)) ** 2
            assert h.gcv == pytest.approx(error, rel=1e-6)
        if ridge != "gcv":
            np.testing.assert_array_equal(h.ridge, given)
    if k == 2:
        assert several.iterations == sum(h.iterations for h in several)
        for name in ("cost", "gap", "residual", "gcv", "multipliers", "fitted", "ridge"):
            expected = np.stack([getattr(h, name) for h in several], axis=-1)
            np.testing.assert_array_equal(getattr(several, name), expected)


@pytest.mark.parametrize("x", [[-0.5, 0.25], [-0.25, 0.375], [-0.5, 0.0, 0.25]], ids=str)
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_kinks_end_as_far_from_the_data_as_these_reach(activation, x):
    """On [-1, 1] the elements' last node is 1, which is no datum."""
    y, far = TARGETS[: len(x), 0], np.array([0.6, 0.9, 1.0, 1.5, 40.0])
    plain = Plain(x, activation=activation)
    K = plain.kernel()
    h = variational.solve(x, y, activation=activation)
    close(h(far), plain.kernel(far) @ np.linalg.solve(K, y))
    path = variational.trajectory(x, y, [10.0], activation=activation)
    close(path(far)[0], plain.kernel(far) @ flow(K, 10.0 / len(x)) @ y)


CURVED = {"power 4": Regularized(Power(4), 1.0), "lopsided": Lopsided()}
PATHS = [
    ("relu", "x^2", True, "uniform", "unsorted"),
    ("abs", "power 2", True, "shifted", "repeated"),  # a potential that is followed by steps
    ("leaky_relu", "nested", True, "mixture", "one place"),
    ("relu", "x^2", True, "normal", "two"),
    ("abs", "scaled", True, "skewed", "one"),
    ("leaky_relu", "x^2", True, "gap", "repeated"),
    ("relu", "scaled", False, "truncated", "repeated"),
    ("abs", "power 4", False, "mixture", "repeated"),
    ("leaky_relu", "lopsided", False, "shifted", "one place"),
    ("relu", "nested", False, "jump", "one"),
    ("abs", "averaged", False, "uniform", "unsorted"),
]


@pytest.mark.parametrize(("activation", "potential", "scaled", "law", "inputs"), PATHS)
def test_a_quadratic_path_is_an_exponential(activation, potential, scaled, law, inputs):
    x, phi = np.array(INPUTS[inputs]), (SQUARES | CURVED)[potential]
    y, m, times = TARGETS[: len(x), 0], len(x), np.array([0.0, 2.0, 40.0])
    model = {"activation": activation, "density": LAWS[law]}
    path = variational.trajectory(x, y, times, potential=phi, scaled=scaled, rtol=1e-7, **model)
    law = Mixture if law == "mixture" else LAWS[law]
    plain = Plain(x, activation=activation, density=law, potential=phi if scaled else None)
    K, across = plain.kernel(), plain.kernel(QUERY)
    clock = times if scaled else 2 * times / float(phi.hessian(np.zeros(1))[0])
    assert path.status is TrajectoryStatus.COMPLETED and path.defect < 1e-8
    np.testing.assert_array_equal(path.times, times)
    for k, time in enumerate(clock):
        G = flow(K, time / m)
        multipliers, hat = G @ y, K @ G
        np.testing.assert_allclose(path.multipliers[k], multipliers, rtol=0, atol=1e-6)
        np.testing.assert_allclose(path.values[k], hat @ y, rtol=0, atol=1e-7)
        np.testing.assert_allclose(path(QUERY)[k], across @ multipliers, rtol=0, atol=1e-7)
        loss = np.mean((y - hat @ y) ** 2)
        assert path.loss[k] == pytest.approx(loss, rel=1e-6)
        cost = 0.5 * multipliers @ K @ multipliers
        assert path.cost[k] == pytest.approx(cost, rel=1e-6, abs=1e-14)
        np.testing.assert_allclose(path.jacobian(QUERY)[k], across @ G, rtol=0, atol=1e-6)
        assert path.degrees_of_freedom[k] == pytest.approx(np.trace(hat), rel=1e-6, abs=1e-12)
        if np.trace(hat) < 0.99 * m:
            gcv = loss / (1 - np.trace(hat) / m) ** 2
            assert path.gcv[k] == pytest.approx(gcv, rel=1e-5)
    step = 1e-4
    np.testing.assert_allclose(
        path.derivative(QUERY + 3e-4),
        (path(QUERY + 3e-4 + step) - path(QUERY + 3e-4 - step)) / (2 * step),
        rtol=0,
        atol=1e-4,
    )
    assert (path.degrees_of_freedom_error < 1e-6).all()


# Other potentials, against the dense solver: options in pairs.

PHI = {
    "power 4": Regularized(Power(4), 1.0),
    "lopsided": Lopsided(),
    "nested": Rescaled(Rescaled(Regularized(Power(3), 0.5), 2.0), 1.5),
    "averaged": Averaged(Regularized(Power(4), 0.7), stats.halfnorm(scale=1.3)),
    "hypentropy": Regularized(Hypentropy(0.3), 0.5),
}
CURVES = [
    ("relu", "power 4", "mixture", "unsorted", "none", 2),
    ("abs", "lopsided", "shifted", "repeated", "each", 2),
    ("leaky_relu", "nested", "truncated", "repeated", "number", 1),
    ("relu", "averaged", "shifted", "one place", "each", 1),
    ("abs", "hypentropy", "mixture", "one", "none", 1),
    ("leaky_relu", "lopsided", "mixture", "one", "each", 2),
    ("relu", "nested", "normal", "unsorted", "some", 2),
    ("abs", "averaged", "skewed", "two", "number", 1),
    ("leaky_relu", "hypentropy", "jump", "unsorted", "some", 1),
    ("relu", "lopsided", "gap", "two", "none", 2),
    ("abs", "nested", "uniform", "repeated", "some", 1),
]


@pytest.mark.parametrize(("activation", "phi", "law", "inputs", "ridge", "k"), CURVES)
def test_other_potentials_agree_with_the_dense_solver(activation, phi, law, inputs, ridge, k):
    x, y, given = data_of(inputs, ridge, k)
    m = len(x)
    model = {"activation": activation, "potential": PHI[phi], "density": LAWS[law], "ridge": given}
    h, other = variational.solve(x, y, **model), representation.solve(x, y, **model)
    close(h(QUERY), other(QUERY), 6)
    close(h.derivative(QUERY + 1e-3), other.derivative(QUERY + 1e-3), 5)
    close(h.multipliers, other.multipliers, 5)
    close(h.fitted, other(x), 6)
    np.testing.assert_allclose(h.cost, other.cost, rtol=1e-7)
    for one in [h] if k == 1 else h:
        moved = np.eye(m)[-1] * 1e-4
        own = one._data.targets
        ends = [variational.solve(x, own + s * moved, **model)(QUERY) for s in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-4
        np.testing.assert_allclose(one.jacobian(QUERY)[:, -1], slope, rtol=0, atol=1e-5)


FLOWS = [
    ("relu", "nested", "mixture", "repeated"),
    ("abs", "lopsided", "truncated", "one place"),
    ("leaky_relu", "averaged", "shifted", "repeated"),
    ("relu", "hypentropy", "gap", "one"),
]


@pytest.mark.parametrize(("activation", "phi", "law", "inputs"), FLOWS)
def test_other_paths_agree_with_the_dense_solver(activation, phi, law, inputs):
    x, times = np.array(INPUTS[inputs]), [0.5, 20.0]
    y = TARGETS[: len(x), 0]
    model = {"activation": activation, "potential": PHI[phi], "density": LAWS[law], "rtol": 1e-7}
    path, other = (s.trajectory(x, y, times, **model) for s in (variational, representation))
    for name in ("multipliers", "values", "loss", "cost"):
        np.testing.assert_allclose(getattr(path, name), getattr(other, name), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(path(QUERY), other(QUERY), rtol=0, atol=1e-7)


# A certificate of what is no optimum: where residual and gap are numbers and no rounding.


@pytest.mark.parametrize("phi", ["nested", "lopsided"])
@pytest.mark.parametrize("ridge", ["none", "number", "each"])
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_what_stops_early_is_measured(monkeypatch, activation, ridge, phi):
    monkeypatch.setattr(_newton, "_MAX_ITERATIONS", 0)
    monkeypatch.setattr(_smoothing, "_MAX_ITERATIONS", 0)
    x, y = np.array(INPUTS["unsorted"]), TARGETS[:5, 0]
    R = np.full(6, RIDGES[ridge])[:5]
    model = {"activation": activation, "potential": PHI[phi], "density": LAWS["shifted"]}
    h, plain = variational.solve(x, y, ridge=R, **model), Plain(x, **model)
    assert h.status is Status.STALLED
    measured(h, plain, y, R)
    again = [0, 0, 1, 2, 3, 4, 4]  # of what is repeated the mean counts
    spread, share = np.array([0.7, -0.7, 0, 0, 0, 0.3, -0.3]), np.array([2, 2, 1, 1, 1, 2, 2])
    if ridge != "none":
        same = variational.solve(x[again], (y[again] + spread), ridge=(share * R[again]), **model)
        for name in ("residual", "gap", "cost"):
            assert getattr(same, name) == pytest.approx(getattr(h, name), rel=1e-6)


def measured(h, plain, y, R):
    missed = y - plain.h(h.multipliers) - R * h.multipliers
    assert h.residual == pytest.approx(np.abs(missed).max(), rel=1e-3)
    assert h.gap == pytest.approx(plain.gap(h.multipliers, y, R), rel=1e-3)
    assert h.cost == pytest.approx(plain.cost(h.multipliers), rel=1e-7)
    np.testing.assert_allclose(h.fitted, plain.h(h.multipliers), rtol=0, atol=1e-5)


@pytest.mark.parametrize("factor", [0.99, 1.02])  # errors and gaps of either sign
@pytest.mark.parametrize("ridge", ["none", "number", "each"])
def test_what_one_factorization_misses_is_measured(monkeypatch, ridge, factor):
    x, y, R = np.array(INPUTS["unsorted"]), TARGETS[:5], np.full(6, RIDGES[ridge])[:5]
    solve, smooth = Arrow.solve, RidgeSystem.solve
    monkeypatch.setattr(_linear, "_REFINEMENTS", 1)
    monkeypatch.setattr(_linear, "PROMISE", 1.0)
    monkeypatch.setattr(DiscreteDual, "tolerance", lambda dual: dual.size())
    monkeypatch.setattr(Arrow, "solve", lambda *a: factor * solve(*a))
    monkeypatch.setattr(RidgeSystem, "solve", lambda *a: [factor * s for s in smooth(*a)])
    several = variational.solve(x, y, ridge=R, density=LAWS["normal"])
    plain = Plain(x, density=LAWS["normal"])
    shown = [repr(several).split(f"{name}=")[1] for name in ("cost", "gap", "residual")]
    for h, own in zip(several, y.T, strict=True):
        measured(h, plain, own, R)
    for name, text in zip(("cost", "gap", "residual"), shown, strict=True):
        values = [getattr(h, name) for h in several]
        assert text.startswith(f"{min(values):.3g}…{max(values):.3g}, ")


@pytest.mark.parametrize(("ridge", "error", "most"), [(0.0, 1e-9, 1e-10), (0.03, 1e-7, 1e-8)])
def test_each_target_is_promised_its_own_digits(monkeypatch, ridge, error, most):
    """Beside one a million times as large; what misses by more is done again."""
    solve, smooth = Arrow.solve, RidgeSystem.solve
    monkeypatch.setattr(_linear, "_REFINEMENTS", 1)
    monkeypatch.setattr(Arrow, "solve", lambda *a: (1 + error) * solve(*a))
    monkeypatch.setattr(RidgeSystem, "solve", lambda *a: [(1 + error) * s for s in smooth(*a)])
    y = TARGETS[:5] * [1e6, 1.0]
    for h, own in zip(variational.solve(X5, y, ridge=ridge), y.T, strict=True):
        assert h.status is Status.CONVERGED
        K = Plain(X5).kernel()
        expected = K @ np.linalg.solve(K + ridge * np.eye(5), own)
        np.testing.assert_allclose(h.fitted, expected, rtol=0, atol=most * np.abs(own).max())


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
@pytest.mark.parametrize(
    ("y", "phi", "law"),
    [
        (TARGETS[:3, 0], Quadratic(), LAWS["uniform"]),
        (TARGETS[:3, 0], PHI["lopsided"], LAWS["shifted"]),
        (TARGETS[:3, 0], Hypentropy(1.0), stats.laplace(0, 0.3)),  # for which panels go on
        (TARGETS[:3], PHI["nested"], LAWS["normal"]),
    ],
    ids=["quadratic", "lopsided", "far", "two targets"],
)
def test_iterations_are_the_systems_that_were_solved(monkeypatch, y, phi, law, ridge):
    calls = []
    for kind in (Arrow, RidgeSystem):
        solve = kind.solve
        monkeypatch.setattr(
            kind, "solve", lambda *a, solve=solve: (calls.append(len(a)), solve(*a))[1]
        )
    monkeypatch.setattr(_newton, "_AT_ONCE", 1)
    h = variational.solve([-0.4, 0.1, 0.3], y, potential=phi, density=law, ridge=ridge)
    assert h.status is Status.CONVERGED
    assert h.iterations == len(calls)


def test_one_factorization_is_a_step_for_each_target():
    for ridge in (0.0, 0.1):
        assert variational.solve(INPUTS["two"], TARGETS[:2], ridge=ridge).iterations == 2


# What a path says of its errors.


@pytest.mark.parametrize("inputs", ["unsorted", "repeated"])
def test_the_error_adds_up_what_each_step_may_be_wrong_by(monkeypatch, inputs):
    """Errors of the coefficients that are known, under a kernel that stays the same."""
    x, xi = np.array(INPUTS[inputs]), 1e-7 * np.array([1.0, -2.0, 0.5, 3.0, 1.5])
    distinct = np.unique(x)
    xi = xi[: len(distinct)]

    def known(path, _):
        return np.concatenate([path.model.dual.multipliers(xi), xi])

    monkeypatch.setattr(RadauPath, "next_term", known)
    phi = SQUARES["power 2"]
    path = variational.trajectory(x, TARGETS[: len(x), 0], [1.0, 30.0], potential=phi, rtol=1e-4)
    each = np.abs(Plain(distinct).kernel() @ path._path.model.dual.multipliers(xi)).max()
    assert len(path._path.taken) > 3
    assert path.error == pytest.approx(len(path._path.taken) * each, rel=1e-6)


@pytest.mark.parametrize("inputs", ["unsorted", "repeated"])
def test_the_defect_is_that_of_the_equation(inputs):
    """Over each step the mean of y - h, by nodes that tell more, less what the multipliers say."""
    x, model = np.array(INPUTS[inputs]), {"activation": "abs", "potential": PHI["nested"]}
    y, (distinct, group, counts) = TARGETS[: len(x), 0], np.unique(x, False, True, True)
    path = variational.trajectory(x, y, [3.0, 60.0], rtol=1e-2, **model)
    dual, plain, worst = path._path.model.dual, Plain(distinct, **model), []
    means, start = np.bincount(group, y) / counts, 0.0
    for step in path._path.taken:
        states = [dual.multipliers(step.state(0.5 + 0.5 * s)) for s in (-1, *NODES, 1)]
        h = 0.5 * WEIGHTS @ [plain.h(state) for state in states[1:-1]]
        said = len(x) * (states[-1] - states[0]) / (counts * (step.stop - start))
        worst.append(np.abs(means - h - said).max())
        start = step.stop
    assert path.defect == pytest.approx(max(worst), rel=0.05)
    assert path.defect > 2 * np.median(worst) and path.defect > 1e-9


@pytest.mark.parametrize("inputs", ["unsorted", "repeated"])
def test_the_defect_of_the_quadratic_is_that_of_its_sum(monkeypatch, inputs):
    """With too few points on the contour, by plain linear algebra."""
    points, weights = _contour.talbot(4)
    monkeypatch.setattr(_contour, "_POINTS", points)
    monkeypatch.setattr(_contour, "_COEFFICIENTS", weights)
    x, time = np.array(INPUTS[inputs]), 5.0
    y, (distinct, group, counts) = TARGETS[: len(x), 0], np.unique(x, False, True, True)
    path, K = variational.trajectory(x, y, [time], rtol=1e-4), Plain(distinct).kernel()
    means, m = np.bincount(group, y) / counts, len(x)
    each = [np.linalg.solve(K + np.diag(m * z / time / counts), means) for z in points]
    multipliers, velocity = (np.real(share @ each) for share in (weights / points, weights / time))
    missed = m / counts * velocity - (means - K @ multipliers)
    assert path.defect == pytest.approx(np.abs(missed).max(), rel=1e-5)
    assert path.defect > 1e-6  # far above rounding


@pytest.mark.parametrize(("share", "status"), [(0.99, "COMPLETED"), (1.01, "STALLED")])
def test_a_defect_may_be_a_thousand_tolerances_of_the_largest_target(monkeypatch, share, status):
    y = TARGETS[:5, 0]
    monkeypatch.setattr(RadauPath, "_missed", lambda *_: share * 1e-3 * np.abs(y).max())
    path = variational.trajectory(INPUTS["unsorted"], y, [1.0], potential=PHI["nested"], rtol=1e-6)
    assert path.status.name == status


def test_the_error_of_a_trace_is_the_variance_of_what_signs_say(monkeypatch):
    """Over all pairs of signs, of a matrix that is known: an exponential of the kernel's."""
    x, y = np.array([-0.7, -0.2, 0.3, 0.3, 0.9]), TARGETS[:5, 0]
    model = {"potential": SQUARES["power 2"], "rtol": 1e-4}
    distinct, counts = np.unique(x, return_counts=True)
    K = Plain(distinct).kernel()
    root = np.sqrt(counts)
    # of the means: h = K W G y / m
    hat = (root[:, None] * K * root) @ flow(root[:, None] * K * root / 5, 3.0) / 5
    signs = np.stack(np.meshgrid(*[[1.0, -1.0]] * 3), axis=-1).reshape(-1, 3)
    signs = np.hstack([np.ones((8, 1)), signs])  # the other half says the same
    flat = root / np.linalg.norm(root)
    along = [v @ hat @ v for v in signs - np.outer(signs @ flat, flat)]
    monkeypatch.setattr(_trajectory, "_SMOOTH", 1)
    path, pairs = variational.trajectory(x, y, [3.0], probes=2, **model), []

    class Drawn:
        def choice(self, _, shape):
            assert shape == (4, 2)
            return signs[pairs[-1]].T

    monkeypatch.setattr(np.random, "default_rng", lambda _: Drawn())
    found = np.zeros((2, 8, 8))
    for i, j in zip(*np.triu_indices(8), strict=True):
        pairs.append([i, j])
        one = dataclasses.replace(path)
        values = one.degrees_of_freedom[0], one.degrees_of_freedom_error[0] ** 2
        found[:, i, j] = found[:, j, i] = values
    assert found[0].mean() == pytest.approx(np.trace(hat), rel=1e-4)
    assert found[1].mean() == pytest.approx(np.var(along) / 2, rel=1e-3)


@pytest.mark.parametrize("probes", [0, None])
def test_the_error_of_a_trace_has_that_of_its_steps(monkeypatch, probes):
    follow = Response.follow

    def wrong(response, *a):
        follow(response, *a)
        response.slip = 0.01 * response.xi

    monkeypatch.setattr(Response, "follow", wrong)
    model = {"potential": PHI["nested"], "probes": probes, "rtol": 1e-3}
    path = variational.trajectory(INPUTS["repeated"], TARGETS[:, 0], [5.0, 50.0], **model)
    np.testing.assert_allclose(
        path.degrees_of_freedom_error, 0.01 * path.degrees_of_freedom, rtol=1e-9
    )


@pytest.mark.parametrize(("count", "columns"), [(300, 300), (301, 32 + 64)])
def test_beyond_three_hundred_inputs_the_trace_is_drawn(monkeypatch, count, columns):
    x, seen = np.linspace(-0.9, 0.9, count), []
    path = variational.trajectory(x, np.sin(4 * x), [0.1], potential=PHI["nested"], rtol=1e-2)

    class Stop(Exception):
        pass

    def response(_, directions, tolerance):
        seen.append(directions.shape)
        raise Stop

    monkeypatch.setattr(_trajectory, "Response", response)
    with pytest.raises(Stop):
        _ = path.degrees_of_freedom
    assert seen == [(count, columns)]


def test_progress_says_where_the_path_is(capsys):
    x, y, model = INPUTS["repeated"], TARGETS[:, 0], {"potential": PHI["nested"], "rtol": 1e-6}
    whole = variational.trajectory(x, y, [1e5], progress=True, **model)
    lines = capsys.readouterr().out.splitlines()
    rows = [re.fullmatch(r"step (\d+): time (.+), loss (.+)", line).groups() for line in lines]
    steps, times, losses = np.array(rows, dtype=float).T
    assert steps.tolist() == list(range(10, 10 * len(rows) + 1, 10)) and len(rows) > 1
    assert {row[1] for row in rows} <= {f"{step.stop:.3g}" for step in whole._path.taken}
    path = variational.trajectory(x, y, times, **model)
    np.testing.assert_allclose(losses, path.loss, rtol=6e-3)


# Numbers in what is said of bad input.

MESSAGES = [
    (
        {"x": [0.1, -0.2, 1.6], "density": stats.uniform(-1.2, 2.7)},
        "x contains 1.6, outside the support [-1.2, 1.5] of the density",
    ),
    (
        {"x": [7.0, -5.0, 12.0], "density": stats.uniform(5, 21)},
        "x contains -5, which no ReLU unit sees: -5 - b and 5 - b are negative for every b in the "
        "support [5, 26]",
    ),
    ({"x": [0.3, -0.4, 0.5, 0.3]}, "x contains 0.3 more than once"),
    ({"x": [0.3, -0.4, 0.5], "ridge": [0.2, 2e101, 0.1]}, "ridge reaches 2e+101, beside"),
    ({"x": [0.3, -0.4, 0.5], "ridge": [0.2, -0.5, -0.1]}, "ridge contains -0.5; it"),
    (
        {"x": X5, "y": TARGETS[:5], "ridge": [0.1, 0.2]},
        "have shape (5,), one for each datum, got shape (2,)",
    ),
    ({"x": np.ones((5, 3)), "y": TARGETS[:5]}, "one input per data point, got 3; use"),
    ({"x": [0.3, -0.4], "ridge": "gcv"}, "three data points, got 2; give"),
]


@pytest.mark.parametrize(("problem", "says"), MESSAGES)
def test_messages_have_their_numbers(problem, says):
    problem = dict(problem)
    x = np.array(problem.pop("x"))
    with pytest.raises(ValueError, match=re.escape(says)):
        variational.solve(x, problem.pop("y", TARGETS[: len(x), 0]), **problem)
