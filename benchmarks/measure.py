"""One measurement in a process of its own, so that its peak memory is its own too.

python -m benchmarks.measure NAME OPTIONS: the last line of the output is the result as JSON.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """What a run may cost; `quick` shrinks the work, for trying things out."""

    quick: bool = False
    loop_seconds: float = 300.0


def peak_memory() -> float:
    """Return the largest memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def timed(
    function: Callable[[], Any], *, repeats: int = 5, budget: float = 20.0, warm_up: bool = True
) -> tuple[Any, dict[str, Any]]:
    """Call a function until `repeats` or `budget` seconds are spent; median time and peak memory.

    The first call counts only if there is no other: it also fills caches and loads code.
    """
    seconds: list[float] = []
    begin = time.perf_counter()
    while len(seconds) < repeats + warm_up and (
        not seconds or time.perf_counter() - begin < budget
    ):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    counted = seconds[1:] if warm_up and len(seconds) > 1 else seconds
    return result, {
        "seconds": statistics.median(counted),
        "first_seconds": seconds[0],
        "repeats": len(counted),
        "memory": peak_memory(),
    }


def main() -> None:
    from benchmarks.cases import cases

    name, options = sys.argv[1], Options(**json.loads(sys.argv[2]))
    (case,) = [case for case in cases(options) if case.name == name]
    print("\n" + json.dumps(case.measure(options)))


if __name__ == "__main__":
    main()
