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


@pytest.mark.parametrize("name", datasets.__all__)
def test_every_set_is_fresh_float64_and_finite(name):
    load = getattr(datasets, name)
    for first, again in zip(load(), load(), strict=True):
        assert first.dtype == np.float64
        assert first.ndim == 1
        assert np.isfinite(first).all()
        first[:] = 0.0
        assert again.any(), "a caller must not be able to change the data of the next"
