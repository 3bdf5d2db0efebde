"""Ways to smooth scaled data, and the choice of how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mflib import variational
from mflib.sklearn._scaled import Scaled

FEW = 1000  # data up to which choices are made with care and derivatives are whole matrices
_INFLATION = 1.2  # one of the factors that Kim and Gu (2004) tried
_CLEARLY = 0.8
_RTOL = 1e-4  # of paths, far below any noise
_ALL = 0.999  # of the degrees of freedom: the interpolant


def least(score: Callable, smooth: Any, w: np.ndarray) -> float:
    """Return the amount with the least score: of a grid, then of a finer one around it."""
    best = 0.0
    for decades in smooth.grids(len(w)):
        scores = score(smooth.amounts(best + decades, w))
        best += decades[np.where(np.isfinite(scores), scores, np.inf).argmin()]
    return float(smooth.amounts(best, w))


def by_gcv(smooth: Any, data: Scaled) -> tuple[float, Any]:
    """Choose the amount by generalised cross-validation; returns it with what it gives.

    Of few noisy data GCV now and then prefers the interpolant, where it is 0/0: to inflate the
    degrees of freedom prevents that. Where there is no noise, or some data pull much more than
    others, this is wrong, and the error of leaving one out says so.
    """
    m, known = len(data.t), {}
    if m > FEW and smooth.at_once(data):
        h = smooth.solve(data, "gcv")
        return float(h.ridge * data.w[0]), h

    def measured(amounts: np.ndarray) -> np.ndarray:
        if (key := amounts.tobytes()) not in known:
            known[key] = smooth.measure(data, amounts)
        return known[key]

    def inflated(amounts: np.ndarray) -> np.ndarray:
        gcv, freedom, _ = measured(amounts)
        left = m - _INFLATION * np.maximum(freedom, 2.0)  # the line has two in any case
        return np.where(left > 0, gcv * ((m - freedom) / left) ** 2, np.inf)

    safe, rival = (
        least(score, smooth, data.w) for score in (inflated, lambda amounts: measured(amounts)[2])
    )
    fits = [smooth.solve(data, amount) for amount in (safe, rival)]
    if m <= FEW and data.left_out(fits[1]) < _CLEARLY * data.left_out(fits[0]):
        return rival, fits[1]
    return safe, fits[0]


def _last(m: int) -> float:
    """Decades from a ridge of m, under which lines remain, to one that counts for nothing.

    Eigenvalues of the kernel fall from m like the inverse fourth power of their number, and those
    of potentials that cap curvature farther still.
    """
    return 4 * np.log10(m) + 6


class Interpolation:
    """No smoothing: the means of repeated inputs are met."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    def solve(self, data: Scaled, _amount: None) -> Any:
        t, index = np.unique(data.t, return_inverse=True)
        means = np.bincount(index, data.w * data.z) / np.bincount(index, data.w)
        return variational.solve(t, means, **self.model)


class _Ridge:
    """A ridge, which for a datum of weight w is divided by w."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    @staticmethod
    def grids(m: int) -> tuple[np.ndarray, ...]:
        return np.arange(1.0, -_last(m), -1.0), np.arange(0.75, -0.8, -0.25)  # the smoothest first

    @staticmethod
    def amounts(decades: Any, w: np.ndarray) -> Any:
        return w.sum() * 10.0**decades

    def at_once(self, data: Scaled) -> bool:
        """Whether the solver itself can choose."""
        return np.ptp(data.w) == 0

    def solve(self, data: Scaled, amount: Any) -> Any:
        ridge = amount if amount == "gcv" else amount / data.w
        return variational.solve(data.t, data.z, ridge=ridge, **self.model)

    def curves(self, data: Scaled, amounts: np.ndarray, m: int, t: np.ndarray) -> np.ndarray:
        return np.array([self.solve(data, amount)(t) for amount in amounts])

    def measure(self, data: Scaled, amounts: np.ndarray) -> np.ndarray:
        """GCV, degrees of freedom and leave-one-out, as long as anything is smoothed."""
        result = np.full((3, len(amounts)), np.nan)
        for k, amount in enumerate(amounts):
            h = self.solve(data, amount)
            result[:, k] = h.gcv, h.degrees_of_freedom, data.w @ h.leave_one_out**2
            if h.degrees_of_freedom > _ALL * len(np.unique(data.t)):
                break
        return result


class _Stopping:
    """Training stopped in time: for x^2 a time of m / ridge smooths about as much as a ridge."""

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    @staticmethod
    def grids(m: int) -> tuple[np.ndarray, ...]:
        return (np.arange(-1.0, _last(m), 0.25),)

    @staticmethod
    def amounts(decades: Any, _w: np.ndarray) -> Any:
        return 10.0**decades

    def at_once(self, _data: Scaled) -> bool:
        return False

    def path(self, data: Scaled, times: Any) -> Any:
        if np.ptp(data.w) > 0:
            raise ValueError(
                "smoothing='stopping' takes no different weights: leave out sample_weight, repeat "
                "data, or use smoothing='ridge'."
            )
        return variational.trajectory(data.t, data.z, times, rtol=_RTOL, **self.model)

    def solve(self, data: Scaled, amount: float) -> _Stopped:
        return _Stopped(self.path(data, [amount]))

    def curves(self, data: Scaled, amounts: np.ndarray, m: int, t: np.ndarray) -> np.ndarray:
        # of fewer data each counts more: the same time for each datum
        return self.path(data, amounts * len(data.t) / m)(t)

    def measure(self, data: Scaled, amounts: np.ndarray) -> np.ndarray:
        """GCV and degrees of freedom at each time; as the rival, GCV once more."""
        path = self.path(data, amounts)
        gcv = np.where(path.degrees_of_freedom < _ALL * len(data.t), path.gcv, np.inf)
        return np.array([path.gcv, path.degrees_of_freedom, gcv])


@dataclass(frozen=True)
class _Stopped:
    """A path at its only time, as a function like other solutions."""

    path: Any

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return self.path(t)[0]

    def jacobian(self, t: np.ndarray) -> np.ndarray:
        return self.path.jacobian(t)[0]

    @property
    def degrees_of_freedom(self) -> float:
        return self.path.degrees_of_freedom[0]


SMOOTHERS = {"ridge": _Ridge, "stopping": _Stopping}
