"""Sweeps and fits against loops and exact power laws."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

import mflib
from mflib import experiments
from mflib.potentials import Power, Quadratic, Regularized
from tests.problems import X, Y


def product(a, b, c):
    return {"product": a * b * c, "first": a}


@pytest.mark.parametrize("parallel", [False, True])
def test_a_sweep_is_a_nested_loop(parallel):
    parameters = {"a": [2, 3], "b": {"ten": 10, "half": 0.5}, "c": (1, 7, 9)}
    if parallel:
        with ThreadPoolExecutor(3) as executor:
            table = experiments.sweep(product, parameters, executor=executor)
    else:
        table = experiments.sweep(product, parameters)
    assert list(table.columns) == ["a", "b", "c", "product", "first"]
    expected = [
        [a, label, c, a * b * c, a]
        for a in (2, 3)
        for label, b in (("ten", 10), ("half", 0.5))
        for c in (1, 7, 9)
    ]
    assert table.to_numpy().tolist() == expected


def test_an_empty_parameter_is_named():
    with pytest.raises(ValueError, match=r"parameters\['b'\] is empty: give at least one"):
        experiments.sweep(product, {"a": [1], "b": [], "c": {}})


def test_an_error_in_a_call_is_not_lost():
    with pytest.raises(ZeroDivisionError):
        experiments.sweep(lambda a: {"inverse": 1 / a}, {"a": [1, 0]})
    with ThreadPoolExecutor(2) as executor, pytest.raises(ZeroDivisionError):
        experiments.sweep(lambda a: {"inverse": 1 / a}, {"a": [1, 0]}, executor=executor)


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
