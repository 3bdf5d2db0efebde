"""The pages of the book: each is listed once, in the order of the map on the first page."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from tools.chapters import chapter_sources, read_text

LABEL = re.compile(r"^\((.+)\)=$", re.MULTILINE)
MAP_ENTRY = re.compile(r"^\{ref\}`([\w-]+)`$", re.MULTILINE)  # a line of its own


def orphans(root: Path, sources: Iterable[Path]) -> Iterator[Path]:
    expected = {path.with_suffix(".ipynb") for path in sources}
    yield from (path for path in sorted(root.glob("chapters/*.ipynb")) if path not in expected)


def unlisted(root: Path) -> Iterator[Path]:
    """Yield the pages that the table of contents does not name: chapters by their notebooks."""
    toc = root / "_toc.yml"
    if toc.exists():
        listed = set(listed_pages(yaml.safe_load(toc.read_text("utf-8"))))
        sources = {path: path.with_suffix(".ipynb") for path in chapter_sources(root)}
        for path in sorted([*root.glob("chapters/*.md"), *root.glob("chapters/*.rst")]):
            page = sources.get(path, path)
            if page.relative_to(root).as_posix() not in listed:
                yield page


def disordered(root: Path) -> Iterator[str]:
    """Yield where the table of contents has chapters in another order than the first page's map."""
    toc = root / "_toc.yml"
    pages = list(listed_pages(yaml.safe_load(toc.read_text("utf-8")))) if toc.exists() else []
    sources = [root / Path(page).with_suffix(".md") for page in pages]
    texts = [read_text(source) if source.exists() else "" for source in sources]
    places = {label: i for i, t in enumerate(texts) for label in LABEL.findall(t)}
    named = [label for label in MAP_ENTRY.findall("".join(texts[:1])) if label in places]
    for one, next_one in pairwise(named):
        if places[one] > places[next_one]:
            yield f"{pages[places[next_one]]} comes before {pages[places[one]]}, unlike on the map"


def listed_pages(entry: Any) -> Iterator[str]:
    """Yield the files of a table of contents, in its order."""
    if isinstance(entry, list):
        for each in entry:
            yield from listed_pages(each)
    elif isinstance(entry, dict):
        yield from (entry[key] for key in ("root", "file") if key in entry)
        for key in ("parts", "chapters", "sections", "subtrees", "entries"):
            yield from listed_pages(entry.get(key))
