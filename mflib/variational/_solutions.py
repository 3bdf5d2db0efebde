"""Solutions for several targets at the same inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import finite_array
from mflib.variational._solution import Solution, Status

_LARGEST = 4_000_000  # derivative with which several linear solutions are evaluated at once


@dataclass(frozen=True, eq=False, repr=False)
class Solutions:
    r"""Learned functions for k targets at the same inputs; returned by :func:`solve`.

    Calling it, `derivative` and `curvature` take array-likes of any shape and return arrays of that
    shape with one more axis, of length k, as SciPy's splines do. ``h[j]`` is the :class:`Solution`
    for column j, with all else that it knows.

    Attributes
    ----------
    columns : tuple of Solution
        One for each target.
    cost, gap, residual, iterations : ndarrays, shape (k,)
        Theirs.
    status : Status
        CONVERGED if all of them are.
    fitted, multipliers, leverages, leave_one_out : ndarrays, shape (m, k)
    degrees_of_freedom, gcv, ridge : ndarrays, shape (k,) or, for a ridge of each datum, (m, k)

    References
    ----------
    Eq. :eq:`eq-relu-dual`, for each target.

    Examples
    --------
    >>> from mflib import variational
    >>> h = variational.solve([-0.5, 0.1, 0.6], [[0.0, 1.0], [1.0, 0.0], [0.0, 2.0]])
    >>> h([0.1, 0.6]).round(6).tolist(), h.status.name
    ([[1.0, 0.0], [0.0, 2.0]], 'CONVERGED')
    """

    columns: tuple[Solution, ...]
    # (m, k), where h is linear in them and all have one derivative
    _targets: np.ndarray | None = None

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate the functions."""
        x = finite_array("x", x)
        if self._targets is not None and x.size * len(self._targets) <= _LARGEST:
            values = self.columns[0].jacobian(x.ravel()) @ self._targets
            return values.reshape(*x.shape, len(self.columns))
        return np.stack([column(x) for column in self.columns], axis=-1)

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate their first derivatives."""
        return np.stack([column.derivative(x) for column in self.columns], axis=-1)

    def curvature(self, x: ArrayLike) -> np.ndarray:
        """Evaluate their second derivatives."""
        return np.stack([column.curvature(x) for column in self.columns], axis=-1)

    def __getitem__(self, column: int) -> Solution:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Solution]:
        return iter(self.columns)

    @property
    def status(self) -> Status:
        """CONVERGED if all are."""
        met = all(column.status is Status.CONVERGED for column in self.columns)
        return Status.CONVERGED if met else Status.STALLED

    def __repr__(self) -> str:
        numbers = {name: getattr(self, name) for name in ("cost", "gap", "residual")}
        ranges = [f"{name}={v.min():.3g}…{v.max():.3g}" for name, v in numbers.items()]
        return f"Solutions({len(self)} targets, {', '.join(ranges)}, status={self.status!r})"

    def __getattr__(self, name: str) -> np.ndarray:
        if name not in _ARRAYS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return np.stack([getattr(column, name) for column in self.columns], axis=-1)


_ARRAYS = {
    *("cost", "gap", "residual", "iterations", "ridge", "fitted", "multipliers"),
    *("leverages", "degrees_of_freedom", "leave_one_out", "gcv"),
}
