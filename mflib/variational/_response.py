r"""How a path answers to its targets: the equation of its derivative.

With S the derivative of the multipliers along directions V of the means, K of the path at each
time,

.. math::

    S' = \tfrac1m W (V - K(t)\, S), \qquad S(0) = 0 .

The implicit Euler method needs a system with a ridge for each step. Over each step of the path it is
repeated with 1, 2, 3, ... steps and extrapolated in 1/steps until the last two agree in what they
say about h. Only coefficients of fields are kept, :math:`S = C^\top\Xi`, since nothing else enters.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mflib._collocation import NoConvergence
from mflib.variational._banded import Arrow
from mflib.variational._radau import Model, Step

_MOST = 8  # steps within a step; if these do not do, it is halved
_MOST_HALVINGS = 6


class Response:
    """The derivative of a path along its steps."""

    def __init__(self, model: Model, directions: np.ndarray, tolerance: float) -> None:
        self.model, self.directions, self.tolerance = model, directions, tolerance
        self.xi = np.zeros_like(directions)

    def follow(self, step: Step, start: float = 0.0, stop: float = 1.0, depth: int = 0) -> None:
        """Go on over a part of a step."""
        matrices: dict[float, Arrow] = {}
        row: list[np.ndarray] = []
        for count in range(1, _MOST + 1):
            last, row = row, [self._euler(step, start, stop, count, matrices)]
            for k, before in enumerate(last, 1):
                row.append(row[-1] + (row[-1] - before) / (count / (count - k) - 1))
            if count > 1 and self._apart(matrices[stop], row[-1] - row[-2]) <= self.tolerance:
                self.xi = self.xi + row[-1]
                return
        if depth == _MOST_HALVINGS:
            raise NoConvergence
        middle = 0.5 * (start + stop)
        self.follow(step, start, middle, depth + 1)
        self.follow(step, middle, stop, depth + 1)

    def _euler(self, step: Step, start: float, stop: float, count: int, matrices) -> np.ndarray:
        """Return the increment of the coefficients after so many steps."""
        model, increment = self.model, np.zeros_like(self.xi)
        rate = count / ((stop - start) * step.length)
        for k in range(1, count + 1):
            point = stop if k == count else start + (stop - start) * k / count
            if point not in matrices:
                matrices[point] = model.matrix(model.evaluate(step.state(point), step.level))
            load = -(matrices[point] @ (self.xi + increment))
            system = model.system(matrices[point], rate)
            increment = increment + system.solve(self.directions, load)[0]
        if not np.isfinite(increment).all():
            raise NoConvergence
        return increment

    def _apart(self, matrix: Arrow, xi: np.ndarray) -> float:
        return float(np.abs(self.model.dual.separate(matrix @ xi)).max(initial=0.0))
