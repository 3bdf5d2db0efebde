"""Kinds of problems: the path of training, training itself, and its steps."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import torch
from scipy import integrate, linalg

import mflib
from mflib import mirror_maps, potentials, representation, variational
from mflib.experiments import lazy_limit
from tools.fuzz import draws
from tools.fuzz.functions import exact_potential
from tools.fuzz.judge import Problem, apart, arrays, first_of
from tools.fuzz.oracles import Quadrature, Unsure, features
from tools.fuzz.solvers import density_units


def draw_trajectory(rng) -> Problem:
    problem = draws.problem(rng, gentle=0.6, most=5)
    if rng.random() < 0.4:
        problem["potential"] = ["Quadratic"]
    times = np.cumsum(10 ** rng.uniform(-2, 2.5, rng.integers(1, 4))).round(4).tolist()
    longest = draws.power_of_ten(rng, 3, 10)
    return problem | {"times": times + ([longest] if rng.random() < 0.3 else [])}


def run_trajectory(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    return representation.trajectory(x, y, problem["times"], **draws.model_of(problem))


def check_trajectory(problem: Problem, answer: Any) -> str | None:
    if answer.status.name != "COMPLETED":
        return None
    x, y = arrays(problem)
    model, size = draws.model_of(problem), np.abs(y).max()
    sigma, potential = model["activation"], model["potential"]
    quadrature = Quadrature(
        model["density"], lambda b: sum(sigma(w * p - b) ** 2 for p in x for w in (1, -1))
    )
    if quadrature.doubt > 1e-6:
        raise Unsure(f"the nodes' mass is off by {quadrature.doubt:.1e}")
    units = density_units(quadrature, x)
    table, times, moved = features(sigma, units, x), np.array(problem["times"]), 0.0
    if isinstance(potential, potentials.Quadratic):
        rates, vectors = linalg.eigh(0.5 * (table.T * units.mass) @ table / len(y))
        decay = -np.expm1(-np.outer(times, rates.clip(0)))
        wanted = (decay * (vectors.T @ y)) @ vectors.T
    else:
        stops = times[times < 1e3]
        rough = _integrated(table, units.mass, potential, y, stops)
        # alpha is not smooth where z changes its sign, and no panel ends there
        units = density_units(quadrature.halved().halved(), x)
        wanted = _integrated(features(sigma, units, x), units.mass, potential, y, stops)
        moved = np.abs(wanted - rough).max(initial=0.0)
    k, rise = len(wanted), np.abs(y).max()
    tolerance = (2e-6 + 100 * quadrature.doubt) * rise + moved
    loss = np.mean((answer.values - y) ** 2, axis=1)
    return first_of(
        apart("h at the data", answer.values[:k], wanted, tolerance),
        apart("the loss", answer.loss, loss, 1e-9 * size**2),
        "the loss rises" if (np.diff(answer.loss) > 1e-9 * size**2).any() else None,
    )


def draw_banded_path(rng) -> Problem:
    problem = draws.problem(rng, gentle=0.6, most=5, piecewise=True)
    return problem | {"times": [float(draws.power_of_ten(rng, -1, 4))]}


def run_banded_path(problem: Problem) -> Any:
    x, y = draws.data_of(problem)
    return variational.trajectory(x, y, problem["times"], rtol=1e-7, **draws.model_of(problem))


def check_banded_path(problem: Problem, answer: Any) -> str | None:
    """Against the dense path, which shares the tableau and nothing else."""
    if answer.status.name != "COMPLETED":
        return None
    try:
        other = run_trajectory(problem)
    except ValueError as refused:
        raise Unsure(str(refused)) from None
    if other.status.name != "COMPLETED":
        raise Unsure("the dense path stalls")
    rise = np.abs(arrays(problem)[1]).max()
    return first_of(
        apart("h at the data", answer.values, other.values, 1e-5 * rise),
        apart("the loss", answer.loss, other.loss, 1e-5 * rise**2),
    )


def _integrated(table, mass, potential, y, times) -> np.ndarray:
    """The path by backward differences, on fixed nodes."""
    if not len(times) or not y.any():
        return np.zeros((len(times), len(y)))

    def values(multipliers):
        return (mass * potential.inverse_mirror(table @ multipliers)) @ table

    def jacobian(_, multipliers):
        alpha = potential.inverse_mirror(table @ multipliers)
        return -(table.T * (mass / potential.hessian(alpha))) @ table / len(y)

    path = integrate.solve_ivp(
        lambda _, multipliers: (y - values(multipliers)) / len(y),
        (0.0, times[-1]),
        np.zeros(len(y)),
        method="BDF",
        jac=jacobian,
        t_eval=times,
        rtol=1e-9,
        atol=1e-11 * float(potential.hessian(np.zeros(1))[0]) * np.abs(y).max(),
    )
    if not path.success:
        raise Unsure("the path could not be integrated")
    return np.array([values(multipliers) for multipliers in path.y.T])


# Training itself.


def draw_flow(rng) -> Problem:
    density = draws.density(rng, gentle=True)
    wide, count = bool(rng.random() < 0.3), int(rng.integers(1, 5))
    scaled, long = (bool(part < 0.5) for part in rng.random(2))
    return {
        "x": draws.values_of(rng, density, count, gentle=True),
        "y": (rng.normal(size=count) * draws.power_of_ten(rng, -1, 0.7)).round(4).tolist(),
        "width": 3000 if wide else int(draws.power_of_ten(rng, 0.5, 2.3)),
        "seed": int(rng.integers(1000)),
        "output_scale": 0.0 if wide else draws.choose(rng, [0.0, 1.0]),
        **{"scaled": scaled, "density": density, "potential": draws.potential(rng, gentle=True)},
        "center": "initialization" if scaled else draws.choose(rng, ["initialization", "origin"]),
        "activation": draws.activation(rng, piecewise=wide),
        "max_time": draws.power_of_ten(rng, 6, 9)
        if wide or long
        else draws.power_of_ten(rng, 0, 3),
        "rtol": draws.choose(rng, [1e-2, 1e-4]),
    }


def _network(problem: Problem) -> mflib.ShallowNetwork:
    return mflib.ShallowNetwork(
        problem["width"],
        activation=draws.make_activation(problem["activation"]),
        density=draws.make_density(problem["density"]),
        output_scale=problem["output_scale"],
        seed=problem["seed"],
    )


def run_flow(problem: Problem) -> Any:
    names = ("scaled", "center", "max_time", "rtol")
    options = {name: problem[name] for name in names}
    potential = draws.make_potential(problem["potential"])
    x, y = arrays(problem)
    return mflib.mirror_flow(_network(problem), x, y, potential=potential, **options)


def check_flow(problem: Problem, answer: Any) -> str | None:
    x, y = arrays(problem)
    loss = float(np.mean((outputs_of(answer.network, x) - y) ** 2))
    recorded, times = answer.history["loss"], answer.history["time"]
    rises = np.diff(recorded) > 1e-9 * recorded[:-1] + 1e-25
    return first_of(
        apart("the loss", answer.loss, loss, 1e-10 * (loss + np.abs(y).max() ** 2 * 1e-6)),
        apart("the last loss", recorded[-1], answer.loss, 0.0),
        f"the loss rises to {recorded[1:][rises][0]:.3g}" if rises.any() else None,
        None if (np.diff(times) > 0).all() and np.isfinite(times).all() else "time goes wrong",
        None
        if answer.status.name != "CONVERGED" or loss <= 1.0001e-7
        else "CONVERGED above target",
        _compared(problem, answer, x, y),
    )


def _compared(problem: Problem, answer: Any, x: np.ndarray, y: np.ndarray) -> str | None:
    """A wide network against its lazy limit; a smooth narrow one against LSODA."""
    net = _network(problem)
    potential = draws.make_potential(problem["potential"])
    query = np.linspace(x.min() - 0.2, x.max() + 0.2, 9)
    if problem["width"] == 3000:
        converged = answer.status.name == "CONVERGED"
        if not converged or not problem["scaled"] or answer.parameter_change > 0.1:
            return None
        one = abs(float(net.activation(np.ones(1))[0]) - 1) < 1e-12
        lazy = lazy_limit(net, x, y, potential=potential, output_bias=one)
        wanted = outputs_of(lazy, query)
        # the input layer moves, too: what that changes falls like the square of how far
        off = (0.02 + 20 * answer.parameter_change**2) * np.abs(wanted).max() + 0.01
        return apart("h beside the lazy limit", outputs_of(answer.network, query), wanted, off)
    smooth = problem["activation"][0] in ("softplus", "tanh", "sine", "Swish", "Square")
    if not smooth or problem["width"] > 60 or answer.time > 300:
        return None
    wanted, moved = _trained(problem, net, potential, x, y, answer.time, query)
    allowed = (0.02 if problem["rtol"] == 1e-4 else 0.2) * (moved + np.abs(y).max())
    return apart("h at the end", outputs_of(answer.network, query), wanted, allowed)


def outputs_of(net: mflib.ShallowNetwork, x: np.ndarray) -> np.ndarray:
    w, b, a, d = (p.detach().numpy() for p in net.parameters())
    return net.activation(np.outer(x, w[:, 0]) - b) @ a + float(d)


def _trained(problem, net, potential, x, y, time, query) -> tuple[np.ndarray, float]:
    """Mirror flow of all parameters by LSODA, from formulas for the gradient."""
    n, m = problem["width"], len(y)
    start = np.concatenate([p.detach().numpy().ravel() for p in net.parameters()])
    center = start if problem["center"] == "initialization" else 0 * start
    scale = n if problem["scaled"] else 1
    sigma = net.activation

    def outputs(theta, points):
        w, b, a = theta[:-1].reshape(3, n)
        return sigma(np.outer(points, w) - b) @ a + theta[-1]

    def velocity(_, theta):
        w, b, a = theta[:-1].reshape(3, n)
        u = np.outer(x, w) - b
        hidden, slope = sigma(u), sigma.derivative(u) * a
        residual = hidden @ a + theta[-1] - y
        parts = [
            residual @ (slope * x[:, None]),
            -residual @ slope,
            residual @ hidden,
            [residual.sum()],
        ]
        return -np.concatenate(parts) / (n * m * potential.hessian(scale * (theta - center)))

    path = integrate.solve_ivp(velocity, (0, time), start, method="LSODA", rtol=1e-8, atol=1e-10)
    if not path.success:
        raise Unsure("LSODA gave up")
    end, begin = outputs(path.y[:, -1], query), outputs(start, query)
    return end, float(np.abs(end - begin).max())


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
    zero = float(draws.make_potential(spec).gradient(np.zeros(1))[0])
    for k, at in enumerate(scale * (theta - center)):
        a, h = mp.mpf(at), mp.mpf(10) ** -25
        values = [exact_potential(spec, a + step * h) for step in (-1, 0, 1)]
        slope = float((values[2] - values[0]) / (2 * h) / scale)
        metric = float((values[2] - 2 * values[1] + values[0]) / h**2)
        if not np.isfinite([slope, metric]).all() or abs(slope) > 1e100 or metric == 0:
            return None
        rounding = 1e-14 * abs(zero) / metric / scale  # of a slope beside that at the centre
        fault = first_of(
            apart("dual", answer[0][k], slope, 1e-9 * abs(slope)),
            apart("primal of dual", answer[1][k], theta[k], 1e-9 * (1 + abs(theta[k])) + rounding),
            apart("metric", answer[2][k], metric, 1e-8 * abs(metric)),
        )
        if fault:
            return fault
    return None
