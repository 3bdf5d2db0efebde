"""Precomputed curves to slide through, in the page and without a kernel."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from mflib._validation import count, finite_array

if TYPE_CHECKING:
    from IPython.display import HTML

__all__ = ["slider"]


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

    Plain SVG, an ``<input type="range">``, which also obeys the arrow keys, Home and End, and a few
    lines of script; nothing is fetched. Without script the picture stays at its start. Coordinates
    are rounded to a tenth of a pixel, so that the same curves always give the same text, and
    stored as differences, which takes a third of the space.

    Parameters
    ----------
    x : array-like, shape (N,)
        Abscissae of all curves, increasing.
    panels : mapping of str to array-like, shape (K, N)
        One panel for each label of a vertical axis, from top to bottom, with K curves to choose
        from.
    values : sequence of str, length K
        Text beside the slider for each position: the value, and a number that the curve shows.
    name : str
        Identifier, unique on the page.
    label : str
        Label of the slider.
    description : str
        What is to be seen, for those who cannot see it.
    xlabel : str
    reference : pair of str and mapping, optional
        Label of dashed curves, and for each panel the curve, shape (N,), which stays in place, or
        K of them, shape (K, N), which move along.
    data : pair of array-likes, optional
        Points drawn in the first panel: shapes (m,) and (m,), or (m,) and (K, m) if they move.
    start : int
        First position shown.

    Returns
    -------
    IPython.display.HTML

    Raises
    ------
    ValueError
        If the abscissae do not increase, curves or points are not finite or do not have one of the
        shapes above, the start is not one of the K positions, or a reference belongs to no panel.
    TypeError
        If the panels are no mapping, a label or a value is no text, the start is no integer, or
        reference or data is no pair.

    References
    ----------
    Used in :numref:`fig-sp-exponent`.

    Examples
    --------
    >>> x = np.linspace(0, 1, 5)
    >>> page = slider(x, {"y": [x, x**2]}, ["p = 1", "p = 2"], name="powers", label="exponent",
    ...               description="A line bends down to a parabola.").data
    >>> page.count('class="moving"'), 'id="powers-range"' in page, len(page) < 5000
    (1, True, True)
    """
    from IPython.display import HTML  # there wherever a notebook runs, and needed nowhere else

    x, start = _checked(x, panels, values, start)
    texts = {"name": name, "label": label, "description": description, "xlabel": xlabel}
    _check_texts_and_pairs(texts, panels, reference, data)
    places = x if data is None else finite_array("data[0]", data[0])
    across = [_across(x, x), _across(places, x)]
    title, dashed = reference or ("", {})
    if unknown := set(dashed) - set(panels):
        raise ValueError(f"reference names {unknown}, but the panels are {list(panels)}.")
    drawn, moving = [], []
    for j, ylabel in enumerate(panels):
        layers = [(_CURVE, 0, _frames(panels[ylabel], values, x, f"panels[{ylabel!r}]"))]
        if ylabel in dashed:
            rows = _frames(dashed[ylabel], values, x, f"reference[{ylabel!r}]", still=True)
            layers.insert(0, (_REFERENCE, 0, rows))
        if data is not None and j == 0:
            layers.append((_DOTS, 1, _frames(data[1], values, places, "data[1]", still=True)))
        extent = tuple(f([f(rows) for _, _, rows in layers]) for f in (np.min, np.max))
        drawn.append(_axes(x, extent, ylabel, xlabel if j == len(panels) - 1 else "", j))
        for style, kind, rows in layers:
            tenths = _tenths(_up(rows, extent, j))
            drawn.append(_layer(across[kind], tenths, style, kind, start))
            if len(rows) > 1:
                moving.append([kind, np.diff(tenths, prepend=0).tolist()])
    legend = f"solid: at the {label} chosen above" + (f"; dashed: {title}" if title else "")
    return HTML(
        _PAGE.format(
            name=html.escape(name),
            width=_WIDTH,
            height=_HEIGHT * len(panels) + 26,
            description=html.escape(description),
            body="\n".join(drawn),
            legend=html.escape(legend),
            label=html.escape(label),
            last=len(values) - 1,
            start=start,
            shown=html.escape(values[start]),
            values=_json(list(values)),
            joins=_json(_JOIN),
            across=_json(across),
            curves=_json(moving),
        )
    )


_WIDTH, _HEIGHT = 460, 180  # of the drawing and of each panel, in pixels
_BOX = (64, 448, 10, 160)  # left, right, top, bottom of the axes within a panel
# The book's pages replace colours by those of their theme (book.css).
_CURVE = 'stroke="#0072B2" stroke-width="2"'
_REFERENCE = 'stroke="#D55E00" stroke-width="1.5" stroke-dasharray="5 4"'
_DOTS = 'stroke="#1a1a1a" stroke-width="8" stroke-linecap="round"'

# A path is "M" and its points, joined by "L" (a line) or "h0M" (dots, with round caps), and "h0".
_JOIN = "L", "h0M"

_PAGE = """<div id="{name}" class="curve-slider">
<style>
.curve-slider {{max-width: 40rem; margin: auto; padding: .5rem; box-sizing: border-box;
  background: #fbfbf8; color: #1a1a1a; font-family: sans-serif}}
.curve-slider svg {{display: block; width: 100%; height: auto; max-height: calc(100vh - 14rem);
  min-height: 12rem}}
.curve-slider output {{display: block; font-weight: bold; font-variant-numeric: tabular-nums}}
.curve-slider input {{display: block; width: 100%; height: 2.75rem; margin: 0;
  accent-color: #0072B2; touch-action: pan-y; cursor: pointer}}
.curve-slider input:focus-visible {{outline: 3px solid #0072B2; outline-offset: -3px;
  border-radius: .3rem}}
</style>
<label for="{name}-range">{label}: <output for="{name}-range">{shown}</output></label>
<input id="{name}-range" type="range" min="0" max="{last}" step="1" value="{start}" \
autocomplete="off" aria-valuetext="{shown}">
<svg viewBox="0 0 {width} {height}" role="img" aria-label="{description}" \
font-size="16" fill="#1a1a1a">
{body}
</svg>
<div style="font-size:.85rem">{legend}</div>
<script>(() => {{
const root = document.getElementById("{name}"), input = root.querySelector("input");
const values = {values}, joins = {joins}, across = {across};
const curves = {curves};
input.addEventListener("input", () => {{
  const k = Number(input.value);
  root.querySelector("output").textContent = values[k];
  input.setAttribute("aria-valuetext", values[k]);
  root.querySelectorAll("path.moving").forEach((path, j) => {{
    const [kind, steps] = curves[j];
    let tenths = 0;
    const points = across[kind].map((x, i) => x + "," + (tenths += steps[k][i]) / 10);
    path.setAttribute("d", "M" + points.join(joins[kind]) + "h0");
  }});
}});
}})()</script>
</div>"""


def _checked(x: ArrayLike, panels, values: Sequence[str], start: int) -> tuple[np.ndarray, int]:
    x = finite_array("x", x)
    if x.ndim != 1 or x.size < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"x must be at least two increasing abscissae, got shape {x.shape}.")
    if not isinstance(panels, Mapping) or not panels:
        raise TypeError(f"panels must map labels to curves, got {type(panels).__name__}.")
    return x, _check_values(values, start)


def _check_values(values: Sequence[str], start: int) -> int:
    """Return the start, once each position has its text and the start is one of them."""
    if not isinstance(values, Collection) or not all(isinstance(text, str) for text in values):
        raise TypeError(f"values must be texts, got {values!r}.")
    if not count("start", start, least=0) < len(values):
        raise ValueError(f"start must be between 0 and {len(values) - 1}, got {start!r}.")
    return int(start)


def _check_texts_and_pairs(texts: Mapping[str, Any], panels, reference, data) -> None:
    for name, text in (*texts.items(), *(("a label of panels", label) for label in panels)):
        if not isinstance(text, str):
            raise TypeError(f"{name} must be a text, got {text!r}.")
    if reference is not None and not (
        _is_pair(reference) and isinstance(reference[0], str) and isinstance(reference[1], Mapping)
    ):
        raise TypeError(f"reference must be a pair of a text and a mapping, got {reference!r}.")
    if data is not None and not _is_pair(data):
        raise TypeError(f"data must be a pair of abscissae and ordinates, got {data!r}.")


def _is_pair(value: Any) -> bool:
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    return several and len(value) == 2


def _frames(
    rows: ArrayLike, values: Sequence[str], x: np.ndarray, name: str, *, still: bool = False
) -> np.ndarray:
    """Return finite curves or points, one row for each position, or a single one if it may."""
    frames = finite_array(name, rows)
    shape = len(values), len(x)
    if frames.shape != shape and not (still and frames.shape == shape[1:]):
        needed = f"{shape[1:]} or {shape}" if still else f"{shape}"
        raise ValueError(
            f"{name} has shape {frames.shape}, but {len(values)} values and {len(x)} abscissae "
            f"need {needed}."
        )
    return np.atleast_2d(frames)


def _layer(across: list[float], tenths: np.ndarray, style: str, kind: int, start: int) -> str:
    """Draw one line, or one set of dots, as it is at the start."""
    moves = len(tenths) > 1
    heights = tenths[start if moves else 0]
    points = (f"{a:g},{b / 10:g}" for a, b in zip(across, heights, strict=True))
    path = "M" + _JOIN[kind].join(points) + "h0"
    marked = 'class="moving" ' if moves else ""
    return f'<path {marked}d="{path}" fill="none" {style}/>'


def _axes(x: np.ndarray, extent: tuple[float, float], ylabel: str, xlabel: str, j: int) -> str:
    """Draw the axes of panel j; those of x have numbers if it has a label."""
    left, right, top, bottom = _BOX
    top, bottom = top + j * _HEIGHT, bottom + j * _HEIGHT
    out = [f'<path d="M{left},{top}V{bottom}H{right}" fill="none" stroke="#1a1a1a"/>']
    ticks = _ticks(*extent)
    texts, ylabel = _labels(ticks, ylabel)
    for v, text in zip(ticks, texts, strict=True):
        height = _tenths(_up(v, extent, j)) / 10
        out.append(f'<path d="M{left - 4},{height}H{left}" stroke="#1a1a1a"/>')
        out.append(f'<text x="{left - 7}" y="{height + 5:.1f}" text-anchor="end">{text}</text>')
    ticks = _ticks(x[0], x[-1])
    texts, xlabel = _labels(ticks, xlabel)
    for text, position in zip(texts, _across(ticks, x), strict=True):
        out.append(f'<path d="M{position},{bottom}v4" stroke="#1a1a1a"/>')
        if xlabel:
            out.append(f'<text x="{position}" y="{bottom + 18}" text-anchor="middle">{text}</text>')
    middle, center = (top + bottom) // 2, (left + right) // 2
    turned = f'transform="rotate(-90 16 {middle})"'
    for text, place in (
        (ylabel, f'x="16" y="{middle}" {turned}'),
        (xlabel, f'x="{center}" y="{bottom + 38}"'),
    ):
        if text:
            out.append(f'<text {place} text-anchor="middle">{html.escape(text)}</text>')
    return "\n".join(out)


def _up(y: ArrayLike, extent: tuple[float, float], j: int) -> np.ndarray:
    """Heights in the drawing; they grow downwards."""
    low, high = extent
    top, bottom = (edge + j * _HEIGHT for edge in _BOX[2:])
    margin = 0.04 * (high - low) or 1.0
    return bottom - (bottom - top) * (np.asarray(y) - low + margin) / (high - low + 2 * margin)


def _across(values: ArrayLike, x: np.ndarray) -> list[float]:
    """Positions of abscissae in the drawing."""
    left, right = _BOX[:2]
    positions = left + (right - left) * (np.asarray(values) - x[0]) / (x[-1] - x[0])
    return (_tenths(positions) / 10).tolist()


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two others, or these where there are none; one if they agree."""
    if low == high:
        return [float(low)]
    ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
    nothing = 1e-9 * (high - low)
    rounded = {0.0 if abs(v) < nothing else float(f"{v:.15g}") for v in ticks}  # 0.3, not 0.3 + ulp
    between = sorted(v for v in rounded if low <= v <= high)
    return between if len(between) > 1 else [float(low), float(high)]


def _labels(ticks: list[float], axis: str) -> tuple[list[str], str]:
    """Return what to write at ticks and at their axis: what the ticks share goes to the axis."""
    if all(abs(float(f"{v:g}") - v) <= 1e-3 * np.ptp(ticks) or len(ticks) == 1 for v in ticks):
        return [f"{v:g}" for v in ticks], axis
    first = ticks[0]
    sign = "−" if first > 0 else "+"
    return [
        f"{v - first:.3g}" for v in ticks
    ], axis and f"{axis} {sign} {repr(abs(first)).removesuffix('.0')}"


def _tenths(values: np.ndarray) -> np.ndarray:
    return np.rint(10 * values).astype(int)


def _json(value: object) -> str:
    """Return JSON that cannot end the script around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
