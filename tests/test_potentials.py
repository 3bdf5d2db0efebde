"""Potentials against autograd, integrals, formulas written out by hand and each other."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from mflib.potentials import (
    Hypentropy,
    Potential,
    Power,
    Quadratic,
    Regularized,
    check_at_zero,
    check_potential,
)
from tests import hostile
from tests.problems import Lopsided

# each with its value at x, written out once more
POTENTIALS = {
    "quadratic": (Quadratic(), lambda x: x * x),
    "power 1.5": (Power(1.5), lambda x: math.sqrt(abs(x)) ** 3),
    "power 3": (Power(3), lambda x: abs(x * x * x)),
    "power 4": (Power(4), lambda x: x * x * x * x),
    "power 8": (Power(8), lambda x: x**8),
    "hypentropy 0.3": (
        Hypentropy(0.3),
        lambda x: x * math.log(x / 0.3 + math.hypot(1, x / 0.3)) - math.hypot(x, 0.3),
    ),
    "hypentropy 40": (
        Hypentropy(40),
        lambda x: -x * math.log(math.hypot(1, x / 40) - x / 40) - math.hypot(x, 40),
    ),
    "regularized power 3": (Regularized(Power(3), 1), lambda x: (abs(x) ** 3 + x * x) / 2),
    "regularized power 4": (Regularized(Power(4), 0.2), lambda x: (x**4 + 0.2 * x * x) / 1.2),
    "regularized power 8": (Regularized(Power(8), 0.03), lambda x: (x**8 + 0.03 * x * x) / 1.03),
    "regularized power 1.5": (
        Regularized(Power(1.5), 2),
        lambda x: (abs(x) ** 1.5 + 2 * x * x) / 3,
    ),
    "regularized hypentropy": (
        Regularized(Hypentropy(0.002), 1e-3),
        lambda x: (x * math.asinh(500 * x) - math.hypot(x, 0.002) + 1e-3 * x * x) / 1.001,
    ),
    "lopsided": (Lopsided(), lambda x: x * x + 0.7 * x + max(x, 0) ** 3),
}
POINTS = np.array([-23.0, -1.7, -0.31, -0.004, 0.02, 0.55, 1.3, 40.0])
HUGE_AND_TINY = np.outer([-1.0, 1.0], 10.0 ** np.arange(-30, 31)).ravel()

every_potential = pytest.mark.parametrize(
    ("phi", "formula"), POTENTIALS.values(), ids=POTENTIALS.keys()
)


@every_potential
def test_value_is_the_formula(phi, formula):
    np.testing.assert_allclose(phi.value(POINTS), [formula(x) for x in POINTS], rtol=1e-12)


@every_potential
def test_derivatives_are_those_of_autograd(phi, formula):
    x = torch.tensor(POINTS, requires_grad=True)
    (gradient,) = torch.autograd.grad(phi.value(x).sum(), x)
    (hessian,) = torch.autograd.grad(phi.gradient(x).sum(), x)
    np.testing.assert_allclose(phi.gradient(POINTS), gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(phi.hessian(POINTS), hessian, rtol=1e-10)


@every_potential
def test_derivatives_are_those_of_differences(phi, formula):
    """Catches what autograd cannot: a value and a gradient with one mistake in common."""
    h = 1e-4 * np.abs(POINTS)

    def slope(f):  # fourth order
        return (
            (8 * (f(POINTS + h) - f(POINTS - h)) - f(POINTS + 2 * h) + f(POINTS - 2 * h)) / 12 / h
        )

    value = np.vectorize(formula, otypes=[float])
    np.testing.assert_allclose(phi.gradient(POINTS), slope(value), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(phi.hessian(POINTS), slope(phi.gradient), rtol=1e-7)


@every_potential
def test_inverse_gradient_inverts_over_sixty_orders_of_magnitude(phi, formula):
    z = phi.gradient(HUGE_AND_TINY)
    if phi.gradient(np.zeros(1)) == 0:
        np.testing.assert_allclose(phi.inverse_gradient(z), HUGE_AND_TINY, rtol=1e-12, atol=0)
    if not isinstance(phi, Hypentropy):  # whose gradient is a logarithm: 1e30 is out of its reach
        x = phi.inverse_gradient(HUGE_AND_TINY)
        offset = abs(phi.gradient(np.zeros(1)))
        error = np.abs(phi.gradient(x) - HUGE_AND_TINY)
        assert (error <= 1e-12 * (np.abs(HUGE_AND_TINY) + offset)).all()


def test_inverse_gradient_of_the_base_class_equals_the_formula():
    class Numerical(Hypentropy):
        bracket = Potential.bracket
        inverse_gradient = Potential.inverse_gradient

    z = np.array([-300.0, -3.0, -1e-20, 0.0, 1e-9, 0.8, 55.0])
    exact = Hypentropy(0.2).inverse_gradient(z)
    np.testing.assert_allclose(Numerical(0.2).inverse_gradient(z), exact, rtol=2e-13, atol=0)


@every_potential
def test_the_bracket_holds_the_inverse(phi, formula):
    x = HUGE_AND_TINY[abs(HUGE_AND_TINY) < 1e20]
    slope = phi.gradient(x) - phi.gradient(np.zeros(1))
    seen = slope != 0  # beside phi'(0)
    lower, upper = phi.bracket(slope[seen])
    assert (lower > 0).all()
    assert (lower <= abs(x[seen]) * (1 + 1e-12)).all()
    assert (upper >= abs(x[seen]) * (1 - 1e-12)).all()
    assert np.concatenate(phi.bracket(np.zeros(1))).min() == 0


@pytest.mark.parametrize(
    "phi", [Lopsided(), Regularized(Power(8), 0.03), Regularized(Power(2.5), 1e-3)], ids=repr
)
def test_newtons_method_inverts_in_few_steps(phi, monkeypatch):
    calls, hessian = [], type(phi).hessian
    monkeypatch.setattr(type(phi), "hessian", lambda self, x: calls.append(x) or hessian(self, x))
    phi.inverse_gradient(np.outer([-1, 1], 10.0 ** np.arange(-8, 4)))
    assert len(calls) <= 10  # bisection alone would take fifty


@every_potential
def test_inverse_gradient_keeps_shape_and_what_is_not_a_number(phi, formula):
    z = np.array([[0.3, np.nan], [-2.0, 0.0]])
    x = phi.inverse_gradient(z)
    assert x.shape == z.shape
    assert np.isnan(x).tolist() == np.isnan(z).tolist()
    assert phi.inverse_gradient(np.empty((0, 2))).shape == (0, 2)


@every_potential
def test_bregman_is_its_definition_and_its_integral(phi, formula):
    for x, y in [(-1.7, 0.4), (0.9, 0.2), (0.3, 5.0), (-2.0, -0.6)]:
        defined = formula(x) - formula(y) - float(phi.gradient(y)) * (x - y)
        # D(x, y) is the integral of (x - t) phi''(t) from y to x
        integral, _ = integrate.quad(
            lambda t, x=x: (x - t) * float(phi.hessian(t)),
            *(y, x),
            points=[0.0],
            epsabs=1e-12,
            limit=500,
        )
        assert float(phi.bregman(x, y)) == pytest.approx(defined, rel=1e-10)
        assert float(phi.bregman(x, y)) == pytest.approx(integral, rel=1e-7)


@every_potential
def test_bregman_is_positive_but_where_its_arguments_agree(phi, formula):
    x, y = np.random.default_rng(0).normal(0.3, 4.0, (2, 300))
    assert (phi.bregman(x, y) > 0).all()
    assert (phi.bregman(x, x) == 0).all()


def test_bregman_of_hypentropy_keeps_its_digits_near_the_origin():
    tiny = 1e-8 * np.array([-3.0, 1.0, 2.0])
    for beta in (0.02, 5.0):
        exact = (tiny * beta) ** 2 / (2 * beta)
        np.testing.assert_allclose(Hypentropy(beta).bregman(tiny * beta, 0.0), exact, rtol=1e-7)


@every_potential
@pytest.mark.parametrize("method", ["value", "gradient", "hessian", "inverse_gradient"])
def test_numpy_and_torch_agree(phi, formula, method):
    arrays = getattr(phi, method)(POINTS)
    tensors = getattr(phi, method)(torch.tensor(POINTS))
    assert isinstance(arrays, np.ndarray)
    assert isinstance(tensors, torch.Tensor)
    assert tensors.dtype == torch.float64
    np.testing.assert_allclose(arrays, tensors, rtol=1e-13)


@every_potential
def test_bregman_of_a_tensor_and_a_number_keeps_double_precision(phi, formula):
    tensor = phi.bregman(torch.tensor(POINTS), 0.3)
    assert tensor.dtype == torch.float64
    np.testing.assert_allclose(phi.bregman(POINTS, 0.3), tensor, rtol=1e-12)
    np.testing.assert_allclose(phi.bregman(0.3, torch.tensor(POINTS)), phi.bregman(0.3, POINTS))


@every_potential
def test_numbers_integers_and_broadcasting(phi, formula):
    assert float(phi.value(2)) == pytest.approx(formula(2), rel=1e-14)
    np.testing.assert_allclose(phi.value(np.array([2, 3])), [formula(2), formula(3)], rtol=1e-14)
    pairs = phi.bregman(POINTS[:, None], POINTS[:2])
    assert pairs.shape == (len(POINTS), 2)
    assert pairs[3, 1] == pytest.approx(float(phi.bregman(POINTS[3], POINTS[1])), rel=1e-14)


def test_single_precision_stays():
    x = torch.tensor([0.5, -2.0], dtype=torch.float32)
    for phi in (Quadratic(), Power(3), Hypentropy(0.7), Regularized(Power(5), 1), Lopsided()):
        assert phi.gradient(x).dtype == torch.float32
        np.testing.assert_allclose(phi.inverse_gradient(phi.gradient(x)), x, rtol=1e-5)


@pytest.mark.parametrize(
    ("phi", "text"),
    [
        (Quadratic(), "Quadratic()"),
        (Power(2.5), "Power(2.5)"),
        (Hypentropy(0.1), "Hypentropy(0.1)"),
        (Regularized(Power(3), 0.5), "Regularized(Power(3), 0.5)"),
    ],
)
def test_repr_is_how_to_build_it(phi, text):
    assert repr(phi) == text
    assert eval(text).gradient(0.7) == phi.gradient(0.7)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Power(1), ValueError, r"exponent .* > 1 .*got 1"),
        (lambda: Power(0.5), ValueError, r"exponent .*got 0\.5"),
        (lambda: Power(math.nan), ValueError, r"exponent .*got nan"),
        (lambda: Power(math.inf), ValueError, r"exponent .*got inf"),
        (lambda: Power("cubic"), TypeError, r"exponent .*'cubic'"),
        (lambda: Power(None), TypeError, r"exponent .*None"),
        (lambda: Hypentropy(0), ValueError, r"beta .* > 0 .*got 0"),
        (lambda: Hypentropy(-2.5), ValueError, r"beta .*got -2\.5"),
        (lambda: Hypentropy(math.inf), ValueError, r"beta .*got inf"),
        (lambda: Regularized(Power(3), 0), ValueError, r"omega .* > 0 .*got 0"),
        (lambda: Regularized(Power(3), -1), ValueError, r"omega .*Hessian positive.*got -1"),
        (lambda: Regularized(Power(3), math.nan), ValueError, r"omega .*got nan"),
        (lambda: Regularized("power", 1), TypeError, r"psi .*'power'.*Power\(4\)"),
    ],
)
def test_bad_parameters(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_a_gradient_that_is_bounded_cannot_be_inverted():
    class Bounded(Lopsided):
        def gradient(self, x):
            return np.tanh(x)

        def hessian(self, x):
            return 1 / np.cosh(x) ** 2

    assert Bounded().inverse_gradient(0.5) == pytest.approx(math.atanh(0.5), rel=1e-14)
    with pytest.raises(ValueError, match="Lopsided.* grows too slowly .*gradient unbounded"):
        Bounded().inverse_gradient(2.0)


def test_a_gradient_that_is_no_number_cannot_be_inverted():
    """Nowhere, or beyond 1/2, where the search comes to rest: that is no answer either."""
    beyond = altered(gradient=lambda self, x: np.arctanh(2 * x), __repr__=lambda self: "Beyond")
    with np.errstate(all="ignore"):
        assert beyond.inverse_gradient(0.5) == pytest.approx(math.tanh(0.5) / 2)
        for phi in (hostile.NotANumber(), beyond):
            with pytest.raises(ValueError, match=f"{phi!r} could not be inverted at"):
                phi.inverse_gradient([3.0, -20.0])


def test_a_hessian_that_is_not_the_gradients_still_inverts():
    """Newton goes astray, the bracket does not."""

    class Careless(Lopsided):
        def hessian(self, x):
            return 1e-3 + 0 * x

    z = np.array([-7.0, 0.71, 30.0])
    np.testing.assert_allclose(Lopsided().gradient(Careless().inverse_gradient(z)), z, rtol=1e-12)


# What may call itself a potential.


def altered(**methods) -> Potential:
    """The quadratic with methods of its own."""
    return type("Altered", (hostile.Own,), methods)()


@pytest.mark.parametrize("expected", hostile.POTENTIALS.values(), ids=hostile.POTENTIALS)
def test_what_is_no_potential_is_refused(expected):
    potential, (error, message) = expected
    with pytest.raises(error, match=message) as caught:
        check_potential(potential)
    assert error is RuntimeError or repr(potential) in str(caught.value)


@pytest.mark.parametrize("method", ["value", "gradient", "hessian", "inverse_gradient"])
@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_methods_that_do_not_fit_by_a_hundredth_are_refused(method, factor):
    def close(self, x):
        return factor * getattr(Quadratic(), method)(x)

    with pytest.raises(ValueError, match="Altered: its .*(slope|invert).* at x = -0.91; it must"):
        check_potential(altered(**{method: close}))
    with pytest.raises(ValueError, match="Altered: its .*(slope|invert)"):
        check_potential(Regularized(altered(**{method: close}), 1.0))


def test_a_fault_is_reported_where_it_is():
    with pytest.raises(ValueError, match=r"gradient is not the slope of value at x = 0\.41; "):
        check_potential(altered(value=lambda self, x: x**2 + (abs(x - 0.41) < 0.1) * x))


@pytest.mark.parametrize(
    "potential",
    [
        hostile.Own(),
        Lopsided(),
        altered(value=lambda self, x: 1e6 + x**2),
        altered(gradient=lambda self, x: 2 * x - 1e4, value=lambda self, x: x**2 - 1e4 * x),
    ],
    ids=["own", "lopsided", "a large value", "a large gradient"],
)
def test_potentials_of_ones_own_are_accepted(potential):
    check_potential(potential)
    check_potential(potential, torch)
    check_at_zero(potential)


def test_a_potential_may_know_tensors_only():
    potential = altered(
        value=lambda self, x: torch.square(x),
        gradient=lambda self, x: torch.mul(x, 2.0),
        hessian=lambda self, x: torch.full_like(x, 2.0),
    )
    check_potential(potential, torch)
    check_potential(Regularized(potential, 1.0), torch)
    with pytest.raises(TypeError):
        check_potential(potential)


STEEP = altered(
    value=lambda self, x: abs(x) ** 1.5,
    gradient=lambda self, x: 1.5 * np.sign(x) * abs(x) ** 0.5,
    hessian=lambda self, x: 0.75 / abs(x) ** 0.5,
)


@pytest.mark.parametrize(("phi", "curvature"), [(Power(3), 0), (Power(1.5), "inf"), (STEEP, "inf")])
def test_training_cannot_start_where_the_hessian_is_zero_or_infinite(phi, curvature):
    with pytest.raises(ValueError, match=f"Hessian {curvature} at 0, .*use Regularized"):
        check_at_zero(phi)
    check_at_zero(Hypentropy(40))  # 0.025 is enough
    with pytest.raises(TypeError, match="must be a Potential, got None"):
        check_at_zero(None)
