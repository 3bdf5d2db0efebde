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
