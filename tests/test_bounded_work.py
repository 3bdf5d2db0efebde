"""What rounding and noise could make endless ends soon: with a status, or refused with a cure."""

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from mflib import _collocation, densities, functionals, representation, variational
from mflib.activations import leaky_relu
from mflib.potentials import Hypentropy, Potential, Power, Regularized
from mflib.variational import _panels, _smoothing
from mflib.variational._dual import DiscreteDual
from mflib.variational._primal_dual import _scale
from mflib.variational._quadrature import LEVELS
from tests.problems import Cosh

B = mp.mpf(4.443)


@pytest.mark.parametrize("octave", [-700.5, -3.5, -0.5, 0.5, 5.5, 800.5])
def test_a_scale_hundreds_of_octaves_away_takes_few_slopes(octave):
    asked = []

    def slope(t):
        asked.append(t)
        return np.log2(t) - octave

    assert abs(np.log2(_scale(slope)) - octave) <= 1
    assert len(asked) <= 25


def test_a_scale_stays_where_the_potential_can_be_inverted():
    def slope(t):
        if t > 100:
            raise ValueError("too far")
        return -1.0

    assert _scale(slope) == 128


@pytest.mark.parametrize(
    ("law", "far", "most"),
    [
        (stats.jf_skew_t(4.838, 6.069), True, 4000),
        (stats.ncf(14.78, 17.95, 1.459), True, 4000),
        (stats.dweibull(3.316), True, 600),
    ],
)
def test_tails_without_digits_have_few_panels(law, far, most):
    panels = _panels.smooth_panels(law, far=far)
    assert len(panels.edges) < most
    assert panels.missing.max() < 1e-12


def test_noise_below_the_certificate_is_not_halved():
    class Noisy(stats.rv_continuous):
        def _pdf(self, x):
            return stats.norm.pdf(x) * (1 + 1e-11 * np.sin(1e9 * x))

        def _stats(self):
            return 0.0, 1.0, 0.0, 0.0

        def _cdf(self, x):
            return stats.norm.cdf(x)

        def _ppf(self, q):
            return stats.norm.ppf(q)

    panels = _panels.smooth_panels(Noisy()())
    assert len(panels.edges) < 400
    assert panels.missing.max() < 1e-11


def test_a_pdf_that_goes_wrong_far_out_is_refused():
    law = stats.tukeylambda(-0.03453)
    with pytest.raises(ValueError, match="pdf that integrates to"):
        variational.solve([2.9], [0.2], activation="abs", density=law)


def test_a_law_too_far_from_zero_for_its_width_is_refused():
    law = stats.vonmises_line(4.5, loc=1.7e9, scale=0.3)
    with pytest.raises(ValueError, match="times its width from"):
        densities.of(law)
    near = densities.of(stats.vonmises_line(4.5, loc=1e4, scale=0.3))
    assert near.moment(1) == pytest.approx(1e4, rel=1e-12)


def test_own_potentials_under_power_tails_end():
    """Here the start went down a thousand octaves, each on all nodes of a noisy tail."""
    h = variational.solve(
        [6.44, 6.454, 6.42],
        [-0.243, 0.592, -0.736],
        activation="abs",
        potential=Cosh(),
        density=stats.jf_skew_t(6.994, 6.207, 6.4503, 0.01847),
    )
    assert h.status is variational.Status.STALLED


class Stuck(_collocation.Walk):
    """A path whose steps stay short."""

    def increments(self, step):
        return np.zeros((7, 1))

    def norm(self, rows):
        return np.ones(len(rows))

    def moved(self, increments):
        return 0.0

    def loss(self):
        return 1.0

    def _error(self, increments):
        return 0.8**_collocation.ORDER


@pytest.mark.parametrize(("start", "ends"), [(0.0, True), (1e3, False)])
def test_a_path_that_hardly_moves_on_ends(start, ends):
    path = Stuck(np.zeros(1), 1.0, 1.0, 1e-9)
    path.time = start
    if ends:
        with pytest.raises(_collocation.NoConvergence):
            path.advance(1e9, progress=False)
        assert path.steps < 2000
    else:
        path.advance(start + 100, progress=False)


def exact_divergence(value, slope, x: float, y: float) -> float:
    with mp.workdps(60):
        a, b = mp.mpf(x), mp.mpf(y)
        return float(value(a) - value(b) - slope(b) * (a - b))


@pytest.mark.parametrize(
    ("phi", "value", "slope"),
    [
        (Cosh(), mp.cosh, mp.sinh),
        (
            Hypentropy(4.443),
            lambda x: x * mp.asinh(x / B) - mp.hypot(x, B),
            lambda x: mp.asinh(x / B),
        ),
    ],
    ids=["own", "hypentropy"],
)
@pytest.mark.parametrize(("x", "y"), [(-6.376, -6.375990037265268), (1e-7, 0.0), (3.0, 3.01)])
def test_divergences_of_close_points_keep_their_digits(phi, value, slope, x, y):
    found = float(phi.bregman(np.array([x]), np.array([y]))[0])
    assert found == pytest.approx(exact_divergence(value, slope, x, y), rel=1e-10, abs=0)


def test_a_corner_of_the_pdf_next_to_a_panels_end_is_found():
    x = [-0.99607, -0.598637, -0.363375, -0.260296, 0.084575, 0.391277]
    y = [-1.101, -1.057, -0.131, -0.68, -1.252, -0.012]
    model = {"potential": Regularized(Power(4), 1), "density": stats.triang(0.4, -1.761, 3.329)}
    h = variational.solve(x, y, **model)
    cost = functionals.relu_cost(h, x, **model).cost
    assert cost == pytest.approx(h.cost, rel=1e-8)


def test_scipy_may_overflow_on_its_way():
    law = stats.hypsecant(-300, 0.3381)
    h = variational.solve([-299.94], [0.324], density=law, ridge=1.0)
    assert h.status is variational.Status.CONVERGED
    narrow = stats.beta(0.9443, 5.574, -300, 0.02961)
    x = [-299.98897626994744, -299.99597385854895]
    assert np.isfinite(representation.kernel(x, activation="abs", density=narrow)).all()


def test_a_cost_whose_integrals_are_rounding_is_refused_soon():
    x = [-241.06625366210938, -261.0355529785156, -256.4859619140625, -254.7206268310547]
    y = [0.122, -0.553, 0.067, 0.921]
    model = {
        "potential": Regularized(Hypentropy(3.981), 4.45),
        "density": stats.chi2(49.12, -300, 0.8792),
    }
    h = variational.solve(x, y, **model)
    with pytest.raises(ValueError, match="no tilt"):
        functionals.relu_cost(h, x, **model)


@pytest.fixture
def evaluations(monkeypatch):
    """The levels at which duals in function space are evaluated."""
    levels, evaluate = [], DiscreteDual.evaluate

    def spy(self, xi, level):
        levels.append(level)
        return evaluate(self, xi, level)

    monkeypatch.setattr(DiscreteDual, "evaluate", spy)
    return levels


def test_newtons_method_ends_where_rounding_takes_its_steps_back(evaluations):
    """It tried fourteen lengths a step, and took thirty steps that left every digit as it was."""
    h = variational.solve(
        [-300.0026031337767, -299.9685171057233, -300.0112178973632, -300.00403035025056],
        [892.068468733221, 891.945468733221, 890.272468733221, 892.674468733221],
        activation=leaky_relu(-0.132),
        potential=Regularized(Power(7.31), 1.574e-4),
        density=stats.tukeylambda(2.269, -300.0, 0.07982),
    )
    assert h.status is variational.Status.STALLED
    assert len(evaluations) <= 150  # of more than five hundred


class Exponential(Potential):
    """Its gradient is bounded on one side: some problems have no solution."""

    def value(self, x):
        return np.exp(x)

    gradient = hessian = value


@pytest.mark.parametrize(("ridge", "most"), [(0.0, 140), (1e-6, 140), ("gcv", 1000)])
def test_lengths_are_counted_over_all_steps(ridge, most, evaluations):
    """Each step is a little shorter than the last, and there were sixty; GCV searched on and on."""
    h = variational.solve(
        [-0.87, 0.33, 0.45, 0.72, 1.03],
        [211.2, 173.6, 197.0, -128.6, 147.6],
        activation=leaky_relu(-0.592),
        potential=Exponential(),
        density=stats.t(21.59),
        ridge=ridge,
    )
    assert h.status is variational.Status.STALLED
    assert len(evaluations) <= most  # of more than 2,600, and 7,500


def test_a_step_too_far_at_any_length_ends_a_search(monkeypatch):
    x, y = np.array([-0.5, 0.1, 0.6]), np.array([0.0, 1.0, 0.0])
    dual = DiscreteDual(x, y, 0.0, Regularized(Power(4), 1), stats.uniform(-1, 2))
    problem = _smoothing.Ridged(dual, np.full(3, 0.1))
    point = problem.at(np.ones(3), np.ones(3), LEVELS[0])

    def too_far(*_):
        raise ValueError

    monkeypatch.setattr(problem, "at", too_far)
    same, steps, tries = _smoothing.reach(problem, point, LEVELS[0], 1e-14)
    assert same is point and steps == 1 and tries < 60  # lost in rounding
    assert _smoothing.reach(problem, point, LEVELS[0], 1e-14, 60, 5)[2] == 5


def test_evaluations_are_counted_in_parameter_space(monkeypatch):
    seen = []

    def length(self, xi, step, initial):
        """A search that takes long, and finds next to nothing."""
        for _ in range(50):
            self.evaluate(xi)
        seen.append(self.evaluations)
        return 1e-9

    monkeypatch.setattr(representation._dual.Dual, "length", length)
    found = representation.solve(
        [-0.5, 0.1, 0.6], [0.0, 1.0, 0.0], potential=Regularized(Power(4), 1)
    )
    assert found.status is representation.Status.STALLED
    assert max(seen) <= 350
