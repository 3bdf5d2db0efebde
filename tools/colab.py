"""Keep one first cell in every chapter: it installs mflib on Colab, elsewhere it does nothing.

Colab opens a notebook alone, without the repository that it lies in; so the cell names the
repository, which _config.yml sets. A chapter that reads other files than its own cannot run there:
it gets no cell, and its page no button.

    python -m tools.colab            write the cell where it is missing or differs
    python -m tools.colab --check    list the chapters where it does
"""

import os
import re
import sys
from pathlib import Path

import yaml

from tools.notebooks import ROOT, chapter_sources

CELL = """\
```{{code-cell}} ipython3
:tags: [colab, remove-cell]

import sys

if "google.colab" in sys.modules:
    %pip install --quiet git+{url}
```

"""
HEADER = re.compile(
    r"\A(---\n.*?\n---\n\n)(?:```\{code-cell\} ipython3\n:tags: \[colab,.*?\n```\n\n)?", re.DOTALL
)
READS_FILES = re.compile(r"[\"']\.\./")


def with_cell(text: str, url: str) -> str:
    """Return a chapter's source with the one right cell in front."""
    cell = "" if READS_FILES.search(text) else CELL.format(url=url)
    return HEADER.sub(lambda header: header[1] + cell, text, count=1)


def main(arguments: list[str], root: Path = ROOT) -> int:
    url = yaml.safe_load((root / "_config.yml").read_text("utf-8"))["repository"]["url"]
    stale = {}
    for path in chapter_sources(root):
        text = path.read_text("utf-8")
        if (mended := with_cell(text, url)) != text:
            stale[path] = mended
    for path, mended in stale.items():
        name = path.relative_to(root)
        if arguments == ["--check"]:
            print(f"{name}: its first cell is not the one for Colab; run `make notebooks`")
            continue
        temporary = path.with_suffix(".tmp")
        temporary.write_text(mended, "utf-8")
        os.replace(temporary, path)
        print(f"{name}: its first cell is now the one for Colab")
    return 1 if stale and arguments == ["--check"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
