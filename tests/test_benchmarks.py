"""The benchmarks' own logic; the plain ways must do the same work as mflib, or no ratio counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks import functions, measure, plain_descent, report, run, smoothing, training
from benchmarks.cases import Case, cases
from benchmarks.measure import Options
from mflib import experiments, mirror_flow, variational

STORED = Path(run.ROOT) / "benchmarks" / "results.json"
GRID = experiments.GRID


# The plain ways


@pytest.mark.parametrize("name", training.SETTINGS)
def test_the_plain_loop_follows_the_flow(name):
    setting, width, target = training.SETTINGS[name]._replace(step=1), 60, 5e-3
    end = training.loop(setting, width)(target=target, max_steps=6000)
    x, y = setting.data
    flow = mirror_flow(
        training.network(setting, width, seed=0),
        *(x, y),
        potential=setting.potential,
        scaled=setting.scaled,
        rtol=1e-3,
        loss_target=1e-12,
        max_time=2 * end.steps,  # the flow's loss is half of torch's
    )
    assert end.loss == pytest.approx(target, rel=0.01)
    assert flow.loss == pytest.approx(target, rel=0.01)
    found = plain_descent.evaluate(end, GRID, activation=setting.activation)
    np.testing.assert_allclose(found, flow.network(GRID).detach(), atol=1e-3)


def test_the_steps_of_the_plain_loop_are_predicted():
    end = training.loop(training.SETTINGS["abs-x2"], 60)(target=1e-7)
    assert end.loss <= 1e-7
    assert training.loop_steps("abs-x2", 60, 0)["steps"] == pytest.approx(end.steps, rel=0.02)


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.parametrize("problem", functions.PROBLEMS)
def test_the_grid_comes_close_to_the_exact_answer(problem, better):
    pytest.importorskip("cvxpy", reason="CVXPY is a requirement of `make bench` only")
    found = functions.solve_on_grid(problem, "CLARABEL", better, Options(quick=True))
    assert found["status"] == "optimal"
    assert 1e-5 < found["error"] < 2e-3


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.parametrize(("activation", "exponent"), [("relu", 2), ("abs", 3)])
def test_the_grid_weighs_each_term_as_mflib_does(activation, exponent, better):
    # no symmetry, so that no term vanishes, and alpha near 1, so that both powers count
    plain_grid = pytest.importorskip("benchmarks.plain_grid", reason="needs CVXPY")
    x, y, grid = (
        np.array([-0.6, 0.1, 0.8]),
        np.array([0.01, -0.02, 0.03]),
        plain_grid.Grid(1.5, 2001),
    )
    task, ways = (x, y, stats.uniform(-1, 2), grid), {"solver": "CLARABEL"}
    if better:
        h = plain_grid.coefficients(*task, activation, exponent, **ways)
    elif activation == "relu":
        h = plain_grid.theorem2(*task, **ways)
    else:
        h = plain_grid.theorem8(*task, exponent, **ways)
    potential = functions.power(exponent)
    exact = variational.solve(x, y, activation=activation, potential=potential)
    assert np.abs(h(GRID) - exact(GRID)).max() < 3e-5


# Measuring


def test_the_median_leaves_the_first_call_out(monkeypatch):
    # begin; start and end of a call of 9 s; budget, start, end of calls of 1, 1 and 3 s
    clock = iter([0.0, 0.0, 9.0, 9.0, 9.0, 10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 14.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    result, found = measure.timed(lambda: "done", repeats=3)
    assert result == "done"
    assert (found["first_seconds"], found["seconds"], found["repeats"]) == (9.0, 1.0, 3)
    assert 10 < found["memory"] < 100_000


def test_a_long_call_is_not_repeated_beyond_the_budget(monkeypatch):
    clock = iter([0.0, 0.0, 50.0, 50.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))
    assert measure.timed(lambda: None, budget=20)[1]["seconds"] == 50.0


def test_a_measurement_runs_in_a_process_of_its_own():
    (case,) = [c for c in cases(Options()) if c.name == "limit/abs-x2/mflib"]
    found = run.measure_apart(case, Options(quick=True))
    assert found["status"] == "CONVERGED" and found["error"] < 1e-10
    assert found["seconds"] > 0 and found["grid_seconds"] > 0 and found["memory"] > 20


def test_a_failure_and_a_time_limit_are_results():
    nameless = Case("limit/nothing/mflib", "functions.solve", ("nothing",))
    assert "ValueError" in run.measure_apart(nameless, Options())["failed"]
    (case,) = [c for c in cases(Options()) if c.name == "limit/abs-x2/mflib"]
    hurried = run.measure_apart(case._replace(limit=0.01), Options())
    assert hurried == {"failed": "no result within 0.01 s"}


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        run.main(["--only", "nothing"])
    assert "nothing begins with 'nothing'" in capsys.readouterr().err


# The table


def made_up(options: Options) -> dict:
    """One measurement for each case, all with round numbers."""
    common = {
        "seconds": 1e-3,
        "memory": 300.0,
        "error": 1e-12,
        "residual": 1e-12,
        "status": "CONVERGED",
    }
    sizes = {"width": 4860, "m": 1000, "queries": 1_000_000, "networks": 180, "parameters": 10**6}
    sizes["targets"] = 1000
    plain = {"steps": 60_000, "predicted_steps": 90_000, "finished": True, "solver": "SCS"}
    found = {}
    for case in cases(options):
        measured = common | sizes | {"torch_loaded": False}
        if case.name.endswith(("plain", "better")):
            measured = common | plain | {"seconds": 0.3}
        if case.name.startswith("optimizer/"):
            measured |= {"SGD": 3e-4, "Adam": 6e-4}
        if case.name.startswith(("points/", "ridge/")):
            m = int(case.name.rpartition("/")[2])
            measured |= {"m": m, "seconds": 1e-5 * m}
        found[case.name] = measured
    return found


def test_every_case_reaches_the_table_and_names_a_function():
    options = Options()
    for case in cases(options):
        module = __import__(f"benchmarks.{case.function.partition('.')[0]}", fromlist=["_"])
        assert callable(getattr(module, case.function.partition(".")[2]))
    rows = report.rows(made_up(options))
    shown = [id(row[side]) for row in rows for side in ("mflib", "plain") if row[side]]
    assert len(rows) == 6 + 2 + 2 + 5 + 2 * 5 + 8 + 2 + 1 + 4 + 1 + 2
    assert len(shown) == 6 * 2 + 2 + 1 + 2 + 5 * 2 + 4 * 5 + 8 + 2 + 1 + 4 * 2 + 2 + 2
    assert sum(len(row["bars"]) for row in rows) == 6 + 2 + 1 + 4 + 5 + 15 + 24 + 2 + 2 + 12 + 2 + 2


def test_residuals_are_judged_by_the_rounding_of_slopes():
    found = made_up(Options())
    found["points/abs-x4/noisy/100000"] |= {"residual": 3e-9, "rounding": 2e-9}
    found["points/abs-x2/noisy/100000"] |= {"residual": 3e-9, "rounding": 4e-9}
    rows = {row["work"]: row for row in report.rows(found)}
    met = [rows[f"100,000 points, noisy, |·|, {name}"]["bars"][2] for name in ("x⁴ + x²", "x²")]
    assert [bar["met"] for bar in met] == [False, True]
    rough, smooth = (functions.solve_many("abs", 2, s, 50, Options(quick=True)) for s in (1.0, 0))
    assert rough["residual"] <= rough["rounding"] and rough["rounding"] > 5 * smooth["rounding"]


def test_smoothing_is_compared_with_the_spline_of_the_same_size():
    found = made_up(Options())
    found["ridge/relu-x4/100000"]["seconds"] = 5.0
    rows = {row["work"]: row for row in report.rows(found)}
    row = rows["100,000 points, ridge, ReLU, x⁴ + x²"]
    assert row["ratio"] == pytest.approx(0.2)
    assert [bar["met"] for bar in row["bars"]] == [True, False, True]
    assert row["remark"] == "exponent 1.35"
    found["ridge/relu-x4/1000"] = {"failed": "no result within 300 s"}
    rows = {row["work"]: row for row in report.rows(found)}
    assert rows["100,000 points, ridge, ReLU, x⁴ + x²"]["remark"] == ""
    found["gcv/mflib"]["error"] = 1.2e-12
    (row,) = (row for row in report.rows(found) if "GCV" in row["work"])
    assert [bar["met"] for bar in row["bars"]] == [True, False]


def test_smoothing_is_measured():
    quick = Options(quick=True)
    for found in (smoothing.smooth("abs", 4, 200, quick), smoothing.spline(200, quick)):
        assert found["m"] == 200 and found["error"] < 0.3
    for found in (smoothing.choose(200, quick), smoothing.spline_choose(200, quick)):
        assert found["error"] < 0.15
    assert smoothing.several(2, 5, quick)["status"] == "CONVERGED"


def test_steps_of_optimizers_are_compared_with_torchs():
    rows = {row["work"]: row for row in report.rows(made_up(Options()))}
    square = rows["a step of 1,000,000 parameters, x², beside SGD"]
    assert square["ratio"] == pytest.approx(0.3) and not square["bars"][0]["met"]
    quartic = rows["a step of 1,000,000 parameters, x⁴ + x², beside Adam"]
    assert quartic["ratio"] == pytest.approx(0.6) and quartic["bars"][0]["met"]
    assert quartic["remark"].replace("\u00a0", " ") == "SGD: 0.3 ms, Adam: 0.6 ms"
    assert set(training.POTENTIALS) == set(report.OPTIMIZERS)


def test_steps_of_optimizers_are_measured():
    found = training.optimizer_step("x4", 1000, Options(quick=True))
    assert all(0 < found[key] < 1 for key in ("seconds", "SGD", "Adam"))
    assert found["parameters"] == 1000


def test_ratio_and_bars():
    found = made_up(Options())
    row = report.rows(found)[0]
    assert row["ratio"] == pytest.approx(300)
    assert row["bars"] == [{"quantity": "ratio", "sense": ">=", "bar": 500, "met": False}]
    found["network/relu-x2/plain"]["steps"] = 40_000  # a loop that is soon done has a lower bar
    assert report.rows(found)[0]["bars"][0]["met"]
    found["network/relu-x2/plain"] |= {"finished": False, "steps": 30_000}
    row = report.rows(found)[0]
    assert row["ratio"] == pytest.approx(900)  # 90,000 steps instead of 30,000
    assert report.table([row], quick=False)[0]["plain time"] == "900\u00a0ms*"
    assert report.table([row], quick=False)[0]["plain error"] == ""


def test_a_side_that_failed_leaves_its_cells_empty_and_its_bars_unmet():
    found = made_up(Options())
    found["limit/abs-x2/plain"] |= {"iterations": 100_000, "status": "optimal_inaccurate"}
    found["limit/abs-x4/mflib"] = {"failed": "no result within 300 s"}
    found["limit/abs-x3/plain"] = {"failed": "ModuleNotFoundError: No module named 'cvxpy'"}
    found["points/abs-x4/noisy/100000"] = {"failed": "no result within 300 s"}
    rows = {row["work"]: row for row in report.rows(found)}
    text = {row["work"]: row for row in report.table(list(rows.values()), quick=False)}
    assert text["|·|, x⁴ + x², SCS"]["time"] == ""
    assert text["|·|, x⁴ + x², SCS"]["met"] == "not: time, error, ratio"
    assert text["|·|, |x|³ + x², CVXPY"]["met"] == "not: ratio"
    assert text["|·|, x², SCS"]["remark"] == "100,000 plain iterations, optimal_inaccurate"
    noisy = text["? points, noisy, |·|, x⁴ + x²"]
    assert noisy["met"] == "not: exponent, time, error"
    assert noisy["remark"] == "no result within 300 s"


def test_work_that_was_not_done_meets_no_bar():
    found = made_up(Options())
    found["import/mflib"]["status"] = "STALLED"
    found["points/relu-x2/noisy/1000"]["status"] = "STALLED"
    rows = {row["work"]: row for row in report.rows(found)}
    noisy = rows["100,000 points, noisy, ReLU, x²"]
    assert not any(bar["met"] for bar in noisy["bars"]) and noisy["remark"].startswith(
        "STALLED; exponent 1.00, 1.00 from 10,000 points"
    )
    last = rows["import mflib, beyond NumPy and SciPy"]
    assert not any(bar["met"] for bar in last["bars"]) and last["remark"] == "STALLED"


def test_the_exponent_is_that_of_a_power_law():
    m = [10, 100, 1000]
    assert report.fitted_exponent(m, [3e-4 * v**1.3 for v in m]) == pytest.approx(1.3)
    assert report.rows(made_up(Options()))[-11]["mflib"]["exponent"] == pytest.approx(1.0)


def test_markdown_has_the_same_columns_in_every_line():
    lines = report.markdown(report.table(report.rows(made_up(Options())), quick=False)).splitlines()
    assert {line.replace("\\|", "").count("|") for line in lines} == {12}
    assert "1\u00a0ms" in lines[2] and "300\u00a0MB" in lines[2] and "1e-12" in lines[2]
    assert report.table(report.rows(made_up(Options())), quick=True)[0]["met"] == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (4.2e-4, "0.42 ms"),
        (0.99949, "999 ms"),
        (1.04, "1 s"),
        (99.7, "100 s"),
        (1635.2, "1,635 s"),
    ],
)
def test_durations_are_short(seconds, text):
    assert report.duration(seconds).replace("\u00a0", " ") == text


def test_the_stored_table_is_that_of_the_stored_measurements():
    stored = json.loads(STORED.read_text("utf-8"))
    about = {key: stored[key] for key in ("date", "machine", "versions", "options")}
    assert run.assemble(about, stored["measurements"]) == stored
