"""Trials against the flow, fits against exact power laws."""

import numpy as np
import pytest
import torch

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
