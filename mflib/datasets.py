"""The data of the book: the paper's two examples, two classics, and three larger sets.

Every loader returns ``(x, y)``, float64 arrays of shape (m,), in the units of the source.
"""

from __future__ import annotations

from importlib import resources

import numpy as np

from mflib._validation import number

__all__ = [
    "diamonds",
    "figure1",
    "figure2",
    "macdonell",
    "motorcycle",
    "seattle",
    "titanium",
]


def figure1(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the data of Figure 1 of :cite:t:`liang2025implicit`: a bump among five points.

    Parameters
    ----------
    shift : float
        Added to all targets; the paper's right panel uses 2.5, 1, -0.5, -2 and -3.5.

    Returns
    -------
    x, y : ndarrays, shape (5,)

    Examples
    --------
    >>> x, y = figure1()
    >>> y.round(2).tolist()
    [-0.15, -0.15, 0.15, -0.15, -0.15]
    """
    shift = number("shift", shift, cure="it is added to the targets")
    return np.array([-1.0, -0.2, 0.0, 0.2, 1.0]), np.array([0, 0, 0.3, 0, 0]) - 0.15 + shift


def figure2() -> tuple[np.ndarray, np.ndarray]:
    """Return the data of Figure 2 of :cite:t:`liang2025implicit`: a dip among four points.

    Returns
    -------
    x, y : ndarrays, shape (4,)

    Examples
    --------
    >>> x, y = figure2()
    >>> x.tolist()
    [-1.0, 0.35, 0.65, 1.0]
    """
    return np.array([-1.0, 0.35, 0.65, 1.0]), np.array([0.3, 0.3, 0.0, 0.3]) - 0.15


def titanium() -> tuple[np.ndarray, np.ndarray]:
    """Return the titanium heat data: a sharp peak that defeats polynomials.

    A property of titanium at 49 temperatures: the example of :cite:t:`deboor1968least`, as
    printed in :cite:t:`deboor2001practical`.

    Returns
    -------
    x, y : ndarrays, shape (49,)
        Temperature and the property, in the units of the source.

    Examples
    --------
    >>> x, y = titanium()
    >>> len(x), float(x[y.argmax()])
    (49, 895.0)
    """
    return _read("titanium.csv")


def motorcycle() -> tuple[np.ndarray, np.ndarray]:
    """Return the motorcycle data: head acceleration in a simulated crash, with repeated times.

    133 measurements from :cite:t:`schmidt1981biomechanical`, made known by
    :cite:t:`silverman1985some`.

    Returns
    -------
    x, y : ndarrays, shape (133,)
        Time after impact in milliseconds, acceleration in g.

    Examples
    --------
    >>> x, y = motorcycle()
    >>> len(x), len(set(x))
    (133, 94)
    """
    return _read("motorcycle.csv")


def macdonell() -> tuple[np.ndarray, np.ndarray]:
    """Return heights by lengths of the middle finger, of 3000 men: next to linear, many repeats.

    The table of :cite:t:`macdonell1902criminal`, in cells of 1 mm by 1 inch, from which Student
    drew the samples of his first experiments.

    Returns
    -------
    x, y : ndarrays, shape (3000,)
        Length of the left middle finger and height, in centimetres, at the middles of the cells.

    Examples
    --------
    >>> x, y = macdonell()
    >>> len(x), len(set(x))
    (3000, 38)
    """
    return _read("macdonell.csv")


def seattle() -> tuple[np.ndarray, np.ndarray]:
    """Return the highest temperature of each day in Seattle, 2012 to 2015, by day of the year.

    From the records of the National Oceanic and Atmospheric Administration, in the public domain.

    Returns
    -------
    x, y : ndarrays, shape (1461,)
        Day of the year, 1 to 366, and temperature in degrees Celsius.

    References
    ----------
    Used in :ref:`noise`.

    Examples
    --------
    >>> x, y = seattle()
    >>> len(x), float(y.max())
    (1461, 35.6)
    """
    return _read("seattle.csv")


def diamonds() -> tuple[np.ndarray, np.ndarray]:
    """Return the prices of 53,940 diamonds by weight: heavy noise, and jumps at whole carats.

    From the package ggplot2 of :cite:t:`wickham2016ggplot2`, under the MIT licence.

    Returns
    -------
    x, y : ndarrays, shape (53940,)
        Weight in carats, price in US dollars.

    Examples
    --------
    >>> x, y = diamonds()
    >>> len(x), len(set(x)), float(y.max())
    (53940, 273, 18823.0)
    """
    return _read("diamonds.csv")


def _read(name: str) -> tuple[np.ndarray, np.ndarray]:
    with resources.files("mflib").joinpath("data", name).open() as lines:
        x, y = np.loadtxt(lines, delimiter=",", skiprows=1).T
    return x, y
