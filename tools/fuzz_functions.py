"""Kinds of problems: potentials, activations, steps of descent, and the small functions."""

from __future__ import annotations

import tempfile
from typing import Any

import matplotlib.pyplot as plt
import mpmath as mp
import numpy as np
import pandas as pd
import torch
from scipy import integrate, stats

import mflib
from mflib import densities, experiments, functionals, mirror_maps, plotting, ridges, variational
from tools import fuzz_draws as draws
from tools.fuzz_oracles import Unsure
from tools.fuzz_solvers import (
    Problem,
    _outputs,
    apart,
    arrays,
    first_of,
    has_no_minimiser,
    reference,
)

mp.mp.dps = 80


def _signed(rng, count: int, low: float, high: float) -> np.ndarray:
    size = np.array([draws.power_of_ten(rng, low, high) for _ in range(count)])
    return size * rng.choice([-1.0, 1.0], count)


# Potentials and activations, against eighty digits.


def draw_potential(rng) -> Problem:
    spec = draws.potential(rng)
    single = bool(rng.random() < 0.3)
    steep = spec[0] in ("Cosh", "Exponential")
    low, high = (-3, 2) if single else (-8, 8)
    x = _signed(rng, 6, low, min(high, 1) if steep else high)
    y = np.where(rng.random(6) < 0.3, x * (1 + 1e-5 * rng.normal(size=6)), x[::-1])
    x = x.astype(np.float32).astype(float) if single else x
    y = y.astype(np.float32).astype(float) if single else y
    form = draws.choose(rng, ["float32", "float32 tensor"] if single else ["array", "tensor"])
    return {"potential": spec, "x": x.tolist(), "y": y.tolist(), "form": form}


def run_potential(problem: Problem) -> Any:
    phi = draws.make_potential(problem["potential"])
    x, y = (draws.make_array(problem[name], problem["form"]) for name in "xy")
    slope = phi.gradient(x)
    back = phi.inverse_gradient(slope)
    return phi.value(x), slope, phi.hessian(x), phi.gradient(back), phi.bregman(x, y)


def exact_potential(spec: list, x: mp.mpf) -> mp.mpf:
    name, *rest = spec
    if name == "Regularized":
        return (exact_potential(rest[0], x) + rest[1] * x**2) / (1 + mp.mpf(rest[1]))
    return {
        "Quadratic": lambda: x**2,
        "Power": lambda: abs(x) ** mp.mpf(rest[0]),
        "Hypentropy": lambda: x * mp.asinh(x / rest[0]) - mp.hypot(x, rest[0]),
        "Cosh": lambda: mp.cosh(x),
        "Exponential": lambda: mp.exp(x),
        "Lopsided": lambda: x**2 - mp.mpf(0.7) * x + max(x, 0) ** 3 / 2,
    }[name]()


def check_potential(problem: Problem, answer: Any) -> str | None:
    spec, (x, y) = problem["potential"], arrays(problem)
    eps = 1e-4 if "float32" in problem["form"] else 1e-10
    value, slope, metric, again, divergence = (np.asarray(part, dtype=float) for part in answer)

    def phi(t):
        return exact_potential(spec, t)

    for k, (a, b) in enumerate(zip(map(mp.mpf, x), map(mp.mpf, y), strict=True)):
        h = abs(a) * mp.mpf(10) ** -20
        first = (phi(a + h) - phi(a - h)) / (2 * h)
        second = (phi(a + h) - 2 * phi(a) + phi(a - h)) / h**2
        at_b = (phi(b + h) - phi(b - h)) / (2 * h)
        gap = phi(a) - phi(b) - at_b * (a - b)
        rounding = 4 * np.finfo(np.float32 if "float32" in problem["form"] else float).eps
        noise = rounding * float(abs(phi(a)) + abs(phi(b)) + abs(at_b * (a - b)))
        fault = first_of(
            apart(f"phi({x[k]})", value[k], float(phi(a)), eps * abs(float(phi(a)))),
            apart(f"phi'({x[k]})", slope[k], float(first), eps * abs(float(first))),
            apart(f"phi''({x[k]})", metric[k], float(second), 1e2 * eps * abs(float(second))),
            apart(f"phi' of its inverse at {x[k]}", again[k], slope[k], eps * abs(slope[k])),
            apart(f"D({x[k]}, {y[k]})", divergence[k], float(gap), eps * float(gap) + noise),
        )
        if fault:
            return fault
    return None


def draw_activation(rng) -> Problem:
    u = np.append(_signed(rng, 7, -8, 2.5), 0.0)
    return {"activation": draws.activation(rng), "u": u.tolist()}


def run_activation(problem: Problem) -> Any:
    sigma = draws.make_activation(problem["activation"])
    u = torch.tensor(problem["u"], dtype=torch.float64, requires_grad=True)
    value = sigma(u)
    (slope,) = torch.autograd.grad(value.sum(), u)
    array = np.array(problem["u"])
    return sigma(array), value.detach(), sigma.derivative(array), slope


def check_activation(problem: Problem, answer: Any) -> str | None:
    name, *rest = problem["activation"]
    left = {"relu": 0.0, "abs": -1.0}.get(name, rest[0] if rest else 0.01)
    formulas = {
        "elu": lambda u: u if u > 0 else mp.expm1(u),
        "softplus": lambda u: mp.log1p(mp.exp(u)),
        "tanh": mp.tanh,
        "sine": mp.sin,
        "Square": lambda u: u**2,
        "Swish": lambda u: u / (1 + mp.exp(-u)),
    }
    sigma = formulas.get(name, lambda u: max(u, left * u))
    h = mp.mpf(10) ** -25
    u = [mp.mpf(v) for v in problem["u"]]
    value = np.array([float(sigma(v)) for v in u])
    slope = np.array([float((sigma(v + h) - sigma(v - h)) / (2 * h)) for v in u])
    own, torchs, derivative, gradient = (np.asarray(part, dtype=float) for part in answer)
    smooth = slice(None) if name in formulas else slice(-1)  # the last is the kink at 0
    size = 1e-13 * (1 + np.abs(value).max())
    return first_of(
        apart("sigma", own, value, size),
        apart("sigma of a tensor", torchs, value, size),
        apart("sigma'", derivative[smooth], slope[smooth], size),
        apart("autograd's slope", gradient[smooth], slope[smooth], size),
    )


# Mirror maps and steps of descent.

_TYPES = {"float64": 1e-11, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


def draw_descent(rng) -> Problem:
    scaled = bool(rng.random() < 0.5)
    count = int(rng.integers(1, 8))
    gradient = rng.normal(size=(3, count)) * draws.power_of_ten(rng, -3, 1)
    gradient[rng.random((3, count)) < 0.2] = 0.0
    return {
        "dtype": draws.choose(rng, _TYPES),
        "start": rng.normal(size=count).round(3).tolist(),
        "gradients": gradient.round(6).tolist(),
        "lr": draws.power_of_ten(rng, -4, -1),
        "width": int(draws.power_of_ten(rng, 0, 3)),
        **{"scaled": scaled, "potential": draws.potential(rng)},
        "center": "initialization" if scaled else draws.choose(rng, ["initialization", "origin"]),
    }


def run_descent(problem: Problem) -> Any:
    start = torch.tensor(problem["start"]).to(getattr(torch, problem["dtype"]))
    parameter = torch.nn.Parameter(start.clone())
    names = ("lr", "scaled", "center", "width")
    optimizer = mflib.MirrorDescent(
        [parameter],
        potential=draws.make_potential(problem["potential"]),
        **{name: problem[name] for name in names},
    )
    path = [start]
    for gradient in problem["gradients"]:
        parameter.grad = torch.tensor(gradient).to(start.dtype)
        optimizer.step()
        path.append(parameter.detach().clone())
    return torch.stack(path), torch.tensor(problem["gradients"]).to(start.dtype)


def check_descent(problem: Problem, answer: Any) -> str | None:
    path, gradients = (part.double().numpy() for part in answer)
    phi, eps = draws.make_potential(problem["potential"]), _TYPES[problem["dtype"]]
    scale = problem["width"] if problem["scaled"] else 1
    center = path[0] if problem["center"] == "initialization" else 0 * path[0]
    for k, gradient in enumerate(gradients):
        at = scale * (path[k] - center)
        wanted = (
            center
            + phi.inverse_gradient(phi.gradient(at) - scale * problem["lr"] * gradient) / scale
        )
        size = np.abs(path[k]) + np.abs(wanted) + 1e-6
        still = gradient == 0
        fault = first_of(
            apart("what has no gradient", path[k + 1][still], path[k][still], 0.0),
            apart(f"step {k}", path[k + 1] / size, wanted / size, eps),
        )
        if fault:
            return fault
    return None


def draw_mirror_map(rng) -> Problem:
    problem = draw_descent(rng)
    return problem | {
        "theta": (np.array(problem["start"]) + rng.normal(size=len(problem["start"]))).tolist()
    }


def run_mirror_map(problem: Problem) -> Any:
    names = ("scaled", "center", "width")
    mirror = mirror_maps.mirror_map(
        draws.make_potential(problem["potential"]),
        np.array(problem["start"]),
        **{name: problem[name] for name in names},
    )
    theta = np.array(problem["theta"])
    zeta = mirror.dual(theta)
    return zeta, mirror.primal(zeta), mirror.metric(theta)


def check_mirror_map(problem: Problem, answer: Any) -> str | None:
    scale = problem["width"] if problem["scaled"] else 1
    center = np.array(problem["start"]) * (problem["center"] == "initialization")
    theta, spec = np.array(problem["theta"]), problem["potential"]
    for k, at in enumerate(scale * (theta - center)):
        a, h = mp.mpf(at), mp.mpf(10) ** -25
        values = [exact_potential(spec, a + step * h) for step in (-1, 0, 1)]
        slope = float((values[2] - values[0]) / (2 * h) / scale)
        metric = float((values[2] - 2 * values[1] + values[0]) / h**2)
        if not np.isfinite([slope, metric]).all() or abs(slope) > 1e100:
            return None
        fault = first_of(
            apart("dual", answer[0][k], slope, 1e-9 * abs(slope)),
            apart("primal of dual", answer[1][k], theta[k], 1e-9 * (1 + abs(theta[k]))),
            apart("metric", answer[2][k], metric, 1e-8 * abs(metric)),
        )
        if fault:
            return fault
    return None


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
    model = draws.model_of(problem)
    if has_no_minimiser(model["potential"], model["density"]):
        return "a cost where no minimiser exists"
    if not np.any(problem["y"]):
        return apart("the cost", answer["cost"].cost, 0.0, 1e-300)
    known = reference(problem)
    if known.doubt > 1e-5:
        raise Unsure(f"the reference doubts itself: {known.doubt:.1e}")
    tolerance = (1e-6 + 50 * known.doubt) * known.cost
    return apart("the cost", answer["cost"].cost, known.cost, tolerance)


# Densities, networks, ridges.


def draw_bend(rng) -> Problem:
    count = int(rng.integers(1, 9))
    x = rng.normal(size=count) * draws.power_of_ten(rng, -3, 3) + draws.choose(rng, [0.0, 1990.0])
    y = rng.normal(size=count) * draws.power_of_ten(rng, -6, 6)
    floor = draws.choose(rng, [1.0, draws.power_of_ten(rng, -6, 0), 0.0, 1.5])
    return {
        "x": x.tolist(),
        "y": y.tolist(),
        "floor": floor,
        "form": draws.choose(rng, draws.FORMS[:3]),
    }


def run_bend(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    return densities.of(densities.bend(x, y, problem["floor"]))


def check_bend(problem: Problem, answer: Any) -> str | None:
    x, y = arrays(problem)
    order = np.argsort(x)
    x, y = x[order], y[order]
    turn = np.abs(np.diff(np.diff(y) / np.diff(x)))
    ends = np.concatenate([x[:1], 0.5 * (x[1:-2] + x[2:-1]), x[-1:]])
    share = (
        problem["floor"] * np.diff(ends) / np.ptp(x) + (1 - problem["floor"]) * turn / turn.sum()
    )
    return first_of(
        apart("the masses", np.diff(answer.cdf(ends)), share, 1e-9),
        apart("the median's place", answer.cdf(answer.median()), 0.5, 1e-9),
    )


def draw_of(rng) -> Problem:
    return {"density": draws.density(rng)}


def run_of(problem: Problem) -> Any:
    return densities.of(draws.make_density(problem["density"]))


def check_of(problem: Problem, answer: Any) -> str | None:
    own = draws.make_density(problem["density"])
    places = own.ppf([0.1, 0.4, 0.8])
    return first_of(
        None if np.isfinite(own.std()) else "a density without variance is accepted",
        apart("the pdf", answer.pdf(places), own.pdf(places), 0.0),
    )


def draw_network(rng) -> Problem:
    return {
        "width": int(draws.power_of_ten(rng, 0, 3)),
        "input_dim": int(rng.integers(1, 5)),
        "seed": int(rng.integers(100)),
        "output_scale": draws.choose(rng, [0.0, 1.0, 30.0]),
        "activation": draws.activation(rng),
        "density": draws.density(rng),
        "points": rng.normal(size=(3, 4)).tolist(),
    }


def run_network(problem: Problem) -> Any:
    made = {
        "activation": draws.make_activation(problem["activation"]),
        "density": draws.make_density(problem["density"]),
    }
    names = ("width", "input_dim", "seed", "output_scale")
    net = mflib.ShallowNetwork(**{name: problem[name] for name in names}, **made)
    return net, net(np.array(problem["points"])[:, : problem["input_dim"]]).detach().numpy()


def check_network(problem: Problem, answer: Any) -> str | None:
    net, outputs = answer
    w, b, a, d = (p.detach().numpy() for p in net.parameters())
    x = np.array(problem["points"])[:, : problem["input_dim"]]
    hidden = draws.make_activation(problem["activation"])(x @ w.T - b)
    frozen = draws.make_density(problem["density"])
    low, high = frozen.support()
    size = (np.abs(hidden) @ np.abs(a)).max() + abs(float(d))
    inside = (b >= low).all() and (b <= high).all()
    p = stats.kstest(b, frozen.cdf).pvalue if len(b) > 20 else 1.0
    return first_of(
        apart("the outputs", outputs, hidden @ a + float(d), 1e-12 * size),
        apart("the lengths of input weights", np.linalg.norm(w, axis=1), np.ones(len(b)), 1e-14),
        None if inside and p > 1e-7 else f"the biases do not follow the density: p = {p:.1e}",
        None if problem["output_scale"] or not outputs.any() else "the start is not zero",
    )


def draw_ridges(rng) -> Problem:
    dimension = int(draws.choose(rng, [1, 2, 3, 10, 1000, 100_000]))
    size = draws.power_of_ten(rng, -3, 3)
    return {
        "dimension": dimension,
        "seed": int(rng.integers(1 << 30)),
        "size": size,
        "reach": size * draws.choose(rng, [1.0, 1.0, 5.0, 0.5]),
        "activation": draws.choose(rng, ["abs", "relu", "tanh"]),
        "factors": draws.choose(rng, [0, 100, 200]),
    }


def _points(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(problem["seed"])
    first, second = rng.normal(size=(2, 2, problem["dimension"]))
    second[0] = first[0] if rng.random() < 0.3 else second[0]
    for points in (first, second):
        points *= (
            problem["size"] * rng.uniform(size=(2, 1)) / np.linalg.norm(points, axis=1)[:, None]
        )
    factors = 10.0 ** rng.uniform(
        -problem["factors"], problem["factors"] or 1, problem["dimension"]
    )
    return first, second, factors


def run_ridges(problem: Problem) -> Any:
    first, second, factors = _points(problem)
    options = {"reach": problem["reach"], "activation": problem["activation"]}
    return ridges.stretched(first, factors), ridges.cubic_kernel(first, second, **options)


def check_ridges(problem: Problem, answer: Any) -> str | None:
    """The kernel's mean over b is exact in one input; E |w . u|^3 by quadrature in the angle."""
    first, second, factors = _points(problem)
    D, s = problem["dimension"], problem["reach"]
    third = 1.0  # of one coordinate of the direction
    if D > 1:

        def weight(t, power):
            return t**power * np.exp(0.5 * (D - 3) * np.log1p(-t * t))

        edge = [min(k / np.sqrt(D), 1.0) for k in (0, 1, 2, 4, 8, 16)]
        third, whole = (
            sum(
                integrate.quad(weight, a, b, (power,), epsrel=1e-12)[0]
                for a, b in zip(edge, edge[1:], strict=False)
                if b > a
            )
            for power in (3, 0)
        )
        third /= whole
    affine = first @ second.T / D + s**2 / 3
    apart_by = np.linalg.norm(first[:, None] - second, axis=2)
    kernel = affine + third * apart_by**3 / (6 * s)
    kernel = kernel if problem["activation"] == "abs" else 0.25 * (kernel + affine)
    logs = np.log(np.abs(first)) + np.log(factors)
    logs -= logs.max(axis=1, keepdims=True)
    length = np.sqrt(np.exp(2 * logs).sum(axis=1, keepdims=True))
    return first_of(
        apart("stretched", answer[0], np.sign(first) * np.exp(logs) / length, 1e-11),
        apart("the kernel", answer[1], kernel, 1e-9 * np.abs(kernel).max()),
        "a kernel that has no formula" if problem["activation"] == "tanh" else None,
    )


# Experiments.

MEASURES = (
    "distance",
    "rms",
    "fit_exponent",
    "exponent_interval",
    "superposition_defect",
    "held_out",
)


def draw_measure(rng) -> Problem:
    count, name = int(rng.integers(1, 12)), draws.choose(rng, MEASURES)
    size = (-200, 200) if name == "rms" else (-20, 20)
    return {
        "name": name,
        "a": (rng.normal(size=count) * draws.power_of_ten(rng, *size)).tolist(),
        "n": np.sort(rng.integers(1, 6, 2 * count)).tolist(),
        "noise": rng.normal(size=2 * count).round(3).tolist(),
        "slope": float(rng.normal()),
        "sigma": draws.choose(rng, [0.0, 0.0, 0.1]),
        "form": draws.choose(rng, draws.FORMS[:3]),
    }


def _powers(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    n = 10.0 ** np.array(problem["n"])
    return n, 3.0 * n ** problem["slope"] * np.exp(problem["sigma"] * np.array(problem["noise"]))


def _spline(x, y):
    return lambda t: np.interp(t, x, y)


def run_measure(problem: Problem) -> Any:
    name, form, a = problem["name"], problem["form"], np.array(problem["a"])
    if name == "distance":
        return experiments.distance(np.sin, lambda t: a[0] * t)
    if name == "rms":
        return experiments.rms(draws.make_array(problem["a"], form))
    if name == "superposition_defect":
        return experiments.superposition_defect(
            lambda y: lambda t: y.sum() ** 2 + 0 * t, [a[:1], a[-1:]]
        )
    n, y = (draws.make_array(part, form) for part in _powers(problem))
    if name == "held_out":
        order = np.arange(len(problem["n"]))
        return experiments.leave_one_out(_spline, order, y)
    return getattr(experiments, name)(n, y)


def check_measure(problem: Problem, answer: Any) -> str | None:
    name, a = problem["name"], [mp.mpf(v) for v in problem["a"]]
    n, y = _powers(problem)
    if name == "distance":
        wanted = np.abs(np.sin(experiments.GRID) - problem["a"][0] * experiments.GRID).max()
        return apart(name, answer, wanted, 1e-14 * wanted)
    if name == "rms":
        wanted = float(mp.sqrt(mp.fsum(v * v for v in a) / len(a)))
        return apart(name, answer, wanted, 1e-13 * wanted)
    if name == "superposition_defect":
        return apart(name, answer, float(2 * abs(a[0] * a[-1]) / (a[0] ** 2 + a[-1] ** 2)), 1e-12)
    if name == "held_out":
        return apart(name, answer, 0.5 * (y[:-2] + y[2:]) - y[1:-1], 1e-12 * np.abs(y).max())
    slope, factor = np.polyfit(np.log(n), np.log(y), 1)
    if name == "fit_exponent":
        return first_of(
            apart("the exponent", answer.exponent, slope, 1e-9),
            apart("the factor", answer.factor, np.exp(factor), 1e-8 * np.exp(factor)),
        )
    return first_of(
        apart("the exponent", answer.exponent, slope, 1e-9),
        None
        if answer.low <= slope + 1e-9 and slope - 1e-9 <= answer.high
        else "outside its interval",
    )


def draw_trial(rng) -> Problem:
    density = draws.density(rng, gentle=True)
    count = int(rng.integers(1, 5))
    return {
        "x": draws.values_of(rng, density, count, gentle=True),
        "y": rng.normal(size=count).round(3).tolist(),
        "width": int(draws.power_of_ten(rng, 1.5, 2.7)),
        "seed": int(rng.integers(100)),
        "scaled": bool(rng.random() < 0.7),
        **{"potential": draws.potential(rng, gentle=True), "density": density},
        "activation": draws.choose(rng, ["relu", "abs"]),
    }


def run_trial(problem: Problem) -> Any:
    names = ("width", "seed", "x", "y", "activation")
    return experiments.split_error(
        **{name: problem[name] for name in names},
        density=draws.make_density(problem["density"]),
        scaled=problem["scaled"],
        potential=draws.make_potential(problem["potential"]),
        limit=np.sin,
        max_time=1e6,
    )


def check_trial(problem: Problem, answer: Any) -> str | None:
    """The same parts, by this file's own formula of the network and of its lazy limit."""
    x, y = arrays(problem)
    potential, density = (
        draws.make_potential(problem["potential"]),
        draws.make_density(problem["density"]),
    )
    names = ("width", "seed", "activation")
    options = {name: problem[name] for name in names} | {"density": density}
    net = mflib.ShallowNetwork(**options)
    run = mflib.mirror_flow(net, x, y, potential=potential, scaled=problem["scaled"], max_time=1e6)
    options |= {"x": x, "y": y, "scaled": problem["scaled"], "max_time": 1e6, "limit": np.sin}
    row = experiments.trial(potential=potential, **options)
    effective = potential if problem["scaled"] else mflib.potentials.Quadratic()
    grid, parts = experiments.GRID, {}
    for bias, name in ((False, "sampling"), (True, "nonlinearity")):
        lazy = experiments.lazy_limit(net, x, y, potential=effective, output_bias=bias)
        if fault := apart("the lazy limit at the data", _outputs(lazy, x), y, 1e-7):
            return fault
        parts[name] = _outputs(lazy, grid)
    end = _outputs(run.network, grid)
    return first_of(
        apart("the error", answer["error"], np.abs(end - np.sin(grid)).max(), 1e-9),
        apart("the error of trial", row["error"], answer["error"], 1e-12),
        apart(
            "nonlinearity", answer["nonlinearity"], np.abs(end - parts["nonlinearity"]).max(), 1e-9
        ),
        apart("sampling", answer["sampling"], np.abs(parts["sampling"] - np.sin(grid)).max(), 1e-9),
        apart("lazy gap", answer["lazy_gap"], np.abs(parts["sampling"] - end).max(), 1e-9),
    )


def draw_sweep(rng) -> Problem:
    sizes = rng.integers(1, 4, 2)
    return {
        "a": rng.normal(size=sizes[0]).round(3).tolist(),
        "b": {f"label {k}": float(k) for k in range(sizes[1])},
        "cache": bool(rng.random() < 0.5),
    }


def _cell(a, b):
    return {"sum": a + b, "product": a * b}


def run_sweep(problem: Problem) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        options = {"executor": "serial", "cache": f"{folder}/cells" if problem["cache"] else None}
        parameters = {name: problem[name] for name in "ab"}
        return [experiments.sweep(_cell, parameters, **options) for _ in range(2)]


def check_sweep(problem: Problem, answer: Any) -> str | None:
    rows = [(a, b, a + v, a * v) for a in problem["a"] for b, v in problem["b"].items()]
    wanted = pd.DataFrame(rows, columns=["a", "b", "sum", "product"])
    good = all(found.equals(wanted) for found in answer)
    return None if good else f"the table is {answer[0].to_dict()}"


# Plotting.


def draw_plot(rng) -> Problem:
    kinds, widths, seeds = (int(rng.integers(1, most)) for most in (12, 5, 4))
    errors = (10 ** rng.uniform(-3, 1, (kinds, widths, seeds))).tolist()
    return {"errors": errors, "exponent": float(rng.normal()), "frames": int(rng.integers(1, 5))}


def run_plot(problem: Problem) -> Any:
    errors = np.array(problem["errors"])
    index = np.indices(errors.shape).reshape(3, -1)
    table = pd.DataFrame({"width": 10 * 3 ** index[1], "error": errors.ravel(), "kind": index[0]})
    _, ax = plotting.figure()
    try:
        plotting.power_law(ax, table, "error", by="kind", exponent=problem["exponent"])
        plotting.points(ax, table["width"], table["error"])
        lines = [line.get_xydata() for line in ax.lines]
    finally:
        plt.close("all")
    x = np.linspace(0, 1, 5)
    curves = [errors.ravel()[0] * x**k for k in range(problem["frames"])]
    values = [f"k = {k}" for k in range(problem["frames"])]
    page = plotting.slider(x, {"y": curves}, values, name="f", label="k", description="d").data
    return lines, page


def check_plot(problem: Problem, answer: Any) -> str | None:
    errors, (lines, page) = np.array(problem["errors"]), answer
    widths = 10.0 * 3 ** np.arange(errors.shape[1])
    if len(lines) != len(errors) + 2:
        return f"{len(lines)} lines for {len(errors)} curves, a slope and the points"
    (slope,) = np.diff(np.log(lines[-2][:, 1]))
    return first_of(
        *(
            apart(f"curve {k}", line, np.stack([widths, np.median(rows, axis=1)], axis=1), 1e-12)
            for k, (rows, line) in enumerate(zip(errors, lines, strict=False))
        ),
        apart("the slope", slope, problem["exponent"] * np.log(widths[-1] / widths[0]), 1e-9),
        apart("the points", lines[-1][:, 1], errors.ravel(), 0.0),
        None
        if f'max="{problem["frames"] - 1}"' in page
        else "the slider has another last position",
        None if all(f"k = {k}" in page for k in range(problem["frames"])) else "a text is missing",
    )


# Everything, with one argument replaced by something hostile.


def _pools() -> dict[str, Any]:
    from tests import hostile

    arrays_, numbers_ = {**hostile.ARRAYS}, {**hostile.NUMBERS}
    return {
        "as good": arrays_,
        "no array": {**hostile.NO_ARRAYS, **hostile.NOT_FINITE},
        "as good a number": numbers_,
        "no number": hostile.NO_NUMBERS,
        "no integer": hostile.NO_INTEGERS,
        "potential": {k: v[0] for k, v in hostile.POTENTIALS.items() if k != "raises"},
        "density": {k: v[0] for k, v in hostile.DENSITIES.items() if "raises" not in k},
        "activation": {k: v[0] for k, v in hostile.ACTIVATIONS.items()},
        "junk": {
            "none": None,
            "word": "word",
            "number": 3.5,
            "nan": np.nan,
            "dict": {},
            "empty": [],
        },
    }


def draw_hostile(rng) -> Problem:
    from tests.public_calls import CALLS

    name = draws.choose(rng, [name for name in CALLS if CALLS[name][1]])
    argument = draws.choose(rng, CALLS[name][1])
    good = CALLS[name][1][argument]
    pool = draws.choose(rng, _fitting(argument, good))
    return {
        "call": name,
        "argument": argument,
        "pool": pool,
        "value": draws.choose(rng, _pools()[pool]),
    }


def _fitting(argument: str, good: Any) -> list[str]:
    if argument in ("potential", "density", "activation"):
        return [argument]
    if isinstance(good, np.ndarray):
        return ["as good", "no array"] if good.ndim == 1 else ["no array"]
    if isinstance(good, int) and not isinstance(good, bool):
        return ["no number", "no integer"]
    return ["as good a number", "no number"] if isinstance(good, float) else ["junk"]


def _hostile(problem: Problem, good: Any) -> Any:
    value = _pools()[problem["pool"]][problem["value"]]
    return (
        value if problem["pool"] in ("potential", "density", "activation", "junk") else value(good)
    )


def run_hostile(problem: Problem) -> Any:
    from tests.public_calls import CALLS, numbers

    call, arguments = CALLS[problem["call"]]
    value = _hostile(problem, arguments[problem["argument"]])
    try:
        return numbers(call(**{**arguments, problem["argument"]: value}))
    finally:
        plt.close("all")


def check_hostile(problem: Problem, answer: Any) -> str | None:
    from tests import hostile
    from tests.public_calls import CALLS, numbers

    call, arguments = CALLS[problem["call"]]
    elementwise = ("potentials", "activations", "mirror_maps", "plotting", "ShallowNetwork.forward")
    if "as good" in problem["pool"]:
        wanted = numbers(call(**arguments))
        plt.close("all")
        close = hostile.ROUNDED.get(problem["value"], 1e-9)
        close = 1e-2 if problem["value"] == "float16" else close
        return apart("the result", answer, wanted, close * (1 + np.abs(wanted).max()))
    if not np.isfinite(answer).all() and not problem["call"].startswith(elementwise):
        return "the result is not finite"
    return None
