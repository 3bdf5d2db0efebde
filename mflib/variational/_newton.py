"""Newton's method on the dual: for several targets at once, which take their steps by themselves.

Arrays have a first axis for the targets: where data are few, a call for many targets costs hardly
more than a call for one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._primal_dual import FixedNodes, approximate
from mflib.variational._quadrature import LEVELS, Level

_MAX_ITERATIONS = 60
_MAX_TRIES = 120  # of lengths, in all steps together; the hardest that converge take 50
_ROUNDING = 4  # times its usual size is nothing that a finer quadrature would mend
_AT_ONCE = 2**16  # values at the nodes of all targets: few enough to stay in the cache


def maximise(dual: DiscreteDual) -> list[tuple[Evaluation, Level, int]]:
    """Maximise the dual for each of several targets.

    Returns for each the optimum, seen by a finer level than the one that found it, this level, and
    how many linear systems that took.
    """
    panels = sum(len(o.left) for o in dual.orientations)
    nodes = FixedNodes(dual[:1], 4 if panels > 1000 else 16)
    few = max(1, _AT_ONCE // len(nodes.weights))
    found: list[tuple[Evaluation, Level, int]] = []
    for first in range(0, len(dual.y), few):
        part = dual[first : first + few]
        at, levels, iterations = _climb(part, *approximate(nodes.with_targets(part.targets)))
        each = zip(levels.tolist(), iterations.tolist(), strict=True)
        found += [(at[k], LEVELS[level], steps) for k, (level, steps) in enumerate(each)]
    return found


def _climb(
    dual: DiscreteDual, xi: np.ndarray, iterations: np.ndarray
) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """Go from level to level, until the next one sees no more than the one that has been solved."""
    at, levels = dual.evaluate(xi, LEVELS[0]), np.zeros(len(xi), dtype=int)
    tries = np.zeros(len(xi), dtype=int)
    rows, last = np.arange(len(xi)), np.full(len(xi), np.inf)  # those still on their way
    for number, finer in enumerate(LEVELS[1:]):
        problem, coarse = dual[rows], at[rows]
        check = problem.evaluate(coarse.xi, finer)
        at.put(rows, check)
        levels[rows] = number
        fine = np.flatnonzero(_agree(problem, coarse, check) | (finer is LEVELS[-1]))
        if not len(fine):
            continue
        problem, solved = problem[fine], rows[fine]
        budget = _MAX_ITERATIONS - iterations[solved], _MAX_TRIES - tries[solved]
        best, error, *spent = _newton(problem, coarse[fine], LEVELS[number], *budget)
        iterations[solved] += spent[0]
        tries[solved] += spent[1]
        check = problem.evaluate(best.xi, finer)
        at.put(solved, check)
        missed, promised = problem.error(check.gradient), problem.tolerance()
        ended = missed <= np.maximum(0.1 * promised, 4 * error)
        ended |= (missed <= promised) & (missed > 0.5 * last[solved])  # no finer level helps
        last[solved] = missed
        rows = np.delete(rows, fine[ended])
        if not len(rows):
            break
    return at, levels, iterations


def _agree(dual: DiscreteDual, coarse: Evaluation, fine: Evaluation) -> np.ndarray:
    """Whether two levels see the same h."""
    difference = dual.error(coarse.gradient - fine.gradient)
    return difference <= 1e-13 * dual.size() + _ROUNDING * dual.rounding()


def _newton(
    dual: DiscreteDual, at: Evaluation, level: Level, most_steps: np.ndarray, most_tries: np.ndarray
) -> tuple[Evaluation, np.ndarray, np.ndarray, np.ndarray]:
    """Iterate until residuals stop falling.

    Returns the best points, their residuals, the steps, and the lengths that were tried for them.
    """
    error, scale = dual.error(at.gradient), dual.size()
    steps, tries = np.zeros_like(most_steps), np.zeros_like(most_tries)
    live = np.ones(len(steps), dtype=bool)
    while True:
        live &= (steps < most_steps) & (tries < most_tries)
        live &= error > 2e-14 * scale  # rounding; far more is promised
        rows = np.flatnonzero(live)
        if not len(rows):
            return at, error, steps, tries
        problem, here, last = dual[rows], at[rows], error[rows]
        steps[rows] += 1
        step = problem.solve(here.mass_matrices, here.gradient)
        close = last <= 1e-6 * scale[rows]  # full steps, until rounding leaves nothing to gain
        left = most_tries[rows] - tries[rows]
        new, moved, tried = _damped(problem, here, step, level, close, left)
        tries[rows] += tried
        error_new = problem.error(new.gradient)
        better = moved & ((error_new < last) | ~close)
        at.put(rows[better], new[better])
        error[rows[better]] = error_new[better]
        # where nothing has moved, nothing ever would
        live[rows] = moved & (~close | (error_new <= 0.5 * last))


def _damped(
    dual: DiscreteDual,
    at: Evaluation,
    step: np.ndarray,
    level: Level,
    close: np.ndarray,
    most: np.ndarray,
) -> tuple[Evaluation, np.ndarray, np.ndarray]:
    """Shorten Newton steps until the dual, along each, falls less steeply than half its rise.

    Slopes are compared, not values, which no longer differ near the optimum. Where a few large
    terms cancel in the slope, rounding hides the others: then the residual has to fall. A step is
    not taken where no length serves, of as many as are allowed, before it is too short to move xi.
    Close to the optimum all are, in full. Returns the points, which have moved, and how many
    lengths were tried.
    """
    initial, t = np.sum(at.gradient * step, axis=-1), np.ones(len(step))
    size = np.sum(np.abs(dual.targets) * np.abs(step), axis=-1)
    clear = initial > 1e3 * np.finfo(float).eps * size
    residual, moved = dual.error(at.gradient), np.zeros(len(step), dtype=bool)
    tries, new = np.zeros(len(step), dtype=int), at[np.arange(len(step))]
    rows = np.flatnonzero(np.isfinite(step).all(axis=-1))
    while True:
        short = t[rows, None] * step[rows]
        rows = rows[(at.xi[rows] + short != at.xi[rows]).any(axis=-1) & (tries[rows] < most[rows])]
        if not len(rows):
            return new, moved, tries
        problem, along, length = dual[rows], step[rows], t[rows]
        trial = _try(problem, at[rows], length[:, None] * along, level)
        tries[rows] += 1
        flat = np.sum(trial.gradient * along, axis=-1) >= -0.5 * initial[rows]
        fall = problem.error(trial.gradient) / residual[rows]
        serves = (clear[rows] & flat) | (fall < np.where(clear[rows], 0.25, 1 - 0.25 * length))
        serves |= close[rows]
        new.put(rows[serves], trial[serves])
        moved[rows[serves]] = True
        rows = rows[~serves]
        t[rows] *= 0.4


def _try(dual: DiscreteDual, at: Evaluation, step: np.ndarray, level: Level) -> Evaluation:
    """Evaluate; the gradient is no number too far for a potential whose inverse has no formula."""
    try:
        return dual.evaluate(at.xi + step, level)
    except ValueError:
        if len(step) == 1:
            return replace(at, gradient=np.full_like(at.gradient, np.nan))
    for k in range(len(step)):  # which of them
        at.put([k], _try(dual[[k]], at[[k]], step[[k]], level))
    return at
