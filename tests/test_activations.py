"""Activations against formulas written out by hand and their derivatives against autograd."""

import math

import numpy as np
import pytest
import torch

import mflib
from mflib import activations, representation
from tests.problems import Own

ACTIVATIONS = {
    "abs": (activations.absolute, abs),
    "cubic_relu": (activations.cubic_relu, lambda u: max(u, 0) ** 3),
    "elu": (activations.elu, lambda u: u if u > 0 else math.exp(u) - 1),
    "gelu": (activations.gelu, lambda u: u * math.erfc(-u / math.sqrt(2)) / 2),
    "leaky_relu": (activations.leaky_relu(), lambda u: u if u > 0 else 0.01 * u),
    "leaky 0.3": (activations.leaky_relu(0.3), lambda u: u if u > 0 else 0.3 * u),
    "leaky -0.6": (activations.leaky_relu(-0.6), lambda u: u if u > 0 else -0.6 * u),
    "relu": (activations.relu, lambda u: max(u, 0)),
    "silu": (activations.silu, lambda u: u / (1 + math.exp(-u))),
    "sine": (activations.sine, math.sin),
    "softplus": (activations.softplus, lambda u: math.log(1 + math.exp(u))),
    "tanh": (activations.tanh, math.tanh),
    "mish of Torch": (
        activations.of(torch.nn.functional.mish),
        lambda u: u * math.tanh(math.log1p(math.exp(u))),
    ),
}
NAMES = [*activations._BY_NAME]
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_activation
def test_autograd_gives_the_derivative_wherever_there_is_one(sigma, formula, dtype):
    """Also at 0, where formulas that choose the smaller of two would halve it."""
    eps = torch.finfo(dtype).eps
    u = torch.cat([torch.linspace(-30, 30, 4001, dtype=dtype), torch.tensor([-0.0, 1e-30, -1e-30])])
    u = u.to(dtype).requires_grad_()
    assert 0.0 in u.tolist()
    (gradient,) = torch.autograd.grad(sigma(u).sum(), u)
    error = (gradient - sigma.derivative(u.detach())).abs()
    assert (error <= 4 * eps * (gradient.abs() + u.abs() + 1)).all()


@pytest.mark.parametrize(
    ("name", "slope"),
    [("elu", 1), ("gelu", 0.5), ("silu", 0.5), ("softplus", 0.5), ("tanh", 1), ("cubic_relu", 0)],
)
def test_slopes_at_zero(name, slope):
    u = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    activations.get(name)(u).sum().backward()
    assert u.grad.item() == activations.get(name).derivative(np.zeros(1)).item() == slope


@pytest.mark.parametrize("name", NAMES)
def test_not_a_number_stays_one(name):
    for u in (np.array([np.nan, 1.0]), torch.tensor([math.nan, 1.0])):
        for function in (activations.get(name), activations.get(name).derivative):
            assert np.isnan(np.asarray(function(u))).tolist() == [True, False]


@pytest.mark.parametrize("u", [-38.0, -20.0, -5.0])
def test_tails_keep_their_digits(u):
    """Where 1 - 1 would be left, by the continued fraction and the series of the tails."""
    fraction = 0.0
    for k in range(200, 0, -1):
        fraction = k / (-u + fraction)
    normal = math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi) / (-u + fraction)
    logistic = math.exp(u) / (1 + math.exp(u))
    for point in (np.array([u]), torch.tensor([u], dtype=torch.float64)):
        assert activations.gelu(point).item() == pytest.approx(u * normal, rel=1e-11)
        assert activations.silu(point).item() == pytest.approx(u * logistic, rel=1e-13)
        assert activations.softplus.derivative(point).item() == pytest.approx(logistic, rel=1e-13)


@every_activation
def test_far_from_zero_nothing_overflows(sigma, formula):
    u = np.array([-800.0, 800.0])
    assert np.isfinite(sigma(u)).all()
    assert np.isfinite(sigma.derivative(u)).all()


@pytest.mark.parametrize(
    ("name", "left", "right"),
    [
        ("abs", (np.inf, -1), (np.inf, 1)),
        ("cubic_relu", (0, 0), (np.inf, np.inf)),
        ("elu", (-1, 0), (np.inf, 1)),
        ("gelu", (0, 0), (np.inf, 1)),
        ("leaky_relu", (-np.inf, 0.01), (np.inf, 1)),
        ("relu", (0, 0), (np.inf, 1)),
        ("silu", (0, 0), (np.inf, 1)),
        ("softplus", (0, 0), (np.inf, 1)),
        ("tanh", (-1, 0), (1, 0)),
    ],
)
def test_at_infinity_is_the_limit(name, left, right):
    sigma, ends = activations.get(name), np.array([-np.inf, np.inf])
    for u in (ends, torch.tensor(ends)):
        values, slopes = zip(left, right, strict=True)
        np.testing.assert_allclose(sigma(u), values, rtol=1e-15)
        np.testing.assert_allclose(sigma.derivative(u), slopes, rtol=1e-15)


@pytest.mark.parametrize("slope", [-1.0, -0.4, 0.0, 0.2])
def test_derivative_at_a_kink_is_the_mean_of_its_sides(slope):
    kinked = activations.PiecewiseLinear(slope)
    assert float(kinked.derivative(np.zeros(1))[0]) == pytest.approx((1 + slope) / 2)


@pytest.mark.parametrize("name", NAMES)
def test_an_activation_is_known_by_its_name(name):
    _, formula = ACTIVATIONS[name]
    assert float(activations.get(name)(-1.3)) == pytest.approx(formula(-1.3), rel=1e-13)
    assert activations.get(activations.get(name)) is activations.get(name)


def test_leaky_relu_is_nearly_relu_by_default():
    assert float(activations.leaky_relu()(-3.0)) == pytest.approx(-0.03, rel=1e-14)


# From Torch.


@pytest.mark.parametrize(
    ("own", "torchs"),
    [
        ("gelu", torch.nn.functional.gelu),
        ("gelu", torch.nn.GELU()),
        ("silu", torch.nn.functional.silu),
        ("elu", torch.nn.ELU(inplace=True)),
        ("leaky_relu", torch.nn.LeakyReLU(inplace=True)),
        ("leaky_relu", torch.nn.PReLU(init=0.01)),
        ("relu", torch.relu),
        ("sine", torch.sin),
        ("softplus", torch.nn.Softplus()),
        ("tanh", torch.nn.Tanh()),
        ("cubic_relu", lambda u: torch.nn.functional.relu(u) ** 3),
    ],
)
def test_what_comes_from_torch_is_our_own(own, torchs):
    sigma, taken = activations.get(own), activations.of(torchs)
    for u in (POINTS, torch.tensor(POINTS)):
        given = u + 0
        np.testing.assert_allclose(taken(u), sigma(u), rtol=1e-7, atol=1e-13)
        np.testing.assert_allclose(taken.derivative(u), sigma.derivative(u), rtol=1e-7, atol=1e-13)
        assert isinstance(taken(u), type(u))
        assert isinstance(taken.derivative(u), type(u))
        assert (u == given).all()
    with torch.inference_mode():
        slope = taken.derivative(torch.tensor(POINTS))
    np.testing.assert_allclose(slope, sigma.derivative(POINTS), rtol=1e-7, atol=1e-13)


def test_a_module_is_copied():
    module = torch.nn.PReLU(init=0.25)
    sigma = activations.of(module)
    with torch.no_grad():
        module.weight.fill_(0.75)
    assert float(sigma(np.array(-1.0))) == -0.25
    assert module.weight.dtype == torch.float32
    assert repr(sigma) == repr(torch.nn.PReLU())


def test_a_module_is_taken_in_the_mode_of_evaluation():
    """There RReLU has the mean of its slopes, and in training one by chance."""
    module = torch.nn.RReLU(0.1, 0.3)
    sigma = activations.of(torch.nn.Sequential(torch.nn.Dropout(0.5), module))
    np.testing.assert_allclose(sigma(POINTS), np.where(POINTS < 0, 0.2, 1) * POINTS, rtol=1e-7)
    assert module.training


def test_a_constant_has_slope_zero():
    assert activations.of(torch.ones_like).derivative(POINTS).tolist() == [0.0] * len(POINTS)


@pytest.mark.parametrize(
    ("f", "kind", "words"),
    [
        (np.tanh, TypeError, "with a function of NumPy; write it .*functions of Torch"),
        (math.tanh, TypeError, "fails for a tensor .*; write it .*functions of Torch"),
        (lambda u: u if u > 0 else 0 * u, TypeError, "ambiguous; write it .*functions of Torch"),
        (lambda u: np.where(u > 0, u, 0), TypeError, "must act elementwise.*functions of Torch"),
        (lambda u: 1.0, TypeError, "must act elementwise, but .* it is 1.0"),
        (lambda u: torch.tensor(np.tanh(u.detach().numpy())), ValueError, "autograd does not see"),
    ],
)
def test_what_is_not_of_torch_is_named(f, kind, words):
    with pytest.raises(kind, match=f"activation .*{words}"):
        activations.of(f)


# One's own.


@pytest.mark.parametrize("xp", [np, torch], ids=["NumPy", "Torch"])
@pytest.mark.parametrize(
    ("value", "derivative", "error", "message"),
    [
        (lambda u: u**2, lambda u: 3 * u, ValueError, r"own: its derivative is -6.9 at u = -2.3"),
        (lambda u: u**2, lambda u: 2 + 0 * u, ValueError, "own: its derivative is 2 at u"),
        (lambda u: u**3, lambda u: -3 * u**2, ValueError, "own: its derivative is -15.87 at"),
        (lambda u: u**2, lambda u: 2 * u * (u < 1.5), ValueError, "derivative is 0 at u = 1.9"),
        (
            lambda u: u / (u - u),
            lambda u: u,
            ValueError,
            "own is infinite or not a number at u",
        ),
        (lambda u: u, lambda u: u / (u < 0), ValueError, "derivative is infinite or not a num"),
        (lambda u: 1.0, lambda u: 0 * u, TypeError, "its value must act elementwise"),
        (lambda u: u, lambda u: 1.0, TypeError, "its derivative must act elementwise"),
        (lambda u: u[0], lambda u: 0 * u, TypeError, "its value must act elementwise"),
        (lambda u: u - u.mean(), lambda u: 0 * u + 1, TypeError, "one point depends on the others"),
    ],
)
def test_an_activation_of_ones_own_is_tried_first(xp, value, derivative, error, message):
    if xp is torch:
        with pytest.raises(error, match=message):
            mflib.ShallowNetwork(5, activation=Own(value, derivative))
        return
    with pytest.raises(error, match=message):
        representation.solve([0.1, 0.4], [1.0, 0.0], activation=Own(value, derivative))


@pytest.mark.parametrize(
    ("value", "derivative"),
    [
        (lambda u: u**2, lambda u: 2 * u),
        (lambda u: 1e6 * u, lambda u: 1e6 + 0 * u),
        (lambda u: 1e-9 * u**3, lambda u: 3e-9 * u**2),
        (lambda u: u + 1e3, lambda u: 1 + 0 * u),
        (lambda u: abs(u) ** 1.5, lambda u: 1.5 * u * abs(u) ** -0.5),
        (lambda u: (u > 0) * u, lambda u: (u > 0) * 1.0),
        (lambda u: (u > 0) * 1.0, lambda u: 0 * u),
        (lambda u: 1 / (1 + 1e4 * u**2), lambda u: -2e4 * u / (1 + 1e4 * u**2) ** 2),
    ],
)
def test_what_is_right_is_not_refused(value, derivative):
    activations.check_activation(Own(value, derivative))
    mflib.ShallowNetwork(5, activation=Own(value, derivative))


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
        (
            lambda: activations.get("step"),
            ValueError,
            r"'step' is unknown; .*\babs, .*of your own",
        ),
        (
            lambda: activations.get(max),
            TypeError,
            r"activation must be a name or an Activation, got .*; activations\.of makes one",
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


@pytest.mark.parametrize(("factor", "fits"), [(1.0005, True), (1.01, False), (0.99, False)])
def test_a_derivative_that_is_a_hundredth_off_is_refused(factor, fits):
    class Wrong(activations.Activation):
        def __call__(self, u):
            return np.sinh(u)

        def derivative(self, u):
            return factor * np.cosh(u)

    if fits:
        activations.check_activation(Wrong())
    else:
        with pytest.raises(ValueError, match="mend `derivative`"):
            activations.check_activation(Wrong())
