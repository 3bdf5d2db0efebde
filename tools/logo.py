"""Write the book's logo, favicon and link picture: three points, two ways to fit them.

A parabola spreads its bend, a polyline has it all in one corner: which one training finds is the
question of the book.

python -m tools.logo
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from mflib.plotting import COLORS

STATIC = Path(__file__).resolve().parents[1] / "chapters" / "_static"
BLUE, ORANGE = COLORS[:2]

# The Bézier curve is the parabola: its middle lies half way to the control point, at 50.
DRAWING = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
  <style>{style}</style>
  <g fill="none" stroke-width="4" stroke-linecap="round" stroke-linejoin="round">
    <path stroke="{orange}" d="M8 10 32 50 56 10"/>
    <path stroke="{blue}" d="M8 10Q32 90 56 10"/>
  </g>
  <circle cx="8" cy="10" r="6"/><circle cx="32" cy="50" r="6"/><circle cx="56" cy="10" r="6"/>
</svg>
"""
DARK, LIGHT = "circle{fill:#111}", "circle{fill:#eee}"
EITHER = f"{DARK}@media(prefers-color-scheme:dark){{{LIGHT}}}"


def card() -> plt.Figure:
    """Return the picture that stands beside a link to the book, 1200 by 630 dots."""
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="#fbfbf8")
    axes = figure.add_axes((0.05, 0.15, 0.36, 0.7))
    x = np.linspace(-1, 1, 101)
    axes.plot([-1, 0, 1], [1, 0, 1], color=ORANGE, lw=9, solid_joinstyle="round")
    axes.plot(x, x**2, color=BLUE, lw=9)
    axes.plot([-1, 0, 1], [1, 0, 1], "o", color="#111", ms=26)
    axes.margins(0.12)
    axes.set_axis_off()
    figure.text(
        0.46, 0.5, "The implicit bias\nof mirror flow", size=44, va="center", linespacing=1.4
    )
    return figure


def main() -> None:
    for name, style in (("logo-light", DARK), ("logo-dark", LIGHT), ("favicon", EITHER)):
        drawing = DRAWING.format(style=style, blue=BLUE, orange=ORANGE)
        (STATIC / f"{name}.svg").write_text(drawing, "utf-8")
    card().savefig(STATIC / "card.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
