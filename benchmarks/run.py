"""Measure everything, both sides in one run, and write the table.

Each measurement runs in a process of its own and has a time limit; results are written as they
finish. Without options this takes about ten minutes on two quiet cores.
"""

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.cases import Case, cases
from benchmarks.measure import Options

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mflib", "numpy", "scipy", "torch", "cvxpy", "scs", "clarabel")


def main(arguments: list[str] | None = None) -> None:
    options, selected, file = _parse(arguments)
    start, measured = time.perf_counter(), {}
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "options": asdict(options),
    }
    for case in selected:
        measured[case.name] = found = measure_apart(case, options)
        spent = time.perf_counter() - start
        shown = found.get("failed") or report.duration(found["seconds"])
        print(f"{spent:6.0f} s  {case.name}: {shown}", file=sys.stderr, flush=True)
        results = assemble(about, measured)
        if file:
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(headline(results), report.markdown(results["table"]), sep="\n\n")


def _parse(arguments: list[str] | None) -> tuple[Options, list[Case], Path | None]:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=(__doc__ or ""))
    parser.add_argument("--quick", action="store_true", help="less work, to try things out")
    parser.add_argument("--only", metavar="NAME", help="what begins with NAME, e.g. network/abs")
    parser.add_argument("--json", metavar="FILE", type=Path, help="where to write the results")
    parser.add_argument(
        "--loop-seconds",
        metavar="S",
        type=float,
        help="stop each plain loop after S seconds and extrapolate "
        f"(default: {Options.loop_seconds:g}, or 10 with --quick)",
    )
    given = parser.parse_args(arguments)
    budget = given.loop_seconds or (10.0 if given.quick else Options.loop_seconds)
    options = Options(given.quick, budget)
    selected = [case for case in cases(options) if case.name.startswith(given.only or "")]
    if not selected:
        names = "\n".join(case.name for case in cases(options))
        parser.error(f"nothing begins with {given.only!r}; there are:\n{names}")
    return options, selected, given.json


def measure_apart(case: Case, options: Options) -> dict[str, Any]:
    """Run one measurement in a process of its own; a failure is a result like any other."""
    command = [sys.executable, "-m", "benchmarks.measure", case.name, json.dumps(asdict(options))]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=case.limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        process.communicate()
        return {"failed": f"no result within {case.limit:g} s"}
    if process.returncode:
        reason = errors.strip().splitlines()[-1:] or [f"exit status {process.returncode}"]
        return {"failed": reason[0]}
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def assemble(about: dict[str, Any], measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Join what is stored: circumstances, table, and the measurements that it is made of."""
    rows = report.rows(measured)
    texts = report.table(rows, about["options"]["quick"])
    bars = [row["bars"] for row in rows]
    return about | {"table": texts, "bars": bars, "measurements": measured}


def headline(results: dict[str, Any]) -> str:
    """Say where and when, in one paragraph."""
    packages = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    quick = " Quick run: less work than the bars are about." if results["options"]["quick"] else ""
    return f"{results['date']}; {results['machine']}; {packages}.{quick} * extrapolated."


def machine() -> str:
    """Describe the processor, without naming the host."""
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text().splitlines() if info.exists() else ()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores, {model}, {platform.system()}"


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that took part."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


if __name__ == "__main__":
    main()
