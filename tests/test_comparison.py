"""The page that compares with other packages says what the stored run found, and that holds."""

import csv
import re

import numpy as np
import pytest

from benchmarks import comparison
from tools.notebooks import ROOT

with comparison.FILE.open(encoding="utf-8", newline="") as lines:
    STORED = list(csv.DictReader(lines))


def test_the_page_shows_the_stored_run():
    page = (ROOT / "chapters" / "comparison.md").read_text("utf-8")
    shown = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    expected = [
        [r["work"], f"{r['package']} {r['version']}", r["digits"], r["cost"]] for r in STORED
    ]
    assert shown[1:] == expected


def test_the_packages_are_pinned():
    files = [
        "requirements.txt",
        *(f"benchmarks/{name}.txt" for name in ("requirements", "requirements-comparison")),
    ]
    pins = set(
        re.findall(r"^[\w.-]+==\S+", "\n".join((ROOT / f).read_text() for f in files), re.MULTILINE)
    )
    assert {f"{r['package']}=={r['version']}" for r in STORED} <= pins


def test_splines_agree_as_stored(monkeypatch):
    monkeypatch.setattr(comparison, "cpu", lambda work, repeats: 1.0)
    found = {row["work"]: row["digits"] for row in comparison.splines()}
    assert len(found) == 3
    for stored in STORED:
        if stored["work"] in found:
            assert found[stored["work"]] >= int(stored["digits"]) - 1  # rounding moves the last one


@pytest.mark.parametrize(
    ("work", "way"),
    [
        ("mirror descent, hypentropy", "jaxopt"),
        ("exponentiated gradient", "accbpg"),
        ("gradient descent", "bregman"),
    ],
)
def test_descents_agree_as_stored(work, way, monkeypatch):
    """Needs what `make comparison` installs."""
    pytest.importorskip(way, reason="a requirement of `make comparison` only")
    monkeypatch.setattr(comparison, "cpu", lambda work, repeats: 1.0)
    (row,) = (row for row in comparison.descents() if row["work"] == work)
    assert row["digits"] >= 12


def test_descent_ends_where_its_potential_says(monkeypatch):
    """Without the other packages: one step by hand, from the formulas."""
    monkeypatch.setattr(comparison, "STEPS", 1)
    matrix, y = comparison.features()
    rate, m = comparison.UNITS / 2, len(y)
    gradient = matrix.T @ (-y) / m  # at zero
    found = comparison.by_mflib(comparison.Hypentropy(1.0), 0.0, rate)()
    np.testing.assert_allclose(found, np.sinh(-rate * gradient), rtol=1e-12, atol=1e-14)
    gradient = matrix.T @ (matrix.sum(axis=1) - y) / m  # at one
    found = comparison.by_mflib(comparison.Entropy(), 1.0, rate)()
    np.testing.assert_allclose(found, np.exp(-rate * gradient), rtol=1e-12)


def test_digits():
    exact = np.array([2.0, -4.0])
    assert comparison.digits(exact, exact) == 16
    assert comparison.digits(exact + 4e-7, exact) == pytest.approx(7, abs=1e-6)
    assert comparison.digits(exact * 100, exact) < -1
