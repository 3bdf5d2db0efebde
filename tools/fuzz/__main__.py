"""Try mflib on random problems, and compare every answer with an independent one.

    python -m tools.fuzz --seconds 900 --jobs 2    all kinds of problems in turn, and the table
    python -m tools.fuzz flow kernel               only these kinds
    python -m tools.fuzz --only "flow:17"          once more a single problem, printed in full

A problem is made from the seed, its kind and its number alone. It may be answered, or refused by a
ValueError or TypeError of mflib's own; a wrong answer, a warning, any other error, or more than ten
seconds of work is a failure. `unchecked` are answers that the oracle could not judge.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict

from tools.fuzz.kinds import KINDS
from tools.fuzz.pool import FAILURES, FINE, Result, attempt, draw, run


def table(results: list[Result]) -> str:
    """The rates as a table in Markdown, one line for each kind and one for all."""
    counts: dict[str, Counter] = defaultdict(Counter)
    for result in results:
        for kind in (result.kind, "all"):
            counts[kind][result.outcome] += 1
            counts[kind]["unchecked"] += result.unchecked
    head = ["kind", "of", "problems", "right", "refused", "other statuses", "unchecked", *FAILURES]
    lines = [" | ".join(head), "|".join(["---"] * 2 + ["--:"] * 3 + ["---"] + ["--:"] * 5)]
    for kind in [k for k in KINDS if k in counts] + ["all"]:
        row = counts[kind]
        total = sum(count for name, count in row.items() if name != "unchecked")
        right = sum(row[name] for name in FINE) - row["unchecked"]
        known = (*FINE, *FAILURES, "refused", "unchecked")
        others = ", ".join(f"{n} {name}" for name, n in sorted(row.items()) if name not in known)
        covers = KINDS[kind].covers if kind in KINDS else ""
        cells = [kind, covers, total, right, row["refused"], others, row["unchecked"]]
        lines.append(" | ".join(map(str, cells + [row[name] for name in FAILURES])))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz")
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", metavar="KIND:INDEX")
    arguments = parser.parse_args()
    if arguments.only:
        kind, index = arguments.only.rsplit(":", 1)
        print(draw(kind, arguments.seed, int(index)))
        results = [attempt(kind, arguments.seed, int(index))]
        print(*results[0])
    else:
        results = []
        for result in run(arguments.kinds, arguments.seed, arguments.seconds, arguments.jobs):
            results.append(result)
            if result.outcome in FAILURES or result.unchecked:
                repeat = f'--seed {arguments.seed} --only "{result.kind}:{result.number}"'
                print(f"{repeat}\n    {result.outcome}: {result.note}", flush=True)
        print(table(results))
    return int(any(result.outcome in FAILURES for result in results))


if __name__ == "__main__":
    sys.exit(main())
