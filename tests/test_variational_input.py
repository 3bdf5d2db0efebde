"""Bad input of the function-space solver is named, with its cure."""

import numpy as np
import pytest
from scipy import stats

from mflib import variational
from mflib.potentials import Power
from tests.problems import X, Y


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": Y[:4]}, ValueError, "x and y .*same length, got 5 inputs and 4 targets"),
        ({"x": [], "y": []}, ValueError, "x is empty: give at least one"),
        ({"x": [0.1, 0.2, 0.1, 0.3, 0.4]}, ValueError, r"x contains 0\.1 more than once; average"),
        ({"x": [0.1, np.nan, 0.2, 0.3, 0.4]}, ValueError, "x contains nan; remove or replace"),
        ({"x": [0.1, -np.inf, 0.2, 0.3, 0.4]}, ValueError, "x contains -inf; remove or replace"),
        ({"y": [0.1, np.inf, 0.2, 0.3, 0.4]}, ValueError, "y contains inf; remove or replace"),
        ({"x": "abcde"}, TypeError, "x must be an array of real numbers, got 'abcde'"),
        ({"y": Y * 1j}, TypeError, "y must be an array of real numbers, got"),
        (
            {"x": np.ones((5, 1, 1))},
            ValueError,
            r"x must have shape \(m,\) or \(m, D\).*\(5, 1, 1\)",
        ),
        (
            {"x": np.eye(5)[:, :2] + X[:, None]},
            ValueError,
            r"x .*got 2; use representation\.solve in higher",
        ),
        (
            {"x": X - 1},
            ValueError,
            r"x contains -1\.71, outside the support \[-1, 1\].* and its mirror image: .*Widen",
        ),
        (
            {"activation": "heaviside"},
            ValueError,
            "activation 'heaviside' is unknown; choose one of",
        ),
        (
            {"activation": "tanh"},
            ValueError,
            "activation tanh .*needs 'relu', 'abs' or a leaky ReLU; use representation.solve",
        ),
        ({"activation": None}, TypeError, "activation must be a name or an Activation, got None"),
        ({"potential": "x^2"}, TypeError, r"potential .*'x\^2'; use e\.g\. Quadratic"),
        ({"potential": Power(4)}, ValueError, r"Power\(4\) has Hessian 0 at 0.*use Regularized"),
        ({"potential": Power(1.5)}, ValueError, r"Power\(1\.5\) has Hessian inf at 0.*finite"),
        ({"density": stats.cauchy()}, ValueError, "density .*variance.*lighter tails"),
        ({"density": stats.t(2)}, ValueError, "density .*variance.*inf.*lighter tails"),
        ({"density": stats.t}, TypeError, "density must be a frozen"),
        ({"density": "normal"}, TypeError, "density must be a distribution .*'normal'"),
        (
            {"density": stats.rv_histogram(([1, 0, 1], [-1.5, -0.75, 0.7, 1.5]), density=False)},
            ValueError,
            r"density vanishes between x = -0\.32 and x = 0\.63, .* and cannot .*drop it or change",
        ),
    ],
)
def test_bad_input(change, error, message):
    arguments = {"x": X, "y": Y} | change
    with pytest.raises(error, match=message):
        variational.solve(arguments.pop("x"), arguments.pop("y"), **arguments)


def test_solutions_are_evaluated_at_finite_points_only():
    sol = variational.solve(X, Y)
    for function in (sol, sol.derivative, sol.curvature):
        with pytest.raises(ValueError, match="x contains nan"):
            function([0.1, np.nan])
