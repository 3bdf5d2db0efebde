"""Every page of the built book, as a reader meets it: from disk, without a network."""

import re
import time

import pytest
from visit import (
    Visit,
    broken_links,
    empty_cards,
    open_offline,
    uncited_figures,
    watched,
    with_browser,
)

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
    "mute": "every equation says to a screen reader what it is",
    "cut": "nothing is cut at the edge of the text on a desktop",
    "shift": "nothing moves while the page loads",
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
    "unseen": "on a phone what scrolls sideways fades where there is more",
    "outputs": "on a phone four outputs of five fit or wrap",
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


def test_links_show_a_card(visits):
    assert empty_cards(visits) == []
    assert sum(len(seen.cards) for seen in visits) > 400


def test_pages_are_light(visits):
    heavy = {seen.page.name: seen.weight for seen in visits if seen.weight > WEIGHT}
    assert heavy == {}


def test_search_and_indices_speak_no_tex(book):
    for name in ("genindex.html", "prf-prf.html"):
        text = (book / name).read_text("utf-8").partition("<article")[2].partition("</article>")[0]
        words = re.sub("<[^>]*>", " ", text)
        assert not re.search(r"[$\\\\]|\bmf-nearest\b", words), name
    listed = (book / "prf-prf.html").read_text("utf-8")
    assert "Theorem 1.1 (Nearest interpolant)" in listed


def test_excerpts_show_formulas_as_characters(book):
    async def excerpt(browser):
        page = await open_offline(browser)
        await page.goto((book / "search.html").as_uri())
        return await page.evaluate(
            "(text) => Search.htmlToText(text)",
            r"""<main role="main"><p>Let <span class="math">\(\varphi''(x) \ge \frac{1}{n}\)</span>,
            and <span class="math">\(\theta_k \in \RR^2\)</span></p></main>""",
        )

    text = " ".join(with_browser(excerpt).split())
    assert text == "Let φ''(x) ≥ 1/n, and θ_k ∈ ℝ²"


def test_one_switch_for_all_code_is_remembered(book):
    async def act(browser):
        page = await open_offline(browser)
        state = (
            "() => [...document.querySelectorAll('.cell details.hide')].map((fold) => fold.open)"
        )
        states = []
        await page.goto((book / "chapters/mirror_flow.html").as_uri())
        states.append(await page.evaluate(state))
        await page.locator(".btn-code-switch").press("Enter")
        states.append(await page.evaluate(state))
        await page.goto((book / "chapters/lazy_training.html").as_uri())
        states.append(await page.evaluate(state))
        return states, await page.locator(".btn-code-switch").get_attribute("aria-pressed")

    (folded, opened, next_page), pressed = with_browser(act)
    assert len(folded) > 3
    assert not any(folded)
    assert all(opened) and all(next_page)
    assert pressed == "true"


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
