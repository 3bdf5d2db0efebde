"""A number in the text that the run does not bear out is named, and nothing else is."""

import inspect
import re

import nbformat
import numpy as np
import pytest
import yaml

from mflib import experiments, mirror_flow
from tools import notebooks, numbers
from tools.dependencies import Repository

ROOT = notebooks.ROOT
DATASETS = 'def one():\n    return [0.35], _read("one.csv")\ndef two():\n    return 0.65\n'


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "mflib/data").mkdir(parents=True)
    (tmp_path / "mflib/datasets.py").write_text(DATASETS, "utf-8")
    (tmp_path / "mflib/data/one.csv").write_text("x,y\n595,0.644\n", "utf-8")
    (tmp_path / "chapters").mkdir()
    return Repository(tmp_path)


def code(source, shown="", **labels):
    outputs = [nbformat.v4.new_output("stream", text=shown)] if shown else []
    metadata = {"mystnb": {"figure": {"caption": labels.get("caption", "")}}}
    metadata["mystnb"]["image"] = {"alt": labels.get("alt", "")}
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata)


def chapter(*cells):
    cells = [nbformat.v4.new_markdown_cell(c) if isinstance(c, str) else c for c in cells]
    return nbformat.v4.new_notebook(cells=cells)


def missing(repository, *cells):
    return [each.text for each in numbers.unfounded(chapter(*cells), repository)]


RUN = code("width, seed = 4860, 0\nprint(result)", "error 0.0347 of 12,345 after 17.26 s, -0.48\n")


@pytest.mark.parametrize(
    ("text", "unfounded"),
    [
        ("A width of 4860 and 4861 units.", ["4861"]),
        ("An error of 0.0347, 0.035, 0.03, 0.034, 0.04.", ["0.034", "0.04"]),
        ("It is 3.47 per cent, 3 per cent or 5 per cent.", ["5 per cent"]),
        ("It is 3.47 % or 4.47%.", ["4.47%"]),
        ("Some 12,345 or 12346 points; 17 seconds, not 18.", ["12346", "18"]),
        ("A slope of -0.48, minus 0.48 or −0.5, not 0.48.", ["0.48"]),
        (r"The order $n^{-1/2}$ with $\tfrac12 x_{12}^{34}$, $c \approx 17$, $c = 18$.", ["18"]),
        (r"From $10^6$ and $10^4$ to $4\cdot 10^{-3}$.", ["10^6", r"4\cdot 10^{-3}"]),
        ("Theorem 8 of 2024, {eq}`eq-17`, `Power(3.5)`, [a](b99.html) <img width=99>", []),
        ("$$\nx = 0.77\n$$ (eq-x)\n\n```{index} 99\n```\n:label: n99\n## Section 99\n", []),
        ("1. one of 3 steps", []),
        ("nine times as far, half a per cent, seventeen", ["nine times", "half a per cent"]),
        ("version 1.2.34, n99, x99y", []),
        ("a third of them, half of it, slope minus one half", ["a third", "half of"]),
        ("two, twenty and eight per cent", ["eight per cent", "twenty"]),
        ("twenty times as far, seventeen or twenty-seven points", ["twenty times", "twenty-seven"]),
    ],
)
def test_prose_states_what_the_run_shows(repository, text, unfounded):
    assert sorted(missing(repository, text, RUN)) == sorted(unfounded)


@pytest.mark.parametrize("kind", ["caption", "alt"])
def test_captions_state_what_their_own_cell_shows(repository, kind):
    """And what defines the names that it uses: a width set elsewhere in the chapter is not its."""
    first = code("WIDTH = 4860\ndef net(w): return w * 0.25\nother = 1620, '7'")
    text = "With 4860 units a quarter, 0.25; the peak is 7, at 1620, or 10^6."
    figure = code("show(net(WIDTH), 10**6, color='7')", **{kind: text.replace("10^6", "$10^6$")})
    assert missing(repository, first, figure) == ["7", "1620"]
    figure = code("show(net(WIDTH), 10**6)", "peak 7, at 1620\n", **{kind: text})
    assert missing(repository, first, figure) == []
    first.source = first.source.replace("4860", "5000")  # the careless edit
    assert missing(repository, first, figure) == ["4860"]


def test_what_is_printed_in_another_section_does_not_count(repository):
    before, heading = "## One", "## Two\n\nIt is 0.0347."
    cells = [before, RUN, heading, code("x = 1")]
    (number,) = numbers.unfounded(chapter(*cells), repository)
    assert (number.text, number.elsewhere) == ("0.0347", True)
    assert missing(repository, before, RUN, "It is 0.0347.") == []


def test_tables_count_and_drawings_and_styles_do_not(repository):
    table = "<style>#T {width: 88px}</style><td style='x: 77'>0.81</td>"
    cell = code("t")
    cell.outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html})
        for html in (table, "<svg>0.66</svg>")
    ]
    assert missing(repository, cell, "0.81, 88, 77, 0.66") == ["88", "77", "0.66"]


def test_the_data_that_a_chapter_loads_count(repository):
    load = code("from mflib import datasets\nx, y = datasets.one()")
    assert missing(repository, load, "From 595 and 0.644 to 0.35, not 0.65.") == ["0.65"]


@pytest.mark.parametrize(
    ("facts", "faults"),
    [
        ({}, ["'0.77' is neither", "'0.0347' is neither"]),
        ({"a": {"0.77": "by hand", "0.0347": "in another section"}}, []),
        ({"everywhere": {"0.77": "by hand"}, "a": {"0.0347": "in another section"}}, []),
        ({"b": {"0.77": "by hand"}}, ["'0.77' is neither", "'0.0347' is neither"]),
        ({"a": {"0.77": "in another section", "0.0347": "x"}}, ["'0.77' is neither"]),
        (
            {"a": {"0.77": "by hand", "0.0347": "x", "0.5": "?"}},
            ["facts.yml: '0.5' is no longer needed; remove it"],
        ),
        ({"a": {"0.77": "", "0.0347": "x"}}, ["'0.77' is neither"]),  # without a reason
    ],
)
def test_facts_excuse_what_they_name(repository, facts, faults):
    (repository.root / "chapters/facts.yml").write_text(yaml.safe_dump(facts), "utf-8")
    twin = chapter("It is 0.77.", RUN, "## Two\n\nIt is 0.0347.")
    found = list(numbers.unknown_numbers(twin, "a", repository))
    assert len(found) == len(faults)
    assert all(want in line for want, line in zip(faults, found, strict=True))


def test_facts_that_hold_everywhere_are_those_of_the_library():
    facts = yaml.safe_load((ROOT / "chapters/facts.yml").read_text("utf-8"))["everywhere"]
    target = inspect.signature(mirror_flow).parameters["loss_target"].default
    values = [target, experiments.GRID.min(), experiments.GRID.max(), len(experiments.GRID)]
    texts = [str(text).replace("10^{-7}", "1e-7") for text in facts]
    assert [float(text) for text in texts] == values


def changed(text, random):
    """Return a number with one digit changed."""
    places = [match.start() for match in re.finditer(r"\d", text.partition("^")[0])]
    place = places[random.integers(len(places))]
    digit = (int(text[place]) + random.integers(1, 10)) % 10
    return f"{text[:place]}{digit}{text[place + 1 :]}"


def test_most_numbers_with_a_changed_digit_are_named():
    """In the text of the book as it is, two digits or more; what is missed hits another number."""
    random, repository = np.random.default_rng(0), Repository(ROOT)
    tampered = noticed = 0
    for source in notebooks.chapter_sources(ROOT):
        twin = notebooks.read_twin(source.with_suffix(".ipynb"))
        known = {(each.place, each.text) for each in numbers.unfounded(twin, repository)}
        for cell in twin.cells:
            if cell.cell_type == "markdown":
                stated = [number.text for _, number in numbers.statements(cell)]
                for old in stated:
                    if len(re.findall(r"\d", old)) > 1 and cell.source.count(old) == 1:
                        cell.source = cell.source.replace(old, changed(old, random))
                        tampered += 1
        after = {(each.place, each.text) for each in numbers.unfounded(twin, repository)}
        noticed += len(after - known)
    assert tampered > 60
    assert noticed > 0.65 * tampered, (noticed, tampered)
