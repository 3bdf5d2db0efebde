"""Ball arithmetic, which is an extra: what proves its digits imports it from here."""

from __future__ import annotations

try:
    from flint import acb, arb, arb_mat, ctx
except ModuleNotFoundError as error:
    if error.name != "flint":
        raise
    raise ModuleNotFoundError(
        "certify needs python-flint, which is not installed: pip install 'mflib[certify]'",
        name="flint",
    ) from None

__all__ = ["acb", "arb", "arb_mat", "ctx"]
