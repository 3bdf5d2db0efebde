"""Mirror maps against autograd and differences."""

import numpy as np
import pytest
import torch

from mflib.mirror_maps import MirrorMap, mirror_map
from mflib.potentials import Power, Quadratic
from tests.test_potentials import every_potential

CENTRE = np.array([0.3, -1.2, 0.05])
THETA = np.array([0.1, -1.5, 0.35])


@pytest.mark.parametrize("scale", [1.0, 7.0])
@every_potential
def test_mirror_map_is_the_gradient_of_its_potential(phi, formula, scale):
    mirror = MirrorMap(phi, CENTRE, scale)
    theta = torch.tensor(THETA, requires_grad=True)
    potential = phi.value(scale * (theta - torch.tensor(CENTRE))).sum() / scale**2
    (dual,) = torch.autograd.grad(potential, theta)
    np.testing.assert_allclose(mirror.dual(THETA), dual, rtol=1e-12)
    np.testing.assert_allclose(mirror.primal(mirror.dual(THETA)), THETA, rtol=1e-12)
    shift = 1e-6
    metric = (mirror.dual(THETA + shift) - mirror.dual(THETA - shift)) / (2 * shift)
    np.testing.assert_allclose(mirror.metric(THETA), metric, rtol=1e-6)


def test_mirror_map_keeps_a_copy_of_the_centre():
    theta = CENTRE.copy()
    mirror = mirror_map(Quadratic(), theta, scaled=True, center="initialization", width=5)
    theta += 1.0
    np.testing.assert_array_equal(mirror.center, CENTRE)
    assert mirror.scale == 5.0


def test_mirror_map_at_the_origin():
    mirror = mirror_map(Power(4), THETA, scaled=False, center="origin", width=5)
    np.testing.assert_allclose(mirror.dual(THETA), 4 * THETA**3, rtol=1e-14)
    assert mirror.scale == 1.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'.*Quadratic\(\)"),
        ({"center": "zero"}, ValueError, "center .*'initialization' or 'origin'.*'zero'"),
        ({"scaled": True, "center": "origin"}, ValueError, "center='origin'.*scaled=True; use"),
        (
            {"potential": Power(3)},
            ValueError,
            r"Power\(3\).*Hessian|Hessian.*Power\(3\).*Regularized",
        ),
    ],
)
def test_bad_mirror_maps(options, error, message):
    arguments = {
        "potential": Quadratic(),
        "scaled": False,
        "center": "initialization",
        "width": 3,
    }
    with pytest.raises(error, match=message):
        mirror_map(initial=THETA, **arguments | options)


def test_an_infinite_hessian_at_the_start_is_refused():
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match="Hessian .*infinite"):
        mirror_map(Power(1.5), THETA, scaled=False, center="initialization", width=3)


def test_tensors_meet_a_centre_of_numbers():
    mirror = MirrorMap(Quadratic(), np.array([1.0, 2.0]), 3.0)
    theta = torch.tensor([2.0, 4.5], dtype=torch.float64, requires_grad=True)
    assert mirror.dual(theta).tolist() == [2.0, 5.0]
    assert mirror.metric(theta).tolist() == [2.0, 2.0]


def test_beyond_the_largest_number_the_dual_and_the_metric_are_infinite():
    class Cosh(Quadratic):
        def gradient(self, x):
            return np.sinh(x)

        def hessian(self, x):
            return np.cosh(x)

    mirror = MirrorMap(Cosh(), np.zeros(2), 1000.0)
    theta = np.array([-1.0, 1.0])
    np.testing.assert_array_equal(mirror.dual(theta), [-np.inf, np.inf])
    np.testing.assert_array_equal(mirror.metric(theta), [np.inf, np.inf])
