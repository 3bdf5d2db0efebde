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
>>> [f(-1.0).round(3).item() + 0.0 for f in (gelu, silu, cubic_relu)]
[-0.159, -0.269, 0.0]
"""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from scipy import special

from mflib._validation import array_namespace, as_array, elementwise_values, function, number

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
    "gelu",
    "silu",
    "cubic_relu",
    "get",
    "of",
    "array_namespace",
]

Array = Any  # a NumPy array or a Torch tensor; results are of the kind that came in


class Activation(abc.ABC):
    r"""A function :math:`\sigma` of one real variable, with its derivative.

    An activation of your own needs the two methods below, elementwise and written with operators or
    with functions of ``array_namespace(u)``, to be imported from here. If the flow alone needs it,
    functions of Torch will do. It is tried at a few points before it is believed. What Torch has
    already, :func:`of` takes as it is.

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
        left = self.slope * u if self.slope else array_namespace(u).zeros_like(u)  # 0 inf is NaN
        return array_namespace(u).maximum(u, left)

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
        left = u < 0  # not at 0, where autograd would take half the slope of a minimum
        return xp.where(left, xp.expm1(xp.where(left, u, xp.zeros_like(u))), u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        return xp.exp(xp.minimum(u, xp.zeros_like(u)))


class _Softplus(Activation):
    """log(1 + exp(u)), a smooth ReLU."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        return xp.maximum(u, xp.zeros_like(u)) + xp.log1p(xp.exp(-abs(u)))

    def derivative(self, u: Array) -> Array:
        return _logistic(as_array(u))


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


class _Gelu(Activation):
    """u times the normal distribution function of u."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)  # below -40 the distribution function is zero, at -infinity, too
        return array_namespace(u).clip(u, -40.0, None) * _normal_cdf(u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        xp = array_namespace(u)
        near = xp.clip(u, -40.0, 40.0)  # beyond, the density is zero and squares overflow
        return _normal_cdf(u) + near * xp.exp(-0.5 * near**2) / math.sqrt(2 * math.pi)


class _Silu(Activation):
    """u times the logistic function of u."""

    def __call__(self, u: Array) -> Array:
        u = as_array(u)  # below -1000 the logistic function is zero, at -infinity, too
        return array_namespace(u).clip(u, -1e3, None) * _logistic(u)

    def derivative(self, u: Array) -> Array:
        u = as_array(u)
        near = array_namespace(u).clip(u, -1e3, 1e3)
        return _logistic(u) * (1 + near * _logistic(-u))


class _CubicRelu(Activation):
    """The cube of ReLU."""

    def __call__(self, u: Array) -> Array:
        return relu(u) ** 3

    def derivative(self, u: Array) -> Array:
        return 3 * relu(u) ** 2


def _logistic(u: Array) -> Array:
    """1/(1 + exp(−u)), exact to rounding in both tails."""
    return u.sigmoid() if is_torch_array(u) else special.expit(u)


def _normal_cdf(u: Array) -> Array:
    """Distribution function of the standard normal, exact to rounding in both tails."""
    if not is_torch_array(u):
        return special.ndtr(u)
    from mflib._torch import torch

    return torch.special.ndtr(u)


class _OfTorch(Activation):
    """A function of Torch, with its derivative by autograd."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def __call__(self, u: Array) -> Array:
        return self._as_came(self._value, u)

    def derivative(self, u: Array) -> Array:
        return self._as_came(self._slope, u)

    def _value(self, u: Any) -> Any:
        return self.function(u.clone())  # it may work in place

    def _slope(self, u: Any) -> Any:
        from mflib._torch import torch

        with torch.inference_mode(False), torch.enable_grad():
            u = u.detach().clone().requires_grad_()
            value = self._value(u).sum()
            slope = torch.autograd.grad(value, u)[0] if value.requires_grad else None
        return torch.zeros_like(u, requires_grad=False) if slope is None else slope

    @staticmethod
    def _as_came(f: Callable[[Any], Any], u: Array) -> Array:
        u = as_array(u)
        if is_torch_array(u):
            return f(u)
        from mflib._torch import torch

        with torch.no_grad():
            return f(torch.tensor(u)).numpy()

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", None) or repr(self.function)

    def __reduce__(self) -> tuple:
        from mflib._torch import made  # where Torch is missing, this says so before all else

        return made, (_OfTorch, self.function)


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
#: :math:`u\,\Phi(u)`, with the normal distribution function :math:`\Phi`.
gelu = _Gelu()
#: :math:`u/(1 + e^{-u})`, also called swish.
silu = _Silu()
#: :math:`\max(u, 0)^3`.
cubic_relu = _CubicRelu()


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
    "cubic_relu": cubic_relu,
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu(),
    "relu": relu,
    "silu": silu,
    "sine": sine,
    "softplus": softplus,
    "tanh": tanh,
}


def get(activation: str | Activation) -> Activation:
    """Look an activation up by name; an Activation passes through.

    Parameters
    ----------
    activation : str or Activation
        One of "abs", "cubic_relu", "elu", "gelu", "leaky_relu", "relu", "silu", "sine", "softplus",
        "tanh", or an object.

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
        raise TypeError(
            f"activation must be a name or an Activation, got {activation!r}; "
            "activations.of makes one of a function or module of Torch."
        )
    if activation not in _BY_NAME:
        raise ValueError(
            f"activation {activation!r} is unknown; choose one of {', '.join(_BY_NAME)}, "
            "or pass an Activation of your own."
        )
    return _BY_NAME[activation]


def of(function_of_torch: Callable[[Any], Any]) -> Activation:
    r"""Take an activation from Torch: an elementwise function or module, derived by autograd.

    It serves networks, the flow and, by way of tensors, the solvers, too; those of this module are
    faster. A module is copied, in double precision and in the mode of evaluation, and its
    parameters are constants.

    Parameters
    ----------
    function_of_torch : callable
        Such as ``torch.nn.functional.gelu`` or ``torch.nn.Hardtanh()``.

    Returns
    -------
    Activation

    Raises
    ------
    TypeError
        If it cannot be called, or is not elementwise.
    ValueError
        If it is infinite or not a number at one of a few points.

    References
    ----------
    The :math:`\sigma` of eq. :eq:`eq-network`.

    Examples
    --------
    >>> import torch
    >>> mish = of(torch.nn.functional.mish)
    >>> mish.derivative(torch.zeros(1, dtype=torch.float64)).tolist()
    [0.6]
    """
    from mflib._torch import torch

    f = function("function_of_torch", function_of_torch)
    if isinstance(f, type):
        raise TypeError(f"function_of_torch must be a function or a module, got {f!r}; call it.")
    if isinstance(f, torch.nn.Module):
        f = copy.deepcopy(f).double().eval().requires_grad_(False)
    activation = _OfTorch(f)
    check_activation(activation, array_namespace(torch.zeros(1)))
    return activation


_PROBES = np.array([-2.3, -0.91, -0.37, -0.052, 0.0013, 0.067, 0.41, 0.88, 1.9])
_OURS = (PiecewiseLinear, _Elu, _Softplus, _Tanh, _Sine, _Gelu, _Silu, _CubicRelu)


def check_activation(activation: Activation, xp: Any = np) -> None:
    """Raise unless an activation is one at a few points, where most mistakes of one's own show.

    xp : the namespace of the arrays that it will get.
    """
    if type(activation) in _OURS:
        return
    step = 1e-5 * np.abs(_PROBES)
    u = np.stack([_PROBES - step, _PROBES, _PROBES + step])
    with np.errstate(all="ignore"):
        value, part = _probe(activation, "value", u, xp), _probe(activation, "value", u[:, ::2], xp)
        slope = _probe(activation, "derivative", u, xp)[1]
    for numbers, name in ((value[1], ""), (slope, "'s derivative")):
        if (bad := ~np.isfinite(numbers)).any():
            raise ValueError(
                f"activation {activation!r}{name} is infinite or not a number at "
                f"u = {_PROBES[bad][0]:g}."
            )
    if not np.allclose(value[:, ::2], part, rtol=1e-9, atol=1e-12):
        raise TypeError(
            f"activation {activation!r} must act elementwise, but its value at one point depends "
            "on the others, or on chance."
        )
    rise, rounding = value[2] - value[0], 1e-14 * np.abs(value).max()
    wrong = ~(np.abs(rise - 2 * step * slope) <= 1e-3 * np.abs(rise) + rounding)
    if wrong.any():
        at = np.flatnonzero(wrong)[0]
        cure = "mend `derivative`"
        if isinstance(activation, _OfTorch):
            cure = "autograd does not see what is detached, or done by other functions than Torch's"
        raise ValueError(
            f"activation {activation!r}: its derivative is {slope[at]:g} at u = {_PROBES[at]:g}, "
            f"where its values rise by {rise[at] / (2 * step[at]):g}; {cure}."
        )


def _probe(activation: Activation, what: str, u: np.ndarray, xp: Any) -> np.ndarray:
    f = activation if what == "value" else activation.derivative
    name = f"activation {activation!r}: its {what}"
    if isinstance(activation, _OfTorch):
        return np.asarray(
            elementwise_values(name, f, xp.asarray(u), functions="functions of Torch")
        )
    return np.asarray(elementwise_values(name, f, xp.asarray(u)))
