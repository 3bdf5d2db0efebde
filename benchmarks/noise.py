"""The full sweeps of the chapter on noise: pure noise, met; and three functions, smoothed.

    python -m benchmarks.noise interpolation [--cache FOLDER]
    python -m benchmarks.noise smoothing [--cache FOLDER]

write `benchmarks/interpolation.csv` and `benchmarks/smoothing.csv`, which the chapter shows, and
recomputes in part. With a folder for its cache a sweep goes on where it was stopped.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from mflib.experiments import regression_trial, sweep
from mflib.potentials import Hypentropy, Power, Quadratic, Regularized

FOLDER = Path(__file__).parent
VERSION = "1"  # another one after each change that may change a risk
LIGHT = {
    "x²": Quadratic(),
    "|x|³ + x²": Regularized(Power(3), 1.0),
    "x⁴ + x²": Regularized(Power(4), 1.0),
}
# Pieces of these are no polynomials: many times the work, so fewer data and seeds.
HEAVY = {"|x|^2.5 + x²": Regularized(Power(2.5), 1.0)}
ENTROPIES = {"hypentropy 1": Hypentropy(1.0), "hypentropy 0.1": Hypentropy(0.1)}
# Potentials, sizes, and how many seeds for random and for even inputs.
INTERPOLATION = [
    (LIGHT, [100 * 2**k for k in range(6)], 200, 8),
    (HEAVY, [100 * 2**k for k in range(5)], 40, 2),
    (ENTROPIES, [100 * 2**k for k in range(5)], 200, 4),
    (LIGHT, [100 * 2**k for k in (6, 7, 8)], 12, 2),
    (LIGHT, [102_400], 4, 2),
]
SMOOTHERS = {name: (LIGHT | ENTROPIES)[name] for name in ("x²", "x⁴ + x²", "hypentropy 0.1")}
SIZES, SEEDS = [100, 200, 400], 24


def sine(t):
    return np.sin(2 * np.pi * t)


def broken(t):
    return np.abs(t + 0.4) - 1.5 * np.abs(t - 0.1) + np.abs(t - 0.5)


def peak(t):
    return np.exp(-0.5 * ((t - 0.3) / 0.06) ** 2)


TRUTHS = {"sine": sine, "broken line": broken, "peak": peak}


def interpolation() -> Iterator[dict]:
    """Yield the parameters of sweeps: pure noise, met."""
    for potentials, sizes, *counts in INTERPOLATION:
        for inputs, seeds in zip(("random", "even"), counts, strict=True):
            yield {"potential": potentials, "inputs": [inputs], "m": sizes, "seed": range(seeds)}


def smoothing() -> Iterator[dict]:
    """Yield the parameters of a sweep: functions with noise, smoothed by a ridge."""
    yield {
        "truth": TRUTHS,
        "m": SIZES,
        "potential": SMOOTHERS,
        "seed": range(SEEDS),
        "noise": [0.3],
        "ridge": ["gcv"],
    }


def run(parts: Iterator[dict], cache: Path | None = None) -> pd.DataFrame:
    version = VERSION if cache else None
    return pd.concat(
        sweep(regression_trial, part, executor="serial", cache=cache, version=version)
        for part in parts
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.noise", description=(__doc__ or ""))
    parser.add_argument("part", choices=["interpolation", "smoothing"])
    parser.add_argument("--cache", metavar="FOLDER", type=Path)
    chosen = parser.parse_args()
    table = run(
        {"interpolation": interpolation, "smoothing": smoothing}[chosen.part](), chosen.cache
    )
    table.to_csv(FOLDER / f"{chosen.part}.csv", index=False, float_format="%.6g")
