"""Activations against formulas written out by hand and their derivatives against autograd."""

import math

import numpy as np
import pytest
import torch

from mflib import activations

ACTIVATIONS = {
    "abs": (activations.absolute, abs),
    "elu": (activations.elu, lambda u: u if u > 0 else math.exp(u) - 1),
    "leaky_relu": (activations.leaky_relu(), lambda u: u if u > 0 else 0.01 * u),
    "leaky 0.3": (activations.leaky_relu(0.3), lambda u: u if u > 0 else 0.3 * u),
    "leaky -0.6": (activations.leaky_relu(-0.6), lambda u: u if u > 0 else -0.6 * u),
    "relu": (activations.relu, lambda u: max(u, 0)),
    "sine": (activations.sine, math.sin),
    "softplus": (activations.softplus, lambda u: math.log(1 + math.exp(u))),
    "tanh": (activations.tanh, math.tanh),
}
POINTS = np.array([-11.0, -1.7, -0.4, -0.003, 0.02, 0.9, 2.5, 13.0])

every_activation = pytest.mark.parametrize(
    ("sigma", "formula"), ACTIVATIONS.values(), ids=ACTIVATIONS.keys()
)


@every_activation
def test_value_is_the_formula(sigma, formula):
    expected = [formula(u) for u in POINTS]
    np.testing.assert_allclose(sigma(POINTS), expected, rtol=1e-10, atol=1e-16)
    assert float(sigma(-2)) == pytest.approx(formula(-2), rel=1e-14)


@every_activation
def test_derivative_is_that_of_differences_and_of_autograd(sigma, formula):
    h = 1e-3 * np.abs(POINTS)
    difference = (sigma(POINTS + h) - sigma(POINTS - h)) / (2 * h)
    np.testing.assert_allclose(sigma.derivative(POINTS), difference, rtol=1e-4, atol=1e-6)
    u = torch.tensor(POINTS, requires_grad=True)
    (gradient,) = torch.autograd.grad(sigma(u).sum(), u)
    np.testing.assert_allclose(sigma.derivative(POINTS), gradient, rtol=1e-11, atol=1e-16)


@every_activation
def test_numpy_and_torch_agree(sigma, formula):
    for function in (sigma, sigma.derivative):
        tensor = function(torch.tensor(POINTS))
        assert tensor.dtype == torch.float64
        np.testing.assert_allclose(function(POINTS), tensor, rtol=1e-13, atol=1e-16)
        assert function(torch.tensor([0.5], dtype=torch.float32)).dtype == torch.float32


@every_activation
def test_far_from_zero_nothing_overflows(sigma, formula):
    u = np.array([-800.0, 800.0])
    assert np.isfinite(sigma(u)).all()
    assert np.isfinite(sigma.derivative(u)).all()


@pytest.mark.parametrize("slope", [-1.0, -0.4, 0.0, 0.2])
def test_derivative_at_a_kink_is_the_mean_of_its_sides(slope):
    kinked = activations.PiecewiseLinear(slope)
    assert float(kinked.derivative(np.zeros(1))[0]) == pytest.approx((1 + slope) / 2)


@pytest.mark.parametrize("name", ["abs", "elu", "leaky_relu", "relu", "sine", "softplus", "tanh"])
def test_an_activation_is_known_by_its_name(name):
    _, formula = ACTIVATIONS[name]
    assert float(activations.get(name)(-1.3)) == pytest.approx(formula(-1.3), rel=1e-13)
    assert activations.get(activations.get(name)) is activations.get(name)


def test_leaky_relu_is_nearly_relu_by_default():
    assert float(activations.leaky_relu()(-3.0)) == pytest.approx(-0.03, rel=1e-14)


@pytest.mark.parametrize(
    ("sigma", "text"),
    [
        (activations.relu, "relu"),
        (activations.absolute, "abs"),
        (activations.leaky_relu(0.2), "leaky_relu(0.2)"),
        (activations.tanh, "tanh"),
    ],
)
def test_repr(sigma, text):
    assert repr(sigma) == text


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: activations.get("gelu"), ValueError, r"'gelu' is unknown; .*\babs, .*of your own"),
        (
            lambda: activations.get(max),
            TypeError,
            "activation must be a name or an Activation, got",
        ),
        (lambda: activations.leaky_relu(1.0), ValueError, r"slope .*\[-1, 1\).*no kink.*got 1\.0"),
        (lambda: activations.leaky_relu(-1.5), ValueError, r"slope .*got -1\.5"),
        (lambda: activations.leaky_relu(math.nan), ValueError, r"slope .*\[-1, 1\).*got nan"),
        (lambda: activations.leaky_relu("steep"), TypeError, "slope .*'steep'"),
    ],
)
def test_bad_activations(call, error, message):
    with pytest.raises(error, match=message):
        call()
