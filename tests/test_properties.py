"""What must hold for every potential, every data set and every network: tried on random ones."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss

import mflib
from mflib import FlowStatus, activations, representation, variational
from mflib.potentials import Hypentropy, Quadratic, Regularized
from tests.problems import UNIFORM
from tests.strategies import any_potential, data, potentials, repeatable, sigmas, signed

EPS = np.finfo(float).eps
QUERY = np.array([-1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23])
ONE_OF_BOTH = pytest.mark.parametrize("solver", [variational, representation])

# Potentials.


@repeatable(300)
@given(any_potential, signed(-8, 8), signed(-8, 8), st.floats(0, 1))
def test_potentials_are_convex_and_their_gradients_increase(phi, x, y, t):
    low, high = sorted([x, y])
    between = min(max(t * x + (1 - t) * y, low), high)
    chord = t * phi.value(x) + (1 - t) * phi.value(y)
    rounding = 10 * EPS * (abs(phi.value(x)) + abs(phi.value(y)))
    assert phi.value(between) <= chord + rounding
    assert phi.gradient(low) <= phi.gradient(between) <= phi.gradient(high)
    assert (phi.gradient(low) < phi.gradient(high)) or high - low <= 1e-14 * abs(low)
    assert phi.hessian(np.array([x]))[0] > 0


@repeatable(300)
@given(any_potential, signed(-30, 30))
def test_the_inverse_gradient_inverts_over_sixty_orders_of_magnitude(phi, x):
    assert float(phi.inverse_gradient(phi.gradient(x))) == pytest.approx(x, rel=1e-12, abs=0)


@repeatable(300)
@given(any_potential, signed(-8, 8), signed(-8, 8))
def test_bregman_is_not_negative_and_obeys_the_law_of_three_points(phi, x, y):
    """D(x, 0) - D(x, y) - D(y, 0) = (phi'(y) - phi'(0)) (x - y), a rule that needs no value."""
    bregman, terms = phi.bregman(x, y), np.abs([phi.value(x), phi.value(y), phi.gradient(y) * x])
    rounding = 20 * EPS * (terms.sum() + abs(phi.gradient(y) * y))
    assert bregman >= -rounding
    assert phi.bregman(x, x) == 0
    law = phi.bregman(x, 0.0) - bregman - phi.bregman(y, 0.0)
    expected = (phi.gradient(y) - phi.gradient(0.0)) * (x - y)
    assert abs(law - expected) <= rounding + 20 * EPS * abs(phi.value(0.0))


@repeatable(300)
@given(any_potential, signed(-8, 8), st.sampled_from(["value", "gradient", "hessian"]))
def test_numpy_and_torch_agree_to_a_few_units_in_the_last_place(phi, x, method):
    array = getattr(phi, method)(np.array([x]))
    tensor = getattr(phi, method)(torch.tensor([x], dtype=torch.float64)).numpy()
    scale = abs(array)
    if method == "value":  # a difference, for hypentropy
        scale = scale + abs(x * phi.gradient(np.array([x])))
    assert abs(array - tensor) <= 8 * EPS * scale
    z = phi.gradient(np.array([x]))
    inverse = phi.inverse_gradient(torch.tensor(z)).numpy()
    np.testing.assert_allclose(phi.inverse_gradient(z), inverse, rtol=1e-13)


# Solvers.

NODES, WEIGHTS = leggauss(40)


def dual_value(multipliers, x, y, activation, potential) -> float:
    """Evaluate lambda . y less the integral of phi*(z), by plain panels on [-1, 1].

    phi*(z) = z a - D(a, 0) at the a with phi'(a) = phi'(0) + z.
    """
    edges = np.unique(np.clip(np.concatenate([[-1, 1], x, -x, np.linspace(-1, 1, 400)]), -1, 1))
    half = 0.5 * np.diff(edges)[:, None]
    b = (0.5 * (edges[1:] + edges[:-1])[:, None] + half * NODES).ravel()
    mass, total = 0.25 * (half * WEIGHTS).ravel(), float(multipliers @ y)  # p(b) / 2, b and sign
    for w in (-1.0, 1.0):
        z = activation(w * x[:, None] - b).T @ multipliers
        alpha = potential.inverse_gradient(z + potential.gradient(np.zeros(1)))
        total -= float(mass @ (z * alpha - potential.bregman(alpha, np.zeros(1))))
    return total if np.isfinite(total) else -np.inf  # phi* has overflown


@ONE_OF_BOTH
@repeatable(12)
@given(data(), sigmas, potentials, st.integers(0, 99))
def test_solutions_interpolate_and_no_multipliers_prove_them_wrong(
    solver, points, activation, potential, seed
):
    """Any multipliers bound the cost from below, and the optimal ones attain it: no gap."""
    x, y = points
    model = {"activation": activation, "potential": potential, "density": UNIFORM}
    sol = solver.solve(x, y, **model)
    accuracy = {variational: 1e-10, representation: 1e-7}[solver] * np.abs(y).max()
    assert sol.status.name == "CONVERGED" or 1e-8 * np.abs(y).max() < sol.residual < accuracy
    np.testing.assert_allclose(sol(x), y, rtol=0, atol=accuracy)
    best = representation.solve(x, y, **model).multipliers
    assert dual_value(best, *points, activation, potential) == pytest.approx(sol.cost, rel=1e-6)
    for size in (1e-3, 0.1, 1.0):
        other = best * (1 + size * np.random.default_rng(seed).standard_normal(len(x)))
        with np.errstate(over="ignore", invalid="ignore"):
            bound = dual_value(other, *points, activation, potential)
        assert bound <= sol.cost * (1 + 1e-6)


@ONE_OF_BOTH
@repeatable(10)
@given(data(), sigmas, potentials, st.integers(0, 99))
def test_order_reflection_and_a_point_on_the_curve_change_nothing(
    solver, points, activation, potential, seed
):
    x, y = points
    model = {"activation": activation, "potential": potential, "density": UNIFORM}
    sol = solver.solve(x, y, **model)
    order = np.random.default_rng(seed).permutation(len(x))
    extra = np.array([0.987 if abs(x - 0.987).min() > 0.01 else -0.987])
    h, scale = sol(QUERY), 1e-7 * np.abs(sol(QUERY)).max()
    others = (
        (solver.solve(x[order], y[order], **model), QUERY),
        (solver.solve(-x, y, **model), -QUERY),
        (solver.solve([*x, *extra], [*y, *sol(extra)], **model), QUERY),
    )
    assume(all(each.status.name == "CONVERGED" for each in (sol, *(o for o, _ in others))))
    for other, at in others:
        np.testing.assert_allclose(other(at), h, rtol=0, atol=scale)
        assert other.cost == pytest.approx(sol.cost, rel=1e-7)


@ONE_OF_BOTH
@repeatable(20)
@given(data(), sigmas, signed(-20, 20), st.floats(-2, 2))
def test_the_quadratic_is_linear_in_the_targets_and_its_cost_is_a_square(
    solver, points, activation, factor, share
):
    x, y = points
    other = np.cos(3 * x)
    first, second, both = (
        solver.solve(x, targets, activation=activation)
        for targets in (y, factor * y, y + share * other)
    )
    h, scale = first(QUERY), np.abs(first(QUERY)).max()
    np.testing.assert_allclose(second(QUERY), factor * h, rtol=0, atol=1e-8 * abs(factor) * scale)
    assert second.cost == pytest.approx(factor**2 * first.cost, rel=1e-8)
    added = h + share * solver.solve(x, other, activation=activation)(QUERY)
    np.testing.assert_allclose(both(QUERY), added, rtol=0, atol=1e-6 * max(scale, 1.0))


@repeatable(20)
@given(data(), sigmas, potentials, st.floats(-3, 3), st.integers(0, 99))
def test_shifted_neurons_and_data_give_a_shifted_function(points, activation, phi, shift, seed):
    x, y = points
    net = mflib.ShallowNetwork(60, seed=seed)
    w, b = net.input_weight.detach().numpy(), net.input_bias.detach().numpy()
    model = {"activation": activation, "potential": phi}
    here = representation.solve(x, y, neurons=(w, b), **model)
    there = representation.solve(x + shift, y, neurons=(w, b + shift * w[:, 0]), **model)
    assume(here.status.name == there.status.name == "CONVERGED")  # sixty neurons may be too few
    scale = np.abs(here(QUERY)).max()
    np.testing.assert_allclose(there(QUERY + shift), here(QUERY), rtol=0, atol=1e-6 * scale)
    assert there.cost == pytest.approx(here.cost, rel=1e-6)


# The flow.

SMOOTH = st.one_of(
    st.builds(Hypentropy, st.floats(0.3, 3)),
    st.sampled_from([Quadratic(), *(Regularized(Hypentropy(b), 1.0) for b in (0.2, 2.0))]),
)


class Step(activations.Activation):
    """sigma(u) = sign(u): only the output layer can move."""

    def __call__(self, u):
        return torch.sign(u)

    def derivative(self, u):
        return torch.zeros_like(u)


@repeatable(25)
@given(
    data(), potentials, st.booleans(), st.sampled_from(["relu", "abs", "tanh"]), st.integers(0, 9)
)
def test_the_loss_decreases(points, potential, scaled, activation, seed):
    net = mflib.ShallowNetwork(300, activation=activation, output_scale=0.3, seed=seed)
    run = mflib.mirror_flow(net, *points, potential=potential, scaled=scaled, max_time=1e4)
    assert run.status in (FlowStatus.CONVERGED, FlowStatus.MAX_TIME, FlowStatus.STALLED)
    assert (np.diff(run.history["loss"]) < 0).all()
    with torch.no_grad():
        change = run.network(points[0]).numpy() - points[1]
    assert run.loss == pytest.approx((change**2).mean(), rel=1e-9, abs=1e-18)


@repeatable(25)
@given(data(), potentials, st.booleans(), st.integers(0, 9))
def test_dual_increments_lie_in_the_span_of_the_features(points, potential, scaled, seed):
    x, y = points
    net = mflib.ShallowNetwork(40, activation=Step(), output_scale=1.0, seed=seed)
    run = mflib.mirror_flow(net, x, y, potential=potential, scaled=scaled, max_time=300.0)
    with torch.no_grad():
        moves = [
            getattr(run.network, name) - getattr(net, name)
            for name in ("output_weight", "output_bias")
        ]
        features = np.vstack([net.hidden(x).numpy().T, np.ones(len(x))])
    change = np.append(moves[0].numpy(), moves[1].numpy())
    scale = net.width if scaled else 1
    dual = potential.gradient(scale * change) - potential.gradient(np.zeros(1))
    v, *_ = np.linalg.lstsq(features, dual, rcond=None)
    np.testing.assert_allclose(features @ v, dual, rtol=0, atol=1e-10 * np.abs(dual).max())


@repeatable(10)
@given(data(most=3), SMOOTH, st.sampled_from([{}, {"scaled": True}, {"center": "origin"}]))
def test_more_accuracy_comes_when_asked(points, potential, place):
    net = mflib.ShallowNetwork(12, activation="tanh", output_scale=0.7, seed=3)
    options = {"potential": potential, **place, "max_time": 40.0, "loss_target": 1e-30}
    ends = []
    for rtol in (1e-8, 0.3, 1e-5):
        run = mflib.mirror_flow(net, *points, rtol=rtol, **options)
        ends.append(torch.cat([p.detach().flatten() for p in run.network.parameters()]))
    rough, fine = ((end - ends[0]).abs().max() for end in ends[1:])
    start = torch.cat([p.detach().flatten() for p in net.parameters()])
    way = (ends[0] - start).abs().max()
    assume(way > 1e-3)  # else the start is the end
    assert fine <= 1e-2 * way
    assert fine <= max(0.1 * rough, 1e-3 * way)
