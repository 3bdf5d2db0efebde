"""Sweeps over widths, seeds and potentials, the exponents they show, and tests on held-out data.

Distances and errors of functions have the unit of the targets; exponents and defects have none.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mflib import densities
from mflib.experiments._distances import GRID, distance, superposition_defect
from mflib.experiments._exponents import Exponent, Interval, exponent_interval, fit_exponent
from mflib.experiments._held_out import held_out, leave_one_out, rms
from mflib.experiments._risk import Risk, regression_trial, risk
from mflib.experiments._sweep import sweep

if TYPE_CHECKING:  # for type checkers, and for tools.dependencies
    from mflib.experiments._finite_width import lazy_limit, sampling_law, split_error
    from mflib.experiments._trials import trial

__all__ = [
    "GRID",
    "Exponent",
    "Interval",
    "Risk",
    "distance",
    "exponent_interval",
    "fit_exponent",
    "held_out",
    "lazy_limit",
    "leave_one_out",
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


def __getattr__(name: str) -> Any:
    if name in _MODULE:
        return getattr(import_module(f"mflib.experiments.{_MODULE[name]}"), name)
    if name == "bend_density":
        warnings.warn(
            "experiments.bend_density is now densities.bend, and goes in version 1.0",
            DeprecationWarning,
            stacklevel=2,
        )
        return densities.bend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
