"""mflib: the implicit bias of mirror flow for wide shallow networks.

All numbers are double precision and without units. Each module says which of its quantities go with
the unit of the inputs x, which with that of the targets y, and what time means.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mflib import (
    activations,
    datasets,
    densities,
    functionals,
    mirror_maps,
    potentials,
    variational,
)

if TYPE_CHECKING:
    from mflib.descent import MirrorDescent
    from mflib.flow import Flow, FlowStatus, mirror_flow
    from mflib.networks import ShallowNetwork

__version__ = "0.1.0"

__all__ = [
    "Flow",
    "FlowStatus",
    "MirrorDescent",
    "ShallowNetwork",
    "activations",
    "datasets",
    "densities",
    "experiments",
    "functionals",
    "mirror_flow",
    "mirror_maps",
    "plotting",
    "potentials",
    "representation",
    "ridges",
    "variational",
]

# What trains needs Torch, what draws needs Matplotlib: both are imported on first use.
_LAZY = {
    "Flow": "mflib.flow",
    "FlowStatus": "mflib.flow",
    "MirrorDescent": "mflib.descent",
    "ShallowNetwork": "mflib.networks",
    "experiments": "mflib.experiments",
    "mirror_flow": "mflib.flow",
    "plotting": "mflib.plotting",
    "representation": "mflib.representation",
    "ridges": "mflib.ridges",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'mflib' has no attribute {name!r}")
    module = import_module(_LAZY[name])
    return module if _LAZY[name] == f"mflib.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
