"""The plain way to train: mirror descent with autograd, one small step after the other."""

import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

# phi'' of the potentials of both figures, at theta - initial theta
HESSIANS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "x²": lambda u: torch.tensor(2.0),
    "(|x|³ + x²)/2": lambda u: 3 * u.abs() + 1,
    "(x⁴ + x²)/2": lambda u: 6 * u.square() + 1,
}
ACTIVATIONS = {"relu": torch.relu, "abs": torch.abs}


class Descent(NamedTuple):
    """Where the loop ended."""

    parameters: list[torch.Tensor]
    loss: float
    steps: int
    seconds: float


def network(
    parameters: Sequence[torch.Tensor], x: torch.Tensor, sigma: Callable[..., torch.Tensor]
) -> torch.Tensor:
    """Evaluate f(x) = sum_k a_k sigma(w_k x - b_k) + d at x of shape (m, 1)."""
    w, b, a, d = parameters
    return sigma(x * w - b) @ a + d


def evaluate(end: Descent, x: np.ndarray, *, activation: str) -> np.ndarray:
    """Evaluate the network that the loop ended with, at x of shape (m,)."""
    inputs = torch.tensor(x, dtype=torch.float32)[:, None]
    return network(end.parameters, inputs, ACTIVATIONS[activation]).numpy()


def mirror_descent(
    initial: Sequence[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    *,
    activation: str,
    potential: str,
    scaled: bool,
    rate: float,
    target: float = 1e-7,
    max_steps: float = math.inf,
    max_seconds: float = math.inf,
) -> Descent:
    """Repeat theta <- theta - rate * hessian(theta)^-1 gradient(loss) until loss <= target.

    The initial parameters are w, b, a, each of shape (n,), and d. The loss is torch's MSELoss,
    which is not halved, and everything is in single precision.
    """
    sigma, hessian, mse = ACTIVATIONS[activation], HESSIANS[potential], torch.nn.MSELoss()
    inputs = torch.as_tensor(x, dtype=torch.float32)[:, None]
    targets = torch.as_tensor(y, dtype=torch.float32)
    start = [torch.tensor(p, dtype=torch.float32) for p in initial]
    theta = [p.clone().requires_grad_() for p in start]
    scale = len(start[0]) if scaled else 1
    begin = time.perf_counter()
    for steps in itertools.count():
        loss = mse(network(theta, inputs, sigma), targets)
        seconds = time.perf_counter() - begin
        if loss.item() <= target or steps >= max_steps or seconds >= max_seconds:
            break
        gradient = torch.autograd.grad(loss, theta)
        with torch.no_grad():
            for p, p0, g in zip(theta, start, gradient, strict=True):
                p.addcdiv_(g, hessian(scale * (p - p0)), value=-rate)
    return Descent([p.detach() for p in theta], loss.item(), steps, seconds)


def faster_threads(descend: Callable[..., Descent], steps: int = 300) -> int:
    """Set the number of Torch threads with which `descend` is faster, and return it."""
    seconds = {}
    for threads in {1, torch.get_num_threads()}:
        torch.set_num_threads(threads)
        descend(max_steps=steps // 10)
        seconds[threads] = descend(max_steps=steps).seconds
    best = min(seconds, key=seconds.__getitem__)
    torch.set_num_threads(best)
    return best
