"""Sweeps over widths, seeds and potentials, and the exponents they show.

Distances and errors of functions have the unit of the targets; exponents and defects have none.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mflib import densities
from mflib.experiments import _held_out
from mflib.experiments._distances import GRID, distance, rms, superposition_defect
from mflib.experiments._evidence import ClaimWarning, Evidence
from mflib.experiments._exponents import Exponent, Interval, exponent_interval, fit_exponent
from mflib.experiments._risk import Risk, regression_trial, risk
from mflib.experiments._sweep import sweep

if TYPE_CHECKING:  # for type checkers, and for tools.dependencies
    from mflib.experiments._finite_width import lazy_limit, sampling_law, split_error
    from mflib.experiments._trials import trial

__all__ = [
    "GRID",
    "ClaimWarning",
    "Evidence",
    "Exponent",
    "Interval",
    "Risk",
    "distance",
    "exponent_interval",
    "fit_exponent",
    "lazy_limit",
    "regression_trial",
    "risk",
    "rms",
    "sampling_law",
    "split_error",
    "superposition_defect",
    "sweep",
    "trial",
]

# What has networks in it needs Torch, and is imported on first use.
_MODULE = {
    **dict.fromkeys(("lazy_limit", "sampling_law", "split_error"), "_finite_width"),
    "trial": "_trials",
}


# names that go in version 2.0, and what to use
_FORMER = {
    "bend_density": (densities.bend, "densities.bend"),
    "held_out": (_held_out.held_out, "sklearn.model_selection.cross_val_predict"),
    "leave_one_out": (_held_out.leave_one_out, "sklearn.model_selection.LeaveOneOut"),
}


def __getattr__(name: str) -> Any:
    if name in _MODULE:
        return getattr(import_module(f"mflib.experiments.{_MODULE[name]}"), name)
    if name not in _FORMER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value, instead = _FORMER[name]
    message = f"experiments.{name} goes in version 2.0; use {instead}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
