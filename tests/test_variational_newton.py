"""The start and the steps of Newton's method on the dual, and the levels of its quadrature."""

import math

import numpy as np
import pytest
from scipy import stats

from mflib import activations, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational import Status, _newton
from mflib.variational._banded import inverse_small
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._primal_dual import FixedNodes, _search, _slope, _slope_dual, approximate
from mflib.variational._quadrature import LEVELS
from tests.problems import DENSITIES, QUERY, SCALED, UNIFORM, X, Y


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_start_is_near_the_dual_optimum(activation):
    """On fixed nodes the secants close the gap; Newton's method has little left to do."""
    potential = Regularized(Power(6), 0.01)
    order = np.argsort(X)
    slope = activations.get(activation).slope
    dual = DiscreteDual(np.array(X)[order], np.array(Y)[order], slope, potential, UNIFORM)
    (xi,), (systems,) = approximate(FixedNodes(dual, 48))
    assert systems <= 12
    best = variational.solve(X, Y, activation=activation, potential=potential)
    at = dual.evaluate(xi, LEVELS[3])
    value = at.cost + xi @ at.gradient
    assert value == pytest.approx(best.cost, rel=1e-3)


def test_a_start_shortens_steps_of_both_problems_in_the_right_place():
    x, y = np.array([-0.71, -0.32, 0.1, 0.63, 0.9]), np.array([1.0, -2.0, 0.5, 3.0, -1.0])
    dual = DiscreteDual(x, y, 0.0, Regularized(Power(8), 1e-3), UNIFORM)
    _, (systems,) = approximate(FixedNodes(dual, 16))
    assert systems <= 11  # 13 if the primal step were too long by as much


@pytest.mark.parametrize("potential", SCALED.values(), ids=SCALED.keys())
def test_slopes_along_a_step_are_those_of_both_objectives(potential):
    rng = np.random.default_rng(0)
    weights, point, run = rng.uniform(0.1, 1, 5), *rng.uniform(-1, 1, (2, 5))
    zero, t, d, gain = np.zeros(1), 0.7, 1e-5, 0.3

    def primal(t):
        return weights @ potential.bregman(point + t * run, zero)

    def dual(t):
        z = point + t * run
        alpha = potential.inverse_mirror(z)
        return weights @ (z * alpha - potential.bregman(alpha, zero)) - gain * t

    # as the second of three rows, which have steps of their own
    points, runs, gains = np.zeros((3, 5)), np.ones((3, 5)), np.zeros(3)
    points[1], runs[1], gains[1] = point, run, gain
    rows, steps = np.array([1, 2]), np.array([t, 0.1])
    for objective, slopes in (
        (primal, _slope(lambda v: v @ weights, potential, points, runs, steps, rows)),
        (dual, _slope_dual(lambda v: v @ weights, potential, points, runs, gains, steps, rows)),
    ):
        difference = (objective(t + d) - objective(t - d)) / (2 * d)
        assert slopes[0] == pytest.approx(difference, rel=1e-6, abs=1e-8)


class Lines:
    """Duals whose gradients are given along lines; they note where they are evaluated."""

    def __init__(self, *gradients):
        self.gradients, self.seen = gradients, [[] for _ in gradients]
        self.targets = np.ones((len(gradients), 2))

    def __getitem__(self, rows):
        part = Lines(*(self.gradients[row] for row in rows))
        part.seen = [self.seen[row] for row in rows]
        return part

    def evaluate(self, xi, level):
        for seen, (t, _) in zip(self.seen, xi, strict=True):
            seen.append(t)
        gradient = [of(t) for of, (t, _) in zip(self.gradients, xi, strict=True)]
        return Evaluation(xi, np.zeros(len(xi)), np.array(gradient), -xi, [])

    def error(self, combined):
        return np.abs(combined).max(axis=-1)

    def steps(self, *lengths, most=60):
        at = self.evaluate(np.zeros((len(lengths), 2)), LEVELS[0])
        for seen in self.seen:
            seen.clear()
        step = np.array([[length, 0.0] for length in lengths])
        close = np.zeros(len(lengths), dtype=bool)
        found, moved, self.tries = _newton._damped(
            self, at, step, LEVELS[0], close, np.full(len(lengths), most)
        )
        for t, seen, done in zip(found.xi[:, 0], self.seen, moved, strict=True):
            assert t == (seen[-1] if done else 0.0)  # no step at all, where no length serves
        return self.seen


def falling(first, slope, other=0.0, rest=0.0):
    """A dual's slope along the line, and one across it, that is `other` and then `rest`."""
    return lambda t: [first - slope * t, rest if t else other]


DAMPED = [
    (falling(4, 1), 4.0, [1]),  # Newton's step on a parabola
    (falling(4, 4), 1.5, [1]),  # at its end the slope may be minus half of what it was
    (falling(4, 4), 1.5001, [1, 0.4]),  # but no less
    (falling(4, 4), 30.0, [1, 0.4, 0.4**2, 0.4**3, 0.4**4]),  # 0.768 is less than 1.5
    (falling(4e-3, 4e-3), 30.0, [1, 0.4, 0.4**2, 0.4**3, 0.4**4]),  # in any unit
    (falling(1, 2, other=8, rest=1.9), 1.0, [1]),  # or else the residual is below a quarter
    (falling(1, 2, other=8, rest=2.1), 1.0, [1, 0.4]),
    # where rounding hides the slope, the residual has to fall by a quarter of the step
    (falling(1e-14, 0, other=8, rest=5.9), 1.0, [1]),
    (falling(1e-14, 0, other=8, rest=6.1), 1.0, [1, 0.4]),
    (falling(1e-14, 0, other=8, rest=7.3), 1.0, [1, 0.4, 0.4**2]),
    (falling(-1e-14, 0, other=8, rest=5.9), 1.0, [1]),
    (falling(1e-12, 0, other=8, rest=9.0), 1.0, [1]),  # here it does not
]


@pytest.mark.parametrize(("gradient", "length", "steps"), DAMPED)
def test_steps_are_shortened_until_the_slope_or_the_residual_falls(gradient, length, steps):
    (seen,) = Lines(gradient).steps(length)
    assert seen == pytest.approx([length * t for t in steps], rel=1e-14)


def test_each_of_several_steps_is_shortened_by_itself():
    gradients, lengths, expected = zip(*DAMPED, strict=True)
    for seen, length, steps in zip(
        Lines(*gradients).steps(*lengths), lengths, expected, strict=True
    ):
        assert seen == pytest.approx([length * t for t in steps], rel=1e-14)


def up_to(most, gradient):
    """A dual whose potential has no inverse by a formula, and gives up beyond."""

    def of(t):
        if t > most:
            raise ValueError
        return gradient(t)

    return of


def test_a_step_too_far_for_an_inverse_is_shortened_alone():
    fine, far, never = falling(4, 1), up_to(2.0, falling(4, 1)), up_to(0.0, falling(4, 1))
    lines = Lines(fine, far, never)
    seen = lines.steps(4.0, 4.0, 4.0)
    assert seen[0] == [4.0, 4.0]  # together, and then by itself
    assert seen[1][-1] == 4.0 * 0.4
    assert lines.tries.tolist() == [1, 2, 60]


def test_steps_are_shortened_so_many_times_at_most():
    lines = Lines(falling(4, 4), falling(4, 1))
    assert [len(seen) for seen in lines.steps(30.0, 1.0, most=3)] == [3, 1]
    assert lines.tries.tolist() == [3, 1]


SLOPES = [
    (lambda t: t - 1, [0, 1]),  # a parabola: the full step
    (lambda t: 0.1 * t - 1, [0, 1]),  # which is never prolonged
    (lambda t: 1.9 * t - 1, [0, 1]),
    (lambda t: 1.91 * t - 1, [0, 1, 0.4]),
    (lambda t: 100 * t - 8, [0, 1, 0.4, 0.4**2, 0.4**3]),
    (lambda t: math.nan if t > 0.5 else t - 1, [0, 1, 0.4]),
    (lambda t: t, [0]),  # there is nothing to gain
    (lambda t: t - math.nan, [0]),
]


@pytest.mark.parametrize(
    "chosen", [*([k] for k in range(len(SLOPES))), range(len(SLOPES))], ids=str
)
def test_a_start_shortens_its_steps(chosen):
    slopes, expected = zip(*(SLOPES[k] for k in chosen), strict=True)
    seen = [[] for _ in slopes]

    def slope(t, rows):
        for place, row in zip(t, rows, strict=True):
            seen[row].append(place)
        return np.array([slopes[row](place) for place, row in zip(t, rows, strict=True)])

    found = _search(slope, len(slopes))
    for step, places, steps, of in zip(found, seen, expected, slopes, strict=True):
        assert places == pytest.approx(steps, rel=1e-14)
        assert step == (places[-1] if math.isfinite(of(0.0)) else 0.0)


def test_a_start_ends_at_a_system_without_a_solution(monkeypatch):
    dual = DiscreteDual(np.sort(X), Y, 0.0, Regularized(Power(4), 1), UNIFORM)
    solutions = iter(
        [
            DiscreteDual.solve(
                dual, dual.evaluate(np.zeros(5), LEVELS[0]).mass_matrices, dual.targets
            )[None]
        ]
    )
    monkeypatch.setattr(DiscreteDual, "solve", lambda *_: next(solutions, np.full((1, 5), np.nan)))
    xi, systems = approximate(FixedNodes(dual, 4))
    assert systems.tolist() == [2]
    assert np.isfinite(xi).all()


def test_a_start_gives_up_shortening():
    assert _search(lambda t, _: np.where(t > 0, 1.0, -1.0), 1) == pytest.approx(0.4**30)


@pytest.mark.parametrize("m", [1, 2, 3, 4, 9])
def test_values_are_found_again_from_their_combination(m):
    rng = np.random.default_rng(m)
    x, h = np.sort(rng.uniform(-1, 1, m)), rng.standard_normal(m)
    dual = DiscreteDual(x, h, 0.0, Quadratic(), UNIFORM)
    np.testing.assert_allclose(dual.separate(dual.combine(h)), h, rtol=1e-11)
    assert dual.error(dual.combine(h)) == pytest.approx(np.abs(h).max())


def test_converged_promises_ten_digits_or_what_rounding_leaves():
    def tolerance(x, y):
        return DiscreteDual(np.array(x), np.array(y), 0.0, Quadratic(), UNIFORM).tolerance()

    eps = np.finfo(float).eps
    assert tolerance([0.3], [-7.0]) == pytest.approx(7e-10)
    steep = tolerance([0.0, 0.1, 0.1 + 1e-7], [0.0, 1.0, -2.0])  # ten times eps width sqrt(m) slope
    assert steep == pytest.approx(2e-10 + 10 * eps * 0.1 * math.sqrt(3) * 3e7, rel=1e-5)
    assert tolerance([0.0, 1.0, 1 + 1e-14], [0.0, 1.0, -2.0]) == pytest.approx(2e-6)


def test_small_systems_of_any_scale():
    for first, second in ((1e200, 1e-200), (1e-300, 1.0)):
        matrix = np.array([[first, 0.0], [0.0, second]])
        np.testing.assert_allclose(inverse_small(matrix) @ matrix @ [2.0, -3.0], [2.0, -3.0])
    assert np.isnan(inverse_small(np.array([[np.nan]]))).all()


@pytest.fixture
def systems(monkeypatch):
    """The linear systems that are solved."""
    solved, solve = [], DiscreteDual.solve
    monkeypatch.setattr(
        DiscreteDual, "solve", lambda *system: solved.append(system) or solve(*system)
    )
    return solved


@pytest.mark.parametrize("potential", [Regularized(Power(8), 1e-3), Hypentropy(0.01)], ids=repr)
def test_iterations_are_linear_systems(systems, potential):
    sol = variational.solve(X, Y, potential=potential)
    assert 3 < sol.iterations == len(systems)


@pytest.fixture
def levels(monkeypatch):
    """The levels on which Newton's method runs."""
    seen, newton = [], _newton._newton

    def spy(dual, at, level, *most):
        seen.append(level)
        return newton(dual, at, level, *most)

    monkeypatch.setattr(_newton, "_newton", spy)
    return seen


@pytest.mark.parametrize(
    ("potential", "density", "index"),
    [
        (Quadratic(), "uniform", 0),
        (Quadratic(), "skewed", None),
        (Regularized(Power(4), 1), "normal", None),
        (Regularized(Power(8), 1e-3), "uniform", None),
        (Regularized(Power(2.5), 1), "uniform", 4),  # not smooth at 0
    ],
)
def test_newton_runs_once_where_the_quadrature_is_fine_enough(levels, potential, density, index):
    size = 1e6 if potential == Quadratic() else 1.0
    variational.solve(X, size * Y, potential=potential, density=DENSITIES[density])
    (level,) = levels
    assert index is None or level == LEVELS[index]


@pytest.mark.parametrize(("m", "nodes"), [(30, 16), (2000, 4)])
def test_many_points_need_few_nodes(monkeypatch, levels, m, nodes):
    counts = []
    monkeypatch.setattr(
        _newton,
        "FixedNodes",
        lambda dual, count: counts.append(count) or FixedNodes(dual, count),
    )
    x = np.linspace(-1, 1, m)
    variational.solve(x, np.sin(5 * x), potential=Regularized(Power(4), 1))
    assert counts == [nodes]
    assert levels == [LEVELS[0]]


@pytest.mark.parametrize(("m", "seed"), [(800, 5), (800, 11), (1600, 10)])
def test_rounding_asks_for_no_finer_quadrature(monkeypatch, m, seed):
    """Four nodes are exact for a quartic; of noise on even inputs, levels see different rounding.

    To go on to graded levels for that takes hours, and all memory, where the data are many.
    """
    seen, evaluate = [], DiscreteDual.evaluate
    monkeypatch.setattr(
        DiscreteDual, "evaluate", lambda *args: seen.append(args[2]) or evaluate(*args)
    )
    x, y = -1 + 2 * (np.arange(m) + 0.5) / m, np.random.default_rng(seed).standard_normal(m)
    sol = variational.solve(x, y, potential=Regularized(Power(4), 1))
    assert sol.status is Status.CONVERGED
    assert set(seen) <= set(LEVELS[:3])


@pytest.mark.parametrize("c", [2.0**-30, 2.0**30])
def test_units_change_no_step(levels, c):
    """x^8 + omega x^2 with omega c^6 and targets c y: every number is a power of c times what it
    was, but for the rounding of roots. Newton's full steps would diverge here."""
    x, y = [-0.5, -0.4999, -0.4998], np.array([1.0, -2.0, 0.5])
    sol = variational.solve(x, y, potential=Regularized(Power(8), 1e-3))
    assert sol.status is Status.CONVERGED
    first = levels.copy()
    scaled = variational.solve(x, c * y, potential=Regularized(Power(8), 1e-3 * c**6))
    assert levels == 2 * first
    assert abs(scaled.iterations - sol.iterations) <= 1
    np.testing.assert_allclose(scaled(QUERY), c * sol(QUERY), rtol=1e-12)


def test_the_number_of_steps_is_limited(monkeypatch):
    monkeypatch.setattr(_newton, "_MAX_ITERATIONS", 15)
    x, y = [-0.5, -0.4999, -0.4998], [1.0, -2.0, 0.5]
    sol = variational.solve(x, y, potential=Regularized(Power(8), 1e-3))
    assert (sol.status, sol.iterations) == (Status.STALLED, 15)


def test_where_rounding_hides_the_slope_the_residual_counts():
    """Three points 1e-5 apart, steep: without that the method stalls."""
    x = [-0.49998810845669295, -0.4999779569797652, -0.4999626290758425]
    y = [-320259.82051300805, -1188563.6707285785, 205964.79563766601]
    sol = variational.solve(x, y, potential=Regularized(Power(8), 10))
    assert sol.status is Status.CONVERGED


def test_where_no_step_serves_newton_gives_up(monkeypatch):
    """Unix times: left-facing kinks are 3e9 away, and rounding leaves no direction of ascent."""
    calls, evaluate = [], DiscreteDual.evaluate
    monkeypatch.setattr(DiscreteDual, "evaluate", lambda *args: calls.append(1) or evaluate(*args))
    x = [1700000176.3935888, 1700000048.903912, 1700000094.5293207, 1699999713.5269718]
    x += [1700000003.5029519, 1699999786.6954408, 1700000126.532, 1699999869.0322475]
    x += [1699999948.2200205, 1699999841.3219368, 1699999839.9545178, 1700000168.7330866]
    y = [1.131, 1.881, 0.088, 1.715, 0.59, -1.421, -0.245, -1.737, -0.557, 0.093, 0.659, 0.756]
    sol = variational.solve(
        x,
        y,
        activation=activations.leaky_relu(-0.365),
        potential=Regularized(Power(7.62), 339.8),
        density=stats.logistic(1.7e9, 74.87),
    )
    assert sol.status is variational.Status.STALLED
    assert len(calls) < 600  # some 1500 where a step of no length is tried again and again
