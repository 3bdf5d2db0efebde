"""Torch, which is an extra: what trains, or works on tensors, imports it from here."""

from __future__ import annotations

from typing import Any

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "this part of mflib needs Torch, which is not installed: pip install 'mflib[train]', or "
        "Torch's CPU build by Torch's own instructions, which is much smaller",
        name="torch",
    ) from None

__all__ = ["made", "torch"]


def made(kind: Any, *arguments: Any) -> Any:
    """Make what a pickle says needs Torch."""
    return kind(*arguments)
