r"""Mirror descent in discrete time, as a Torch optimizer.

The unit of time is that of the flow: k steps of size :math:`\gamma` take :math:`\eta t = k \gamma`.
"""

from mflib.descent._optimizer import MirrorDescent

__all__ = ["MirrorDescent"]
