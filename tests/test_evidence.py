"""Claims: what holds, what is shown, and what a claim that fails does."""

import re
import warnings

import numpy as np
import pytest

from _ext import story
from mflib.experiments import ClaimWarning, Evidence

NETWORK, SOLVER, IDENTITY = "network against theory", "solver against solver", "identity"


@pytest.mark.parametrize(
    ("observed", "options", "holds"),
    [
        (1.04, {"theory": 1, "atol": 0.05}, True),
        (1.06, {"theory": 1, "atol": 0.05}, False),
        (-2.1, {"theory": -2, "rtol": 0.06}, True),  # of the theory's size
        (-2.1, {"theory": -2, "rtol": 0.04}, False),
        (-2.1, {"theory": -2, "rtol": 0.04, "atol": 0.03}, True),
        (1, {"theory": 1}, True),
        ([1.0, 2.2, 3.0], {"theory": [1, 2, 3], "atol": 0.1}, False),
        ([1.0, 2.0, np.nan], {"theory": [1, 2, 3], "atol": 0.1}, False),
        (np.inf, {"theory": 1, "atol": 0.1}, False),
        (0.3, {"above": 0}, True),
        (0.0, {"above": 0}, False),
        (0.3, {"below": 0.3}, False),
        ([0.1, 0.2], {"above": 0, "below": 0.3}, True),
        ([0.1, np.nan], {"above": 0, "below": 0.3}, False),
        (np.nan, {"above": 0}, False),
    ],
)
def test_what_holds(monkeypatch, observed, options, holds):
    monkeypatch.setenv("MFLIB_CLAIMS", "strict")
    evidence = Evidence(SOLVER)
    if holds:
        assert evidence.claim("q", observed, **options).holds
    else:
        with pytest.raises(AssertionError, match="q: "):
            evidence.claim("q", observed, **options)
        assert not evidence.holds and "✗" in repr(evidence)


def test_only_identities_stop_the_run_of_a_reader(monkeypatch):
    monkeypatch.delenv("MFLIB_CLAIMS", raising=False)
    for kind in (NETWORK, SOLVER):
        with pytest.warns(
            ClaimWarning, match=r"slope: theory -0\.500, observed -0\.700, not within"
        ):
            evidence = Evidence(kind).claim("slope", -0.7, -0.5, atol=0.1).claim("b", 1, 1)
        assert not evidence.holds and "± 0.1 ✗" in repr(evidence)
    with pytest.raises(AssertionError, match="q: theory 1, observed 1.50, not within 1e-12"):
        Evidence(IDENTITY).claim("q", 1.5, 1, atol=1e-12)


def test_what_fails_strictly_names_the_reader_s_numbers(monkeypatch):
    monkeypatch.setenv("MFLIB_CLAIMS", "strict")
    with pytest.raises(AssertionError, match=r"q: grid 3, exact 4, not within 10 %\.$"):
        Evidence(SOLVER, theory="grid", observed="exact").claim("q", [3, 4], 3, rtol=0.1)
    with pytest.raises(AssertionError, match=r"q: observed 0\.500, not > 1\.$"):
        Evidence(NETWORK).claim("q", 0.5, above=1, digits=0)


def test_a_warning_points_at_the_reader_s_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Evidence(NETWORK).claim("q", 1, 2)
    assert caught[0].filename == __file__


def test_the_worst_entry_is_shown():
    evidence = Evidence(SOLVER).claim("a", [1.0, 2.5, 3.1], [1, 2, 3], atol=0.9)
    assert repr(evidence).splitlines()[-1].split() == ["a", "2", "2.50", "±", "0.9"]
    evidence = Evidence(SOLVER).claim("a", [0.5, 0.9, 0.2], above=0, below=1)
    assert repr(evidence).splitlines()[-1].split()[:2] == ["a", "0.900"]


@pytest.mark.parametrize("noise", [0.0, 1e-13, -1e-13])
@pytest.mark.parametrize(
    ("observed", "options", "shown"),
    [
        # errors that are rounding: the largest theory, and of equal ones the first
        ([0.0, -4.0, 3.0], {"theory": [0.0, -4.0, 3.0], "atol": 1e-12}, [-4, -4]),
        ([2.0, 4.0, -4.0], {"theory": [2.0, 4.0, -4.0], "rtol": 1e-9}, [4, 4]),
        # an error that nobody would see beside what is allowed, and one that is larger
        ([1.0 + 5e-5, 4.0, 3.0], {"theory": [1.0, 4.0, 3.0], "atol": 0.1}, [4, 4]),
        ([1.0 + 5e-4, 4.0, 3.0], {"theory": [1.0, 4.0, 3.0], "atol": 0.1}, [1, 1]),
        ([1e6, 1.05e-3, 3.0], {"theory": [1e6, 1e-3, 3.0], "rtol": 0.1}, [1e-3, 1.05e-3]),
        # errors that are one up to rounding, and one that is larger
        ([1.5, -1.5, 0.2], {"theory": [1.0, -1.0, 0.0], "atol": 0.6}, [1, 1.5]),
        ([1.5, 9.0, -1.6], {"theory": [1.0, 9.0, -1.0], "rtol": 0.7}, [-1, -1.6]),
        # to both bounds alike
        ([0.5, 0.9, 0.1], {"above": 0.0, "below": 1.0}, [0.9]),
        ([0.1, 0.9, 0.05], {"above": 0.0, "below": 1.0}, [0.05]),
    ],
)
def test_rounding_does_not_choose_what_is_shown(observed, options, shown, noise):
    for signs in ([1, 1, 1], [1, -1, 1], [-1, 1, 0], [0, 0, 1]):
        values = np.array(observed) + noise * np.array(signs)
        cells = repr(Evidence(SOLVER).claim("a", values, **options)).splitlines()[-1].split()
        assert [float(cell) for cell in cells[1 : 1 + len(shown)]] == shown


def test_rounding_is_not_shown():
    evidence = Evidence(IDENTITY).claim("a", 3.1e-14, below=1e-9, digits=0)
    evidence.claim("b", 4.035 + 1e-13, 4.035, rtol=1e-10, digits=0)
    assert "e-14" not in repr(evidence) and "< 1e-09" in repr(evidence)
    assert repr(evidence).splitlines()[-1].split()[:2] == ["b", "4.04"]  # the theory's value


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2, "2"), (-1.997, "-2.00"), (0.98, "0.980"), (4860.2, "4860"), (3e-5, "3.00e-05")]
    + [(1e9, "1.00e+09"), (0, "0"), (99.96, "100")]
    + [(1 + 4e-16, "1"), (3 - 1e-12, "3"), (1 + 1e-8, "1.00"), (1e-12, "1.00e-12")],
)
def test_three_digits(value, shown):
    row = repr(Evidence(NETWORK).claim("a", value, value)).splitlines()[-1]
    assert row.split()[2] == shown


def test_the_page_s_table_is_its_text():
    evidence = Evidence(NETWORK, theory="limit").claim("|x|³ < x⁴", 1.5, 1.4, rtol=0.1)
    evidence.claim("bend", 0.31, above=0)
    html = evidence._repr_html_()
    assert html.startswith('<table class="evidence network">')
    cells = re.sub("<[^>]*>", " ", html)
    assert cells.split() == repr(evidence).replace("<", "&lt;").replace(">", "&gt;").split()
    assert html.count("<tr>") == 3 and html.count('scope="row"') == 2


def test_one_digit_has_no_point():
    assert "5e-05" in repr(Evidence(SOLVER).claim("a", 5e-5, below=1, digits=1))


@pytest.mark.parametrize("kind", [NETWORK, SOLVER, IDENTITY])
def test_each_kind_has_its_sign_its_words_and_its_class(kind):
    html = Evidence(kind).claim("a", 1, 1)._repr_html_()
    assert f"</span> {kind}</caption>" in html
    assert f"evidence {kind.split()[0]}" in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("q", 1), "theory is missing; give it, or a bound"),
        (("q", 1, 1, {"above": 0}), "give theory, or above and below, not both"),
        (("q", [1, 2], [1, 2, 3]), r"one shape, got \(2,\) and \(3,\)"),
        (("q", []), "theory is missing"),
        (("q", [], {"above": 0}), "observed is empty"),
        (("q", 1, {"above": np.nan}), "above must be finite"),
        (("q", 1, 1, {"atol": -1}), "atol must be finite and >= 0"),
        (("q", 1, 1, {"rtol": -1}), "rtol must be finite and >= 0"),
        (("q", 1, 1, {"digits": -1}), "digits must be at least 0"),
    ],
)
def test_bad_claims(arguments, message):
    *positional, last = arguments
    options = last if isinstance(last, dict) else {}
    positional += [] if isinstance(last, dict) else [last]
    with pytest.raises(ValueError, match=message):
        Evidence(SOLVER).claim(*positional, **options)


def test_bad_kinds_and_texts():
    for kind in ("networks", None, 3):
        with pytest.raises(ValueError, match="kind must be one of 'network against theory'"):
            Evidence(kind)
    for name in ("theory", "observed"):
        with pytest.raises(TypeError, match=f"{name} must be the head of a column, got 3"):
            Evidence(SOLVER, **{name: 3})
    for what in (3, None):
        with pytest.raises(TypeError, match="what must name the quantity"):
            Evidence(SOLVER).claim(what, 1, 1)
    with pytest.raises(TypeError, match="observed must be"):
        Evidence(SOLVER).claim("q", "one", 1)


# Which cells the page folds


def cell(source, *tags, html=None, figure=False, kind="code"):
    metadata = {"tags": list(tags)} | ({"mystnb": {"figure": {"name": "f"}}} if figure else {})
    outputs = [{"data": {"text/html": html}}] if html else []
    return {"cell_type": kind, "source": source, "metadata": metadata, "outputs": outputs}


TABLE = Evidence(NETWORK).claim("a", 1, 1)._repr_html_()


@pytest.mark.parametrize(
    ("made", "prompt"),
    [
        (cell("import numpy as np\nfrom scipy import stats"), "Show imports"),
        (cell("plt.plot(x)", figure=True), "Show code of the figure"),
        (cell("evidence", html=TABLE), "Show code of the check"),
        (cell("x = 1", "hide-input"), "Show code"),
        (cell("x = 1"), None),
        (cell("import numpy as np\nx = 1"), None),
        (cell("table", html="<table></table>"), None),
        (cell("evidence", "show-input", html=TABLE), None),
        (cell("%pip install x"), None),
        (cell("import what it is", kind="markdown"), None),
    ],
)
def test_what_the_page_folds(made, prompt):
    story.fold({"cells": [made]})
    assert ("hide-input" in made["metadata"]["tags"]) == bool(prompt)
    assert made["metadata"].get("mystnb", {}).get("code_prompt_show") == prompt
    assert made["metadata"]["tags"].count("hide-input") <= 1
