"""Every row of the tables of potentials and activations meets the laws, the solvers and the flow.

The laws are those of test_properties.py, which tries them on random potentials; hostile input and
options are tried on every row in test_hostile_input.py and test_options.py.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mflib import activations, potentials, representation, variational
from mflib.potentials import Quadratic
from tests import test_properties as laws
from tests.problems import ACTIVATIONS, POTENTIALS, SCALED
from tests.strategies import data, repeatable, sigmas, signed

EPS = np.finfo(float).eps
EVERY_POTENTIAL = pytest.mark.parametrize("phi", POTENTIALS.values(), ids=POTENTIALS)
EVERY_SCALED = pytest.mark.parametrize("phi", SCALED.values(), ids=SCALED)
EVERY_ACTIVATION = pytest.mark.parametrize("sigma", ACTIVATIONS.values(), ids=ACTIVATIONS)


def law(name):
    """A property test of that module as a plain function of what is drawn there."""
    return getattr(laws, f"test_{name}").hypothesis.inner_test


are_convex = law("potentials_are_convex_and_their_gradients_increase")
obeys_three_points = law("bregman_is_not_negative_and_obeys_the_law_of_three_points")
agree = law("numpy_and_torch_agree_to_a_few_units_in_the_last_place")
interpolates = law("solutions_interpolate_and_no_multipliers_prove_them_wrong")
decreases = law("the_loss_decreases")
lie_in_the_span = law("dual_increments_lie_in_the_span_of_the_features")


def test_every_public_potential_and_activation_has_a_row():
    public = [getattr(potentials, name) for name in potentials.__all__]
    rows = {type(p) for phi in POTENTIALS.values() for p in (phi, getattr(phi, "phi", phi))}
    assert set(public) - {potentials.Potential} <= rows
    public = [getattr(activations, name) for name in activations.__all__]
    named = [sigma for sigma in public if isinstance(sigma, activations.Activation)]
    assert set(named) <= set(ACTIVATIONS.values())


def inside(phi, x: float) -> float:
    """Bring an argument to where a potential is a number: into its domain, and nearer to 1.

    Beside a slope at 0, arguments below 1e-6 are lost in rounding.
    """
    with np.errstate(all="ignore"):
        if np.isfinite(phi.gradient(0.0)) and phi.gradient(0.0) != 0:
            x = float(np.copysign(max(abs(x), 1e-6), x))
        if phi.domain[0] == 0:
            x = abs(x)
        while not np.isfinite([phi.value(x), phi.gradient(x), phi.hessian(x)]).all():
            x = np.sign(x) * abs(x) ** 0.5
    return float(x)


@EVERY_POTENTIAL
@repeatable(60)
@given(signed(-8, 8), signed(-8, 8), signed(-30, 30), st.floats(0, 1))
def test_potentials_obey_the_laws(phi, x, y, far, t):
    x, y, far = (inside(phi, v) for v in (x, y, far))
    are_convex(phi, x, y, t)
    for method in ("value", "gradient", "hessian"):
        agree(phi, x, method)
    back = float(phi.inverse_gradient(phi.gradient(far)))
    with np.errstate(divide="ignore"):
        offset = float(phi.gradient(np.zeros(1))[0])
    if np.isfinite(offset):
        obeys_three_points(phi, x, y)
        rounding = 4 * EPS * abs(offset) / float(phi.hessian(far))
        assert back == pytest.approx(far, rel=1e-12, abs=rounding)
    else:
        assert back == pytest.approx(far, rel=1e-12, abs=0)


@pytest.mark.parametrize("solver", [variational, representation])
@EVERY_SCALED
@repeatable(3)
@given(data(), sigmas, st.integers(0, 99))
def test_both_solvers_take_every_potential(solver, phi, points, sigma, seed):
    interpolates(solver, points, sigma, phi, seed)


@EVERY_ACTIVATION
@repeatable(3)
@given(data(most=2), st.integers(0, 99))  # sines of one frequency span two dimensions
def test_solvers_take_every_activation(sigma, points, seed):
    interpolates(representation, points, sigma, Quadratic(), seed)
    if isinstance(sigma, activations.PiecewiseLinear):
        interpolates(variational, points, sigma, Quadratic(), seed)


@EVERY_SCALED
@repeatable(3)
@given(data(most=4), st.booleans(), st.integers(0, 9))
def test_the_flow_takes_every_potential(phi, points, scaled, seed):
    decreases(points, phi, scaled, "relu", seed)
    lie_in_the_span(points, phi, scaled, seed)


@EVERY_ACTIVATION
@repeatable(3)
@given(data(most=3), st.integers(0, 9))
def test_the_flow_takes_every_activation(sigma, points, seed):
    decreases(points, Quadratic(), False, sigma, seed)
