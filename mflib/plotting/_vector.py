"""Figures of notebooks as SVG."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

__all__ = ["store_vectors"]

_DENSE = 2000  # pieces of a collection, from which on an image takes less room
_DOTS_PER_INCH = 170  # of images


def store_vectors() -> None:
    """In a notebook that would store plain PNG, store SVG from now on."""
    if "inline" not in plt.get_backend():
        return
    from IPython import get_ipython
    from matplotlib_inline import backend_inline, config

    if config.InlineBackend.instance().figure_formats == {"png"}:
        backend_inline.set_matplotlib_formats("svg")  # which also forgets the way to PNG
        formatter = get_ipython().display_formatter.formatters["image/svg+xml"]
        formatter.for_type(Figure, svg)


def svg(figure: Figure) -> str:
    """Return a figure as it was laid out, with nothing cut off; the same gives the same text."""
    from IPython.core.pylabtools import print_figure

    for ax in figure.axes:
        for each in ax.collections:
            pieces = max(np.shape(each.get_offsets())[0], len(each.get_paths()))
            if isinstance(each, QuadMesh) or pieces > _DENSE:
                each.set_rasterized(True)
    options = {"bbox_inches": None, "dpi": _DOTS_PER_INCH, "metadata": {"Date": None}}
    return print_figure(figure, "svg", **options)
