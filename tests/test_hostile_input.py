"""Bad and hostile input to every public function: the documented result, or one clear error.

A row is (function, argument, what stands for it, its value, what is expected): an error with a
pattern, a status, or nothing but that the result is the one of good arguments. In every case
nothing hangs, warns or changes its arguments, and what has converged is finite.
"""

import enum
import inspect
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import mflib
from mflib import densities
from mflib.potentials import Entropy, Power, Regularized
from tests import hostile
from tests.hostile import OWN
from tests.problems import X, Y
from tests.public_calls import CALLS, QUERY, REGISTERED, numbers

# Which arguments are arrays, numbers, ...: each meets all that may stand for one. The good values
# in tests/public_calls.py say what an argument is; here stands only what differs from that.


def where(test, but=()):
    """Return the arguments with such a good value, of functions and arguments other than some."""
    everything = ((f, a, v) for f, (_, good) in CALLS.items() for a, v in good.items())
    return [(f, a) for f, a, v in everything if test(v) and f not in but and (f, a) not in but]


def takes(argument, but=()):
    return [f for f, (_, good) in CALLS.items() if argument in good and f not in but]


# these take what is not finite: that in, that out
ELEMENTWISE = [
    ("ShallowNetwork.forward", "x"),
    *(("plotting.points", name) for name in "xy"),
    ("activations.Activation", "u"),
    *((f, a) for f, (_, good) in REGISTERED.items() for a in good if a in ("x", "u")),
]
OF_A_SHAPE = {
    "ridges.stretched",
    "ridges.cubic_kernel",
    ("experiments.superposition_defect", "parts"),
    ("activations.array_namespace", "x"),
}
OF_A_NETWORK = {"experiments.trial", "experiments.split_error", "experiments.sampling_law"}
OF_A_MAP = {"potentials.Potential", "mirror_maps.MirrorMap", "mirror_maps.mirror_map"}
# scikit-learn reads these, with messages of its own
OF_SKLEARN = {("sklearn.MirrorFlowRegressor", a) for a in ("X", "y", "query")}
OTHERS = {
    *OF_SKLEARN,
    *ELEMENTWISE,
    *((f, "y") for f in REGISTERED),
    *OF_A_SHAPE,
    *OF_A_NETWORK,
    *OF_A_MAP,
}
ARRAYS = where(lambda v: isinstance(v, np.ndarray), OTHERS)
MORE_THAN_NUMBERS = {*((f, "ridge") for f in CALLS), ("plotting.power_law", "exponent")}
MORE_THAN_NUMBERS |= {("plotting.label_curves", "at")}
MORE_THAN_NUMBERS |= {("sklearn.MirrorFlowRegressor", "amount")}
NUMBERS = where(lambda v: isinstance(v, float), MORE_THAN_NUMBERS)
SLIDERS = "plotting.slider", "plotting.plane_slider"
MORE_THAN_COUNTS = {("MirrorDescent", "width"), *((f, "start") for f in SLIDERS)}
COUNTS = where(lambda v: isinstance(v, int) and not isinstance(v, bool), MORE_THAN_COUNTS)
POTENTIALS, DENSITIES, ACTIVATIONS = map(takes, ("potential", "density", "activation"))
ANYWHERE = {"mirror_maps.mirror_map", "MirrorDescent"}  # training need not start at zero
FROM_ZERO = takes("potential", {*ANYWHERE, "functionals.share_curvature", "functionals.relu_cost"})
OBJECTS = {
    ("activations.of", "function_of_torch"),
    ("mirror_flow", "net"),
    ("experiments.lazy_limit", "net"),
    ("functionals.relu_cost", "h"),
}
FUNCTIONS = where(callable, OBJECTS)
# what they give is used on points
VALUES = [(f, a) for f, a in FUNCTIONS if f != "experiments.sweep"]

SAME = None


def rows():
    """Yield all rows of the table."""
    for function, argument in ARRAYS + ELEMENTWISE:
        good = CALLS[function][1][argument]
        named = "argument" if (function, argument) in ELEMENTWISE[3:] else f"{argument} "
        for kind, make in hostile.ARRAYS.items():
            yield function, argument, kind, make(good), SAME
        for kind, make in hostile.NO_ARRAYS.items():
            if argument in ("x2", "sample_weight") and kind == "none":
                continue  # the default
            if kind != "sparse tensor" or (function, argument) in ARRAYS:
                yield function, argument, kind, make(good), (TypeError, named + ".*real numbers")
        if (function, argument) in ARRAYS:
            for kind, make in hostile.NOT_FINITE.items():
                expected = ValueError, f"{argument} (contains|has masked)"
                yield function, argument, kind, make(good), expected
    for function, argument in NUMBERS:
        good = CALLS[function][1][argument]
        for kind, make in hostile.NUMBERS.items():
            yield function, argument, kind, make(good), SAME
        for kind, make in hostile.NO_NUMBERS.items():
            if argument == "learning_rate" and kind == "none":
                continue  # the default
            expected = TypeError, f"{argument} must be a real number, got"
            yield function, argument, kind, make(good), expected
        yield function, argument, "nan", np.nan, (ValueError, f"{argument} must .*got nan")
        yield function, argument, "infinite", -np.inf, (ValueError, f"{argument} must .*got -inf")
    for function, argument in COUNTS:
        good = CALLS[function][1][argument]
        yield function, argument, "of NumPy", np.int64(good), SAME
        for kind, make in hostile.NO_INTEGERS.items():
            if argument == "probes" and kind == "none":
                continue  # the default
            expected = TypeError, f"{argument} must be an integer, got"
            yield function, argument, kind, make(good), expected
        yield (
            function,
            argument,
            "-1",
            -1,
            (ValueError, f"{argument} must be at least [01], got -1"),
        )
    for function in POTENTIALS:
        for kind, (value, expected) in hostile.POTENTIALS.items():
            yield function, "potential", kind, value, expected
    for function in FROM_ZERO:
        for kind, (value, expected) in hostile.FROM_ZERO.items():
            yield function, "potential", kind, value, expected
    for function in DENSITIES:
        for kind, (value, expected) in hostile.DENSITIES.items():
            yield function, "density", kind, value, expected
    for function in ACTIVATIONS:
        for kind, (value, expected) in hostile.ACTIVATIONS.items():
            yield function, "activation", kind, value, expected
    for function, argument in FUNCTIONS:
        expected = TypeError, "must be a function, got 3"
        yield function, argument, "number", 3.0, expected
        yield function, argument, "raises", hostile._mine, OWN
    for function, argument in VALUES:
        makes_one = argument == "solve"
        for kind, (value, (error, pattern)) in hostile.NO_VALUES.items():
            given = (lambda *_, value=value: value) if makes_one else value
            expected = error, rf"what {argument}(\(.*\))? {pattern}"
            yield function, argument, f"gives {kind}", given, expected
        if makes_one:
            expected = TypeError, rf"{argument}\(.*\) must be a function, got None"
            yield function, argument, "gives no function", lambda *_: None, expected
    for function, argument, value, *expected in PARTICULAR:
        yield function, argument, outcome(*expected), value, *expected


def outcome(expected) -> str:
    """Name a row by what is expected."""
    if expected is SAME:
        return "no matter"
    return expected[1] if isinstance(expected, tuple) else " or ".join(map(str, sorted(expected)))


TEXTS = pd.DataFrame({"width": ["1", "2"], "error": [1.0, 2.0], "kind": ["a", "a"]})
ESTIMATOR, ONES = "sklearn.MirrorFlowRegressor", np.ones(5)
STALLED, CONVERGED, NO_STATUS = "STALLED", "CONVERGED", {"no status"}
PATHS = ("representation.trajectory", "variational.trajectory")
SOLVERS = ("variational.solve", "representation.solve", *PATHS, "mirror_flow")
OVERFLOW = (ValueError, "y reaches .*square overflows; rescale")
PARTICULAR = [
    # shapes
    *((f, "x", 0.5, (ValueError, r"x must have shape .* got \(\)")) for f in SOLVERS),
    *((f, "x", np.ones((5, 1, 1)), (ValueError, "x must have shape")) for f in SOLVERS),
    *((f, "x", X[None], (ValueError, "x and y .*same length, got 1 inputs")) for f in SOLVERS),
    *((f, "y", Y[:, None], (ValueError, r"y shape \(m,\), got")) for f in SOLVERS[2:]),
    *((f, "y", Y[:, None], {"CONVERGED"}) for f in SOLVERS[:2]),
    *((f, "y", Y[:, None][:, :0], (ValueError, r"y .*\(5, 0\)")) for f in SOLVERS),
    *((f, "y", Y[:, None, None], (ValueError, r"y shape .*\(5, 1, 1\)")) for f in SOLVERS),
    *((f, "y", Y[:3], (ValueError, "x and y .*5 inputs and 3 targets")) for f in SOLVERS),
    *((f, ("x", "y"), ([], []), (ValueError, "x is empty")) for f in SOLVERS),
    *((f, ("x", "y"), (X[:, None], Y), SAME) for f in SOLVERS),
    ("representation.kernel", "x", [], (ValueError, "x is empty")),
    ("representation.kernel", "x2", QUERY[:, None], (ValueError, "x2 must have the shape of x")),
    ("representation.kernel", "x2", [], NO_STATUS),
    ("representation.kernel", "x2", None, NO_STATUS),
    ("ShallowNetwork.forward", "x", 0.5, (ValueError, r"x must have shape \(m, 1\)")),
    ("ShallowNetwork.forward", "x", np.ones((2, 3)), (ValueError, r"x must have shape \(m, 1\)")),
    # data: one point, the same point twice, almost the same point, nothing to learn
    *((f, ("x", "y"), ([0.3], [2]), {"CONVERGED", "MAX_TIME", "COMPLETED"}) for f in SOLVERS),
    ("variational.solve", "x", [0.1] * 5, (ValueError, "x contains 0.1 more than once; average")),
    ("representation.solve", ("x", "ridge"), ([0.1] * 5, 0.0), (ValueError, "x contains 0.1 more")),
    *((f, "x", [0.1] * 5, {"COMPLETED"}) for f in PATHS),
    ("mirror_flow", ("x", "max_time"), ([0.1] * 5, 1e9), {"STALLED"}),
    ("variational.solve", ("x", "y"), ([0.1, np.nextafter(0.1, 1), 0.5], [1, 2, 3]), {STALLED}),
    ("representation.solve", ("x", "ridge"), (1e-100 * X, 0), {STALLED}),
    *((f, "y", 0 * Y, {"CONVERGED", "COMPLETED"}) for f in SOLVERS),
    # scales
    *((f, "y", 1e300 * Y, OVERFLOW) for f in SOLVERS),
    *((f, "x", 1e200 * X, (ValueError, "x reaches .*square overflows")) for f in SOLVERS),
    ("variational.solve", "y", 1e100 * Y, {CONVERGED}),
    ("variational.solve", "y", 1e-100 * Y, {CONVERGED}),
    ("variational.solve", "y", 1e-300 * Y, {CONVERGED}),
    ("representation.solve", "y", 1e100 * Y, {CONVERGED}),
    ("representation.solve", "y", 1e-100 * Y, {CONVERGED}),
    ("mirror_flow", "y", 1e-100 * Y, {CONVERGED}),
    ("variational.solve", "x", 1e-100 * X, {STALLED}),
    ("variational.solve", "x", 1e100 * X, (ValueError, "x contains .*outside the support")),
    ("variational.solve", "potential", Regularized(Power(300), 1), {STALLED}),
    ("variational.solve", "potential", Regularized(Power(4), 1e99), {CONVERGED}),
    ("variational.solve", "density", stats.beta(0.5, 0.5), (ValueError, "density has an infinite")),
    ("variational.solve", "density", stats.norm(0, 1e-8), (ValueError, "density vanishes between")),
    ("potentials.Hypentropy", "beta", 1e-300, (ValueError, "beta must .*>= 1e-100")),
    ("potentials.Regularized", "omega", 1e300, (ValueError, "omega must .*<= 1e.100")),
    # models
    ("variational.solve", "activation", "tanh", (ValueError, "activation tanh is not served")),
    ("potentials.Rescaled", "phi", "power", (TypeError, "phi must be a Potential, got 'power'")),
    ("potentials.Averaged", "phi", "power", (TypeError, "phi must be a Potential, got 'power'")),
    ("potentials.Averaged", "phi", Entropy(), (ValueError, "Entropy.* is defined on")),
    ("potentials.Averaged", "law", "halfnorm", (TypeError, "law must be a frozen scipy.stats")),
    ("potentials.Averaged", "law", stats.norm(), (ValueError, "law must be the law of a size")),
    ("potentials.Averaged", "law", stats.halfcauchy(), (ValueError, "law has tails too heavy")),
    ("ShallowNetwork", "input_weight", 1.0, (TypeError, "input_weight must be a frozen")),
    ("ShallowNetwork", "input_weight", stats.norm(), (ValueError, "input_weight must be the law")),
    ("ShallowNetwork", "density", densities.normal_layer(), (ValueError, "input_weight is given")),
    ("ridges.grid", "density", densities.normal_layer(), (TypeError, "its kink")),
    ("potentials.Rescaled", "c", -1.0, (ValueError, "c must .* > 0 .*got -1.0")),
    ("potentials.Regularized", "psi", Entropy(), (ValueError, "psi Entropy.* is defined on")),
    ("potentials.Regularized", "psi", "power", (TypeError, "psi must be a Potential, got 'power'")),
    *(
        (f, "activation", hostile.SigmaOf(), (ValueError, "activation SigmaOf is infinite or not"))
        for f in ("representation.solve", "representation.trajectory", "representation.kernel")
    ),
    *(
        (f, "activation", hostile.SigmaOf(RuntimeError("my own")), hostile.OF_ARRAYS)
        for f in ("representation.solve", "representation.trajectory", "representation.kernel")
    ),
    ("experiments.trial", "activation", hostile.SigmaOf(), (ValueError, "activation SigmaOf")),
    *(
        ("activations.of", "function_of_torch", value, (TypeError, f"function_of_torch.*{said}"))
        for value, said in (("gelu", "got 'gelu'"), (torch.nn.ReLU, "ReLU.*call it"))
    ),
    ("activations.of", "function_of_torch", torch.nn.Softmax(-1), (TypeError, "elementwise")),
    ("activations.array_namespace", "x", X.tolist(), (TypeError, "x must be an array or")),
    ("activations.array_namespace", "x", torch.tensor(X), SAME),
    ("mirror_flow", "net", torch.nn.Linear(1, 1), (TypeError, "net must be a ShallowNetwork")),
    ("experiments.lazy_limit", "net", None, (TypeError, "net must be a ShallowNetwork")),
    ("mirror_flow", "scaled", "no", (TypeError, "scaled must be True or False, got 'no'")),
    ("MirrorDescent", "scaled", 1, (TypeError, "scaled must be True or False, got 1")),
    ("MirrorDescent", "maximize", "no", (TypeError, "maximize must be True or False, got 'no'")),
    ("MirrorDescent", "weight_decay", -1, (ValueError, "weight_decay must .*>= 0 .*got -1")),
    ("MirrorDescent", "width", None, NO_STATUS),
    ("MirrorDescent", "params", [], (ValueError, "empty parameter list")),
    (
        "MirrorDescent",
        "params",
        [torch.tensor([1.0, torch.nan])],
        (ValueError, "parameters must be finit"),
    ),
    (
        "MirrorDescent",
        "params",
        [torch.ones(2, dtype=torch.complex64)],
        (TypeError, "argument must be .*real"),
    ),
    ("MirrorDescent", "potential", Entropy(), (ValueError, "only, .*use center='origin'")),
    ("mirror_flow", "center", None, (ValueError, "center must be .*got None")),
    ("mirror_maps.mirror_map", "center", X, (ValueError, "center must be 'initialization'")),
    ("mirror_maps.mirror_map", "initial", X * np.inf, (ValueError, "initial parameters must be")),
    ("mirror_maps.mirror_map", "initial", X + 1j, (TypeError, "argument must be .*real numbers")),
    ("mirror_maps.mirror_map", "initial", torch.tensor(X, requires_grad=True), SAME),
    ("mirror_maps.mirror_map", "initial", torch.tensor(X).to("meta"), (TypeError, "argument must")),
    ("mirror_maps.MirrorMap", "theta", X.astype(np.float32), NO_STATUS),
    ("mirror_maps.MirrorMap", "theta", X + 1j, (TypeError, "argument must be .*real numbers")),
    ("potentials.Potential", "y", X.tolist(), NO_STATUS),
    ("potentials.Potential", "y", "a", (TypeError, "argument must be .*real numbers")),
    # times, ridges, neurons
    ("mirror_flow", "save_at", [2.0, 1.0], (ValueError, "save_at must be increasing")),
    ("mirror_flow", "save_at", "now", (TypeError, "save_at must be an array of real")),
    ("mirror_flow", "max_time", 0, (ValueError, r"max_time must .* > 0 \(math.inf sets no limit")),
    *((f, "times", [], (ValueError, "times must be increasing")) for f in PATHS),
    *((f, "times", None, (TypeError, "times must be an array of real")) for f in PATHS),
    ("variational.trajectory", "scaled", "no", (TypeError, "scaled must be True or False")),
    ("variational.trajectory", "probes", -1, (ValueError, "probes must be at least 0")),
    ("variational.trajectory", "probes", 1, (ValueError, "probes must be 0 or at least 2")),
    ("variational.trajectory", "activation", "tanh", (ValueError, "activation tanh is not served")),
    ("variational.solve", "ridge", -1.0, (ValueError, "ridge contains -1; it must be at least 0")),
    ("variational.solve", "ridge", [1.0, 2.0], (ValueError, r"or have shape \(5,\), one for each")),
    ("variational.solve", "ridge", np.nan, (ValueError, "ridge contains nan")),
    ("variational.solve", "ridge", 1e-200, {CONVERGED, STALLED}),
    ("variational.solve", "ridge", 1e100, {CONVERGED}),
    ("variational.solve", "ridge", 1e101, (ValueError, "ridge reaches 1e.101, beside which")),
    (
        "variational.solve",
        "ridge",
        "gvc",
        (ValueError, "ridge must be 'gcv' or numbers, got 'gvc'"),
    ),
    ("variational.solve", "ridge", None, (TypeError, "ridge must be an array of real")),
    ("variational.solve", "ridge", 1j, (TypeError, "ridge must be an array of real")),
    ("variational.solve", ("x", "ridge"), ([0.1] * 5, 1e-3), {CONVERGED}),
    ("variational.solve", ("x", "ridge"), (3 * X, 0.1), {CONVERGED}),
    ("variational.solve", ("x", "y", "ridge"), ([0.1, 0.2], [1.0, 2.0], 0.1), {CONVERGED}),
    ("variational.solve", ("x", "y", "ridge"), ([0.1], [1.0], 0.1), {CONVERGED}),
    ("representation.solve", "ridge", -1.0, (ValueError, "ridge has the negative eigenvalue")),
    ("representation.solve", "ridge", np.eye(3), (ValueError, "ridge must be a number, have")),
    ("representation.solve", "ridge", "much", (TypeError, "ridge must be an array of real")),
    *(
        ("representation.solve", ("density", "neurons"), (None, value), expected)
        for value, expected in [
            (3, (TypeError, "neurons must be a pair")),
            (([], []), (ValueError, "neurons must have shapes")),
            ((["1"], [0.0]), (TypeError, r"neurons\[0\] must be an array of real")),
            (([1.0], [np.nan]), (ValueError, r"neurons\[1\] contains nan")),
            (([1.0], [0.0]), (ValueError, "no unit responds")),
        ]
    ),
    # the estimator
    *(
        (ESTIMATOR, name, value, expected)
        for name, stem in (("X", "X"), ("query", "X"), ("y", "y"))
        for value, expected in (
            (np.where(np.arange(5) == 1, np.nan, Y), (ValueError, f"{stem} contains NaN")),
            (np.where(np.arange(5) == 1, np.inf, Y), (ValueError, f"{stem} contains infinity")),
            (Y + 1j, (ValueError, "Complex data not supported")),
            ([], (ValueError, "0 sample|inconsistent|empty")),
            (
                list("abcde"),
                ((ValueError, TypeError), "convert string|unable to convert|y must be"),
            ),
            (np.ones((5, 2)), (ValueError, f"{stem} has 2 features|y should be a 1d array")),
            (np.ones((5, 1, 1)), (ValueError, "dim 3|y should be a 1d array")),
        )
    ),
    *(
        (ESTIMATOR, name, make(value), SAME)
        for name, value in (("X", X), ("y", Y), ("query", QUERY))
        for make in (np.ndarray.tolist, pd.Series, lambda a: a[:, None][:, 0])
    ),
    (ESTIMATOR, "y", [*Y[:-1], None], (ValueError, "y contains nan")),
    (ESTIMATOR, "y", None, (ValueError, "requires y to be passed")),
    (ESTIMATOR, "X", X[:3], (ValueError, "inconsistent numbers of samples")),
    (ESTIMATOR, "sample_weight", np.ones(3), (ValueError, "sample_weight must have shape")),
    (ESTIMATOR, "sample_weight", -ONES, (ValueError, "sample_weight must not be negative")),
    (ESTIMATOR, "sample_weight", 0 * ONES, (ValueError, "sample_weight .*zero everywhere")),
    (ESTIMATOR, "sample_weight", None, NO_STATUS),
    (ESTIMATOR, "sample_weight", 1e-200 * ONES, (ValueError, "ridge reaches 2.5e.199, beside")),
    *(
        (ESTIMATOR, "smoothing", value, (ValueError, "smoothing must be 'ridge', 'stopping' or"))
        for value in ("spline", 3.0, True, ["ridge"], np.array(["ridge", "stopping"]))
    ),
    (ESTIMATOR, ("smoothing", "return_std"), (None, False), NO_STATUS),
    (ESTIMATOR, "smoothing", None, (ValueError, "return_std=True needs smoothing")),
    (ESTIMATOR, "smoothing", "stopping", (ValueError, "takes no different weights")),
    *(
        (ESTIMATOR, "amount", value, (TypeError, "amount must be a real number"))
        for value in (None, 1j, [0.1], np.array([0.1, 0.2]), 10**400)
    ),
    *(
        (ESTIMATOR, "amount", value, (ValueError, "amount must be"))
        for value in ("aic", "0.1", np.nan, np.inf, -1.0, 0.0)
    ),
    *((ESTIMATOR, "amount", make(0.25), SAME) for make in (np.array, np.float32, torch.tensor)),
    (ESTIMATOR, "return_std", "yes", (TypeError, "return_std must be True or False")),
    *(
        (ESTIMATOR, ("amount", "cv"), ("cv", value), expected)
        for value, expected in (
            (1, (ValueError, "cv must be at least 2")),
            (True, (TypeError, "cv must be")),
            (2.0, (TypeError, "cv must be")),
            ("five", (TypeError, "cv must be")),
            (None, (TypeError, "cv must be")),
            ([], (ValueError, "cv must")),
            (10**6, NO_STATUS),
        )
    ),
    # the rest
    ("functionals.share_curvature", "right", -np.ones(5), (ValueError, "right . left must be pos")),
    ("functionals.relu_cost", "h", np.sin, (TypeError, "h must be such as .* has no curvature")),
    ("functionals.relu_cost", "tilt", 3.0, (ValueError, "tilt must be a pair")),
    ("ridges.stretched", "direction", X, (ValueError, "direction must have shape")),
    ("ridges.stretched", "factors", [1.0, -2.0, 3.0], (ValueError, "factors .*none negative")),
    ("ridges.stretched", "factors", [0, 0, 0], (ValueError, r"factors \[0.0, 0.0, 0.0\] stretch")),
    ("ridges.stretched", "factors", np.array([1, 2, 3]), SAME),
    ("ridges.cubic_kernel", "first", X, (ValueError, "first and second must have shapes")),
    ("ridges.cubic_kernel", "reach", 0.1, (ValueError, "beyond the reach 0.1")),
    ("experiments.Evidence", "kind", "networks", (ValueError, "kind must be one of 'network ag")),
    (
        "experiments.Evidence",
        "theory",
        3,
        (TypeError, "theory must be the head of a column, got 3"),
    ),
    ("experiments.rms", "errors", [], (ValueError, "errors is empty")),
    ("experiments.fit_exponent", "n", -np.exp(X), (ValueError, "n and y must be positive")),
    ("experiments.fit_exponent", "n", np.ones(5), (ValueError, "n not all the same")),
    ("experiments.exponent_interval", "level", 2, (ValueError, "level must be between 0 and 1")),
    ("experiments.superposition_defect", "parts", X, (ValueError, "parts must have shape")),
    ("experiments.superposition_defect", "parts", [["a"]], (TypeError, "parts must be an array")),
    ("experiments.sampling_law", "units", 1, (ValueError, "units=1 units span .* of the 5 .*more")),
    ("experiments.sampling_law", ("units", "draws"), (3, 1), (ValueError, "units=3 .*draw more")),
    ("densities.bend", "x", np.ones((5, 2)), (ValueError, "x must have shape|more than")),
    ("experiments.lazy_limit", "x", [0.1] * 5, (ValueError, "x contains 0.1 more than once")),
    ("experiments.sweep", "parameters", [1], (TypeError, "parameters must map names")),
    ("experiments.sweep", "parameters", {"a": 3}, (TypeError, r"parameters\['a'\] must be values")),
    ("experiments.sweep", "parameters", {"a": "bc"}, (TypeError, r"parameters\['a'\] must be")),
    ("experiments.sweep", "parameters", {"a": []}, (ValueError, r"parameters\['a'\] is empty")),
    (
        *("experiments.sweep", "parameters", {"a": np.array(3)}),
        (TypeError, r"parameters\['a'\] must be values in a list, got array\(3\)"),
    ),
    ("experiments.sweep", "parameters", {3: [1]}, (TypeError, "parameters must .*texts.*got 3")),
    ("experiments.sweep", "cache", 3, (TypeError, "cache must be the path of a folder, got 3")),
    ("experiments.sweep", "cache", "", (ValueError, "cache must be the path of a folder, got ''")),
    ("experiments.sweep", "executor", 3, (TypeError, "executor must be")),
    ("experiments.sweep", "function", lambda a: 3, (TypeError, "function .* return a mapping")),
    ("plotting.points", "y", Y[:2], (ValueError, "x and y must have the same shape")),
    ("plotting.power_law", "table", X, (TypeError, "table must be a DataFrame, got ndarray")),
    ("plotting.power_law", "exponent", "steep", (TypeError, "exponent must be a real number")),
    ("plotting.power_law", "y", [], (TypeError, r"y must be the name of a column, got \[\]")),
    ("plotting.power_law", "by", {}, (TypeError, "by must be the name of a column, got {}")),
    ("plotting.power_law", "y", "loss", (ValueError, "table has no column 'loss'")),
    ("plotting.points", "ax", None, (TypeError, "ax must be one Axes.*got NoneType")),
    ("plotting.label_curves", "ax", None, (TypeError, "ax must be one Axes.*got NoneType")),
    ("plotting.label_curves", "ax", plt.figure().subplots(), (ValueError, "no line with a label")),
    ("plotting.label_curves", "at", "end", (TypeError, "at must be a real number, got")),
    ("plotting.label_curves", "at", np.nan, (ValueError, "at must be")),
    ("plotting.label_curves", "at", 7.0, (ValueError, "no line with a label is seen at 7.0")),
    ("plotting.power_law", "ax", np.ones(2), (TypeError, "ax must be one Axes.*got ndarray")),
    ("plotting.power_law", "y", "kind", (TypeError, r"table\['kind'\] must hold numbers")),
    (
        *("plotting.power_law", "table", TEXTS),
        (TypeError, r"table\['width'\] must be an array of real numbers"),
    ),
    *(
        ("plotting.slider", name, 3, (TypeError, f"{name} must be a text, got 3"))
        for name in ("name", "label", "description", "xlabel")
    ),
    ("plotting.slider", "panels", {3: [X, X]}, (TypeError, "label of panels must be a text")),
    *(
        ("plotting.slider", "reference", value, (TypeError, "reference must be a pair of a text"))
        for value in (3, ("a",), (3, {}), ("a", X))
    ),
    *(
        ("plotting.slider", "data", value, (TypeError, "data must be a pair"))
        for value in (3, np.array(3), [X])
    ),
    ("plotting.slider", "data", np.array([np.sort(X), Y]), NO_STATUS),
    ("plotting.slider", "values", 3, (TypeError, "values must be texts, got 3")),
    ("plotting.slider", "panels", [X], (TypeError, "panels must map labels to curves")),
    ("plotting.slider", "panels", {"y": [X]}, (ValueError, r"panels\['y'\] has shape")),
    ("plotting.slider", "panels", {"y": [X, X * np.nan]}, (ValueError, "panels.*contains nan")),
    ("plotting.slider", "x", X, (ValueError, "x must be at least two increasing")),
    ("plotting.slider", "values", [1, 2], (TypeError, "values must be texts")),
    ("plotting.slider", "start", 2, (ValueError, "start must be between 0 and 1, got 2")),
    ("plotting.slider", "start", 0.5, (TypeError, "start must be an integer")),
    *(
        ("plotting.plane_slider", name, 3, (TypeError, f"{name} must be a text, got 3"))
        for name in ("name", "label", "description")
    ),
    *(
        ("plotting.plane_slider", name, [X], (TypeError, f"{name} must map titles to points"))
        for name in ("curves", "dots")
    ),
    ("plotting.plane_slider", "curves", {3: [X, X]}, (TypeError, "title of curves must be a text")),
    ("plotting.plane_slider", "curves", {"y": [X]}, (ValueError, r"curves\['y'\] has shape")),
    ("plotting.plane_slider", "dots", {"u": [[0, 1]] * 2}, (ValueError, "dots names {'u'}")),
    ("plotting.plane_slider", "still", X, (ValueError, r"still must have the shape \(M, 2\)")),
    ("plotting.plane_slider", "values", [1, 2], (TypeError, "values must be texts")),
    ("plotting.plane_slider", "start", 2, (ValueError, "start must be between 0 and 1, got 2")),
    ("plotting.plane_slider", "start", 0.5, (TypeError, "start must be an integer")),
]
TABLE = list(rows())
BASELINES: dict = {}


def baseline(function: str) -> np.ndarray:
    """Return the numbers that good arguments give."""
    if function not in BASELINES:
        call, good = CALLS[function]
        BASELINES[function] = numbers(call(**good))
    return BASELINES[function]


@pytest.fixture(autouse=True)
def no_figures_stay():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("function", "argument", "kind", "value", "expected"),
    TABLE,
    ids=[f"{function} {argument}: {kind}" for function, argument, kind, *_ in TABLE],
)
def test_hostile_input(function, argument, kind, value, expected):
    call, good = CALLS[function]
    several = isinstance(argument, tuple)
    changed = dict(zip(argument, value, strict=True)) if several else {argument: value}
    arguments = {**good, **changed}
    before = {name: hostile.state(v) for name, v in arguments.items()}
    with hostile.at_most(seconds=60):
        if isinstance(expected, tuple):
            error, pattern = expected
            with pytest.raises(error, match=pattern):
                call(**arguments)
        else:
            check(function, call(**arguments), kind, expected)
    for name, v in arguments.items():
        np.testing.assert_equal(hostile.state(v), before[name], err_msg=f"{name} was changed")


def check(function, result, kind, expected):
    """Check a result against the status or the numbers that are expected."""
    status = getattr(result, "status", None)
    if expected is SAME:
        rtol = hostile.ROUNDED.get(kind, 1e-12)
        atol = rtol * max(1.0, np.abs(baseline(function)).max())
        np.testing.assert_allclose(numbers(result), baseline(function), rtol=0, atol=atol)
    else:
        assert (status.name if status else "no status") in expected
    if status is None or status.name in ("CONVERGED", "COMPLETED"):
        assert np.isfinite(numbers(result)).all()


def test_no_public_function_is_left_out():
    """Each has several rows: all but enumerations and what is only returned."""
    public = set()
    for name in mflib.__all__:
        module = getattr(mflib, name)
        if not inspect.ismodule(module):
            public |= {name} if takes_arguments(module) else set()
            continue
        for entry in module.__all__:
            if takes_arguments(getattr(module, entry)):
                public.add(f"{name}.{entry}")
    counts = Counter(row[0] for row in TABLE)
    assert public <= set(CALLS)
    assert min(counts[name] for name in CALLS) >= 2
    assert len(TABLE) >= 100


def takes_arguments(thing) -> bool:
    if inspect.isclass(thing):
        record = issubclass(thing, enum.Enum | tuple | Exception)
        return not record and (not hasattr(thing, "__dataclass_fields__") or callable_class(thing))
    return callable(thing) and bool(inspect.signature(thing).parameters)


def callable_class(thing) -> bool:
    return "__call__" in vars(thing)
