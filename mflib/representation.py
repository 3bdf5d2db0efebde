r"""The infinite-width limit in parameter space: problem (P) for any activation and any neurons.

.. math::

    \min_\alpha \int D_\varphi(\alpha, 0)\, d\mu
    \quad\text{s.t.}\quad \int \alpha(w, b)\, \sigma(w \cdot x_i - b)\, d\mu(w, b) = y_i

Its dual has m unknowns :math:`\lambda`, and :math:`\alpha = (\varphi')^{-1}(z)` with
:math:`z = \sum_i \lambda_i\, \sigma(w \cdot x_i - b)`. The measure is a sum over nodes: the neurons
of a network, or a quadrature that is refined where it is seen to be wrong. Nothing here is shared
with :mod:`mflib.variational`: each is the other's check.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from numpy.typing import ArrayLike
from scipy import linalg, stats

from mflib import activations
from mflib._validation import dataset, finite_array, frozen_density
from mflib.potentials import Potential, Quadratic

__all__ = ["Representation", "Status", "solve"]

_NODES, _WEIGHTS = leggauss(10)
_ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # just inside a panel
_TO_ENDS = np.linalg.solve(legvander(_NODES, 9).T, legvander(_ENDS, 9).T)  # extrapolates to them
_MAX_ITERATIONS = 100
_MAX_REFINEMENTS = 60


class Status(enum.Enum):
    """How a solve ended; the value is the explanation."""

    CONVERGED = "the interpolant of least representation cost, to the accuracy of its certificate"
    STALLED = (
        "Newton's method stopped short of the tolerance; `residual` and `gap` say by how much. "
        "Likely causes: fewer neurons that respond than data points, data points almost on top of "
        "each other, a potential nearly flat or nearly singular at these magnitudes"
    )


@dataclass(frozen=True)
class Representation:
    r"""The trained change h as an integral over neurons, with its certificate.

    Calling it evaluates :math:`h(x) = \int \alpha(w, b)\, \sigma(w\cdot x - b)\, d\mu` for inputs
    of shape (k,) or (k, D), and returns shape (k,).

    Attributes
    ----------
    cost : float
        The minimum of problem (P).
    gap : float
        Distance of the cost from the dual value.
    residual : float
        Largest :math:`|h(x_i) - y_i|`, with a quadrature finer than the solver's.
    multipliers : ndarray, shape (m,)
        The optimal :math:`\lambda`, in the order of the data.
    iterations : int
        Newton steps.
    status : Status
    """

    cost: float
    gap: float
    residual: float
    multipliers: np.ndarray
    iterations: int
    status: Status
    _measure: _Measure = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h."""
        points = finite_array("x", x)
        points = points[:, None] if points.ndim == 1 else points
        parts = np.array_split(points, -(-len(points) // 256) or 1)
        return np.concatenate([self._measure.integrate(self.multipliers, part) for part in parts])


def solve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    neurons: tuple[ArrayLike, ArrayLike] | None = None,
) -> Representation:
    r"""Solve problem (P) by its dual.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Distinct inputs; D > 1 needs `neurons`.
    y : array-like, shape (m,)
        Targets, less the network's output at initialization.
    activation : str or Activation
        Any activation.
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given, which is also the limit of every
        unscaled one.
    density : frozen scipy.stats distribution, optional
        Distribution of the input biases, with w = ±1 with equal probability; uniform on [-1, 1] if
        not given.
    neurons : pair of array-likes, shapes (n, D) or (n,), and (n,), optional
        Input weights and biases: instead of the density, the measure that puts 1/n on each. With a
        network's own this is the exact lazy limit *of that network*.

    Returns
    -------
    Representation

    Raises
    ------
    ValueError
        If the data are empty, of different lengths, repeated or not finite; if density and neurons
        are both given or do not fit the data; if the potential's Hessian at 0 is zero or infinite.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    :cite:t:`liang2025implicit`

    Examples
    --------
    >>> rep = solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0], activation="tanh")
    >>> rep([0.1]).round(6).tolist(), rep.status.name
    ([1.0], 'CONVERGED')
    """
    points, targets = dataset(x, y)
    sigma = activations.get(activation)
    potential = Quadratic() if potential is None else potential
    _check_potential(potential)
    measure: _Measure
    if neurons is not None:
        if density is not None:
            raise ValueError("density and neurons are both given; give one of them.")
        measure = _Neurons(points, sigma, potential, *_checked_neurons(neurons, points.shape[1]))
    else:
        if points.shape[1] > 1:
            raise ValueError(
                f"x has {points.shape[1]} inputs per data point; a density serves one only. Draw "
                "neurons, e.g. from a ShallowNetwork, and pass them as neurons=(w, b)."
            )
        density = frozen_density(stats.uniform(-1, 2) if density is None else density)
        measure = _Biases(points[:, 0], sigma, potential, density)
    return _solve(measure, targets)


@dataclass(frozen=True)
class _Nodes:
    """A measure on neurons as N weighted points."""

    weight: np.ndarray  # (N, D)
    bias: np.ndarray  # (N,)
    mass: np.ndarray  # (N,)


class _Measure:
    """The measure of problem (P), which knows how to become nodes."""

    def __init__(self, points, sigma, potential) -> None:
        self.points, self.sigma, self.potential = points, sigma, potential

    def nodes(self, kinks: np.ndarray | None = None) -> _Nodes:
        """Return nodes that integrate activations with kinks at these points, too."""
        raise NotImplementedError

    def refine(self, multipliers: np.ndarray) -> bool:
        """Refine where alpha is not resolved; return whether there was anything to do."""
        raise NotImplementedError

    def features(self, nodes: _Nodes, points: np.ndarray) -> np.ndarray:
        """Return sigma(w . x - b), shape (N, len(points))."""
        return self.sigma(nodes.weight @ points.T - nodes.bias[:, None])

    def alpha(self, nodes: _Nodes, multipliers: np.ndarray) -> np.ndarray:
        z = self.features(nodes, self.points) @ multipliers
        return _inverse_mirror(self.potential, z)

    def integrate(self, multipliers: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return h at the points."""
        nodes = self.nodes(points)
        return (nodes.mass * self.alpha(nodes, multipliers)) @ self.features(nodes, points)


class _Neurons(_Measure):
    """The empirical measure of a network's own neurons."""

    def __init__(self, points, sigma, potential, weight, bias) -> None:
        super().__init__(points, sigma, potential)
        self.empirical = _Nodes(weight, bias, np.full(len(bias), 1 / len(bias)))

    def nodes(self, kinks: np.ndarray | None = None) -> _Nodes:
        return self.empirical

    def refine(self, multipliers: np.ndarray) -> bool:
        return False


class _Biases(_Measure):
    """w = ±1 and b from a density: Gauss panels, split at the kinks and then as needed."""

    def __init__(self, x, sigma, potential, density) -> None:
        super().__init__(x[:, None], sigma, potential)
        self.density = density
        low, high = density.ppf(1e-22), density.isf(1e-22)
        # panels that double in length away from the median, so that no tail hides the centre
        doubling = 0.25 * density.std() * 2.0 ** np.arange(100)
        around = density.median() + np.concatenate([-doubling, doubling, [0.0]])
        inner = around[(low < around) & (around < high)]
        self.edges = self._with(np.unique(np.concatenate([[low], inner, [high]])), x)

    def _with(self, edges: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Add the kinks of units of both signs to the panel edges."""
        kinks = np.concatenate([x, -x])
        edges = np.union1d(edges, kinks[(edges[0] < kinks) & (kinks < edges[-1])])
        apart = np.diff(edges) > 1e-14 * np.abs(edges).max()  # no panel of a few roundings only
        return edges[np.append(True, apart)]

    def nodes(self, kinks: np.ndarray | None = None) -> _Nodes:
        return self._gauss(self.edges if kinks is None else self._with(self.edges, kinks[:, 0]))

    def _gauss(self, edges: np.ndarray) -> _Nodes:
        half = 0.5 * np.diff(edges)[:, None]
        bias = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * _NODES).ravel()
        mass = 0.5 * (half * _WEIGHTS).ravel() * self.density.pdf(bias)
        sign = np.repeat([1.0, -1.0], len(bias))
        return _Nodes(sign[:, None], np.tile(bias, 2), np.tile(mass, 2))

    def refine(self, multipliers: np.ndarray) -> bool:
        """Halve each panel on which its halves and the whole disagree on the mass of alpha."""
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        whole, noise = self._moments(self.edges, multipliers)
        parts, _ = self._moments(np.union1d(self.edges, middle), multipliers)
        error = np.abs(whole - parts.reshape(2, -1, 2).sum(axis=2))
        error = np.maximum(error, self._hidden(multipliers))
        rough = (error > 1e-14 * np.abs(whole).sum() + noise).any(axis=0)
        rough &= np.diff(self.edges) > 1e-14 * np.abs(self.edges).max()
        self.edges = np.union1d(self.edges, middle[rough])
        return bool(rough.any())

    def _hidden(self, multipliers: np.ndarray) -> np.ndarray:
        """Mass of alpha that a kink or jump between an edge and the node next to it hides."""
        half = 0.5 * np.diff(self.edges)[:, None]
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])[:, None]

        def integrand(at: np.ndarray) -> np.ndarray:
            bias = (middle + half * at).ravel()
            signs = np.repeat([1.0, -1.0], len(bias))[:, None]
            nodes = _Nodes(signs, np.tile(bias, 2), np.tile(0.5 * self.density.pdf(bias), 2))
            return (nodes.mass * self.alpha(nodes, multipliers)).reshape(2, len(half), len(at))

        missed = np.abs(integrand(_ENDS) - integrand(_NODES) @ _TO_ENDS).max(axis=2)
        return missed * half[:, 0] * (1 - _NODES[-1])

    def _moments(self, edges: np.ndarray, multipliers: np.ndarray) -> tuple:
        """Integrate alpha over each panel, for both signs; and what rounding in z does to it."""
        nodes = self._gauss(edges)
        features = self.features(nodes, self.points)
        alpha = _inverse_mirror(self.potential, features @ multipliers)
        blur = 1e-15 * (np.abs(features) @ np.abs(multipliers)) / self.potential.hessian(alpha)
        shape = (2, len(edges) - 1, len(_NODES))
        return tuple((nodes.mass * a).reshape(shape).sum(axis=2) for a in (alpha, blur))


def _solve(measure: _Measure, y: np.ndarray) -> Representation:
    """Newton's method on the dual; refine the measure until it makes no difference."""
    multipliers, total = np.zeros(len(y)), 0
    for _ in range(_MAX_REFINEMENTS):
        multipliers, iterations = _newton(measure, y, multipliers)
        total += iterations
        if not measure.refine(multipliers):
            break
    nodes = measure.nodes()
    alpha = measure.alpha(nodes, multipliers)
    errors = y - measure.integrate(multipliers, measure.points)
    residual = float(np.abs(errors).max())
    return Representation(
        cost=float(nodes.mass @ measure.potential.bregman(alpha, np.zeros(1))),
        gap=float(abs(multipliers @ errors)),
        residual=residual,
        multipliers=multipliers,
        iterations=total,
        status=Status.CONVERGED if residual <= 1e-8 * np.abs(y).max() else Status.STALLED,
        _measure=measure,
    )


def _newton(measure: _Measure, y: np.ndarray, multipliers) -> tuple[np.ndarray, int]:
    """Maximise the dual on the measure's present nodes; returns the multipliers and the steps."""
    dual = _Dual(measure, y)
    xi = dual.to_basis @ multipliers
    alpha, gradient = dual.evaluate(xi)
    error, small = np.linalg.norm(gradient), 1e-8 * np.linalg.norm(dual.right)
    steps = 0
    while steps < _MAX_ITERATIONS and error > 1e-7 * small:
        step = dual.step(alpha, gradient)
        length = 1.0 if error <= small else dual.length(xi, step, gradient @ step)
        if length == 0:
            break
        alpha, gradient = dual.evaluate(xi + length * step)
        previous, error = error, np.linalg.norm(gradient)
        if previous <= small and not error < 0.5 * previous:
            break  # rounding: nothing left to gain
        xi, steps = xi + length * step, steps + 1
    return dual.from_basis @ xi, steps


class _Dual:
    """The dual in an orthonormal basis of the features, where it is well conditioned."""

    def __init__(self, measure: _Measure, y: np.ndarray) -> None:
        nodes = measure.nodes()
        features = measure.features(nodes, measure.points)
        self.potential, self.mass = measure.potential, nodes.mass
        _, sizes, rows = linalg.svd(np.sqrt(self.mass)[:, None] * features, full_matrices=False)
        kept = sizes > 1e-13 * sizes[0]
        self.to_basis = sizes[kept, None] * rows[kept]
        self.from_basis = (rows[kept] / sizes[kept, None]).T
        self.basis, self.right = features @ self.from_basis, y @ self.from_basis

    def evaluate(self, xi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return alpha at the nodes and the gradient of the dual."""
        alpha = _inverse_mirror(self.potential, self.basis @ xi)
        return alpha, self.right - (self.mass * alpha) @ self.basis

    def step(self, alpha: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the Newton step."""
        hessian = (self.basis.T * (self.mass / self.potential.hessian(alpha))) @ self.basis
        return np.linalg.lstsq(hessian, gradient, rcond=1e-15)[0]

    def length(self, xi: np.ndarray, step: np.ndarray, initial: float) -> float:
        """Find where the slope along a step has fallen to half; 0 where rounding hides it."""
        low, high, t, factor = 0.0, np.inf, 1.0, 4.0
        while high > 1e-8 and factor < 1e150:
            slope = self._slope(xi + t * step, step)
            if abs(slope) <= 0.5 * initial:
                return t
            low, high = (t, high) if slope > 0 else (low, t)
            if np.isinf(high):
                t, factor = t * factor, factor**2
            elif high < 1.001 * low:
                break
            else:
                t = np.sqrt(low * high) if low > 0 else high / 8
        return 0.0

    def _slope(self, trial: np.ndarray, step: np.ndarray) -> float:
        """Slope of the dual at a trial point; where alpha overflows, the dual falls beyond all."""
        with np.errstate(over="ignore", invalid="ignore"):
            slope = float(self.evaluate(trial)[1] @ step)
        return slope if np.isfinite(slope) else -np.inf


def _inverse_mirror(potential: Potential, z: np.ndarray) -> np.ndarray:
    return potential.inverse_gradient(z + potential.gradient(np.zeros(1)))


def _check_potential(potential) -> None:
    if not isinstance(potential, Potential):
        raise TypeError(f"potential must be a Potential, got {potential!r}; use e.g. Quadratic().")
    with np.errstate(divide="ignore"):
        curvature = float(potential.hessian(np.zeros(1))[0])
    if not (np.isfinite(curvature) and curvature > 0):
        raise ValueError(
            f"potential {potential!r} has Hessian {curvature:g} at 0, where training starts; "
            "it must be finite and positive: use Regularized(potential, omega)."
        )


def _checked_neurons(neurons, dim: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        weight, bias = neurons
    except (TypeError, ValueError):
        raise TypeError(f"neurons must be a pair (w, b), got {type(neurons).__name__}.") from None
    weight, bias = finite_array("neurons[0]", weight), finite_array("neurons[1]", bias)
    weight = weight[:, None] if weight.ndim == 1 else weight
    if weight.shape != (bias.size, dim) or bias.ndim != 1 or bias.size == 0:
        raise ValueError(
            f"neurons must have shapes (n, {dim}) and (n,) to fit x, got {weight.shape} and "
            f"{bias.shape}."
        )
    return weight, bias
