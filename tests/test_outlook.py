"""What the chapter `outlook` says of the whole book: its first figure, and its ledger of works."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

import mflib
from mflib import datasets, experiments, representation, variational
from mflib.activations import leaky_relu
from mflib.potentials import Power, Quadratic, Regularized

ROOT = Path(__file__).resolve().parents[1]
PAGES = {path.stem: path.read_text("utf-8") for path in (ROOT / "chapters").glob("*.md")}
RESULTS = yaml.safe_load((ROOT / "chapters/results.yml").read_text("utf-8"))
HALVES = [
    (units, potential, question, answer)
    for units, row in RESULTS["cases"].items()
    for potential, case in row.items()
    for question, answer in case.items()
]
QUARTIC = Regularized(Power(4), 1)
UNITS = {"leaky": leaky_relu(0.3), "smooth": "elu", "ridges": "relu", "ridges-smooth": "elu"}


def labels(page: str) -> set[str]:
    """Return what can be referred to in a page: sections, statements, figures."""
    marks = r"^\((.+)\)=$|^:label: (.+)$|^ +name: (.+)$|^\$\$ \((.+)\)$"
    return {"".join(found) for found in re.findall(marks, page, re.MULTILINE)}


LABELS_OF = {page: labels(page) for page in PAGES.values()}
LABELS = set().union(*LABELS_OF.values())


# The figure.


def test_no_case_is_left_out():
    assert set(RESULTS["cases"]) == set(RESULTS["units"]) == set(RESULTS["inputs"])
    for row in RESULTS["cases"].values():
        assert set(row) == set(RESULTS["potentials"])
        assert all(set(case) == {"networks", "functions"} for case in row.values())


@pytest.mark.parametrize(("units", "potential", "question", "answer"), HALVES)
def test_every_answer_rests_on_something(units, potential, question, answer):
    assert answer["status"] in RESULTS["status"]
    assert answer["by"]
    assert set(answer["by"]) <= LABELS, "no such label in the book"
    if answer["status"] == "computed":
        assert answer.get("test"), "say what computes it"
    if test := answer.get("test"):
        file, name = test.split("::")
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text("utf-8")


def test_proofs_are_those_of_the_page_on_limits():
    """Called proved if the page has the statement in its column of proofs, and not otherwise."""
    table = PAGES["limits"].split("(claims)=")[1]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| {ref}")]
    proofs = {name for row in rows for name in re.findall(r"{prf:ref}`([^`]+)`", row[2])}
    for units, potential, question, answer in HALVES:
        proved = set(answer["by"]) <= proofs
        assert (answer["status"] == "proved") == proved, (units, potential, question)


# What it calls proved for networks, put to the test: against (P) on their own units.


@pytest.mark.parametrize("potential", ["unscaled", "scaled"])
@pytest.mark.parametrize("units", RESULTS["units"])
def test_networks_end_at_problem_P(units, potential):
    x, y = datasets.figure2()
    if RESULTS["inputs"][units] != "one input":
        x = np.column_stack([x, np.linspace(-0.6, 0.3, len(x)) ** 2])
    kind, scaled = {"activation": UNITS.get(units, units)}, potential == "scaled"
    net = mflib.ShallowNetwork(4000, input_dim=x.ndim, seed=2, **kind)
    options = {"potential": QUARTIC, "scaled": scaled, "loss_target": 1e-10}
    run = mflib.mirror_flow(net, x, y, **options)
    own = net.input_weight.detach().numpy(), net.input_bias.detach().numpy()
    curved, square = (
        representation.solve(x, y, neurons=own, potential=phi, **kind)
        for phi in (QUARTIC, Quadratic())
    )
    query = np.linspace(x[0], x[-1], 41)
    end = run.network(query).detach().numpy()
    right, wrong = (curved, square) if scaled else (square, curved)
    assert np.abs(end - right(query)).max() < 0.2 * np.abs(end - wrong(query)).max()


def test_gaussian_biases_serve_relu_too():
    x, y = datasets.figure2()
    kind = {"activation": "relu", "density": stats.norm(0, 0.7)}
    net = mflib.ShallowNetwork(20_000, seed=1, **kind)
    run = mflib.mirror_flow(net, x, y, potential=QUARTIC, scaled=True)
    own, square = (variational.solve(x, y, potential=phi, **kind) for phi in (QUARTIC, Quadratic()))
    distance, far = (experiments.distance(run.network, each) for each in (own, square))
    assert distance < 0.2 * far


# The ledger.


def test_the_ledger_says_where_each_work_is_met():
    """At least fourteen works, eight of them checked by a claim; keys and places exist."""
    table = PAGES["outlook"].split("(ledger)=")[1].split("(ledger-norm)=")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "{cite" in line]
    assert all(len(row) == 4 for row in rows)
    keys = {key for row in rows for key in re.findall(r"{cite:t}`([^`]+)`", row[0])}
    entries = set(re.findall(r"^@\w+{(.+),$", (ROOT / "references.bib").read_text(), re.MULTILINE))
    assert len(keys) == len(rows) >= 14
    assert keys <= entries
    met = [row[3] for row in rows if row[3].startswith("checked")]
    assert len(met) >= 8
    assert len(met) + sum(row[3].startswith("not tested: ") for row in rows) == len(rows)
    for place in met:
        targets = re.findall(r"{(?:ref|numref|eq)}`(?:[^`<]*<)?([\w-]+)>?`", place)
        assert targets or "above" in place
        assert set(targets) <= LABELS
        for page in (text for text in PAGES.values() if set(targets) & LABELS_OF[text]):
            assert ".claim(" in page
