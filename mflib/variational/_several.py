"""Several targets: as many solutions, which answer together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import finite_array
from mflib.variational._enclosure import Enclosure
from mflib.variational._solution import Solution, Status

_LARGEST = 4_000_000  # entries of a derivative by which all are evaluated at once


@dataclass(frozen=True, eq=False, repr=False)
class Solutions:
    r"""The learned functions for several targets; returned by :func:`solve` for y of shape (m, k).

    Calling it, `derivative` and `curvature` take array-likes of any shape and return arrays of that
    shape with a last axis of length k, as SciPy's splines do. ``h[j]`` is the :class:`Solution` for
    column j, with all else that it knows.

    Attributes
    ----------
    columns : tuple of Solution
        One for each column of y.
    cost, gap, residual, gcv : ndarrays, shape (k,)
        Those of the columns.
    multipliers, fitted : ndarrays, shape (m, k)
    ridge : ndarray, shape (k,) or (m, k)
    iterations : int
        Newton steps, of all columns together.
    status : Status
        CONVERGED if all columns are.

    References
    ----------
    The problem that each solves: eq. :eq:`eq-P`.

    Examples
    --------
    >>> from mflib import variational
    >>> h = variational.solve([-0.5, 0.5], [[2.0, 0.0, 1.0], [1.0, 3.0, 1.0]])
    >>> h(0.5).round(6).tolist(), h.derivative([0.1, 0.2]).shape, h.cost.shape
    ([1.0, 3.0, 1.0], (2, 3), (3,))
    """

    columns: tuple[Solution, ...]
    # (m, k), where h is linear in them and all have one derivative
    _targets: np.ndarray | None = None

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate all functions."""
        x = finite_array("x", x)
        if self._targets is not None and x.size * len(self._targets) <= _LARGEST:
            return (self[0].jacobian(x.ravel()) @ self._targets).reshape(*x.shape, len(self))
        return np.stack([h(x) for h in self], axis=-1)

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate all first derivatives."""
        return np.stack([h.derivative(x) for h in self], axis=-1)

    def curvature(self, x: ArrayLike) -> np.ndarray:
        """Evaluate all second derivatives, where the density is continuous."""
        return np.stack([h.curvature(x) for h in self], axis=-1)

    def certify(self, interval: ArrayLike | None = None) -> tuple[Enclosure, ...]:
        """Prove how near each function is to its minimiser, as :meth:`Solution.certify` does."""
        return tuple(h.certify(interval) for h in self)

    def __getitem__(self, column: int) -> Solution:
        return self.columns[column]

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Solution]:
        return iter(self.columns)

    @property
    def cost(self) -> np.ndarray:
        return np.array([h.cost for h in self])

    @property
    def gap(self) -> np.ndarray:
        return np.array([h.gap for h in self])

    @property
    def residual(self) -> np.ndarray:
        return np.array([h.residual for h in self])

    @property
    def multipliers(self) -> np.ndarray:
        return np.stack([h.multipliers for h in self], axis=-1)

    @property
    def ridge(self) -> np.ndarray:
        return np.stack([h.ridge for h in self], axis=-1)

    @property
    def fitted(self) -> np.ndarray:
        return np.stack([h.fitted for h in self], axis=-1)

    @property
    def gcv(self) -> np.ndarray:
        return np.array([h.gcv for h in self])

    @property
    def iterations(self) -> int:
        return sum(h.iterations for h in self)

    @property
    def status(self) -> Status:
        converged = all(h.status is Status.CONVERGED for h in self)
        return Status.CONVERGED if converged else Status.STALLED

    def __repr__(self) -> str:
        numbers = {name: getattr(self, name) for name in ("cost", "gap", "residual")}
        ranges = [f"{name}={v.min():.3g}…{v.max():.3g}" for name, v in numbers.items()]
        return f"Solutions({len(self)} targets, {', '.join(ranges)}, status={self.status!r})"
