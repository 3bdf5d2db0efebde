"""One style for every figure of the book: colour-blind safe, readable on light and dark pages.

Notebooks store figures as SVG. On the book's pages their black, greys and colours follow the theme,
and elsewhere they keep an opaque pale ground; lines differ in dash as well as in colour. Sizes have
the unit of an inch.
"""

from mflib.plotting._labels import label_curves
from mflib.plotting._plane import plane_slider
from mflib.plotting._slider import slider
from mflib.plotting._style import COLORS, figure, points, power_law

__all__ = ["COLORS", "figure", "label_curves", "power_law", "plane_slider", "points", "slider"]
