"""The first cell of each chapter: right, silent here, and installing on Colab."""

import sys

import jupytext
import pytest
import yaml

from tools import colab
from tools.notebooks import ROOT

URL = "https://example.org/someone/book"
HEADER = "---\njupytext:\n  formats: ipynb,md:myst\n---\n\n"
CHAPTER = HEADER + "# Title\n\n```{code-cell} ipython3\nprint(1)\n```\n"


@pytest.fixture
def book(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {URL}\n", "utf-8")
    chapter = tmp_path / "chapters" / "a.md"
    chapter.write_text(CHAPTER, "utf-8")
    return tmp_path


def setup_cell(text):
    cells = jupytext.reads(text, fmt="md:myst").cells
    (cell,) = [cell for cell in cells if "colab" in cell.metadata.get("tags", [])]
    return cell.source


def test_the_cell_is_written_once_and_follows_the_setting(book, capsys):
    assert colab.main(["--check"], book) == 1
    assert "chapters/a.md: its first cell is not the one for Colab; run" in capsys.readouterr().out
    assert colab.main([], book) == 0
    once = (book / "chapters/a.md").read_text("utf-8")
    assert colab.main(["--check"], book) == colab.main([], book) == 0
    assert (book / "chapters/a.md").read_text("utf-8") == once
    (book / "_config.yml").write_text(f"repository:\n  url: {URL}-2\n", "utf-8")
    assert colab.main(["--check"], book) == 1
    colab.main([], book)
    assert (book / "chapters/a.md").read_text("utf-8") == once.replace(URL, f"{URL}-2")


def test_an_edited_cell_is_mended(book):
    colab.main([], book)
    path = book / "chapters/a.md"
    right = path.read_text("utf-8")
    path.write_text(right.replace("--quiet", "--user"), "utf-8")
    assert colab.main(["--check"], book) == 1
    colab.main([], book)
    assert path.read_text("utf-8") == right


def test_a_chapter_that_reads_other_files_has_no_cell(book):
    assert (
        colab.with_cell(CHAPTER.replace("print(1)", 'open("../x.json")'), URL).count("colab") == 0
    )


@pytest.mark.parametrize("on_colab", [False, True])
def test_what_the_cell_does(monkeypatch, capsys, on_colab):
    from IPython.core.interactiveshell import InteractiveShell

    shell, calls = InteractiveShell(), []
    shell.register_magic_function(calls.append, magic_name="pip")
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", sys)
    url = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    result = shell.run_cell(setup_cell(colab.with_cell(CHAPTER, url)))
    assert result.success and result.result is None
    assert capsys.readouterr() == ("", "")
    assert calls == ([f"install --quiet git+{url}"] if on_colab else [])
