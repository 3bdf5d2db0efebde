"""The laboratory: a place on a page where the reader moves the data and sees the exact limit.

``{laboratory} NAME`` puts the preset of that name on a page, in its compact form; its body, YAML,
changes the preset. ``:full:`` gives the whole of it, with all presets to start from. What stands
there without script, in print and in the PDF is a picture of the same solution.
"""

import html
import json
from typing import Any

import numpy as np
import yaml
from docutils import nodes
from docutils.parsers.rst import directives
from scipy import stats
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from mflib import variational
from mflib.activations import leaky_relu
from mflib.potentials import Hypentropy, Potential, Power, Quadratic, Regularized

PRESETS: dict[str, dict[str, Any]] = {
    "dip": {
        "name": "a dip (Figure 2)",
        "x": [-1, 0.35, 0.65, 1],
        "y": [0.15, 0.15, -0.15, 0.15],
        "slope": -1,
        "potential": {"kind": "power", "exponent": 4, "omega": 1},
    },
    "bump": {
        "name": "a bump (Figure 1)",
        "x": [-1, -0.2, 0, 0.2, 1],
        "y": [-0.15, -0.15, 0.15, -0.15, -0.15],
        "slope": 0,
        "scaled": False,
    },
    "shifted": {
        "name": "the bump, lifted",
        "x": [-1, -0.2, 0, 0.2, 1],
        "y": [2.35, 2.35, 2.65, 2.35, 2.35],
        "slope": 0,
        "scaled": False,
        "spline": True,
    },
    "scaled-relu": {
        "name": "the bump, ReLU and a scaled potential",
        "x": [-1, -0.2, 0, 0.2, 1],
        "y": [-0.15, -0.15, 0.15, -0.15, -0.15],
        "slope": 0,
        "potential": {"kind": "power", "exponent": 4, "omega": 1},
    },
    "few-bends": {
        "name": "few, large bends: hypentropy",
        "x": [-1, -0.4, 0.1, 0.35, 0.65, 1],
        "y": [0.1, 0.4, 0.3, 0.15, -0.15, 0.15],
        "slope": -1,
        "potential": {"kind": "hypentropy", "beta": 0.1},
    },
    "step": {
        "name": "a step",
        "x": [-0.9, -0.5, -0.1, 0.1, 0.5, 0.9],
        "y": [0, 0, 0, 1, 1, 1],
        "slope": 0,
        "spline": True,
    },
    "humps": {
        "name": "kinks in two humps",
        "x": [-1, 0.35, 0.65, 1],
        "y": [0.15, 0.15, -0.15, 0.15],
        "slope": -1,
        "density": {"kind": "humps", "centre": 0.6, "deviation": 0.25},
    },
    "noise": {
        "name": "noisy data, smoothed",
        "x": [-0.95, -0.8, -0.6, -0.45, -0.3, -0.1, 0.1, 0.3, 0.5, 0.65, 0.8, 0.95],
        "y": [-0.7, -0.95, -0.75, -1.1, -0.6, -0.5, 0.45, 0.55, 1.05, 0.8, 1.0, 0.65],
        "slope": 0,
        "ridge": 0.001,
    },
}
BARE = {
    "slope": 0,
    "potential": {"kind": "quadratic"},
    "density": {"kind": "uniform", "reach": 1},
    "ridge": 0,
    "scaled": True,
}
WIDTH, HEIGHT = 480, 260
SCRIPTS = ("solver", "training", "drawing", "controls")

# What the reader can take hold of. Inputs say what they set, buttons what they do: controls.js.
ACTIVATION: dict[str, tuple[str, dict[str, Any]]] = {
    "abs": ("|u|, the absolute value", {"slope": -1}),
    "relu": ("ReLU", {"slope": 0}),
    "leaky": ("leaky ReLU", {"slope": 0.25}),
}
POTENTIAL: dict[str, tuple[str, dict[str, Any]]] = {
    "quadratic": ("x²", {"kind": "quadratic"}),
    "power": ("|x|ᵖ + ω x²", {"kind": "power", "exponent": 4, "omega": 1}),
    "hypentropy": ("hypentropy", {"kind": "hypentropy", "beta": 0.3}),
    "regularized": ("hypentropy + ω x²", {"kind": "hypentropy", "beta": 0.3, "omega": 1}),
}
DENSITY: dict[str, tuple[str, dict[str, Any]]] = {
    "uniform": ("uniform", {"kind": "uniform", "reach": 1}),
    "normal": ("normal", {"kind": "normal", "deviation": 0.5}),
    "humps": ("two humps", {"kind": "humps", "centre": 0.6, "deviation": 0.25}),
}


def option(key: str, text: str, sets: dict[str, Any] | None = None) -> str:
    data = f' data-sets="{html.escape(json.dumps(sets))}"' if sets else ""
    return f'<option value="{key}"{data}>{text}</option>'


def select(name: str, label: str, options: str) -> str:
    """Return a choice; an option may say what of the state it sets."""
    return (
        f'<label class="choice"><span>{label}</span> '
        f'<select data-set="{name}">{options}</select></label>'
    )


def options(choices: dict[str, tuple[str, dict[str, Any]]], name: str = "") -> str:
    return "".join(
        option(key, text, {name: sets} if name else sets) for key, (text, sets) in choices.items()
    )


def slider(name: str, label: str, attributes: str) -> str:
    return (
        f'<label class="choice slider"><span>{label} <b></b></span>'
        f'<input type="range" data-set="{name}" autocomplete="off" {attributes}></label>'
    )


def steps(low: float, high: float, step: float) -> str:
    return f'min="{low}" max="{high}" step="{step}"'


def powers(low: float, high: float, kind: str = "any") -> str:
    """Equal steps are equal factors; with "zero" the low end stands for 0."""
    return f'min="{low}" max="{high}" step="0.1" data-power="{kind}"'


def check(name: str, label: str) -> str:
    return f'<label class="check"><input type="checkbox" data-set="{name}">{label}</label>'


def button(action: str, label: str, kind: str = "") -> str:
    return f'<button type="button" class="{kind}" data-do="{action}">{label}</button>'


GROUPS = {
    "activation": select("activation", "Activation", options(ACTIVATION))
    + slider("slope", "slope on the left", steps(-0.95, 0.85, 0.1)),
    "potential": select("potential", "Potential φ", options(POTENTIAL, "potential"))
    + slider("exponent", "exponent p", steps(2, 8, 0.1))
    + slider("beta", "scale β", powers(-1, 1))
    + slider("omega", "weight ω", powers(-1, 1))
    + check("scaled", "scaled potential (unscaled: as x²)"),
    "density": select("density", "Density of the kinks", options(DENSITY, "density"))
    + slider("reach", "reach", steps(0.5, 2.5, 0.05))
    + slider("centre", "humps at ±", steps(0.1, 1.2, 0.05))
    + slider("deviation", "deviation", steps(0.15, 1.5, 0.05)),
    "ridge": slider("ridge", "ridge", powers(-6, -1, "zero")),
}
TRAINING = (
    '<div class="training"><div class="line">'
    + button("toggle", "▶ Train a network", "play")
    + '<label class="choice"><span>units</span> <input type="number" data-set="width" min="20" '
    + 'max="5000" step="20" autocomplete="off"></label>'
    + '<span class="choice">seed <b class="seed"></b></span>'
    + button("reseed", "Other seed")
    + '</div><div><label class="choice slider time"><span>time, on a logarithmic axis</span>'
    + '<input type="range" data-set="time" autocomplete="off" min="0" max="1"></label></div>'
    + '<p class="clock"></p></div>'
)
LOWER = (
    '<div class="lower"><div data-panel="alpha"></div><ul class="legend"></ul>'
    '<div class="bars"></div><div data-panel="loss" hidden></div></div>'
)
POINTS = button("add", "Add a point") + button("remove", "Delete point") + button("reset", "Reset")
SHARING = (
    f'<div class="line">{button("pin", "Pin this curve")}{check("spline", "natural cubic spline")}'
    f"{button('link', 'Copy link')}{button('python', 'Copy as Python')}</div>"
    '<details><summary>As Python</summary><pre tabindex="0"><code></code></pre></details>'
)

# The program that gives the same numbers as the page; controls.js fills in what is in brackets.
PYTHON = {
    "head": """from scipy import stats

from mflib import activations, potentials, variational

""",
    "humps": """
class TwoHumps(stats.rv_continuous):
    def _pdf(self, t, centre, deviation):
        parts = [stats.norm.pdf(t, c, deviation) for c in (-centre, centre)]
        return 0.5 * sum(parts)

    def _cdf(self, t, centre, deviation):
        parts = [stats.norm.cdf(t, c, deviation) for c in (-centre, centre)]
        return 0.5 * sum(parts)

    def _stats(self, centre, deviation):
        return 0.0, centre**2 + deviation**2, 0.0, None


two_humps = TwoHumps(shapes="centre, deviation")

""",
    "activation": {"abs": '"abs"', "relu": '"relu"', "leaky": "activations.leaky_relu(<slope>)"},
    "plain": {
        "quadratic": "potentials.Quadratic()",
        "power": "potentials.Power(<exponent>)",
        "hypentropy": "potentials.Hypentropy(<beta>)",
    },
    "potential": ["<plain>", "potentials.Regularized(<plain>, omega=<omega>)"],
    "felt": ["potentials.Quadratic()", "potential"],
    "density": {
        "uniform": "stats.uniform(-<reach>, 2 * <reach>)",
        "normal": "stats.norm(0, <deviation>)",
        "humps": "two_humps(<centre>, <deviation>)",
    },
    "bias": {
        "uniform": "<reach> * (2 * u - 1)",
        "normal": "<deviation> * bell",
        "humps": "<deviation> * bell + np.where(hump < 0.5, -<centre>, <centre>)",
    },
    "limit": """x = [<x>]
y = [<y>]
activation = <activation>
potential = <potential>
density = <density>

# the limit of infinite width, as the potential is felt
h = variational.solve(x, y, activation=activation,
                      potential=<felt>, density=density<ridge>)
print(h.status.name, h.cost, h.gap, h.residual)
print(h(x))
""",
    "network": """
# a network as the page draws it, trained
import numpy as np
import torch

import mflib


def uniforms(state):
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ state >> 15) * (state | 1)) & 0xFFFFFFFF
        t ^= (t + (t ^ t >> 7) * (t | 61)) & 0xFFFFFFFF
        yield (t ^ t >> 14) / 2**32


numbers = uniforms(<seed>)
draws = np.array([next(numbers) for _ in range(4 * <width>)])
sign, hump, u, angle = draws.reshape(-1, 4).T
bell = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * angle)
net = mflib.ShallowNetwork(<width>, activation=activation)
with torch.no_grad():
    net.input_weight[:, 0] = torch.tensor(np.where(sign < 0.5, -1.0, 1.0))
    net.input_bias[:] = torch.tensor(<bias>)
run = mflib.mirror_flow(net, x, y, potential=potential, scaled=<scaled>)
print(run.status.name, run.loss, run.steps)
print(run.network(x).tolist())
""",
}


def bench(shown: set[str], full: bool) -> str:
    """Return the markup of what can be moved, with these groups of controls."""
    choices = "".join(group for name, group in GROUPS.items() if name in shown)
    if full:
        starts = '<option value="" disabled>your own</option>'  # shown, not chosen
        starts += "".join(option(key, preset["name"]) for key, preset in PRESETS.items())
        choices = select("preset", "Start from", starts) + choices
    home = "" if full else '<a class="home" href="">Open in the laboratory</a>'
    return (
        '<div class="bench"><div class="pictures"><div data-panel="function"></div>'
        f'<ul class="legend"></ul><p class="certificate"></p><div class="line">{POINTS}</div></div>'
        + TRAINING * ("training" in shown)
        + f'<div class="choices">{choices}</div>'
        + LOWER * ("units" in shown)
        + f'<div class="extras">{home}{SHARING * full}</div>'
        '<p class="words" aria-live="polite"></p></div>'
    )


class Laboratory(SphinxDirective):
    """A ``div.laboratory`` with its preset, and the picture that stands for it elsewhere."""

    optional_arguments = 1
    has_content = True
    option_spec = {"full": directives.flag, "controls": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0] if self.arguments else "dip"
        if name not in PRESETS:
            raise self.error(f"no preset {name!r}; there are {', '.join(PRESETS)}")
        preset = {**PRESETS[name], **(yaml.safe_load("\n".join(self.content)) or {})}
        title, full = preset.pop("name"), "full" in self.options
        shown = set(self.options.get("controls", "potential training").split())
        if unknown := shown - {*GROUPS, "training", "units"}:
            raise self.error(f"no controls {', '.join(unknown)}")
        data = {"preset": json.dumps(preset)}
        if full:
            shown = {*GROUPS, "training", "units"}
            data |= {"presets": json.dumps(PRESETS), "python": json.dumps(PYTHON)}
        else:
            builder = self.env.app.builder
            data["home"] = builder.get_relative_uri(self.env.docname, "chapters/laboratory")
        attributes = " ".join(f'data-{key}="{html.escape(value)}"' for key, value in data.items())
        still, markup = picture(preset, title), bench(shown, full)
        text = (
            f'<div class="laboratory" {attributes}><div class="still">{still}</div>'
            f"<template>{markup}</template></div>"
        )
        return [nodes.raw("", text, format="html")]


class Humps(stats.rv_continuous):
    """Half of the mass around each of ±centre."""

    def _pdf(self, t, centre, deviation):
        return 0.5 * sum(stats.norm.pdf(t, c, deviation) for c in (-centre, centre))

    def _cdf(self, t, centre, deviation):
        return 0.5 * sum(stats.norm.cdf(t, c, deviation) for c in (-centre, centre))

    def _stats(self, centre, deviation):
        return 0.0, centre**2 + deviation**2, 0.0, None


def potential_of(kind: str, omega: float = 0, **parameter: float) -> Potential:
    psi = {"quadratic": Quadratic, "power": Power, "hypentropy": Hypentropy}[kind](**parameter)
    return Regularized(psi, omega) if omega else psi


def density_of(kind: str, **parameter: float) -> Any:
    if kind == "uniform":
        return stats.uniform(-parameter["reach"], 2 * parameter["reach"])
    if kind == "normal":
        return stats.norm(0, parameter["deviation"])
    return Humps(shapes="centre, deviation")(**parameter)


def limit(preset: dict[str, Any]) -> variational.Solution:
    """Solve the problem of a preset, as `laboratory.solve` does in the page."""
    given = {**BARE, **preset}
    ridge = {"ridge": given["ridge"]} if given["ridge"] else {}
    return variational.solve(
        given["x"],
        given["y"],
        activation=leaky_relu(given["slope"]),
        potential=potential_of(**given["potential"]) if given["scaled"] else Quadratic(),
        density=density_of(**given["density"]),
        **ridge,
    )


def picture(preset: dict[str, Any], title: str) -> str:
    """Draw the points of a preset and the exact limit."""
    t = np.linspace(-1.5, 1.5, 201)
    h = limit(preset)(t)
    low, high = min(h.min(), *preset["y"]), max(h.max(), *preset["y"])
    margin = 0.08 * (high - low)

    def across(x: float) -> float:
        return round(45 + (WIDTH - 55) * (x + 1.5) / 3, 1)

    def up(y: float) -> float:
        share = (y - low + margin) / (high - low + 2 * margin)
        return round(HEIGHT - 25 - (HEIGHT - 35) * share, 1)

    curve = "L".join(f"{across(x)},{up(y)}" for x, y in zip(t, h, strict=True))
    dots = (
        f'<circle cx="{across(x)}" cy="{up(y)}" r="5"/>'
        for x, y in zip(preset["x"], preset["y"], strict=True)
    )
    words = f"The laboratory, {title}: {len(preset['x'])} points and the function of infinite width"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" fill="currentColor" '
        f'font-size="13" aria-label="{html.escape(words)}">'
        f'<path d="M45,8V{HEIGHT - 25}H{WIDTH - 10}" fill="none" stroke="currentColor"/>'
        f'<path d="M{curve}" fill="none" stroke="#0072b2" stroke-width="2.5"/>{"".join(dots)}'
        + "".join(
            f'<text x="{across(v)}" y="{HEIGHT - 8}" text-anchor="middle">{v:g}</text>'
            for v in (-1.5, -1, -0.5, 0, 0.5, 1, 1.5)
        )
        + "".join(
            f'<text x="40" y="{up(v) + 4}" text-anchor="end">{v:.3g}</text>' for v in (low, high)
        )
        + f"</svg><p>{html.escape(words)}. In a browser with script the points can be moved.</p>"
    )


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the scripts on the pages that use them, after the page is painted."""
    if 'class="laboratory"' not in context.get("body", ""):
        return
    app.add_css_file("laboratory/laboratory.css")
    for name in SCRIPTS:
        app.add_js_file(f"laboratory/{name}.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("laboratory", Laboratory)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
