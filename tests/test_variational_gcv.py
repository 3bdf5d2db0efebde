"""The ridge of least generalized cross-validation."""

import numpy as np
import pytest
from scipy import interpolate

from mflib import variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status, _gcv
from mflib.variational._data import dataset_with_ridge
from mflib.variational._dual import DiscreteDual
from tests.problems import UNIFORM

POTENTIALS = {
    "x^2": Quadratic(),
    "x^4": Regularized(Power(4), 1),
    "hypentropy": Regularized(Hypentropy(0.1), 0.1),
}


def noisy(m, seed=0, *, repeats=False):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, m)
    if repeats:
        x = x.round(1)
    return x, np.sin(4 * x) + 0.3 * rng.standard_normal(m)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("activation", ["relu", "abs"])
@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
def test_is_the_least_of_a_fine_grid(potential, activation, repeats):
    x, y = noisy(50, repeats=repeats)
    model = {"potential": potential, "activation": activation}
    h = variational.solve(x, y, ridge="gcv", **model)
    assert h.status is Status.CONVERGED
    assert h.leverages.sum() == pytest.approx(h.degrees_of_freedom)
    for factor in (0.01, 0.1, 0.5, 0.8, 1.25, 2, 10, 100):
        other = variational.solve(x, y, ridge=factor * h.ridge, **model)
        assert other.gcv >= h.gcv * (1 - 1e-5)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("potential", POTENTIALS.values(), ids=POTENTIALS.keys())
def test_criterion_is_the_gcv_of_the_solution(potential, repeats):
    x, y = noisy(40, repeats=repeats)
    data = dataset_with_ridge(x, y, "gcv")
    criterion = _gcv.Criterion(data, DiscreteDual(data.x, data.y, 0.0, potential, UNIFORM))
    for ridge in (1.0, 1e-3, 1e-6):
        h = variational.solve(x, y, ridge=ridge, potential=potential)
        value, freedom = criterion.measure(np.log(ridge))
        assert np.exp(value) == pytest.approx(h.gcv, rel=1e-4)
        assert 40 * freedom == pytest.approx(h.degrees_of_freedom, rel=1e-4)


def test_no_worse_than_the_smoothing_spline():
    """On average over samples, in the distance from the truth; both choose for themselves."""
    risks = []
    x = np.linspace(-1, 1, 400)
    for seed in range(6):
        y = np.sin(4 * x) + 0.3 * np.random.default_rng(seed).standard_normal(400)
        both = variational.solve(x, y, ridge="gcv"), interpolate.make_smoothing_spline(x, y)
        risks.append([np.sqrt(np.mean((h(x) - np.sin(4 * x)) ** 2)) for h in both])
    own, spline = np.mean(risks, axis=0)
    assert own <= 1.1 * spline


def test_without_noise_it_all_but_interpolates():
    x = np.linspace(-0.9, 0.9, 30)
    for y in (np.sin(3 * x), np.full(30, 2.0)):
        h = variational.solve(x, y, ridge="gcv")
        assert h.status is Status.CONVERGED
        np.testing.assert_allclose(h(x), y, atol=1e-3)
    flat = variational.solve(x, 0 * x, ridge="gcv")
    assert not flat(x).any()
    assert flat.status is Status.CONVERGED


def test_noise_alone_is_smoothed_away():
    y = np.random.default_rng(3).standard_normal(300)
    h = variational.solve(np.linspace(-1, 1, 300), y, ridge="gcv")
    assert h.degrees_of_freedom < 8
    assert np.abs(h.fitted).max() < 0.6


def test_a_start_that_fails_is_begun_again(monkeypatch):
    """From a neighbour that is no use the search goes back to the secants."""
    x, y = noisy(30)
    data = dataset_with_ridge(x, y, "gcv")
    dual = DiscreteDual(data.x, data.y, 0.0, POTENTIALS["x^4"], UNIFORM)
    expected = _gcv.Criterion(data, dual).measure(np.log(1e-6))
    criterion = _gcv.Criterion(data, dual)
    criterion.measure(0.0)
    begun = []
    monkeypatch.setattr(_gcv, "start", lambda *a, start=_gcv.start: begun.append(a) or start(*a))
    (near,) = criterion.points.values()
    near.multipliers[:] = np.nan
    np.testing.assert_allclose(criterion.measure(np.log(1e-6)), expected, rtol=1e-6)
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("ridge", "m", "says"),
    [
        ("gvc", 5, "ridge must be 'gcv' or numbers, got 'gvc'"),
        ("gcv", 2, "ridge='gcv' needs at least three data points, got 2; give a number"),
    ],
)
def test_bad_choice(ridge, m, says):
    with pytest.raises(ValueError, match=says):
        variational.solve(*noisy(m), ridge=ridge)
