"""Risks of fits of noisy data: integrals against closed forms, the sweep against a plain one."""

import numpy as np
import pytest
from scipy import stats

from mflib import experiments, variational
from mflib.experiments import regression_trial, risk
from mflib.potentials import Power, Quadratic, Regularized


def zero(t):
    return np.zeros_like(t)


@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 3.0)])
def test_risks_are_means_over_the_interval(low, high):
    found = risk(lambda t: t**3, zero, [-2.0, 0.0, 0.5, 9.0], interval=(low, high))
    law = stats.uniform(low, high - low)
    np.testing.assert_allclose(found.absolute, law.expect(lambda t: abs(t**3)), rtol=1e-12)
    np.testing.assert_allclose(found.squared, law.expect(lambda t: t**6), rtol=1e-12)


def test_the_truth_counts_and_so_does_where_the_data_are():
    assert risk(np.sin, np.sin, [0.3]) == (0.0, 0.0)
    corner = risk(lambda t: np.abs(t - 0.3), zero, [0.3])
    np.testing.assert_allclose(corner.absolute, 0.25 * (1.3**2 + 0.7**2), rtol=1e-14)


@pytest.mark.parametrize("inputs", ["random", "even"])
def test_a_trial_is_what_it_says(inputs):
    m, seed, phi = 20, 3, Regularized(Power(4), 1.0)
    found = regression_trial(m, seed, phi, truth=np.sin, noise=0.5, inputs=inputs, ridge=0.01)
    rng = np.random.default_rng([seed, m])
    x = np.sort(rng.uniform(-1, 1, m)) if inputs == "random" else (np.arange(m) + 0.5) / 10 - 1
    y = np.sin(x) + 0.5 * rng.standard_normal(m)
    h, t = variational.solve(x, y, potential=phi, ridge=0.01), np.linspace(-1, 1, 200_001)
    assert found["status"] == "CONVERGED"
    np.testing.assert_allclose(found["squared"], np.mean((h(t) - np.sin(t)) ** 2), rtol=1e-4)
    np.testing.assert_allclose(found["absolute"], np.mean(abs(h(t) - np.sin(t))), rtol=1e-3)


def test_noise_on_even_inputs_is_tempered_and_on_random_ones_grows_like_their_number():
    """The L2 risk of interpolants of x^2; twelve seeds, so a wide interval."""
    sizes = np.repeat([100, 400, 1600, 6400], 12)
    for inputs, low, high in (("even", -0.1, 0.1), ("random", 0.5, 1.6)):
        risks = [
            regression_trial(int(m), seed, Quadratic(), inputs=inputs)["squared"]
            for m, seed in zip(sizes, 12 * list(range(4)), strict=True)
        ]
        assert low < experiments.fit_exponent(sizes, risks).exponent < high


def test_bad_arguments():
    with pytest.raises(ValueError, match="interval must be"):
        risk(np.sin, zero, [0.0], interval=(1.0, 1.0))
    with pytest.raises(ValueError, match="inputs must be"):
        regression_trial(5, 0, Quadratic(), inputs="odd")
    with pytest.raises(ValueError, match="noise must be"):
        regression_trial(5, 0, Quadratic(), noise=-1.0)
