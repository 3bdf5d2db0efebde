"""The augmented banded system of the ridge, against dense linear algebra."""

import numpy as np
import pytest

from mflib.variational._banded import Arrow, RidgeSystem, inverse_blocks


def arrow(rng, m):
    """A random positive definite arrow, and the same as a dense matrix."""
    n = m - 2
    root = np.tril(np.triu(rng.standard_normal((m, m)), -1))
    root[n:] = rng.standard_normal((2, m))
    dense = root @ root.T + np.diag(rng.uniform(0.1, 1, m))
    bands = np.zeros((3, n))
    bands[1] = np.diag(dense)[:n]
    bands[0, 1:] = bands[2, :-1] = np.diag(dense, 1)[: n - 1]
    return Arrow(bands, dense[:n, n:], dense[n:, n:]), dense


def combination(x):
    """Slope differences, the corrected mean of the ends, and the mean of the end slopes."""
    m, width = len(x), x[-1] - x[0]
    slopes = np.diff(np.eye(m), axis=0) / np.diff(x)[:, None]
    ends = 0.5 * (np.eye(m)[0] + np.eye(m)[-1])
    mean = ends + 0.25 * width * (slopes[0] - slopes[-1])
    return np.vstack([np.diff(slopes, axis=0), mean, 0.5 * (slopes[0] + slopes[-1])])


@pytest.fixture(params=[2, 3, 4, 9, 40])
def problem(request):
    rng = np.random.default_rng(request.param)
    x = np.sort(rng.uniform(-2, 3, request.param))
    matrix, dense = arrow(rng, len(x))
    return rng, x, matrix, dense, rng.uniform(0.1, 2, len(x))


@pytest.mark.parametrize("turn", [1.0, 1 + 2j])
def test_solves_the_dense_system(problem, turn):
    rng, x, matrix, dense, ridge = problem
    ridge, combine = ridge * turn, combination(x)
    values, load = rng.standard_normal((2, len(x), 3))
    xi, multipliers = RidgeSystem(np.diff(x), matrix, ridge).solve(values, load)
    full = dense + combine @ np.diag(ridge) @ combine.T
    expected = np.linalg.solve(full, combine @ values + load)
    np.testing.assert_allclose(xi, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    size = np.abs(combine.T @ expected).max()
    np.testing.assert_allclose(multipliers, combine.T @ expected, rtol=0, atol=1e-9 * size)


@pytest.mark.parametrize("m", [1, 2, 3, 9])
@pytest.mark.parametrize("fault", [0.0, np.nan, np.inf])
def test_one_matrix_without_a_solution_spoils_no_other(m, fault):
    rng = np.random.default_rng(m)
    if m == 1:
        matrices = [(Arrow(np.zeros((3, 0)), np.zeros((0, 1)), a), a) for a in [np.eye(1)] * 5]
    else:
        matrices = [arrow(rng, m) for _ in range(5)]
    parts = [np.stack(arrays) for arrays in zip(*map(vars_of, matrices), strict=True)]
    right = rng.standard_normal((5, m))
    for part in parts:
        part[2] = fault
    parts[0][:, 0, :1] = parts[0][:, 2, -1:] = 7.0  # no entries of the matrix
    with np.errstate(all="ignore"):
        found = Arrow(*parts).solve(right)
    for k, (_, dense) in enumerate(matrices):
        if k != 2:
            np.testing.assert_allclose(found[k], np.linalg.solve(dense, right[k]), rtol=1e-9)
    assert m == 1 or not np.isfinite(found[2]).all()


def vars_of(pair):
    return pair[0].bands, pair[0].border, pair[0].corner


@pytest.mark.parametrize("turn", [1.0, 1 + 2j])
def test_diagonal_of_the_inverse(problem, turn):
    _, x, matrix, dense, ridge = problem
    ridge, back = ridge * turn, np.linalg.inv(combination(x))
    expected = np.diag(np.linalg.inv(back @ dense @ back.T + np.diag(ridge)))
    diagonal = RidgeSystem(np.diff(x), matrix, ridge).inverse_diagonal()
    np.testing.assert_allclose(diagonal, expected, rtol=1e-9)


def test_single_point():
    system = RidgeSystem(np.zeros(0), Arrow(np.zeros((3, 0)), np.zeros((0, 1)), np.eye(1)), [3.0])
    assert system.solve(np.array([8.0]))[1] == 2.0
    assert system.inverse_diagonal() == 0.25


def test_gap_of_zero():
    """Beside a hat of no width, two points at one place are one: the mean, with half the ridge."""
    rng = np.random.default_rng(5)
    x, values = np.array([-0.7, -0.2, 0.4, 0.9, 1.3]), rng.standard_normal(6)
    matrix, _ = arrow(rng, 5)
    bands = np.insert(matrix.bands, 2, 0.0, axis=1)  # the copy's hat couples with nothing,
    bands[0, 2], bands[0, 3] = 0.0, 0.0
    bands[2, 1] = 0.0
    single = matrix.bands.copy()
    single[0, 2] = single[2, 1] = 0.0
    border = np.insert(matrix.border, 2, 0.0, axis=0)
    twice = RidgeSystem(
        np.insert(np.diff(x), 2, 0.0), Arrow(bands, border, matrix.corner), np.ones(6)
    )
    once = RidgeSystem(
        np.diff(x), Arrow(single, matrix.border, matrix.corner), np.array([1.0, 1, 0.5, 1, 1])
    )
    merged = np.concatenate([values[:2], [values[2:4].mean()], values[4:]])
    multipliers, expected = twice.solve(values)[1], once.solve(merged)[1]
    summed = np.concatenate([multipliers[:2], [multipliers[2:4].sum()], multipliers[4:]])
    np.testing.assert_allclose(summed, expected, atol=1e-12)


def test_singular_system_says_so():
    matrix = Arrow(np.zeros((3, 1)), np.zeros((1, 2)), np.eye(2))
    solved = RidgeSystem(np.zeros(2), matrix, np.zeros(3)).solve(np.ones(3))
    assert all(np.isnan(part).all() for part in solved)


def test_inverse_blocks():
    rng = np.random.default_rng(3)
    for count in (1, 2, 3, 8, 13):
        root = rng.standard_normal((3 * count, 3 * count)) * (
            np.abs(np.subtract.outer(np.arange(3 * count) // 3, np.arange(3 * count) // 3)) <= 0
        )
        dense = root @ root.T + 4 * np.eye(3 * count)
        beside = rng.standard_normal((count - 1, 3, 3))
        for i, block in enumerate(beside):
            dense[3 * i : 3 * i + 3, 3 * i + 3 : 3 * i + 6] = block
            dense[3 * i + 3 : 3 * i + 6, 3 * i : 3 * i + 3] = block.T
        blocks = dense.reshape(count, 3, count, 3).swapaxes(1, 2)
        index = np.arange(count)
        got = inverse_blocks(blocks[index, index], beside)
        inverse = np.linalg.inv(dense).reshape(count, 3, count, 3).swapaxes(1, 2)
        np.testing.assert_allclose(got[0], inverse[index, index], atol=1e-10)
        np.testing.assert_allclose(got[1], inverse[index[:-1], index[1:]], atol=1e-10)
