"""With what each chapter was executed: one file beside the chapters, `executed.yml`.

For each chapter it holds a digest of each file that the outputs depend on, and of the outputs.
Digests stand on lines of their own, between names that occur nowhere else: so branches that touch
different modules merge without a conflict, and each digest comes to its own name.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

NAME = "executed.yml"
OUTPUTS = "outputs"
Keys = dict[str, dict[str, str]]  # chapter: file: digest


def read_keys(folder: Path) -> Keys:
    """Return the keys of each chapter of a folder."""
    path = folder / NAME
    keys: Keys = {}
    try:
        lines = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
        for name, digest in (lines or {}).items():
            chapter, file = name.split(": ")
            keys.setdefault(chapter, {})[file] = digest
    except (yaml.YAMLError, AttributeError, ValueError) as error:
        advice = "if it is a conflict, take either side, and run `make notebooks`"
        raise SystemExit(f"{path.name} cannot be read ({error}); {advice}") from error
    return keys


def serialise_keys(keys: Keys) -> str:
    """Return the text of the file, which is the same for the same keys."""
    lines = ((f"{name}: {file}", keys[name][file]) for name in keys for file in keys[name])
    return "".join(f'"{name}":\n  "{digest}"\n' for name, digest in sorted(lines))


def write_twin(path: Path, text: str, keys: dict[str, str] | None = None) -> None:
    """Replace a notebook, or its source, and its keys: no reader sees half, no writer is undone."""
    with alone_in(path.parent) as folder:
        replace(path, text)
        known = read_keys(folder)
        if keys is not None and known.get(path.stem) != keys:
            replace(folder / NAME, serialise_keys(known | {path.stem: keys}))


def tidy(folder: Path, chapters: set[str]) -> None:
    """Forget chapters that are no more, and put the file in its normal form."""
    with alone_in(folder):
        path = folder / NAME
        text = serialise_keys({k: v for k, v in read_keys(folder).items() if k in chapters})
        if path.exists() and path.read_text("utf-8") != text:
            replace(path, text)


def replace(path: Path, text: str) -> None:
    """Replace a file in one step."""
    temporary = path.with_name(path.name + ".tmp")  # one writer at a time: see alone_in
    try:
        temporary.write_text(text, "utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[Path]:
    """Wait until no other process writes in a folder; a killed one does not count."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)
