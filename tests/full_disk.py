"""A program for test_faults: sweep, and execute a chapter, on a disk of 2 MB that gets full."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mflib.experiments import sweep
from tests.test_tools_notebooks import SOURCE, lay_out
from tools import notebooks


@contextmanager
def only(room: int, disk: Path) -> Iterator[None]:
    """Fill the disk until so many bytes are left, and make room again."""
    free = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
    yield
    filler.unlink()


def ends_for_want_of_space(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False


def check_sweep(disk: Path) -> None:
    calls: list[int] = []

    def cell(a):
        calls.append(a)
        return {"b": a, "field": np.full(10_000, float(a))}  # 80 kB

    def work():
        options = {"executor": "serial", "cache": disk / "cache", "version": "1"}
        return sweep(cell, {"a": range(9)}, **options)

    with only(300_000, disk):
        assert ends_for_want_of_space(work)
    kept = [path.stat().st_size for path in (disk / "cache").iterdir()]
    assert len(kept) == 3
    assert min(kept) > 80_000
    del calls[:]
    assert work()["b"].tolist() == list(range(9))
    assert calls == [3, 4, 5, 6, 7, 8]


def check_refresh(disk: Path) -> None:
    book, twin = disk / "book", disk / "book/chapters/a.ipynb"
    lay_out(book, {"chapters/a.md": SOURCE, "mflib/m.py": "A = 1\n"})
    assert notebooks.main(["refresh"], book) == 0
    before = twin.read_bytes()
    (book / "mflib/m.py").write_text("A = 2\n", "utf-8")
    with only(0, disk):
        assert ends_for_want_of_space(lambda: notebooks.main(["refresh"], book))
    assert twin.read_bytes() == before
    left = sorted(path.name for path in twin.parent.iterdir())
    assert left == ["a.ipynb", "a.md", "executed.yml"]
    assert notebooks.main(["refresh"], book) == 0
    assert notebooks.main(["check"], book) == 0


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    # seen by this process alone, and gone with it
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=True)
    check_sweep(disk)
    check_refresh(disk)
    print("passed")
