"""The training path of an infinitely wide network in function space, at O(m) a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from mflib import activations
from mflib._collocation import NoConvergence, TrajectoryStatus
from mflib._validation import count, dataset, finite_array, flag, number, stopping_times
from mflib.potentials import Potential, Quadratic, check_at_zero
from mflib.variational._certificate import Tails, beyond, moments_agree
from mflib.variational._contour import ContourPath
from mflib.variational._data import Data
from mflib.variational._dual import Evaluation
from mflib.variational._quadrature import LEVELS, Level
from mflib.variational._radau import Model, RadauPath
from mflib.variational._response import Response
from mflib.variational._sensitivity import Sensitivity
from mflib.variational._smoothing import Point
from mflib.variational._solution import Solution, Status, allow_overflow
from mflib.variational._solver import checked_model

_EXACT = 300  # distinct inputs up to which degrees of freedom are computed without chance
_PROBES = 64
_SMOOTH = 32  # polynomials that take the large part of the trace beforehand
_DEFECT = 1e3  # in units of rtol: what COMPLETED allows


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""The trained change h of an infinitely wide network at several times.

    Calling it, `derivative` and `curvature` take k inputs and return h, h' and h'' as arrays of
    shape (times, k).

    Attributes
    ----------
    times : ndarray, shape (K,)
        The times asked for.
    multipliers : ndarray, shape (K, m)
        :math:`\lambda` at these times, in the order of the data.
    values : ndarray, shape (K, m)
        h at the data.
    loss : ndarray, shape (K,)
        Mean squared error over all data (not halved, as in :class:`~mflib.flow.Flow`).
    cost : ndarray, shape (K,)
        Representation cost :math:`\int D_\varphi(\alpha, 0)\, d\mu`.
    error : float
        Estimate, on the large side, of the error of the values: the sum of those of all steps,
        though the equation damps them. Zero for the quadratic, which needs no steps.
    defect : float
        How well the equation holds, in units of the targets and by nodes of its own: for
        each step, the largest difference between the mean of :math:`y_i - h_t(x_i)` and what the
        multipliers say, :math:`m\,\Delta\lambda_i/\Delta t`. For the quadratic the same with the
        velocity at each time.
    status : TrajectoryStatus
        COMPLETED if all steps were made and the defect is below 1000 rtol of the largest target.

    References
    ----------
    Eq. :eq:`eq-traj-ode`; generalised cross-validation: :cite:t:`craven1979smoothing`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.uniform(-1, 1, 300)
    >>> y = np.sin(4 * x) + 0.3 * rng.standard_normal(300)
    >>> path = trajectory(x, y, [1e2, 1e4, 1e8])
    >>> path.degrees_of_freedom.round(1).tolist(), path.times[path.gcv.argmin()].item()
    ([2.3, 5.5, 45.9], 10000.0)
    """

    times: np.ndarray = field(repr=False)
    multipliers: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    cost: np.ndarray = field(repr=False)
    error: float
    defect: float
    status: TrajectoryStatus
    _rows: tuple[Solution | None, ...] = field(repr=False)
    _path: RadauPath | ContourPath = field(repr=False)
    _clock: np.ndarray = field(repr=False)  # the times of the path computed
    _probes: int | None = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h at all times."""
        return self._each(lambda row: row(x), x)

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h' at all times."""
        return self._each(lambda row: row.derivative(x), x)

    def curvature(self, x: ArrayLike) -> np.ndarray:
        r"""Evaluate h'' at all times, where the density is continuous."""
        return self._each(lambda row: row.curvature(x), x)

    @property
    def degrees_of_freedom(self) -> np.ndarray:
        r"""The trace of :math:`\partial h_t(x_i)/\partial y_j` at each time, shape (K,)."""
        return self._traces[0]

    @property
    def degrees_of_freedom_error(self) -> np.ndarray:
        """Standard error of `degrees_of_freedom`, shape (K,): of chance and of the steps."""
        return self._traces[1]

    @property
    def gcv(self) -> np.ndarray:
        r"""Generalised cross-validation at each time, shape (K,).

        The loss over :math:`(1 - \mathrm{df}/m)^2`: the least one tells when to stop.
        """
        return self.loss / (1 - self.degrees_of_freedom / self.values.shape[1]) ** 2

    @allow_overflow()
    def jacobian(self, x: ArrayLike) -> np.ndarray:
        r"""Evaluate :math:`\partial h_t(x)/\partial y_j` at k inputs, shape (K, k, m).

        For other potentials than the quadratic that is O(m²) a step.
        """
        x, path = finite_array("x", x), self._path
        flat, counts = x.ravel(), path.model.counts
        result = np.full((len(self.times), x.size, len(counts)), np.nan)
        responses = self._responses(np.eye(len(counts)))
        for k, (time, row) in enumerate(zip(self._clock, self._rows, strict=True)):
            if row is None:
                break
            at, level = row._point.at, row._level
            values, loads = Sensitivity(row._data, row._dual, at, level).functional(flat)
            if isinstance(path, ContourPath):
                result[k] = path.jacobian(time, values, loads)
            else:
                h, xi, _ = next(responses)
                result[k] = values @ h + loads @ xi
        result = (result / counts)[:, :, path.model.data.group]
        return result.reshape(len(self.times), *x.shape, -1)

    def _each(self, of: Callable, x: ArrayLike) -> np.ndarray:
        nothing = np.full_like(finite_array("x", x), np.nan)
        return np.array([nothing if row is None else of(row) for row in self._rows])

    @cached_property
    @allow_overflow()
    def _traces(self) -> tuple[np.ndarray, np.ndarray]:
        path, probes, result = self._path, self._probes, np.full((2, len(self.times)), np.nan)
        known = sum(row is not None for row in self._rows)
        if isinstance(path, ContourPath):
            result[:, :known] = path.traces(self._clock[:known]), np.zeros(known)
            return result[0], result[1]
        if probes is None:
            probes = 0 if path.n <= _EXACT else _PROBES
        chance = 0 < probes < path.n - _SMOOTH
        directions = _directions(path.model, probes) if chance else np.eye(path.n)
        root, sure = np.sqrt(path.model.counts)[:, None], _SMOOTH if chance else path.n
        tolerance = 1e-5 if chance else 1e-8
        share = np.where(np.arange(directions.shape[1]) < sure, 1.0, 1 / max(probes, 1))
        for k, (h, _, slip) in enumerate(self._responses(directions / root, tolerance)):
            along = (directions * root * h).sum(axis=0)
            spread = along[sure:].std(ddof=1) / np.sqrt(probes) if chance else 0.0
            slipped = (directions * root * slip).sum(axis=0) @ share
            result[:, k] = along @ share, np.hypot(spread, slipped)
        return result[0], result[1]

    def _responses(self, targets: np.ndarray, tolerance: float = 1e-8) -> Iterator[tuple]:
        """Derivatives of h at the distinct inputs, and of xi, along changes of the means.

        Third is how far those of h may be wrong.
        """
        path = cast(RadauPath, self._path)
        response = Response(path.model, targets, max(0.1 * path.rtol, tolerance))
        steps, time = iter(path.taken), 0.0
        for stop, row in zip(self._clock, self._rows, strict=True):
            if row is None:
                return
            while time < stop:
                step = next(steps)
                response.follow(step)
                time = step.stop
            matrix, separate = path.model.matrix(row._point.at), path.model.dual.separate
            yield separate(matrix @ response.xi), response.xi, separate(matrix @ response.slip)


def _directions(model: Model, probes: int) -> np.ndarray:
    """Orthonormal polynomials, and random signs without their share in these, shape (n, k).

    The derivative of h acts mostly on smooth functions: what is left to chance is small.
    """
    x, weight = model.dual.x, np.sqrt(model.counts)[:, None]
    inside = 2 * (x - x[0]) / (x[-1] - x[0]) - 1
    smooth = np.linalg.qr(np.polynomial.legendre.legvander(inside, _SMOOTH - 1) * weight)[0]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (len(x), probes))
    return np.hstack([smooth, signs - smooth @ (smooth.T @ signs)])


def trajectory(
    x: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    scaled: bool = True,
    rtol: float = 1e-9,
    probes: int | None = None,
    progress: bool = False,
) -> Trajectory:
    r"""Follow the training of an infinitely wide network, for any number of data.

    .. math::

        \frac{d\lambda_i}{dt} &= -\frac1m \bigl( h_\lambda(x_i) - y_i \bigr), \qquad
        \lambda(0) = 0, \\
        h_\lambda(x) &= \int (\varphi')^{-1}\bigl( \textstyle\sum_i \lambda_i\,
        \sigma_s(w x_i - b) \bigr)\, \sigma_s(w x - b)\, d\mu(w, b),

    as :func:`mflib.representation.trajectory` does, with which it agrees; a step costs O(m), and
    their number grows with the logarithm of time. It is Radau's collocation of order thirteen,
    whose linear systems are those of a ridge. For :class:`~mflib.potentials.Quadratic` there are no
    steps: each time is a sum of twelve ridge solutions, exact up to rounding.

    For other potentials :func:`mflib.representation.trajectory` is faster where data are few:
    about twice with five of them. They are at par near fifty; a tight `rtol`, or a
    gradient whose inverse has no formula, moves that up a little.

    Stopped early, the path smooths: `degrees_of_freedom` and `gcv` of the result choose the time.

    Parameters
    ----------
    x : array-like, shape (m,)
        Inputs; repeated ones are allowed.
    y : array-like, shape (m,)
        Targets, less the network's output at initialization.
    times : array-like, shape (K,)
        Increasing, not negative: that of :func:`~mflib.flow.mirror_flow` with its learning rate
        1/n.
    activation, potential, density
        As in :func:`solve`.
    scaled : bool
        Whether the potential is scaled. A network with an unscaled one is at time t where the
        quadratic path is at time :math:`2t/\varphi''(0)`.
    rtol : float
        Tolerance of the integrator, for h relative to its own size.
    probes : int, optional
        Random directions, seeded, for the degrees of freedom of other potentials than the
        quadratic; 0 is without chance, at O(m²) a step. If not given that is done up to 300
        distinct inputs, and 64 are drawn beyond. `degrees_of_freedom_error` says how sure that is.
    progress : bool
        Whether to print time and loss every ten steps.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If the data are empty, of different lengths or not finite; if the times are not increasing,
        negative or not finite; if the activation is not piecewise linear; if the potential's
        Hessian at 0 is zero or infinite; if the density has no finite variance.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    :cite:t:`liang2025implicit`; :cite:t:`jin2023implicit` for the quadratic; the integrators:
    :cite:t:`hairer1996stiff`, :cite:t:`trefethen2006talbot`.

    Examples
    --------
    >>> path = trajectory([-0.5, 0.1, 0.1], [0.0, 1.0, 2.0], [1e2, 1e8])
    >>> path([0.1]).round(3).tolist()  # between the targets 1 and 2 in the end
    [[1.381], [1.5]]
    """
    points, targets = dataset(x, y, distinct=False)
    if points.shape[1] != 1:
        raise ValueError(
            f"x must have one input per data point, got {points.shape[1]}; "
            "use representation.trajectory in higher dimension."
        )
    stops = stopping_times(times)
    rtol = number("rtol", rtol, above=1e-13, cure="the rounding of sums")
    if probes is not None and count("probes", probes, least=0) == 1:
        raise ValueError("probes must be 0 or at least 2, whose spread is their error, got 1.")
    progress, scaled = flag("progress", progress), flag("scaled", scaled)
    potential = Quadratic() if potential is None else potential
    check_at_zero(potential)
    # every datum is missed at any time, as with a ridge
    data = Data.merged(points[:, 0], targets, np.ones(len(targets)))
    clock = stops if scaled else 2 * stops / float(potential.hessian(np.zeros(1))[0])
    followed = potential if scaled else Quadratic()
    model = checked_model(data, activations.get(activation), followed, density)
    # products of small matrices: more threads would only wait for each other
    with threadpool_limits(limits=1, user_api="blas"), allow_overflow():
        path, states, cut = _follow(Model(data, *model), clock, rtol, progress)
        if cut:
            path, states, _ = _follow(Model(data, *model, far=True), clock, rtol, progress)
    return _trajectory(data, stops, clock, path, states, probes)


def _follow(model: Model, clock: np.ndarray, rtol: float, progress: bool) -> tuple:
    """Go from stop to stop; returns the path, the states, and whether more panels could help."""
    quadratic = isinstance(model.dual.potential, Quadratic)
    path = ContourPath(model) if quadratic else RadauPath(model, clock[-1], rtol)
    enough = _DEFECT * max(rtol, 1e-11) * np.abs(model.data.targets).max()
    states: list[tuple] = []
    for stop in clock:
        try:
            path.advance(stop, progress)
        except NoConvergence:
            break
        tails, known = beyond(model.dual, path.at), moments_agree(model.dual)
        if tails is Tails.CUT and known:
            return path, states, True
        if not (tails is Tails.NEGLIGIBLE and known and path.defect <= enough):
            break
        states.append((path.at, path.multipliers, LEVELS[path.level]))
    return path, states, False


def _trajectory(data: Data, stops, clock, path, states: list[tuple], probes) -> Trajectory:
    model, m = path.model, len(data.targets)
    rows = [_row(model, *state) for state in states]
    missing, ended = len(stops) - len(rows), len(rows) == len(stops)
    nothing = np.full((missing, m), np.nan)
    own = np.array([row._point.multipliers / model.counts for row in rows]).reshape(-1, path.n)
    drift = np.outer(clock[: len(rows)] / m, model.rest)  # apart from their mean, for ever
    return Trajectory(
        times=stops,
        multipliers=np.concatenate([own[:, data.group] + drift, nothing]),
        values=np.concatenate([np.array([row.fitted for row in rows]).reshape(-1, m), nothing]),
        loss=np.append([model.loss(row._point.values) for row in rows], nothing[:, 0]),
        cost=np.append([row.cost for row in rows], nothing[:, 0]),
        error=path.error if rows else np.nan,
        defect=path.defect if rows else np.nan,
        status=TrajectoryStatus.COMPLETED if ended else TrajectoryStatus.STALLED,
        _rows=(*rows, *[None] * missing),
        _path=path,
        _clock=clock,
        _probes=probes,
    )


def _row(model: Model, at: Evaluation, multipliers: np.ndarray, level: Level) -> Solution:
    """The function at one time: it solves no problem of its own, but is evaluated like one."""
    model.dual.check_potential(at.xi, level)
    h = model.values(at)
    errors = model.means - h
    largest = float(np.abs(errors).max())
    return Solution(
        cost=float(at.cost),
        gap=np.nan,
        residual=largest,
        iterations=0,
        status=Status.CONVERGED,
        ridge=np.nan,
        _data=model.data,
        _dual=model.dual,
        _point=Point(at, multipliers, h, errors, largest),
        _level=level,
    )
