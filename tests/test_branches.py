"""The limit that the coverage of branches alone must reach."""

import json

import pytest

from tools import branches


@pytest.mark.parametrize(
    ("covered", "count", "status", "line"),
    [
        (97, 100, 0, "97 of 100 branches are covered\n"),
        (96, 100, 1, "only 96 of 100 branches are covered; at least 97 % must be; test those"),
        (9699, 10000, 1, "only 9699 of 10000"),
        (0, 0, 1, "only 0 of 0"),  # measured without branches
    ],
)
def test_lines_do_not_make_up_for_branches(capsys, covered, count, status, line):
    totals = {"covered_branches": covered, "num_branches": count, "percent_covered": 99.0}
    assert branches.main(json.dumps({"totals": totals})) == status
    assert capsys.readouterr().out.startswith(line)
