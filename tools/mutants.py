"""Mutation tests: change mflib in small ways, one at a time, and see whether its tests notice.

    python -m tools.mutants                        mutate all that is named below, in turn
    python -m tools.mutants potentials flow        only these modules and packages
    python -m tools.mutants variational._solver    only this file of a package
    python -m tools.mutants --sample 150           150 mutants drawn at random from each
    python -m tools.mutants --survivors            once more those that survived, after new tests
    python -m tools.mutants --report               the results so far, and each survivor's change

mutmut works in a copy of the repository, _build/mutants/NAME, where it tests a module, or all files
of a package, by the tests named below. It resumes where it was stopped. docs/mutants.md says what
was found.
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

# The tests of each module or package, as patterns of files and an expression of pytest: all but the
# slow ones, so that a mutant that survives costs seconds.
TESTS = {
    "potentials": (["tests/test_potentials*.py", "tests/test_mirror_maps.py"], ""),
    "activations": (["tests/test_activations.py"], ""),
    "descent": (["tests/test_descent.py", "tests/test_optimizer*.py"], "not tends_to_the_flow"),
    "representation": (
        ["tests/test_representation*.py", "tests/test_trajectory*.py"],
        "test_representation and not solvers_agree or test_kernel",
    ),
    "variational": (
        [
            "tests/test_variational*.py",
            "tests/test_quadrature.py",
            "tests/test_certify.py",
            "tests/test_banded.py",
        ],
        "not (newton_needs_few or is_kernel_interpolation)",
    ),
    "flow": (
        ["tests/test_flow*.py"],
        "not (follow_descent or train_across or active_regime or kink_is_held or take_few_steps"
        " or held_at_the_end or approach_their_own or (order_two or stiff) and not lopsided)",
    ),
    "experiments": (["tests/test_experiments.py", "tests/test_cache.py"], ""),
}
KILLED = ("killed", "timeout")

# A mutant may take five times as long as its tests do, and ten seconds more.
SETTINGS = """\
[mutmut]
source_paths=mflib
only_mutate={files}
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


def files(name: str) -> list[str]:
    """Return the files of a module, a package, or one module of a package, from the root."""
    path = Path("mflib", *name.split("."))
    if not (ROOT / path).is_dir():
        return [f"{path}.py"]
    inside = sorted((ROOT / path).glob("*.py"))
    return [str(path / file.name) for file in inside if file.name != "__init__.py"]


def selection(package: str) -> list[str]:
    """Return what to tell pytest to run."""
    patterns, expression = TESTS[package]
    found = [str(path.relative_to(ROOT)) for p in patterns for path in sorted(ROOT.glob(p))]
    return found + (["-k", expression] if expression else [])


def prepare(package: str) -> Path:
    """Bring the working copy up to date; files that have not changed keep their time."""
    copy = COPIES / package
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.rmtree(copy / name, ignore_errors=True)
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, copy / name)
    for file in files(package):
        source = cst.parse_module((ROOT / file).read_text("utf-8"))
        (copy / file).write_text(source.visit(Undecorated()).code, "utf-8")
        shutil.copystat(ROOT / file, copy / file)
    lists = {"files": files(package), "tests": selection(package)}
    indented = {name: "\n    ".join(["", *entries]) for name, entries in lists.items()}
    settings = SETTINGS.format(**indented)
    if not (copy / "setup.cfg").exists() or (copy / "setup.cfg").read_text("utf-8") != settings:
        (copy / "setup.cfg").write_text(settings, "utf-8")
    return copy


def draw(copy: Path, name: str, count: int) -> list[str]:
    """Choose mutants at random, the same ones each time, and of more the same ones first."""
    names = []
    with contextlib.chdir(copy):
        for file in files(name):
            made = mutate_file_contents(file, Path(file).read_text("utf-8")).mutant_names
            module = file.removesuffix(".py").replace("/", ".")
            names += [f"{module}.{mutant}" for mutant in made]
    return random.Random(0).sample(names, len(names))[:count]


def run(name: str, sample: int | None, survivors: bool, jobs: int) -> None:
    copy, names = prepare(name.partition(".")[0]), []
    if sample is not None:
        tried = results(name)
        names = [mutant for mutant in draw(copy, name, sample) if mutant not in tried]
    elif "." in name:
        names = [f"mflib.{name}.*"]
    if survivors:
        names = surviving(name)
        # which tests reach which function must be found out again
        (copy / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    if not names and (survivors or sample is not None):
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    command = [mutmut, "run", "--max-children", str(jobs), *names]
    subprocess.run(command, cwd=copy, env=environment, check=True)


def results(name: str) -> dict[str, str]:
    """Return what became of each mutant that was tried."""
    codes: dict[str, int | None] = {}
    for file in files(name):
        meta = COPIES / name.partition(".")[0] / "mutants" / f"{file}.meta"
        if meta.exists():
            codes |= json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    return {key: status_by_exit_code[code] for key, code in codes.items() if code is not None}


def surviving(name: str) -> list[str]:
    return [mutant for mutant, end in results(name).items() if end not in KILLED]


def report(name: str, changes: bool) -> None:
    found = results(name)
    if not found:
        return print(f"{name}: nothing tried")
    test = stats.binomtest(len(found) - len(surviving(name)), len(found))
    low, high = test.proportion_ci(method="wilson")
    counts = ", ".join(f"{count} {end}" for end, count in Counter(found.values()).items())
    print(f"{name}: {counts}; {test.statistic:.1%} killed [{low:.1%}, {high:.1%}]")
    with contextlib.chdir(COPIES / name.partition(".")[0]):
        for mutant in surviving(name):
            print(f"  {mutant}: {found[mutant]}")
            if changes:
                file = mutant.rpartition(".")[0].replace(".", "/") + ".py"
                print(get_diff_for_mutant(mutant, path=Path(file)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", default=list(TESTS))
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--jobs", type=int, metavar="N", default=2)
    parser.add_argument("--survivors", action="store_true")
    parser.add_argument("--report", action="store_true", help="run nothing; show the survivors")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name.partition(".")[0] not in TESTS]:
        parser.error(f"no tests are named for {unknown[0]!r}; choose of {', '.join(TESTS)}")
    for name in arguments.names:
        if not arguments.report:
            run(name, arguments.sample, arguments.survivors, arguments.jobs)
        report(name, changes=arguments.report)
