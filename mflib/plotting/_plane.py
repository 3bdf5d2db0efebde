"""Closed curves that grow in a plane as the reader slides, in the page and without a kernel."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import finite_array
from mflib.plotting._slider import _check_values, _json, _ticks

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["plane_slider"]


def plane_slider(
    curves: Mapping[str, ArrayLike],
    values: Sequence[str],
    *,
    name: str,
    label: str,
    description: str,
    dots: Mapping[str, ArrayLike] | None = None,
    still: ArrayLike | None = None,
    start: int = 0,
) -> HTML:
    """Let the reader slide through closed curves in a plane, one panel for each title.

    As :func:`slider`, with both coordinates on one scale, the same in all panels. A dot leaves its
    trail behind it.

    Parameters
    ----------
    curves : mapping of str to array-like, shape (K, N, 2)
        For the title of each panel, K closed curves to choose from, by their corners.
    values : sequence of str, length K
        Text beside the slider for each position.
    name : str
        Identifier, unique on the page.
    label : str
        Label of the slider.
    description : str
        What is to be seen, for those who cannot see it.
    dots : mapping of str to array-like, shape (K, 2), optional
        One dot for each panel, which moves along.
    still : array-like, shape (M, 2), optional
        A line that stays in place in all panels; what is outside of them is not drawn.
    start : int
        First position shown.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If points are not finite or do not have one of the shapes above, all of them agree, the
        start is not one of the K positions, or dots belong to no panel.
    TypeError
        If curves or dots are no mapping, a title or a value is no text, or start is no integer.

    References
    ----------
    Used in :numref:`fig-mf-balls`.

    Examples
    --------
    >>> square = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    >>> page = plane_slider({"cube": [square, 2 * square]}, ["r = 1", "r = 2"], name="balls",
    ...                     label="radius", description="A square doubles.").data
    >>> 'id="balls-range"' in page, page.count('<path class="moving"'), len(page) < 4000
    (True, 1, True)
    """
    from IPython.display import HTML  # there wherever a notebook runs, and needed nowhere else

    start = _check_values(values, start)
    for what, text in (("name", name), ("label", label), ("description", description)):
        if not isinstance(text, str):
            raise TypeError(f"{what} must be a text, got {text!r}.")
    rows = _points("curves", curves, len(values), 3)
    moved = {} if dots is None else _points("dots", dots, len(values), 2)
    if unknown := set(moved) - set(rows):
        raise ValueError(f"dots names {unknown}, but the panels are {list(rows)}.")
    line = np.empty((0, 2)) if still is None else finite_array("still", still)
    if line.ndim != 2 or line.shape[1] != 2:
        raise ValueError(f"still must have the shape (M, 2), got {line.shape}.")
    points = np.concatenate([a.reshape(-1, 2) for a in (*rows.values(), *moved.values())])
    center, half = _window(points)

    def place(points: np.ndarray) -> np.ndarray:
        """Return whole tenths of a pixel in the drawing, whose heights grow downwards."""
        return np.rint(10 * (_MIDDLE + (points - center) * [1, -1] * _HALF / half)).astype(int)

    frames, panels = [], []
    for title, closed in rows.items():
        layers = [(_BALL, [_path(place(curve)) + "z" for curve in closed])]
        if title in moved:
            trail = place(moved[title])
            layers.append((_TRAIL, [_path(trail[: k + 1]) for k in range(len(trail))]))
            layers.append((_DOT, [_path(trail[k : k + 1]) for k in range(len(trail))]))
        frames += [texts for _, texts in layers]
        drawn = [f'<path class="moving" d="{texts[start]}" {style}/>' for style, texts in layers]
        if len(line):
            drawn.insert(0, f'<path d="{_path(place(line))}" {_STILL}/>')
        axes = _axes(center, half, place)
        panels.append(_PANEL.format(title=html.escape(title), axes=axes, body="\n".join(drawn)))
    return HTML(
        _PAGE.format(
            name=html.escape(name),
            description=html.escape(description),
            panels="\n".join(panels),
            label=html.escape(label),
            last=len(values) - 1,
            start=start,
            shown=html.escape(values[start]),
            values=_json(list(values)),
            frames=_json(frames),
        )
    )


_MIDDLE, _HALF = np.array([111, 107]), 84  # of a panel's square in its drawing of 200 by 216
_LINE = 'fill="none" stroke-linejoin="round" stroke-linecap="round" stroke'
# The book's pages replace colours by those of their theme (book.css).
_BALL = 'fill="#0072B2" fill-opacity=".15" stroke="#0072B2" stroke-width="20"'
_TRAIL = f'{_LINE}="#D55E00" stroke-width="20"'
_DOT = f'{_LINE}="#D55E00" stroke-width="90"'
_STILL = f'{_LINE}="currentColor" stroke-width="20" stroke-dasharray="60 50"'

_PANEL = """<svg viewBox="0 0 200 216" font-size="14" fill="currentColor">
<text x="111" y="15" text-anchor="middle">{title}</text>
{axes}
<svg x="27" y="23" width="168" height="168" viewBox="270 230 1680 1680">
{body}
</svg></svg>"""

_PAGE = """<div id="{name}" class="curve-slider plane-slider">
<style>
.plane-slider {{max-width: 46rem; margin: auto; padding: .3rem; box-sizing: border-box;
  text-align: left; background: #fbfbf8; color: #1a1a1a; font-family: sans-serif}}
.plane-slider .panels {{display: grid; gap: .3rem; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr))}}
.plane-slider svg {{display: block; width: 100%; height: auto}}
.plane-slider label {{display: block}}
.plane-slider output {{font-weight: bold; font-variant-numeric: tabular-nums}}
.plane-slider input {{display: block; width: 100%; height: 2.75rem; margin: 0;
  accent-color: #0072B2; touch-action: pan-y; cursor: pointer}}
.plane-slider input:focus-visible {{outline: 3px solid #0072B2; outline-offset: -3px;
  border-radius: .3rem}}
</style>
<label for="{name}-range">{label}: <output for="{name}-range">{shown}</output></label>
<input id="{name}-range" type="range" min="0" max="{last}" step="1" value="{start}" \
autocomplete="off" aria-valuetext="{shown}">
<div class="panels" role="img" aria-label="{description}">
{panels}
</div>
<script>(() => {{
const root = document.getElementById("{name}"), input = root.querySelector("input");
const values = {values};
const frames = {frames};
input.addEventListener("input", () => {{
  const k = Number(input.value);
  root.querySelector("output").textContent = values[k];
  input.setAttribute("aria-valuetext", values[k]);
  root.querySelectorAll("path.moving").forEach((path, j) => path.setAttribute("d", frames[j][k]));
}});
}})()</script>
</div>"""


def _points(name: str, panels, positions: int, axes: int) -> dict[str, np.ndarray]:
    if not isinstance(panels, Mapping) or not panels:
        raise TypeError(f"{name} must map titles to points, got {type(panels).__name__}.")
    found = {}
    for title, rows in panels.items():
        if not isinstance(title, str):
            raise TypeError(f"a title of {name} must be a text, got {title!r}.")
        found[title] = array = finite_array(f"{name}[{title!r}]", rows)
        if array.ndim != axes or len(array) != positions or array.shape[-1] != 2 or not array.size:
            needed = f"({positions}, N, 2)" if axes == 3 else f"({positions}, 2)"
            raise ValueError(f"{name}[{title!r}] has shape {array.shape}, but needs {needed}.")
    return found


def _window(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the middle of the square that holds all points, and half of its side."""
    low, high = points.min(axis=0), points.max(axis=0)
    if not (half := 0.56 * float((high - low).max())):
        raise ValueError("all points of curves and dots agree; there is no scale to draw them on.")
    return (low + high) / 2, half


def _path(places: np.ndarray) -> str:
    """Return a path through whole numbers: its start, then differences, which are shorter."""
    if not len(places):
        return ""
    (x, y), steps = places[0], np.diff(places, axis=0)
    return f"M{x},{y}" + ("l" + " ".join(f"{a},{b}" for a, b in steps) if len(steps) else "h0")


def _axes(center: np.ndarray, half: float, place) -> str:
    """Draw a frame, and round numbers along its left and its lower side."""
    out = ['<path d="M27,23V191H195" fill="none" stroke="currentColor"/>']
    for axis in (0, 1):
        for tick in _ticks(*(center[axis] + np.array([-half, half]))):
            x, y = place(np.where(np.arange(2) == axis, tick, center)) / 10
            where = f'x="{x:g}" y="208" text-anchor="middle"'
            where = f'x="23" y="{y + 5:g}" text-anchor="end"' if axis else where
            mark = f"M27,{y:g}h-3" if axis else f"M{x:g},191v3"
            out.append(f'<path d="{mark}" stroke="currentColor"/><text {where}>{tick:g}</text>')
    return "\n".join(out)
