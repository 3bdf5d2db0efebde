"""The training path of an infinitely wide network: an ODE for the m multipliers of the data."""

from __future__ import annotations

import copy
import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate
from threadpoolctl import threadpool_limits

from mflib import activations
from mflib._validation import dataset, finite_array, number
from mflib.potentials import Potential, Quadratic
from mflib.representation._measures import Dual, Measure, measure_on

_SCOUT = 1e-3  # tolerance of a first look at the states to come, for which nodes are then laid
_DRAFT = 100.0  # the path is followed twice: a tolerance larger by this estimates the error


class TrajectoryStatus(enum.Enum):
    """How a trajectory ended; the value is the explanation.

    References
    ----------
    The integrator: :cite:t:`hairer1996stiff`.

    Examples
    --------
    >>> TrajectoryStatus.COMPLETED.value
    'the path at all times, to the accuracy of its `error`'
    """

    COMPLETED = "the path at all times, to the accuracy of its `error`"
    STALLED = (
        "the integrator could not make its steps small enough; the rows from there on are NaN. "
        "Likely cause: a potential nearly flat or nearly singular at these magnitudes; use a "
        "larger rtol or shorter times"
    )


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""The trained change h of an infinitely wide network at several times.

    Calling it evaluates h for inputs of shape (k,) or (k, D), and returns shape (times, k).

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
        Estimate, on the large side, of the error of the values: their largest difference from those
        that a tolerance a hundred times larger gives. Zero for the quadratic, which needs none.
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

    times: np.ndarray
    multipliers: np.ndarray
    values: np.ndarray
    loss: np.ndarray
    cost: np.ndarray
    error: float
    status: TrajectoryStatus
    _rows: tuple[_Row, ...] = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h at all times."""
        return np.array([row.measure.evaluate(row.multipliers, x) for row in self._rows])


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
    rounding at all times; else the equation is integrated by Radau's method of order five, in a
    basis of the features in which every function has its own norm. The nodes of the integrals are
    refined anew between one time and the next.

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

    Returns
    -------
    Trajectory

    Raises
    ------
    ValueError
        If the data are empty, of different lengths or not finite; if the times are not increasing,
        negative or not finite; and as in :func:`solve`.
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
    stops = _checked_times(times)
    rtol = number("rtol", rtol, above=1e-13, cure="the rounding of sums")
    potential = Quadratic() if potential is None else potential
    measure = measure_on(points, activation, potential, density, neurons)
    # products of small matrices: more threads would only wait for each other
    with threadpool_limits(limits=1, user_api="blas"):
        model = _Model(measure, targets, stops)
        if isinstance(potential, Quadratic):
            rows = [model.row(model.measure, model.dual, xi) for xi in model.quadratic(stops)]
            return _trajectory(model, stops, rows, [0.0])
        return _trajectory(model, stops, *_integrate(model, potential, stops, rtol))


def _checked_times(times: ArrayLike) -> np.ndarray:
    result = finite_array("times", times)
    if result.ndim != 1 or not result.size or (np.diff(result) <= 0).any() or result[0] < 0:
        raise ValueError(f"times must be increasing and not negative, got {times!r}.")
    return result


@dataclass(frozen=True)
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
        self.measure.settle(self.quadratic(times) @ self.dual.from_basis.T)
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
        fastest = min(time, 1 / self.rates[0])
        return float(np.linalg.norm(fastest * self.rates * self.dual.right))

    def row(self, measure: Measure, dual: Dual, xi: np.ndarray) -> _Row:
        """Evaluate the path at a state, with the nodes of a measure."""
        _, gradient = dual.evaluate(xi)
        multipliers = dual.from_basis @ xi
        residual = self.unreachable + (dual.sizes * gradient) @ dual.rows
        loss, cost = float((residual**2).mean()), measure.cost(multipliers)
        return _Row(measure, multipliers, self.y - residual, loss, cost)


def _integrate(model: _Model, potential: Potential, stops: np.ndarray, rtol: float) -> tuple:
    """Go from stop to stop; returns the rows, and the error of each."""
    time, xi, size = 0.0, np.zeros(len(model.rates)), model.early(stops[-1]) or 1.0
    rows, errors = [], []
    decades = 10.0 ** np.arange(0, 300) / model.rates[0]  # no stretch is longer, or nodes abound
    for stop in np.union1d(stops, decades[decades < stops[-1]]):
        measure = copy.copy(model.measure)
        measure.potential = potential
        dual = copy.copy(model.dual).lay(measure)
        stretch = (model, dual, xi, (time, stop), size)
        measure.settle(_between(_radau(*stretch, _SCOUT), rtol) @ dual.from_basis.T, 0.01 * rtol)
        dual.lay(measure)
        draft, final = (_radau(*stretch, tolerance)[-1] for tolerance in (_DRAFT * rtol, rtol))
        row = model.row(measure, dual, final)
        errors.append(np.abs(row.values - model.row(measure, dual, draft).values).max())
        rows += [row] if stop in stops else []
        time, xi, size = stop, final, float(np.linalg.norm(final)) or size
    return rows, errors


def _between(states: np.ndarray, rtol: float) -> np.ndarray:
    """Fill the gaps between states, the closer the smaller the tolerance."""
    at = np.linspace(0, len(states) - 1, 1 + round(rtol ** (-1 / 5)))
    index = np.minimum(at.astype(int), len(states) - 2)
    share = (at - index)[:, None]
    return (1 - share) * states[index] + share * states[index + 1]


def _radau(model: _Model, dual: Dual, xi: np.ndarray, span, size: float, rtol: float) -> np.ndarray:
    """Integrate over a stretch of time; returns the states passed, shape (steps + 1, r)."""

    def velocity(_, xi: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # a trial step that is too long
            return model.rates * dual.evaluate(xi)[1]

    def jacobian(_, xi: np.ndarray) -> np.ndarray:
        return -model.rates[:, None] * dual.curvature(dual.evaluate(xi)[0])

    stalled = np.full((1, len(xi)), np.nan)
    if not np.isfinite(velocity(span[0], xi)).all():  # stalled before, or alpha beyond all bounds
        return stalled
    atol = rtol * size / np.sqrt(len(xi))
    path = integrate.solve_ivp(
        velocity, span, xi, method="Radau", jac=jacobian, rtol=rtol, atol=atol
    )
    return path.y.T if path.success else stalled


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
