"""Derivatives with respect to the targets: finite differences, refits, and linearity."""

import numpy as np
import pytest
from scipy import stats

from mflib import activations, densities, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized

POTENTIALS = {
    "x^2": Quadratic(),
    "x^4": Regularized(Power(4), 1),
    "hypentropy": Regularized(Hypentropy(0.1), 0.1),
}
ACTIVATIONS = {"relu": "relu", "abs": "abs", "leaky": activations.leaky_relu(0.3)}
NORMAL = stats.norm(0.2, 0.6)


def noisy(m, seed, *, repeats=False):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-1, 1, m), 3 * rng.standard_normal(m)
    if repeats:
        x[1] = x[4] = x[0]
        x[3] = x[2] + 1e-7
    return x, y, rng.uniform(0.5, 2, m) * 10.0 ** rng.integers(-3, 0)


def differences(x, y, t, **model):
    """Fourth-order differences of h(t) with respect to every target."""
    columns, d = [], 1e-3
    for i in range(len(y)):
        near, far = (
            [variational.solve(x, y + sign * size * d * np.eye(len(y))[i], **model)(t)
             for sign in (1, -1)]
            for size in (1, 2)
        )  # fmt: skip
        columns.append((8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * d))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("m", "weighted"), [(1, True), (2, True), (2, False), (5, True)])
@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
def test_finite_differences(activation, potential, m, weighted):
    """At the data, between them and beyond them, where a density ends and where z is zero."""
    x, y, ridge = noisy(m, m, repeats=m > 4)
    density = NORMAL if m == 2 else stats.uniform(-1, 2)
    model = {"activation": activation, "potential": potential, "density": density}
    model["ridge"] = ridge if weighted else 0.0
    h = variational.solve(x, y, **model)
    t = np.concatenate([x, np.linspace(-1.4, 1.3, 12)])
    expected = differences(x, y, t, **model)
    jacobian = h.jacobian(t)
    np.testing.assert_allclose(jacobian, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(h.leverages, np.diag(jacobian), rtol=0, atol=1e-12)
    assert h.degrees_of_freedom == pytest.approx(np.trace(expected[:m]), rel=1e-6)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_a_potential_that_depends_on_the_place(activation):
    """Kinks that depend on their weights scale it."""
    x, y, ridge = noisy(2, 7)
    model = {"activation": activation, "potential": POTENTIALS["x^4"], "ridge": ridge}
    model["density"] = densities.linear_layer(1.0, 0.7)
    t = np.linspace(-1.4, 1.3, 12)
    jacobian, expected = variational.solve(x, y, **model).jacobian(t), differences(x, y, t, **model)
    np.testing.assert_allclose(jacobian, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_leverages_of_a_dense_kernel():
    x, y, _ = noisy(60, 1)
    kernel = representation.kernel(x, density=NORMAL)
    for ridge in (1e-8, 1e-3, 1e2):
        h = variational.solve(x, y, ridge=ridge, density=NORMAL)
        hat = kernel @ np.linalg.inv(kernel + ridge * np.eye(60))
        np.testing.assert_allclose(h.leverages, np.diag(hat), rtol=1e-6, atol=1e-12)
        expected = 60 * np.sum((y - h.fitted) ** 2) / (60 - np.trace(hat)) ** 2
        assert h.gcv == pytest.approx(expected, rel=1e-6)


def refits(x, y, ridge, **model):
    left = []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        h = variational.solve(x[others], y[others], ridge=ridge[others], **model)
        left.append(y[i] - h(x[i]))
    return np.array(left)


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS.keys())
@pytest.mark.parametrize("kind", ["repeats", "interpolation", "some without a ridge"])
def test_leave_one_out_is_exact_for_the_quadratic(activation, kind):
    x, y, ridge = noisy(9, 2, repeats=kind != "interpolation")
    if kind == "interpolation":
        ridge[:] = 0
    elif kind == "some without a ridge":
        ridge[[1, 6]] = 0
    model = {"activation": activation, "density": NORMAL}
    h = variational.solve(x, y, ridge=ridge, **model)
    expected = refits(x, y, ridge, **model)
    np.testing.assert_allclose(h.leave_one_out, expected, rtol=1e-9, atol=1e-10)
    assert np.isnan(h.gcv) == (kind == "some without a ridge")


def test_leave_one_out_is_first_order_otherwise():
    """Where leaving one out changes little it changes h by what the derivative says."""
    rng = np.random.default_rng(3)
    x = np.linspace(-0.95, 0.95, 20)
    y = np.sin(4 * x) + 0.2 * rng.standard_normal(20)
    ridge = np.full(20, 1e-2)
    for potential, worst in ((POTENTIALS["x^4"], 0.03), (POTENTIALS["hypentropy"], 0.1)):
        h = variational.solve(x, y, ridge=ridge, potential=potential)
        expected = refits(x, y, ridge, potential=potential)
        error = np.linalg.norm(h.leave_one_out - expected)
        assert error <= worst * np.linalg.norm(expected)
        assert error <= 0.2 * np.linalg.norm(y - h.fitted - expected)


def test_weighted_gcv_is_that_of_scaled_data():
    """Weights of mean one; the same weights in another unit are the same."""
    x, y, ridge = noisy(30, 4, repeats=True)
    h = variational.solve(x, y, ridge=ridge)
    weights = (1 / ridge) / np.mean(1 / ridge)
    trace = np.trace(h.jacobian(x))
    expected = 30 * (weights @ (y - h.fitted) ** 2) / (30 - trace) ** 2
    assert h.gcv == pytest.approx(expected, rel=1e-9)


def test_gcv_of_an_interpolant_is_a_limit():
    x, y, _ = noisy(12, 5)
    limit = variational.solve(x, y).gcv
    assert variational.solve(x, y, ridge=1e-12).gcv == pytest.approx(limit, rel=1e-5)


def test_jacobian_of_many_points_in_chunks(monkeypatch):
    x, y, _ = noisy(50, 6)
    h = variational.solve(x, y, ridge=0.01)
    t = np.linspace(-1, 1, 23)
    whole = h.jacobian(t)
    monkeypatch.setattr("mflib.variational._sensitivity._CHUNK", 100)
    np.testing.assert_allclose(h.jacobian(t), whole, rtol=1e-12)
    np.testing.assert_allclose(whole @ y, h(t), rtol=1e-9)
    assert h.jacobian([]).shape == (0, 50)


def test_bad_points():
    h = variational.solve([0.1, 0.5], [1.0, 2.0], ridge=0.1)
    with pytest.raises(ValueError, match=r"t must have shape \(n,\), got \(\)"):
        h.jacobian(0.3)
    with pytest.raises(ValueError, match="t contains nan"):
        h.jacobian([np.nan])
