r"""Quadrature for fields whose mirror image is piecewise linear.

What is integrated is :math:`\alpha(t)\, p(t)` with :math:`\varphi'(\alpha) = z` piecewise linear.
Where z changes sign, :math:`\alpha = (\varphi')^{-1}(z)` is nearly singular, which spoils a fixed
rule: split exactly at the zeros of z, and integrate in :math:`\alpha` instead of t, since
:math:`dt = \varphi''(\alpha)\, d\alpha / z'` leaves a smooth integrand. That the density is smooth
on each piece is the work of `_panels`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss

from mflib.potentials import Local, Potential, has_entire_inverse

gauss = lru_cache(leggauss)


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
    Level(48, 2.0, 44),
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


class GaussRule(NamedTuple):
    """Quadrature nodes of K pieces; each array has shape (nodes, K), weights include dt."""

    offset: np.ndarray  # from the element's left node
    alpha: np.ndarray
    weights: np.ndarray


class Varying(NamedTuple):
    r"""A potential that depends on the place: :math:`\varphi(\tau(t) x)/\tau(t)^2`."""

    potential: Potential
    scale: Callable[[np.ndarray], np.ndarray]
    grid: np.ndarray  # the elements' nodes

    def at(self, t: np.ndarray) -> Potential:
        return Local(self.potential, self.scale(t))


def potential_at(potential: Potential | Varying, t: np.ndarray) -> Potential:
    """The potential of units that turn at these places."""
    return potential.at(t) if isinstance(potential, Varying) else potential


def amid(potential: Potential | Varying, pieces: Pieces, chosen=...) -> Potential:
    """The potential in the middle of each piece: all that choosing nodes needs of one."""
    if not isinstance(potential, Varying):
        return potential
    middle = potential.grid[pieces.element] + 0.5 * (pieces.left + pieces.right)
    return potential.at(middle[chosen])


def coefficients(
    potential: Potential | Varying, pieces: Pieces, rule: GaussRule
) -> tuple[Potential, np.ndarray]:
    """The potential at quadrature nodes, and alpha; the nodes know that of the middle."""
    if not isinstance(potential, Varying):
        return potential, rule.alpha
    phi = potential.at(potential.grid[pieces.element] + rule.offset)
    return phi, phi.inverse_mirror(amid(potential, pieces).mirror(rule.alpha))


def split(pieces: Pieces, potential: Potential | Varying, level: Level) -> Pieces:
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


def _graded(pieces: Pieces, potential: Potential | Varying, level: Level) -> Pieces:
    """Cut each piece where alpha has fallen by the level's ratio, again and again."""
    left, right, z_left, z_right, element = pieces
    outward = np.abs(z_right) >= np.abs(z_left)
    t_outer, t_inner = np.where(outward, right, left), np.where(outward, left, right)
    z_outer, z_inner = np.where(outward, z_right, z_left), np.where(outward, z_left, z_right)
    phi = amid(potential, pieces)
    outer, inner = phi.inverse_mirror(z_outer), phi.inverse_mirror(z_inner)
    size, smallest = (np.log(np.maximum(np.abs(alpha), 1e-300)) for alpha in (outer, inner))
    reach = (size - smallest) / np.log(level.ratio)
    cuts = np.fmin(np.fmax(np.ceil(reach - 1e-9) - 1, 0), level.cuts)  # none of what is no number
    count = np.where(outer != 0, cuts, 0).astype(int)
    piece = np.repeat(np.arange(len(left)), count + 1)
    first = np.cumsum(count + 1) - count - 1
    cut = np.arange(len(piece)) - first[piece]  # 0, ..., count within each piece
    z = amid(potential, pieces, piece).mirror(outer[piece] * level.ratio ** -cut.astype(float))
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


def gauss_rule(pieces: Pieces, potential: Potential | Varying, count: int) -> GaussRule:
    r"""Gauss nodes on pieces where z keeps its sign.

    Where z varies by less than a tenth, :math:`(\varphi')^{-1}` is smooth and t is the variable;
    elsewhere it is :math:`\alpha`, unless :math:`(\varphi')^{-1}` is smooth everywhere.
    """
    left, right, z_left, z_right, _ = pieces
    x, w = (0.5 * array[:, None] for array in gauss(count))
    x, width, rise = 0.5 + x, right - left, z_right - z_left
    if isinstance(potential, Potential) and has_entire_inverse(potential):
        alpha = potential.inverse_mirror(z_left + rise * x)
        return GaussRule(left + width * x, alpha, width * w)
    sizes = np.abs(z_left), np.abs(z_right)
    is_steep = 1.1 * np.minimum(*sizes) < np.maximum(*sizes)
    flat, steep = np.flatnonzero(~is_steep), np.flatnonzero(is_steep)
    fraction, alpha, weights = np.empty((3, count, len(left)))
    if len(flat):
        fraction[:, flat], weights[:, flat] = x, w
        phi = amid(potential, pieces, flat)
        alpha[:, flat] = phi.inverse_mirror(z_left[flat] + rise[flat] * x)
    if len(steep):
        start, rise, phi = z_left[steep], rise[steep], amid(potential, pieces, steep)
        a, b = phi.inverse_mirror(start), phi.inverse_mirror(z_right[steep])
        between = a + (b - a) * x
        alpha[:, steep] = between
        fraction[:, steep] = (phi.mirror(between) - start) / rise
        weights[:, steep] = phi.hessian(between) * (w * ((b - a) / rise))
    return GaussRule(left + width * fraction, alpha, width * weights)
