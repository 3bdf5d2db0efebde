"""Figures of one size and style, and what is drawn in many of them."""

from __future__ import annotations

import reprlib
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.ticker import NullFormatter
from numpy.typing import ArrayLike

from mflib._validation import count, number, real_array
from mflib.plotting._labels import check_axes
from mflib.plotting._vector import store_vectors

__all__ = ["COLORS", "figure", "points", "power_law"]

#: Okabe and Ito's palette, in an order in which neighbours differ in lightness as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), "-")

STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=_DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "#fbfbf8",
    "axes.facecolor": "#fbfbf8",
    "font.size": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.8,
    "mathtext.fontset": "cm",
    "savefig.facecolor": "#fbfbf8",
    "svg.hashsalt": "mflib",
}


def figure(columns: int = 1, rows: int = 1, *, height: float = 3.0, **options):
    """Make a figure in the book's style.

    Parameters
    ----------
    columns, rows : int
        Number of panels.
    height : float
        Height of a panel in inches; the width of the figure is that of the page.
    **options
        Passed on to ``plt.subplots``; ``figsize`` is taken in place of the page's width and height.

    Returns
    -------
    fig : Figure
    axes : Axes, or ndarray of Axes of shape (rows, columns) less the sides of length 1

    Raises
    ------
    TypeError
        If columns or rows are given by the names that Matplotlib has for them.

    References
    ----------
    :cite:t:`hunter2007`

    Examples
    --------
    >>> fig, ax = figure()
    >>> plt.close(fig)
    """
    plt.style.use(STYLE)
    count("columns", columns), count("rows", rows)
    height = number("height", height, above=0.0, cure="it is in inches")
    # so that type has 11 pixels or more on a page of 680 pixels, and one panel on a phone
    width = 4.5 if columns == 1 else min(3.4 * columns, 9.4)
    for theirs, ours in (("ncols", "columns"), ("nrows", "rows")):
        if theirs in options:
            raise TypeError(f"{theirs} is called {ours} here, got {theirs}={options[theirs]!r}.")
    made = plt.subplots(rows, columns, **{"figsize": (width, height * rows), **options})
    store_vectors()
    return made


def points(ax, x: ArrayLike, y: ArrayLike, **options) -> None:
    """Draw data points, on top of everything else.

    Parameters
    ----------
    ax : Axes
    x, y : array-likes, shape (m,)
    **options
        Passed on to ``ax.plot``.

    Raises
    ------
    ValueError
        If x and y differ in shape.
    TypeError
        If ax is no Axes, or x or y no real numbers.

    References
    ----------
    Used in :numref:`fig-relu-figure1`.

    Examples
    --------
    >>> fig, ax = figure()
    >>> points(ax, [0, 1], [1, 0])
    >>> plt.close(fig)
    """
    check_axes(ax)
    style = {"color": "black", "marker": "o", "markersize": 5, "linestyle": "none", "zorder": 5}
    x, y = real_array("x", x), real_array("y", y)
    if x.shape != y.shape:
        raise ValueError(f"x and y must have the same shape, got {x.shape} and {y.shape}.")
    ax.plot(x, y, **{**style, "label": "data", **options})


def power_law(
    ax,
    table: pd.DataFrame,
    y: str,
    *,
    by: str,
    exponent: float | None = None,
    quantiles: tuple[float, float] = (0.0, 1.0),
) -> None:
    """Draw medians and ranges of a quantity against width, in logarithmic axes.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        With a column "width" and the columns y and by.
    y : str
        The quantity.
    by : str
        One curve for each value of this column, as many as there are.
    exponent : float, optional
        A line of this slope is drawn beside the curves for comparison.
    quantiles : pair of floats
        Ends of the range that is shaded; the smallest and the largest value if not given.

    Raises
    ------
    TypeError
        If ax is no Axes, the table no DataFrame, y or by no text, or a column holds anything but
        numbers.
    ValueError
        If it lacks a column.

    References
    ----------
    Used in :numref:`fig-lazy-rates`.

    Examples
    --------
    >>> fig, ax = figure()
    >>> table = pd.DataFrame({"width": [1, 2], "error": [1.0, 0.5], "kind": "a"})
    >>> power_law(ax, table, "error", by="kind", exponent=-1)
    >>> plt.close(fig)
    """
    check_axes(ax)
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"table must be a DataFrame, got {type(table).__name__}.")
    for argument, name in (("y", y), ("by", by)):
        if not isinstance(name, str):
            raise TypeError(f"{argument} must be the name of a column, got {reprlib.repr(name)}.")
    if missing := [name for name in ("width", y, by) if name not in table]:
        raise ValueError(f"table has no column {missing[0]!r}, only {list(table)}.")
    real_array("table['width']", table["width"])
    if not pd.api.types.is_any_real_numeric_dtype(table[y]):
        raise TypeError(
            f"table[{y!r}] must hold numbers, not {table[y].dtype}; use pandas.to_numeric first."
        )
    if exponent is not None:
        exponent = number("exponent", exponent, cure="it is a slope")
    # one marker more than colours, so that the eighth curve does not look like the first
    curves = table.groupby(by, sort=False, dropna=False)
    for (label, rows), marker in zip(curves, cycle("osD^v<>P"), strict=False):
        measured = rows.groupby("width")[y]
        low, middle, high = (measured.quantile(q) for q in (quantiles[0], 0.5, quantiles[1]))
        (line,) = ax.plot(middle.index, middle, marker=marker, markersize=4, label=label)
        ax.fill_between(low.index, low, high, color=line.get_color(), alpha=0.12)
    if exponent is not None:
        widths = np.array([table["width"].min(), table["width"].max()], dtype=float)
        anchor = table[table["width"] == widths[1]][y].median()
        label = rf"slope ${exponent:g}$"
        ax.plot(
            widths,
            2 * anchor * (widths / widths[1]) ** exponent,
            "-",
            color="0.6",
            lw=1,
            label=label,
        )
    ax.set(xscale="log", yscale="log", xlabel="width $n$")
    if table["width"].max() >= 10 * table["width"].min():  # then a power of ten has its label
        ax.xaxis.set_minor_formatter(NullFormatter())
