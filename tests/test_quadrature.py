"""The solver's quadrature against distribution functions and integrals in closed form."""

import numpy as np
import pytest
from scipy import stats

from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.variational._panels import smooth_panels
from mflib.variational._quadrature import LEVELS, Pieces, gauss_rule, split
from tests.problems import DENSITIES, Lopsided, mirrored

GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(16)


def panel_errors(density, edges) -> np.ndarray:
    """By how much 16 Gauss nodes miss the mass of each panel."""
    half = 0.5 * np.diff(edges)[:, None]
    t = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * GAUSS
    return np.abs((half * WEIGHTS * density.pdf(t)).sum(axis=1) - np.diff(density.cdf(edges)))


@pytest.mark.parametrize("density", DENSITIES.values(), ids=DENSITIES.keys())
def test_panels_resolve_a_density(density):
    edges = smooth_panels(density).edges
    assert (np.diff(edges) > 0).all()
    assert panel_errors(density, edges).sum() < 1e-12
    assert density.cdf(edges[0]) + density.sf(edges[-1]) < 1e-12


@pytest.mark.parametrize(
    "density",
    [
        *(stats.norm(0, 0.6), stats.norm(50, 1), stats.gumbel_l(3, 0.4), stats.t(3, 1, 0.5)),
        *(stats.t(5, 40, 0.5), stats.expon(-200, 3), stats.t(2.5)),
    ],
    ids=lambda density: density.dist.name,
)
def test_panels_reach_as_far_as_the_second_moment(density):
    edges = smooth_panels(density).edges
    half = 0.5 * np.diff(edges)[:, None]
    t = 0.5 * (edges[1:] + edges[:-1])[:, None] + half * GAUSS
    second = (half * WEIGHTS * density.pdf(t) * t**2).sum()
    assert second == pytest.approx(density.moment(2), rel=1e-8 if density.args[0] == 2.5 else 1e-12)
    other = smooth_panels(mirrored(density)).edges
    np.testing.assert_allclose(other[[0, -1]], -edges[[-1, 0]], rtol=1e-12)


def test_an_infinite_density_is_refused():
    with pytest.raises(ValueError, match=r"infinite pdf at -?1; .*or representation\.solve"):
        smooth_panels(stats.arcsine(-1, 2))


def test_panels_find_every_jump():
    """Histograms with jumps anywhere, also next to a panel's edge, where no node looks."""
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(100):
        jumps = np.sort(rng.uniform(-1, 1, 5))
        density = stats.rv_histogram((rng.uniform(0.5, 2, 4), jumps), density=False)
        worst = max(worst, panel_errors(density, smooth_panels(density).edges).sum())
    assert worst < 1e-12


def test_a_density_frozen_again_is_not_searched_again():
    panels = smooth_panels(stats.norm(0.3, 0.7))
    assert smooth_panels(stats.norm(0.3, 0.7)) is panels
    for other in (stats.norm(0.3, 0.8), stats.norm(0.3, scale=0.7), stats.logistic(0.3, 0.7)):
        assert smooth_panels(other) is not panels


class Stretched(stats.rv_continuous):
    """A family whose name and parameters do not tell its members apart; their bounds do."""

    def _pdf(self, x):
        return np.full_like(x, 1 / (self.b - self.a))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Stretched(a=0, b=1, name="s")(), Stretched(a=0, b=2, name="s")()),
        *[
            tuple(
                stats.rv_histogram(([1.0, 2.0], edges), density=False)(**shift)
                for edges in ([0.0, 0.3, 1.0], [0.0, 0.5, 2.0])
            )
            for shift in ({}, {"loc": 0.1})
        ],
    ],
)
def test_members_of_a_family_keep_their_own_panels(one, other):
    assert smooth_panels(one).edges[-1] != smooth_panels(other).edges[-1]


@pytest.mark.parametrize(
    "potential",
    [
        Quadratic(),
        Regularized(Power(4), 1e-3),
        Regularized(Power(2.5), 0.1),
        Hypentropy(1e-3),
        Lopsided(),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("z_left", "z_right"), [(-1.3, 4.2), (3.0, 0.0), (2.0, 2.5), (-0.7, -9.0)])
def test_alpha_is_integrated_across_its_zeros(potential, z_left, z_right):
    """int alpha dz = alpha phi'(alpha) - phi(alpha), the conjugate of phi."""
    left, right = -0.3, 1.9
    pieces = Pieces(*(np.array([v]) for v in (left, right, z_left, z_right, 0)))
    level = LEVELS[-1]
    t, alpha, weights = gauss_rule(split(pieces, potential, level), potential, level.nodes)
    assert ((left <= t) & (t <= right)).all()
    z = z_left + (z_right - z_left) * (t - left) / (right - left)
    np.testing.assert_allclose(alpha, potential.inverse_mirror(z), rtol=1e-6, atol=1e-12)
    assert weights.sum() == pytest.approx(right - left, rel=1e-12)

    def conjugate(z):
        a = potential.inverse_mirror(np.array([z]))
        return float((z * a - potential.bregman(a, 0.0))[0])

    exact = (conjugate(z_right) - conjugate(z_left)) * (right - left) / (z_right - z_left)
    assert (weights * alpha).sum() == pytest.approx(exact, rel=1e-11)
