"""Everything that is measured: a name, a function, and the time after which it is given up."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from benchmarks.measure import Options
from benchmarks.report import FIGURE_PROBLEMS, OPTIMIZERS, RIDGES, SETTINGS, SEVERAL

WIDTHS = (20, 60, 180, 540, 1620, 4860)
SIZES = (100, 1000, 10_000, 100_000)
NOISES = {"smooth": 0.0, "noisy": 0.3}


class Case(NamedTuple):
    """One side of one row of the table; its function is named, for not all need Torch or CVXPY."""

    name: str
    function: str
    arguments: tuple[Any, ...]
    limit: float = 300.0

    def measure(self, options: Options) -> dict[str, Any]:
        module, _, function = self.function.partition(".")
        result: dict[str, Any] = getattr(import_module(f"benchmarks.{module}"), function)(
            *self.arguments, options
        )
        return result


def cases(options: Options) -> Iterator[Case]:
    """Yield the cases in order, the two sides of a row one after the other."""
    yield from training_cases(options)
    yield from limit_cases()
    yield from scaling_cases(options)
    yield from smoothing_cases(options)


def training_cases(options: Options) -> Iterator[Case]:
    quick = options.quick
    for name in SETTINGS:
        yield Case(
            f"network/{name}/mflib", "training.one_network", (name, 4860, 3 if quick else 11)
        )
        limit = options.loop_seconds + 120
        yield Case(f"network/{name}/plain", "training.one_loop", (name, 4860), limit)
    seeds = 1 if quick else 5
    yield Case("figures/mflib", "training.many_networks", (WIDTHS, seeds), 600)
    yield Case("figures/plain", "training.many_loops", (WIDTHS, seeds), 1800)
    for name in ("relu-x2", "abs-x4"):
        width = 100_000 if quick else 1_000_000
        yield Case(f"wide/{name}/mflib", "training.one_network", (name, width, 1))
    seeds = 5 if quick else 67  # x 6 settings: 402 networks
    yield Case("narrow/mflib", "training.many_networks", ((100,), seeds), 600)
    parameters = 100_000 if quick else 1_000_000
    for name in OPTIMIZERS:
        yield Case(f"optimizer/{name}/mflib", "training.optimizer_step", (name, parameters))


def limit_cases() -> Iterator[Case]:
    for name in FIGURE_PROBLEMS:
        yield Case(f"limit/{name}/mflib", "functions.solve", (name,))
        solver = "SCS" if "x2" in name else "CLARABEL"
        for kind in ("plain", "better"):
            task = (name, solver, kind == "better")
            yield Case(f"limit/{name}/{kind}", "functions.solve_on_grid", task)


def scaling_cases(options: Options) -> Iterator[Case]:
    for activation in ("relu", "abs"):
        for exponent in (2, 4):
            for noise, deviation in NOISES.items():
                for m in SIZES[:-1] if options.quick else SIZES:
                    name = f"points/{activation}-x{exponent}/{noise}/{m}"
                    yield Case(name, "functions.solve_many", (activation, exponent, deviation, m))
    for activation, exponent in (("relu", 2), ("abs", 4)):
        name = f"evaluate/{activation}-x{exponent}/mflib"
        yield Case(name, "functions.evaluate", (activation, exponent, 1000, 1_000_000))
    yield Case("import/mflib", "functions.import_mflib", ())


def smoothing_cases(options: Options) -> Iterator[Case]:
    sizes = SIZES[1:-1] if options.quick else SIZES[1:]
    for m in sizes:
        yield Case(f"ridge/plain/{m}", "smoothing.spline", (m,))
        for name in RIDGES:
            activation, _, exponent = name.partition("-x")
            yield Case(f"ridge/{name}/{m}", "smoothing.smooth", (activation, int(exponent), m))
    m = 1000 if options.quick else 10_000
    yield Case("gcv/mflib", "smoothing.choose", (m,))
    yield Case("gcv/plain", "smoothing.spline_choose", (m,))
    for name in SEVERAL:
        task = (int(name[1:]), 50 if options.quick else 1000)
        yield Case(f"several/{name}/mflib", "smoothing.several", task)
