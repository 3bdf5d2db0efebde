r"""Mirror flow of a finite network, in few steps although the problem is stiff.

With residual :math:`r = f(x, \theta) - y` and dual variable :math:`\zeta = \nabla\Phi(\theta)`,

.. math::

    \dot\zeta = -\frac{\eta}{m} J^\top r, \qquad
    \dot r = -\frac{\eta}{m} K r, \qquad K = J\,(\nabla^2\Phi)^{-1} J^\top .

K has only m rows but eigenvalues that span many orders of magnitude, which is why a plain loop
needs 10^5 steps. An exponential integrator solves the linear part exactly and moves only as K does,
which for a wide network is hardly at all. Narrow networks slide along kinks of the activation;
what that does to J is in ``mflib.flow._sliding``, K itself in ``mflib.flow._linearization``, the
array of all parameters in ``mflib.flow._parameters``, and the integrator in ``mflib.flow._steps``.

The unit of time is set by :math:`\eta`, which is 1/n unless given. Losses are mean squared errors,
in the squared unit of y.
"""

from mflib.flow._flow import mirror_flow
from mflib.flow._record import Flow, FlowStatus

__all__ = ["Flow", "FlowStatus", "mirror_flow"]
