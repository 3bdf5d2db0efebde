"""Every argument of every public function matters: another value, another result."""

import inspect
from dataclasses import is_dataclass

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import stats

import mflib
from mflib import mirror_maps
from mflib.potentials import Hypentropy, Potential, Power, Regularized
from tests.problems import X, Y
from tests.public_calls import CALLS, NET, PLANE_SLIDER, TABLE, numbers

NEURONS = NET.input_weight.detach().numpy()[:, 0], NET.input_bias.detach().numpy()
BENT = {"potential": Hypentropy(0.3)}  # the quadratic does not see a centre
# What `another` cannot know: (function, argument): another value, and what else to change for both.
PARTICULAR: dict = {
    ("mirror_maps.mirror_map", "center"): ("origin", {"scaled": False, **BENT}),
    ("mirror_maps.mirror_map", "potential"): (Hypentropy(0.3), {}),
    ("mirror_flow", "net"): (mflib.ShallowNetwork(30, seed=1), {}),
    ("mirror_flow", "center"): ("initialization", {**BENT, "net": NET}),
    ("mirror_flow", "scaled"): (True, {"center": "initialization"}),
    ("mirror_flow", "loss_target"): (0.5, {}),
    ("mirror_flow", "rtol"): (1e-3, {}),
    ("mirror_flow", "save_at"): ([1.0, 1.5], {}),
    ("variational.solve", "ridge"): (0.3, {}),
    ("representation.solve", "neurons"): (NEURONS, {"density": None}),
    ("representation.kernel", "neurons"): (NEURONS, {"density": None}),
    ("representation.trajectory", "neurons"): (NEURONS, {"density": None}),
    ("representation.trajectory", "rtol"): (1e-6, BENT),
    ("representation.trajectory", "times"): ([1.0, 2.0], {}),
    ("potentials.Averaged", "law"): (stats.uniform(0, 1), {}),
    ("experiments.Evidence", "kind"): ("solver against solver", {}),
    ("experiments.risk", "fit"): (np.cos, {}),
    ("experiments.risk", "truth"): (np.cos, {}),
    ("experiments.regression_trial", "truth"): (np.cos, {}),
    ("experiments.regression_trial", "inputs"): ("even", {}),
    ("variational.trajectory", "rtol"): (1e-6, {**BENT, "scaled": True}),
    ("variational.trajectory", "times"): ([1.0, 2.0], {}),
    ("variational.trajectory", "scaled"): (True, BENT),
    ("activations.of", "function_of_torch"): (torch.nn.functional.silu, {}),
    ("functionals.relu_cost", "h"): (mflib.variational.solve(X, Y, activation="abs"), {}),
    ("functionals.relu_cost", "tilt"): ((0.1, 0.4), {}),
    ("sklearn.MirrorFlowRegressor", "smoothing"): ("stopping", {"sample_weight": np.ones(5)}),
    ("sklearn.MirrorFlowRegressor", "query"): (np.array([-0.8, 0.1, 0.4, 0.7]), {}),
    ("ridges.stretched", "direction"): (np.array([[1.0, 2.0, 3.0]]), {}),
    ("ridges.cubic_kernel", "activation"): ("abs", {}),
    ("experiments.distance", "first"): (np.tan, {}),
    ("experiments.distance", "second"): (np.tan, {}),
    ("experiments.superposition_defect", "solve"): (lambda y: lambda t: y.sum() ** 4 + t, {}),
    ("experiments.lazy_limit", "net"): (mflib.ShallowNetwork(30, seed=1), {}),
    ("experiments.trial", "limit"): (np.cos, {}),
    ("experiments.split_error", "limit"): (np.cos, {}),
    ("experiments.sweep", "function"): (lambda a: {"b": -a}, {}),
    ("experiments.sweep", "parameters"): ({"a": [1, 3]}, {}),
    ("plotting.power_law", "table"): (TABLE * 2, {}),
    ("plotting.power_law", "y"): ("width", {}),
    ("plotting.power_law", "by"): ("width", {}),
    ("plotting.figure", "columns"): (2, {}),
    ("plotting.slider", "panels"): ({"y": [X, -Y]}, {}),
    ("plotting.slider", "values"): (["a", "bc"], {}),
    ("plotting.slider", "reference"): (("r", {"y": Y}), {}),
    ("plotting.slider", "data"): (([0.1], [0.2]), {}),
    ("plotting.slider", "xlabel"): ("time", {}),
    ("plotting.plane_slider", "curves"): ({"y": PLANE_SLIDER["curves"]["y"][::-1]}, {}),
    ("plotting.plane_slider", "values"): (["a", "bc"], {}),
    ("plotting.plane_slider", "dots"): ({"y": [[0.1, 0.2], [0.2, 0.1]]}, {}),
    ("plotting.plane_slider", "still"): ([[0.1, 0.2], [0.2, 0.1]], {}),
}
# these change nothing, or what `numbers` does not see: the files named here see to them
ELSEWHERE = {
    ("mirror_flow", "progress"): "test_flow.py",
    ("representation.trajectory", "progress"): "test_trajectory.py",
    **{
        ("variational.trajectory", a): "test_variational_trajectory.py"
        for a in ("progress", "probes")
    },
    **{("experiments.sweep", a): "test_sweep.py" for a in ("executor", "progress")},
    **{("experiments.sweep", a): "test_sweep.py" for a in ("cache", "version")},
    ("ShallowNetwork.forward", "x"): "test_networks.py",
    ("MirrorDescent", "potential"): "test_descent.py",
    ("MirrorDescent", "center"): "test_descent.py",
}
BY_NAME = {
    "grid": np.array([-0.31, 0.44]),
    "activation": "leaky_relu",
    "density": stats.norm(0.1, 0.7),
    "input_weight": stats.uniform(0, 1),
    "output_scale": 0.5,
}


@pytest.mark.parametrize("name", CALLS)
def test_results_print_in_a_few_lines(name):
    call, good = CALLS[name]
    result, of_torch = call(**good), torch.nn.Module | torch.optim.Optimizer
    if type(result).__module__.startswith("mflib") and not isinstance(result, of_torch):
        assert repr(result).count("\n") <= 3 and len(repr(result)) < 400
    plt.close("all")


def another(name, value):
    """Another value of the same kind, for which the function is defined as well."""
    if name in BY_NAME:
        return BY_NAME[name]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else 0.75 * value
    if isinstance(value, Potential):
        return Regularized(Power(4), 0.5)
    if isinstance(value, str):
        return value + " and more"
    array = np.array(value, dtype=float)  # to be increasing, positive, different: as it was
    return array + 0.05 * array**2


def rows():
    for function, (call, good) in CALLS.items():
        parameters = inspect.signature(call).parameters.values()
        names = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} | set(good)
        for name in sorted(names):
            if (function, name) not in ELSEWHERE:
                yield function, name


def everything(result) -> np.ndarray | str:
    """All that can be seen of a result."""
    if isinstance(getattr(result, "data", None), str):
        return result.data
    if isinstance(result, mflib.experiments.Evidence):
        return repr(result)
    seen = [numbers(result)]
    if isinstance(result, mflib.ShallowNetwork):
        seen.append(numbers(result(np.outer(X, np.ones(result.input_weight.shape[1])))))
    if isinstance(result, mirror_maps.MirrorMap):
        seen.append(result.dual(X + 1.0))
    if isinstance(result, mflib.Flow):
        seen += [np.ravel(column) for column in result.history.values()]
    return np.concatenate(seen)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize(("function", "name"), list(rows()))
def test_every_argument_changes_the_result(function, name):
    call, good = CALLS[function]
    value, also = PARTICULAR.get((function, name), (None, {}))
    if (function, name) not in PARTICULAR:
        defaults = {p.name: p.default for p in inspect.signature(call).parameters.values()}
        value = another(name, {**defaults, **good}[name])
    before, after = (
        everything(call(**{**good, **also, **changed})) for changed in ({}, {name: value})
    )
    assert not np.array_equal(before, after)


@pytest.mark.parametrize("function", CALLS)
def test_results_compare_and_hash_by_identity_or_by_value(function):
    """Never with an error: where arrays are inside, by identity."""
    call, good = CALLS[function]
    first, second = call(**good), call(**good)
    if is_dataclass(first):
        assert first == first and first != second
        assert len({first, second, first}) == 2
