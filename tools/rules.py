"""What a chapter's cells, figures and text keep to: each rule yields one line a fault.

A line says "where: what; what to do". Rules that ruff knows are in `chapters/ruff.toml`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from tools.mathematics import undefined_macros

CELL_LINES = 15
DRAWING_BYTES = 80_000
OUTPUT_WIDTH = 80  # characters that a page shows without scrolling
LONG_CELL_TAG = "long-cell"
UNCHECKED_TAGS = re.compile(r"nbval-|raises-exception$|skip-execution$")
HIDING_TAGS = re.compile(r"hide-(output|cell)$|remove-")  # hide-input shows what was computed
UNWANTED_CODE = {
    r"NBVAL_|PYTEST_VALIDATE_IGNORE_OUTPUT": "remove the marker, nbval must compare every cell",
    r"\bnoqa\b|#\s*ruff:": "remove the marker, ruff must see every line",
    r";\s*$": "drop the final semicolon (end plots with plt.show()), nbval cannot reproduce it",
}
# `!ls` and `%time` are calls of get_ipython() to Python. A keyword ends with "=".
UNWANTED_NAMES = {
    "use Python alone: no shell, no magic": {"get_ipython", "__import__", "__builtins__"}
    | {"eval", "exec"},
    "nbval neither clears nor updates outputs; print at the end": {"clear_output", "display_id="}
    | {"update_display", "DisplayHandle"},
}


def noisy(twin: NotebookNode) -> Iterator[str]:
    for index, cell in numbered_code_cells(twin):
        if any(output.output_type == "error" for output in cell.outputs):
            yield f"{where(index, cell)}: stores an error; mend the cell"
        if any(output.get("name") == "stderr" for output in cell.outputs):
            yield f"{where(index, cell)}: stores text on stderr; mend the cause of the warning"


def unvalidated(twin: NotebookNode) -> Iterator[str]:
    """Yield the cells that nbval would pass over, or could never reproduce."""
    for index, cell in numbered_code_cells(twin):
        tags = cell.metadata.get("tags", [])
        if "colab" in tags:
            continue  # tools.sources compares all of it
        for tag in filter(UNCHECKED_TAGS.match, tags):
            yield f"{where(index, cell)}: remove the tag {tag}, nbval must compare every cell"
        for pattern, advice in UNWANTED_CODE.items():
            if re.search(pattern, cell.source, re.MULTILINE):
                yield f"{where(index, cell)}: {advice}"
        try:
            used = set(names(cell.source))
        except SyntaxError as error:
            yield f"{where(index, cell)}: {error.msg}; mend the cell"
            continue
        for advice, unwanted in UNWANTED_NAMES.items():
            if used & unwanted:
                yield f"{where(index, cell)}: {advice}"


def names(source: str) -> Iterator[str]:
    """Yield the names, imported names and keywords in a cell, as Python sees them."""
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr not in ("eval", "exec"):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.keyword):
            yield f"{node.arg}="


def hidden(twin: NotebookNode) -> Iterator[str]:
    """Yield the cells of which a reader of the page would miss a result."""
    for index, cell in enumerate(twin.cells):
        tags = cell.metadata.get("tags", [])
        for tag in filter(HIDING_TAGS.match, tags if "colab" not in tags else []):
            yield f"{where(index, cell)}: remove the tag {tag}, a page shows every result"


def bare_figures(twin: NotebookNode) -> Iterator[str]:
    """Yield the figures that a reader could not cite, or not hear (a drawing describes itself)."""
    for index, cell in numbered_code_cells(twin):
        data = [output.get("data", {}) for output in cell.outputs]
        drawings = [html for bundle in data if "<svg" in (html := bundle.get("text/html", ""))]
        needed = [("figure", "caption"), ("figure", "name")] if drawings else []
        if any(kind.startswith("image/") for bundle in data for kind in bundle):
            needed = [("figure", "caption"), ("figure", "name"), ("image", "alt")]
        if any(len(html.encode()) > DRAWING_BYTES for html in drawings):
            yield f"{where(index, cell)}: drawing over {DRAWING_BYTES:,} bytes; draw fewer curves"
        labels = cell.metadata.get("mystnb", {})
        for group, key in needed:
            if not str(labels.get(group, {}).get(key) or "").strip():
                yield f"{where(index, cell)}: figure without mystnb {group} {key}; add one"


def red_mathematics(twin: NotebookNode, root: Path) -> Iterator[str]:
    """Yield macros that show up red on the page."""
    for index, cell in enumerate(twin.cells):
        if cell.cell_type == "markdown":
            for name in undefined_macros(cell.source, root):
                advice = "mend it, or define it in _config.yml"
                yield f"{where(index, cell)}: MathJax knows no \\{name}; {advice}"


def citations(root: Path) -> set[str]:
    """Return what any page refers to by number."""
    pages = (path.read_text("utf-8") for path in root.glob("chapters/*.md"))
    return {name for page in pages for name in re.findall(r"{numref}`(?:[^`<]*<)?([\w-]+)", page)}


def uncited(twin: NotebookNode, cited: set[str]) -> Iterator[str]:
    for index, cell in numbered_code_cells(twin):
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if name and name not in cited:
            yield f"{where(index, cell)}: no text cites the figure; add {{numref}}`{name}`"


def long_cells(twin: NotebookNode) -> Iterator[str]:
    for index, cell in numbered_code_cells(twin):
        length = len(cell.source.splitlines())
        if length > CELL_LINES and LONG_CELL_TAG not in cell.metadata.get("tags", []):
            advice = f"split it, move logic to mflib, or tag it {LONG_CELL_TAG}"
            yield f"{where(index, cell)}: {length} lines, at most {CELL_LINES}; {advice}"


def wide_lines(twin: NotebookNode) -> Iterator[str]:
    """Yield the first line of what a cell prints that a page would cut."""
    for index, cell in numbered_code_cells(twin):
        for line in printed(cell).splitlines():
            if len(line) > OUTPUT_WIDTH:
                advice = f"{len(line)} characters, at most {OUTPUT_WIDTH}; break it: {line.strip()}"
                yield f"{where(index, cell)}: line of output with {advice}"
                break


# Cells


def numbered_code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for _, cell in numbered_code_cells(notebook)]


def where(index: int, cell: NotebookNode) -> str:
    """Name a cell by its place among all cells and by its first line."""
    first_line = next(iter(cell.source.splitlines()), "")
    return f"cell {index + 1} ({first_line[:40]!r})"


def printed(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)
