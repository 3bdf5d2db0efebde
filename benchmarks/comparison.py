"""What other packages compute of the same, and at what cost: the table of chapters/comparison.md.

python -m benchmarks.comparison, where requirements.txt and the two other lists are installed. Each
row does one piece of work twice, by another package and by mflib, in one process and on one
thread. It stores the whole digits on which they agree, and the ratio of their CPU times, to the one
digit that another run repeats.
"""

from __future__ import annotations

import csv
import importlib.metadata
import math
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import interpolate, stats

from benchmarks import functions, training
from mflib import MirrorDescent, ShallowNetwork, datasets, variational
from mflib.potentials import Entropy, Hypentropy, Potential, Quadratic

FILE = Path(__file__).with_suffix(".csv")
COLUMNS = ("work", "package", "version", "digits", "cost")
GRID = functions.GRID
REACH = 1e6  # of the biases: so far that lines are free and the limit is the natural spline
STEPS = 1000  # of mirror descent
UNITS = 1000

Work = Callable[[], Any]


def digits(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the number of decimal digits on which two answers agree."""
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    return 16.0 if difference == 0 else float(-math.log10(difference))


def cpu(work: Work, repeats: int) -> float:
    """Return the median CPU time of a call; the first, which loads and compiles, is left out."""
    seconds = []
    for _ in range(repeats + 1):
        begin = time.process_time()
        work()
        seconds.append(time.process_time() - begin)
    return statistics.median(seconds[1:])


def row(
    work: str, package: str, theirs: Work, ours: Work, exact: np.ndarray | None = None, repeats=5
) -> dict[str, Any]:
    """Compare two ways to the same values; `exact` takes the place of ours where it is known."""
    expected = ours() if exact is None else exact
    return {
        "work": work,
        "package": package,
        "version": importlib.metadata.version(package).partition("+")[0],
        "digits": int(digits(theirs(), expected)),
        "cost": f"{float(f'{cpu(theirs, repeats) / cpu(ours, repeats):.1g}'):g}",
    }


# Training and the limit


def a_network() -> dict[str, Any]:
    """Train a network of Figure 1 by a plain loop and by the flow."""
    setting, width = training.SETTINGS["relu-x2"], 180
    net, descend = training.network(setting, width, seed=0), training.loop(setting, width)

    def theirs():
        from benchmarks import plain_descent

        return plain_descent.evaluate(descend(target=1e-7), GRID, activation="relu")

    def ours():
        return training.flow(setting, net).network(GRID).detach().numpy()

    return row("train a network", "torch", theirs, ours, repeats=1)


def limits() -> Iterator[dict[str, Any]]:
    yield from limit("relu-x2", "SCS")
    yield from limit("abs-x4", "CLARABEL")


def limit(name: str, solver: str) -> Iterator[dict[str, Any]]:
    """Solve for a limit of Figure 1 or 2 on a grid, in both kinds of unknowns, and exactly."""
    from benchmarks import plain_grid

    problem, grid = functions.PROBLEMS[name], plain_grid.Grid()
    exact = functions.reference()[problem.reference]
    query, (x, y), density = np.array(exact["x_query"]), problem.data, problem.density

    def plain() -> np.ndarray:
        if problem.activation == "relu":
            return plain_grid.theorem2(x, y, density, grid, solver=solver)(query)
        return plain_grid.theorem8(x, y, density, grid, problem.exponent, solver=solver)(query)

    def better() -> np.ndarray:
        sigma, exponent = problem.activation, problem.exponent
        h = plain_grid.coefficients(x, y, density, grid, sigma, exponent, solver=solver)
        return h(query)

    def ours() -> np.ndarray:
        return problem.solve()(query)

    values = np.array(exact["h"])
    yield row(f"the limit {name}", "cvxpy", plain, ours, values)
    yield row(f"the limit {name}, better variables", "cvxpy", better, ours, values)


# Splines


def splines() -> Iterator[dict[str, Any]]:
    """Interpolate and smooth where biases reach so far that the limit is a cubic spline."""
    density = stats.uniform(-REACH, 2 * REACH)
    for m in (5, 1000):
        x, y = datasets.figure1() if m == 5 else functions.many_points(m, 0.0)
        t = np.linspace(x[0], x[-1], 501)

        def natural(x=x, y=y, t=t):
            return interpolate.CubicSpline(x, y, bc_type="natural")(t)

        def limit(x=x, y=y, t=t):
            return variational.solve(x, y, density=density)(t)

        yield row(f"natural spline, m = {m}", "scipy", natural, limit)
    x, y = functions.many_points(1000, 0.3)
    t = np.linspace(x[0], x[-1], 501)  # SciPy goes on with cubics, where ours is a line
    ridge = 1e-4 / (4 * REACH)  # lam / 4s: the cost of bending is 2s times that of the spline

    def smoothing():
        return interpolate.make_smoothing_spline(x, y, lam=1e-4)(t)

    def ours():
        return variational.solve(x, y, density=density, ridge=ridge)(t)

    yield row("smoothing spline, m = 1000", "scipy", smoothing, ours)


# Mirror descent on the output weights of a fixed network


def features() -> tuple[np.ndarray, np.ndarray]:
    """Return the features of hidden units over their number, (m, n), and the targets."""
    x, y = datasets.figure1()
    net = ShallowNetwork(UNITS, seed=0)
    with torch.no_grad():
        units = torch.relu(torch.as_tensor(x)[:, None] @ net.input_weight.T - net.input_bias)
    return units.numpy() / UNITS, y


def by_mflib(potential: Potential, start: float, rate: float) -> Work:
    matrix, targets = (torch.as_tensor(value) for value in features())

    def descend() -> np.ndarray:
        alpha = torch.full((UNITS,), start, dtype=torch.float64, requires_grad=True)
        descent = MirrorDescent([alpha], lr=rate, potential=potential, center="origin")
        for _ in range(STEPS):
            descent.zero_grad()
            (0.5 * (matrix @ alpha - targets).square().mean()).backward()
            descent.step()
        return alpha.detach().numpy()

    return descend


def by_jaxopt(rate: float) -> Work:
    """Return hypentropy's descent: JAXopt takes a mirror map of one's own."""
    import jax
    import jax.numpy as jnp
    import jaxopt

    jax.config.update("jax_enable_x64", True)
    matrix, targets = (jnp.asarray(value) for value in features())
    update = jaxopt.MirrorDescent.make_projection_grad(lambda z, _: jnp.sinh(z), jnp.arcsinh)
    solver = jaxopt.MirrorDescent(
        fun=lambda alpha: 0.5 * jnp.mean((matrix @ alpha - targets) ** 2),
        projection_grad=update,
        stepsize=rate,
        maxiter=STEPS,
        tol=0.0,
    )
    run = jax.jit(lambda alpha: solver.run(alpha).params)
    return lambda: np.asarray(run(jnp.zeros(UNITS)))


def by_accbpg(rate: float) -> Work:
    """Return the entropy's descent, with its steps of 1/L."""
    from accbpg import algorithms
    from accbpg import functions as legendre

    matrix, targets = features()

    class LeastSquares(legendre.RSmoothFunction):
        def func_grad(self, x, flag=2):
            residual = matrix @ x - targets
            return 0.5 * np.mean(residual**2), matrix.T @ residual / len(targets)

    def descend() -> np.ndarray:
        options: dict[str, Any] = {"epsilon": 0.0, "linesearch": False, "verbose": False}
        kernel, start = legendre.ShannonEntropy(), np.ones(UNITS)
        found: np.ndarray
        found, *_ = algorithms.BPG(LeastSquares(), kernel, 1 / rate, start, STEPS, **options)
        return found

    return descend


def by_bregman(rate: float) -> Work:
    """Return the descent of LinBreg without its regularizer: that of |x|^2 / 2."""
    from bregman import optimizers

    matrix, targets = (torch.as_tensor(value) for value in features())

    def descend() -> np.ndarray:
        alpha = torch.zeros(UNITS, dtype=torch.float64, requires_grad=True)
        descent = optimizers.LinBreg([alpha], lr=rate)
        for _ in range(STEPS):
            descent.zero_grad()
            (0.5 * (matrix @ alpha - targets).square().mean()).backward()
            descent.step()
        return alpha.detach().numpy()

    return descend


def descents() -> Iterator[dict[str, Any]]:
    rate = UNITS / 2
    ours = by_mflib(Hypentropy(1.0), 0.0, rate)
    yield row("mirror descent, hypentropy", "jaxopt", by_jaxopt(rate), ours)
    ours = by_mflib(Entropy(), 1.0, rate)
    yield row("exponentiated gradient", "accbpg", by_accbpg(rate), ours)
    ours = by_mflib(Quadratic(), 0.0, 2 * rate)  # phi'' is 2 for x^2
    yield row("gradient descent", "bregman-learning", by_bregman(rate), ours)


def main() -> None:
    torch.set_num_threads(1)
    rows = [a_network(), *limits(), *splines(), *descents()]
    with FILE.open("w", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
