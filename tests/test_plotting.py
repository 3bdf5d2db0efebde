"""Figures hold the numbers they were given."""

from types import SimpleNamespace

import IPython
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import SVGFormatter
from matplotlib.colors import to_rgb
from matplotlib_inline import backend_inline, config
from scipy import optimize

from mflib import plotting
from mflib.plotting._labels import spread
from mflib.plotting._vector import svg


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_figures_have_panels_of_a_height():
    fig, ax = plotting.figure()
    assert fig.get_size_inches()[1] == pytest.approx(3.0)
    assert ax.get_figure() is fig
    fig, axes = plotting.figure(3, 2, height=2.5, sharex=True)
    assert axes.shape == (2, 3)
    assert fig.get_size_inches()[1] == pytest.approx(5.0)
    assert fig.get_size_inches()[0] < 10, "wider than the page"
    fig, _ = plotting.figure(2, figsize=(5, 4))
    assert fig.get_size_inches().tolist() == [5, 4]
    for theirs, ours in (("ncols", "columns"), ("nrows", "rows")):
        with pytest.raises(TypeError, match=f"{theirs} is called {ours} here, got {theirs}=2"):
            plotting.figure(**{theirs: 2})


def test_notebooks_store_svg_unless_the_reader_chose_otherwise(monkeypatch):
    inline, formats, formatters = SimpleNamespace(figure_formats={"png"}), [], SVGFormatter()
    shell = SimpleNamespace(display_formatter=SimpleNamespace())
    shell.display_formatter.formatters = {"image/svg+xml": formatters}
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setattr(config.InlineBackend, "instance", lambda: inline)
    monkeypatch.setattr(backend_inline, "set_matplotlib_formats", formats.append)
    plotting.figure()
    assert formats == [], "no notebook, nothing to change"
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    fig, ax = plotting.figure()
    assert formats == ["svg"]
    ax.plot([0, 1], [0, 1])
    first = formatters(fig)
    assert first == formatters(fig) and "<dc:date>" not in first
    assert 'viewBox="0 0 324 216"' in first, "nothing is cut off"
    inline.figure_formats = {"png", "pdf"}
    plotting.figure()
    assert formats == ["svg"]


def test_what_would_fill_pages_of_svg_is_an_image_in_it():
    def images(draw):
        fig, ax = plotting.figure()
        draw(ax)
        return svg(fig).count("<image")

    rng = np.random.default_rng(0)
    assert images(lambda ax: ax.pcolormesh(rng.normal(size=(40, 50)))) == 1
    assert images(lambda ax: ax.scatter(*rng.normal(size=(2, 3000)))) == 1
    assert images(lambda ax: ax.scatter(*rng.normal(size=(2, 300)))) == 0
    assert images(lambda ax: ax.fill_between(np.arange(9000), np.arange(9000))) == 0


def overlaps(texts):
    boxes = [text.get_window_extent() for text in texts]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


@pytest.mark.parametrize("at", [None, 0.95])
def test_names_of_curves_do_not_overlap_and_stand_at_their_ends(at):
    fig, ax = plotting.figure()
    x = np.linspace(0, 1, 50)
    heights = [0.0, 0.01, 0.02, 0.5, 1.0, 1.0, 0.03]
    for i, height in enumerate(heights):
        ax.plot(x, height * x, label=f"curve {i}")
    plotting.points(ax, [0.5], [0.5])
    plotting.label_curves(ax, at=at)
    fig.draw_without_rendering()
    assert [text.get_text() for text in ax.texts] == [f"curve {i}" for i in range(7)]
    assert [text.get_color() for text in ax.texts] == [line.get_color() for line in ax.lines[:7]]
    assert overlaps(ax.texts) == []
    shown = [text.get_window_extent().y0 for text in ax.texts]
    order = [0, 1, 2, 6, 3]
    assert shown[4] != shown[5] and sorted(order, key=lambda i: shown[i]) == order
    alone = ax.texts[3]  # which has room, and so stands beside its curve
    here = ax.transData.transform([x[-1] if at is None else at, 0.5 * (at or 1)])
    box = alone.get_window_extent()
    assert abs((box.y0 + box.y1) / 2 - here[1]) < (3 if at is None else 20)
    assert box.x0 > here[0] if at is None else box.x0 < here[0] < box.x1


@pytest.mark.parametrize("at", [0.25, 0.0])
def test_a_name_stands_on_a_curve_whichever_way_it_runs(at):
    fig, ax = plotting.figure()
    ax.plot([1.0, 0.4, 0.0], [3.0, 1.2, 0.0], label="from the right")
    plotting.label_curves(ax, at=at)
    assert ax.texts[0].xy == pytest.approx((at, 3 * at))


@pytest.mark.parametrize("exponent", [-0.5, 0.0])
@pytest.mark.parametrize(("ends", "low", "high"), [((0.0, 1.0), 0.1, 9.0), ((0.25, 0.5), 0.25, 2)])
def test_a_power_law_is_medians_and_ranges_beside_a_slope(exponent, ends, low, high):
    rows = {"width": [10, 1000] * 3, "error": [1.0, 0.1, 9.0, 0.4, 2.0, 0.9], "kind": "a"}
    fig, ax = plotting.figure()
    plotting.power_law(
        ax, pd.DataFrame(rows), "error", by="kind", exponent=exponent, quantiles=ends
    )
    curve, slope = ax.lines
    assert (curve.get_label(), [*curve.get_ydata()]) == ("a", [2.0, 0.4])
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert [heights.min(), heights.max()] == pytest.approx([low, high])
    assert slope.get_label() == rf"slope ${exponent:g}$"
    assert [*slope.get_ydata()] == pytest.approx([0.8 * 0.01**exponent, 0.8])


def test_names_follow_what_is_seen_of_a_curve():
    fig, ax = plotting.figure()
    ax.plot([0, 1, 2], [0, 1, 9], label="leaves")
    ax.plot([0, 1, np.nan], [1, 0, 0], label="stops")
    ax.plot([7, 8], [0, 0], label="elsewhere")
    ax.plot([0, 1], [0, 1], label="_unnamed")
    ax.set(xlim=(0, 2), ylim=(-0.5, 2))
    plotting.label_curves(ax, fontsize=8)
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        ("leaves", (1.0, 1.0)),
        ("stops", (1.0, 0.0)),
    ]
    assert {text.get_fontsize() for text in ax.texts} == {8}


def test_heights_are_spread_as_little_as_can_be():
    rng = np.random.default_rng(1)
    for _ in range(20):
        heights = rng.uniform(0, 5, size=6)
        found = spread(heights, 1.0)
        order = np.argsort(heights)
        gaps = {"type": "ineq", "fun": lambda z, o=order: np.diff(z[o]) - 1}
        best = optimize.minimize(
            lambda z, h=heights: sum((z - h) ** 2), 3 * heights, constraints=gaps
        )
        np.testing.assert_allclose(found, best.x, atol=1e-3)
    np.testing.assert_array_equal(spread(np.array([3.0, 0.0]), 1.0), [3.0, 0.0])


def test_lines_differ_in_color_and_in_dash():
    _, ax = plotting.figure()
    lines = [ax.plot([0, 1], [0, k])[0] for k in range(6)]
    assert len({line.get_color() for line in lines}) == 6
    assert len({str(line._dash_pattern) for line in lines}) == 6


def test_colors_differ_in_lightness_from_the_ground_and_their_neighbours():
    def luminance(color):
        linear = np.array(to_rgb(color)) ** 2.2
        return float(linear @ [0.2126, 0.7152, 0.0722])

    _, ax = plotting.figure()
    ground = luminance(ax.get_facecolor())
    for color in plotting.COLORS:
        assert (ground + 0.05) / (luminance(color) + 0.05) > 2
    assert len(set(plotting.COLORS)) == len(plotting.COLORS)


def test_points_are_drawn_on_top_without_a_line():
    _, ax = plotting.figure()
    (line,) = ax.plot([0, 1], [1, 0])
    plotting.points(ax, [0.1, 0.7], [3.0, -2.0], label="mine")
    data = ax.lines[-1]
    assert data.get_xydata().tolist() == [[0.1, 3.0], [0.7, -2.0]]
    assert data.get_linestyle() == "None"
    assert data.get_zorder() > line.get_zorder()
    assert data.get_label() == "mine"


def test_power_laws_show_medians_ranges_and_a_slope():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            {"width": n, "error": rng.uniform(0.5, 2) / n, "kind": kind}
            for kind in ("b", "a")
            for n in (10, 100, 1000)
            for _ in range(4)
        ]
    )
    _, ax = plotting.figure()
    plotting.power_law(ax, table, "error", by="kind", exponent=-0.5)
    *curves, guide = ax.lines
    assert [curve.get_label() for curve in curves] == ["b", "a"]
    for curve in curves:
        rows = table[table["kind"] == curve.get_label()]
        expected = [rows[rows["width"] == n]["error"].median() for n in (10, 100, 1000)]
        np.testing.assert_allclose(curve.get_ydata(), expected)
        np.testing.assert_array_equal(curve.get_xdata(), [10, 100, 1000])
    for band, kind in zip(ax.collections, ("b", "a"), strict=True):
        rows = table[table["kind"] == kind]
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.max() == pytest.approx(rows["error"].max())
        assert heights.min() == pytest.approx(rows["error"].min())
    (left, right), (high, low) = guide.get_data()
    assert np.log(low / high) / np.log(right / left) == pytest.approx(-0.5)
    assert "-0.5" in guide.get_label()
    assert (left, right) == (10, 1000)
    assert low == pytest.approx(2 * table[table["width"] == 1000]["error"].median())
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")


def test_power_laws_shade_between_quantiles():
    table = pd.DataFrame({"width": [10] * 5 + [20] * 5, "error": [5, 1, 2, 3, 4] * 2, "kind": "a"})
    _, ax = plotting.figure()
    plotting.power_law(ax, table, "error", by="kind", quantiles=(0.25, 0.75))
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (2, 4)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [3, 3])


def test_any_number_of_curves_are_drawn_each_in_its_own_way():
    names = [None, *range(1, 29)]  # what has no name is a curve, too
    table = pd.DataFrame(
        [{"width": n, "error": (k or 30.0) / n, "kind": k} for k in names for n in (1, 10)]
    )
    _, ax = plotting.figure()
    plotting.power_law(ax, table, "error", by="kind")
    assert [line.get_ydata()[0] for line in ax.lines] == [30.0, *range(1, 29)]
    assert len({(line.get_color(), line.get_marker()) for line in ax.lines}) == 29


@pytest.mark.parametrize("quantiles", [(0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_a_range_may_end_at_the_median(quantiles):
    table = pd.DataFrame({"width": [10] * 3, "error": [1.0, 2.0, 6.0], "kind": "a"})
    _, ax = plotting.figure()
    plotting.power_law(ax, table, "error", by="kind", quantiles=quantiles)
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    expected = np.quantile([1.0, 2.0, 6.0], quantiles)
    assert (heights.min(), heights.max()) == tuple(expected)


def test_without_an_exponent_there_is_no_guide():
    _, ax = plotting.figure()
    table = pd.DataFrame({"width": [1, 2], "error": [1.0, 0.5], "kind": "a"})
    plotting.power_law(ax, table, "error", by="kind")
    assert len(ax.lines) == 1
