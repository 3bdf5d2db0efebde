r"""What a certificate proves of a solution, rounding included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import finite_array

if TYPE_CHECKING:
    from mflib.variational._proof import Proof


@dataclass(frozen=True, eq=False, repr=False)
class Enclosure:
    r"""A proved bound on the distance from the minimiser, as `Solution.certify` makes it.

    With :math:`h_\lambda(x) = \int (\varphi^*)'(z)\, \sigma(w x - b)\, d\mu`, the function of the
    stored multipliers, and the minimiser :math:`h^*` of the problem that was solved,

    .. math:: |h_\lambda(x) - h^*(x)| \le \text{bound} \quad \text{for all } x
        \text{ of the interval} .

    Each number is a theorem: every rounding, every error of a quadrature, every tail is enclosed by
    ball arithmetic [1]_. What the theorem is about are :math:`h_\lambda` and :math:`h^*`, as real
    functions. Values that the library computes of :math:`h_\lambda` are rounded; calling the
    enclosure gives numbers that are not in doubt, those of :math:`h^*` itself.

    Attributes
    ----------
    bound : float
        At least :math:`\sup |h_\lambda - h^*|` over the interval.
    slope : float
        At least :math:`\sup |h_\lambda' - h^{*\prime}|` over the whole line.
    cost : tuple of two floats
        Lower and upper bound of :math:`\int D_\varphi(\alpha^*, 0)\, d\mu`.
    interval : tuple of two floats
    assumptions : tuple of str
        What is taken for granted.

    References
    ----------
    The proof: :prf:ref:`pd-bound`.

    .. [1] :cite:t:`johansson2017arb`

    Examples
    --------
    >>> from mflib import variational
    >>> h = variational.solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0])
    >>> proved = h.certify()
    >>> low, high = proved(0.3)
    >>> proved.bound < 1e-12, bool(low <= h(0.3) <= high), bool(high - low < 1e-12)
    (True, True, True)
    """

    bound: float
    slope: float
    cost: tuple[float, float]
    interval: tuple[float, float]
    assumptions: tuple[str, ...]
    _proof: Proof = field(repr=False)

    def __call__(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper bounds of the minimiser's values.

        Parameters
        ----------
        x : array-like, any shape

        Returns
        -------
        lower, upper : ndarrays, of the shape of x
        """
        x = finite_array("x", x)
        both = np.array([self._proof.at(float(t)) for t in x.ravel()]).reshape(-1, 2)
        return both[:, 0].reshape(x.shape), both[:, 1].reshape(x.shape)

    def __repr__(self) -> str:
        low, high = self.cost
        return f"Enclosure(bound={self.bound:.2g}, cost=({low!r}, {high!r}))"
