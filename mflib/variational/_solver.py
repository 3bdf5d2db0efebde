"""The problem in function space, checked and solved, and the certificate of what is found."""

from __future__ import annotations

import math
from typing import Literal, cast

import numpy as np
from numpy.typing import ArrayLike

from mflib import activations, densities
from mflib.potentials import Potential, Quadratic, check_at_zero, under
from mflib.variational._certificate import Tails, beyond, moments_agree
from mflib.variational._data import Data, dataset_with_ridge
from mflib.variational._dual import DiscreteDual, Evaluation
from mflib.variational._gcv import choose
from mflib.variational._linear import Several
from mflib.variational._newton import maximise
from mflib.variational._several import Solutions
from mflib.variational._smoothing import Point, Ridged, smooth
from mflib.variational._solution import Solution, Status, allow_overflow


def solve(
    x: ArrayLike,
    y: ArrayLike,
    *,
    activation: str | activations.Activation = "relu",
    potential: Potential | None = None,
    density=None,
    ridge: ArrayLike | Literal["gcv"] = 0.0,
) -> Solution:
    r"""Find the function that mirror flow on an infinitely wide network learns, or a smoother one.

    .. math::

        \min_{\alpha}\ \int D_\varphi(\alpha, 0)\, d\mu
        \quad\text{s.t.}\quad h(x_i) = \int \alpha(w, b)\,\sigma_s(w x_i - b)\, d\mu = y_i,

    with :math:`w = \pm 1` with equal probability and b from the density. For ReLU and
    ``Quadratic()`` this is Theorem 2, :math:`G_1 + G_2 + G_3`; for the absolute value it is
    Theorem 8 [1]_. Training with an *unscaled* potential has the quadratic's limit whatever the
    potential.

    With a ridge the data are noisy: they are not met but weighed against the cost,

    .. math::

        \min_{\alpha}\ \int D_\varphi(\alpha, 0)\, d\mu
        + \tfrac12 \sum_i r_i^2 / R_i, \qquad r_i = y_i - h(x_i) ,

    and at the optimum :math:`r_i = R_i \lambda_i`. Both problems take time and memory in proportion
    to m for each Newton step.

    Parameters
    ----------
    x : array-like, shape (m,)
        Inputs. Where there is no ridge they must be distinct, and in the support of the kinks.
    y : array-like, shape (m,) or (m, k)
        Targets, less the network's output at initialization; k targets have k solutions, which for
        the quadratic cost little more than one.
    activation : str or PiecewiseLinear
        "relu", "abs", "leaky_relu" or ``activations.leaky_relu(slope)``.
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given.
    density : distribution, or what :func:`mflib.densities.of` takes, optional
        Distribution of the input biases, with a finite second moment; uniform on [-1, 1] if not
        given. Or of units whose kinks depend on their weights: `densities.normal_layer`,
        `densities.linear_layer`.
    ridge : float or array-like of shape (m,) or "gcv"
        :math:`R \ge 0`, one number for all data or one for each; 0 interpolates. Data that count w
        times as much have R / w. It has the unit of :math:`y^2` over that of the cost. "gcv"
        chooses the number for which generalized cross-validation, the `gcv` of the solution, is
        least [2]_.

    Returns
    -------
    Solution
        The function h, with its certificate: `residual`, `gap` and `status`. For several targets
        :class:`Solutions`, which is called alike.

    Raises
    ------
    ValueError
        If the data are empty, of different lengths or not finite; if y has more than two
        dimensions; if data without a ridge are repeated, outside the support, seen by no unit or
        the middle of three around which the density vanishes; if the ridge is negative or of
        another shape; if the activation is not piecewise linear; if the potential's Hessian at 0 is
        zero or infinite; if the density has no finite variance.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    .. [1] :cite:t:`liang2025implicit`
    .. [2] :cite:t:`craven1979smoothing`

    Examples
    --------
    >>> h = solve([-0.5, 0.1, 0.6], [0.0, 1.0, 0.0])
    >>> h(0.1).round(6).item(), h.status.name
    (1.0, 'CONVERGED')
    >>> bool(abs(sum(h.penalties.values()) - h.cost) < 1e-9 * h.cost)
    True
    >>> h = solve([-0.5, 0.1, 0.1, 0.6], [0.0, 1.0, 0.8, 0.0], ridge=0.01)
    >>> h.fitted.round(3).tolist()
    [0.23, 0.591, 0.591, 0.295]
    """
    potential = Quadratic() if potential is None else potential
    if not isinstance(density, densities.Layer):
        density = densities.of(density)
    data = dataset_with_ridge(x, y, ridge)
    model = checked_model(data, activations.get(activation), potential, density)
    with allow_overflow():
        if data.y.ndim > 1:  # types know no shapes: annotated is what one target gives
            return cast(Solution, _solve_columns(data, model, ridge))
        dual = DiscreteDual(data.x, data.y[None], *model)
        return _solve([data], dual, model, ridge)[0]


def _solve(each: list[Data], dual: DiscreteDual, model: tuple, ridge) -> list[Solution]:
    """Solve for each of several targets, whose problems are the rows of the dual."""
    if isinstance(ridge, str):
        each = [data.times(choose(data, dual[k])) for k, data in enumerate(each)]
    sharp = [k for k, data in enumerate(each) if not data.ridge.any()]
    found = dict(
        zip(sharp, _interpolated([each[k] for k in sharp], dual[sharp], model), strict=True)
    )
    rest = {k: data for k, data in enumerate(each) if k not in found}
    found |= {k: _smoothed(data, dual[k], model) for k, data in rest.items()}
    return [found[k] for k in range(len(each))]


def _solve_columns(data: Data, model: tuple, ridge) -> Solutions:
    """Solve for several targets, with one factorization if h is linear in them."""
    dual, each = DiscreteDual(data.x, data.y.T, *model), data.columns()
    # beside a tiny gap the coefficients are huge, and what they add up to is seen one at a time
    close = len(dual.x) > 1 and np.diff(dual.x).min() < 1e-9 * np.ptp(dual.x)
    if not dual.is_quadratic or isinstance(ridge, str) or close:
        return Solutions(tuple(_solve(each, dual, model, ridge)))
    several, smooths = Several(data, dual[0]), bool(data.ridge.any())
    if not smooths:
        _check_support_between(dual)
    found = []
    for k, one in enumerate(several.smooth() if smooths else several.interpolate()):
        if one is None or not several.tails(dual[k], one[0]):
            found += _solve([each[k]], dual[[k]], model, ridge)
        else:
            point, gap = one
            found.append(_solution(each[k], dual[k], point, several.level, 1, gap=gap, sure=True))
    return Solutions(tuple(found), data.targets)


def _interpolated(each: list[Data], dual: DiscreteDual, model: tuple) -> list[Solution]:
    if not each:
        return []
    _check_support_between(dual)
    own, found, sound = [dual[k] for k in range(len(each))], maximise(dual), moments_agree(dual)
    tails = [beyond(d, at) for d, (at, *_) in zip(own, found, strict=True)]
    cut = [k for k, tail in enumerate(tails) if tail is Tails.CUT and sound]
    if cut:
        far = DiscreteDual(dual.x, dual.y[cut], *model, far=True)
        for row, (k, (at, level, more)) in enumerate(zip(cut, maximise(far), strict=True)):
            own[k], found[k] = far[row], (at, level, found[k][2] + more)
            tails[k] = beyond(own[k], at)
    return [
        _interpolant(data, d, *optimum, seen=tail is Tails.NEGLIGIBLE and moments_agree(d))
        for data, d, optimum, tail in zip(each, own, found, tails, strict=True)
    ]


def _interpolant(data: Data, dual, at: Evaluation, level, iterations, *, seen: bool) -> Solution:
    errors = dual.separate(at.gradient)
    residual, gap = float(np.abs(errors).max()), float(abs(at.xi @ at.gradient))
    met = residual <= dual.tolerance() and math.isfinite(gap)
    point = Point(at, dual.multipliers(at.xi), data.y - errors, errors, residual)
    return _solution(data, dual, point, level, iterations, gap=gap, sure=met and seen)


def _smoothed(data: Data, dual: DiscreteDual, model: tuple) -> Solution:
    problem = Ridged(dual, data.ridge)
    point, level, iterations = smooth(problem)
    tails = beyond(problem.dual, point.at)
    if tails is Tails.CUT and moments_agree(problem.dual):
        problem = Ridged(DiscreteDual(data.x, data.y, *model, far=True), data.ridge)
        point, level, more = smooth(problem)
        iterations, tails = iterations + more, beyond(problem.dual, point.at)
    seen = tails is Tails.NEGLIGIBLE and moments_agree(problem.dual)
    gap = problem.gap(point)
    sure = problem.keeps_promise(point, gap) and seen
    return _solution(data, problem.dual, point, level, iterations, gap=gap, sure=sure)


def _solution(data: Data, dual, point: Point, level, iterations, *, gap, sure: bool) -> Solution:
    dual.check_potential(point.at.xi, level)
    converged = sure and math.isfinite(point.at.cost)
    return Solution(
        cost=float(point.at.cost),
        gap=gap,
        residual=float(np.abs(point.errors).max()),
        iterations=iterations,
        status=Status.CONVERGED if converged else Status.STALLED,
        ridge=data.given,
        _data=data,
        _dual=dual,
        _point=point,
        _level=level,
    )


def checked_model(data: Data, sigma, potential, density) -> tuple:
    """Return what a `DiscreteDual` takes after the data, or raise unless it serves the problem."""
    if not isinstance(sigma, activations.PiecewiseLinear):
        raise ValueError(
            f"activation {sigma!r} is not served by variational.solve, which needs 'relu', 'abs' "
            "or a leaky ReLU; use representation.solve."
        )
    check_at_zero(potential)
    potential, density, scale = under(potential, density)
    x = data.x[data.ridge == 0]  # others may be missed
    low, high = density.support()
    outside = x[((x < low) | (x > high)) & ((x < -high) | (x > -low))]
    if len(outside):
        raise ValueError(
            f"x contains {outside[0]:g}, outside the support [{low:g}, {high:g}] of the density "
            "and its mirror image: no unit has its kink there, so h is straight around that point. "
            "Widen the density, rescale x, give a ridge, or use representation.solve, which allows "
            "it."
        )
    nearest = data.x[np.argmin(np.abs(data.x))]
    with np.errstate(all="ignore"):  # SciPy's may overflow on its way to 1
        below = density.cdf(abs(nearest))
    if sigma.slope == 0 and not below > 0:
        raise ValueError(
            f"x contains {nearest:g}, which no ReLU unit sees: {nearest:g} - b and {-nearest:g} - b"
            f" are negative for every b in the support [{low:g}, {high:g}], so h is 0 there. Let "
            "the density begin below, or shift x."
        )
    return sigma.slope, potential, density, scale


def _check_support_between(dual: DiscreteDual) -> None:
    """Raise if a data point cannot bend h: no kinks between its neighbours."""
    in_support = np.zeros(len(dual.grid) - 1, dtype=bool)
    for o in dual.orientations:
        in_support[o.element] = True
    stuck = np.flatnonzero(~(in_support[1:-2] | in_support[2:-1]))
    if len(stuck):
        a, b = dual.x[stuck[0]], dual.x[stuck[0] + 2]
        raise ValueError(
            f"the density vanishes between x = {a:g} and x = {b:g}, so h is a straight line there "
            "and cannot pass through the data point between them; give it a ridge, drop it or "
            "change the density."
        )
