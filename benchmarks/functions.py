"""Measurements of the limit: mflib's dual Newton method and CVXPY on a grid."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benchmarks.measure import Options, timed
from mflib import datasets, variational
from mflib.potentials import Potential, Power, Quadratic, Regularized

ROOT = Path(__file__).resolve().parents[1]
GRID = np.linspace(-1.5, 1.5, 501)


class Problem(NamedTuple):
    """A limit of Figure 1 or 2; `reference` is its name in tests/reference/limits.json."""

    reference: str
    activation: str
    exponent: int
    gaussian: bool = False

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        return datasets.figure1() if self.activation == "relu" else datasets.figure2()

    @property
    def density(self):
        return stats.norm(0, 0.5) if self.gaussian else stats.uniform(-1, 2)

    def solve(self) -> variational.Solution:
        model = {"potential": power(self.exponent), "density": self.density}
        return variational.solve(*self.data, activation=self.activation, **model)

    def error(self, h) -> float:
        """Return the largest difference from the twelve-digit answer, at its points."""
        exact = reference()[self.reference]
        return float(np.abs(h(np.array(exact["x_query"])) - exact["h"]).max())


PROBLEMS = {
    "relu-x2": Problem("fig1-relu-quadratic", "relu", 2),
    "abs-x2": Problem("fig2-abs-power2", "abs", 2),
    "abs-x2-gaussian": Problem("fig2-abs-quadratic-gaussian", "abs", 2, gaussian=True),
    "abs-x3": Problem("fig2-abs-power3", "abs", 3),
    "abs-x4": Problem("fig2-abs-power4", "abs", 4),
}


def power(exponent: int) -> Potential:
    return Quadratic() if exponent == 2 else Regularized(Power(exponent), 1)


@cache
def reference() -> dict[str, Any]:
    """Read the exact answers, by name."""
    file = ROOT / "tests" / "reference" / "limits.json"
    return {case["name"]: case for case in json.loads(file.read_text("utf-8"))["cases"]}


def solve(problem: str, options: Options) -> dict[str, Any]:
    """Time variational.solve, and once more with the evaluation on the grid of the plain way."""
    chosen = PROBLEMS[problem]
    h, measured = timed(chosen.solve, repeats=5 if options.quick else 25)
    _, on_grid = timed(lambda: chosen.solve()(GRID), repeats=measured["repeats"])
    return measured | {
        "grid_seconds": on_grid["seconds"],
        "status": h.status.name,
        "iterations": h.iterations,
        "error": chosen.error(h),
    }


def solve_on_grid(problem: str, solver: str, better: bool, options: Options) -> dict[str, Any]:
    """Time CVXPY, in the values of h or in better variables."""
    from benchmarks import plain_grid

    chosen, repeats = PROBLEMS[problem], 1 if options.quick else 5
    grid = plain_grid.Grid(2.5 if chosen.gaussian else 1.5)
    task = (*chosen.data, chosen.density, grid)

    def run():
        if better:
            q, sigma = chosen.exponent, chosen.activation
            return plain_grid.coefficients(*task, sigma, q, solver=solver)
        if chosen.activation == "relu":
            return plain_grid.theorem2(*task, solver=solver)
        return plain_grid.theorem8(*task, chosen.exponent, solver=solver)

    h, measured = timed(run, repeats=repeats)
    ended = {"status": h.status, "iterations": h.iterations}
    return measured | ended | {"solver": solver, "error": chosen.error(h)}


def many_points(m: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return m unevenly spaced points in [-1, 1]; the noise has its standard deviation."""
    rng = np.random.default_rng(m)
    x = -1 + 2 * (np.arange(m) + rng.uniform(0.1, 0.9, m)) / m
    return x, np.sin(5 * x) + 0.5 * x + noise * rng.standard_normal(m)


def solve_many(
    activation: str, exponent: int, noise: float, m: int, options: Options
) -> dict[str, Any]:
    """Time variational.solve for m data points."""
    x, y = many_points(m, noise)

    def run():
        return variational.solve(x, y, activation=activation, potential=power(exponent))

    h, measured = timed(run, repeats=3, warm_up=m < 50_000)
    largest = float(np.abs(y).max())
    # h is summed from m slopes, each of which is rounded
    slope = float(np.abs(np.diff(y) / np.diff(x)).max())
    rounding = float(np.finfo(float).eps) * slope * float(x[-1] - x[0]) * m**0.5
    return measured | {
        "m": m,
        "status": h.status.name,
        "iterations": h.iterations,
        "residual": h.residual / largest,
        "rounding": rounding / largest,
    }


def evaluate(activation: str, exponent: int, m: int, queries: int, options: Options):
    """Time the first evaluation of h, of which nothing is prepared yet, at many points."""
    x, y = many_points(m, noise=0.3)
    t = np.random.default_rng(0).uniform(-1.5, 1.5, queries)
    potential = power(exponent)
    fresh = iter(
        [variational.solve(x, y, activation=activation, potential=potential) for _ in range(4)]
    )
    _, measured = timed(lambda: next(fresh)(t), repeats=3)
    return measured | {"m": m, "queries": queries}


def import_mflib(options: Options) -> dict[str, Any]:
    """Time `import mflib` in fresh processes that already hold what it takes of NumPy and SciPy."""
    needed = _fresh_python("import sys, mflib; print(*sys.modules)").split()
    base = [name for name in needed if name.partition(".")[0] in ("numpy", "scipy")]
    code = (
        f"import sys, time, importlib\nfor name in {base}: importlib.import_module(name)\n"
        "start = time.perf_counter(); import mflib; print(time.perf_counter() - start)"
    )
    seconds = sorted(float(_fresh_python(code)) for _ in range(3 if options.quick else 9))
    return {
        "seconds": seconds[len(seconds) // 2],
        "torch_loaded": "torch" in needed,
        "modules_loaded": len(needed),
    }


def _fresh_python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
