"""Tails of a density beside what an integrand does there: whether an integral is finite.

Nodes end where the pdf underflows. A conjugate that grows faster than the density falls may do so
only beyond: the nodes then have a minimum that the integral does not have.
"""

from __future__ import annotations

import numpy as np

from mflib.potentials import Potential

_THIRDS = np.array([1 / 9, 1 / 3, 1.0])
_END = 1e-50  # a pdf above this, in units of the deviation, has met an end and no tail
_POWER = 0.1  # the order below which a growth is that of a power
_MARGIN = 0.04  # of orders: nearer to each other, the nodes see which wins
_FAR = 1e100  # if |alpha| gets there, the gradient is not bounded
_FIELDS = 4.0 ** np.arange(-150, 150)


def thirds(last: float) -> np.ndarray:
    """Return three distances in geometric progression, at which tails are looked at."""
    return last * _THIRDS


def diverges(p: np.ndarray, z: np.ndarray, potential: Potential, size: np.ndarray) -> bool:
    r"""Tell whether :math:`\int z \alpha\, p\, dr` is infinite, from p and z at `thirds`.

    With :math:`-d \log p / d \log r \sim r^f`, :math:`z \sim r^q` and
    :math:`d \log \alpha / d \log z \sim z^g`, it is if :math:`g q > f`; where both are 0, powers
    are compared by their exponents. `size` is that of the terms of z, which bounds its rounding.
    """
    steps = np.abs(np.diff(z))
    if not 0 < p[-1] < _END or steps.min() <= 1e-13 * size[-1]:
        return False
    falls, growth = -np.diff(np.log(p)) / np.log(3), float(np.log(steps[1] / steps[0]) / np.log(3))
    if not (falls > 0).all() or growth <= _POWER:
        return False
    alpha = _reached(potential, np.sign(z[-1] - z[-2]) * _FIELDS)
    if len(alpha) < len(_FIELDS) and alpha.max(initial=0.0) < _FAR:
        return True  # a gradient that stays bounded
    rises = np.diff(np.log(alpha[(alpha > 0) & (alpha < 1e300)])) / np.log(4)
    order = np.log(falls[1] / falls[0]) / np.log(3)
    order_of_alpha = growth * np.log(rises[-1] / rises[-2]) / np.log(4)
    if max(order, order_of_alpha) > _POWER:
        return bool(order_of_alpha > order + _MARGIN)
    return bool(growth * (rises[-1] + 1) + 1 - falls[1] > -1e-6)


def _reached(potential: Potential, z: np.ndarray) -> np.ndarray:
    """Return |alpha| of the first z, up to where an inverse without a formula gives up."""
    known, low, high = np.zeros(0), 0, len(z) + 1
    with np.errstate(all="ignore"):
        while high - low > 1:
            count = high - 1 if high > len(z) else (low + high) // 2
            try:
                known, low = np.abs(potential.inverse_mirror(z[:count])), count
            except ValueError:
                high = count
    return known
