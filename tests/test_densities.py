"""Densities against their definition."""

import numpy as np
import pytest
from scipy import integrate

from mflib import densities, experiments

SAMPLES = np.random.default_rng(3).uniform(-2, 5, 9)  # in no order
VALUES = np.random.default_rng(4).normal(size=9)


def test_bend_is_of_one_input():
    with pytest.raises(ValueError, match=r"x must have shape \(m,\), got \(3, 2\)"):
        densities.bend(np.arange(6.0).reshape(3, 2), [0.0, 1.0, 0.0], 0.5)


def test_bend_has_the_masses_of_the_turns():
    floor = 0.2
    p = densities.bend(SAMPLES, VALUES, floor)
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
    even = densities.bend(SAMPLES, VALUES, 1.0)
    np.testing.assert_allclose(even.pdf(x[1:-1]), 1 / (x[-1] - x[0]), rtol=1e-12)


@pytest.mark.parametrize("floor", [0.0, -0.5, 1.5, np.nan])
def test_bend_needs_a_floor(floor):
    with pytest.raises(ValueError, match="floor must be"):
        densities.bend(SAMPLES, VALUES, floor)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [1, 2]), ([0, 1, 2], [1, 2, 3])])
def test_bend_needs_a_bend(x, y):
    with pytest.raises(ValueError, match="at least three, not on a line"):
        densities.bend(x, y, 0.5)


def test_the_former_name_is_deprecated():
    with pytest.warns(DeprecationWarning, match=r"is now densities\.bend"):
        assert experiments.bend_density is densities.bend
