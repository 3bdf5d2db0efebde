"""The laboratory: its numbers are those of mflib, and readers of all kinds can work it."""

import functools
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.interpolate import CubicSpline
from visit import Visit, open_offline, watched, with_browser

import mflib
from _ext.laboratory import PRESETS, Humps
from mflib import representation, variational
from mflib.activations import leaky_relu
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import LIMITS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "chapters/_static/laboratory"
SCRIPTS = {name: (FOLDER / f"{name}.js").read_text("utf-8") for name in ("solver", "training")}

SOLVE = """(problems) => problems.map(([problem, t]) => {
  const { at, derivative, curvature, ...rest } = window.laboratory.solve(problem);
  return { ...rest, h: at(t), slope: derivative(t), bend: curvature(t) };
})"""
TRAIN = """(problems) => problems.map(([options, t]) => {
  const { at, snapshots, loss, status, steps, message } = window.laboratory.train(options);
  return { f: at(t), path: snapshots.map((one) => one.at(t)), loss, status, steps, message };
})"""
PATH = """(problems) => problems.map(([options, t]) => {
  const flow = window.laboratory.parts.integrationOf(options, true);
  return options.times.map((time) => (flow.advance(time), flow.snapshot().at(t)));
})"""


def in_page(function: str, argument, scripts=SCRIPTS):
    """Return what a function makes of an argument, on a page with nothing but the scripts."""

    async def act(browser):
        page = await open_offline(browser)
        for text in scripts.values():
            await page.add_script_tag(content=text)
        return await page.evaluate(function, argument)

    return with_browser(act)


# Problems, for the page and for mflib.


def python_of(problem: dict) -> tuple:
    """Return the arguments of `variational.solve` for a problem of the page."""
    given = {"kind": "quadratic"} | problem["potential"]
    omega, kind = given.get("omega"), given["kind"]
    psi = {
        "quadratic": lambda: Quadratic(),
        "power": lambda: Power(given["exponent"]),
        "hypentropy": lambda: Hypentropy(given["beta"]),
    }[kind]()
    density = problem["density"]
    frozen = {
        "uniform": lambda reach: stats.uniform(-reach, 2 * reach),
        "normal": lambda deviation: stats.norm(0, deviation),
        "humps": lambda centre, deviation: Humps(shapes="centre, deviation")(centre, deviation),
    }[density["kind"]](*[density[key] for key in density if key != "kind"])
    model = {
        "activation": leaky_relu(problem["slope"]),
        "potential": Regularized(psi, omega) if omega else psi,
        "density": frozen,
    }
    return problem["x"], problem["y"], model


def random_potential(rng) -> dict:
    kind = rng.choice(["quadratic", "power", "integer", "hypentropy", "regularized"])
    omega = float(10 ** rng.uniform(-1, 1))
    if kind == "quadratic":
        return {"kind": "quadratic"}
    if kind in ("power", "integer"):
        exponent = rng.uniform(2, 8) if kind == "power" else rng.integers(2, 9)
        return {"kind": "power", "exponent": float(exponent), "omega": omega}
    beta = {"kind": "hypentropy", "beta": float(10 ** rng.uniform(-1, 1))}
    return beta | ({"omega": omega} if kind == "regularized" else {})


def random_problem(rng) -> dict:
    count = int(rng.integers(1, 9))
    if rng.random() < 0.5:
        reach = float(rng.uniform(0.6, 2))
        density, edge = {"kind": "uniform", "reach": reach}, reach
    else:
        density, edge = {"kind": "normal", "deviation": float(rng.uniform(0.3, 2))}, 1.5
    return {
        "x": rng.uniform(-edge, edge, count).tolist(),
        "y": (rng.standard_normal(count) * 10 ** rng.uniform(-2, 1)).tolist(),
        "slope": float(rng.choice([-1.0, 0.0, rng.uniform(-1, 0.9)])),
        "potential": random_potential(rng),
        "density": density,
    }


def compared(problems: list[dict], scripts=SCRIPTS) -> tuple[dict[str, float], list[tuple]]:
    """Return the largest relative differences from mflib where it converged, and all statuses."""
    solutions, queries = [], []
    for problem in problems:
        x, y, model = python_of(problem)
        solutions.append(variational.solve(x, y, **model))
        queries.append(np.linspace(min(x) - 0.3, max(x) + 0.3, 31))
    pairs = [[problem, t.tolist()] for problem, t in zip(problems, queries, strict=True)]
    worst = dict.fromkeys(("h", "slope", "bend", "cost", "penalties", "slopes"), 0.0)
    statuses = []
    for sol, found, t in zip(solutions, in_page(SOLVE, pairs, scripts), queries, strict=True):
        statuses.append((sol.status.name, found["status"]))
        if sol.status is not variational.Status.CONVERGED:
            continue
        expected = {
            "h": sol(t),
            "slope": sol.derivative(t),
            "bend": sol.curvature(t),
            "cost": np.array([sol.cost]),
            "penalties": np.array(list(sol.penalties.values()) or [0.0]),
            "slopes": np.array(sol.slopes),
        }
        # with exponent 2 the page sees a quadratic, mflib a power of its own
        terms = found["penalties"] if sol.penalties else None
        found["penalties"] = list((terms or {"none": 0.0}).values())
        for name, value in expected.items():
            scale = sol.cost if name == "penalties" else np.abs(value).max() or 1.0
            if name == "slopes":  # may both be nearly zero
                scale = np.abs(expected["slope"]).max()
            difference = np.abs(np.array(found[name], dtype=float) - value).max() / scale
            worst[name] = max(worst[name], float(difference))
            assert np.isfinite(difference), name
    return worst, statuses


def test_500_random_problems():
    rng = np.random.default_rng(20)
    worst, statuses = compared([random_problem(rng) for _ in range(510)])
    assert sum(python == "CONVERGED" for python, _ in statuses) >= 500
    assert all(page == "CONVERGED" for python, page in statuses if python == "CONVERGED")
    assert max(worst["h"], worst["cost"], worst["slope"], worst["bend"]) < 1e-9
    assert max(worst["penalties"], worst["slopes"]) < 1e-9


def test_two_humps_and_twelve_points():
    rng = np.random.default_rng(5)
    problems = []
    for k in range(12):
        count = 12 if k % 2 else 5
        problems.append(
            random_problem(rng)
            | {
                "x": (np.linspace(-0.9, 0.9, count) + rng.uniform(-0.05, 0.05, count)).tolist(),
                "y": rng.standard_normal(count).tolist(),
                "density": {"kind": "humps", "centre": 0.1 + 0.1 * k, "deviation": 0.25},
            }
        )
    worst, statuses = compared(problems)
    assert set(statuses) == {("CONVERGED", "CONVERGED")}
    assert max(worst.values()) < 1e-9


def test_stored_limits():
    def in_words(problem):
        phi, density = problem.potential, problem.density
        psi, omega = getattr(phi, "psi", phi), getattr(phi, "omega", None)
        if isinstance(psi, Hypentropy):
            potential = {"kind": "hypentropy", "beta": psi.beta}
        elif isinstance(psi, Power):
            potential = {"kind": "power", "exponent": psi.exponent}
        else:
            potential = {"kind": "quadratic"}
        low, high = density.support()
        return {
            "x": problem.x.tolist(),
            "y": problem.y.tolist(),
            "slope": {"abs": -1, "relu": 0}[problem.activation],
            "potential": potential | ({"omega": omega} if omega else {}),
            "density": {"kind": "uniform", "reach": high}
            if np.isfinite(high)
            else {"kind": "normal", "deviation": density.std()},
        }

    found = in_page(SOLVE, [[in_words(p), p.query.tolist()] for p in LIMITS])
    assert len(LIMITS) == 12
    for problem, solution in zip(LIMITS, found, strict=True):
        assert solution["status"] == "CONVERGED"
        np.testing.assert_allclose(solution["h"], problem.h, rtol=0, atol=1e-9)
        assert solution["cost"] == pytest.approx(problem.cost, rel=1e-9)


def test_points_that_nearly_coincide_are_solved_or_named():
    """No curve that is not the solution is called one, whatever the distance."""
    problems, gaps, t = [], [1e-3, 1e-6, 1e-9, 1e-12, 1e-15], np.linspace(-1, 1, 41)
    for gap in gaps:
        for potential in ({"kind": "quadratic"}, {"kind": "power", "exponent": 4, "omega": 1}):
            for slope in (-1, 0):
                problem = {"x": [-0.5, 0.3, 0.3 + gap, 0.8], "slope": slope}
                problem |= {"y": [0.2, 0.1, 0.1 + 0.7 * gap, -0.3], "potential": potential}
                problems.append(problem | {"density": {"kind": "uniform", "reach": 1}})
    found = in_page(SOLVE, [[problem, t.tolist()] for problem in problems])
    for problem, page in zip(problems, found, strict=True):
        x, y, model = python_of(problem)
        sol = variational.solve(x, y, **model)
        assert page["status"] in ("CONVERGED", "STALLED")
        if page["status"] == sol.status.name == "CONVERGED":
            # slopes of data this close have lost digits, in both solvers alike
            tolerance = 1e-9 + 1e-15 / (x[2] - x[1])
            assert np.abs(np.array(page["h"]) - sol(t)).max() < tolerance * np.abs(sol(t)).max()


REFUSED = {
    "empty": ({"x": [], "y": []}, "at least one"),
    "lengths": ({"y": [1]}, "same length"),
    "twice": ({"x": [0.5, 0.5]}, "share x = 0.5"),
    "nan": ({"y": [float("nan"), 0]}, "not NaN"),
    "infinite": ({"x": [0, float("inf")]}, "not Infinity"),
    "text": ({"y": ["a", 0]}, "not a"),
    "outside": ({"x": [0, 1.5]}, "outside the support"),
    "no kink": ({"slope": 1}, "no kink"),
    "slope": ({"slope": -2}, "slope must be"),
    "below two": ({"potential": {"kind": "power", "exponent": 1.5, "omega": 1}}, "exponent 2"),
    "flat": ({"potential": {"kind": "power", "exponent": 4}}, "choose ω"),
    "beta": ({"potential": {"kind": "hypentropy", "beta": 0}}, "beta must be"),
    "omega": ({"potential": {"kind": "hypentropy", "beta": 1, "omega": -1}}, "omega must be"),
    "potential": ({"potential": {"kind": "entropy"}}, "entropy"),
    "density": ({"density": {"kind": "cauchy"}}, "cauchy"),
    "reach": ({"density": {"kind": "uniform", "reach": 0}}, "reach must be"),
    "ridge": ({"ridge": -1}, "ridge must be"),
    "many": ({"x": [k / 100 for k in range(70)], "y": [0] * 70}, "up to 60"),
}


def test_what_cannot_be_solved_gets_a_sentence():
    sound = {"x": [0, 0.5], "y": [1, 2]}
    found = in_page(SOLVE, [[sound | change, 0.1] for change, _ in REFUSED.values()])
    for (change, words), answer in zip(REFUSED.values(), found, strict=True):
        assert answer["status"] == "REFUSED", change
        assert words in answer["message"], answer["message"]
        numbers = [answer[k] for k in ("h", "slope", "bend", "cost", "gap", "residual")]
        assert numbers == [None] * 6


def test_targets_of_zero_and_of_any_size():
    sizes = [0, 1e-200, 1e-30, 1e30, 1e100]
    problems = [
        {"x": [-0.5, 0.5], "y": [size, -2 * size], "potential": potential, "slope": slope}
        for size in sizes
        for slope in (-1, 0)
        for potential in (
            {"kind": "quadratic"},
            {"kind": "power", "exponent": 4, "omega": 1},
            {"kind": "hypentropy", "beta": 1},
        )
    ]
    for problem, found in zip(problems, in_page(SOLVE, [[p, 0.5] for p in problems]), strict=True):
        if found["status"] == "CONVERGED":
            assert found["h"] == pytest.approx(problem["y"][1], rel=1e-6, abs=0), problem
            assert found["cost"] >= 0
        else:
            assert found["status"] == "STALLED"
            assert max(problem["y"]) > 1


def test_ridge_against_python():
    """With a ridge h interpolates its own values, at a price that grows by (y − h)/ridge."""
    rng, t, problems = np.random.default_rng(8), np.linspace(-1, 1, 21), []
    for _ in range(8):
        problem = random_problem(rng) | {"x": [-0.5, -0.1, 0.3, 0.55], "ridge": 1e-3}
        problems.append(problem | {"y": rng.standard_normal(4).tolist()})
    pages = in_page(SOLVE, [[problem, [*problem["x"], *t]] for problem in problems])
    for problem, page in zip(problems, pages, strict=True):
        assert page["status"] == "CONVERGED"
        x, y, model = python_of(problem)
        fitted = np.array(page["h"][:4])
        sol, size = variational.solve(x, fitted, **model), np.abs(fitted).max()
        np.testing.assert_allclose(page["h"][4:], sol(t), rtol=0, atol=1e-9 * size)
        assert page["cost"] == pytest.approx(sol.cost, rel=1e-9)
        prices, expected = [], (np.array(y) - fitted) / problem["ridge"]
        for step in 1e-5 * size * np.eye(4):
            costs = [variational.solve(x, fitted + d, **model).cost for d in (step, -step)]
            prices.append((costs[0] - costs[1]) / (2e-5 * size))
        np.testing.assert_allclose(prices, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
        np.testing.assert_allclose(page["multipliers"], expected, rtol=1e-6)


# Training.


T = np.linspace(-1.5, 1.5, 41)


def trainings(widths) -> list[tuple]:
    rng = np.random.default_rng(3)
    potentials = [
        {"kind": "quadratic"},
        {"kind": "power", "exponent": 4, "omega": 1},
        {"kind": "power", "exponent": 3.4, "omega": 0.5},
        {"kind": "hypentropy", "beta": 0.5},
        {"kind": "hypentropy", "beta": 0.1, "omega": 1},
    ]
    cases = []
    for slope in (-1.0, 0.0, 0.3):
        for scaled in (True, False):
            for width in widths:
                preset = PRESETS["dip" if slope == -1 else "bump"]
                net = mflib.ShallowNetwork(
                    width, activation=leaky_relu(slope), seed=int(rng.integers(100))
                )
                problem = {
                    "x": preset["x"],
                    "y": preset["y"],
                    "slope": slope,
                    "potential": potentials[int(rng.integers(len(potentials)))],
                    "density": {"kind": "uniform", "reach": 1},
                    "scaled": scaled,
                    "inputWeight": net.input_weight[:, 0].tolist(),
                    "inputBias": net.input_bias.tolist(),
                    "times": [1.0, 30.0],
                    "rtol": 1e-3,
                }
                cases.append((net, problem))
    return cases


@functools.cache
def trained(widths: tuple[int, ...], loss_target: float) -> list[tuple]:
    """Return each problem with what `mirror_flow` makes of it: its status and functions of T."""
    results = []
    for net, problem in trainings(widths):
        run = mflib.mirror_flow(
            net,
            problem["x"],
            problem["y"],
            potential=python_of(problem)[2]["potential"],
            scaled=problem["scaled"],
            save_at=problem["times"],
            loss_target=loss_target,
            rtol=problem["rtol"],
        )
        networks = [run.network, *run.snapshots]
        functions = [net(T).detach().numpy() for net in networks]
        results.append((problem | {"lossTarget": loss_target}, run.status.name, functions))
    return results


def training_errors(widths, loss_target=1e-7, scripts=SCRIPTS) -> list[float]:
    """Return the largest differences from `mirror_flow`, at the end and on the way."""
    cases = trained(widths, loss_target)
    found = in_page(TRAIN, [[problem, T.tolist()] for problem, *_ in cases], scripts)
    errors = []
    for (_, status, functions), page in zip(cases, found, strict=True):
        assert page["status"] == status
        pairs = zip(functions, [page["f"], *page["path"]], strict=True)
        errors.append(max(np.abs(f - g).max() for f, g in pairs))
    return errors


def follows(errors: list[float]) -> bool:
    """Tell whether the page takes Python's steps, but for a rare one on the edge of acceptance.

    Rounding alone may refuse such a step: then the two differ by what each is allowed, rtol.
    """
    return np.median(errors) < 1e-6 and max(errors) < 2e-3


def test_training_follows_mirror_flow():
    errors = training_errors((20, 60, 500, 5000))
    assert follows(errors), errors


def test_kinks_of_narrow_networks_move():
    ((_, narrow), *_) = trainings([20])
    moved = in_page(
        """(options) => {
          const { inputBias, inputWeight } = window.laboratory.train(options);
          const kinks = (bias, weight) => Array.from(bias, (b, k) => b / weight[k]);
          const before = kinks(options.inputBias, options.inputWeight);
          return kinks(inputBias, inputWeight).map((kink, k) => kink - before[k]);
        }""",
        narrow | {"scaled": False},
    )
    assert max(np.abs(moved)) > 1e-3


def test_infinite_width_follows_the_trajectory():
    t, times = np.linspace(-1.2, 1.2, 25), [0.3, 10.0, 300.0, 1e4]
    cases = []
    for slope, preset in ((-1.0, "dip"), (0.0, "bump")):
        for potential in ({"kind": "power", "exponent": 4, "omega": 1}, {"kind": "quadratic"}):
            for density in ({"kind": "uniform", "reach": 1}, {"kind": "normal", "deviation": 0.7}):
                cases.append(
                    {key: PRESETS[preset][key] for key in "xy"}
                    | {"slope": slope, "potential": potential, "density": density}
                    | {"scaled": True, "times": times, "lossTarget": 1e-30, "rtol": 1e-3}
                )
    found = in_page(PATH, [[case, t.tolist()] for case in cases])
    for case, page in zip(cases, found, strict=True):
        x, y, model = python_of(case)
        path = representation.trajectory(x, y, times, **model)
        np.testing.assert_allclose(page, path(t), rtol=0, atol=1e-3)


def test_what_cannot_be_trained_gets_a_sentence():
    sound = {"x": [0, 0.5], "y": [1, 2], "inputWeight": [1, -1], "inputBias": [0.1, 0.2]}
    wrong = {
        "same length": {"inputBias": [0.1]},
        "must be a number": {"inputWeight": [1, None]},
        "lossTarget": {"lossTarget": 0},
        "choose ω": {"potential": {"kind": "power", "exponent": 4}},
    }
    found = in_page(TRAIN, [[sound | change, 0.1] for change in wrong.values()])
    for words, answer in zip(wrong, found, strict=True):
        assert answer["status"] == "REFUSED"
        assert words in answer["message"]
        assert answer["f"] is answer["loss"] is None


# Planted faults: the comparisons above notice each of them.

SOLVER_FAULTS = {
    "a sign in the odd part of a feature": ("+ odd * (middle - t)", "- odd * (middle - t)"),
    "half of the density": ("this.weight = slope === -1 ? 1 : 0.5", "this.weight = 0.5"),
    "a factor in the hat functions": ("[i + 2] = 1 - slope", "[i + 2] = 1 - 0.5 * slope"),
    "no split at the zeros of the field": ("if (a * b < 0)", "if (a * b < -Infinity)"),
    "the derivative of hypentropy": ("this.run = beta * cosh", "this.run = beta"),
    "the potential without its omega": ("2 * omega) * u) / total", "1.999 * omega) * u) / total"),
    "a moment about the wrong end": ("(backward ? -1 : 1) * (offset", "(offset"),
    "the deviation of the normal density": ("(-0.5 * t * t)", "(-0.5001 * t * t)"),
    "the price of hypentropy": ("(sinh / (1 + cosh))", "(sinh / (2 + cosh))"),
}
TRAINING_FAULTS = {
    "a sign in the force on the biases": ("zb[k] += v[i]", "zb[k] -= v[i]"),
    "the rate": ("rate: 1 / (n * x.length)", "rate: 1.05 / (n * x.length)"),
    "the output bias": ("k === n ? 1 : u > 0", "k === n ? 0 : u > 0"),
    "the scale of the potential": ("scale: scaled ? n : 1", "scale: scaled ? 0.9 * n : 1"),
    "kinks that cannot slide": ("excess) <= 0.5 * (1 - slope) * force", "excess) < -1"),
    "the mean slope at the kink": ("0.5 * (1 + slope) * force;", "force;"),
}


def planted(name: str, fault: tuple[str, str]) -> dict[str, str]:
    assert SCRIPTS[name].count(fault[0]) == 1, fault[0]
    return SCRIPTS | {name: SCRIPTS[name].replace(*fault)}


@pytest.mark.parametrize("fault", SOLVER_FAULTS.values(), ids=SOLVER_FAULTS)
def test_fault_in_the_solver_is_noticed(fault):
    rng = np.random.default_rng(4)
    problems = [random_problem(rng) for _ in range(25)]
    try:
        worst, statuses = compared(problems, planted("solver", fault))
    except (AssertionError, TypeError):  # not a number, or none
        return
    same = all(page == "CONVERGED" for python, page in statuses if python == "CONVERGED")
    assert not same or max(worst.values()) > 1e-9


@pytest.mark.parametrize("fault", TRAINING_FAULTS.values(), ids=TRAINING_FAULTS)
def test_fault_in_training_is_noticed(fault):
    try:
        errors = training_errors((20,), 1e-4, planted("training", fault))
    except AssertionError:  # another status
        return
    assert not follows(errors)


# The page.

DONE = "window.laboratory.state.training?.done"
RESTED = 400  # milliseconds after which the page has told what changed
STILL_PAGE = {"reduced_motion": "reduce"}


def with_laboratory(book, action, fragment="", scripts=None, **context):
    """Return what an action makes of the built page; nothing may go wrong on it meanwhile."""

    async def act(browser):
        seen = Visit(book / "chapters/laboratory.html")
        page = await (await browser.new_context(offline=True, **context)).new_page()
        for name, text in (scripts or {}).items():
            await page.route(f"**/laboratory/{name}.js*", serve(text))
        with watched(page, seen):
            await page.goto(seen.page.as_uri() + fragment)
            await page.wait_for_selector("[data-point]")
            result = await action(page)
        assert not seen.complaints, seen.complaints
        return result

    return with_browser(act)


def serve(text: str):
    async def handle(route):
        await route.fulfill(body=text, content_type="text/javascript; charset=utf-8")

    return handle


async def state_of(page):
    return await page.evaluate("window.laboratory.state")


async def centre(page, i: int) -> tuple[float, float]:
    box = await page.locator(f"[data-point='{i}'] .dot").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


async def dragged(page) -> tuple:
    """Drag the second point by (-40, -30) pixels; states before, while it is held, and after."""
    before = await state_of(page)
    x, y = await centre(page, 1)
    await page.mouse.move(x, y)
    await page.mouse.down()
    for k in range(1, 11):
        await page.mouse.move(x - 4 * k, y - 3 * k)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    held = await state_of(page)
    at = await centre(page, 1)
    await page.mouse.up()
    await page.wait_for_timeout(RESTED)
    return before, held, await state_of(page), (at[0] - x, at[1] - y)


def check_dragged(before, held, after, moved):
    assert moved == pytest.approx((-40, -30), abs=0.5)  # the point stays under the pointer
    assert held["axes"] == before["axes"]
    assert after["x"][1] < before["x"][1] and after["y"][1] > before["y"][1]
    assert after["x"][0] == before["x"][0]
    check_result(after)


def check_result(state):
    """The numbers of a state are those that mflib finds for it."""
    felt = state if state["scaled"] else state | {"potential": {"kind": "quadratic"}}
    x, y, model = python_of(felt)
    sol = variational.solve(x, y, **model)
    assert state["result"]["status"] == sol.status.name == "CONVERGED"
    assert state["result"]["cost"] == pytest.approx(sol.cost, rel=1e-9)


def test_a_point_follows_the_mouse_and_the_curve_the_point(book):
    check_dragged(*with_laboratory(book, dragged))


@pytest.mark.parametrize(
    "fault",
    [
        ("* (height - BOTTOM - down)", "* (down - TOP)"),
        ("+ ((x[1] - x[0]) * (across - LEFT))", "+ ((x[1] - x[0]) * across)"),
        ("return LEFT + ((this.width - LEFT - RIGHT)", "return ((this.width - LEFT - RIGHT)"),
    ],
    ids=["upside down", "without its margin", "drawn in another frame"],
)
def test_fault_in_a_frame_is_noticed(book, fault):
    text = (FOLDER / "drawing.js").read_text("utf-8")
    assert text.count(fault[0]) == 1
    scripts = {"drawing": text.replace(*fault)}
    with pytest.raises(AssertionError):
        check_dragged(*with_laboratory(book, dragged, scripts=scripts))


def test_touch(book):
    async def act(page):
        before, start = await state_of(page), await page.evaluate("scrollY")
        x, y = await centre(page, 2)
        session = await page.context.new_cdp_session(page)

        async def touch(kind, *points):
            points = [{"x": px, "y": py} for px, py in points]
            await session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        await touch("touchStart", (x + 9, y + 9))  # near is enough for a finger
        for k in range(1, 9):
            await touch("touchMove", (x + 9 - 3 * k, y + 9 - 5 * k))
        await page.wait_for_timeout(50)
        await touch("touchEnd")
        await page.wait_for_timeout(RESTED)
        return before, await state_of(page), await page.evaluate("scrollY") - start

    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    before, after, scrolled = with_laboratory(book, act, **phone)
    assert after["x"][2] < before["x"][2] and after["y"][2] > before["y"][2]
    assert scrolled == 0
    check_result(after)


def test_keyboard_alone(book):
    async def act(page):
        states = [await state_of(page)]
        for _ in range(200):  # by the Tab key, as far as it takes
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.dataset.point === '1'"):
                break
        for key in ("ArrowRight", "ArrowUp", "Shift+ArrowUp", "Shift+ArrowLeft", "Delete"):
            await page.keyboard.press(key)
            states.append(await state_of(page))
        await page.wait_for_timeout(RESTED)
        return states, await page.locator(".words").text_content()

    (start, right, up, far_up, far_left, deleted), words = with_laboratory(book, act)
    x, y = start["x"][1], start["y"][1]
    step = up["y"][1] - y
    assert right["x"][1] == pytest.approx(x + 0.01) and step > 0
    assert far_up["y"][1] == pytest.approx(y + 11 * step)
    assert far_left["x"][1] == pytest.approx(x + 0.01 - 0.1)
    assert len(deleted["x"]) == len(start["x"]) - 1
    assert "Point deleted" in words and "CONVERGED" in words and "cost" in words
    check_result(deleted)


def test_add_delete_reset(book):
    async def act(page):
        add, delete, reset = (
            page.get_by_role("button", name=name)
            for name in ("Add a point", "Delete point", "Reset")
        )
        counts = []
        for _ in range(8):
            await add.click()
            counts.append(len((await state_of(page))["x"]))
        usable = [await add.is_enabled()]
        await page.locator(".function").dblclick(position={"x": 70, "y": 40})
        state = await state_of(page)
        for _ in range(11):
            await delete.click()
        usable.append(await delete.is_enabled())
        counts.append(len((await state_of(page))["x"]))
        await reset.click()
        return counts, usable, state, await state_of(page)

    counts, usable, state, end = with_laboratory(book, act)
    assert counts == [*range(5, 13), 1]
    assert usable == [False, False]
    assert len(state["x"]) == 12
    check_result(state)  # points are added on the curve: nothing bends more
    assert (end["x"], end["y"]) == (PRESETS["dip"]["x"], PRESETS["dip"]["y"])


CHANGES = [
    ("Potential φ", "hypentropy"),
    ("Activation", "relu"),
    ("Density of the kinks", "humps"),
    ("Activation", "leaky"),
    ("Potential φ", "quadratic"),
    ("Density of the kinks", "normal"),
]


def test_every_choice_is_solved_and_survives_in_the_address(book):
    async def act(page):
        states = []
        for label, value in CHANGES:
            await page.get_by_label(label).select_option(value)
            await page.wait_for_timeout(RESTED)
            states.append((await state_of(page), await page.evaluate("location.hash")))
        return states

    async def read(page):
        return await state_of(page)

    states = with_laboratory(book, act)
    for state, _ in states:
        check_result(state)
    assert len({json.dumps(state["result"]) for state, _ in states}) == len(CHANGES)
    state, fragment = states[3]
    again = with_laboratory(book, read, fragment)
    for key in ("x", "y", "slope", "potential", "density", "ridge", "scaled", "width", "seed"):
        assert again[key] == state[key]
    assert again["result"]["cost"] == pytest.approx(state["result"]["cost"], rel=1e-12)


SLIDERS = [
    {
        "slope": 0.25,
        "potential": {"kind": "hypentropy", "beta": 0.5, "omega": 1},
        "density": {"kind": "humps", "centre": 0.6, "deviation": 0.25},
    },
    {
        "slope": -1,
        "potential": {"kind": "power", "exponent": 4, "omega": 1},
        "density": {"kind": "uniform", "reach": 1},
        "time": 1e9,
    },
]


def test_sliders_follow_the_mouse_all_the_way(book):
    async def drag(page, slider):
        await slider.scroll_into_view_if_needed()
        box = await slider.bounding_box()
        y, places = box["y"] + box["height"] / 2, []
        await page.mouse.move(box["x"] + box["width"] / 2, y)
        await page.mouse.down()
        for share in (0.4, 0.2, 0, 0.3, 0.6, 0.8, 1):
            await page.mouse.move(box["x"] + share * box["width"], y)
            await page.evaluate("new Promise((done) => requestAnimationFrame(done))")
            places.append(await slider.evaluate("s => (s.value - s.min) / (s.max - s.min)"))
        await page.mouse.up()
        return places

    async def act(page):
        paths = {}
        for change in SLIDERS:
            await page.evaluate("(change) => { window.laboratory.state = change; }", change)
            if "time" in change:
                await page.wait_for_function(DONE)
            sliders = page.locator("[type=range]:visible")
            names = await sliders.evaluate_all("all => all.map((s) => s.dataset.set)")
            # the time comes first: what the others change ends the training
            for name in sorted(names, key=lambda name: name != "time"):
                paths[name] = await drag(page, page.locator(f"[data-set={name}]"))
        return paths

    paths = with_laboratory(book, act, **STILL_PAGE)
    names = {"slope", "exponent", "beta", "omega", "reach", "centre", "deviation", "ridge", "time"}
    assert set(paths) == names
    for name, places in paths.items():
        assert places == pytest.approx([0.4, 0.2, 0, 0.3, 0.6, 0.8, 1], abs=0.12), name


def test_points_keep_apart_and_the_page_says_what_it_shows(book):
    async def act(page):
        start, delete = page.get_by_label("Start from"), page.locator("[data-do=remove]")
        width, seen = page.locator("[data-set=width]"), [await delete.is_enabled()]
        await page.mouse.move(*await centre(page, 1))
        await page.mouse.down()
        await page.mouse.move(*await centre(page, 2), steps=5)
        await page.mouse.up()
        state = await state_of(page)
        seen += [await delete.is_enabled(), await start.input_value()]
        await page.get_by_role("button", name="Reset").click()
        seen += [await delete.is_enabled(), await start.input_value()]
        for text in ("100000", ""):
            await width.fill(text)
            await width.press("Enter")
            seen += [await width.input_value(), (await state_of(page))["width"]]
        await page.locator("[data-point='3']").focus()
        before = await page.evaluate("scrollY")
        for key in ("ArrowRight", "End"):
            await page.keyboard.press(key)
        await page.wait_for_timeout(RESTED)
        seen.append(await page.evaluate("scrollY") - before)
        return state, seen, await page.locator(".words").text_content()

    state, seen, words = with_laboratory(book, act)
    assert 0 < abs(state["x"][1] - state["x"][2]) < 0.01
    assert state["result"]["status"] == "CONVERGED"
    assert seen == [False, True, "", False, "dip", "5000", 5000, "500", 500, 0]
    assert "the reach" in words and "Limit CONVERGED" in words


NO_STATES = ["#the-laboratory", "#%7B%22x%22", '#{"x":[1],"y":["a"]}', "#[]"]


@pytest.mark.parametrize("fragment", NO_STATES)
def test_an_address_without_a_state_gives_the_preset(book, fragment):
    state = with_laboratory(book, state_of, fragment)
    assert state["x"] == PRESETS["dip"]["x"]


def test_presets(book):
    async def act(page):
        states = {}
        for name in PRESETS:
            await page.get_by_label("Start from").select_option(name)
            states[name] = await state_of(page)
        return states

    for name, state in with_laboratory(book, act).items():
        assert state["result"]["status"] == "CONVERGED", name
        if not state["ridge"]:
            check_result(state)


def test_unscaled_potentials_have_the_limit_of_the_square(book):
    async def act(page):
        await page.get_by_role("checkbox", name="scaled").uncheck()
        state = await state_of(page)
        await page.get_by_label("Potential φ").select_option("quadratic")
        return state, await state_of(page)

    power, square = with_laboratory(book, act)
    assert power["potential"]["kind"] == "power"
    assert power["result"]["cost"] == square["result"]["cost"]


def test_spline_and_pinned_curve(book):
    async def act(page):
        await page.get_by_label("natural cubic spline").check()
        await page.get_by_role("button", name="Pin").click()
        await page.get_by_label("Potential φ").select_option("quadratic")
        drawn = await page.evaluate(
            """(names) => names.map((name) =>
              document.querySelector(`.function .${name}`).getAttribute("d").length)""",
            ["limit", "spline", "pinned"],
        )
        x, y = [-0.9, -0.2, 0.1, 0.4, 1.0], [0.3, -1, 2, 0.5, 0]
        spline = await page.evaluate(
            "([x, y, t]) => t.map(window.laboratory.parts.naturalSpline(x, y))",
            [x, y, np.linspace(-0.9, 1, 21).tolist()],
        )
        return drawn, CubicSpline(x, y, bc_type="natural")(np.linspace(-0.9, 1, 21)), spline

    drawn, expected, found = with_laboratory(book, act)
    assert min(drawn) > 500
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_training_plays_pauses_ends_and_can_be_scrubbed(book):
    async def act(page):
        button = page.locator("button.play")
        assert not await page.locator("[data-set=time]").is_visible()
        await button.click()
        await page.wait_for_function("window.laboratory.state.training?.frames > 5")
        await button.click()
        paused = await state_of(page)
        await page.wait_for_timeout(200)
        rested = await state_of(page)
        await button.click()
        await page.wait_for_function(DONE)
        end = await state_of(page)
        await page.wait_for_timeout(RESTED)
        words = await page.locator(".words").text_content()
        scrub = page.locator("[data-set=time]")
        curve = page.locator(".function .network")
        last = await curve.get_attribute("d")
        await scrub.fill("10")
        early = await state_of(page)
        clock = await page.locator(".clock").text_content()
        return paused, rested, end, words, early, last != await curve.get_attribute("d"), clock

    paused, rested, end, words, early, moved, clock = with_laboratory(book, act)
    assert paused["training"]["frames"] == rested["training"]["frames"]
    assert not paused["training"]["playing"]
    training = end["training"]
    assert training["status"] == "CONVERGED" and training["loss"] <= 1e-7
    assert training["distance"] < 0.1
    assert "Training ended" in words and "loss" in words
    assert "ended" not in clock
    assert early["time"] < end["time"] and early["training"]["loss"] > training["loss"] and moved


def test_reduced_motion_shows_the_end_at_once(book):
    async def act(page):
        await page.evaluate(
            """() => {
              window.pictures = 0;
              const path = document.querySelector(".function .network");
              new MutationObserver(() => window.pictures++).observe(path, { attributes: true });
            }"""
        )
        await page.locator("button.play").click()
        await page.wait_for_function(DONE)
        return await page.evaluate("window.pictures"), await state_of(page)

    pictures, state = with_laboratory(book, act, **STILL_PAGE)
    assert pictures <= 3
    assert state["training"]["loss"] <= 1e-7


PROGRAMS = {
    "a dip, trained": {"potential": {"kind": "power", "exponent": 4, "omega": 1}, "time": 1e9},
    "unscaled, leaky, normal": {
        "slope": 0.25,
        "scaled": False,
        "potential": {"kind": "hypentropy", "beta": 0.5, "omega": 2},
        "density": {"kind": "normal", "deviation": 0.7},
        "width": 60,
        "seed": 3,
        "time": 1e9,
    },
    "two humps": {
        "slope": 0,
        "potential": {"kind": "hypentropy", "beta": 0.5},
        "density": {"kind": "humps", "centre": 0.6, "deviation": 0.25},
        "width": 100,
        "time": 1e9,
    },
    "only the limit": {"slope": -1, "potential": {"kind": "quadratic"}},
}
if "ridge" in inspect.signature(variational.solve).parameters:
    PROGRAMS["smoothed"] = {"ridge": 1e-3}


@pytest.mark.parametrize("change", PROGRAMS.values(), ids=PROGRAMS)
def test_copied_program_gives_the_numbers_of_the_page(book, change):
    async def act(page):
        await page.evaluate("(change) => { window.laboratory.state = change; }", change)
        if "time" in change:
            await page.wait_for_function(DONE)
        await page.wait_for_timeout(RESTED)
        return await state_of(page), await page.locator("details code").text_content()

    state, program = with_laboratory(book, act, **STILL_PAGE)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    name, cost, *_ = lines[0].split()
    assert name == state["result"]["status"] == "CONVERGED"
    assert float(cost) == pytest.approx(state["result"]["cost"], rel=1e-9)
    if "time" in change:
        name, loss, steps = next(line for line in lines[1:] if line[0].isalpha()).split()
        assert name == state["training"]["status"]
        assert float(loss) <= 1e-7 and state["training"]["loss"] <= 1e-7
        trained = [float(v) for v in re.findall(r"[-\d.e]+", lines[-1])]
        np.testing.assert_allclose(trained, state["y"], atol=1e-3)


def test_links_and_programs_are_copied(book):
    async def act(page):
        texts = []
        for name in ("Copy link", "Copy as Python"):
            await page.get_by_role("button", name=name).click()
            await page.wait_for_timeout(50)
            texts.append(await page.evaluate("navigator.clipboard.readText()"))
            texts.append(await page.locator(".words").text_content())
        return texts

    link, said, program, _ = with_laboratory(
        book, act, permissions=["clipboard-read", "clipboard-write"]
    )
    assert link.startswith("file:") and "laboratory.html#" in link
    assert "copied" in said
    assert "variational.solve" in program


def test_what_has_no_solution_shows_no_curve(book):
    async def act(page):
        await page.evaluate("window.laboratory.state = { x: [-0.5, 1.2], y: [0, 1] }")
        await page.wait_for_timeout(RESTED)
        curve = await page.locator(".function .limit").get_attribute("d")
        return curve, await page.locator(".certificate").text_content(), await state_of(page)

    curve, words, state = with_laboratory(book, act)
    assert curve == ""
    assert state["result"]["status"] == "REFUSED"
    assert "outside the support" in words


def test_curves_are_smooth_from_the_start(book):
    async def act(page):
        return await page.evaluate(
            """() => [".function .limit", ".alpha .right", ".alpha .field"].map((name) =>
              document.querySelector(name).getAttribute("d").split("L").length)"""
        )

    assert min(with_laboratory(book, act)) > 80


def test_one_live_region_and_names_for_all(book):
    async def act(page):
        return await page.evaluate(
            """() => {
              const live = document.querySelectorAll("[aria-live], [role=status], output");
              const points = [...document.querySelectorAll("[data-point]")];
              return [live.length, points.map((point) => point.getAttribute("aria-valuetext"))];
            }"""
        )

    live, texts = with_laboratory(book, act)
    assert live == 1
    assert texts[1] == "x = 0.35, y = 0.15"


def test_a_picture_stands_in_without_script_and_in_print(book):
    async def act(page):
        seen = [await page.locator(part).is_visible() for part in (".still", ".bench")]
        await page.emulate_media(media="print")
        return seen + [await page.locator(part).is_visible() for part in (".still", ".bench")]

    async def without(browser):
        context = await browser.new_context(offline=True, java_script_enabled=False)
        page = await context.new_page()
        await page.goto((book / "chapters/laboratory.html").as_uri())
        return await page.locator(".still svg").is_visible()

    assert with_laboratory(book, act) == [False, True, True, False]
    assert with_browser(without)


def test_only_pages_with_a_laboratory_load_it(book):
    pages = [page.read_text("utf-8") for page in (book / "chapters").glob("*.html")]
    assert sum("laboratory/solver.js" in text for text in pages) >= 1
    for text in pages:
        used = 'class="laboratory"' in text
        assert ("laboratory/solver.js" in text) == used
        assert len(re.findall(r'<script defer="defer" src="[^"]*laboratory/', text)) == 4 * used


def test_scripts_are_small():
    sizes = {path.name: path.stat().st_size for path in FOLDER.glob("*.js")}
    assert sum(sizes.values()) <= 80_000, sizes
