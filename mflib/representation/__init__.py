r"""The infinite-width limit in parameter space: problem (P) for any activation and any neurons.

.. math::

    \min_\alpha \int D_\varphi(\alpha, 0)\, d\mu
    \quad\text{s.t.}\quad \int \alpha(w, b)\, \sigma(w \cdot x_i - b)\, d\mu(w, b) = y_i

Its dual has m unknowns :math:`\lambda`, and :math:`\alpha = (\varphi')^{-1}(z)` with
:math:`z = \sum_i \lambda_i\, \sigma(w \cdot x_i - b)`. The measure is a sum over nodes: the neurons
of a network, or a quadrature that is refined where it is seen to be wrong. Nothing here is shared
with :mod:`mflib.variational`: each is the other's check.

Units are as there; multipliers have that of the potential over that of the targets. Times are those
of :func:`mflib.flow.mirror_flow` at its learning rate 1/n.
"""

from mflib._collocation import TrajectoryStatus
from mflib.representation._solver import Representation, Status, kernel, solve
from mflib.representation._trajectory import Trajectory, trajectory

__all__ = [
    "Representation",
    "Status",
    "Trajectory",
    "TrajectoryStatus",
    "kernel",
    "solve",
    "trajectory",
]
