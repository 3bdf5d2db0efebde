"""Trials against the flow, fits against exact power laws."""

import numpy as np
import pytest
import torch
from scipy import interpolate, stats

import mflib
from mflib import experiments, representation, variational
from mflib.experiments import _distances
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import X, Y


def test_a_trial_reports_what_the_flow_does():
    potential, options = Regularized(Power(3), 1), {"scaled": True, "loss_target": 1e-5}
    model = {"activation": "abs", "density": stats.norm(0.2, 0.7), "output_scale": 0.8}
    row = experiments.trial(
        *(150, 4, potential),
        x=X,
        y=Y,
        limit=np.sin,
        **model,
        **options,
    )
    net = mflib.ShallowNetwork(150, seed=4, **model)
    run = mflib.mirror_flow(net, X, Y, potential=potential, **options)
    assert row["status"] == run.status.name == "CONVERGED"
    for name in ("loss", "steps", "parameter_change", "kernel_change"):
        assert row[name] == pytest.approx(getattr(run, name), rel=1e-12)
    with torch.no_grad():  # the change is compared with the limit, not the function
        change = (run.network(experiments.GRID) - net(experiments.GRID)).numpy()
    assert row["error"] == pytest.approx(np.abs(change - np.sin(experiments.GRID)).max(), rel=1e-9)
    assert "error" not in experiments.trial(20, 0, Quadratic(), x=X[:2], y=Y[:2], max_time=1.0)


def test_distance_is_the_largest_difference_on_the_grid():
    assert len(experiments.GRID) == 501
    assert experiments.GRID[[0, -1]].tolist() == [-1.5, 1.5]
    net = mflib.ShallowNetwork(10, output_scale=1.0, seed=0)
    expected = np.abs(net(experiments.GRID).detach().numpy() - experiments.GRID**2).max()
    assert experiments.distance(net, lambda t: t**2) == pytest.approx(expected, rel=1e-12)
    assert experiments.distance(lambda t: t**2, net) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_functions_are_compared_on_the_grid_that_is_asked_for(activation):
    x, y = np.array([31.0, 34.0, 39.0]), np.array([0.5, -1.0, 2.0])
    model = {"activation": activation, "density": stats.uniform(-40, 80)}
    net = mflib.ShallowNetwork(300, output_scale=0.1, seed=2, **model)
    grid = np.random.default_rng(0).permutation(np.linspace(30, 40, 77))  # in no order
    with torch.no_grad():
        apart = np.abs(net(grid).numpy() - np.sin(grid)).max()
    assert experiments.distance(net, np.sin, grid=grid) == pytest.approx(apart, rel=1e-9)
    assert experiments.distance(np.sin, net, grid=grid.tolist()) == pytest.approx(apart, rel=1e-9)
    one = experiments.distance(net, np.sin, grid=[33.0])
    assert one == pytest.approx(abs(net([33.0]).item() - np.sin(33.0)), rel=1e-9)
    if activation == "relu":
        h = variational.solve(x, y, density=model["density"])
        options = {"x": x, "y": y, "limit": h, "grid": grid, "max_time": 1.0, **model}
        run = mflib.mirror_flow(net, x, y, potential=Quadratic(), max_time=1.0)
        with torch.no_grad():
            change = run.network(grid).numpy() - net(grid).numpy()
        row = experiments.trial(300, 2, Quadratic(), output_scale=0.1, **options)
        assert row["error"] == pytest.approx(np.abs(change - h(grid)).max(), rel=1e-6)
        start = mflib.ShallowNetwork(300, seed=2, **model)
        lazy = experiments.lazy_limit(start, x, y, output_bias=False)
        row = experiments.split_error(300, 2, Quadratic(), **options)
        sampling = experiments.distance(lazy, h, grid=grid)
        assert row["sampling"] == pytest.approx(sampling, rel=1e-6)


def test_laws_and_defects_are_those_of_the_grid_that_is_asked_for():
    law = experiments.sampling_law(X, Y, units=300, draws=40, grid=X[:2])
    assert law.max() < 1e-6, "networks that interpolate agree at the data"
    assert experiments.sampling_law(X, Y, units=300, draws=40, grid=[1.2]).min() > 1e-6

    def bent(y):
        return lambda t: y[0] * t + np.where(t > 5, y[0] ** 2, 0.0)

    assert experiments.superposition_defect(bent, [[1.0], [2.0]]) < 1e-15
    assert experiments.superposition_defect(bent, [[1.0], [2.0]], grid=[6.0]) == 4 / 23


def test_functions_may_write_to_what_they_are_given_but_not_to_the_grid():
    def shifted(t):
        t += 1
        return t

    before, parts = experiments.GRID.copy(), np.eye(2)
    assert experiments.distance(shifted, lambda t: t) == 1.0
    assert experiments.superposition_defect(lambda y: lambda t: shifted(y)[0] * shifted(t), parts)
    np.testing.assert_array_equal(experiments.GRID, before)
    np.testing.assert_array_equal(parts, np.eye(2))
    with pytest.raises(ValueError, match="read-only"):
        experiments.GRID += 1


@pytest.mark.parametrize("activation", ["relu", "abs", mflib.activations.leaky_relu(0.3)])
@pytest.mark.parametrize("width", [1, 40, 3000])
def test_a_network_is_evaluated_by_its_kinks_as_by_its_formula(activation, width):
    net = mflib.ShallowNetwork(width, activation=activation, output_scale=2.0, seed=1)
    with torch.no_grad():
        net.input_weight[::2] *= -0.01  # some kinks off the grid
        net.input_weight[width // 2 :: 7] = 0.0  # and some units without any
        net.input_bias[::5] = experiments.GRID[100]
        expected = net(experiments.GRID).numpy()
    found = _distances.on_grid(net, "net", experiments.GRID)
    np.testing.assert_allclose(found, expected, atol=1e-13 * width**0.5, rtol=0)


def test_the_superposition_defect_is_zero_for_linear_maps_only():
    rng = np.random.default_rng(3)
    parts, shapes = rng.normal(size=(3, 5)), rng.normal(size=5)

    def linear(y):
        return lambda t: np.cos(np.outer(t, shapes)) @ y

    def cubed(y):
        return lambda t: linear(y)(t) ** 3

    assert experiments.superposition_defect(linear, parts) < 1e-14
    values = [linear(part)(experiments.GRID) for part in parts]
    expected = np.abs(sum(values) ** 3 - sum(h**3 for h in values)).max()
    expected /= sum(np.abs(h**3).max() for h in values)
    assert expected > 0.1
    assert experiments.superposition_defect(cubed, parts) == pytest.approx(expected, rel=1e-12)
    twice = experiments.superposition_defect(lambda y: linear(2 * y), parts)
    assert twice < 1e-14, "a factor is linear"


def test_a_defect_of_nothing():
    with pytest.raises(ValueError, match="parts give functions that vanish.*not 0"):
        experiments.superposition_defect(lambda y: np.zeros_like, np.zeros((2, 3)))


def test_fit_recovers_a_power_law_and_the_error_of_noise():
    n = np.array([10, 40, 90, 500, 7000])
    fit = experiments.fit_exponent(n, 3.5 * n**-0.7)
    assert fit.exponent == pytest.approx(-0.7, rel=1e-12)
    assert fit.factor == pytest.approx(3.5, rel=1e-12)
    assert fit.standard_error == pytest.approx(0, abs=1e-12)
    noisy = 3.5 * n**-0.7 * np.exp([0.1, -0.2, 0.05, 0.15, -0.1])
    fit = experiments.fit_exponent(n, noisy)
    coefficients, covariance = np.polyfit(np.log(n), np.log(noisy), 1, cov=True)
    assert fit.exponent == pytest.approx(coefficients[0], rel=1e-10)
    assert fit.factor == pytest.approx(np.exp(coefficients[1]), rel=1e-10)
    assert fit.standard_error == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-10)


@pytest.mark.parametrize(
    ("n", "y"),
    [
        ([1, 2], [1, 2]),
        ([1, 2, 3], [1, 2]),
        ([1, 2, 0], [1, 2, 3]),
        ([1, 2, 3], [1, -2, 3]),
        ([1, 1, 1], [1, 2, 3]),
    ],
)
def test_bad_fits(n, y):
    with pytest.raises(ValueError, match="n and y must be positive, .*at least three"):
        experiments.fit_exponent(n, y)


SAMPLES = np.random.default_rng(3).uniform(-2, 5, 9)  # in no order
VALUES = np.random.default_rng(4).normal(size=9)


def natural(x, y):
    order = np.argsort(x)
    return interpolate.CubicSpline(x[order], y[order], bc_type="natural")


def deprecated(name):
    with pytest.warns(DeprecationWarning, match=f"{name} goes in version 2.0; use sklearn.model_"):
        return getattr(experiments, name)


def test_held_out_data_are_not_seen():
    held_out = deprecated("held_out")
    taken, left = [8, 0, 3, 5, 1], [2, 4, 6, 7]
    expected = natural(SAMPLES[taken], VALUES[taken])(SAMPLES[left]) - VALUES[left]
    errors = held_out(natural, SAMPLES, VALUES, taken)
    np.testing.assert_allclose(errors, expected, rtol=1e-12)
    with pytest.raises(ValueError, match="taken must name some, not all, of the positions 0 to 8"):
        held_out(natural, SAMPLES, VALUES, [9])


def test_leave_one_out_against_the_formula_for_linear_smoothers():
    """For a regression line the error without a point is its residual over one less leverage."""
    leave_one_out = deprecated("leave_one_out")
    line = np.stack([np.ones(9), SAMPLES], axis=1)
    hat = line @ np.linalg.pinv(line)
    expected = (hat @ VALUES - VALUES) / (1 - np.diag(hat))
    inner = np.isin(SAMPLES, np.sort(SAMPLES)[1:-1])
    errors = leave_one_out(lambda x, y: np.poly1d(np.polyfit(x, y, 1)), SAMPLES, VALUES)
    np.testing.assert_allclose(errors, expected[inner], rtol=1e-10)
    with pytest.raises(ValueError, match="x must have shape"):
        leave_one_out(natural, X[:, None], Y)


def test_an_unknown_name_of_experiments_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'held_in'"):
        _ = experiments.held_in


def test_root_mean_square():
    assert experiments.rms(VALUES) == pytest.approx(np.linalg.norm(VALUES) / 3, rel=1e-14)
    assert experiments.rms([[3.0, 4.0], [0.0, 0.0]]) == experiments.rms(-2.5) == 2.5


@pytest.mark.parametrize("exponent", [-1074, -1000, -600, -1, 0, 600, 1000, 1021])
def test_root_mean_square_at_any_scale(exponent):
    unit = 2.0**exponent  # an exact factor
    assert experiments.rms([3 * unit, -5 * unit, 0.0, 4 * unit, 7 * unit, unit]) == pytest.approx(
        unit * np.sqrt(100 / 6), rel=1e-15, abs=2.0**-1074
    )
    assert experiments.rms([0.0, 0.0]) == 0


def outputs(net):
    return np.append(net.output_weight.detach().numpy(), net.output_bias.item())


@pytest.mark.parametrize("output_bias", [True, False])
def test_quadratic_lazy_limit_is_the_least_change_of_the_output_layer(output_bias):
    net = mflib.ShallowNetwork(40, activation="leaky_relu", output_scale=0.7, seed=3)
    before = outputs(net)
    lazy = experiments.lazy_limit(net, X, Y, output_bias=output_bias)
    features = net.hidden(X).detach().numpy()
    features = np.column_stack([features, np.full(len(X), float(output_bias))])
    change = np.linalg.pinv(features) @ (Y - net(X).detach().numpy())
    np.testing.assert_allclose(outputs(lazy) - before, change, rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(outputs(net), before)
    assert torch.equal(lazy.input_weight, net.input_weight)
    assert torch.equal(lazy.input_bias, net.input_bias)


@pytest.mark.parametrize("potential", [Regularized(Power(4), 1), Regularized(Hypentropy(0.1), 0.2)])
@pytest.mark.parametrize("output_bias", [True, False])
def test_scaled_lazy_limit_interpolates_and_its_dual_lies_in_the_span(potential, output_bias):
    net = mflib.ShallowNetwork(30, activation="abs", output_scale=0.4, seed=1)
    lazy = experiments.lazy_limit(net, X, Y, potential=potential, output_bias=output_bias)
    np.testing.assert_allclose(lazy(X).detach(), Y, atol=1e-8)
    features = net.hidden(X).detach().numpy()
    if output_bias:
        features = np.column_stack([features, np.ones(len(X))])
    dual = potential.gradient(30 * (outputs(lazy) - outputs(net)))  # of n times the change
    assert output_bias or dual[30] == 0
    dual = dual[: features.shape[1]]
    multipliers, *_ = np.linalg.lstsq(features.T, dual, rcond=None)
    np.testing.assert_allclose(features.T @ multipliers, dual, atol=1e-7 * np.abs(dual).max())


def test_networks_without_a_lazy_limit_are_refused():
    with pytest.raises(ValueError, match="no output layer of net interpolates"):
        experiments.lazy_limit(mflib.ShallowNetwork(2, seed=0), X, Y)
    with pytest.raises(ValueError, match="value 1 at 1, and tanh has 0.76.*output_bias=False"):
        experiments.lazy_limit(mflib.ShallowNetwork(90, activation="tanh"), X, Y)


def test_the_parts_of_an_error():
    phi = Regularized(Power(3), 1)
    options = {"activation": "abs", "density": stats.norm(0.1, 0.7)}
    h = variational.solve(X, Y, potential=phi, **options)
    row = experiments.split_error(
        700, 2, phi, x=X, y=Y, limit=h, scaled=True, loss_target=1e-14, **options
    )
    assert row["status"] == "CONVERGED"
    net = mflib.ShallowNetwork(700, seed=2, **options)
    run = mflib.mirror_flow(net, X, Y, potential=phi, scaled=True, loss_target=1e-14)
    neurons = (net.input_weight.detach().numpy(), net.input_bias.detach().numpy())
    own = representation.solve(X, Y, potential=phi, neurons=neurons, activation="abs")
    bias_too = experiments.lazy_limit(net, X, Y, potential=phi)
    pairs = {
        "error": (run.network, h),
        "sampling": (own, h),
        "lazy_gap": (run.network, own),
        "nonlinearity": (run.network, bias_too),
    }
    for name, (first, second) in pairs.items():
        with torch.no_grad():
            expected = experiments.distance(first, second)
        assert row[name] == pytest.approx(expected, rel=1e-5), name
    # an unscaled potential acts like the quadratic one
    h, options = variational.solve(X, Y), {}
    rows = [
        experiments.split_error(700, 2, p, x=X, y=Y, limit=h) for p in (Quadratic(), Power(2), phi)
    ]
    assert rows[0]["sampling"] == rows[2]["sampling"] != row["sampling"]
    assert rows[0]["error"] == pytest.approx(rows[1]["error"], rel=1e-6)


@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)])
def test_sampling_follows_its_limit_law(potential):
    problem = {"activation": "abs", "potential": potential, "density": stats.norm(0.2, 0.6)}
    h, width = variational.solve(X, Y, **problem)(experiments.GRID), 4000
    law = experiments.sampling_law(X, Y, units=5000, **problem)
    errors = []
    for seed in range(60):
        net = mflib.ShallowNetwork(
            width, activation="abs", density=problem["density"], seed=seed + 100
        )
        neurons = net.input_weight.detach().numpy(), net.input_bias.detach().numpy()
        own = representation.solve(X, Y, activation="abs", potential=potential, neurons=neurons)
        errors.append(np.sqrt(width) * np.abs(own(experiments.GRID) - h).max())
    # no fitted constant: the two samples look as if drawn from one law
    assert stats.ks_2samp(errors, law).pvalue > 0.01
    assert stats.ks_2samp(np.multiply(errors, 1.4), law).pvalue < 0.01


def test_the_law_of_sampling_is_that_of_its_formula():
    """With c(x) as what it also is: how the solution moves with the data."""
    phi, seed, units, grid = Regularized(Power(4), 0.1), 3, 4000, np.array([-1.3, -0.1, 0.5, 1.2])
    options = {"activation": "abs", "potential": phi}
    law = experiments.sampling_law(X, Y, units=units, draws=50, seed=seed, grid=grid, **options)
    net = mflib.ShallowNetwork(units, activation="abs", seed=seed)
    options["neurons"] = net.input_weight.detach().numpy(), net.input_bias.detach().numpy()
    steps = 1e-4 * np.eye(5)
    response = [
        (representation.solve(X, Y + e, **options)(grid) - there(grid)) / 2e-4
        for e in steps
        for there in [representation.solve(X, Y - e, **options)]
    ]
    at_data, at_grid = (net.hidden(x).detach().numpy().T for x in (X, grid))
    alpha = phi.inverse_mirror(at_data @ representation.solve(X, Y, **options).multipliers)
    influence = alpha[:, None] * (at_grid - at_data @ np.array(response))
    noise = np.random.default_rng(seed).standard_normal((50, units)) / np.sqrt(units)
    expected = np.abs(noise @ (influence - influence.mean(axis=0))).max(axis=1)
    # alpha differs: here it is that of the sample (measured: 0.036; 0.36 without the Hessian)
    assert np.linalg.norm(law - expected) < 0.06 * np.linalg.norm(expected)


def noisy_power_law(rng, sizes=(50, 100, 1000, 10_000), counts=(20, 20, 20, 5)):
    n = np.repeat(sizes, counts)
    return n, 2 * n**-0.5 * np.exp(0.4 * rng.standard_normal(n.size))


def test_bootstrap_interval_has_the_exponent_of_the_fit_and_its_standard_error():
    n, y = noisy_power_law(np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(n.size)
    fit = experiments.exponent_interval(n[order], y[order])
    assert fit.exponent == pytest.approx(experiments.fit_exponent(n, y).exponent, rel=1e-12)
    # the exponent is linear in the means at each n, whose variances are known
    share = (np.log(n) - np.log(n).mean()) / np.sum((np.log(n) - np.log(n).mean()) ** 2)
    noise = np.concatenate([np.full((n == k).sum(), np.log(y[n == k]).std()) for k in np.unique(n)])
    error = np.sqrt(np.sum((share * noise) ** 2))
    assert (fit.high - fit.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    narrower = experiments.exponent_interval(n, y, level=0.5)
    assert (narrower.high - narrower.low) / 2 == pytest.approx(0.674 * error, rel=0.1)
    assert fit == experiments.exponent_interval(n[order], y[order], seed=0)


def test_bootstrap_interval_covers_the_exponent_as_often_as_it_says():
    rng = np.random.default_rng(0)
    fits = [
        experiments.exponent_interval(*noisy_power_law(rng), level=0.8, resamples=300)
        for _ in range(200)
    ]
    covered = np.mean([fit.low < -0.5 < fit.high for fit in fits])
    assert 0.72 < covered < 0.86  # a little less than 0.8: five measurements at the end


def test_measurements_that_agree_have_an_interval_of_no_length():
    for factor in (1.0, 1e-200, 1 / 3):  # the last one is rounded
        n = np.repeat([1.0, 7.0, 90.0], 3)
        fit = experiments.exponent_interval(n, factor * n**-0.5)
        assert fit.low == fit.exponent == fit.high == pytest.approx(-0.5, rel=1e-12)
        for seed in range(30):  # the same, but for the last digit
            last = np.random.default_rng(seed).integers(-1, 2, 9) * 2.0**-52
            rounded = experiments.exponent_interval(n, factor * n**-0.5 * (1 + last), seed=seed)
            assert rounded.low == rounded.high == rounded.exponent


@pytest.mark.parametrize("resamples", [1, 2, 3, 5])
def test_intervals_of_few_resamples_are_finite(resamples):
    rng = np.random.default_rng(resamples)
    for seed in range(40):
        n = np.repeat(np.sort(10 ** rng.uniform(-200, 200, 3)), 2)
        y = rng.choice([1.0, 1.0, 2.0, 1e-250, 1e300], 6)
        fit = experiments.exponent_interval(n, y, resamples=resamples, seed=seed)
        assert np.isfinite(fit).all() and fit.low <= fit.high
    fit = experiments.exponent_interval([1, 1, 9, 9], [2, 2.2, 1, 1.1], resamples=resamples)
    assert fit.low <= fit.exponent <= fit.high > fit.low


def test_a_factor_beyond_all_numbers_is_infinite():
    n = np.array([1e10, 1e11, 1e12])
    steep = experiments.fit_exponent(n, [1e300, 1e100, 1e-100])
    assert steep.exponent == pytest.approx(-200) and steep.factor == np.inf
    assert experiments.fit_exponent(n, [1e-300, 1e-100, 1e100]).factor == 0.0
    with pytest.raises(ValueError, match="n not all the same"):  # their logarithms are
        experiments.fit_exponent([1e300, np.nextafter(1e300, 2e300), 1e300], [1, 2, 3])


@pytest.mark.parametrize(
    ("n", "y", "level", "message"),
    [
        ([1, 1, 2, 2], [1, 2, 1, 0], 0.95, "positive and of equal length"),
        ([1, 1, 2, 2], [1, 2, 1], 0.95, "positive and of equal length"),
        ([1, 1, 2], [1, 2, 1], 0.95, r"at least two measurements, got \{1.0: 2, 2.0: 1\}"),
        ([1, 1, 1], [1, 2, 1], 0.95, "at least two different values"),
        ([1, 1, 2, 2], [1, 2, 3, 4], 95, "level must be between 0 and 1, got 95"),
    ],
)
def test_bad_intervals(n, y, level, message):
    with pytest.raises(ValueError, match=message):
        experiments.exponent_interval(n, y, level=level)


@pytest.mark.parametrize("grid", [[], [[0.0, 1.0]]])
def test_a_grid_is_a_row_of_points(grid):
    with pytest.raises(ValueError, match=r"grid must have shape \(N,\), with points in it"):
        experiments.distance(np.sin, np.cos, grid=grid)
