r"""What a wide ReLU network under a scaled potential pays for a given function.

Kinks at t that face right have density :math:`p_R(t) = p(t)/2` and coefficient
:math:`\alpha_R(t)`, those that face left :math:`p_L(t) = p(-t)/2` and :math:`\alpha_L(t)`. A
function h fixes :math:`p_R \alpha_R + p_L \alpha_L = h''` and two moments of the difference,

.. math::

    \int (p_R \alpha_R - p_L \alpha_L)\, dt &= s = h'(+\infty) + h'(-\infty), \\
    \int t\, (p_R \alpha_R - p_L \alpha_L)\, dt &= c = \int h''(t) |t|\, dt - 2 h(0).

The multipliers of the two moments tilt the two fields against each other,
:math:`\varphi'(\alpha_R) - \varphi'(\alpha_L) = C - S t`; given them, the cost is a pointwise
convex function of :math:`h''(t)`. Everything here is computed from h: nothing is known of data, of
their multipliers, or of how h was found.

Kinks t have the unit of the inputs, costs that of the potential.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike
from scipy.optimize import elementwise

from mflib import densities
from mflib._validation import finite_array
from mflib.potentials import Potential, check_potential, check_where_used

__all__ = ["ReluCost", "relu_cost", "share_curvature"]

_NODES, _WEIGHTS = leggauss(10)
_MOST_ROUGH = 4  # panels at once, for each at the beginning
_MOMENTS = 1e-9  # by which the nodes' moments may differ from those of the distribution
_MAX_ITERATIONS = 100
_MAX_CHECKS = 3
_ROUNDING = 1e-9  # of the cost, at most
_MAX_VALUES = 150  # on the way to a tilt: where the integrals are rounding, it would go to and fro


class ReluCost(NamedTuple):
    r"""The cost of a function, and the tilt :math:`C - S t` of the fields at which it holds.

    Attributes
    ----------
    cost : float
    C, S : float
        Of the tilt, which is linear in the place t of a kink: the prices of a line.

    References
    ----------
    Eqs. :eq:`eq-rs-cost` and :eq:`eq-rs-tilt`.

    Examples
    --------
    >>> ReluCost(cost=2.0, C=0.5, S=0.0).cost
    2.0
    """

    cost: float
    C: float
    S: float


def share_curvature(
    bend: ArrayLike, tilt: ArrayLike, right: ArrayLike, left: ArrayLike, potential: Potential
) -> tuple[np.ndarray, np.ndarray]:
    r"""Share a curvature between the kinks that face right and those that face left.

    .. math::

        \kappa(u, \tau) = \min_{p_R \alpha_R + p_L \alpha_L = u}\
        p_R D_\varphi(\alpha_R, 0) + p_L D_\varphi(\alpha_L, 0)
        - \tfrac{\tau}{2} (p_R \alpha_R - p_L \alpha_L)

    At the minimum :math:`\varphi'(\alpha_R) = \zeta + \tau/2` and
    :math:`\varphi'(\alpha_L) = \zeta - \tau/2`, both plus :math:`\varphi'(0)`; the one unknown
    is a root of an increasing function.

    Parameters
    ----------
    bend : array-like, any shape
        The curvature u.
    tilt : array-like, a shape that broadcasts with it
        The difference :math:`\tau` of the two fields.
    right, left : array-likes, a shape that broadcasts with it
        The densities :math:`p_R, p_L \ge 0`, not both zero.
    potential : Potential

    Returns
    -------
    alpha_right, alpha_left : ndarrays
        The coefficients, of the common shape of the arguments.

    Raises
    ------
    ValueError
        If an argument is not finite, or both densities vanish somewhere.

    References
    ----------
    Eqs. :eq:`eq-rs-kappa` and :eq:`eq-rs-share`.

    Examples
    --------
    >>> from mflib.potentials import Quadratic
    >>> alphas = share_curvature([1.0], [0.8], [0.25], [0.25], Quadratic())
    >>> [alpha.round(12).tolist() for alpha in alphas]
    [[2.2], [1.8]]
    """
    named = {"bend": bend, "tilt": tilt, "right": right, "left": left}
    u, tau, p_right, p_left = np.broadcast_arrays(*(finite_array(*pair) for pair in named.items()))
    check_potential(potential)
    alphas = _shared(u, tau, p_right, p_left, potential)
    check_where_used(potential, lambda: ((potential, alpha) for alpha in alphas))
    return alphas


def _shared(u, tau, p_right, p_left, potential: Potential) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients, for arrays that are finite and a potential that has been tried."""
    total = p_right + p_left
    if not ((total > 0) & (p_right >= 0) & (p_left >= 0)).all():
        raise ValueError(
            "right + left must be positive, and neither negative: where there are no kinks there "
            "is no curvature to share; leave such places out."
        )
    mean, share = u / total, p_right / total

    # the unknown is the field of the side that has more of the density: the other's, where its own
    # is next to nothing, would leave no digits of it
    first = share >= 0.5
    more, apart = np.where(first, share, 1 - share), np.where(first, -tau, tau)

    def coefficients(zeta, apart):
        return [potential.inverse_mirror(field) for field in (zeta, zeta + apart)]

    def excess(zeta, apart, mean, more):
        of_more, of_less = coefficients(zeta, apart)
        parts = more * of_more, (1 - more) * of_less
        size = np.abs(parts[0]) + np.abs(parts[1]) + np.abs(mean) + 1e-200
        return (parts[0] + parts[1] - mean) / size

    # a mean lies between what it is the mean of: so does phi' at it
    with np.errstate(all="ignore"):
        middle = potential.mirror(mean)
    if not np.isfinite(middle).all():
        raise ValueError(
            f"bend / (right + left) reaches {np.abs(mean).max():g}, where the gradient of "
            f"{potential!r} is no number; give less curvature or larger densities."
        )
    offset = np.abs(potential.gradient(np.zeros(1))[0])
    slack = 1e-9 * (np.abs(tau) + np.abs(middle)) + 1e-14 * offset + 1e-200  # for rounding
    bracket = middle - np.maximum(apart, 0) - slack, middle - np.minimum(apart, 0) + slack
    with np.errstate(all="ignore"):
        # so much the other side can give; what is left is the root if it gives next to nothing
        given = [(1 - more) * potential.inverse_mirror(end + apart) for end in bracket]
        blur = 1e-9 * (np.abs(mean) + np.abs(given[0]) + np.abs(given[1]))
        low = potential.mirror((mean - given[1] - blur) / more)
        high = potential.mirror((mean - given[0] + blur) / more)
    hair = 1e-14 * offset + 1e-200
    low, high = low - 1e-9 * np.abs(low) - hair, high + 1e-9 * np.abs(high) + hair
    bracket = np.fmax(bracket[0], low), np.fmin(bracket[1], high)
    # SciPy takes roots of what rounding made negative; then it bisects
    with np.errstate(all="ignore"):
        root = elementwise.find_root(
            excess, bracket, args=(apart, mean, more), tolerances={"fatol": 2e-16}
        )
    of_more, of_less = coefficients(root.x, apart)
    return np.where(first, of_more, of_less), np.where(first, of_less, of_more)


def relu_cost(
    h, knots: ArrayLike, *, potential: Potential, density, tilt: tuple[float, float] | None = None
) -> ReluCost:
    r"""Evaluate what ReLU and a scaled potential charge for a function.

    .. math::

        R(h) = \max_{C, S}\ \tfrac12 (C s - S c) + \int \kappa_t(h''(t),\, C - S t)\, dt,

    the least :math:`\int D_\varphi(\alpha, 0)\, d\mu` over all coefficients that represent h.

    Parameters
    ----------
    h : object
        A function with ``h(0.0)``, ``h.curvature(t)`` and ``h.slopes``, such as a
        :class:`~mflib.variational.Solution`; straight wherever there are no kinks.
    knots : array-like, shape (k,)
        Where the curvature may have corners or jumps, such as data points.
    potential : Potential
        The scaled potential.
    density : distribution, or what :func:`mflib.densities.of` takes
        Of the input biases; where its pdf jumps inside its support, add a knot there and at the
        mirror image.
    tilt : pair of floats, optional
        (C, S): then the bracket is evaluated there and not maximised; it is a lower bound.

    Returns
    -------
    ReluCost
        The cost, C and S.

    Raises
    ------
    ValueError
        If no tilt gives h its moments, or its curvature is rough where there are no knots; if the
        nodes miss the density's moments.

    References
    ----------
    :prf:ref:`rs-theorem`.

    Examples
    --------
    >>> from scipy import stats
    >>> from mflib import variational
    >>> from mflib.potentials import Quadratic
    >>> x, model = [-0.5, 0.1, 0.6], dict(potential=Quadratic(), density=stats.uniform(-1, 2))
    >>> h = variational.solve(x, [0.0, 1.0, 0.0], **model)
    >>> bool(abs(relu_cost(h, x, **model).cost / h.cost - 1) < 1e-9)
    True
    """
    missing = [name for name in ("__call__", "curvature", "slopes") if not hasattr(h, name)]
    if missing:
        raise TypeError(f"h must be such as a variational.Solution; {h!r} has no {missing[0]}.")
    check_potential(potential)
    points = finite_array("knots", knots).ravel()
    problem = _Moments(h, points, potential, densities.of(density))
    problem.check()
    given = finite_array("tilt", (0.0, 0.0) if tilt is None else tilt)
    if given.shape != (2,):
        raise ValueError(f"tilt must be a pair of numbers, got {tilt!r}.")
    C, S = given.tolist()
    rough = True
    while rough:
        C, S = problem.maximise(C, S) if tilt is None else (C, S)
        rough = problem.refine(C, S)
    alphas = problem.coefficients(C, S)
    check_where_used(potential, lambda: ((potential, alpha) for alpha in alphas))
    return ReluCost(problem.value(C, S), C, S)


def _reach(density, std: float, sign: int) -> np.ndarray:
    """Return edges that double in distance from the median, as far as there is a second moment."""
    median, end = float(density.median()), float(density.support()[0 if sign < 0 else 1])
    distance = 0.25 * std * 2.0 ** np.arange(330)
    edges = median + sign * distance[distance < abs(end - median)]
    edges = np.append(edges, end) if np.isfinite(end) else edges
    with np.errstate(all="ignore"):
        part = (np.abs(edges - median) / std) ** 3 * std * density.pdf(edges)
    last = np.flatnonzero(part > 1e-20).max(initial=0) + 1
    return edges[: last + 1]


class _Moments:
    """The integrals that the cost of one function needs, on panels that can be refined."""

    def __init__(self, h, knots: np.ndarray, potential: Potential, density) -> None:
        self.h, self.potential, self.density = h, potential, density
        with np.errstate(all="ignore"):
            self.mean, self.std = float(density.mean()), float(density.std())
        ends = np.concatenate([_reach(density, self.std, sign) for sign in (-1, 1)])
        ends = densities.with_narrow(ends, density)
        reach = np.abs(ends).max()
        corners = np.concatenate([ends, -ends, knots, [0.0]])  # c has |t|
        corners = np.unique(corners[np.abs(corners) <= reach])
        # of corners that differ by rounding one is enough
        apart = np.diff(corners) > 1e-12 * np.maximum(np.abs(corners[1:]), self.std)
        edges = corners[np.append(True, apart)]
        self.most = _MOST_ROUGH * len(edges)
        self.place(edges)

    def place(self, edges: np.ndarray) -> None:
        """Put Gauss nodes on panels between edges; what has no kinks weighs nothing."""
        self.edges, half = edges, 0.5 * np.diff(edges)[:, None]
        self.t = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * _NODES).ravel()
        with np.errstate(all="ignore"):  # far out, on its way to 0
            right, left = (0.5 * np.nan_to_num(self.density.pdf(t)) for t in (self.t, -self.t))
        bare = right + left == 0
        self.weight = np.where(bare, 0.0, (half * _WEIGHTS).ravel())
        self.right, self.left = np.where(bare, 1.0, right), np.where(bare, 1.0, left)
        self.bend = self.h.curvature(self.t)
        self.s = float(sum(self.h.slopes))
        self.c = float(self.weight @ (self.bend * np.abs(self.t)) - 2 * self.h(0.0))

    def check(self) -> None:
        """Resolve the density, and compare its moments at the nodes with what it knows without."""
        for _ in range(_MAX_CHECKS):
            self._halve(lambda: self._sums(self._density())[None], np.ones(1))
            z = (self.t - self.mean) / self.std
            moments = [2 * self.weight @ (self.right * z**power) for power in range(3)]
            off = np.abs(np.array(moments) - [1.0, 0.0, 1.0]).max()
            if off <= _MOMENTS:
                return
            # a corner may hide between an edge and the node next to it: look from elsewhere
            self.place(np.union1d(self.edges, self.edges[:-1] + 0.37 * np.diff(self.edges)))
        raise ValueError(
            f"density's mass, mean or second moment is missed by {off:.1e} (in units of its "
            "deviation) by nodes as far out as double precision goes: its tails are too heavy, "
            "or its pdf is rough where there are no knots. Choose lighter tails, or add knots."
        )

    def coefficients(self, C: float, S: float) -> tuple[np.ndarray, np.ndarray]:
        return _shared(self.bend, C - S * self.t, self.right, self.left, self.potential)

    def integrand(self, C: float, S: float) -> tuple[np.ndarray, np.ndarray]:
        r"""The pointwise cost kappa at the nodes, and the size of the terms that it sums."""
        tau, kappa, size = C - S * self.t, np.zeros_like(self.t), np.zeros_like(self.t)
        sides = zip((self.right, self.left), self.coefficients(C, S), (1, -1), strict=True)
        for p, alpha, sign in sides:
            terms = p * self.potential.bregman(alpha, np.zeros(1)), 0.5 * sign * tau * p * alpha
            kappa += terms[0] - terms[1]
            size += terms[0] + np.abs(terms[1])
        return kappa, size

    def value(self, C: float, S: float) -> float:
        """The bracket in the definition of the cost, concave in C and S."""
        with np.errstate(over="ignore", invalid="ignore"):  # a tilt too far: not a number
            return float(0.5 * (C * self.s - S * self.c) + self.weight @ self.integrand(C, S)[0])

    def rounding(self, C: float, S: float) -> float:
        """Bound what rounding does to the value, whose terms may be larger than their sum."""
        terms = 0.5 * (abs(C * self.s) + abs(S * self.c)) + self.weight @ self.integrand(C, S)[1]
        return float(np.finfo(float).eps * terms)

    def maximise(self, C: float, S: float) -> tuple[float, float]:
        """Newton's method with a line search, from a tilt to the one that maximises the value."""
        tilt, value, left = np.array([C, S]), self.value(C, S), _MAX_VALUES
        for _ in range(_MAX_ITERATIONS):
            gradient, hessian = self.slopes(tilt)
            try:
                step = np.linalg.solve(-hessian, gradient)
            except np.linalg.LinAlgError:
                break
            gain = gradient @ step
            if not 0 <= gain < np.inf:
                break
            if gain <= 1e-12 * abs(value):  # quadratic convergence: one more step is enough
                C, S = map(float, tilt + step)
                if self.rounding(C, S) > _ROUNDING * abs(value):
                    break
                return C, S
            for length in 0.25 ** np.arange(min(30, left)):
                left -= 1
                new = self.value(*(tilt + length * step))
                if new >= value + 0.1 * length * gain:
                    break
            else:
                break
            tilt, value = tilt + length * step, new
        raise ValueError(
            "no tilt gives h its two moments: give a tilt, or check that kinks of both directions "
            "occur in one place, that h is straight where there are none, and that knots has all "
            "corners of h''."
        )

    def slopes(self, tilt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Hessian of the value in C and S."""
        alpha_right, alpha_left = self.coefficients(*tilt)
        difference = self.weight * (self.right * alpha_right - self.left * alpha_left)
        gradient = 0.5 * np.array([self.s - difference.sum(), difference @ self.t - self.c])
        stiff_right, stiff_left = map(self.potential.hessian, (alpha_right, alpha_left))
        with np.errstate(divide="ignore", over="ignore"):  # no kinks of one kind: nothing to trade
            w = self.weight / (stiff_right / self.right + stiff_left / self.left)
        first = w @ self.t
        return gradient, np.array([[-w.sum(), first], [first, -(w @ self.t**2)]])

    def refine(self, C: float, S: float) -> bool:
        """Halve panels until the cost is resolved; return whether there was anything to do."""
        size = self._sums(self.integrand(C, S)[1]).sum()  # of terms, which may cancel in the cost

        def integrals() -> np.ndarray:
            return np.stack([self._sums(self.integrand(C, S)[0]), self._sums(self._density())])

        return self._halve(integrals, np.array([size, 1.0]))

    def _halve(self, integrals: Callable[[], np.ndarray], scale: np.ndarray) -> bool:
        """Halve panels until integrals over each, shape (k, n), are resolved to their scale."""
        start, rough = len(self.edges), np.array([True])
        while rough.any():
            whole, edges = integrals(), self.edges
            middle = 0.5 * (edges[1:] + edges[:-1])
            self.place(np.union1d(edges, middle))
            parts = integrals().reshape(len(whole), -1, 2).sum(axis=2)
            rough = (np.abs(whole - parts) > 1e-13 * scale[:, None]).any(axis=0)
            rough &= np.diff(edges) > 1e-12 * np.maximum(np.abs(middle), self.std)
            if rough.sum() > self.most:
                raise ValueError(
                    f"h.curvature is still rough on {rough.sum()} of {len(edges) - 1} panels; put "
                    "its corners and jumps among knots, and check that it is smooth elsewhere."
                )
            self.place(np.union1d(edges, middle[rough]))
        return len(self.edges) > start

    def _density(self) -> np.ndarray:
        """What has the mass and the variance of the density as its integral, at the nodes."""
        return 2 * self.right * (1 + ((self.t - self.mean) / self.std) ** 2)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Integrate over each panel what is given at the nodes."""
        return (self.weight * values).reshape(-1, len(_NODES)).sum(axis=1)
