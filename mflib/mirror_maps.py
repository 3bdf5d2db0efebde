"""Mirror maps: a potential applied to all parameters, from its centre and at its scale.

Parameters share one potential, and so one unit: scale inputs and targets to order one.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from mflib._validation import array_namespace, as_array, as_arrays, count, flag
from mflib.potentials import Potential, check_potential

__all__ = ["MirrorMap", "mirror_map"]

Array = Any  # a NumPy array or a Torch tensor; results are of the kind that came in


class MirrorMap:
    r"""The potential :math:`\Phi` of a whole parameter vector, by its mirror map and metric.

    .. math:: \Phi(\theta) = s^{-2} \sum_k \varphi(s\,(\theta_k - c_k))

    with s = n for a scaled potential (Assumption 7) and s = 1 otherwise (Assumption 1) [1]_.

    Parameters
    ----------
    potential : Potential
        The function :math:`\varphi`.
    center : array
        The centre c, of the shape of the parameters.
    scale : float
        The factor s.

    References
    ----------
    .. [1] :cite:t:`liang2025implicit`

    Examples
    --------
    >>> import numpy as np
    >>> from mflib.potentials import Quadratic
    >>> mirror = MirrorMap(Quadratic(), np.array([1.0, 2.0]), 1.0)
    >>> mirror.dual(np.array([2.0, 2.0])).tolist(), mirror.primal(np.array([2.0, 0.0])).tolist()
    ([2.0, 0.0], [2.0, 2.0])
    """

    def __init__(self, potential: Potential, center: Array, scale: float) -> None:
        self.potential, self.center, self.scale = potential, center, scale

    def dual(self, theta: Array) -> Array:
        r""":math:`\nabla\Phi(\theta)`."""
        with np.errstate(over="ignore"):  # beyond the largest number it is infinite
            return self.potential.gradient(self._moved(theta)) / self.scale

    def primal(self, zeta: Array) -> Array:
        r""":math:`(\nabla\Phi)^{-1}(\zeta)`."""
        return self.center + self.potential.inverse_gradient(self.scale * zeta) / self.scale

    def metric(self, theta: Array) -> Array:
        r"""The diagonal of :math:`\nabla^2\Phi(\theta)`."""
        with np.errstate(over="ignore"):
            return self.potential.hessian(self._moved(theta))

    def _moved(self, theta: Array) -> Array:
        if type(theta) is not type(self.center):
            theta, center = as_arrays(theta, self.center)
            return self.scale * (theta - center)
        return self.scale * (theta - self.center)

    @property
    def centre(self) -> Array:
        """The former name of `center`, which goes in version 2.0."""
        warnings.warn("MirrorMap.centre is now center", DeprecationWarning, stacklevel=2)
        return self.center


def mirror_map(
    potential: Potential, initial: Array, *, scaled: bool, center: str, width: int
) -> MirrorMap:
    r"""Build the mirror map that `mirror_flow` and `MirrorDescent` use.

    Parameters
    ----------
    potential : Potential
        The function :math:`\varphi`.
    initial : array, any shape
        The parameters at initialization, :math:`\hat\theta`.
    scaled : bool
        Whether :math:`\varphi` acts on :math:`n(\theta - \hat\theta)`.
    center : {"initialization", "origin"}
        The centre of the potential; "origin" is for unscaled potentials only.
    width : int
        Number n of hidden units.

    Returns
    -------
    MirrorMap

    Raises
    ------
    ValueError
        If the centre is unknown or does not go with `scaled`, or if the initial parameters are
        outside of the potential's domain or its Hessian there is zero, infinite or not a number.
    TypeError
        If the potential is not a Potential.

    References
    ----------
    :cite:t:`liang2025implicit`, Assumptions 1 and 7.

    Examples
    --------
    >>> import numpy as np
    >>> from mflib.potentials import Quadratic
    >>> mirror_map(Quadratic(), np.ones(3), scaled=True, center="initialization", width=3).scale
    3.0
    """
    initial = as_array(initial.detach() if hasattr(initial, "detach") else initial)
    xp = array_namespace(initial)
    if not bool(xp.all(xp.isfinite(initial))):
        raise ValueError("the initial parameters must be finite; some are infinite or NaN.")
    check_potential(potential, xp, everywhere=False)
    if not isinstance(center, str) or center not in ("initialization", "origin"):
        raise ValueError(f"center must be 'initialization' or 'origin', got {center!r}.")
    if flag("scaled", scaled) and center == "origin":
        raise ValueError(
            "center='origin' is for unscaled potentials only, got scaled=True; "
            "use center='initialization'."
        )
    at = xp.asarray(initial, copy=True) if center == "initialization" else 0.0 * initial
    result = MirrorMap(potential, at, float(count("width", width)) if scaled else 1.0)
    low, high = potential.domain
    argument = result.scale * (initial - at)
    if not bool(xp.all((argument > low) & (argument < high))):
        raise ValueError(
            f"potential {potential!r} is defined on ({low:g}, {high:g}) only, and some initial "
            f"parameters, with center={center!r}, are not inside; use center='origin' and "
            "parameters inside, or a potential on all of R."
        )
    metric = result.metric(initial)
    if not bool(xp.all(xp.isfinite(metric) & (metric > 0))):
        raise ValueError(
            f"the Hessian of potential {potential!r} is zero, infinite or not a number at the "
            "initial parameters; use Regularized(potential, omega)."
        )
    return result
