"""What the paper claims, from real training on one side and exact limits on the other."""

import numpy as np
import pytest
import torch
from scipy import stats

import mflib
from mflib import datasets, experiments, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import DENSITIES, LIMIT, UNSCALED, X, Y

SCALED = UNSCALED | {"hypentropy": Regularized(Hypentropy(1), 1)}
FIGURE_2 = {
    "x^2": "fig2-abs-power2",
    "(|x|^3 + x^2)/2": "fig2-abs-power3",
    "(|x|^4 + x^2)/2": "fig2-abs-power4",
    "hypentropy": "abs-hypentropy",
}
WIDTHS = [500, 2000, 8000]


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def train(width: int, seed: int, problem, **flow):
    net = mflib.ShallowNetwork(
        width, activation=problem.activation, density=problem.density, seed=seed
    )
    run = mflib.mirror_flow(net, problem.x, problem.y, **flow)
    assert run.status is mflib.FlowStatus.CONVERGED
    return run


def errors_at(problem, **flow) -> list[float]:
    """Root mean square over seeds of the largest distance from the 12-digit answer."""
    result = []
    for width in WIDTHS:
        runs = [train(width, seed, problem, **flow) for seed in range(4)]
        distances = [np.abs(run.network(problem.query).numpy() - problem.h).max() for run in runs]
        result.append(float(np.sqrt(np.mean(np.square(distances)))))
    return result


# Theorem 2.


@pytest.mark.parametrize("name", UNSCALED)
def test_unscaled_relu_networks_learn_the_limit_of_theorem_2(name):
    problem = LIMIT["fig1-relu-quadratic"]
    errors = errors_at(problem, potential=UNSCALED[name])
    assert errors[-1] < 0.025
    assert experiments.fit_exponent(WIDTHS, errors).exponent == pytest.approx(-0.5, abs=0.2)


def test_unscaled_potentials_have_one_bias():
    """Figure 1, left: networks of one initialization coincide, and lazily."""
    problem = LIMIT["fig1-relu-quadratic"]
    runs = [train(20_000, 0, problem, potential=potential) for potential in UNSCALED.values()]
    grids = [run.network(experiments.GRID).numpy() for run in runs]
    assert max(np.abs(grid - grids[0]).max() for grid in grids[1:]) < 2e-3
    assert max(run.kernel_change for run in runs) < 0.02
    assert max(run.parameter_change for run in runs) < 0.01


def test_textbook_mirror_descent_has_the_same_limit():
    """The centre of the potential matters at finite width, and not in the limit."""
    problem = LIMIT["fig1-relu-quadratic"]
    potential = UNSCALED["(|x|^4 + x^2)/2"]
    distances = []
    for width in (200, 20_000):
        here = train(width, 0, problem, potential=potential, loss_target=1e-10)
        there = train(width, 0, problem, potential=potential, loss_target=1e-10, center="origin")
        distances.append(experiments.distance(here.network, there.network))
    assert distances[0] > 2e-3
    assert distances[1] < 0.01 * distances[0]


# Theorem 8.


@pytest.mark.parametrize("name", SCALED)
def test_scaled_abs_networks_learn_the_limit_of_theorem_8(name):
    problem = LIMIT[FIGURE_2[name]]
    errors = errors_at(problem, potential=SCALED[name], scaled=True)
    assert errors[-1] < 0.012
    assert experiments.fit_exponent(WIDTHS, errors).exponent == pytest.approx(-0.5, abs=0.2)


@torch.enable_grad()
def test_sgd_on_differences_of_squares_has_the_bias_of_hypentropy():
    """Plain SGD, output weights (u^2 - v^2)/n, the hidden layer trained as well."""
    (x, y), n, beta = datasets.figure2(), 1000, 0.1
    net = mflib.ShallowNetwork(n, activation="abs", seed=4)
    neurons = (net.input_weight.detach().numpy().copy(), net.input_bias.detach().numpy().copy())
    u, v = torch.full((2, n), (beta / 2) ** 0.5, dtype=torch.float64).unbind()
    output = [p.clone().requires_grad_() for p in (u, v)]
    optimizer = torch.optim.SGD([
        {"params": output, "lr": n / 4},
        {"params": [net.input_weight, net.input_bias], "lr": 1 / n},
    ])  # fmt: skip

    def f(t):
        return net.hidden(t) @ (output[0] ** 2 - output[1] ** 2) / n

    while (error := ((f(x) - torch.tensor(y)) ** 2).mean()) > 1e-7:
        optimizer.zero_grad()
        (error / 2).backward()
        optimizer.step()
    trained = f(experiments.GRID).detach().numpy()
    model = {"activation": "abs", "potential": Hypentropy(beta)}
    own = representation.solve(x, y, neurons=neurons, **model)(experiments.GRID)
    limit = variational.solve(x, y, **model)(experiments.GRID)
    square = variational.solve(x, y, activation="abs")(experiments.GRID)
    assert np.abs(trained - own).max() < 2e-3
    assert np.abs(trained - limit).max() < 0.03
    assert np.abs(trained - square).max() > 0.12


def test_scaled_relu_networks_learn_the_limit_that_the_paper_leaves_open():
    problem = LIMIT["open1-relu-scaled-power4"]
    distances = []
    for seed in range(4):
        run = train(8000, seed, problem, potential=problem.potential, scaled=True)
        distances.append(np.abs(run.network(problem.query).numpy() - problem.h).max())
    assert np.mean(distances) < 0.06


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("x^2", 0.0, 0.01), ("(|x|^3 + x^2)/2", 0.83, 0.86), ("(|x|^4 + x^2)/2", 0.95, 0.98)],
)
def test_scaled_training_is_lazy_but_not_kernel(name, low, high):
    """Parameters move by O(1/n); the kernel changes by an amount that n does not change."""
    problem = LIMIT[FIGURE_2[name]]
    narrow, wide = (
        train(width, 0, problem, potential=SCALED[name], scaled=True) for width in (2000, 20_000)
    )
    assert low <= wide.kernel_change <= high
    assert wide.kernel_change == pytest.approx(narrow.kernel_change, abs=0.02)
    assert wide.parameter_change < 0.15 * narrow.parameter_change


@pytest.mark.parametrize("density", ["uniform", "skewed", "gap"])
def test_superposition_fails_but_for_the_quadratic(density):
    def defect(potential):
        model = {"activation": "abs", "potential": potential, "density": DENSITIES[density]}
        one, two = Y, Y[::-1] + 0.3
        first, second, both = (variational.solve(X, y, **model) for y in (one, two, one + two))
        grid = np.linspace(-1, 1, 41)
        return np.abs(first(grid) + second(grid) - both(grid)).max()

    assert defect(Quadratic()) < 1e-10
    for name in ("(|x|^3 + x^2)/2", "(|x|^4 + x^2)/2", "hypentropy"):
        assert defect(SCALED[name]) > 2e-3


# What joins the modules.


def test_the_change_of_a_network_that_starts_elsewhere_follows_the_theory():
    """f(theta) - f(theta_0) is the limit for the data less f(theta_0)."""
    x, y = datasets.figure2()
    potential = SCALED["(|x|^3 + x^2)/2"]
    distances = []
    for width in WIDTHS:
        net = mflib.ShallowNetwork(width, activation="abs", output_scale=1.0, seed=5)
        run = mflib.mirror_flow(net, x, y, potential=potential, scaled=True)
        limit = variational.solve(x, y - net(x).numpy(), activation="abs", potential=potential)

        def change(t, run=run, net=net):
            return run.network(t) - net(t)

        distances.append(experiments.distance(change, limit))
        assert np.abs(net(x).numpy()).max() > 0.05
    assert distances[-1] < 0.03
    assert distances[-1] < 0.5 * distances[0]


@pytest.mark.parametrize("density", ["normal", "skewed", "jump"])
def test_the_initialization_decides(density):
    """Networks whose biases are not uniform, nor symmetric, learn what theirs predicts."""
    potential, frozen = SCALED["(|x|^3 + x^2)/2"], DENSITIES[density]
    net = mflib.ShallowNetwork(20_000, activation="abs", density=frozen, seed=1)
    run = mflib.mirror_flow(net, X, Y, potential=potential, scaled=True)
    own = variational.solve(X, Y, activation="abs", potential=potential, density=frozen)
    other = variational.solve(X, Y, activation="abs", potential=potential)
    grid = np.linspace(-1, 1, 81)
    trained = run.network(grid).numpy()
    assert np.abs(trained - own(grid)).max() < 0.1
    assert np.abs(trained - own(grid)).max() < 0.5 * np.abs(trained - other(grid)).max()


@pytest.mark.parametrize("name", ["(|x|^4 + x^2)/2", "hypentropy"])
def test_a_wide_network_is_its_own_lazy_limit(name):
    """Scaled training against problem (P) on the network's own neurons: no sampling error left."""
    x, y = datasets.figure2()
    potential = SCALED[name]
    net = mflib.ShallowNetwork(20_000, activation="abs", seed=3)
    run = mflib.mirror_flow(net, x, y, potential=potential, scaled=True, loss_target=1e-10)
    neurons = (net.input_weight.numpy(), net.input_bias.numpy())
    limit = representation.solve(x, y, activation="abs", potential=potential, neurons=neurons)
    assert experiments.distance(run.network, limit) < 1e-3
    # n (a - a_0) is alpha
    alpha = net.width * (run.network.output_weight - net.output_weight).numpy()
    assert alpha @ net.hidden([0.1]).numpy()[0] / net.width == pytest.approx(
        limit([0.1])[0], abs=2e-3
    )


def test_the_plane():
    """Inputs in two dimensions: the network against problem (P) on its neurons."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-0.8, 0.8, (6, 2))
    y = np.sin(3 * x[:, 0]) - x[:, 1]
    net = mflib.ShallowNetwork(20_000, input_dim=2, seed=0)
    potential = SCALED["(|x|^3 + x^2)/2"]
    run = mflib.mirror_flow(net, x, y, potential=potential, scaled=True, loss_target=1e-10)
    neurons = (net.input_weight.numpy(), net.input_bias.numpy())
    limit = representation.solve(x, y, potential=potential, neurons=neurons)
    query = rng.uniform(-0.8, 0.8, (50, 2))
    np.testing.assert_allclose(run.network(query).numpy(), limit(query), atol=3e-3)


# The convergence theorem of the book.

PLANE = np.array([[-0.6, 0.3], [0.1, -0.5], [0.4, 0.6]])
MILD = np.array([0.1, -0.05, 0.08])


def apart(width: int, seed: int, activation: str, potential, output_scale: float = 0.0):
    """Distances of a network of two inputs from h_n^+, and of h_n^+ from h_n."""
    net = mflib.ShallowNetwork(
        width, input_dim=2, activation=activation, output_scale=output_scale, seed=seed
    )
    run = mflib.mirror_flow(net, PLANE, MILD, potential=potential, scaled=True, loss_target=1e-26)
    assert run.status is mflib.FlowStatus.CONVERGED
    lazy = [
        experiments.lazy_limit(net, PLANE, MILD, potential=potential, output_bias=bias)
        for bias in (True, False)
    ]
    grid = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    f, plus, own = (g(grid).numpy() for g in (run.network, *lazy))
    return np.abs(f - plus).max(), np.abs(plus - own).max()


@pytest.mark.parametrize(
    ("activation", "potential"),
    [("abs", "(|x|^3 + x^2)/2"), ("relu", "hypentropy")],
)
def test_nonlinearity_is_of_order_minus_two_and_the_output_bias_of_order_minus_one(
    activation, potential
):
    seeds = {50: 12, 500: 6, 5000: 2}  # the narrower, the more they differ
    both = np.exp(
        [
            np.mean(
                np.log([apart(n, k, activation, SCALED[potential]) for k in range(many)]), axis=0
            )
            for n, many in seeds.items()
        ]
    )
    nonlinearity, bias = (experiments.fit_exponent(list(seeds), e).exponent for e in both.T)
    assert nonlinearity == pytest.approx(-2, abs=0.1)
    assert bias == pytest.approx(-1, abs=0.15)


def test_from_random_output_weights_nonlinearity_is_of_order_minus_one():
    potential, widths = SCALED["hypentropy"], (50, 300, 2000)
    means = [
        np.exp(np.mean([np.log(apart(n, k, "abs", potential, 0.3)[0]) for k in range(6)]))
        for n in widths
    ]
    exponent = experiments.fit_exponent(widths, means).exponent
    assert exponent == pytest.approx(-1, abs=0.2)


@pytest.mark.parametrize("activation", ["abs", "relu"])
def test_the_rate_under_an_unscaled_potential_is_that_of_its_metric(activation):
    """With phi'' = 1 + c |u|^(1/4) nonlinearity is of order n^(-1/4), above sampling."""
    x, grid = np.array([-0.8, 0.0, 0.8]), np.linspace(-1, 1, 101)
    psi = Power(2.25)

    def seen_from(n):  # n^2 phi(. / n), up to a factor
        return Regularized(psi, n**0.25)

    def off(n):
        net = mflib.ShallowNetwork(n, activation=activation, seed=0)
        run = mflib.mirror_flow(net, x, MILD, potential=seen_from(1), loss_target=1e-26)
        assert run.status is mflib.FlowStatus.CONVERGED
        own = experiments.lazy_limit(net, x, MILD, potential=seen_from(n))
        return np.abs(run.network(grid).numpy() - own(grid).numpy()).max()

    units = np.tile([1.0, -1.0], 200), (np.arange(400) + 0.5) / 200 - 1
    problem = {"activation": activation, "neurons": units}
    square = representation.solve(x, MILD, **problem)

    def departs(n):
        other = representation.solve(x, MILD, potential=seen_from(n), **problem)
        return np.abs(other(grid) - square(grid)).max()

    # Networks end at the answer for n^2 phi(. / n), which is n^(-1/4) from that for x^2.
    for distance, widths, order in (
        (off, [100, 1000, 10_000], -2),
        (departs, [1e6, 1e8, 1e10], -0.25),
    ):
        exponent = experiments.fit_exponent(widths, [distance(n) for n in widths]).exponent
        assert exponent == pytest.approx(order, rel=0.05)


def test_the_output_bias_may_move_further_than_all_other_parameters():
    """Not only sup |alpha| = 10, but also half the sum of the multipliers, 100."""
    density = stats.uniform(-0.1, 0.2)
    net = mflib.ShallowNetwork(20_000, activation="abs", density=density, seed=0)
    run = mflib.mirror_flow(net, [-0.1, 0.1], [1.0, 1.0], loss_target=1e-12)
    weights = 20_000 * float(run.network.output_weight.abs().max())
    assert weights == pytest.approx(10, rel=0.02)
    assert 20_000 * run.parameter_change == pytest.approx(100, rel=0.02)
    assert 20_000 * abs(float(run.network.output_bias)) == pytest.approx(100, rel=0.02)
