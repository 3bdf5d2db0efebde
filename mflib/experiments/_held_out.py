"""Errors on data that were held out: deprecated, as `model_selection` of scikit-learn has them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import dataset, finite_array, function, values_at

__all__ = ["held_out", "leave_one_out"]


def held_out(
    fit: Callable[[np.ndarray, np.ndarray], Callable], x: ArrayLike, y: ArrayLike, taken: ArrayLike
) -> np.ndarray:
    """Fit some of the data and return the errors at the others.

    Parameters
    ----------
    fit : callable
        Takes inputs (k,) or (k, D) and targets (k,), and returns a function of such inputs.
    x : array-like, shape (m,) or (m, D)
    y : array-like, shape (m,)
    taken : array-like of int, shape (k,)
        Positions of the data that the fit is given.

    Returns
    -------
    ndarray, shape (m - k,)
        Prediction less target at the data not taken, in their order.

    Raises
    ------
    ValueError
        If nothing is taken, nothing is left out, a position is out of range, or the fitted function
        gives anything but one finite number for each input.
    TypeError
        If the fit returns no function, or that no real numbers.

    References
    ----------
    Used in :ref:`real-data`.

    Examples
    --------
    >>> def line(x, y):
    ...     return np.poly1d(np.polyfit(x, y, 1))
    >>> held_out(line, [0, 1, 2, 3], [0, 1, 5, 3], [0, 1, 3]).round(12).tolist()
    [-3.0]
    """
    inputs, targets = dataset(x, y, distinct=False)
    inputs = inputs if np.ndim(x) == 2 else inputs[:, 0]
    positions = finite_array("taken", taken)
    given = np.isin(np.arange(len(targets)), positions)
    if given.all() or given.sum() != positions.size or positions.size == 0:
        raise ValueError(
            f"taken must name some, not all, of the positions 0 to {len(targets) - 1}, each once, "
            f"got {positions.tolist()}."
        )
    prediction = function("fit", fit)(inputs[given], targets[given])
    return values_at("fit(x, y)", prediction, inputs[~given]) - targets[~given]


def leave_one_out(
    fit: Callable[[np.ndarray, np.ndarray], Callable], x: ArrayLike, y: ArrayLike
) -> np.ndarray:
    """Predict every inner data point from all the others.

    The two outermost are always kept: to predict them would be to extrapolate.

    Parameters
    ----------
    fit : callable
        As in :func:`held_out`.
    x, y : array-likes, shape (m,)
        One input, in any order.

    Returns
    -------
    ndarray, shape (m - 2,)
        Prediction less target at the inner points, in the order of the data.

    Raises
    ------
    ValueError
        If there are fewer than three points, or they do not fit.

    References
    ----------
    Used in :ref:`real-data`.

    Examples
    --------
    >>> def line(x, y):
    ...     return lambda t: np.interp(t, x, y)
    >>> leave_one_out(line, [0, 1, 2, 3], [0, 1, 5, 3]).tolist()
    [1.5, -3.0]
    """
    inputs = finite_array("x", x)
    if inputs.ndim != 1 or np.unique(inputs).size < 3:
        raise ValueError(
            f"x must have shape (m,) and three different entries, got {inputs.tolist()}; use "
            "held_out for several inputs."
        )
    everyone = np.arange(len(inputs))
    inner = everyone[(inputs > inputs.min()) & (inputs < inputs.max())]
    return np.concatenate([held_out(fit, inputs, y, everyone[everyone != i]) for i in inner])
