"""The recipes of CONTRIBUTING.md, carried out on a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tools.notebooks import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^### (Add .*?)\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(?:python|text|markdown)\n# (\S+), (.*?)\n(.*?)^```", re.M | re.S)
COPIED = [
    "_ext",
    "mflib",
    "tests",
    "tools",
    "chapters",
    "pyproject.toml",
    "references.bib",
    "CHANGELOG.md",
]


def place(text: str, where: str, block: str) -> str:
    """Put a block before or after the one place that is meant."""
    side, anchor, start = re.fullmatch(r'(before|after) "(.*?)"(?: of "(.*?)")?', where).groups()
    anchor = anchor.replace("\\n", "\n")
    first = text.index(start) if start else 0
    assert start or text.count(anchor) == 1, f"{anchor!r} must occur once"
    at = text.index(anchor, first) + (len(anchor) if side == "after" else 0)
    return text[:at] + block + text[at:]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_what_it_promises(name, tmp_path):
    skip = shutil.ignore_patterns("__pycache__", "*.ipynb", "browser")
    for part in COPIED:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tmp_path / part, **({"ignore": skip} if copy is shutil.copytree else {}))
    blocks = BLOCK.findall(RECIPES[name])
    assert len({file for file, *_ in blocks}) <= 4, "a recipe names at most four places"
    for file, where, block in blocks:
        path = tmp_path / file
        path.write_text(block if where == "new" else place(path.read_text("utf-8"), where, block))
    (command,) = re.findall(r"^```bash\npython -m (.*?)\n```", RECIPES[name], re.MULTILINE)
    run = subprocess.run(
        [sys.executable, "-m", *command.split(), "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    # in the package's own tests, and in those that every such thing has to pass
    assert int(re.findall(r"(\d+) passed", run.stdout)[0]) >= {"Add a data set": 5}.get(name, 25)
