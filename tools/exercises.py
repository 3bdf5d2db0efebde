"""The exercises of a chapter: three to six, each graded and solved, the longer ones with hints."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.chapters import read_text

GRADES = ("quick-check", "work", "project")
UNAIDED = "quick-check"  # needs no hint
FEWEST, MOST = 3, 6
WITHOUT = {"outlook"}  # its open problems are what there is to do
EXERCISE = re.compile(r"^`{3,}\{exercise\} *(.*)$", re.MULTILINE)
OPTION = r"^:{}: *(.*)$"
HINT = re.compile(r"^`{3,}\{hint\}\n:class: dropdown$", re.MULTILINE)
SOLUTION = re.compile(r"^`{3,}\{solution-start\} (\S+)\n:class: dropdown$", re.MULTILINE)


def unfinished(root: Path) -> Iterator[str]:
    """Yield, for each numbered chapter, what its exercises lack."""
    path = root / "_toc.yml"
    toc = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    for page in numbered(toc):
        source = (root / page).with_suffix(".md")
        if source.stem not in WITHOUT:
            for fault in faults(read_text(source)):
                yield f"{source.relative_to(root)}: {fault}"


def numbered(toc: dict[str, Any]) -> list[str]:
    """Return the files of the numbered chapters, in their order."""
    parts = [part for part in toc.get("parts", ()) if part.get("numbered")]
    return [entry["file"] for part in parts for entry in part["chapters"]]


def faults(text: str) -> Iterator[str]:
    """Yield what a chapter's exercises lack. What belongs to one ends where the next begins."""
    starts = [*EXERCISE.finditer(text)]
    if not FEWEST <= len(starts) <= MOST:
        yield f"{len(starts)} exercises; have {FEWEST} to {MOST}"
    ends = [*(start.start() for start in starts), len(text)][1:]
    for start, end in zip(starts, ends, strict=True):
        body, name = text[start.end() : end], f"exercise {start[1]!r}"
        label, grade = option("label", body), option("class", body.partition("\n\n")[0])
        if grade not in GRADES:
            yield f"{name}: no grade; add `:class:` {', '.join(GRADES)}"
        if label not in SOLUTION.findall(body):
            yield f"{name}: no solution; add a folded {{solution-start}} {label}"
        if grade in GRADES and grade != UNAIDED and not HINT.search(SOLUTION.split(body)[0]):
            yield f"{name}: no hint before its solution; add a folded {{hint}}"


def option(name: str, text: str) -> str:
    found = re.search(OPTION.format(name), text, re.MULTILINE)
    return found[1].strip() if found else ""
