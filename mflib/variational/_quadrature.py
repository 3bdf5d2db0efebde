r"""Quadrature for fields whose mirror image is piecewise linear.

What is integrated is :math:`\alpha(t)\, p(t)` with :math:`\varphi'(\alpha) = z` piecewise
linear.
Two things spoil a fixed rule: the density may be rough anywhere, and
:math:`\alpha = (\varphi')^{-1}(z)` is nearly singular where z changes sign. The first is met by
`smooth_panels`, once a density; the second by exact splits at the zeros of z and by integrating in
:math:`\alpha` instead of t, since :math:`dt = \varphi''(\alpha)\, d\alpha / z'` leaves a smooth
integrand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander

from mflib.potentials import Potential

gauss = lru_cache(leggauss)
_PANEL_NODES, _PANEL_WEIGHTS = gauss(16)
_PANEL_ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # inside, where a jump at the edge is not seen
_TO_ENDS = np.linalg.solve(legvander(_PANEL_NODES, 15).T, legvander(_PANEL_ENDS, 15).T)


class Level(NamedTuple):
    """How finely a piece is resolved: Gauss nodes, and geometric cuts towards alpha = 0."""

    nodes: int
    ratio: float
    cuts: int


# Each level is the check of the one before. Short pieces, as between many data, need few nodes; a
# rough density along a steep field needs many, and cuts where the potential is not smooth beside 0.
LEVELS = (
    *(Level(count, 1.0, 0) for count in (4, 8, 16, 48)),
    Level(20, 4.0, 14),
    Level(24, 2.0, 44),
)


class Pieces(NamedTuple):
    """Intervals on which z is linear without change of sign; each array has shape (K,).

    Ends are measured from the element's left node: where data are close, t itself has lost the
    digits that matter.
    """

    left: np.ndarray
    right: np.ndarray
    z_left: np.ndarray
    z_right: np.ndarray
    element: np.ndarray


class Nodes(NamedTuple):
    """Quadrature nodes of K pieces; each array has shape (nodes, K), weights include dt."""

    offset: np.ndarray  # from the element's left node
    alpha: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class _Defined:
    """A density that equals every other one with the same definition."""

    definition: Any
    density: Any = field(compare=False)


def _defined(density) -> _Defined:
    """Tell a frozen distribution by its family and parameters, anything else by its identity."""
    try:
        family = sorted(density.dist._updated_ctor_param().items())  # what freezing copies
        definition = (type(density.dist), *family, density.args, *sorted(density.kwds.items()))
        hash(definition)
    except (AttributeError, TypeError):  # not frozen; an array among the parameters
        return _Defined(density, density)
    return _Defined(definition, density)


def smooth_panels(density) -> np.ndarray:
    r"""Edges of panels on which 16 Gauss nodes integrate the density to machine precision.

    Panels are halved until :math:`\int (1, t^2)\, p\, dt` no longer changes: a jump is closed in
    on by bisection, and an infinite tail is cut where what is left of the second moment is
    negligible.

    Parameters
    ----------
    density : frozen scipy.stats distribution
        With a finite second moment.

    Returns
    -------
    ndarray, shape (K + 1,)
        Increasing panel edges.
    """
    return _smooth_panels(_defined(density))


@lru_cache(maxsize=64)  # the same density serves many problems, often frozen anew
def _smooth_panels(defined: _Defined, tolerance: float = 1e-15) -> np.ndarray:
    density = defined.density
    low, high = _truncated_support(density, tolerance)
    # a tail that reaches far is graded geometrically before anything is measured on it
    centre, scale = float(density.median()), density.std()
    edges = {low, high}
    for end in (low, high):
        while abs(end - centre) > 8 * scale:
            edges |= {centre, end := centre + (end - centre) / 4}
    pending = np.array(sorted(edges))
    pending = np.stack([pending[:-1], pending[1:]], axis=1)
    moments = np.array([1.0, density.moment(2)])
    done = [np.array([low, high])]
    while len(pending):
        middle = pending.mean(axis=1)
        halves = np.stack([pending[:, 0], middle, middle, pending[:, 1]], axis=1).reshape(-1, 2)
        whole = _panel_moments(density, pending)
        parts = _panel_moments(density, halves).reshape(-1, 2, 2).sum(axis=1)
        error = (np.abs(whole - parts) / moments).max(axis=1)
        error = np.maximum(error, _edge_errors(density, pending))
        width = pending[:, 1] - pending[:, 0]
        closed_in = width <= 1e-15 * np.abs(pending).max(axis=1) + 1e-300
        rough = (error > tolerance) & ~closed_in & (middle > pending[:, 0])
        done.append(pending[~rough].ravel())
        pending = halves.reshape(-1, 2, 2)[rough].reshape(-1, 2)
    return np.unique(np.concatenate(done))


def _panel_moments(density, panels: np.ndarray) -> np.ndarray:
    half = 0.5 * (panels[:, 1] - panels[:, 0])
    t = panels.mean(axis=1)[:, None] + half[:, None] * _PANEL_NODES
    mass = density.pdf(t) * half[:, None] * _PANEL_WEIGHTS
    if not np.isfinite(mass).all():
        raise ValueError(
            f"density has an infinite pdf at {t[~np.isfinite(mass)][0]:g}; this solver needs it "
            "bounded: use another density, or representation.solve."
        )
    return np.stack([mass.sum(axis=1), (mass * t**2).sum(axis=1)], axis=1)


def _edge_errors(density, panels: np.ndarray) -> np.ndarray:
    """Mass that a jump between the outermost nodes and the edges would hide."""
    half = 0.5 * (panels[:, 1] - panels[:, 0])[:, None]
    middle = panels.mean(axis=1)[:, None]
    predicted = density.pdf(middle + half * _PANEL_NODES) @ _TO_ENDS
    missed = np.abs(density.pdf(middle + half * _PANEL_ENDS) - predicted).max(axis=1)
    return missed * half[:, 0] * (1 - _PANEL_NODES[-1])


def _truncated_support(density, tolerance: float) -> tuple[float, float]:
    """Cut infinite ends where the second moment beyond them is negligible."""
    low, high = (float(end) for end in density.support())
    scale, second = density.std(), density.moment(2)
    reach = scale
    while np.isinf(high) and reach < 1e150:
        if density.sf(reach) * reach**2 <= 1e-3 * tolerance * second and reach > density.median():
            high = reach
        reach *= 2
    reach = scale
    while np.isinf(low) and reach < 1e150:
        if (
            density.cdf(-reach) * reach**2 <= 1e-3 * tolerance * second
            and -reach < density.median()
        ):
            low = -reach
        reach *= 2
    return max(low, -1e150), min(high, 1e150)


def split(pieces: Pieces, potential: Potential, level: Level) -> Pieces:
    """Split pieces at the zeros of z, then geometrically in alpha towards those zeros."""
    left, right, z_left, z_right, element = pieces
    crosses = np.sign(z_left) * np.sign(z_right) < 0
    if crosses.any():
        a, b = z_left[crosses], z_right[crosses]
        zero = left[crosses] + (right[crosses] - left[crosses]) * (a / (a - b))
        none = np.zeros_like(zero)
        left, z_left = np.append(left, zero), np.append(z_left, none)
        right, z_right = np.append(right, right[crosses]), np.append(z_right, b)
        right[: len(crosses)][crosses], z_right[: len(crosses)][crosses] = zero, none
        element = np.append(element, element[crosses])
    pieces = Pieces(left, right, z_left, z_right, element)
    return _graded(pieces, potential, level) if level.cuts else pieces


def _graded(pieces: Pieces, potential: Potential, level: Level) -> Pieces:
    """Cut each piece where alpha has fallen by the level's ratio, again and again."""
    left, right, z_left, z_right, element = pieces
    outward = np.abs(z_right) >= np.abs(z_left)
    t_outer, t_inner = np.where(outward, right, left), np.where(outward, left, right)
    z_outer, z_inner = np.where(outward, z_right, z_left), np.where(outward, z_left, z_right)
    outer, inner = potential.inverse_mirror(z_outer), potential.inverse_mirror(z_inner)
    size, smallest = (np.log(np.maximum(np.abs(alpha), 1e-300)) for alpha in (outer, inner))
    reach = (size - smallest) / np.log(level.ratio)
    cuts = np.fmin(np.fmax(np.ceil(reach - 1e-9) - 1, 0), level.cuts)  # none of what is no number
    count = np.where(outer != 0, cuts, 0).astype(int)
    piece = np.repeat(np.arange(len(left)), count + 1)
    first = np.cumsum(count + 1) - count - 1
    cut = np.arange(len(piece)) - first[piece]  # 0, ..., count within each piece
    z = potential.mirror(outer[piece] * level.ratio ** -cut.astype(float))
    z = np.where(cut == 0, z_outer[piece], z)
    rise = (z_outer - z_inner)[piece]
    fraction = np.divide(z - z_inner[piece], rise, out=np.ones_like(z), where=rise != 0)
    t = np.where(cut == 0, t_outer[piece], t_inner[piece] + (t_outer - t_inner)[piece] * fraction)
    last = cut == count[piece]
    t_next = np.where(last, t_inner[piece], np.append(t[1:], 0.0))
    z_next = np.where(last, z_inner[piece], np.append(z[1:], 0.0))
    out = outward[piece]
    return Pieces(
        np.where(out, t_next, t),
        np.where(out, t, t_next),
        np.where(out, z_next, z),
        np.where(out, z, z_next),
        element[piece],
    )


def nodes(pieces: Pieces, potential: Potential, count: int) -> Nodes:
    r"""Gauss nodes on pieces where z keeps its sign.

    Where z varies by less than a tenth, :math:`(\varphi')^{-1}` is smooth and t is the
    variable; elsewhere it is :math:`\alpha`.
    """
    left, right, z_left, z_right, _ = pieces
    x, w = (0.5 * array[:, None] for array in gauss(count))
    x, width, rise = 0.5 + x, right - left, z_right - z_left
    sizes = np.abs(z_left), np.abs(z_right)
    is_steep = 1.1 * np.minimum(*sizes) < np.maximum(*sizes)
    flat, steep = np.flatnonzero(~is_steep), np.flatnonzero(is_steep)
    fraction, alpha, weights = np.empty((3, count, len(left)))
    if len(flat):
        fraction[:, flat], weights[:, flat] = x, w
        alpha[:, flat] = potential.inverse_mirror(z_left[flat] + rise[flat] * x)
    if len(steep):
        start, rise = z_left[steep], rise[steep]
        a, b = potential.inverse_mirror(start), potential.inverse_mirror(z_right[steep])
        between = a + (b - a) * x
        alpha[:, steep] = between
        fraction[:, steep] = (potential.mirror(between) - start) / rise
        weights[:, steep] = potential.hessian(between) * (w * ((b - a) / rise))
    return Nodes(left + width * fraction, alpha, width * weights)
