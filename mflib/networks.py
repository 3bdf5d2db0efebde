r"""The shallow network and its initialization (eq. (2) of the paper).

.. math:: f(x, \theta) = \sum_{k=1}^n a_k\, \sigma(w_k \cdot x - b_k) + d

Input weights have length one at the start, so biases have the unit of the inputs. Outputs have that
of the targets.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mflib import activations, densities
from mflib._torch import torch
from mflib._validation import count, number, real_array

__all__ = ["ShallowNetwork"]


class ShallowNetwork(torch.nn.Module):
    r"""A wide two-layer network in float64.

    At initialization the input weights are uniform on the sphere (±1 in one dimension), the input
    biases follow the density, and the output layer is Gaussian with standard deviation
    ``output_scale / sqrt(width)``, so that 0 gives the zero function.

    Parameters
    ----------
    width : int
        Hidden units n >= 1.
    input_dim : int
        Dimension D of the input.
    activation : str or Activation
        A name or an object of :mod:`mflib.activations`.
    density : distribution, or what :func:`mflib.densities.of` takes, optional
        Distribution of the input biases; uniform on [-1, 1] if not given.
    output_scale : float
        Standard deviation of :math:`\sqrt n\, a_k` and :math:`\sqrt n\, d`.
    seed : int
        Seed of all random numbers.

    Attributes
    ----------
    input_weight : Parameter, shape (n, D)
    input_bias : Parameter, shape (n,)
    output_weight : Parameter, shape (n,)
    output_bias : Parameter, shape ()

    Raises
    ------
    ValueError
        If width or input_dim is below 1, output_scale is negative, the activation is unknown or the
        density has no finite variance.
    TypeError
        If an argument is of the wrong kind.

    References
    ----------
    :cite:t:`liang2025implicit`, eq. (2)

    Examples
    --------
    >>> net = ShallowNetwork(100, seed=1)
    >>> net([[0.0], [0.5]]).tolist()
    [0.0, 0.0]
    """

    def __init__(
        self,
        width: int,
        *,
        input_dim: int = 1,
        activation: str | activations.Activation = "relu",
        density=None,
        output_scale: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        n, dim = count("width", width), count("input_dim", input_dim)
        scale = number("output_scale", output_scale, least=0.0, cure="0 starts at zero")
        density = densities.of(density)
        self.activation = activations.get(activation)
        activations.check_activation(self.activation, activations.array_namespace(torch.zeros(1)))
        rng = np.random.default_rng(count("seed", seed, least=0, most=math.inf))
        direction = rng.standard_normal((n, dim))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        bias = density.rvs(size=n, random_state=rng)
        output = scale * rng.standard_normal(n + 1) / np.sqrt(n)
        self.input_weight = _parameter(direction)
        self.input_bias = _parameter(bias)
        self.output_weight = _parameter(output[:n])
        self.output_bias = _parameter(output[n])

    @property
    def width(self) -> int:
        """The number of hidden units n."""
        return len(self.input_bias)

    def forward(self, x) -> torch.Tensor:
        """Evaluate the network.

        Parameters
        ----------
        x : array-like or tensor, shape (m, D), or (m,) if D = 1
            Inputs.

        Returns
        -------
        Tensor, shape (m,)
        """
        return self.hidden(x) @ self.output_weight + self.output_bias

    def hidden(self, x) -> torch.Tensor:
        """Evaluate the hidden layer: sigma(w_k . x_i - b_k), shape (m, n)."""
        return self.activation(self.preactivation(x))

    def preactivation(self, x) -> torch.Tensor:
        """Evaluate w_k . x_i - b_k, shape (m, n)."""
        weight = self.input_weight
        x = _tensor(x).to(dtype=weight.dtype, device=weight.device)
        if x.ndim == 1 and weight.shape[1] == 1:
            x = x[:, None]
        if x.ndim != 2 or x.shape[1] != weight.shape[1]:
            raise ValueError(
                f"x must have shape (m, {weight.shape[1]}), got {tuple(x.shape)}; "
                "one row for each point."
            )
        return torch.addmm(-self.input_bias, x, weight.T)


def _tensor(x: Any) -> torch.Tensor:
    """Return x as a tensor; one that is a tensor keeps its history."""
    if not isinstance(x, torch.Tensor):
        return torch.from_numpy(real_array("x", x))
    if x.is_complex() or x.is_meta:
        raise TypeError(f"x must be real numbers with data, got {x.dtype} on device {x.device}.")
    return x


def _parameter(values) -> torch.nn.Parameter:
    with torch.inference_mode(False):  # whoever makes a network there means to train it elsewhere
        return torch.nn.Parameter(torch.as_tensor(values, dtype=torch.float64))
