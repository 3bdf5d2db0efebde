"""Trials against the flow, fits against exact power laws."""

import numpy as np
import pytest
import torch
from scipy import integrate, interpolate

import mflib
from mflib import experiments
from mflib.potentials import Power, Quadratic, Regularized
from tests.problems import X, Y


def test_a_trial_reports_what_the_flow_does():
    potential, options = Regularized(Power(3), 1), {"scaled": True, "loss_target": 1e-5}
    row = experiments.trial(
        *(150, 4, potential),
        x=X,
        y=Y,
        activation="abs",
        output_scale=0.8,
        limit=np.sin,
        **options,
    )
    net = mflib.ShallowNetwork(150, activation="abs", output_scale=0.8, seed=4)
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
        ([1, 2, 3], [1, np.nan, 3]),
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


def test_held_out_data_are_not_seen():
    taken = [8, 0, 3, 5, 1]
    left = [2, 4, 6, 7]
    expected = natural(SAMPLES[taken], VALUES[taken])(SAMPLES[left]) - VALUES[left]
    errors = experiments.held_out(natural, SAMPLES, VALUES, taken)
    np.testing.assert_allclose(errors, expected, rtol=1e-12)
    changed = VALUES.copy()
    changed[left] += [1.0, 20.0, 300.0, 4000.0]  # moves the errors by as much, not the fit
    moved = experiments.held_out(natural, SAMPLES, changed, taken)
    np.testing.assert_allclose(moved - errors, [-1.0, -20.0, -300.0, -4000.0], rtol=1e-12)


def test_held_out_in_two_inputs():
    x = np.stack([SAMPLES, SAMPLES**2], axis=1)

    def plane(points, y):
        assert points.shape == (4, 2)
        return lambda t: t @ np.linalg.lstsq(points, y, rcond=None)[0]

    errors = experiments.held_out(plane, x, x @ [2.0, -3.0], [0, 1, 2, 3])
    np.testing.assert_allclose(errors, np.zeros(5), atol=1e-10)


@pytest.mark.parametrize("taken", [[], [0, 1, 2], [0, 3], [1, 1], [-1]])
def test_what_is_taken_must_make_sense(taken):
    with pytest.raises(ValueError, match="taken must name some, not all, of the positions 0 to 2"):
        experiments.held_out(natural, [0, 1, 2], [0, 0, 1], taken)


def test_leave_one_out_against_the_formula_for_linear_smoothers():
    """For a regression line the error without a point is its residual over one less leverage."""
    line = np.stack([np.ones(9), SAMPLES], axis=1)
    hat = line @ np.linalg.pinv(line)
    expected = (hat @ VALUES - VALUES) / (1 - np.diag(hat))
    inner = np.isin(SAMPLES, np.sort(SAMPLES)[1:-1])
    errors = experiments.leave_one_out(lambda x, y: np.poly1d(np.polyfit(x, y, 1)), SAMPLES, VALUES)
    np.testing.assert_allclose(errors, expected[inner], rtol=1e-10)


def test_root_mean_square():
    assert experiments.rms(VALUES) == pytest.approx(np.linalg.norm(VALUES) / 3, rel=1e-14)


def test_bend_density_has_the_masses_of_the_turns():
    floor = 0.2
    p = experiments.bend_density(SAMPLES, VALUES, floor)
    order = np.argsort(SAMPLES)
    x, y = SAMPLES[order], VALUES[order]
    assert p.support() == (x[0], x[-1])
    turns = [
        abs((y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1]))
        for i in range(1, 8)
    ]
    for i, turn in zip(range(1, 8), turns, strict=True):
        low = x[0] if i == 1 else (x[i - 1] + x[i]) / 2
        high = x[-1] if i == 7 else (x[i] + x[i + 1]) / 2
        expected = 0.8 * turn / sum(turns) + floor * (high - low) / (x[-1] - x[0])
        mass = integrate.quad(p.pdf, low, high, epsabs=1e-12)[0]
        assert mass == pytest.approx(expected, rel=1e-9)
    even = experiments.bend_density(SAMPLES, VALUES, 1.0)
    np.testing.assert_allclose(even.pdf(x[1:-1]), 1 / (x[-1] - x[0]), rtol=1e-12)


@pytest.mark.parametrize("floor", [0.0, -0.5, 1.5, np.nan])
def test_bend_density_needs_a_floor(floor):
    with pytest.raises(ValueError, match="floor must be"):
        experiments.bend_density(SAMPLES, VALUES, floor)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [1, 2]), ([0, 1, 2], [1, 2, 3])])
def test_bend_density_needs_a_bend(x, y):
    with pytest.raises(ValueError, match="at least three, not on a line"):
        experiments.bend_density(x, y, 0.5)
