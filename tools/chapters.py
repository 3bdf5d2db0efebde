"""Sources and twins: where they are, how they are read, and the form in which a twin is stored."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

from tools.dependencies import digest

ROOT = Path(__file__).resolve().parents[1]
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


# Reading and writing


def chapter_sources(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the sources of the named chapters, or of all: the .md files with a jupytext header."""
    header = re.compile(r"---\n(.*\n)*?jupytext:")
    found = [p for p in sorted(root.glob("chapters/*.md")) if header.match(read_text(p))]
    unknown = set(names) - {path.stem for path in found}
    if unknown:
        choices = ", ".join(path.stem for path in found)
        raise SystemExit(f"no chapter named {', '.join(sorted(unknown))}; there are: {choices}")
    return [path for path in found if not names or path.stem in names]


def read_text(path: Path) -> str:
    """Return a page's text; a byte order mark, which some editors write, is not a part of it."""
    return path.read_text("utf-8-sig")


def read_source(path: Path) -> NotebookNode:
    return jupytext.reads(read_text(path), fmt="md:myst")


def read_twin(path: Path) -> NotebookNode | None:
    return nbformat.reads(path.read_text("utf-8"), as_version=4) if path.exists() else None


def serialise(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def kernel_environment(root: Path) -> dict[str, str]:
    """Return the environment of kernels that import mflib from a repository.

    A kernel runs in another folder, and would otherwise import the one that is installed.
    """
    before = [found] if (found := os.environ.get("PYTHONPATH")) else []
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(root.resolve()), *before])}


# Normal form: the same cells and outputs always give the same bytes


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with pinned language, cell ids from content and adjacent streams merged."""
    result: NotebookNode = nbformat.from_dict(notebook)
    result.metadata["language_info"] = dict(LANGUAGE)
    result.nbformat, result.nbformat_minor = 4, 5
    seen: set[str] = set()
    for cell in result.cells:
        cell["id"] = unused_id(cell, seen)
        if cell.cell_type == "code":
            cell["outputs"] = merge_streams(cell.outputs)
    return result


def unused_id(cell: NotebookNode, seen: set[str]) -> str:
    repeat = 0
    while (name := digest([cell.cell_type, cell.source, str(repeat)])[:12]) in seen:
        repeat += 1
    seen.add(name)
    return name


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbours on the same stream: where a kernel cuts its text is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        if merged and output.get("name") and output.get("name") == merged[-1].get("name"):
            merged[-1]["text"] += output.text
        else:
            merged.append(nbformat.from_dict(output))
    return merged
