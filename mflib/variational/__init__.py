r"""The infinite-width limit in function space, solved exactly by its dual.

For :math:`\sigma_s(u) = \max(u, 0) + s\min(u, 0)` (ReLU, absolute value, leaky ReLU) the trained
change h has the least representation cost among all interpolants. The dual of that problem has one
unknown for each data point and is solved by Newton's method, in a finite-element basis, with a
quadrature that follows the zeros of the solution.

Inputs and biases have one unit, h and the targets another; `residual` has that of the targets,
`cost` and `gap` that of the potential.
"""

from mflib._collocation import TrajectoryStatus
from mflib.variational._enclosure import Enclosure
from mflib.variational._several import Solutions
from mflib.variational._solution import Solution, Status
from mflib.variational._solver import solve
from mflib.variational._trajectory import Trajectory, trajectory

__all__ = [
    "Enclosure",
    "Solution",
    "Solutions",
    "Status",
    "Trajectory",
    "TrajectoryStatus",
    "solve",
    "trajectory",
]
