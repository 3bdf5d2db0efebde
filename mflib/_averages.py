r"""Averages over the sizes of input weights, and tables of them.

For a potential with :math:`\alpha(s) = (\varphi')^{-1}(\varphi'(0) + s)` and a law of
:math:`\rho > 0` this is about :math:`F(\zeta) = E[\rho\, \alpha(\rho \zeta)]`, over all orders of
magnitude. In :math:`\log \rho` a change of :math:`\zeta` is a shift, so one set of Gauss nodes
serves every :math:`\zeta`; it is a law itself, and its averaged potential is one, exactly. In
:math:`\log \zeta` the average is smooth, so few polynomials stand for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.polynomial.legendre import leggauss

Array = Any

_NODES, _WEIGHTS = leggauss(16)
_QUANTILES = np.array([1e-6, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-6])
_TRIALS = 4.0 ** np.arange(-36, 37)  # fields, in units of one over the median
_BELOW = 40.0  # e^-40 of the median and less: sizes that change nothing
_MOST_ATOMS = 4096
_MOST_ROUGH = 60  # panels at once: alpha is noise
_TOLERANCE = 2e-15
_STEEP = 8.0  # powers of the field by which alpha grows where the tail is looked at


class Sizes(NamedTuple):
    """Points and masses that stand for a law of sizes; each of shape (J,)."""

    rho: np.ndarray
    mass: np.ndarray


@np.errstate(all="ignore")
def sizes(law: Any, alpha: Callable[[np.ndarray], np.ndarray], blur: float = 0.0) -> Sizes:
    """Return a rule for averages of rho * alpha(rho * zeta), for every zeta, or raise.

    blur : what rounding leaves unknown of a field, where phi'(0) is not 0.
    """
    zeta = _trials(alpha, float(law.ppf(0.5) or law.ppf(0.9)))
    rule, is_cut = _atoms(law) if hasattr(law, "pmf") else _gauss(law, alpha, zeta, blur)
    terms = rule.mass[:, None] * rule.rho[:, None] * np.abs(alpha(rule.rho[:, None] * zeta))
    total = terms.sum(axis=0)
    if is_cut:  # what goes on beyond the last point must not matter
        mild = _growth(alpha, zeta * float(law.ppf(0.5))) < _STEEP
        last = rule.rho >= 0.5 * rule.rho.max()
        small = (terms[last].sum(axis=0) <= 1e-13 * total) & np.isfinite(total)
        if not small[mild].all():
            raise ValueError(
                "law has tails too heavy for this potential: E[phi*(rho zeta)] is infinite, or "
                "beyond double precision; choose lighter tails, as stats.halfnorm(), or a "
                "potential that grows faster than a square."
            )
    seen = np.isfinite(total) & (total > 0)
    matters = (terms[:, seen] > 1e-19 * total[seen]).any(axis=1)
    return Sizes(rule.rho[matters], rule.mass[matters])


def _trials(alpha: Callable, median: float) -> np.ndarray:
    """Fields that a rule is tried on: close to each other where alpha grows faster than a power."""
    steep = _growth(alpha, _TRIALS) > 1.5
    between = _TRIALS[steep, None] * 4.0 ** (np.arange(1, 32) / 32)
    return np.union1d(_TRIALS, between) / median


def _growth(alpha: Callable, s: np.ndarray) -> np.ndarray:
    """The power of the field by which alpha grows there."""
    return np.log(np.abs(alpha(4 * s) / alpha(s))) / np.log(4)


def _atoms(law: Any) -> tuple[Sizes, bool]:
    low, high = (float(end) for end in law.support())
    family = getattr(law, "dist", law)
    if hasattr(family, "xk"):  # values of its own, in place of integers
        rho = np.sort(np.ravel(family.xk)) + (low - np.min(family.xk))
    else:
        rho = low + np.arange(min(high - low, _MOST_ATOMS - 1) + 1)
    mass = np.asarray(law.pmf(rho), dtype=float)
    return Sizes(rho[mass > 0], mass[mass > 0]), rho[-1] < high


def _gauss(law: Any, alpha: Callable, zeta: np.ndarray, blur: float) -> tuple[Sizes, bool]:
    """Gauss panels in log rho, halved until every trial field sees the same."""
    low, high = (float(end) for end in law.support())
    known = np.asarray(law.ppf(_QUANTILES), dtype=float)
    median = float(known[len(known) // 2])
    start = np.log(max(low, median * np.exp(-_BELOW)))
    stop = np.log(high) if np.isfinite(high) else np.log(_farthest(law, median))
    inner = np.log(known[known > 0])
    edges = np.unique([start, *inner[(start < inner) & (inner < stop)], stop])
    total, done = None, []
    pending = np.stack([edges[:-1], edges[1:]], axis=1)
    for _ in range(60):
        middle = pending.mean(axis=1)
        halves = np.stack([pending[:, 0], middle, middle, pending[:, 1]], axis=1).reshape(-1, 2)
        whole = _integrals(law, alpha, zeta, pending)
        parts = _integrals(law, alpha, zeta, halves).reshape(-1, 2, whole.shape[1]).sum(axis=1)
        if total is None:
            total = np.append(parts[:, :-1].sum(axis=0), 1.0)
            seen = np.isfinite(total) & (total > 0)
        error = np.abs(whole - parts)[:, seen] / total[seen]
        allowed = np.append(_TOLERANCE + blur / (zeta * median), _TOLERANCE)[seen]
        rough = ~(error <= allowed).all(axis=1) & (pending[:, 1] - pending[:, 0] > 1e-13)
        done.append(pending[~rough])
        if not rough.any() or rough.sum() > _MOST_ROUGH:
            break
        pending = halves.reshape(-1, 2, 2)[rough].reshape(-1, 2)
    rho, mass = _points(law, np.concatenate([*done, pending[rough]]))
    expected = 1 - float(law.cdf(np.exp(start)))
    if not abs(mass.sum() - expected) <= 1e-10:
        raise ValueError(
            f"law has mass {mass.sum():.10g} on Gauss nodes and {expected:.10g} by its cdf: its "
            "pdf is infinite somewhere, or does not fit; use one with a bounded pdf."
        )
    return Sizes(rho.ravel(), mass.ravel()), not np.isfinite(high)


def _farthest(law: Any, median: float) -> float:
    """Return a size beyond which the pdf underflows, or 1e90 medians."""
    reach = median * 2.0 ** np.arange(300)
    alive = law.pdf(reach) > 1e-306
    inner = reach[max(int(np.flatnonzero(alive).max(initial=0)), 0)]
    between = np.linspace(inner, 2 * inner, 129)
    return float(between[law.pdf(between) > 1e-306].max(initial=inner))


def _points(law: Any, panels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes, and masses, of Gauss nodes on panels in log rho; both of shape (panels, 16)."""
    half = 0.5 * (panels[:, 1:] - panels[:, :1])
    rho = np.exp(panels[:, :1] + half * (1 + _NODES))
    return rho, np.asarray(law.pdf(rho), dtype=float) * rho * half * _WEIGHTS


def _integrals(law: Any, alpha: Callable, zeta: np.ndarray, panels: np.ndarray) -> np.ndarray:
    """Of rho |alpha(rho zeta)| for every trial field, and of 1, on each panel."""
    rho, mass = _points(law, panels)
    values = np.abs(alpha(rho[:, :, None] * zeta))
    weighted = np.einsum("pn,pnk->pk", mass * rho, values)
    return np.column_stack([weighted, mass.sum(axis=1)])


# Tables.

_DEGREE = 12
_PLACES = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
_MIDDLE = _DEGREE // 2  # of the places: 0
_PLACES[_MIDDLE] = 0.0
_TO_CHEBYSHEV = np.linalg.inv(chebyshev.chebvander(_PLACES, _DEGREE))
_IN_POWERS = np.zeros((_DEGREE + 1, _DEGREE + 1))
for _k, _row in enumerate(np.eye(_DEGREE + 1)):
    _IN_POWERS[: _k + 1, _k] = chebyshev.cheb2poly(_row[: _k + 1])
_BLOCK = np.log(16.0)
_DEEPEST = 7
_TAIL = 1e-14  # of the last two Chebyshev coefficients, a hundredth of which is left out


class _Segments(NamedTuple):
    """Neighbouring intervals with the polynomials that stand for the functions there."""

    edges: np.ndarray  # (S + 1,)
    middle: np.ndarray  # (S,)
    scale: np.ndarray  # (S,): log(x / middle) * scale is between -1 and 1
    size: np.ndarray  # (S,): of the first function in the middle
    powers: np.ndarray  # (k, 13, S)


class Table:
    """An increasing positive function of x > 0, and ratios, by polynomials in log x.

    Of the function itself the logarithm is interpolated. What has not been asked for yet is
    computed when it is, block by block.

    function : of x, shape (N,), to shape (k, N); first : where it is neither 0 nor infinite;
    blur : the relative error of the function is that over x.
    """

    def __init__(
        self, function: Callable[[np.ndarray], np.ndarray], first: float, blur: float = 0.0
    ) -> None:
        self.function, self.blur = function, blur
        block = int(np.floor(np.log(first) / _BLOCK))
        self._known = block, block + 1, self._compute(block, block + 1)

    def segments(self, least: float, most: float) -> _Segments:
        """Return polynomials that reach from one argument to the other, where there are any."""
        low, high, known = self._known
        ends = np.clip([0.999 * least, 1.001 * most], 5e-324, 1e308)
        first, last = np.floor(np.log(ends) / _BLOCK).astype(int)
        if first < low or last >= high:
            parts = [known]
            if first < low:
                parts.insert(0, self._compute(first, low))
            if last >= high:
                parts.append(self._compute(high, last + 1))
            known = _joined(parts)
            self._known = min(first, low), max(last + 1, high), known
        return known

    @np.errstate(all="ignore")
    def _compute(self, first: int, last: int) -> _Segments:
        edges = np.arange(first, last + 1) * _BLOCK
        pending, found = np.stack([edges[:-1], edges[1:]], axis=1), []
        for depth in range(_DEEPEST + 1):
            half = 0.5 * (pending[:, 1:] - pending[:, :1])
            x = np.exp(pending[:, :1] + half * (1 + _PLACES))
            values = self.function(x.ravel())
            values = values.reshape(len(values), *x.shape)
            size = values[0, :, _MIDDLE].copy()
            values[0] = np.log(values[0] / size[:, None])
            finite = np.isfinite(values).all(axis=0)
            terms = values @ _TO_CHEBYSHEV.T
            tail = np.abs(terms[:, :, -2:]).max(axis=(0, 2))
            good = finite.all(axis=1) & (
                (tail <= _TAIL + self.blur / x[:, -1]) | (depth == _DEEPEST)
            )
            # in powers only now: from values at once, rounding would be a thousand times as large
            powers = (terms[:, good] @ _IN_POWERS.T).transpose(0, 2, 1)
            found.append((pending[good], x[good, _MIDDLE], 1 / half[good, 0], size[good], powers))
            pending = pending[~good & finite.any(axis=1)]
            middle = pending.mean(axis=1)
            pending = np.stack([pending[:, 0], middle, middle, pending[:, 1]], 1).reshape(-1, 2)
            if not len(pending):
                break
        *spans, polynomials = zip(*found, strict=True)
        ends, middle, scale, size = (np.concatenate(part) for part in spans)
        powers = np.concatenate(polynomials, axis=2)
        order = np.argsort(middle)
        edges = np.exp(np.append(ends[order, 0], ends[order, 1][-1:]))
        return _Segments(edges, middle[order], scale[order], size[order], powers[:, :, order])

    def __call__(self, x: Array, xp: Any = np) -> list[Array]:
        """Return the functions at x >= 0, of float64; the first is 0 or inf where it leaves range.

        Ratios at 0 are those of the least argument in range.
        """
        asked = x.detach() if hasattr(x, "detach") else x  # without Torch's history
        asked = asked[(asked > 0) & xp.isfinite(asked)]
        ends = (float(asked.min()), float(asked.max())) if len(asked) else (1.0, 1.0)
        known = self.segments(*ends) if len(asked) else self._known[2]
        edges, middle, scale, size, powers = (
            part if xp is np else xp.asarray(part, device=x.device) for part in known
        )
        inside = xp.clip(x, float(known.edges[0]), float(known.edges[-1]))
        at = xp.clip(xp.searchsorted(edges, inside, side="right") - 1, 0, len(middle) - 1)
        t = xp.log(inside / middle[at]) * scale[at]
        results = []
        for rows in powers:
            total = rows[_DEGREE][at]
            for k in range(_DEGREE - 1, -1, -1):
                total = total * t + rows[k][at]
            results.append(total)
        first = size[at] * xp.exp(results[0])
        first = xp.where(x < inside, xp.zeros_like(x), first)
        results[0] = xp.where(x > inside, xp.full_like(x, xp.inf), first)
        return results


def _joined(parts: list[_Segments]) -> _Segments:
    parts = [part for part in parts if len(part.middle)]
    edges = np.concatenate([*(part.edges[:-1] for part in parts), parts[-1].edges[-1:]])
    rest = (np.concatenate(columns, axis=-1) for columns in list(zip(*parts, strict=True))[1:])
    return _Segments(edges, *rest)


# The averaged potential.


class Average:
    r"""The inverse mirror map, mirror map, metric and value of an averaged potential.

    With :math:`x = F(\zeta)`: :math:`\varphi_W'(x) = \zeta`,
    :math:`1/\varphi_W''(x) = F'(\zeta) = E[\rho^2/\varphi''(\alpha(\rho\zeta))]` and
    :math:`\varphi_W(x) = E[D_\varphi(\alpha(\rho\zeta), 0)]`, a sum without cancellation.

    phi : the potential; law : of the sizes.
    """

    @np.errstate(all="ignore")
    def __init__(self, phi: Any, law: Any) -> None:
        self.phi, offset = phi, abs(float(phi.gradient(np.zeros(1))[0]))
        blur = 100 * float(np.finfo(float).eps) * offset if np.isfinite(offset) else 0.0
        self.rule = sizes(law, phi.inverse_mirror, blur)
        rho, mass = self.rule
        self.blur, self.second_moment = blur / float(mass @ rho), float(mass @ rho**2)
        self.metric = float(phi.hessian(np.zeros(1))[0]) / self.second_moment
        trial = rho[:, None] * _TRIALS / rho.mean()
        there, back = phi.inverse_mirror(trial), phi.inverse_mirror(-trial)
        self.is_even = bool(np.array_equal(there, -back, equal_nan=True))
        self._sides = {side: _Side(self, side) for side in ((1,) if self.is_even else (1, -1))}

    def inverse(self, zeta: Array, xp: Any = np) -> Array:
        """Return F, odd or not, of float64."""
        return self._signed(zeta, xp, lambda side, size: [side.inverse(size, xp)[0]])[0]

    def forward(self, x: Array, xp: Any = np) -> list[Array]:
        r"""Return :math:`\zeta`, V / (x zeta) and x H / zeta, with value V and metric H."""
        return self._signed(x, xp, lambda side, size: side.forward(size, xp))

    def _signed(self, x: Array, xp: Any, of: Callable) -> list[Array]:
        size, sign = xp.abs(x), xp.sign(x)
        if self.is_even:
            first, *rest = of(self._sides[1], size)
            return [sign * first, *rest]
        zero = xp.zeros_like(x)
        right = of(self._sides[1], xp.where(x < 0, zero, size))
        left = of(self._sides[-1], xp.where(x > 0, zero, size))
        first = xp.where(x < 0, -left[0], right[0])
        return [first, *(xp.where(x < 0, b, a) for a, b in zip(right[1:], left[1:], strict=True))]


class _Side:
    """An average for positive fields, or for negative ones."""

    def __init__(self, average: Average, side: int) -> None:
        self.average, self.side = average, side
        zeta = 1 / float(average.rule.rho.mean())
        while not 1e-100 < (x := float(self._at(np.array([zeta]))[0, 0])) < 1e100:
            zeta *= 0.25 if x >= 1e100 else 4.0
        self.first = zeta
        blur = average.blur
        self.inverse = Table(self._at, zeta, blur)
        self.forward = Table(self._forward, x, blur / average.metric if blur else 0.0)

    def _at(self, zeta: np.ndarray, *, value: bool = False) -> np.ndarray:
        """Return F, the power of zeta by which it grows, and if asked for the value: (k, N)."""
        phi, (rho, mass) = self.average.phi, self.average.rule
        parts = []
        for some in np.array_split(zeta, -(-zeta.size * rho.size // 200_000) or 1):
            alpha = phi.inverse_mirror(self.side * some[:, None] * rho)
            f = np.abs(alpha) @ (mass * rho)
            rows = [f, (1 / phi.hessian(alpha)) @ (mass * rho**2) * (some / f)]
            if value:
                rows.append(phi.bregman(alpha, np.zeros(1)) @ mass)
            parts.append(np.stack(rows))
        result = np.concatenate(parts, axis=1)
        if self.average.blur:  # beside a slope at 0, rounding hides small fields: there F is linear
            linear = np.stack([zeta, np.ones_like(zeta) * self.average.metric, 0.5 * zeta**2])
            hidden = self.average.blur > 1e-7 * zeta
            result[:, hidden] = linear[: len(rows), hidden] / self.average.metric
        return result

    def _forward(self, x: np.ndarray) -> np.ndarray:
        """Invert by the other table, and correct what it lacks."""
        zeta = self._start(x)
        for _ in range(20):
            f, power = self.inverse(zeta)
            step = np.log(x / f) / power
            zeta = np.where(np.isfinite(step), zeta * np.exp(np.clip(step, -3, 3)), zeta)
            if not (np.abs(step) > 1e-13).any():
                break
        f, power, value = self._at(zeta, value=True)
        last = np.log(x / f) / power
        zeta = np.where(np.abs(last) < 1e-6, zeta * np.exp(last), np.nan)
        return np.stack([zeta, value / (x * zeta), 1 / power])

    def _start(self, x: np.ndarray) -> np.ndarray:
        """Interpolate between the middles of the other table, once it reaches far enough."""
        asked = x[np.isfinite(x) & (x > 0)]
        known = self.inverse.segments(self.first, self.first)
        for end, beyond in ((0, asked.min(initial=1e300)), (-1, asked.max(initial=1e-300))):
            for _ in range(200):
                ratio = np.log(beyond / known.size[end])
                if (ratio >= 0) if end == 0 else (ratio <= 0):
                    break
                jump = np.clip(ratio / known.powers[1, 0, end], -40.0, 10.0)  # walls may steepen
                zeta = known.middle[end] * np.exp(jump) * (0.5 if end == 0 else 2.0)
                before, known = known, self.inverse.segments(zeta, zeta)
                if known.edges[end] == before.edges[end]:
                    break
        return np.exp(np.interp(np.log(x), np.log(known.size), np.log(known.middle)))
