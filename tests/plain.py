"""Problems on so many units that it makes no difference, by their definitions."""

import numpy as np
from scipy import linalg, stats

from mflib import activations
from mflib.potentials import Quadratic
from tests.problems import JUMPS

QUERY = np.array([-1.4, -0.9, -0.41, -0.05, 0.17, 0.5, 0.77, 1.23])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


class Plain:
    """The problem on so many units that it makes no difference, by its definition."""

    def __init__(self, x, *, activation="relu", potential=None, density=None):
        self.x, self.sigma = np.asarray(x), activations.get(activation)
        self.phi, density = potential or Quadratic(), density or stats.uniform(-1, 2)
        low, high = density.support()
        low, high = max(low, -12.0), min(high, 12.0)
        known = [*self.x, *QUERY, *JUMPS, *np.arange(-2.0, 2.0, 0.05), low, high]
        edges = np.unique(np.concatenate([known, np.negative(known), np.linspace(low, high, 600)]))
        edges = edges[(low <= edges) & (edges <= high)]
        half = 0.5 * np.diff(edges)[:, None]
        b = (edges[:-1, None] + half * (1 + NODES)).ravel()
        self.mass = np.tile((half * WEIGHTS).ravel() * density.pdf(b) / 2, 2)
        self.w, self.b = np.repeat([1.0, -1.0], len(b)), np.tile(b, 2)

    def features(self, t):
        return self.sigma(np.outer(self.w, t) - self.b[:, None])

    def kernel(self, t=None):
        """By definition for the quadratic; (len(t), m)."""
        other = self.features(self.x if t is None else t)
        curvature = float(self.phi.hessian(np.zeros(1))[0])
        return (other.T * self.mass) @ self.features(self.x) / curvature

    def alpha(self, multipliers):
        z = self.features(self.x) @ multipliers
        return z, self.phi.inverse_gradient(z + self.phi.gradient(np.zeros(1)))

    def h(self, multipliers, t=None):
        return (self.mass * self.alpha(multipliers)[1]) @ self.features(self.x if t is None else t)

    def cost(self, multipliers):
        return self.mass @ self.phi.bregman(self.alpha(multipliers)[1], np.zeros(1))

    def gap(self, multipliers, y, ridge):
        """Of the primal and the dual value; of the cost alone where all must be met."""
        z, alpha = self.alpha(multipliers)
        dual = multipliers @ y - self.mass @ (z * alpha) + self.cost(multipliers)
        if not np.any(ridge):
            return abs(self.cost(multipliers) - dual)
        misfit = 0.5 * np.sum((y - self.h(multipliers)) ** 2 / ridge)
        return self.cost(multipliers) + misfit - dual + 0.5 * multipliers @ (ridge * multipliers)


def flow(K, t):
    """Integral of exp(-s K) from 0 to t: what the path makes of the targets."""
    m = len(K)
    block = np.block([[-K, np.eye(m)], [np.zeros((m, 2 * m))]])
    return linalg.expm(t * block)[:m, m:]
