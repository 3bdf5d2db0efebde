"""A plane slider shows the closed curves, dots and lines that it was given, on one scale."""

import json
import re

import numpy as np
import pytest

from mflib import plotting

SQUARE = np.array([[1.0, 1], [-1, 1], [-1, -1], [1, -1]])
CURVES = {"a < b": [SQUARE, 2 * SQUARE], "b": [SQUARE + [1, 0], SQUARE]}
DOTS = {"b": [[0.0, 0], [1, 0.5]]}


def page(**changes):
    options = {
        "values": ["r = 1", "r < 2"],
        "name": "balls",
        "label": "radius",
        "description": 'a "ball"',
        "dots": DOTS,
        "still": [[-9.0, 3], [9, -3]],
    }
    return plotting.plane_slider(**{"curves": CURVES, **options, **changes}).data


def places(path):
    """The points of a path, in pixels: its start, then differences."""
    first, _, steps = path.removesuffix("z").removesuffix("h0")[1:].partition("l")
    pairs = [point.split(",") for point in (first, *steps.split())]
    return np.cumsum(np.array(pairs, dtype=float), axis=0) / 10


def frames(text):
    """For each moving path its points at every position, as the script takes them."""
    found = json.JSONDecoder().raw_decode(text[text.index("frames = ") + 9 :])[0]
    return [[places(path) for path in paths] for paths in found]


def drawn(text):
    return [places(path) for path in re.findall(r'class="moving" d="([^"]*)"', text)]


def test_curves_dots_trails_and_lines_are_those_given_on_one_scale():
    text = page()
    first, second, trail, dot = frames(text)
    still, _ = re.findall(r'<path d="(M-?\d+,-?\d+l[^"]*)"', text)
    found = np.concatenate([*first, *second, *dot, trail[1], places(still)])
    balls = [ball for panel in CURVES.values() for ball in panel]
    given = np.concatenate([*balls, DOTS["b"], DOTS["b"], [[-9, 3], [9, -3]]])
    (scale, x0), (up, y0) = (np.polyfit(given[:, i], found[:, i], 1) for i in (0, 1))
    np.testing.assert_allclose(given * [scale, up] + [x0, y0], found, atol=0.06)
    assert scale > 0
    np.testing.assert_allclose(up, -scale, rtol=1e-3)
    assert [len(points) for points in trail] == [1, 2]


@pytest.mark.parametrize("start", [0, 1])
def test_the_picture_begins_at_the_start_and_the_script_takes_the_position(start):
    text = page(start=start)
    for path, positions in zip(drawn(text), frames(text), strict=True):
        np.testing.assert_array_equal(path, positions[start])
    assert f'max="1" step="1" value="{start}"' in text
    assert 'path.setAttribute("d", frames[j][k])' in text
    assert "const k = Number(input.value);" in text


def test_ticks_stand_where_they_say():
    text = page(curves={"b": [SQUARE * 3, SQUARE]}, dots=None, still=None)
    (outer,) = [positions[0] for positions in frames(text)]
    left, right = outer[:, 0].min(), outer[:, 0].max()
    ticks = re.findall(r'<text x="([\d.]+)" y="208" text-anchor="middle">([^<]*)<', text)
    assert len(ticks) >= 3
    for place, label in ticks:
        expected = left + (right - left) * (float(label) + 3) / 6
        assert abs(float(place) - expected) < 0.11


def test_texts_are_escaped_and_the_page_is_the_same_each_time():
    text = page()
    assert text == page() and "http" not in text
    assert "a &lt; b</text>" in text and 'aria-label="a &quot;ball&quot;"' in text
    assert 'aria-valuetext="r &lt; 2"' in page(start=1) and "r < 2" not in text


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"curves": {"a": [SQUARE]}},
            r"curves\['a'\] has shape \(1, 4, 2\), .* \(2, N, 2\)",
        ),
        ({"curves": {"a": np.ones((2, 0, 2))}}, r"curves\['a'\] has shape \(2, 0, 2\)"),
        ({"curves": {"a": np.full((2, 4, 2), np.nan)}}, r"curves\['a'\] contains nan"),
        ({"curves": {"a": np.ones((2, 4, 2))}, "dots": None}, "all points .* agree"),
        ({"dots": {"b": [[1, 2]]}}, r"dots\['b'\] has shape \(1, 2\), but needs \(2, 2\)"),
        ({"dots": {"u": DOTS["b"]}}, r"dots names {'u'}, .* \['a < b', 'b'\]"),
        ({"still": [1.0, 2.0]}, r"still must have the shape \(M, 2\), got \(2,\)"),
        ({"start": 2}, "start must be between 0 and 1, got 2"),
    ],
)
def test_a_plane_slider_names_what_does_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        page(**changes)
