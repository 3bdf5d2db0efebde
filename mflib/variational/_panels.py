r"""Panels on which a density is smooth, found once for each density."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy import stats

from mflib.variational._quadrature import gauss

_PANEL_NODES, _PANEL_WEIGHTS = gauss(16)
_PANEL_ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # inside, where a jump at the edge is not seen
_TO_ENDS = np.linalg.solve(legvander(_PANEL_NODES, 15).T, legvander(_PANEL_ENDS, 15).T)


@dataclass(frozen=True)
class _Defined:
    """A density that equals every other one with the same definition."""

    definition: Any
    density: Any = field(compare=False)


def _defined(density) -> _Defined:
    """Tell SciPy's own families by their name and parameters, anything else by its identity."""
    family = getattr(density, "dist", density)
    name = getattr(family, "name", None)
    known: type = type(getattr(stats, str(name), None))
    if name is None or type(family) is not known:
        return _Defined(density, density)
    definition = (name, family.a, family.b, density.args, *sorted(density.kwds.items()))
    try:
        hash(definition)
    except TypeError:  # an array among the parameters
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
