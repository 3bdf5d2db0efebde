"""Sweeps over widths, seeds and potentials, the exponents they show, and tests on held-out data.

Distances and errors of functions have the unit of the targets; exponents and defects have none.
"""

import warnings
from typing import Any

from mflib import densities
from mflib.experiments._distances import GRID, distance, superposition_defect
from mflib.experiments._exponents import Exponent, Interval, exponent_interval, fit_exponent
from mflib.experiments._finite_width import lazy_limit, sampling_law, split_error
from mflib.experiments._held_out import held_out, leave_one_out, rms
from mflib.experiments._sweep import sweep
from mflib.experiments._trials import trial

__all__ = [
    "GRID",
    "Exponent",
    "Interval",
    "distance",
    "exponent_interval",
    "fit_exponent",
    "held_out",
    "lazy_limit",
    "leave_one_out",
    "rms",
    "sampling_law",
    "split_error",
    "superposition_defect",
    "sweep",
    "trial",
]


def __getattr__(name: str) -> Any:
    if name == "bend_density":
        warnings.warn(
            "experiments.bend_density is now densities.bend, and goes in version 1.0",
            DeprecationWarning,
            stacklevel=2,
        )
        return densities.bend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
