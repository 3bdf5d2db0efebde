"""A slider shows the curves that it was given, to a tenth of a pixel, and says which."""

import json
import re

import numpy as np
import pytest

from mflib import plotting


def page(**changes):
    x = np.linspace(0.0, 1.0, 5)
    options = {
        "panels": {"y": [x, x**2], "z": [-x, 3 * x]},
        "values": ["p = 1", "p < 2"],
        "name": "powers",
        "label": "exponent",
        "description": 'a "curve"',
        "reference": ("line", {"y": 1 - x}),
        "data": ([0.5], [0.25]),
    }
    return plotting.slider(x, **{**options, **changes}).data


def constant(text, name):
    """The value of a constant in the script."""
    start = text.index(f"{name} = ") + len(name) + 3
    return json.JSONDecoder().raw_decode(text[start:])[0]


def drawn(text):
    """The points of each path that carries a curve or dots, as the browser finds them."""
    paths = re.findall(r'd="M(\S+?)h0" fill="none" stroke="(#\w+)"', text)
    assert paths
    return [
        (color, np.array([p.split(",") for p in re.split("h0M|L", points)], dtype=float))
        for points, color in paths
    ]


def moved(text):
    """For each moving path its heights at every position, added up as the script does."""
    return [np.cumsum(steps, axis=-1) / 10 for _, steps in constant(text, "curves")]


def assert_drawn_as(heights, values):
    """Check that heights are the values, turned upside down and on a scale of their own."""
    slope, start = np.polyfit(values, heights, 1)
    assert slope < 0
    np.testing.assert_allclose(start + slope * np.asarray(values), heights, atol=0.1)


def test_the_curves_are_those_given():
    top, bottom = moved(page())
    assert top.shape == bottom.shape == (2, 5)
    assert_drawn_as(top.ravel(), [0, 0.25, 0.5, 0.75, 1, 0, 1 / 16, 0.25, 9 / 16, 1])
    assert_drawn_as(bottom.ravel(), [0, -0.25, -0.5, -0.75, -1, 0, 0.75, 1.5, 2.25, 3])
    assert top.max() < bottom.min(), "the second panel is below the first"
    np.testing.assert_allclose(top.min() - 10, 160 - top.max(), atol=0.11)  # equal margins


@pytest.mark.parametrize("start", [0, 1])
def test_the_first_picture_needs_no_script(start):
    text = page(start=start)
    moving = [points for color, points in drawn(text) if color == "#0072B2"]
    for points, heights in zip(moving, moved(text), strict=True):
        np.testing.assert_allclose(points[:, 1], heights[start], atol=1e-9)
        np.testing.assert_allclose(points[:, 0], constant(text, "across")[0])
    assert f'value="{start}"' in text and ">p &lt; 2</output>" in page(start=1)


def test_what_stays_shares_the_scale_of_what_moves():
    text = page()
    (line,) = (points for color, points in drawn(text) if color == "#D55E00")
    (dot,) = (points for color, points in drawn(text) if color == "#1a1a1a")
    top = moved(text)[0]
    np.testing.assert_allclose(line[::-1, 1], top[0])
    np.testing.assert_allclose(dot, [[line[2, 0], top[0, 1]]])
    assert text.count('class="moving"') == 2 and "dashed: line" in text


def test_references_and_points_may_move_along():
    x = np.linspace(0.0, 1.0, 5)
    rows, targets = [1 - x, 1 - x**2], [[0.5, 1.0], [0.25, 1.0]]
    text = page(reference=("line", {"y": rows}), data=([0.5, 1.0], targets))
    dashed, solid, dots, _ = moved(text)
    assert [kind for kind, _ in constant(text, "curves")] == [0, 0, 1, 0]
    np.testing.assert_allclose(dashed[0, ::-1], solid[0])
    np.testing.assert_allclose(dots, solid[:, [2, 4]])
    assert len(constant(text, "across")[1]) == 2


def test_a_reference_is_drawn_in_its_own_panel():
    """Dashed, on the scale of that panel, which makes room for it."""
    low, high = np.linspace(0.0, 0.5, 5), [5.0, 3.0, 0.0, -3.0, -4.0]
    text = page(reference=("line", {"z": high, "y": low}))
    above, line = (points for color, points in drawn(text) if color == "#D55E00")
    assert len(re.findall('stroke="#D55E00"[^/]*stroke-dasharray', text)) == 2
    top, bottom = moved(text)
    assert_drawn_as(
        [*line[:, 1], *bottom.ravel()],
        [5, 3, 0, -3, -4, 0, -0.25, -0.5, -0.75, -1] + [0, 0.75, 1.5, 2.25, 3],
    )
    np.testing.assert_allclose(line[:, 0], constant(text, "across")[0])
    assert line[:, 1].min() > top.max(), "it is in the second panel"
    assert_drawn_as([*above[:, 1], *top[0]], [*low, 0, 0.25, 0.5, 0.75, 1])


def test_the_script_takes_text_and_frame_at_the_position_of_the_slider():
    text = page()
    assert 'type="range" min="0" max="1" step="1"' in text
    script = text[text.index("const curves") :]
    places = set(re.findall(r"\w+\[[^]]*\]", script[script.index("input.addEvent") :]))
    assert places == {"values[k]", "curves[j]", "across[kind]", "steps[k]", "joins[kind]"}
    assert "const k = Number(input.value);" in script and "steps[k][i]" in script


def ticks(text, anchor):
    return re.findall(rf'text-anchor="{anchor}">([^<]*)</text>', text)


SCALES = [(0, 1), (1.6e9, 3600), (0, 1e-12), (1e9, 1), (-1e9, 1), (3, 1e-9), (1e15, 1), (0, 1e300)]


@pytest.mark.parametrize(
    ("start", "width"), [*SCALES, (0.1, 5e-16), (0, 1e-305), (-7e-9, 1e-8), (1.25, 0.01)]
)
def test_ticks_say_where_they_are_at_any_scale(start, width):
    x = np.unique(start + width * np.linspace(0, 1, 9))
    text = plotting.slider(x, {"y": [x]}, ["a"], name="n", label="l", description="d").data
    for anchor, axis in (("middle", "x"), ("end", "y")):
        labels = [label for label in ticks(text, anchor) if label[0] not in "xy"]
        assert len(labels) == len(set(labels)) >= 2
        (title,) = re.findall(rf">({axis}[^<]*)</text>", text)
        offset = float(title[1:].replace(" − ", "") or 0) if "+" not in title else -float(title[3:])
        values = np.array(labels, dtype=float) + offset
        assert np.ptp(values) >= 0.4 * np.ptp(x)
        assert (values >= x[0] - 0.01 * np.ptp(x)).all()
        assert (values <= x[-1] + 0.01 * np.ptp(x)).all()
        if anchor == "middle":  # and they stand there
            places = re.findall(r'<text x="([\d.]+)" y="178" text-anchor="middle">', text)
            expected = 64 + 384 * (values - x[0]) / np.ptp(x)
            np.testing.assert_allclose(np.array(places, float), expected, atol=390 * 2e-3 + 0.1)


@pytest.mark.parametrize("height", [0.0, 5.3, -1e-12, 1e9 + 0.25])
def test_a_constant_curve_has_its_value_at_the_axis(height):
    text = page(panels={"y": np.full((2, 5), height)}, reference=None, data=None)
    assert [float(label) for label in ticks(text, "end")] == [pytest.approx(height, rel=1e-5)]


def test_a_slider_is_labelled_escaped_and_the_same_each_time():
    text = page()
    assert text == page()
    assert '<label for="powers-range">exponent: ' in text and 'id="powers-range"' in text
    assert 'role="img" aria-label="a &quot;curve&quot;"' in text
    assert 'aria-valuetext="p &lt; 2"' in page(start=1)
    assert constant(text, "values") == ["p = 1", "p < 2"]
    assert "p < 2" not in text, "unescaped text ends up in the page"
    assert "http" not in text


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"panels": {"y": [[1.0, 2.0]]}}, r"panels\['y'\] has shape \(1, 2\), .* need \(2, 5\)"),
        ({"panels": {"y": np.ones(5)}}, r"panels\['y'\] has shape \(5,\)"),
        ({"panels": {"y": np.full((2, 5), np.nan)}}, r"panels\['y'\] contains nan"),
        ({"reference": ("line", {"y": [1.0]})}, r"reference\['y'\] .* need \(5,\) or \(2, 5\)"),
        ({"reference": ("line", {"u": [1.0]})}, r"reference names {'u'}, .* \['y', 'z'\]"),
        ({"data": ([0.5], [0.1, 0.2])}, r"data\[1\] has shape \(2,\)"),
        ({"start": 2}, "start must be between 0 and 1, got 2"),
        ({"panels": {}}, "panels must map labels to curves, got dict"),
        ({"values": [1, 2]}, r"values must be texts, got \[1, 2\]"),
        ({"start": 0.5}, "start must be an integer, got 0.5"),
    ],
)
def test_a_slider_names_what_does_not_fit(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        page(**changes)


def test_abscissae_increase():
    with pytest.raises(ValueError, match="x must be at least two increasing abscissae"):
        plotting.slider([0, 0], {"y": [[1, 2]]}, [""], name="n", label="l", description="d")
