r"""Panels on which a density is smooth, found once for each density, and what they leave out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy import integrate

from mflib.densities import Defined, defined, with_narrow
from mflib.variational._quadrature import gauss

_NODES, _WEIGHTS = gauss(16)
_ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # inside, where a jump at the edge is not seen
_TO_ENDS = np.linalg.solve(legvander(_NODES, 15).T, legvander(_ENDS, 15).T)
_TOLERANCE = 1e-15
_SMALLEST = 1e-306  # a pdf below loses digits to underflow
_FAR = 1e-150  # up to there, an integrand with an integral has a square that is a number
_FARTHEST = 1e101  # squares and cubes of what is beyond are no numbers
_MOST, _MOST_FAR = 200_000, 1_500  # panels, where a pdf is so noisy that halving never ends
_ENORMOUS = 1e12  # mass: more than a peak between two nodes may be taken for
_NOISE = 1e-11  # of the moments, far less than a certificate allows: halving may end there


@dataclass(frozen=True, eq=False)
class Tail:
    """An infinite end of the support, seen at points that go outward by factors."""

    side: int  # -1 or 1
    t: np.ndarray  # from the end of the panels to where the pdf underflows
    p: np.ndarray
    complete: bool  # whether the second moment beyond the last panel is negligible
    exponent: float  # the s of -d log p / d log t = s there, a constant for a power of t,
    order: float  # and the g of s ~ t^g; both infinite where the pdf underflows too soon to tell


@dataclass(frozen=True, eq=False)
class Panels:
    """Increasing edges; between neighbours 16 Gauss nodes integrate the density."""

    edges: np.ndarray
    spread: float  # the distribution's standard deviation
    # |mass|, |mean| and |second moment| of the panels less the distribution's, in its spread
    missing: np.ndarray
    tails: tuple[Tail, ...]


def smooth_panels(density, *, far: bool = False) -> Panels:
    r"""Find panels on which 16 Gauss nodes integrate the density to machine precision.

    Panels are halved until :math:`\int (1, u^2)\, p\, dt` no longer changes, with u the distance
    from the median: a jump is closed in on by bisection, and an infinite tail is cut where what is
    left of the second moment is negligible.

    Parameters
    ----------
    density : frozen scipy.stats distribution
        With a finite second moment.
    far : bool
        Cut tails only where the pdf almost underflows, and resolve them to a fraction of
        themselves: for integrands that grow faster than a square.
    """
    return _smooth_panels(defined(density), far)


@lru_cache(maxsize=64)  # the same density serves many problems, often frozen anew
@np.errstate(all="ignore")
def _smooth_panels(given: Defined, far: bool) -> Panels:
    density = given.distribution
    centre, spread = float(density.median()), float(density.std())
    ends, tails = [float(end) for end in density.support()], []
    steep = np.zeros(2, dtype=bool)
    for i, side in enumerate((-1, 1)):
        if np.isinf(ends[i]):
            ends[i], tail = _cut(density, centre, spread, side, far)
            tails.append(tail)
            steep[i] = far
    start = with_narrow(_graded(ends, centre, spread), density).clip(ends[0], ends[1])
    edges = _bisect(density, np.unique(start), centre, spread, steep)
    _check_bounded(density, edges, spread)
    moments = _moments(density, np.stack([edges[:-1], edges[1:]], axis=1), centre, spread)
    mean = (float(density.moment(1)) - centre) / spread
    missing = np.abs(moments.sum(axis=0) - [1.0, mean, 1.0 + mean**2])
    sharp = all(tail.complete for tail in tails) and _rounding(centre, spread) < 1e-10
    if sharp and 1e-10 < missing.max() < 1e-6:
        # SciPy's own mean and variance may come from a quadrature with fewer digits
        other = np.abs(moments.sum(axis=0) - _adaptive_moments(density, ends, centre, spread))
        missing[1:] = np.minimum(missing, other)[1:]
    return Panels(edges, spread, missing, tuple(tails))


def _cut(density, centre: float, spread: float, side: int, far: bool) -> tuple[float, Tail]:
    """Cut an infinite end where the second moment beyond is negligible, or the pdf underflows.

    The distribution function tells of mass anywhere beyond; where it cancels, the pdf goes on.
    """
    reach, p = spread * np.sqrt(2.0) ** np.arange(-4, 4), np.empty(0)
    while True:
        p = np.append(p, density.pdf(centre + side * reach[len(p) :]))
        if p[-1] <= _SMALLEST or reach[-1] > _FARTHEST:
            break
        reach = np.append(reach, reach[-8:] * 16)
    precise = (p > _SMALLEST) & (reach < _FARTHEST)
    last = len(p) - 1 - int(np.argmax(precise[::-1])) if precise.any() else 0
    wanted, outside = 4, density.sf if side == 1 else density.cdf
    while wanted < len(p):
        r, t = reach[wanted], centre + side * reach[wanted]
        if max(p[wanted] * r, outside(t)) * r**2 <= 1e-3 * _TOLERANCE * spread**2:
            break
        wanted += 2
    complete = wanted < len(p)
    law = _law(lambda r: density.pdf(centre + side * r), reach[last] / spread, spread)
    if far and complete:
        k = max(len(p) - int(np.argmax(p[::-1] >= _FAR)), 1)
        end = _close_in(density, centre, side, *reach[k - 1 : k + 1])
        t = np.array([centre + side * end])
        return float(t[0]), Tail(side, t, density.pdf(t), complete, *law)
    cut = wanted if complete and not far else last
    t, shown = centre + side * reach, np.arange(len(p)) >= cut
    shown &= p > 0
    return float(t[cut]), Tail(side, t[shown], p[shown], complete, *law)


def _close_in(density, centre: float, side: int, inner: float, outer: float) -> float:
    """Find where the pdf becomes as small as it may be in far panels."""
    for _ in range(40):
        middle = 0.5 * (inner + outer)
        if density.pdf(centre + side * middle) > _FAR:
            inner = middle
        else:
            outer = middle
    return inner


def _law(pdf, last: float, spread: float) -> tuple[float, float]:
    """The exponent and the order of a tail, from three places as far out as the pdf is a number."""
    p = spread * pdf(spread * last * np.array([1 / 9, 1 / 3, 1.0]))
    if not 0 < p[-1] < 1e-50:  # no tail, but an end of the support
        return np.inf, np.inf
    falls = -np.diff(np.log(p)) / np.log(3)
    if not (falls > 0).all():  # too soon to tell
        return np.inf, np.inf
    return float(falls[1]), float(np.log(falls[1] / falls[0]) / np.log(3))


def _rounding(centre: float, spread: float) -> float:
    """How well points near the centre are told apart, in units of the spread."""
    return 2 * float(np.finfo(float).eps) * abs(centre) / spread


def _graded(ends: list[float], centre: float, spread: float) -> np.ndarray:
    """Grade what reaches far geometrically, before anything is measured on it."""
    edges = set(ends)
    for end in ends:
        while abs(end - centre) > 8 * spread:
            edges |= {centre, end := centre + (end - centre) / 4}
    return np.array(sorted(edges))


def _bisect(density, edges, centre: float, spread: float, steep: np.ndarray) -> np.ndarray:
    """Halve panels until their halves say the same, on steep sides to a fraction of themselves."""
    pending = np.stack([edges[:-1], edges[1:]], axis=1)
    done, count, in_vain = [edges[[0, -1]]], 0, 0
    rounding = _rounding(centre, spread)
    most = _MOST_FAR if steep.any() else _MOST
    while len(pending):
        middle = pending.mean(axis=1)
        halves = np.stack([pending[:, 0], middle, middle, pending[:, 1]], axis=1).reshape(-1, 2)
        whole = _moments(density, pending, centre, spread)[:, ::2]
        _refuse_enormous(whole[:, 0].sum())
        parts = _moments(density, halves, centre, spread)[:, ::2].reshape(-1, 2, 2).sum(axis=1)
        error = np.abs(whole - parts).max(axis=1)
        error = np.maximum(error, _edge_errors(density, pending))
        width = pending[:, 1] - pending[:, 0]
        closed_in = width <= 1e-15 * np.abs(pending).max(axis=1) + 1e-300
        rough = error > max(_TOLERANCE, rounding)
        u = (pending - centre) / spread
        outer = (steep[0] & (u[:, 1] < -1)) | (steep[1] & (u[:, 0] > 1))
        rough |= outer & (error > np.maximum(max(1e-12, rounding) * parts.max(axis=1), 1e-280))
        rough &= ~closed_in & (middle > pending[:, 0]) & (count + len(pending) < most)
        # what is smooth, or jumps, leaves fewer rough halves each time; noise leaves nearly all
        in_vain += 1
        if rough.sum() < 0.8 * len(pending) or error[rough].sum() > _NOISE or steep.any():
            in_vain = 0
        rough &= in_vain < 4
        done.append(pending[~rough].ravel())
        count += int((~rough).sum())
        pending = halves.reshape(-1, 2, 2)[rough].reshape(-1, 2)
    return np.unique(np.concatenate(done))


def _moments(density, panels: np.ndarray, centre: float, spread: float) -> np.ndarray:
    """Integrals of (1, u, u^2) p over each panel, u = (t - centre) / spread."""
    half = 0.5 * (panels[:, 1] - panels[:, 0])
    offset = half[:, None] * (1 + _NODES)
    t = panels[:, :1] + offset
    mass = density.pdf(t) * half[:, None] * _WEIGHTS
    _refuse_infinite(t, ~np.isfinite(mass))
    u = (panels[:, :1] - centre + offset) / spread  # t itself is rounded where it is large
    return np.stack([mass.sum(axis=1), (mass * u).sum(axis=1), (mass * u**2).sum(axis=1)], axis=1)


def _check_bounded(density, edges: np.ndarray, spread: float) -> None:
    """Raise if the pdf grows without bound towards an edge, where rounding hides mass."""
    steps = 1e-15 * spread * 10.0 ** np.arange(4)[:, None]
    pdfs = [density.pdf(edges + side * steps) for side in (-1, 1)]
    grows = [(p[0] * steps[0] > 1e-11) & (p[:-1] > 1.5 * p[1:]).all(axis=0) for p in pdfs]
    _refuse_infinite(edges, np.any(grows, axis=0) | np.isposinf(density.pdf(edges)))


def _refuse_infinite(t: np.ndarray, infinite: np.ndarray) -> None:
    if infinite.any():
        raise ValueError(
            f"density has an infinite pdf at {t[infinite][0]:g}; this solver needs it bounded: use "
            "another density, or representation.solve."
        )


def _refuse_enormous(mass: float) -> None:
    """Raise where a pdf goes wrong far out, as SciPy's tukeylambda does: no panel resolves that."""
    if mass > _ENORMOUS:
        raise ValueError(
            f"density has a pdf that integrates to {mass:.1g}, not 1: far out it is no number to "
            "rely on. Use another density, or a truncated one."
        )


def _adaptive_moments(density, ends: list[float], centre: float, spread: float) -> np.ndarray:
    """The sum of `_moments` by another rule."""

    def integrand(u: float) -> np.ndarray:
        return spread * density.pdf(centre + spread * u) * np.array([1.0, u, u * u])

    a, b = ((end - centre) / spread for end in ends)
    points = [s * 10.0**k for s in (-1, 1) for k in range(-1, 5) if a < s * 10.0**k < b]
    options = {"epsabs": 1e-12, "epsrel": 0.0, "norm": "max", "limit": 200}
    return integrate.quad_vec(integrand, a, b, points=points, **options)[0]


def _edge_errors(density, panels: np.ndarray) -> np.ndarray:
    """Mass that a jump between the outermost nodes and the edges would hide."""
    half = 0.5 * (panels[:, 1] - panels[:, 0])[:, None]
    middle = panels.mean(axis=1)[:, None]
    predicted = density.pdf(middle + half * _NODES) @ _TO_ENDS
    missed = np.abs(density.pdf(middle + half * _ENDS) - predicted).max(axis=1)
    return missed * half[:, 0] * (1 - _NODES[-1])
