"""Finish the built pages: less to load, and nothing in the way of assistive software.

What is mended here comes from the theme, docutils and pandas, and no setting of theirs changes it.
The browser tests (tests/browser) say so if a newer version is no longer mended.
"""

import html
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fontTools import subset
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

REPAIRS = {
    # docutils: the entries of a list of citations, under a role that is no longer in use
    'role="doc-biblioentry"': 'role="listitem"',
    # pandas: the corner of a table is the head of nothing
    "<th></th>": "<td></td>",
    # theme: what opens the pages below one has no name
    '<summary><span class="toctree-toggle"': '<summary aria-label="pages below">'
    '<span class="toctree-toggle"',
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
STYLE_OF_ICON = re.compile(r'((?:\.fa-[\w-]+:before,?)+)\{content:"[^"]*"\}')
STYLES_AT_MOST = 320_000  # bytes of the theme's style sheet without the icons' 88 KB
CHARACTER = re.compile(r"\\(f[0-9a-f]{3})\b")
FONT = re.compile(r'src:url\([^)]*\.woff2\) format\("woff2"\),')
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js"></script>'
)
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
        if page.name != "search.html":  # 150 KB that only the page of results reads
            page.write_text(SEARCH.sub("", page.read_text("utf-8")), "utf-8")
    shorten_styles(root)
    keep_icons(root, pages)
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
    """Drop the theme's icons that no page and no script names: 1.5 MB of drawings, and a font."""
    target = Path(root, "_static/scripts/fontawesome.js")
    scripts = [path for path in root.glob("_static/**/*.js") if path != target]
    texts = (path.read_text("utf-8") for path in [*pages, *scripts])
    used = {name for text in texts for name in re.findall(r"\bfa-([a-z0-9-]+)", text)}

    def drawing(icon: re.Match[str]) -> str:
        names = {icon[1] or icon[2], *re.findall(r'"([^"]+)"', icon[3])}
        return icon[0] if names & used else ""

    def style(icon: re.Match[str]) -> str:
        return icon[0] if used.intersection(re.findall(r"\.fa-([\w-]+)", icon[1])) else ""

    slim(target, ICON, drawing, ICONS_AT_MOST)
    sheet = Path(root, "_static/styles/pydata-sphinx-theme.css")
    slim(sheet, STYLE_OF_ICON, style, STYLES_AT_MOST)
    sheet.write_text(FONT.sub("src:", sheet.read_text("utf-8")), "utf-8")
    styles = (path.read_text("utf-8") for path in root.glob("_static/**/*.css"))
    keep_glyphs(root, {int(code, 16) for text in styles for code in CHARACTER.findall(text)})


def slim(path: Path, pattern: re.Pattern[str], kept: Callable[..., str], at_most: int) -> None:
    text = pattern.sub(kept, path.read_text("utf-8"))
    if len(text) > at_most:
        raise ExtensionError(f"{path.name} no longer looks as it did: {len(text)} bytes stay")
    path.write_text(text, "utf-8")


def keep_glyphs(root: Path, characters: Iterable[int]) -> None:
    """Drop from the fonts of icons what no style sheet asks for, and their compressed copies."""
    for font in root.glob("_static/vendor/fontawesome/webfonts/*.ttf"):
        small = subset.Subsetter()
        small.populate(unicodes=characters)
        whole = subset.load_font(str(font), subset.Options())
        small.subset(whole)
        whole.save(font)
        font.with_suffix(".woff2").unlink(missing_ok=True)


def shorten_styles(root: Path) -> None:
    """Drop comments, but for licences, and indents from style sheets: 13 KB of each page."""
    for sheet in root.glob("_static/**/*.css"):
        text = re.sub(r"/\*(?!!).*?\*/", "", sheet.read_text("utf-8"), flags=re.DOTALL)
        sheet.write_text(re.sub(r"\s*\n\s*", "\n", text), "utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", finish, priority=400)  # before sphinx-external-toc's index.html
    return {"parallel_read_safe": True}
