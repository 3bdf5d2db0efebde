"""A changed curve is noticed, another font is not."""

import re
import subprocess
import sys

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.test_tools_notebooks import HEADER, lay_out
from tools import notebooks, pictures

X = np.linspace(0.1, 4, 100)
ROOT = notebooks.ROOT


def figure(draw, style=None, size=(6.4, 4.8), dpi=100, **axes):
    """Return what a figure draws that has one axes."""
    with plt.style.context(style or {}):
        fig = Figure(figsize=size, dpi=dpi)
        ax = fig.subplots()
        draw(ax)
        ax.set(**axes)
        fig.canvas.draw()
        return pictures.drawn(fig)


DRAWINGS = {
    "line": lambda ax, s: ax.plot(X, np.sin(s * X)),
    "a bump": lambda ax, s: ax.plot(X, np.sin(X) + (s - 1) * np.exp(-20 * (X - 2) ** 2)),
    "loglog": lambda ax, s: ax.loglog(X, X**-s),
    "vertical line": lambda ax, s: (ax.plot(X, X), ax.axvline(2 * s)),
    "histogram": lambda ax, s: ax.hist(X ** (s * s), bins=[0, 1, 2, 4, 9, 20]),
    "step histogram": lambda ax, s: ax.hist(X**s, bins=[0, 1, 2, 4, 9], histtype="step"),
    "band": lambda ax, s: ax.fill_between(X, np.sin(X), 2 + np.sin(s * X)),
    "scatter": lambda ax, s: ax.scatter(X, np.sin(s * X)),
    "colours of a scatter": lambda ax, s: ax.scatter(X, X, c=np.sin(s * X), vmin=-1, vmax=1),
    "error bars": lambda ax, s: ax.errorbar([1, 2], [1, 2], yerr=[0.2, 0.5 * s**3]),
    "image": lambda ax, s: ax.imshow(np.outer(np.sin(s * X), np.cos(X)), vmin=-1, vmax=1),
    "mesh": lambda ax, s: ax.pcolormesh(np.outer(np.sin(s * X), np.cos(X)), vmin=-1, vmax=1),
    "contours": lambda ax, s: ax.contour(X, X, np.add.outer(X * s, X), levels=[2, 4]),
    "areas of contours": lambda ax, s: ax.contourf(X, X, np.add.outer(X * s, X), levels=[2, 4]),
    "inset": lambda ax, s: ax.inset_axes((0.5, 0.5, 0.4, 0.4)).plot(X, np.sin(s * X)),
    "limits": lambda ax, s: ax.set_xlim(0, s),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_what_is_drawn_otherwise_is_noticed(name):
    """In the same axes."""
    ax = Figure().subplots()
    DRAWINGS[name](ax, 1.0)
    same = {} if name == "limits" else {"xlim": ax.get_xlim(), "ylim": ax.get_ylim()}
    stored = figure(lambda ax: DRAWINGS[name](ax, 1.0), **same)
    assert pictures.difference(stored, figure(lambda ax: DRAWINGS[name](ax, 1.05), **same))


@pytest.mark.parametrize("name", DRAWINGS)
def test_rounding_is_not(name):
    stored = figure(lambda ax: DRAWINGS[name](ax, 1.0))
    found = figure(lambda ax: DRAWINGS[name](ax, 1.0 + 1e-5))
    assert pictures.difference(stored, found) == ""


@pytest.mark.parametrize(
    "look",
    [
        {"style": {"font.family": "monospace", "font.size": 17}},
        {"style": "dark_background"},
        {"style": {"lines.linewidth": 5, "legend.loc": "lower left"}},
        {"size": (3, 2), "dpi": 70},
        {"title": "Another title", "xlabel": "A label"},
    ],
)
@pytest.mark.parametrize("name", DRAWINGS)
def test_the_look_of_a_figure_does_not_matter(name, look):
    def draw(ax):
        DRAWINGS[name](ax, 1.0)

    assert pictures.difference(figure(draw), figure(draw, **look)) == ""


def test_what_comes_or_goes_is_noticed():
    one, two = (figure(lambda ax, n=n: ax.plot(X, np.outer(X, range(n)))) for n in (2, 3))
    assert "where 3 were drawn" in pictures.difference(one, two)
    assert pictures.difference(two, one)
    gap = figure(lambda ax: ax.plot(X, np.where(X > 3.9, np.nan, X)), ylim=(0, 4))
    assert pictures.difference(figure(lambda ax: ax.plot(X, X), ylim=(0, 4)), gap)
    straight = figure(lambda ax: None, xlim=(0, 1))
    logarithmic = figure(lambda ax: None, xscale="log", xlim=(1, 10))
    assert "other limits" in pictures.difference(straight, logarithmic)


def test_a_drawing_takes_little_room():
    assert len("".join(figure(lambda ax: ax.plot(X, np.outer(X, range(10)))))) < 5000


# In kernels

SOURCE = (
    HEADER
    + """
{numref}`fig-a`

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-a
    caption: A parabola.
  image:
    alt: A parabola.
---
import matplotlib.pyplot as plt
from matplotlib_inline import backend_inline
backend_inline.set_matplotlib_formats("svg")
plt.rcParams["font.size"] = 10
plt.subplot(1, 2, 1)
plt.plot([0, 1, 2], [0, 1, 4])
plt.show()
```
"""
)


def without_data(twin):
    other = nbformat.from_dict(twin)
    other.cells[1].outputs[0].metadata.pop(pictures.DRAWN)
    return other


@pytest.mark.xdist_group("kernels")
def test_refresh_stores_what_nbval_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    lay_out(tmp_path, {"chapters/a.md": SOURCE, "mflib/__init__.py": ""})
    assert notebooks.main(["refresh"], tmp_path) == 0
    twin = nbformat.read(tmp_path / "chapters/a.ipynb", as_version=4)
    figure = twin.cells[1].outputs[0]
    assert {"image/svg+xml", "text/plain"} == set(figure.data)
    assert figure.data["image/svg+xml"].startswith('<svg data-panels="" ')
    assert pictures.PANELS not in figure.metadata
    assert figure.metadata[pictures.DRAWN] == [
        "axes 1: linear linear -0.1 2.1 -0.2 4.2",
        "line: 45 45 500 273 955 955",
    ]
    assert notebooks.main(["check"], tmp_path) == 0
    capsys.readouterr()
    assert notebooks.main(["refresh"], tmp_path) == 0
    assert "up to date" in capsys.readouterr().out
    assert notebooks.reasons_to_execute(twin, without_data(twin), {}, {})[-1] == (
        "its figures do not say what they draw"
    )

    variants = {
        "same": "",  # but for the date in the picture, and names that Matplotlib draws by lot
        "font": ('"] = 10', '"] = 17'),
        "curve": ("[0, 1, 4]", "[0, 1.2, 4]"),
        "bare": None,  # a figure that was stored without its data
    }
    (tmp_path / "nb").mkdir()
    for name, change in variants.items():
        other = nbformat.from_dict(twin)
        if change:
            other.cells[1].source = twin.cells[1].source.replace(*change)
        if change is None:
            other = without_data(twin)
        nbformat.write(other, tmp_path / f"nb/{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--nbval"]
    command += ["-c", "/dev/null", f"--rootdir={tmp_path}", "--nbval-current-env"]
    command += ["-p", "tests.kernels", str(tmp_path / "nb")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    failed = set(re.findall(r"^FAILED \S*/(\w+).ipynb", run.stdout, re.MULTILINE))
    assert failed == {"curve", "bare"}, run.stdout
    assert "figure: axes 1: a line lies elsewhere" in run.stdout
