"""Panels for Gauss's rule: fine where a density needs it, and as far out as its moments go."""

from __future__ import annotations

import weakref
from collections.abc import MutableMapping
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander

from mflib.densities import with_narrow
from mflib.representation._tails import thirds

NODES, WEIGHTS = leggauss(10)
ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # just inside a panel
TO_ENDS = np.linalg.solve(legvander(NODES, 9).T, legvander(ENDS, 9).T)  # extrapolates to them
MAX_REFINEMENTS = 60
_DOUBLINGS = 2.0 ** np.arange(330)
_MOMENTS = 5e-10  # the nodes' moments may differ by this from those of the distribution
_MOST = 10_000  # panels that are rough at once: it is no density
_LEAST = 1e-290  # a pdf below is cut off soon, by underflow


class Panels(NamedTuple):
    """Intervals of one side each: places of kinks of the units with w = side."""

    side: np.ndarray  # (n,), 1 or -1
    low: np.ndarray  # (n,)
    high: np.ndarray  # (n,)

    def places(self, at: np.ndarray) -> np.ndarray:
        """Return the places in each panel that `at` names between -1 and 1, shape (n, at)."""
        return _places(self.low, self.high, at)

    def halves(self) -> tuple[Panels, Panels]:
        middle = 0.5 * (self.low + self.high)
        return Panels(self.side, self.low, middle), Panels(self.side, middle, self.high)

    def only(self, chosen: np.ndarray) -> Panels:
        """Return the panels that a mask or indices choose."""
        return Panels(self.side[chosen], self.low[chosen], self.high[chosen])


class Grid(NamedTuple):
    """Edges of panels that resolve a density, and edges further out, for what grows faster."""

    edges: np.ndarray
    beyond: np.ndarray
    is_open: np.ndarray  # (2,): whether the density goes on below and above all edges
    outermost: np.ndarray  # (2, 3): where each tail is looked at, NaN at an end of the support


def pdf_at(density, b: np.ndarray) -> np.ndarray:
    """Return the pdf; where it overflows on its way to 0, it is 0."""
    with np.errstate(all="ignore"):
        values = np.asarray(density.pdf(b), dtype=float)
    return np.where(values > 0, values, 0.0)


def mass_between(density, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.maximum(density.cdf(high) - density.cdf(low), 0.0)


def is_short(low: np.ndarray, high: np.ndarray, unit: float) -> np.ndarray:
    """Whether panels are near the roundings of their edges, and no longer halved."""
    return high - low <= 1e-12 * np.maximum(np.maximum(np.abs(low), np.abs(high)), unit)


def gauss_masses(density, low: np.ndarray, high: np.ndarray, unit: float) -> np.ndarray:
    """Return the mass at each Gauss node of intervals of b, shape (n, 10).

    Where rounding of b makes the pdf uncertain, and in intervals too short to be halved, in which
    it may jump or be infinite, the distribution function says how much there is.
    """
    with np.errstate(invalid="ignore"):  # an infinite pdf where there is no room
        masses = 0.5 * (high - low)[:, None] * WEIGHTS * pdf_at(density, _places(low, high, NODES))
    doubtful = is_short(low, high, unit) | ~(rounding(masses, low, high, unit) <= 1e-13)
    if doubtful.any():
        exact = mass_between(density, low[doubtful], high[doubtful])
        total = masses[doubtful].sum(axis=1)
        smooth = np.isfinite(total) & (total > 0) & ~is_short(low[doubtful], high[doubtful], unit)
        shape = np.broadcast_to(0.5 * WEIGHTS, masses[doubtful].shape).copy()
        shape[smooth] = masses[doubtful][smooth] / total[smooth, None]
        masses[doubtful] = shape * exact[:, None]
    return masses


def rounding(masses: np.ndarray, low: np.ndarray, high: np.ndarray, unit: float) -> np.ndarray:
    """Return what rounding of b in the pdf may do to the mass of each panel, by its steepness."""
    width = high - low
    with np.errstate(invalid="ignore"):
        slope = np.ptp(masses / (0.5 * WEIGHTS), axis=1) / width
    return 2e-16 * np.maximum(np.maximum(np.abs(low), np.abs(high)), unit) * slope


_GRIDS: MutableMapping[object, Grid] = weakref.WeakKeyDictionary()


def grid_of(density, std: float) -> Grid:
    """Return the panels of a density, found once for each object."""
    try:
        if (known := _GRIDS.get(density)) is None:
            known = _GRIDS[density] = _grid_of(density, std)
        return known
    except TypeError:  # it has no hash or takes no weak reference
        return _grid_of(density, std)


def _grid_of(density, std: float) -> Grid:
    """Return panels on which a density has its moments, or raise.

    They double in length away from the median, so that no tail hides the centre, as far as there
    is a second moment, and are halved until the pdf is resolved.
    """
    with np.errstate(all="ignore"):
        median, mean = float(density.median()), float(density.mean())
    edges, beyond, is_open, outermost = [np.array([median])], [], [], []
    for sign in (-1, 1):
        inner, outer, goes_on = _tail(density, median, std, sign)
        edges.append(median + sign * inner)
        beyond.append(median + sign * outer)
        is_open.append(goes_on)
        infinite = np.isinf(density.support()[0 if sign < 0 else 1])
        outermost.append(
            median + sign * thirds(np.append(inner, outer)[-1] if infinite else np.nan)
        )
    resolved, moments = _resolve(density, with_narrow(np.concatenate(edges), density), mean, std)
    _check(density, moments)
    further = np.unique(np.concatenate(beyond))
    return Grid(resolved, further, np.array(is_open), np.array(outermost))


def _tail(density, median: float, std: float, sign: int) -> tuple:
    """Return distances from the median: of edges, of edges further out, and whether it goes on."""
    end = density.support()[0 if sign < 0 else 1]
    room = abs(float(end) - median)
    distance = 0.25 * std * _DOUBLINGS
    distance = distance[distance < room]
    distance = np.append(distance, room) if np.isfinite(room) else distance
    weight = std * pdf_at(density, median + sign * distance)
    # what the second moment has between one distance and the next
    needed = np.flatnonzero((distance / std) ** 3 * weight > 1e-20).max(initial=0)
    cut = needed + 2
    outer = distance[cut : np.flatnonzero(weight > _LEAST).max(initial=0) + 1]
    if len(outer) and (later := distance[distance > outer[-1]]).size:
        between = np.linspace(outer[-1], later[0], 257)
        alive = std * pdf_at(density, median + sign * between) > _LEAST
        outer = np.append(outer, between[alive].max())
    return distance[:cut], outer, cut < len(distance)


def _resolve(density, edges: np.ndarray, mean: float, std: float) -> tuple:
    """Halve panels until the first moments make no difference; return edges and the moments."""

    def moments(low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Mass, mean and variance in units of the deviation, and rounding, of each panel."""
        masses = gauss_masses(density, low, high, std)
        z = _places(low - mean, high - mean, NODES) / std
        first = [(masses * z**power).sum(axis=1) for power in range(3)]
        return np.stack([*first, rounding(masses, low, high, std) * (1 + z[:, -1] ** 2)])

    low, high, total = edges[:-1], edges[1:], np.zeros(4)
    whole = moments(low, high)
    for _ in range(MAX_REFINEMENTS):
        middle = 0.5 * (low + high)
        left, right = moments(low, middle), moments(middle, high)
        error = np.abs(whole - left - right)[:3].max(axis=0)
        error = np.maximum(error, _hidden(density, low, high))
        rough = ~(error <= 1e-14 + whole[3]) & ~is_short(low, high, std)
        total += whole[:, ~rough].sum(axis=1)
        if not rough.any() or rough.sum() > _MOST:
            break
        edges = np.append(edges, middle[rough])
        low = np.concatenate([low[rough], middle[rough]])
        high = np.concatenate([middle[rough], high[rough]])
        whole = np.concatenate([left[:, rough], right[:, rough]], axis=1)
    return np.unique(edges), total[:3]


def _hidden(density, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Mass that a jump of the pdf between an edge and the node next to it hides."""
    inside, ends = (pdf_at(density, _places(low, high, at)) for at in (NODES, ENDS))
    with np.errstate(invalid="ignore"):
        apart = np.abs(ends - inside @ TO_ENDS).max(axis=1)
        return apart * 0.5 * (high - low) * (1 - NODES[-1])


def _places(low: np.ndarray, high: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return places in intervals that `at` names between -1 and 1, shape (n, at)."""
    return 0.5 * (high + low)[:, None] + 0.5 * (high - low)[:, None] * at


def _check(density, moments: np.ndarray) -> None:
    """Compare the nodes' moments with what the distribution knows without nodes."""
    off = np.abs(moments - [1.0, 0.0, 1.0])
    if not (off <= _MOMENTS).all():
        name = ("mass", "mean", "second moment")[int(np.argmax(~(off <= _MOMENTS)))]
        raise ValueError(
            f"density's {name} is missed by {np.nanmax(off):.1e} (in units of its deviation) by "
            "nodes as far out as double precision goes: its tails are too heavy, or its pdf does "
            "not fit its moments. Choose lighter tails, or pass neurons=(w, b)."
        )
