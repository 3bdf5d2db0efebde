"""Measurements of noisy data: mflib with a ridge and SciPy's smoothing spline."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import interpolate

from benchmarks.functions import power
from benchmarks.measure import Options, timed
from mflib import variational

# about what generalized cross-validation chooses for ReLU, for each datum
RIDGE = {2: 1.8e-6, 4: 1.5e-9}
LAMBDA = 1e-4  # SciPy's time does not depend on it
REPEATS = 3


def truth(x: np.ndarray) -> np.ndarray:
    return np.sin(4 * x)


def noisy(m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return m random points in [-1, 1], in order, with noise of deviation 0.3."""
    rng = np.random.default_rng(m)
    x = np.sort(rng.uniform(-1, 1, m))
    return x, truth(x) + 0.3 * rng.standard_normal(m)


def risk(h, x: np.ndarray) -> float:
    return float(np.sqrt(np.mean((h(x) - truth(x)) ** 2)))


def smooth(activation: str, exponent: int, m: int, options: Options) -> dict[str, Any]:
    """Time variational.solve with a ridge."""
    x, y = noisy(m)
    model: dict[str, Any] = {"activation": activation, "potential": power(exponent)}
    h, measured = timed(
        lambda: variational.solve(x, y, ridge=RIDGE[exponent] * m, **model), repeats=REPEATS
    )
    return measured | {"m": m, "status": h.status.name, "error": risk(h, x)}


def spline(m: int, options: Options) -> dict[str, Any]:
    """Time make_smoothing_spline with a given parameter."""
    x, y = noisy(m)
    h, measured = timed(
        lambda: interpolate.make_smoothing_spline(x, y, lam=LAMBDA), repeats=REPEATS
    )
    return measured | {"m": m, "error": risk(h, x)}


def even(m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return evenly spaced points: on random ones SciPy's own search fails from 10,000 on."""
    x, y = noisy(m)
    even = np.linspace(-1, 1, m)
    return even, y - truth(x) + truth(even)


def choose(m: int, options: Options) -> dict[str, Any]:
    """Time variational.solve with ridge="gcv"."""
    x, y = even(m)
    h, measured = timed(lambda: variational.solve(x, y, ridge="gcv"), repeats=REPEATS)
    return measured | {"m": m, "status": h.status.name, "error": risk(h, x)}


def spline_choose(m: int, options: Options) -> dict[str, Any]:
    """Time make_smoothing_spline with its own cross-validation."""
    x, y = even(m)
    h, measured = timed(lambda: interpolate.make_smoothing_spline(x, y), repeats=REPEATS)
    return measured | {"m": m, "error": risk(h, x)}


def several(exponent: int, targets: int, options: Options) -> dict[str, Any]:
    """Time variational.solve for many targets on 15 inputs, which it interpolates."""
    rng = np.random.default_rng(15)
    x, y = rng.uniform(-1, 1, 15), rng.standard_normal((15, targets))
    h, measured = timed(lambda: variational.solve(x, y, potential=power(exponent)), repeats=REPEATS)
    return measured | {"targets": targets, "status": h.status.name}
