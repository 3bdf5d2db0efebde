"""The training path of an infinitely wide network: an ODE for the m multipliers of the data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from mflib import activations
from mflib._collocation import POINTS, NoConvergence, Stages, TrajectoryStatus, Walk
from mflib._validation import dataset, flag, number, stopping_times
from mflib.potentials import Potential, Quadratic
from mflib.representation._dual import Dual
from mflib.representation._measures import Measure, measure_on, out_of_reach

_MOST_ADAPTATIONS = 5  # of the nodes to the stages of one step
_CROWDED = 2.0  # nodes are begun anew when there are more than so many times a step's own


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""The trained change h of an infinitely wide network at several times.

    Calling it evaluates h for inputs of shape (k,) or (k, D), and returns shape (times, k);
    `derivative` evaluates h'.

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
    status : TrajectoryStatus

    References
    ----------
    Eq. :eq:`eq-traj-ode`.

    Examples
    --------
    >>> path = trajectory([-0.5, 0.5], [0.0, 1.0], [1.0, 1e6])
    >>> path([0.5]).shape, bool(path.loss[0] > path.loss[1])
    ((2, 1), True)
    """

    times: np.ndarray = field(repr=False)
    multipliers: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)
    loss: np.ndarray = field(repr=False)
    cost: np.ndarray = field(repr=False)
    error: float
    status: TrajectoryStatus
    _rows: tuple[_Row, ...] = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h at all times."""
        return np.array([row.measure.evaluate(row.multipliers, x) for row in self._rows])

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h' at all times; for D > 1 the gradient, shape (times, k, D)."""
        return np.array([row.measure.derivative(row.multipliers, x) for row in self._rows])


def trajectory(
    x: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    neurons: tuple[ArrayLike, ArrayLike] | None = None,
    rtol: float = 1e-9,
    progress: bool = False,
) -> Trajectory:
    r"""Follow the training of an infinitely wide network.

    .. math::

        \frac{d\lambda_i}{dt} &= -\frac1m \bigl( h_\lambda(x_i) - y_i \bigr), \quad
        \lambda(0) = 0, \\
        h_\lambda(x) &= \int (\varphi')^{-1}\bigl( \textstyle\sum_i \lambda_i\,
        \sigma(w \cdot x_i - b) \bigr)\, \sigma(w \cdot x - b)\, d\mu(w, b) .

    Time is that of :func:`~mflib.flow.mirror_flow` with its learning rate 1/n and the *scaled*
    potential. A network with an unscaled potential :math:`\varphi` is at time t where the
    quadratic path is at time :math:`2t/\varphi''(0)`. As time grows the path approaches
    :func:`solve`; of several targets at one input it then meets the mean.

    For :class:`~mflib.potentials.Quadratic` the path is an exponential of the kernel, exact up to
    rounding at all times; else the equation is integrated by Radau's collocation of order
    thirteen, in a basis of the features in which every function has its own norm. Each step has
    nodes that resolve its own stages, and steps grow with time: the work is that of its logarithm.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Inputs; repeated ones are allowed. D > 1 needs `neurons`.
    y : array-like, shape (m,)
        Targets, less the network's output at initialization.
    times : array-like, shape (K,)
        Increasing, not negative.
    activation, potential, density, neurons
        As in :func:`solve`.
    rtol : float
        Tolerance of the integrator, for h relative to its own size. The integrals over neurons
        are made more accurate than that.
    progress : bool
        Whether to print time and loss every ten steps.

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If the data are empty, of different lengths or not finite; if the times are not increasing,
        negative or not finite; if a target is out of reach; and as in :func:`solve`.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    :cite:t:`liang2025implicit`; :cite:t:`jin2023implicit` for the quadratic; the integrator:
    :cite:t:`hairer1996stiff`.

    Examples
    --------
    >>> path = trajectory([-0.5, 0.1, 0.1], [0.0, 1.0, 2.0], [1e2, 1e8])
    >>> path([0.1]).round(3).tolist()  # between the targets 1 and 2 in the end
    [[1.381], [1.5]]
    """
    points, targets = dataset(x, y, distinct=False)
    stops = stopping_times(times)
    rtol = number("rtol", rtol, above=1e-13, cure="the rounding of sums")
    potential = Quadratic() if potential is None else potential
    progress = flag("progress", progress)
    measure = measure_on(points, activation, potential, density, neurons)
    if fault := out_of_reach(measure, targets):
        raise ValueError(fault)
    # products of small matrices: more threads would only wait for each other
    with threadpool_limits(limits=1, user_api="blas"):
        model = _Model(measure, targets, stops)
        potential = measure.potential  # of a layer, averaged
        if isinstance(potential, Quadratic):
            rows = [model.row(model.measure, model.dual, xi) for xi in model.quadratic(stops)]
            return _trajectory(model, stops, rows, [0.0])
        return _trajectory(model, stops, *_integrate(model, potential, stops, rtol, progress))


@dataclass(frozen=True, eq=False)
class _Row:
    """The path at one time, and nodes that resolve it."""

    measure: Measure
    multipliers: np.ndarray  # but for the part that moves no z
    values: np.ndarray
    loss: float
    cost: float


class _Model:
    r"""The ODE, in the basis of the features in which :math:`|\xi|` is the norm of z.

    There it reads :math:`\xi_k' = -(s_k^2/m)(g_k(\xi) - c_k)` with singular values s of the
    features, and g the gradient of a convex function whose Hessian is
    :math:`1/\varphi''`: for the quadratic one half of the identity.
    """

    def __init__(self, measure: Measure, y: np.ndarray, times: np.ndarray) -> None:
        self.y, self.measure = y, copy.copy(measure)
        self.measure.potential = Quadratic()
        self._set()
        self.measure.adapt(self.quadratic(times) @ self.dual.from_basis.T)
        self._set()

    def _set(self) -> None:
        self.dual = Dual(self.measure, self.y, np.zeros((0, len(self.y))))
        self.rates = self.dual.sizes**2 / len(self.y)
        self.unreachable = self.y - (self.y @ self.dual.rows.T) @ self.dual.rows

    def quadratic(self, times: np.ndarray) -> np.ndarray:
        """Return the path for x^2, shape (K, r)."""
        return -2 * np.expm1(-0.5 * np.outer(times, self.rates)) * self.dual.right

    def early(self, time: float) -> float:
        """Norm of the path where it is still a straight line, for any potential."""
        fastest = min(time, 1 / (self.rates.max(initial=0.0) or 1.0))
        return float(np.linalg.norm(fastest * self.rates * self.dual.right))

    def row(self, measure: Measure, dual: Dual, xi: np.ndarray) -> _Row:
        """Evaluate the path at a state, with the nodes of a measure."""
        _, gradient = dual.evaluate(xi)
        multipliers = dual.from_basis @ xi
        measure.check_potential(multipliers)
        residual = self.unreachable + (dual.sizes * gradient) @ dual.rows
        loss, cost = float((residual**2).mean()), float(measure.cost(multipliers))
        return _Row(measure, multipliers, self.y - residual, loss, cost)


def _integrate(model: _Model, potential: Potential, stops, rtol: float, progress: bool) -> tuple:
    """Go from stop to stop; returns the rows, and the error of each."""
    path = _Path(model, potential, stops[-1], rtol)
    rows, errors, enough = [], [], 1e-10 * np.abs(model.y).max()
    with np.errstate(all="ignore"):  # trial states may be far off: they are refused
        for stop in stops:
            try:
                path.advance(stop, progress)
                row = model.row(path.measure, path.dual, path.state)
                if not path.measure.tail(row.multipliers) <= enough:
                    raise NoConvergence
            except NoConvergence:
                break
            rows.append(row)
            errors.append(path.error)
    nothing = np.full(len(model.y), np.nan)
    missing = [_Row(path.measure, nothing, nothing, np.nan, np.nan)] * (len(stops) - len(rows))
    return rows + missing, errors or [np.nan]


class _Path(Walk):
    """The path for one potential as far as it is known, with nodes for where it is."""

    def __init__(self, model: _Model, potential: Potential, last: float, rtol: float) -> None:
        fastest = model.rates.max(initial=0.0) or 1.0
        step = 0.1 * float(potential.hessian(np.zeros(1))[0]) / fastest
        super().__init__(np.zeros(len(model.rates)), step, model.early(last) or 1.0, rtol)
        self.model, self.coarse = model, copy.copy(model.measure)
        self.coarse.potential = potential
        self.measure, self.dual = self.coarse, copy.copy(model.dual).discretize(self.coarse)
        self.fresh = len(self.dual.mass)  # nodes when last begun from the coarse ones

    def increments(self, step: float) -> np.ndarray:
        """Solve the equations of a step, on nodes that resolve all its stages."""
        before = self.measure, self.dual
        try:
            return self._increments(step)
        except NoConvergence:
            self.measure, self.dual = before
            raise

    def norm(self, rows: np.ndarray) -> np.ndarray:
        return np.linalg.norm(rows, axis=1)

    def moved(self, increments: np.ndarray) -> float:
        curvature = self.dual.curvature(self.dual.evaluate(self.state + increments[-1])[0])
        values = self.dual.sizes * (curvature @ self.next_term(increments)) @ self.dual.rows
        return float(np.abs(values).max(initial=0.0))

    def loss(self) -> float:
        return self.model.row(self.measure, self.dual, self.state).loss

    def _increments(self, step: float) -> np.ndarray:
        stages = Stages(self._velocity, step)
        stages.linearize(self._resolvent(self.state))
        increments = stages.newton(np.zeros((len(POINTS), len(self.state))))
        self._adapt(increments[1::2])
        stages.linearize(self._resolvent(self.state + increments[len(POINTS) // 2]))
        for _ in range(_MOST_ADAPTATIONS):
            increments = stages.solve(increments, self.norm, 0.01 * self.rtol * self.size)
            if not self._adapt(increments[::2]):
                return increments
        raise NoConvergence

    def _adapt(self, increments: np.ndarray) -> bool:
        """Refine nodes for the stages; what earlier steps left is dropped now and then."""
        states = self.state + increments
        if not np.isfinite(self.dual.evaluate(states)[1]).all():
            raise NoConvergence
        measure, crowded = copy.copy(self.measure), len(self.dual.mass) > _CROWDED * self.fresh
        if crowded:
            measure, states = copy.copy(self.coarse), np.vstack([self.state, states])
        if not measure.adapt(states @ self.dual.from_basis.T, 0.01 * self.rtol):
            return False
        self.measure, self.dual = measure, copy.copy(self.dual).discretize(measure)
        self.fresh = len(self.dual.mass) if crowded else self.fresh
        return True

    def _velocity(self, increments: np.ndarray) -> np.ndarray:
        return self.model.rates * self.dual.evaluate(self.state + increments)[1]

    def _resolvent(self, xi: np.ndarray) -> Callable:
        curvature = self.dual.curvature(self.dual.evaluate(xi)[0])
        if not np.isfinite(curvature).all():
            raise NoConvergence
        negative = self.model.rates[:, None] * curvature
        return lambda shift: np.linalg.inv(shift * np.eye(len(xi)) + negative).dot


def _trajectory(model: _Model, times: np.ndarray, rows: list[_Row], errors: list) -> Trajectory:
    drift = np.outer(times / len(model.y), model.unreachable)
    loss = np.array([row.loss for row in rows])
    ended = np.isfinite(loss).all()
    return Trajectory(
        times=times,
        multipliers=np.array([row.multipliers for row in rows]) + drift,
        values=np.array([row.values for row in rows]),
        loss=loss,
        cost=np.array([row.cost for row in rows]),
        error=float(np.max(errors)),
        status=TrajectoryStatus.COMPLETED if ended else TrajectoryStatus.STALLED,
        _rows=tuple(rows),
    )
