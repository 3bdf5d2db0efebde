"""Stored figures in the page: their colours follow the theme, their panels can be stacked."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mflib import plotting
from mflib.plotting._vector import svg
from tools.panels import panels
from tools.vector import lighten

figures = pytest.importorskip("_ext.figures")
CSS = (Path(__file__).parents[1] / "chapters/_static/book.css").read_text("utf-8")
# ground and type of the two themes
THEMES = {"light": ("#ffffff", "#222832"), "dark": ("#121212", "#ced6dd")}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def stored(fig) -> str:
    text = svg(fig)
    return lighten(text, panels(fig))


def three_panels():
    fig, axes = plotting.figure(3, sharey=True)
    x = np.linspace(0, 1, 300)
    for i, ax in enumerate(axes):
        ax.plot(x, np.sin(9 * x + i), label="wave")
        ax.axhline(0, color="0.6")
        ax.set(title=f"panel {i}", xlabel="$x_1$")
    axes[0].set_ylabel("height")
    return fig


# Stored


def test_the_same_figure_gives_the_same_bytes():
    first = stored(three_panels())
    assert first == stored(three_panels())
    assert len(first) < 40_000
    assert not re.search(r"\d\.\d{3}", "".join(re.findall(r' d="([^"]*)"', first)))
    ElementTree.fromstring(first)


def test_short_numbers_move_nothing():
    fig, ax = plotting.figure()
    (line,) = ax.plot(np.linspace(-1, 1, 70), np.random.default_rng(0).normal(size=70), "o-")
    whole = svg(fig)
    text = lighten(whole)
    height = 72 * fig.get_figheight()
    expected = ax.transData.transform(line.get_xydata()) * 72 / fig.dpi
    expected[:, 1] = height - expected[:, 1]
    uses = re.findall(r'<use [^>]*x="([^"]*)" y="([^"]*)"/>', text)[-70:]
    np.testing.assert_allclose(np.array(uses, dtype=float), expected, atol=0.2)
    drawn = max(re.findall(r' d="M([-\d. L]*)"', text), key=len).replace("L", " ").split()
    np.testing.assert_allclose(np.array(drawn, dtype=float).reshape(-1, 2), expected, atol=0.2)
    assert text.count("style=") < whole.count("style=") - 60, "markers share their style"


# Panels


def boxes(fig):
    return [
        [[float(value) for value in part.split()] for part in line.partition(" ")[2].split("|")]
        for line in panels(fig)
    ]


def test_a_single_panel_is_not_stacked():
    fig, ax = plotting.figure()
    image = ax.pcolormesh(np.eye(3))
    fig.colorbar(image, ax=ax)
    ax.twinx().plot([0, 1])
    svg(fig)
    assert panels(fig) == []


def test_panels_lie_beside_each_other_and_hold_all_that_is_theirs():
    fig = three_panels()
    bar = fig.colorbar(plt.cm.ScalarMappable(), ax=fig.axes[1])
    svg(fig)
    tiles = [parts[0] for parts in boxes(fig)]
    assert len(tiles) == 3
    for (x, _, width, _), (after, *_) in zip(tiles, tiles[1:], strict=False):
        assert x + width < after + 2 * 2.5
    x, _, width, _ = tiles[1]
    right = bar.ax.get_tightbbox().x1 * 72 / fig.dpi
    assert x < right < x + width + 0.1, "a colour bar belongs to its panel"


def test_panels_borrow_the_numbers_that_they_share():
    fig, axes = plotting.figure(2, 2, sharex=True, sharey="row")
    for i, ax in enumerate(axes.flat):
        ax.plot([0, 1], [0, i + 1])
    svg(fig)
    strips = [parts[1:] for parts in boxes(fig)]
    assert [len(parts) for parts in strips] == [1, 2, 0, 1]
    places = [[v * 72 / fig.dpi for v in ax.bbox.bounds] for ax in axes.flat]
    (_, _, _, _, dx, dy) = strips[1][0]  # the upper right panel has its numbers from the left
    np.testing.assert_allclose([dx, dy], [places[1][0] - places[0][0], 0], atol=0.1)
    (x, _, width, _, dx, dy) = strips[0][0]  # the upper left one from below
    np.testing.assert_allclose([dx, dy], [0, -(places[0][1] - places[2][1])], atol=0.1)
    assert x < places[2][0] and x + width > places[2][0] + places[2][2]


def test_legends_and_titles_of_a_figure_have_tiles_of_their_own():
    fig = three_panels()
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(handles * 3, ["one", "two", "three"], loc="outside lower center", ncols=3, title="t")
    fig.suptitle("All of it")
    svg(fig)
    tiles = [parts[0] for parts in boxes(fig)]
    assert len(tiles) == 1 + 3 + 1 + 3
    kinds = [line.split()[0] for line in panels(fig)]
    assert kinds == ["words", *3 * ["panel"], *4 * ["words"]]
    assert tiles[0][1] < tiles[1][1] and all(tile[1] > tiles[1][1] for tile in tiles[4:])
    for (x, _, width, _), text in zip(tiles[5:], fig.legends[0].get_texts(), strict=True):
        box = text.get_window_extent()
        assert x < box.x0 * 72 / fig.dpi - 20 and box.x1 * 72 / fig.dpi < x + width
        assert width < 100, "entries are narrow"
    text = markup(fig)
    assert re.findall(r'<div class="(\w+)"><svg', text) == ["words", "panel", "words"]


# In the page


def markup(fig, alt="a wave"):
    return figures.drawing(stored(fig), alt)


def test_a_drawing_says_its_text_and_has_names_of_its_own():
    text = markup(three_panels(), 'a "wave"')
    assert 'role="img" aria-label="a &quot;wave&quot;"' in text
    other, ax = plotting.figure()
    ax.plot([0, 1])
    ids = [set(re.findall(r'\bid="([^"]*)"', each)) for each in (text, markup(other))]
    assert all(ids) and not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', text))
    assert used == ids[0]
    assert "<style" not in text and "xmlns" not in text
    (name,) = re.findall(r'<g id="([^"-]*)"', text)
    assert text.count(f'<use href="#{name}"/>') == 3 + 2, "three panels, two with another's numbers"
    assert [kind in text for kind in ('drawing wide"', 'class="stack"')] == [True, True]
    assert "stack" not in markup(other) and 'drawing narrow"' in markup(other)


def test_black_grey_and_curves_follow_the_theme():
    fig, ax = plotting.figure()
    for i in range(7):
        ax.plot([0, i], label="a")
    ax.axhline(0.5, color="0.6")
    ax.fill_between([0, 1], [0, 1], color="#123456")
    plotting.label_curves(ax)
    text = markup(fig)
    assert set(re.findall(": (#[0-9a-f]{6})", text)) == {"#123456"}
    assert "currentColor 50%, var(--pst-color-background)" in text
    for i in range(1, 7):
        assert f"stroke: var(--curve-{i})" in text
        assert f"fill: color-mix(in srgb, var(--curve-{i}) 70%, currentColor)" in text


def draw_image(ax):
    ax.imshow(np.eye(3))


def draw_areas(ax):
    ax.contourf(np.add.outer([0, 1, 2], [0, 1, 2]))


def draw_ground(ax):
    ax.set_facecolor("white")


@pytest.mark.parametrize("draw", [draw_image, draw_areas, draw_ground])
def test_what_lies_on_a_pale_ground_keeps_its_colours(draw):
    fig, ax = plotting.figure()
    draw(ax)
    ax.plot([0, 1], [0, 1], color="black", lw=3.25)
    ax.text(0.5, 0.5, "within", color="0.25", transform=ax.transAxes)
    ax.set_title("above", color="0.25")
    text = markup(fig)
    assert re.search(r"stroke: #000000; stroke-width: 3.25", text)
    assert text.count("#404040") == 1, "a title is outside"
    assert text.count("color-mix(in srgb, currentColor 94%") == 1


def test_cells_with_type_upon_them_keep_their_colours_and_those_without_do_not():
    fig, ax = plotting.figure()
    ax.axis("off")
    ax.add_patch(plt.Rectangle((0, 0), 0.4, 0.4, facecolor="#e0e0e0", edgecolor="black"))
    ax.add_patch(plt.Rectangle((0, 0.6), 0.4, 0.4, facecolor="#d0d0d0"))
    ax.text(0.2, 0.2, "cell", ha="center", color="#010101")
    ax.text(0.7, 0.7, "beside", color="#020202")
    assert set(re.findall(": (#[0-9a-f]{6})", markup(fig))) == {"#e0e0e0", "#000000", "#010101"}


def test_lines_of_contours_are_no_ground():
    fig, ax = plotting.figure()
    ax.contour(np.add.outer([0, 1, 2], [0, 1, 2]), colors="black")
    assert "#000" not in markup(fig)


def test_images_of_figures_are_replaced_and_others_are_not(tmp_path):
    fig, ax = plotting.figure()
    ax.plot([0, 1])
    (tmp_path / "a.svg").write_text(stored(fig), "utf-8")
    (tmp_path / "b.svg").write_text("<svg/>", "utf-8")
    images = {str(tmp_path / name): name for name in ("a.svg", "b.svg")}
    app = SimpleNamespace(srcdir="/", builder=SimpleNamespace(name="html", images=images))
    one, other = (f'<img alt="a &lt; b" src="../_images/{name}.svg" />' for name in "ab")
    context = {"body": f'<p>{one}</p><a class="reference image-reference" href="x">{other}</a>'}
    figures.inline_figures(app, "page", "", context, object())
    assert context["body"].count("<img") == 1 and other in context["body"]
    assert 'aria-label="a &lt; b"' in context["body"]


# Contrast


def channels(color):
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def contrast(one, other):
    def luminance(values):
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_curves_their_names_and_guides_stand_out_in_both_themes(theme):
    ground, ink = map(channels, THEMES[theme])
    start = {"light": "html {\n  --curve", "dark": 'html[data-theme="dark"] {\n  --curve'}[theme]
    rule = CSS[CSS.index(start) :]
    curves = dict(re.findall(r"(--curve-\d): (#\w{6})", rule[: rule.index("}")]))
    assert len(curves) == len(plotting.COLORS) - 1
    for color in map(channels, curves.values()):
        assert contrast(color, ground) >= 3
        assert contrast(figures.TEXT * color + (1 - figures.TEXT) * ink, ground) >= 4.5
    share = figures.ink(0.6)
    assert contrast(share * ink + (1 - share) * ground, ground) >= 3
