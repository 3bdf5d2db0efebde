"""Fold what carries no idea: imports, the code of figures, and checks. The story stays in view.

A cell tagged `show-input` stays open, one tagged `hide-input` is folded in any case. Only pages are
changed, not notebooks: who runs a chapter sees all of its code.
"""

import ast
import json
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

OPEN, FOLDED = "show-input", "hide-input"
NAMES = {"imports": "imports", "figure": "code of the figure", "check": "code of the check"}


def kind(cell: dict[str, Any]) -> str | None:
    """Return which kind of program without a story a code cell is, or None."""
    if "figure" in cell["metadata"].get("mystnb", {}):
        return "figure"
    shown = ["".join(out.get("data", {}).get("text/html", "")) for out in cell["outputs"]]
    if any('class="evidence' in table for table in shown):
        return "check"
    try:
        lines = ast.parse("".join(cell["source"])).body
    except SyntaxError:  # a magic, for Colab
        return None
    return "imports" if all(isinstance(n, ast.Import | ast.ImportFrom) for n in lines) else None


def fold(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        tags = cell["metadata"].setdefault("tags", [])
        found = kind(cell)
        if found and OPEN not in tags and FOLDED not in tags:
            tags.append(FOLDED)
        if FOLDED in tags:
            name = NAMES.get(found or "", "code")
            labels = cell["metadata"].setdefault("mystnb", {})
            labels |= {"code_prompt_show": f"Show {name}", "code_prompt_hide": f"Hide {name}"}


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    if Path(app.env.doc2path(docname)).suffix == ".ipynb":
        notebook = json.loads(source[0])
        fold(notebook)
        source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
