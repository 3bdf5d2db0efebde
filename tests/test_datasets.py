"""The data against the paper and against facts of their sources."""

import numpy as np
import pytest

from mflib import datasets


def test_figure_1():
    x, y = datasets.figure1()
    np.testing.assert_array_equal(x, [-1, -0.2, 0, 0.2, 1])
    np.testing.assert_allclose(y, [-0.15, -0.15, 0.15, -0.15, -0.15], rtol=1e-15)
    for shift in (2.5, -3.5):
        np.testing.assert_allclose(datasets.figure1(shift)[1] - y, shift, rtol=1e-14)


def test_figure_2():
    x, y = datasets.figure2()
    np.testing.assert_array_equal(x, [-1, 0.35, 0.65, 1])
    np.testing.assert_allclose(y, [0.15, 0.15, -0.15, 0.15], rtol=1e-15)


def test_titanium():
    """49 temperatures, 595 to 1075 in steps of 10; the peak of 2.169 is at 895."""
    x, y = datasets.titanium()
    np.testing.assert_array_equal(x, np.arange(595, 1076, 10))
    assert (x[y.argmax()], y.max()) == (895, 2.169)
    assert (y[0], y[-1]) == (0.644, 0.608)


def test_motorcycle():
    """133 rows in order of time, 94 different times, from 2.4 to 57.6 ms, -134 to 75 g."""
    x, y = datasets.motorcycle()
    assert len(x) == len(y) == 133
    assert len(np.unique(x)) == 94
    assert (np.diff(x) >= 0).all()
    assert (x[0], x[-1], y.min(), y.max()) == (2.4, 57.6, -134.0, 75.0)


def test_macdonell():
    """Student (1908) gives the mean length of the finger, 11.547 cm, and its deviation, 0.548."""
    x, y = datasets.macdonell()
    assert len(x) == 3000
    np.testing.assert_allclose([x.mean(), x.std()], [11.547, 0.548], atol=1e-3)
    np.testing.assert_allclose(np.corrcoef(x, y)[0, 1], 0.66, atol=5e-3)  # as printed


def test_seattle():
    """Four years, one of them a leap year; warmest in summer."""
    x, y = datasets.seattle()
    days, times = np.unique(x, return_counts=True)
    np.testing.assert_array_equal(days, np.arange(1, 367))
    assert set(times[:-1]) == {4} and times[-1] == 1
    assert 150 < x[y.argmax()] < 250 and y.min() < 0


def test_diamonds():
    """53,940 stones of 0.2 to 5.01 carats and 326 to 18,823 dollars."""
    x, y = datasets.diamonds()
    assert len(x) == 53_940
    assert (x.min(), x.max(), y.min(), y.max()) == (0.2, 5.01, 326, 18_823)


@pytest.mark.parametrize("name", datasets.__all__)
def test_every_set_is_fresh_float64_and_finite(name):
    load = getattr(datasets, name)
    for first, again in zip(load(), load(), strict=True):
        assert first.dtype == np.float64
        assert first.ndim == 1
        assert np.isfinite(first).all()
        first[:] = 0.0
        assert again.any(), "a caller must not be able to change the data of the next"
