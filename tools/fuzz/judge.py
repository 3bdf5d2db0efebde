"""How answers are compared with what they should be: by a sentence where they differ."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch

Problem = dict[str, Any]


def apart(what: str, got: Any, wanted: Any, tolerance: float) -> str | None:
    """Say so if two arrays differ by more than a tolerance, absolutely."""
    got, wanted = np.asarray(got, dtype=float), np.asarray(wanted, dtype=float)
    if got.shape != wanted.shape:
        return f"{what} has shape {got.shape} in place of {wanted.shape}"
    worst = np.abs(got - wanted).max(initial=0.0)
    if worst <= tolerance:
        return None
    k = int(np.abs(got - wanted).ravel().argmax()) if np.isfinite(worst) else 0
    return (
        f"{what} is {got.ravel()[k]:.12g}, should be {wanted.ravel()[k]:.12g} up to {tolerance:.1e}"
    )


def first_of(*faults: str | None) -> str | None:
    return next((fault for fault in faults if fault), None)


def arrays(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    return np.array(problem["x"], dtype=float), np.array(problem["y"], dtype=float)


def quiet(function):
    """Run an oracle without warnings: they are mflib's that count."""

    def call(problem: Problem, answer: Any) -> str | None:
        with warnings.catch_warnings(), np.errstate(all="ignore"), torch.no_grad():
            warnings.simplefilter("ignore")
            return function(problem, answer)

    return call
