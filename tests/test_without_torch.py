"""Where Torch is not installed the solvers work, pickles open, and what trains says what to do."""

import builtins
import pickle
import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from mflib import _torch, activations, densities, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized

X, Y = np.array([-0.6, -0.1, 0.3, 0.7]), np.array([0.5, -1.0, 0.2, 1.5])
QUERY = np.array([-1.3, -0.4, 0.05, 0.9])

FORBID = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Forbid())
"""


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", FORBID + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_hook_forbids_torch():
    code = "try:\n    import torch\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    assert run(code) == "torch"


def test_all_that_does_not_train_works():
    code = """
import numpy as np
import mflib
from mflib import activations, datasets, densities, experiments, functionals, mirror_maps
from mflib import plotting, potentials, representation, ridges, variational
x, y = [-0.5, 0.1, 0.6], [0.3, 1.0, 0.2]
sol, rep = variational.solve(x, y), representation.solve(x, y)
representation.trajectory(x, y, [1.0, 9.0]).derivative(x)
assert experiments.distance(sol, rep, grid=[0.0, 0.9]) < 1e-8
assert experiments.superposition_defect(lambda t: variational.solve(x, t), [y, x]) < 1e-8
experiments.fit_exponent([1, 2, 4], [1.0, 2.0, 4.1])
table = experiments.sweep(lambda a: {"b": a**2}, {"a": [1, 2]}, executor="serial")
assert table.b.tolist() == [1, 4]
potentials.Power(3).inverse_gradient(2.0), activations.gelu(1.0), activations.get("silu")(2.0)
mirror_maps.mirror_map(potentials.Quadratic(), x, scaled=True, center='initialization', width=3)
phi, density = potentials.Quadratic(), densities.of()
functionals.relu_cost(sol, x, potential=phi, density=density), ridges.grid(3, 3, density=density)
densities.of(lambda t: 1 - abs(t), support=(-1, 1)).rvs(3, random_state=0)
_, ax = plotting.figure()
plotting.points(ax, x, y)
datasets.titanium()
assert "trial" in dir(experiments)
print("torch" in sys.modules)
"""
    assert run(code) == "False"


def test_what_trains_names_the_extra():
    code = """
import mflib
for name in ("ShallowNetwork", "MirrorDescent", "mirror_flow", "experiments.trial",
             "experiments.lazy_limit", "activations.of(abs)"):
    try:
        eval(f"mflib.{name}")
    except ImportError as error:
        print(error.name, error)
"""
    assert [line[:37] for line in run(code).splitlines()] == 6 * [
        "torch this part of mflib needs Torch,"
    ]
    assert run(code).count("pip install 'mflib[train]'") == 6


def test_another_missing_module_is_not_mistaken_for_torch():
    code = """
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'sympy'", name="sympy")

sys.meta_path.insert(0, Broken())
try:
    import mflib.networks
except ModuleNotFoundError as error:
    print(error.name, error)
"""
    assert run(code) == "sympy No module named 'sympy'"


def wave(t):
    return 0.5 * (1 + np.cos(np.pi * t))


def solved() -> list:
    quartic, model = Regularized(Power(4), 0.5), {"activation": "elu"}
    several = np.column_stack([Y, Y**2])
    mixture = stats.Mixture([stats.Normal(mu=-0.5, sigma=0.4), stats.Normal(mu=0.4, sigma=0.3)])
    return [
        variational.solve(X, Y),
        variational.solve(X, Y, potential=quartic, density=stats.norm(0.1, 0.6)),
        variational.solve(X, Y, activation="abs", density=densities.of(mixture)),
        variational.solve(X, Y, density=stats.gaussian_kde(np.linspace(-1, 1, 9))),
        representation.solve(X, several, potential=Hypentropy(2.0), **model),
        representation.solve(X, several, potential=Quadratic()),
        representation.solve(X, Y, neurons=([1.0, -1.0] * 9, np.linspace(-1, 1, 18))),
        representation.trajectory(X, Y, [1.0, 30.0], potential=quartic, **model),
        representation.trajectory(X, Y, [1.0, 30.0]),
    ]


def test_solutions_and_trajectories_open_without_torch(tmp_path):
    """Also those that have computed something since: what is cached comes along."""
    results = solved()
    expected = [(h(QUERY), h.derivative(QUERY)) for h in results]
    for name, content in (("results", [*results, *solved()]), ("expected", expected * 2)):
        (tmp_path / name).write_bytes(pickle.dumps(content))
    code = """
import pickle
from pathlib import Path
import numpy as np
results, expected = (pickle.loads((Path(sys.argv[1]) / name).read_bytes())
                     for name in ("results", "expected"))
query = np.array([-1.3, -0.4, 0.05, 0.9])
for h, (values, slopes) in zip(results, expected, strict=True):
    np.testing.assert_allclose(h(query), values, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(h.derivative(query), slopes, rtol=1e-12, atol=1e-12)
    assert h.status.name in ("CONVERGED", "COMPLETED") and repr(h)
print(len(results), "torch" in sys.modules)
"""
    assert run(code, str(tmp_path)) == "18 False"


def test_what_a_session_defines_goes_along_by_cloudpickle(tmp_path):
    """A potential and a density of a notebook, opened where they are not defined."""
    write = """
import cloudpickle
from pathlib import Path
from mflib import densities, potentials, variational
from mflib.activations import array_namespace
class Cosh(potentials.Potential):
    def value(self, x):
        return array_namespace(x).cosh(x)
    def gradient(self, x):
        return array_namespace(x).sinh(x)
    def hessian(self, x):
        return array_namespace(x).cosh(x)
density = densities.of(lambda t: 1 - abs(t), support=(-1, 1))
h = variational.solve([-0.5, 0.5], [0.3, 1.0], potential=Cosh(), density=density)
(Path(sys.argv[1]) / "own").write_bytes(cloudpickle.dumps((h, h(0.2))))
"""
    read = """
import pickle
from pathlib import Path
h, value = pickle.loads((Path(sys.argv[1]) / "own").read_bytes())
print(bool(h(0.2) == value))
"""
    run(write, str(tmp_path))
    assert run(read, str(tmp_path)) == "True"


def test_what_was_made_with_a_function_of_torch_says_that_it_needs_torch(tmp_path):
    """Where Torch is, it opens."""
    mish = activations.of(torch.nn.functional.mish)
    rep = representation.solve(X, Y, activation=mish)
    (tmp_path / "mish").write_bytes(pickle.dumps(rep))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rep))(QUERY), rep(QUERY))
    code = """
import pickle
from pathlib import Path
try:
    pickle.loads((Path(sys.argv[1]) / "mish").read_bytes())
except ImportError as error:
    print(error)
"""
    assert "pip install 'mflib[train]'" in run(code, str(tmp_path))


def test_pickles_are_small():
    """A result has what it needs, and no table of the quadrature for each datum."""
    for result in solved():
        assert len(pickle.dumps(result)) < 300_000


@pytest.mark.parametrize("missing", ["torch", "other"])
def test_only_a_missing_torch_is_explained(monkeypatch, missing):
    """What Torch itself lacks is its own matter."""

    def without(name, *rest):
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(name, *rest)

    original = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError) as caught:
        runpy.run_path(_torch.__file__)
    assert ("mflib[train]" in str(caught.value)) == (missing == "torch")
