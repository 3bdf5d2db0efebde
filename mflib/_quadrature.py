r"""Quadrature for :math:`\int \alpha(t)\, \rho(t)\, dt` with :math:`\varphi'(\alpha)` piecewise linear.

Two things spoil a fixed rule: the density may be rough anywhere, and
:math:`\alpha = (\varphi')^{-1}(z)` is nearly singular where z changes sign. The first is met by
`smooth_panels`, once a density; the second by exact splits at the zeros of z and by integrating in
:math:`\alpha` instead of t, since :math:`dt = \varphi''(\alpha)\, d\alpha / z'` leaves a smooth
integrand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss

from mflib.potentials import Potential

_PANEL_NODES, _PANEL_WEIGHTS = leggauss(16)


class Level(NamedTuple):
    """How finely a piece is resolved: Gauss nodes, and geometric cuts towards alpha = 0."""

    nodes: int
    ratio: float
    cuts: int


# Each level is the check of the one before. Polynomial potentials need no cuts.
LEVELS = (Level(16, 1.0, 0), Level(20, 4.0, 14), Level(24, 2.0, 44), Level(32, 2.0, 44))


class Pieces(NamedTuple):
    """Intervals of t on which z is linear without change of sign; each array has shape (K,)."""

    left: np.ndarray
    right: np.ndarray
    z_left: np.ndarray
    z_right: np.ndarray


class Nodes(NamedTuple):
    """Quadrature nodes of K pieces; each array has shape (K, nodes), weights include dt."""

    t: np.ndarray
    alpha: np.ndarray
    weights: np.ndarray


def smooth_panels(density, tolerance: float = 1e-15) -> np.ndarray:
    r"""Edges of panels on which 16 Gauss nodes integrate the density to machine precision.

    Panels are halved until :math:`\int (1, t^2)\, p\, dt` no longer changes: a jump is closed in
    on by bisection, and an infinite tail is cut where what is left of the second moment is
    negligible.

    Parameters
    ----------
    density : frozen scipy.stats distribution
        With a finite second moment.
    tolerance : float
        Relative to :math:`\int p` and :math:`\int t^2 p`.

    Returns
    -------
    ndarray, shape (K + 1,)
        Increasing panel edges.
    """
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
    return np.stack([mass.sum(axis=1), (mass * t**2).sum(axis=1)], axis=1)


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
        if density.cdf(-reach) * reach**2 <= 1e-3 * tolerance * second and -reach < density.median():
            low = -reach
        reach *= 2
    return max(low, -1e150), min(high, 1e150)


def split(pieces: Pieces, potential: Potential, level: Level) -> Pieces:
    """Split pieces at the zeros of z, then geometrically in alpha towards those zeros."""
    left, right, z_left, z_right = pieces
    crosses = np.flatnonzero(z_left * z_right < 0)
    if len(crosses):
        a, b = z_left[crosses], z_right[crosses]
        zero = left[crosses] + (right[crosses] - left[crosses]) * (a / (a - b))
        pieces = _cut(pieces, crosses, zero, np.zeros(len(crosses)))
    for _ in range(level.cuts):
        left, right, z_left, z_right = pieces
        small, large = _by_size(potential, z_left, z_right)
        steep = np.flatnonzero(level.ratio * np.abs(small) < np.abs(large) * (1 - 1e-12))
        # pieces that have been cut `cuts` times end in the innermost one, which is left as it is
        if not len(steep):
            break
        alpha = large[steep] / level.ratio
        z = mirror(potential, alpha)
        a, b = z_left[steep], z_right[steep]
        at = left[steep] + (right[steep] - left[steep]) * ((z - a) / (b - a))
        pieces = _cut(pieces, steep, at, z)
    return pieces


def _by_size(potential: Potential, z_left, z_right) -> tuple[np.ndarray, np.ndarray]:
    outer = np.where(np.abs(z_left) < np.abs(z_right), z_right, z_left)
    inner = np.where(np.abs(z_left) < np.abs(z_right), z_left, z_right)
    return inverse_mirror(potential, inner), inverse_mirror(potential, outer)


def _cut(pieces: Pieces, index: np.ndarray, at: np.ndarray, z: np.ndarray) -> Pieces:
    left, right, z_left, z_right = (array.copy() for array in pieces)
    added = Pieces(at, right[index], z, z_right[index])
    right[index], z_right[index] = at, z
    both = (np.concatenate(pair) for pair in zip((left, right, z_left, z_right), added, strict=True))
    left, right, z_left, z_right = both
    order = np.argsort(left, kind="stable")
    return Pieces(left[order], right[order], z_left[order], z_right[order])


def nodes(pieces: Pieces, potential: Potential, count: int) -> Nodes:
    r"""Gauss nodes on pieces where z keeps its sign.

    Where z varies by less than a factor of 2, :math:`(\varphi')^{-1}` is smooth and t is the
    variable; elsewhere it is :math:`\alpha`.
    """
    left, right, z_left, z_right = (array[:, None] for array in pieces)
    x, w = leggauss(count)
    fraction, w = np.broadcast_to(0.5 * (1 + x), (len(left), count)), 0.5 * w
    weights = np.broadcast_to(w, fraction.shape)
    small = np.minimum(np.abs(z_left), np.abs(z_right))
    steep = (2 * small < np.maximum(np.abs(z_left), np.abs(z_right)))[:, 0]
    alpha = np.empty(fraction.shape)
    if not steep.all():
        flat = ~steep
        z = z_left[flat] + (z_right[flat] - z_left[flat]) * fraction[flat]
        alpha[flat] = inverse_mirror(potential, z)
    if steep.any():
        fraction, weights = fraction.copy(), weights.copy()
        a, b = inverse_mirror(potential, z_left[steep]), inverse_mirror(potential, z_right[steep])
        alpha[steep] = a + (b - a) * fraction[steep]
        rise = z_right[steep] - z_left[steep]
        fraction[steep] = (mirror(potential, alpha[steep]) - z_left[steep]) / rise
        weights[steep] = w * potential.hessian(alpha[steep]) * (b - a) / rise
    return Nodes(left + (right - left) * fraction, alpha, (right - left) * weights)


def mirror(potential: Potential, alpha: np.ndarray) -> np.ndarray:
    r""":math:`\varphi'(\alpha) - \varphi'(0)`: potentials matter only up to affine functions."""
    return potential.gradient(alpha) - potential.gradient(np.zeros(1))


def inverse_mirror(potential: Potential, z: np.ndarray) -> np.ndarray:
    """Inverse of `mirror`."""
    return potential.inverse_gradient(z + potential.gradient(np.zeros(1)))
