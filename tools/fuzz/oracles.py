"""Independent answers: problem (P) solved once more, and the quadrature that this needs.

Nothing of mflib's solvers is used: Gauss nodes in the bias itself, on panels that are graded
towards the ends of the support, the kinks and the zeros of the field, and halved until the moments
of the density stand; the tails beyond are added by their power law. What this cannot settle, it
says.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy import linalg

from mflib import activations

_OCTAVES = np.arange(-40, 400)
_MOST_PANELS = 6000
_ROUNDS = 15


class Unsure(Exception):
    """The independent answer is not good enough to judge by."""


@dataclass
class Units:
    """Units as nodes: input weights, biases, masses."""

    w: np.ndarray
    b: np.ndarray
    mass: np.ndarray


class Quadrature:
    """Gauss nodes in the bias, for one density; `doubt` is what its mass lacks up to 1."""

    def __init__(self, density: Any, test: Callable | None = None) -> None:
        self.density, self.low, self.high = density, *map(float, density.support())
        quartiles = np.asarray(density.ppf([0.25, 0.5, 0.75]), dtype=float)
        self.scale = float(quartiles[2] - quartiles[0])
        steps = self.scale * 2.0**_OCTAVES
        steps = steps[steps < 1e110]
        self.first, self.last = self._ends(steps, quartiles[1])
        around = [c for c in (self.first, self.last, quartiles[1]) if np.isfinite(c)]
        edges = np.concatenate(
            [[self.first, self.last], *(c + np.append(-steps, steps) for c in around)]
        )
        self.edges = np.unique(edges[(edges >= self.first) & (edges <= self.last)])
        self._adapt(test)
        self._find_jumps()
        self.doubt = abs(self.nodes(np.zeros(0))[1].sum() - 1)

    def _ends(self, steps: np.ndarray, middle: float) -> tuple[float, float]:
        """Where panels end: a hair within the support, or where the density is next to nothing."""
        ends = []
        for end, sign in ((self.low, -1), (self.high, 1)):
            if np.isfinite(end):
                ends.append(end - sign * max(steps[0], 4 * np.spacing(abs(end))))
            else:
                there = np.flatnonzero(self._pdf(middle + sign * steps) > 1e-290)
                ends.append(middle + sign * steps[min(there[-1] + 1, len(steps) - 1)])
        return ends[0], ends[1]

    def _pdf(self, t: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.nan_to_num(np.asarray(self.density.pdf(t), dtype=float), posinf=0.0)

    def _adapt(self, test: Callable | None) -> None:
        """Halve the panels on which the moments, or the test functions, are not resolved."""

        def sums(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            t, weight = _gauss(left, right, 16)
            p = self._pdf(t) * weight
            u = (t - middle) / spread
            rows = [p, p * u, p * u * u, *([] if test is None else [p * test(t)])]
            return np.stack([row.reshape(-1, 16).sum(axis=1) for row in rows])

        middle, spread = float(self.density.median()), self.scale
        for _ in range(45):
            left, right = self.edges[:-1], self.edges[1:]
            half = 0.5 * (left + right)
            whole = sums(left, right)
            parts = sums(left, half) + sums(half, right)
            rough = np.abs(whole - parts) > 1e-14 * np.abs(parts).sum(axis=1, keepdims=True)
            wide = right - left > np.maximum(1e-12 * spread, 8 * np.spacing(np.abs(half)))
            rough = rough.any(axis=0) & wide
            if not rough.any() or len(left) > _MOST_PANELS:
                break
            self.edges = np.union1d(self.edges, half[rough])

    def _find_jumps(self) -> None:
        """Halve the panels whose mass the distribution knows better: nodes may not see a jump."""
        if abs(self.nodes(np.zeros(0))[1].sum() - 1) < 1e-12:
            return
        for _ in range(45):
            left, right = self.edges[:-1], self.edges[1:]
            t, weight = _gauss(left, right, 16)
            mass = (self._pdf(t) * weight).reshape(-1, 16).sum(axis=1)
            rough = np.abs(mass - np.diff(self.density.cdf(self.edges))) > 1e-13
            rough &= right - left > np.maximum(1e-13 * self.scale, 8 * np.spacing(np.abs(left)))
            if not rough.any() or rough.sum() > 200:
                break
            self.edges = np.union1d(self.edges, 0.5 * (left + right)[rough])

    def nodes(self, breaks: np.ndarray, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
        """Return biases and masses; no panel has a break inside."""
        inner = breaks[(breaks > self.first) & (breaks < self.last)]
        edges = np.union1d(self.edges, inner)
        t, weight = _gauss(edges[:-1], edges[1:], count)
        mass = weight * self._pdf(t)
        keep = mass > 0
        ends = [self._end(self.first, self.low, -1), self._end(self.last, self.high, 1)]
        places, masses = np.array(ends).T
        return np.append(t[keep], places), np.append(mass[keep], masses)

    def halved(self) -> Quadrature:
        """Return the same with panels half as wide."""
        other = copy.copy(self)
        other.edges = np.union1d(self.edges, 0.5 * (self.edges[1:] + self.edges[:-1]))
        return other

    def _end(self, end: float, support: float, sign: int) -> tuple[float, float]:
        """One node for what lies beyond the panels: its mass, or in a tail its second moment."""
        if np.isfinite(support):
            rest = self.density.cdf(end) if sign < 0 else self.density.sf(end)
            return 0.5 * (end + support), max(float(rest), 0.0)  # a rounding below, of histograms
        middle = float(self.density.median())
        far, near = end, middle + (end - middle) / 16
        p, q = self._pdf(np.array([far, near]))
        decay = np.log(q / p) / np.log(16) - 3 if p > 0 else np.inf  # of t^3 pdf(t)
        return end, float(p * abs(end) / decay) if 0 < decay < 1 else 0.0

    def mean(self, f: Callable, breaks: Any = ()) -> float:
        t, mass = self.nodes(np.asarray(breaks, dtype=float))
        return float(mass @ f(t))


def _gauss(left: np.ndarray, right: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, w = leggauss(count)
    half = 0.5 * (right - left)[:, None]
    return (left[:, None] + half * (1 + x)).ravel(), (half * w).ravel()


def features(sigma: Any, units: Units, x: np.ndarray) -> np.ndarray:
    return np.stack([sigma(units.w * point - units.b) for point in x], axis=1)


def combined(
    sigma: Any, units: Units, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Features and targets; of a broken line, for increasing x, hats and slopes of the data."""
    raw = features(sigma, units, x)
    if not isinstance(sigma, activations.PiecewiseLinear) or len(x) < 2:
        return raw, y
    t = (units.w * units.b)[:, None]
    rising, falling = (t - x[:-2]) / (x[1:-1] - x[:-2]), (x[2:] - t) / (x[2:] - x[1:-1])
    hats = (1 - sigma.slope) * np.clip(np.minimum(rising, falling), 0, None)
    width = x[-1] - x[0]
    lines = np.stack([raw[:, 0], (raw[:, -1] - raw[:, 0]) / width], axis=1)
    return np.hstack([hats, lines]), np.append(
        np.diff(np.diff(y) / np.diff(x)), [y[0], (y[-1] - y[0]) / width]
    )


class Reference:
    """Problem (P), solved by Newton's method in an orthonormal basis of the features.

    `doubt` bounds, generously, how far its values and (relative) its cost may be off.
    """

    def __init__(self, x, y, sigma, potential, quadrature: Quadrature, start=None) -> None:
        order = np.argsort(x)
        self.x, self.y, self.sigma, self.potential = x[order], y[order], sigma, potential
        self.quadrature, self.size = quadrature, float(np.abs(y).max())
        self._place([np.zeros(0)] * 2, 16)
        basis = self._scaled(combined(sigma, self.units, self.x, self.y)[0])
        self.coefficients = np.zeros(basis.shape[1])
        if start is not None:
            field = features(sigma, self.units, self.x) @ start[order]
            scale = np.sqrt(self.units.mass)
            self.coefficients = linalg.lstsq(basis * scale[:, None], scale * field)[0]
        field = self._field(self.units)
        probes = np.append(self.x, 0.5 * (self.x[1:] + self.x[:-1]))
        ends, found = [], np.full(len(probes) + 1, np.inf)
        for count in (16, 24):
            for _ in range(_ROUNDS):  # the nodes follow the zeros of the field, and it the nodes
                field = self._newton(self._replace(field, count))
                last, found = found, np.append(self(probes), self.cost)
                if (moved := self._apart(last, found)) < 1e-11:
                    break
            ends.append(found)
        far = np.abs(x).max() / min(quadrature.scale, np.ptp(x) or quadrature.scale)
        rest = quadrature.doubt + self.left + self._apart(self(self.x), self.y) + 1e-15 * far
        self.doubt = float(self._apart(*ends) + moved + rest)
        if not self.doubt < 1e-3:
            raise Unsure(f"the reference doubts itself: {self.doubt:.1e}")

    def _apart(self, first: np.ndarray, second: np.ndarray) -> float:
        """The largest difference of values at points, and that of costs, if they are there."""
        apart, m = np.abs(first - second), 2 * len(self.y) - 1
        return float(max(apart[:m].max() / self.size, *(apart[m:] / np.abs(second[m:])), 0.0))

    def _units(self, zeros: list[np.ndarray], count: int, breaks: Any = ()) -> Units:
        parts = []
        graded = self.quadrature.scale * 4.0 ** np.arange(-18, 1)
        for sign, roots in zip((1, -1), zeros, strict=True):
            # alpha is all but singular at a zero, even one that lies a little behind a kink
            special = np.append(sign * self.x, roots)[:, None] + np.append(-graded, graded)
            edges = np.concatenate(
                [special.ravel(), sign * self.x, sign * np.asarray(breaks), roots]
            )
            b, mass = self.quadrature.nodes(edges, count)
            parts.append((np.full(len(b), float(sign)), b, 0.5 * mass))
        return Units(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _replace(self, field: np.ndarray, count: int) -> np.ndarray:
        """Lay nodes anew, graded towards the zeros of the field; return the field on them."""
        zeros = []
        for sign in (1, -1):
            there = self.units.w == sign
            kinks = Units(np.full(len(self.x), float(sign)), sign * self.x, np.zeros(len(self.x)))
            b = np.append(self.units.b[there], kinks.b)  # there the field may have its peaks
            z = np.append(field[there], self._field(kinks))[np.argsort(b)]
            b = np.sort(b)
            k = np.flatnonzero(np.sign(z[1:]) * np.sign(z[:-1]) < 0)
            roots = b[k] - z[k] * ((b[k + 1] - b[k]) / (z[k + 1] - z[k]))
            zeros.append(roots[:40])
        self._place(zeros, count)
        return self._field(self.units)

    def _place(self, zeros: list[np.ndarray], count: int) -> None:
        self.zeros, self.count = zeros, count
        self.units = self._units(zeros, count)

    def _scaled(self, basis: np.ndarray) -> np.ndarray:
        if not hasattr(self, "sizes"):
            self.sizes = np.sqrt(self.units.mass @ basis**2)
        return basis / self.sizes

    def _newton(self, field: np.ndarray) -> np.ndarray:
        mass, phi = self.units.mass, self.potential
        basis, right = combined(self.sigma, self.units, self.x, self.y)
        q, r = linalg.qr(np.sqrt(mass)[:, None] * self._scaled(basis), mode="economic")
        pivots = np.abs(np.diag(r))
        if len(pivots) < len(right) or pivots.min() < 1e-13 * pivots.max():
            raise Unsure("the features are dependent up to rounding")
        rows = linalg.solve_triangular(r, self._scaled(basis).T, trans=1).T
        target = linalg.solve_triangular(r, right / self.sizes, trans=1)
        xi, alpha, self.left = _maximise(rows, mass, target, phi, q.T @ (np.sqrt(mass) * field))
        self.cost = float(mass @ phi.bregman(alpha, np.zeros(1)))
        self.coefficients = linalg.solve_triangular(r, xi)
        return rows @ xi

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Evaluate h, on nodes that know of the kinks at these points."""
        units = self._units(self.zeros, self.count, x)
        try:
            alpha = self.potential.inverse_mirror(self._field(units))
        except ValueError as refusal:  # the gradient of a user's potential does not reach so far
            raise Unsure(str(refusal)) from refusal
        return (units.mass * alpha) @ features(self.sigma, units, x)

    def _field(self, units: Units) -> np.ndarray:
        return self._scaled(combined(self.sigma, units, self.x, self.y)[0]) @ self.coefficients


def _maximise(rows, mass, target, phi, start) -> tuple[np.ndarray, np.ndarray, float]:
    """Newton's method on a concave function, with bisected steps, from the best of some starts.

    Returns the maximum, alpha at the nodes, and what is left of the gradient, relatively.
    """

    def evaluate(xi):
        with np.errstate(all="ignore"):
            z = rows @ xi
            try:
                alpha = phi.inverse_mirror(z)
            except ValueError:  # the gradient of a user's potential does not reach so far
                return -np.inf, None, None
            value = xi @ target - mass @ (z * alpha - phi.bregman(alpha, np.zeros(1)))
            gradient = target - (mass * alpha) @ rows
        good = np.isfinite(value) and np.isfinite(gradient).all()
        return (value, alpha, gradient) if good else (-np.inf, None, None)

    size = np.linalg.norm(target)
    curvatures = float(phi.hessian(np.zeros(1))[0]), float(phi.mirror(np.array([size]))[0] / size)
    starts = [start, *(c * target for c in curvatures), 0 * target, 1e-3 * curvatures[0] * target]
    xi = max(starts, key=lambda xi: evaluate(xi)[0] if np.isfinite(xi).all() else -np.inf)
    value, alpha, gradient = evaluate(xi)
    if alpha is None:
        raise Unsure("no multipliers to begin with")
    for _ in range(100):
        left = np.linalg.norm(gradient)
        if left <= 1e-15 * size:
            break
        hessian = (rows * (mass / phi.hessian(alpha))[:, None]).T @ rows
        step = linalg.lstsq(hessian, gradient)[0]
        for length in 0.5 ** np.arange(50):
            new = evaluate(xi + length * step)
            closer = new[2] is not None and np.linalg.norm(new[2]) < (1 - 0.1 * length) * left
            if closer or new[0] > value + 1e-4 * length * (gradient @ step):
                break
        else:
            break
        xi, (value, alpha, gradient) = xi + length * step, new
    return xi, alpha, float(np.linalg.norm(gradient) / size)


def diverges(quadrature: Quadrature, f: Callable) -> bool:
    """Whether t p(t) f(t) grows along a tail: then the mean of f, of a few powers, is infinite.

    A pdf that has underflowed after a million of its widths has all moments.
    """
    middle = float(quadrature.density.median())
    for end, last in ((quadrature.low, quadrature.first), (quadrature.high, quadrature.last)):
        if not np.isfinite(end) and abs(last - middle) > 1e6 * quadrature.scale:
            reach = np.clip(last - middle, -1e60, 1e60)  # beyond, fourth powers overflow
            t = middle + reach * np.array([1 / 16, 1 / 4])
            near, far = np.abs(t) * quadrature._pdf(t) * f(t)
            if far > near > 0:
                return True
    return False


def heavy_tailed(density: Any, sigma: Callable) -> bool:
    """Whether no exponential of sigma(-b) can be integrated: -log p grows slower than any line.

    Where sigma stays bounded, as that of ReLU units far to the right, nothing needs to.
    """
    quadrature = Quadrature(density)
    middle = float(density.median())
    for end, last in ((quadrature.low, quadrature.first), (quadrature.high, quadrature.last)):
        grows = abs(float(sigma(np.array([-np.copysign(1e9, end)]))[0])) > 1e3
        if not np.isfinite(end) and grows:
            p = quadrature._pdf(middle + (last - middle) * np.array([0.125, 0.25]))
            near, far = -np.log(p) if p.min() > 0 else (1.0, 2.0)
            # twice as much for an exponential, four times for a Gaussian; near 1 it is no tail yet
            if 50 < far < 1.8 * near:
                return True
    return False
