"""From measurements to rows: what mflib took, what the plain way took, and which bars are met."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

Measurements = Mapping[str, dict[str, Any]]
Row = dict[str, Any]

SETTINGS = {
    "relu-x2": "ReLU, x²",
    "relu-x3": "ReLU, |x|³ + x²",
    "relu-x4": "ReLU, x⁴ + x²",
    "abs-x2": "|·|, scaled x²",
    "abs-x3": "|·|, scaled |x|³ + x²",
    "abs-x4": "|·|, scaled x⁴ + x²",
}
# with Torch's optimizer beside it, and how many of its steps one of MirrorDescent may take
OPTIMIZERS = {
    "x2": ("x²", "SGD", 3.0),
    "hypentropy": ("hypentropy", "Adam", 1.5),
    "x3": ("|x|³ + x²", "Adam", 2.0),
    "x4": ("x⁴ + x²", "Adam", 3.0),
    "x2.5": ("|x|^2.5 + x²", "Adam", 10.0),
}
FIGURE_PROBLEMS = {
    "relu-x2": "ReLU, x²",
    "abs-x2": "|·|, x²",
    "abs-x2-gaussian": "|·|, x², Gaussian",
    "abs-x3": "|·|, |x|³ + x²",
    "abs-x4": "|·|, x⁴ + x²",
}
PROBLEMS = FIGURE_PROBLEMS | {"relu-x4": "ReLU, x⁴ + x²"}
# noisy data with a ridge, and how many times as long as SciPy's smoothing spline they may take
RIDGES = {"relu-x2": 3, "abs-x2": 3, "relu-x4": 6, "abs-x4": 6}
SEVERAL = {"x2": ("x²", 0.2), "x4": ("x⁴ + x²", 10.0)}  # seconds that 1,000 targets may take


def rows(found: Measurements) -> list[Row]:
    """Return the rows of the table, in order, for what has been measured."""
    training = [*_networks(found), *_sweeps(found), *_wide(found), *_optimizers(found)]
    return [*training, *_limits(found), *_rest(found), *_smoothing(found)]


def _networks(found: Measurements) -> Iterator[Row]:
    for name, label in SETTINGS.items():
        ours, plain = found.get(f"network/{name}/mflib"), found.get(f"network/{name}/plain")
        if ours is None:
            continue
        steps = 0.0
        if plain and "failed" not in plain:
            steps = plain["steps"] if plain["finished"] else plain["predicted_steps"]
            if not plain["finished"]:
                seconds = plain["seconds"] / plain["steps"] * steps
                plain = plain | {"seconds": seconds, "extrapolated": True, "error": None}
        bar = ("ratio", ">=", 500 if steps > 50_000 else 100)
        row = _row("Training", f"{_size(ours, 'width')}, {label}", ours, plain, bar)
        row["remark"] = row["remark"] or f"{ours.get('steps')} steps against {steps:,.0f}"
        yield row


def _sweeps(found: Measurements) -> Iterator[Row]:
    if ours := found.get("figures/mflib"):
        plain = found.get("figures/plain")
        plain = plain and plain | {"extrapolated": True}
        work = f"{_size(ours, 'networks')}, Figures 1 and 2"
        row = _row("Training", work, ours, plain, ("time", "<=", 60), ("ratio", ">=", 100))
        yield row | {"remark": _reached(ours)}
    if ours := found.get("narrow/mflib"):
        work = f"{_size(ours, 'networks')} of 100 units, both figures"
        row = _row("Training", work, ours, None, ("time", "<=", 60))
        yield row | {"remark": _reached(ours)}


def _reached(ours: dict[str, Any]) -> str:
    return f"{ours.get('converged')} of {ours.get('networks')} reach a loss of 1e-7"


def _wide(found: Measurements) -> Iterator[Row]:
    for name, seconds in (("relu-x2", 10), ("abs-x4", 40)):
        if ours := found.get(f"wide/{name}/mflib"):
            work = f"{_size(ours, 'width')}, {SETTINGS[name]}"
            yield _row(
                "Training", work, ours, None, ("time", "<=", seconds), ("memory", "<=", 1500)
            )


def _optimizers(found: Measurements) -> Iterator[Row]:
    for name, (label, other, most) in OPTIMIZERS.items():
        if ours := found.get(f"optimizer/{name}/mflib"):
            plain = None if "failed" in ours else {"seconds": ours[other]}
            work = f"a step of {_size(ours, 'parameters')}, {label}, beside {other}"
            row = _row("Training", work, ours, plain, ("ratio", ">=", round(1 / most, 2)))
            if plain:
                row["remark"] = ", ".join(f"{o}: {duration(ours[o])}" for o in ("SGD", "Adam"))
            yield row


def _limits(found: Measurements) -> Iterator[Row]:
    for name, label in FIGURE_PROBLEMS.items():
        ours, plain = found.get(f"limit/{name}/mflib"), found.get(f"limit/{name}/plain")
        if ours is None:
            continue
        seconds = 5e-3 if "x2" in name else 20e-3
        bars = ("time", "<=", seconds), ("error", "<=", 1e-10), ("ratio", ">=", 100)
        yield _limit(f"{label}, {_solver(plain)}", ours, plain, *bars)
        if better := found.get(f"limit/{name}/better"):
            yield _limit(f"{label}, {_solver(better)}, better variables", ours, better)


def _limit(work: str, ours: dict[str, Any], plain: dict[str, Any] | None, *bars) -> Row:
    row = _row("Limit", work, ours, plain, *bars)
    if plain and "iterations" in plain and not row["remark"]:
        row["remark"] = f"{plain['iterations']:,} plain iterations, {plain['status']}"
    return row


def _rest(found: Measurements) -> Iterator[Row]:
    series: dict[str, list[dict[str, Any]]] = {}
    for name, measured in found.items():
        if name.startswith("points/"):
            series.setdefault(name.rpartition("/")[0], []).append(measured)
    for name, sizes in series.items():
        yield _scaling(name, sizes)
    for name, label in PROBLEMS.items():
        if ours := found.get(f"evaluate/{name}/mflib"):
            work = f"h at {_size(ours, 'queries')}, {_size(ours, 'm')}, {label}"
            yield _row("Scaling", work, ours, None, ("time", "<=", 1.0))
    if ours := found.get("import/mflib"):
        no_torch = {"torch": int(ours.get("torch_loaded", True))}
        work = "import mflib, beyond NumPy and SciPy"
        bars = ("time", "<=", 0.5), ("torch", "<=", 0)
        yield _row("Scaling", work, ours | no_torch, None, *bars)


def _scaling(name: str, series: list[dict[str, Any]]) -> Row:
    """Summarise one problem for growing numbers of points: the largest, and the exponent."""
    _, problem, noise = name.split("/")
    done = [measured for measured in series if "failed" not in measured]
    last = dict(series[-1])
    last["status"] = next((v["status"] for v in done if v["status"] != "CONVERGED"), "CONVERGED")
    if len(done) == len(series) > 1:
        m, seconds = [v["m"] for v in done], [v["seconds"] for v in done]
        last["exponent"] = fitted_exponent(m, seconds)
        last["last_exponent"] = fitted_exponent(m[-2:], seconds[-2:])
        last["error"] = max(measured["residual"] for measured in done)
    time_bar = ("time", "<=", 5 if problem.endswith("x2") else 30)
    # no residual can be asked for that rounding of the data's slopes alone exceeds
    least = max(1e-9, last.get("rounding", 0.0))
    bars = ("exponent", "<=", 1.1), time_bar, ("error", "<=", least)
    row = _row("Scaling", f"{_size(last, 'm')}, {noise}, {PROBLEMS[problem]}", last, None, *bars)
    if "exponent" in last:
        at_last = f"{last['last_exponent']:.2f} from {m[-2]:,} points"
        exponent = f"exponent {last['exponent']:.2f}, {at_last}"
        row["remark"] = f"{row['remark']}; {exponent}" if row["remark"] else exponent
    return row


def _smoothing(found: Measurements) -> Iterator[Row]:
    """Beside SciPy's smoothing spline; errors are distances from the truth."""
    for name, times in RIDGES.items():
        sizes = [
            (measured, found.get(f"ridge/plain/{key.rpartition('/')[2]}"))
            for key, measured in found.items()
            if key.startswith(f"ridge/{name}/")
        ]
        if not sizes:
            continue
        ours, plain = dict(sizes[-1][0]), sizes[-1][1]
        if len(sizes) > 1 and all("failed" not in measured for measured, _ in sizes):
            m, seconds = ([measured[key] for measured, _ in sizes] for key in ("m", "seconds"))
            ours["exponent"] = fitted_exponent(m, seconds)
        bars = ("ratio", ">=", round(1 / times, 2)), ("exponent", "<=", 1.1), ("memory", "<=", 1000)
        row = _row("Smoothing", f"{_size(ours, 'm')}, ridge, {PROBLEMS[name]}", ours, plain, *bars)
        if "exponent" in ours:
            row["remark"] = row["remark"] or f"exponent {ours['exponent']:.2f}"
        yield row
    if chosen := found.get("gcv/mflib"):
        spline = found.get("gcv/plain")
        risk = 1.1 * (spline or {}).get("error", math.inf)
        work = f"{_size(chosen, 'm')}, GCV, {PROBLEMS['relu-x2']}"
        yield _row("Smoothing", work, chosen, spline, ("ratio", ">=", 0.33), ("error", "<=", risk))
    for name, (label, most) in SEVERAL.items():
        if several := found.get(f"several/{name}/mflib"):
            work = f"{_size(several, 'targets')} on 15 points, ReLU, {label}"
            yield _row("Smoothing", work, several, None, ("time", "<=", most))


def fitted_exponent(m: list[int], seconds: list[float]) -> float:
    """Fit seconds ~ m^exponent by least squares in the logarithms."""
    x, y = [math.log(value) for value in m], [math.log(value) for value in seconds]
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    moment = sum((a - x_mean) * (b - y_mean) for a, b in zip(x, y, strict=True))
    return moment / sum((a - x_mean) ** 2 for a in x)


def _row(group: str, work: str, ours: dict[str, Any], plain: dict[str, Any] | None, *bars) -> Row:
    row: Row = {"group": group, "work": work, "mflib": ours, "plain": plain}
    row |= {"ratio": None, "remark": ""}
    if plain and "seconds" in plain and "seconds" in ours:
        row["ratio"] = plain["seconds"] / ours.get("grid_seconds", ours["seconds"])
    values = {**ours, "time": ours.get("seconds"), "ratio": row["ratio"]}
    if ours.get("status", "CONVERGED") != "CONVERGED":
        values, row["remark"] = {}, ours["status"]  # work that was not done meets no bar
    row["bars"] = [
        {"quantity": what, "sense": sense, "bar": bar, "met": _met(values.get(what), sense, bar)}
        for what, sense, bar in bars
    ]
    return row


def _met(value: float | None, sense: str, bar: float) -> bool:
    if value is None:
        return False
    return value <= bar if sense == "<=" else value >= bar


def _size(measured: dict[str, Any], key: str) -> str:
    names = {"width": "units", "m": "points", "queries": "points"}
    names |= {"networks": "networks", "parameters": "parameters", "targets": "targets"}
    return f"{measured[key]:,} {names[key]}" if key in measured else f"? {names[key]}"


def _solver(plain: dict[str, Any] | None) -> str:
    return {"SCS": "SCS", "CLARABEL": "Clarabel"}.get((plain or {}).get("solver", ""), "CVXPY")


# What people read


def table(found: list[Row], quick: bool) -> list[dict[str, str]]:
    """Return the rows as text; a quick run does less work than the bars are about."""
    return [_text(row, quick) for row in found]


def _text(row: Row, quick: bool) -> dict[str, str]:
    ours, plain = row["mflib"], row["plain"] or {}
    failed = [side["failed"] for side in (ours, plain) if "failed" in side]
    bars = ", ".join(_bar(bar) for bar in row["bars"])
    missed = ", ".join(bar["quantity"] for bar in row["bars"] if not bar["met"])
    verdict = f"not: {missed}" if missed else "yes"
    return {
        "group": row["group"],
        "work": row["work"],
        "time": duration(ours.get("seconds")),
        "memory": memory(ours.get("memory")),
        "error": small(ours.get("error")),
        "plain time": duration(plain.get("seconds")) + ("*" if "extrapolated" in plain else ""),
        "plain memory": memory(plain.get("memory")),
        "plain error": small(plain.get("error")),
        "ratio": factor(row["ratio"]),
        "bars": bars,
        "met": "" if quick or not bars else verdict,
        "remark": "; ".join(failed) if failed else row["remark"],
    }


NBSP = "\u00a0"  # keeps a number and its unit on one line


def _bar(bar: dict[str, Any]) -> str:
    quantity, value = bar["quantity"], bar["bar"]
    if quantity == "torch":
        return f"no{NBSP}Torch"
    show = {"time": duration, "memory": memory, "error": small}
    text = show.get(quantity, lambda v: f"{v:g}")(value)
    return f"{quantity} {'≤' if bar['sense'] == '<=' else '≥'}{NBSP}{text}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.3g}{NBSP}ms"
    return f"{seconds:,.0f}{NBSP}s" if seconds >= 10 else f"{seconds:.2g}{NBSP}s"


def memory(megabytes: float | None) -> str:
    return "" if megabytes is None else f"{megabytes:,.0f}{NBSP}MB"


def factor(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2g}" if ratio < 99.5 else f"{float(f'{ratio:.2g}'):,.0f}"


def small(error: float | None) -> str:
    return "" if error is None else f"{error:.0e}".replace("e-0", "e-")


def markdown(texts: list[dict[str, str]]) -> str:
    """Return the table in Markdown."""
    columns = [column for column in texts[0] if column != "group"] if texts else []
    lines = [columns, ["---"] * len(columns)]
    lines += [[text[column].replace("|", "\\|") for column in columns] for text in texts]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
