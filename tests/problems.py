"""The problems that tests share, each with what is known of its answer."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from mflib import activations, potentials
from mflib.potentials import Averaged, Entropy, Hypentropy, Power, Quadratic, Regularized, Rescaled


class Problem(NamedTuple):
    """One row of the table; `query`, `h` and `cost` are its 12-digit answer."""

    name: str
    x: np.ndarray
    y: np.ndarray
    activation: str
    potential: potentials.Potential
    density: object
    query: np.ndarray
    h: np.ndarray
    cost: float

    @property
    def model(self) -> dict:
        """The keyword arguments of both solvers."""
        return {
            "activation": self.activation,
            "potential": self.potential,
            "density": self.density,
        }


class Lopsided(potentials.Potential):
    """A user's own: asymmetric, with phi'(0) != 0, and no inverse gradient."""

    def value(self, x):
        return x**2 + 0.7 * x + self._positive(x) ** 3

    def gradient(self, x):
        return 2 * x + 0.7 + 3 * self._positive(x) ** 2

    def hessian(self, x):
        return 2 + 6 * self._positive(x)

    def __repr__(self):
        return "Lopsided()"

    @staticmethod
    def _positive(x):
        return 0.5 * (x + abs(x))


class Own(activations.Activation):
    """Some function, with whatever for its derivative."""

    def __init__(self, value, derivative):
        self.value, self.slope = value, derivative

    def __call__(self, u):
        return self.value(u)

    def derivative(self, u):
        return self.slope(u)


class Cosh(potentials.Potential):
    """A user's own, the example of Potential's docstring: steep, and no inverse gradient."""

    def value(self, x):
        return np.cosh(x)

    def gradient(self, x):
        return np.sinh(x)

    def hessian(self, x):
        return np.cosh(x)


UNIFORM = stats.uniform(-1, 2)
UNSCALED = {
    "x^2": Quadratic(),
    "(|x|^3 + x^2)/2": Regularized(Power(3), 1),
    "(|x|^4 + x^2)/2": Regularized(Power(4), 1),
}
_POTENTIALS = UNSCALED | {
    "(|x|^2 + x^2)/2": Regularized(Power(2), 1),
    "(psi_1(x) + x^2)/2, psi_b(x) = x asinh(x/b) - sqrt(x^2 + b^2)": Regularized(Hypentropy(1), 1),
}
_DENSITIES = {"uniform on [-1, 1]": UNIFORM, "normal, mean 0, std 0.5": stats.norm(0, 0.5)}


def _limits() -> list[Problem]:
    file = Path(__file__).with_name("reference") / "limits.json"
    return [
        Problem(
            case["name"],
            np.array(case["x"]),
            np.array(case["y"]),
            case["activation"],
            _POTENTIALS[case["potential"]],
            _DENSITIES[case["density"]],
            np.array(case["x_query"]),
            np.array(case["h"]),
            case["cost"],
        )
        for case in json.loads(file.read_text("utf-8"))["cases"]
    ]


LIMITS = _limits()
LIMIT = {problem.name: problem for problem in LIMITS}

# No zero, no symmetry, no unit scale, not in order.
X = np.array([0.63, -0.71, 0.08, -0.32, 0.94])
Y = np.array([0.2, -1.3, 0.9, 0.4, -0.7])
QUERY = np.array([-7.3, -1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23, 4.6])

DENSITIES = {
    "uniform": UNIFORM,
    "shifted": stats.uniform(-1.2, 2.9),
    "normal": stats.norm(0.1, 0.6),
    "truncated": stats.truncnorm(-1.5, 2.5, loc=-0.1, scale=0.8),
    "skewed": stats.skewnorm(4, loc=-0.5, scale=0.9),
    "student": stats.t(3, scale=0.5),
    "jump": stats.rv_histogram(([1, 5, 2], [-1.1, -0.4, 0.3, 1.3]), density=False),
    "gap": stats.rv_histogram(([2, 0, 3, 1], [-1.0, -0.2, 0.15, 0.6, 1.4]), density=False),
}
# where these are not smooth, as |b|
JUMPS = np.array([0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 1.1, 1.2, 1.3, 1.4, 1.7, 1.9])
# One row for each potential and each activation: all that is to hold for every one is tested on it,
# here and in test_registry.py, test_hostile_input.py, test_options.py. No random draw depends on
# these tables: what draws has lists of its own, in strategies.py.
POTENTIALS = {
    "quadratic": Quadratic(),
    "power 2.5": Regularized(Power(2.5), 0.6),
    "power 3": Regularized(Power(3), 1),
    "power 4": Regularized(Power(4), 0.1),
    "hypentropy": Hypentropy(0.4),
    "regularized hypentropy": Regularized(Hypentropy(0.05), 2),
    "lopsided": Lopsided(),
    "power 1.5 alone": Power(1.5),
    "power 4 alone": Power(4),
    "entropy": Entropy(),
    "rescaled": Rescaled(Regularized(Hypentropy(0.4), 0.5), 1.7),
    "averaged": Averaged(Regularized(Power(4), 0.7), stats.halfnorm(scale=1.3)),
}
ACTIVATIONS = {
    "relu": activations.relu,
    "absolute": activations.absolute,
    "leaky_relu(0.3)": activations.leaky_relu(0.3),
    "elu": activations.elu,
    "softplus": activations.softplus,
    "tanh": activations.tanh,
    "sine": activations.sine,
    "gelu": activations.gelu,
    "silu": activations.silu,
    "cubic_relu": activations.cubic_relu,
}


def starts_at_zero(phi: potentials.Potential) -> bool:
    """Whether training can start at the origin: with a finite positive Hessian."""
    with np.errstate(divide="ignore"):
        return 0 < float(phi.hessian(np.zeros(1))[0]) < np.inf


SCALED = {name: phi for name, phi in POTENTIALS.items() if starts_at_zero(phi)}


def mirrored(density):
    """Return the law of -B, of one's own making, for B with this density."""

    class Mirrored(stats.rv_continuous):
        def _pdf(self, x):
            return density.pdf(-x)

        def _cdf(self, x):
            return density.sf(-x)

        def _sf(self, x):
            return density.cdf(-x)

        def _ppf(self, q):
            return -density.isf(q)

        def _stats(self):
            return -density.mean(), density.var(), 0.0, 0.0

    low, high = density.support()
    return Mirrored(a=-high, b=-low)()
