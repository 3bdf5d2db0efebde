"""The script of a slider, run by a browser: text and picture belong to the position chosen."""

import re

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from mflib import plotting
from tools.browser import FLAGS, find_browser

X = np.linspace(-1.0, 2.0, 7)
CURVES = np.array([np.sin(k * X) for k in range(5)])
TEXTS = [f"k = {k}" for k in range(5)]
POINTS = np.array([[0.1 * k, -0.2 * k] for k in range(5)])


@pytest.fixture(scope="module")
def page(browser):
    slider = plotting.slider(
        X,
        {"y": CURVES, "z": CURVES[::-1]},
        TEXTS,
        name="waves",
        label="frequency",
        description="Waves.",
        data=([0.0, 1.0], POINTS),
    )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = chromium.new_page()
        page.set_content(slider.data)
        yield page
        chromium.close()


def heights(page):
    """The heights of the points of each moving path, as they are now."""
    paths = [path.get_attribute("d") for path in page.locator("path.moving").all()]
    return [
        np.array([float(point.split(",")[1]) for point in re.split("h0M|L", d[1:-2])])
        for d in paths
    ]


def assert_drawn_as(found, values, frames):
    """Check heights against values, on the scale that all frames of a panel share."""
    low, high = np.min(frames), np.max(frames)
    margin = 0.04 * (high - low)
    share = (values - low + margin) / (high - low + 2 * margin)
    np.testing.assert_allclose(160 - 150 * share, found, atol=0.11)


@pytest.mark.parametrize("k", [3, 0, 4, 1, 2])
def test_text_and_picture_are_those_of_the_position(page, k):
    slider = page.locator("input")
    slider.evaluate("(it, k) => { it.value = k; it.dispatchEvent(new Event('input')) }", k)
    assert page.locator("output").inner_text() == TEXTS[k]
    assert slider.get_attribute("aria-valuetext") == TEXTS[k]
    curve, points, below = heights(page)
    everything = np.append(CURVES, POINTS)
    assert_drawn_as(curve, CURVES[k], everything)
    assert_drawn_as(points, POINTS[k], everything)
    assert_drawn_as(below - 180, CURVES[4 - k], CURVES)


def test_the_ends_are_the_first_and_the_last(page):
    slider = page.locator("input")
    for key, text in (("End", TEXTS[-1]), ("Home", TEXTS[0])):
        slider.press(key)
        assert page.locator("output").inner_text() == text
