"""One form for the sources: what JupyterLab saves, and a first cell that acts on Colab only."""

import sys

import jupytext
import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell

from tests.test_tools_notebooks import HEADER
from tools import sources
from tools.notebooks import ROOT

URL = "https://example.org/someone/book"
CHAPTER = (
    HEADER
    + """
# A chapter

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-a
    caption: |
      A line: that is broken
      here, and $x$.
  image:
    alt: A line that goes on for longer than the eighty columns that are the limit of jupytext here.
tags: [hide-input]
---
print(1)
```
"""
)


@pytest.fixture
def book(tmp_path):
    (tmp_path / "chapters").mkdir()
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {URL}\n", "utf-8")
    (tmp_path / "chapters" / "a.md").write_text(CHAPTER, "utf-8")
    return tmp_path


def saved_elsewhere(text):
    """What another version of jupytext makes of the chapter, its keys in another order."""
    chapter = jupytext.reads(text, fmt="md:myst")
    chapter.cells[-1].metadata = dict(reversed(chapter.cells[-1].metadata.items()))
    return jupytext.writes(chapter, fmt="md:myst")


def test_a_source_is_put_right_once_and_follows_the_setting(book, capsys):
    chapter = book / "chapters" / "a.md"
    assert sources.main(["--check"], book) == 1
    assert "chapters/a.md: layout or Colab's cell" in capsys.readouterr().out
    assert chapter.read_text("utf-8") == CHAPTER
    assert sources.main([], book) == 0
    once = chapter.read_text("utf-8")
    assert sources.main(["--check"], book) == sources.main([], book) == 0
    assert chapter.read_text("utf-8") == once
    (book / "_config.yml").write_text(f"repository:\n  url: {URL}-2\n", "utf-8")
    assert sources.main(["--check"], book) == 1
    sources.main([], book)
    assert chapter.read_text("utf-8") == once.replace(URL, f"{URL}-2")


def test_what_another_tool_saved_comes_back_to_the_same_text():
    once = sources.in_form(CHAPTER, URL)
    assert (saved := saved_elsewhere(once)) != once
    assert sources.in_form(saved, URL) == once


def test_text_and_code_stay_as_they_are():
    once = sources.in_form(CHAPTER, URL)
    before, after = (jupytext.reads(text, fmt="md:myst").cells for text in (CHAPTER, once))
    assert [cell.source for cell in after[1:]] == [cell.source for cell in before]
    figure = after[-1].metadata["mystnb"]["figure"]
    assert figure == {"name": "fig-a", "caption": "A line: that is broken here, and $x$."}


def test_an_edited_cell_is_mended():
    once = sources.in_form(CHAPTER, URL)
    assert sources.in_form(once.replace("--quiet", "--user"), URL) == once


@pytest.mark.parametrize("extra", [False, True])
def test_another_cell_with_the_tag_is_refused(book, capsys, extra):
    """No other rule reads a cell with this tag."""
    foreign = "```{code-cell} ipython3\n---\ntags: [colab, remove-cell]\n---\n!rm -rf x\n```\n"
    if extra:
        sources.main([], book)
    chapter = book / "chapters" / "a.md"
    chapter.write_text(chapter.read_text("utf-8") + "\n" + foreign, "utf-8")
    capsys.readouterr()
    assert sources.main(["--check"], book) == 1
    assert "Colab's cell is not as it should be; run `make notebooks`" in capsys.readouterr().out
    sources.main([], book)
    assert "rm -rf" not in chapter.read_text("utf-8")


def test_a_chapter_that_reads_other_files_has_no_cell():
    assert "colab" not in sources.in_form(CHAPTER.replace("print(1)", 'open("../x.json")'), URL)


@pytest.mark.parametrize("on_colab", [False, True])
def test_what_the_cell_does(monkeypatch, capsys, on_colab):
    shell, calls = InteractiveShell(), []
    shell.register_magic_function(calls.append, magic_name="pip")
    if on_colab:
        monkeypatch.setitem(sys.modules, "google.colab", sys)
    url = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    result = shell.run_cell(sources.colab_cell(url).source)
    assert result.success and result.result is None
    assert capsys.readouterr() == ("", "")
    wanted = ["csaps python-flint scikit-learn", f"git+{url}"]
    assert calls == ([f"install --quiet {what}" for what in wanted] if on_colab else [])
