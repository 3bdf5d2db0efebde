r"""Linear algebra at O(m) for the dual with a ridge, in the basis of hat functions.

With the Newton matrix M of the dual in that basis (an arrow: tridiagonal, but for the rows and
columns of two global functions), the combination C of values at the data, and a diagonal R > 0,

.. math::

    (M + C R C^\top)\, \xi = C e + g, \qquad \lambda = C^\top \xi,

which is :math:`(K + R)\lambda = e` if g = 0, since :math:`M = C K C^\top`. As it stands this fails:
entries of :math:`C R C^\top` are squares of reciprocal gaps, and where two inputs nearly coincide
they hide all the others. So the slopes become unknowns of their own. With gaps
:math:`d_i = x_{i+1} - x_i` and :math:`h = e - R\lambda`,

.. math::

    d_i S_i = \xi_{i+1} - \xi_i, \qquad d_i k_i = h_{i+1} - h_i, \qquad
    \lambda_i = S_i - S_{i-1}, \qquad k_i - k_{i-1} = (M\xi - g)_i .

In the unknowns :math:`(\xi_i, S_i, k_i)`, interleaved, that is a symmetric system of bandwidth
three, without a reciprocal of a gap. Gaps may even be zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

_XI, _S, _K = range(3)  # the unknowns of a gap, and the equations they are multipliers of


@dataclass(frozen=True)
class Arrow:
    """A symmetric matrix of n hat functions and one or two global ones, which stand last.

    Or several of them, along a first axis of each array.
    """

    bands: np.ndarray  # (3, n): above the diagonal, the diagonal, below, as for solve_banded
    border: np.ndarray  # (n, 2)
    corner: np.ndarray  # (2, 2), or (1, 1) for a single data point

    def __matmul__(self, xi: np.ndarray) -> np.ndarray:
        n = len(self.border)
        hats, rest = xi[:n], xi[n:]
        above, diagonal, below = self.bands.reshape(3, n, *(1,) * (xi.ndim - 1))
        product = diagonal * hats + self.border @ rest
        product[:-1] += above[1:] * hats[1:]
        product[1:] += below[:-1] * hats[:-1]
        return np.concatenate([product, self.border.T @ hats + self.corner @ rest])

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve for a right-hand side: tridiagonal for the hats, a Schur complement for the rest.

        Parameters
        ----------
        right : ndarray, shape (m,) or (m, k)
            Of several matrices, along a first axis, one for each, shape (k, m).

        Returns
        -------
        ndarray of that shape, not finite where a matrix is singular
        """
        n, stack = self.border.shape[-2], self.border.shape[:-2]
        columns = right.reshape(*stack, n + self.corner.shape[-1], -1)
        if n == 0:
            return (inverse_small(self.corner) @ columns).reshape(right.shape)
        # one matrix after the other, without an entry that would couple them
        bands = np.moveaxis(self.bands, -2, 0).copy()
        bands[0, ..., 0] = bands[2, ..., -1] = 0.0
        both = np.concatenate([columns[..., :n, :], self.border], axis=-1)
        try:
            flat = bands.reshape(3, -1), both.reshape(-1, both.shape[-1])
            inner = linalg.solve_banded((1, 1), *flat, check_finite=False).reshape(both.shape)
        except np.linalg.LinAlgError:  # where nothing is left of the curvature
            inner = np.full_like(both, np.nan)
        if len(self.border) > 1 and stack and not np.isfinite(inner).all():  # which is contagious
            return np.concatenate([self[k : k + 1].solve(right[k : k + 1]) for k in range(*stack)])
        inner, response = inner[..., : columns.shape[-1]], inner[..., columns.shape[-1] :]
        transposed = _t(self.border)
        schur = self.corner - transposed @ response
        outer = inverse_small(schur) @ (columns[..., n:, :] - transposed @ inner)
        return np.concatenate([inner - response @ outer, outer], axis=-2).reshape(right.shape)

    def __getitem__(self, rows) -> Arrow:
        """Some of several matrices."""
        return Arrow(self.bands[rows], self.border[rows], self.corner[rows])


def inverse_small(matrix: np.ndarray) -> np.ndarray:
    """Invert symmetric systems of one or two unknowns, scaled to a unit diagonal."""
    scale = 1 / np.sqrt(np.abs(np.diagonal(matrix, axis1=-2, axis2=-1)))[..., None]
    matrix = scale * matrix * _t(scale)
    known = np.isfinite(matrix).all(axis=(-2, -1), keepdims=True)
    inverse = np.linalg.pinv(np.where(known, matrix, 0.0), rcond=2 * np.finfo(float).eps)
    return np.where(known, scale * inverse * _t(scale), np.nan)


class RidgeSystem:
    r"""The factorized system :math:`(M + C R C^\top)\xi = C e + g`, :math:`\lambda = C^\top\xi`.

    Parameters
    ----------
    gaps : ndarray, shape (m - 1,)
        Differences of the increasing inputs, zero where they repeat.
    matrix : Arrow
        M, of size m.
    ridge : ndarray, shape (m,)
        R: positive, or complex with a positive real part, as the stages of an implicit method
        have it.
    """

    def __init__(self, gaps: np.ndarray, matrix: Arrow, ridge: np.ndarray) -> None:
        self.gaps, self.matrix, self.ridge = gaps, matrix, ridge
        if len(gaps):
            self._scales = self._balance()
            self._diagonal, self._beside, self._edge = self._blocks()
            self._factorize()
            self._response = self._banded_solve(self._edge)
            self._inverse = inverse_small(self._corner() - self._edge.T @ self._response)

    def solve(
        self, values: np.ndarray, load: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        r"""Return :math:`\xi` and :math:`\lambda` for values e at the data and a load g.

        Parameters
        ----------
        values : ndarray, shape (m,) or (m, k)
        load : ndarray of that shape
            In the basis: hats first, global functions last.

        Returns
        -------
        xi, multipliers : ndarrays of that shape; not finite where the system is singular
        """
        e = values.reshape(len(values), -1)
        g = np.broadcast_to(load, values.shape).reshape(e.shape)
        if not len(self.gaps):
            xi = inverse_small(self.matrix.corner + self.ridge) @ (e + g)
            return xi.reshape(values.shape), xi.reshape(values.shape)
        n = len(self.matrix.border)
        right = np.zeros((len(self.gaps), 3, e.shape[1]), np.result_type(e, g, self.ridge))
        right[1:, _XI], right[:, _S] = g[:n], -np.diff(e, axis=0)
        ends = g[n:].astype(right.dtype)
        ends[0] += 0.5 * (e[0] + e[-1])
        right *= self._scales[:, None]
        inner = self._banded_solve(right)
        outer = self._inverse @ (ends - self._edge.T @ inner)
        inner = (inner - self._response @ outer).reshape(right.shape) * self._scales[:, None]
        xi = np.concatenate([inner[1:, _XI], outer])
        return xi.reshape(values.shape), self._multipliers(inner, outer).reshape(values.shape)

    def inverse_diagonal(self) -> np.ndarray:
        r"""Return the diagonal of :math:`(K + R)^{-1}`, shape (m,).

        References
        ----------
        :cite:t:`hutchinson1985smoothing` read it off the factors; odd-even elimination
        gets the same blocks with one array operation for each of log m levels.
        """
        if not len(self.gaps):
            return 1 / (np.diag(self.matrix.corner) + self.ridge)
        diagonal, beside = inverse_blocks(self._diagonal, self._beside)
        scale = self._scales[_S] ** 2
        own, next_ = scale * diagonal[:, _S, _S], scale * beside[:, _S, _S]
        result = np.zeros(len(self.ridge), own.dtype)
        result[:-1] += own
        result[1:] += own
        result[1:-1] -= 2 * next_
        # what the global functions add: of rank two
        response = self._response.reshape(len(self.gaps), 3, -1) * self._scales[:, None]
        unit = self._multipliers(-response, np.eye(len(self._inverse)))
        return result + (unit * (self._inverse @ unit.T).T).sum(axis=1)

    def _balance(self) -> np.ndarray:
        """Units of xi, S and k, from the number of neighbours over which the ridge smooths."""
        gap = float(self.gaps.mean()) or 1.0
        ridge = float(np.abs(self.ridge).mean())
        mass = float(np.abs(self.matrix.bands[1]).mean()) if len(self.matrix.border) else 0.0
        reach = (ridge / max(mass * gap**2, 1e-300)) ** 0.25
        reach = float(np.clip(reach, 1.0, len(self.ridge)))
        slope = max(ridge / (reach * gap), mass * reach**3 * gap)
        return np.array([reach**2 * gap, reach, slope or 1.0])

    def _blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The matrix without the global functions, as 3 x 3 blocks, and the columns of those."""
        d, ridge, bands = self.gaps, self.ridge, self.matrix.bands
        count = len(d)
        kind = np.result_type(bands, ridge)
        diagonal, beside = np.zeros((count, 3, 3), kind), np.zeros((count - 1, 3, 3), kind)
        diagonal[1:, _XI, _XI] = bands[1]
        diagonal[:, _S, _S] = ridge[:-1] + ridge[1:]
        diagonal[:, _S, _K] = diagonal[:, _K, _S] = -d
        diagonal[1:, _XI, _K] = diagonal[1:, _K, _XI] = -1.0
        diagonal[0, _XI, _XI] = 1 / self._scales[_XI] ** 2  # no unknown: xi_0 is global
        beside[1:, _XI, _XI] = bands[0, 1:]
        beside[:, _S, _S] = -ridge[1:-1]
        beside[:, _K, _XI] = 1.0
        edge = np.zeros((count, 3, 2), kind)
        edge[1:, _XI] = self.matrix.border
        quarter = 0.25 * d.sum()
        edge[0, _S, 0] += 0.5 * ridge[0]
        edge[-1, _S, 0] -= 0.5 * ridge[-1]
        edge[0, _K] -= [quarter, 0.5]
        edge[-1, _K] += [quarter, -0.5]
        both = self._scales[:, None] * self._scales
        edge = (edge * self._scales[:, None]).reshape(-1, 2)
        return diagonal * both, beside * both, edge

    def _corner(self) -> np.ndarray:
        corner = self.matrix.corner.astype(self._edge.dtype)
        corner[0, 0] += 0.25 * (self.ridge[0] + self.ridge[-1])
        return corner

    def _factorize(self) -> None:
        size = 3 * len(self.gaps)
        bands = np.zeros((10, size), self._diagonal.dtype)  # three rows more, for pivoting
        for (row, column), offset in np.ndenumerate(np.subtract.outer(range(3), range(3))):
            bands[6 + offset, column::3] = self._diagonal[:, row, column]
            if abs(offset - 3) <= 3:
                bands[6 + offset - 3, column + 3 :: 3] = self._beside[:, row, column]
            if abs(3 - offset) <= 3:
                bands[6 - offset + 3, row : size - 3 : 3] = self._beside[:, row, column]
        self._rows = np.zeros(size)
        for k in range(-3, 4):  # each row by its largest entry
            where = slice(max(k, 0), size + min(k, 0))
            row = slice(max(-k, 0), size + min(-k, 0))
            self._rows[row] = np.maximum(self._rows[row], np.abs(bands[6 - k, where]))
        self._rows = 1 / np.where(self._rows > 0, self._rows, 1.0)
        for k in range(-3, 4):
            where = slice(max(k, 0), size + min(k, 0))
            row = slice(max(-k, 0), size + min(-k, 0))
            bands[6 - k, where] *= self._rows[row]
        factorize = _banded("gbtrf", bands.dtype.char)
        self._factors, self._pivots, info = factorize(bands, 3, 3, overwrite_ab=True)
        self._singular = info != 0

    def _banded_solve(self, right: np.ndarray) -> np.ndarray:
        right = self._rows[:, None] * right.reshape(len(self._rows), -1)
        if self._singular or not np.isfinite(right).all():
            return np.full_like(right, np.nan)
        solve = _banded("gbtrs", np.result_type(self._factors, right).char)
        return solve(self._factors, 3, 3, right, self._pivots)[0]

    def _multipliers(self, inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
        half = 0.5 * outer[:1]
        return np.diff(np.concatenate([-half, inner[:, _S], half]), axis=0)


@cache
def _banded(name: str, kind: str):
    """A routine of LAPACK for real or complex numbers, which takes long to look up."""
    return lapack.get_lapack_funcs(name, dtype=kind)


def inverse_blocks(diagonal: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Invert a symmetric block tridiagonal matrix on its diagonal and beside it.

    Every second block is eliminated, all at once; what is left is of the same kind and half as
    long.

    Parameters
    ----------
    diagonal : ndarray, shape (n, b, b)
    beside : ndarray, shape (n - 1, b, b)
        Blocks above the diagonal; those below are their transposes.

    Returns
    -------
    diagonal, beside : ndarrays of these shapes
    """
    if len(diagonal) == 1:
        return np.linalg.inv(diagonal), beside
    inner = np.linalg.inv(diagonal[1::2])
    left = beside[0::2]  # from an eliminated block's neighbour on its left to that block
    right = beside[1::2]  # from the block to its neighbour on the right, which the last may lack
    many = len(right)
    to_left, to_right = inner @ _t(left), inner[:many] @ right
    rest = diagonal[0::2].copy()
    rest[: len(left)] -= left @ to_left
    rest[1:] -= _t(right) @ to_right
    kept, between = inverse_blocks(rest, -left[:many] @ to_right)
    # rows of the inverse of the eliminated blocks
    before, after = -to_left @ kept[: len(left)], np.empty_like(to_right)
    before[:many] -= to_right @ _t(between)
    after[:] = -to_left[:many] @ between - to_right @ kept[1:]
    own = inner - before @ _t(to_left)
    own[:many] -= after @ _t(to_right)
    result, next_ = np.empty_like(diagonal), np.empty_like(beside)
    result[0::2], result[1::2] = kept, own
    next_[0::2], next_[1::2] = _t(before), after
    return result, next_


def _t(blocks: np.ndarray) -> np.ndarray:
    return blocks.swapaxes(-1, -2)
