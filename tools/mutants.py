"""Mutation tests: change mflib in small ways, one at a time, and see whether its tests notice.

    python -m tools.mutants                      mutate all the modules below, in turn
    python -m tools.mutants potentials flow      only these
    python -m tools.mutants --sample 150         150 mutants drawn at random from each module
    python -m tools.mutants --survivors          once more those that survived, after new tests
    python -m tools.mutants --report             the results so far, and each survivor's change

mutmut works in a copy of the repository, _build/mutants/MODULE, where it tests the module by the
tests named below. It resumes where it was stopped. docs/mutants.md says what was found.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import libcst as cst
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.stats import status_by_exit_code
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
COPIES = ROOT / "_build" / "mutants"
COPIED = ["mflib", "tests", "tools", "pyproject.toml"]

# All but the slow ones, so that a mutant that survives costs seconds.
SOLVER = [
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/test_variational_*.py")),
    *("-k", "not (newton_needs_few or is_kernel_interpolation)"),
]
TESTS = {
    "potentials": ["tests/test_potentials.py", "tests/test_mirror_maps.py"],
    "activations": ["tests/test_activations.py"],
    "descent": ["tests/test_descent.py", "-k", "not tends_to_the_flow"],
    "representation": [
        *("tests/test_representation.py", "tests/test_trajectory.py", "-k"),
        "test_representation and not solvers_agree or test_kernel",
    ],
    "variational": SOLVER,
    "_dual": SOLVER,
    "_finite_elements": SOLVER,
    "_panels": ["tests/test_quadrature.py", *SOLVER],
    "_primal_dual": SOLVER,
    "_solution": SOLVER,
    "_quadrature": ["tests/test_quadrature.py", *SOLVER],
    "flow": [
        *("tests/test_flow.py", "tests/test_flow_steps.py", "tests/test_flow_sliding.py", "-k"),
        "not (follow_descent or train_across or active_regime or kink_is_held or take_few_steps"
        " or held_at_the_end or approach_their_own or (order_two or stiff) and not lopsided)",
    ],
}
KILLED = ("killed", "timeout")

# A mutant may take five times as long as its tests do, and ten seconds more.
SETTINGS = """\
[mutmut]
source_paths=mflib
only_mutate=mflib/{module}.py
also_copy=tools
timeout_multiplier=5
timeout_constant=10
pytest_add_cli_args_test_selection={tests}
"""


class Undecorated(cst.CSTTransformer):
    """Write `@d` above `def f` as `f = d(f)` below it, since mutmut passes by what is decorated."""

    def leave_FunctionDef(self, original_node, updated_node):
        if not updated_node.decorators:
            return updated_node
        name: cst.BaseExpression = updated_node.name
        for decorator in reversed(updated_node.decorators):
            name = cst.Call(decorator.decorator, [cst.Arg(name)])
        assignment = cst.Assign([cst.AssignTarget(updated_node.name)], name)
        return cst.FlattenSentinel(
            [updated_node.with_changes(decorators=[]), cst.SimpleStatementLine([assignment])]
        )


def prepare(module: str) -> Path:
    """Bring the working copy up to date; files that have not changed keep their time."""
    copy = COPIES / module
    for name in COPIED:
        ignore = shutil.ignore_patterns("__pycache__", f"{module}.py" if name == "mflib" else "")
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignore, dirs_exist_ok=True)
        else:
            shutil.copy2(ROOT / name, copy / name)
    source = cst.parse_module((ROOT / "mflib" / f"{module}.py").read_text("utf-8"))
    settings = SETTINGS.format(module=module, tests="\n    ".join(["", *TESTS[module]]))
    write(copy / "mflib" / f"{module}.py", source.visit(Undecorated()).code)
    write(copy / "setup.cfg", settings)
    return copy


def write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")


def draw(copy: Path, module: str, count: int) -> list[str]:
    """Choose mutants at random, the same ones each time, and of more the same ones first."""
    path = copy / "mflib" / f"{module}.py"
    with contextlib.chdir(copy):
        names = mutate_file_contents(str(path), path.read_text("utf-8")).mutant_names
    order = random.Random(0).sample(names, len(names))
    return [f"mflib.{module}.{name}" for name in order[:count]]


def run(module: str, sample: int | None, survivors: bool, jobs: int) -> None:
    copy, names = prepare(module), []
    if sample is not None:
        tried = results(module)
        names = [name for name in draw(copy, module, sample) if name not in tried]
    if survivors:
        names = surviving(module)
        # which tests reach which function must be found out again
        (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    if not names and (survivors or sample is not None):
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    command = [mutmut, "run", "--max-children", str(jobs), *names]
    subprocess.run(command, cwd=copy, env=environment, check=True)


def results(module: str) -> dict[str, str]:
    """Return what became of each mutant that was tried."""
    meta = COPIES / module / "mutants" / "mflib" / f"{module}.py.meta"
    codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"] if meta.exists() else {}
    return {name: status_by_exit_code[code] for name, code in codes.items() if code is not None}


def surviving(module: str) -> list[str]:
    return [name for name, end in results(module).items() if end not in KILLED]


def report(module: str, changes: bool) -> None:
    found = results(module)
    if not found:
        return print(f"{module}: nothing tried")
    test = stats.binomtest(len(found) - len(surviving(module)), len(found))
    low, high = test.proportion_ci(method="wilson")
    counts = ", ".join(f"{count} {end}" for end, count in Counter(found.values()).items())
    print(f"{module}: {counts}; {test.statistic:.1%} killed [{low:.1%}, {high:.1%}]")
    with contextlib.chdir(COPIES / module):
        for name in surviving(module):
            print(f"  {name}: {found[name]}")
            if changes:
                print(get_diff_for_mutant(name, path=Path("mflib") / f"{module}.py"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("modules", nargs="*", metavar="MODULE", default=list(TESTS))
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--jobs", type=int, metavar="N", default=2)
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--report", action="store_true", help="run nothing; show the survivors")
    arguments = parser.parse_args()
    for module in arguments.modules:
        if not arguments.report:
            run(module, arguments.sample, arguments.survivors, arguments.jobs)
        report(module, changes=arguments.report)
