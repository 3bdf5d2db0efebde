"""Every public function with good arguments, and the numbers of what it returns."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats

import mflib
from mflib import (
    activations,
    datasets,
    densities,
    experiments,
    functionals,
    mirror_maps,
    plotting,
    representation,
    ridges,
    variational,
)
from mflib.potentials import Potential, Quadratic
from mflib.sklearn import MirrorFlowRegressor
from tests.problems import ACTIVATIONS, POTENTIALS, UNIFORM, Lopsided, X, Y

QUERY = np.array([-0.9, -0.2, 0.31, 0.77])
NET = mflib.ShallowNetwork(30, seed=0)
SOLUTION = variational.solve(X, Y)
DATA = {"x": X, "y": Y}
MODEL = {"potential": Quadratic(), "density": UNIFORM}
ONE = np.ones(5)


def _optimizer(**arguments):
    arguments = {"params": [torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]} | arguments
    return mflib.MirrorDescent(**arguments)


def _regression(*, X, y, sample_weight, query, return_std, **parameters):
    fit = MirrorFlowRegressor(**parameters).fit(X, y, sample_weight)
    return fit.predict(query, return_std)


def _at(method):
    return lambda **arguments: method(**arguments)


def _points(**arguments):
    _, ax = plotting.figure()
    plotting.points(**{"ax": ax} | arguments)
    return ax.lines[0].get_xydata()


def _label_curves(**arguments):
    _, ax = plotting.figure()
    ax.plot([0, 1], [[0, 0], [1, 2]], label=["slow", "fast"])
    plotting.label_curves(**{"ax": ax} | arguments)
    return np.array([[*text.xy, *text.get_position()] for text in ax.texts])


def _claim(**arguments):
    return experiments.Evidence(**arguments).claim("one", 1, 1)


def _power_law(**arguments):
    _, ax = plotting.figure()
    plotting.power_law(**{"ax": ax} | arguments)
    return np.concatenate([line.get_xydata() for line in ax.lines])


TABLE = pd.DataFrame({"width": [1, 2, 1, 2], "error": [1.0, 0.5, 2.0, 1.0], "kind": list("aabb")})
SLIDER = {
    "x": X[np.argsort(X)],
    "panels": {"y": [X, Y]},
    "values": ["a", "b"],
    **{"name": "n", "label": "l", "description": "d", "start": 0},
}
PLANE_SLIDER = {
    "curves": {"y": [np.stack([X, Y], axis=1), np.stack([Y, X], axis=1)]},
    "values": ["a", "b"],
    **{"name": "n", "label": "l", "description": "d", "start": 0},
}


def _registered() -> dict:
    """The calls that the rows of the registry stand for: each row's, and each class's."""
    calls: dict = {}
    for name, phi in POTENTIALS.items():
        points = (X, Y) if phi.domain[0] < 0 else (abs(X), abs(Y))
        calls[f"potential {name}"] = phi.bregman, dict(zip("xy", points, strict=True))
        if parameters := {p: getattr(phi, p) for p in inspect.signature(type(phi)).parameters}:
            exact = {  # in any precision
                p: float(np.float16(v)) if isinstance(v, float) else v
                for p, v in parameters.items()
            }
            calls[f"potentials.{type(phi).__name__}"] = type(phi), exact
        else:
            calls[f"potentials.{type(phi).__name__}"] = calls[f"potential {name}"]
    for name, sigma in ACTIVATIONS.items():
        calls[f"activations.{name}"] = sigma, {"u": X}
    return calls


REGISTERED = _registered()
# name: (the call, its good arguments)
CALLS = REGISTERED | {
    "potentials.Potential": (Lopsided().bregman, {"x": X, "y": Y}),
    "activations.Activation": (activations.tanh.derivative, {"u": X}),
    "activations.PiecewiseLinear": (activations.PiecewiseLinear, {"slope": 0.25}),
    "activations.leaky_relu": (activations.leaky_relu, {"slope": 0.25}),
    "activations.get": (activations.get, {"activation": "relu"}),
    "activations.of": (activations.of, {"function_of_torch": torch.nn.functional.mish}),
    "activations.array_namespace": (lambda x: activations.array_namespace(x).abs(x), {"x": X}),
    "mirror_maps.MirrorMap": (
        lambda theta: mirror_maps.MirrorMap(Quadratic(), np.ones(5), 2.0).dual(theta),
        {"theta": X},
    ),
    "mirror_maps.mirror_map": (
        mirror_maps.mirror_map,
        {
            "potential": Quadratic(),
            "initial": X,
            "scaled": True,
            "center": "initialization",
            "width": 3,
        },
    ),
    "ShallowNetwork": (
        mflib.ShallowNetwork,
        {
            "width": 3,
            "input_dim": 3,
            "seed": 3,
            "output_scale": 3.0,
            "input_weight": stats.halfnorm(),
            "activation": "relu",
            "density": UNIFORM,
        },
    ),
    "ShallowNetwork.forward": (NET.forward, {"x": X}),
    "MirrorDescent": (
        _optimizer,
        {"lr": 3.0, "potential": Quadratic(), "scaled": True, "center": "initialization"}
        | {"width": 3, "weight_decay": 3.0, "maximize": False},
    ),
    "mirror_flow": (
        mflib.mirror_flow,
        {"net": NET, **DATA, "potential": Quadratic(), "scaled": False, "center": "origin"}
        | {"loss_target": 1e-7, "rtol": 3.0, "learning_rate": 3.0, "max_time": 3.0}
        | {"save_at": [1.0, 2.0]},
    ),
    "variational.solve": (
        variational.solve,
        {**DATA, **MODEL, "activation": "relu", "ridge": 0.0},
    ),
    "variational.Solution": (SOLUTION, {"x": QUERY}),
    "variational.Enclosure": (SOLUTION.certify(), {"x": QUERY}),
    "variational.Solutions": (variational.solve(X, np.column_stack([Y, Y**2])), {"x": QUERY}),
    "variational.trajectory": (
        variational.trajectory,
        {**DATA, "times": [1.0, 3.0], **MODEL, "activation": "relu", "rtol": 3.0}
        | {"scaled": False, "probes": 3},
    ),
    "variational.Trajectory": (variational.trajectory(X, Y, [1.0, 3.0]), {"x": QUERY}),
    "representation.solve": (
        representation.solve,
        {**DATA, **MODEL, "activation": "relu", "ridge": 3.0},
    ),
    "representation.Representation": (representation.solve(X, Y), {"x": QUERY}),
    "representation.Representation.derivative": (
        representation.solve(X, Y).derivative,
        {"x": QUERY},
    ),
    "representation.kernel": (
        representation.kernel,
        {"x": X, "x2": QUERY, **MODEL, "activation": "relu"},
    ),
    "representation.trajectory": (
        representation.trajectory,
        {**DATA, "times": [1.0, 3.0], **MODEL, "activation": "relu", "rtol": 3.0},
    ),
    "representation.Trajectory": (representation.trajectory(X, Y, [1.0, 3.0]), {"x": QUERY}),
    "representation.Trajectory.derivative": (
        representation.trajectory(X, Y, [1.0, 3.0]).derivative,
        {"x": QUERY},
    ),
    "functionals.share_curvature": (
        functionals.share_curvature,
        {"bend": X, "tilt": Y, "right": ONE, "left": ONE, "potential": Quadratic()},
    ),
    "functionals.relu_cost": (
        functionals.relu_cost,
        {"h": SOLUTION, "knots": X, **MODEL, "tilt": (0.1, 0.2)},
    ),
    "ridges.stretched": (ridges.stretched, {"direction": np.ones((2, 3)), "factors": [1.0, 2, 3]}),
    "ridges.grid": (
        ridges.grid,
        {"angles": 3, "biases": 3, "density": UNIFORM, "stretch": [1.0, 2.0]},
    ),
    "ridges.cubic_kernel": (
        ridges.cubic_kernel,
        {"first": X[:, None], "second": X[:2, None], "reach": 3.0, "activation": "relu"},
    ),
    "experiments.distance": (
        experiments.distance,
        {"first": np.sin, "second": np.cos},
    ),
    "experiments.Evidence": (
        _claim,
        {"kind": "identity", "theory": "exact", "observed": "computed"},
    ),
    "experiments.rms": (experiments.rms, {"errors": X}),
    "experiments.fit_exponent": (experiments.fit_exponent, {"n": np.exp(X), "y": np.exp(Y)}),
    "experiments.exponent_interval": (
        experiments.exponent_interval,
        {
            "n": np.array([1.0, 1, 2, 2, 2]),
            "y": np.exp(Y),
            "level": 0.5,
            "resamples": 30,
            "seed": 3,
        },
    ),
    "experiments.superposition_defect": (
        experiments.superposition_defect,
        {"solve": lambda y: lambda t: y.sum() ** 2 + t, "parts": np.ones((2, 3))},
    ),
    "densities.of": (lambda **a: densities.of(**a).pdf(QUERY), {"density": UNIFORM}),
    "densities.normal_layer": (
        lambda **a: densities.normal_layer(**a).kinks.pdf(QUERY),
        {"weight": 2.0, "bias": 3.0},
    ),
    "densities.linear_layer": (
        lambda **a: densities.linear_layer(**a).kinks.pdf(QUERY),
        {"weight": 2.0, "bias": 3.0},
    ),
    "densities.bend": (densities.bend, {**DATA, "floor": 0.5}),
    "experiments.lazy_limit": (
        experiments.lazy_limit,
        {"net": NET, **DATA, "potential": Quadratic()},
    ),
    "experiments.risk": (experiments.risk, {"fit": SOLUTION, "truth": np.sin, "x": X}),
    "experiments.regression_trial": (
        experiments.regression_trial,
        {"m": 30, "seed": 3, "potential": MODEL["potential"], "truth": np.sin, "noise": 0.5},
    ),
    "experiments.trial": (
        experiments.trial,
        {"width": 30, "seed": 3, **DATA, **MODEL, "limit": SOLUTION, "activation": "relu"},
    ),
    "experiments.split_error": (
        experiments.split_error,
        {"width": 30, "seed": 3, **DATA, **MODEL, "limit": SOLUTION, "activation": "relu"},
    ),
    "experiments.sampling_law": (
        experiments.sampling_law,
        {**DATA, **MODEL, "activation": "relu", "units": 30, "draws": 3, "seed": 3},
    ),
    "experiments.sweep": (
        experiments.sweep,
        {"function": lambda a: {"b": a}, "parameters": {"a": [1, 2]}, "executor": "serial"},
    ),
    "plotting.figure": (plotting.figure, {"columns": 3, "rows": 3, "height": 3.0}),
    "plotting.label_curves": (_label_curves, {"at": 0.25}),
    "plotting.points": (_points, {"x": X, "y": Y}),
    "plotting.power_law": (
        _power_law,
        {"table": TABLE, "y": "error", "by": "kind", "exponent": 3.0},
    ),
    "plotting.slider": (plotting.slider, SLIDER),
    "plotting.plane_slider": (plotting.plane_slider, PLANE_SLIDER),
    "sklearn.MirrorFlowRegressor": (
        _regression,
        {"X": X, "y": Y, "sample_weight": np.array([1.0, 2, 1, 0.5, 1]), **MODEL}
        | {"activation": "relu", "smoothing": "ridge", "amount": 0.25}
        | {"query": QUERY, "return_std": True},
    ),
    "datasets.figure1": (datasets.figure1, {"shift": 3.0}),
}


def numbers(result) -> np.ndarray:
    """Return the numbers of a result, for comparison."""
    if isinstance(result, variational.Solutions):
        return np.append(result(QUERY), result.cost)
    if isinstance(result, variational.Solution | representation.Representation):
        return np.append(result(QUERY), result.cost)
    if isinstance(result, representation.Trajectory | variational.Trajectory):
        return np.append(result(QUERY), result.loss)
    if isinstance(result, mflib.Flow):
        return np.append(numbers(result.network), [result.loss, result.time])
    if isinstance(result, torch.nn.Module):
        return np.concatenate([p.detach().numpy().ravel() for p in result.parameters()])
    if isinstance(result, Potential):
        return result.gradient(X)
    if isinstance(result, activations.Activation):
        return result(X)
    if isinstance(result, mirror_maps.MirrorMap):
        return np.append(result.center, result.scale)
    if isinstance(result, mflib.MirrorDescent):
        options = [result.defaults[name] for name in ("lr", "weight_decay", "maximize")]
        return np.array([*map(float, options), result.width, result.scale])
    if isinstance(result, torch.Tensor):
        return result.detach().double().numpy().ravel()
    if hasattr(result, "cdf"):
        return result.cdf(X)
    if hasattr(result, "data") and isinstance(result.data, str):
        return np.array([len(result.data)], dtype=float)
    if isinstance(result, experiments.Evidence):
        return np.array([len(repr(result))], dtype=float)
    if isinstance(result, dict):
        return np.array([v for v in result.values() if not isinstance(v, str)], dtype=float)
    if isinstance(result, tuple) and isinstance(result[0], plt.Figure):
        return result[0].get_size_inches()
    if isinstance(result, tuple):
        return np.concatenate([np.ravel(part) for part in result])
    return np.ravel(np.asarray(result, dtype=float))
