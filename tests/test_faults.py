"""A kill, a full disk, a cache that vanishes: what was finished stays, and nothing is half."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mflib.experiments import _cache, sweep
from tests.test_gate import GOOD, small_book
from tests.test_sweep import wait_until
from tests.test_tools_notebooks import SOURCE, lay_out
from tools import notebooks

# Kernels and builds are heavy: one process runs them, one after another.
pytestmark = pytest.mark.xdist_group("kernels")

ROOT = Path(__file__).resolve().parents[1]
FILES = ["a.ipynb", "a.md", "executed.yml"]


def fill_the_disk(monkeypatch, writes: int) -> None:
    """Let so many files be written whole; from then on half of the content fits."""
    left = [writes]

    class Disk(io.FileIO):
        def write(self, content):
            left[0] -= 1
            if left[0] >= 0:
                return super().write(content)
            super().write(bytes(content)[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def write_text(path, text, encoding):
        with Disk(path, "w") as file:
            file.write(text.encode(encoding))

    monkeypatch.setattr(Path, "write_text", write_text)
    monkeypatch.setattr(_cache, "open", Disk, raising=False)


@pytest.fixture
def book(tmp_path):
    lay_out(tmp_path, {"chapters/a.md": SOURCE, "mflib/m.py": "A = 1\n"})
    assert notebooks.main(["refresh"], tmp_path) == 0
    return tmp_path


def test_a_full_disk_leaves_the_old_notebook_whole(book, monkeypatch):
    twin = book / "chapters/a.ipynb"
    before = twin.read_bytes()
    with monkeypatch.context() as patch:
        fill_the_disk(patch, writes=0)
        (book / "mflib/m.py").write_bytes(b"A = 2\n")
        with pytest.raises(OSError, match="No space left"):
            notebooks.main(["refresh"], book)
    assert twin.read_bytes() == before
    assert sorted(path.name for path in (book / "chapters").iterdir()) == FILES
    assert notebooks.main(["refresh"], book) == 0
    assert notebooks.main(["check"], book) == 0


def test_a_refresh_killed_at_any_moment_leaves_a_whole_notebook(book):
    twin, whole = book / "chapters/a.ipynb", []
    program = (
        "import sys; from pathlib import Path; from tools import notebooks;"
        "print('go', flush=True);"
        "[notebooks.main(['refresh', '--all'], Path(sys.argv[1])) for _ in range(99)]"
    )
    for wait in (0.0, 0.7, 1.9):
        run = subprocess.Popen(
            [sys.executable, "-c", program, str(book)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(wait)
        run.kill()
        run.communicate()
        whole.append(twin.read_bytes())
        assert notebooks.main(["check"], book) == 0
    assert len(set(whole)) == 1
    assert notebooks.main(["refresh", "--all"], book) == 0
    assert [p.name for p in (book / "chapters").glob("*.tmp")] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    "moment", ["_build/.begun", "_build/html", "_build/html/chapters/page.html"]
)
def test_a_killed_build_of_the_book_is_not_taken_for_whole(tmp_path, moment):
    small_book(tmp_path, GOOD)
    page, done = tmp_path / "chapters/page.md", tmp_path / "_build/.done"
    environment = f"{sys.prefix}/.done"
    make = ["make", "--silent", f"VENV={sys.prefix}", "--old-file", environment, "_build/.done"]
    done.parent.mkdir()
    done.touch()  # from an earlier build
    os.utime(done, (1, 1))

    run = subprocess.Popen(make, cwd=tmp_path, stdout=subprocess.PIPE, start_new_session=True)
    try:
        wait_until((tmp_path / moment).exists)
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    assert not done.exists()

    begun = tmp_path / "_build/.begun"
    wreck = begun.stat().st_mtime_ns  # which the next build finds as it is
    run = subprocess.Popen(make, cwd=tmp_path, stdout=subprocess.PIPE)
    wait_until(lambda: begun.stat().st_mtime_ns > wreck)
    before, edited = page.stat(), begun.stat().st_mtime + 1
    os.utime(page, (edited, edited))  # during the build
    run.communicate()
    assert run.returncode == 0
    assert "</html>" in (tmp_path / "_build/html/chapters/page.html").read_text("utf-8")
    assert subprocess.run([*make, "--question"], cwd=tmp_path).returncode == 1
    os.utime(page, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert subprocess.run([*make, "--question"], cwd=tmp_path).returncode == 0


ALONE = ["unshare", "--map-root-user", "--mount"]  # with mounts of its own


def may_mount() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*ALONE, "true"]).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="Linux does not let this user mount a disk")
def test_a_disk_that_is_really_full(tmp_path):
    program = [sys.executable, "-m", "tests.full_disk", str(tmp_path)]
    run = subprocess.run([*ALONE, *program], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.endswith("passed\n"), run.stderr
    assert list(tmp_path.iterdir()) == []


def cells(calls, cache):
    def cell(a):
        calls.append(a)
        return {"b": a**2}

    return sweep(cell, {"a": range(5)}, executor="serial", cache=cache, version="1")


def test_a_full_disk_ends_a_sweep_that_can_go_on_later(tmp_path, monkeypatch):
    calls: list[int] = []
    with monkeypatch.context() as patch:
        fill_the_disk(patch, writes=2)
        with pytest.raises(OSError, match="No space left"):
            cells(calls, cache=tmp_path)
    kept = list(tmp_path.iterdir())
    assert len(kept) == 2
    assert all(path.suffix != ".tmp" for path in kept)
    del calls[:]
    table = cells(calls, cache=tmp_path)
    assert table["b"].tolist() == [0, 1, 4, 9, 16]
    assert calls == [2, 3, 4]


def test_a_cache_that_vanishes_half_way_is_made_anew(tmp_path):
    calls: list[int] = []

    class Vanishing(list):
        def append(self, a):
            super().append(a)
            if a == 2:
                shutil.rmtree(tmp_path / "cache")

    assert cells(Vanishing(), cache=tmp_path / "cache")["b"].tolist() == [0, 1, 4, 9, 16]
    assert cells(calls, cache=tmp_path / "cache")["b"].tolist() == [0, 1, 4, 9, 16]
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_a_result_that_vanishes_is_computed_again(tmp_path):
    store = _cache.Store(tmp_path)
    store.save("k", {"a": 1})
    shutil.rmtree(tmp_path)
    assert store.load("k") is None
