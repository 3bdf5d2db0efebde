"""The keeper of the twins catches every way in which a notebook can go stale or unchecked."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools import evidence, notebooks
from tools.executed import read_keys, write_twin

# Kernels and builds are heavy: one process runs them, one after another.
pytestmark = pytest.mark.xdist_group("kernels")

HEADER = """\
---
jupytext:
  formats: ipynb,md:myst
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---
"""
SOURCE = (
    HEADER
    + """
# A chapter

{numref}`fig-square` is a square.

```{code-cell} ipython3
print("one", flush=True)
print("two")
def later():
    import mflib.m
```

Its figure.

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-square
    caption: A square.
  image:
    alt: A grey square.
---
from IPython.display import Image
pixel = "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b"
pixel += "550000000a49444154789c636800000082008177cd72b60000000049454e44ae"
pixel += "426082"
Image(data=bytes.fromhex(pixel), format="png")
```
"""
)
FIGURE = "cell 4 ('from IPython.display import Image')"


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> dict[str, str]:
    """Return a chapter that was executed once: the text of each file by its name."""
    root = tmp_path_factory.mktemp("book")
    modules = {"mflib/__init__.py": "", "mflib/m.py": "A = 1\n", "mflib/n.py": "B = 1\n"}
    lay_out(root, {"chapters/a.md": SOURCE, **modules})
    assert notebooks.main(["refresh"], root) == 0
    return {str(p.relative_to(root)): p.read_text("utf-8") for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def book(executed, tmp_path) -> Path:
    lay_out(tmp_path, executed)
    return tmp_path


def lay_out(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def tamper(book: Path, change) -> None:
    """Apply a change to the code cells of the stored notebook."""
    path = book / "chapters/a.ipynb"
    notebook = json.loads(path.read_text("utf-8"))
    change([cell for cell in notebook["cells"] if cell["cell_type"] == "code"])
    path.write_text(
        json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8"
    )


def report(book: Path, capsys, command: str = "check") -> str:
    """Run a command and return its one line, less the notebook's name."""
    status = notebooks.main([command], book)
    line = capsys.readouterr().out.strip()
    assert "\n" not in line
    assert status == (0 if "as they should be" in line or command == "refresh" else 1)
    return line.removeprefix("chapters/a.ipynb: ")


def clear(cells):
    for cell in cells:
        cell.update(execution_count=None, outputs=[])


def swap_counts(cells):
    cells[0]["execution_count"], cells[1]["execution_count"] = 2, 1


def warn(cells):
    cells[0]["outputs"].append({"output_type": "stream", "name": "stderr", "text": ["careful\n"]})


def fail(cells):
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    cells[0]["outputs"] = [error]


def split_stream(cells):
    parts = [{"output_type": "stream", "name": "stdout", "text": [s]} for s in ("one\n", "two\n")]
    cells[0]["outputs"] = parts


def edit_text(cells):
    cells[0]["outputs"][0]["text"] = ["one\n", "three\n"]


def edit_picture(cells):
    cells[1]["outputs"][0]["data"]["image/png"] = "AAAA"


def empty_outputs(cells):
    cells[0]["outputs"] = []


def change_source(cells):
    cells[0]["source"] = ["print(2)"]


# A fresh pair


def test_a_fresh_pair_is_accepted(book, capsys):
    assert report(book, capsys) == "1 notebooks are as they should be"


def test_neighbouring_streams_are_merged(executed):
    cell = json.loads(executed["chapters/a.ipynb"])["cells"][1]
    assert [output["text"] for output in cell["outputs"]] == [["one\n", "two\n"]]


def test_a_second_execution_gives_the_same_bytes(book, executed):
    assert notebooks.main(["refresh", "--all"], book) == 0
    assert (book / "chapters/a.ipynb").read_text("utf-8") == executed["chapters/a.ipynb"]


# What `check` finds in the notebook


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (clear, "cell 2 ('print(\"one\", flush=True)'): execution count None where 1 should be"),
        (swap_counts, "cell 2 ('print(\"one\", flush=True)'): execution count 2 where 1 should be"),
        (warn, "stores text on stderr; mend the cause of the warning"),
        (fail, "stores an error; mend the cell"),
        (split_stream, "is not in normal form (saved by another tool?); run `make notebooks`"),
        (edit_text, "its outputs are not those that were executed; run `make notebooks`"),
        (edit_picture, "its outputs are not those that were executed; run `make notebooks`"),
        (empty_outputs, "its outputs are not those that were executed; run `make notebooks`"),
        (change_source, "text differs from its source; run `make notebooks`"),
    ],
)
def test_a_tampered_notebook_is_reported(book, capsys, change, finding):
    tamper(book, change)
    assert finding in report(book, capsys)


@pytest.mark.parametrize("change", [edit_text, edit_picture, empty_outputs])
def test_outputs_that_were_edited_are_never_kept(book, capsys, executed, change):
    tamper(book, change)
    edit(book / "chapters/a.md", "Its figure.", "A figure.")
    assert "its outputs were edited" in report(book, capsys, "refresh")
    mended = (book / "chapters/a.ipynb").read_text("utf-8").replace("A figure.", "Its figure.")
    outputs = [
        json.loads(text)["cells"][1]["outputs"] for text in (mended, executed["chapters/a.ipynb"])
    ]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("key", ["mflib/m.py", "outputs"])
def test_a_wrong_digest_is_reported(book, capsys, key):
    path = book / "chapters/executed.yml"
    stored = read_keys(book / "chapters")["a"][key]
    edit(path, stored, stored[::-1])
    assert "run `make notebooks`" in report(book, capsys)


def test_the_notebook_itself_holds_no_digest(executed):
    assert set(json.loads(executed["chapters/a.ipynb"])["metadata"]) == {
        *("jupytext", "kernelspec", "language_info"),
    }


def test_keys_of_a_chapter_that_is_no_more_are_reported_and_forgotten(book, capsys):
    path = book / "chapters/executed.yml"
    kept = path.read_text("utf-8")
    path.write_text(f'{kept}"b: outputs":\n  "0"\n', "utf-8")
    finding = "chapters/executed.yml: knows chapters that are no more; run `make notebooks`"
    assert report(book, capsys) == finding
    assert report(book, capsys, "refresh") == "up to date"
    assert path.read_text("utf-8") == kept


def test_keys_in_another_layout_are_reported_and_put_right(book, capsys):
    path = book / "chapters/executed.yml"
    kept = path.read_text("utf-8")
    edit(path, ":\n ", ":")
    assert "executed.yml: is not in normal form; run `make notebooks`" in report(book, capsys)
    assert report(book, capsys, "refresh") == "up to date"
    assert path.read_text("utf-8") == kept


def test_keys_with_a_conflict_in_them_are_not_read(book):
    edit(book / "chapters/executed.yml", '"a: m', '<<<<<<< ours\n"a: m')
    with pytest.raises(SystemExit, match="take either side, and run `make notebooks`"):
        notebooks.main(["check"], book)


@pytest.mark.parametrize(
    "listed", ["chapters/b.ipynb", "chapters/a.ipynb_\n# chapters/a.ipynb", "chapters/a.md"]
)
def test_a_chapter_on_no_page_is_reported(book, capsys, listed):
    """Missing, commented out, or named without its outputs."""
    (book / "_toc.yml").write_text(f"root: {listed}\n", "utf-8")
    assert report(book, capsys) == "is on no page; add it to _toc.yml"
    (book / "_toc.yml").write_text("root: chapters/a.ipynb\n", "utf-8")
    assert report(book, capsys) == "1 notebooks are as they should be"


@pytest.mark.parametrize("page", ["chapters/b.md", "chapters/b.rst"])
def test_another_page_that_is_not_listed_is_reported(book, capsys, page):
    (book / page).write_text("# A page\n", "utf-8")
    toc = "root: chapters/a.ipynb\nparts:\n- chapters:\n  # - file: {0}\n"
    (book / "_toc.yml").write_text(toc.format(page), "utf-8")
    assert report(book, capsys) == f"{page}: is on no page; add it to _toc.yml"
    (book / "_toc.yml").write_text(toc.format(page).replace("# ", ""), "utf-8")
    assert report(book, capsys) == "1 notebooks are as they should be"


def test_chapters_in_another_order_than_on_the_map_are_reported(book, capsys):
    for name in "bc":
        (book / f"chapters/{name}.md").write_text(f"({name}-label)=\n# {name}\n", "utf-8")
    edit(book / "chapters/a.md", "Its figure.", "{ref}`b-label`\n: claims\n\n{ref}`c-label`\n")
    report(book, capsys, "refresh")
    toc = "root: chapters/a.ipynb\nchapters:\n- file: chapters/{}.md\n- file: chapters/{}.md\n"
    (book / "_toc.yml").write_text(toc.format("b", "c"), "utf-8")
    assert report(book, capsys) == "1 notebooks are as they should be"
    (book / "_toc.yml").write_text(toc.format("c", "b"), "utf-8")
    fault = (
        "_toc.yml: chapters/c.md comes before chapters/b.md, unlike on the map of the first page"
    )
    assert report(book, capsys) == f"{fault}; mend either"


def test_a_byte_order_mark_hides_no_chapter(book, capsys):
    path = book / "chapters/a.md"
    path.write_text(path.read_text("utf-8"), "utf-8-sig")
    assert report(book, capsys) == "1 notebooks are as they should be"
    edit(path, "Its figure.", "A figure.")
    assert "cell 3 ('A figure.'): text differs" in report(book, capsys)


def test_a_missing_notebook_is_reported(book, capsys):
    (book / "chapters/a.ipynb").unlink()
    assert report(book, capsys) == "does not exist; run `make notebooks`"


def test_a_notebook_without_source_is_reported(book, capsys):
    (book / "chapters/a.ipynb").rename(book / "chapters/b.ipynb")
    (book / "chapters/a.md").unlink()
    (book / "chapters/executed.yml").unlink()
    finding = "chapters/b.ipynb: has no source; restore its .md or remove it"
    assert report(book, capsys) == finding


# What `check` finds after an edit of the source, mflib or its data


@pytest.mark.parametrize(
    ("file", "old", "new", "finding"),
    [
        ("chapters/a.md", "Its figure.", "A figure.", "cell 3 ('A figure.'): text differs"),
        ("chapters/a.md", "A square.", "A box.", f"{FIGURE}: metadata differs"),
        ("chapters/a.md", "Its figure.\n", "", "run `make notebooks`"),
        ("chapters/a.md", "display_name: Python 3", "display_name: P", "header differs"),
        ("mflib/m.py", "A = 1", "A = 2", "executed with another mflib/m.py; run `make notebooks`"),
    ],
)
def test_a_stale_notebook_is_reported(book, capsys, file, old, new, finding):
    edit(book / file, old, new)
    assert finding in report(book, capsys)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("mflib/m.py", "A = 1", '"""New docstring."""\n\nA = 1'),
        ("mflib/m.py", "A = 1", "# a comment\nA = 1  # and another"),
        ("mflib/n.py", "B = 1", "B = 2"),  # which the chapter does not use
    ],
)
def test_what_changes_no_output_leaves_notebooks_current(book, capsys, file, old, new):
    edit(book / file, old, new)
    assert report(book, capsys) == "1 notebooks are as they should be"


# What `check` finds in pairs that agree but break a rule


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("    name: fig-square\n", "", f"{FIGURE}: figure without mystnb figure name"),
        ("    caption: A square.\n", "", f"{FIGURE}: figure without mystnb figure caption"),
        ("    alt: A grey square.", "    width: 9px", f"{FIGURE}: figure without mystnb image alt"),
        ("alt: A grey square.", "alt: ' '", f"{FIGURE}: figure without mystnb image alt; add one"),
        ("Its figure.", r"Let $\bm x = 1$.", r"MathJax knows no \bm; mend it, or define it in"),
        ("Its figure.", "{math}`\\RR`", r"MathJax knows no \RR; mend it, or define it in _config"),
        ("---\nmystnb", "---\ntags: [nbval-skip]\nmystnb", "remove the tag nbval-skip"),
        *(
            (
                "---\nmystnb",
                f"---\ntags: [x, {tag}]\nmystnb",
                f"{FIGURE}: remove the tag {tag}, nbval",
            )
            for tag in ("nbval-ignore-output", "nbval-raises-exception", "skip-execution")
        ),
        ("---\nmystnb", "---\ntags: [raises-exception]\nmystnb", "remove the tag raises-exception"),
        *(
            ("---\nmystnb", f"---\ntags: [x, {tag}]\nmystnb", f"{FIGURE}: remove the tag {tag}, a")
            for tag in ("hide-output", "hide-cell", "remove-cell", "remove-output", "remove-stdout")
        ),
        (
            "Its figure.",
            '+++ {"tags": ["remove-cell"]}\n\nIts figure.',
            "remove the tag remove-cell",
        ),
    ],
)
def test_a_broken_rule_of_metadata_is_reported(book, capsys, old, new, finding):
    edit(book / "chapters/a.md", old, new)
    report(book, capsys, "refresh")
    assert finding in report(book, capsys)


@pytest.mark.parametrize(
    "citation",
    ["", "{ref}`fig-square`", "{numref}`fig-squares`", "{numref}`Figure %s <fig-circle>`"],
)
def test_a_figure_that_no_text_cites_is_reported(book, capsys, citation):
    edit(book / "chapters/a.md", "{numref}`fig-square`", citation or "below")
    report(book, capsys, "refresh")
    assert f"{FIGURE}: no text cites the figure; add {{numref}}`fig-square`" in report(book, capsys)
    other = book / "chapters/notes.md"  # any page may cite it
    other.write_text("See {numref}`Figure %s <fig-square>`.\n", "utf-8")
    assert report(book, capsys) == "1 notebooks are as they should be"


@pytest.mark.parametrize("key", ["name", "caption"])
def test_a_drawing_needs_a_name_and_a_caption_and_describes_itself(key):
    html = "<div><svg></svg></div>"
    labels = {"figure": {"name": "fig-slider", "caption": "Slide."}}
    cell = notebooks.nbformat.v4.new_code_cell("slider()", metadata={"mystnb": labels})
    cell.outputs = [notebooks.nbformat.v4.new_output("display_data", {"text/html": html})]
    twin = notebooks.nbformat.v4.new_notebook(cells=[cell])
    assert not list(notebooks.bare_figures(twin))
    cell.metadata["mystnb"]["figure"].pop(key)
    (line,) = notebooks.bare_figures(twin)
    assert f"figure without mystnb figure {key}; add one" in line


def test_a_heavy_drawing_is_reported():
    def faults(length):
        html = "<svg></svg>".ljust(length)
        labels = {"figure": {"name": "fig-slider", "caption": "Slide."}}
        cell = notebooks.nbformat.v4.new_code_cell("slider()", metadata={"mystnb": labels})
        cell.outputs = [notebooks.nbformat.v4.new_output("display_data", {"text/html": html})]
        return list(notebooks.bare_figures(notebooks.nbformat.v4.new_notebook(cells=[cell])))

    assert not faults(80_000)
    (line,) = faults(80_001)
    assert "drawing over 80,000 bytes; draw fewer curves" in line


def chapter(*cells):
    """A notebook of code, and of headings and texts, which begin with # or an upper-case letter."""
    make = notebooks.nbformat.v4
    kinds = {False: make.new_code_cell, True: make.new_markdown_cell}
    made = [kinds[cell[0] == "#" or cell[0].isupper()](cell) for cell in cells]
    return make.new_notebook(cells=made)


def test_a_claim_without_a_kind_of_evidence_is_reported():
    (line,) = evidence.bare_claims(chapter("x = 1\nfor k in range(3):\n    assert k < 3"))
    assert "asserts; show it as experiments.Evidence" in line
    notebook = chapter("compare()", "other()")
    texts = ("theory 1, observed 0.98\n", "theory\nobserved\n")
    for cell, text in zip(notebook.cells, texts, strict=True):
        cell.outputs = [notebooks.nbformat.v4.new_output("stream", text=text)]
    (line,) = evidence.bare_claims(notebook)
    assert "cell 1 ('compare()'): prints theory beside observed" in line


SHOWN = "experiments.Evidence('network against theory').claim('f', f(0), 1)"


@pytest.mark.parametrize(
    ("before", "count"),
    [
        ("f = variational.solve(x, y)", 1),
        ("f = solve(mirror_flow_)", 1),
        ("f = mflib.mirror_flow(net, x, y)", 0),
        ("def train():\n    return MirrorDescent(net)\n\nf = later(train)", 0),
        ("g = mirror_flow(net, x, y)", 1),  # another thing trains
    ],
)
def test_a_network_in_which_nothing_trains_is_reported(before, count):
    found = list(evidence.wrong_kinds(chapter(before, SHOWN)))
    assert len(found) == count
    assert all("'network against theory', but nothing trains" in line for line in found)
    assert not list(evidence.wrong_kinds(chapter(before, SHOWN.replace("network", "solver"))))


def test_a_section_that_begins_with_code_is_reported():
    (line,) = evidence.abrupt_sections(chapter("# A", "Text.", "## B\n", "x = 1", "Text.\n\n## C"))
    assert "'## B' begins with code" in line


def test_a_line_of_output_that_a_page_would_cut_is_reported():
    def lines(length):
        cell = notebooks.nbformat.v4.new_code_cell("y")
        text = f"short\n{'x' * length}\n"
        cell.outputs = [notebooks.nbformat.v4.new_output("stream", text=text)]
        return list(notebooks.wide_lines(notebooks.nbformat.v4.new_notebook(cells=[cell])))

    assert not lines(80)
    (line,) = lines(81)
    assert "line of output with 81 characters, at most 80" in line


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ("# NBVAL_IGNORE_OUTPUT\n1", "remove the marker, nbval must compare every cell"),
        ("x = 1\n#NBVAL_SKIP", "remove the marker, nbval must compare every cell"),
        ("# PYTEST_VALIDATE_IGNORE_OUTPUT", "remove the marker, nbval must compare every cell"),
        ("x = 1\n!rm data.csv", "use Python alone: no shell, no magic"),
        ("%%capture\nx = 1", "use Python alone: no shell, no magic"),
        ("files = !ls", "use Python alone: no shell, no magic"),
        ("spent = %timeit -o f()", "use Python alone: no shell, no magic"),
        ("get_ipython().system('ls')", "use Python alone: no shell, no magic"),
        ("if 1:\n    !ls", "use Python alone: no shell, no magic"),
        ("x = 1\nx?", "use Python alone: no shell, no magic"),
        ("__import__('pty').spawn('sh')", "use Python alone: no shell, no magic"),
        ("from IPython import get_ipython as shell", "use Python alone: no shell, no magic"),
        ("eval('1')", "use Python alone: no shell, no magic"),
        ("run = exec", "use Python alone: no shell, no magic"),
        ("import os  # noqa", "remove the marker, ruff must see every line"),
        ("# ruff: noqa", "remove the marker, ruff must see every line"),
        ("from IPython.display import clear_output as c\nc()", "nbval neither clears nor updates"),
        ("IPython.display.clear_output(wait=True)", "nbval neither clears nor updates outputs"),
        ("h = display(1, display_id=True)", "nbval neither clears nor updates outputs"),
        ("display.update_display(2, display_id='a')", "nbval neither clears nor updates outputs"),
        ("DisplayHandle().display(1)", "nbval neither clears nor updates outputs"),
        ("x = (", "mend the cell"),
        ("plot();", "drop the final semicolon"),
        ("x = 1\n" * 16, "16 lines, at most 15"),
    ],
)
def test_a_broken_rule_of_code_is_reported(source, finding):
    cell = notebooks.nbformat.v4.new_code_cell(source, execution_count=1)
    twin = notebooks.nbformat.v4.new_notebook(cells=[cell])
    (line,) = [*notebooks.unvalidated(twin), *notebooks.long_cells(twin)]
    assert finding in line


@pytest.mark.parametrize(
    "source",
    [
        "print('100 %')",
        "x != 1",
        "a = 7 % 2",
        "a = f(b=1) % 2",
        "print('''\n!ls\n''')",
        "model.eval()",
        "display(1, metadata={})",
    ],
)
def test_what_breaks_no_rule_is_accepted(source):
    cell = notebooks.nbformat.v4.new_code_cell(source, execution_count=1)
    assert not list(notebooks.unvalidated(notebooks.nbformat.v4.new_notebook(cells=[cell])))


def test_macros_of_mathjax_and_of_the_book_are_known(book, capsys):
    settings = "sphinx: {config: {mathjax3_config: {tex: {macros: {RR: R}}}}}\n"
    (book / "_config.yml").write_text(settings, "utf-8")
    edit(
        book / "chapters/a.md", "Its figure.", r"$\RR \ni \alpha \mapsto \langle a \rangle$ `\foo`."
    )
    report(book, capsys, "refresh")
    assert report(book, capsys) == "1 notebooks are as they should be"


def test_a_tag_allows_a_long_cell():
    cell = notebooks.nbformat.v4.new_code_cell("x = 1\n" * 16, metadata={"tags": ["long-cell"]})
    assert not list(notebooks.long_cells(notebooks.nbformat.v4.new_notebook(cells=[cell])))


# What `refresh` does, and says


@pytest.mark.parametrize(
    ("file", "old", "new", "done"),
    [
        ("chapters/a.md", "Its figure.", "Its figure.", "up to date"),
        ("chapters/a.md", "Its figure.", "A figure.", "text or metadata updated, outputs kept"),
        ("chapters/a.md", '"two"', '"three"', "its code changed"),
        ("mflib/m.py", "A = 1", "A = 2", "mflib/m.py changed"),
        ("chapters/executed.yml", '"a:', '"b:', "mflib/m.py changed, its outputs were edited"),
        ("chapters/a.ipynb", '"execution_count": 1', '"execution_count": 7', "stored run"),
        ("chapters/a.ipynb", '"name": "python",', '"name": "py",', "text or metadata updated"),
    ],
)
def test_refresh_executes_only_what_changed(book, capsys, file, old, new, done):
    edit(book / file, old, new)
    assert done in report(book, capsys, "refresh")
    assert report(book, capsys) == "1 notebooks are as they should be"


def test_a_failing_cell_is_named_and_the_old_notebook_stays(book, capsys, executed):
    edit(book / "chapters/a.md", 'print("two")', "1 / 0")
    assert notebooks.main(["refresh"], book) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("chapters/a.ipynb: not refreshed, the old one stays. In cell 2 (")
    assert line.endswith("ZeroDivisionError: division by zero")
    assert (book / "chapters/a.ipynb").read_text("utf-8") == executed["chapters/a.ipynb"]


def test_a_chapter_runs_with_the_mflib_beside_it_or_not_at_all(book, capsys):
    """Whichever is installed; where a kernel finds yet another one, nothing is stored."""
    edit(book / "chapters/a.md", 'print("two")', "import mflib.m\nprint(mflib.m.A)")
    assert "executed" in report(book, capsys, "refresh")
    twin = (book / "chapters/a.ipynb").read_text("utf-8")
    assert json.loads(twin)["cells"][1]["outputs"][0]["text"] == ["one\n", "1\n"]
    (book / "mflib/__init__.py").rename(book / "mflib/init.py")  # no longer a package
    lay_out(book, {"chapters/mflib/__init__.py": "", "chapters/mflib/m.py": "A = 3\n"})
    assert notebooks.main(["refresh", "--all"], book) == 1
    assert capsys.readouterr().out.strip() == (
        "chapters/a.ipynb: not refreshed, the old one stays. In a.md: its kernel finds mflib at "
        f"{book / 'chapters/mflib'}, not at {book / 'mflib'}"
    )
    assert (book / "chapters/a.ipynb").read_text("utf-8") == twin


def test_an_unknown_name_lists_the_chapters(book):
    with pytest.raises(SystemExit, match="no chapter named b; there are: a"):
        notebooks.main(["check", "b"], book)


# Several hands


def git(book: Path, *arguments: str) -> subprocess.CompletedProcess:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", "-C", str(book), *identity, *arguments], capture_output=True, text=True
    )


def branch(book: Path, name: str, *edits: tuple[str, str, str]) -> None:
    """Commit some edits, and what `refresh` makes of them, in a branch off the first commit."""
    assert git(book, "checkout", "-q", "-b", name, "main").returncode == 0
    for file, old, new in edits:
        edit(book / file, old, new) if old else (book / file).write_text(new, "utf-8")
    assert notebooks.main(["refresh"], book) == 0
    git(book, "add", "-A")
    assert git(book, "commit", "-qm", name).returncode == 0


NEIGHBOURS = ("mflib/m.py", "mflib/n.py")  # no other module comes between them


def test_branches_that_touch_different_modules_merge_without_a_conflict(tmp_path, capsys):
    """Every chapter uses both modules; one branch brings a new chapter as well."""
    source = SOURCE.replace("import mflib.m", "import mflib.m, mflib.n")
    modules = dict.fromkeys(("mflib/__init__.py", *NEIGHBOURS), "A = 1\n")
    lay_out(tmp_path, {"chapters/a.md": source, "chapters/c.md": source, **modules})
    assert notebooks.main(["refresh"], tmp_path) == 0
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    assert git(tmp_path, "commit", "-qm", "first").returncode == 0
    branch(tmp_path, "one", ("mflib/m.py", "A = 1", "A = 2"), ("chapters/b.md", "", source))
    branch(tmp_path, "two", ("mflib/n.py", "A = 1", "A = 3"), ("chapters/d.md", "", source))
    merge = git(tmp_path, "merge", "one")
    assert merge.returncode == 0, merge.stdout + merge.stderr
    capsys.readouterr()
    assert notebooks.main(["check"], tmp_path) == 1  # the new chapters, and no other
    stale = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in stale] == ["chapters/b.ipynb", "chapters/d.ipynb"]
    assert notebooks.main(["refresh"], tmp_path) == 0
    assert notebooks.main(["check"], tmp_path) == 0
    changed = git(tmp_path, "status", "--porcelain").stdout.split()
    assert changed == ["M", "chapters/executed.yml"]


def test_two_refreshes_at_once_do_not_hurt_each_other(book, capsys):
    """Of another chapter each, as `refresh a` beside `refresh b`; a third one reads."""
    (book / "chapters/b.md").write_text(SOURCE.replace("fig-square", "fig-b"), "utf-8")
    command = [sys.executable, "-c", "import sys; from pathlib import Path; from tools import"]
    command[-1] += " notebooks; notebooks.main(['refresh', '--all', sys.argv[1]], Path('.'))"
    environment = {"PYTHONPATH": str(notebooks.ROOT), "PATH": ""}
    runs = [subprocess.Popen([*command, name], cwd=book, env=environment) for name in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    capsys.readouterr()
    assert notebooks.main(["check"], book) == 0


def test_no_writer_undoes_another_and_no_reader_sees_half(tmp_path):
    names = [f"n{number}" for number in range(8)]
    seen: list[str] = []

    def write(name):
        for count in range(40):
            write_twin(tmp_path / "a.ipynb", name * 10_000)
            write_twin(tmp_path / name, "", {"outputs": f"{count}"})
            seen.append((tmp_path / "a.ipynb").read_text("utf-8"))

    threads = [threading.Thread(target=write, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8 * 40
    assert set(seen) <= {name * 10_000 for name in names}
    assert read_keys(tmp_path) == {name: {"outputs": "39"} for name in names}
    assert sorted(path.name for path in tmp_path.glob("*.tmp")) == []
