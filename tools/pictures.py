"""What a figure draws, as text beside its picture: a changed curve is noticed, a font is not.

A kernel that `KERNEL_OPTIONS` starts stores in the metadata of each figure of Matplotlib where its
curves, points, areas and images lie in their axes: some points of each, in thousandths of the axes'
sides, and the limits. nbval compares these up to `TOLERANCE` (tests/kernels.py). It also says where
the panels lie, for tools/vector.py.

This file is also run by its path, inside of kernels: it imports nothing of this repository.
"""

import runpy
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

DRAWN, PANELS = "drawn", "panels"  # the keys in the metadata
POINTS, COLOURS = 50, 400  # at most, of each artist
TOLERANCE = 5  # thousandths of an axis, which nobody sees
LOAD = f'__import__("runpy").run_path({str(Path(__file__).resolve())!r})["load"]();'
STRICT = '__import__("os").environ["MFLIB_CLAIMS"] = "strict"'  # a claim that fails stops the run
KERNEL_OPTIONS = [f"--IPKernelApp.exec_lines={line}" for line in (LOAD, STRICT)]


def load() -> None:
    """Add to the shell in which this runs that a figure also says what it draws."""
    from IPython.core.formatters import BaseFormatter
    from IPython.core.getipython import get_ipython
    from traitlets import Unicode

    class Describe(BaseFormatter):
        format_type = Unicode()

        def __call__(self, shown: Any) -> tuple[None, list[str]] | None:
            """Return no data but metadata. (Matplotlib clears the tables of formatters.)"""
            module = sys.modules.get("matplotlib.figure")
            figure = module and isinstance(shown, module.Figure)
            return (None, DESCRIPTIONS[self.format_type](shown)) if figure else None

    shell: Any = get_ipython()
    formatter = shell.display_formatter
    for kind in DESCRIPTIONS:
        formatter.formatters[kind] = Describe(parent=formatter, format_type=kind)


# What is drawn


def drawn(figure: Any) -> list[str]:
    """Return one line for the limits of each axes and one for each artist in it."""
    lines = []
    insets = [inset for ax in figure.axes for inset in ax.child_axes]
    for number, ax in enumerate([*figure.axes, *insets], start=1):
        corners = ax.transScale.transform(list(zip(ax.get_xlim(), ax.get_ylim(), strict=True)))
        limits = " ".join(f"{value:.6g}" for value in corners.T.ravel())
        lines.append(f"axes {number}: {ax.get_xscale()} {ax.get_yscale()} {limits}")
        for kind, values in artists(ax):
            lines.append(f"{kind}: {' '.join(map(str, values))}".rstrip())
    return lines


def artists(ax: Any) -> Iterator[tuple[str, list[int]]]:
    """Yield the kind of each artist, and where it lies in its axes, or how its colours do."""
    from matplotlib.collections import QuadMesh
    from matplotlib.contour import ContourSet

    for line in ax.lines:
        yield "line", places(line.get_path().vertices, line.get_transform() - ax.transAxes)
    for patch in ax.patches:
        yield "patch", extent(patch.get_path(), patch.get_transform() - ax.transAxes)
    for each in ax.collections:
        transform = each.get_transform() - ax.transAxes
        if len(each.get_offsets()) > 1 or each.get_offset_transform().contains_branch(ax.transData):
            yield "points", places(each.get_offsets(), each.get_offset_transform() - ax.transAxes)
        elif isinstance(each, ContourSet):  # how many points a contour has is chance
            yield from (("contour", extent(path, transform)) for path in each.get_paths())
        elif isinstance(each, QuadMesh):
            yield "mesh", places(np.reshape(each.get_coordinates(), (-1, 2)), transform)
        else:
            paths = each.get_paths()[:COLOURS]
            yield from (("area", places(path.vertices, transform)) for path in paths)
    for each in (*ax.collections, *ax.images):
        if each.get_array() is not None and not isinstance(each, ContourSet):
            yield "colours", thousandths(each.norm(thinned(np.ravel(each.get_array()), COLOURS)))


def places(vertices: Any, transform: Any) -> list[int]:
    return thousandths(transform.transform(thinned(np.asarray(vertices, dtype=float), POINTS)))


def extent(path: Any, transform: Any) -> list[int]:
    if not len(path.vertices):
        return []
    box = path.get_extents(transform)
    return thousandths(np.array([box.min, box.max]))


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    chosen = np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int)
    return values[chosen] if len(values) else values


def thousandths(fractions: Any) -> list[int]:
    """Return fractions in thousandths, cut off far outside; what is not there is -9999."""
    inside: np.ndarray = np.clip(np.ma.filled(np.ma.asarray(fractions, dtype=float), np.nan), -1, 2)
    return [int(value) for value in np.nan_to_num(1000 * inside, nan=-9999).round().ravel()]


def panels(figure: Any) -> list[str]:
    """Return where the panels lie, once the figure was drawn."""
    path = Path(__file__).with_name("panels.py")
    return runpy.run_path(str(path))["panels"](figure)


DESCRIPTIONS = {DRAWN: drawn, PANELS: panels}


# Comparison


def bare(outputs: Iterable[Any]) -> bool:
    """Whether a figure among some outputs was stored without what it draws."""
    figures = [o for o in outputs if o.get("data", {}).get("text/plain", "").startswith("<Figure ")]
    return any(DRAWN not in figure.metadata for figure in figures)


def difference(stored: list[str], found: list[str]) -> str:
    """Return what a figure draws otherwise than the stored one; empty if nothing."""
    if [line.split(":")[0] for line in stored] != [line.split(":")[0] for line in found]:
        return f"{len(found)} lines, axes and areas, or other ones, where {len(stored)} were drawn"
    ax = ""
    for old, new in zip(stored, found, strict=True):
        kind, values = old.split(":")
        if kind.startswith("axes"):
            ax = kind
            if limits_differ(values.split(), new.split(":")[1].split()):
                return f"{ax}: other limits, {new.split(':')[1]} instead of{values}"
        elif moved(numbers(values.split()), numbers(new.split(":")[1].split())):
            return f"{ax}: a {kind} lies elsewhere, or has other colours"
    return ""


def limits_differ(old: list[str], new: list[str]) -> bool:
    """Whether axes have other scales, or limits that differ by what is seen."""
    before, after = numbers(old[2:]).reshape(2, 2), numbers(new[2:]).reshape(2, 2)
    seen = TOLERANCE / 1000 * np.abs(np.diff(before, axis=1))
    return old[:2] != new[:2] or bool((np.abs(after - before) > seen).any())


def moved(old: np.ndarray, new: np.ndarray) -> bool:
    return old.shape != new.shape or bool((np.abs(new - old) > TOLERANCE).any())


def numbers(texts: Iterable[str]) -> np.ndarray:
    return np.array([float(text) for text in texts])
