"""Kinds of problems: measures, networks that are trained and compared, sweeps, and plots."""

from __future__ import annotations

import tempfile
from typing import Any

import matplotlib.pyplot as plt
import mpmath as mp
import numpy as np
import pandas as pd

import mflib
from mflib import experiments, plotting
from tools.fuzz import draws
from tools.fuzz.judge import Problem, apart, arrays, first_of
from tools.fuzz.solvers import reference
from tools.fuzz.training import outputs_of

# Experiments.

MEASURES = (
    "distance",
    "rms",
    "fit_exponent",
    "exponent_interval",
    "superposition_defect",
)


def draw_measure(rng) -> Problem:
    count, name = int(rng.integers(1, 12)), draws.choose(rng, MEASURES)
    size = (-200, 200) if name == "rms" else (-20, 20)
    return {
        "name": name,
        "a": (rng.normal(size=count) * draws.power_of_ten(rng, *size)).tolist(),
        "n": np.sort(rng.integers(1, 6, 2 * count)).tolist(),
        "noise": rng.normal(size=2 * count).round(3).tolist(),
        "slope": float(rng.normal()),
        "sigma": draws.choose(rng, [0.0, 0.0, 0.1]),
        "form": draws.choose(rng, draws.FORMS[:3]),
    }


def _powers(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    n = 10.0 ** np.array(problem["n"])
    return n, 3.0 * n ** problem["slope"] * np.exp(problem["sigma"] * np.array(problem["noise"]))


def run_measure(problem: Problem) -> Any:
    name, form, a = problem["name"], problem["form"], np.array(problem["a"])
    if name == "distance":
        return experiments.distance(np.sin, lambda t: a[0] * t)
    if name == "rms":
        return experiments.rms(draws.make_array(problem["a"], form))
    if name == "superposition_defect":
        return experiments.superposition_defect(
            lambda y: lambda t: y.sum() ** 2 + 0 * t, [a[:1], a[-1:]]
        )
    n, y = (draws.make_array(part, form) for part in _powers(problem))
    return getattr(experiments, name)(n, y)


def check_measure(problem: Problem, answer: Any) -> str | None:
    name, a = problem["name"], [mp.mpf(v) for v in problem["a"]]
    n, y = _powers(problem)
    if name == "distance":
        wanted = np.abs(np.sin(experiments.GRID) - problem["a"][0] * experiments.GRID).max()
        return apart(name, answer, wanted, 1e-14 * wanted)
    if name == "rms":
        wanted = float(mp.sqrt(mp.fsum(v * v for v in a) / len(a)))
        return apart(name, answer, wanted, 1e-13 * wanted)
    if name == "superposition_defect":
        return apart(name, answer, float(2 * abs(a[0] * a[-1]) / (a[0] ** 2 + a[-1] ** 2)), 1e-12)
    slope, factor = np.polyfit(np.log(n), np.log(y), 1)
    if name == "fit_exponent":
        return first_of(
            apart("the exponent", answer.exponent, slope, 1e-9),
            apart("the factor", answer.factor, np.exp(factor), 1e-8 * np.exp(factor)),
        )
    return first_of(
        apart("the exponent", answer.exponent, slope, 1e-9),
        None
        if answer.low <= slope + 1e-9 and slope - 1e-9 <= answer.high
        else "outside its interval",
    )


def draw_trial(rng) -> Problem:
    density = draws.density(rng, gentle=True)
    count = int(rng.integers(1, 5))
    return {
        "x": draws.values_of(rng, density, count, gentle=True),
        "y": rng.normal(size=count).round(3).tolist(),
        "width": int(draws.power_of_ten(rng, 1.5, 2.7)),
        "seed": int(rng.integers(100)),
        "scaled": bool(rng.random() < 0.7),
        **{"potential": draws.potential(rng, gentle=True), "density": density},
        "activation": draws.choose(rng, ["relu", "abs"]),
    }


def run_trial(problem: Problem) -> Any:
    names = ("width", "seed", "x", "y", "activation")
    return experiments.split_error(
        **{name: problem[name] for name in names},
        density=draws.make_density(problem["density"]),
        scaled=problem["scaled"],
        potential=draws.make_potential(problem["potential"]),
        limit=np.sin,
        max_time=1e6,
    )


def check_trial(problem: Problem, answer: Any) -> str | None:
    """The same parts, by this file's own formula of the network and of its lazy limit."""
    x, y = arrays(problem)
    potential, density = (
        draws.make_potential(problem["potential"]),
        draws.make_density(problem["density"]),
    )
    names = ("width", "seed", "activation")
    options = {name: problem[name] for name in names} | {"density": density}
    net = mflib.ShallowNetwork(**options)
    run = mflib.mirror_flow(net, x, y, potential=potential, scaled=problem["scaled"], max_time=1e6)
    options |= {"x": x, "y": y, "scaled": problem["scaled"], "max_time": 1e6, "limit": np.sin}
    row = experiments.trial(potential=potential, **options)
    effective = potential if problem["scaled"] else mflib.potentials.Quadratic()
    grid, parts = experiments.GRID, {}
    for bias, name in ((False, "sampling"), (True, "nonlinearity")):
        lazy = experiments.lazy_limit(net, x, y, potential=effective, output_bias=bias)
        if fault := apart("the lazy limit at the data", outputs_of(lazy, x), y, 1e-7):
            return fault
        parts[name] = outputs_of(lazy, grid)
    end = outputs_of(run.network, grid)
    return first_of(
        apart("the error", answer["error"], np.abs(end - np.sin(grid)).max(), 1e-9),
        apart("the error of trial", row["error"], answer["error"], 1e-12),
        apart(
            "nonlinearity", answer["nonlinearity"], np.abs(end - parts["nonlinearity"]).max(), 1e-9
        ),
        apart("sampling", answer["sampling"], np.abs(parts["sampling"] - np.sin(grid)).max(), 1e-9),
        apart("lazy gap", answer["lazy_gap"], np.abs(parts["sampling"] - end).max(), 1e-9),
    )


def draw_law(rng) -> Problem:
    problem = draw_trial(rng)
    density = draws.density(rng, gentle=True)
    x = draws.values_of(rng, density, len(problem["x"]), gentle=True)
    made = {"x": x, "density": density, "activation": [problem["activation"]], "gentle": True}
    return {name: problem[name] for name in ("y", "potential", "seed")} | made


def run_law(problem: Problem) -> Any:
    names = ("x", "y", "seed")
    options = {name: problem[name] for name in names}
    return experiments.sampling_law(**options, **draws.model_of(problem), units=2000, draws=400)


def check_law(problem: Problem, answer: Any) -> str | None:
    """The median, beside that of networks of 2,000 units whose limit is computed by sums."""
    x, y = arrays(problem)
    model = draws.model_of(problem)
    potential = model.pop("potential")
    h, errors = reference({**problem, "form": "array"})(experiments.GRID), []
    for seed in range(10):
        net = mflib.ShallowNetwork(2000, seed=10_000 + seed, **model)
        lazy = experiments.lazy_limit(net, x, y, potential=potential, output_bias=False)
        errors.append(np.sqrt(2000) * np.abs(outputs_of(lazy, experiments.GRID) - h).max())
    ratio = float(np.median(answer) / np.median(errors))
    # of ten errors the median itself is uncertain by a fifth
    return None if 0.4 < ratio < 2.5 else f"the median is {ratio:.2g} times that of ten networks"


def draw_sweep(rng) -> Problem:
    sizes = rng.integers(1, 4, 2)
    return {
        "a": rng.normal(size=sizes[0]).round(3).tolist(),
        "b": {f"label {k}": float(k) for k in range(sizes[1])},
        "cache": bool(rng.random() < 0.5),
    }


def _cell(a, b):
    return {"sum": a + b, "product": a * b}


def run_sweep(problem: Problem) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        cache = f"{folder}/cells" if problem["cache"] else None
        parameters = {name: problem[name] for name in "ab"}
        return [
            experiments.sweep(_cell, parameters, executor="serial", cache=cache) for _ in range(2)
        ]


def check_sweep(problem: Problem, answer: Any) -> str | None:
    rows = [(a, b, a + v, a * v) for a in problem["a"] for b, v in problem["b"].items()]
    wanted = pd.DataFrame(rows, columns=["a", "b", "sum", "product"])
    good = all(found.equals(wanted) for found in answer)
    return None if good else f"the table is {answer[0].to_dict()}"


# Plotting.


def draw_plot(rng) -> Problem:
    kinds, widths, seeds = (int(rng.integers(1, most)) for most in (12, 5, 4))
    errors = (10 ** rng.uniform(-3, 1, (kinds, widths, seeds))).tolist()
    return {"errors": errors, "exponent": float(rng.normal()), "frames": int(rng.integers(1, 5))}


def run_plot(problem: Problem) -> Any:
    errors = np.array(problem["errors"])
    index = np.indices(errors.shape).reshape(3, -1)
    table = pd.DataFrame({"width": 10 * 3 ** index[1], "error": errors.ravel(), "kind": index[0]})
    _, ax = plotting.figure()
    try:
        plotting.power_law(ax, table, "error", by="kind", exponent=problem["exponent"])
        plotting.points(ax, table["width"], table["error"])
        lines = [line.get_xydata() for line in ax.lines]
        plotting.label_curves(ax)
        size = ax.texts[0].get_fontsize()
        up = ax.transData.transform([text.xy for text in ax.texts])[:, 1] * 72 / ax.get_figure().dpi
        names = (up + [text.get_position()[1] for text in ax.texts]) / size
    finally:
        plt.close("all")
    x = np.linspace(0, 1, 5)
    curves = [errors.ravel()[0] * x**k for k in range(problem["frames"])]
    values = [f"k = {k}" for k in range(problem["frames"])]
    page = plotting.slider(x, {"y": curves}, values, name="f", label="k", description="d").data
    turns = np.exp(2j * np.pi * np.linspace(0, 1, 7, endpoint=False))
    circle = np.stack([turns.real, turns.imag], axis=1)
    balls = [errors.ravel()[0] * (k + 1) * circle for k in range(problem["frames"])]
    plane = plotting.plane_slider({"y": balls}, values, name="p", label="k", description="d").data
    return lines, page, names, plane


def check_plot(problem: Problem, answer: Any) -> str | None:
    errors, (lines, page, names, plane) = np.array(problem["errors"]), answer
    widths = 10.0 * 3 ** np.arange(errors.shape[1])
    if len(lines) != len(errors) + 2:
        return f"{len(lines)} lines for {len(errors)} curves, a slope and the points"
    if len(names) > 1 and np.diff(np.sort(names)).min() < 1:
        return f"names of curves lie upon each other: {np.sort(names)}"
    (slope,) = np.diff(np.log(lines[-2][:, 1]))
    return first_of(
        *(
            apart(f"curve {k}", line, np.stack([widths, np.median(rows, axis=1)], axis=1), 1e-12)
            for k, (rows, line) in enumerate(zip(errors, lines, strict=False))
        ),
        apart("the slope", slope, problem["exponent"] * np.log(widths[-1] / widths[0]), 1e-9),
        apart("the points", lines[-1][:, 1], errors.ravel(), 0.0),
        None
        if f'max="{problem["frames"] - 1}"' in page
        else "the slider has another last position",
        None if all(f"k = {k}" in page for k in range(problem["frames"])) else "a text is missing",
        None
        if plane.count('z"') == problem["frames"] + 1
        else "the plane has another number of balls",
    )
