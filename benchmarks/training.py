"""Measurements of training: mflib's flow and the plain loop on the same networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks.measure import Options, peak_memory, timed
from mflib import (
    Flow,
    MirrorDescent,
    ShallowNetwork,
    datasets,
    experiments,
    mirror_flow,
    variational,
)
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized


class Setting(NamedTuple):
    """One curve of Figure 1 or 2, and the step of the plain loop, in units of 1/n."""

    activation: str
    scaled: bool
    potential: Potential
    formula: str  # its name in plain_descent.HESSIANS
    step: int = 1

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        return datasets.figure1() if self.activation == "relu" else datasets.figure2()


_X2, _X3, _X4 = Quadratic(), Regularized(Power(3), 1), Regularized(Power(4), 1)
POTENTIALS: dict[str, Potential] = {  # of the optimizer, by their names in report.OPTIMIZERS
    "x2": _X2,
    "hypentropy": Hypentropy(1.0),
    "x3": _X3,
    "x4": _X4,
    "x2.5": Regularized(Power(2.5), 1),
}
SETTINGS = {
    "relu-x2": Setting("relu", False, _X2, "x²"),
    "relu-x3": Setting("relu", False, _X3, "(|x|³ + x²)/2"),
    "relu-x4": Setting("relu", False, _X4, "(x⁴ + x²)/2"),
    "abs-x2": Setting("abs", True, _X2, "x²"),
    "abs-x3": Setting("abs", True, _X3, "(|x|³ + x²)/2"),
    "abs-x4": Setting("abs", True, _X4, "(x⁴ + x²)/2", step=2),  # the step of the authors
}


def network(setting: Setting, width: int, seed: int) -> ShallowNetwork:
    return ShallowNetwork(width, activation=setting.activation, seed=seed)


def flow(setting: Setting, net: ShallowNetwork, save_at: Sequence[float] | None = None) -> Flow:
    x, y = setting.data
    return mirror_flow(
        net, x, y, potential=setting.potential, scaled=setting.scaled, save_at=save_at
    )


@cache
def limit(setting: Setting) -> variational.Solution:
    """Solve for the function that infinitely wide networks learn: x^2 for every unscaled one."""
    potential = setting.potential if setting.scaled else None
    return variational.solve(*setting.data, activation=setting.activation, potential=potential)


def train(setting: str, width: int, seed: int) -> dict[str, Any]:
    """Train one network and compare it with its limit."""
    chosen = SETTINGS[setting]
    run = flow(chosen, network(chosen, width, seed))
    error = experiments.distance(run.network, limit(chosen))
    return {"status": run.status.name, "error": error, "memory": peak_memory()}


def loop_steps(setting: str, width: int, seed: int) -> dict[str, float]:
    """Predict how many steps the plain loop takes: it follows the flow.

    A step of size gamma/n on MSELoss is 2 gamma in the time of the flow, whose loss is half of it.
    The flow's last step may go far beyond the target, so it is repeated with stops on the way.
    """
    chosen, net = SETTINGS[setting], network(SETTINGS[setting], width, seed)
    end = flow(chosen, net).time
    history = flow(chosen, net, np.geomspace(0.05 * end, end, 40).tolist()).history
    # the loss as a decreasing function of time; the logarithm is nearly straight between stops
    when = np.interp(7.0, -np.log10(history["loss"]), history["time"])
    return {"steps": float(when) / (2 * chosen.step)}


def one_network(setting: str, width: int, repeats: int, options: Options) -> dict[str, Any]:
    """Time the flow of a single network."""
    chosen = SETTINGS[setting]
    net = network(chosen, width, seed=0)
    run, measured = timed(lambda: flow(chosen, net), repeats=repeats, warm_up=repeats > 1)
    return measured | {
        "width": width,
        "status": run.status.name,
        "loss": run.loss,
        "steps": run.steps,
        "error": experiments.distance(run.network, limit(chosen)),
    }


def many_networks(widths: tuple[int, ...], seeds: int, options: Options) -> dict[str, Any]:
    """Time a sweep over all settings, the start of its workers included."""
    axes = {"setting": list(SETTINGS), "width": widths, "seed": range(seeds)}
    table, measured = timed(lambda: experiments.sweep(train, axes), repeats=1, warm_up=False)
    widest = table[table.width == max(widths)]
    return measured | {
        "memory": float(max(table.memory)),  # of the largest worker
        "networks": len(table),
        "converged": int((table.status == "CONVERGED").sum()),
        "status": next(iter(set(table.status) - {"CONVERGED"}), "CONVERGED"),
        "error": float(widest.error.median()),
        "width": max(widths),
    }


def optimizer_step(name: str, size: int, options: Options) -> dict[str, Any]:
    """Time a step of MirrorDescent, and of SGD and Adam in turn with it, on one thread."""
    torch.set_num_threads(1)
    p = torch.nn.Parameter(torch.zeros(size))
    p.grad = 1e-3 * torch.randn(size, generator=torch.Generator().manual_seed(0))
    mirror = MirrorDescent([p], 1e-6, potential=POTENTIALS[name])
    steps = {
        "seconds": mirror.step,
        "SGD": torch.optim.SGD([p], 1e-6).step,
        "Adam": torch.optim.Adam([p], 1e-6).step,
    }
    seconds: dict[str, list[float]] = {key: [] for key in steps}
    for _ in range(20 if options.quick else 200):
        for key, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(values[1:]) for key, values in seconds.items()}
    return medians | {"parameters": size, "memory": peak_memory()}


def loop(setting: Setting, width: int):
    """Return a function that runs the plain loop from the same initial network."""
    from benchmarks import plain_descent

    net = network(setting, width, seed=0)
    parameters = (net.input_weight[:, 0], net.input_bias, net.output_weight, net.output_bias)
    initial = [p.detach().numpy() for p in parameters]

    def descend(**limits):
        return plain_descent.mirror_descent(
            initial,
            *setting.data,
            activation=setting.activation,
            potential=setting.formula,
            scaled=setting.scaled,
            rate=setting.step / width,
            **limits,
        )

    return descend


def one_loop(setting: str, width: int, options: Options) -> dict[str, Any]:
    """Run the plain loop to the target, or for as long as it may take."""
    from benchmarks import plain_descent

    chosen = SETTINGS[setting]
    descend = loop(chosen, width)
    threads = plain_descent.faster_threads(descend)
    end = descend(max_seconds=options.loop_seconds)
    memory = peak_memory()
    trained = partial(plain_descent.evaluate, end, activation=chosen.activation)
    return {
        "seconds": end.seconds,
        "steps": end.steps,
        "loss": end.loss,
        "finished": end.loss <= 1e-7,
        "predicted_steps": loop_steps(setting, width, seed=0)["steps"],
        "threads": threads,
        "memory": memory,
        "error": experiments.distance(trained, limit(chosen)),
    }


def many_loops(widths: tuple[int, ...], seeds: int, options: Options) -> dict[str, Any]:
    """Extrapolate the plain loop: its time per step, measured, times the steps it would take."""
    from benchmarks import plain_descent

    axes = {"setting": list(SETTINGS), "width": widths, "seed": range(seeds)}
    steps = experiments.sweep(loop_steps, axes).groupby(["setting", "width"]).steps.sum()
    total = 0.0
    for name, setting in SETTINGS.items():
        for width in widths:
            descend = loop(setting, width)
            plain_descent.faster_threads(descend, steps=200)
            end = descend(max_steps=300 if options.quick else 2000)
            total += end.seconds / end.steps * steps[name, width]
    return {"seconds": total, "steps": float(steps.sum()), "memory": peak_memory()}
