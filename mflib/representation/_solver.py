"""Newton's method on the dual in parameter space, and the solution with its certificate."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from mflib import activations
from mflib._validation import dataset, finite_array
from mflib.potentials import Potential, Quadratic
from mflib.representation._dual import Dual
from mflib.representation._measures import Measure, measure_on, out_of_reach
from mflib.representation._panels import MAX_REFINEMENTS

_MAX_ITERATIONS = 100
_MAX_EVALUATIONS = 300  # on the same nodes; the hardest that converge take 90


class Status(enum.Enum):
    """How a solve ended; the value is the explanation.

    References
    ----------
    The dual of eq. :eq:`eq-P`: eq. :eq:`eq-relu-dual`.

    Examples
    --------
    >>> solve([0.0], [1.0]).status is Status.CONVERGED
    True
    """

    CONVERGED = "the interpolant of least representation cost, to the accuracy of its certificate"
    STALLED = (
        "Newton's method stopped short of the tolerance, or what it found is not to be relied on; "
        "`residual` and `gap` say by how much. Likely causes: fewer neurons that respond than data "
        "points, data points almost on top of each other, a potential nearly flat or nearly "
        "singular at these magnitudes, or with a conjugate that has no integral under the "
        "density's tails (then the infimum is not attained). Widen the density or add neurons, "
        "merge such points, use potentials.Regularized or another scale, lighter tails"
    )

    def __repr__(self) -> str:
        return f"Status.{self.name}"  # the explanation has several lines


@dataclass(frozen=True, eq=False, repr=False)
class Representation:
    r"""The trained change h as an integral over neurons, with its certificate.

    Calling it evaluates :math:`h(x) = \int \alpha(w, b)\, \sigma(w\cdot x - b)\, d\mu` for inputs
    of shape (n,) or (n, D), and returns shape (n,); `derivative` returns h' in that shape, or
    gradients, shape (n, D). Of k targets at once each result has a last axis of length k, as those
    of SciPy's splines.

    Attributes
    ----------
    cost : float, or ndarray of shape (k,)
        :math:`\int D_\varphi(\alpha, 0)\, d\mu`; without a ridge the minimum of problem (P).
    gap : float, or ndarray of shape (k,)
        Distance of the cost, with a ridge that of cost and misfit together, from the dual value.
    residual : float, or ndarray of shape (k,)
        Largest :math:`|h(x_i) - y_i|`, with a ridge :math:`|h(x_i) + (R\lambda)_i - y_i|`.
    multipliers : ndarray, shape (m,) or (m, k)
        The optimal :math:`\lambda`, in the order of the data.
    iterations : int
        Newton steps.
    status : Status
        CONVERGED if all targets are.

    References
    ----------
    Eq. :eq:`eq-P`; with a ridge, eq. :eq:`eq-traj-ridge`.

    Examples
    --------
    >>> rep = solve([-0.5, 0.5], [2.0, 1.0])
    >>> rep([-0.5, 0.5]).round(6).tolist(), rep.multipliers.shape
    ([2.0, 1.0], (2,))
    >>> several = solve([-0.5, 0.5], [[2.0, 0.0], [1.0, 3.0]])
    >>> several(0.5).round(6).tolist(), several.derivative([0.1, 0.2, 0.3]).shape
    ([1.0, 3.0], (3, 2))
    """

    cost: Any
    gap: Any
    residual: Any
    multipliers: np.ndarray
    iterations: int
    status: Status
    _measures: tuple[Measure, ...]  # one for all targets, or one for each

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h."""
        return self._evaluate(Measure.evaluate, x)

    def derivative(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h'; for D > 1 its gradient."""
        return self._evaluate(Measure.derivative, x)

    def _evaluate(self, method: Callable, x: ArrayLike) -> np.ndarray:
        if len(self._measures) == 1:
            return method(self._measures[0], self.multipliers, x)
        columns = zip(self._measures, self.multipliers.T, strict=True)
        return np.stack([method(measure, column, x) for measure, column in columns], axis=-1)

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in ("cost", "gap", "residual", "iterations")}
        entries = [f"{name}={_short(value)}" for name, value in shown.items()]
        targets = f"{self.multipliers.shape[1]} targets, " if self.multipliers.ndim > 1 else ""
        return f"Representation({targets}{', '.join(entries)}, status={self.status!r})"


def _short(value: Any) -> str:
    """Show a number, and of several the least and the largest."""
    if np.ndim(value) == 0:
        return f"{value:.6g}"
    return f"{value.min():.3g}…{value.max():.3g}"


def solve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    neurons: tuple[ArrayLike, ArrayLike] | None = None,
    ridge: ArrayLike = 0.0,
) -> Representation:
    r"""Solve problem (P), or its penalised relative, by the dual.

    With a ridge, a symmetric matrix R, its diagonal or the multiple R of the identity, the data are
    not met but weighed against the cost:

    .. math::

        \min_\alpha \int D_\varphi(\alpha, 0)\, d\mu + \tfrac12\, r^\top R^{-1} r,
        \qquad r_i = y_i - \int \alpha(w, b)\, \sigma(w \cdot x_i - b)\, d\mu(w, b) .

    At the optimum :math:`r = R\lambda`, so the dual is that of (P) less
    :math:`\tfrac12 \lambda^\top R \lambda`, and :math:`R = 0` is (P) itself.

    Several targets, one in each column of y, are several problems. For the quadratic they are one
    linear system; else each has its own Newton iteration, which takes some hundredths of a second.
    With a potential of your own it takes tenths, three or four times as many if the inverse of the
    gradient has no formula: a thousand targets then take minutes.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Distinct inputs, unless there is a ridge; D > 1 needs `neurons`.
    y : array-like, shape (m,) or (m, k)
        Targets, less the network's output at initialization.
    activation : str or Activation
        Any activation.
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given, which is also the limit of every
        unscaled one.
    density : distribution, or what :func:`mflib.densities.of` takes, optional
        Distribution of the input biases, with w = ±1 with equal probability; uniform on [-1, 1] if
        not given. Or of units whose kinks depend on their weights: `densities.normal_layer`,
        `densities.linear_layer`.
    neurons : pair of array-likes, shapes (n, D) or (n,), and (n,), optional
        Input weights and biases: instead of the density, the measure that puts 1/n on each. With a
        network's own this is the exact lazy limit *of that network*.
    ridge : float or array-like of shape (m,) or (m, m)
        :math:`R \ge 0`: a number stands for its multiple of the identity, one for each datum for a
        diagonal matrix.

    Returns
    -------
    Representation

    Raises
    ------
    ValueError
        If the data are empty, of different lengths, repeated or not finite; if density and neurons
        are both given or do not fit the data; if the nodes miss the density's moments, its tails
        being too heavy for double precision; if a target is out of reach, no unit responding there
        or all kinks being elsewhere; if the potential's Hessian at 0 is zero or infinite; if the
        ridge is not positive semidefinite, or of another shape.
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
    ridge = finite_array("ridge", ridge)
    points, targets = dataset(x, y, distinct=not ridge.any(), columns=True)
    root = _root_of(ridge, len(targets))
    potential = Quadratic() if potential is None else potential
    measure = measure_on(points, activation, potential, density, neurons)
    if fault := out_of_reach(measure, targets, exactly=not root.size):
        raise ValueError(fault)
    rows = np.atleast_2d(targets.T)
    together = [rows] if isinstance(measure.potential, Quadratic) else rows[:, None]
    with np.errstate(all="ignore"):  # what is not finite in the end is not converged
        parts = [_solve(copy.copy(measure), group, root) for group in together]
    return _joined(parts, single=targets.ndim == 1)


def kernel(
    x: ArrayLike,
    x2: ArrayLike | None = None,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    neurons: tuple[ArrayLike, ArrayLike] | None = None,
) -> np.ndarray:
    r"""Return the mirror kernel of the infinitely wide network at initialization.

    .. math::

        H_{ij} = \frac{1}{\varphi''(0)}
        \int \sigma(w \cdot x_i - b)\, \sigma(w \cdot x'_j - b)\, d\mu(w, b)

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Inputs; repeated ones are allowed.
    x2 : array-like, shape (n,) or (n, D), optional
        The inputs :math:`x'_j`; those of x if not given. The work grows with m², and linearly
        with n: let x be the smaller set.
    activation, potential, density, neurons
        As in :func:`solve`.

    Returns
    -------
    ndarray, shape (m, m), or (m, n) with x2

    Raises
    ------
    ValueError, TypeError
        As in :func:`solve`; and if the activation's square has no integral under the tails.

    References
    ----------
    The kernel of random features :cite:p:`rahimi2007random`, which is the output layer's part of
    the neural tangent kernel :cite:p:`jacot2018ntk`; with a potential, eq. :eq:`eq-kernel`.

    Examples
    --------
    >>> kernel([0.0, 1.0]).round(6).tolist()  # ReLU, x^2
    [[0.083333, 0.104167], [0.104167, 0.333333]]
    >>> kernel([0.0, 1.0], [0.0, 0.5, 2.0]).shape
    (2, 3)
    """
    x = finite_array("x", x)
    points, _ = dataset(x, np.zeros(x.shape[:1]), distinct=False)
    potential = Quadratic() if potential is None else potential
    measure = measure_on(points, activation, potential, density, neurons)
    curvature = measure.potential.hessian(np.zeros(1))
    measure.potential = Quadratic()
    measure.adapt(np.eye(len(points)))
    _check_integrable(measure)
    if x2 is not None:  # with alpha = sigma(w . x_i - b), the function h is the row of x_i
        return measure.evaluate(2 * np.eye(len(points)), _checked_second(x2, x)).T / curvature
    nodes = measure.nodes()
    features = measure.features(nodes, measure.points)
    return (features.T * nodes.mass) @ features / curvature


def _check_integrable(measure: Measure) -> None:
    """Raise if a kernel is infinite, or rests on what is further out than nodes are."""
    nodes, unit = measure.nodes(), np.eye(len(measure.points))
    squares = nodes.mass @ measure.features(nodes, measure.points) ** 2
    if not (measure.tail(unit) <= 1e-9 * squares.max()).all():
        raise ValueError(
            f"density has tails under which the square of activation {measure.sigma!r} has no "
            "integral, or none to double precision; choose lighter tails, or pass neurons=(w, b)."
        )


def _checked_second(x2: ArrayLike, x: np.ndarray) -> np.ndarray:
    second = finite_array("x2", x2)
    if second.ndim != x.ndim or second.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"x2 must have the shape of x but for its length, got {second.shape} beside {x.shape}."
        )
    return second


def _root_of(matrix: np.ndarray, m: int) -> np.ndarray:
    """Return a matrix whose square is the ridge: root.T @ root = R, of no rows for R = 0."""
    if matrix.ndim == 0:
        matrix = float(matrix) * np.eye(m)
    if matrix.shape == (m,):
        matrix = np.diag(matrix)
    if matrix.shape != (m, m) or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=0):
        raise ValueError(
            f"ridge must be a number, have shape ({m},) or be a symmetric matrix of shape "
            f"({m}, {m}), got shape {matrix.shape}; symmetrise it as (R + R.T) / 2."
        )
    values, vectors = linalg.eigh(matrix)
    if values.min(initial=0.0) < -1e-12 * np.abs(values).max(initial=0.0):
        raise ValueError(
            f"ridge has the negative eigenvalue {values.min():g}; it must be positive semidefinite."
        )
    return np.sqrt(values[values > 0, None]) * vectors.T[values > 0]


class _Part(NamedTuple):
    """The solution for g targets on one measure; each array has a row or number for each."""

    measure: Measure
    multipliers: np.ndarray  # (g, m)
    cost: np.ndarray
    gap: np.ndarray
    residual: np.ndarray
    converged: np.ndarray
    iterations: int


def _solve(measure: Measure, rows: np.ndarray, root: np.ndarray) -> _Part:
    """Maximise the dual for targets (g, m); refine the measure until it makes no difference.

    Several targets are for the quadratic only.
    """
    multipliers, total = np.zeros_like(rows), 0
    for _ in range(MAX_REFINEMENTS):
        if len(rows) == 1:
            multipliers[0], iterations = _newton(Dual(measure, rows[0], root), multipliers[0])
        else:
            multipliers, iterations = _linear(Dual(measure, rows, root))
        total += iterations
        if not measure.adapt(multipliers):
            break
    measure.check_potential(multipliers.T)
    h = measure.integrate(multipliers.T, measure.points).T
    errors = rows - h - (multipliers @ root.T) @ root
    size, cost = np.abs(rows).max(axis=1), measure.cost(multipliers.T)
    residual = np.abs(errors).max(axis=1)
    converged = (residual <= 1e-8 * size) & np.isfinite(cost)
    converged &= measure.tail(multipliers) <= 1e-12 * size
    gap = np.abs((multipliers * errors).sum(axis=1))
    return _Part(measure, multipliers, cost, gap, residual, converged, total)


def _joined(parts: list[_Part], *, single: bool) -> Representation:
    numbers = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("cost", "gap", "residual")
    }
    multipliers = np.concatenate([part.multipliers for part in parts])
    converged = all(part.converged.all() for part in parts)
    return Representation(
        **{name: float(array[0]) if single else array for name, array in numbers.items()},
        multipliers=multipliers[0] if single else multipliers.T,
        iterations=sum(part.iterations for part in parts),
        status=Status.CONVERGED if converged else Status.STALLED,
        _measures=tuple(part.measure for part in parts),
    )


def _linear(dual: Dual) -> tuple[np.ndarray, int]:
    """Solve the linear equations of the quadratic for all targets; refine the solution once."""
    xi, steps = np.zeros_like(dual.right), 2
    for _ in range(steps):
        alpha, gradient = dual.evaluate(xi)
        xi = xi + dual.step(alpha[0], gradient.T).T
    return xi @ dual.from_basis.T, steps


def _newton(dual: Dual, multipliers: np.ndarray) -> tuple[np.ndarray, int]:
    """Maximise the dual on its present nodes; returns the multipliers and the steps."""
    xi = dual.to_basis(multipliers)
    alpha, gradient = dual.evaluate(xi)
    if not np.isfinite(gradient).all():  # on nodes further out than those before
        xi = np.zeros_like(xi)
        alpha, gradient = dual.evaluate(xi)
    error, small = np.linalg.norm(gradient), 1e-8 * np.linalg.norm(dual.right)
    steps = 0
    while steps < _MAX_ITERATIONS and dual.evaluations < _MAX_EVALUATIONS and error > 1e-7 * small:
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
