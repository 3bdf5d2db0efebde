r"""Activation functions :math:`\sigma` and their derivatives.

Like potentials they act elementwise, on NumPy arrays and on Torch tensors alike. The
piecewise-linear ones, :math:`\sigma_s(u) = \max(u, 0) + s \min(u, 0)`, form one family: ReLU is
s = 0, the absolute value s = −1, leaky ReLU lies between.

These scale, :math:`\sigma_s(cu) = c\,\sigma_s(u)` for c > 0, and serve inputs in any unit. The
others bend at :math:`|u| \approx 1`: with them inputs must be pure numbers of order one.

Examples
--------
>>> [f(-1.0).round(3).item() + 0.0 for f in (relu, absolute, elu, softplus, tanh, sine)]
[0.0, 1.0, -0.632, 0.313, -0.762, -0.841]
"""

from __future__ import annotations

import abc
from typing import Any

from array_api_compat import array_namespace

from mflib._validation import as_array, number

__all__ = [
    "Activation",
    "PiecewiseLinear",
    "relu",
    "absolute",
    "leaky_relu",
    "elu",
    "softplus",
    "tanh",
    "sine",
    "get",
]

Array = Any  # a NumPy array or a Torch tensor; results are of the kind that came in


class Activation(abc.ABC):
    r"""A function :math:`\sigma` of one real variable, with its derivative.

    An activation of your own needs the two methods below, elementwise and written with operators or
    with functions of ``array_namespace(u)``.

    References
    ----------
    The :math:`\sigma` of eq. :eq:`eq-network`; others than ReLU and :math:`|u|`:
    :ref:`activations`.

    Examples
    --------
    >>> class Square(Activation):
    ...     def __call__(self, u):
    ...         return u**2
    ...     def derivative(self, u):
    ...         return 2 * u
    >>> float(Square()(3.0))
    9.0
    """

    @abc.abstractmethod
    def __call__(self, u: Array) -> Array:
        r""":math:`\sigma(u)`, elementwise."""

    @abc.abstractmethod
    def derivative(self, u: Array) -> Array:
        r""":math:`\sigma'(u)`, elementwise."""

    def __repr__(self) -> str:
        return type(self).__name__.strip("_").lower()


class PiecewiseLinear(Activation):
    r""":math:`\sigma_s(u) = \max(u, 0) + s \min(u, 0)`.

    At the kink the derivative is the mean of its two sides.

    Parameters
    ----------
    slope : float
        The slope s on the left, −1 ≤ s < 1.

    Raises
    ------
    ValueError
        If the slope is outside [−1, 1): beyond, it is a multiple of a member of the family, and at
        1 there is no kink.

    References
    ----------
    Eq. :eq:`eq-act-leaky`.

    Examples
    --------
    >>> import numpy as np
    >>> PiecewiseLinear(0.5)(np.array([-2.0, 2.0]))
    array([-1.,  2.])
    """

    def __init__(self, slope: float) -> None:
        self.slope = number("slope", slope, cure="it lies in [-1, 1)")
        if not -1 <= self.slope < 1:
            raise ValueError(
                f"slope must lie in [-1, 1) (at 1 the activation has no kink), got {slope!r}."
            )

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        return array_namespace(u).maximum(u, self.slope * u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        return 0.5 * (1 + self.slope) + 0.5 * (1 - self.slope) * array_namespace(u).sign(u)

    def __repr__(self) -> str:
        return {0.0: "relu", -1.0: "abs"}.get(self.slope, f"leaky_relu({self.slope:g})")


class _Elu(Activation):
    """The exponential linear unit: u on the right, exp(u) − 1 on the left."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        return xp.where(u > 0, u, xp.expm1(xp.minimum(u, xp.zeros_like(u))))

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        return xp.exp(xp.minimum(u, xp.zeros_like(u)))


class _Softplus(Activation):
    """log(1 + exp(u)), a smooth ReLU."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        return 0.5 * (u + abs(u)) + xp.log1p(xp.exp(-abs(u)))

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        return 0.5 * (1 + array_namespace(u).tanh(0.5 * u))


class _Tanh(Activation):
    """The hyperbolic tangent."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        return array_namespace(u).tanh(u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        return 1 - array_namespace(u).tanh(u) ** 2


class _Sine(Activation):
    """The sine."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        return array_namespace(u).sin(u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        return array_namespace(u).cos(u)


#: ReLU, :math:`\max(u, 0)`.
relu = PiecewiseLinear(0.0)
#: The absolute value.
absolute = PiecewiseLinear(-1.0)
#: The exponential linear unit: u on the right, :math:`e^u - 1` on the left.
elu = _Elu()
#: :math:`\log(1 + e^u)`, a smooth ReLU.
softplus = _Softplus()
#: The hyperbolic tangent.
tanh = _Tanh()
#: The sine.
sine = _Sine()


def leaky_relu(slope: float = 0.01) -> PiecewiseLinear:
    r"""Leaky ReLU: slope 1 on the right and ``slope`` on the left.

    Parameters
    ----------
    slope : float
        −1 ≤ slope < 1: −1 is the absolute value, 0 is ReLU.

    Returns
    -------
    PiecewiseLinear

    Raises
    ------
    ValueError
        If the slope is outside [−1, 1).

    References
    ----------
    Eq. :eq:`eq-act-leaky`.

    Examples
    --------
    >>> import numpy as np
    >>> leaky_relu(0.1)(np.array([-1.0, 3.0]))
    array([-0.1,  3. ])
    """
    return PiecewiseLinear(slope)


_BY_NAME: dict[str, Activation] = {
    "abs": absolute,
    "elu": elu,
    "leaky_relu": leaky_relu(),
    "relu": relu,
    "sine": sine,
    "softplus": softplus,
    "tanh": tanh,
}


def get(activation: str | Activation) -> Activation:
    """Look an activation up by name; an Activation passes through.

    Parameters
    ----------
    activation : str or Activation
        One of "abs", "elu", "leaky_relu", "relu", "sine", "softplus", "tanh", or an object.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If the name is unknown.
    TypeError
        If it is neither a name nor an Activation.

    References
    ----------
    The functions: :ref:`activations`.

    Examples
    --------
    >>> get("abs")(-2.0).item()
    2.0
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(f"activation must be a name or an Activation, got {activation!r}.")
    if activation not in _BY_NAME:
        raise ValueError(
            f"activation {activation!r} is unknown; choose one of {', '.join(_BY_NAME)}, "
            "or pass an Activation of your own."
        )
    return _BY_NAME[activation]
