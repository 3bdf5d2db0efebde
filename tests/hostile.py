"""Every public function with good arguments, and what may hostilely stand in their place."""

import contextlib
import copy
import datetime
import decimal
import fractions
import signal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats

import mflib
from mflib import (
    activations,
    datasets,
    experiments,
    functionals,
    mirror_maps,
    plotting,
    representation,
    ridges,
    variational,
)
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized
from tests.problems import UNIFORM, Lopsided, X, Y

QUERY = np.array([-0.9, -0.2, 0.31, 0.77])
NET = mflib.ShallowNetwork(30, seed=0)
SOLUTION = variational.solve(X, Y)
DATA = {"x": X, "y": Y}
MODEL = {"potential": Quadratic(), "density": UNIFORM}
ONE = np.ones(5)


def _straight(x, y):
    return lambda t: np.interp(t, np.sort(x), y)


def _optimizer(**arguments):
    arguments = {"params": [torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]} | arguments
    return mflib.MirrorDescent(**arguments)


def _at(method):
    return lambda **arguments: method(**arguments)


def _points(**arguments):
    _, ax = plotting.figure()
    plotting.points(ax, **arguments)
    return ax.lines[0].get_xydata()


def _power_law(**arguments):
    _, ax = plotting.figure()
    plotting.power_law(ax, **arguments)
    return ax.lines[0].get_xydata()


TABLE = pd.DataFrame({"width": [1, 2, 1, 2], "error": [1.0, 0.5, 2.0, 1.0], "kind": list("aabb")})
SLIDER = {
    "x": X[np.argsort(X)],
    "panels": {"y": [X, Y]},
    "values": ["a", "b"],
    **{"name": "n", "label": "l", "description": "d", "start": 0},
}

# name: (the call, its good arguments)
CALLS = {
    "potentials.Potential": (Lopsided().bregman, {"x": X, "y": Y}),
    "potentials.Quadratic": (Quadratic().bregman, {"x": X, "y": Y}),
    "potentials.Power": (Power, {"exponent": 3.0}),
    "potentials.Hypentropy": (Hypentropy, {"beta": 3.0}),
    "potentials.Regularized": (Regularized, {"psi": Power(4), "omega": 3.0}),
    "activations.Activation": (activations.tanh.derivative, {"u": X}),
    "activations.PiecewiseLinear": (activations.PiecewiseLinear, {"slope": 0.25}),
    "activations.leaky_relu": (activations.leaky_relu, {"slope": 0.25}),
    "activations.get": (activations.get, {"activation": "relu"}),
    "activations.relu": (activations.relu, {"u": X}),
    "activations.absolute": (activations.absolute, {"u": X}),
    "activations.elu": (activations.elu, {"u": X}),
    "activations.softplus": (activations.softplus, {"u": X}),
    "activations.tanh": (activations.tanh, {"u": X}),
    "activations.sine": (activations.sine, {"u": X}),
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
            "activation": "relu",
            "density": UNIFORM,
        },
    ),
    "ShallowNetwork.forward": (NET.forward, {"x": X}),
    "MirrorDescent": (
        _optimizer,
        {"lr": 3.0, "potential": Quadratic(), "scaled": True, "center": "initialization"}
        | {"width": 3},
    ),
    "mirror_flow": (
        mflib.mirror_flow,
        {"net": NET, **DATA, "potential": Quadratic(), "scaled": False, "center": "origin"}
        | {"loss_target": 1e-7, "rtol": 3.0, "learning_rate": 3.0, "max_time": 3.0}
        | {"save_at": [1.0, 2.0]},
    ),
    "variational.solve": (variational.solve, {**DATA, **MODEL, "activation": "relu"}),
    "variational.Solution": (SOLUTION, {"x": QUERY}),
    "representation.solve": (
        representation.solve,
        {**DATA, **MODEL, "activation": "relu", "ridge": 3.0},
    ),
    "representation.Representation": (representation.solve(X, Y), {"x": QUERY}),
    "representation.kernel": (representation.kernel, {"x": X, **MODEL, "activation": "relu"}),
    "representation.trajectory": (
        representation.trajectory,
        {**DATA, "times": [1.0, 3.0], **MODEL, "activation": "relu", "rtol": 3.0},
    ),
    "representation.Trajectory": (representation.trajectory(X, Y, [1.0, 3.0]), {"x": QUERY}),
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
    "experiments.held_out": (
        experiments.held_out,
        {"fit": _straight, **DATA, "taken": [0, 1, 3]},
    ),
    "experiments.leave_one_out": (experiments.leave_one_out, {"fit": _straight, **DATA}),
    "experiments.bend_density": (experiments.bend_density, {**DATA, "floor": 0.5}),
    "experiments.lazy_limit": (
        experiments.lazy_limit,
        {"net": NET, **DATA, "potential": Quadratic()},
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
    "plotting.points": (_points, {"x": X, "y": Y}),
    "plotting.power_law": (
        _power_law,
        {"table": TABLE, "y": "error", "by": "kind", "exponent": 3.0},
    ),
    "plotting.slider": (plotting.slider, SLIDER),
    "datasets.figure1": (datasets.figure1, {"shift": 3.0}),
}

# What may stand for an array a, and is converted.
ARRAYS = {
    "list": np.ndarray.tolist,
    "object array": lambda a: a.astype(object),
    "fractions": lambda a: [fractions.Fraction(v) for v in a],
    "series": lambda a: pd.Series(a),
    "read-only": lambda a: _locked(a),
    "every other entry": lambda a: np.repeat(a, 2)[::2],
    "backwards in memory": lambda a: a[::-1].copy()[::-1],
    "big-endian": lambda a: a.astype(">f8"),
    "tensor": lambda a: torch.tensor(a),
    "tensor with history": lambda a: 1.0 * torch.tensor(a, requires_grad=True),
    "float32": lambda a: a.astype(np.float32),
    "bfloat16 tensor": lambda a: torch.tensor(a).bfloat16(),
}
ROUNDED = {"float32": 1e-5, "bfloat16 tensor": 0.2}  # how far results may be off
# What may not.
NO_ARRAYS = {
    "complex": lambda a: a + 1j,
    "complex tensor": lambda a: torch.tensor(a + 1j),
    "strings": lambda a: [str(v) for v in a],
    "bytes": lambda a: b"0.1",
    "dates": lambda a: np.arange("2020-01-01", "2020-01-06", dtype="M8[D]"),
    "durations": lambda a: [datetime.timedelta(1)] * 5,
    "none": lambda a: None,
    "an entry that is none": lambda a: [*a[:-1], None],
    "an entry that is too large": lambda a: [*a[:-1], 10**400],
    "ragged": lambda a: [[1.0], [2.0, 3.0]],
    "generator": lambda a: (v for v in a),
    "mapping": lambda a: {"a": 1.0},
    "meta tensor": lambda a: torch.tensor(a).to("meta"),
    "sparse tensor": lambda a: torch.tensor(a).to_sparse(),
}
NOT_FINITE = {
    "nan": lambda a: np.where(np.arange(a.size) == 1, np.nan, a),
    "infinite": lambda a: np.where(np.arange(a.size) == 1, np.inf, a),
    "masked": lambda a: np.ma.array(a, mask=np.arange(a.size) == 1),
}

# The same for a number, ...
NUMBERS = {
    "0-d array": np.array,
    "float16": np.float16,
    "decimal": decimal.Decimal,
    "tensor": torch.tensor,
    "tensor with history": lambda v: torch.tensor(v, requires_grad=True),
}
NO_NUMBERS = {
    "word": lambda v: "small",
    "digits": str,
    "none": lambda v: None,
    "complex": complex,
    "complex of NumPy": np.complex128,
    "list": lambda v: [v],
    "array of one": lambda v: np.array([v]),
    "too large": lambda v: 10**400,
    "meta tensor": lambda v: torch.tensor(v, device="meta"),
}
# ... an integer ...
NO_INTEGERS = {
    "float": float,
    "digits": str,
    "none": lambda v: None,
    "truth": lambda v: True,
    "array": lambda v: np.array([v]),
}


def _locked(a):
    a = a.copy()
    a.setflags(write=False)
    return a


class Own(Potential):
    """The quadratic as a user would write it."""

    def value(self, x):
        return x**2

    def gradient(self, x):
        return 2 * x

    def hessian(self, x):
        return 2 + 0 * x

    def __repr__(self):
        return type(self).__name__


class NotConvex(Own):
    """x^2 - x^4."""

    def value(self, x):
        return x**2 - x**4

    def gradient(self, x):
        return 2 * x - 4 * x**3

    def hessian(self, x):
        return 2 - 12 * x**2


class WrongValue(Own):
    def value(self, x):
        return 0.5 * x**2


class WrongHessian(Own):
    def hessian(self, x):
        return 1 + 0 * x


class WrongInverse(Own):
    def inverse_gradient(self, z):
        return 2 * z


class NotANumber(Own):
    def gradient(self, x):
        return x * np.nan


class NotElementwise(Own):
    def gradient(self, x):
        return 2.0


class Raises(Own):
    def gradient(self, x):
        raise RuntimeError("my own")


class SigmaOf(activations.Activation):
    """An activation that is nowhere a number, or raises."""

    def __init__(self, error=None):
        self.error = error

    def __call__(self, u):
        if self.error:
            raise self.error
        return u * np.nan

    derivative = __call__

    def __repr__(self):
        return "SigmaOf"


class Density:
    """The uniform density but for one method."""

    def __init__(self, **methods):
        self.methods = methods

    def __getattr__(self, name):
        if name.startswith("_") or self.methods.get(name, 0) is None:
            raise AttributeError(name)
        return self.methods.get(name) or getattr(UNIFORM, name)

    def __repr__(self):
        return "Density"


def _mine(*_, **__):
    raise RuntimeError("my own")


OWN = (RuntimeError, "^my own")
POTENTIALS = {
    "name": ("x^2", (TypeError, "must be a Potential, got 'x")),
    "class": (Quadratic, (TypeError, "must be a Potential, got <class")),
    "not convex": (NotConvex(), (ValueError, "NotConvex: its hessian is negative")),
    "wrong value": (WrongValue(), (ValueError, "its gradient is not the slope of value")),
    "wrong hessian": (WrongHessian(), (ValueError, "its hessian is not the slope of gradient")),
    "wrong inverse": (WrongInverse(), (ValueError, "inverse_gradient does not invert")),
    "not a number": (NotANumber(), (ValueError, "gradient is not finite")),
    "not elementwise": (NotElementwise(), (TypeError, "gradient must act elementwise")),
    "raises": (Raises(), OWN),
}
FROM_ZERO = {"no Hessian at 0": (Power(3), (ValueError, "Hessian"))}
DENSITIES = {
    "name": ("uniform", (TypeError, "density must be a frozen")),
    "number": (1.0, (TypeError, "density must be a frozen")),
    "without pdf": (Density(pdf=None), (TypeError, "density .* has no pdf")),
    "nan pdf": (Density(pdf=lambda t: t * np.nan), (ValueError, "density.pdf must be finite")),
    "negative pdf": (Density(pdf=lambda t: t - 9), (ValueError, "density.pdf .*not negative")),
    "pdf that raises": (Density(pdf=_mine), OWN),
    "not frozen": (stats.gamma, (TypeError, "density must be a frozen distribution with its")),
    "discrete": (stats.poisson(3), (TypeError, "density .* has no pdf")),
    "kernel estimate": (stats.gaussian_kde([0, 1, 2.0]), (TypeError, "density .* has no cdf")),
    "several at once": (stats.norm([0, 1], 1), (TypeError, "density must be a frozen")),
    "Cauchy": (stats.cauchy(), (ValueError, "density must have a finite positive variance")),
    "no scale": (stats.norm(0, 0), (ValueError, "density must have a finite positive variance")),
    "far away": (stats.norm(np.inf, 1), (ValueError, "density has median inf")),
    "immense": (stats.norm(0, 1e120), (ValueError, "density .*overflow")),
}
ACTIVATIONS = {
    "none": (None, (TypeError, "activation must be a name or an Activation, got None")),
    "unknown": ("gelu", (ValueError, "activation 'gelu' is unknown")),
    "in capitals": ("ReLU", (ValueError, "activation 'ReLU' is unknown")),
    "function": (np.tanh, (TypeError, "activation must be a name")),
    "class": (activations.Activation, (TypeError, "activation must be a name")),
    "module of Torch": (torch.nn.ReLU(), (TypeError, "activation must be a name")),
}


def numbers(result) -> np.ndarray:
    """Return the numbers of a result, for comparison."""
    if isinstance(result, variational.Solution | representation.Representation):
        return np.append(result(QUERY), result.cost)
    if isinstance(result, representation.Trajectory):
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
        return np.append(result.centre, result.scale)
    if isinstance(result, mflib.MirrorDescent):
        return np.array([result.defaults["lr"], result.width, result.scale])
    if isinstance(result, torch.Tensor):
        return result.detach().double().numpy().ravel()
    if hasattr(result, "cdf"):
        return result.cdf(X)
    if hasattr(result, "data") and isinstance(result.data, str):
        return np.array([len(result.data)], dtype=float)
    if isinstance(result, dict):
        return np.array([v for v in result.values() if not isinstance(v, str)], dtype=float)
    if isinstance(result, tuple) and isinstance(result[0], plt.Figure):
        return result[0].get_size_inches()
    if isinstance(result, tuple):
        return np.concatenate([np.ravel(part) for part in result])
    return np.ravel(np.asarray(result, dtype=float))


def state(value):
    """Return a copy of an argument that equals it until it is changed."""
    if isinstance(value, torch.nn.Module):
        return [p.tolist() for p in value.parameters()]
    if isinstance(value, torch.Tensor):
        meta = value.is_meta or value.layout != torch.strided
        return value.requires_grad, str(value) if meta else value.tolist()
    if isinstance(value, np.ndarray):
        return value.dtype, value.strides, value.flags.writeable, value.copy()
    if isinstance(value, list | tuple | dict):
        return copy.deepcopy(value) if not isinstance(value, tuple) else tuple(value)
    return repr(value)


@contextlib.contextmanager
def at_most(seconds: float):
    """Raise if what is done takes longer."""

    def late(*_):
        raise TimeoutError(f"not done after {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
