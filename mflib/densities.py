r"""Densities of the kinks: what describes one, and one that follows the data.

Kinks have the unit of the inputs. The density of the input biases b is that of the kinks at which
units with w = 1 turn; units with w = -1 turn at its mirror image.
"""

from __future__ import annotations

import contextlib
import copyreg
import itertools
import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike
from scipy import integrate, stats
from scipy.optimize import elementwise

from mflib._validation import dataset, elementwise_values, number, real_array

__all__ = ["bend", "linear_layer", "normal_layer", "of"]

_UNIFORM = stats.uniform(-1, 2)
_METHODS = (
    *("pdf", "cdf", "sf", "ppf", "isf"),
    *("rvs", "support", "std", "median", "moment"),
)
_NODES, _WEIGHTS = leggauss(20)


def _reduced(normal: stats.Normal) -> tuple:
    """Pickle a Normal as what it is: by default SciPy's comes back as a StandardNormal.

    Made without its parameters, as pickle does, it becomes one, and has another pdf.
    """
    return _a_normal, (), normal.__getstate__()


def _a_normal() -> stats.Normal:
    return stats.Normal.__new__(stats.Normal, mu=0.0)


copyreg.pickle(stats.Normal, _reduced)
_MOST_SUBDIVISIONS = 2000  # of an interval: a pdf that asks for more is noise
_ACCURACY = 1e-9  # of mass, mean and second moment; what is reached is near 1e-13


def of(density: Any = None, *, support: ArrayLike | None = None) -> Any:
    r"""Return a distribution that all solvers take, made of anything that has a density.

    Every ``density=`` of this package goes through here. SciPy's frozen distributions stay what
    they are. Of everything else the pdf alone is used: one adaptive quadrature gives the moments,
    the distribution function and the quantiles, and random numbers come by inversion. Keep what is
    returned and pass it on, and that quadrature is done once.

    Parameters
    ----------
    density : object, optional
        A frozen ``scipy.stats`` distribution; one of SciPy's newer ones (``stats.Normal``,
        ``stats.Mixture``, ``stats.truncate``, …); a ``stats.gaussian_kde`` of one variable; or a
        function, elementwise on arrays, with its support. Continuous, with a finite second moment;
        uniform on [-1, 1] if not given.
    support : pair of floats, optional
        Where a function may be positive; its ends may be infinite. For functions only.

    Returns
    -------
    distribution
        With the methods of a frozen ``scipy.stats`` distribution that densities need: `pdf`, `cdf`,
        `sf`, `ppf`, `isf`, `rvs`, `support`, `mean`, `median`, `std`, `var` and `moment`.

    Raises
    ------
    TypeError
        If it is no continuous distribution, or one without its parameters, or a function without
        its support.
    ValueError
        If its variance is zero or infinite, its pdf is negative or not finite, or does not
        integrate to 1.

    References
    ----------
    The :math:`p_B` of :cite:t:`liang2025implicit`, eq. 2.

    Examples
    --------
    >>> of().support() == (-1.0, 1.0)
    True
    >>> triangle = of(lambda t: 1 - abs(t), support=(-1, 1))
    >>> round(triangle.moment(2), 12), round(float(triangle.ppf(0.875)), 12)
    (0.166666666667, 0.5)
    """
    density = _UNIFORM if density is None else density
    if isinstance(density, Layer):
        raise TypeError(
            f"density is {density!r}, which serves ShallowNetwork, variational and representation: "
            "here the size of a weight must not depend on its kink."
        )
    if isinstance(density, type):
        raise TypeError(f"density is the class {density.__name__}: give it its parameters.")
    if isinstance(density, stats.rv_continuous) and support is None:
        density = _with_parameters(density)
    if support is not None or not callable(getattr(density, "pdf", None)):
        density = _of_function(density, support)
    elif isinstance(density, stats.gaussian_kde):
        density = _of_kernels(density)
    elif hasattr(density, "icdf"):  # SciPy's newer distributions
        density = _ByPdf(
            density, density.pdf, density.support(), density.icdf(_QUANTILES), _narrow(density)
        )
    elif _is_ones_own(density) or _is_on_circle(density):
        density = _of_family(density)
    return _checked(density)


def _checked(density: Any) -> Any:
    missing = [name for name in _METHODS if not callable(getattr(density, name, None))]
    if missing:
        raise TypeError(
            "density must be a frozen continuous scipy.stats distribution such as "
            f"stats.uniform(-1, 2); {density!r} has no {', '.join(missing)}."
        )
    with np.errstate(all="ignore"):
        try:
            spread, middle = float(density.std()), float(density.median())
        except TypeError:
            raise TypeError(
                "density must be a frozen distribution with its parameters, such as "
                f"stats.norm(0, 1); got {density!r}."
            ) from None
        inside = _tried(density, density.pdf, middle + spread * np.array([-0.7, 0.1, 0.6]))
    if not (math.isfinite(spread) and spread > 0):
        raise ValueError(
            f"density must have a finite positive variance, but its standard deviation is "
            f"{spread}; the theory needs E[B^2]: choose lighter tails or check the parameters."
        )
    if not abs(middle) + spread < 1e100:
        raise ValueError(
            f"density has median {middle:g} and standard deviation {spread:g}, whose squares "
            "overflow; rescale the inputs and the density."
        )
    if not (np.isfinite(inside) & (inside >= 0)).all():
        raise ValueError(
            f"density.pdf must be finite and not negative, but around the median it is "
            f"{inside.tolist()}; check density {density!r}."
        )
    return density


def _tried(given: Any, pdf: Callable, t: np.ndarray) -> np.ndarray:
    """Return a pdf at some places, where it may be a number, or raise if it takes no arrays."""

    def values(t: np.ndarray) -> np.ndarray:
        result = np.asarray(pdf(t))
        return result if result.ndim else np.full(t.shape, result)

    return elementwise_values(
        f"density.pdf of {given!r}", values, t, functions="functions of NumPy"
    )


_QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
_THIRDS = np.array([0.25, 0.5, 0.75])
_FAR = np.array([1e-13, 1e-6, 1e-3])


def of_sizes(name: str, law: Any) -> Any:
    """Return a law of sizes, as of |w|, with a pdf or pmf, quantiles and `rvs`, or raise."""
    if isinstance(law, type):
        raise TypeError(f"{name} is the class {law.__name__}: give it its parameters.")
    if hasattr(law, "icdf"):  # SciPy's newer distributions, which draw by another name
        law = of(law)
    methods = ("cdf", "ppf", "rvs", "support")
    known = callable(getattr(law, "pdf", None)) or callable(getattr(law, "pmf", None))
    if not known or not all(callable(getattr(law, method, None)) for method in methods):
        raise TypeError(
            f"{name} must be a frozen scipy.stats distribution of sizes above 0, such as "
            f"stats.halfnorm(), got {law!r}."
        )
    try:
        low, middle = float(law.support()[0]), float(law.ppf(0.9))
    except TypeError:
        raise TypeError(f"{name} must be a frozen distribution with its parameters.") from None
    if not (low >= 0 and 0 < middle < 1e100):
        raise ValueError(
            f"{name} must be the law of a size, on [0, inf) and not 0 altogether, but its support "
            f"begins at {low:g} and its 0.9 quantile is {middle:g}; for normal weights it is "
            "stats.halfnorm()."
        )
    return law


@dataclass(frozen=True)
class Defined:
    """A distribution that equals every other one with the same definition."""

    definition: Any
    distribution: Any = field(compare=False)

    def __repr__(self) -> str:
        if not isinstance(self.definition, tuple):
            return reprlib.repr(self.distribution)
        name, _, args, *keywords = self.definition
        shown = [f"{value!r}" for value in args] + [f"{key}={value!r}" for key, value in keywords]
        return f"{name}({', '.join(shown)})"


def defined(distribution: Any) -> Defined:
    """Tell SciPy's own families by their name and parameters, anything else by its identity."""
    family: Any = getattr(distribution, "dist", None)
    given: dict = getattr(distribution, "kwds", {})
    bounds: Any
    name, args = str(getattr(family, "name", None)), getattr(distribution, "args", ())
    if hasattr(family, "xk"):
        name, bounds = "rv_discrete", (tuple(np.ravel(family.xk)), tuple(np.ravel(family.pk)))
    elif type(family) is type(getattr(stats, name, distribution)):
        bounds = getattr(family, "a", None), getattr(family, "b", None)
    else:
        return Defined(distribution, distribution)
    definition = (name, bounds, tuple(args), *sorted(given.items()))
    try:
        hash(definition)
    except TypeError:  # an array among the parameters
        return Defined(distribution, distribution)
    return Defined(definition, distribution)


def _with_parameters(family: stats.rv_continuous) -> Any:
    """Freeze a family that has no parameters but location and scale; SciPy's are fast as they are.

    At their defaults, as SciPy does.
    """
    if family.numargs:
        raise TypeError(
            f"density must be a frozen distribution with its parameters: call {family.name} with "
            f"its {family.shapes}."
        )
    return family if type(family).__module__.startswith("scipy.") else family()


def _is_ones_own(density: Any) -> bool:
    """Whether a frozen distribution is of a family that is not SciPy's.

    Its moments and quantiles are then, as a rule, numerical and recomputed at each call.
    """
    family = type(getattr(density, "dist", None))
    return hasattr(density, "dist") and not family.__module__.startswith("scipy.")


def _is_on_circle(density: Any) -> bool:
    """Whether SciPy takes random numbers modulo 2 pi, whatever the location and the scale."""
    if not isinstance(getattr(density, "dist", None), type(stats.vonmises)):
        return False
    if np.isinf(density.support()).any():
        raise ValueError(
            "density is stats.vonmises, whose pdf is periodic; kinks lie on a line: use "
            "stats.vonmises_line."
        )
    return True


def _of_function(pdf: Any, support: ArrayLike | None) -> _ByPdf:
    if not callable(pdf) or hasattr(pdf, "pdf") or hasattr(pdf, "support"):
        cure = "" if support is None else " and a support"
        if hasattr(pdf, "__len__") and not isinstance(pdf, str):
            cure = "; of a sample make one by stats.gaussian_kde"
        elif isinstance(pdf, stats.rv_discrete) or hasattr(pdf, "pmf"):
            cure = ", which is discrete; kinks need a pdf"
        elif hasattr(pdf, "log_prob"):
            cure = ", which is not of SciPy; use its counterpart there"
        raise TypeError(
            "density must be a distribution such as stats.norm(0, 1), or a function with its "
            f"support, got {reprlib.repr(pdf)}{cure}."
        )
    if support is None:
        raise TypeError(
            f"density is a function, {pdf!r}: say where it is positive, as densities.of(density, "
            "support=(low, high))."
        )
    ends = real_array("support", support)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"support must be a pair (low, high) with low < high, got {support!r}.")
    return _ByPdf(pdf, pdf, ends, np.zeros(0))


def _of_family(density: Any) -> Any:
    """Know a frozen distribution by its pdf, unless that is too rough or heavy to be integrated.

    Where it has its mass is asked only if need be, which is slow.
    """
    support, pdf_only = density.support(), _has_pdf_only(density.dist)
    around = _by_scale(density) if pdf_only else np.zeros(0)
    try:
        return _ByPdf(density, density.pdf, support, around)
    except ValueError:
        if pdf_only or _is_on_circle(density):  # it knows no better, or would draw another law
            raise
    with contextlib.suppress(Exception):  # its own methods may fail in any way
        return _ByPdf(density, density.pdf, support, density.ppf(_QUANTILES))
    return density


def _has_pdf_only(family: stats.rv_continuous) -> bool:
    """Whether SciPy would integrate the pdf, point by point, for all else."""
    methods = ("_cdf", "_ppf")
    return all(getattr(type(family), m) is getattr(stats.rv_continuous, m) for m in methods)


def _by_scale(density: Any) -> np.ndarray:
    """Places about the location of a frozen distribution, in units of its scale."""
    _, loc, scale = density.dist._parse_args(*density.args, **density.kwds)
    return loc + scale * np.array([-1.0, 0.0, 1.0])


def _narrow(density: Any) -> np.ndarray:
    """Places about those parts of a mixture that panels for the whole could miss."""
    places = [np.zeros(0)]
    for part in getattr(density, "components", ()):
        width, mean = float(part.standard_deviation()), float(part.mean())
        if width < 0.1 * density.standard_deviation():
            if not np.spacing(abs(mean)) <= 1e-11 * width:
                raise ValueError(
                    f"density is a mixture with a part of width {width:g} at {mean:g}, where "
                    "rounding blurs it; give that part more width."
                )
            q = np.concatenate([_FAR, _QUANTILES])
            places += [part.icdf(q), part.iccdf(q)]
    return np.unique(np.concatenate(places))


def _of_kernels(kde: stats.gaussian_kde) -> _ByPdf:
    if kde.d != 1:
        raise ValueError(f"density is a gaussian_kde of {kde.d} variables; it must be of one.")
    points, width = kde.dataset[0], float(np.sqrt(kde.covariance[0, 0]))
    reach = 39 * width  # beyond, exp underflows
    around = np.quantile(points, np.linspace(0, 1, 33))
    return _ByPdf(kde, kde.pdf, (points.min() - reach, points.max() + reach), around)


def with_narrow(edges: np.ndarray, density: Any) -> np.ndarray:
    """Increasing edges of panels, with those that narrow parts of a density need."""
    return np.union1d(edges, density.narrow if isinstance(density, _ByPdf) else ())


class _ByPdf:
    """A distribution known by its pdf, as panels on which Gauss nodes integrate it.

    The variable of integration is u in (-1, 1), with t = c + s u / (1 - |u|), which brings infinite
    ends to a finite place.

    given : what to call it by; around : places where the mass is; narrow : where the pdf may be.
    """

    def __init__(
        self,
        given: Any,
        pdf: Callable,
        support: ArrayLike,
        around: ArrayLike,
        narrow: ArrayLike = (),
    ) -> None:
        self.given, self._pdf, self.narrow = given, pdf, np.asarray(narrow, dtype=float)
        low, high = (float(end) for end in np.asarray(support))
        self._low, self._high = low, high
        inner = np.asarray(around, dtype=float)
        inner = np.unique(inner[(low < inner) & (inner < high)])
        finite = np.array([t for t in (low, *inner, high) if np.isfinite(t)] or [0.0])
        self._center = float(np.median(inner if inner.size else finite))
        self._scale = float(np.ptp(inner if inner.size > 1 else finite)) or 1.0
        self._blur = float(np.spacing(abs(self._center))) / self._scale
        if self._blur > _ACCURACY:
            raise ValueError(
                f"density {given!r} lies {abs(self._center) / self._scale:.1g} times its width "
                "from zero, where rounding blurs it; shift the inputs and the density."
            )
        breaks = np.unique(np.concatenate([self._u(inner), self._u(self.narrow), [0.0]]))
        inside = np.clip(self._u(np.array([low, high])), -0.9, 0.9) @ [_THIRDS, _THIRDS[::-1]]
        with np.errstate(all="ignore"):
            _tried(given, pdf, self._at(inside)[0])
        self._edges = self._panels(breaks)
        t, self._mass = self._nodes(self._edges[:-1], self._edges[1:])
        if not (np.isfinite(self._mass).all() and (self._mass >= 0).all()):
            raise ValueError(f"density.pdf of {given!r} must be finite and not negative.")
        panel = self._mass.sum(axis=0)
        self._below = np.append(0.0, np.cumsum(panel))
        self._above = np.append(np.cumsum(panel[::-1])[::-1], 0.0)
        if not abs(self._below[-1] - 1) <= 1e-8:
            raise ValueError(
                f"density.pdf of {given!r} integrates to {self._below[-1]:.9g} over its support "
                f"({low:g}, {high:g}); divide it by that, or, if it is narrow, give a support "
                "that is no wider than need be."
            )
        self._t = t

    def __repr__(self) -> str:
        return f"densities.of({self.given!r})"

    def _u(self, t: np.ndarray) -> np.ndarray:
        v = (t - self._center) / self._scale
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(v), np.sign(v), v / (1 + np.abs(v)))

    def _at(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The place t, and dt/du."""
        left = np.maximum(1 - np.abs(u), 1e-150)  # at an infinite end, numbers that still multiply
        return self._center + self._scale * u / left, self._scale / left**2

    def _panels(self, breaks: np.ndarray) -> np.ndarray:
        """Edges in u of panels from an adaptive quadrature of the mass and the second moment."""

        def integrand(u: np.ndarray) -> np.ndarray:
            t, stretch = self._at(u[:, 0])
            mass, v = self.pdf(t) * stretch, (t - self._center) / self._scale
            return np.stack([mass, mass * v**2], axis=1)

        low, high = self._u(np.array([self._low, self._high]))
        points = np.concatenate([[low], breaks[(low < breaks) & (breaks < high)], [high]])
        edges, error, size = [points], 0.0, np.zeros(2)
        with np.errstate(all="ignore"):
            for start, stop in itertools.pairwise(points):
                accuracy = {"rtol": max(1e-13, 9 * self._blur), "atol": max(1e-14, self._blur)}
                part = integrate.cubature(
                    integrand, [start], [stop], **accuracy, max_subdivisions=_MOST_SUBDIVISIONS
                )
                edges += [np.ravel(region.a) for region in part.regions]
                error, size = error + part.error, size + part.estimate
        if not (error <= _ACCURACY * size).all():
            raise ValueError(
                f"density.pdf of {self.given!r} could not be integrated with its second moment: it "
                "must be finite and not negative, and its variance finite; of heavy tails give a "
                "frozen scipy.stats distribution, which knows them."
            )
        return np.unique(np.concatenate(edges))

    def _nodes(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places t, and masses, of Gauss nodes on panels in u; both of shape (20, panels)."""
        half = 0.5 * (high - low)
        t, stretch = self._at(low + half * (1 + _NODES[:, None]))
        return t, self.pdf(t) * stretch * half * _WEIGHTS[:, None]

    def pdf(self, t: ArrayLike) -> np.ndarray:
        t = np.asarray(t, dtype=float)
        inside = (self._low <= t) & (t <= self._high)
        result = np.zeros(t.shape)
        if inside.any():
            with np.errstate(all="ignore"):  # such as 1 / cosh, on its way to 0
                result[inside] = self._pdf(t[inside])
        return result

    def cdf(self, t: ArrayLike) -> np.ndarray:
        return self._tail(t, self._below, upper=False)

    def sf(self, t: ArrayLike) -> np.ndarray:
        return self._tail(t, self._above, upper=True)

    def _tail(self, t: ArrayLike, sums: np.ndarray, *, upper: bool) -> np.ndarray:
        """Mass on one side: that of whole panels, and of the part of the panel that t is in."""
        t = np.asarray(t, dtype=float)
        return self._mass_beside(np.ravel(self._u(t)), sums, upper=upper).reshape(t.shape)

    def _mass_beside(self, u: np.ndarray, sums: np.ndarray, *, upper: bool) -> np.ndarray:
        u = np.clip(u, self._edges[0], self._edges[-1])
        k = np.clip(np.searchsorted(self._edges, u, side="right") - 1, 0, len(self._edges) - 2)
        ends = (u, self._edges[k + 1]) if upper else (self._edges[k], u)
        return sums[k + upper] + self._nodes(*ends)[1].sum(axis=0)

    def ppf(self, q: ArrayLike) -> np.ndarray:
        return self._quantile(q, self._below, upper=False)

    def isf(self, q: ArrayLike) -> np.ndarray:
        return self._quantile(q, self._above, upper=True)

    def _quantile(self, q: ArrayLike, sums: np.ndarray, *, upper: bool) -> np.ndarray:
        q = np.asarray(q, dtype=float)
        flat = np.clip(q.ravel(), 0.0, sums.max())
        order = sums[::-1] if upper else sums
        k = np.clip(np.searchsorted(order, flat, side="right") - 1, 0, len(sums) - 2)
        k = len(sums) - 2 - k if upper else k
        root = elementwise.find_root(
            lambda u, q: self._mass_beside(u, sums, upper=upper) - q,
            (self._edges[k], self._edges[k + 1]),
            args=(flat,),
        )
        u = np.where(root.success, root.x, self._edges[k + upper])
        ends = (self._high, self._low) if upper else (self._low, self._high)
        t = np.where(q.ravel() == 0, ends[0], np.where(q.ravel() == 1, ends[1], self._at(u)[0]))
        return np.where((q.ravel() >= 0) & (q.ravel() <= 1), t, np.nan).reshape(q.shape)[()]

    def rvs(self, size: Any = None, random_state: Any = None) -> np.ndarray:
        rng = random_state
        if not isinstance(rng, np.random.Generator | np.random.RandomState):
            rng = np.random.default_rng(rng)
        return self.ppf(rng.uniform(size=size))

    def support(self) -> tuple[float, float]:
        return self._low, self._high

    def moment(self, order: int) -> float:
        return float(np.vdot(self._mass, self._t**order))

    def mean(self) -> float:
        return self.moment(1)

    def median(self) -> float:
        return float(self.ppf(0.5))

    def var(self) -> float:
        return float(np.vdot(self._mass, (self._t - self.mean()) ** 2))

    def std(self) -> float:
        return math.sqrt(self.var())


# Layers whose kinks depend on their weights.


@dataclass(frozen=True)
class Layer:
    r"""Input weights and biases drawn independently of each other, for one input.

    The kink t = b/w then says something about :math:`\rho = |w|`: given t, it is
    :math:`\tau(t)\, R` with R independent of t and :math:`E[\tau^2] = 1`.

    kind : "normal" or "linear"; weight, bias : standard deviations, or bounds.
    """

    kind: str
    weight: float
    bias: float

    @property
    def ratio(self) -> float:
        return self.bias / self.weight

    @property
    def law(self) -> Any:
        """The law of R, with the second moment of w."""
        if self.kind == "normal":
            return stats.rayleigh(scale=self.weight * math.sqrt(1 / 2))
        return stats.powerlaw(2, scale=self.weight * math.sqrt(2 / 3))

    def scale(self, t: np.ndarray) -> np.ndarray:
        r""":math:`\tau(t)`."""
        far = np.abs(t) / self.ratio
        if self.kind == "normal":
            return math.sqrt(2) / np.hypot(1.0, far)
        return math.sqrt(1.5) / np.maximum(1.0, far)

    @property
    def kinks(self) -> Any:
        r"""The distribution with density :math:`\tau^2 p`: kinks, weighed by squared sizes."""
        if self.kind == "normal":
            return stats.t(3, scale=self.ratio / math.sqrt(3))
        return _FlatWithTails(self.ratio)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return n input weights and biases."""
        if self.kind == "normal":
            w, b = rng.standard_normal((2, n))
        else:
            w, b = rng.uniform(-1, 1, (2, n))
        return self.weight * w, self.bias * b

    def __repr__(self) -> str:
        return f"{self.kind}_layer({self.weight:g}, {self.bias:g})"


@dataclass(frozen=True)
class _FlatWithTails:
    r"""The density :math:`\frac{3}{8r} \min(1, (r/|t|)^4)`."""

    r: float

    def pdf(self, t: ArrayLike) -> np.ndarray:
        return 0.375 / self.r * np.maximum(1.0, np.abs(t) / self.r) ** -4.0

    def cdf(self, t: ArrayLike) -> np.ndarray:
        u = np.asarray(t) / self.r
        tail = 0.125 * np.maximum(1.0, np.abs(u)) ** -3.0
        outside = np.where(u > 0, 1 - tail, tail)
        return np.where(np.abs(u) <= 1, 0.5 + 0.375 * u, outside)

    def sf(self, t: ArrayLike) -> np.ndarray:
        return self.cdf(-np.asarray(t))

    def ppf(self, q: ArrayLike) -> np.ndarray:
        q = np.asarray(q, dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            far = (8 * np.minimum(q, 1 - q)) ** (-1 / 3)
            u = np.where(np.abs(q - 0.5) <= 0.375, (q - 0.5) / 0.375, np.sign(q - 0.5) * far)
        return self.r * u

    def isf(self, q: ArrayLike) -> np.ndarray:
        return -self.ppf(q)

    def rvs(self, size: Any = None, random_state: Any = None) -> np.ndarray:
        return self.ppf(np.random.default_rng(random_state).uniform(size=size))

    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def moment(self, order: int) -> float:
        return [1.0, 0.0, self.r**2][order]

    def mean(self) -> float:
        return 0.0

    def median(self) -> float:
        return 0.0

    def var(self) -> float:
        return self.r**2

    def std(self) -> float:
        return self.r


def normal_layer(weight: float = 1.0, bias: float = 1.0) -> Layer:
    r"""Return the law of units with normal input weights and biases, independent of each other.

    .. math:: w \sim N(0, s_w^2), \qquad b \sim N(0, s_b^2)

    The kink t = b/w has a Cauchy density of scale :math:`s_b/s_w`, and given t the size
    :math:`|w|` is Rayleigh's with scale :math:`(1/s_w^2 + t^2/s_b^2)^{-1/2}`: units that turn far
    out are small.

    Parameters
    ----------
    weight, bias : float
        The standard deviations :math:`s_w, s_b > 0`.

    Returns
    -------
    Layer
        A ``density`` for :class:`~mflib.networks.ShallowNetwork`, :mod:`mflib.variational` and
        :mod:`mflib.representation`, of one input and a piecewise linear activation.

    Raises
    ------
    ValueError
        If a deviation is not a finite number above 0.

    References
    ----------
    :ref:`initialization`; wide networks so drawn: :cite:t:`jacot2018ntk`.

    Examples
    --------
    >>> from mflib import variational
    >>> h = variational.solve([-0.5, 0.5], [2.0, 1.0], density=normal_layer(bias=0.3))
    >>> h([-0.5, 0.5]).round(6).tolist(), h.status.name
    ([2.0, 1.0], 'CONVERGED')
    """
    return _layer("normal", weight, bias)


def linear_layer(weight: float = 1.0, bias: float = 1.0) -> Layer:
    r"""Return the law of units as ``torch.nn.Linear`` draws them: weights and biases uniform.

    .. math:: w \sim U(-u_w, u_w), \qquad b \sim U(-u_b, u_b)

    independent of each other. ``torch.nn.Linear(1, n)`` has both bounds 1. With
    :math:`r = u_b/u_w` the kink t = b/w has the density
    :math:`\frac{1}{4r} \min(1, r^2/t^2)`, and given t the size :math:`|w|` has a density that
    rises in proportion to it up to :math:`u_w \min(1, r/|t|)`.

    Parameters
    ----------
    weight, bias : float
        The bounds :math:`u_w, u_b > 0`.

    Returns
    -------
    Layer
        A ``density``, as that of :func:`normal_layer`.

    Raises
    ------
    ValueError
        If a bound is not a finite number above 0.

    References
    ----------
    :ref:`initialization`

    Examples
    --------
    >>> from mflib import ShallowNetwork
    >>> net = ShallowNetwork(1000, density=linear_layer())
    >>> bool((abs(net.input_weight) < 1).all() and (abs(net.input_bias) < 1).all())
    True
    """
    return _layer("linear", weight, bias)


def _layer(kind: str, weight: float, bias: float) -> Layer:
    bounds: dict[str, Any] = {"above": 0.0, "least": 1e-50, "most": 1e50, "cure": "it is a spread"}
    return Layer(kind, number("weight", weight, **bounds), number("bias", bias, **bounds))


def bend(x: ArrayLike, y: ArrayLike, floor: float):
    r"""Return a density of kinks that follows how much the data bend.

    The broken line through the data turns at :math:`x_i` by the difference of its slopes. The
    density has a step for each inner point, from the middle of one gap to that of the next, with
    mass in proportion to the size of that turn; what it lacks up to 1 is spread evenly.

    Parameters
    ----------
    x, y : array-likes, shape (m,)
        At least three data points, in any order.
    floor : float
        Share of the mass that is spread evenly, in (0, 1].

    Returns
    -------
    frozen scipy.stats distribution
        A histogram on the range of the data.

    Raises
    ------
    ValueError
        If there are fewer than three data, they lie on a line, or the floor is outside (0, 1].

    References
    ----------
    :ref:`real-data`; how far such a density can go: :prf:ref:`prop-real-cheapest`.

    Examples
    --------
    >>> p = bend([0, 1, 2, 4], [0, 0, 1, 1], floor=0.5)  # turns by 1 and -1
    >>> p.cdf([0.0, 1.5, 4.0]).tolist()
    [0.0, 0.4375, 1.0]
    """
    points, targets = dataset(x, y)
    if points.shape[1] != 1:
        raise ValueError(f"x must have shape (m,), got {points.shape}.")
    floor = number("floor", floor, above=0.0, cure="data need kinks everywhere")
    order = np.argsort(points[:, 0])
    nodes = points[order, 0]
    turn = np.abs(np.diff(np.diff(targets[order]) / np.diff(nodes)))
    if floor > 1 or not turn.sum() > 0:
        raise ValueError(
            f"floor must be at most 1 and the data at least three, not on a line; got floor "
            f"{floor!r} and turns {turn.tolist()}."
        )
    edges = np.concatenate([nodes[:1], 0.5 * (nodes[1:-2] + nodes[2:-1]), nodes[-1:]])
    even = np.diff(edges) / (edges[-1] - edges[0])
    mass = (1 - floor) * turn / turn.sum() + floor * even
    return stats.rv_histogram((mass, edges), density=False)
