"""Keep every chapter's executed twin in step with its source.

A chapter is a pair: `chapters/NAME.md` (MyST with a jupytext header) is edited, its twin
`chapters/NAME.ipynb` holds the same cells with their outputs. The book is built from the twin and
nbval re-executes it, so the twin must be complete, reproducible and honest.

    python -m tools.notebooks refresh [--all] [NAME ...]    execute what changed, rewrite twins
    python -m tools.notebooks check [NAME ...]              list all that is not as it should be
"""

import argparse
import ast
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets.config import Config

from tools import pictures
from tools.chapters import (
    ROOT,
    chapter_sources,
    kernel_environment,
    normalise,
    read_source,
    read_twin,
    serialise,
)
from tools.dependencies import Repository, digest
from tools.evidence import abrupt_sections, bare_claims, wrong_kinds
from tools.executed import NAME, OUTPUTS, Keys, read_keys, serialise_keys, tidy, write_twin
from tools.exercises import unfinished
from tools.numbers import unknown_numbers
from tools.pages import disordered, orphans, unlisted
from tools.rules import (
    bare_figures,
    citations,
    code_cells,
    hidden,
    long_cells,
    noisy,
    numbered_code_cells,
    red_mathematics,
    uncited,
    unvalidated,
    where,
    wide_lines,
)
from tools.vector import lighten

CELL_SECONDS = 300


class ChapterError(Exception):
    """A chapter could not be executed; the message says where and why."""


# What a stored output depends on


def inputs_of(source: NotebookNode, folder: Path, repository: Repository) -> dict[str, str]:
    """Return a digest of each file on which the outputs of a chapter depend."""
    magic = TransformerManager()
    code = "\n".join(magic.transform_cell(cell.source) for cell in code_cells(source))
    try:
        return repository.inputs(code, folder)
    except SyntaxError:
        return repository.inputs(None, folder)


def outputs_digest(notebook: NotebookNode) -> str:
    """Return a digest of all outputs, the pictures among them, as they are stored."""
    stored = nbformat.reads(serialise(notebook), as_version=4)
    return digest(json.dumps(cell.outputs, sort_keys=True) for cell in code_cells(stored))


def changed(inputs: dict[str, str], keys: dict[str, str]) -> str:
    """Return the files, at most three by name, that are not as they were executed with."""
    before = {name: value for name, value in keys.items() if name != OUTPUTS}
    names = sorted(name for name, _ in inputs.items() ^ before.items())
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def reasons_to_execute(
    source: NotebookNode, twin: NotebookNode | None, inputs: dict[str, str], keys: dict[str, str]
) -> list[str]:
    """Return why the stored outputs cannot be kept; empty if they can."""
    if twin is None:
        return ["it has no notebook yet"]
    names = changed(inputs, keys)
    reasons = [f"{names} changed"] if names else []
    if edited(twin, keys):
        reasons.append("its outputs were edited")
    if what_runs(source) != what_runs(twin):
        reasons.insert(0, "its code changed")
    elif any(unexecuted(twin)):
        reasons.insert(0, "its stored run is not complete and in order")
    elif any(pictures.bare(cell.outputs) for cell in code_cells(twin)):
        reasons.append("its figures do not say what they draw")
    return reasons


def what_runs(notebook: NotebookNode) -> list[str]:
    """Return the code of the cells; Colab's does nothing here."""
    cells = code_cells(notebook)
    return ["" if "colab" in cell.metadata.get("tags", ()) else cell.source for cell in cells]


# Refresh


def refresh(path: Path, repository: Repository, execute_anyway: bool) -> str:
    """Bring one twin up to date and return what was done."""
    source, target = read_source(path), path.with_suffix(".ipynb")
    twin, keys = read_twin(target), read_keys(path.parent).get(path.stem, {})
    inputs = inputs_of(source, path.parent, repository)  # as it is before the execution
    reasons = reasons_to_execute(source, twin, inputs, keys)
    if execute_anyway:
        reasons = reasons or ["asked for"]
    start = time.perf_counter()
    if twin is None or reasons:
        execute(source, path)
    else:
        keep_outputs(source, twin)
    result = normalise(source)
    text = serialise(result)
    if reasons:
        done = f"executed in {time.perf_counter() - start:.1f} s: {', '.join(reasons)}"
    elif text != target.read_text("utf-8"):
        done = "text or metadata updated, outputs kept"
    else:
        return "up to date"
    write_twin(target, text, inputs | {OUTPUTS: outputs_digest(result)})
    return done


def execute(notebook: NotebookNode, path: Path) -> None:
    """Fill in the outputs, in a fresh kernel that runs in the chapter's folder."""
    with fresh_kernel(notebook, path.parent) as client:
        expected, found = (path.parents[1] / "mflib").resolve(), home_of_mflib(client)
        if found != str(expected):
            raise ChapterError(f"{path.name}: its kernel finds mflib at {found}, not at {expected}")
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index)
            except CellExecutionError as error:
                cause = f"{error.ename}: {error.evalue}\n{error.traceback}"
                raise ChapterError(f"{where(index, cell)}: {cause}") from error
            except (CellTimeoutError, DeadKernelError) as error:
                raise ChapterError(f"{where(index, cell)}: {error}") from error
            for output in cell.get("outputs", ()):
                panels = output.get("metadata", {}).pop(pictures.PANELS, None)
                if panels is not None and "image/svg+xml" in output.data:
                    output.data["image/svg+xml"] = lighten(output.data["image/svg+xml"], panels)


@contextlib.contextmanager
def fresh_kernel(notebook: NotebookNode, folder: Path) -> Iterator[NotebookClient]:
    """Yield a client whose kernel listens at files: a port may be taken before it is there."""
    with tempfile.TemporaryDirectory(prefix="k") as sockets:
        transport = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            config=Config(KernelManager=transport),
            extra_arguments=list(pictures.KERNEL_OPTIONS),
            timeout=CELL_SECONDS,
            kernel_name="python3",
            record_timing=False,
            resources={"metadata": {"path": str(folder)}},
        )
        with client.setup_kernel(env=kernel_environment(folder.parent)):
            yield client


def home_of_mflib(client: NotebookClient) -> str:
    """Return from where a kernel would import mflib; nothing is counted as executed."""
    ask = '__import__("importlib.util").util.find_spec("mflib").submodule_search_locations[0]'
    channel: Any = client.kc
    asked = channel.execute("", silent=True, user_expressions={"home": ask})
    told: Any = client.wait_for_reply(asked)
    home = told["content"]["user_expressions"]["home"]
    return ast.literal_eval(home["data"]["text/plain"]) if home["status"] == "ok" else "no place"


def keep_outputs(source: NotebookNode, twin: NotebookNode) -> None:
    for fresh, stored in zip(code_cells(source), code_cells(twin), strict=True):
        fresh["outputs"], fresh["execution_count"] = stored.outputs, stored.execution_count


# Check: whether source, twin and keys agree; the rules of what stands in them are in tools.rules


def faults(
    path: Path, repository: Repository, keys: dict[str, str], cited: set[str]
) -> Iterator[str]:
    """Yield everything that is wrong with the twin of one source."""
    source, target = read_source(path), path.with_suffix(".ipynb")
    twin = read_twin(target)
    if twin is None:
        yield "does not exist; run `make notebooks`"
        return
    stale = list(differences(source, twin))
    if names := changed(inputs_of(source, path.parent, repository), keys):
        stale.append(f"was executed with another {names}; run `make notebooks`")
    if not stale and serialise(normalise(twin)) != target.read_text("utf-8"):
        stale = ["is not in normal form (saved by another tool?); run `make notebooks`"]
    yield from stale
    rules = [unexecuted, noisy, unvalidated, hidden, bare_figures]
    rules += [long_cells, wide_lines, bare_claims, wrong_kinds, abrupt_sections]
    found = [line for rule in rules for line in rule(twin)]
    yield from found
    yield from uncited(twin, cited)
    yield from red_mathematics(twin, path.parents[1])
    if not stale:
        yield from unknown_numbers(twin, path.stem, repository)
    if not stale and not found and edited(twin, keys):
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


def edited(twin: NotebookNode, keys: dict[str, str]) -> bool:
    """Whether outputs were changed after the execution: nbval does not compare figures."""
    return keys.get(OUTPUTS) != outputs_digest(twin)


def unexecuted(twin: NotebookNode) -> Iterator[str]:
    """Yield the first cell out of the order 1, 2, ...: nbval skips cells without a count."""
    for count, (index, cell) in enumerate(numbered_code_cells(twin), start=1):
        if cell.execution_count != count:
            found = f"execution count {cell.execution_count} where {count} should be"
            yield f"{where(index, cell)}: {found}; run `make notebooks`"
            return


# Command line


def run_refresh(root: Path, sources: list[Path], execute_anyway: bool) -> int:
    failed = 0
    for path in sources:
        name = path.relative_to(root).with_suffix(".ipynb")
        try:
            print(f"{name}: {refresh(path, Repository(root), execute_anyway)}", flush=True)
        except ChapterError as error:
            failed += 1
            print(f"{name}: not refreshed, the old one stays. In {error}", flush=True)
    tidy(root / "chapters", {path.stem for path in chapter_sources(root)})
    return 1 if failed else 0


def run_check(root: Path, sources: list[Path]) -> int:
    keys, cited, repository = read_keys(root / "chapters"), citations(root), Repository(root)
    lines = [
        f"{path.relative_to(root).with_suffix('.ipynb')}: {fault}"
        for path in sources
        for fault in faults(path, repository, keys.get(path.stem, {}), cited)
    ]
    for path in unlisted(root):
        lines.append(f"{path.relative_to(root)}: is on no page; add it to _toc.yml")
    for path in orphans(root, chapter_sources(root)):
        lines.append(f"{path.relative_to(root)}: has no source; restore its .md or remove it")
    lines += [f"_toc.yml: {fault} of the first page; mend either" for fault in disordered(root)]
    lines += untidy(root, keys)
    lines += unfinished(root)
    print("\n".join(lines) or f"{len(sources)} notebooks are as they should be")
    return 1 if lines else 0


def untidy(root: Path, keys: Keys) -> Iterator[str]:
    """Yield what is wrong with the file of all keys, apart from the digests in it."""
    path = root / "chapters" / NAME
    if set(keys) - {source.stem for source in chapter_sources(root)}:
        yield f"{path.relative_to(root)}: knows chapters that are no more; run `make notebooks`"
    elif path.exists() and path.read_text("utf-8") != serialise_keys(keys):
        yield f"{path.relative_to(root)}: is not in normal form; run `make notebooks`"


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
