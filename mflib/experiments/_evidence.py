"""Claims beside what was observed, with the kind of evidence in view."""

from __future__ import annotations

import html
import math
import os
import reprlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mflib._validation import count, number, real_array

#: Each kind of evidence with its sign.
KINDS = {"network against theory": "≈", "solver against solver": "⇄", "identity": "≡"}
_UNSEEN = 1e-3, 1e-6  # of what is allowed, of the theory: errors that are none to a reader
_ROUNDING = 1e-6  # relative: what differs by less is equal
_WHOLE = 1e-9  # relative: what is nearer to a whole number is shown as one
STRICT = "MFLIB_CLAIMS"  # where this variable of the environment is "strict", no claim may fail


class ClaimWarning(UserWarning):
    """A claim that belongs to the published values does not hold for these.

    References
    ----------
    Used in :ref:`mirror-flow`.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     evidence = Evidence("network against theory").claim("slope", -0.7, -0.5, atol=0.1)
    >>> print(caught[0].message)
    slope: theory -0.500, observed -0.700, not within 0.1. The book's values are; yours are not.
    """


@dataclass(frozen=True)
class _Row:
    what: str
    theory: str
    observed: str
    within: str
    holds: bool

    @property
    def cells(self) -> tuple[str, ...]:
        return self.what, self.theory, self.observed, self.within + ("" if self.holds else " ✗")


class Evidence:
    r"""A table of claims of one kind, each with what was observed and how far apart they may be.

    In a notebook the last line of a cell shows it. A claim that does not hold says so with its
    numbers. An identity then stops the run by an ``AssertionError``. What depends on the values
    that a chapter was published with only warns, by a :class:`ClaimWarning`: who changes a value
    goes on and sees what came of it. With the variable ``MFLIB_CLAIMS=strict`` in the environment,
    as in the tests of the book, every claim stops the run.

    Parameters
    ----------
    kind : {"network against theory", "solver against solver", "identity"}
        What supports the claims: training compared with a limit; two computations of the same,
        which share no code; or a formula that holds up to rounding.
    theory, observed : str
        Heads of the two columns of numbers.

    Raises
    ------
    ValueError
        If there is no such kind.

    References
    ----------
    How the chapters use it: :ref:`mirror-flow`.

    Examples
    --------
    >>> evidence = Evidence("network against theory")
    >>> for power, slope in ((2, -1.997), (4, -2.03)):
    ...     _ = evidence.claim(f"x^{power}: exponent", slope, -2, atol=0.1)
    >>> evidence.claim("smallest curvature", 0.31, above=0)
    ≈ network against theory
                          theory  observed  within
    x^2: exponent             -2     -2.00   ± 0.1
    x^4: exponent             -2     -2.03   ± 0.1
    smallest curvature               0.310     > 0
    """

    def __init__(self, kind: str, *, theory: str = "theory", observed: str = "observed"):
        if not isinstance(kind, str) or kind not in KINDS:
            kinds = ", ".join(map(repr, KINDS))
            raise ValueError(f"kind must be one of {kinds}, got {reprlib.repr(kind)}.")
        for name, head in (("theory", theory), ("observed", observed)):
            if not isinstance(head, str):
                raise TypeError(f"{name} must be the head of a column, got {reprlib.repr(head)}.")
        self.kind, self.heads = kind, (theory, observed)
        self._rows: list[_Row] = []

    def claim(
        self,
        what: str,
        observed: ArrayLike,
        theory: ArrayLike | None = None,
        *,
        atol: float = 0.0,
        rtol: float = 0.0,
        above: float | None = None,
        below: float | None = None,
        digits: int = 3,
    ) -> Evidence:
        r"""Add one claim: that two numbers agree, or that one lies between bounds.

        Parameters
        ----------
        what : str
            Names the quantity, for the reader.
        observed : float or array-like
            Of an array the entry that is worst off is shown: the one that fails, or that takes the
            largest share of what is allowed, or has the least room to a bound. An error below a
            thousandth of what is allowed, or a millionth of the theory (the largest, with atol),
            counts as none. Of entries that are equal but for rounding the one of the largest theory
            is shown, and of several of these the first.
        theory : float or array-like, optional
            What observed is to be up to atol + rtol \|theory\|.
        atol, rtol : float
            The absolute and the relative difference that are allowed.
        above, below : float, optional
            Bounds of observed, in place of theory: above < observed < below.
        digits : int
            Significant digits that are shown. With 0, only the bound: for what is rounding.

        Returns
        -------
        Evidence
            The table itself, so that claims can follow one another.

        Raises
        ------
        AssertionError
            If the claim does not hold, and is an identity or the environment says "strict".
        ValueError
            If there is neither theory nor a bound, or both, or shapes do not match.
        TypeError
            If something is no number.

        Warns
        -----
        ClaimWarning
            If the claim does not hold otherwise.
        """
        if not isinstance(what, str):
            raise TypeError(f"what must name the quantity, got {reprlib.repr(what)}.")
        digits = count("digits", digits, least=0)
        if theory is None:
            row = self._bounded(what, observed, above, below, digits)
        elif above is None and below is None:
            row = self._close(what, observed, theory, atol, rtol, digits)
        else:
            raise ValueError("give theory, or above and below, not both.")
        self._rows.append(row)
        if not row.holds:
            self._complain(row)
        return self

    def _bounded(self, what: str, observed: Any, above: Any, below: Any, digits: int) -> _Row:
        if above is None and below is None:
            raise ValueError("theory is missing; give it, or a bound by above or below.")
        low = -math.inf if above is None else number("above", above, cure="it is a bound")
        high = math.inf if below is None else number("below", below, cure="it is a bound")
        values = _nonempty("observed", observed).ravel()
        room = np.minimum(values - low, high - values)
        worst = float(values[_largest(-room).argmax()])
        within = " and ".join(
            f"{sign} {bound:g}" for sign, bound in ((">", low), ("<", high)) if math.isfinite(bound)
        )
        holds = bool(low < worst < high)
        return _Row(
            what, "", _shown(worst, digits or 3) if digits or not holds else "", within, holds
        )

    @staticmethod
    def _close(
        what: str, observed: Any, theory: Any, atol: float, rtol: float, digits: int
    ) -> _Row:
        atol = number("atol", atol, least=0.0, cure="it is a distance")
        rtol = number("rtol", rtol, least=0.0, cure="it is a relative distance")
        seen, expected = _nonempty("observed", observed), _nonempty("theory", theory)
        try:
            seen, expected = (a.ravel() for a in np.broadcast_arrays(seen, expected))
        except ValueError:
            raise ValueError(
                f"observed and theory must have one shape, got {seen.shape} and {expected.shape}."
            ) from None
        error, most = np.abs(seen - expected), atol + rtol * np.abs(expected)
        holds = bool((error <= most).all())
        size = np.abs(expected)
        beside = np.full_like(size, size.max()) if atol else size
        bad = _largest(_shares(error, most, beside) if holds else error - most)
        worst = _largest(np.where(bad, size, -1.0)).argmax()
        allowed = [f"{atol:g}"] if atol or not rtol else []
        allowed += [f"{100 * rtol:g} %" if rtol >= 1e-3 else f"{rtol:g} of it"] if rtol else []
        left, right = (_shown(float(v), digits or 3) for v in (expected[worst], seen[worst]))
        right = right if digits or not holds else ""
        return _Row(what, left, right, f"± {' ± '.join(allowed)}", holds)

    def _complain(self, row: _Row) -> None:
        theory, seen = self.heads
        parts = [f"{theory} {row.theory}"] if row.theory else []
        parts += [f"{seen} {row.observed}", f"not {row.within.replace('± ', 'within ', 1)}"]
        message = f"{row.what}: {', '.join(parts)}."
        if self.kind == "identity":
            raise AssertionError(f"{message} It is an identity: one of its sides is wrong.")
        if os.environ.get(STRICT) == "strict":
            raise AssertionError(message)
        comment = "The book's values are; yours are not."
        warnings.warn(f"{message} {comment}", ClaimWarning, stacklevel=3)

    @property
    def holds(self) -> bool:
        """Whether every claim holds."""
        return all(row.holds for row in self._rows)

    def _table(self) -> list[tuple[str, ...]]:
        """Return the head and the rows, without a column of theory where no row has any."""
        rows = [("", *self.heads, "within"), *(row.cells for row in self._rows)]
        keep = [i for i in range(4) if i in (0, 3) or any(row[i] for row in rows[1:])]
        return [tuple(row[i] for i in keep) for row in rows]

    def __repr__(self) -> str:
        table = self._table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [f"{KINDS[self.kind]} {self.kind}"]
        for first, *rest in table:
            numbers = (f"{cell:>{w}}" for cell, w in zip(rest, widths[1:], strict=True))
            lines.append("  ".join([f"{first:<{widths[0]}}", *numbers]))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *rows = ([html.escape(cell) for cell in row] for row in self._table())
        name = self.kind.partition(" ")[0]
        icon = f'<span class="icon" aria-hidden="true">{KINDS[self.kind]}</span>'
        lines = [f'<table class="evidence {name}">', f"<caption>{icon} {self.kind}</caption>"]
        heads = "".join(f'<th scope="col">{cell}</th>' for cell in head[1:])
        lines += [f"<thead><tr><td></td>{heads}</tr></thead>", "<tbody>"]
        for first, *rest in rows:
            cells = "".join(f"<td>{cell}</td>" for cell in rest)
            lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
        return "\n".join([*lines, "</tbody>", "</table>"])


def _shares(error: np.ndarray, most: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Return errors as shares of the most that is allowed.

    An error that is rounding differs from machine to machine, and so would the largest of several:
    those that nobody would see are none. What is then left to chance is an error so near to that
    bound, or to a millionth less than the largest, that rounding takes it across.
    """
    seen = error > np.maximum(_UNSEEN[0] * most, _UNSEEN[1] * beside)
    return np.divide(error, most, out=np.zeros_like(error), where=seen)


def _largest(values: np.ndarray) -> np.ndarray:
    """Tell which entries are the largest but for rounding; NaN counts as the largest."""
    return np.isclose(values, values.max(), rtol=_ROUNDING, atol=0.0, equal_nan=True)


def _nonempty(name: str, value: Any) -> np.ndarray:
    array = real_array(name, value)
    if not array.size:
        raise ValueError(f"{name} is empty; there is nothing to compare.")
    return array


def _shown(value: float, digits: int) -> str:
    """Return a number with significant digits; whole numbers, but for rounding, without a point."""
    whole = math.isfinite(value) and (
        abs(value) >= 10**digits or abs(value - round(value)) <= _WHOLE * abs(value)
    )
    shown = f"{value:.0f}" if whole and abs(value) < 1e7 else f"{value:#.{digits}g}"
    return shown.rstrip(".").replace(".e", "e")
