"""The network against sums written out, its random weights against their distributions."""

import numpy as np
import pytest
import torch
from scipy import stats
from threadpoolctl import threadpool_limits

import mflib
from mflib import activations
from tests.problems import DENSITIES


def weights(net) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in net.named_parameters()}


@pytest.mark.parametrize("dim", [1, 3])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_forward_is_the_sum_over_its_units(dim, name):
    net = mflib.ShallowNetwork(7, input_dim=dim, activation=name, output_scale=1.3, seed=4)
    sigma = {"relu": lambda u: max(u, 0.0), "tanh": np.tanh}[name]
    w, b, a, d = (
        weights(net)[key] for key in ("input_weight", "input_bias", "output_weight", "output_bias")
    )
    points = np.random.default_rng(1).normal(size=(5, dim))
    for x, y in zip(points, net(points), strict=True):
        expected = sum(
            a[k] * sigma(sum(w[k, j] * x[j] for j in range(dim)) - b[k]) for k in range(7)
        )
        assert float(y.detach()) == pytest.approx(expected + d, rel=1e-12)


def test_shapes_types_and_inputs():
    net = mflib.ShallowNetwork(6, input_dim=2, seed=1)
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    assert shapes == {
        "input_weight": (6, 2),
        "input_bias": (6,),
        "output_weight": (6,),
        "output_bias": (),
    }
    assert {value.dtype for value in net.parameters()} == {torch.float64}
    assert net.width == 6
    line = mflib.ShallowNetwork(6, seed=1, output_scale=1.0)
    for x in ([0.3, -0.2], np.array([[0.3], [-0.2]]), torch.tensor([0.3, -0.2])):
        values = line(x)
        assert values.shape == (2,)
        np.testing.assert_allclose(values.detach(), line([0.3, -0.2]).detach(), rtol=1e-6)
    assert line.hidden([0.3, -0.2]).shape == line.preactivation([0.3, -0.2]).shape == (2, 6)


def test_input_weights_are_signs_in_one_dimension():
    signs = weights(mflib.ShallowNetwork(10_000, seed=3))["input_weight"]
    assert set(signs.ravel()) == {-1.0, 1.0}
    assert abs(signs.mean()) < 4 / np.sqrt(10_000)


def test_input_weights_are_uniform_on_the_sphere():
    w = weights(mflib.ShallowNetwork(20_000, input_dim=3, seed=3))["input_weight"]
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1.0, rtol=1e-14)
    for coordinate in w.T:  # Archimedes: uniform on [-1, 1] in three dimensions
        assert stats.kstest(coordinate, stats.uniform(-1, 2).cdf).pvalue > 1e-3
    np.testing.assert_allclose(w.T @ w / len(w), np.eye(3) / 3, atol=0.01)


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
def test_input_biases_follow_the_density_whatever_the_sign(density):
    net = weights(mflib.ShallowNetwork(8000, density=density, seed=2))
    for sign in (-1, 1):
        biases = net["input_bias"][net["input_weight"][:, 0] == sign]
        assert stats.kstest(biases, density.cdf).pvalue > 1e-3


def test_the_default_density_is_uniform():
    biases = weights(mflib.ShallowNetwork(8000, seed=5))["input_bias"]
    assert stats.kstest(biases, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_output_layer_has_its_scale():
    start = weights(mflib.ShallowNetwork(400, seed=0))
    assert not start["output_weight"].any()
    assert start["output_bias"] == 0
    a = weights(mflib.ShallowNetwork(10_000, output_scale=2.5, seed=0))["output_weight"]
    assert stats.kstest(a * np.sqrt(10_000), stats.norm(0, 2.5).cdf).pvalue > 1e-3
    d = [
        float(mflib.ShallowNetwork(4, output_scale=2.5, seed=s).output_bias.detach())
        for s in range(300)
    ]
    assert stats.kstest(d, stats.norm(0, 1.25).cdf).pvalue > 1e-3


def test_the_initial_function_is_zero():
    net = mflib.ShallowNetwork(50, activation="softplus", seed=8)
    assert not net(np.linspace(-2, 2, 7)).detach().any()


def test_seeds_decide_everything_and_nothing_else_does():
    def build(seed):
        options = {"input_weight": stats.halfnorm(), "output_scale": 1.0, "seed": seed}
        return weights(mflib.ShallowNetwork(30, input_dim=2, **options))

    first = build(11)
    np.random.default_rng(0).normal()
    torch.manual_seed(99)
    again, other = build(11), build(12)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert not np.array_equal(value, other[name])


def test_every_seed_is_another_network():
    options = {"input_dim": 2, "output_scale": 1.0, "density": stats.norm()}
    networks = [weights(mflib.ShallowNetwork(3, seed=seed, **options)) for seed in range(40)]
    for name in networks[0]:
        assert len({net[name].tobytes() for net in networks}) == 40
    numbers = np.concatenate([value.ravel() for net in networks for value in net.values()])
    assert len(np.unique(numbers)) == len(numbers)  # nothing is drawn once and used twice


@pytest.mark.parametrize(
    ("option", "parameter"),
    [
        ({"activation": "tanh"}, None),
        ({"density": stats.norm(0, 0.5)}, "input_bias"),
        ({"output_scale": 2.0}, "output_weight"),
        ({"output_scale": 2.0}, "output_bias"),
        ({"seed": 1}, "input_weight"),
    ],
)
def test_every_option_changes_its_part_and_no_other(option, parameter):
    plain = {"width": 20, "output_scale": 1.0, "seed": 0}
    first, second = (mflib.ShallowNetwork(**plain | change) for change in ({}, option))
    assert not torch.equal(first([0.3, -0.2]), second([0.3, -0.2]))
    before, after = weights(first), weights(second)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert parameter is None or parameter in changed
    if "output_scale" in option:
        np.testing.assert_allclose(after[parameter], 2 * before[parameter], rtol=1e-15)
        assert changed == {"output_weight", "output_bias"}
    if parameter is None:
        assert not changed


def test_seeds_give_the_same_network_whatever_the_number_of_threads():
    def build():
        options = {"input_dim": 3, "output_scale": 1.0, "density": stats.norm(0.2, 0.8)}
        return weights(mflib.ShallowNetwork(100_000, seed=11, **options))

    before, networks = torch.get_num_threads(), []
    for threads in (1, 2, 5):
        with threadpool_limits(threads):
            torch.set_num_threads(threads)
            networks.append(build())
    torch.set_num_threads(before)
    for name, value in networks[0].items():
        for other in networks[1:]:
            np.testing.assert_array_equal(value, other[name])


def test_the_output_can_be_derived_by_the_inputs():
    net = mflib.ShallowNetwork(9, input_dim=2, activation="tanh", output_scale=1.0, seed=2)
    x = torch.tensor([[0.3, -0.2], [0.1, 0.7]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x).sum(), x)
    w, b, a = (weights(net)[key] for key in ("input_weight", "input_bias", "output_weight"))
    expected = (a / np.cosh(x.detach().numpy() @ w.T - b) ** 2) @ w
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


def test_an_activation_of_ones_own():
    class Cube(activations.Activation):
        def __call__(self, u):
            return u**3

        def derivative(self, u):
            return 3 * u**2

    net = mflib.ShallowNetwork(5, activation=Cube(), output_scale=1.0, seed=0)
    np.testing.assert_allclose(
        net.hidden([0.4]).detach(), net.preactivation([0.4]).detach() ** 3, rtol=1e-14
    )
    assert repr(net.activation) == "cube"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"width": -3}, ValueError, "width .*got -3"),
        ({"width": 2.5}, TypeError, r"width must be an integer, got 2\.5"),
        ({"width": True}, TypeError, "width must be an integer, got True"),
        ({"input_dim": 0}, ValueError, "input_dim must be at least 1, got 0"),
        ({"input_dim": "2"}, TypeError, "input_dim must be an integer, got '2'"),
        ({"output_scale": -0.5}, ValueError, r"output_scale .*got -0\.5"),
        ({"width": 10**400}, ValueError, "width must be at most 2,147,483,647, got 1000.*000"),
        ({"input_dim": 2**40}, ValueError, "input_dim must be at most 2,147,483,647, got 10995"),
        ({"output_scale": np.inf}, ValueError, "output_scale .*got inf"),
        ({"output_scale": "big"}, TypeError, "output_scale .*'big'"),
        ({"activation": "step"}, ValueError, "activation 'step' is unknown; choose one of"),
        ({"activation": 3}, TypeError, "activation .*got 3"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        ({"density": stats.t(2)}, ValueError, "density .*variance.*inf.*lighter tails"),
        ({"density": "uniform"}, TypeError, "density must be a distribution .*got 'uniform'"),
        (
            {"density": stats.poisson(3)},
            TypeError,
            "density must be a distribution .*got .*discrete",
        ),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        mflib.ShallowNetwork(**{"width": 10} | arguments)


@pytest.mark.parametrize("x", [0.5, [[0.1, 0.2, 0.3]], [[[0.1, 0.2]]], [0.1, 0.2]])
def test_bad_inputs(x):
    with pytest.raises(
        ValueError, match=r"x must have shape \(m, 2\), got .*one row for each point"
    ):
        mflib.ShallowNetwork(4, input_dim=2)(x)
