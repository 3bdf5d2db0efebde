"""Ways to smooth scaled data, and the choice of how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mflib import variational
from mflib.sklearn._scaled import Scaled

_INFLATION = 1.2  # of the degrees of freedom, where there are few data
_FEW = 1000


def least(score: Callable, smooth: Any, w: np.ndarray) -> float:
    """Return the amount with the least score: of a grid, then of a finer one around it."""
    best = 0.0
    for decades in smooth.grids:
        scores = score(smooth.amounts(best + decades, w))
        best += decades[np.where(np.isfinite(scores), scores, np.inf).argmin()]
    return float(smooth.amounts(best, w))


def inflated(gcv: Any, freedom: Any, m: int) -> Any:
    r"""GCV with more degrees of freedom than there are: :math:`m\,\mathrm{RSS}/(m - 1.2\,df)^2`.

    Of few noisy data plain GCV now and then prefers the interpolant, where it is 0/0. The factor is
    one of those that Kim and Gu (2004) tried. The line has two degrees of freedom in any case.
    """
    left = m - _INFLATION * np.maximum(freedom, 2.0)
    return np.where(left > 0, gcv * ((m - freedom) / left) ** 2, np.inf)


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

    grids = (np.arange(1.0, -12.5, -1.0), np.arange(0.75, -0.8, -0.25))  # the smoothest first

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    @staticmethod
    def amounts(decades: Any, w: np.ndarray) -> Any:
        return w.sum() * 10.0**decades

    def solve(self, data: Scaled, amount: float) -> Any:
        return variational.solve(data.t, data.z, ridge=amount / data.w, **self.model)

    def curves(self, data: Scaled, amounts: np.ndarray, m: int, t: np.ndarray) -> np.ndarray:
        return np.array([self.solve(data, amount)(t) for amount in amounts])

    def by_gcv(self, data: Scaled) -> tuple[float, Any]:
        m = len(data.t)
        if m > _FEW and np.ptp(data.w) == 0:  # in one go
            h = variational.solve(data.t, data.z, ridge="gcv", **self.model)
            return float(h.ridge * data.w[0]), h

        def score(amounts: np.ndarray) -> np.ndarray:
            fits = (self.solve(data, amount) for amount in amounts)
            return np.array([inflated(h.gcv, h.degrees_of_freedom, m) for h in fits])

        amount = least(score, self, data.w)
        return amount, self.solve(data, amount)


class _Stopping:
    """Training stopped in time: for x^2 a time of m / ridge smooths about as much as a ridge."""

    grids = (np.arange(-1.0, 12.1, 0.25),)

    def __init__(self, model: dict[str, Any]) -> None:
        self.model = model

    @staticmethod
    def amounts(decades: Any, _w: np.ndarray) -> Any:
        return 10.0**decades

    def path(self, data: Scaled, times: Any) -> Any:
        if np.ptp(data.w) > 0:
            raise ValueError(
                "smoothing='stopping' takes no different weights: leave out sample_weight, repeat "
                "data, or use smoothing='ridge'."
            )
        return variational.trajectory(data.t, data.z, times, **self.model)

    def solve(self, data: Scaled, amount: float) -> _Stopped:
        return _Stopped(self.path(data, [amount]))

    def curves(self, data: Scaled, amounts: np.ndarray, m: int, t: np.ndarray) -> np.ndarray:
        # of fewer data each counts more: the same time for each datum
        return self.path(data, amounts * len(data.t) / m)(t)

    def by_gcv(self, data: Scaled) -> tuple[float, _Stopped]:
        m = len(data.t)

        def score(times: np.ndarray) -> np.ndarray:
            path = self.path(data, times)
            return inflated(path.gcv, path.degrees_of_freedom, m)

        amount = least(score, self, data.w)
        return amount, self.solve(data, amount)


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
