"""What may hostilely stand in the place of good arguments, and what is expected then."""

import contextlib
import datetime
import decimal
import fractions
import signal

import numpy as np
import pandas as pd
import torch
from scipy import stats

from mflib import activations
from mflib.potentials import Entropy, Potential, Power, Quadratic
from tests.problems import UNIFORM

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
OF_ARRAYS = (TypeError, "with RuntimeError: my own; write it elementwise, with .*functions of")
# What a function of points may return instead of one number for each.
NO_VALUES = {
    "a column": (
        lambda t: t[:, None],
        (ValueError, r"returns has shape .*\(\d+, 1\), but \d+ points"),
    ),
    "one number": (lambda t: 3.0, (ValueError, r"returns has shape \(\), but")),
    "too few": (lambda t: [], (ValueError, r"returns has shape \(0,\), but")),
    "nan": (lambda t: np.nan * t, (ValueError, "returns contains nan")),
    "infinite": (lambda t: np.inf + t, (ValueError, "returns contains inf")),
    "complex": (lambda t: t + 1j, (TypeError, "returns must be an array of real numbers")),
    "none": (lambda t: None, (TypeError, "returns must be an array of real numbers, got None")),
    "texts": (lambda t: [str(v) for v in t], (TypeError, "returns must be an array of real")),
}
POTENTIALS = {
    "name": ("x^2", (TypeError, "must be a Potential, got 'x")),
    "class": (Quadratic, (TypeError, "must be a Potential, got <class")),
    "not convex": (NotConvex(), (ValueError, "NotConvex: its hessian is negative")),
    "wrong value": (WrongValue(), (ValueError, "its gradient is not the slope of value")),
    "wrong hessian": (WrongHessian(), (ValueError, "its hessian is not the slope of gradient")),
    "wrong inverse": (WrongInverse(), (ValueError, "inverse_gradient does not invert")),
    "not a number": (NotANumber(), (ValueError, "gradient is not finite")),
    "not elementwise": (NotElementwise(), (TypeError, "gradient must act elementwise")),
    "raises": (Raises(), OF_ARRAYS),
}
FROM_ZERO = {
    "no Hessian at 0": (Power(3), (ValueError, "Hessian")),
    "positive arguments only": (Entropy(), (ValueError, r"defined on \(0, inf\) only")),
}
DENSITIES = {
    "name": ("uniform", (TypeError, "density must be a distribution")),
    "number": (1.0, (TypeError, "density must be a distribution")),
    "without pdf": (Density(pdf=None), (TypeError, "density must be a distribution")),
    "nan pdf": (Density(pdf=lambda t: t * np.nan), (ValueError, "density.pdf must be finite")),
    "negative pdf": (Density(pdf=lambda t: t - 9), (ValueError, "density.pdf .*not negative")),
    "pdf that raises": (Density(pdf=_mine), OF_ARRAYS),
    "not frozen": (stats.gamma, (TypeError, "density must be a frozen distribution with its")),
    "discrete": (stats.poisson(3), (TypeError, "density must be a distribution")),
    "kernels in the plane": (
        stats.gaussian_kde([[0, 1, 2.0], [0, 2, 1.0]]),
        (ValueError, "density is a gaussian_kde of 2"),
    ),
    "a class": (stats.Normal, (TypeError, "density is the class Normal")),
    "a function": (lambda t: 0.5 + 0 * t, (TypeError, "say where it is positive")),
    "several at once": (stats.norm([0, 1], 1), (TypeError, "density must be a frozen")),
    "Cauchy": (stats.cauchy(), (ValueError, "density must have a finite positive variance")),
    "no scale": (stats.norm(0, 0), (ValueError, "density must have a finite positive variance")),
    "far away": (stats.norm(np.inf, 1), (ValueError, "density has median inf")),
    "immense": (stats.norm(0, 1e120), (ValueError, "density .*overflow")),
}
ACTIVATIONS = {
    "none": (None, (TypeError, "activation must be a name or an Activation, got None")),
    "unknown": ("heaviside", (ValueError, "activation 'heaviside' is unknown")),
    "in capitals": ("ReLU", (ValueError, "activation 'ReLU' is unknown")),
    "function": (np.tanh, (TypeError, "activation must be a name")),
    "class": (activations.Activation, (TypeError, "activation must be a name")),
    "module of Torch": (torch.nn.ReLU(), (TypeError, "activation must be a name")),
}


def state(value):
    """Return a copy of an argument that equals it until it is changed."""
    if isinstance(value, torch.nn.Module):
        return [p.tolist() for p in value.parameters()]
    if isinstance(value, torch.Tensor):
        meta = value.is_meta or value.layout != torch.strided
        return value.requires_grad, str(value) if meta else value.tolist()
    if isinstance(value, np.ndarray):
        return value.dtype, value.strides, value.flags.writeable, value.copy()
    if isinstance(value, dict):
        return {key: state(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [state(entry) for entry in value]
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
