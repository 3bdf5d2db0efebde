"""Every page of the built book, as a reader meets it: from disk, without a network."""

import time

import pytest
from visit import Visit, broken_links, open_offline, uncited_figures, watched, with_browser

WEIGHT = 1_500_000  # bytes that a page may load, apart from MathJax
PAINT = 3000  # milliseconds to the first text; a machine at rest needs less than 1000
FIRST_TEXT = """new Promise((done) => new PerformanceObserver((paints) => {
  for (const { startTime } of paints.getEntriesByName("first-contentful-paint"))
    done(performance.timeOrigin + startTime);
}).observe({ type: "paint", buffered: true }))"""

CHECKS = {
    "visit": "the page can be visited",
    "console": "no error or warning on the console",
    "outside": "nothing is asked of a network",
    "failed": "every file that the page loads is there",
    "equations": "every equation is typeset",
    "cut": "nothing is cut at the edge of the text on a desktop",
    "stops": "no formula that fits its place is a stop of the tab key",
    "sliders": "every slider moves by mouse and by keyboard, and moves its picture",
    "figures": "every figure has alternative text, a caption and a number",
    "type": "type in figures has 11 pixels or more, on a desktop and on a phone",
    "drawings": "no figure is wider than a phone",
    "light": "axe-core finds no fault",
    "dark": "axe-core finds no fault of colour in the dark",
    "phone": "axe-core finds no fault on a phone",
    "sideways": "a phone scrolls in one direction only",
    "lost": "on a phone all that is wide can be scrolled to",
}


@pytest.mark.parametrize("kind", CHECKS)
def test_every_page(visits, kind):
    found = [
        f"{seen.page.name}: {message}"
        for seen in visits
        for message in seen.complaints.get(kind, [])
    ]
    if found:
        pytest.fail(f"{CHECKS[kind]}:\n" + "\n".join(found), pytrace=False)


def test_book_has_pages_and_sliders(visits):
    assert len(visits) >= 17
    assert sum(seen.sliders for seen in visits) >= 3


def test_links_and_downloads_lead_somewhere(visits):
    assert broken_links(visits) == []


def test_figures_are_cited(visits):
    assert uncited_figures(visits) == []


def test_pages_are_light(visits):
    heavy = {seen.page.name: seen.weight for seen in visits if seen.weight > WEIGHT}
    assert heavy == {}


def test_first_page_is_painted_soon(book, capsys):
    async def open_first_page(browser):
        page = await open_offline(browser)
        start = 1000 * time.time()
        await page.goto((book / "index.html").as_uri())
        await page.wait_for_url("**/chapters/*.html")
        return await page.evaluate(FIRST_TEXT) - start

    async def best_of_three(browser):
        return min([await open_first_page(browser) for _ in range(3)])

    milliseconds = with_browser(best_of_three)
    with capsys.disabled():
        print(f"\nfirst page painted after {milliseconds:.0f} ms")
    assert milliseconds < PAINT


def test_search_finds_a_word_of_the_book(book):
    async def search(browser):
        seen = Visit(book)
        page = await open_offline(browser)
        with watched(page, seen):
            await page.goto((book / "chapters/notation.html").as_uri())
            await page.keyboard.press("Control+k")
            await page.keyboard.type("hypentropy")
            await page.keyboard.press("Enter")
            await page.wait_for_selector("#search-results li a")
            await page.wait_for_selector("p.search-summary:has-text('finished')")
            await page.wait_for_load_state()
        found = await page.locator("#search-results li a").evaluate_all(
            "(links) => links.map(String)"
        )
        return found, seen.complaints

    found, complaints = with_browser(search)
    assert any("scaled_potentials.html" in link for link in found)
    assert not complaints
