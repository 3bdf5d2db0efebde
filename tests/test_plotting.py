"""Figures hold the numbers they were given."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib_inline import backend_inline, config

from mflib import plotting


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


def test_notebooks_store_sharp_figures_unless_the_reader_chose_otherwise(monkeypatch):
    inline, formats = SimpleNamespace(figure_formats={"png"}), []
    monkeypatch.setattr(config.InlineBackend, "instance", lambda: inline)
    monkeypatch.setattr(backend_inline, "set_matplotlib_formats", formats.append)
    plotting.figure()
    assert formats == [], "no notebook, nothing to change"
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    plotting.figure()
    assert formats == ["retina"]
    inline.figure_formats = {"svg"}
    plotting.figure()
    assert formats == ["retina"]


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
