"""Every public function with good arguments but one: that is replaced by something hostile."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tests import hostile, public_calls
from tools.fuzz import draws
from tools.fuzz.judge import Problem, apart

CALLS: dict[str, Any] = public_calls.CALLS


def _pools() -> dict[str, Any]:
    arrays_, numbers_ = {**hostile.ARRAYS}, {**hostile.NUMBERS}
    return {
        "as good": arrays_,
        "no array": {**hostile.NO_ARRAYS, **hostile.NOT_FINITE},
        "as good a number": numbers_,
        "no number": hostile.NO_NUMBERS,
        "no integer": hostile.NO_INTEGERS,
        "potential": {k: v[0] for k, v in hostile.POTENTIALS.items() if k != "raises"},
        "density": {k: v[0] for k, v in hostile.DENSITIES.items() if "raises" not in k},
        "activation": {k: v[0] for k, v in hostile.ACTIVATIONS.items()},
        "junk": {
            "none": None,
            "word": "word",
            "number": 3.5,
            "nan": np.nan,
            "dict": {},
            "empty": [],
        },
    }


# What acts on arrays of any kind leaves it to their own library which numbers they may hold.
_ELEMENTWISE = ("potential", "activation", "mirror_maps", "plotting", "ShallowNetwork.forward")
_ODD = (
    *("sparse tensor", "meta tensor", "bfloat16 tensor", "masked", "dates"),
    *("an entry that is too large", "infinite"),  # divergences have inf - inf
)


def draw_hostile(rng) -> Problem:
    # scikit-learn reads arrays by rules of its own: tests/test_hostile_input.py has the rows
    names = [name for name in CALLS if CALLS[name][1] and not name.startswith("sklearn")]
    name = draws.choose(rng, names)
    argument = draws.choose(rng, CALLS[name][1])
    good = CALLS[name][1][argument]
    pool = draws.choose(rng, _fitting(argument, good))
    values = [
        value for value in _pools()[pool] if not name.startswith(_ELEMENTWISE) or value not in _ODD
    ]
    return {"call": name, "argument": argument, "pool": pool, "value": draws.choose(rng, values)}


def _fitting(argument: str, good: Any) -> list[str]:
    if argument in ("potential", "density", "activation"):
        return [argument]
    if isinstance(good, np.ndarray):
        return ["as good", "no array"] if good.ndim == 1 else ["junk"]
    if isinstance(good, int) and not isinstance(good, bool):
        return ["no number", "no integer"]
    return ["as good a number", "no number"] if isinstance(good, float) else ["junk"]


def _hostile(problem: Problem, good: Any) -> Any:
    value = _pools()[problem["pool"]][problem["value"]]
    return (
        value if problem["pool"] in ("potential", "density", "activation", "junk") else value(good)
    )


def run_hostile(problem: Problem) -> Any:
    call, arguments = CALLS[problem["call"]]
    value = _hostile(problem, arguments[problem["argument"]])
    try:
        return public_calls.numbers(call(**{**arguments, problem["argument"]: value}))
    finally:
        plt.close("all")


def check_hostile(problem: Problem, answer: Any) -> str | None:

    call, arguments = CALLS[problem["call"]]
    if "as good" in problem["pool"]:
        wanted = public_calls.numbers(call(**arguments))
        plt.close("all")
        close = hostile.ROUNDED.get(problem["value"], 1e-9)
        close = 1e-2 if problem["value"] == "float16" else close
        return apart("the result", answer, wanted, close * (1 + np.abs(wanted).max()))
    if not np.isfinite(answer).all() and not problem["call"].startswith(_ELEMENTWISE):
        return "the result is not finite"
    return None
