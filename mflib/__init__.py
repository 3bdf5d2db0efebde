"""The implicit bias of mirror flow for wide shallow networks.

What is trained:

- ``ShallowNetwork``, and its ``activations``; ``mirror_flow``, which follows the flow,
- ``MirrorDescent``, an optimizer of Torch for any model,
- ``potentials`` and ``mirror_maps``, the geometries of both.

What that learns as the width grows:

- ``variational``: one input, in function space; ``representation``: any activation, any neurons,
- ``densities`` of the kinks, which both take,
- ``functionals``, what a function costs; ``ridges``, for several inputs.

Around it: ``datasets``, ``experiments`` over widths and seeds, ``plotting``, and
``mflib.sklearn``, a regressor of scikit-learn.

Each has a page of its own, such as ``help(mflib.variational.solve)``.

All numbers are double precision and without units. Each module says which of its quantities go with
the unit of the inputs x, which with that of the targets y, and what time means.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers, and for tools.dependencies
    from mflib import (
        activations,
        datasets,
        densities,
        experiments,
        functionals,
        mirror_maps,
        plotting,
        potentials,
        representation,
        ridges,
        variational,
    )
    from mflib.descent import MirrorDescent
    from mflib.flow import Flow, FlowStatus, mirror_flow
    from mflib.networks import ShallowNetwork

__version__ = "1.0.0"

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

# Everything is imported on first use: what trains needs Torch, what draws needs Matplotlib.
# Names that are not in this table are modules.
_MODULE = {
    "Flow": "mflib.flow",
    "FlowStatus": "mflib.flow",
    "MirrorDescent": "mflib.descent",
    "ShallowNetwork": "mflib.networks",
    "mirror_flow": "mflib.flow",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mflib' has no attribute {name!r}")
    if name in _MODULE:
        return getattr(import_module(_MODULE[name]), name)
    return import_module(f"mflib.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
