"""Finish the built pages: less to load, and nothing in the way of assistive software.

What is mended here comes from the theme, docutils and pandas, and no setting of theirs changes it.
The browser tests (tests/browser) say so if a newer version is no longer mended.
"""

import html
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

REPAIRS = {
    # docutils: the entries of a list of citations, under a role that is no longer in use
    'role="doc-biblioentry"': 'role="listitem"',
    # pandas: the corner of a table is the head of nothing
    "<th></th>": "<td></td>",
    # theme: the book's title stands in no landmark
    '<div id="pst-primary-sidebar"': '<div role="region" aria-label="Book" id=pst-primary-sidebar',
}
# A formula with what touches it, and 2e-14 in a table: browsers break lines before commas, too.
FORMULA = re.compile(
    r'(<span class="unbroken">)?[(“]?(<span class="math [^>]*>[^<]*</span>)[^\s<]*'
)
SMALL = re.compile(r'(?<!unbroken">)\b\d(?:\.\d+)?e-\d+(?=[^<>]*</td>)')
ICON = re.compile(
    r'(?:"([\w-]+)"|([\w$]+)):\[\d+,\d+,\[([^\]]*)\],"\w+",(?:"[^"]*"|\["[^"]*","[^"]*"\])\],?'
)
ICONS_AT_MOST = 100_000  # bytes: the script itself, and some forty icons
REDIRECT = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
<main><h1><a href="{page}">{title}</a></h1></main>
</html>
"""


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    root = Path(app.outdir)
    pages = [path for path in root.rglob("*.html") if "_static" not in path.parts]
    for page in pages:
        repair(page)
    keep_icons(root, pages)
    shorten_styles(root)
    if app.config.root_doc != "index":
        first, title = f"{app.config.root_doc}.html", html.escape(app.config.html_title)
        Path(root, "index.html").write_text(REDIRECT.format(page=first, title=title), "utf-8")


def repair(page: Path) -> None:
    text = page.read_text("utf-8")
    for fault, mended in REPAIRS.items():
        text = text.replace(fault, mended)
    text = SMALL.sub(r'<span class="unbroken">\g<0></span>', FORMULA.sub(unbroken, text))
    page.write_text(text, "utf-8")


def unbroken(formula: re.Match[str]) -> str:
    alone = formula[1] or formula[0] == formula[2]  # or mended before
    return formula[0] if alone else f'<span class="unbroken">{formula[0]}</span>'


def keep_icons(root: Path, pages: list[Path]) -> None:
    """Drop from the theme's 1.5 MB of icons those that no page and no script names."""
    target = Path(root, "_static/scripts/fontawesome.js")
    scripts = [path for path in root.glob("_static/**/*.js") if path != target]
    texts = (path.read_text("utf-8") for path in [*pages, *scripts])
    used = {name for text in texts for name in re.findall(r"\bfa-([a-z0-9-]+)", text)}

    def kept(icon: re.Match[str]) -> str:
        names = {icon[1] or icon[2], *re.findall(r'"([^"]+)"', icon[3])}
        return icon[0] if names & used else ""

    slim = ICON.sub(kept, target.read_text("utf-8"))
    if len(slim) > ICONS_AT_MOST:
        raise ExtensionError(f"ICON no longer fits the theme's icons: {len(slim)} bytes stay")
    target.write_text(slim, "utf-8")


def shorten_styles(root: Path) -> None:
    """Drop comments, but for licences, and indents from style sheets: 13 KB of each page."""
    for sheet in root.glob("_static/**/*.css"):
        text = re.sub(r"/\*(?!!).*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
        sheet.write_text(re.sub(r"\s*\n\s*", "\n", text), "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", finish, priority=400)  # before sphinx-external-toc's index.html
    return {"parallel_read_safe": True}
