"""Keep every chapter's executed twin in step with its source.

A chapter is a pair: `chapters/NAME.md` (MyST with a jupytext header) is edited, its twin
`chapters/NAME.ipynb` holds the same cells with their outputs. The book is built from the twin and
nbval re-executes it, so the twin must be complete, reproducible and honest.

    python -m tools.notebooks refresh [--all] [NAME ...]    execute what changed, rewrite twins
    python -m tools.notebooks check [NAME ...]              list all that is not as it should be
"""

import argparse
import ast
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import jupytext
import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image
from traitlets.config import Config

from tools.mathematics import undefined_macros

ROOT = Path(__file__).resolve().parents[1]
CELL_SECONDS = 300
CELL_LINES = 15
DRAWING_BYTES = 80_000
CODE_WIDTH, OUTPUT_WIDTH = 75, 80  # characters that a page shows without scrolling
LONG_CELL_TAG, COMPARISON_TAG = "long-cell", "theory-observed"
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
UNCHECKED_TAGS = re.compile(r"nbval-|raises-exception$|skip-execution$")
UNWANTED_CODE = {
    r"NBVAL_|PYTEST_VALIDATE_IGNORE_OUTPUT": "remove the marker, nbval must compare every cell",
    r"(filterwarnings|simplefilter)\b(?!\(\s*[\"']error)": "mend the cause of the warning",
    r";\s*$": "drop the final semicolon (end plots with plt.show()), nbval cannot reproduce it",
}
# As `names` gives them: a dot stands before attributes and what is imported.
UNWANTED_NAMES = {
    r"\.?(catch_warnings|redirect_stderr|errstate|seterr\w*)|\.captureWarnings"
    r"|\.(filters|showwarning|_showwarn\w*|formatwarning|resetwarnings)": (
        "mend the cause of the warning"
    ),
    r"\.?(get_ipython|__import__|__builtins__|subprocess)|eval|exec|\.(system|popen\w*)"
    r"|\.((exec|spawn)[lv]p?e?|fork\w*|posix\w*|pty|(create_)?subprocess_\w+)"
    r"|\.(builtins|ctypes|importlib|runpy)": "use Python alone: no shell, no magic",
}


class ChapterError(Exception):
    """A chapter could not be executed; the message says where and why."""


# Reading and writing


def chapter_sources(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the sources of the named chapters, or of all: the .md files with a jupytext header."""
    header = re.compile(r"---\n(.*\n)*?jupytext:")
    found = [p for p in sorted(root.glob("chapters/*.md")) if header.match(p.read_text("utf-8"))]
    unknown = set(names) - {path.stem for path in found}
    if unknown:
        choices = ", ".join(path.stem for path in found)
        raise SystemExit(f"no chapter named {', '.join(sorted(unknown))}; there are: {choices}")
    return [path for path in found if not names or path.stem in names]


def read_source(path: Path) -> NotebookNode:
    return jupytext.reads(path.read_text("utf-8"), fmt="md:myst")


def read_twin(path: Path) -> NotebookNode | None:
    return nbformat.reads(path.read_text("utf-8"), as_version=4) if path.exists() else None


def write_twin(path: Path, text: str) -> None:
    """Replace the twin in one step, so that no reader ever sees half a notebook."""
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def serialise(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


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


# What a stored output depends on


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def code_only(source: str) -> str:
    """Return Python source without docstrings, blank and comment lines: they change no output."""
    lines = source.splitlines()
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node):
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("#"))


def fingerprint(root: Path) -> dict[str, str]:
    """Return digests of the library and its data, as stored in each twin that they executed."""
    modules = sorted(root.glob("mflib/**/*.py"))
    tables = sorted(root.glob("mflib/data/*.csv"))
    return {
        "mflib": digest(code_only(path.read_text("utf-8")) for path in modules)[:16],
        "data": digest(path.read_text("utf-8") for path in tables)[:16],
    }


def outputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of all outputs, the pictures among them, as they are stored."""
    stored = nbformat.reads(serialise(notebook), as_version=4)
    return digest(json.dumps(cell.outputs, sort_keys=True) for cell in code_cells(stored))[:16]


def reasons_to_execute(
    source: NotebookNode, twin: NotebookNode | None, inputs: dict[str, str]
) -> list[str]:
    """Return why the stored outputs cannot be kept; empty if they can."""
    if twin is None:
        return ["it has no notebook yet"]
    stored = twin.metadata.get("executed_with", {})
    reasons = [f"{name} changed" for name in inputs if inputs[name] != stored.get(name)]
    if edited(twin):
        reasons.append("its outputs were edited")
    if [cell.source for cell in code_cells(source)] != [cell.source for cell in code_cells(twin)]:
        reasons.insert(0, "its code changed")
    elif any(unexecuted(twin)):
        reasons.insert(0, "its stored run is not complete and in order")
    return reasons


# Refresh


def refresh(path: Path, inputs: dict[str, str], execute_anyway: bool) -> str:
    """Bring one twin up to date and return what was done."""
    source, target = read_source(path), path.with_suffix(".ipynb")
    twin = read_twin(target)
    reasons = reasons_to_execute(source, twin, inputs)
    if execute_anyway:
        reasons = reasons or ["asked for"]
    start = time.perf_counter()
    if twin is None or reasons:
        execute(source, path)
    else:
        keep_outputs(source, twin)
    result = normalise(source)
    result.metadata["executed_with"] = inputs | {"outputs": outputs_digest(result)}
    text = serialise(result)
    if reasons:
        done = f"executed in {time.perf_counter() - start:.1f} s: {', '.join(reasons)}"
    elif text != target.read_text("utf-8"):
        done = "text or metadata updated, outputs kept"
    else:
        return "up to date"
    write_twin(target, text)
    return done


def execute(notebook: NotebookNode, path: Path) -> None:
    """Fill in the outputs, in a fresh kernel that runs in the chapter's folder."""
    with fresh_kernel(notebook, path.parent) as client:
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                cause = f"{error.ename}: {error.evalue}\n{error.traceback}"
                raise ChapterError(f"{where(index, cell)}: {cause}") from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise ChapterError(f"{where(index, cell)}: {error}") from error
            for output in cell.get("outputs", ()):
                if "image/png" in output.get("data", {}):
                    output.data["image/png"] = lighten(output.data["image/png"])


@contextlib.contextmanager
def fresh_kernel(notebook: NotebookNode, folder: Path) -> Iterator[NotebookClient]:
    """Yield a client whose kernel listens at files: a port may be taken before it is there."""
    with tempfile.TemporaryDirectory(prefix="k") as sockets:
        transport = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            config=Config(KernelManager=transport),
            timeout=CELL_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        with client.setup_kernel():
            yield client


def lighten(png: str) -> str:
    """Keep 256 colours of a figure, in base64: a third of the bytes, and the same to the eye."""
    full = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    few = full.quantize(method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    data = io.BytesIO()
    few.save(data, "png", optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def keep_outputs(source: NotebookNode, twin: NotebookNode) -> None:
    for fresh, stored in zip(code_cells(source), code_cells(twin), strict=True):
        fresh["outputs"], fresh["execution_count"] = stored.outputs, stored.execution_count


# Check: each rule yields one line a fault, "where: what; what to do"


def faults(path: Path, inputs: dict[str, str], cited: set[str]) -> Iterator[str]:
    """Yield everything that is wrong with the twin of one source."""
    source, target = read_source(path), path.with_suffix(".ipynb")
    twin = read_twin(target)
    if twin is None:
        yield "does not exist; run `make notebooks`"
        return
    stale = list(differences(source, twin)) + list(outdated(twin, inputs))
    if not stale and serialise(normalise(twin)) != target.read_text("utf-8"):
        stale = ["is not in normal form (saved by another tool?); run `make notebooks`"]
    yield from stale
    rules = unexecuted, noisy, unvalidated, bare_figures, long_cells, wide_lines, plain_comparisons
    found = [line for rule in rules for line in rule(twin)]
    yield from found
    yield from uncited(twin, cited)
    yield from red_mathematics(twin, path.parents[1])
    if not stale and not found and edited(twin):
        yield "its outputs are not those that were executed; run `make notebooks`"


def differences(source: NotebookNode, twin: NotebookNode) -> Iterator[str]:
    """Yield where the twin first departs from its source."""
    expected = dict(source.metadata)
    stored = {key: twin.metadata.get(key) for key in expected}
    if stored != expected:
        yield "the notebook's header differs from its source; run `make notebooks`"
    for index, (ours, theirs) in enumerate(zip(source.cells, twin.cells, strict=False)):
        for part, name in (("cell_type", "type"), ("source", "text"), ("metadata", "metadata")):
            if ours[part] != theirs[part]:
                yield f"{where(index, ours)}: {name} differs from its source; run `make notebooks`"
                return
    if len(source.cells) != len(twin.cells):
        counts = f"{len(twin.cells)} cells, its source {len(source.cells)}"
        yield f"has {counts}; run `make notebooks`"


def outdated(twin: NotebookNode, inputs: dict[str, str]) -> Iterator[str]:
    """Yield what changed since the twin was executed: nbval does not compare figures."""
    stored = twin.metadata.get("executed_with", {})
    for name in inputs:
        if inputs[name] != stored.get(name):
            yield f"was executed with another {name}; run `make notebooks`"


def edited(twin: NotebookNode) -> bool:
    """Whether outputs were changed after the execution: nbval does not compare figures."""
    return twin.metadata.get("executed_with", {}).get("outputs") != outputs_digest(twin)


def unexecuted(twin: NotebookNode) -> Iterator[str]:
    """Yield the first cell out of the order 1, 2, ...: nbval skips cells without a count."""
    for count, (index, cell) in enumerate(numbered_code_cells(twin), start=1):
        if cell.execution_count != count:
            found = f"execution count {cell.execution_count} where {count} should be"
            yield f"{where(index, cell)}: {found}; run `make notebooks`"
            return


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
        for pattern, advice in UNWANTED_NAMES.items():
            if any(re.fullmatch(pattern, name) for name in used):
                yield f"{where(index, cell)}: {advice}"


def names(source: str) -> Iterator[str]:
    """Yield the names in a cell, as Python sees them: `!ls` and `%time` call get_ipython()."""
    for node in ast.walk(ast.parse(TransformerManager().transform_cell(source))):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield f".{node.attr}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [getattr(node, "module", None) or "", *(each.name for each in node.names)]
            yield from (f".{part}" for module in modules for part in module.split("."))


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


def plain_comparisons(twin: NotebookNode) -> Iterator[str]:
    """Yield the cells that print theory beside observed and are not set apart by their tag."""
    for index, cell in numbered_code_cells(twin):
        printed = "".join(output.get("text", "") for output in cell.outputs)
        compares = any("theory" in line and "observed" in line for line in printed.splitlines())
        if compares and COMPARISON_TAG not in cell.metadata.get("tags", []):
            yield f"{where(index, cell)}: prints theory beside observed; tag it {COMPARISON_TAG}"


def wide_lines(twin: NotebookNode) -> Iterator[str]:
    """Yield the first line of a cell, or of what it prints, that a page would cut."""
    for index, cell in numbered_code_cells(twin):
        if "colab" in cell.metadata.get("tags", []):
            continue  # on no page
        printed = "".join(output.get("text", "") for output in cell.outputs)
        for kind, text, most in (
            ("code", cell.source, CODE_WIDTH),
            ("output", printed, OUTPUT_WIDTH),
        ):
            wide = [line for line in text.splitlines() if len(line) > most]
            if wide:
                advice = f"{len(wide[0])} characters, at most {most}; break it: {wide[0].strip()}"
                yield f"{where(index, cell)}: line of {kind} with {advice}"


def orphans(root: Path, sources: Iterable[Path]) -> Iterator[Path]:
    expected = {path.with_suffix(".ipynb") for path in sources}
    yield from (path for path in sorted(root.glob("chapters/*.ipynb")) if path not in expected)


def unlisted(root: Path, sources: Iterable[Path]) -> Iterator[Path]:
    toc = root / "_toc.yml"
    listed = toc.read_text("utf-8") if toc.exists() else None
    for path in (path.with_suffix(".ipynb") for path in sources):
        if listed is not None and str(path.relative_to(root).as_posix()) not in listed:
            yield path


# Cells


def numbered_code_cells(notebook: NotebookNode) -> list[tuple[int, NotebookNode]]:
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for _, cell in numbered_code_cells(notebook)]


def where(index: int, cell: NotebookNode) -> str:
    """Name a cell by its place among all cells and by its first line."""
    first_line = next(iter(cell.source.splitlines()), "")
    return f"cell {index + 1} ({first_line[:40]!r})"


# Command line


def run_refresh(root: Path, sources: list[Path], execute_anyway: bool) -> int:
    failed = 0
    for path in sources:
        name = path.relative_to(root).with_suffix(".ipynb")
        try:
            print(f"{name}: {refresh(path, fingerprint(root), execute_anyway)}", flush=True)
        except ChapterError as error:
            failed += 1
            print(f"{name}: not refreshed, the old one stays. In {error}", flush=True)
    return 1 if failed else 0


def run_check(root: Path, sources: list[Path]) -> int:
    inputs, cited = fingerprint(root), citations(root)
    lines = [
        f"{path.relative_to(root).with_suffix('.ipynb')}: {fault}"
        for path in sources
        for fault in faults(path, inputs, cited)
    ]
    for path in unlisted(root, sources):
        lines.append(f"{path.relative_to(root)}: is on no page; add it to _toc.yml")
    for path in orphans(root, chapter_sources(root)):
        lines.append(f"{path.relative_to(root)}: has no source; restore its .md or remove it")
    print("\n".join(lines) or f"{len(sources)} notebooks are as they should be")
    return 1 if lines else 0


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="notebooks", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("refresh", "execute what changed and rewrite the twins"),
        ("check", "list everything that is not as it should be"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("names", nargs="*", metavar="NAME", help="chapters (default: all)")
    commands.choices["refresh"].add_argument("--all", action="store_true", help="execute anyway")
    options = parser.parse_args(arguments)
    sources = chapter_sources(root, options.names)
    if options.command == "refresh":
        return run_refresh(root, sources, options.all)
    return run_check(root, sources)


if __name__ == "__main__":
    sys.exit(main())
