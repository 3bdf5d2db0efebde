"""Kind of problems: proved bounds, against problem (P) solved once more."""

from __future__ import annotations

from typing import Any

import numpy as np

from mflib import variational
from tools.fuzz import draws
from tools.fuzz.judge import Problem, arrays, first_of
from tools.fuzz.solvers import resolved

_SHARP = 1e-8  # of the targets: what a bound of a gentle problem is at most


def draw_certify(rng) -> Problem:
    """Draw what certify serves; non-integer powers, which take seconds otherwise, are uniform."""
    low, high = rng.uniform(1, 1.6, 2).round(3).tolist()
    uniform = ["uniform", [], -low, low + high]
    spread = round(float(rng.uniform(0.3, 1)), 3)
    normal = draws.choose(rng, [["norm", [], 0.1, spread], ["truncnorm", [-1.5, 2.0], 0.0, spread]])
    psi = draws.choose(rng, [3.0, 4.0, 5.0, round(rng.uniform(2.1, 4.5), 2), None])
    psi = ["Hypentropy", draws.power_of_ten(rng, -1, 1)] if psi is None else ["Power", psi]
    smooth = psi[0] == "Hypentropy" or psi[1] == int(psi[1])
    spec = draws.choose(rng, [uniform, normal]) if smooth else uniform
    regular = ["Regularized", psi, draws.power_of_ten(rng, -1, 1)]
    problem = draws.data(rng, spec, most=10, gentle=True)
    size = draws.power_of_ten(rng, -2, 1)
    close = rng.random() < 0.1 and len(problem["x"]) > 1
    if close:
        problem["x"][1] = problem["x"][0] + draws.power_of_ten(rng, -6, -2)
    return {
        **problem,
        "y": [size * y for y in problem["y"]],
        "density": spec,
        "potential": draws.choose(rng, [["Quadratic"], regular, regular, regular]),
        "activation": draws.activation(rng, piecewise=True),
        "gentle": not close,
        "form": "array",
    }


def run_certify(problem: Problem) -> Any:
    h = variational.solve(*draws.data_of(problem), **draws.model_of(problem))
    return {"status": h.status, "cost": h.cost, "solution": h, "proved": h.certify()}


def check_certify(problem: Problem, answer: Any) -> str | None:
    """Enclosures hold what the oracle finds; bounds are finite, not negative, and small."""
    x, y = arrays(problem)
    known, proved, h = resolved(problem, answer["solution"]), answer["proved"], answer["solution"]
    t, size = np.linspace(x.min(), x.max(), 7), np.abs(y).max()
    slack = (1e-9 + 10 * known.doubt) * max(size, np.abs(h(t)).max())
    return first_of(
        _outside("the oracle's h", known(t), proved(t), slack),
        _outside("h", h(t), proved(t), 1e-11 * size + 2 * h.residual),
        _outside("the oracle's cost", known.cost, proved.cost, (1e-9 + 10 * known.doubt) * h.cost),
        _outside("the cost", answer["cost"], proved.cost, 1e-9 * h.cost),
        None if 0 <= proved.bound < np.inf else f"the bound is {proved.bound}",
        f"the bound is {proved.bound:.1e}, the targets {size:.1e}"
        if problem["gentle"] and proved.bound > _SHARP * size
        else None,
    )


def _outside(what: str, values: Any, ends: tuple, slack: float) -> str | None:
    low, high = ends
    by = float(np.max(np.maximum(low - np.asarray(values), values - np.asarray(high))))
    return f"{what} is outside its enclosure by {by:.1e}" if by > slack else None
