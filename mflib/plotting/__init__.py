"""One style for every figure of the book: colour-blind safe, readable on light and dark pages.

Figures keep an opaque pale ground, so that they read alike on both; lines differ in dash as well as
in colour. Sizes have the unit of an inch.
"""

from mflib.plotting._plane import plane_slider
from mflib.plotting._slider import slider
from mflib.plotting._style import COLORS, figure, points, power_law

__all__ = ["COLORS", "figure", "power_law", "plane_slider", "points", "slider"]
