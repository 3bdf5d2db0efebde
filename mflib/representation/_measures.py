"""Measures on neurons as weighted nodes, refined where they are seen to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike

from mflib import activations
from mflib._validation import finite_array
from mflib.potentials import Local, Potential, check_at_zero, check_where_used, under
from mflib.representation._panels import (
    ENDS,
    MAX_REFINEMENTS,
    NODES,
    TO_ENDS,
    WEIGHTS,
    Panels,
    gauss_masses,
    grid_of,
    is_short,
    pdf_at,
    rounding,
)
from mflib.representation._tails import diverges

_LAST = np.linalg.inv(legvander(NODES, 9))[8:]  # from values at nodes to Legendre coefficients
_MOST_PANELS = 4_000  # and a hundred for each datum
# from a place at which a smooth unit turns: Gauss's rule is exact to rounding between these
_TURN = np.concatenate([-(2.0 ** np.arange(6, -3, -1)), [0.0], 2.0 ** np.arange(-2, 7)])
_LOWER, _UPPER = slice(None, -1), slice(1, None)


@dataclass(frozen=True, eq=False)
class Nodes:
    """A measure on neurons as N weighted points."""

    weight: np.ndarray  # (N, D)
    bias: np.ndarray  # (N,)
    mass: np.ndarray  # (N,)


class Measure:
    """The measure of problem (P), which knows how to become nodes.

    Points, and the biases of its nodes, are measured from its origin.
    """

    origin = 0.0

    def __init__(self, points, sigma, potential) -> None:
        self.points, self.sigma, self.potential = points, sigma, potential

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        """Return nodes that integrate activations with kinks at these points, too."""
        raise NotImplementedError

    def adapt(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> bool:
        """Refine the nodes for multipliers, shape (m,) or (k, m); return whether that was needed.

        The tolerance is for the mass of alpha, relative to that of its absolute value.
        """
        raise NotImplementedError

    def tail(self, multipliers: np.ndarray) -> np.ndarray:
        """Return what the outermost nodes add to h at the data, if the measure goes on there.

        One number for each row of multipliers, shape (m,) or (k, m); infinite where what is
        beyond has no integral.
        """
        raise NotImplementedError

    def features(self, nodes: Nodes, points: np.ndarray) -> np.ndarray:
        """Return sigma(w . x - b), shape (N, len(points))."""
        return self.sigma(nodes.weight @ points.T - nodes.bias[:, None])

    def places(self, nodes: Nodes) -> np.ndarray | None:
        """Return where units turn, if the potential is to be asked for there."""
        return None

    def potential_at(self, places: np.ndarray | None) -> Potential:
        return self.potential

    def alpha(self, nodes: Nodes, multipliers: np.ndarray) -> np.ndarray:
        z = self.features(nodes, self.points) @ multipliers
        return self._potential_of(nodes, z).inverse_mirror(z)

    def _potential_of(self, nodes: Nodes, values: np.ndarray) -> Potential:
        """Return the potential of each node, for values of shape (N,) or (N, k)."""
        places = self.places(nodes)
        if places is not None and values.ndim > 1:
            places = places[:, None]
        return self.potential_at(places)

    def check_potential(self, multipliers: np.ndarray) -> None:
        """Raise if the methods of the potential do not fit each other at the coefficients."""

        def places() -> Iterator[tuple]:
            nodes = self.nodes()
            alpha = self.alpha(nodes, multipliers)
            yield self._potential_of(nodes, alpha), alpha

        check_where_used(self.potential, places)

    # Several functions at once have multipliers of shape (m, k), one in each column.

    def cost(self, multipliers: np.ndarray) -> np.ndarray:
        """Return the integral of the divergence of alpha from 0, shape () or (k,)."""
        nodes = self.nodes()
        alpha = self.alpha(nodes, multipliers)
        phi = self._potential_of(nodes, alpha)
        divergence = phi.bregman(alpha, np.zeros(1))
        # where a square overflows far out, with hardly any mass: it is at most alpha z
        bound = alpha * phi.mirror(alpha)
        return nodes.mass @ np.where(np.isfinite(divergence), divergence, bound)

    def evaluate(self, multipliers: np.ndarray, x: ArrayLike) -> np.ndarray:
        """Return h at new inputs of shape (), (n,) or (n, D): shape (n,) or (n, k)."""
        return self._at(self.integrate, multipliers, x)

    def derivative(self, multipliers: np.ndarray, x: ArrayLike) -> np.ndarray:
        """Return h' there, of the same shape; for D > 1 gradients, (n, D) or (n, D, k)."""
        return self._at(self.integrate_slope, multipliers, x)

    def _at(self, integrate: Callable, multipliers: np.ndarray, x: ArrayLike) -> np.ndarray:
        """Integrate for new inputs, part by part to save memory."""
        given, dim = finite_array("x", x), self.points.shape[1]
        points = given.reshape(-1, 1) if dim == 1 and given.ndim < 2 else given
        if points.ndim != 2 or points.shape[1] != dim:
            raise ValueError(
                f"x must have shape (k, {dim}){' or (k,)' * (dim == 1)}, got {given.shape}."
            )
        parts = np.array_split(points - self.origin, -(-len(points) // 256) or 1)
        values = np.concatenate([integrate(multipliers, part) for part in parts])
        return values if given.ndim else values[0]

    def integrate(self, multipliers: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return h at the points."""
        nodes = self.nodes(points)
        moved = nodes.mass * self.alpha(nodes, multipliers).T
        return (moved @ self.features(nodes, points)).T

    def integrate_slope(self, multipliers: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return h' at the points: of sigma(w . x - b) it is sigma' w."""
        nodes = self.nodes(points)
        moved = nodes.mass * self.alpha(nodes, multipliers).T
        turned = self.sigma.derivative(nodes.weight @ points.T - nodes.bias[:, None])
        parts = [((moved * w) @ turned).T for w in nodes.weight.T]
        return np.stack(parts, axis=1) if len(parts) > 1 else parts[0]


class Neurons(Measure):
    """The empirical measure of a network's own neurons."""

    def __init__(self, points, sigma, potential, weight, bias) -> None:
        super().__init__(points, sigma, potential)
        self.empirical = Nodes(weight, bias, np.full(len(bias), 1 / len(bias)))

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        return self.empirical

    def adapt(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> bool:
        return False

    def tail(self, multipliers: np.ndarray) -> np.ndarray:
        return np.zeros(multipliers.shape[:-1])


class Biases(Measure):
    r"""w = ±1 and b from a density: Gauss panels in the place t = wb at which a unit turns.

    With these, :math:`\sigma(wx - b) = \sigma(w(x - t))`: data far from zero beside their spread
    and the density's cost no digits if x and t are measured from an origin among them. Where the
    size of a weight depends on its kink, scale says how.
    """

    edges: list[np.ndarray]  # places of w = 1 and of w = -1, increasing
    _present: Nodes | None  # the nodes of these panels, once they are known

    def __init__(self, x, sigma, potential, density, scale: Callable | None = None) -> None:
        self.density, self.unit, self.scale = density, float(density.std()), scale
        grid = grid_of(density, self.unit)
        middle, near = 0.5 * (x.min() + x.max()), 10 * (np.ptp(x) + self.unit)
        apart = abs(abs(middle) - abs(np.median(grid.edges)))
        self.origin = middle if apart < near < 0.1 * abs(middle) else 0.0
        super().__init__((x - self.origin)[:, None], sigma, potential)
        self._set([self._with(edges, self.points[:, 0]) for edges in self._both(grid.edges)])
        self.beyond = self._both(grid.beyond)
        self.is_open = [grid.is_open, grid.is_open[::-1]]
        self.outermost = grid.outermost

    def places(self, nodes: Nodes) -> np.ndarray | None:
        return None if self.scale is None else nodes.weight[:, 0] * nodes.bias + self.origin

    def potential_at(self, places: np.ndarray | None) -> Potential:
        if places is None or self.scale is None:
            return self.potential
        return Local(self.potential, self.scale(places))

    def _both(self, b: np.ndarray) -> list[np.ndarray]:
        """Return the places, from the origin, of units with these biases and w = 1, w = -1."""
        return [b - self.origin, -b[::-1] - self.origin]

    def _with(self, edges: np.ndarray, kinks: np.ndarray) -> np.ndarray:
        """Add kinks to the panel edges, but none that is an edge already up to rounding."""
        kinks = np.unique(kinks[(edges[0] < kinks) & (kinks < edges[-1])])
        kinks = kinks[np.append(~is_short(kinks[:-1], kinks[1:], self.unit), True)[: len(kinks)]]
        after = np.searchsorted(edges, kinks)
        near = [
            is_short(edges[after - 1], kinks, self.unit),
            is_short(kinks, edges[after], self.unit),
        ]
        return np.union1d(edges, kinks[~np.logical_or(*near)])

    def _turns(self, edges: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return kinks of units at x, or places about which smooth ones turn on wide panels."""
        if isinstance(self.sigma, activations.PiecewiseLinear):
            return x
        turns = (x[:, None] + _TURN).ravel()
        after = np.searchsorted(edges, turns).clip(1, len(edges) - 1)
        return np.append(x, turns[edges[after] - edges[after - 1] > 0.5])

    def _panels(self, edges: list[np.ndarray]) -> Panels:
        """Return the panels between these edges, of both sides."""
        side = np.repeat([1.0, -1.0], [len(e) - 1 for e in edges])
        return Panels(side, *(np.concatenate([e[s] for e in edges]) for s in (_LOWER, _UPPER)))

    def nodes(self, kinks: np.ndarray | None = None) -> Nodes:
        edges = self.edges
        if kinks is not None:
            edges = [self._with(e, self._turns(e, kinks[:, 0])) for e in self.edges]
        if self._present is None:
            panels = self._panels(self.edges)
            self._present = self._nodes(panels, NODES, self._masses(panels))
        if all(len(a) == len(b) for a, b in zip(edges, self.edges, strict=True)):
            return self._present
        panels = self._panels(edges)
        return self._nodes(panels, NODES, self._masses(panels))

    def _set(self, edges: list[np.ndarray]) -> None:
        self.edges, self._present = edges, None

    def _masses(self, panels: Panels) -> np.ndarray:
        """Return the mass at each Gauss node, shape (n, 10)."""
        side, low, high = panels
        low, high = low + self.origin, high + self.origin
        right = side > 0
        b_low, b_high = np.where(right, low, -high), np.where(right, high, -low)
        masses = 0.5 * gauss_masses(self.density, b_low, b_high, self.unit)
        return np.where(right[:, None], masses, masses[:, ::-1])

    def _nodes(self, panels: Panels, at: np.ndarray, masses: np.ndarray) -> Nodes:
        """Return nodes at places of the panels between -1 and 1."""
        weight = np.repeat(panels.side, len(at))
        return Nodes(weight[:, None], weight * panels.places(at).ravel(), masses.ravel())

    def adapt(self, multipliers: np.ndarray, tolerance: float = 1e-14) -> bool:
        several, before = np.atleast_2d(multipliers).T, self._size()
        self._refine(several, tolerance)
        if any(map(len, self.beyond)) and self._goes_on(several):
            self._set([np.union1d(*pair) for pair in zip(self.edges, self.beyond, strict=True)])
            self.beyond = [np.zeros(0), np.zeros(0)]
            self._refine(several, tolerance)
        return self._size() > before

    def _size(self) -> int:
        return sum(map(len, self.edges))

    def _goes_on(self, several: np.ndarray) -> bool:
        """Whether the outermost nodes are more than rounding in h at the data."""
        nodes = self.nodes()
        features = np.abs(self.features(nodes, self.points))
        with np.errstate(over="ignore", invalid="ignore"):
            total = features.T @ (nodes.mass[:, None] * np.abs(self.alpha(nodes, several)))
        outside = np.maximum(self.tail(several.T), self._further(several))
        return not (outside <= 1e-16 * total.max(axis=0)).all()

    def _further(self, several: np.ndarray) -> np.ndarray:
        """Return the most that alpha sigma has in one doubling of the distance, further out."""
        places = np.concatenate(self.beyond)
        weight = np.repeat([1.0, -1.0], list(map(len, self.beyond)))
        nodes = Nodes(weight[:, None], weight * places, np.zeros(0))
        mass = np.abs(places) * pdf_at(self.density, weight * (places + self.origin))
        with np.errstate(over="ignore", invalid="ignore"):
            moved = np.abs(self.alpha(nodes, several)) * mass[:, None]
            parts = np.abs(self.features(nodes, self.points)).T @ moved
        return np.where(np.isfinite(parts), parts, np.inf).max(axis=0)

    def _diverges(self, several: np.ndarray) -> np.ndarray:
        """Tell, for each column, whether z alpha has no integral in some tail of the density."""
        b = np.tile(self.outermost, (2, 1))
        weight = np.repeat([1.0, -1.0], 2)[:, None] * np.ones(3)
        nodes = Nodes(weight.reshape(-1, 1), (b - weight * self.origin).ravel(), np.zeros(0))
        features, p = self.features(nodes, self.points), self.unit * pdf_at(self.density, b)
        z = (features @ several).reshape(4, 3, -1)
        size = (np.abs(features) @ np.abs(several)).reshape(4, 3, -1)
        if self.scale is not None:
            tau = self.scale(b)
            p, z, size = p / tau**2, z * tau[:, :, None], size * tau[:, :, None]
        tails = np.flatnonzero(np.isfinite(b).all(axis=1))
        return np.array(
            [
                any(diverges(p[i], z[i, :, k], self.potential, size[i, :, k]) for i in tails)
                for k in range(several.shape[1])
            ]
        )

    def tail(self, multipliers: np.ndarray) -> np.ndarray:
        panels, count = self._panels(self.edges), np.cumsum([len(e) - 1 for e in self.edges])
        ends = np.array([0, count[0] - 1, count[0], count[1] - 1])
        outer = panels.only(ends)
        masses = np.zeros((4, len(NODES)))
        masses[[0, 2], 0], masses[[1, 3], -1] = 1.0, 1.0
        masses *= self._masses(outer) * np.concatenate(self.is_open)[:, None]
        nodes = self._nodes(outer, NODES, masses)
        several = np.atleast_2d(multipliers).T
        with np.errstate(over="ignore", invalid="ignore"):
            moved = masses.reshape(-1, 1) * self.alpha(nodes, several)
            parts = np.abs(self.features(nodes, self.points)).T @ np.abs(moved)
        most = np.where(np.isfinite(parts), parts, np.inf).max(axis=0)
        most[self._diverges(several)] = np.inf
        return most.reshape(multipliers.shape[:-1])

    def _refine(self, several: np.ndarray, tolerance: float) -> None:
        """Halve panels until it makes no difference; what is smooth is not looked at again."""
        panels, scale = self._panels(self.edges), None
        for _ in range(MAX_REFINEMENTS):
            if self._size() > _MOST_PANELS + 100 * len(self.points):
                break  # alpha is noise: the certificate will say so
            rough, scale = self._rough(panels, several, tolerance, scale)
            if not rough.any():
                break
            left, right = panels.only(rough).halves()
            middle = [left.high[left.side == side] for side in (1, -1)]
            self._set([np.union1d(*pair) for pair in zip(self.edges, middle, strict=True)])
            panels = Panels(*map(np.append, left, right))

    def _rough(self, panels: Panels, several: np.ndarray, tolerance: float, scale=None) -> tuple:
        """Tell on which panels the halves and the whole disagree on the mass of alpha.

        Returns that, and the mass of |alpha| with which errors are compared.
        """
        masses, alpha = self._masses(panels), self._alpha_in(panels, NODES, several)
        whole = np.einsum("pn,pnk->pk", masses, alpha)
        scale = np.abs(whole).sum(axis=0) if scale is None else scale
        error = self._hidden(panels, masses, alpha, several)
        unsure = (_guess(masses, alpha) > 0.01 * tolerance * scale).any(axis=1)
        halves = Panels(*map(np.append, *panels.only(unsure).halves()))
        parts = np.einsum(
            "pn,pnk->pk", self._masses(halves), self._alpha_in(halves, NODES, several)
        ).reshape(2, -1, several.shape[1])
        error[unsure] = np.fmax(error[unsure], np.abs(whole[unsure] - parts.sum(axis=0)))
        rough = (error > tolerance * scale).any(axis=1) & np.isfinite(whole).all(axis=1)
        rough &= ~is_short(panels.low, panels.high, self.unit)
        noise = self._noise(panels.only(rough), masses[rough], alpha[rough], several)
        rough[rough] = (error[rough] > tolerance * scale + noise).any(axis=1)
        return rough, scale

    def _alpha_in(self, panels: Panels, at: np.ndarray, several: np.ndarray) -> np.ndarray:
        """Return alpha at places in panels, shape (n, at, k)."""
        alpha = self.alpha(self._nodes(panels, at, np.zeros(0)), several)
        return alpha.reshape(len(panels.low), len(at), several.shape[1])

    def _noise(self, panels: Panels, masses, alpha, several: np.ndarray) -> np.ndarray:
        """Return what rounding in z and in the pdf does to the mass of alpha, shape (n, k)."""
        features = np.abs(self.features(self._nodes(panels, NODES, masses), self.points))
        blur = 1e-15 * (features @ np.abs(several)).reshape(alpha.shape)
        phi = self.potential_at((panels.places(NODES) + self.origin)[:, :, None])
        blur = np.einsum("pn,pnk->pk", masses, blur / phi.hessian(alpha))
        low, high = panels.low + self.origin, panels.high + self.origin
        steep = rounding(masses, low, high, self.unit)
        return blur + steep[:, None] * np.abs(alpha).max(axis=1)

    def _hidden(self, panels: Panels, masses, alpha, several: np.ndarray) -> np.ndarray:
        """Mass of alpha that a kink or jump between an edge and the node next to it hides."""
        inner = np.einsum("pnk,ne->pek", (masses / WEIGHTS)[:, :, None] * alpha, TO_ENDS)
        b = panels.side[:, None] * (panels.places(ENDS) + self.origin)
        pdf = 0.25 * (panels.high - panels.low)[:, None] * pdf_at(self.density, b)
        with np.errstate(invalid="ignore"):  # a pdf that is infinite at an edge
            apart = np.abs(pdf[:, :, None] * self._alpha_in(panels, ENDS, several) - inner)
        return apart.max(axis=1) * (1 - NODES[-1])


def _guess(masses: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Guess how far Gauss's rule is off by the last coefficients c that its nodes see.

    For an analytic integrand of size f that is c²/f, the rule being exact to twice the degree, and
    c for a rough one; between them the guess is on the large side, where it matters.
    """
    f = (masses / WEIGHTS)[:, :, None] * alpha
    last, size = np.abs(np.einsum("pnk,cn->pck", f, _LAST)).max(axis=1), np.abs(f).max(axis=1)
    return 2 * last * np.sqrt(last / np.where(size > 0, size, 1.0))


def measure_on(
    points: np.ndarray, activation, potential, density, neurons: tuple[ArrayLike, ArrayLike] | None
) -> Measure:
    """Check what describes a measure, and make it."""
    sigma = activations.get(activation)
    activations.check_activation(sigma)
    check_at_zero(potential)
    measure = _described(points, sigma, potential, density, neurons)
    if not np.isfinite(measure.features(measure.nodes(), measure.points)).all():
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
    potential, density, scale = under(potential, density)
    if scale is not None and not isinstance(sigma, activations.PiecewiseLinear):
        raise ValueError(
            f"activation {sigma!r} is not piecewise linear, so kinks and sizes of weights do not "
            "say what a unit does; use 'relu', 'abs' or a leaky ReLU, or pass neurons=(w, b)."
        )
    return Biases(points[:, 0], sigma, potential, density, scale)


def out_of_reach(measure: Measure, y: np.ndarray, *, exactly: bool = True) -> str | None:
    """Say which target h misses whatever the coefficients are, if one is seen to be such.

    y : shape (m,) or (m, k)
    exactly : whether the others must be met, and not only approached, as with a ridge
    """
    nodes, y = measure.nodes(), y.reshape(len(y), -1)
    norms = np.sqrt(nodes.mass @ measure.features(nodes, measure.points) ** 2)
    unseen = (norms <= 1e-13 * norms.max())[:, None] & _counts(y)
    if unseen.any():
        datum, target = np.argwhere(unseen)[0]
        point = np.array2string((measure.points[datum] + measure.origin).squeeze())
        return (
            f"x contains {point}, where no unit responds: sigma(w . x - b) vanishes there for all "
            f"w and b, and h with it, but the target is {y[datum, target]:g}. Widen the density, "
            "add neurons, or leave the point out."
        )
    straight = isinstance(measure.sigma, activations.PiecewiseLinear)
    if exactly and straight and isinstance(measure, Biases):
        return _not_straight(measure, y)
    return None


def _counts(errors: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
    """Tell which entries are more than rounding beside the targets of their column."""
    return np.abs(errors) > 1e-8 * np.abs(errors if y is None else y).max(axis=0)


def _not_straight(measure: Biases, y: np.ndarray) -> str | None:
    """Say so if three data on one side of all kinks are not on a line."""
    first, last = min(e[0] for e in measure.edges), max(e[-1] for e in measure.edges)
    u, index = np.unique(measure.points[:, 0], return_inverse=True)
    means = np.array([np.bincount(index, column) for column in y.T]).T / np.bincount(index)[:, None]
    for beyond in (u <= first, u >= last):
        line = np.column_stack([np.ones(beyond.sum()), u[beyond] / np.abs(u).max(initial=1e-300)])
        rest = means[beyond] - line @ np.linalg.lstsq(line, means[beyond])[0]
        if _counts(rest, y).any():
            named = ", ".join(f"{place:g}" for place in u[beyond][:3] + measure.origin)
            return (
                f"x contains {named} on one side of all kinks, which lie between "
                f"{first + measure.origin:g} and {last + measure.origin:g}: h is straight there, "
                f"but the targets of these {beyond.sum()} points are not on a line. Widen the "
                "density, or rescale x."
            )
    return None


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
