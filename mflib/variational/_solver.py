"""Newton's method on the dual in function space, and the solution with its certificate."""

from __future__ import annotations

import enum
import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mflib import activations, densities
from mflib._validation import dataset, finite_array
from mflib.potentials import Potential, Quadratic, check_at_zero
from mflib.variational._finite_elements import Dual, Evaluation, Field, Samples
from mflib.variational._primal_dual import approximate
from mflib.variational._quadrature import LEVELS, Level, Pieces, gauss, nodes, split

__all__ = ["Solution", "Status", "solve"]

_MAX_ITERATIONS = 60
_CHUNK = 20_000  # points that are evaluated at once, so that all of them stay in the cache


class Status(enum.Enum):
    """How a solve ended; the value is the explanation.

    References
    ----------
    :prf:ref:`relu-newton`.

    Examples
    --------
    >>> solve([0.0], [1.0]).status is Status.CONVERGED
    True
    """

    CONVERGED = "the interpolant of least representation cost, to the accuracy of its certificate"
    STALLED = (
        "Newton's method stopped short of the tolerance; `residual` and `gap` say by how much. "
        "Likely causes: data points almost on top of each other, a potential that is nearly flat "
        "or nearly singular at these magnitudes, a density that nearly vanishes between data points"
    )


def solve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
) -> Solution:
    r"""Find the function that mirror flow on an infinitely wide network learns.

    .. math::

        \min_{\alpha}\ \int D_\varphi(\alpha, 0)\, d\mu
        \quad\text{s.t.}\quad h(x_i) = \int \alpha(w, b)\,\sigma_s(w x_i - b)\, d\mu = y_i,

    with :math:`w = \pm 1` with equal probability and b from the density. For ReLU and
    ``Quadratic()`` this is Theorem 2, :math:`G_1 + G_2 + G_3`; for the absolute value it is
    Theorem 8 [1]_. Training with an *unscaled* potential has the quadratic's limit whatever the
    potential.

    Parameters
    ----------
    x : array-like, shape (m,)
        Distinct inputs, in the support of the kinks.
    y : array-like, shape (m,)
        Targets, less the network's output at initialization.
    activation : str or PiecewiseLinear
        "relu", "abs", "leaky_relu" or ``activations.leaky_relu(slope)``.
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given.
    density : frozen scipy.stats distribution, optional
        Distribution of the input biases, with a finite second moment; uniform on [-1, 1] if not
        given.

    Returns
    -------
    Solution
        The function h, with its certificate: `residual`, `gap` and `status`.

    Raises
    ------
    ValueError
        If the data are empty, of different lengths, repeated, not finite or outside the support; if
        the activation is not piecewise linear; if the potential's Hessian at 0 is zero or infinite;
        if the density has no finite variance or vanishes around three neighbouring data points.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    .. [1] :cite:t:`liang2025implicit`

    Examples
    --------
    >>> h = solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0])
    >>> h(0.1).round(6).item(), h.status.name
    (1.0, 'CONVERGED')
    >>> bool(abs(sum(h.penalties.values()) - h.cost) < 1e-9 * h.cost)
    True
    """
    potential = Quadratic() if potential is None else potential
    density = densities.of(density)
    points, y = dataset(x, y)
    sigma = _checked_model(points, activations.get(activation), potential, density)
    order = np.argsort(points[:, 0])
    dual = Dual(points[order, 0], y[order], sigma.slope, potential, density)
    _check_mass(dual)
    with _quiet():
        at, level, iterations = _maximise(dual)
    errors = dual.separate(at.gradient)
    residual = float(np.abs(errors).max())
    gap = float(abs(at.xi @ at.gradient))
    converged = residual <= dual.tolerance() and math.isfinite(at.cost) and math.isfinite(gap)
    return Solution(
        cost=at.cost,
        gap=gap,
        residual=residual,
        iterations=iterations,
        status=Status.CONVERGED if converged else Status.STALLED,
        _dual=dual,
        _xi=at.xi,
        _level=level,
        _errors=errors,
    )


def _quiet() -> np.errstate:
    """Let numbers overflow: the certificate says what came of it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _maximise(dual: Dual) -> tuple[Evaluation, Level, int]:
    """Maximise the dual; returns the optimum, seen by a finer level than the one that found it."""
    panels = sum(len(f.left) for f in dual.fields)
    xi, iterations = approximate(dual, count=4 if panels > 1000 else 16)
    *coarse, finest = itertools.pairwise(LEVELS)
    at = dual.evaluate(xi, LEVELS[0])
    for level, finer in (*coarse, finest):
        check = dual.evaluate(xi, finer)
        if (level, finer) == finest or _agree(dual, at, check):
            at, error, steps = _newton(dual, at, level, _MAX_ITERATIONS - iterations)
            iterations += steps
            if at.xi is not xi:
                xi, check = at.xi, dual.evaluate(at.xi, finer)
            if dual.error(check.gradient) <= max(0.1 * dual.tolerance(), 4 * error):
                break
        at = check
    return check, level, iterations


def _agree(dual: Dual, coarse: Evaluation, fine: Evaluation) -> bool:
    """Whether two levels see the same h."""
    difference = dual.error(coarse.gradient - fine.gradient)
    return difference <= 1e-13 * np.abs(dual.y).max() + dual.rounding()


def _newton(dual: Dual, at: Evaluation, level: Level, budget: int) -> tuple[Evaluation, float, int]:
    """Iterate until the residual stops falling; returns the best point, its residual, the steps."""
    error, scale, steps = dual.error(at.gradient), np.abs(dual.y).max(), 0
    while steps < budget and error > 2e-14 * scale:  # rounding, and far less than is promised
        steps += 1
        step = dual.solve(at.mass, at.gradient)
        if not np.isfinite(step).all():
            break
        close = error <= 1e-6 * scale  # full steps, until rounding leaves nothing to gain
        new = _damped(dual, at, step, level, tries=1 if close else 60)
        last, error_new = error, dual.error(new.gradient)
        if error_new < last or not close:
            at, error = new, error_new
        if close and not error_new <= 0.5 * last:
            break
    return at, error, steps


def _damped(dual: Dual, at: Evaluation, step, level: Level, tries: int) -> Evaluation:
    """Shorten the Newton step until the dual, along it, falls less steeply than half its rise.

    Slopes are compared, not values, which no longer differ near the optimum. Where a few large
    terms cancel in the slope, rounding hides the others: then the residual has to fall.
    """
    initial, t = at.gradient @ step, 1.0
    clear = initial > 1e3 * np.finfo(float).eps * (np.abs(dual.targets) @ np.abs(step))
    for _ in range(tries):
        trial = dual.evaluate(at.xi + t * step, level)
        fall = dual.error(trial.gradient) / dual.error(at.gradient)
        if clear and trial.gradient @ step >= -0.5 * initial:
            break
        if fall <= (0.25 if clear else 1 - 0.25 * t):
            break
        t *= 0.4
    return trial


def _checked_model(points, sigma, potential, density) -> activations.PiecewiseLinear:
    """Raise unless this solver serves the problem."""
    if points.shape[1] != 1:
        raise ValueError(
            f"x must have one input per data point, got {points.shape[1]}; "
            "use representation.solve in higher dimension."
        )
    if not isinstance(sigma, activations.PiecewiseLinear):
        raise ValueError(
            f"activation {sigma!r} is not served by variational.solve, which needs 'relu', 'abs' "
            "or a leaky ReLU; use representation.solve."
        )
    check_at_zero(potential)
    low, high = density.support()
    x = points[:, 0]
    outside = x[((x < low) | (x > high)) & ((x < -high) | (x > -low))]
    if len(outside):
        raise ValueError(
            f"x contains {outside[0]:g}, outside the support [{low:g}, {high:g}] of the density "
            "and its mirror image: no unit has its kink there, so h is straight around that point. "
            "Widen the density, rescale x, or use representation.solve, which allows it."
        )
    return sigma


def _check_mass(dual: Dual) -> None:
    """Raise if a data point cannot bend h: no kinks between its neighbours."""
    inhabited = np.zeros(len(dual.grid) - 1, dtype=bool)
    for f in dual.fields:
        inhabited[f.element] = True
    stuck = np.flatnonzero(~(inhabited[1:-2] | inhabited[2:-1]))
    if len(stuck):
        a, b = dual.x[stuck[0]], dual.x[stuck[0] + 2]
        raise ValueError(
            f"the density vanishes between x = {a:g} and x = {b:g}, so h is a straight line there "
            "and cannot pass through the data point between them; drop it or change the density."
        )


@dataclass(frozen=True, eq=False)
class Solution:
    r"""The learned function h with its certificate; returned by :func:`solve`.

    Calling it, `derivative` and `curvature` take array-likes of any shape and return arrays of that
    shape: h, h' and h''.

    Attributes
    ----------
    cost : float
        The minimum :math:`\int D_\varphi(\alpha, 0)\, d\mu`.
    gap : float
        Distance of the cost from the dual value, :math:`|\lambda\cdot(y - h(x))|`, with h from a
        finer quadrature than the solver's.
    residual : float
        Largest :math:`|h(x_i) - y_i|`, from the same finer quadrature.
    iterations : int
        Newton steps.
    status : Status
        CONVERGED if the residual is below 1e-10 of the largest target, or at the rounding of the
        data's slopes where points nearly coincide, but never above 1e-6 of the largest target.

    References
    ----------
    :cite:t:`liang2025implicit`, Theorems 2 and 8; the dual: eq. :eq:`eq-relu-dual`.

    Examples
    --------
    >>> h = solve([-0.5, 0.5], [2.0, 1.0])
    >>> h([-0.5, 0.5]).round(6).tolist(), bool(h.gap < 1e-9 * h.cost)
    ([2.0, 1.0], True)
    """

    cost: float
    gap: float
    residual: float
    iterations: int
    status: Status
    _dual: Dual = field(repr=False)
    _xi: np.ndarray = field(repr=False)
    _level: Level = field(repr=False)
    _errors: np.ndarray = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h."""
        return self._integrate(x)[0]

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h'."""
        return self._integrate(x)[1]

    @_quiet()
    def curvature(self, x: ArrayLike) -> np.ndarray:
        r"""Evaluate h'', where the density is continuous."""
        x = finite_array("x", x)
        flat, total = x.ravel(), np.zeros(x.size)
        for f in self._dual.fields:
            p = f.pdf(flat)
            there = p > 0  # elsewhere alpha may overflow
            t = flat[there]
            pieces = self._pieces(f, t, t, np.searchsorted(self._dual.x, t))
            alpha = self._dual.potential.inverse_mirror(pieces.z_left)
            total[there] += (1 - self._dual.slope) * alpha * p[there]
        return total.reshape(x.shape)

    @property
    def slopes(self) -> tuple[float, float]:
        r"""The slopes :math:`(h'(-\infty), h'(+\infty))`."""
        return float(self._table.slope[0]), float(self._table.slope[-1])

    @cached_property
    @_quiet()
    def penalties(self) -> dict[str, float]:
        r"""The terms :math:`G_1, G_2, G_3` of the cost, from h itself.

        Empty where the theorem does not split the cost: it needs ReLU, a quadratic potential and a
        symmetric density.
        """
        d, knots = self._dual, np.union1d(self._table.knots, 0.0)  # |x| in G3 has its kink at 0
        x, weight = gauss(self._level.nodes)
        half = 0.5 * np.diff(knots)[:, None]
        t, w = (0.5 * (knots[1:] + knots[:-1])[:, None] + half * x).ravel(), (half * weight).ravel()
        symmetric = np.allclose(d.density.pdf(t), d.density.pdf(-t), rtol=1e-9, atol=0)
        if d.slope != 0 or not isinstance(d.potential, Quadratic) or not symmetric:
            return {}
        bend, p = self.curvature(t), d.density.pdf(t)
        moment = (w * bend * np.abs(t)).sum() - 2 * self(0.0)
        return {
            "G1": float(w @ np.divide(bend**2, p, out=np.zeros_like(p), where=p > 0)),
            "G2": float(sum(self.slopes) ** 2),
            "G3": float(moment**2 / d.density.moment(2)),
        }

    def _pieces(self, f: Field, start: np.ndarray, stop: np.ndarray, element) -> Pieces:
        """The field from start to stop, each within one element."""
        corner = f.grid[element]
        return f.pieces(self._dual.nodal(f, self._xi), start - corner, stop - corner, element)

    def _bend(self, start, stop, element) -> tuple[np.ndarray, np.ndarray]:
        """Integrals of h'' and of (stop - t) h'' from start to stop, within knot intervals."""
        mass, moment = np.zeros(start.size), np.zeros(start.size)
        for f in self._dual.fields:
            there = f.inhabited(start, stop)  # elsewhere alpha may overflow
            pieces = self._pieces(f, start[there], stop[there], element[there])
            offset, alpha, w = nodes(pieces, self._dual.potential, self._level.nodes)
            w = (1 - self._dual.slope) * w * alpha * f.pdf(f.grid[pieces.element] + offset)
            mass[there] += w.sum(axis=0)
            moment[there] += np.einsum("nk,nk->k", w, pieces.right - offset)
        return mass, moment

    @cached_property
    @_quiet()
    def _table(self) -> _Table:
        d = self._dual
        split_fields, ends = [], [d.x]
        for f in d.fields:
            pieces = split(d.pieces(f, self._xi), d.potential, self._level)
            split_fields.append((f, pieces))
            for offset in (pieces.left, pieces.right):
                # a data point is a knot already; as an element's right end it would be rounded anew
                inner = offset != np.diff(d.grid)[pieces.element]
                ends.append((d.grid[pieces.element] + offset)[inner])
        knots = np.unique(np.concatenate(ends))
        element = np.searchsorted(d.x, knots, side="right")
        mass, moment = self._bend(knots[:-1], knots[1:], element[:-1])
        # h up to an affine function, which the values at the data fix anew in each interval
        slope = np.concatenate([[0.0], np.cumsum(mass)])
        value = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(knots) + moment)])
        missing = d.y - self._errors - value[np.searchsorted(knots, d.x)]
        if len(d.x) > 1:
            tilt = np.diff(missing) / np.diff(d.x)
        else:  # h'(-inf) = -s A_R... from the fields, since a single value fixes no slope
            tilt = np.array([self._left_slope(split_fields)])
        interval = np.clip(element - 1, 0, len(tilt) - 1)
        value += missing[interval] + tilt[interval] * (knots - d.x[interval])
        return _Table(knots, value, slope + tilt[interval], element)

    def _left_slope(self, split_fields: list[tuple[Field, Pieces]]) -> float:
        r""":math:`h'(-\infty)`, where a right-facing unit has slope s and a left-facing one −1."""
        total = 0.0
        for f, pieces in split_fields:
            slope = self._dual.slope if f.signs[0] == 1 else -1.0
            offset, alpha, w = nodes(pieces, self._dual.potential, self._level.nodes)
            total += slope * float(Samples.at(f, pieces.element, offset, w).load(alpha).sum())
        return total

    @_quiet()
    def _integrate(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate h and h': from the knot on the left, add what bends in between."""
        x = finite_array("x", x)
        result, flat, table = np.empty((2, x.size)), x.ravel(), self._table
        for first in range(0, x.size, _CHUNK):
            t = flat[first : first + _CHUNK]
            k = np.clip(np.searchsorted(table.knots, t, side="right") - 1, 0, None)
            start = np.minimum(table.knots[k], t)  # left of all knots h is a straight line
            mass, moment = self._bend(start, np.minimum(t, table.knots[-1]), table.element[k])
            h = table.value[k] + table.slope[k] * (t - table.knots[k]) + moment
            result[:, first : first + _CHUNK] = h, table.slope[k] + mass
        return result[0].reshape(x.shape), result[1].reshape(x.shape)


@dataclass(frozen=True)
class _Table:
    """h and h' at knots; between them the density is smooth and no field changes sign."""

    knots: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    element: np.ndarray  # of the interval that begins here
