"""Keep the source of every chapter in one form: what JupyterLab would save, with Colab's cell.

Captions and alternative texts are one line each, laid out as jupytext does: so a chapter saved in
JupyterLab differs from its source only where it was edited.

The first cell installs mflib on Colab and elsewhere does nothing. Colab opens a notebook alone,
without the repository that it lies in; so the cell names the repository, which _config.yml sets.
A chapter that reads other files than its own cannot run there: it gets no cell, and no button.

    python -m tools.sources            rewrite the sources that differ
    python -m tools.sources --check    list them
"""

import re
import sys
from pathlib import Path
from typing import Any

import jupytext
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from tools.chapters import ROOT, chapter_sources
from tools.executed import write_twin
from tools.rules import code_cells

COLAB = """\
import sys

if "google.colab" in sys.modules:
    %pip install --quiet csaps python-flint scikit-learn
    %pip install --quiet git+{url}"""
COLAB_TAGS = ["colab", "remove-cell"]
READS_FILES = re.compile(r"[\"']\.\./|Path\(")
VERSION = re.compile(r"^    jupytext_version: .*\n", re.MULTILINE)


def in_form(text: str, url: str) -> str:
    """Return a chapter's source as it should be."""
    chapter = jupytext.reads(text, fmt="md:myst")
    chapter.cells = [c for c in chapter.cells if "colab" not in c.metadata.get("tags", ())]
    for cell in chapter.cells:
        cell.metadata = one_line(cell.metadata)
    if not any(READS_FILES.search(cell.source) for cell in code_cells(chapter)):
        chapter.cells.insert(0, colab_cell(url))
    return VERSION.sub("", jupytext.writes(chapter, fmt="md:myst"), count=1)


def colab_cell(url: str) -> NotebookNode:
    return new_code_cell(COLAB.format(url=url), metadata={"tags": COLAB_TAGS})


def one_line(value: Any) -> Any:
    """Return metadata with its keys in order and without line breaks, which YAML quotes badly."""
    if isinstance(value, dict):
        return {key: one_line(value[key]) for key in sorted(value)}
    return " ".join(value.split()) if isinstance(value, str) else value


def main(arguments: list[str], root: Path = ROOT) -> int:
    url = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]
    texts = {path: path.read_text("utf-8") for path in chapter_sources(root)}
    stale = {path: new for path, old in texts.items() if (new := in_form(old, url)) != old}
    for path, text in stale.items():
        name = path.relative_to(root)
        if arguments == ["--check"]:
            print(f"{name}: layout or Colab's cell is not as it should be; run `make notebooks`")
            continue
        write_twin(path, text)
        print(f"{name}: layout and Colab's cell put right")
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
