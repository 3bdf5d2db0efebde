"""The full sweep of the chapter on noise: risks of interpolants of pure noise, to m = 102,400.

    python -m benchmarks.noise [--cache FOLDER]

writes `benchmarks/noise.csv`, which the chapter shows, and recomputes in part. An hour on two cores;
with a folder for its cache it goes on where it was stopped.
"""

import argparse
from pathlib import Path

import pandas as pd

from mflib.experiments import regression_trial, sweep
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized

FILE = Path(__file__).with_suffix(".csv")
VERSION = "1"  # another one after each change that may change a risk
LIGHT = {
    "x²": Quadratic(),
    "|x|³ + x²": Regularized(Power(3), 1.0),
    "x⁴ + x²": Regularized(Power(4), 1.0),
}
# Pieces of these are no polynomials: a hundred times the work, so fewer data and seeds.
HEAVY = {
    "|x|^2.5 + x²": Regularized(Power(2.5), 1.0),
    "hypentropy 1": Hypentropy(1.0),
    "hypentropy 0.1": Hypentropy(0.1),
}
# Potentials, sizes, and how many seeds for random and for even inputs.
PARTS = [
    (LIGHT, [100 * 2**k for k in range(6)], 200, 8),
    (LIGHT, [100 * 2**k for k in (6, 7, 8)], 20, 4),
    (LIGHT, [102_400], 6, 3),
    (HEAVY, [100, 200, 400], 20, 4),
    (HEAVY, [800, 1600], 8, 2),
]


def run(cache: Path | None = None) -> pd.DataFrame:
    tables = [
        sweep(
            regression_trial,
            {"potential": potentials, "inputs": [inputs], "m": sizes, "seed": range(seeds)},
            executor="serial",
            cache=cache,
            version=VERSION if cache else None,
        )
        for potentials, sizes, *counts in PARTS
        for inputs, seeds in zip(("random", "even"), counts, strict=True)
    ]
    return pd.concat(tables).drop(columns="ridge")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.noise", description=(__doc__ or ""))
    parser.add_argument("--cache", metavar="FOLDER", type=Path)
    run(parser.parse_args().cache).to_csv(FILE, index=False, float_format="%.6g")
