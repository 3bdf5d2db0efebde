r"""Linear finite elements on the line of kinks.

A unit is a kink at t that faces right, :math:`\sigma_s(x - t)` with density :math:`p(t)/2`, or
left, :math:`\sigma_s(t - x)` with density :math:`p(-t)/2`. For each orientation the dual field
:math:`z = \sum_i \lambda_i \sigma_s(\pm(x_i - t))` is piecewise linear with its nodes at the data:
a linear finite element function, with one element between any two neighbours and one for each tail.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from mflib.variational._quadrature import Pieces


class Orientation:
    """Units that face one way, or for the absolute value both: their density on the elements.

    Parameters
    ----------
    signs : tuple of int
        1 for units that face right, -1 for those that face left.
    x : ndarray, shape (m,)
        Increasing inputs.
    grid : ndarray, shape (m + 2,)
        The elements' nodes: x and one more point on either side, by which the tails are measured.
    slope : float
        s of the activation.
    density : frozen scipy.stats distribution
        That of the biases.
    panels : ndarray
        Edges of the panels on which it is smooth.
    """

    def __init__(self, signs: tuple[int, ...], x, grid, slope: float, density, panels) -> None:
        self.signs, self.grid, self.density = signs, grid, density
        is_uniform = type(getattr(density, "dist", None)) is type(stats.uniform)
        self.uniform = density.support() if is_uniform else None
        self.widths = np.diff(grid)
        self.element, self.left, self.right = self._subintervals(x, panels)
        self.global_functions = _global_functions(signs[0], x, grid, slope)

    def _subintervals(self, x, panels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Cut the elements into intervals where the density is smooth and not zero.

        Returns the element of each, and its ends as offsets from that element's left node. Element
        j lies between grid[j] and grid[j + 1]; the first and the last extend into the tails.
        """
        panels = np.unique(np.concatenate([sign * panels for sign in self.signs]))
        edges = np.union1d(panels, x)
        positive = self.in_support(edges[:-1], edges[1:])
        left, right = edges[:-1][positive], edges[1:][positive]
        element = np.searchsorted(x, 0.5 * (left + right))
        return element, left - self.grid[element], right - self.grid[element]

    def pdf(self, t: np.ndarray) -> np.ndarray:
        """Half the density of the biases, as kinks that face right or left: p(t)/2 or p(-t)/2."""
        if self.uniform:  # without SciPy's checks, which take longer than all the rest
            low, high = self.uniform
            inside = sum((low <= sign * t) & (sign * t <= high) for sign in self.signs)
            return inside * (0.5 / (high - low))
        with np.errstate(all="ignore"):  # SciPy's may overflow on its way to 0
            return 0.5 * sum(self.density.pdf(sign * t) for sign in self.signs)

    def in_support(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether there are kinks from left to right, with no edge of the support in between."""
        inside = 0.5 * (left + right) + (right - left) * [[-0.4], [0.0], [0.4]]
        return np.any(self.pdf(inside) > 0, axis=0)

    def shape_functions(
        self, offset: np.ndarray, element: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Both linear shape functions of each element; in the tails they extend beyond it.

        Offsets, from the element's left node, have the element's shape or one axis before it.
        """
        width = self.widths[element]
        return (width - offset) / width, offset / width

    def pieces(self, z: np.ndarray, left, right, element) -> Pieces:
        """The field with nodal values z, from left to right within each element.

        Of several fields, one in a row, the pieces follow one another, and so do their elements.
        """

        def at(offset: np.ndarray) -> np.ndarray:
            falling, rising = self.shape_functions(offset, element)
            return falling * z[..., element] + rising * z[..., element + 1]

        pieces = Pieces(left, right, at(left), at(right), element)
        if z.ndim == 1:
            return pieces
        elements = element + len(self.widths) * np.arange(len(z))[:, None]
        several = np.broadcast_arrays(left, right, pieces.z_left, pieces.z_right, elements)
        return Pieces(*(array.ravel() for array in several))


def _global_functions(sign: int, x, grid: np.ndarray, slope: float) -> np.ndarray:
    r"""Nodal values of the basis functions that are no hat functions, shape (m + 2, 1 or 2).

    They are the mean of :math:`\sigma_s(\pm(x_1 - t))` and :math:`\sigma_s(\pm(x_m - t))`, and
    their difference quotient, both less a sum of hat functions. Of
    :math:`\sigma_s(u) = \frac{1-s}{2}|u| + \frac{1+s}{2}u`, with :math:`u = x - t`, the second part
    is linear in t; so is the first outside the data, and between them it is left to the hats.
    """
    middle = 0.5 * (x[0] + x[-1])
    even, odd = np.zeros((2, len(grid))), np.stack([middle - grid, np.ones(len(grid))])
    for ends, side in ((slice(2), 1.0), (slice(-2, None), -1.0)):
        even[0, ends], even[1, ends] = np.abs(middle - grid[ends]), side
    both = 0.5 * (1 - slope) * even + 0.5 * (1 + slope) * sign * odd
    return both[: len(x)].T  # a single point has no difference quotient


@dataclass(frozen=True)
class Assembly:
    """An orientation's shape functions at quadrature nodes: K pieces with as many nodes each.

    Pieces of several fields may follow one another; loads then have one row for each. Or the fields
    share all nodes: then values have them as a first axis, and so do loads.
    """

    orientation: Orientation
    element: np.ndarray  # (K,), those of the next field counted on
    weights: np.ndarray  # (nodes, K), with the density
    falling: np.ndarray  # (nodes, K): the shape function that falls over the element
    rising: np.ndarray  # and the one that rises
    fields: tuple[int, ...] = ()  # how many, if several

    @classmethod
    def at(
        cls,
        orientation: Orientation,
        element: np.ndarray,
        offset: np.ndarray,
        weights: np.ndarray,
        fields: tuple[int, ...] = (),
    ) -> Assembly:
        """Take nodes given by their offset from the element's left node."""
        own = element % len(orientation.widths) if fields else element
        p = orientation.pdf(orientation.grid[own] + offset)
        shapes = orientation.shape_functions(offset, own)
        return cls(orientation, element, weights * p, *shapes, fields)

    def interpolate(self, nodal: np.ndarray) -> np.ndarray:
        """Values at the quadrature nodes of the finite element function with these nodal values."""
        left, right = nodal[..., None, self.element], nodal[..., None, self.element + 1]
        return self.falling * left + self.rising * right

    def integral(self, values: np.ndarray) -> np.ndarray:
        """Integrals of values at the quadrature nodes."""
        return self._by_element(self.weights, values).sum(axis=-1)

    def load_vector(self, values: np.ndarray) -> np.ndarray:
        """Integrals against the hat functions of the grid."""
        weighted = self.weights * values
        return _add(
            self._by_element(self.falling, weighted), self._by_element(self.rising, weighted)
        )

    def mass_matrix(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted integrals of products of hat functions: the diagonal, and what is beside it."""
        weighted = self.weights * values
        rising = weighted * self.rising
        diagonal = _add(
            self._by_element(self.falling, weighted * self.falling),
            self._by_element(self.rising, rising),
        )
        return diagonal, self._by_element(self.falling, rising)

    def _by_element(self, shape: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Sum products over the nodes of each element."""
        pieces = np.einsum("nk,...nk->...k", shape, values)
        many = (*pieces.shape[:-1], *self.fields, len(self.orientation.widths))
        element = self.element
        if pieces.ndim > 1:
            element = (element + many[-1] * np.arange(len(pieces))[:, None]).ravel()
        return np.bincount(element, pieces.ravel(), math.prod(many)).reshape(many)


def _add(falling: np.ndarray, rising: np.ndarray) -> np.ndarray:
    """Each node takes from the element on its right, and from the one on its left."""
    total = np.zeros((*falling.shape[:-1], falling.shape[-1] + 1))
    total[..., :-1] += falling
    total[..., 1:] += rising
    return total
