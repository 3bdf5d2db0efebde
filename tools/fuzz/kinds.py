"""All kinds of problems, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tools.fuzz import certify, experiments, functions, hostile, solvers, training
from tools.fuzz.judge import quiet


class Kind(NamedTuple):
    """How problems are drawn and put to mflib, and what is wrong with an answer, if anything."""

    draw: Callable[[Any], Any]
    run: Callable[[Any], Any]
    check: Callable[[Any, Any], str | None]
    covers: str
    share: int = 1  # how many for each one of the expensive kinds


def _kind(module, name: str, covers: str, share: int = 1, run: str = "", check: str = "") -> Kind:
    """By the names of its functions: draw_NAME, run_NAME and check_NAME unless said otherwise."""
    found = (f"draw_{name}", run or f"run_{name}", check or f"check_{name}")
    draw, call, judge = (getattr(module, part) for part in found)
    return Kind(draw, call, quiet(judge), covers, share)


SOLUTION = {"run": "solve", "check": "check_solution"}
KINDS = {
    "one datum": _kind(solvers, "one_datum", "both solvers", 3, run="solve"),
    "variational": _kind(solvers, "variational", "`variational.solve`", 4, **SOLUTION),
    "smoothing": _kind(solvers, "smoothing", "the same with a ridge", 3),
    "representation": _kind(solvers, "representation", "`representation.solve`", 2, **SOLUTION),
    "certify": _kind(certify, "certify", "`Solution.certify`"),
    "columns": _kind(solvers, "columns", "the same, of several targets, and its derivative"),
    "neurons": _kind(solvers, "neurons", "the same, of neurons, with a ridge", 4),
    "kernel": _kind(solvers, "kernel", "`representation.kernel`", 2),
    "trajectory": _kind(training, "trajectory", "`representation.trajectory`"),
    "banded path": _kind(training, "banded_path", "`variational.trajectory`"),
    "flow": _kind(training, "flow", "`mirror_flow`", 2),
    "descent": _kind(training, "descent", "`MirrorDescent`", 4),
    "mirror map": _kind(training, "mirror_map", "`mirror_maps`", 2),
    "potential": _kind(functions, "potential", "`potentials`", 4),
    "activation": _kind(functions, "activation", "`activations`", 3),
    "share": _kind(solvers, "share", "`share_curvature`", 4),
    "ReLU's cost": _kind(solvers, "relu_cost", "`relu_cost`"),
    "density": _kind(functions, "of", "`densities.of`", 4),
    "bend": _kind(functions, "bend", "`densities.bend`", 3),
    "network": _kind(functions, "network", "`ShallowNetwork`", 3),
    "ridges": _kind(functions, "ridges", "`stretched`, `cubic_kernel`", 3),
    "grid": _kind(functions, "grid", "`ridges.grid`", 2),
    "data": _kind(functions, "data", "`datasets`"),
    "measure": _kind(experiments, "measure", "the small functions of `experiments`", 6),
    "trial": _kind(experiments, "trial", "`trial`, `split_error`, `lazy_limit`"),
    "law": _kind(experiments, "law", "`sampling_law`"),
    "sweep": _kind(experiments, "sweep", "`sweep`", 2),
    "plot": _kind(experiments, "plot", "`plotting`", 2),
    "hostile": _kind(hostile, "hostile", "every function, one argument replaced", 8),
}
