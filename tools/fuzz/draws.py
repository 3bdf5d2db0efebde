"""Random arguments for mflib, as plain data: what is drawn can be printed, and made again.

A density is `[family, shapes, loc, scale]` or `["histogram", masses, edges]`, a potential or an
activation its constructor's name and numbers. `make` turns such a description into the object.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import torch
from array_api_compat import array_namespace
from scipy import stats

from mflib import activations, potentials

Rng = np.random.Generator

# Families of scipy.stats and ranges of their shapes. Left out: those whose pdf or quantiles take
# milliseconds a point (genhyperbolic, ksone, kstwo, levy_stable, studentized_range, gausshyper),
# and vonmises and wrapcauchy, which live on a circle.
_FAMILIES = """
alpha 0.5-4|anglit|arcsine|argus 0.1-4|beta 0.3-6 0.3-6|betaprime 0.5-6 2.05-9|bradford 0.1-9
burr 2.05-12 0.4-5|burr12 0.5-10 2-6|cauchy|chi 1-80|chi2 1-60|cosine|crystalball 0.5-3 3.1-9
dgamma 0.6-4|dpareto_lognorm 1-4 0.5-2 2.1-5 0.5-5|dweibull 0.6-4|erlang 1-10=|expon
exponnorm 0.2-5|exponpow 0.4-4|exponweib 0.5-5 0.6-4|f 1-40 4.05-40|fatiguelife 0.2-9
fisk 2.05-9|foldcauchy 1-5|foldnorm 0-4|gamma 0.3-9|genexpon 0.5-9 0.5-9 0.5-9
genextreme -0.45-0.9|gengamma 0.5-6 0.5-4|genhalflogistic 0.2-2|geninvgauss 0.3-4 0.3-4
genlogistic 0.3-5|gennorm 0.6-5|genpareto -0.9-0.48|gibrat|gompertz 0.1-5|gumbel_l|gumbel_r
halfcauchy|halfgennorm 0.6-4|halflogistic|halfnorm|hypsecant|invgamma 2.05-9|invgauss 0.1-3
invweibull 2.05-12|irwinhall 2-10=|jf_skew_t 2.2-8 2.2-8|johnsonsb -3-4 0.5-4
johnsonsu -3-3 0.6-4|kappa3 0.6-4|kappa4 -0.3-0.4 -0.3-0.4|landau|laplace
laplace_asymmetric 0.5-2|levy|levy_l|loggamma 0.3-5|logistic|loglaplace 2.05-6|lognorm 0.1-1.5
loguniform 0.01-0.5 1-9|lomax 2.05-9|maxwell|mielke 0.5-10 2.1-6|moyal|nakagami 0.3-6
ncf 3-27 4.5-27 0-2|nct 2.2-14 -1-1|ncx2 1-20 0.1-3|norm|norminvgauss 1-3 -0.8-0.8|pareto 2.05-9
pearson3 -2-2|powerlaw 0.3-4|powerlognorm 0.5-3 0.2-1|powernorm 0.5-5|rayleigh|rdist 0.6-5
recipinvgauss 0.3-2|rel_breitwigner 2-40|rice 0.1-4|semicircular|skewcauchy -0.8-0.8
skewnorm -8-8|t 2.02-40|trapezoid 0.1-0.4 0.5-0.9|triang 0.05-0.95|truncexpon 0.5-9
truncnorm -3-0 0.2-4|truncpareto 0.5-4 2-9|truncweibull_min 0.6-4 0-0.5 1-4|tukeylambda -0.45-3
uniform|vonmises_line 0.1-5|wald|weibull_max 0.6-5|weibull_min 0.6-5
"""
FAMILIES: dict[str, list[str]] = {
    name: ranges
    for name, *ranges in map(str.split, _FAMILIES.replace("\n", "|").strip("|").split("|"))
}


def power_of_ten(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform, rounded so that it is easy to read."""
    return float(f"{10 ** rng.uniform(low, high):.4g}")


def choose(rng: Rng, options: Any) -> Any:
    options = list(options)
    return options[rng.integers(len(options))]


def _between(rng: Rng, text: str) -> float:
    low, high = (float(part) for part in text.rstrip("=").rsplit("-", 1))
    value = rng.uniform(low, high)
    return float(round(value)) if text.endswith("=") else float(f"{value:.4g}")


def density(rng: Rng, *, gentle: bool = False) -> list:
    """Draw a density: gentle ones are bounded and of order one."""
    if gentle:
        a, b = rng.uniform(1, 1.6, 2).round(3).tolist()
        bounded = [["uniform", [], -a, a + b], ["truncnorm", [-1.5, 1.5], 0.0, a]]
        return choose(
            rng, [["norm", [], 0.0, 0.6], ["triang", [0.4], -a - 0.2, a + b + 0.4], *bounded]
        )
    if rng.random() < 0.12:
        edges = np.cumsum(rng.exponential(size=rng.integers(2, 8))).round(4)
        mass = rng.integers(0, 5, len(edges) - 1)
        mass[rng.integers(len(mass))] = 3
        return ["histogram", mass.tolist(), (edges - rng.uniform(0, edges[-1])).round(4).tolist()]
    family = choose(rng, FAMILIES)
    shapes = [_between(rng, text) for text in FAMILIES[family]]
    if rng.random() < 0.5:
        return [family, shapes, 0.0, 1.0]
    offset = choose(rng, [rng.normal(), 10 * rng.normal(), 1990.0, 1.7e9, -300.0])
    return [family, shapes, float(f"{offset:.5g}"), power_of_ten(rng, -2, 2)]


def potential(rng: Rng, *, gentle: bool = False) -> list:
    """Draw a potential from which training can start, or now and then one that cannot."""
    exponent = choose(rng, [2.5, 3.0, 4.0, round(rng.uniform(2.1, 4.5), 2)])
    if gentle:
        regular = ["Regularized", ["Power", exponent], round(rng.uniform(0.1, 2), 2)]
        smooth = ["Regularized", ["Hypentropy", 0.5], 1.0]
        return choose(rng, [["Quadratic"], regular, smooth, ["Lopsided"]])
    plain = [
        ["Power", choose(rng, [exponent, round(rng.uniform(1.2, 8), 2)])],
        ["Hypentropy", power_of_ten(rng, -3, 3)],
    ]
    psi = choose(rng, plain)
    own = [["Cosh"], ["Lopsided"], ["Exponential"]]
    regular = ["Regularized", psi, power_of_ten(rng, -4, 3)]
    return choose(
        rng, [["Quadratic"], ["Quadratic"], regular, regular, regular, plain[1], psi, *own]
    )


def activation(rng: Rng, *, piecewise: bool = False) -> list:
    linear = [["relu"], ["abs"], ["leaky_relu", round(rng.uniform(-0.95, 0.9), 3)]]
    smooth = [["elu"], ["softplus"], ["tanh"], ["sine"], ["Square"], ["Swish"]]
    return choose(rng, linear if piecewise else linear + smooth)


FORMS = ["array", "list", "series", "float32", "tensor", "float32 tensor", "object"]


def values_of(rng: Rng, spec: list, count: int, *, gentle: bool = False) -> list[float]:
    """Draw inputs: among the kinks, some of them close to each other, or far from all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frozen = make_density(spec)
        low, high = (0.12, 0.88) if gentle else (1e-3, 1 - 1e-3)
        ends = np.array(frozen.ppf([low, high]), dtype=float)
        width = float(ends[1] - ends[0]) / (count + 1)
        if gentle:
            places = ends[0] + width * (np.arange(count) + rng.uniform(0.1, 0.9, count))
            return places.round(6).tolist()
        x = np.asarray(frozen.ppf(rng.uniform(low, high, count)), dtype=float)
    if not np.isfinite(x).all():
        x = rng.normal(size=count)
    how, spread = rng.random(), max(float(np.ptp(x)), 1e-3)
    if how < 0.15 and count > 1:
        x[1:] = x[0] + np.cumsum(
            power_of_ten(rng, -9, -1) * spread * rng.uniform(0.5, 2, count - 1)
        )
    elif how < 0.3 and count > 1:
        x[rng.integers(count)] += spread * power_of_ten(rng, -3, 3)
    elif how < 0.35:
        x = -x
    elif how < 0.38 and count > 1:
        x[1] = x[0]
    return x.tolist()


def data(rng: Rng, spec: list, *, most: int = 12, gentle: bool = False) -> dict[str, Any]:
    """Draw inputs and targets for kinks with this density."""
    count = int(rng.integers(1, (6 if gentle else most) + 1))
    x = np.array(values_of(rng, spec, count, gentle=gentle))
    y = rng.normal(size=count).round(3)
    form = choose(rng, FORMS) if rng.random() < 0.4 else "array"
    if not gentle:
        y *= power_of_ten(rng, -6, 6) if rng.random() < 0.4 else 1.0
        y += y.std() * choose(rng, [0, 0, 0, 1e3])
        y[rng.random(count) < 0.1] = 0.0
    if "float32" in form:
        x, y = x.astype(np.float32).astype(float), y.astype(np.float32).astype(float)
    return {"x": x.tolist(), "y": y.tolist(), "form": form}


def problem(
    rng: Rng, *, gentle: float = 0.3, most: int = 12, piecewise: bool = False
) -> dict[str, Any]:
    """Draw all that a solver needs; what is gentle must be solved."""
    easy = bool(rng.random() < gentle)
    spec = density(rng, gentle=easy)
    model = {
        "potential": potential(rng, gentle=easy),
        "activation": activation(rng, piecewise=piecewise or easy),
        "density": spec,
    }
    return {"gentle": easy, **data(rng, spec, most=most, gentle=easy), **model}


class Cosh(potentials.Potential):
    """A user's own, whose inverse is left to the library."""

    def value(self, x):
        return array_namespace(x).cosh(x)

    def gradient(self, x):
        return array_namespace(x).sinh(x)

    def hessian(self, x):
        return array_namespace(x).cosh(x)


class Lopsided(potentials.Potential):
    """A user's own, with a slope at 0 and more curvature on one side."""

    def value(self, x):
        return x**2 - 0.7 * x + 0.5 * (0.5 * (x + abs(x))) ** 3

    def gradient(self, x):
        return 2 * x - 0.7 + 1.5 * (0.5 * (x + abs(x))) ** 2

    def hessian(self, x):
        return 2 + 1.5 * (x + abs(x))


class Exponential(potentials.Potential):
    """A user's own whose gradient is bounded on one side: some problems have no solution."""

    def value(self, x):
        return array_namespace(x).exp(x)

    gradient = hessian = value


class Square(activations.Activation):
    """A user's own activation: units of it span parabolas only."""

    def __call__(self, u):
        return u**2

    def derivative(self, u):
        return 2 * u


class Swish(activations.Activation):
    """A user's own activation, u times the logistic function."""

    def __call__(self, u):
        return 0.5 * u * (1 + array_namespace(u).tanh(0.5 * u))

    def derivative(self, u):
        t = array_namespace(u).tanh(0.5 * u)
        return 0.5 * (1 + t) + 0.25 * u * (1 - t * t)


OWN: dict[str, Any] = {kind.__name__: kind for kind in (Cosh, Lopsided, Exponential, Square, Swish)}


def make_potential(spec: list) -> potentials.Potential:
    name, *rest = spec
    if name == "Regularized":
        return potentials.Regularized(make_potential(rest[0]), rest[1])
    kind: Any = OWN.get(name) or getattr(potentials, name)
    return kind(*rest)


def make_activation(spec: list) -> activations.Activation:
    name, *rest = spec
    if name in OWN:
        return OWN[name]()
    return activations.leaky_relu(*rest) if rest else activations.get(name)


def make_density(spec: list) -> Any:
    if spec[0] == "histogram":
        return stats.rv_histogram(
            (np.array(spec[1], dtype=float), np.array(spec[2])), density=False
        )
    family, shapes, loc, scale = spec
    return getattr(stats, family)(*shapes, loc=loc, scale=scale)


def make_array(values: Any, form: str = "array") -> Any:
    array = np.array(values, dtype=float)
    return {
        "array": lambda: array,
        "list": array.tolist,
        "series": lambda: pd.Series(array),
        "float32": lambda: array.astype(np.float32),
        "tensor": lambda: torch.tensor(array),
        "float32 tensor": lambda: torch.tensor(array, dtype=torch.float32),
        "object": lambda: array.astype(object),
    }[form]()


def model_of(drawn: dict[str, Any]) -> dict[str, Any]:
    """Make the keyword arguments that the solvers share."""
    return {
        "activation": make_activation(drawn["activation"]),
        "potential": make_potential(drawn["potential"]),
        "density": make_density(drawn["density"]),
    }


def data_of(drawn: dict[str, Any]) -> tuple[Any, Any]:
    return make_array(drawn["x"], drawn["form"]), make_array(drawn["y"], drawn["form"])
