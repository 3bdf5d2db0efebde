"""Newton's method on the dual in parameter space, and the solution with its certificate."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

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
        "density's tails (then the infimum is not attained); with a ridge, a point where no unit "
        "responds, or three beyond all kinks and not on a line"
    )


@dataclass(frozen=True, eq=False)
class Representation:
    r"""The trained change h as an integral over neurons, with its certificate.

    Calling it evaluates :math:`h(x) = \int \alpha(w, b)\, \sigma(w\cdot x - b)\, d\mu` for inputs
    of shape (k,) or (k, D), and returns shape (k,).

    Attributes
    ----------
    cost : float
        :math:`\int D_\varphi(\alpha, 0)\, d\mu`; without a ridge the minimum of problem (P).
    gap : float
        Distance of the cost, with a ridge that of cost and misfit together, from the dual value.
    residual : float
        Largest :math:`|h(x_i) - y_i|`, with a ridge :math:`|h(x_i) + (R\lambda)_i - y_i|`.
    multipliers : ndarray, shape (m,)
        The optimal :math:`\lambda`, in the order of the data.
    iterations : int
        Newton steps.
    status : Status

    References
    ----------
    Eq. :eq:`eq-P`; with a ridge, eq. :eq:`eq-traj-ridge`.

    Examples
    --------
    >>> rep = solve([-0.5, 0.5], [2.0, 1.0])
    >>> rep([-0.5, 0.5]).round(6).tolist(), rep.multipliers.shape
    ([2.0, 1.0], (2,))
    """

    cost: float
    gap: float
    residual: float
    multipliers: np.ndarray = field(repr=False)
    iterations: int
    status: Status
    _measure: Measure = field(repr=False)

    def __call__(self, x: ArrayLike) -> np.ndarray:
        """Evaluate h."""
        return self._measure.evaluate(self.multipliers, x)


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

    With a ridge, a symmetric matrix R or the multiple R of the identity, the data are not met but
    weighed against the cost:

    .. math::

        \min_\alpha \int D_\varphi(\alpha, 0)\, d\mu + \tfrac12\, r^\top R^{-1} r,
        \qquad r_i = y_i - \int \alpha(w, b)\, \sigma(w \cdot x_i - b)\, d\mu(w, b) .

    At the optimum :math:`r = R\lambda`, so the dual is that of (P) less
    :math:`\tfrac12 \lambda^\top R \lambda`, and :math:`R = 0` is (P) itself.

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Distinct inputs, unless there is a ridge; D > 1 needs `neurons`.
    y : array-like, shape (m,)
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
    ridge : float or array-like of shape (m, m)
        :math:`R \ge 0`: a number stands for its multiple of the identity.

    Returns
    -------
    Representation

    Raises
    ------
    ValueError
        If the data are empty, of different lengths, repeated or not finite; if density and neurons
        are both given or do not fit the data; if the nodes miss the density's moments, its tails
        being too heavy for double precision; if without a ridge a target is out of reach, no unit
        responding there or all kinks being elsewhere; if the potential's Hessian at 0 is zero or
        infinite; if the ridge is not positive semidefinite, or of another shape.
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
    points, targets = dataset(x, y, distinct=not ridge.any())
    root = _root_of(ridge, len(targets))
    potential = Quadratic() if potential is None else potential
    measure = measure_on(points, activation, potential, density, neurons)
    fault = out_of_reach(measure, targets)
    if fault and not root.size:
        raise ValueError(fault)
    with np.errstate(all="ignore"):  # what is not finite in the end is not converged
        return _solve(measure, targets, root, reachable=not fault)


def kernel(
    x: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    neurons: tuple[ArrayLike, ArrayLike] | None = None,
) -> np.ndarray:
    r"""Return the mirror kernel of the infinitely wide network at initialization.

    .. math::

        H_{ij} = \frac{1}{\varphi''(0)}
        \int \sigma(w \cdot x_i - b)\, \sigma(w \cdot x_j - b)\, d\mu(w, b)

    Parameters
    ----------
    x : array-like, shape (m,) or (m, D)
        Inputs; repeated ones are allowed.
    activation, potential, density, neurons
        As in :func:`solve`.

    Returns
    -------
    ndarray, shape (m, m)

    Raises
    ------
    ValueError, TypeError
        As in :func:`solve`.

    References
    ----------
    :cite:t:`jacot2018ntk`; with a potential, eq. :eq:`eq-kernel`.

    Examples
    --------
    >>> kernel([0.0, 1.0]).round(6).tolist()  # ReLU, x^2
    [[0.083333, 0.104167], [0.104167, 0.333333]]
    """
    x = finite_array("x", x)
    points, _ = dataset(x, np.zeros(x.shape[:1]), distinct=False)
    potential = Quadratic() if potential is None else potential
    measure = measure_on(points, activation, potential, density, neurons)
    curvature = measure.potential.hessian(np.zeros(1))
    measure.potential = Quadratic()
    measure.adapt(np.eye(len(points)))
    nodes = measure.nodes()
    features = measure.features(nodes, measure.points)
    return (features.T * nodes.mass) @ features / curvature


def _root_of(matrix: np.ndarray, m: int) -> np.ndarray:
    """Return a matrix whose square is the ridge: root.T @ root = R, of no rows for R = 0."""
    if matrix.ndim == 0:
        matrix = float(matrix) * np.eye(m)
    if matrix.shape != (m, m) or not np.allclose(matrix, matrix.T, rtol=1e-8, atol=0):
        raise ValueError(
            f"ridge must be a number or a symmetric matrix of shape ({m}, {m}), got shape "
            f"{matrix.shape}; symmetrise it as (R + R.T) / 2."
        )
    values, vectors = linalg.eigh(matrix)
    if values.min(initial=0.0) < -1e-12 * np.abs(values).max(initial=0.0):
        raise ValueError(
            f"ridge has the negative eigenvalue {values.min():g}; it must be positive semidefinite."
        )
    return np.sqrt(values[values > 0, None]) * vectors.T[values > 0]


def _solve(measure: Measure, y: np.ndarray, root: np.ndarray, *, reachable: bool) -> Representation:
    """Newton's method on the dual; refine the measure until it makes no difference."""
    multipliers, total = np.zeros(len(y)), 0
    for _ in range(MAX_REFINEMENTS):
        multipliers, iterations = _newton(Dual(measure, y, root), multipliers)
        total += iterations
        if not measure.adapt(multipliers):
            break
    h = measure.integrate(multipliers, measure.points)
    errors = y - h - root.T @ (root @ multipliers)
    residual, cost = float(np.abs(errors).max()), measure.cost(multipliers)
    size = np.abs(y).max()
    converged = reachable and residual <= 1e-8 * size and np.isfinite(cost)
    converged &= measure.tail(multipliers) <= 1e-12 * size
    return Representation(
        cost=cost,
        gap=float(abs(multipliers @ errors)),
        residual=residual,
        multipliers=multipliers,
        iterations=total,
        status=Status.CONVERGED if converged else Status.STALLED,
        _measure=measure,
    )


def _newton(dual: Dual, multipliers: np.ndarray) -> tuple[np.ndarray, int]:
    """Maximise the dual on its present nodes; returns the multipliers and the steps."""
    xi = dual.to_basis(multipliers)
    alpha, gradient = dual.evaluate(xi)
    if not np.isfinite(gradient).all():  # on nodes further out than those before
        xi = np.zeros_like(xi)
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
