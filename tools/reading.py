"""What a reader meets on each page of the built book, as a table: `python -m tools.reading [HTML]`.

Each page is loaded cold from disk, on a desktop and on a phone. Weights count MathJax once for the
whole book, not here: its one file is the same for all pages, and a browser keeps it.
"""

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tools.browser import FLAGS, MISSING, find_browser

ROOT = Path(__file__).resolve().parents[1]
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => {
  for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifts += shift.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const text of list.getEntries()) window.largest = text.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });"""
SETTLED = 700  # milliseconds after the last formula in which something may still move
TYPESET = "(async () => (await window.MathJax?.startup?.promise, performance.now()))()"
ON_DESKTOP = """() => {
  const article = document.querySelector("article");
  const seen = (box) => box.checkVisibility({ contentVisibilityAuto: true });
  const all = (selector) => [...article.querySelectorAll(selector)].filter(seen);
  const tall = (box) => box.getBoundingClientRect().height;
  const PICTURES = "figure :is(img, svg), .cell_output :is(img, svg), svg[role=img], .laboratory";
  const pictures = all(PICTURES)
    .filter((one) => !one.closest("mjx-container") && tall(one) > 60);
  const painted = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    height: article.scrollHeight,
    code: all(".cell_input").reduce((sum, box) => sum + tall(box), 0) / article.scrollHeight,
    first: Math.min(...pictures.map((one) => one.getBoundingClientRect().top + scrollY)),
    stops: document.querySelectorAll("mjx-container[tabindex], .math[tabindex]").length,
    paint: painted?.startTime,
    text: window.largest,
    shift: window.shifts,
  };
}"""
ON_PHONE = """() => {
  const wide = (box) => box.scrollWidth > box.clientWidth + 2;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const outputs = all(".cell_output pre, .cell_output table").map((one) => one.closest(
    ".pst-scrollable-table-container, .cell_output .output") ?? one);
  const cutOff = (picture) => {
    const { width, right } = picture.getBoundingClientRect();
    const stacked = picture.closest(".whole")?.clientHeight === 0; // its panels are seen instead
    return !stacked && width > 0 && right > innerWidth + 2;
  };
  return {
    cut: all("figure :is(img, svg)").filter(cutOff).length,
    over: outputs.filter((box) => wide(box) || [...box.querySelectorAll("pre")].some(wide)).length,
    outputs: outputs.length,
    wide: all("div.math").filter((box) => wide(box) ||
      [...box.querySelectorAll("mjx-container")].some(wide)).length,
    equations: all("div.math").length,
    shift: window.shifts,
  };
}"""
COLUMNS = {
    "height": "{height:,.0f}",
    "code": "{code:.0%}",
    "first picture": "{first:,.0f}",
    "cut": "{cut}",
    "outputs wide": "{over}/{outputs}",
    "equations wide": "{wide}/{equations}",
    "stops": "{stops}",
    "kB": "{weight:,.0f}",
    "paint ms": "{paint:.0f}",
    "text ms": "{text:.0f}",
    "typeset ms": "{typeset:.0f}",
    "shift": "{shift:.3f}",
    "on phone": "{phone_shift:.3f}",
}


def open_page(browser: Browser, page: Path, size: dict[str, int]) -> tuple[Page, dict[str, float]]:
    """Return a page once typeset and still, with how late that was and what it loaded."""
    window = browser.new_context(offline=True, viewport=size).new_page()  # type: ignore[arg-type]
    window.add_init_script(SHIFTS)
    files: list[Path] = []
    window.on("request", lambda request: files.append(Path(request.url.partition("file:")[2])))
    window.goto(page.as_uri())
    typeset = window.evaluate(TYPESET)
    window.wait_for_timeout(SETTLED)
    kept = [file for file in files if file.is_file() and "mathjax" not in file.parts]
    return window, {"typeset": typeset, "weight": sum(file.stat().st_size for file in kept) / 1000}


def measure(browser: Browser, page: Path) -> dict[str, Any]:
    """Return what COLUMNS show of a page."""
    window, loaded = open_page(browser, page, DESKTOP)
    found = window.evaluate(ON_DESKTOP) | loaded
    window.context.close()
    window, _ = open_page(browser, page, PHONE)
    phone = window.evaluate(ON_PHONE)
    window.context.close()
    shift = phone.pop("shift")
    found["first"] = float("nan") if found["first"] is None else found["first"]
    return found | phone | {"phone_shift": shift}


def main() -> None:
    html = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "_build/html").resolve()
    browser = find_browser()
    if browser is None:
        raise SystemExit(MISSING)
    print("| page |", *(f"{name} |" for name in COLUMNS))
    print("|---|", *("--:|" for _ in COLUMNS))
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for page in sorted(html.glob("chapters/*.html")):
            found = measure(window, page)
            print(f"| {page.stem} |", *(f"{one.format(**found)} |" for one in COLUMNS.values()))


if __name__ == "__main__":
    main()
