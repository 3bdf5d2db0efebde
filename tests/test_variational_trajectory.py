"""The path at O(m) a step against the dense one, exponentials, limits and finite differences."""

import dataclasses

import numpy as np
import pytest
from scipy import linalg, stats

from mflib import _collocation, representation, variational
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized
from mflib.variational import TrajectoryStatus, _dual, _response, _trajectory
from mflib.variational._contour import talbot
from mflib.variational._panels import smooth_panels
from mflib.variational._quadrature import LEVELS
from mflib.variational._radau import RadauPath
from tests.problems import DENSITIES, SCALED, Lopsided, X, Y

QUERY = np.array([-1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23])
REPEATED = np.array([0.63, -0.71, 0.63, -0.32, 0.63])
POWER_4 = Regularized(Power(4), 1)
COMPLETED, STALLED = TrajectoryStatus.COMPLETED, TrajectoryStatus.STALLED


def noisy(m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, m)
    return x, np.sin(4 * x) + 0.3 * rng.standard_normal(m)


@pytest.mark.parametrize(
    ("activation", "potential", "density", "x"),
    [
        ("relu", POWER_4, "uniform", X),
        ("abs", POWER_4, "skewed", REPEATED),
        ("abs", Hypentropy(0.5), "normal", X[:3]),
        ("leaky_relu", SCALED["power 3"], "uniform", REPEATED[2:4]),
        ("abs", Lopsided(), "uniform", X[:2]),
        ("relu", Quadratic(), "normal", REPEATED),
        ("abs", Quadratic(), "skewed", X[:2]),
        ("relu", Quadratic(), "uniform", X[:1]),
    ],
)
def test_it_is_the_path_of_the_dense_solver(activation, potential, density, x):
    y, times = Y[: len(x)], [0.0, 0.7, 60.0]
    model = {"activation": activation, "potential": potential, "density": DENSITIES[density]}
    path = variational.trajectory(x, y, times, rtol=1e-8, **model)
    other = representation.trajectory(x, y, times, rtol=1e-9, **model)
    assert path.status is COMPLETED
    np.testing.assert_allclose(path.values, other.values, rtol=0, atol=1e-9)
    np.testing.assert_allclose(path(QUERY), other(QUERY), rtol=0, atol=2e-9)
    np.testing.assert_allclose(path.multipliers, other.multipliers, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(path.cost, other.cost, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(path.loss, other.loss, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(path(x), path.values, rtol=0, atol=1e-12)
    assert not path(QUERY)[0].any()


def test_derivatives_are_those_of_the_function():
    path, step = variational.trajectory(X, Y, [3.0, 1e4]), 1e-5
    slope = (path(QUERY + step) - path(QUERY - step)) / (2 * step)
    np.testing.assert_allclose(path.derivative(QUERY), slope, rtol=0, atol=1e-8)
    bend = (path.derivative(QUERY + step) - path.derivative(QUERY - step)) / (2 * step)
    np.testing.assert_allclose(path.curvature(QUERY), bend, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [None, lambda t: 1 + t**2])
@pytest.mark.parametrize("level", [1, 4])
@pytest.mark.parametrize("many", [0, 10**6])
def test_loads_of_several_fields_are_those_of_each(monkeypatch, scale, level, many):
    monkeypatch.setattr(_dual, "_MANY", many)
    dual = _dual.DiscreteDual(X, Y, 0.2, POWER_4, stats.norm(0.1, 0.7), scale)
    xis = 3 * np.random.default_rng(1).standard_normal((4, len(X)))
    each = [dual.evaluate(xi, LEVELS[level]).load for xi in xis]
    np.testing.assert_allclose(dual.loads(xis, LEVELS[level]), each, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("potential", [Quadratic(), POWER_4], ids=repr)
def test_it_ends_at_the_solution(potential):
    model = {"activation": "abs", "potential": potential}
    path = variational.trajectory(X, Y, [30.0, 1e9], rtol=1e-5, **model)
    solution = variational.solve(X, Y, **model)
    np.testing.assert_allclose(path(QUERY)[1], solution(QUERY), rtol=0, atol=1e-8)
    assert path.cost[1] == pytest.approx(solution.cost, rel=1e-8)
    assert np.abs(path(QUERY)[0] - solution(QUERY)).max() > 1e-3


def test_the_exponential_on_the_whole_axis():
    z, c = talbot()
    u = np.concatenate([[0.0], np.geomspace(1e-6, 1e15, 500)])
    decay = (c / (z + u[:, None])).sum(axis=1).real
    np.testing.assert_allclose(decay, np.exp(-u), rtol=0, atol=2e-13)
    coarse = (talbot(6)[1] / (talbot(6)[0] + u[:, None])).sum(axis=1).real
    assert 1e-8 < np.abs(coarse - np.exp(-u)).max() < 1e-6


@pytest.mark.parametrize("x", [X, REPEATED], ids=["distinct", "repeated"])
def test_an_unscaled_potential_is_the_quadratic_at_its_own_clock(x):
    """phi''(0) = 1 for (x^4 + x^2)/2: twice as fast."""
    path = variational.trajectory(x, Y, [5.0, 70.0], potential=POWER_4, scaled=False)
    other = representation.trajectory(x, Y, [10.0, 140.0])
    np.testing.assert_allclose(path(QUERY), other(QUERY), rtol=0, atol=1e-10)
    np.testing.assert_allclose(path.multipliers, other.multipliers, rtol=1e-9)
    np.testing.assert_array_equal(path.times, [5.0, 70.0])


def differences(query, times, x, y, **model) -> np.ndarray:
    """Central differences of h at the query in each target, shape (times, query, m)."""
    step, columns = 1e-4, []
    for change in step * np.eye(len(x)):
        ends = [variational.trajectory(x, y + s * change, times, **model)(query) for s in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * step))
    return np.moveaxis(columns, 0, -1)


@pytest.mark.parametrize(
    ("activation", "potential", "x"),
    [
        ("relu", Quadratic(), REPEATED),
        ("abs", Quadratic(), X[:1]),
        ("abs", POWER_4, REPEATED[:3]),
        ("relu", POWER_4, X[:1]),
    ],
)
def test_the_derivative_in_the_targets(activation, potential, x):
    times, y = [0.0, 1.0, 8.0], Y[: len(x)]
    model = {"activation": activation, "potential": potential, "rtol": 1e-6}
    path = variational.trajectory(x, y, times, **model)
    inputs = np.concatenate([QUERY[::2], x])
    expected = differences(inputs, times, x, y, **model)
    np.testing.assert_allclose(path.jacobian(inputs), expected, rtol=0, atol=1e-6)
    trace = np.trace(expected[:, -len(x) :], axis1=1, axis2=2)
    np.testing.assert_allclose(path.degrees_of_freedom, trace, rtol=0, atol=1e-6)
    assert (path.degrees_of_freedom_error < 1e-6).all()
    gcv = path.loss / (1 - path.degrees_of_freedom / len(x)) ** 2
    np.testing.assert_allclose(path.gcv, gcv, rtol=1e-12)


def test_degrees_of_freedom_of_the_quadratic_are_those_of_the_kernel():
    x, y = noisy(60)
    times = np.array([1.0, 1e3, 1e6])
    path = variational.trajectory(x, y, times, activation="abs")
    rates = linalg.eigvalsh(representation.kernel(x, activation="abs")) / len(x)
    expected = -np.expm1(-np.outer(times, rates.clip(0))).sum(axis=1)
    np.testing.assert_allclose(path.degrees_of_freedom, expected, rtol=1e-8)


def test_probes_agree_with_the_exact_trace_up_to_their_error():
    x, y = noisy(45)
    model = {"activation": "abs", "potential": POWER_4, "rtol": 1e-4}
    exact = variational.trajectory(x, y, [10.0, 100.0], probes=0, **model)
    drawn = variational.trajectory(x, y, [10.0, 100.0], probes=8, **model)
    off = np.abs(drawn.degrees_of_freedom - exact.degrees_of_freedom)
    assert (off < 5 * drawn.degrees_of_freedom_error + 1e-6).all()
    assert (exact.degrees_of_freedom_error < 1e-3).all()
    assert (off > 0).all() and (off < 0.05).all()
    again = variational.trajectory(x, y, [10.0, 100.0], probes=8, **model)
    np.testing.assert_array_equal(again.degrees_of_freedom, drawn.degrees_of_freedom)


def test_the_error_of_probes_is_the_spread_of_what_they_give(monkeypatch):
    """With few polynomials that leave much to chance."""
    monkeypatch.setattr(_trajectory, "_SMOOTH", 2)
    x, y = noisy(20)
    model = {"activation": "abs", "potential": POWER_4, "rtol": 1e-4}
    path, chance = (
        variational.trajectory(x, y, [100.0], probes=8, **model),
        np.random.default_rng(1),
    )
    monkeypatch.setattr(np.random, "default_rng", lambda seed: chance)
    drawn = [dataclasses.replace(path) for _ in range(24)]
    spread = np.std([one.degrees_of_freedom[0] for one in drawn], ddof=1)
    errors = [one.degrees_of_freedom_error[0] for one in drawn]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(spread, rel=0.5)


def test_gcv_smooths_and_does_not_interpolate():
    x, y = noisy(1000)
    path = variational.trajectory(x, y, 10.0 ** np.arange(11))
    risk = ((path.values - np.sin(4 * x)) ** 2).mean(axis=1)
    chosen = path.gcv.argmin()
    assert 0 < chosen < 10
    assert risk[chosen] < 0.01 * risk[0]
    assert path.defect < 1e-10


def test_steps_grow_with_the_logarithm_of_time():
    x, y = noisy(20)
    model = {"activation": "abs", "potential": POWER_4, "rtol": 1e-2}
    paths = [variational.trajectory(x, y, [time], **model) for time in (1e2, 1e4, 1e6)]
    counts = [len(path._path.taken) for path in paths]
    assert all(path.status is COMPLETED for path in paths)
    assert 5 < counts[0] < counts[1] < 4 * counts[0]
    assert counts[2] < 3 * counts[1]


def test_a_step_begins_where_the_last_one_leads(monkeypatch):
    """The stages are met with fewer evaluations, and met as well."""
    (x, y), velocity, calls = noisy(20), RadauPath._velocity, []
    monkeypatch.setattr(RadauPath, "_velocity", lambda *a: calls.append(1) or velocity(*a))
    counts, ends = [], []
    for predicted in (RadauPath._predicted, lambda path, _: np.zeros((7, path.n))):
        monkeypatch.setattr(RadauPath, "_predicted", predicted)
        calls.clear()
        ends.append(variational.trajectory(x, y, [1e4], potential=Hypentropy(1.0)).values)
        counts.append(len(calls))
    assert counts[0] < 0.7 * counts[1]
    np.testing.assert_allclose(*ends, rtol=0, atol=1e-8)


def test_the_error_is_honest():
    x, y = noisy(10)
    model = {"activation": "abs", "potential": POWER_4}
    exact = variational.trajectory(x, y, [10.0, 100.0], rtol=1e-7, **model).values
    path = variational.trajectory(x, y, [10.0, 100.0], rtol=1e-4, **model)
    assert np.abs(path.values - exact).max() < path.error < 0.1


def test_the_defect_sees_a_wrong_velocity(monkeypatch):
    velocity = RadauPath._velocity
    monkeypatch.setattr(RadauPath, "_velocity", lambda *a: 1.01 * velocity(*a))
    path = variational.trajectory(X, Y, [1.0, 10.0], potential=POWER_4, rtol=1e-6)
    assert path.status is STALLED
    assert np.isnan(path.loss).all() and path(QUERY).shape == (2, 8)


def test_the_defect_is_the_largest_of_all_steps(monkeypatch):
    missed = iter([1e-9, 5e-9, *[2e-9] * 1000])
    monkeypatch.setattr(RadauPath, "_missed", lambda *_: next(missed))
    path = variational.trajectory(X, Y, [1.0, 100.0], potential=POWER_4, rtol=1e-6)
    assert path.defect == 5e-9


def test_the_defect_of_the_quadratic_is_the_largest_of_all_times():
    times = [1.0, 10.0, 1e3]
    each = [variational.trajectory(X, Y, [time]).defect for time in times]
    assert variational.trajectory(X, Y, times).defect == max(each)


def test_steps_are_limited_and_rows_from_there_on_are_nan(monkeypatch):
    monkeypatch.setattr(_collocation, "_MOST_STEPS", 10)
    path = variational.trajectory(X[:3], Y[:3], [1.0, 10.0, 1e5], potential=POWER_4, rtol=1e-5)
    assert path.status is STALLED
    rows = (path.loss, path.cost, path(QUERY), path.multipliers, path.values, path.derivative(X))
    for row in (*rows, path.degrees_of_freedom, path.jacobian(X)):
        assert np.isfinite(row[0]).all()
        assert np.isnan(row[2]).all()


def test_a_conjugate_without_an_integral_stalls():
    """sinh has a mean under the normal density, and none under Student's."""
    model = {"potential": Hypentropy(1.0), "rtol": 1e-2}
    light = variational.trajectory([0.3], [10.0], [1.0], density=stats.norm(), **model)
    heavy = variational.trajectory([0.3], [10.0], [1.0], density=stats.t(5), **model)
    assert light.status is COMPLETED
    assert heavy.status is STALLED
    assert np.isnan([heavy.error, heavy.defect, *heavy.loss, *heavy.degrees_of_freedom]).all()
    assert np.isnan(heavy.jacobian(QUERY)).all()


class Bounded(Potential):
    """sqrt(1 + x^2), whose gradient stays in (-1, 1): h(0.3) cannot exceed some bound."""

    def value(self, x):
        return (1 + x**2) ** 0.5

    def gradient(self, x):
        return x * (1 + x**2) ** -0.5

    def hessian(self, x):
        return (1 + x**2) ** -1.5


def test_what_no_multiplier_reaches_stalls():
    times, model = [0.1, 1e3], {"potential": Bounded(), "activation": "abs", "rtol": 1e-3}
    path = variational.trajectory([0.3], [5.0], times, **model)
    assert path.status is STALLED
    assert np.isfinite(path.values[0]) and np.isnan(path.values[1])
    assert variational.trajectory([0.3], [0.1], times, **model).status is COMPLETED


def test_a_tail_that_decays_slowly_is_followed():
    """The first panels cut it; the finest quadratures and panels farther out see the same."""
    model = {"potential": Hypentropy(1.0), "density": stats.laplace(0, 0.3), "rtol": 1e-4}
    path = variational.trajectory([0.3], [5.0], [1.0], **model)
    other = representation.trajectory([0.3], [5.0], [1.0], **model)
    assert path.status is COMPLETED
    near = smooth_panels(model["density"]).edges
    assert path._path.model.dual.panels.edges[-1] > near[-1]
    np.testing.assert_allclose(path(QUERY), other(QUERY), rtol=0, atol=1e-5)


def test_an_extrapolation_that_is_cut_off_is_told(monkeypatch):
    """Halves of a step make up for it."""
    x, y, model = REPEATED[:3], Y[:3], {"activation": "abs", "potential": POWER_4, "rtol": 1e-3}
    exact = variational.trajectory(x, y, [8.0], **model).degrees_of_freedom
    monkeypatch.setattr(_response, "_MOST", 2)
    off = []
    for halvings in (0, 3):
        monkeypatch.setattr(_response, "_MOST_HALVINGS", halvings)
        path = variational.trajectory(x, y, [8.0], **model)
        off.append(np.abs(path.degrees_of_freedom - exact).max())
        assert off[-1] < path.degrees_of_freedom_error.max()
    assert off[0] > 1e-3 > 5 * off[1]


def test_progress_is_printed_when_asked_for(capsys):
    model = {"potential": POWER_4, "rtol": 1e-3}
    variational.trajectory(X, Y, [1e5], **model)
    assert not capsys.readouterr().out
    variational.trajectory(X, Y, [1e5], progress=True, **model)
    assert capsys.readouterr().out.startswith("step 10: time ")


@pytest.mark.parametrize("potential", [Quadratic(), POWER_4], ids=repr)
@pytest.mark.parametrize("scale", [0.0, 1e-100])
def test_small_targets(potential, scale):
    path = variational.trajectory(X, scale * Y, [1.0, 1e3], potential=potential, rtol=1e-5)
    assert path.status is COMPLETED
    assert np.abs(path(QUERY)).max() <= 10 * scale


@pytest.mark.parametrize("time", [1e-30, 1e30])
def test_extreme_times(time):
    path = variational.trajectory(X, Y, [time])
    np.testing.assert_allclose(path.values[0], Y if time > 1 else 0 * Y, rtol=0, atol=1e-10)


def test_what_belongs_elsewhere_is_refused():
    with pytest.raises(ValueError, match="x must have one input per data point, got 2; use rep"):
        variational.trajectory([[0.1, 0.2]], [1.0], [1.0])
    with pytest.raises(ValueError, match="probes must be 0 or at least 2.*got 1"):
        variational.trajectory([0.1], [1.0], [1.0], probes=1)
