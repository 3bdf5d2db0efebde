"""The fuzzer: some problems of each kind, oracles that see planted faults, processes that end."""

import copy
import dataclasses
import multiprocessing
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from mflib import activations
from tests.problems import LIMITS
from tools.fuzz import pool
from tools.fuzz.__main__ import table
from tools.fuzz.kinds import KINDS, Kind
from tools.fuzz.oracles import Quadrature, Reference
from tools.fuzz.pool import FAILURES, FINE, Result, attempt, draw

SEED = 7
SOLVERS = ("one datum", "variational", "representation")


def gentle(kind: str, count: int):
    """The numbers of the first problems of a kind that must be answered, or any if none must."""
    numbers = [n for n in range(60) if draw(kind, SEED, n).get("gentle", True)]
    return numbers[:count]


@pytest.mark.parametrize("kind", KINDS)
def test_some_problems_of_each_kind(kind):
    (number,) = gentle(kind, 1)
    result = attempt(kind, SEED, number)
    assert result.outcome not in FAILURES, result
    assert not result.unchecked, result


def test_a_problem_is_made_from_its_number_alone():
    first, again = (draw("variational", SEED, 3) for _ in range(2))
    assert first == again != draw("variational", SEED, 4)
    assert eval(repr(first)) == first  # what is printed makes it again


def spoilt(answer):
    """The answer with all of its numbers a thousandth too large."""
    if isinstance(answer, tuple | list):
        parts = [spoilt(part) for part in answer]
        return type(answer)(*parts) if hasattr(answer, "_fields") else type(answer)(parts)
    if isinstance(answer, dict):
        return {name: spoilt(part) for name, part in answer.items()}
    if isinstance(answer, float | np.ndarray | torch.Tensor):
        return 1.001 * answer
    if dataclasses.is_dataclass(answer):
        names = [name for name in ("cost", "values", "loss") if hasattr(answer, name)]
        larger = {name: 1.001 * getattr(answer, name) for name in names}
        return dataclasses.replace(answer, **larger)
    return answer


SPOILT = {
    "law": lambda answer: 5 * answer,
    "bend": lambda answer: stats.norm(answer.mean(), answer.std()),
    "density": lambda answer: stats.norm(answer.mean(), answer.std()),
    "sweep": lambda answer: [answer[0], answer[1].iloc[::-1]],
    "descent": lambda answer: (torch.cat([answer[0][:-1], 1.1 * answer[0][-1:] + 0.1]), answer[1]),
    "certify": lambda answer: {**answer, "cost": 1.001 * answer["cost"]},
    "hostile": lambda answer: 1.1 * answer + 0.1,
    "plot": lambda answer: ([1.001 * line for line in answer[0]], *answer[1:]),
}


def answered(kind: str, problem):
    """The answer, if there is one that is right."""
    try:
        answer = KINDS[kind].run(problem)
    except (ValueError, TypeError, Warning):
        return None
    status = answer["status"] if isinstance(answer, dict) else getattr(answer, "status", "answered")
    fine = getattr(status, "name", status) in FINE
    return answer if fine and KINDS[kind].check(problem, answer) is None else None


@pytest.mark.parametrize("kind", KINDS)
def test_each_oracle_sees_a_planted_fault(kind):
    """Numbers that are a thousandth too large, where nothing else is known to be wrong."""
    for number in gentle(kind, 40):
        problem = draw(kind, SEED, number)
        if kind == "hostile" and "as good" not in problem["pool"]:
            continue
        answer = answered(kind, problem)
        if answer is not None:
            assert KINDS[kind].check(problem, SPOILT.get(kind, spoilt)(answer)), problem
            return
    raise AssertionError("no problem was answered")


@pytest.mark.parametrize("kind", SOLVERS)
def test_the_answer_to_other_data_is_seen(kind):
    problems = [draw(kind, SEED, number) for number in gentle(kind, 40)]
    problem = next(problem for problem in problems if answered(kind, problem) is not None)
    other = copy.deepcopy(problem)
    other["y"][0] += 1e-5 * max(map(abs, problem["y"]))
    answer = KINDS[kind].run(other)
    assert KINDS[kind].check(other, answer) is None
    assert KINDS[kind].check(problem, answer)


def test_a_minimum_that_is_not_there_is_seen():
    """Hypentropy under a power law, and a parabola without its fourth moment."""
    data = {"x": [0.0], "y": [1.0], "form": "array", "density": ["t", [3], 0.0, 1.0]}
    claim = SimpleNamespace(status=SimpleNamespace(name="CONVERGED"))
    for activation, potential in ((["abs"], ["Hypentropy", 1.0]), (["Square"], ["Quadratic"])):
        problem = data | {"activation": activation, "potential": potential}
        assert "no minimiser" in KINDS["representation"].check(problem, claim)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_the_reference_knows_the_stored_limits(limit):
    sigma = activations.get(limit.activation)
    known = Reference(limit.x, limit.y, sigma, limit.potential, Quadrature(limit.density))
    assert known.doubt < 1e-11
    np.testing.assert_allclose(known(limit.query), limit.h, rtol=0, atol=1e-12)
    assert known.cost == pytest.approx(limit.cost, rel=1e-12)


@pytest.mark.parametrize("nu", [2.02, 2.2, 3, 30])
def test_the_quadrature_reaches_the_tails(nu):
    second = Quadrature(stats.t(nu)).mean(np.square)
    assert second == pytest.approx(nu / (nu - 2), rel=1e-12)


def outcome_of(monkeypatch, run, check=lambda problem, answer: None, problem=None):
    """What becomes of a problem of a kind made up here."""
    kind = Kind(lambda rng: problem or {}, run, check, "")
    monkeypatch.setitem(KINDS, "made up", kind)
    return attempt("made up", 0, 0)


def test_what_goes_wrong_is_told_apart(monkeypatch):
    monkeypatch.setattr(pool, "LIMIT", 0.1)

    def forever(_):
        while True:
            pass

    def outcome(*arguments, **options):
        return outcome_of(monkeypatch, *arguments, **options).outcome

    assert outcome(forever) == "hang"
    assert outcome(lambda _: np.float64(1) / np.float64(0)) == "warning"
    assert outcome(lambda _: [][0]) == "error"
    assert outcome(lambda _: float("one")) == "error"  # a ValueError, but none of mflib's
    assert outcome(lambda _: activations.get("none")) == "refused"
    assert outcome(lambda _: activations.get("none"), problem={"gentle": True}) == "wrong"
    assert outcome(lambda _: 1, lambda *_: "one, should be two") == "wrong"
    assert outcome(lambda _: 1) == "answered"
    assert outcome(lambda _: {"status": "STALLED"}) == "STALLED"
    assert outcome(lambda _: {"status": "STALLED"}, problem={"gentle": True}) == "wrong"


def test_an_oracle_that_is_unsure_says_so(monkeypatch):
    def unsure(problem, answer):
        raise pool.Unsure("too hard")

    result = outcome_of(monkeypatch, lambda _: 1, unsure)
    assert result.unchecked and result.outcome == "answered"


def test_the_table_counts():
    results = [
        Result("flow", 0, "CONVERGED"),
        Result("flow", 1, "MAX_TIME"),
        Result("kernel", 0, "answered", unchecked=True),
        Result("kernel", 1, "wrong", "it is"),
        Result("kernel", 2, "refused"),
    ]
    lines = table(results).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    nothing, one = ["0"] * 4, ["1", "0", "0", "0"]
    kernel, flow, total = sorted(rows[2:], key=lambda row: ["kernel", "flow", "all"].index(row[0]))
    assert kernel == ["kernel", KINDS["kernel"].covers, "3", "0", "1", "", "1", *one]
    assert flow[2:] == ["2", "1", "0", "1 MAX_TIME", "0", *nothing]
    assert total[2:] == ["5", "1", "1", "1 MAX_TIME", "1", *one]


def test_a_process_that_dies_is_replaced():
    results = pool.run(["activation", "density"], SEED, seconds=60, jobs=1)
    first = next(results)
    (process,) = multiprocessing.active_children()
    process.kill()
    later = [next(results) for _ in range(3)]
    results.close()
    assert first.kind == "activation"
    assert [r.note for r in later].count("the process died") == 1
    assert not multiprocessing.active_children()
