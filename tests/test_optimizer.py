"""MirrorDescent as a citizen of Torch: copies, states, groups, schedulers, precisions, modes."""

import copy
import io
import pickle
import warnings

import numpy as np
import pytest
import torch

import mflib
from mflib.potentials import Entropy, Hypentropy, Potential, Power, Quadratic, Regularized
from tests.problems import Lopsided
from tests.test_descent import PLACES, descend, flat, small_network

DOUBLE = torch.float64


class Soft(Potential):
    """A user's own: x^2 + k cosh x, with a parameter and no inverse gradient."""

    def __init__(self, k):
        self.k = k

    def value(self, x):
        return x**2 + 0.5 * self.k * (self._exp(x) + self._exp(-x))

    def gradient(self, x):
        return 2 * x + 0.5 * self.k * (self._exp(x) - self._exp(-x))

    def hessian(self, x):
        return 2 + 0.5 * self.k * (self._exp(x) + self._exp(-x))

    @staticmethod
    def _exp(x):
        return x.exp() if isinstance(x, torch.Tensor) else np.exp(x)


POTENTIALS = [
    Quadratic(),
    Hypentropy(0.3),
    Regularized(Power(3), 1),
    Regularized(Power(4), 0.5),
    Regularized(Power(2.5), 1),
    Regularized(Power(7.3), 0.2),
    Regularized(Hypentropy(0.1), 0.1),
    Hypentropy(0.5).at_scale(3.0),
    Regularized(Power(4), 1).at_scale(0.2),
    Lopsided(),
    Soft(np.float32(0.5)),
]
every_potential = pytest.mark.parametrize("potential", POTENTIALS, ids=repr)
every_place = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())


def parameter(values=(0.4, -0.2, 1.1), gradient=(1.0, -2.0, 0.3), dtype=DOUBLE):
    p = torch.nn.Parameter(torch.tensor(values, dtype=dtype))
    p.grad = torch.tensor(gradient, dtype=dtype)
    return p


def through_a_file(thing, weights_only=False):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=weights_only)


# Copies


COPIES = {
    "deepcopy": copy.deepcopy,
    "copy": lambda pair: (pair[0], copy.copy(pair[1])),
    "pickle": lambda pair: pickle.loads(pickle.dumps(pair)),
    "oldest protocol": lambda pair: pickle.loads(pickle.dumps(pair, protocol=2)),
    "file": through_a_file,
    "copy of a copy": lambda pair: copy.deepcopy(through_a_file(pair)),
}


@every_place
@pytest.mark.parametrize("way", COPIES.values(), ids=COPIES.keys())
@every_potential
def test_a_copy_goes_on_bit_by_bit(potential, way, place):
    net = small_network()
    optimizer = mflib.MirrorDescent(
        net.parameters(), 0.1, potential=potential, weight_decay=0.2, **place
    )
    descend(net, optimizer, 2)
    other, twin = way((net, optimizer))
    assert repr(twin) == repr(optimizer)
    assert (twin.potential, twin.scale, twin.width) == (potential, optimizer.scale, 7)
    if other is not net:
        descend(net, optimizer, 2)
        descend(other, twin, 2)
        assert torch.equal(flat(net), flat(other))
    twin.add_param_group({"params": [parameter()]})
    assert twin.param_groups[-1]["width"] == 7


# States


@every_place
@every_potential
def test_a_run_is_saved_and_resumed_bit_by_bit(potential, place):
    def optimizer_of(net, lr):
        return mflib.MirrorDescent(net.parameters(), lr, potential=potential, **place)

    def scheduled(optimizer):
        return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)

    net = small_network()
    optimizer = optimizer_of(net, 0.1)
    scheduler = scheduled(optimizer)
    descend(net, optimizer, 3)
    scheduler.step()
    parts = {"net": net, "optimizer": optimizer, "scheduler": scheduler}
    saved = {name: part.state_dict() for name, part in parts.items()}
    saved = through_a_file(saved, weights_only=True)
    other = mflib.ShallowNetwork(7, activation="tanh", seed=99)
    resumed = optimizer_of(other, 0.1)
    resumed_scheduler = scheduled(resumed)
    other.load_state_dict(saved["net"])
    resumed.load_state_dict(saved["optimizer"])
    resumed_scheduler.load_state_dict(saved["scheduler"])
    for run in ((net, optimizer, scheduler), (other, resumed, resumed_scheduler)):
        for _ in range(2):
            descend(*run[:2], 2)
            run[2].step()
    assert torch.equal(flat(net), flat(other))
    assert (flat(net) - flat(small_network())).abs().max() > 1e-3
    assert resumed.param_groups[0]["potential"] == potential
    # and the state of the resumed one can be saved again
    assert str(resumed.state_dict()["param_groups"]) == str(optimizer.state_dict()["param_groups"])


def plain(value) -> bool:
    if isinstance(value, dict):
        return all(type(key) in (str, int) and plain(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str, torch.Tensor)


class Odd(Soft):
    """With attributes of many kinds."""

    def __init__(self, **attributes):
        super().__init__(0.5)
        self.__dict__ |= attributes


@pytest.mark.parametrize(
    "potential",
    [
        *POTENTIALS,
        Odd(a=np.array([1.0, 2.0]), b=torch.ones(2), c=np.int64(3), d=np.bool_(True)),
        Odd(a=(1, [2.0, None]), b={"k": Quadratic()}, c=np.sin, d=object(), e=Soft),
        Regularized(Soft(0.3), 0.5).at_scale(2),
    ],
)
def test_a_state_is_plain_data_and_loads(potential):
    optimizer = mflib.MirrorDescent([parameter()], 0.1, potential=potential)
    optimizer.step()
    state = optimizer.state_dict()
    assert plain(state)
    other = mflib.MirrorDescent([parameter()], 0.2, potential=copy.deepcopy(potential))
    other.load_state_dict(through_a_file(state, weights_only=True))
    assert other.param_groups[0]["lr"] == 0.1
    assert other.param_groups[0]["potential"] is other.potential


def of(first=(), second=(), **options):
    """Two groups of one parameter each."""
    groups = [{"params": [parameter()], **dict(group)} for group in (first, second)]
    return mflib.MirrorDescent(groups, 0.1, **options)


ONE, TWO = Hypentropy(0.01), Regularized(Power(3), 1)
DIFFERENT = [
    (
        of(potential=ONE),
        of(),
        r"group 0 .* potential=Hypentropy\(beta=0.01\), this .*Quadratic\(\)",
    ),
    (of(), of(potential=ONE), r"potential=Quadratic\(\), this optimizer .*Hypentropy\(beta=0.01\)"),
    (of(potential=ONE), of(potential=Hypentropy(0.01 * (1 + 1e-15))), "beta=0.01.*beta=0.0100000"),
    (of(potential=TWO), of(potential=Regularized(Power(3), 2)), r"omega=1.0\).*omega=2.0\)"),
    (of(potential=TWO), of(potential=Regularized(Power(4), 1)), r"exponent=3.0.*exponent=4.0"),
    (of(potential=TWO), of(potential=Power(3), center="origin"), "potential=Regularized.*Power"),
    (of(potential=ONE), of(potential=ONE.at_scale(2)), r"this optimizer potential=Rescaled\(phi="),
    (of(potential=Soft(0.5)), of(potential=Soft(0.25)), r"test_optimizer.Soft\(k=0.5\).*k=0.25"),
    (of(potential=Soft(0.5)), of(potential=Lopsided()), r"Soft.*tests.problems.Lopsided\(\)"),
    (of(potential=Odd(a=[1, 2])), of(potential=Odd(a=[1, 3])), r"a=\[1, 2\].*a=\[1, 3\]"),
    (of((), {"potential": ONE}), of(), "group 1 .*potential=Hypentropy.*Quadratic"),
    (of(), of((), {"potential": ONE}), "group 1 .*potential=Quadratic.*Hypentropy"),
    (of({"potential": ONE}), of((), {"potential": ONE}), "group 0 .*Hypentropy.*Quadratic"),
    (of(scaled=True), of(), "group 0 .*scaled=True, this optimizer scaled=False"),
    (of((), {"scaled": True}), of(), "group 1 .*scaled=True, this optimizer scaled=False"),
    (of(center="origin"), of(), "center='origin', this optimizer center='initialization'"),
    (of(), of((), {"center": "origin"}), "group 1 .*center='initialization', this .*'origin'"),
    (of(scaled=True, width=50), of(scaled=True), "width=50, this optimizer width=3"),
    (of(scaled=True), of({"width": 4}, scaled=True), "group 0 .*width=3, this optimizer width=4"),
    (torch.optim.SGD([{"params": parameter()}, {"params": parameter()}]), of(), "has no potential"),
    (torch.optim.Adam([{"params": parameter()}, {"params": parameter()}]), of(), "MirrorDescent"),
    (mflib.MirrorDescent([parameter()], 0.1), of(), "different number of parameter groups"),
    (
        mflib.MirrorDescent([{"params": []}, {"params": [parameter(), parameter()]}], 0.1),
        *(of(), "doesn't match the size"),
    ),
    (
        mflib.MirrorDescent([{"params": parameter([1.0], [1.0])} for _ in range(2)], 0.1),
        *(of(), r"group 0 .*no centre of shape \(3,\)"),
    ),
]


@pytest.mark.parametrize(
    ("saved", "here", "message"), DIFFERENT, ids=[message for *_, message in DIFFERENT]
)
def test_a_state_of_another_is_refused_and_changes_nothing(saved, here, message):
    before = str((here.state_dict(), here.param_groups))
    with pytest.raises(ValueError, match=message):
        here.load_state_dict(through_a_file(saved.state_dict(), weights_only=True))
    assert str((here.state_dict(), here.param_groups)) == before
    here.step()


@pytest.mark.parametrize("state", [{}, {0: {}}, {0: {"centre": None}, 1: {}}], ids=str)
def test_a_state_without_centres_is_refused(state):
    optimizer = of()
    with pytest.raises(ValueError, match="group 0 of the loaded state has no centre"):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def test_a_state_for_another_width_fits_where_nothing_is_scaled():
    optimizer = of(width=4)
    optimizer.load_state_dict(of(width=5).state_dict())
    assert optimizer.width == optimizer.param_groups[0]["width"] == 4


def test_hooks_of_states_are_called():
    optimizer, calls = of(potential=ONE), []
    optimizer.register_state_dict_pre_hook(lambda *_: calls.append("save"))
    optimizer.register_state_dict_post_hook(lambda *_: calls.append("saved"))
    # a hook that adapts what is loaded comes before the check
    optimizer.register_load_state_dict_pre_hook(lambda *_: optimizer_state)
    optimizer.register_load_state_dict_post_hook(lambda *_: calls.append("loaded"))
    optimizer_state = optimizer.state_dict()
    optimizer.load_state_dict(torch.optim.SGD([parameter()]).state_dict())
    assert calls == ["save", "saved", "loaded"]


# Groups


OPTIONS = {
    "lr": 0.4,
    "potential": Hypentropy(0.01),
    "scaled": True,
    "center": "origin",
    "weight_decay": 0.3,
    "maximize": True,
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_a_group_is_that_of_an_optimizer_of_its_own(name, later):
    first, second, alone, other = (parameter() for _ in range(4))
    group = {"params": [first], name: OPTIONS[name]}
    if later:
        optimizer = mflib.MirrorDescent([second], 0.1, potential=TWO)
        optimizer.add_param_group(group)
    else:
        optimizer = mflib.MirrorDescent([group, {"params": [second]}], 0.1, potential=TWO)
    given = {"lr": 0.1, "potential": TWO}
    twins = [mflib.MirrorDescent([alone], **(given | {name: OPTIONS[name]}))]
    twins.append(mflib.MirrorDescent([other], **given))
    for _ in range(2):
        for each in (optimizer, *twins):
            each.step()
    assert torch.equal(first, alone) and torch.equal(second, other)
    assert not torch.equal(first, second)
    assert f"    {name}: {OPTIONS[name]}\n" in repr(optimizer)
    assert group == {"params": [first], name: OPTIONS[name]}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        *(("potentail", "potential"), ("Potential", "potential"), ("centre", "center")),
        *(("scale", "scaled"), ("weight-decay", "weight_decay"), ("maximise", "maximize")),
        *(("widht", "width"), ("LR", "lr"), ("learning_rate", "lr"), ("param", "params")),
        *(("beta", "potential"), ("omega", "potential"), ("exponent", "potential")),
    ],
)
def test_a_misspelt_option_of_a_group_is_refused(key, meant, later):
    good, bad = {"params": [parameter()]}, {"params": [parameter()], key: 1}
    message = f"the key '{key}', which is no option; use '{meant}'.*The options are lr, potential, "
    if not later:
        with pytest.raises(ValueError, match=message):
            mflib.MirrorDescent([good, bad], 0.1)
        return
    optimizer = mflib.MirrorDescent([good], 0.1)
    with pytest.raises(ValueError, match=message):
        optimizer.add_param_group(bad)
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


def test_a_group_keeps_what_torch_and_its_users_put_there():
    ours = "name", "tag", "layer", "lr_scale", "_potentail", 3
    torchs = "initial_lr max_lr min_lr base_lr swa_lr base_momentum max_momentum momentum betas eps"
    torchs += " param_names foreach fused capturable differentiable decoupled_weight_decay"
    keys = dict.fromkeys([*ours, *torchs.split()], 0.25)
    optimizer = mflib.MirrorDescent([{"params": [parameter()], **keys}], 0.1)
    optimizer.add_param_group({"params": [parameter()], **keys})
    twin = copy.deepcopy(optimizer)
    twin.load_state_dict(optimizer.state_dict())
    for group in (*optimizer.param_groups, *twin.param_groups):
        assert keys.items() <= group.items()


def test_the_width_of_a_group_is_its_own():
    first, second, alone = (parameter() for _ in range(3))
    groups = [{"params": [first], "width": 11}, {"params": [second]}]
    optimizer = mflib.MirrorDescent(groups, 0.1, potential=ONE, scaled=True)
    assert [group["width"] for group in optimizer.param_groups] == [11, 3]
    optimizer.step()
    mflib.MirrorDescent([alone], 0.1, potential=ONE, scaled=True, width=11).step()
    assert torch.equal(first, alone) and not torch.equal(first, second)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("lr", -1.0, ValueError, "lr .* > 0 .*got -1"),
        ("lr", "fast", TypeError, "lr must be a real number, got 'fast'"),
        ("potential", "x^2", TypeError, "potential must be a Potential, got 'x"),
        ("potential", None, TypeError, "potential must be a Potential, got None"),
        ("potential", Power(3), ValueError, "Hessian .*Regularized"),
        ("potential", Entropy(), ValueError, r"\(0, inf\) only.*use center='origin'"),
        ("scaled", "no", TypeError, "scaled must be True or False, got 'no'"),
        ("center", "middle", ValueError, "center must be .*got 'middle'"),
        ("width", 0, ValueError, "width must be at least 1, got 0"),
        ("width", 2.5, TypeError, "width must be an integer, got 2.5"),
        ("weight_decay", -0.1, ValueError, "weight_decay must .*>= 0 .*got -0.1"),
        ("weight_decay", np.nan, ValueError, "weight_decay must .*got nan"),
        ("weight_decay", None, TypeError, "weight_decay must be a real number, got None"),
        ("maximize", 1, TypeError, "maximize must be True or False, got 1"),
    ],
)
def test_a_bad_option_of_a_group_is_refused(name, value, error, message, later):
    good, bad = {"params": [parameter()]}, {"params": [parameter()], name: value}
    if not later:
        with pytest.raises(error, match=message):
            mflib.MirrorDescent([good, bad], 0.1)
        return
    optimizer = mflib.MirrorDescent([good], 0.1)
    with pytest.raises(error, match=message):
        optimizer.add_param_group(bad)
    assert len(optimizer.param_groups) == len(optimizer.state) == 1


def test_the_origin_needs_no_memory():
    optimizer = mflib.MirrorDescent([parameter()], 0.1, potential=ONE, center="origin")
    optimizer.step()
    assert not optimizer.state


def test_groups_may_be_named_and_carry_what_is_the_users():
    net = torch.nn.Linear(2, 1)
    groups = [{"params": list(net.named_parameters()), "name": "all"}]
    optimizer = mflib.MirrorDescent(groups, 0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["name"] == "all"


# What Torch's own optimizers can


def test_weight_decay_is_decoupled():
    """theta - lr decay (theta - c), then the step of the quadratic or of hypentropy."""
    start, gradient, lr, decay = np.array([0.4, -0.2, 1.1]), np.array([1.0, -2.0, 0.3]), 0.1, 0.7
    for center in ("initialization", "origin"):
        c = start if center == "initialization" else 0.0
        for potential in (Quadratic(), Hypentropy(0.2)):
            p, theta = parameter(start, gradient), start
            optimizer = mflib.MirrorDescent(
                [p], lr, potential=potential, center=center, weight_decay=decay
            )
            for _ in range(3):
                optimizer.step()
                theta = theta - lr * decay * (theta - c)
                if potential == Quadratic():
                    theta = theta - 0.5 * lr * gradient
                else:
                    theta = c + 0.2 * np.sinh(np.arcsinh((theta - c) / 0.2) - lr * gradient)
            np.testing.assert_allclose(p.detach(), theta, rtol=1e-13)


def test_weight_decay_is_that_of_adamw():
    """Without a gradient, nothing but the decay is left of either, whichever way they go."""
    for maximize in (False, True):
        options = {"weight_decay": 0.3, "maximize": maximize}
        first, second = (parameter(gradient=[0.0] * 3) for _ in range(2))
        mflib.MirrorDescent([first], 0.1, center="origin", **options).step()
        torch.optim.AdamW([second], 0.1, **options).step()
        torch.testing.assert_close(first, second, rtol=1e-15, atol=0)


@every_potential
def test_maximizing_is_minimizing_the_opposite(potential):
    first, second = parameter(), parameter(gradient=(-1.0, 2.0, -0.3))
    mflib.MirrorDescent([first], 0.1, potential=potential, maximize=True).step()
    mflib.MirrorDescent([second], 0.1, potential=potential).step()
    assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_a_tensor_as_lr_is_read_at_each_step(dtype):
    lr, first, second = torch.tensor(0.25, dtype=dtype), parameter(), parameter()
    one, two = mflib.MirrorDescent([first], lr), mflib.MirrorDescent([second], 0.25)
    one.step()
    two.step()
    lr.fill_(0.5)
    two.param_groups[0]["lr"] = 0.5
    one.step()
    two.step()
    assert torch.equal(first, second)
    state = through_a_file(one.state_dict(), weights_only=True)
    two.load_state_dict(state)
    assert float(two.param_groups[0]["lr"]) == 0.5


def test_a_tensor_as_lr_with_history_or_of_integers():
    for lr in (torch.tensor(0.5, requires_grad=True), 0.5 * torch.ones((), requires_grad=True)):
        first, second = parameter(), parameter()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mflib.MirrorDescent([first], lr).step()
        mflib.MirrorDescent([second], 0.5).step()
        assert torch.equal(first, second)
    assert mflib.MirrorDescent([first], torch.tensor(1)).param_groups[0]["lr"] == 1.0


S = torch.optim.lr_scheduler
SCHEDULERS = {
    "StepLR": lambda o: S.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: S.MultiStepLR(o, [1, 3], 0.5),
    "ExponentialLR": lambda o: S.ExponentialLR(o, 0.7),
    "CosineAnnealingLR": lambda o: S.CosineAnnealingLR(o, 4),
    "CosineAnnealingWarmRestarts": lambda o: S.CosineAnnealingWarmRestarts(o, 2),
    "LinearLR": lambda o: S.LinearLR(o, 0.1, total_iters=4),
    "LambdaLR from zero": lambda o: S.LambdaLR(o, lambda k: k / 4),
    "PolynomialLR": lambda o: S.PolynomialLR(o, 4),
    "CyclicLR": lambda o: S.CyclicLR(o, 0.01, 0.1, 2, cycle_momentum=False),
    "OneCycleLR": lambda o: S.OneCycleLR(o, 0.1, total_steps=8, cycle_momentum=False),
    "SequentialLR": lambda o: S.SequentialLR(
        o, [S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)], [2]
    ),
}


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("schedule", SCHEDULERS.values(), ids=SCHEDULERS.keys())
def test_schedulers_drive_it_as_they_drive_sgd(schedule, tensor):
    def lr(value):
        return torch.tensor(value, dtype=DOUBLE) if tensor else value

    first, second = parameter(), parameter()
    optimizers = mflib.MirrorDescent([first], lr(0.2)), torch.optim.SGD([second], lr(0.2))
    schedulers = [schedule(optimizer) for optimizer in optimizers]
    for _ in range(6):
        second.grad = first.grad / 2
        for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
            optimizer.step()
            scheduler.step()
    assert float(optimizers[0].param_groups[0]["lr"]) == optimizers[1].param_groups[0]["lr"]
    torch.testing.assert_close(first, second, rtol=1e-13, atol=1e-14)
    assert not torch.equal(first, parameter())


def test_a_plateau_lowers_lr():
    optimizer = mflib.MirrorDescent([parameter()], 0.2)
    scheduler = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(3):
        optimizer.step()
        scheduler.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_the_scaler_of_mixed_precision_skips_what_overflows():
    net = torch.nn.Linear(3, 2)
    optimizer = mflib.MirrorDescent(net.parameters(), 0.1, potential=Hypentropy(0.5))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)
    before, changed = flat(net), []
    for x in (torch.ones(4, 3), torch.full((4, 3), np.inf), torch.ones(4, 3)):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (net(x) ** 2).mean()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        changed.append(not torch.equal(flat(net), before))
        before = flat(net)
    assert changed == [True, False, True]
    assert scaler.get_scale() == 2.0**13


def test_hooks_of_steps_are_called_and_may_clip():
    p, calls = parameter(), []
    optimizer = mflib.MirrorDescent([p], 1.0)
    optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_value_([p], 0.5))
    optimizer.register_step_post_hook(lambda o, *_: calls.append(o))
    removed = optimizer.register_step_post_hook(lambda *_: calls.append("never"))
    removed.remove()
    optimizer.step()
    assert calls == [optimizer]
    assert p.tolist() == pytest.approx([0.4 - 0.25, -0.2 + 0.25, 1.1 - 0.15], rel=1e-15)


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none):
    p = parameter()
    optimizer = mflib.MirrorDescent([p], 0.1, potential=TWO, weight_decay=0.0)
    optimizer.zero_grad(set_to_none=set_to_none)
    assert p.grad is None if set_to_none else torch.equal(p.grad, torch.zeros(3))
    optimizer.step()
    assert torch.equal(p, parameter())


def test_a_sparse_gradient_is_the_dense_one():
    nets = [torch.nn.Embedding(5, 2, sparse=sparse) for sparse in (True, False)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        optimizer = mflib.MirrorDescent(net.parameters(), 0.1, potential=ONE)
        net(torch.tensor([1, 3, 3])).square().sum().backward()
        optimizer.step()
    assert torch.equal(flat(nets[0]), flat(nets[1]))
    nets[0].weight.grad = torch.sparse_coo_tensor(
        [[0]], torch.full((1, 2), np.inf), (5, 2), check_invariants=True
    )
    optimizer = mflib.MirrorDescent(nets[0].parameters(), 0.1, potential=ONE)
    with pytest.raises(ValueError, match="gradient of up to inf is not finite"):
        optimizer.step()


LAYOUTS = {
    "transposed": lambda p: p.T,
    "every other": lambda p: p[:, ::2],
    "channels last": lambda p: p[None, None].to(memory_format=torch.channels_last),
    "part of another": lambda p: p[1:],
    "empty": lambda p: p[:0],
    "number": lambda p: p[0, 0],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_any_layout_in_memory(layout):
    whole = torch.linspace(-1, 2, 40, dtype=DOUBLE).reshape(4, 10)
    one = torch.nn.Parameter(layout(whole.clone()))
    two = torch.nn.Parameter(layout(whole).clone(memory_format=torch.contiguous_format))
    for p in (one, two):
        p.grad = torch.cos(3 * layout(whole))
        mflib.MirrorDescent([p], 0.1, potential=TWO).step()
    assert torch.equal(one, two)
    assert one.numel() == 0 or not torch.equal(one, layout(whole))
    before = one.detach().clone()
    for potential in POTENTIALS:
        one.grad = torch.zeros_like(before)
        mflib.MirrorDescent([one], 0.1, potential=potential, center="origin").step()
        assert torch.equal(one, before)


def test_a_parameter_shared_with_an_array_is_changed_in_place():
    array = np.array([0.4, -0.2, 1.1])
    p = torch.nn.Parameter(torch.from_numpy(array))
    p.grad = torch.ones(3, dtype=DOUBLE)
    mflib.MirrorDescent([p], 0.1).step()
    assert array.tolist() == pytest.approx([0.35, -0.25, 1.05])


# Precisions


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@every_place
@every_dtype
@pytest.mark.parametrize("potential", [*POTENTIALS, Power(3), Power(1.5), Entropy()], ids=repr)
def test_a_zero_gradient_leaves_every_parameter_exactly(potential, dtype, place):
    only_origin = isinstance(potential, Power | Entropy)
    if only_origin and place != PLACES["origin"]:
        place = PLACES["origin"]
    start = torch.tensor([0.3, 0.5, 0.7, 1.0], dtype=dtype)
    p = torch.nn.Parameter(start.clone())
    optimizer = mflib.MirrorDescent([p], 0.1, potential=potential, **place)
    with torch.no_grad():
        p.copy_(torch.tensor([1e-3, 0.12, 1.0, 3.7], dtype=dtype))
        before = p.detach().clone()
    # the last is long enough for the definition
    for gradient in ([0.0] * 4, [0.0, -0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 10.0, 0.0]):
        p.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
        stays = p.grad == 0
        assert torch.equal(p[stays], before[stays])
    assert dtype.itemsize == 2 or not torch.equal(p, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@every_place
@every_potential
def test_16_bits_are_the_rounded_step_of_32(potential, place, dtype):
    values, gradient = [0.5, -0.25, 1.5], [0.5, 1.0, -0.25]  # exact in 16 bits
    coarse, fine = parameter(values, gradient, dtype), parameter(values, gradient, torch.float32)
    for p in (coarse, fine):
        mflib.MirrorDescent([p], 0.25, potential=potential, **place).step()
    assert torch.equal(coarse, fine.to(dtype))
    assert not torch.equal(fine, parameter(values, gradient, torch.float32))


def test_a_step_beyond_the_largest_of_16_bits_changes_nothing():
    p, other = parameter([6e4], [-1.0], torch.float16), parameter()
    optimizer = mflib.MirrorDescent([other, p], 1e5)
    with pytest.raises(ValueError, match="lr=100000 .* is not finite, and no parameter"):
        optimizer.step()
    assert p.item() == 6e4 and torch.equal(other, parameter())


@every_potential
def test_no_group_moves_if_one_cannot(potential):
    first, second, third = parameter(), parameter(), parameter(gradient=(1.0, np.nan, 1.0))
    groups = [{"params": [first]}, {"params": [second, third], "potential": potential}]
    optimizer = mflib.MirrorDescent(groups, 0.1, potential=ONE)
    before = str(optimizer.state_dict())
    for bad in (np.nan, np.inf, -np.inf):
        third.grad[1] = bad
        with pytest.raises(ValueError, match="is not finite, and no parameter was changed"):
            optimizer.step()
    assert all(torch.equal(p, parameter()) for p in (first, second, third))
    assert str(optimizer.state_dict()) == before
    third.grad[1] = 1.0
    optimizer.step()
    assert not torch.equal(first, parameter())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_sums_that_overflow_are_no_fault(dtype):
    """A step may be finite though the sum of the parameters is not."""
    large = torch.full((8,), torch.finfo(dtype).max / 2, dtype=dtype)
    p = torch.nn.Parameter(large.clone())
    p.grad = torch.ones(8, dtype=dtype)
    mflib.MirrorDescent([p], 0.1).step()
    assert torch.equal(p, large)


@every_potential
def test_a_network_may_change_its_precision_after(potential):
    for before, after in ((torch.float32, torch.float64), (torch.float32, torch.float16)):
        net = torch.nn.Linear(2, 1, dtype=before)
        optimizer = mflib.MirrorDescent(net.parameters(), 0.1, potential=potential)
        net.to(after)
        start = flat(net)
        net(torch.ones(3, 2, dtype=after)).square().sum().backward()
        optimizer.step()
        assert net.weight.dtype == after and not torch.equal(flat(net), start)


# Modes


MODES = {
    "no grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "grad": torch.enable_grad,
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES.keys())
@every_potential
def test_any_mode_at_any_time(potential, mode, dtype):
    def steps(build, step):
        p = parameter(dtype=dtype)
        with build():
            optimizer = mflib.MirrorDescent([p], 0.1, potential=potential)
        assert not optimizer.state[p]["centre"].is_inference()
        with step():
            optimizer.step()
        twin = copy.deepcopy(optimizer)
        twin.load_state_dict(optimizer.state_dict())
        optimizer.step()
        return p

    ordinary = steps(torch.no_grad, torch.no_grad)
    for when in ((mode, torch.no_grad), (torch.no_grad, mode), (mode, mode)):
        found = steps(*when)
        assert torch.equal(found, ordinary) and found.requires_grad


@pytest.mark.parametrize("default", [torch.float64, torch.float32, torch.float16], ids=str)
@every_potential
def test_the_default_dtype_does_not_matter(potential, default):
    ordinary, found = parameter(dtype=torch.float32), parameter(dtype=torch.float32)
    mflib.MirrorDescent([ordinary], 0.1, potential=potential).step()
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        mflib.MirrorDescent([found], 0.1, potential=potential).step()
    finally:
        torch.set_default_dtype(before)
    assert torch.equal(found, ordinary)


@every_potential
def test_deterministic_algorithms(potential):
    ordinary, found = parameter(), parameter()
    mflib.MirrorDescent([ordinary], 0.1, potential=potential).step()
    torch.use_deterministic_algorithms(True)
    try:
        mflib.MirrorDescent([found], 0.1, potential=potential).step()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(found, ordinary)


@every_potential
def test_the_default_device_does_not_matter(potential):
    ordinary, found = parameter(), parameter()
    mflib.MirrorDescent([ordinary], 0.1, potential=potential).step()
    with torch.device("meta"):
        mflib.MirrorDescent([found], 0.1, potential=potential).step()
    assert torch.equal(found, ordinary)


@pytest.mark.parametrize("mode", ["inference", "no grad"])
def test_the_flow_returns_an_ordinary_network(mode):
    net = mflib.ShallowNetwork(20)
    with MODES[mode]():
        inside = mflib.ShallowNetwork(20)
        runs = [mflib.mirror_flow(n, [-0.5, 0.4], [0.2, 0.1]) for n in (net, inside)]
    for run in runs:
        run.network([0.1, 0.2]).sum().backward()
        assert all(p.grad is not None for p in run.network.parameters())
        mflib.MirrorDescent(run.network.parameters(), 0.1).step()
