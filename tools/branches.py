"""Fail where too few branches are covered.

Coverage's own limit is on lines and branches together, so that lines may make up for branches.

    coverage json -q --fail-under=0 -o - | python -m tools.branches
"""

import json
import sys
import tomllib

from tools.notebooks import ROOT


def main(report: str) -> int:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    least = settings["tool"]["coverage"]["report"]["fail_under"]
    totals = json.loads(report)["totals"]
    covered, count = totals["covered_branches"], totals["num_branches"]
    if enough := 100 * covered >= least * count > 0:
        print(f"{covered} of {count} branches are covered")
    else:
        advice = f"at least {least} % must be; test those that the table above calls missing"
        print(f"only {covered} of {count} branches are covered; {advice}")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
