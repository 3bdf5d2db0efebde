"""Kinds of problems: potentials, activations, densities, networks and ridges."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import torch
from scipy import integrate, stats

import mflib
from mflib import densities, ridges
from tools.fuzz import draws
from tools.fuzz.judge import Problem, apart, arrays, first_of

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
        offset = float(rounding) * float(abs(phi(h) - phi(-h)) / (2 * h))
        noise = float(rounding) * float(abs(phi(a)) + abs(phi(b)) + abs(at_b * (a - b)))
        fault = first_of(
            apart(f"phi({x[k]})", value[k], float(phi(a)), eps * abs(float(phi(a)))),
            apart(f"phi'({x[k]})", slope[k], float(first), eps * abs(float(first))),
            apart(f"phi''({x[k]})", metric[k], float(second), 1e2 * eps * abs(float(second))),
            apart(
                f"phi' of its inverse at {x[k]}", again[k], slope[k], eps * abs(slope[k]) + offset
            ),
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


# Densities, networks, ridges.


def draw_bend(rng) -> Problem:
    count = int(rng.integers(2, 10))
    x = rng.normal(size=count) * draws.power_of_ten(rng, -3, 3) + draws.choose(rng, [0.0, 1990.0])
    y = rng.normal(size=count) * draws.power_of_ten(rng, -6, 6)
    floor = draws.choose(rng, [1.0, *([draws.power_of_ten(rng, -6, 0)] * 6), 0.0, 1.5])
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
        "sizes": draws.choose(rng, [None, "halfnorm", "rayleigh", "expon"]),
    }


def run_network(problem: Problem) -> Any:
    made = {
        "activation": draws.make_activation(problem["activation"]),
        "density": draws.make_density(problem["density"]),
        "input_weight": getattr(stats, problem["sizes"])() if problem["sizes"] else None,
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
    lengths = np.linalg.norm(w, axis=1)
    kinks, slack = b / lengths, 1e-12 * np.abs(b / lengths)
    inside = (kinks + slack >= low).all() and (kinks - slack <= high).all()
    p = stats.kstest(kinks, frozen.cdf).pvalue if len(b) > 20 else 1.0
    sizes = stats.kstest(lengths, problem["sizes"]).pvalue if problem["sizes"] else 1.0
    return first_of(
        apart("the outputs", outputs, hidden @ a + float(d), 1e-12 * size),
        None if problem["sizes"] else apart("the lengths", lengths, np.ones(len(b)), 1e-14),
        None if len(b) < 20 or sizes > 1e-7 else f"the lengths do not follow: p = {sizes:.1e}",
        None if inside and p > 1e-7 else f"the kinks do not follow the density: p = {p:.1e}",
        None if problem["output_scale"] or not outputs.any() else "the start is not zero",
    )


def draw_ridges(rng) -> Problem:
    dimension = int(draws.choose(rng, [1, 2, 3, 10, 1000, 100_000]))
    size = draws.power_of_ten(rng, -3, 3)
    return {
        "dimension": dimension,
        "seed": int(rng.integers(1 << 30)),
        "size": size,
        "reach": size * draws.choose(rng, [1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 0.5]),
        "activation": draws.choose(rng, ["abs", "relu", "abs", "relu", "tanh"]),
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


def draw_grid(rng) -> Problem:
    angles, biases = (int(rng.integers(1, 40)) for _ in range(2))
    stretch = (10 ** rng.uniform(-2, 2, 2)).round(4).tolist()
    density = draws.density(rng)
    return {"angles": angles, "biases": biases, "stretch": stretch, "density": density}


def run_grid(problem: Problem) -> Any:
    density = draws.make_density(problem["density"])
    return ridges.grid(
        problem["angles"], problem["biases"], density=density, stretch=problem["stretch"]
    )


def check_grid(problem: Problem, answer: Any) -> str | None:
    """Directions by complex numbers, biases by the inverse of the quantiles."""
    weight, bias = answer
    turns = np.exp(2j * np.pi * (np.arange(problem["angles"]) + 0.5) / problem["angles"])
    ray = problem["stretch"][0] * turns.real + 1j * problem["stretch"][1] * turns.imag
    ray = np.repeat(ray / np.abs(ray), problem["biases"])
    frozen = draws.make_density(problem["density"])
    levels = (np.arange(problem["biases"]) + 0.5) / problem["biases"]
    rounding = 1e-6 + 1e-15 * float(np.abs(bias).max()) / frozen.std()
    return first_of(
        apart("the directions", weight, np.stack([ray.real, ray.imag], axis=1), 1e-12),
        apart("the quantiles", frozen.cdf(bias), np.tile(levels, problem["angles"]), rounding),
    )


def draw_data(rng) -> Problem:
    name = draws.choose(rng, ["figure1", "figure2", "titanium", "motorcycle"])
    shift = float(rng.normal() * draws.power_of_ten(rng, -5, 5)) if name == "figure1" else None
    return {"name": name, "shift": shift}


def run_data(problem: Problem) -> Any:
    given = [] if problem["shift"] is None else [problem["shift"]]
    return getattr(mflib.datasets, problem["name"])(*given)


def check_data(problem: Problem, answer: Any) -> str | None:
    """How many there are, where they begin and end, and between which targets, as published."""
    shift = problem["shift"] or 0.0
    known = {
        "figure1": [5, -1, 1, -0.15 + shift, 0.15 + shift],
        "figure2": [4, -1, 1, -0.15, 0.15],
        "titanium": [49, 595, 1075, 0.601, 2.169],
        "motorcycle": [133, 2.4, 57.6, -134.0, 75.0],
    }[problem["name"]]
    x, y = answer
    return apart(
        "the data", [len(y), x[0], x[-1], y.min(), y.max()], known, 1e-10 * (1 + abs(shift))
    )


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
