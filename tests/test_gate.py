"""Gates of other makes, tried on tampered books: ruff, nbval, the build with warnings as errors.

What `tools.notebooks check` finds is in test_tools_notebooks.py.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

# Kernels and builds are heavy: one process runs them, one after another.
pytestmark = pytest.mark.xdist_group("kernels")

ROOT = Path(__file__).resolve().parents[1]
RECIPE = (ROOT / "Makefile").read_text("utf-8")


def notebook(path: Path, source: str, shown: str | None) -> None:
    """Write a notebook of one executed cell."""
    outputs = [] if shown is None else [nbformat.v4.new_output("stream", text=shown)]
    cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=outputs, id="a")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def test_nbval_fails_where_outputs_differ(tmp_path):
    """A digit edited, text taken away, text added, an error, a warning."""
    tampered = {
        "digit": ("print(0.123)", "0.124\n"),
        "emptied": ("print(0.123)", None),
        "invented": ("x = 1", "0.123\n"),
        "fails": ("1 / 0", None),
        "warns": ("import warnings\nwarnings.warn('careful')", None),
    }
    notebook(tmp_path / "good.ipynb", "print(0.123)", "0.123\n")
    ours = f"{[str(ROOT / 'mflib')]}\n"
    notebook(tmp_path / "ours.ipynb", "import mflib\nprint(mflib.__path__)", ours)
    for name, (source, shown) in tampered.items():
        notebook(tmp_path / f"{name}.ipynb", source, shown)
    options = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout", "300"]
    options += ["-p", "tests.kernels"]
    assert all(option in RECIPE.split() for option in options)
    sanitiser = ["--nbval-sanitize-with", str(ROOT / "tests/nbval.cfg")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-c", "/dev/null"]
        + [f"--rootdir={tmp_path}", *options, *sanitiser, str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1, run.stdout
    for name in tampered:
        assert re.search(rf"FAILED \S*/{name}.ipynb::Cell 0", run.stdout), run.stdout
    for name in ("good", "ours"):
        assert re.search(rf"PASSED \S*/{name}.ipynb::Cell 0", run.stdout), run.stdout
    assert "0.124" in run.stdout


STYLE = {
    "import os\n\nos.system('ls')": "`os` is banned",
    "import os as o\n\no.execvp('ls', [])": "`os` is banned",
    "import os\n\no = os\no.system('ls')": "`os` is banned",
    "from os import spawnlp as run\n\nrun": "`os` is banned",
    "import subprocess as s\n\ns": "`subprocess` is banned",
    "def f():\n    from asyncio import subprocess\n    return subprocess": "`asyncio` is banned",
    "import asyncio\n\nawait asyncio.create_subprocess_shell('ls')": "`asyncio` is banned",
    "import importlib.util\n\nimportlib.util": "`importlib` is banned",
    "from IPython import get_ipython as shell\n\nshell()": "`IPython.get_ipython` is banned",
    "eval('1')": "S307",
    "exec('1')": "S102",
    "import warnings\n\nwarnings.filterwarnings('ignore')": "`warnings` is banned",
    "import warnings\n\nwarnings.filters.clear()": "`warnings` is banned",
    "import warnings\n\nwarnings.showwarning = 1": "`warnings` is banned",
    "from warnings import simplefilter as s\n\ns(action='ignore')": "`warnings` is banned",
    "import logging as o\n\no.captureWarnings(True)": "`logging` is banned",
    "import numpy as np\n\nwith np.errstate(all='ignore'):\n    y = 2": "`numpy.errstate` is",
    "from numpy import seterrcall as s\n\ns(1)": "`numpy.seterrcall` is banned",
    "import contextlib as c\n\nwith c.redirect_stderr(None):\n    x = 1": "redirect_stderr` is",
    "from IPython.display import clear_output\n\nclear_output()": "clear_output` is banned",
    f"x = 1{' + 1' * 18}": "E501 Line too long (77 > 75)",
    "for l in []:\n    l": "E741",
}
FREE = [
    f"x = 1{' + 1' * 17}12",  # 75 characters
    "import numpy as np\n\nsystem, filters = np.random.default_rng(0).spawn(2)",
    "import sys\n\nif 'google.colab' in sys.modules:\n    %pip install x",
    "import numpy as np\n\nimport mflib\n\nnp, mflib",
]


def test_ruff_refuses_what_no_cell_may_do(tmp_path):
    """Each in a notebook of its own, beside the settings of this repository."""
    (tmp_path / "chapters").mkdir()
    for name in ("pyproject.toml", "chapters/ruff.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "mflib").mkdir()
    (tmp_path / "mflib/__init__.py").touch()
    sources = {f"n{number}": source for number, source in enumerate([*STYLE, *FREE])}
    for name, source in sources.items():
        notebook(tmp_path / f"chapters/{name}.ipynb", source, None)
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise"]
    run = subprocess.run([*command, "chapters"], cwd=tmp_path, capture_output=True, text=True)
    assert "ruff check" in RECIPE
    for name, source in sources.items():
        found = [line for line in run.stdout.splitlines() if f"/{name}.ipynb:" in line]
        wanted = STYLE.get(source, "")
        assert bool(found) == bool(wanted), (source, found)
        assert any(wanted in line for line in found) or not wanted, (source, found)


GOOD = """\
(good-page)=
# A page

```{math}
:label: one

x = 1
```

By {eq}`one`, {cite:t}`liang2025implicit` and {ref}`good-page` all is well.

```{bibliography}
```
"""
BROKEN = {
    "{eq}`two`": "equation not found: two",
    "{ref}`bad-page`": "undefined label: 'bad-page'",
    "{numref}`fig-none`": "undefined label: 'fig-none'",
    "{cite:t}`nobody1900`": 'could not find bibtex key "nobody1900"',
    "{doc}`nowhere`": "unknown document: 'nowhere'",
    "{func}`mflib.nothing`": "reference target not found: mflib.nothing",
    "{prf:ref}`thm-none`": "thm-none",
    "![A curve](none.png)": "image file not readable: chapters/none.png",
    "```{nothing}\n```": "Unknown directive type: 'nothing'",
}


def small_book(book: Path, page: str) -> None:
    """Lay out a book of one page, with the settings of this one."""
    for name in ("_config.yml", "references.bib", "Makefile"):
        shutil.copy(ROOT / name, book / name)
    shutil.copytree(ROOT / "_ext", book / "_ext")
    shutil.copytree(ROOT / "chapters/_static", book / "chapters/_static")
    (book / "_toc.yml").write_text("format: jb-book\nroot: chapters/page.md\n", "utf-8")
    (book / "chapters/page.md").write_text(page, "utf-8")


def build(book: Path, page: str) -> tuple[int, str]:
    """Build it as the Makefile does."""
    small_book(book, page)
    assert "jupyter-book build . --all -W -n --keep-going" in RECIPE
    command = "from jupyter_book.cli.main import main; main()"
    options = ["build", ".", "--all", "-W", "-n", "--keep-going"]
    run = subprocess.run(
        [sys.executable, "-c", command, *options], cwd=book, capture_output=True, text=True
    )
    return run.returncode, run.stdout + run.stderr


def test_a_sound_page_builds(tmp_path):
    status, output = build(tmp_path, GOOD)
    assert status == 0, output


def test_the_build_fails_at_every_broken_reference(tmp_path):
    status, output = build(tmp_path, GOOD + "\n\n".join(["", *BROKEN]))
    assert status != 0
    for reference, line in BROKEN.items():
        assert line in output, f"{reference} is not reported:\n{output}"


@pytest.mark.parametrize("flag", ["-W", "-n", "--nbval"])
def test_the_recipe_of_the_gate_keeps_its_flags(flag):
    lines = [
        line for line in RECIPE.splitlines() if "jupyter-book build" in line or "--nbval " in line
    ]
    assert any(f" {flag} " in line for line in lines)
    assert not any("--nbval-lax" in line or "|| true" in line for line in lines)
