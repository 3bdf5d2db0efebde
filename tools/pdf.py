"""Bind the pages of the built book into one PDF.

The articles of the HTML book are taken as they are, in the order of its table of contents, so that
chapters, equations, figures and theorems have the numbers of the book; only links change, to point
within one document. Chromium typesets and prints it.

python -m tools.pdf    reads _build/html, writes _build/mflib-book.pdf
"""

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jinja2
import yaml
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Error, sync_playwright
from pypdf import PdfReader

from tools.browser import FLAGS, MISSING, find_browser

ROOT = Path(__file__).resolve().parents[1]
PAPER = (642, 900)  # width and height of A4 less the margins of pdf.html, in CSS pixels
SECONDS = 600
SCREEN_ONLY = "script, button, .headerlink, .viewcode-link"
# What scrolls on a screen shrinks on paper, until it fits.
TYPESET = """async () => {
    await MathJax.startup.promise;
    await Promise.all(Array.from(document.images, image => image.decode()));
    const boxes = "mjx-container[display], .cell_output, .table-wrapper";
    for (const box of document.querySelectorAll(boxes)) {
        const share = box.clientWidth / box.scrollWidth;
        if (share < 1) box.style.zoom = share;
    }
    const faults = Array.from(MathJax.startup.document.math)
        .filter(item => item.typesetRoot.querySelector("[data-mjx-error], [fill='red']"))
        .map(item => "MathJax does not know all of " + item.math);
    if (document.documentElement.scrollWidth > innerWidth)
        faults.push("Something is wider than the paper");
    return faults;
}"""
PRINT: dict[str, Any] = {"prefer_css_page_size": True, "print_background": True}
FILL_IN = """pages => {
    for (const number of document.querySelectorAll(".page-number"))
        number.textContent = pages[number.dataset.of];
}"""


# Binding


def bind(html: Path, target: Path) -> None:
    """Write one document: a title page, a table of contents and all pages of the book."""
    contents = list(table_of_contents(html))
    names = {page: name_of(page, html) for _, page in contents}
    folder = target.parent
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["css_string"] = lambda text: json.dumps(text, ensure_ascii=False)
    document = environment.from_string((ROOT / "tools" / "pdf.html").read_text("utf-8")).render(
        book=yaml.safe_load((ROOT / "_config.yml").read_text("utf-8")),
        citation=yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8")),
        today=date.today(),
        head=head(contents[0][1], folder),
        chapters=[{"part": part, **chapter(page, names, folder)} for part, page in contents],
    )
    folder.mkdir(exist_ok=True)
    target.write_text(document, "utf-8")


def name_of(page: Path, html: Path) -> str:
    """Return a name that no other page has: api-flow for chapters/api/flow.html."""
    return "-".join(page.relative_to(html.resolve()).with_suffix("").parts[1:])


def table_of_contents(html: Path) -> Iterator[tuple[str, Path]]:
    """Yield each page of the book, with the caption of the part that it belongs to."""
    part = ""
    for tag in read(html / "search.html").select("nav.bd-docs-nav :is(.caption, a.internal)"):
        if tag.name == "a":
            yield part, (html / str(tag["href"])).resolve()
        else:
            part = tag.get_text(strip=True)


def chapter(page: Path, names: dict[Path, str], folder: Path) -> dict[str, Any]:
    """Return the article of a page, fit to stand among the others, and its headings."""
    article = read(page).select("article.bd-article")[0]
    for tag in article.select(SCREEN_ONLY):
        tag.decompose()
    for tag in article.select("details"):
        tag["open"] = ""
    for tag in article.select("input[type=range]"):
        tag.name, tag.attrs = "p", {}
        tag.string = "In the pages of the book a slider changes this picture."
    for tag in article.select("[id]:not(.drawing *)"):  # figures have names that no other has
        tag["id"] = f"{names[page]}--{tag['id']}"
    relink(article, page, names, folder)
    sections = []
    for section in article.select("section[id]"):
        for heading in section.select(":scope > h1, :scope > h2"):
            heading["id"] = section["id"]  # it may move on to the page after the section's start
            del section["id"]
            title = heading.get_text()
            sections.append({"id": heading["id"], "depth": heading.name[1], "title": title})
    return {"name": names[page], "sections": sections, "html": article.decode_contents()}


def relink(article: Tag, page: Path, names: dict[Path, str], folder: Path) -> None:
    """Point links into the bound document, and images to the files of the HTML book."""
    for image in article.find_all("img"):
        image["src"] = os.path.relpath(page.parent / str(image["src"]), folder)
    for link in article.find_all("a", href=True):
        url = urlsplit(str(link["href"]))
        if url.scheme:
            continue
        target = (page.parent / unquote(url.path)).resolve() if url.path else page
        if target in names:
            link["href"] = f"#{names[target]}" + (f"--{url.fragment}" if url.fragment else "")
        else:
            link.unwrap()  # a download, or the listing of a module


def head(page: Path, folder: Path) -> str:
    """Return the style sheets of a page, MathJax and its settings."""
    kept = []
    for tag in read(page).select("head > link[rel=stylesheet], head > script"):
        key = "href" if tag.name == "link" else "src"
        if tag.name == "link" or "mathjax" in f"{tag.get(key)} {tag.string}".lower():
            if tag.has_attr(key):
                tag[key] = os.path.relpath(page.parent / str(tag[key]), folder)
            kept.append(str(tag))
    return "\n".join(kept)


def read(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text("utf-8"), "html.parser")


# Printing


def print_pdf(document: Path, target: Path, browser: str) -> int:
    """Print with page numbers in the table of contents; return how many pages there are."""
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        numbers: dict[str, int] = {}
        # For the numbers, with them, and once more if they moved a page. Each time it is loaded
        # anew: a heading at the foot of a page may move each time that the same is printed.
        for _ in range(3):
            page = window.new_page()
            page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
            page.set_default_timeout(1000 * SECONDS)
            page.emulate_media(media="print")
            page.goto(document.as_uri())
            if faults := page.evaluate(TYPESET):
                raise SystemExit("\n".join(faults))
            if numbers:
                page.evaluate(FILL_IN, numbers)
            page.pdf(path=target, tagged=True, outline=True, **PRINT)
            page.close()
            shown, numbers = numbers, page_numbers(target)
            if shown == numbers:
                return len(PdfReader(target).pages)
        raise SystemExit("The page numbers in the table of contents do not settle")


def page_numbers(pdf: Path) -> dict[str, int]:
    """Return the number of the page on which each target of a link stands."""
    reader = PdfReader(pdf)
    return {
        name.removeprefix("/"): 1 + (reader.get_destination_page_number(destination) or 0)
        for name, destination in reader.named_destinations.items()
    }


def main() -> None:
    html, bound = ROOT / "_build" / "html", ROOT / "_build" / "pdf" / "book.html"
    target = ROOT / "_build" / "mflib-book.pdf"
    browser = find_browser()
    if browser is None:
        raise SystemExit(MISSING)
    bind(html, bound)
    try:
        pages = print_pdf(bound, bound.with_suffix(".pdf"), browser)
    except Error as error:
        raise SystemExit(f"{browser} could not print {bound}: {error}") from error
    bound.with_suffix(".pdf").replace(target)
    print(f"The book is at {target}: {pages} pages")


if __name__ == "__main__":
    main()
