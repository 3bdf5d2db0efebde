"""Kinds of problems: both solvers, the kernel, and what a function costs."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg

from mflib import activations, functionals, potentials, representation, variational
from tools.fuzz import draws
from tools.fuzz.judge import Problem, apart, arrays, first_of
from tools.fuzz.oracles import (
    Quadrature,
    Reference,
    Units,
    Unsure,
    diverges,
    features,
    heavy_tailed,
)

SOLVERS: dict[str, Any] = {"variational": variational.solve, "representation": representation.solve}
_LEAST = 1e-7  # relative error from which an answer is called wrong, but for what the oracle doubts


def solve(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    return SOLVERS[problem["solver"]](x, y, **draws.model_of(problem))


# One datum and x^2: cost = y^2 / E[sigma(w x - b)^2].


def draw_one_datum(rng) -> Problem:
    density = draws.density(rng)
    x = draws.values_of(rng, density, 1)
    sigma = draws.choose(rng, [["abs"], ["abs"], draws.activation(rng, piecewise=True)])
    return {
        "solver": draws.choose(rng, SOLVERS),
        "x": [0.0] if rng.random() < 0.2 else x,
        "y": [draws.power_of_ten(rng, -3, 3)],
        "form": "array",
        **{"density": density, "potential": ["Quadratic"], "activation": sigma},
    }


def check_one_datum(problem: Problem, answer: Any) -> str | None:
    if answer.status.name != "CONVERGED":
        return None
    (x,), (y,) = arrays(problem)
    model = draws.model_of(problem)
    sigma, density = model["activation"], model["density"]
    quadrature = Quadrature(density)
    moment = 0.5 * sum(
        quadrature.mean(lambda b, w=w: sigma(w * x - b) ** 2, [w * x]) for w in (1, -1)
    )
    stated = float(density.std() ** 2 + density.mean() ** 2)
    own = quadrature.mean(lambda b: b * b)
    off = abs(own / stated - 1)
    if not off < 1e-5:
        raise Unsure(f"second moments {own} by quadrature, {stated} by SciPy")
    tolerance = 1e-9 + 10 * quadrature.doubt + 3 * off
    tolerance += 1e-15 * own / moment  # what is left of far kinks cancels
    return first_of(
        apart("the cost", answer.cost, y**2 / moment, tolerance * y**2 / moment),
        apart("h(x)", answer(np.array([x])), [y], 1e-8 * abs(y)),
    )


# Both solvers, against problem (P) solved once more.


def draw_variational(rng) -> Problem:
    return {"solver": "variational", **draws.problem(rng, piecewise=True)}


def draw_representation(rng) -> Problem:
    return {"solver": "representation", **draws.problem(rng, most=7)}


def has_no_minimiser(problem: Problem) -> bool:
    model = draws.model_of(problem)
    heavy = heavy_tailed(model["density"], model["activation"])
    return isinstance(model["potential"], potentials.Hypentropy) and heavy


def is_infinite(problem: Problem) -> bool:
    """Whether features are not square integrable: for Lipschitz activations, E[B^2] = inf."""
    model = draws.model_of(problem)
    quadrature = Quadrature(model["density"])
    return diverges(
        quadrature, lambda b: model["activation"](-b) ** 2 + model["activation"](b) ** 2
    )


def reference(problem: Problem, start: np.ndarray | None = None) -> Reference:
    x, y = arrays(problem)
    model = draws.model_of(problem)
    sigma, density = model["activation"], model["density"]
    piecewise = isinstance(sigma, activations.PiecewiseLinear)

    def test(b):
        with np.errstate(all="ignore"):
            return sum(sigma(w * point - b) ** 2 for point in x for w in (1, -1))

    quadrature = Quadrature(density, None if piecewise else test)
    if quadrature.doubt > 1e-6:
        raise Unsure(f"the nodes' mass is off by {quadrature.doubt:.1e}")
    return Reference(x, y, sigma, model["potential"], quadrature, start)


def resolved(problem: Problem, answer: Any) -> Reference:
    """Return the reference, begun at somebody's multipliers if it finds none by itself."""
    try:
        return reference(problem)
    except Unsure:
        if not hasattr(answer, "multipliers"):
            answer = solve({**problem, "solver": "representation", "form": "array"})
        return reference(problem, answer.multipliers)


def draw_columns(rng) -> Problem:
    problem = (draw_variational if rng.random() < 0.5 else draw_representation)(rng)
    size = draws.power_of_ten(rng, -6, 6)  # with which no problem is gentle
    second = rng.normal(size=len(problem["x"])) * (1.0 if problem["gentle"] else size)
    return problem | {"second": second.tolist()}


def run_columns(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    targets = np.column_stack([np.ravel(y), problem["second"]])
    return SOLVERS[problem["solver"]](x, targets, **draws.model_of(problem))


def check_columns(problem: Problem, answer: Any) -> str | None:
    """The first column by itself, and h' by its integral between two points."""
    if answer.status.name != "CONVERGED":
        return None
    x, y = arrays(problem)
    one, size = solve({**problem, "form": "array"}), np.abs(y).max()
    t = np.sort(np.append(x, [x.min() - 0.1, x.max() + 0.1]))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    parts = np.linspace(t[0], t[-1], 200)
    half = 0.5 * np.diff(np.union1d(parts, t))[:, None]
    left = np.union1d(parts, t)[:-1, None]
    slopes = answer.derivative((left + half * (1 + nodes)).ravel())[:, 0]
    rise, values = slopes @ (half * weights).ravel(), answer(t)[:, 0]
    most = np.abs(slopes).max() * (t[-1] - t[0])
    return first_of(
        apart("the cost", answer.cost[0], one.cost, 1e-6 * one.cost),
        apart("h by itself", values, one(t), 1e-6 * (size + np.abs(values).max())),
        apart("the integral of h'", rise, values[-1] - values[0], 1e-3 * most + 1e-6 * size),
    )


def check_solution(problem: Problem, answer: Any) -> str | None:
    if answer.status.name != "CONVERGED":
        return None
    x, y = arrays(problem)
    model = draws.model_of(problem)
    size = np.abs(y).max()
    if not np.isfinite(model["density"].std()):
        return "CONVERGED under a density without variance"
    if size == 0:
        return apart("the cost of nothing", answer.cost, 0.0, 0.0)
    if is_infinite(problem) or has_no_minimiser(problem):
        return "CONVERGED where no minimiser exists"
    if fault := apart("h at the data", answer(x), y, 2e-6 * size):
        return fault
    known = resolved(problem, answer)
    tolerance = _LEAST + 20 * known.doubt
    if not tolerance < 1e-3:
        raise Unsure(f"the reference doubts itself: {known.doubt:.1e}")
    inner = np.sort(x)[:1] if len(x) == 1 else 0.5 * (np.sort(x)[1:] + np.sort(x)[:-1])
    query = np.append(inner, x[0] + 0.3 * (x[-1] - x[0]))
    wanted = known(query)
    return first_of(
        apart("the cost", answer.cost, known.cost, 10 * tolerance * known.cost),
        apart(
            "h between the data", answer(query), wanted, tolerance * (size + np.abs(wanted).max())
        ),
        _parts_of(answer, query, known) if isinstance(answer, variational.Solution) else None,
    )


def _parts_of(answer: variational.Solution, query: np.ndarray, known: Reference) -> str | None:
    """Slopes by differences, and the split of the cost."""
    width = np.ptp(known.x) or known.quadrature.scale
    step = 1e-4 * float(np.diff(known.x).min(initial=width))  # no datum in between
    rise = (answer(query + step) - answer(query - step)) / (2 * step)
    slopes = answer.derivative(query[:1] + step * np.array([-1.0, 0.0, 1.0]))
    bend = np.ptp(slopes) + 1e-5 * np.abs(slopes).max() + 1e-9 * known.size / step
    total = sum(answer.penalties.values())
    return first_of(
        apart("h'", answer.derivative(query[:1]), rise[:1], bend),
        apart("G1 + G2 + G3", total, known.cost, (1e-5 + 1e3 * known.doubt) * known.cost)
        if answer.penalties
        else None,
    )


# Noisy data: function space against parameter space.


def draw_smoothing(rng) -> Problem:
    problem = draws.problem(rng, piecewise=True, most=8)
    count = len(problem["x"])
    ridge = draws.power_of_ten(rng, -4, 2)
    if rng.random() < 0.5:
        ridge = (ridge * 10 ** rng.uniform(-1, 1, count)).tolist()
    if count > 1 and rng.random() < 0.3:
        problem["x"][1] = problem["x"][0]
    return problem | {"ridge": ridge}


def run_smoothing(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    return variational.solve(x, y, ridge=problem["ridge"], **draws.model_of(problem))


def check_smoothing(problem: Problem, answer: Any) -> str | None:
    if answer.status.name != "CONVERGED":
        return None
    x, y = arrays(problem)
    ridge, size = np.array(problem["ridge"]), np.abs(y).max()
    if size and (is_infinite(problem) or has_no_minimiser(problem)):
        return "CONVERGED where no minimiser exists"
    met = answer.fitted + ridge * answer.multipliers
    if fault := apart("h + R lambda", met, y, 1e-7 * size):
        return fault
    try:
        other = representation.solve(x, y, ridge=ridge, **draws.model_of(problem))
    except ValueError as refusal:  # of a density with heavy tails
        raise Unsure(str(refusal)) from refusal
    if other.status.name != "CONVERGED":
        raise Unsure("representation.solve stalls")
    query = np.append(x, x.mean())
    rounding = 1e-25 * np.sum(y**2 / ridge)  # of what h = 0 would miss
    return first_of(
        apart("h", answer(query), other(query), 1e-6 * size),
        apart("the cost", answer.cost, other.cost, 1e-5 * other.cost + rounding),
    )


def draw_neurons(rng) -> Problem:
    dimension, count = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    n = int(draws.power_of_ten(rng, 0.7, 2.5))
    weight = rng.normal(size=(n, dimension))
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    ridge = 0.0 if rng.random() < 0.5 else draws.power_of_ten(rng, -6, 2)
    x = rng.normal(size=(count, dimension))
    if ridge and count > 1 and rng.random() < 0.3:
        x[1] = x[0]
    return {
        "x": x.round(4).tolist(),
        "y": (rng.normal(size=count) * draws.power_of_ten(rng, -3, 3)).tolist(),
        "neurons": [weight.tolist(), rng.normal(size=n).round(4).tolist()],
        **{"potential": draws.potential(rng), "activation": draws.activation(rng), "ridge": ridge},
    }


def _units(problem: Problem) -> Units:
    weight, bias = map(np.array, problem["neurons"])
    return Units(weight, bias, np.full(len(bias), 1 / len(bias)))


def _ridged(problem: Problem) -> Any:
    model = {
        "activation": draws.make_activation(problem["activation"]),
        "potential": draws.make_potential(problem["potential"]),
    }
    return model | {"neurons": tuple(problem["neurons"])}


def run_neurons(problem: Problem) -> Any:
    model = _ridged(problem)
    return representation.solve(problem["x"], problem["y"], ridge=problem["ridge"], **model)


def check_neurons(problem: Problem, answer: Any) -> str | None:
    """Optimality: the multipliers' own function meets the data, by sums over the units."""
    if answer.status.name != "CONVERGED":
        return None
    x, y = arrays(problem)
    model, units = _ridged(problem), _units(problem)
    sigma = model["activation"](x @ units.w.T - units.b)
    z = answer.multipliers @ sigma
    alpha = model["potential"].inverse_mirror(z)
    h, size = sigma @ alpha / len(alpha), np.abs(y).max()
    # alpha is rounded as it is, and by the rounding of z where large terms cancel
    blur = np.abs(answer.multipliers) @ np.abs(sigma) / model["potential"].hessian(alpha)
    field = np.abs(sigma) @ (np.abs(alpha) + 0.1 * blur) / len(alpha)
    rounding = 1e-13 * (field.max() + np.abs(problem["ridge"] * answer.multipliers).max())
    cost = float(np.mean(model["potential"].bregman(alpha, np.zeros(1))))
    return first_of(
        apart("h + R lambda", h + problem["ridge"] * answer.multipliers, y, 2e-8 * size + rounding),
        apart("the call", answer(x), h, 1e-10 * size + rounding),
        apart("the cost", answer.cost, cost, 1e-10 * cost + 1e-16 * np.mean(np.abs(z) * blur)),
    )


# The kernel.


draw_kernel = draw_representation


def run_kernel(problem: Problem) -> Any:
    """The kernel, as one of a set and of a set with itself."""
    x, _ = draws.data_of(problem)
    model = draws.model_of(problem)
    return representation.kernel(x, **model), representation.kernel(x, x, **model)


def own_kernel(problem: Problem, potential: Any) -> tuple[np.ndarray, float]:
    x, _ = arrays(problem)
    model = draws.model_of(problem)
    sigma = model["activation"]
    quadrature = Quadrature(
        model["density"], lambda b: sum(sigma(w * p - b) ** 2 for p in x for w in (1, -1))
    )
    units = density_units(quadrature, x)
    table = features(sigma, units, x)
    matrix = (table.T * units.mass) @ table
    doubt = quadrature.doubt + 1e-15 * float(np.abs(x).max()) / quadrature.scale  # x is rounded
    return matrix / float(potential.hessian(np.zeros(1))[0]), doubt


def density_units(quadrature: Quadrature, x: np.ndarray) -> Units:
    parts = []
    for sign in (1, -1):
        b, mass = quadrature.nodes(sign * x)
        parts.append((np.full(len(b), float(sign)), b, 0.5 * mass))
    return Units(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def check_kernel(problem: Problem, answers: tuple[np.ndarray, np.ndarray]) -> str | None:
    answer, of_two = answers
    if is_infinite(problem):
        return "a kernel where the integrals are infinite"
    wanted, doubt = own_kernel(problem, draws.make_potential(problem["potential"]))
    size = np.abs(wanted).max()
    if not doubt < 1e-5:
        raise Unsure(f"the nodes' mass is off by {doubt:.1e}")
    least = linalg.eigvalsh(0.5 * (answer + answer.T))[0]
    return first_of(
        apart("the kernel", answer, wanted, (_LEAST + 20 * doubt) * size),
        apart("the kernel of two sets", of_two, wanted, (_LEAST + 20 * doubt) * size),
        apart("the transposed kernel", answer.T, answer, 1e-14 * size),
        None if least >= -1e-10 * size else f"the kernel has the eigenvalue {least:.3g}",
    )


# Functionals.


def draw_share(rng) -> Problem:
    count = int(rng.integers(1, 8))
    mass = 10 ** rng.uniform(-6, 2, (2, count))
    mass[0, rng.random(count) < 0.2] = 0.0
    bend = rng.normal(size=count) * draws.power_of_ten(rng, -4, 1)
    tilt = rng.normal(size=count) * draws.power_of_ten(rng, -4, 1)
    tables = {"bend": bend, "tilt": tilt, "right": mass[0], "left": mass[1]}
    return {name: part.tolist() for name, part in tables.items()} | {
        "potential": draws.potential(rng)
    }


def run_share(problem: Problem) -> Any:
    potential = draws.make_potential(problem["potential"])
    return functionals.share_curvature(**{**problem, "potential": potential})


def check_share(problem: Problem, answer: Any) -> str | None:
    """Optimality: the curvature is shared out, and the two fields differ by the tilt."""
    u, tilt, right, left = (np.array(problem[name]) for name in ("bend", "tilt", "right", "left"))
    phi, (alpha, beta) = draws.make_potential(problem["potential"]), answer
    parts, fields = (right * alpha, left * beta), (phi.mirror(alpha), phi.mirror(beta))
    shared = np.abs(parts[0]) + np.abs(parts[1]) + np.abs(u)
    size = np.abs(fields[0]) + np.abs(fields[1]) + np.abs(tilt) + 1e-12
    return first_of(
        apart("the curvature", sum(parts) / (shared + 1e-300), u / (shared + 1e-300), 1e-8),
        apart("the tilt", (fields[0] - fields[1]) / size, tilt / size, 1e-8),
    )


def draw_relu_cost(rng) -> Problem:
    problem = draws.problem(rng, gentle=0.7, most=6)
    return problem | {"activation": ["relu"], "form": "array"}


def run_relu_cost(problem: Problem) -> Any:
    model = draws.model_of(problem)
    h = variational.solve(problem["x"], problem["y"], **model)
    del model["activation"]
    cost = functionals.relu_cost(h, problem["x"], **model) if h.status.name == "CONVERGED" else None
    return {"status": "answered" if cost else h.status.name, "cost": cost}


def check_relu_cost(problem: Problem, answer: Any) -> str | None:
    if answer["cost"] is None:
        return None
    if has_no_minimiser(problem):
        return "a cost where no minimiser exists"
    if not np.any(problem["y"]):
        return apart("the cost", answer["cost"].cost, 0.0, 1e-300)
    known = reference(problem)
    if known.doubt > 1e-5:
        raise Unsure(f"the reference doubts itself: {known.doubt:.1e}")
    tolerance = (1e-6 + 50 * known.doubt) * known.cost
    return apart("the cost", answer["cost"].cost, known.cost, tolerance)
