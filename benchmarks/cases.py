"""Everything that is measured: a name, a function, and the time after which it is given up."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from benchmarks import functions, training
from benchmarks.measure import Options

SIZES = (100, 1000, 10_000, 100_000)
NOISES = {"smooth": 0.0, "noisy": 0.3}


class Case(NamedTuple):
    """One side of one row of the table."""

    name: str
    measure: Callable[[Options], dict[str, Any]]
    limit: float = 300.0


def cases(options: Options) -> Iterator[Case]:
    """Yield the cases in order, the two sides of a row one after the other."""
    quick = options.quick
    widths, seeds = training.WIDTHS, 1 if quick else 5
    loop_limit = options.loop_seconds + 120
    for name in training.SETTINGS:
        ours = partial(training.one_network, name, 4860, 3 if quick else 11)
        yield Case(f"network/{name}/mflib", ours)
        yield Case(f"network/{name}/plain", partial(training.one_loop, name, 4860), loop_limit)
    yield Case("figures/mflib", partial(training.many_networks, widths, seeds), 600)
    yield Case("figures/plain", partial(training.many_loops, widths, seeds), 900)
    for name in ("relu-x2", "abs-x4"):
        width = 100_000 if quick else 1_000_000
        yield Case(f"wide/{name}/mflib", partial(training.one_network, name, width, 1))
    many = 5 if quick else 67  # x 6 settings: 402 networks
    yield Case("narrow/mflib", partial(training.many_networks, (100,), many), 600)
    for name, problem in functions.PROBLEMS.items():
        solver = "SCS" if problem.exponent == 2 else "CLARABEL"
        yield Case(f"limit/{name}/mflib", partial(functions.solve, name))
        for kind, better in (("plain", False), ("better", True)):
            run = partial(functions.solve_on_grid, name, solver, better)
            yield Case(f"limit/{name}/{kind}", run)
    for activation in ("relu", "abs"):
        for exponent in (2, 4):
            for noise, deviation in NOISES.items():
                for m in SIZES[:-1] if quick else SIZES:
                    run = partial(functions.solve_many, activation, exponent, deviation, m)
                    yield Case(f"points/{activation}-x{exponent}/{noise}/{m}", run)
    for activation, exponent in (("relu", 2), ("abs", 4)):
        run = partial(functions.evaluate, activation, exponent, 1000, 1_000_000)
        yield Case(f"evaluate/{activation}-x{exponent}/mflib", run)
    yield Case("import/mflib", functions.import_mflib)
