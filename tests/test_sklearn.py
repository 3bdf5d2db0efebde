"""The estimator: units, weights and repeats against the solvers, and scikit-learn's own checks."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import interpolate, sparse, stats
from sklearn import datasets as shipped
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks as checks

from mflib import activations, datasets, representation, variational
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from mflib.sklearn import MirrorFlowRegressor
from tests.plain import Plain, flow

QUARTIC = Regularized(Power(4), 1000)
RNG = np.random.default_rng(7)
X = RNG.uniform(3.0, 11.0, 30).round(1)  # in no order, some of them twice or three times
Y = 50 * np.sin(X) - 7 * X + 400 + 10 * RNG.normal(size=30)
W = RNG.uniform(0.3, 2.0, 30)
FEW = slice(12)
QUERY = np.array([2.0, 3.7, 6.01, 9.3, 12.5])  # the ends are beyond the data


# scikit-learn's own checks


class FirstColumn(MirrorFlowRegressor):
    """The estimator for those checks that come with several columns: it takes the first."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(first(X), y, sample_weight)

    def predict(self, X, return_std=False):
        return super().predict(first(X), return_std)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        tags.regressor_tags.poor_score = True  # of the other columns it knows nothing
        return tags


def first(X):
    if sparse.issparse(X) or (X := np.asarray(X)).ndim != 2:
        return X
    return X[:, :1]


ONE_INPUT = {
    "check_n_features_in": "of one column",
    "check_n_features_in_after_fitting": "of one column",
    "check_fit1d": "one-dimensional inputs are welcome",
    "check_fit2d_predict1d": "one-dimensional inputs are welcome",
}


SHORT = (  # the fit's own state, order and weights; all others see only what is passed around
    checks.check_fit_idempotent,
    checks.check_estimators_pickle,
    checks.check_methods_sample_order_invariance,
    checks.check_sample_weight_equivalence_on_dense_data,
)


# scikit-learn warns of each of its checks that does not apply, and skips it
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@checks.parametrize_with_checks(
    [FirstColumn(amount=0.01)],
    expected_failed_checks=lambda _: ONE_INPUT,
)
def test_the_checks_of_estimators(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", [{}, {"smoothing": None}], ids=str)
@pytest.mark.parametrize("check", SHORT, ids=lambda check: check.__name__)
def test_the_checks_that_another_way_to_smooth_could_fail(check, model):
    check("MirrorFlowRegressor", FirstColumn(**model))


def test_the_checks_of_estimators_of_one_dimension():
    with pytest.warns(SkipTestWarning, match="requires input"):
        checks.check_estimator(MirrorFlowRegressor())


# What is computed, against the solver in parameter space


def by_hand(x, y, w, query, ridge, low, high, **model):
    """The estimator as its docstring describes it, by the other solver and plain least squares."""
    a, b = np.polyfit(x, y, 1, w=np.sqrt(w))
    spread = np.sqrt(np.average((y - a * x - b) ** 2, weights=w))

    def inputs(t):
        return low + (high - low) * (t - x.min()) / np.ptp(x)

    z = (y - a * x - b) / spread
    rep = representation.solve(inputs(x), z, ridge=np.diag(ridge / w), **model)
    return a * query + b + spread * rep(inputs(query))


@pytest.mark.parametrize(
    ("activation", "potential", "density", "support"),
    [
        ("relu", None, None, (-1, 1)),
        ("abs", Hypentropy(3.0), stats.uniform(-3, 5), (-3, 2)),
        (activations.leaky_relu(0.25), QUARTIC, stats.norm(0, 0.8), (-1, 1)),
    ],
    ids=["default", "abs, hypentropy", "leaky, quartic"],
)
def test_against_the_other_solver(activation, potential, density, support):
    x, y, w = X[:12], Y[:12], W[:12]
    model = {"activation": activation, "potential": potential, "density": density}
    fit = MirrorFlowRegressor(**model, amount=0.02).fit(x, y, w)
    expected = by_hand(x, y, w, QUERY, 0.02, *support, **model)
    np.testing.assert_allclose(fit.predict(QUERY), expected, rtol=1e-8)
    assert fit.amount_ == 0.02


@pytest.mark.parametrize("potential", [Quadratic(), QUARTIC], ids=repr)
def test_a_path_against_the_other_solver(potential):
    x, y = X[:12], Y[:12]
    fit = MirrorFlowRegressor("abs", potential, smoothing="stopping", amount=1e3).fit(x, y)
    a, b = np.polyfit(x, y, 1)
    spread = np.std(y - a * x - b)

    def inputs(t):
        return 2 * (t - x.min()) / np.ptp(x) - 1

    z = (y - a * x - b) / spread
    path = representation.trajectory(inputs(x), z, [1e3], activation="abs", potential=potential)
    expected = a * QUERY + b + spread * path(inputs(QUERY))[0]
    np.testing.assert_allclose(fit.predict(QUERY), expected, rtol=1e-6)


def test_without_smoothing_means_of_repeated_inputs_are_met():
    fit = MirrorFlowRegressor("abs", QUARTIC, smoothing=None).fit(X, Y, W)
    means = [np.average(Y[at == X], weights=W[at == X]) for at in X]
    np.testing.assert_allclose(fit.predict(X), means, rtol=1e-9)
    assert fit.amount_ is None and fit.degrees_of_freedom_ == len(np.unique(X)) < 30


class Linear:
    """The estimator for the quadratic, which is linear in y, by the line and one kernel."""

    def __init__(self, x, w, *, support=(-1, 1), **model):
        self.w, self.ends, self.support = w, (x.min(), np.ptp(x)), support
        self.x = self.inputs(x)
        self.plain = Plain(self.x, **model)
        basis = np.stack([np.ones(len(x)), self.x], axis=1)
        self.line = np.linalg.solve(basis.T * w @ basis, basis.T * w)
        self.rest = np.eye(len(x)) - basis @ self.line

    def inputs(self, t):
        low, high = self.support
        return low + (high - low) * (t - self.ends[0]) / self.ends[1]

    def curve(self, kind, amount):
        """From what the line leaves to multipliers."""
        K, m = self.plain.kernel(), len(self.x)
        if kind == "stopping":
            return flow(K, amount / m)
        return np.linalg.inv(K + np.diag(amount / self.w))

    def response(self, t, kind, amount):
        """The derivative of predictions at t in y."""
        t = self.inputs(t)
        line = np.stack([np.ones(len(t)), t], axis=1) @ self.line
        return line + self.plain.kernel(t) @ self.curve(kind, amount) @ self.rest

    def hat(self, kind, amount):
        """That of the curve alone, at the data."""
        return self.plain.kernel() @ self.curve(kind, amount)

    def gcv(self, y, kind, amount):
        """With 1.2 degrees of freedom for each."""
        hat, z, m = self.hat(kind, amount), self.rest @ y, len(y)
        left = m - 1.2 * max(np.trace(hat), 2.0)
        return self.w @ (z - hat @ z) ** 2 / left**2 if left > 0 else np.inf

    def left_out(self, y, kind, amount):
        """Of the curve alone: that of the line is the same for all amounts."""
        hat, z = self.hat(kind, amount), self.rest @ y
        return self.w @ ((z - hat @ z) / (1 - np.diag(hat))) ** 2


EXPONENTIAL = stats.expon(-0.9, 0.8)  # whose support ends on one side only


@pytest.mark.parametrize("few", [1000, 5], ids=["few", "many"])
@pytest.mark.parametrize(
    ("model", "smoothing", "amount", "weighted", "support"),
    [
        ({}, "ridge", 0.02, True, (-1, 1)),
        ({"activation": "abs", "density": stats.uniform(-3, 5)}, "ridge", 3.0, True, (-3, 2)),
        ({"density": EXPONENTIAL}, "ridge", 0.5, False, (-1, 1)),
        ({"potential": Quadratic().at_scale(30.0)}, "ridge", 3e-5, True, (-1, 1)),
        ({"activation": "abs"}, "stopping", 3e3, False, (-1, 1)),
    ],
)
def test_every_number_is_linear_algebra(
    monkeypatch, model, smoothing, amount, weighted, support, few
):
    """Repeated inputs in no order, with and without weights; of many data traces are added."""
    monkeypatch.setattr("mflib.sklearn._regressor.FEW", few)
    x, y, w = X[:20], Y[:20], W[:20] if weighted else np.ones(20)
    fit = MirrorFlowRegressor(**model, smoothing=smoothing, amount=amount)
    fit.fit(x[:9], y[:9])
    assert fit.degrees_of_freedom_ > 0 and fit.noise_ != 0  # forgotten with the next fit
    fit.fit(x, y, w if weighted else None)
    linear = Linear(x, w, support=support, **model)
    own, places = linear.response(x, smoothing, amount), np.append(QUERY, x[3])
    mean, std = fit.predict(places, return_std=True)
    response = linear.response(places, smoothing, amount)
    np.testing.assert_allclose(mean, response @ y, rtol=1e-7)
    freedom = np.trace(own) if few > 20 else 2 + np.trace(linear.hat(smoothing, amount))
    assert fit.amount_ == amount and fit.degrees_of_freedom_ == pytest.approx(freedom, rel=1e-6)
    noise = np.sqrt(w @ (y - own @ y) ** 2 / (20 - freedom))
    assert fit.noise_ == pytest.approx(noise, rel=1e-6)
    np.testing.assert_allclose(std, noise * np.sqrt(response**2 @ (1 / w)), rtol=1e-5)
    scale = np.sqrt(np.average((linear.rest @ y) ** 2, weights=w))
    z = fit.solution_(linear.inputs(places))
    z = z.ravel()
    expected = linear.plain.kernel(linear.inputs(places)) @ linear.curve(smoothing, amount)
    np.testing.assert_allclose(z, expected @ linear.rest @ y / scale, rtol=1e-5, atol=1e-7)


STEPS = 10.0 ** np.array([-2, -1, -0.5, -0.25, 0.25, 0.5, 1, 2])


@pytest.mark.parametrize("few", [1000, 5], ids=["few", "many"])
@pytest.mark.parametrize(
    ("smoothing", "noise", "weighted"),
    [
        ("ridge", 40.0, True),
        ("ridge", 40.0, False),
        ("ridge", 10.0, True),
        ("stopping", 10.0, False),
    ],
)
def test_the_chosen_amount_is_the_least_of_its_neighbours(
    monkeypatch, smoothing, noise, weighted, few
):
    """In GCV that counts a fifth more; with little noise in the error of leaving one out."""
    monkeypatch.setattr("mflib.sklearn._smoothing.FEW", few)
    x, w = X[:20] + 0.01 * np.arange(20), W[:20] if weighted else np.full(20, 3.0)
    y = 50 * np.sin(x) + noise * np.random.default_rng(3).normal(size=20) / np.sqrt(w)
    fit = MirrorFlowRegressor(smoothing=smoothing).fit(x, y, w)
    linear = Linear(x, w)
    if not weighted and few == 5 and smoothing == "ridge":  # the solver chooses, by plain GCV
        z = linear.rest @ y / np.sqrt(np.average((linear.rest @ y) ** 2, weights=w))
        ridge = variational.solve(linear.x, z, ridge="gcv").ridge
        assert fit.amount_ == pytest.approx(3 * ridge, rel=1e-3)
        return
    decides = smoothing == "ridge" and noise == 10 and few > 20
    score = linear.left_out if decides else linear.gcv
    best = score(y, smoothing, fit.amount_)
    assert all(best <= score(y, smoothing, s * fit.amount_) * (1 + 1e-6) for s in STEPS)


def test_time_is_cross_validated_as_the_same_time_for_each_datum():
    x, y = X[:15], Y[:15]
    folds = list(KFold(3, shuffle=True, random_state=0).split(x))
    chosen = MirrorFlowRegressor(smoothing="stopping", amount="cv", cv=3).fit(x, y).amount_

    def score(time):
        errors = []
        for train, test in folds:
            model = MirrorFlowRegressor(smoothing="stopping", amount=time * len(train) / 15)
            errors.append(model.fit(x[train], y[train]).predict(x[test]) - y[test])
        return np.sum(np.concatenate(errors) ** 2)

    best = score(chosen)
    assert all(best <= score(s * chosen) * (1 + 1e-6) for s in STEPS)


def test_no_more_folds_than_data():
    """Of which one leaves the others on a line."""
    x, y = np.arange(5.0), np.array([1.0, 2.0, 3.0, 4.0, 7.0])
    each = [MirrorFlowRegressor(amount="cv", cv=cv).fit(x, y) for cv in (20, LeaveOneOut())]
    assert each[0].amount_ == pytest.approx(each[1].amount_, rel=1e-9)


# Units


@pytest.mark.parametrize("smoothing", ["ridge", "stopping", None])
@pytest.mark.parametrize("potential", [None, QUARTIC, Hypentropy(1.0)], ids=repr)
def test_units_do_not_matter_nor_does_a_line(smoothing, potential):
    x, y = X[FEW], Y[FEW]
    model = MirrorFlowRegressor("abs", potential, smoothing=smoothing, amount=30.0)
    plain = model.fit(x, y).predict(QUERY)
    moved = model.fit(1e5 * x - 4e6, 1e-3 * y + 8 * x - 90).predict(1e5 * QUERY - 4e6)
    np.testing.assert_allclose(moved, 1e-3 * plain + 8 * QUERY - 90, rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_any_unit_that_is_a_number(unit):
    x, y = X[FEW], Y[FEW]
    plain, std = MirrorFlowRegressor().fit(x, y).predict(QUERY, return_std=True)
    fit = MirrorFlowRegressor().fit(unit * x, unit / 100 * y)
    far, std_far = fit.predict(unit * QUERY, return_std=True)
    np.testing.assert_allclose(far, unit / 100 * plain, rtol=1e-7)
    np.testing.assert_allclose(std_far, unit / 100 * std, rtol=1e-7)


# Weights


@pytest.mark.parametrize("smoothing", ["ridge", None])
def test_a_weight_of_two_is_worth_two_data(smoothing):
    counts = np.arange(30) % 4  # some of weight zero
    model = MirrorFlowRegressor(potential=QUARTIC, smoothing=smoothing, amount=0.05)
    weighted = model.fit(X, Y, counts).predict(QUERY)
    repeated = model.fit(np.repeat(X, counts), np.repeat(Y, counts)).predict(QUERY)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-7)


def test_two_equal_data_tell_of_less_noise_than_one_of_weight_two():
    """As the docstring of `fit` says: GCV is about the data as they came."""
    x, y = X[FEW], Y[FEW]
    weighted = MirrorFlowRegressor().fit(x, y, np.full(12, 2.0))
    repeated = MirrorFlowRegressor().fit(np.repeat(x, 2), np.repeat(y, 2))
    assert repeated.amount_ < 0.1 * weighted.amount_
    assert repeated.noise_ < 0.5 * weighted.noise_


@pytest.mark.parametrize("amount", ["gcv", "cv"])
def test_the_unit_of_weights_does_not_matter(amount):
    x, y, w = X[FEW], Y[FEW], W[FEW]
    model = MirrorFlowRegressor(amount=amount, cv=2)
    curves = [model.fit(x, y, c * w).predict(QUERY, return_std=True) for c in (1, 10)]
    np.testing.assert_allclose(*curves, rtol=1e-3)
    even = [model.fit(x, y, w).predict(QUERY, return_std=True) for w in (None, np.full(12, 3.0))]
    np.testing.assert_allclose(*even, rtol=1e-3)


# Standard errors


@pytest.mark.parametrize(
    ("model", "w"),
    [
        ({"amount": 0.02}, None),
        ({"amount": 0.02}, W[FEW]),
        ({"smoothing": "stopping", "amount": 3e3}, None),
    ],
    ids=["ridge", "ridge, weighted", "stopping"],
)
def test_standard_errors_against_differences(model, w):
    """For x^2 predictions are linear in y: their derivative is a difference."""
    x, y = X[FEW], Y[FEW]
    weights = np.ones(12) if w is None else w
    model = MirrorFlowRegressor(**model)
    places = np.concatenate([QUERY, x])
    mean, std = model.fit(x, y, w).predict(places, return_std=True)
    moved = [model.fit(x, y + 10 * e, w).predict(places) - mean for e in np.eye(12)]
    derivative = np.array(moved) / 10
    fit = model.fit(x, y, w)
    freedom = np.trace(derivative[:, 5:])
    assert fit.degrees_of_freedom_ == pytest.approx(freedom, rel=1e-6)
    noise = np.sqrt(weights @ (y - fit.predict(x)) ** 2 / (12 - freedom))
    assert fit.noise_ == pytest.approx(noise, rel=1e-6)
    expected = noise * np.sqrt((derivative**2 / weights[:, None]).sum(axis=0))
    np.testing.assert_allclose(std, expected, rtol=1e-6)


@pytest.mark.parametrize("model", [{}, {"smoothing": "stopping", "amount": 1e5}], ids=str)
def test_noise_and_standard_errors_cover(model):
    """Noise of known size is found, and two standard errors reach the truth nine times in ten."""
    x, rng = np.linspace(0, 10, 100), np.random.default_rng(3)
    found, covered = [], []
    for _ in range(4):
        y = np.sin(x) + 0.2 * rng.normal(size=100)
        fit = MirrorFlowRegressor(**model).fit(x, y)
        mean, std = fit.predict(x, return_std=True)
        found.append(fit.noise_)
        covered.append(np.abs(mean - np.sin(x)) < 2 * std)
    assert np.mean(found) == pytest.approx(0.2, rel=0.08)  # of 400 data: rel. error 0.04
    assert 0.85 < np.mean(covered) < 0.995


def test_many_standard_errors_come_in_slices(monkeypatch):
    fit = MirrorFlowRegressor(amount=0.02).fit(X, Y)
    whole = fit.predict(QUERY, return_std=True)[1]
    monkeypatch.setattr("mflib.sklearn._regressor._CHUNK", 50)  # a row at a time
    np.testing.assert_allclose(fit.predict(QUERY, return_std=True)[1], whole, rtol=1e-12)


# The amount of smoothing


def test_cross_validation_against_that_of_scikit_learn():
    x, y = X[:15], Y[:15]
    folds = KFold(3, shuffle=True, random_state=0)
    chosen = MirrorFlowRegressor(amount="cv", cv=3).fit(x, y).amount_

    def score(amount):
        model = MirrorFlowRegressor(amount=amount)
        errors = cross_val_predict(model, x, y, cv=folds) - y
        return errors @ errors

    others = chosen * 10.0 ** np.array([-3, -1, -0.25, 0.25, 1, 3])
    assert score(chosen) <= min(map(score, others)) * (1 + 1e-9)
    same = MirrorFlowRegressor(amount="cv", cv=list(folds.split(x))).fit(x, y)
    assert same.amount_ == pytest.approx(chosen)


def test_cross_validation_weighs_what_it_leaves_out():
    """Half of the data say little, and are far off."""
    rng = np.random.default_rng(5)
    x, w = np.sort(rng.uniform(-1, 1, 24)), np.tile([1.0, 1e-3], 12)
    y = np.sin(5 * x) + rng.normal(size=24) * 0.1 / np.sqrt(w)
    splits = list(KFold(3, shuffle=True, random_state=0).split(x))
    chosen = MirrorFlowRegressor(amount="cv", cv=3).fit(x, y, w).amount_

    def score(amount, shares):
        total = 0.0
        for train, test in splits:
            part = MirrorFlowRegressor(amount=amount).fit(x[train], y[train], w[train])
            total += (part.predict(x[test]) - y[test]) ** 2 @ shares[test]
        return total

    others = chosen * 10.0 ** np.array([-3, -1, -0.25, 0.25, 1, 3])
    least, plain = (min(score(amount, s) for amount in others) for s in (w, np.ones(24)))
    assert score(chosen, w) <= least * (1 + 1e-9)
    assert score(chosen, np.ones(24)) > plain  # which would choose another


@pytest.mark.parametrize("amount", ["gcv", "cv"])
def test_time_is_chosen_as_well(amount):
    x = np.linspace(0, 6, 24)
    truth = np.sin(x)
    y = truth + 0.1 * np.random.default_rng(1).normal(size=24)
    error = {}
    for smoothing in ("ridge", "stopping"):
        fit = MirrorFlowRegressor(smoothing=smoothing, amount=amount, cv=2).fit(x, y)
        error[smoothing] = np.sqrt(np.mean((fit.predict(x) - truth) ** 2))
    assert error["stopping"] < 1.2 * error["ridge"] < 0.1
    assert 1 < fit.amount_ < 1e10


@pytest.mark.parametrize("seed", [52, 61, 70, 76])
def test_noise_is_not_interpolated(seed):
    """Plain GCV spends 6.8 to 10 degrees of freedom on these ten data."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 1, 10)
    y = np.sin(4 * x) + 0.3 * rng.normal(size=10)
    assert MirrorFlowRegressor().fit(x, y).degrees_of_freedom_ < 5


# In natural units, with no argument


def smoothing_spline(x, y):
    """SciPy's, with its own GCV, on the means of repeated inputs."""
    inputs, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    means = np.bincount(index, y) / counts
    return interpolate.make_smoothing_spline(inputs, means, w=counts.astype(float))


def test_forty_temperatures_by_year():
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(3):
        years = rng.choice(np.arange(1980, 2021), 40)  # unsorted, with repeats
        truth = 14_000 + 20 * (years - 1980) + 250 * np.sin((years - 1980) / 7)
        values = truth + 100 * rng.normal(size=40)
        fit = MirrorFlowRegressor().fit(years, values)
        error = np.sqrt(np.mean((fit.predict(years) - truth) ** 2))
        assert error < 80 and 60 < fit.noise_ < 140
        spline = smoothing_spline(years, values)(years)
        ratios.append(error / np.sqrt(np.mean((spline - truth) ** 2)))
    assert np.exp(np.mean(np.log(ratios))) < 1.05


def natural_units():
    """Four data sets that come with mflib and with scikit-learn, in their units."""
    tumours, patients = shipped.load_breast_cancer(), shipped.load_diabetes(scaled=False)
    return {
        "titanium": datasets.titanium(),
        "motorcycle": datasets.motorcycle(),
        "diabetes": (patients.data[::4, 2], patients.target[::4]),  # body mass index, progression
        "tumours": (tumours.data[::5, 0], tumours.data[::5, 3]),  # radius, area
    }


@pytest.mark.parametrize("name", natural_units())
def test_shipped_data_in_their_units(name):
    x, y = natural_units()[name]
    ours, theirs = [], []
    for train, test in KFold(3, shuffle=True, random_state=0).split(x):
        known = x[train]  # to extrapolate is another matter
        test = test[(known.min() <= x[test]) & (x[test] <= known.max())]
        ours.append(MirrorFlowRegressor().fit(known, y[train]).predict(x[test]) - y[test])
        theirs.append(smoothing_spline(known, y[train])(x[test]) - y[test])
    assert np.linalg.norm(np.concatenate(ours)) < 1.1 * np.linalg.norm(np.concatenate(theirs))


# At home in scikit-learn


def test_one_dimension_a_column_and_a_table_are_the_same():
    plain = MirrorFlowRegressor(amount=0.02).fit(X, Y).predict(QUERY)
    table = pd.DataFrame({"year": X})
    for inputs, query in (
        (X[:, None], QUERY[:, None]),
        (X.tolist(), QUERY.tolist()),
        (table, pd.DataFrame({"year": QUERY})),
        (table.year.rename(index=lambda i: 2 * i + 5), pd.Series(QUERY)),
    ):
        fit = MirrorFlowRegressor(amount=0.02).fit(inputs, pd.Series(Y))
        np.testing.assert_array_equal(fit.predict(query), plain)
        assert fit.n_features_in_ == 1
    fit = MirrorFlowRegressor(amount=0.02).fit(table, Y)
    assert fit.feature_names_in_ == ["year"]
    with pytest.raises(ValueError, match="feature names should match"):
        fit.predict(pd.DataFrame({"month": QUERY}))


def test_clones_and_pickles():
    model = MirrorFlowRegressor("abs", QUARTIC, stats.norm(0, 0.5), amount=0.02)
    copy = clone(model)
    assert copy.potential == QUARTIC and copy.get_params().keys() == model.get_params().keys()
    fit = model.fit(X, Y)
    again = pickle.loads(pickle.dumps(fit))
    curves = [f.predict(QUERY, return_std=True) for f in (fit, again)]
    np.testing.assert_array_equal(*curves)
    np.testing.assert_array_equal(copy.fit(X, Y).predict(QUERY), fit.predict(QUERY))


def test_a_grid_of_potentials():
    potentials = [Quadratic(), Hypentropy(10.0)]
    x, y = X[:15], Y[:15]
    grid = {"potential": potentials, "activation": ["relu", "abs"]}
    folds = KFold(3, shuffle=True, random_state=1)
    search = GridSearchCV(MirrorFlowRegressor(amount=0.02), grid, cv=folds).fit(x, y)
    assert search.best_params_["potential"] in potentials
    scores = [
        cross_val_score(MirrorFlowRegressor(a, p, amount=0.02), x, y, cv=folds).mean()
        for a in grid["activation"]
        for p in potentials
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], scores, rtol=1e-12)
    assert search.best_score_ == max(scores)


def test_a_pipeline_and_its_score():
    model = make_pipeline(FunctionTransformer(np.log), MirrorFlowRegressor())
    score = model.fit(X[:, None], Y).score(X[:, None], Y)
    errors = MirrorFlowRegressor().fit(np.log(X), Y).predict(np.log(X)) - Y
    assert score == pytest.approx(1 - errors.var() / Y.var() - errors.mean() ** 2 / Y.var())


# Awkward data


@pytest.mark.parametrize("smoothing", ["ridge", "stopping", None])
@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([2000], [7e3], [7e3, 7e3]),
        ([2000, 2010], [7e3, 8e3], [7.5e3, 9e3]),
        ([2000, 2010, 2010, 2000], [1, 2, 4, 3], [2.5, 4.0]),  # the line through two means
        ([2000] * 4, [7, 8, 9, 8], [8, 8]),
        ([2000, 2001, 2007], [5, 5, 5], [5, 5]),
        ([2000, 2001, 2007], [1e6, 1.1e6, 1.7e6], [1.5e6, 3e6]),
    ],
    ids=["one", "two", "two inputs", "one input", "all equal", "on a line"],
)
def test_data_that_leave_nothing_to_bend(x, y, expected, smoothing):
    fit = MirrorFlowRegressor(smoothing=smoothing).fit(x, y)
    np.testing.assert_allclose(fit.predict([2005, 2020]), expected, rtol=1e-12)
    assert fit.solution_ is None
    assert fit.degrees_of_freedom_ == min(2, len(np.unique(x)))


@pytest.mark.parametrize("m", [3, 4, 5, 8])
def test_few_data(m):
    fit = MirrorFlowRegressor().fit(X[:m], Y[:m])
    assert np.isfinite(fit.predict(QUERY)).all()
    assert 2 <= fit.degrees_of_freedom_ <= m


def test_a_noise_without_degrees_of_freedom_is_not_a_number():
    fit = MirrorFlowRegressor().fit([1, 2], [3, 4])
    assert np.isnan(fit.noise_) and np.isnan(fit.predict([1.5], return_std=True)[1]).all()


GOOD = {"X": X, "y": Y, "sample_weight": W}
BAD = [
    ({}, {"X": np.where(X[3] == X, np.nan, X)}, "X contains NaN"),
    ({}, {"X": np.where(X[3] == X, np.inf, X)}, "X contains infinity"),
    ({}, {"y": np.where(Y[3] == Y, np.nan, Y)}, "y contains NaN"),
    ({}, {"X": X[:9]}, "inconsistent numbers of samples"),
    ({}, {"X": np.stack([X, X], axis=1)}, "X has 2 features, and the curve has one input"),
    ({}, {"X": []}, "0 sample"),
    ({}, {"y": np.stack([Y, Y], axis=1)}, "y should be a 1d array"),
    ({}, {"sample_weight": W[:9]}, r"sample_weight must have shape \(30,\), .* got \(9,\)"),
    ({}, {"sample_weight": -W}, rf"must not be negative.*from {-W.max():g} to {-W.min():g}\."),
    ({}, {"sample_weight": 0 * W}, "sample_weight must not be .*zero everywhere"),
    ({}, {"sample_weight": np.nan * W}, "sample_weight contains nan"),
    ({"smoothing": "spline"}, {}, "smoothing must be 'ridge', 'stopping' or None, got 'spline'"),
    ({"smoothing": "stopping"}, {}, "smoothing='stopping' takes no different weights"),
    ({"amount": -1.0}, {}, "amount must be finite and > 0 .*got -1.0"),
    ({"amount": np.nan}, {}, "amount must be finite .*got nan"),
    ({"amount": "aic"}, {}, "amount must be 'gcv', 'cv' or a number, got 'aic'"),
    ({"amount": "cv", "cv": 1}, {}, "cv must be at least 2, got 1"),
    ({"amount": "cv", "cv": ()}, {}, r"cv must split the data at least once, got \(\)\."),
    ({"activation": "tanh"}, {}, "activation must be 'relu', 'abs' or a leaky ReLU, got 'tanh'"),
    ({"activation": "tanh"}, {"y": 0 * Y}, "activation must be 'relu', .* got 'tanh'"),
    ({"potential": Power(4)}, {"y": 0 * Y}, "Hessian 0 at 0"),
    ({"potential": Power(4)}, {}, "Hessian 0 at 0"),
    ({"density": stats.t(2)}, {}, "density must have a finite positive variance"),
]


@pytest.mark.parametrize(("model", "data", "message"), BAD, ids=[row[2] for row in BAD])
def test_bad_input(model, data, message):
    with pytest.raises(ValueError, match=message):
        MirrorFlowRegressor(**model).fit(**GOOD | data)


def test_bad_kinds():
    with pytest.raises(TypeError, match="potential must be a Potential, got 'power'"):
        MirrorFlowRegressor(potential="power").fit(X, Y)
    with pytest.raises(TypeError, match="amount must be a real number, got None"):
        MirrorFlowRegressor(amount=None).fit(X, Y)
    with pytest.raises(NotFittedError):
        MirrorFlowRegressor().predict(QUERY)
    fit = MirrorFlowRegressor(smoothing=None).fit(X, Y)
    with pytest.raises(TypeError, match="return_std must be True or False, got 'yes'"):
        fit.predict(QUERY, return_std="yes")
    with pytest.raises(ValueError, match="return_std=True needs smoothing"):
        fit.predict(QUERY, return_std=True)
    with pytest.raises(ValueError, match="X has 2 features"):
        fit.predict(np.ones((3, 2)))


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import mflib.sklearn"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd()
    )
    assert (
        'ImportError: mflib.sklearn needs scikit-learn: pip install "mflib[sklearn]"' in run.stderr
    )


def test_beyond_a_thousand_data_the_solver_chooses():
    x = np.linspace(0, 1, 1200)
    y = np.sin(6 * x) + 0.3 * np.random.default_rng(0).standard_normal(1200)
    model = MirrorFlowRegressor().fit(x, y)
    assert np.sqrt(np.mean((model.predict(x) - np.sin(6 * x)) ** 2)) < 0.05
    assert 3 < model.degrees_of_freedom_ < 30
