"""What a chapter shows for its claims: by the right kind of evidence, in numbers.

A claim of "network against theory" needs a network: something trains in its cell, or in what
defines the names that this cell uses. `assert` is for tests: where a reader changes a value, it
would stop the run.
"""

import ast
from collections.abc import Iterator

from nbformat import NotebookNode

from tools.numbers import syntax, used_by
from tools.rules import code_cells, names, numbered_code_cells, printed, where

TRAINS = {"mirror_flow", "MirrorDescent", "trial", "split_error", "backward"}
NETWORK = "network against theory"


def bare_claims(twin: NotebookNode) -> Iterator[str]:
    """Yield the cells that claim something without saying by which kind of evidence."""
    advice = "show it as experiments.Evidence"
    for index, cell in numbered_code_cells(twin):
        if any(isinstance(node, ast.Assert) for node in ast.walk(syntax([cell]))):
            yield f"{where(index, cell)}: asserts; {advice}"
        if any("theory" in line and "observed" in line for line in printed(cell).splitlines()):
            yield f"{where(index, cell)}: prints theory beside observed; {advice}"


def wrong_kinds(twin: NotebookNode) -> Iterator[str]:
    """Yield the cells that speak of a network where nothing trains."""
    chapter = syntax(code_cells(twin))
    for index, cell in numbered_code_cells(twin):
        constants = (n for n in ast.walk(syntax([cell])) if isinstance(n, ast.Constant))
        if any(node.value == NETWORK for node in constants):
            used = {name for node in used_by(cell, chapter) for name in names(ast.unparse(node))}
            if not used & TRAINS:
                advice = "name the kind that it is, or train"
                yield f"{where(index, cell)}: {NETWORK!r}, but nothing trains; {advice}"


def abrupt_sections(twin: NotebookNode) -> Iterator[str]:
    """Yield the headings that code follows without a word."""
    for index, (cell, after) in enumerate(zip(twin.cells, twin.cells[1:], strict=False)):
        last = next(reversed(cell.source.strip().splitlines()), "")
        if cell.cell_type == "markdown" and last.startswith("#") and after.cell_type == "code":
            yield f"{where(index, cell)}: {last!r} begins with code; say first what it is for"
