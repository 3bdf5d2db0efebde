"""The rule of exercises catches what one may lack; the map of paths holds every chapter."""

import re
from pathlib import Path

import pytest
import yaml

from _ext import reading
from tools.chapters import read_text
from tools.exercises import FEWEST, GRADES, MOST, faults, numbered

ROOT = Path(__file__).resolve().parents[1]
HINT = "```{hint}\n:class: dropdown\n\nDivide.\n```\n\n"
ROW = re.compile(r"^\| (●?) +\| (■?) +\| \{numref\}`[^`<]*<([\w-]+)>` \| (.*)\|$", re.MULTILINE)


def exercise(number, grade="work", hint=HINT):
    return (
        f"```{{exercise}} Of {number}\n:label: e-{number}\n:class: {grade}\n\nDo.\n```\n\n{hint}"
        f"````{{solution-start}} e-{number}\n:class: dropdown\n````\n\n{number}.\n\n"
        "````{solution-end}\n````\n\n"
    )


SOUND = exercise(1, "quick-check", "") + exercise(2) + exercise(3, "project")
FAULTS = {
    "no grade": (":class: project", ":class: hard"),
    "no grade; ": (":label: e-2\n:class: work", ":label: e-2"),
    "no solution": ("{solution-start} e-3", "{solution-start} e-2"),
    "no solution; ": ("e-1\n:class: dropdown", "e-1"),
    "no hint": (HINT, ""),
    "no hint before": (HINT, HINT.replace(":class: dropdown\n", "")),
}


def test_pages_show_the_grades_that_the_rule_asks_for():
    assert reading.GRADES == GRADES


def test_sound_exercises_are_let_through():
    assert list(faults(SOUND)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lacking_exercise_is_named(fault):
    before, after = FAULTS[fault]
    changed = SOUND.replace(before, after, 1)
    assert changed != SOUND
    assert fault.strip("; ") in " ".join(faults(changed))


@pytest.mark.parametrize("count", [0, FEWEST - 1, MOST + 1])
def test_too_few_and_too_many(count):
    text = "".join(map(exercise, range(count)))
    assert list(faults(text)) == [f"{count} exercises; have {FEWEST} to {MOST}"]


def label(page):
    return re.search(r"^\(([\w-]+)\)=$", read_text((ROOT / page).with_suffix(".md")), re.MULTILINE)[
        1
    ]


def paths():
    """Return the rows of the first page's map of prerequisites: paths, chapter, what it needs."""
    rows = ROW.findall(read_text(ROOT / "chapters/index.md"))
    return [(one, two, name, re.findall(r"<([\w-]+)>", needs)) for one, two, name, needs in rows]


def test_map_of_prerequisites_has_each_chapter_once_and_in_order():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    assert [name for _, _, name, _ in paths()] == [label(page) for page in numbered(toc)]


def test_chapters_build_on_earlier_ones_of_the_same_path():
    earlier: dict[str, tuple[str, str]] = {}
    for one, two, name, needs in paths():
        assert set(needs) <= set(earlier), name
        for needed in needs:
            assert earlier[needed][0] or not one, f"{name} needs {needed} on the first path"
            assert earlier[needed][1] or not two, f"{name} needs {needed} on the second path"
        earlier[name] = (one, two)
