"""Ridges against integrals, against the solver of problem (P) and against radial splines."""

import numpy as np
import pytest
from scipy import interpolate, stats

from mflib import activations, experiments, representation, ridges, variational
from mflib.potentials import Power, Quadratic, Regularized

X = np.array([[0.3, -0.7], [-0.9, 0.1], [0.5, 0.6], [-0.2, -0.4], [0.1, 0.95]])
Y = np.array([0.4, -1.3, 0.2, 0.9, 1.7])
NEW = np.random.default_rng(0).uniform(-0.7, 0.7, (40, 2))
REACH = 1.5
UNIFORM = stats.uniform(-REACH, 2 * REACH)


def by_kernel(x, y, activation, reach=REACH):
    def kernel(first, second):
        return ridges.cubic_kernel(first, second, reach=reach, activation=activation)

    return lambda t: kernel(t, x) @ np.linalg.solve(kernel(x, x), y)


def test_grid_is_a_midpoint_rule():
    density = stats.norm(0.3, 0.8)
    w, b = ridges.grid(8, 5, density=density)
    assert w.shape == (40, 2)
    assert b.shape == (40,)
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1, rtol=1e-15)
    angle = np.sort(np.unique(np.arctan2(w[:, 1], w[:, 0]).round(12)))
    np.testing.assert_allclose(np.diff(angle), np.pi / 4, rtol=1e-10)
    np.testing.assert_allclose(density.cdf(np.unique(b)), [0.1, 0.3, 0.5, 0.7, 0.9], rtol=1e-10)
    assert len({(*u, v) for u, v in zip(w.round(9).tolist(), b.tolist(), strict=True)}) == 40


def test_stretched_grid_has_the_law_of_stretched_random_directions():
    factors = (1.0, 0.25)
    w, _ = ridges.grid(400, 1, stretch=factors)
    rng = np.random.default_rng(1)
    drawn = ridges.stretched(rng.standard_normal((200_000, 2)), factors)
    for test in (lambda v: v[:, 0] ** 2, lambda v: np.abs(v @ [0.6, 0.8]) ** 3):
        sample = test(drawn)
        error = 4 * sample.std() / np.sqrt(len(sample))
        assert test(w).mean() == pytest.approx(sample.mean(), abs=error)
    assert (w[:, 0] ** 2).mean() > 0.7


@pytest.mark.parametrize("activation", ["abs", "relu"])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_cubic_kernel_is_the_expectation(activation, dim):
    rng = np.random.default_rng(dim)
    x = rng.uniform(-0.5, 0.5, (3, dim))
    w = ridges.stretched(rng.standard_normal((400_000, dim)), np.ones(dim))
    b = UNIFORM.rvs(size=len(w), random_state=rng)
    features = activations.get(activation)(x @ w.T - b)
    products = features[:, None] * features
    kernel = ridges.cubic_kernel(x, x, reach=REACH, activation=activation)
    error = products.std(axis=2) / np.sqrt(len(w))
    assert (np.abs(kernel - products.mean(axis=2)) < 4 * error).all()
    assert error.max() < 0.003 * kernel.max()


@pytest.mark.parametrize("dim", [1, 2, 342, 343, 784, 9_999, 100_000])
def test_cubic_kernel_in_any_dimension(dim):
    """c_D = c_(D-2) (D - 2)/(D + 1), from 1 and 4/(3 pi) on, and no (k, l, D) array."""
    odd = dim % 2
    moment = 1.0 if odd else 4 / (3 * np.pi)
    for d in range(3 if odd else 4, dim + 1, 2):
        moment *= (d - 2) / (d + 1)
    rng = np.random.default_rng(dim)
    x = ridges.stretched(rng.normal(size=(2, dim)), np.ones(dim)) * [[0.9], [1.2]]
    product, apart = x[0] @ x[1], np.linalg.norm(x[0] - x[1])
    affine = product / dim + REACH**2 / 3
    kernel = affine + moment * apart**3 / (6 * REACH)
    assert ridges.cubic_kernel(x[:1], x[1:], reach=REACH).item() == pytest.approx(kernel, rel=1e-12)
    relu = ridges.cubic_kernel(x[:1], x[1:], reach=REACH, activation="relu").item()
    assert relu == pytest.approx((kernel + affine) / 4, rel=1e-12)


@pytest.mark.parametrize("unit", [1e-150, 1e-80, 1e80, 6e149])
def test_cubic_kernel_scales_with_its_unit(unit):
    kernel = ridges.cubic_kernel(unit * X, unit * X[:2], reach=1.5 * unit)
    np.testing.assert_allclose(kernel / unit**2, ridges.cubic_kernel(X, X[:2], reach=1.5), 1e-13)


def test_cubic_kernel_names_the_length_of_a_point_that_is_too_far():
    with pytest.raises(ValueError, match=r"length 5, beyond the reach 2 "):
        ridges.cubic_kernel([[3.0, 4.0]], [[0.1, 0.0]], reach=2.0)


def test_cubic_kernel_asks_what_an_activation_is_and_not_its_name():
    class Relu(activations.Activation):
        def __call__(self, u):
            return (u > 0) * u**2

        def derivative(self, u):
            return 2 * (u > 0) * u

    class Mine(activations.PiecewiseLinear):
        def __repr__(self):
            return "mine"

    assert repr(Relu()) == "relu"
    with pytest.raises(ValueError, match="activation must be 'abs' or 'relu', got relu"):
        ridges.cubic_kernel(X, X, reach=2.0, activation=Relu())
    for slope, name in ((0, "relu"), (-1, "abs")):
        np.testing.assert_array_equal(
            ridges.cubic_kernel(X, X, reach=2.0, activation=Mine(slope)),
            ridges.cubic_kernel(X, X, reach=2.0, activation=name),
        )
    with pytest.raises(ValueError, match="activation must be 'abs' or 'relu', got leaky"):
        ridges.cubic_kernel(X, X, reach=2.0, activation="leaky_relu")


@pytest.mark.parametrize(
    ("direction", "factors", "expected"),
    [
        ([1e200, 0.0], (1, 1), [1, 0]),
        ([3e200, -4e200], (1, 1), [0.6, -0.8]),
        ([3e-200, 4e-200], (1, 1), [0.6, 0.8]),
        ([3e200, 4e-200], (1e-200, 1e200), [0.6, 0.8]),
        ([3e-200, 4e200], (1e200, 1e-200), [0.6, 0.8]),
        ([-3e300, 4e300], (1e300, 1e300), [-0.6, 0.8]),
        ([3e-300, 4e-300], (1e-300, 1e-300), [0.6, 0.8]),
        ([5e-324, 0.0], (1, 1), [1, 0]),
        ([1e-300, 1.0], (1, 1e-300), [np.sqrt(0.5), np.sqrt(0.5)]),
        ([1.0, 1.0], (1e308, 1e-308), [1, 0]),
        ([1.0, 1.0], (0, 1e-308), [0, 1]),
    ],
)
def test_directions_of_any_size_are_stretched(direction, factors, expected):
    with np.errstate(all="raise"):
        weight = ridges.stretched([direction, [1.0, 2.0]], factors)
    np.testing.assert_allclose(weight[0], expected, rtol=1e-15, atol=1e-300)
    np.testing.assert_allclose(np.linalg.norm(weight, axis=1), 1, rtol=1e-15)


def test_stretching_random_directions_of_any_size():
    rng = np.random.default_rng(4)
    for _ in range(40):
        direction, factors = rng.normal(size=(5, 3)), rng.uniform(0.1, 9, 3)
        plain = direction * factors / np.linalg.norm(direction * factors, axis=1, keepdims=True)
        sizes = 2.0 ** rng.integers(-1000, 1000, (5, 1))
        scale = 2.0 ** rng.integers(-1000, 1000, 3)
        np.testing.assert_array_equal(ridges.stretched(sizes * direction, factors), plain)
        back = ridges.stretched(direction / scale, factors * scale)
        np.testing.assert_array_equal(back, plain)


@pytest.mark.parametrize("activation", ["abs", "relu"])
def test_quadrature_converges_to_the_kernel_at_second_order(activation):
    exact, counts = by_kernel(X, Y, activation)(NEW), [16, 32, 64, 128, 256]
    errors = []
    for count in counts:
        neurons = ridges.grid(count, count, density=UNIFORM)
        rep = representation.solve(X, Y, activation=activation, neurons=neurons)
        errors.append(np.abs(rep(NEW) - exact).max())
    assert errors[-1] < 2e-4 * np.abs(exact).max()
    assert experiments.fit_exponent(counts, errors).exponent < -1.7


@pytest.mark.parametrize("potential", [Quadratic(), Regularized(Power(4), 1)])
def test_directions_on_a_line_are_one_input(potential):
    problem = {"activation": "relu", "potential": potential}
    neurons = ridges.grid(4, 20_000, density=UNIFORM, stretch=(1, 0))
    flat = representation.solve(X, Y, neurons=neurons, **problem)
    line = variational.solve(X[:, 0], Y, density=UNIFORM, **problem)
    np.testing.assert_allclose(flat(NEW), line(NEW[:, 0]), atol=1e-4 * np.abs(Y).max())


def test_far_reaching_biases_give_the_cubic_radial_spline():
    """As the reach grows, K is |x - x'|^3 with a free affine part; the difference falls as 1/s."""
    spline = interpolate.RBFInterpolator(X, Y, kernel="cubic", degree=1)(NEW)
    reaches = np.array([100.0, 200, 400, 800])
    gaps = [np.abs(by_kernel(X, Y, "abs", s)(NEW) - spline).max() for s in reaches]
    assert experiments.fit_exponent(reaches, gaps).exponent == pytest.approx(-1, abs=0.1)
    assert gaps[-1] < 0.01


def test_errors():
    with pytest.raises(ValueError, match="beyond the reach 1 of the biases"):
        ridges.cubic_kernel(X, [[1.0, 1.0]], reach=1.0)
    with pytest.raises(ValueError, match=r"\(k, D\) and \(l, D\), got \(5, 2\) and \(5, 1\)"):
        ridges.cubic_kernel(X, X[:, :1], reach=2.0)
    with pytest.raises(ValueError, match="activation must be 'abs' or 'relu', got tanh"):
        ridges.cubic_kernel(X, X, reach=2.0, activation="tanh")
    with pytest.raises(ValueError, match="reach must be finite and > 0 and >= 1e-150"):
        ridges.cubic_kernel(X, X, reach=0.0)
    with pytest.raises(ValueError, match="stretch a direction to nothing"):
        ridges.stretched([[0.0, 1.0]], (1, 0))
    with pytest.raises(ValueError, match=r"none negative, got shape \(5, 2\)"):
        ridges.stretched(X, (1, -1))
    with pytest.raises(ValueError, match="angles must be at least 1"):
        ridges.grid(0, 3)
