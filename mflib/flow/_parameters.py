"""The parameters of a network as one array, and the derivatives of the network by them."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from mflib._torch import torch
from mflib.networks import ShallowNetwork

__all__ = ["Layout"]

_BLOCK = 1 << 17  # entries of a block of J: one megabyte, which stays in the cache
_BLOCK_ON_DEVICE = 1 << 26


class Layout:
    """All parameters as one array theta, (2 + D, n + 1), with rows a, b, w.

    The last column is one more unit, which is always 1: its output weight is d, and the rest of it
    has no effect.

    Parameters
    ----------
    net : ShallowNetwork
        n units of D inputs.
    x : Tensor, shape (m, D)
        The inputs at which the network is evaluated.
    """

    def __init__(self, net: ShallowNetwork, x: torch.Tensor) -> None:
        self.net = net
        self.design = torch.cat([-torch.ones_like(x[:, :1]), x], dim=1)  # u = design @ (b, w)

    def theta(self) -> torch.Tensor:
        """Return the parameters of the network."""
        net = self.net
        theta = torch.vstack([net.output_weight, net.input_bias, net.input_weight.T])
        return torch.hstack([theta, net.output_bias.expand(len(theta), 1)])

    def network(self, theta: torch.Tensor) -> ShallowNetwork:
        """Return a copy of the network with these parameters."""
        net = copy.deepcopy(self.net)
        net.output_weight.copy_(theta[0, :-1])
        net.output_bias.copy_(theta[0, -1])
        net.input_bias.copy_(theta[1, :-1])
        net.input_weight.copy_(theta[2:, :-1].T)
        return net

    def blocks(self) -> Iterator[slice]:
        """Divide the units, so that J is taken a piece at a time."""
        rows, units = 1 + self.design.shape[1], self.net.width + 1
        entries = _BLOCK if self.design.device.type == "cpu" else _BLOCK_ON_DEVICE
        size = max(256, entries // (rows * len(self.design)))
        for start in range(0, units, size):
            yield slice(start, start + size)

    def jacobian(self, theta: torch.Tensor, block: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return u > 0, (m, units), and J, (2 + D, m, units), of a block of the units."""
        positive, j = self.jacobian_of(theta[:, block])
        if block.stop > self.net.width:  # the unit that stands for the output bias
            j[0, :, -1], j[1:, :, -1] = 1.0, 0.0
        return positive, j

    def jacobian_of(self, units: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same of units that are given by their parameters, (2 + D, units)."""
        u = self.design @ units[1:]
        j = torch.empty((len(units), *u.shape), dtype=u.dtype, device=u.device)
        j[0] = self.net.activation(u)
        slopes = self.net.activation.derivative(u) * units[0]
        torch.mul(self.design.T[:, :, None], slopes, out=j[1:])
        return u > 0, j
