"""The estimator: what scikit-learn asks of one, around a problem in scaled units."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import KFold, check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from mflib import activations, densities
from mflib._validation import count, finite_array, flag, number
from mflib.potentials import check_at_zero
from mflib.sklearn._scaled import Scaled
from mflib.sklearn._smoothing import FEW, SMOOTHERS, Interpolation, by_gcv, least

_CHUNK = 10**7  # entries of a Jacobian at once


class MirrorFlowRegressor(RegressorMixin, BaseEstimator):
    r"""The function that an infinitely wide network learns from noisy data.

    The data are first made free of units: x is mapped onto the support of the kinks, and of y only
    the distance from its least-squares line is learned, divided by its standard deviation s. In
    these units, of targets z, the curve solves

    .. math::

        \min_\alpha \int D_\varphi(\alpha, 0)\, d\mu
        + \sum_i \frac{w_i}{2 \rho} \Bigl(z_i - \int \alpha\, \sigma(w x_i - b)\, d\mu\Bigr)^2,

    with the ridge :math:`\rho` as the amount of smoothing, or is the network stopped at a time, or
    the interpolant. The prediction is the line plus s times the curve, so that a change of units,
    or a line added to y, changes predictions by just that.

    Parameters
    ----------
    activation : str or PiecewiseLinear
        "relu", "abs", "leaky_relu" or ``activations.leaky_relu(slope)``.
    potential : Potential, optional
        The scaled potential; ``Quadratic()`` if not given. It acts on the scaled problem, where a
        curve with few bends over the range of the data has :math:`\alpha` of 10 to 100.
    density : distribution, or what :func:`mflib.densities.of` takes, optional
        Distribution of the kinks; uniform if not given. The range of x is mapped onto its support,
        and onto [-1, 1] if that is infinite.
    smoothing : "ridge", "stopping" or None
        A ridge; training stopped in time; none, which meets the means of repeated inputs.
    amount : "gcv", "cv" or float
        The ridge, or the time, in the units of the scaled problem; or chosen by generalised
        cross-validation [1]_, or by cross-validation. Of up to 1,000 data the former counts 1.2
        degrees of freedom for each [2]_, lest it interpolate noise; but where the error of leaving
        one out could be smaller by a fifth, that decides.
    cv : int or splitter of scikit-learn
        For ``amount="cv"``; a number stands for so many shuffled folds with a fixed seed. To
        choose a time this follows one path for each fold, a search by hand one for each fold and
        each time.

    Attributes
    ----------
    amount_ : float
        The ridge or the time that was given or chosen; None without smoothing.
    degrees_of_freedom_ : float
        Trace of the derivative of the fitted values with respect to y, those of the line among
        them. From 1,001 data on the curve's and the line's are added without what they share, at
        most 2.
    noise_ : float
        Standard deviation of the noise of a datum of weight 1,
        :math:`\sqrt{\mathrm{RSS}/(m - \mathrm{df})}`; NaN where no degree of freedom is left.
    solution_ : Solution or path
        What was solved in scaled units; None if the data are on a line.
    n_features_in_ : int
        Always 1.

    References
    ----------
    How it does on measurements: :ref:`real-data`. The penalised problem: eq. :eq:`eq-traj-ridge`.

    .. [1] :cite:t:`craven1979smoothing`
    .. [2] :cite:t:`kim2004smoothing`

    Examples
    --------
    >>> years, values = [2003, 2001, 2000, 2002, 2001, 2004], [5e3, 2e3, 1e3, 3e3, 3e3, 5e3]
    >>> model = MirrorFlowRegressor(smoothing=None).fit(years, values)
    >>> model.predict([2001, 2003]).round(3).tolist()  # the mean of two values, and a value
    [2500.0, 5000.0]
    """

    def __init__(
        self,
        activation="relu",
        potential=None,
        density=None,
        *,
        smoothing="ridge",
        amount="gcv",
        cv=5,
    ) -> None:
        self.activation = activation
        self.potential = potential
        self.density = density
        self.smoothing = smoothing
        self.amount = amount
        self.cv = cv

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MirrorFlowRegressor:
        """Fit the curve.

        Parameters
        ----------
        X : array-like, shape (m,) or (m, 1)
            Inputs, in any order, repeated or not.
        y : array-like, shape (m,)
            Targets.
        sample_weight : array-like, shape (m,), optional
            Precisions, not negative: inverse variances of the noise, where the amount is chosen up
            to a factor. With a given amount, a datum of weight 2 makes the same curve as two equal
            ones of weight 1. But cross-validation and the estimate of the noise are about the data
            as they came: two equal ones say that there is hardly any noise, and one of twice the
            precision does not. Repeat only what was measured again.

        Returns
        -------
        MirrorFlowRegressor
            The estimator itself.

        Raises
        ------
        ValueError
            If the data are empty, of different lengths, not finite or of several inputs, or a
            parameter is none of those above.
        """
        smooth, amount = self._checked_smoothing()
        column, y = validate_data(self, _column(X), y, dtype=np.float64, y_numeric=True)
        data = _counted(_only(column), finite_array("y", y), sample_weight)
        x, targets, w = data
        self._scaled = scaled = Scaled.of(x, targets, w, smooth.model["density"])
        self.amount_, self.solution_ = amount, None
        if scaled.bent and amount == "gcv":
            self.amount_, self.solution_ = by_gcv(smooth, scaled)
        elif scaled.bent:
            if amount == "cv":
                self.amount_ = self._cross_validated(smooth, *data)
            self.solution_ = smooth.solve(scaled, self.amount_)
        for name in ("degrees_of_freedom_", "noise_"):  # of an earlier fit
            self.__dict__.pop(name, None)
        self._errors = targets - self._evaluate(scaled.t)
        return self

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        r"""Evaluate the curve.

        Parameters
        ----------
        X : array-like, shape (k,) or (k, 1)
            Inputs; beyond the data the curve goes on in a straight line.
        return_std : bool
            Whether to return the standard error of the curve as well,
            :math:`\hat\sigma \lVert \partial h(x) / \partial y \rVert` with
            :math:`\hat\sigma` = `noise_`. It knows of noise, not of the bias of smoothing. After a
            search such as ``GridSearchCV``, whose own ``predict`` takes no such option, ask
            ``search.best_estimator_.predict(X, return_std=True)``.

        Returns
        -------
        y : ndarray, shape (k,)
        std : ndarray, shape (k,), only if asked for

        Raises
        ------
        NotFittedError
            If there was no fit.
        ValueError
            If the inputs are not finite or several, or if a standard error is asked for where
            nothing was smoothed.
        """
        check_is_fitted(self)
        column = validate_data(self, _column(X), reset=False, dtype=np.float64)
        t = self._scaled.inputs(_only(column))
        y = self._evaluate(t)
        if not flag("return_std", return_std):
            return y
        if self.amount_ is None:
            raise ValueError(
                "return_std=True needs smoothing, since an interpolant leaves nothing to tell the "
                "noise by; use smoothing='ridge'."
            )
        return y, self.noise_ * self._response(t)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; potentials and densities are values, and not opened.

        Parameters
        ----------
        deep : bool
            Without effect.

        Returns
        -------
        dict
        """
        return super().get_params(deep=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False  # but for a single column
        return tags

    def _checked_smoothing(self) -> tuple[Any, Any]:
        """Return what smooths, and by how much: a number, "gcv", "cv" or None."""
        if not isinstance(activations.get(self.activation), activations.PiecewiseLinear):
            raise ValueError(
                f"activation must be 'relu', 'abs' or a leaky ReLU, got {self.activation!r}: the "
                "curve is that of units with kinks; others are served by representation.solve."
            )
        if self.potential is not None:
            check_at_zero(self.potential)
        model = {
            "activation": self.activation,
            "potential": self.potential,
            "density": densities.of(self.density),
        }
        named = isinstance(self.smoothing, str) and self.smoothing in SMOOTHERS
        if not named and self.smoothing is not None:
            raise ValueError(
                f"smoothing must be 'ridge', 'stopping' or None, got {self.smoothing!r}."
            )
        if self.smoothing is None:
            return Interpolation(model), None
        smooth = SMOOTHERS[self.smoothing](model)
        if isinstance(self.amount, str):
            if self.amount not in ("gcv", "cv"):
                raise ValueError(f"amount must be 'gcv', 'cv' or a number, got {self.amount!r}.")
            return smooth, self.amount
        cure = "it is a ridge or a time; 'gcv' chooses one"
        return smooth, number("amount", self.amount, above=0.0, cure=cure)

    def _cross_validated(self, smooth: Any, x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        """Choose the amount of least error on data that the fits have not seen."""
        folds = self.cv
        if isinstance(folds, str) or not (hasattr(folds, "split") or np.iterable(folds)):
            parts = min(count("cv", folds, least=2), len(x))
            folds = KFold(parts, shuffle=True, random_state=0)
        splits = list(check_cv(folds).split(x[:, None], y))
        if not splits:
            raise ValueError(f"cv must split the data at least once, got {self.cv!r}.")

        def score(amounts: np.ndarray) -> np.ndarray:
            total = np.zeros(len(amounts))
            for train, test in splits:
                part = Scaled.of(x[train], y[train], w[train], smooth.model["density"])
                t = part.inputs(x[test])
                h = smooth.curves(part, amounts, len(x), t) if part.bent else 0.0 * amounts[:, None]
                total += (part.targets(t, h) - y[test]) ** 2 @ w[test]
            return total

        return least(score, smooth, w)

    @cached_property
    def degrees_of_freedom_(self) -> float:
        """The trace of the derivative of the fitted values with respect to y."""
        check_is_fitted(self)
        scaled, h = self._scaled, self.solution_
        if h is None:
            return scaled.rank
        if self.amount_ is None:
            return float(len(np.unique(scaled.t)))
        if len(scaled.t) <= FEW:
            return float(np.trace(scaled.response(scaled.t, h)))
        return float(scaled.rank + h.degrees_of_freedom)

    @cached_property
    def noise_(self) -> float:
        """The standard deviation of the noise of a datum of weight 1."""
        left = len(self._errors) - self.degrees_of_freedom_
        if not left > 1e-9 * len(self._errors):
            return np.nan
        size = np.abs(self._errors).max() or 1.0  # squares must not overflow
        return float(size * np.sqrt(self._scaled.w @ (self._errors / size) ** 2 / left))

    def _evaluate(self, t: np.ndarray) -> np.ndarray:
        return self._scaled.targets(t, 0.0 if self.solution_ is None else self.solution_(t))

    def _response(self, t: np.ndarray) -> np.ndarray:
        """The norm of the derivative of h(t) with respect to y, in units of the data's noise."""
        scaled, result = self._scaled, np.empty(len(t))
        rows = 1 + _CHUNK // len(scaled.t)
        for first in range(0, len(t), rows):
            part = slice(first, first + rows)
            response = scaled.response(t[part], self.solution_)
            result[part] = np.sqrt(response**2 @ (1 / scaled.w))
        return result


def _column(X: Any) -> Any:
    """Make a column of one-dimensional inputs; what is neither is left to scikit-learn."""
    shaped = X if hasattr(X, "ndim") else np.asarray(X)
    return X if sparse.issparse(X) or shaped.ndim != 1 else np.asarray(X).reshape(-1, 1)


def _only(X: np.ndarray) -> np.ndarray:
    if X.shape[1] != 1:
        raise ValueError(
            f"X has {X.shape[1]} features, and the curve has one input: give one column."
        )
    return X[:, 0]


def _counted(x: np.ndarray, y: np.ndarray, w: ArrayLike | None) -> tuple[np.ndarray, ...]:
    """Return the data of positive weight, with their weights."""
    if w is None:
        return x, y, np.ones(len(x))
    w = finite_array("sample_weight", w)
    if w.shape != x.shape:
        raise ValueError(
            f"sample_weight must have shape {x.shape}, one for each datum, got {w.shape}."
        )
    if (w < 0).any() or not (w > 0).any():
        raise ValueError(
            "sample_weight must not be negative, nor zero everywhere; got weights from "
            f"{w.min():g} to {w.max():g}."
        )
    return x[w > 0], y[w > 0], w[w > 0]
