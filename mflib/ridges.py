r"""Several inputs: units are ridges :math:`\sigma(w \cdot x - b)` with kinks on hyperplanes.

The law of the input weights is that of a uniform direction, stretched along the axes and
normalised again; without a stretch it is the uniform law of the network's initialization.
Directions have length one, so biases have the unit of the inputs, the same for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import special
from scipy.spatial import distance

from mflib import activations, densities
from mflib._validation import count, finite_array, number

__all__ = ["cubic_kernel", "grid", "stretched"]


def stretched(direction: ArrayLike, factors: ArrayLike) -> np.ndarray:
    r"""Stretch directions along the axes and bring them back to length one.

    Parameters
    ----------
    direction : array-like, shape (n, D)
        Nonzero vectors.
    factors : array-like, shape (D,)
        Factors of the axes, not negative; equal ones change nothing.

    Returns
    -------
    ndarray, shape (n, D)

    Raises
    ------
    ValueError
        If the shapes do not fit, a factor is negative or a direction is stretched to nothing.

    References
    ----------
    :ref:`multivariate`.

    Examples
    --------
    >>> stretched([[3.0, 4.0], [0.0, -2.0]], [4, 3]).round(4).tolist()
    [[0.7071, 0.7071], [0.0, -1.0]]
    """
    direction, factors = finite_array("direction", direction), finite_array("factors", factors)
    if direction.ndim != 2 or factors.shape != direction.shape[1:] or (factors < 0).any():
        raise ValueError(
            f"direction must have shape (n, D) and factors D entries, none negative, got shape "
            f"{direction.shape} and {factors.tolist()}."
        )
    # apart from powers of two, of which each row leaves out its largest: nothing overflows
    (mantissa, exponent), (by, shift) = np.frexp(direction), np.frexp(factors)
    mantissa, exponent = mantissa * by, exponent + shift
    if (mantissa == 0).all(axis=1).any():
        raise ValueError(
            f"factors {factors.tolist()} stretch a direction to nothing; use positive factors."
        )
    largest = exponent.max(axis=1, keepdims=True, where=mantissa != 0, initial=-(1 << 20))
    with np.errstate(under="ignore"):
        weight = np.ldexp(mantissa, np.where(mantissa != 0, exponent - largest, 0))
        return weight / np.linalg.norm(weight, axis=1, keepdims=True)


def grid(
    angles: int, biases: int, *, density=None, stretch: Sequence[float] = (1.0, 1.0)
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return neurons for two inputs that stand for infinitely many, all of equal mass.

    The midpoint rule in the angle of the direction, and in the quantile of the bias: the pairs of
    `angles` equispaced directions, stretched, and the quantiles of :math:`p_B` at
    :math:`(j - \tfrac12)/`\ `biases`. For ``representation.solve(..., neurons=grid(...))``.

    Parameters
    ----------
    angles, biases : int
        Numbers of directions and of biases.
    density : distribution, or what :func:`mflib.densities.of` takes, optional
        Distribution of the input biases; uniform on [-1, 1] if not given.
    stretch : pair of float
        Factors for :func:`stretched`.

    Returns
    -------
    weight : ndarray, shape (angles * biases, 2)
    bias : ndarray, shape (angles * biases,)

    Raises
    ------
    ValueError
        If a number is below 1 or the density has no finite variance.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    Eq. :eq:`eq-multi-P`, of which it is a quadrature.

    Examples
    --------
    >>> w, b = grid(4, 2)
    >>> w[::2].round(3).tolist()
    [[0.707, 0.707], [-0.707, 0.707], [-0.707, -0.707], [0.707, -0.707]]
    >>> b[:2].tolist()
    [-0.5, 0.5]
    """
    angles, biases = count("angles", angles), count("biases", biases)
    density = densities.of(density)
    angle = 2 * np.pi * (np.arange(angles) + 0.5) / angles
    weight = stretched(np.stack([np.cos(angle), np.sin(angle)], axis=1), stretch)
    bias = density.ppf((np.arange(biases) + 0.5) / biases)
    return np.repeat(weight, biases, axis=0), np.tile(bias, angles)


def cubic_kernel(
    first: ArrayLike,
    second: ArrayLike,
    *,
    reach: float,
    activation: str | activations.Activation = "abs",
) -> np.ndarray:
    r"""Kernel of infinitely many units with uniform directions and uniform biases.

    .. math::

        K(x, x') &= \mathbb{E}\,\lvert w \cdot x - b\rvert\,\lvert w \cdot x' - b\rvert
        = \frac{x \cdot x'}{D} + \frac{s^2}{3} + \frac{c_D}{6 s} \lvert x - x'\rvert^3, \\
        c_D &= \frac{\Gamma(D/2)}{\sqrt\pi\, \Gamma((D + 3)/2)},

    for w uniform on the sphere of :math:`\mathbb{R}^D`, b uniform on [-s, s] and points of length
    at most s. For ReLU, :math:`(K + x \cdot x'/D + s^2/3)/4`. The quadratic potential's answer to
    problem (P) is :math:`h = \sum_i c_i K(\cdot, x_i)` with :math:`h(x_i) = y_i`.

    Parameters
    ----------
    first, second : array-likes, shapes (k, D) and (l, D)
    reach : float
        The bound s of the biases; no point may be longer.
    activation : str or Activation
        "abs" or "relu".

    Returns
    -------
    ndarray, shape (k, l)

    Raises
    ------
    ValueError
        If the shapes do not fit, a point lies beyond the reach or the activation has no formula.

    References
    ----------
    :prf:ref:`prop-multi-cubic`; its limit for wide densities: :cite:t:`jin2023implicit`.

    Examples
    --------
    >>> cubic_kernel([[0.5]], [[-0.5]], reach=1).round(6).tolist()  # one input: w = 1 or -1
    [[0.25]]
    """
    first, second = finite_array("first", first), finite_array("second", second)
    reach = number("reach", reach, above=0.0, least=1e-150, most=1e150, cure="it bounds the biases")
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(
            f"first and second must have shapes (k, D) and (l, D), got {first.shape} and "
            f"{second.shape}."
        )
    with np.errstate(over="ignore"):
        first, second = first / reach, second / reach  # lengths in units of the reach
        longest = max(np.linalg.norm(points, axis=1).max(initial=0.0) for points in (first, second))
    if longest > 1 + 1e-12:
        raise ValueError(
            f"a point has length {float(longest) * reach:g}, beyond the reach {reach:g} of the "
            "biases, where the formula ends; raise the reach or use representation.solve."
        )
    sigma, dim = activations.get(activation), first.shape[1]
    if not isinstance(sigma, activations.PiecewiseLinear) or sigma.slope not in (-1, 0):
        raise ValueError(f"activation must be 'abs' or 'relu', got {sigma!r}.")
    moment = 1 / (np.sqrt(np.pi) * special.poch(dim / 2, 1.5))
    affine = first @ second.T / dim + 1 / 3
    kernel = affine + moment * distance.cdist(first, second) ** 3 / 6
    return reach**2 * (kernel if sigma.slope == -1 else 0.25 * (kernel + affine))
