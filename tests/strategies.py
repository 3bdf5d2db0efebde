"""Random potentials, data and models for property tests; the same ones in every run."""

import numpy as np
from hypothesis import Phase, assume, settings
from hypothesis import strategies as st

from mflib import activations
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized
from tests.problems import Lopsided


def repeatable(examples: int):
    """Settings: no chance, no clock, and no shrinking, which would solve thousands of problems."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
    )


def logarithmic(low: float, high: float):
    """Floats whose logarithm to the base ten is spread evenly."""
    return st.floats(low, high).map(lambda exponent: 10.0**exponent)


def signed(low: float, high: float):
    return st.builds(
        lambda sign, size: sign * size, st.sampled_from([-1, 1]), logarithmic(low, high)
    )


@st.composite
def data(draw, most: int = 6):
    """A few points, not too close, and targets that are not all small."""
    gaps = draw(st.lists(st.floats(0.2, 1.0), min_size=1, max_size=most))
    places = np.cumsum(gaps)
    x = -0.95 + draw(st.floats(0.0, 0.9)) + (places - places[0]) * 0.95 / max(places[-1], 1.0)
    y = draw(st.lists(st.floats(-2, 2, width=16), min_size=len(gaps), max_size=len(gaps)))
    assume(np.abs(y).max() > 0.1)
    order = draw(st.permutations(range(len(x))))
    return x[order], np.array(y)[order]


# Lists of their own, not the tables of tests.problems: a new row there changes no draw here.
# Of the kind that training can start from ...
potentials = st.one_of(
    st.sampled_from(
        [
            Quadratic(),
            Regularized(Power(2.5), 0.6),
            Regularized(Power(3), 1),
            Regularized(Power(4), 0.1),
            Hypentropy(0.4),
            Regularized(Hypentropy(0.05), 2),
            Lopsided(),
        ]
    ),
    st.builds(Regularized, st.builds(Power, st.floats(2.2, 6)), st.floats(0.05, 5)),
    st.builds(Hypentropy, st.floats(0.1, 10)),
)
# ... and any, of all scales.
_plain = st.one_of(st.builds(Power, st.floats(1.1, 9)), st.builds(Hypentropy, logarithmic(-3, 3)))
any_potential = st.one_of(
    _plain, st.builds(Regularized, _plain, logarithmic(-3, 3)), st.just(Quadratic())
)
sigmas = st.one_of(
    st.sampled_from([activations.relu, activations.absolute]),
    st.builds(activations.leaky_relu, st.floats(-0.9, 0.6)),
)
