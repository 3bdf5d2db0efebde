"""Several targets at the same inputs, against one at a time."""

import numpy as np
import pytest
from scipy import stats

from mflib import variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status, _linear, _newton, _solver
from mflib.variational._data import dataset_with_ridge
from mflib.variational._dual import DiscreteDual

QUERY = np.linspace(-1.2, 1.2, 30).reshape(5, 6)
DENSITIES = {"uniform": stats.uniform(-1, 2), "normal": stats.norm(0.1, 0.5)}
ARRAYS = ["cost", "fitted", "multipliers", "gcv"]


def data(m=12, k=4):
    rng = np.random.default_rng(m)
    return rng.uniform(-0.9, 0.9, m), rng.standard_normal((m, k)) * [[1.0, 10.0, 1e-3, 3.0]]


def agree(several, single):
    assert several.status is Status.CONVERGED
    for method in ("__call__", "derivative", "curvature"):
        expected = np.stack([getattr(h, method)(QUERY) for h in single], axis=-1)
        actual = getattr(several, method)(QUERY)
        sizes = np.abs(expected).max(axis=(0, 1))
        assert actual.shape == (5, 6, len(single))
        np.testing.assert_allclose(actual / sizes, expected / sizes, rtol=0, atol=1e-9)
    for name in ARRAYS:
        expected = np.stack([getattr(h, name) for h in single], axis=-1)
        np.testing.assert_allclose(getattr(several, name), expected, rtol=1e-7)


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("ridge", [0.0, 0.03, "each"])
@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)], ids=["x^2", "x^4"])
def test_several_are_each(potential, ridge, activation, density):
    x, y = data()
    if ridge == "each":
        ridge, x[3] = np.linspace(0.01, 0.1, 12), x[2]
    model = {"potential": potential, "activation": activation, "density": density, "ridge": ridge}
    several = variational.solve(x, y, **model)
    agree(several, [variational.solve(x, column, **model) for column in y.T])
    assert several.residual.shape == several.gap.shape == (4,)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_few_points(m):
    x, y = data(m)
    for ridge in (0.0, 0.1):
        agree(
            variational.solve(x, y, ridge=ridge),
            [variational.solve(x, column, ridge=ridge) for column in y.T],
        )


def test_each_chooses_its_ridge():
    x, y = data(30)
    y += np.sin(4 * x)[:, None]
    several = variational.solve(x, y, ridge="gcv")
    single = [variational.solve(x, column, ridge="gcv") for column in y.T]
    assert several.ridge.tolist() == [h.ridge for h in single]
    agree(several, single)


def test_one_factorization_serves_all(monkeypatch):
    x, y = data()
    monkeypatch.setattr(_solver, "_smoothed", None)
    monkeypatch.setattr(_solver, "_interpolated", None)
    assert variational.solve(x, y, ridge=0.1).status is Status.CONVERGED
    assert variational.solve(x, y).status is Status.CONVERGED


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_what_fails_is_done_again(monkeypatch, ridge):
    x, y = data()
    monkeypatch.setattr(_linear, "_REFINEMENTS", 1)
    monkeypatch.setattr(_linear.Several, "tails", lambda *_: False)
    agree(
        variational.solve(x, y, ridge=ridge),
        [variational.solve(x, column, ridge=ridge) for column in y.T],
    )
    monkeypatch.setattr(_linear, "PROMISE", 0.0)
    monkeypatch.setattr(_linear.DiscreteDual, "tolerance", lambda _: 0.0)
    order = np.argsort(x)
    dual = DiscreteDual(x[order], y[order, 0], 0.0, Quadratic(), DENSITIES["uniform"])
    several = _linear.Several(dataset_with_ridge(x, y, ridge), dual)
    assert not any(several.smooth() if ridge else several.interpolate())


POTENTIALS = {
    "x^3": Regularized(Power(3), 1),
    "hypentropy": Hypentropy(0.1),
    "no formula": Regularized(Power(2.5), 1),
}


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
def test_many_take_their_steps_by_themselves(monkeypatch, potential, activation, density):
    """In batches of any size each target has the answer that it has alone."""
    rng = np.random.default_rng(5)
    x, y = rng.uniform(-0.9, 0.9, 8), rng.standard_normal((8, 7)) * 10.0 ** np.arange(-3, 4)
    y[:, 2] = 0.0
    model = {"potential": potential, "activation": activation, "density": density}
    together = variational.solve(x, y, **model)
    monkeypatch.setattr(_newton, "_AT_ONCE", 1)
    apart = variational.solve(x, y, **model)
    for h, other, column in zip(together, apart, y.T, strict=True):
        alone = variational.solve(x, column, **model)
        assert h.status is other.status is alone.status
        size = np.abs(alone(QUERY)).max()
        if alone.status is Status.CONVERGED:
            np.testing.assert_allclose(h(QUERY), alone(QUERY), rtol=0, atol=3e-12 * size)
        np.testing.assert_array_equal(other(QUERY), alone(QUERY))


def test_only_those_whose_tails_are_cut_are_done_again():
    """Light tails of a density, steep ones of a field: far panels for the large targets alone."""
    x, y = np.array([-0.4, 0.1, 0.3]), np.array([[1.0, 1e-4], [-2.0, 3e-4], [0.5, 2e-4]])
    model = {"potential": Hypentropy(0.01), "density": stats.norm(0, 1)}
    several = variational.solve(x, y, **model)
    for h, column in zip(several, y.T, strict=True):
        alone = variational.solve(x, column, **model)
        assert (h.status, h.iterations) == (alone.status, alone.iterations)
        np.testing.assert_allclose(h(QUERY), alone(QUERY), rtol=1e-11, atol=1e-15)


def test_one_that_stalls_is_told():
    """Small targets stay where a steep potential is a parabola."""
    potential = Regularized(Power(100), 1)
    several = variational.solve([-0.4, 0.3], [[1.0, 1e-2], [-2.0, 3e-2]], potential=potential)
    assert [h.status for h in several] == [Status.STALLED, Status.CONVERGED]
    alone = variational.solve([-0.4, 0.3], [1e-2, 3e-2], potential=potential)
    np.testing.assert_allclose(several[1](QUERY), alone(QUERY), rtol=1e-12)
    assert several.status is Status.STALLED
    assert several.iterations == sum(h.iterations for h in several)
    assert repr(several).startswith("Solutions(2 targets, cost=")
