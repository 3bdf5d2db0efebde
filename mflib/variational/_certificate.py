"""What the solver's own quadrature cannot see: the tails, and whether they leave a minimum.

A certificate must not come from the nodes that found the answer. The density's moments are known
without them, and beyond the last node an integrand can be looked at.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import numpy as np

from mflib.potentials import Potential
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._finite_elements import Orientation
from mflib.variational._panels import Tail

_MOMENTS = 5e-10  # of mass 1, in units of the spread: half of what a cost may then be wrong by
_SHARE = 1e-10  # of cost and targets, by octave of a tail


class Tails(enum.Enum):
    """What lies beyond the panels."""

    NEGLIGIBLE = "the integrals do not notice it"
    CUT = "the integrals go on where the panels end"
    DIVERGENT = "the integrals are infinite: there is no minimiser"


def moments_agree(dual: DiscreteDual) -> bool:
    """Whether mass, mean and second moment of the panels are the distribution's own.

    A tail may lack some where no unit answers to it: that of ReLU units which face away.
    """
    seen = {side for o in dual.orientations for side, _, _ in _reached(o)}
    missing, tails = dual.panels.missing, dual.panels.tails
    if all(tail.complete or tail.side in seen for tail in tails):
        return bool(missing.max() <= _MOMENTS)
    return bool(missing[0] <= _MOMENTS) and all(t.complete for t in tails if t.side in seen)


def beyond(dual: DiscreteDual, at: Evaluation) -> Tails:
    """Follow the integrands of cost and constraints out of the panels."""
    worst = Tails.NEGLIGIBLE
    for o in dual.orientations:
        nodal = dual.nodal_values(o, at.xi)
        for side, sign, element in _reached(o):
            for tail in dual.panels.tails:
                if tail.side == side and len(tail.t):
                    found = _follow(dual, at, o, nodal, tail, sign, element)
                    worst = max(worst, found, key=list(Tails).index)
    return worst


def _reached(o: Orientation) -> Iterator[tuple[int, int, int]]:
    """The density's sides that a field can reach: side, sign of the bias, the tail's element."""
    last = len(o.grid) - 2
    for sign in o.signs:
        for end, element in ((-1, 0), (1, last)):
            if o.global_functions[element and -1].any():
                yield sign * end, sign, element


def _follow(dual, at: Evaluation, o, nodal, tail: Tail, sign: int, element: int) -> Tails:
    offset = sign * tail.t - o.grid[element]
    step = nodal[element + 1] - nodal[element]
    z = nodal[element] + step * (offset / o.widths[element])
    alpha = _invert(dual.potential, z)
    offset = offset[: len(alpha)]
    mass = 0.5 * tail.p[: len(alpha)] * np.abs(offset)  # of an octave
    cost = mass * dual.potential.bregman(alpha, np.zeros(1))
    load = mass * np.abs(alpha * offset)
    small = (cost <= _SHARE * at.cost) & (load <= _SHARE * np.abs(dual.y).max())
    # a slope that is rounding only, as of an odd solution, would go on for ever
    if np.abs(step) <= 1e-13 * np.abs(nodal).max():
        return Tails.NEGLIGIBLE if small[:1].all() or not nodal.any() else Tails.CUT
    if _outgrows(dual.potential, float(np.sign(z[-1])), tail):
        return Tails.DIVERGENT
    return Tails.NEGLIGIBLE if small.all() else Tails.CUT


def _outgrows(potential: Potential, sign: float, tail: Tail) -> bool:
    """Whether z alpha p has no integral for any field with a slope, however small.

    With d log alpha / d log z = a ~ z^d, and the like for the tail, the larger order wins; powers
    are compared by their exponents.
    """
    if not np.isfinite(tail.order):
        return False
    alpha = np.abs(_invert(potential, sign * 4.0 ** np.arange(80)))
    slopes = np.diff(np.log(alpha[(alpha > 0) & (alpha < 1e300)])) / np.log(4)
    if len(slopes) < 2:
        return True
    order = np.log(slopes[-1] / slopes[-2]) / np.log(4)
    if max(order, tail.order) > 0.1:
        return bool(order > tail.order + 0.04)
    return bool(slopes[-1] > tail.exponent - 2 - 1e-6)


def _invert(potential: Potential, z: np.ndarray) -> np.ndarray:
    """The inverse mirror map of the first z, up to where an inverse without a formula gives up."""
    while len(z):
        try:
            return potential.inverse_mirror(z)
        except ValueError:
            z = z[: len(z) // 2]
    return z
