r"""Potentials :math:`\varphi` and the geometry each one defines.

A potential is a smooth strictly convex function of one real variable. Applied to every parameter
and summed, it is the :math:`\Phi` of mirror descent: :math:`\nabla\Phi` is the mirror map, and the
Bregman divergence :math:`D_\varphi(x, y) = \varphi(x) - \varphi(y) - \varphi'(y)(x - y)` is the
distance that mirror flow minimises.

All methods act elementwise, on NumPy arrays and on Torch tensors alike.

Arguments have the unit of what they are applied to: of a parameter, or of n times its change. A
potential other than a power belongs to one choice of units: see :prf:ref:`prop-real-units`.
"""

from __future__ import annotations

import abc
import functools
import math
import numbers
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from mflib import densities
from mflib._averages import Average
from mflib._validation import (
    array_namespace,
    as_array,
    as_arrays,
    elementwise_values,
    number,
    real_array,
)

__all__ = [
    "Potential",
    "Quadratic",
    "Power",
    "Hypentropy",
    "Regularized",
    "Entropy",
    "Rescaled",
    "Averaged",
]

Array = Any  # a NumPy array or a Torch tensor; results are of the kind that came in

_RANGE = {"least": 1e-100, "most": 1e100}  # beyond, powers of parameters are no numbers
_REALS = (-math.inf, math.inf)
_CANCELLED = 1e-5  # of its terms: a divergence below has lost five digits
_NODES, _WEIGHTS = (  # Gauss's, on [0, 1]
    (0.0694318442029737, 0.330009478207572, 0.669990521792428, 0.930568155797026),
    (0.173927422568727, 0.326072577431273, 0.326072577431273, 0.173927422568727),
)


def _in_single_precision(method: Callable[..., Array]) -> Callable[..., Array]:
    """Let an inverse be computed with 32 bits where its argument has 16."""

    @functools.wraps(method)
    def wide(self: Potential, z: Array) -> Array:
        z = as_array(z)
        if z.dtype.itemsize >= 4:
            return method(self, z)
        xp = array_namespace(z)
        return xp.astype(method(self, xp.astype(z, xp.float32)), z.dtype)

    return wide


class Potential(abc.ABC):
    r"""A smooth strictly convex function :math:`\varphi` of one real variable.

    A potential of your own needs three methods, ``value``, ``gradient`` and ``hessian``, each
    elementwise and written with operators or with functions of ``array_namespace(x)``. The inverse
    of the gradient then comes from a safeguarded Newton iteration; override ``inverse_gradient``
    where a formula exists. One that is not defined on all of R says where it is, as the open
    interval ``domain``, and brings its own ``inverse_gradient``.

    Two potentials of one class are equal if their attributes are; where an attribute is an array
    or a list, only if they are the same object.

    References
    ----------
    :prf:ref:`mf-potential`; the divergence: :cite:t:`bregman1967`.

    Examples
    --------
    >>> import numpy as np
    >>> class Cosh(Potential):
    ...     def value(self, x):
    ...         return array_namespace(x).cosh(x)
    ...     def gradient(self, x):
    ...         return array_namespace(x).sinh(x)
    ...     def hessian(self, x):
    ...         return array_namespace(x).cosh(x)
    >>> x = np.array([-3.0, 0.0, 1e-8, 2.0])
    >>> phi = Cosh()
    >>> bool(np.allclose(phi.inverse_gradient(phi.gradient(x)), x, rtol=1e-13, atol=0))
    True
    """

    @property
    def domain(self) -> tuple[float, float]:
        """The open interval on which the potential is defined."""
        return _REALS

    @abc.abstractmethod
    def value(self, x: Array) -> Array:
        r""":math:`\varphi(x)`, elementwise."""

    @abc.abstractmethod
    def gradient(self, x: Array) -> Array:
        r"""The mirror map :math:`\varphi'(x)`, elementwise and strictly increasing."""

    @abc.abstractmethod
    def hessian(self, x: Array) -> Array:
        r"""The metric :math:`\varphi''(x)`, elementwise and positive."""

    def bracket(self, slope: Array) -> tuple[Array, Array]:
        r"""Bounds for ``inverse_gradient``: where to look for :math:`(\varphi')^{-1}`.

        Parameters
        ----------
        slope : array
            Values of :math:`\varphi'(x) - \varphi'(0)`, any shape.

        Returns
        -------
        lower, upper : arrays
            :math:`0 \le` lower :math:`\le |x| \le` upper, elementwise.
        """
        xp = array_namespace(slope)
        sign, target = xp.sign(slope), xp.abs(slope)
        offset = self.gradient(xp.zeros_like(target))

        def too_small(u: Array) -> Array:
            with np.errstate(all="ignore"):  # too large overflows, or is not a number
                return sign * (self.gradient(sign * u) - offset) < target

        upper, factor = xp.ones_like(target), 2.0
        while bool(xp.any(low := too_small(upper))):
            if factor > 1e150:
                raise ValueError(
                    f"the gradient of {self!r} grows too slowly to reach some of the values asked "
                    "for (bounded gradient: no minimiser in general); use Regularized(potential, "
                    "omega), whose gradient is unbounded."
                )
            upper, factor = xp.where(low, upper * factor, upper), factor**2
        lower, factor = xp.where(target > 0, upper, xp.zeros_like(target)), 0.5
        while bool(xp.any(high := (lower > 0) & ~too_small(lower))):
            lower, factor = xp.where(high, lower * factor, lower), factor**2
        return lower, upper

    @_in_single_precision
    def inverse_gradient(self, z: Array) -> Array:
        r"""The inverse mirror map :math:`(\varphi')^{-1}(z)`, elementwise.

        Newton's method on :math:`|x|`, kept inside a bracket that shrinks at every step; a Newton
        point outside the bracket, or a late one that hardly moves on, is replaced by the bracket's
        geometric mean.

        Parameters
        ----------
        z : array or float
            Values of the gradient.

        Returns
        -------
        array
            x with ``gradient(x) == z`` up to rounding, of the precision of z; NaN stays NaN.

        Raises
        ------
        ValueError
            If the gradient does not reach z: it is bounded, decreasing or not a number. If the
            domain is not all of R.
        """
        if tuple(self.domain) != _REALS:
            raise ValueError(f"{self!r} is not defined on all of R: it needs its inverse_gradient.")
        xp = array_namespace(z)
        eps = float(xp.finfo(z.dtype).eps)
        known = xp.isfinite(z)
        offset = self.gradient(xp.zeros_like(z))
        slope = xp.where(known, z - offset, xp.zeros_like(z))
        sign, target = xp.sign(slope), xp.abs(slope)
        rounding = 9 * eps * (target + xp.abs(offset))
        lower, upper = self.bracket(slope)
        x = xp.where(lower > 0, xp.sqrt(lower) * xp.sqrt(upper), 0.5 * upper)
        x = xp.where(target > 0, x, xp.zeros_like(x))
        previous = xp.full_like(x, xp.nan)
        for trial in range(200):
            with np.errstate(all="ignore"):  # a trial may be as far out as the bracket
                reached = sign * (self.gradient(sign * x) - offset)
                error = reached - target
                # far off, of the logarithm: for exponentials, and nearly so for powers, a line
                ratio = reached / target
                far = (ratio > 1.5) | ((ratio > 0) & (ratio < 0.5))
                excess = xp.where(far, reached * xp.log(xp.where(far, ratio, 1.0)), error)
                newton = x - excess / self.hessian(sign * x)
            lower = xp.where(error < 0, x, lower)
            upper = xp.where(error > 0, x, upper)
            # where the gradient is noisy, Newton could go to and fro; where it is exponential, and
            # Newton comes from far above, its steps are all of length one
            again = (newton == previous) & (newton != x)
            if trial >= 20:
                again |= xp.abs(newton - x) > 0.5 * xp.abs(x - previous)
            inside = (newton >= lower) & (newton <= upper) & ~again
            middle = xp.where(lower > 0, xp.sqrt(lower) * xp.sqrt(upper), 0.5 * upper)
            new = xp.where(error == 0, x, xp.where(inside, newton, middle))
            # the last Newton step from within rounding is as good as it gets; the middle is not
            done = (xp.abs(new - x) <= 1.8 * eps * xp.abs(new)) | (error == 0)
            done |= inside & (xp.abs(error) <= rounding)
            done &= ~xp.isnan(error)
            previous, x = x, new
            if bool(xp.all(done)):
                return xp.where(known, sign * x, z)
        raise ValueError(
            f"the gradient of {self!r} could not be inverted at some of the values asked for; a "
            "potential must be strictly convex, and `hessian` the derivative of `gradient`."
        )

    def mirror(self, alpha: Array) -> Array:
        r""":math:`\varphi'(\alpha) - \varphi'(0)`, elementwise: the mirror map that keeps 0.

        The dual problems need no other: divergences do not see what is affine in a potential.
        """
        return self.gradient(alpha) - self._gradient_at_zero()

    def inverse_mirror(self, z: Array) -> Array:
        r"""Inverse of `mirror`, :math:`(\varphi')^{-1}(z + \varphi'(0))`, elementwise."""
        return self.inverse_gradient(z + self._gradient_at_zero())

    def _gradient_at_zero(self) -> float:
        return float(self.gradient(np.zeros(1))[0])

    def bregman(self, x: Array, y: Array) -> Array:
        r"""Bregman divergence :math:`D_\varphi(x, y) \ge 0`, elementwise.

        Parameters
        ----------
        x, y : arrays or floats
            Broadcast against each other.

        Returns
        -------
        array
            :math:`\varphi(x) - \varphi(y) - \varphi'(y)(x - y)`.
        """
        x, y = as_arrays(x, y)
        xp = array_namespace(x)
        parts = self.value(x), self.value(y), self.gradient(y) * (x - y)
        result = parts[0] - parts[1] - parts[2]
        near = xp.abs(result) < _CANCELLED * sum(map(xp.abs, parts))
        return xp.where(near, self._bregman_near(x, y), result) if bool(xp.any(near)) else result

    def _bregman_near(self, x: Array, y: Array) -> Array:
        r"""The divergence of points so close that all terms of its definition cancel.

        It is the integral of :math:`(x - t) \varphi''(t)` from y to x, by Gauss from y to 0 and
        from there, since Hessians may have a kink at 0.
        """
        xp = array_namespace(x)
        middle = xp.where(xp.sign(x) * xp.sign(y) < 0, xp.zeros_like(x), y)
        total = xp.zeros_like(x)
        with np.errstate(all="ignore"):
            for start, end in ((y, middle), (middle, x)):
                step = end - start
                for node, weight in zip(_NODES, _WEIGHTS, strict=True):
                    part = (x - end + (1 - node) * step) * self.hessian(start + node * step)
                    total = total + xp.where(step == 0, 0.0, weight * part * step)
            return total

    def at_scale(self, c: float) -> Potential:
        r"""The potential :math:`\varphi(x/c)`: the same one for arguments in another unit.

        Parameters
        ----------
        c : float
            The scale c > 0, in the new unit of x.

        Returns
        -------
        Potential

        Raises
        ------
        ValueError
            If c is not a finite number above 0.

        Examples
        --------
        >>> phi = Regularized(Power(4), 1).at_scale(100.0)
        >>> float(phi.value(200.0)), phi
        (10.0, Regularized(Power(4), 1).at_scale(100))
        """
        return Rescaled(self, c)

    def get_params(self) -> dict[str, Any]:
        """The parameters by name: the attributes, but for cached properties."""
        state = object.__getstate__(self)  # None, a dict, or a pair of them where there are slots
        parts = state if isinstance(state, tuple) else (state,)
        params = {name: value for part in parts for name, value in (part or {}).items()}
        for name in [*params]:
            if isinstance(getattr(type(self), name, None), functools.cached_property):
                del params[name]
        return params

    def __sklearn_clone__(self) -> Potential:
        """For scikit-learn, which else would copy what has `get_params`: a potential is a value."""
        return self

    def _key(self) -> tuple:
        params = self.get_params()
        if not all(map(_is_plain, params.values())):
            return (id(self),)
        return (type(self), *sorted(params.items()))

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Potential) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(_short, self.get_params().values()))})"


class Quadratic(Potential):
    r""":math:`\varphi(x) = x^2`, whose mirror flow is gradient flow (at half the rate).

    References
    ----------
    :cite:t:`liang2025implicit`, Theorem 2: every unscaled potential has its limit.

    Examples
    --------
    >>> phi = Quadratic()
    >>> float(phi.inverse_gradient(phi.gradient(3.0))), float(phi.bregman(3.0, 1.0))
    (3.0, 4.0)
    """

    def value(self, x: Array) -> Array:
        return as_array(x) ** 2

    def gradient(self, x: Array) -> Array:
        return 2.0 * as_array(x)

    def hessian(self, x: Array) -> Array:
        x = as_array(x)
        return 2.0 * array_namespace(x).ones_like(x)

    def inverse_gradient(self, z: Array) -> Array:
        return 0.5 * as_array(z)

    def bregman(self, x: Array, y: Array) -> Array:
        x, y = as_arrays(x, y)
        return (x - y) ** 2


class Power(Potential):
    r""":math:`\varphi(x) = |x|^p` with :math:`p > 1`.

    For :math:`p > 2` the Hessian vanishes at the origin, and for :math:`p < 2` it is infinite
    there: mirror flow from the origin needs ``Regularized(Power(p), omega)``.

    Parameters
    ----------
    exponent : float
        p > 1.

    Raises
    ------
    ValueError
        If the exponent is not a finite number above 1.

    References
    ----------
    :cite:t:`liang2025implicit`, Assumption 7, where it is the convex part.

    Examples
    --------
    >>> float(Power(4).inverse_gradient(32.0))
    2.0
    """

    def __init__(self, exponent: float) -> None:
        self.exponent = number("exponent", exponent, above=1.0, cure="|x|^p is convex and smooth")

    def value(self, x: Array) -> Array:
        return abs(as_array(x)) ** self.exponent

    def gradient(self, x: Array) -> Array:
        x = as_array(x)
        return self.exponent * array_namespace(x).sign(x) * abs(x) ** (self.exponent - 1)

    def hessian(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):  # infinite at 0 for exponents below 2
            return self.exponent * (self.exponent - 1) * abs(as_array(x)) ** (self.exponent - 2)

    @_in_single_precision
    def inverse_gradient(self, z: Array) -> Array:
        return array_namespace(z).sign(z) * (abs(z) / self.exponent) ** (1 / (self.exponent - 1))


class Hypentropy(Potential):
    r"""Hypentropy :math:`\psi_\beta(x) = x \sinh^{-1}(x/\beta) - \sqrt{x^2 + \beta^2}`.

    It behaves like :math:`x^2/(2\beta)` for :math:`|x| \ll \beta` and like
    :math:`|x| \log|x|` for :math:`|x| \gg \beta` [1]_.

    Parameters
    ----------
    beta : float
        The scale :math:`\beta > 0` of the transition, in the units of x.

    Raises
    ------
    ValueError
        If beta is not a finite number above 0.

    References
    ----------
    .. [1] :cite:t:`ghai2020exponentiated`

    Examples
    --------
    >>> phi = Hypentropy(1.0)
    >>> round(float(phi.gradient(1.0)), 6), float(phi.hessian(0.0))
    (0.881374, 1.0)
    """

    def __init__(self, beta: float) -> None:
        self.beta = number("beta", beta, above=0.0, **_RANGE, cure="it is a scale")

    def value(self, x: Array) -> Array:
        x = as_array(x)
        xp = array_namespace(x)
        far = xp.isinf(x)  # there it would be the difference of two infinities
        near = xp.where(far, xp.zeros_like(x), x)
        return xp.where(far, abs(x), near * self.gradient(near) - self._root(near))

    def gradient(self, x: Array) -> Array:
        x = as_array(x)
        return array_namespace(x).asinh(x / self.beta)

    def hessian(self, x: Array) -> Array:
        return 1.0 / self._root(as_array(x))

    def inverse_gradient(self, z: Array) -> Array:
        z = as_array(z)
        return self.beta * array_namespace(z).sinh(z)

    def bregman(self, x: Array, y: Array) -> Array:
        x, y = as_arrays(x, y)
        xp, root = array_namespace(x), self._root(y)
        # the difference of the roots, without cancelling digits
        roots = (x - y) * (x + y) / (self._root(x) + root)
        result = x * (self.gradient(x) - self.gradient(y)) - roots
        near = xp.abs(x - y) < 0.01 * root
        return xp.where(near, self._bregman_near(x, y), result) if bool(xp.any(near)) else result

    def _root(self, x: Array) -> Array:
        return array_namespace(x).hypot(x, array_namespace(x).full_like(x, self.beta))


class Regularized(Potential):
    r""":math:`\varphi(x) = (\psi(x) + \omega x^2)/(1 + \omega)`, the form of Assumption 7 [1]_.

    The quadratic keeps the Hessian positive where that of :math:`\psi` vanishes.

    Parameters
    ----------
    psi : Potential
        The convex part.
    omega : float
        The weight :math:`\omega > 0` of the quadratic.

    Raises
    ------
    TypeError
        If psi is not a Potential.
    ValueError
        If omega is not a finite number above 0, or psi is not defined on all of R.

    References
    ----------
    .. [1] :cite:t:`liang2025implicit`

    Examples
    --------
    >>> import numpy as np
    >>> Regularized(Power(4), 1).gradient(np.array([-1.0, 0.0, 2.0]))
    array([-3.,  0., 18.])
    """

    def __init__(self, psi: Potential, omega: float) -> None:
        if not isinstance(psi, Potential):
            raise TypeError(f"psi must be a Potential, got {psi!r}; use e.g. Power(4).")
        _refuse_domain("psi", psi)
        self.psi = psi
        cure = "it keeps the Hessian positive"
        self.omega = number("omega", omega, above=0.0, **_RANGE, cure=cure)

    def value(self, x: Array) -> Array:
        x = as_array(x)
        return (self.psi.value(x) + self.omega * x**2) / (1 + self.omega)

    def gradient(self, x: Array) -> Array:
        x = as_array(x)
        return (self.psi.gradient(x) + 2 * self.omega * x) / (1 + self.omega)

    def hessian(self, x: Array) -> Array:
        x = as_array(x)
        return (self.psi.hessian(x) + 2 * self.omega) / (1 + self.omega)

    @_in_single_precision
    def inverse_gradient(self, z: Array) -> Array:
        # The powers of the figures have roots in closed form; the rest is Newton's method.
        exponent = self.psi.exponent if isinstance(self.psi, Power) else None
        xp = array_namespace(z)
        with np.errstate(over="ignore"):
            c = (1 + self.omega) * z
        if exponent not in (3.0, 4.0):
            return super().inverse_gradient(xp.where(xp.isfinite(c), z, c))  # infinite stays so
        if exponent == 3:  # 3 |x| x + 2 omega x = c
            return c / (self.omega + xp.sqrt(self.omega**2 + 3 * xp.abs(c)))
        # 4 x^3 + 2 omega x = c, by 4 sinh^3 u + 3 sinh u = sinh 3u, and a Newton step for rounding
        unit = math.sqrt(2 * self.omega / 3)
        x = unit * xp.sinh(xp.asinh(c / unit**3) / 3)
        square = x * x  # x**3 would take longer than all the rest
        return x - ((4 * square + 2 * self.omega) * x - c) / (12 * square + 2 * self.omega)

    def bregman(self, x: Array, y: Array) -> Array:
        x, y = as_arrays(x, y)
        return (self.psi.bregman(x, y) + self.omega * (x - y) ** 2) / (1 + self.omega)

    def bracket(self, slope: Array) -> tuple[Array, Array]:
        # Of the two terms of the gradient neither exceeds the whole; one is at least half of it.
        xp = array_namespace(slope)
        total = (1 + self.omega) * slope
        offset = self.psi.gradient(xp.zeros_like(slope))

        def smaller(part: Array) -> Array:
            with np.errstate(over="ignore"):  # then the quadratic part is the smaller one
                alone = self.psi.inverse_gradient(part + offset)
            return xp.minimum(xp.abs(alone), xp.abs(part) / (2 * self.omega))

        try:
            # where one term is all there is, x is at an end: Newton's steps may pass it by a little
            return smaller(0.5 * total) / 1.05, smaller(total) * 1.05
        except ValueError:  # the gradient of psi is bounded, that of the whole is not
            return super().bracket(slope)


class Entropy(Potential):
    r""":math:`\varphi(x) = x \log x - x` on :math:`x > 0`: exponentiated gradient.

    For :class:`~mflib.descent.MirrorDescent` with ``center="origin"`` and parameters above 0, which
    stay there: a step is :math:`\theta_k \leftarrow \theta_k e^{-\gamma \partial_k L}` [1]_. The
    solvers and ``mirror_flow`` need a potential on all of R; :class:`Hypentropy` is its
    counterpart there.

    On the probability simplex the Bregman projection is division by the sum [2]_: follow each step
    by ``w /= w.sum()`` under ``torch.no_grad()``.

    References
    ----------
    .. [1] :cite:t:`kivinen1997exponentiated`
    .. [2] :cite:t:`beck2003mirror`, Section 5.

    Examples
    --------
    >>> phi = Entropy()
    >>> float(phi.gradient(1.0)), float(phi.inverse_gradient(0.0)), phi.domain
    (0.0, 1.0, (0.0, inf))
    """

    @property
    def domain(self) -> tuple[float, float]:
        return (0.0, math.inf)

    def value(self, x: Array) -> Array:
        x = as_array(x)
        return x * (self.gradient(x) - 1.0)

    def gradient(self, x: Array) -> Array:
        x = as_array(x)
        return array_namespace(x).log(x)

    def hessian(self, x: Array) -> Array:
        return 1.0 / as_array(x)

    def inverse_gradient(self, z: Array) -> Array:
        z = as_array(z)
        return array_namespace(z).exp(z)

    def bregman(self, x: Array, y: Array) -> Array:
        x, y = as_arrays(x, y)
        xp, d = array_namespace(x), x - y
        # the logarithm of the ratio, without cancelling digits
        return x * xp.sign(d) * xp.log1p(abs(d) / xp.minimum(x, y)) - d


class Rescaled(Potential):
    r""":math:`\varphi(x/c)`, as ``phi.at_scale(c)`` returns it.

    Parameters
    ----------
    phi : Potential
        The function :math:`\varphi`.
    c : float
        The scale c > 0, in the unit of x.

    Raises
    ------
    TypeError
        If phi is not a Potential.
    ValueError
        If c is not a finite number above 0.

    References
    ----------
    :prf:ref:`prop-real-units`: a potential other than a power belongs to one choice of units.

    Examples
    --------
    >>> phi = Rescaled(Hypentropy(0.5), 4.0)
    >>> float(phi.gradient(2.0)) == float(Hypentropy(2.0).gradient(2.0)) / 4
    True
    """

    def __init__(self, phi: Potential, c: float) -> None:
        if not isinstance(phi, Potential):
            raise TypeError(f"phi must be a Potential, got {phi!r}; use e.g. Power(4).")
        self.phi = phi
        self.c = number("c", c, above=0.0, **_RANGE, cure="it is a scale")

    @property
    def domain(self) -> tuple[float, float]:
        return (self.c * self.phi.domain[0], self.c * self.phi.domain[1])

    def value(self, x: Array) -> Array:
        return self.phi.value(as_array(x) / self.c)

    def gradient(self, x: Array) -> Array:
        return self.phi.gradient(as_array(x) / self.c) / self.c

    def hessian(self, x: Array) -> Array:
        return self.phi.hessian(as_array(x) / self.c) / self.c**2

    def inverse_gradient(self, z: Array) -> Array:
        return self.c * self.phi.inverse_gradient(self.c * as_array(z))

    def bregman(self, x: Array, y: Array) -> Array:
        x, y = as_arrays(x, y)
        return self.phi.bregman(x / self.c, y / self.c)

    def at_scale(self, c: float) -> Potential:
        return Rescaled(self.phi, self.c * number("c", c, above=0.0, cure="it is a scale"))

    def __repr__(self) -> str:
        return f"{self.phi!r}.at_scale({_short(self.c)})"


class Averaged(Potential):
    r"""The potential that input weights of random size leave, of their law and :math:`\varphi`.

    A unit of size :math:`\rho = |w|` is :math:`\rho` times one of size 1. Where the sizes are
    independent of the kinks, units with the same kink add up to one with the potential
    :math:`\varphi_W`, given by its conjugate or its inverse mirror map:

    .. math::

        \varphi_W^*(\zeta) = E[\varphi^*(\rho\,\zeta)], \qquad
        (\varphi_W')^{-1}(\zeta) = E\bigl[\rho\, (\varphi')^{-1}(\rho\,\zeta)\bigr] .

    For :math:`x^2` that is :math:`x^2/E[\rho^2]`, for :math:`|x|^p` a multiple as well; for all
    else the law matters. What is affine in :math:`\varphi` is left out, so that
    :math:`\varphi_W(0) = \varphi_W'(0) = 0`. Gauss nodes in :math:`\log\rho` serve all
    :math:`\zeta`; polynomials in :math:`\log\zeta` and :math:`\log x`, found where they are
    asked for and kept, make up for their number.

    Parameters
    ----------
    phi : Potential
        The function :math:`\varphi` that acts on the output weights.
    law : frozen scipy.stats distribution
        Of the sizes :math:`\rho = |w|`: continuous with a bounded pdf, or discrete;
        ``stats.halfnorm()`` for normal weights.

    Raises
    ------
    TypeError
        If phi is not a Potential, or law no distribution.
    ValueError
        If law has mass below 0, or tails so heavy that the expectations are infinite; if phi is not
        defined on all of R.

    References
    ----------
    :ref:`initialization`

    Examples
    --------
    >>> from scipy import stats
    >>> phi = Averaged(Quadratic(), stats.halfnorm(scale=0.5))  # E[w^2] = 1/4
    >>> round(float(phi.value(3.0)), 12), phi
    (36.0, Averaged(Quadratic(), halfnorm(scale=0.5)))
    """

    def __init__(self, phi: Potential, law: Any) -> None:
        if not isinstance(phi, Potential):
            raise TypeError(f"phi must be a Potential, got {phi!r}; use e.g. Power(4).")
        check_potential(phi)
        self.phi, self.law = phi, densities.of_sizes("law", law)
        _ = self._average  # which refuses heavy tails

    @property
    def _average(self) -> Average:
        return _average(self.phi, densities.defined(self.law))

    def value(self, x: Array) -> Array:
        return self._of(x, lambda x, zeta, value, _: value * x * zeta, 0.0)

    def gradient(self, x: Array) -> Array:
        return self._of(x, lambda x, zeta, *_: zeta, 0.0)

    def hessian(self, x: Array) -> Array:
        at_zero = self._average.metric
        return self._of(x, lambda x, zeta, _, power: power * zeta / x, at_zero)

    def inverse_gradient(self, z: Array) -> Array:
        z = as_array(z)
        xp = array_namespace(z)
        with np.errstate(all="ignore"):
            return xp.astype(self._average.inverse(xp.astype(z, xp.float64), xp), z.dtype)

    def _of(self, x: Array, combine: Callable, at_zero: float) -> Array:
        x = as_array(x)
        xp = array_namespace(x)
        wide = xp.astype(x, xp.float64)
        with np.errstate(all="ignore"):
            result = combine(wide, *self._average.forward(wide, xp))
        return xp.astype(xp.where(wide == 0, xp.full_like(wide, at_zero), result), x.dtype)

    def _gradient_at_zero(self) -> float:
        return 0.0

    def _key(self) -> tuple:
        return (type(self), self.phi, densities.defined(self.law))

    def __repr__(self) -> str:
        return f"Averaged({self.phi!r}, {densities.defined(self.law)!r})"


class Local(Potential):
    r""":math:`\varphi(\tau x)/\tau^2`, with a :math:`\tau` for each entry of an array."""

    def __init__(self, phi: Potential, tau: np.ndarray) -> None:
        self.phi, self.tau = phi, tau

    def value(self, x: Array) -> Array:
        return self.phi.value(self.tau * x) / self.tau**2

    def gradient(self, x: Array) -> Array:
        return self.phi.gradient(self.tau * x) / self.tau

    def hessian(self, x: Array) -> Array:
        return self.phi.hessian(self.tau * x)

    def inverse_gradient(self, z: Array) -> Array:
        return self.phi.inverse_gradient(self.tau * z) / self.tau

    def bregman(self, x: Array, y: Array) -> Array:
        return self.phi.bregman(self.tau * x, self.tau * y) / self.tau**2

    def _gradient_at_zero(self) -> float:
        return 0.0  # as that of an averaged potential


def under(potential: Potential, density: Any) -> tuple[Potential, Any, Callable | None]:
    """Return the potential, the density of the kinks, and a scale that depends on the place.

    Of a layer whose kinks depend on its weights the potential is averaged; see :class:`Local`.
    """
    if not isinstance(density, densities.Layer):
        return potential, densities.of(density), None
    return Averaged(potential, density.law), density.kinks, density.scale


def has_entire_inverse(potential: Any) -> bool:
    r"""Whether :math:`(\varphi')^{-1}` is an entire function, which few Gauss nodes integrate."""
    if type(potential) is Rescaled:
        return has_entire_inverse(potential.phi)
    return type(potential) in (Quadratic, Hypentropy)


@functools.lru_cache(maxsize=64)  # equal potentials share their tables
def _average(phi: Potential, law: densities.Defined) -> Average:
    return Average(phi, law.distribution)


def _is_plain(value: Any) -> bool:
    """Whether equality and hash of an attribute are those of its content."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, numbers.Number | str | bytes | Potential)


def _short(value: Any) -> str:
    if isinstance(value, numbers.Real) and float(text := f"{value:g}") == value:
        return text
    return reprlib.repr(value)


def check_at_zero(potential: Any) -> None:
    """Raise unless training can start at the centre of a potential."""
    check_potential(potential)
    with np.errstate(divide="ignore"):
        curvature = float(potential.hessian(np.zeros(1))[0])
    if not (np.isfinite(curvature) and curvature > 0):
        raise ValueError(
            f"potential {potential!r} has Hessian {curvature:g} at 0, where training starts; "
            "it must be finite and positive: use Regularized(potential, omega)."
        )


def check_potential(potential: Any, xp: Any = np, *, everywhere: bool = True) -> None:
    """Raise unless a potential is one at a few points, where most mistakes of one's own show."""
    if not isinstance(potential, Potential):
        raise TypeError(f"potential must be a Potential, got {potential!r}; use e.g. Quadratic().")
    _check_domain(potential)
    if everywhere:
        _refuse_domain("potential", potential)
    for own, _ in _of_ones_own(potential, np.zeros(1)):
        middle, offset = _probes(*own.domain)
        _compare(own, xp, middle, offset, finite=True)
        if tuple(own.domain) == _REALS:
            _compare(own, xp, 0.0, _FURTHER)


def check_where_used(potential: Potential, places: Callable[[], Iterable], xp: Any = np) -> None:
    """Raise unless the methods of a potential fit each other where an answer rests on them.

    places : gives pairs of a potential and its arguments, and is not called without need.
    """
    if not any(_of_ones_own(potential, np.zeros(1))):
        return
    with np.errstate(all="ignore"):
        for outer, x in places():
            for own, argument in _of_ones_own(outer, x):
                middle, _ = _probes(*own.domain)
                chosen = _handful(np.ravel(argument) - middle)
                if chosen.size:
                    _compare(own, xp, middle, chosen)


def _of_ones_own(potential: Potential, x: np.ndarray) -> Iterator[tuple[Potential, np.ndarray]]:
    """The potential within a potential that is not ours, if there is one, and its argument."""
    if type(potential) is Regularized:
        yield from _of_ones_own(potential.psi, x)
    elif type(potential) is Rescaled:
        yield from _of_ones_own(potential.phi, x / potential.c)
    elif type(potential) is Local:
        yield from _of_ones_own(potential.phi, potential.tau * x)
    elif type(potential) is Averaged:
        if any(_of_ones_own(potential.phi, np.zeros(1))):
            rho = np.asarray(potential.law.ppf(_SIZES))[:, None]
            fields = rho * potential.gradient(_handful(np.ravel(x)))
            yield from _of_ones_own(potential.phi, potential.phi.inverse_mirror(fields))
    elif type(potential) not in (Quadratic, Power, Hypentropy, Entropy):
        yield potential, x


def _handful(x: np.ndarray) -> np.ndarray:
    """Of numbers, for both signs, the largest and others that fall by steps of about a half.

    Down to a hundredth, where `check_potential` has been, or to a part of the largest.
    """
    size = np.where(np.isfinite(x), np.abs(x), 0.0)
    x = np.sort(x[size > 0.03 * min(size.max(initial=0.0), 0.3)])
    if not x.size:
        return x
    places = np.outer([x[0], x[-1]], _LADDER).ravel()
    return np.unique(x[np.searchsorted(x, places).clip(max=len(x) - 1)])


def _compare(
    potential: Potential, xp: Any, middle: float, offset: np.ndarray, *, finite: bool = False
) -> None:
    """Compare each method with the integral of the next, over intervals that begin at some points.

    A fault shows in all of them, on both sides and of all lengths: one may hold a corner; long ones
    are no place for what is steep or bends to and fro, and in short ones rounding is large. Where a
    method overflows there is nothing to compare, unless it must be finite.
    """
    x, u = middle + offset, middle + offset * _BESIDE[:, :, None]
    length = offset * (_BESIDE[:, -1] - 1)[:, None]
    with np.errstate(all="ignore"):
        value, gradient, hessian = each = [
            _probe(potential, name, xp.asarray(u, device="cpu"))
            for name in ("value", "gradient", "hessian")
        ]
        known = np.all([np.isfinite(f).all(axis=(0, 1)) for f in each], axis=0)
        if finite:
            here = np.array([f[0, 0] for f in each])
            fine = np.isfinite(here) | np.isposinf(np.abs(here)).all(axis=0)  # all of it overflows
            _refute(potential, "value is not finite", x[~fine[0]])
            _refute(potential, "gradient is not finite", x[~fine[1]])
        negative = ~(hessian[0, 0] >= 0) & (known | finite)
        _refute(potential, "hessian is negative or not a number", x[negative])
        for f, slope, fault in (
            (value, gradient, "gradient is not the slope of value"),
            (gradient, hessian, "hessian is not the slope of gradient"),
        ):
            rise, area = f[:, -1] - f[:, 0], length * (slope[:, 1:-1].swapaxes(1, 2) @ _WEIGHTS)
            # what a shorter interval shows beside a line is noise, or does not matter in this one
            noise = np.abs(f - f[:, :1] - _PLACES[:, None] * rise[:, None]).max(axis=1)
            noise = np.concatenate([np.zeros_like(noise[:2]), noise[:-2]])
            rounding = 1e-14 * np.abs(f[:, 0]) + 4 * noise
            wrong = ~(np.abs(rise - area) <= _FIT * np.abs(area) + rounding)
            _refute(potential, fault, x[wrong.all(axis=0) & known])
        if type(potential).bregman is not Potential.bregman and tuple(potential.domain) == _REALS:
            points = [xp.asarray(points, device="cpu") for points in (u, np.zeros(1))]
            own, by_definition = _probe(potential, "bregman", *points), _bregman(potential, *points)
            wrong = ~(np.abs(own - by_definition) <= _FIT * by_definition + 1e-12 * np.abs(value))
            fault = "bregman is not value(x) - value(y) - gradient(y) (x - y), for y = 0,"
            _refute(potential, fault, x[wrong.all(axis=(0, 1)) & known])
        if type(potential).inverse_gradient is Potential.inverse_gradient:
            if finite:  # it raises if the gradient is bounded within
                potential.inverse_gradient(xp.asarray(gradient[0, 0, known], device="cpu"))
            return
        inverse = _probe(potential, "inverse_gradient", xp.asarray(gradient, device="cpu"))
        back = _probe(potential, "gradient", xp.asarray(inverse, device="cpu"))
        flat = hessian * np.abs(u - middle) <= 1e-9 * np.abs(gradient)  # it has lost its argument
        apart = np.abs(back - gradient) / np.abs(gradient).max(axis=(0, 1), initial=1e-300)
        wrong = (~(apart <= 1e-6) & ~flat).any(axis=(0, 1))
        _refute(potential, "inverse_gradient does not invert gradient", x[wrong & known])


def _check_domain(potential: Potential) -> None:
    ends = real_array(f"domain of potential {potential!r}", potential.domain)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(
            f"domain of potential {potential!r} must be a pair (low, high) with low < high, got "
            f"{potential.domain!r}."
        )


def _refuse_domain(name: str, potential: Potential) -> None:
    if tuple(potential.domain) != _REALS:
        low, high = potential.domain
        raise ValueError(
            f"{name} {potential!r} is defined on ({low:g}, {high:g}) only, and parameters move on "
            "all of R here; use Hypentropy(beta), or MirrorDescent with center='origin' and "
            "parameters inside."
        )


_PROBES = np.array([-0.91, -0.37, -0.052, 0.0013, 0.067, 0.41, 0.88])
_FURTHER = np.array([-100.0, -10.0, 10.0, 100.0])
_PLACES = np.array([0.0, *_NODES, 1.0])  # in an interval
_BESIDE = 1 + np.outer([-1e-7, 1e-7, -1e-5, 1e-5, -1e-3, 1e-3, -0.03, 0.03], _PLACES)
_FIT = 1e-4  # by which a method may differ from the slope of another
_LADDER = 0.6 ** np.arange(40)  # of arguments at which methods are tried
_SIZES = (0.1, 0.5, 0.9)  # quantiles of weights at which they are


def _probes(low: float, high: float) -> tuple[float, np.ndarray]:
    """A place of a domain, and points about it that stay in it, with some distance to its ends."""
    if math.isfinite(low) and math.isfinite(high):
        return 0.5 * (low + high), 0.5 * (high - low) * _PROBES
    if math.isfinite(low):
        return low, np.sort(np.abs(_PROBES))
    if math.isfinite(high):
        return high, -np.sort(np.abs(_PROBES))
    return 0.0, _PROBES


def _probe(potential: Potential, name: str, *arrays: Array) -> np.ndarray:
    what = f"potential {potential!r}: its {name}"
    return real_array(what, elementwise_values(what, getattr(potential, name), *arrays))


def _bregman(potential: Potential, x: Array, y: Array) -> np.ndarray:
    return np.asarray(Potential.bregman(potential, x, y))


def _refute(potential: Potential, fault: str, where: np.ndarray) -> None:
    if where.size:
        raise ValueError(
            f"potential {potential!r}: its {fault} at x = {where[0]:g}; it must be smooth "
            "and strictly convex, and its methods must fit each other."
        )
