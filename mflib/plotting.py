"""One style for every figure of the book: colour-blind safe, readable on light and dark pages.

Figures keep an opaque pale ground, so that they read alike on both; lines differ in dash as well as
in colour.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["COLORS", "figure", "power_law", "points", "slider"]

# Okabe and Ito's palette, in an order in which neighbours differ in lightness as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), "-")

STYLE: dict[str, Any] = {
    "axes.prop_cycle": cycler(color=COLORS) + cycler(linestyle=_DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "#fbfbf8",
    "axes.facecolor": "#fbfbf8",
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "mathtext.fontset": "cm",
    "savefig.facecolor": "#fbfbf8",
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
        Passed on to ``plt.subplots``.

    Returns
    -------
    fig : Figure
    axes : Axes or ndarray of Axes

    Examples
    --------
    >>> fig, ax = figure()
    >>> plt.close(fig)
    """
    plt.style.use(STYLE)
    width = 5.2 if columns == 1 else min(3.4 * columns, 9.6)
    made = plt.subplots(rows, columns, figsize=(width, height * rows), **options)
    _sharpen()
    return made


def _sharpen() -> None:
    """In a notebook that would store plain PNG, store 200 dots per inch, and the size to show."""
    if "inline" in plt.get_backend():
        from matplotlib_inline import backend_inline, config

        if config.InlineBackend.instance().figure_formats == {"png"}:
            backend_inline.set_matplotlib_formats("retina")


def points(ax, x: ArrayLike, y: ArrayLike, **options) -> None:
    """Draw data points, on top of everything else.

    Parameters
    ----------
    ax : Axes
    x, y : array-likes, shape (m,)
    **options
        Passed on to ``ax.plot``.

    Examples
    --------
    >>> fig, ax = figure()
    >>> points(ax, [0, 1], [1, 0])
    >>> plt.close(fig)
    """
    style = {"color": "black", "marker": "o", "markersize": 5, "linestyle": "none", "zorder": 5}
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
        One curve for each value of this column.
    exponent : float, optional
        A line of this slope is drawn beside the curves for comparison.
    quantiles : pair of floats
        Ends of the range that is shaded; the smallest and the largest value if not given.

    Examples
    --------
    >>> fig, ax = figure()
    >>> table = pd.DataFrame({"width": [1, 2], "error": [1.0, 0.5], "kind": "a"})
    >>> power_law(ax, table, "error", by="kind", exponent=-1)
    >>> plt.close(fig)
    """
    for (label, rows), marker in zip(table.groupby(by, sort=False), "osD^v<>", strict=False):
        low, high = quantiles
        stats = rows.groupby("width")[y].quantile([low, 0.5, high]).unstack()
        (line,) = ax.plot(stats.index, stats[0.5], marker=marker, markersize=4, label=label)
        ax.fill_between(stats.index, stats[low], stats[high], color=line.get_color(), alpha=0.12)
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


def slider(
    x: ArrayLike,
    panels: Mapping[str, ArrayLike],
    values: Sequence[str],
    *,
    name: str,
    label: str,
    description: str,
    xlabel: str = "x",
    reference: tuple[str, Mapping[str, ArrayLike]] | None = None,
    data: tuple[ArrayLike, ArrayLike] | None = None,
    start: int = 0,
) -> HTML:
    """Let the reader slide through precomputed curves, in the page and without a kernel.

    Plain SVG, an ``<input type="range">`` that also obeys the arrow keys, and a few lines of
    script; nothing is fetched. Coordinates are rounded to a tenth of a pixel, so that the same
    curves always give the same text.

    Parameters
    ----------
    x : array-like, shape (N,)
        Abscissae of all curves, increasing.
    panels : mapping of str to array-like, shape (K, N)
        One panel for each label of a vertical axis, from top to bottom, with K curves to choose
        from.
    values : sequence of str, length K
        Text beside the slider for each position.
    name : str
        Identifier, unique on the page.
    label : str
        Label of the slider.
    description : str
        What is to be seen, for those who cannot see it.
    xlabel : str
    reference : pair of str and mapping, optional
        Label of curves that stay in place, and for each panel the curve, shape (N,).
    data : pair of array-likes, optional
        Points drawn in the first panel.
    start : int
        First position shown.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If a panel does not have shape (K, N) or the start is not one of the K positions.

    Examples
    --------
    >>> x = np.linspace(0, 1, 5)
    >>> page = slider(x, {"y": [x, x**2]}, ["p = 1", "p = 2"], name="powers", label="exponent",
    ...               description="A line bends down to a parabola.").data
    >>> page.count('class="moving"'), 'id="powers-range"' in page, len(page) < 5000
    (1, True, True)
    """
    from IPython.display import HTML  # there wherever a notebook runs, and needed nowhere else

    x = np.asarray(x, dtype=float)
    curves = {ylabel: np.asarray(rows, dtype=float) for ylabel, rows in panels.items()}
    for ylabel, rows in curves.items():
        if rows.shape != (len(values), len(x)):
            raise ValueError(
                f"panels[{ylabel!r}] has shape {rows.shape}, but {len(values)} values and "
                f"{len(x)} abscissae need {(len(values), len(x))}."
            )
    if not 0 <= start < len(values):
        raise ValueError(f"start must be between 0 and {len(values) - 1}, got {start!r}.")
    fixed_label, fixed = reference or ("", {})
    drawn, frames = [], []
    for j, (ylabel, rows) in enumerate(curves.items()):
        still = {"line": fixed.get(ylabel), "dots": data if j == 0 else None}
        markup, heights = _panel(x, rows, ylabel, xlabel if j == len(curves) - 1 else "", j, still)
        drawn.append(markup.replace("@", _path(_across(x, x), heights[start])))
        frames.append(heights)
    legend = f"solid: at the {html.escape(label)} chosen below"
    if fixed_label:
        legend += f"; dashed: {html.escape(fixed_label)}"
    return HTML(
        _SLIDER.format(
            name=html.escape(name),
            width=_WIDTH,
            height=_HEIGHT * len(curves) + 22,
            description=html.escape(description),
            body="\n".join(drawn),
            legend=legend,
            label=html.escape(label),
            last=len(values) - 1,
            start=start,
            shown=html.escape(values[start]),
            values=json.dumps(list(values), ensure_ascii=False).replace("<", "\\u003c"),
            across=json.dumps(_across(x, x), separators=(",", ":")),
            frames=json.dumps(frames, separators=(",", ":")),
        )
    )


_WIDTH, _HEIGHT = 460, 180  # of the drawing and of each panel, in pixels
_BOX = (58, 448, 10, 160)  # left, right, top, bottom of the axes within a panel

_SLIDER = """<div id="{name}" style="max-width:40rem;margin:auto;padding:.5rem;\
background:#fbfbf8;color:#1a1a1a;font-family:sans-serif">
<svg viewBox="0 0 {width} {height}" role="img" aria-label="{description}" \
style="display:block;width:100%;height:auto" font-size="13" fill="#1a1a1a">
{body}
</svg>
<div style="font-size:.85rem">{legend}</div>
<label for="{name}-range">{label}: <output for="{name}-range">{shown}</output></label>
<input id="{name}-range" type="range" min="0" max="{last}" step="1" value="{start}" \
aria-valuetext="{shown}" style="display:block;width:100%;accent-color:#0072B2">
<script>(() => {{
const root = document.getElementById("{name}"), input = root.querySelector("input");
const values = {values}, across = {across};
const frames = {frames};
input.addEventListener("input", () => {{
  const k = Number(input.value);
  root.querySelector("output").textContent = values[k];
  input.setAttribute("aria-valuetext", values[k]);
  root.querySelectorAll("path.moving").forEach((path, j) =>
    path.setAttribute("d", "M" + across.map((x, i) => x + "," + frames[j][k][i]).join("L")));
}});
}})()</script>
</div>"""


def _panel(x, rows, ylabel: str, xlabel: str, j: int, still) -> tuple[str, list[list[float]]]:
    """Draw axes and what stays in place, with "@" for the moving path; and that path's heights."""
    line, dots = still["line"], still["dots"]
    everything = [rows.ravel()] + [np.ravel(v) for v in (line, dots and dots[1]) if v is not None]
    low, high = (f(np.concatenate(everything)) for f in (np.min, np.max))
    margin = 0.04 * (high - low) or 1.0
    left, right, top, bottom = _BOX
    top, bottom = top + j * _HEIGHT, bottom + j * _HEIGHT

    def up(y) -> list[float]:
        share = (np.asarray(y, dtype=float) - low + margin) / (high - low + 2 * margin)
        return _tenths(bottom - (bottom - top) * share)

    out = [f'<path d="M{left},{top}V{bottom}H{right}" fill="none" stroke="#1a1a1a"/>']
    for v in _ticks(low, high):
        (height,) = up([v])
        out.append(f'<path d="M{left - 4},{height}H{left}" stroke="#1a1a1a"/>')
        out.append(f'<text x="{left - 7}" y="{height + 4:.1f}" text-anchor="end">{v:g}</text>')
    ticks = _ticks(x[0], x[-1])
    for v, position in zip(ticks, _across(ticks, x), strict=True):
        out.append(f'<path d="M{position},{bottom}v4" stroke="#1a1a1a"/>')
        if xlabel:
            out.append(f'<text x="{position}" y="{bottom + 18}" text-anchor="middle">{v:g}</text>')
    middle = (top + bottom) // 2
    out.append(
        f'<text x="14" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 14 {middle})">{html.escape(ylabel)}</text>'
    )
    if xlabel:
        out.append(
            f'<text x="{(left + right) // 2}" y="{bottom + 35}" text-anchor="middle">'
            f"{html.escape(xlabel)}</text>"
        )
    if line is not None:
        d = _path(_across(x, x), up(line))
        out.append(f'<path d="{d}" fill="none" stroke="#D55E00" stroke-dasharray="5 4"/>')
    out.append('<path class="moving" d="@" fill="none" stroke="#0072B2" stroke-width="2"/>')
    if dots is not None:
        for a, b in zip(_across(dots[0], x), up(dots[1]), strict=True):
            out.append(f'<circle cx="{a}" cy="{b}" r="4"/>')
    return "\n".join(out), [up(row) for row in rows]


def _across(values: ArrayLike, x: np.ndarray) -> list[float]:
    """Positions of abscissae in the drawing."""
    left, right = _BOX[:2]
    return _tenths(left + (right - left) * (np.asarray(values) - x[0]) / (x[-1] - x[0]))


def _ticks(low: float, high: float) -> list[float]:
    ticks = np.round(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high), 10) + 0.0
    return [float(v) for v in ticks if low <= v <= high]


def _tenths(values: np.ndarray) -> list[float]:
    return (np.round(values, 1) + 0.0).tolist()


def _path(across: Sequence[float], heights: Sequence[float]) -> str:
    return "M" + "L".join(f"{a},{b}" for a, b in zip(across, heights, strict=True))
