"""Potentials against autograd, integrals, formulas written out by hand and each other."""

import copy
import functools
import math
import pickle

import numpy as np
import pytest
import torch
from scipy import integrate

import mflib
from mflib import densities, functionals, representation, variational
from mflib.potentials import (
    Entropy,
    Hypentropy,
    Potential,
    Power,
    Quadratic,
    Regularized,
    Rescaled,
    check_at_zero,
    check_potential,
    check_where_used,
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
    "quadratic at scale 7": (Quadratic().at_scale(7), lambda x: x * x / 49),
    "regularized power 4 at scale 3": (
        Regularized(Power(4), 0.2).at_scale(3),
        lambda x: ((x / 3) ** 4 + 0.2 * (x / 3) ** 2) / 1.2,
    ),
    "lopsided at scale 0.1": (
        Lopsided().at_scale(0.1),
        lambda x: 100 * x * x + 7 * x + max(10 * x, 0) ** 3,
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
    ("phi", "largest"),
    [
        (Lopsided(), 3),
        (Regularized(Power(8), 0.03), 16),  # where the power is all there is
        (Regularized(Power(2.5), 1e-3), 16),
        (Regularized(Hypentropy(2.0), 1.0), 16),
    ],
    ids=repr,
)
def test_newtons_method_inverts_in_few_steps(phi, largest, monkeypatch):
    calls, hessian = [], type(phi).hessian
    monkeypatch.setattr(type(phi), "hessian", lambda self, x: calls.append(x) or hessian(self, x))
    phi.inverse_gradient(np.outer([-1, 1], 10.0 ** np.arange(-8, largest + 1)))
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


class Kinked(Potential):
    """x^2 - 0.7 x, and x^3 where x > 0: its Hessian has a kink at 0."""

    def value(self, x):
        return x**2 - 0.7 * x + (0.5 * (x + abs(x))) ** 3

    def gradient(self, x):
        return 2 * x - 0.7 + 3 * (0.5 * (x + abs(x))) ** 2

    def hessian(self, x):
        return 2 + 3 * (x + abs(x))


@pytest.mark.parametrize(("x", "y"), [(1e-4, -3e-4), (-2e-5, 1e-5), (1e-9, -4e-9), (3e-5, 1e-5)])
def test_bregman_across_a_kink_keeps_its_digits(x, y):
    cubic = [max(t, 0.0) ** 3 for t in (x, y)]
    exact = (x - y) ** 2 + cubic[0] - cubic[1] - 3 * max(y, 0.0) ** 2 * (x - y)
    got = Kinked().bregman(np.array([x, 1.0]), y)[0]
    assert got == pytest.approx(exact, rel=1e-11)


class Exponential(Potential):
    """exp x, whose gradient is flat on one side."""

    def value(self, x):
        return mflib.potentials.array_namespace(x).exp(x)

    gradient = hessian = value


@pytest.mark.parametrize("x", [-40.0, -36.0, -34.04, -30.0, -3.0, 30.0])
def test_an_inverse_is_good_to_the_rounding_of_the_gradient(x):
    """Where a point is good enough, Newton's step from it may lead anywhere."""
    phi = Exponential()
    z = phi.gradient(np.array([x])) - 1
    back = phi.gradient(phi.inverse_mirror(z)) - 1
    np.testing.assert_allclose(back, z, rtol=0, atol=1e-14 * (1 + abs(z[0])))


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
        (Power(np.float32(2.5)), "Power(2.5)"),
        (Hypentropy(1 / 3), "Hypentropy(0.3333333333333333)"),
        (
            Regularized(Hypentropy(0.1), 2).at_scale(0.25),
            "Regularized(Hypentropy(0.1), 2).at_scale(0.25)",
        ),
        (Power(3).at_scale(2).at_scale(3), "Power(3).at_scale(6)"),
    ],
)
def test_repr_is_how_to_build_it(phi, text):
    assert repr(phi) == text
    assert eval(text).gradient(0.7) == phi.gradient(0.7)
    assert eval(text) == phi


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
    with pytest.raises(
        ValueError, match=r"Lopsided.* grows too slowly .*no minimiser in general\)"
    ):
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


# Parameters, equality, hash


class OneOwn(hostile.Own):
    def __init__(self, k=1.0, **others):
        self.k = k
        self.__dict__ |= others

    @functools.cached_property
    def twice(self):
        return 2 * self.k


class Slotted(hostile.Own):
    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k


class Child(Hypentropy):
    pass


def EQUAL():
    """Built anew at each call."""
    return [
        *(Quadratic(), Power(3), Power(4), Power(2.5), Hypentropy(0.1), Hypentropy(0.2), Entropy()),
        *(Regularized(Power(3), 1), Regularized(Power(3), 2), Regularized(Power(4), 1)),
        *(Regularized(Hypentropy(0.1), 1), Regularized(Regularized(Power(3), 1), 1), Child(0.1)),
        *(Power(3).at_scale(2), Power(3).at_scale(4), Hypentropy(0.1).at_scale(2)),
        *(hostile.Own(), Lopsided(), OneOwn(1.0), OneOwn(2.0), OneOwn("a"), OneOwn(None)),
        *(OneOwn((1, 2)), OneOwn((1, 3)), OneOwn(1.0, b=2), OneOwn(1.0, c=2), OneOwn(Power(3))),
        *(Slotted(1.0), Slotted(2.0), OneOwn(Slotted(1.0)), Power(3.0000001), OneOwn(b"a")),
    ]


def test_equal_parameters_make_equal_potentials_and_no_others():
    for i, one in enumerate(EQUAL()):
        for j, two in enumerate(EQUAL()):
            assert (one == two) == (i == j), (one, two)
            assert (one != two) == (i != j)
            assert (hash(one) == hash(two)) or i != j
    assert len({*EQUAL(), *EQUAL()}) == len(EQUAL())
    assert Power(3) == Power(np.float64(3.0)) and hash(Power(3)) == hash(Power(np.float32(3)))
    assert Power(3) not in (3, "Power(3)", None)


@pytest.mark.parametrize(
    "value", [np.ones(2), torch.ones(2), torch.ones(()), [1], {"a": 1}, np.sin]
)
def test_what_has_no_plain_parameters_equals_itself_alone(value):
    one, two = OneOwn(value), OneOwn(value)
    assert one == one and one != two and len({one, two, one}) == 2
    assert Regularized(one, 1) == Regularized(one, 1) != Regularized(two, 1)


@pytest.mark.parametrize("phi", EQUAL(), ids=repr)
def test_a_copy_is_equal(phi):
    for twin in (copy.copy(phi), copy.deepcopy(phi), pickle.loads(pickle.dumps(phi))):
        assert twin == phi and hash(twin) == hash(phi) and repr(twin) == repr(phi)


def test_what_is_cached_is_no_parameter():
    one, two = OneOwn(3.0), OneOwn(3.0)
    assert one.twice == 6.0
    assert one == two and one.get_params() == {"k": 3.0}


def test_parameters_by_name():
    assert Quadratic().get_params() == Entropy().get_params() == {}
    assert Hypentropy(0.1).get_params() == {"beta": 0.1}
    assert Regularized(Power(3), 2).get_params() == {"psi": Power(3), "omega": 2.0}
    assert Slotted(2.0).get_params() == {"k": 2.0}
    for phi in (Power(2.5), Hypentropy(0.3), Regularized(Power(3), 2), Power(3).at_scale(2)):
        assert type(phi)(**phi.get_params()) == phi
    Hypentropy(0.1).get_params()["beta"] = 3  # a copy


# Scales


@every_potential
def test_a_scale_is_a_unit(phi, formula):
    value = np.vectorize(formula, otypes=[float])
    np.testing.assert_allclose(phi.at_scale(5).value(POINTS), value(POINTS / 5), rtol=1e-12)
    assert phi.at_scale(2).at_scale(3) == phi.at_scale(6) != phi.at_scale(5)


@pytest.mark.parametrize(
    "phi", [Hypentropy(0.4), Regularized(Hypentropy(3), 1), Power(1.5)], ids=repr
)
def test_values_at_infinity_are_infinite(phi):
    ends = np.array([-np.inf, np.inf, 0.0])
    value = phi.value(ends)
    assert np.isposinf(value[:2]).all()
    assert value[2] == phi.value(0.0)
    assert torch.isposinf(phi.value(torch.tensor(ends))[:2]).all()


def test_hypentropy_at_a_scale_is_one_of_another_beta():
    one, two = Hypentropy(0.1).at_scale(4), Hypentropy(0.4)
    np.testing.assert_allclose(4 * one.value(POINTS), two.value(POINTS), rtol=1e-13)
    np.testing.assert_allclose(one.inverse_gradient(0.3), two.inverse_gradient(1.2), rtol=1e-13)


@pytest.mark.parametrize("solve", [variational.solve, representation.solve])
@pytest.mark.parametrize(
    "phi", [Quadratic(), Regularized(Power(4), 1), Regularized(Hypentropy(0.1), 0.5)], ids=repr
)
def test_solutions_at_the_scale_of_the_targets_are_free_of_units(phi, solve):
    x, y, t = [-0.6, -0.1, 0.5], np.array([0.3, -0.4, 0.2]), np.linspace(-1, 1, 9)
    plain = solve(x, y, potential=phi, activation="abs")
    scaled = solve(x, 40 * y, potential=phi.at_scale(40), activation="abs")
    assert plain.status.name == scaled.status.name == "CONVERGED"
    np.testing.assert_allclose(scaled(t), 40 * plain(t), rtol=1e-9, atol=1e-9)
    assert scaled.cost == pytest.approx(plain.cost, rel=1e-9)


@pytest.mark.parametrize("c", [0, -1, np.nan, np.inf, 1e-300])
def test_scales_are_positive(c):
    for phi in (Quadratic(), Quadratic().at_scale(2)):
        with pytest.raises(ValueError, match="c must be finite and > 0"):
            phi.at_scale(c)
    with pytest.raises(TypeError, match="c must be a real number, got 'much'"):
        Quadratic().at_scale("much")
    with pytest.raises(TypeError, match="phi must be a Potential, got 3"):
        Rescaled(3, 1.0)


# Precision


def representable(dtype):
    """Values of a gradient that the type holds exactly, with their kind of array."""
    z = torch.tensor(np.linspace(-4, 4, 201), dtype=dtype)
    return (z,) if dtype == torch.bfloat16 else (z, z.numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "phi",
    [
        *(phi for phi, _ in POTENTIALS.values()),
        *(Regularized(Power(p), omega) for p in (1.2, 2.5, 3, 4, 6) for omega in (1e-3, 1, 30)),
        *(Regularized(Hypentropy(0.1), 0.1), Power(1.2), Power(6), Hypentropy(3), Entropy()),
    ],
    ids=repr,
)
def test_the_inverse_is_as_precise_as_its_type(phi, dtype):
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    for z in representable(dtype):
        exact = phi.inverse_gradient(np.asarray(torch.as_tensor(z).double()))
        if np.abs(exact).max() > torch.finfo(dtype).max / 10:
            continue
        found = phi.inverse_gradient(z)
        assert found.dtype == z.dtype
        error = np.abs(np.asarray(torch.as_tensor(found).double()) - exact)
        # what one rounding of z does, and one of the result
        slope = 1 / np.maximum(phi.hessian(exact), 1e-30)
        size = np.abs(np.asarray(torch.as_tensor(z).double())) + abs(float(phi_zero(phi)))
        assert (error <= 12 * eps * (size * slope + np.abs(exact)) + tiny).all()


def phi_zero(phi):
    return 0.0 if isinstance(phi, Entropy) else phi.gradient(np.zeros(1))[0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_noisy_gradient_is_inverted_up_to_its_noise(dtype):
    """sinh as a difference of exponentials: Newton's method may go to and fro."""
    noisy = altered(
        gradient=lambda self, x: 2 * x + 0.25 * (np.exp(x) - np.exp(-x)),
        hessian=lambda self, x: 2 + 0.25 * (np.exp(x) + np.exp(-x)),
    )
    z = np.outer([-1, 1], np.append(10.0 ** np.linspace(-6, 4, 1001), 0.003162384033203125))
    x = noisy.inverse_gradient(z.astype(dtype)).astype(float)
    exact = altered(
        gradient=lambda self, x: 2 * x + 0.5 * np.sinh(x),
        hessian=lambda self, x: 2 + 0.5 * np.cosh(x),
    ).inverse_gradient(z.astype(dtype).astype(float))
    eps = np.finfo(np.float32 if dtype == np.float16 else dtype).eps
    error = 4 * eps + 12 * np.finfo(dtype).eps * np.abs(exact) + np.finfo(dtype).tiny
    assert (np.abs(x - exact) <= error).all()


# Entropy, and where potentials are defined


def test_entropy():
    phi, x = Entropy(), np.array([1e-30, 0.004, 0.55, 1.0, 40.0])
    np.testing.assert_allclose(phi.value(x), [v * math.log(v) - v for v in x], rtol=1e-15)
    tensor = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(phi.value(tensor).sum(), tensor)
    np.testing.assert_allclose(phi.gradient(x), slope, rtol=1e-14, atol=1e-15)
    (curvature,) = torch.autograd.grad(phi.gradient(tensor).sum(), tensor)
    np.testing.assert_allclose(phi.hessian(x), curvature, rtol=1e-15)
    np.testing.assert_allclose(phi.inverse_gradient(phi.gradient(x)), x, rtol=1e-14)
    y = x[::-1]
    divergence = x * np.log(x / y) - x + y  # Kullback and Leibler's, of measures
    np.testing.assert_allclose(phi.bregman(x, y), divergence, rtol=1e-13)
    assert float(phi.bregman(1 + 1e-7, 1.0)) == pytest.approx(5e-15, rel=1e-6)
    assert phi.domain == (0, math.inf)
    assert phi.at_scale(3).domain == (0, math.inf)
    assert Hypentropy(3).domain == Lopsided().domain == (-math.inf, math.inf)


class Barrier(hostile.Own):
    """-log(1 - x^2), a user's own on (-1, 1), or moved elsewhere."""

    def __init__(self, low=-1.0, high=1.0):
        self.middle, self.half = (low + high) / 2, (high - low) / 2

    @property
    def domain(self):
        return (self.middle - self.half, self.middle + self.half)

    def _u(self, x):
        return (x - self.middle) / self.half

    def value(self, x):
        xp = mflib.potentials.array_namespace(x)
        return -xp.log1p(-(self._u(x) ** 2))

    def gradient(self, x):
        return 2 * self._u(x) / (1 - self._u(x) ** 2) / self.half

    def hessian(self, x):
        return 2 * (1 + self._u(x) ** 2) / (1 - self._u(x) ** 2) ** 2 / self.half**2

    def inverse_gradient(self, z):
        z = mflib.potentials.as_array(z) * self.half
        root = mflib.potentials.array_namespace(z).sqrt(1 + z * z)
        return self.middle + self.half * z / (1 + root)


class Log(hostile.Own):
    """-log(x - low): Burg's entropy."""

    def __init__(self, low):
        self.low, self.domain = low, (low, math.inf)

    domain = (0, math.inf)

    def value(self, x):
        return -mflib.potentials.array_namespace(x).log(x - self.low)

    def gradient(self, x):
        return -1 / (x - self.low)

    def hessian(self, x):
        return (x - self.low) ** -2

    def inverse_gradient(self, z):
        return self.low - 1 / mflib.potentials.as_array(z)


PARTIAL = [
    *(Entropy(), Entropy().at_scale(3), Barrier(), Barrier(5.0, 6.0), Barrier(-1e4, 0.0)),
    *(Log(0.0), Log(1000.0), Log(-1e3), Barrier().at_scale(4)),
]


@pytest.mark.parametrize("phi", PARTIAL, ids=repr)
def test_a_potential_on_part_of_r_is_for_descent_from_inside(phi):
    check_potential(phi, everywhere=False)
    check_potential(phi, torch, everywhere=False)
    low, high = phi.domain
    inside = 0.3 * high + 0.7 * low if math.isfinite(high) else low + 0.3
    theta = torch.nn.Parameter(torch.tensor([inside], dtype=torch.float64))
    optimizer = mflib.MirrorDescent([theta], 1e-3, potential=phi, center="origin")
    for gradient in (1.0, -2.0, 0.3):
        before = phi.gradient(theta.detach())
        theta.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        assert low < theta.item() < high
        torch.testing.assert_close(phi.gradient(theta.detach()), before - 1e-3 * theta.grad)


NEEDS_R = {
    "check_at_zero": check_at_zero,
    "check_potential": check_potential,
    "Regularized": lambda phi: Regularized(phi, 1.0),
    "variational.solve": lambda phi: variational.solve([0.1], [1.0], potential=phi),
    "representation.solve": lambda phi: representation.solve([0.1], [1.0], potential=phi),
    "representation.trajectory": lambda phi: representation.trajectory(
        [0.1], [1.0], [1.0], potential=phi
    ),
    "variational.trajectory": lambda phi: variational.trajectory(
        [0.1], [1.0], [1.0], potential=phi
    ),
    "representation.kernel": lambda phi: representation.kernel([0.1], potential=phi),
    "share_curvature": lambda phi: functionals.share_curvature(
        np.ones(1), np.ones(1), np.ones(1), np.ones(1), phi
    ),
}


@pytest.mark.parametrize("function", NEEDS_R.values(), ids=NEEDS_R.keys())
@pytest.mark.parametrize("phi", PARTIAL, ids=repr)
def test_theory_needs_all_of_r(phi, function):
    with pytest.raises(
        ValueError, match=r" is defined on \(.*\) only, and parameters move on all of R"
    ):
        function(phi)


@pytest.mark.parametrize("center", ["initialization", "origin"])
@pytest.mark.parametrize("phi", [Entropy(), Log(0.0), Barrier(5.0, 6.0)], ids=repr)
def test_the_flow_starts_inside(phi, center):
    net = mflib.ShallowNetwork(5)
    with pytest.raises(
        ValueError, match=f"only, and some initial parameters, with center='{center}'"
    ):
        mflib.mirror_flow(net, [0.1], [1.0], potential=phi, center=center)


def test_a_partial_potential_brings_its_inverse():
    class Without(Log):
        inverse_gradient = Potential.inverse_gradient

    with pytest.raises(ValueError, match="not defined on all of R: it needs its inverse_gradient"):
        check_potential(Without(0.0), everywhere=False)


def test_a_fault_of_a_partial_potential_is_found():
    class Wrong(Log):
        def hessian(self, x):
            return 1.1 * super().hessian(x)

    with pytest.raises(ValueError, match="hessian is not the slope of gradient at x = 1000"):
        check_potential(Wrong(1000.0), everywhere=False)


# Bounded gradients


class LogCosh(hostile.Own):
    def value(self, x):
        xp = mflib.potentials.array_namespace(x)
        return xp.logaddexp(x, -x)

    def gradient(self, x):
        return mflib.potentials.array_namespace(x).tanh(x)

    def hessian(self, x):
        return 1 - self.gradient(x) ** 2


class Huber(hostile.Own):
    def value(self, x):
        xp = mflib.potentials.array_namespace(x)
        return xp.where(abs(x) < 1, 0.5 * x**2, abs(x) - 0.5)

    def gradient(self, x):
        return mflib.potentials.array_namespace(x).clip(x, -1, 1)

    def hessian(self, x):
        return 1.0 * (abs(x) < 1)


@pytest.mark.parametrize("phi", [LogCosh(), Huber()], ids=repr)
@pytest.mark.parametrize("solve", [variational.solve, representation.solve])
def test_a_bounded_gradient_has_no_minimiser_in_general(phi, solve):
    data = [-0.6, -0.1, 0.5], np.array([30.0, -40.0, 20.0])
    message = r"bounded gradient: no minimiser in general\); use Regularized\(potential, omega"
    with pytest.raises(ValueError, match=message):
        solve(*data, potential=phi, activation="abs")
    assert solve(*data, potential=Regularized(phi, 1), activation="abs").status.name == "CONVERGED"
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = mflib.MirrorDescent([theta], 1.0, potential=phi)
    theta.grad = torch.tensor([-3.0], dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    assert theta.item() == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_exponential_gradient_is_inverted_up_to_its_largest_values(dtype):
    """The bracket doubles past where sinh overflows, and steps of Newton have length one there."""
    steep = altered(
        value=lambda self, x: np.cosh(x),
        gradient=lambda self, x: np.sinh(x),
        hessian=lambda self, x: np.cosh(x),
    )
    z = np.geomspace(1e-6, np.finfo(dtype).max / 2, 401).astype(dtype)
    for each in (z, *z[::50, None]):
        np.testing.assert_allclose(
            steep.inverse_gradient(each), np.arcsinh(each), rtol=8 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("domain", [(-np.inf, 2.0), (-3.0, 2.0)])
def test_a_potential_on_part_of_the_line_is_tried_inside(domain):
    class Wall(Potential):
        """-log of the distance from the ends, a barrier."""

        def value(self, x):
            return sum(-np.log(abs(x - end)) for end in self.domain if np.isfinite(end))

        def gradient(self, x):
            return sum(-1 / (x - end) for end in self.domain if np.isfinite(end))

        def hessian(self, x):
            return sum((x - end) ** -2.0 for end in self.domain if np.isfinite(end))

        def inverse_gradient(self, z):
            if len([end for end in self.domain if np.isfinite(end)]) == 1:
                return 2.0 - 1 / z
            # -1/(x - a) - 1/(x - b) = z, in the middle's coordinate u with half width r
            r = 2.5
            u = np.where(z == 0, 0.0, (-1 + np.sqrt(1 + (r * z) ** 2)) / np.where(z == 0, 1.0, z))
            return u - 0.5

    Wall.domain = domain
    check_potential(Wall(), everywhere=False)
    with pytest.raises(ValueError, match="is defined on"):
        check_potential(Wall())
    scaled = Wall().at_scale(4.0)
    assert scaled.domain == (4 * domain[0], 8.0)
    check_potential(scaled, everywhere=False)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_inverting_an_exponential_takes_few_evaluations(scale):
    """The logarithm of sinh is a line: once near, Newton's method on it ends in a few steps."""

    class Counted(Potential):
        count = 0

        def value(self, x):
            return np.cosh(x / scale)

        def gradient(self, x):
            self.count += 1
            return np.sinh(x / scale) / scale

        def hessian(self, x):
            return np.cosh(x / scale) / scale**2

    phi, z = Counted(), np.concatenate([-np.geomspace(1e-3, 1e80, 99), np.geomspace(1e-9, 1e3, 9)])
    np.testing.assert_allclose(phi.inverse_gradient(z), scale * np.arcsinh(scale * z), rtol=1e-13)
    assert phi.count < 40  # 90 by Newton's method on sinh itself


# Methods that fit each other in part.


def made(name: str, value, gradient, hessian, **more) -> Potential:
    """A potential of functions."""
    functions = {"value": value, "gradient": gradient, "hessian": hessian} | more
    methods = {key: lambda self, *x, f=f: f(*x) for key, f in functions.items()}
    return type(name, (hostile.Own,), methods)()


SOUND = [
    made("Eight", lambda x: x**2 + x**8, lambda x: 2 * x + 8 * x**7, lambda x: 2 + 56 * x**6),
    made("Cosh", np.cosh, np.sinh, np.cosh),
    made("Invertible", np.cosh, np.sinh, np.cosh, inverse_gradient=np.arcsinh),
    made(
        "WithBregman",
        *(np.cosh, np.sinh, np.cosh),
        bregman=lambda x, y: 2 * np.sinh((x - y) / 2) * np.sinh((x + y) / 2) - np.sinh(y) * (x - y),
    ),
    made(
        "Steep",
        lambda x: np.cosh(1e3 * x),
        lambda x: 1e3 * np.sinh(1e3 * x),
        lambda x: 1e6 * np.cosh(1e3 * x),
    ),
    made(
        "Gauss",
        lambda x: np.exp(x**2),
        lambda x: 2 * x * np.exp(x**2),
        lambda x: (2 + 4 * x**2) * np.exp(x**2),
    ),
    made(
        "Exp",
        lambda x: np.exp(x) - x + x**2,
        lambda x: np.expm1(x) + 2 * x,
        lambda x: np.exp(x) + 2,
    ),
    made(
        "HuberAndSquare",
        lambda x: np.where(abs(x) < 1, x**2, abs(x) - 0.5 + 0.5 * x**2),
        lambda x: np.clip(x, -1, 1) + x,
        lambda x: 1.0 + (abs(x) < 1),
    ),
    made(
        "TwoHalves",
        lambda x: np.where(x > 0, x**2, 2 * x**2),
        lambda x: np.where(x > 0, 2 * x, 4 * x),
        lambda x: np.where(x > 0, 2.0, 4.0),
    ),
    made(
        "Root",
        lambda x: abs(x) ** 1.5,
        lambda x: 1.5 * np.sign(x) * abs(x) ** 0.5,
        lambda x: 0.75 / abs(x) ** 0.5,
    ),
    made("LogOfCosh", lambda x: np.log(np.cosh(x)), np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    made(
        "LogCoshInvertible",
        lambda x: np.logaddexp(x, -x),
        np.tanh,
        lambda x: 1 - np.tanh(x) ** 2,
        inverse_gradient=np.arctanh,
    ),
    made(
        "Pseudohuber",
        lambda x: np.sqrt(1 + x**2) - 1,
        lambda x: x / np.sqrt(1 + x**2),
        lambda x: (1 + x**2) ** -1.5,
    ),
    made(
        "Waves",
        lambda x: x**2 + 5e-5 * np.cos(100 * x),
        lambda x: 2 * x - 5e-3 * np.sin(100 * x),
        lambda x: 2 - 0.5 * np.cos(100 * x),
    ),
    made(
        "Elsewhere",
        lambda x: 1e6 + (x - 0.41) ** 2 + (x - 0.41) ** 4,
        lambda x: 2 * (x - 0.41) + 4 * (x - 0.41) ** 3,
        lambda x: 2 + 12 * (x - 0.41) ** 2,
    ),
]


@pytest.mark.parametrize("phi", SOUND, ids=repr)
def test_methods_that_fit_are_believed_at_any_size(phi):
    check_potential(phi)
    for size in np.geomspace(1e-3, 1e3, 13):
        for x in (size, -size, size * np.random.default_rng(0).normal(size=99)):
            check_where_used(phi, lambda x=x: [(phi, np.atleast_1d(x))])
            check_where_used(phi.at_scale(30.0), lambda x=x: [(phi.at_scale(30.0), np.array(x))])


def beyond(low, high, f, g):
    """What is f, but g in a ring."""
    return lambda x: np.where((low < abs(x)) & (abs(x) < high), g(x), f(x))


SQUARE = (lambda x: x**2, lambda x: 2 * x, lambda x: 2 + 0 * x)
WRONG = {
    "seven for eight": made(
        "Seven",
        lambda x: x**2 + 1e-4 * x**8,
        lambda x: 2 * x + 7e-4 * x**7,
        lambda x: 2 + 49e-4 * x**6,
    ),
    "hessian of another": made(
        "Other",
        lambda x: x**2 + 1e-6 * x**8,
        lambda x: 2 * x + 8e-6 * x**7,
        lambda x: 2 + 48e-6 * x**6,
    ),
    "value": made("Value", beyond(2, 8, SQUARE[0], lambda x: x**2 + abs(x) - 2), *SQUARE[1:]),
    "value far out": made("Far", beyond(3, 1e9, SQUARE[0], lambda x: 9 + abs(x)), *SQUARE[1:]),
    "hessian": made("Hess", *SQUARE[:2], beyond(2, 8, SQUARE[2], lambda x: 3 + 0 * x)),
    "negative": made("Negative", *SQUARE[:2], beyond(2, 8, SQUARE[2], lambda x: -1 + 0 * x)),
    "gradient": made(
        "Gradient", np.cosh, beyond(2, 8, np.sinh, lambda x: 0.9 * np.sinh(x)), np.cosh
    ),
    "inverse that ends": made("Ends", *SQUARE, inverse_gradient=lambda z: np.clip(z / 2, -5, 5)),
    "inverse": made("Inverse", *SQUARE, inverse_gradient=beyond(4, 16, lambda z: z / 2, np.sqrt)),
    "bregman": made("Bregman", *SQUARE, bregman=lambda x, y: (x - y) ** 2 + (abs(x) > 2)),
}


@pytest.mark.parametrize("name", WRONG)
def test_methods_that_do_not_fit_where_they_are_used_are_refused(name):
    phi, x = WRONG[name], np.array([-0.2, 0.1, 5.0])
    for used, scale in ((phi, 1.0), (Regularized(phi, 1.0), 1.0), (phi.at_scale(2.0), 2.0)):
        with pytest.raises(ValueError, match=f"{phi!r}: its .* at x = 5; "):
            check_where_used(used, lambda used=used, scale=scale: [(used, scale * x)])


@pytest.mark.parametrize("name", ["seven for eight", "value far out", "inverse that ends"])
def test_faults_far_from_zero_are_seen_before_anything_is_solved(name):
    with pytest.raises(ValueError, match=r"its .* at x = (-100|-0\.91); "):
        check_potential(WRONG[name])


FEW = np.array([-0.6, -0.1, 0.5]), np.array([0.3, -0.2, 0.4])
TWO = FEW[0], np.stack([FEW[1], 2 * FEW[1]], axis=1)
NOISY = (
    np.linspace(-0.9, 0.9, 12),
    np.sin(3 * np.linspace(-0.9, 0.9, 12)) + 0.1 * np.sin(np.arange(12.0) ** 2),
)
NEURONS = np.sign(np.arange(40) - 19.5), np.linspace(-1, 1, 40)
USES = {
    "interpolation": lambda phi: variational.solve(*FEW, potential=phi),
    "ridge": lambda phi: variational.solve(*FEW, potential=phi, ridge=1e-4),
    "gcv": lambda phi: variational.solve(*NOISY, potential=phi, ridge="gcv"),
    "several": lambda phi: variational.solve(*TWO, potential=phi),
    "path": lambda phi: variational.trajectory(*FEW, [1e4], potential=phi),
    "layer": lambda phi: variational.solve(*FEW, potential=phi, density=densities.normal_layer()),
    "dual": lambda phi: representation.solve(*FEW, potential=phi),
    "dual, several": lambda phi: representation.solve(*TWO, potential=phi),
    "neurons": lambda phi: representation.solve(*FEW, potential=phi, neurons=NEURONS),
    "dual path": lambda phi: representation.trajectory(*FEW, [1e4], potential=phi),
    "flow": lambda phi: mflib.mirror_flow(
        mflib.ShallowNetwork(50), FEW[0], 3 * FEW[1], potential=phi, scaled=True
    ),
    "cost": lambda phi: functionals.relu_cost(
        variational.solve(*FEW), FEW[0], potential=phi, density=densities.of()
    ),
    "shares": lambda phi: functionals.share_curvature([1.5], [0.8], [0.25], [0.25], phi),
}


class Bumpy(hostile.Own):
    """Its value is right near zero, and from 8 on."""

    def value(self, x):
        return x**2 + (abs(x) > 2) * (abs(x) < 8) * (abs(x) - 2)


@pytest.mark.parametrize("use", USES)
def test_no_answer_rests_on_methods_that_do_not_fit(use):
    check_potential(Bumpy())
    with pytest.raises(ValueError, match="Bumpy: its gradient is not the slope of value at x = "):
        USES[use](Bumpy())
    USES[use](hostile.Own())


UNFIT = {
    "if": ({"value": lambda self, x: x**2 if x > 0 else x**2}, "fails for .*; write it elementw"),
    "math": ({"gradient": lambda self, x: math.sinh(x)}, "fails for .*; write it elementwise"),
    "inverse": ({"inverse_gradient": lambda self, z: z / 2 if z > 0 else 0}, "inverse_gradient fa"),
    "bregman": ({"bregman": lambda self, x, y: max(x, y)}, "bregman fails for .*; write it elem"),
    "number": ({"hessian": lambda self, x: 2.0}, "must act elementwise, but for .* it is 2.0; wr"),
    "shape": ({"hessian": lambda self, x: 2 + 0 * x[:1]}, "must act elementwise, but for .*; wri"),
    "complex": ({"gradient": lambda self, x: 2 * x + 0j}, "must be an array of real numbers"),
    "domain": ({"domain": "all"}, " must be an array of real numbers"),
}


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
@pytest.mark.parametrize("name", UNFIT)
def test_methods_that_take_no_arrays_are_named(name, xp):
    methods, said = UNFIT[name]
    with pytest.raises(TypeError, match=f"potential Altered.*{said}") as caught:
        check_potential(altered(**methods), xp)
    assert ("fails" in str(caught.value)) == (caught.value.__cause__ is not None)


def test_a_domain_has_two_ends():
    with pytest.raises(ValueError, match=r"domain of potential .* must be a pair \(low, high\)"):
        check_potential(altered(domain=(1.0, 1.0)))


@pytest.mark.parametrize("f", [np.square, lambda x: np.where(x > 0, x, -x) ** 2])
def test_functions_of_numpy_are_for_arrays_only(f):
    phi = altered(value=lambda self, x: f(x))
    check_potential(phi)
    with pytest.raises(TypeError, match="its value .* tensor .*; write it elementwise, with .*arr"):
        mflib.mirror_flow(mflib.ShallowNetwork(5), [0.1], [1.0], potential=phi)


def test_built_in_potentials_are_not_asked_again():
    for phi in (Quadratic(), Regularized(Power(4), 1.0), Hypentropy(0.1).at_scale(2.0)):
        check_where_used(phi, lambda: pytest.fail("it costs nothing"))


@pytest.mark.parametrize("x", [[], [0.0], [np.nan, np.inf]])
def test_where_nothing_was_used_there_is_nothing_to_compare(x):
    check_where_used(Bumpy(), lambda: [(Bumpy(), np.array(x))])
