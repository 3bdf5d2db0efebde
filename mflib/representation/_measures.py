"""Measures on neurons as nodes, refined where they are seen to be wrong, and the dual on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from numpy.typing import ArrayLike
from scipy import linalg

from mflib import activations, densities
from mflib._validation import finite_array
from mflib.potentials import check_at_zero

_NODES, _WEIGHTS = leggauss(10)
_ENDS = np.array([-1.0, 1.0]) * (1 - 1e-10)  # just inside a panel
_TO_ENDS = np.linalg.solve(legvander(_NODES, 9).T, legvander(_ENDS, 9).T)  # extrapolates to them
MAX_REFINEMENTS = 60


@dataclass(frozen=True)
class Nodes:
    """A measure on neurons as N weighted points."""

    weight: np.ndarray  # (N, D)
    bias: np.ndarray  # (N,)
    mass: np.ndarray  # (N,)


class Measure:
    """The measure of problem (P), which knows how to become nodes."""

    def __init__(self, points, sigma, potential) -> None:
        self.points, self.sigma, self.potential = points, sigma, potential

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        """Return nodes that integrate activations with kinks at these points, too."""
        raise NotImplementedError

    def refine(self, multipliers: np.ndarray) -> bool:
        """Refine where alpha is not resolved, once; return whether there was anything to do."""
        raise NotImplementedError

    def features(self, nodes: Nodes, points: np.ndarray) -> np.ndarray:
        """Return sigma(w . x - b), shape (N, len(points))."""
        return self.sigma(nodes.weight @ points.T - nodes.bias[:, None])

    def alpha(self, nodes: Nodes, multipliers: np.ndarray) -> np.ndarray:
        z = self.features(nodes, self.points) @ multipliers
        return self.potential.inverse_mirror(z)

    def settle(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> None:
        """Refine for multipliers, shape (m,) or (k, m), until it makes no difference."""
        raise NotImplementedError

    def cost(self, multipliers: np.ndarray) -> float:
        """Return the integral of the divergence of alpha from 0."""
        nodes = self.nodes()
        alpha = self.alpha(nodes, multipliers)
        return float(nodes.mass @ self.potential.bregman(alpha, np.zeros(1)))

    def evaluate(self, multipliers: np.ndarray, x: ArrayLike) -> np.ndarray:
        """Return h at new inputs of shape (), (k,) or (k, D), part by part to save memory."""
        given, dim = finite_array("x", x), self.points.shape[1]
        points = given.reshape(-1, 1) if dim == 1 and given.ndim < 2 else given
        if points.ndim != 2 or points.shape[1] != dim:
            raise ValueError(
                f"x must have shape (k, {dim}){' or (k,)' * (dim == 1)}, got {given.shape}."
            )
        parts = np.array_split(points, -(-len(points) // 256) or 1)
        values = np.concatenate([self.integrate(multipliers, part) for part in parts])
        return values if given.ndim else values[0]

    def integrate(self, multipliers: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return h at the points."""
        nodes = self.nodes(points)
        return (nodes.mass * self.alpha(nodes, multipliers)) @ self.features(nodes, points)


class Neurons(Measure):
    """The empirical measure of a network's own neurons."""

    def __init__(self, points, sigma, potential, weight, bias) -> None:
        super().__init__(points, sigma, potential)
        self.empirical = Nodes(weight, bias, np.full(len(bias), 1 / len(bias)))

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        return self.empirical

    def refine(self, multipliers: np.ndarray) -> bool:
        return False

    def settle(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> None:
        pass


class Biases(Measure):
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

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        return self._gauss(self.edges if kinks is None else self._with(self.edges, kinks[:, 0]))

    def _gauss(self, edges: np.ndarray) -> Nodes:
        return self._inside(edges[:-1], edges[1:], _NODES, _WEIGHTS)

    def _inside(self, low, high, at: np.ndarray, weights) -> Nodes:
        """Lay nodes of both signs in panels from `low` to `high`, at places from -1 to 1."""
        half = 0.5 * (high - low)[:, None]
        bias = (0.5 * (high + low)[:, None] + half * at).ravel()
        mass = 0.5 * (half * weights).ravel() * self.density.pdf(bias)
        return Nodes(np.repeat([1.0, -1.0], len(bias))[:, None], np.tile(bias, 2), np.tile(mass, 2))

    def refine(self, multipliers: np.ndarray) -> bool:
        before = len(self.edges)
        self._halve(self.edges[:-1], self.edges[1:], multipliers[:, None], 1e-14)
        return len(self.edges) > before

    def settle(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> None:
        several, scale = np.atleast_2d(multipliers).T, None
        low, high = self.edges[:-1], self.edges[1:]
        for _ in range(MAX_REFINEMENTS):  # what was found smooth stays so: look at the halves only
            low, high, scale = self._halve(low, high, several, tolerance, scale)
            if not len(low):
                break

    def _halve(self, low, high, several: np.ndarray, tolerance: float, scale=None) -> tuple:
        """Halve each panel on which its halves and the whole disagree on the mass of alpha.

        Returns the halves, and the mass of |alpha| that their errors are compared with.
        """
        middle = 0.5 * (low + high)
        whole, noise = self._moments(low, high, several)
        parts = sum(self._moments(*half, several)[0] for half in ((low, middle), (middle, high)))
        scale = np.abs(whole).sum(axis=(0, 1)) if scale is None else scale
        error = np.maximum(np.abs(whole - parts), self._hidden(low, high, several))
        rough = (error > tolerance * scale + noise).any(axis=(0, 2))
        rough &= high - low > 1e-14 * np.abs(self.edges).max()
        low, middle, high = low[rough], middle[rough], high[rough]
        self.edges = np.union1d(self.edges, middle)
        return np.append(low, middle), np.append(middle, high), scale

    def _hidden(self, low, high, several: np.ndarray) -> np.ndarray:
        """Mass of alpha that a kink or jump between an edge and the node next to it hides."""

        def integrand(at: np.ndarray) -> np.ndarray:
            nodes = self._inside(low, high, at, np.ones_like(at))
            values = nodes.mass[:, None] * self.alpha(nodes, several)
            return values.reshape(2, len(low), len(at), several.shape[1])

        inner = np.einsum("spnk,ne->spek", integrand(_NODES), _TO_ENDS)
        return np.abs(integrand(_ENDS) - inner).max(axis=2) * (1 - _NODES[-1])

    def _moments(self, low, high, several: np.ndarray) -> tuple:
        """Integrate alpha over each panel, for both signs; and what rounding in z does to it."""
        nodes = self._inside(low, high, _NODES, _WEIGHTS)
        features = self.features(nodes, self.points)
        alpha = self.potential.inverse_mirror(features @ several)
        blur = 1e-15 * (np.abs(features) @ np.abs(several)) / self.potential.hessian(alpha)
        shape = (2, len(low), len(_NODES), several.shape[1])
        return tuple((nodes.mass[:, None] * a).reshape(shape).sum(axis=2) for a in (alpha, blur))


def measure_on(
    points: np.ndarray, activation, potential, density, neurons: tuple[ArrayLike, ArrayLike] | None
) -> Measure:
    """Check what describes a measure, and make it."""
    sigma = activations.get(activation)
    activations.check_activation(sigma)
    check_at_zero(potential)
    measure = _described(points, sigma, potential, density, neurons)
    if not np.isfinite(measure.features(measure.nodes(), points)).all():
        raise ValueError(f"activation {sigma!r} is infinite or not a number at some w . x - b.")
    return measure


def _described(points, sigma, potential, density, neurons) -> Measure:
    if neurons is not None:
        if density is not None:
            raise ValueError("density and neurons are both given; give one of them.")
        return Neurons(points, sigma, potential, *checked_neurons(neurons, points.shape[1]))
    if points.shape[1] > 1:
        raise ValueError(
            f"x has {points.shape[1]} inputs per data point; a density serves one only. Draw "
            "neurons, e.g. from a ShallowNetwork, and pass them as neurons=(w, b)."
        )
    density = densities.of(density)
    return Biases(points[:, 0], sigma, potential, density)


class Dual:
    r"""The dual of problem (P) with a ridge R, in a basis where it is well conditioned.

    Its unknown :math:`\xi` has the norm of :math:`z = \sum_i \lambda_i \sigma_i` in
    :math:`L^2(\mu)`. Repeated inputs, and features of low rank, leave directions of
    :math:`\lambda` that move no z: these are no part of the basis.
    """

    def __init__(self, measure: Measure, y: np.ndarray, root: np.ndarray) -> None:
        nodes = measure.nodes()
        features = np.sqrt(nodes.mass)[:, None] * measure.features(nodes, measure.points)
        # with R = root.T @ root the rows of both add up to K + R
        _, sizes, rows = linalg.svd(np.concatenate([features, root]), full_matrices=False)
        kept = sizes > 1e-13 * sizes[0]
        self.sizes, self.rows = sizes[kept], rows[kept]
        self.from_basis = (self.rows / self.sizes[:, None]).T
        self.right, self.root = y @ self.from_basis, root @ self.from_basis
        self.lay(measure)

    def lay(self, measure: Measure) -> Dual:
        """Take the nodes of a measure, and keep the basis."""
        nodes = measure.nodes()
        self.potential, self.mass = measure.potential, nodes.mass
        self.basis = measure.features(nodes, measure.points) @ self.from_basis
        return self

    def to_basis(self, multipliers: np.ndarray) -> np.ndarray:
        return self.sizes * (self.rows @ multipliers)

    def evaluate(self, xi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return alpha at the nodes and the gradient of the dual."""
        alpha = self.potential.inverse_mirror(self.basis @ xi)
        return alpha, self.right - (self.mass * alpha) @ self.basis - (self.root @ xi) @ self.root

    def curvature(self, alpha: np.ndarray) -> np.ndarray:
        """Return minus the Hessian of the dual."""
        weights = self.mass / self.potential.hessian(alpha)
        return (self.basis.T * weights) @ self.basis + self.root.T @ self.root

    def step(self, alpha: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Return the Newton step."""
        return np.linalg.lstsq(self.curvature(alpha), gradient, rcond=1e-15)[0]

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


def checked_neurons(neurons, dim: int) -> tuple[np.ndarray, np.ndarray]:
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
