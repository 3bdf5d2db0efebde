"""Cards: a term, an equation, a statement, a figure or a publication, shown beside a link to it.

What stands on the same page the script takes from there (chapters/_static/cards.js). For the rest
each page gets a file of its own, which the script loads when a card is first asked for: the part
of the other page by the address of the link, without links, names and anchors.
"""

import json
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sphinx.application import Sphinx

LINK = re.compile(r'<a class="reference internal" href="([^"#]+\.html)#([^"]+)"[^>]*>')
KINDS = re.compile(
    r'<(?:dt id="term-|div class="(?:math |proof |exercise |citation")|figure )', re.IGNORECASE
)
DROPPED = re.compile(
    r'<a class="headerlink".*?</a>|<span class="eqno">.*?</span>(?=\\)|</?a\b[^>]*>|</?button[^>]*>'
    r'|<span class="label">.*?</span></span>|<script.*?</script>|\s(?:id|title|href)="[^"]*"',
    re.DOTALL,
)
DRAWING = re.compile(r"(<svg\b.*</svg>)", re.DOTALL)
SOURCE = re.compile(r'(?<=\ssrc=")(?![a-z]+:)[^"]+')
NO_TITLE = re.compile(r'\stitle="[^"]*"')
FOLDER = "_static/cards"


def element(text: str, at: int) -> str:
    """Return the element that starts at a place of a page, with all that it holds."""
    name, depth = re.compile(r"<(\w+)").match(text, at)[1], 0  # type: ignore[index]
    for tag in re.compile(rf"<(/?){name}\b").finditer(text, at):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return text[at : text.index(">", tag.end()) + 1]
    return text[at:]


class Pages:
    """The built pages, and the cards that can be cut out of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.text = cache(lambda page: (root / page).read_text("utf-8"))

    def card(self, page: str, anchor: str, seen_from: str) -> str | None:
        """Return the card of a place on a page, for a link on another; None if it is no card's."""
        if not (self.root / page).is_file():
            return None
        text = self.text(page)
        name = re.search(rf'<\w+[^>]*\sid="{re.escape(anchor)}"', text)
        if name is None or not KINDS.match(text, name.start()):
            return None
        found = element(text, name.start())
        if text.startswith("<dt", name.start()):
            found += element(text, text.index("<dd", name.start()))
        folder, here = posixpath.dirname(page), posixpath.dirname(seen_from)

        def moved(source: re.Match[str]) -> str:
            return posixpath.relpath(posixpath.join(folder, source[0]), here or ".")

        parts = DRAWING.split(found)  # a drawing refers to its own parts: they keep their names
        parts[::2] = [DROPPED.sub("", part) for part in parts[::2]]
        return SOURCE.sub(moved, "".join(parts))


def write_cards(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    root = Path(app.outdir)
    pages = Pages(root)
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    for path in sorted(root.rglob("*.html")):
        page = path.relative_to(root).as_posix()
        if page.startswith("_") or 'class="bd-article"' not in pages.text(page):
            continue
        cards: dict[str, str] = {}

        def untitled(link: re.Match[str], page: str = page, cards: dict = cards) -> str:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(link[1])))
            card = pages.card(target, unquote(link[2]), page)
            if card is None:
                return link[0]
            cards[f"{link[1]}#{link[2]}"] = card
            return NO_TITLE.sub("", link[0])  # the browser's own, poorer card

        text = LINK.sub(untitled, pages.text(page))
        path.write_text(text, "utf-8")
        script = f"bookCards.others = {json.dumps(cards, ensure_ascii=False)};"
        Path(root, FOLDER, file_of(page)).write_text(script, "utf-8")


def file_of(page: str) -> str:
    return page.removesuffix(".html").replace("/", "-") + ".js"


def name_file(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Say in the page's head which file has its cards."""
    if app.builder.name == "html" and doctree is not None:
        address = context["pathto"](f"{FOLDER}/{file_of(page)}", 1)
        context["metatags"] += f'<meta name="book-cards" content="{address}" />\n'
        app.add_js_file("cards.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", name_file)
    app.connect("build-finished", write_cards, priority=450)  # of pages that are finished
    return {"parallel_read_safe": True, "parallel_write_safe": True}
