"""The solution in function space: h and its derivatives from the dual's coefficients."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import finite_array
from mflib.potentials import Quadratic
from mflib.variational._data import Data
from mflib.variational._dual import DiscreteDual
from mflib.variational._enclosure import Enclosure
from mflib.variational._finite_elements import Assembly, Orientation
from mflib.variational._quadrature import (
    Level,
    Pieces,
    Varying,
    coefficients,
    gauss,
    gauss_rule,
    split,
)
from mflib.variational._sensitivity import Sensitivity
from mflib.variational._smoothing import Point

_CHUNK = 20_000  # points that are evaluated at once, so that all of them stay in the cache


def allow_overflow() -> np.errstate:
    """Let numbers overflow: the certificate says what came of it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class Status(enum.Enum):
    """How a solve ended; the value is the explanation.

    References
    ----------
    :prf:ref:`relu-newton`.

    Examples
    --------
    >>> from mflib import variational
    >>> variational.solve([0.0], [1.0]).status is Status.CONVERGED
    True
    """

    CONVERGED = (
        "the interpolant of least representation cost, with a ridge that of least cost and misfit "
        "together, to the accuracy of its certificate"
    )
    STALLED = (
        "no promise: `residual` and `gap` say how far Newton's method came. Likely causes where "
        "they are large: data points almost on top of each other, a potential that is nearly flat "
        "or nearly singular at these magnitudes, a density that nearly vanishes between points. "
        "Where they are small the integrals are not those of the density: its tail goes beyond "
        "double precision, or grows against the potential so that no minimiser exists, or inputs "
        "are far from zero beside its spread. Choose lighter tails, add a quadratic "
        "(potentials.Regularized), or shift the inputs with their density"
    )

    def __repr__(self) -> str:
        return f"Status.{self.name}"  # the explanation has several lines


@dataclass(frozen=True, eq=False)
class Solution:
    r"""The learned function h with its certificate; returned by :func:`solve`.

    Calling it, `derivative` and `curvature` take array-likes of any shape and return arrays of that
    shape: h, h' and h''. A solution equals only itself.

    Attributes
    ----------
    cost : float
        :math:`\int D_\varphi(\alpha, 0)\, d\mu`, without a ridge the minimum of the problem.
    gap : float
        Distance of the cost from the dual value, :math:`|\lambda\cdot(y - h(x))|`. With a ridge,
        that of cost and misfit together; then the error of h at the data is at most
        :math:`\sqrt{2\,\mathrm{gap}}` in the norm of :math:`R^{-1}`. All with h from a finer
        quadrature than the solver's.
    residual : float
        Largest :math:`|h(x_i) - y_i|`, with a ridge :math:`|h(x_i) + R_i \lambda_i - y_i|`, from
        the same finer quadrature; of repeated inputs the mean counts.
    iterations : int
        Newton steps.
    status : Status
        CONVERGED if the residual is below 1e-10 of the largest target, or at the rounding of the
        data's slopes where points nearly coincide, but never above 1e-6 of the largest target; with
        a ridge, if :math:`\sqrt{2\,\mathrm{gap}}` is at most 1e-8 of the targets' size in the norm
        of :math:`R^{-1}`, and the residual where there is no ridge at most 1e-8 of the largest
        target; and if the quadrature has the mass, mean and variance of the density to 5e-10, and
        the integrals go on beyond it by no more than 1e-10.
    ridge : float or ndarray, shape (m,)
        The ridge.

    References
    ----------
    :cite:t:`liang2025implicit`, Theorems 2 and 8; the dual: eq. :eq:`eq-relu-dual`.

    Examples
    --------
    >>> from mflib import variational
    >>> h = variational.solve([-0.5, 0.5], [2.0, 1.0])
    >>> h([-0.5, 0.5]).round(6).tolist(), bool(h.gap < 1e-9 * h.cost)
    ([2.0, 1.0], True)
    """

    cost: float
    gap: float
    residual: float
    iterations: int
    status: Status
    ridge: float | np.ndarray
    _data: Data = field(repr=False)
    _dual: DiscreteDual = field(repr=False)
    _point: Point = field(repr=False)
    _level: Level = field(repr=False)

    @property
    def fitted(self) -> np.ndarray:
        """The values of h at the data, shape (m,)."""
        return self._point.values[self._data.group]

    @cached_property
    def multipliers(self) -> np.ndarray:
        r"""The optimal :math:`\lambda`, shape (m,), in the order of the data."""
        d, own = self._data, self._point.multipliers[self._data.group]
        if len(d.x) == len(d.group):
            return own
        smoothed = (d.targets - self.fitted) / np.where(d.ridges > 0, d.ridges, 1.0)
        rest = self._point.multipliers - np.bincount(d.group, smoothed * (d.ridges > 0), len(d.x))
        return np.where(d.ridges > 0, smoothed, rest[d.group])

    @cached_property
    def _sensitivity(self) -> Sensitivity:
        return Sensitivity(self._data, self._dual, self._point.at, self._level)

    @allow_overflow()
    def jacobian(self, t: ArrayLike) -> np.ndarray:
        r"""Return the derivatives of h with respect to the targets.

        Parameters
        ----------
        t : array-like, shape (n,)

        Returns
        -------
        ndarray, shape (n, m)
            :math:`\partial h(t_k) / \partial y_i`. For the quadratic h is linear in y, and this
            times y is h; for other potentials it holds for small changes.

        Notes
        -----
        With independent errors of standard deviation s, h(t) has to first order the standard error
        s times the norm of its row.

        References
        ----------
        :ref:`real-data`

        Examples
        --------
        >>> from mflib import variational
        >>> h = variational.solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0], ridge=0.01)
        >>> bool(abs(h.jacobian([0.3]) @ [0.0, 1.0, 0.0] - h([0.3])) < 1e-12)
        True
        """
        t = finite_array("t", t)
        if t.ndim != 1:
            raise ValueError(f"t must have shape (n,), got {t.shape}; flatten it.")
        return self._sensitivity.jacobian(t)

    @property
    @allow_overflow()
    def leverages(self) -> np.ndarray:
        r""":math:`H_{ii} = \partial h(x_i) / \partial y_i`, shape (m,): 1 where h interpolates."""
        return 1 - self._sensitivity.complements

    @property
    def degrees_of_freedom(self) -> float:
        r"""The sum of the leverages: of covariances of fitted values and targets, by variance.

        By Stein's lemma that is exact for independent normal errors, whatever the potential, once
        it is averaged over them.
        """
        return float(self.leverages.sum())

    @cached_property
    @allow_overflow()
    def leave_one_out(self) -> np.ndarray:
        r"""The residuals :math:`y_i - h^{(-i)}(x_i)` of what the other data say, shape (m,).

        They are :math:`(y_i - h(x_i)) / (1 - H_{ii})`: exact for the quadratic potential, where h
        is linear in y, and first order otherwise. Each of repeated inputs is left out by itself.
        """
        return self._sensitivity.leave_one_out(self.multipliers, self._data.targets - self.fitted)

    @cached_property
    @allow_overflow()
    def gcv(self) -> float:
        r"""Generalized cross-validation :math:`m \sum_i w_i r_i^2 / (m - \sum_i H_{ii})^2`.

        The weights are in proportion to :math:`1/R_i`, with mean 1; without a ridge it is the limit
        of a ridge that vanishes, and nan where some data have one and others have none.
        Introduced by :cite:t:`craven1979smoothing` for linear smoothers.
        """
        return self._sensitivity.gcv(self.multipliers)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h."""
        return self._integrate(x)[0]

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h'."""
        return self._integrate(x)[1]

    @allow_overflow()
    def curvature(self, x: ArrayLike) -> np.ndarray:
        r"""Evaluate h'', where the density is continuous."""
        x = finite_array("x", x)
        flat, total = x.ravel(), np.zeros(x.size)
        for o in self._dual.orientations:
            p = o.pdf(flat)
            there = p > 0  # elsewhere alpha may overflow
            t = flat[there]
            pieces = self._pieces(o, t, t, np.searchsorted(self._dual.x, t))
            alpha = self._dual.potential_at(t).inverse_mirror(pieces.z_left)
            total[there] += (1 - self._dual.slope) * alpha * p[there]
        return total.reshape(x.shape)

    def certify(
        self, interval: ArrayLike | None = None, *, targets: ArrayLike | None = None
    ) -> Enclosure:
        r"""Prove how near h is to the minimiser, by ball arithmetic.

        The bound holds for the function of the stored multipliers, with every rounding, quadrature
        and tail enclosed. Needs ``pip install 'mflib[certify]'``.

        Parameters
        ----------
        interval : pair of floats, optional
            Where; between the smallest and the largest input if not given.
        targets : array-like, shape (m,), optional
            Those whose minimiser is meant, if not the solution's own: how far h is from what other
            data ask for.

        Returns
        -------
        Enclosure

        Raises
        ------
        ModuleNotFoundError
            If python-flint is missing.
        NotImplementedError
            If potential or density have no enclosure: served are quadratic, powers and hypentropies
            with a quadratic part, and uniform, normal and truncated normal densities.
        ValueError
            If the interval is none, the targets are not m numbers, or no bound is finite.

        References
        ----------
        :prf:ref:`pd-bound`

        Notes
        -----
        The precision of python-flint belongs to the whole process: it is set while this runs and
        put back, and threads take turns.

        Examples
        --------
        >>> from mflib import variational
        >>> h = variational.solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0])
        >>> h.certify((-1.0, 1.0)).bound < 1e-12
        True
        """
        ends = None if interval is None else _checked_interval(interval)
        if isinstance(self._dual.varying, Varying):
            raise NotImplementedError(
                "density is a layer whose weights depend on their kinks, which has no enclosure: "
                "certify serves stats.uniform, stats.norm and stats.truncnorm."
            )
        if not (
            np.isfinite(self._point.at.xi).all() and np.isfinite(self._point.multipliers).all()
        ):
            raise ValueError("the solution has multipliers that are not finite; nothing is proved.")
        from mflib.variational._proof import Problem, certify  # python-flint is an extra

        data = self._data
        if targets is not None:
            values = finite_array("targets", targets)
            if values.shape != data.targets.shape:
                raise ValueError(
                    f"targets must have shape {data.targets.shape}, one for each datum, got shape "
                    f"{values.shape}."
                )
            data = replace(data, targets=values)
        stored = Problem(data, self._dual, self._point.at.xi, self._point.multipliers)
        return certify(stored, ends)

    @property
    def slopes(self) -> tuple[float, float]:
        r"""The slopes :math:`(h'(-\infty), h'(+\infty))`."""
        return float(self._table.slope[0]), float(self._table.slope[-1])

    @cached_property
    @allow_overflow()
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
        curvature, p = self.curvature(t), d.density.pdf(t)
        moment = (w * curvature * np.abs(t)).sum() - 2 * self(0.0)
        return {
            "G1": float(w @ np.divide(curvature**2, p, out=np.zeros_like(p), where=p > 0)),
            "G2": float(sum(self.slopes) ** 2),
            "G3": float(moment**2 / d.density.moment(2)),
        }

    def _pieces(self, o: Orientation, start: np.ndarray, stop: np.ndarray, element) -> Pieces:
        """The field from start to stop, each within one element."""
        corner = o.grid[element]
        return o.pieces(
            self._dual.nodal_values(o, self._point.at.xi), start - corner, stop - corner, element
        )

    def _integrate_curvature(self, start, stop, element) -> tuple[np.ndarray, np.ndarray]:
        """Integrals of h'' and of (stop - t) h'' from start to stop, within knot intervals."""
        rise, moment = np.zeros(start.size), np.zeros(start.size)
        for o in self._dual.orientations:
            there = o.in_support(start, stop)  # elsewhere alpha may overflow
            pieces = self._pieces(o, start[there], stop[there], element[there])
            rule = gauss_rule(pieces, self._dual.varying, self._level.nodes)
            _, alpha = coefficients(self._dual.varying, pieces, rule)
            p = o.pdf(o.grid[pieces.element] + rule.offset)
            w = (1 - self._dual.slope) * rule.weights * alpha * p
            rise[there] += w.sum(axis=0)
            moment[there] += np.einsum("nk,nk->k", w, pieces.right - rule.offset)
        return rise, moment

    @cached_property
    @allow_overflow()
    def _table(self) -> _Table:
        d = self._dual
        split_orientations, ends = [], [d.x]
        for o in d.orientations:
            pieces = split(d.pieces(o, self._point.at.xi), d.varying, self._level)
            split_orientations.append((o, pieces))
            for offset in (pieces.left, pieces.right):
                # a data point is a knot already; as an element's right end it would be rounded anew
                ends_at_datum = pieces.element < len(d.x)
                inner = ~(ends_at_datum & (offset == np.diff(d.grid)[pieces.element]))
                ends.append((d.grid[pieces.element] + offset)[inner])
        knots = np.unique(np.concatenate(ends))
        element = np.searchsorted(d.x, knots, side="right")
        rise, moment = self._integrate_curvature(knots[:-1], knots[1:], element[:-1])
        # h up to an affine function, which the values at the data fix anew in each interval
        slope = np.concatenate([[0.0], np.cumsum(rise)])
        value = np.concatenate([[0.0], np.cumsum(slope[:-1] * np.diff(knots) + moment)])
        missing = self._point.values - value[np.searchsorted(knots, d.x)]
        if self._data.ridge.all() and len(d.x) > 1:  # h is no steeper than its curvature says
            tilt = np.full(len(d.x) - 1, (missing[-1] - missing[0]) / (d.x[-1] - d.x[0]))
        elif len(d.x) > 1:
            tilt = np.diff(missing) / np.diff(d.x)
        else:  # h'(-inf) = -s A_R... from the fields, since a single value fixes no slope
            tilt = np.array([self._left_slope(split_orientations)])
        interval = np.clip(element - 1, 0, len(tilt) - 1)
        value += missing[interval] + tilt[interval] * (knots - d.x[interval])
        return _Table(knots, value, slope + tilt[interval], element)

    def _left_slope(self, split_orientations: list[tuple[Orientation, Pieces]]) -> float:
        r""":math:`h'(-\infty)`, where a right-facing unit has slope s and a left-facing one −1."""
        total = 0.0
        for o, pieces in split_orientations:
            slope = self._dual.slope if o.signs[0] == 1 else -1.0
            rule = gauss_rule(pieces, self._dual.varying, self._level.nodes)
            assembly = Assembly.at(o, pieces.element, rule.offset, rule.weights)
            _, alpha = coefficients(self._dual.varying, pieces, rule)
            total += slope * float(assembly.load_vector(alpha).sum())
        return total

    @allow_overflow()
    def _integrate(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate h and h': from the knot on the left, add the integrals of h'' in between."""
        x = finite_array("x", x)
        result, flat, table = np.empty((2, x.size)), x.ravel(), self._table
        for first in range(0, x.size, _CHUNK):
            t = flat[first : first + _CHUNK]
            k = np.clip(np.searchsorted(table.knots, t, side="right") - 1, 0, None)
            start = np.minimum(table.knots[k], t)  # left of all knots h is a straight line
            rise, moment = self._integrate_curvature(
                start, np.minimum(t, table.knots[-1]), table.element[k]
            )
            h = table.value[k] + table.slope[k] * (t - table.knots[k]) + moment
            result[:, first : first + _CHUNK] = h, table.slope[k] + rise
        return result[0].reshape(x.shape), result[1].reshape(x.shape)


def _checked_interval(interval: ArrayLike) -> tuple[float, float]:
    ends = finite_array("interval", interval)
    if ends.shape != (2,) or not ends[0] <= ends[1]:
        raise ValueError(f"interval must be a pair (low, high) with low <= high, got {interval!r}.")
    return float(ends[0]), float(ends[1])


@dataclass(frozen=True, eq=False)
class _Table:
    """h and h' at knots; between them the density is smooth and no field changes sign."""

    knots: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    element: np.ndarray  # of the interval that begins here
