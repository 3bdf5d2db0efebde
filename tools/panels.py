"""Where the panels of a figure lie, so that a narrow page can stack them.

Each tile is a line "panel x y width height", a panel with its colour bar, or "words x y width
height", an entry of the figure's legend or its title, in points from the top left. A panel whose
axis has its numbers at another panel, with which it shares them, says whence to borrow: " | x y
width height dx dy", what to copy and by how much to move it.

tools/pictures.py loads this file inside of kernels: it imports nothing of this repository.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.transforms import Bbox

PAD = 2.0  # points around a tile: type has other bounds as outlines than as pixels


def panels(figure: Any) -> list[str]:
    """Return the tiles of a figure, in the order to stack them; none if it is a single panel."""
    figure.draw_without_rendering()  # it was drawn for another resolution, and texts stand there
    page = Page(figure)
    groups = grouped(figure)
    above: list[str] = []
    below: list[str] = []
    for text in figure.texts:
        if text.get_visible() and text.get_text():
            place = page.place(text.get_window_extent())
            (above if place.y0 < page.height / 2 else below).append(
                line("words", place.padded(PAD))
            )
    for legend in figure.legends:
        below += [line("words", page.place(box)) for box in entries(legend)]
    middle = [line("panel", page.tile(group), *page.borrowed(group, groups)) for group in groups]
    return [*above, *middle, *below] if len(groups) > 1 else []


def line(kind: str, tile: Bbox, *strips: tuple[Bbox, float, float]) -> str:
    parts = [tile.bounds, *((*box.bounds, dx, dy) for box, dx, dy in strips)]
    places = " | ".join(" ".join(f"{value:.1f}" for value in part) for part in parts)
    return f"{kind} {places}"


def grouped(figure: Any) -> list[list[Any]]:
    """Return the axes of each panel: twins lie upon each other, a colour bar is its picture's."""
    groups: list[list[Any]] = []
    for ax in filter(lambda ax: ax.get_visible(), figure.axes):
        mates = [group for group in groups if belongs(ax, group)]
        if mates:
            mates[0].append(ax)
        else:
            groups.append([ax])
    return groups


def belongs(ax: Any, group: list[Any]) -> bool:
    if getattr(ax, "_colorbar", None) is not None:
        return ax._colorbar_info["parents"][-1:] == group[:1]
    return np.allclose(group[0].get_position().bounds, ax.get_position().bounds)


def entries(legend: Any) -> Iterator[Bbox]:
    """Yield the box of each entry of a legend, its sample of the line included."""
    pixels = legend.get_figure().dpi / 72
    size = legend.get_texts()[0].get_fontsize() * pixels if legend.get_texts() else 0.0
    sample = (legend.handlelength + legend.handletextpad) * size
    if legend.get_title().get_text():
        yield legend.get_title().get_window_extent().padded(PAD * pixels)
    for text in legend.get_texts():
        box = text.get_window_extent().padded(PAD * pixels)
        yield Bbox.from_extents(box.x0 - sample, box.y0, box.x1, box.y1)


class Page:
    """The sheet of a figure: points from its top left, as in SVG."""

    def __init__(self, figure: Any):
        self.height = 72 * figure.get_figheight()
        self.points = 72 / figure.dpi

    def place(self, box: Bbox) -> Bbox:
        (x0, y0), (x1, y1) = box.get_points() * self.points
        return Bbox.from_extents(x0, self.height - y1, x1, self.height - y0)

    def tile(self, group: list[Any]) -> Bbox:
        boxes = [self.place(ax.get_tightbbox()) for ax in group]
        return Bbox.union(boxes).padded(PAD)

    def borrowed(self, group: list[Any], groups: list[list[Any]]) -> Iterator[tuple]:
        """Yield the numbers that a panel shares with the leftmost, or the lowest, one."""
        ax, others = group[0], [other[0] for other in groups]
        here = self.place(ax.bbox)
        for kind in ("y", "x"):
            lender = lending(ax, others, kind)
            if lender is None:
                continue
            there = self.place(lender.bbox)
            whole = self.tile(next(other for other in groups if lender in other))
            if kind == "y":
                strip = Bbox.from_extents(whole.x0, whole.y0, there.x0 - 0.5, whole.y1)
            else:
                strip = Bbox.from_extents(whole.x0, there.y1 + 0.5, whole.x1, whole.y1)
            yield strip, here.x0 - there.x0, here.y0 - there.y0


def lending(ax: Any, others: list[Any], kind: str) -> Any:
    """Return the axes beside or below that has the numbers of a shared axis, if ax has none."""
    if not ax.axison or numbered(ax, kind):
        return None
    shared = getattr(ax, f"get_shared_{kind}_axes")()
    along = slice(1, 4, 2) if kind == "y" else slice(0, 3, 2)
    place = ax.get_position().bounds[along]
    for other in others:
        aligned = np.allclose(other.get_position().bounds[along], place, atol=2e-3)
        if other is not ax and shared.joined(ax, other) and numbered(other, kind) and aligned:
            return other
    return None


def numbered(ax: Any, kind: str) -> bool:
    labels = getattr(ax, f"get_{kind}ticklabels")()
    return any(label.get_visible() and label.get_text() for label in labels)
