"""Open pages in the system's Chromium, without a network, and note what is wrong with each."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, Error, Page, async_playwright

from tools.browser import FLAGS, find_browser

DESKTOP, PHONE, SMALL_PHONE = ({"width": w, "height": 800} for w in (1280, 390, 320))
AT_ONCE = 2
SECONDS = 300
INSPECT = Path(__file__).with_name("inspect.js").read_text("utf-8")
TYPESET = "() => window.MathJax?.startup?.promise.then(() => null)"
UNFOLD = """() => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  document.querySelectorAll(".toggle-hidden button.toggle-button").forEach((b) => b.click());
}"""
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
# What a change of colours or of width does not change is not checked again.
COLOURS = ["color-contrast", "link-in-text-block"]
IN_DARK = {"runOnly": {"type": "rule", "values": COLOURS}}
ON_PHONE = {"rules": {rule: {"enabled": False} for rule in COLOURS}}
# What axe need not see: strokes of equations, and of the tokens of code coloured alike all but one.
LEAN = """() => {
  for (const drawn of document.querySelectorAll(
      "mjx-container svg, mjx-assistive-mml math, .drawing svg"))
    drawn.replaceChildren();
  const kinds = new Set();
  const alike = [...document.querySelectorAll("pre, .sig")].flatMap((code) => {
    const ground = getComputedStyle(code).backgroundColor;
    return [...code.querySelectorAll("span")].filter((token) => {
      const kind = [token.className, token.parentElement.className, ground].join();
      return kinds.has(kind) || !kinds.add(kind);
    });
  });
  for (const token of alike) token.replaceWith(...token.childNodes);
}"""
# axe does not read MathML: a head of a table that is an equation looks empty to it, and only to it.
AXE = """(options) => axe.run({ resultTypes: ["violations"], preload: false, ...options }).then(
  ({ violations }) => violations.flatMap(({ id, nodes }) => nodes
    .filter(({ target }) => id !== "empty-table-header" ||
      !document.querySelector(target[0])?.querySelector("mjx-assistive-mml math"))
    .map((node) => `${id}: ${node.target} ${node.failureSummary.replace(/\\s+/g, " ")}`)))"""
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
RESIZED = 400  # milliseconds after which the theme has seen to a change of width
PICTURE = """(input) => {
  let box = input;
  while (box && !box.querySelector("svg, img")) box = box.parentElement;
  return [...(box?.querySelectorAll("svg, img") ?? [])].map((picture) => picture.outerHTML).join();
}"""
LOST = """() => [...document.querySelectorAll(
    ":is(article, main) :is(svg:not(svg svg), img, pre, table)")]
  .filter((part) => {
    const { right } = part.getBoundingClientRect();
    for (let box = part.parentElement; box; box = box.parentElement) {
      const { overflowX } = getComputedStyle(box);
      if (/auto|scroll/.test(overflowX)) return false;
      if (/hidden|clip/.test(overflowX) && right > box.getBoundingClientRect().right + 1)
        return true;
    }
  }).map((part) => `${part.tagName} in ${part.closest("p, li, dd, div, section").outerHTML}`
    .slice(0, 200))"""
LEAST_TYPE = 11  # pixels, as shown
# Matplotlib's type is a group that is scaled to a hundredth of its size, and subscripts within it.
# The first visit, when all is drawn and before LEAN, notes the smallest size in each figure.
SMALL_TYPE = """(least) => [...document.querySelectorAll(".drawing")].flatMap((drawing) => {
  const sizes = [...drawing.querySelectorAll(".whole g[transform*='scale(']")]
    .map((type) => 100 * Number(/scale\\(([\\d.]+)/.exec(type.getAttribute("transform"))[1]));
  if (sizes.length) drawing.dataset.type = Math.min(...sizes);
  const shown = [...drawing.querySelectorAll(":scope > svg, :scope > .stack > * > svg")]
    .map((svg) => svg.getBoundingClientRect().width && svg.getScreenCTM().a * drawing.dataset.type)
    .filter((size) => size > 0);
  const smallest = Math.min(...shown);
  const name = drawing.closest("figure")?.id;
  return smallest >= least - 0.05 ? [] : [`type of ${smallest.toFixed(1)} px in ${name}`];
})"""
CUT_DRAWINGS = """() => [...document.querySelectorAll(".drawing :is(.whole, .stack > * > svg)")]
  .filter((svg) => {
    const { left, right, width } = svg.getBoundingClientRect();
    const page = svg.closest(".drawing").parentElement.getBoundingClientRect();
    return width && (left < page.left - 1 || right > page.right + 1);
  }).map((svg) => `a panel of ${svg.closest("figure")?.id} is wider than the text`)"""
SHIFT_AT_MOST = 0.1
SHIFTS = """new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) if (!shift.hadRecentInput) sum += shift.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 100);
})"""
# The text of the card of each link that has one, as the keyboard meets it.
CARDS = """async () => {
  const cards = {};
  let patience = 3; // times to wait for the file of cards; after that it is there, or there is none
  for (const link of document.querySelectorAll("article a[href*='#']:not(.headerlink)")) {
    if (link.href in cards || !link.checkVisibility()) continue;
    link.focus({ preventScroll: true, focusVisible: true });
    const turns = link.pathname !== location.pathname && patience-- > 0 ? 30 : 2;
    for (let i = 0; i < turns && !link.hasAttribute("aria-describedby"); i++)
      await new Promise((done) => setTimeout(done, i && 10));
    const card = document.getElementById(link.getAttribute("aria-describedby"));
    const picture = card?.querySelector("img, svg, mjx-container") ? "a picture" : "";
    if (card) cards[link.href] = card.textContent.trim() || picture;
    link.blur();
  }
  return cards;
}"""
WIDE_OUTPUTS = 0.2  # the share of a page's outputs that may scroll on a phone
OUTPUTS = """() => [...document.querySelectorAll("article .cell_output :is(pre, table)")]
  .map((part) => [part, part.closest(".pst-scrollable-table-container, .text_html") ?? part]
    .some((box) => box.scrollWidth > box.clientWidth + 2))"""
UNSEEN = """() => [...document.querySelectorAll(
    "article :is(pre, mjx-container[display], .pst-scrollable-table-container)")]
  .filter((box) => box.clientWidth && box.scrollWidth > box.clientWidth + 2 &&
    /auto|scroll/.test(getComputedStyle(box).overflowX) &&
    getComputedStyle(box).maskImage === "none")
  .map((box) => `${box.scrollWidth - box.clientWidth} px of ${box.outerHTML.slice(0, 90)}`)"""
SET = """(input, value) => {
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}"""
AT_END = "(input) => Number(input.value) * 2 > Number(input.min) + Number(input.max)"


@dataclass
class Visit:
    """What one visit to a page saw: complaints by kind, and what other pages may refer to."""

    page: Path
    complaints: dict[str, list[str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    citations: set[str] = field(default_factory=set)
    figures: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)  # addresses of what a link to it shows in a card
    cards: dict[str, str] = field(default_factory=dict)  # by the address of the link
    sliders: int = 0
    weight: int = 0  # of everything the page loads, apart from MathJax, in bytes

    def complain(self, kind: str, messages: Iterable[str]) -> None:
        self.complaints.setdefault(kind, []).extend(messages)


def visit_all(pages: Iterable[Path]) -> list[Visit]:
    return with_browser(_visit_all, pages)


def with_browser(action: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Return what the action makes of a browser and of its other arguments."""

    async def act() -> Any:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
            return await action(browser, *arguments)

    return asyncio.run(act())


async def _visit_all(browser: Browser, pages: Iterable[Path]) -> list[Visit]:
    visits = list(map(Visit, pages))
    waiting = iter(visits)

    async def keep_visiting() -> None:
        page = await open_offline(browser)  # for all: a new tab would compile the scripts again
        for seen in waiting:
            await visit(page, seen)
            if "visit" in seen.complaints:
                await page.context.close()
                page = await open_offline(browser)

    await asyncio.gather(*(keep_visiting() for _ in range(AT_ONCE)))
    return visits


async def open_offline(browser: Browser) -> Page:
    """Open an empty page that cannot reach a network."""
    context = await browser.new_context(offline=True)
    page = await context.new_page()
    page.set_default_timeout(0)  # visit sets a limit to all of it
    return page


@contextmanager
def watched(page: Page, seen: Visit) -> Iterator[None]:
    """Note what goes wrong while the page loads and runs, and how much it loads."""

    def on_request(request) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            seen.complain("outside", [request.url])
        elif request.url.startswith("file:") and (file := path_of(request.url)).is_file():
            seen.weight += 0 if "mathjax" in file.parts else file.stat().st_size

    def on_console(message) -> None:
        if message.type in ("error", "warning"):
            seen.complain("console", [message.text])

    handlers: dict[Any, Callable] = {
        "request": on_request,
        "console": on_console,
        "requestfailed": lambda request: seen.complain("failed", [request.url]),
        "pageerror": lambda error: seen.complain("console", [str(error)]),
    }
    for event, handler in handlers.items():
        page.on(event, handler)
    yield
    for event, handler in handlers.items():
        page.remove_listener(event, handler)


async def visit(page: Page, seen: Visit) -> None:
    """Load a page once and do every check on it."""
    try:
        async with asyncio.timeout(SECONDS):
            await page.goto("about:blank")
            await page.set_viewport_size(DESKTOP)
            await page.emulate_media(color_scheme="light")
            with watched(page, seen):
                await check(seen, page)
    except TimeoutError:
        seen.complain("visit", [f"not done within {SECONDS} seconds"])
    except Error as error:
        seen.complain("visit", error.message.splitlines()[:1])


async def check(seen: Visit, page: Page) -> None:
    await page.goto(seen.page.as_uri())
    await page.evaluate(TYPESET)
    shifts = await page.evaluate(SHIFTS)
    if shifts > SHIFT_AT_MOST:
        seen.complain("shift", [f"{shifts:.3f} of the window moved while the page loaded"])
    await page.add_style_tag(content=STILL)
    await page.evaluate(UNFOLD)
    note_contents(seen, await page.evaluate(INSPECT))
    await check_type(seen, page)
    seen.cards = await page.evaluate(CARDS)
    await move_sliders(seen, page)
    await check_access(seen, page)
    await check_phones(seen, page)


def note_contents(seen: Visit, found: dict) -> None:
    seen.ids = set(found["ids"])
    seen.links = [link["url"] for link in found["links"]]
    seen.citations = {link["url"] for link in found["links"] if link["cites"]}
    seen.shown = {f"{seen.page.as_uri()}#{name}" for name in found["shown"]}
    seen.complain("equations", [*found["badMath"], *(f"raw {tex}" for tex in found["rawTex"])])
    seen.complain("mute", found["mute"])
    seen.complain("cut", found["cut"])
    seen.complain("stops", found["stops"])
    for picture in found["pictures"]:
        name = Path(unquote(urlsplit(picture["src"]).path)).name
        if not picture["alt"] or name in picture["alt"] or "_images" in picture["alt"]:
            seen.complain("figures", [f"{name} has no alternative text"])
    for figure in found["figures"]:
        seen.figures.append(figure["id"])
        for part in ("id", "number", "caption"):
            if not figure[part]:
                seen.complain("figures", [f"a figure ({figure['id']}) has no {part}"])


async def move_sliders(seen: Visit, page: Page) -> None:
    """Click at the far end of each slider, then press an arrow key: the picture must follow.

    Then each goes back to where it was: at an exponent of 8 another slider may change nothing.
    """
    for slider in await page.locator("input[type=range]:visible").all():
        seen.sliders += 1
        name = await slider.get_attribute("id") or "a slider"
        start = await slider.input_value()
        for way in (click, press):
            before = await slider.evaluate(PICTURE), await slider.input_value()
            await way(slider)
            await page.evaluate(FRAMES)  # a live picture is drawn with the next one
            after = await slider.evaluate(PICTURE), await slider.input_value()
            if before[1] == after[1]:
                seen.complain("sliders", [f"{name} does not {way.__name__}"])
            if before[0] == after[0]:
                seen.complain("sliders", [f"{name}: {way.__name__} leaves its picture as it was"])
        await slider.evaluate(SET, start)


async def click(slider) -> None:
    box = await slider.bounding_box()
    across = 3 if await slider.evaluate(AT_END) else box["width"] - 3
    await slider.click(position={"x": across, "y": box["height"] / 2})


async def press(slider) -> None:
    await slider.press("ArrowLeft" if await slider.evaluate(AT_END) else "ArrowRight")


async def check_access(seen: Visit, page: Page) -> None:
    """Run axe-core: in the light all of its rules, in the dark those of colour, then the rest."""
    await page.evaluate(LEAN)
    await page.evaluate(AXE_SCRIPT)
    seen.complain("light", await page.evaluate(AXE, {}))
    await page.emulate_media(color_scheme="dark")
    await page.evaluate(FRAMES)
    seen.complain("dark", await page.evaluate(AXE, IN_DARK))
    await page.set_viewport_size(PHONE)
    await page.wait_for_timeout(RESIZED)
    seen.complain("phone", await page.evaluate(AXE, ON_PHONE))


async def check_phones(seen: Visit, page: Page) -> None:
    for size in (PHONE, SMALL_PHONE):
        await page.set_viewport_size(size)
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > size["width"]:
            seen.complain("sideways", [f"{width} px wide in a window of {size['width']} px"])
        seen.complain("lost", await page.evaluate(LOST))
        seen.complain("drawings", await page.evaluate(CUT_DRAWINGS))
        if size is PHONE:
            await check_type(seen, page)
        await page.wait_for_timeout(RESIZED)
        seen.complain("unseen", await page.evaluate(UNSEEN))
        wide = await page.evaluate(OUTPUTS)
        if sum(wide) > WIDE_OUTPUTS * len(wide):
            found = f"{sum(wide)} of {len(wide)} scroll at {size['width']} px"
            seen.complain("outputs", [found])


async def check_type(seen: Visit, page: Page) -> None:
    width = page.viewport_size["width"]
    small = await page.evaluate(SMALL_TYPE, LEAST_TYPE)
    seen.complain("type", [f"{width} px: {fault}" for fault in small])


def path_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def broken_links(visits: list[Visit]) -> list[str]:
    """List the links to files, and to places within the visited pages, that lead nowhere."""
    ids = {seen.page: seen.ids for seen in visits}
    faults = []
    for seen in visits:
        for url in dict.fromkeys(seen.links):
            file, fragment = urldefrag(url)
            target = path_of(file)
            if not file.startswith("file:"):
                continue
            if not target.is_file():
                faults.append(f"{seen.page.name}: no file {target}")
            elif fragment and target in ids and unquote(fragment) not in ids[target]:
                faults.append(f"{seen.page.name}: no #{fragment} in {target.name}")
    return faults


def uncited_figures(visits: list[Visit]) -> list[str]:
    cited = set().union(*(seen.citations for seen in visits))
    return [
        f"{seen.page.name}: no text refers to {name}"
        for seen in visits
        for name in seen.figures
        if f"{seen.page.as_uri()}#{name}" not in cited
    ]


LISTS = ("genindex.html", "prf-prf.html")  # who looks something up there goes to it


def empty_cards(visits: list[Visit]) -> list[str]:
    """List the links to terms, equations, statements, figures and publications without a card."""
    shown = set().union(*(seen.shown for seen in visits))
    return [
        f"{seen.page.name}: no card for {url}"
        for seen in visits
        if seen.page.name not in LISTS
        for url in sorted(seen.citations & shown)
        if not seen.cards.get(url)
    ]


def is_redirect(page: Path) -> bool:
    return bool(re.search(r"http-equiv=.refresh", page.read_text("utf-8")[:1000], re.IGNORECASE))
