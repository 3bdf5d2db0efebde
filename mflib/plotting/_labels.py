"""Names beside curves, in place of a legend."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mflib._validation import number

__all__ = ["label_curves"]

_LINE = 1.25  # from one name to the next, in heights of type
_GAP = 4.0  # points between a curve and its name


def label_curves(ax, *, at: float | None = None, **options) -> None:
    """Write the label of each line beside it, in its colour, instead of a legend.

    Names stand at the right ends of the lines, or above them at an abscissa; where they would
    overlap, they move apart. Call it last: what changes the limits afterwards moves the lines
    away from their names.

    Parameters
    ----------
    ax : Axes
        Its lines with a label are named, those of :func:`points` are not.
    at : float, optional
        Where the names stand; at the right end of each line if not given.
    **options
        Passed on to ``ax.annotate``.

    Raises
    ------
    TypeError
        If ax is no Axes, or at no real number.
    ValueError
        If no line has a label, or none of those that do is seen at this abscissa.

    References
    ----------
    :cite:t:`hunter2007`

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> lines = ax.plot([0, 1], [[0, 0], [1, 2]], label=["slow", "fast"])
    >>> label_curves(ax)
    >>> [text.get_text() for text in ax.texts]
    ['slow', 'fast']
    >>> plt.close(fig)
    """
    check_axes(ax)
    if at is not None:
        at = number("at", at, cure="it is an abscissa")
    lines = [line for line in ax.lines if _named(line)]
    if not lines:
        raise ValueError("ax has no line with a label and a stroke; give plot a label.")
    ax.get_figure().draw_without_rendering()  # so that the limits and the layout are final
    ends = [(line, end) for line in lines if (end := _anchor(ax, line, at)) is not None]
    if not ends:
        low, high = ax.get_xlim()
        raise ValueError(
            f"no line with a label is seen at {at!r}; the limits are ({low:g}, {high:g})."
        )
    style = {"va": "center", "ha": "left"} if at is None else {"va": "bottom", "ha": "center"}
    points = 72 / ax.get_figure().dpi
    size = options.get("fontsize", options.get("size"))
    probe = ax.text(0, 0, "", fontsize=size)
    spacing = _LINE * probe.get_fontsize()
    probe.remove()
    heights = np.array([ax.transData.transform(end)[1] for _, end in ends]) * points
    shifts = spread(heights, spacing) - heights
    for (line, end), shift in zip(ends, shifts, strict=True):
        place = (_GAP, shift) if at is None else (0.0, shift + _GAP / 2)
        ax.annotate(
            line.get_label(),
            end,
            place,
            textcoords="offset points",
            annotation_clip=False,
            **{"color": line.get_color(), **style, **options},
        )


def check_axes(ax: Any) -> None:
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be one Axes, such as figure() returns, got {type(ax).__name__}.")


def _named(line) -> bool:
    stroke = line.get_linestyle() not in ("None", "none", "", " ")
    return line.get_visible() and stroke and not str(line.get_label()).startswith("_")


def _anchor(ax, line, at: float | None) -> tuple[float, float] | None:
    """Return the last place of a line within the limits, or that at an abscissa."""
    data: np.ndarray = np.ma.filled(np.ma.asarray(line.get_xydata(), dtype=float), np.nan)
    x, y = data[:, 0], data[:, 1]
    seen = np.isfinite(x) & np.isfinite(y)
    x, y = x[seen], y[seen]
    (left, right), (low, high) = sorted(ax.get_xlim()), sorted(ax.get_ylim())
    if at is not None:
        if not x.size or not max(x.min(), left) <= at <= min(x.max(), right):
            return None
        order = np.argsort(x, kind="stable")
        height = float(np.interp(at, x[order], y[order]))
        return (at, height) if low <= height <= high else None
    within = (left <= x) & (x <= right) & (low <= y) & (y <= high)
    if not within.any():
        return None
    last = np.flatnonzero(within)[np.argmax(x[within])]
    return float(x[last]), float(y[last])


def spread(heights: np.ndarray, spacing: float) -> np.ndarray:
    """Return the heights nearest to some others, in their order, that lie a distance apart.

    In least squares: without the spacing it is a regression with increasing values, whose blocks
    are pooled until they increase.
    """
    order = np.argsort(heights, kind="stable")
    steps = spacing * np.arange(len(heights))
    blocks: list[list[float]] = []  # mean and size
    for value in heights[order] - steps:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (one, n), (other, m) = blocks[-2:]
            blocks[-2:] = [[(n * one + m * other) / (n + m), n + m]]
    result = np.empty(len(heights))
    result[order] = np.concatenate([np.full(int(n), mean) for mean, n in blocks]) + steps
    return result
