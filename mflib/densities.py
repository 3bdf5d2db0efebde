r"""Densities of the kinks: what describes one, and one that follows the data.

Kinks have the unit of the inputs. The density of the input biases b is that of the kinks at which
units with w = 1 turn; units with w = -1 turn at its mirror image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from mflib._validation import dataset, number

__all__ = ["bend", "of"]

_UNIFORM = stats.uniform(-1, 2)
_METHODS = (
    *("pdf", "cdf", "sf", "ppf", "isf"),
    *("rvs", "support", "std", "median", "moment"),
)


def of(density: Any = None) -> Any:
    r"""Check a description of a density, and return the distribution that all solvers use.

    Parameters
    ----------
    density : frozen scipy.stats distribution, optional
        Continuous, with a finite second moment; uniform on [-1, 1] if not given.

    Returns
    -------
    frozen scipy.stats distribution

    Raises
    ------
    TypeError
        If it is no continuous distribution, or one without its parameters.
    ValueError
        If its variance is zero or infinite, or its pdf is not finite and not negative.

    References
    ----------
    The :math:`p_B` of :cite:t:`liang2025implicit`, eq. 2.

    Examples
    --------
    >>> of().support() == (-1.0, 1.0)
    True
    """
    density = _UNIFORM if density is None else density
    missing = [name for name in _METHODS if not callable(getattr(density, name, None))]
    if missing:
        raise TypeError(
            "density must be a frozen continuous scipy.stats distribution such as "
            f"stats.uniform(-1, 2); {density!r} has no {', '.join(missing)}."
        )
    with np.errstate(all="ignore"):
        try:
            spread, middle = float(density.std()), float(density.median())
        except TypeError:
            raise TypeError(
                "density must be a frozen distribution with its parameters, such as "
                f"stats.norm(0, 1); got {density!r}."
            ) from None
        inside = np.asarray(density.pdf(middle + spread * np.array([-0.7, 0.1, 0.6])))
    if not (math.isfinite(spread) and spread > 0):
        raise ValueError(
            f"density must have a finite positive variance, but its standard deviation is "
            f"{spread}; the theory needs E[B^2]: choose lighter tails or check the parameters."
        )
    if not abs(middle) + spread < 1e100:
        raise ValueError(
            f"density has median {middle:g} and standard deviation {spread:g}, whose squares "
            "overflow; rescale the inputs and the density."
        )
    if not (np.isfinite(inside) & (inside >= 0)).all():
        raise ValueError(
            f"density.pdf must be finite and not negative, but around the median it is "
            f"{inside.tolist()}; check density {density!r}."
        )
    return density


def bend(x: ArrayLike, y: ArrayLike, floor: float):
    r"""Return a density of kinks that follows how much the data bend.

    The broken line through the data turns at :math:`x_i` by the difference of its slopes. The
    density has a step for each inner point, from the middle of one gap to that of the next, with
    mass in proportion to the size of that turn; what it lacks up to 1 is spread evenly.

    Parameters
    ----------
    x, y : array-likes, shape (m,)
        At least three data points, in any order.
    floor : float
        Share of the mass that is spread evenly, in (0, 1].

    Returns
    -------
    frozen scipy.stats distribution
        A histogram on the range of the data.

    Raises
    ------
    ValueError
        If there are fewer than three data, they lie on a line, or the floor is outside (0, 1].

    References
    ----------
    :ref:`real-data`; how far such a density can go: :prf:ref:`prop-real-cheapest`.

    Examples
    --------
    >>> p = bend([0, 1, 2, 4], [0, 0, 1, 1], floor=0.5)  # turns by 1 and -1
    >>> p.cdf([0.0, 1.5, 4.0]).tolist()
    [0.0, 0.4375, 1.0]
    """
    points, targets = dataset(x, y)
    if points.shape[1] != 1:
        raise ValueError(f"x must have shape (m,), got {points.shape}.")
    floor = number("floor", floor, above=0.0, cure="data need kinks everywhere")
    order = np.argsort(points[:, 0])
    nodes = points[order, 0]
    turn = np.abs(np.diff(np.diff(targets[order]) / np.diff(nodes)))
    if floor > 1 or not turn.sum() > 0:
        raise ValueError(
            f"floor must be at most 1 and the data at least three, not on a line; got floor "
            f"{floor!r} and turns {turn.tolist()}."
        )
    edges = np.concatenate([nodes[:1], 0.5 * (nodes[1:-2] + nodes[2:-1]), nodes[-1:]])
    even = np.diff(edges) / (edges[-1] - edges[0])
    mass = (1 - floor) * turn / turn.sum() + floor * even
    return stats.rv_histogram((mass, edges), density=False)
