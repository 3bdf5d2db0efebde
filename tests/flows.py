"""What the tests of the flow share: networks, autograd, and a stiff solver of SciPy."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

import mflib
from mflib import activations
from mflib.flow._linearization import MirrorFlow, Tolerance
from mflib.flow._sliding import Sliding
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import Lopsided

# potentials with their second derivatives, written out once more
CURVED = {
    "quadratic": (Quadratic(), lambda u: 2.0 + 0 * u),
    "power 4": (Regularized(Power(4), 1), lambda u: 6 * u**2 + 1),
    "hypentropy": (Hypentropy(0.5), lambda u: 1 / torch.sqrt(u**2 + 0.25)),
    "lopsided": (Lopsided(), lambda u: 2 + 6 * u.clamp(min=0)),
}
PLACES = {
    "unscaled": {},
    "scaled": {"scaled": True},
    "origin": {"center": "origin"},
}
every_potential = pytest.mark.parametrize(
    ("potential", "second"), CURVED.values(), ids=CURVED.keys()
)
every_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


def small_network(dim: int = 1) -> mflib.ShallowNetwork:
    return mflib.ShallowNetwork(
        6, input_dim=dim, activation="tanh", density=stats.norm(0.2, 0.8), output_scale=0.7, seed=3
    )


def flat(net) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


def metric_of(net, start, second, place) -> torch.Tensor:
    centre = 0.0 if place.get("center") == "origin" else flat(start)
    scale = net.width if place.get("scaled") else 1
    return second(scale * (flat(net) - centre))


def jacobian(net, x) -> torch.Tensor:
    """J by autograd, shape (m, number of parameters), in the order of net.parameters()."""
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    blocks = torch.func.jacrev(lambda p: torch.func.functional_call(net, p, (x,)))(parameters)
    return torch.cat([blocks[name].reshape(len(x), -1) for name in parameters], dim=1)


def sliding_of(net, x, y, potential, place, rtol=1e-2) -> Sliding:
    """What `mirror_flow` builds of its arguments."""
    options = {"scaled": False, "center": "initialization"} | place
    inputs = torch.as_tensor(np.reshape(x, (len(x), -1)))
    flow = MirrorFlow(
        net, inputs, torch.as_tensor(y), potential=potential, rate=1 / net.width, **options
    )
    return Sliding(flow, Tolerance(flow.start, rtol))


def reference(net, x, y, second, place, times) -> list[torch.Tensor]:
    """Parameters at given times: theta' = -eta grad L / Phi'', by LSODA and autograd."""
    copy = mflib.ShallowNetwork(
        net.width, input_dim=net.input_weight.shape[1], activation=net.activation
    )
    copy.load_state_dict(net.state_dict())
    targets = torch.as_tensor(y)

    def velocity(t, theta):
        torch.nn.utils.vector_to_parameters(torch.tensor(theta), copy.parameters())
        with torch.enable_grad():
            loss = ((copy(x) - targets) ** 2).mean() / 2
            gradient = torch.autograd.grad(loss, list(copy.parameters()))
        gradient = torch.cat([g.reshape(-1) for g in gradient])
        return (-gradient / net.width / metric_of(copy, net, second, place)).numpy()

    path = integrate.solve_ivp(
        velocity, (0, times[-1]), flat(net).numpy(), "LSODA", times, rtol=1e-11, atol=1e-13
    )
    assert path.success
    return list(torch.tensor(path.y.T))


def random_problem(rng: np.random.Generator, activations_: list) -> tuple[tuple, dict]:
    """Arguments of `mirror_flow`, over all that it depends on; some are strongly nonlinear."""
    dim, m, size = int(rng.choice([1, 1, 2])), int(rng.integers(1, 8)), 10 ** rng.uniform(-1, 1.2)
    net = mflib.ShallowNetwork(
        int(10 ** rng.uniform(1.2, 2.2)),
        input_dim=dim,
        activation=activations_[rng.integers(len(activations_))],
        density=[None, stats.norm(0, 0.5)][rng.integers(2)],
        output_scale=float(rng.choice([0, 0, 0.5])),
        seed=int(rng.integers(100)),
    )
    x, y = rng.uniform(-1, 1, (m, dim)), size * rng.normal(size=m)
    options = {
        "potential": list(CURVED.values())[rng.integers(len(CURVED))][0],
        "scaled": bool(rng.integers(2)),
        "rtol": float(rng.choice([1e-1, 1e-2, 1e-2, 1e-3])),
        "loss_target": 1e-7 * max(1, size**2),
    }
    return (net, x, y), options


class Constant(activations.Activation):
    """sigma(u) = 1: all output weights and the output bias move alike, and nothing else does."""

    def __call__(self, u):
        return torch.ones_like(u)

    def derivative(self, u):
        return torch.zeros_like(u)


class Step(activations.Activation):
    """sigma(u) = sign(u): the network is linear in the parameters that can move."""

    def __call__(self, u):
        return torch.sign(u)

    def derivative(self, u):
        return torch.zeros_like(u)
