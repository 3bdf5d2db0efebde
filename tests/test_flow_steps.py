"""One step of the flow against autograd, a stiff solver and the law of its error."""

import dataclasses

import numpy as np
import pytest
import torch

import mflib
from mflib import experiments
from mflib.flow import _parameters, _steps
from mflib.flow._linearization import MirrorFlow
from mflib.potentials import Quadratic
from tests.flows import (
    CURVED,
    every_place,
    every_potential,
    flat,
    jacobian,
    metric_of,
    reference,
    sliding_of,
    small_network,
)
from tests.problems import X, Y


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@every_place
@every_potential
@pytest.mark.parametrize("dim", [1, 2])
def test_kernel_and_pull_back_are_those_of_autograd(potential, second, place, dim):
    start = small_network(dim)
    x = np.random.default_rng(5).normal(size=(4, dim))
    flow = sliding_of(start, x, Y[:4], potential, place).flow
    zeta = flow.start.zeta
    shift = 0.03 * torch.sin(torch.arange(zeta.numel(), dtype=zeta.dtype)).reshape(zeta.shape)
    moved = flow.linearize(zeta + shift)
    net = flow.network(moved)
    assert (flat(net) - flat(start)).abs().max() > 1e-3
    j = jacobian(net, torch.as_tensor(x))
    kernel = j / metric_of(net, start, second, place) @ j.T
    torch.testing.assert_close(moved.kernel, kernel, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(
        moved.residual, net(x) - torch.as_tensor(Y[:4]), rtol=1e-12, atol=1e-13
    )
    v = torch.tensor([0.3, -1.1, 0.7, 2.0], dtype=torch.float64)
    pulled = flow.pull_back(moved, v)
    a, b, w, d = pulled[0, :-1], pulled[1, :-1], pulled[2:, :-1], pulled[0, -1:]
    pulled = torch.cat([w.T.reshape(-1), b, a, d])
    torch.testing.assert_close(pulled, v @ j, rtol=1e-11, atol=1e-12)


@every_place
@every_potential
def test_midpoint_step_has_order_two(potential, second, place):
    net, x, y, end = small_network(), X[:3], Y[:3], 12.0
    (exact,) = reference(net, x, y, second, place, [end])
    counts, errors = np.array([16, 32, 64, 128]), []
    for count in counts:
        sliding = sliding_of(net, x, y, potential, place)
        at = sliding.flow.start
        for _ in range(count):
            at, _ = _steps.midpoint_step(sliding, at, end / count)
        errors.append(float((flat(sliding.flow.network(at)) - exact).abs().max()))
    order = -experiments.fit_exponent(counts, errors).exponent
    assert order == pytest.approx(2.0, abs=0.2)


def test_steps_follow_the_law_of_their_error():
    """An error (h/3)^3 asks for nine tenths of 3, from a tenth to a hundred times the last step."""
    for step in (0.4, 2.5, 12.0):
        assert _steps.StepSizes().after(step, (step / 3) ** 3) == pytest.approx(2.7)
    assert _steps.StepSizes().after(2.0, 1e9) == pytest.approx(0.2)
    assert _steps.StepSizes().after(2.0, 0.0) == pytest.approx(200)


def test_errors_that_fall_are_expected_to_fall_on():
    """Where the law asks for 3, then for 4, it will ask for more: at most for the double."""

    def predicted(first: float, last: float, between: float | None = None) -> float:
        sizes = _steps.StepSizes()
        sizes.after(2.0, (2 / first) ** 3)
        if between:
            sizes.after(2.0, (2 / between) ** 3)
        return sizes.after(2.0, (2 / last) ** 3) / 0.9

    assert predicted(3, 4) == pytest.approx(4 * 4 / 3)
    assert predicted(3, 12) == pytest.approx(12 * 2)
    assert predicted(4, 3) == pytest.approx(3)
    assert predicted(3, 4, between=1.7) == pytest.approx(4 * 4 / 3)  # rejected and forgotten


@pytest.mark.parametrize("width", [700, 768])  # 768 units fill whole blocks
@every_place
def test_blocks_of_units_add_up(monkeypatch, place, width):
    """A state taken in blocks, J recomputed where it is needed, is the state taken at once."""
    net = mflib.ShallowNetwork(width, input_dim=2, activation="elu", output_scale=0.7, seed=3)
    x, v = np.random.default_rng(5).normal(size=(5, 2)), torch.tensor(Y)
    states = []
    for entries in (_parameters._BLOCK, 1):
        monkeypatch.setattr(_parameters, "_BLOCK", entries)
        sliding = sliding_of(net, x, Y, CURVED["power 4"][0], place)
        flow = sliding.flow
        at = sliding.move(flow.start, flow.start, 0.1 * v)
        states.append((at, flow.pull_back(at, v)))
    (whole, forces), (parts, part_forces) = states
    assert whole.jacobian is not None
    assert parts.jacobian is None
    for name in ("theta", "residual", "kernel"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=0)
    torch.testing.assert_close(part_forces, forces, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("units", "rounding"), [(3.9, True), (4.1, False)])
def test_rounding_is_four_units_of_the_terms(units, rounding):
    """Of a network that is zero the only terms are the targets."""
    y = torch.tensor([0.3, -1.2], dtype=torch.float64)
    x = torch.tensor([[0.1], [0.7]], dtype=torch.float64)
    place = {"potential": Quadratic(), "scaled": False, "center": "initialization", "rate": 1.0}
    flow = MirrorFlow(mflib.ShallowNetwork(20), x, y, **place)
    at = dataclasses.replace(flow.start, residual=units * np.finfo(float).eps * y)
    assert flow.is_rounding(at) is rounding
