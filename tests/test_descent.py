"""Mirror descent against formulas for one step and against the flow it discretises."""

import io

import numpy as np
import pytest
import torch

import mflib
from mflib import experiments
from mflib.descent import _optimizer, _steps
from mflib.mirror_maps import MirrorMap
from mflib.potentials import Entropy, Hypentropy, Power, Quadratic, Regularized
from tests.problems import Lopsided, X, Y

PLACES = {
    "unscaled": {},
    "scaled": {"scaled": True},
    "origin": {"center": "origin"},
}
CURVED = Regularized(Power(4), 1)


def small_network() -> mflib.ShallowNetwork:
    return mflib.ShallowNetwork(7, activation="tanh", output_scale=0.7, seed=3)


def flat(net) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


def descend(net, optimizer, steps: int) -> None:
    """The flow's loss is half the mean squared error."""
    for _ in range(steps):
        optimizer.zero_grad()
        (((net(X) - torch.tensor(Y)) ** 2).mean() / 2).backward()
        optimizer.step()


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("potential", [Quadratic(), CURVED, Hypentropy(0.5)], ids=repr)
def test_descent_tends_to_the_flow_with_order_one(potential, place):
    time = 5.0
    run = mflib.mirror_flow(
        *(small_network(), X, Y),
        potential=potential,
        **place,
        learning_rate=1.0,
        max_time=time,
        loss_target=1e-30,
        rtol=1e-8,
    )
    assert run.parameter_change > 0.05
    counts, errors = np.array([40, 80, 160]), []
    for count in counts:
        net = small_network()
        optimizer = mflib.MirrorDescent(
            net.parameters(), time / count, potential=potential, **place
        )
        descend(net, optimizer, count)
        errors.append(float((flat(net) - flat(run.network)).abs().max()))
    order = -experiments.fit_exponent(counts, errors).exponent
    assert order == pytest.approx(1.0, abs=0.12)


def test_the_quadratic_is_gradient_descent_with_half_the_step():
    first, second = small_network(), small_network()
    descend(first, mflib.MirrorDescent(first.parameters(), 0.3), 20)
    descend(second, torch.optim.SGD(second.parameters(), 0.15), 20)
    torch.testing.assert_close(flat(first), flat(second), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_one_step_of_hypentropy_is_exponentiated_gradient(scale):
    """theta - c = (beta/s) sinh(asinh(s (theta - c) / beta) - s lr g), a formula for each step."""
    start = torch.tensor([0.4, -0.2, 1.1], dtype=torch.float64)
    theta = torch.nn.Parameter(start.clone())
    optimizer = mflib.MirrorDescent([theta], 0.05, potential=Hypentropy(0.2), scaled=scale != 1.0)
    gradients = torch.tensor([[1.0, -2.0, 0.3], [0.7, 0.1, -0.9]], dtype=torch.float64)
    change = torch.zeros(3, dtype=torch.float64)
    for gradient in gradients:
        theta.grad = gradient.clone()
        optimizer.step()
        dual = torch.asinh(scale * change / 0.2) - scale * 0.05 * gradient
        change = 0.2 / scale * torch.sinh(dual)
    torch.testing.assert_close(theta.detach(), start + change, rtol=1e-13, atol=0)


def test_the_width_is_inferred_from_the_parameters_or_given():
    net = mflib.ShallowNetwork(9, input_dim=2, output_scale=1.0)
    assert mflib.MirrorDescent(net.parameters(), 0.1, scaled=True).scale == 9.0
    assert mflib.MirrorDescent(net.parameters(), 0.1, scaled=True, width=4).scale == 4.0
    assert mflib.MirrorDescent(net.parameters(), 0.1).scale == 1.0
    number = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
    assert mflib.MirrorDescent([number], 0.1, scaled=True).scale == 1.0


@pytest.mark.parametrize("through_a_file", [False, True])
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_training_resumes_from_its_state(place, through_a_file):
    net = small_network()
    optimizer = mflib.MirrorDescent(net.parameters(), 0.2, potential=CURVED, **place)
    descend(net, optimizer, 5)
    saved = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
    if through_a_file:
        file = io.BytesIO()
        torch.save(saved, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
    other = mflib.ShallowNetwork(7, activation="tanh", seed=99)
    other.load_state_dict(saved["net"])
    resumed = mflib.MirrorDescent(other.parameters(), 123.0, potential=CURVED, **place)
    resumed.load_state_dict(saved["optimizer"])
    assert resumed.param_groups[0]["lr"] == 0.2
    descend(net, optimizer, 5)
    descend(other, resumed, 5)
    assert (flat(net) - flat(small_network())).abs().max() > 0.01
    torch.testing.assert_close(flat(net), flat(other), rtol=1e-13, atol=1e-15)


def test_a_closure_is_evaluated_once_with_gradients():
    net, calls = small_network(), []
    optimizer = mflib.MirrorDescent(net.parameters(), 0.1)

    def closure():
        optimizer.zero_grad()
        loss = (net(X) ** 2).mean()
        loss.backward()
        calls.append(loss.item())
        return loss

    before = flat(net)
    with torch.no_grad():
        assert optimizer.step(closure).item() == calls[0]
    assert len(calls) == 1
    assert not torch.equal(flat(net), before)
    assert optimizer.step() is None


def test_groups_have_their_own_steps_and_a_parameter_without_gradient_stays():
    one, two, still = (torch.nn.Parameter(torch.tensor([v])) for v in (0.5, 0.7, 0.9))
    optimizer = mflib.MirrorDescent(
        [{"params": [one]}, {"params": [two, still], "lr": 0.4}], lr=0.1
    )
    one.grad, two.grad = torch.tensor([1.0]), torch.tensor([-1.0])
    optimizer.step()
    changes = [one.item(), two.item(), still.item()]
    assert changes == pytest.approx([0.5 - 0.05, 0.7 + 0.2, 0.9], rel=1e-6)


def test_a_group_added_later_is_centred_where_it_is_then():
    first, second = (torch.nn.Parameter(torch.tensor([v, 0.1]).double()) for v in (0.5, 0.7))
    optimizer = mflib.MirrorDescent([first], 0.1, potential=Hypentropy(0.2), scaled=True)
    first.grad = torch.ones(2).double()
    optimizer.step()
    group = {"params": [second], "lr": 0.3}
    optimizer.add_param_group(group)
    assert group == {"params": [second], "lr": 0.3}
    first.grad, second.grad = None, torch.ones(2).double()
    other = torch.nn.Parameter(second.detach().clone())
    other.grad = second.grad.clone()
    optimizer.step()
    mflib.MirrorDescent([other], 0.3, potential=Hypentropy(0.2), scaled=True).step()
    assert torch.equal(second, other)
    optimizer.add_param_group({"params": []})
    optimizer.step()


@pytest.mark.parametrize(
    ("group", "error", "message"),
    [
        ({"lr": -1}, ValueError, "lr .* > 0 .*got -1"),
        ({"lr": "fast"}, TypeError, "lr must be a real number, got 'fast'"),
        ({"params": [torch.nn.Parameter(torch.tensor([np.nan]))]}, ValueError, "must be finite"),
        (3, TypeError, "param_group must be a dict"),
    ],
)
def test_bad_groups_are_not_added(group, error, message):
    theta, later = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = mflib.MirrorDescent([theta], 0.1)
    with pytest.raises(error, match=message):
        optimizer.add_param_group({"params": [later], **group} if group != 3 else 3)
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


def test_a_group_at_the_start_needs_a_step_above_zero():
    with pytest.raises(ValueError, match="lr .* > 0 .*got -1"):
        mflib.MirrorDescent([{"params": [torch.nn.Parameter(torch.ones(1))], "lr": -1}], 0.1)


@pytest.mark.parametrize("gradient", [np.inf, np.nan, 1e200])
def test_a_step_to_nowhere_changes_nothing(gradient):
    one, two = (torch.nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    optimizer = mflib.MirrorDescent([one, two], 0.1, potential=Hypentropy(0.2))
    one.grad, two.grad = torch.ones(2).double(), torch.tensor([1.0, gradient]).double()
    with pytest.raises(ValueError, match="lr=0.1 from a gradient of up to .* is not finite.*lower"):
        optimizer.step()
    assert torch.equal(one, torch.ones(2)) and torch.equal(two, torch.ones(2))


def test_too_long_a_step_of_a_scaled_potential_names_the_usual_one():
    """With a tenth of it, for hypentropy, training goes well."""
    options = {"potential": Hypentropy(0.5), "scaled": True}
    net = mflib.ShallowNetwork(200, activation="tanh", seed=3)
    with pytest.raises(ValueError, match=r"n = 200 takes lr of .*phi''\(0\)/n = 0.01, or a tenth"):
        descend(net, mflib.MirrorDescent(net.parameters(), 1.0, **options), 100)
    net, losses = mflib.ShallowNetwork(200, activation="tanh", seed=3), []
    optimizer = mflib.MirrorDescent(net.parameters(), 0.001, **options)
    for _ in range(2):
        losses.append(((net(X) - torch.tensor(Y)) ** 2).mean().item())
        descend(net, optimizer, 1000)
    assert losses[1] < 0.1 * losses[0]


def test_a_closure_is_a_function():
    with pytest.raises(TypeError, match="closure must be a function, got 3"):
        mflib.MirrorDescent([torch.nn.Parameter(torch.ones(1))], 0.1).step(3)


def test_a_scheduler_drives_it():
    theta = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = mflib.MirrorDescent([theta], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        theta.grad = torch.ones(1, dtype=torch.float64)
        optimizer.step()
        scheduler.step()
    assert theta.item() == pytest.approx(-(1 + 0.5 + 0.25) / 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": 0.0}, ValueError, r"lr .* > 0 .*step size.*got 0\.0"),
        ({"lr": -1.0}, ValueError, r"lr .*got -1\.0"),
        ({"lr": float("nan")}, ValueError, "lr .*got nan"),
        ({"lr": "fast"}, TypeError, "lr .*'fast'"),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Hessian .*Power\(4\).*use Regularized"),
        ({"center": "mean"}, ValueError, "center must be .*got 'mean'"),
        ({"center": "origin", "scaled": True}, ValueError, "center='origin'.*use center="),
        ({"width": 0, "scaled": True}, ValueError, "width .*got 0"),
        ({"params": []}, ValueError, "empty parameter list"),
    ],
)
def test_bad_arguments(options, error, message):
    arguments = {"params": small_network().parameters(), "lr": 0.1} | options
    with pytest.raises(error, match=message):
        mflib.MirrorDescent(**arguments)


# The fast steps against the definition


FAST = [
    *(Quadratic(), Hypentropy(0.3), Hypentropy(40), Hypentropy(1e-3)),
    *(Regularized(Power(p), 1) for p in (2, 2.2, 2.5, 3, 4, 5, 7.3)),
    *(Regularized(Power(p), 0.01) for p in (2.5, 3, 4, 8)),
    *(Regularized(Power(4), 50), Regularized(Hypentropy(0.05), 0.1), Regularized(Power(1.5), 2)),
    *(CURVED.at_scale(0.3), Hypentropy(0.2).at_scale(5).at_scale(0.1), Lopsided()),
]


@pytest.mark.parametrize("lr", [1e-9, 1e-4, 0.1, 3.0, 40.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("potential", FAST, ids=repr)
def test_a_fast_step_is_that_of_the_definition(potential, scale, dtype, lr):
    """Computed with NumPy in double precision, whatever the optimizer's."""
    generator = torch.Generator().manual_seed(0)
    centre, gradient = (torch.randn(60, generator=generator, dtype=dtype) for _ in range(2))
    change = torch.logspace(-6, 0.5, 60, dtype=dtype) * torch.tensor([1, -1]).repeat(30) / scale
    theta = torch.nn.Parameter(centre.clone())
    if isinstance(potential, Regularized) and potential.psi == Power(1.5):
        with pytest.raises(ValueError, match="infinite"):  # but from elsewhere it can step
            mflib.MirrorDescent([theta], lr, potential=potential)
        centre, place = torch.zeros(60, dtype=dtype), {"center": "origin"}
        theta.data.copy_(change)
        scale = 1.0
    else:
        place = {"scaled": scale != 1.0, "width": int(scale)}
    optimizer = mflib.MirrorDescent([theta], lr, potential=potential, **place)
    with torch.no_grad():
        theta.copy_(centre + change)
    start = theta.detach().double().numpy().copy()
    theta.grad = gradient
    mirror = MirrorMap(potential, centre.double().numpy(), scale)
    # hypentropy's exponential of a dual variable overflows
    dual = mirror.dual(start) - lr * gradient.double().numpy()
    reach = 80 if type(potential) is Hypentropy or potential == FAST[-2] else np.inf
    seen = np.abs(scale * dual) < reach
    theta.grad[torch.from_numpy(~seen)] = 0.0
    optimizer.step()
    exact = mirror.primal(np.where(seen, dual, mirror.dual(start)))
    error = np.abs(theta.detach().double().numpy() - exact)[seen]
    # the rounding of theta, of its distance from the centre, and of phi'(0) in its dual
    size = np.abs(start) + np.abs(centre.double().numpy()) + np.abs(exact)
    size += abs(float(potential.gradient(0.0))) / scale
    rounding = 12 * torch.finfo(dtype).eps * size[seen]
    assert (error <= rounding * condition(potential, scale * np.abs(dual[seen]))).all()
    assert seen.any()


def condition(potential, z):
    """How much a relative error of the dual variable grows: hypentropy is an exponential."""
    return 1 + z if "Hypentropy" in repr(potential) else 1.0


@pytest.mark.parametrize("potential", [Quadratic(), Hypentropy(0.3), CURVED], ids=repr)
def test_pieces_and_threads_do_not_matter(potential, monkeypatch):
    def stepped():
        theta = torch.nn.Parameter(torch.linspace(-1, 1, 1000))
        theta.grad = torch.cos(7 * theta.detach())
        optimizer = mflib.MirrorDescent([theta], 0.2, potential=potential, weight_decay=0.1)
        optimizer.step()
        optimizer.step()
        return theta

    whole = stepped()
    monkeypatch.setattr(_optimizer, "_PIECE", 7)
    torch.testing.assert_close(stepped(), whole, rtol=1e-6, atol=1e-7)


FUSED = [Hypentropy(0.3), Regularized(Power(3), 1), CURVED, Regularized(Power(2.5), 1)]


@pytest.mark.parametrize("potential", FUSED, ids=repr)
def test_small_steps_are_exact_and_need_no_inverse(potential, monkeypatch):
    """The step tends to -lr g / phi''; the definition loses its digits."""
    monkeypatch.setattr(_steps, "plain", lambda *_: pytest.fail("the definition is used"))
    theta = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64))
    optimizer = mflib.MirrorDescent([theta], 1e-9, potential=potential, center="origin")
    start = theta.detach().clone()
    theta.grad = torch.tensor([1.0, -2.0, 0.3], dtype=torch.float64)
    optimizer.step()
    expected = start - 1e-9 * theta.grad / potential.hessian(start)
    torch.testing.assert_close(theta.detach(), expected, rtol=3e-16, atol=0)


def test_what_overflows_in_the_fast_step_alone_is_computed_by_the_definition():
    """x^2 is infinite in single precision where asinh(x) is 58."""
    theta = torch.nn.Parameter(torch.tensor([1e25, 2.0]))
    theta.grad = torch.tensor([0.5, 0.5])
    mflib.MirrorDescent([theta], 1.0, potential=Hypentropy(1.0), center="origin").step()
    expected = [1e25 * np.exp(-0.5), np.sinh(np.arcsinh(2.0) - 0.5)]
    np.testing.assert_allclose(theta.detach(), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("factor", [0.99, 1.01])
@pytest.mark.parametrize("which", ["sinh z = z", "its next term", "the definition"])
def test_hypentropy_is_exact_on_both_sides_of_each_threshold(which, factor, scale, dtype):
    """The step d itself, without theta, to a few roundings of the dtype."""
    eps, beta = torch.finfo(dtype).eps, 0.3
    edges = {"sinh z = z": eps**0.5, "its next term": (6 * eps) ** (1 / 3), "the definition": 0.9}
    lr = factor * edges[which] / scale
    gradient = torch.linspace(-1, 1, 101, dtype=dtype).repeat(7, 1)
    x = torch.tensor([-30.0, -1.0, -1e-4, 0.0, 0.01, 0.4, 9.0], dtype=dtype)[:, None] / scale
    d, centre = torch.empty_like(gradient), (-x).expand(gradient.shape)
    piece = _steps.Piece(torch.zeros_like(d), centre, gradient, d, lr, scale)
    _steps.fused(Hypentropy(beta), piece)
    x, z = (t.numpy().astype(np.longdouble) for t in (scale * x, scale * lr * gradient.double()))
    root, half = np.hypot(x, beta), np.sinh(z / 2)
    exact = (2 * x * half**2 - root * np.sinh(z)) / scale
    size = np.abs(exact) if factor < 1 or which != "the definition" else 3 * root / scale
    assert (np.abs(d.numpy() - exact) <= 8 * eps * size).all()
    assert (d[gradient == 0] == 0).all()


IN_PLACE = [Quadratic(), Hypentropy(0.3), Regularized(Power(3), 1), CURVED]


def stepped(potential, dtype=torch.float64, **options):
    theta = torch.nn.Parameter(torch.linspace(-1, 1, 1000, dtype=dtype))
    theta.grad = torch.cos(7 * theta.detach())
    optimizer = mflib.MirrorDescent([theta], potential=potential, **options)
    optimizer.step()
    optimizer.step()
    return theta.detach()


@pytest.mark.parametrize("options", [*PLACES.values(), {"weight_decay": 0.1, "maximize": True}])
@pytest.mark.parametrize("lr", [1e-9, 1e-5, 0.05])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("potential", IN_PLACE, ids=repr)
def test_a_step_in_place_is_that_of_a_copy(potential, dtype, lr, options, monkeypatch):
    monkeypatch.setattr(_steps, "bound", lambda *_: 0.0)
    monkeypatch.setattr(_optimizer._Move, "end", lambda *_: pytest.fail("a copy is made"))
    in_place = stepped(potential, dtype, lr=lr / 1000, width=1000, **options)
    monkeypatch.undo()
    monkeypatch.setattr(_steps, "bound", lambda *_: np.inf)
    assert torch.equal(in_place, stepped(potential, dtype, lr=lr / 1000, width=1000, **options))


@pytest.mark.parametrize("options", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("potential", IN_PLACE, ids=repr)
def test_ordinary_steps_are_in_place(potential, options, monkeypatch):
    monkeypatch.setattr(_optimizer._Move, "end", lambda *_: pytest.fail("a copy is made"))
    stepped(potential, torch.float32, lr=1e-3, width=1000, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_below_the_bound_no_step_overflows(dtype):
    """By the definition or faster, for parameters and gradients of any signs."""
    rng, most, tried = np.random.default_rng(0), torch.finfo(dtype).max, set()
    signs = torch.tensor([[1, 1, -1, -1], [1, -1, 1, -1]], dtype=dtype)
    for _ in range(2000):
        widths = rng.choice([1.0, 10.0, 40.0], 3)
        constant, x, z = (10.0 ** (widths * rng.uniform(-1, 1, 3))).tolist()
        for potential in (
            *(Quadratic(), Hypentropy(constant)),
            *(Regularized(Power(p), constant) for p in (3, 4)),
        ):
            if not _steps.bound(potential, x, z) < most:
                continue
            tried.add((type(potential), x > 1, z > 1, constant > 1))
            theta, gradient = signs[0] * x, signs[1] * z
            for step in (_steps.plain, _steps.fused):
                out = torch.full_like(theta, np.nan)
                step(potential, _steps.Piece(theta, None, gradient, out, 1.0, 1.0))
                assert out.isfinite().all(), (potential, x, z, step)
    assert len(tried) >= 20
    infinite = [_steps.bound(p, np.inf, 1.0) for p in IN_PLACE]
    infinite += [_steps.bound(p, 1.0, 1e300) for p in IN_PLACE[1:]]
    infinite += [_steps.bound(Lopsided(), 1.0, 1.0), _steps.bound(Power(3), 1.0, 1.0)]
    assert np.isinf(infinite).all()
    assert np.isnan([_steps.bound(p, np.nan, np.nan) for p in IN_PLACE]).all()


SHARED = {
    "the gradient is the parameter": lambda a: [(a[:6], a[:6])],
    "the gradient overlaps": lambda a: [(a[:6], a[2:8])],
    "two parameters overlap": lambda a: [(a[:6], a[8:14]), (a[3:9], a[9:15])],
    "one's gradient is the other": lambda a: [(a[:6], a[8:14]), (a[9:15], a[1:7])],
}


@pytest.mark.parametrize("pairs", SHARED.values(), ids=SHARED.keys())
@pytest.mark.parametrize("potential", IN_PLACE, ids=repr)
def test_memory_that_is_shared_is_read_before_it_is_changed(pairs, potential):
    def moved(array):
        parameters = []
        for values, gradient in pairs(array):
            parameters.append(torch.nn.Parameter(values))
            parameters[-1].grad = gradient
        optimizer = mflib.MirrorDescent(parameters, 0.1, potential=potential)
        for p in parameters:
            optimizer.state[p]["centre"].zero_()
        return parameters, optimizer

    array = torch.linspace(-1, 1, 16, dtype=torch.float64)
    _, optimizer = moved(array)
    apart = []
    for values, gradient in pairs(array.clone()):
        apart.append(torch.nn.Parameter(values.clone()))
        apart[-1].grad = gradient.clone()
        alone = mflib.MirrorDescent([apart[-1]], 0.1, potential=potential, center="origin")
        alone.step()
    optimizer.step()
    assert torch.equal(optimizer.param_groups[0]["params"][-1], apart[-1])


# Entropy: exponentiated gradient


def test_entropy_is_exponentiated_gradient():
    theta = torch.nn.Parameter(torch.tensor([0.2, 1e-30, 5.0], dtype=torch.float64))
    start, log = theta.detach().clone(), torch.zeros(3, dtype=torch.float64)
    optimizer = mflib.MirrorDescent([theta], 0.5, potential=Entropy(), center="origin")
    for gradient in ([1.0, -40.0, 100.0], [-2.0, 0.3, 7.0]):
        theta.grad = torch.tensor(gradient, dtype=torch.float64)
        log -= 0.5 * theta.grad
        optimizer.step()
    torch.testing.assert_close(theta.detach(), start * log.exp(), rtol=1e-14, atol=0)
    assert (theta > 0).all()


def test_entropy_of_scaled_parameters():
    """x log x of x/c: the step is divided by c."""
    theta = torch.nn.Parameter(torch.tensor([0.2, 5.0], dtype=torch.float64))
    start = theta.detach().clone()
    potential = Entropy().at_scale(4)
    optimizer = mflib.MirrorDescent([theta], 0.5, potential=potential, center="origin")
    theta.grad = torch.tensor([1.0, -2.0], dtype=torch.float64)
    optimizer.step()
    mirror = MirrorMap(potential, 0.0, 1.0)
    expected = mirror.primal(mirror.dual(start) - 0.5 * theta.grad)
    torch.testing.assert_close(theta.detach(), expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(expected, start * (-2.0 * theta.grad).exp(), rtol=1e-14, atol=0)


def test_on_the_simplex_entropy_is_the_softmax_of_the_summed_losses():
    """With a division by the sum after each step: weights of experts (Hedge)."""
    losses = torch.randn((20, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    w = torch.nn.Parameter(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64))
    start = w.detach().clone()
    optimizer = mflib.MirrorDescent([w], 0.3, potential=Entropy(), center="origin")
    for loss in losses:
        optimizer.zero_grad()
        (w @ loss).backward()
        optimizer.step()
        with torch.no_grad():
            w /= w.sum()
    expected = torch.softmax(start.log() - 0.3 * losses.sum(0), 0)
    torch.testing.assert_close(w.detach(), expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("start", [[0.2, 0.0], [0.2, -0.1]])
def test_entropy_needs_positive_parameters(start):
    theta = torch.nn.Parameter(torch.tensor(start))
    with pytest.raises(ValueError, match=r"Entropy\(\) is defined on \(0, inf\) only.*not inside"):
        mflib.MirrorDescent([theta], 0.1, potential=Entropy(), center="origin")


@pytest.mark.parametrize("place", [{}, {"scaled": True}])
def test_entropy_needs_the_origin(place):
    theta = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(ValueError, match="use center='origin'"):
        mflib.MirrorDescent([theta], 0.1, potential=Entropy(), **place)


# A potential of one's own


class OnArraysOnly(Lopsided):
    """Right on NumPy's arrays, wrong on tensors."""

    def gradient(self, x):
        return super().gradient(x) + (x if isinstance(x, torch.Tensor) else 0.0)


@pytest.mark.parametrize(
    "start",
    [
        lambda net, potential: mflib.MirrorDescent(net.parameters(), 0.1, potential=potential),
        lambda net, potential: mflib.mirror_flow(net, X, Y, potential=potential),
    ],
)
def test_a_potential_is_tried_on_tensors_before_anything_moves(start):
    with pytest.raises(ValueError, match="gradient is not"):
        start(small_network(), OnArraysOnly())
