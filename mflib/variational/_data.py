"""Data with a ridge: which datum may be missed by how much, and what repeated inputs amount to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import dataset, finite_array


@dataclass(frozen=True, eq=False)
class Data:
    """Targets with their ridge, and the distinct inputs that have the same minimisers.

    Targets at one input stand for their mean, weighted by the inverse of the ridge, and this for
    the sum of the weights.
    """

    targets: np.ndarray  # (m,), as given
    ridges: np.ndarray  # (m,), as given
    group: np.ndarray  # (m,): which of the distinct inputs each has
    x: np.ndarray  # (n,): increasing
    y: np.ndarray  # (n,)
    ridge: np.ndarray  # (n,)
    given: float | np.ndarray = 0.0

    @classmethod
    def merged(cls, x: np.ndarray, y: np.ndarray, ridge: np.ndarray) -> Data:
        """Sort and merge, also inputs that rounding hardly tells apart if both have a ridge."""
        order = np.argsort(x, kind="stable")
        gaps, exact = np.diff(x[order]), ridge[order] == 0
        near = 4 * np.finfo(float).eps * np.abs(x).max() * ~(exact[1:] & exact[:-1])
        first = np.append(True, gaps > near)
        group = np.empty(len(x), dtype=int)
        group[order] = np.cumsum(first) - 1
        if first.all():
            return cls(y, ridge, group, x[order], y[order], ridge[order])
        smallest = np.full(int(first.sum()), np.inf)
        np.minimum.at(smallest, group, ridge)
        # weights relative to the group's largest; beside a ridge of zero no other counts
        sharp = smallest[group] == 0
        weight = np.where(sharp, ridge == 0, smallest[group] / np.where(sharp, 1.0, ridge))
        total = np.bincount(group, weight)
        mean = np.bincount(group, weight * y) / total
        return cls(y, ridge, group, x[order][first], mean, smallest / total)

    @property
    def shares(self) -> np.ndarray:
        """The derivative of each merged target with respect to each target of its group, (m,)."""
        own, ridge = self.ridges, self.ridge[self.group]
        return np.divide(ridge, own, out=(own == 0).astype(float), where=own > 0)

    def times(self, factor: float) -> Data:
        """The same data with a multiple of a ridge of one."""
        ridges, ridge = factor * self.ridges, factor * self.ridge
        return replace(self, ridges=ridges, ridge=ridge, given=factor)


def dataset_with_ridge(x: ArrayLike, y: ArrayLike, ridge: ArrayLike | str) -> Data:
    """Check data and ridge, and merge them, or raise; a ridge that is to be chosen stands as 1."""
    if isinstance(ridge, str):
        if ridge != "gcv":
            raise ValueError(f"ridge must be 'gcv' or numbers, got {ridge!r}.")
        if np.size(y) < 3:
            raise ValueError(
                f"ridge='gcv' needs at least three data points, got {np.size(y)}; give a number."
            )
        ridge = 1.0
    ridge = finite_array("ridge", ridge)
    if (ridge < 0).any():
        raise ValueError(
            f"ridge contains {ridge.min():g}; it must be at least 0, which interpolates."
        )
    if (largest := ridge.max(initial=0.0)) > 1e100:
        raise ValueError(
            f"ridge reaches {largest:g}, beside which the data are nothing; rescale it or y."
        )
    points, y = dataset(x, y, distinct=False)
    if points.shape[1] != 1:
        raise ValueError(
            f"x must have one input per data point, got {points.shape[1]}; "
            "use representation.solve in higher dimension."
        )
    if ridge.shape not in ((), y.shape[:1]):
        raise ValueError(
            f"ridge must be a number or have shape {y.shape[:1]}, one for each datum, got shape "
            f"{ridge.shape}."
        )
    ridges = np.full(len(y), ridge)
    sharp = points[ridges == 0, 0]
    values, counts = np.unique(sharp, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"x contains {values[counts > 1][0]:g} more than once; average the targets of repeated "
            "inputs first, or give all but one of them a positive ridge."
        )
    data = Data.merged(points[:, 0], y, ridges)
    return replace(data, given=ridge if ridge.ndim else float(ridge))
