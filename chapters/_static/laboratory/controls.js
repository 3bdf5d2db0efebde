/*
 * The laboratory on the page: what the reader can take hold of, and what follows from it.
 * Each `div.laboratory` that _ext/laboratory.py writes becomes one; `data-preset` says where it
 * starts. One object, `state`, is all there is to know; everything on the page is drawn from it.
 */
"use strict";

(() => {
  const { solve, parts } = window.laboratory;
  const { Bars, Panel, Points, Refusal, FLOW_STATUS, densityOf, drawNetwork, html, integrationOf, naturalSpline, short, svg } = parts;

  const MOST_POINTS = 12;
  const PER_DECADE = 10; // frames of training
  const MOST_FRAMES = 240;
  const BARE = {
    x: [-0.5, 0.5], y: [0, 1], slope: 0, potential: { kind: "quadratic" }, density: { kind: "uniform", reach: 1 }, ridge: 0,
    scaled: true, width: 500, seed: 0, spline: false, pinned: null, time: null,
  };
  const WIDTHS = [20, 50, 100, 200, 500, 1000, 2000, 5000];

  const ACTIVATIONS = { abs: "|u|, the absolute value", relu: "ReLU", leaky: "leaky ReLU" };
  const POTENTIALS = {
    quadratic: "x²", power: "|x|ᵖ + ω x²", hypentropy: "hypentropy", regularized: "hypentropy + ω x²",
  };
  const DENSITIES = { uniform: "uniform", normal: "normal", humps: "two humps" };
  /** Sliders: what they are called, where they end, and whether equal steps are equal factors. */
  const SLIDERS = {
    slope: { label: "slope on the left", low: -1, high: 0.9, step: 0.05 },
    exponent: { label: "exponent p", low: 2, high: 8, step: 0.1 },
    omega: { label: "weight ω", low: 0.01, high: 10, factor: true },
    beta: { label: "scale β", low: 0.1, high: 10, factor: true },
    reach: { label: "reach", low: 0.5, high: 2.5, step: 0.05 },
    deviation: { label: "deviation", low: 0.15, high: 1.5, step: 0.05 },
    centre: { label: "humps at ±", low: 0.1, high: 1.2, step: 0.05 },
    ridge: { label: "ridge", low: 1e-6, high: 1, factor: true, zero: true },
  };
  const STEPS = 60; // of a slider of equal factors

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const copy = (value) => JSON.parse(JSON.stringify(value));
  const kindOf = ({ kind, omega }) => (kind === "hypentropy" && omega > 0 ? "regularized" : kind);

  /** What `solve` is asked: an unscaled potential has the limit of x², whatever it is. */
  function problemOf({ x, y, slope, potential, density, ridge, scaled }) {
    return { x, y, slope, potential: scaled ? potential : { kind: "quadratic" }, density, ridge };
  }

  /** A few words for a setting. */
  function described({ slope, potential, density, scaled, ridge }) {
    const activation = slope === -1 ? "|u|" : slope === 0 ? "ReLU" : `leaky ReLU ${short(slope)}`;
    const { exponent, beta, omega } = potential;
    const phi = {
      quadratic: "x²", power: `|x|^${short(exponent ?? 0)} + ${short(omega ?? 0)} x²`,
      hypentropy: `hypentropy ${short(beta ?? 0)}`, regularized: `hypentropy ${short(beta ?? 0)} + ${short(omega ?? 0)} x²`,
    }[kindOf(potential)];
    const smooth = ridge > 0 ? `, ridge ${short(ridge)}` : "";
    return `${activation}, ${phi}${scaled ? "" : " unscaled"}, ${DENSITIES[density.kind]}${smooth}`;
  }

  /*
   * The address: a state as text and back.
   */

  const list = (values) => values.join(",");
  const numbers = (text) => text.split(",").map(Number);

  function addressOf(state) {
    const { x, y, slope, potential, density, ridge, scaled, width, seed, spline, pinned, time } = state, query = new URLSearchParams();
    const set = (name, value) => query.set(name, String(value));
    set("x", list(x));
    set("y", list(y));
    set("slope", slope);
    set("potential", [potential.kind, ...["exponent", "beta", "omega"].flatMap((name) => (potential[name] == null ? [] : [`${name}:${potential[name]}`]))]);
    set("density", [density.kind, ...["reach", "centre", "deviation"].flatMap((name) => (density[name] == null ? [] : [`${name}:${density[name]}`]))]);
    set("scaled", scaled ? 1 : 0);
    if (ridge) set("ridge", ridge);
    set("width", width);
    set("seed", seed);
    if (spline) set("spline", 1);
    if (time != null) set("time", time);
    if (pinned) set("pinned", addressOf({ ...BARE, ...pinned }));
    return query.toString();
  }

  /** The state that an address holds, or null. */
  function stateOf(address) {
    const query = new URLSearchParams(address.replace(/^#/, ""));
    if (!query.has("x") || !query.has("y")) return null;
    const choice = (name, otherwise) => {
      const [kind, ...settings] = (query.get(name) ?? "").split(",");
      return kind ? Object.fromEntries([["kind", kind], ...settings.map((s) => [s.split(":")[0], Number(s.split(":")[1])])]) : otherwise;
    };
    const value = (name) => (query.has(name) ? Number(query.get(name)) : BARE[name]);
    const state = {
      ...copy(BARE), x: numbers(query.get("x")), y: numbers(query.get("y")), slope: value("slope"), ridge: value("ridge"),
      potential: choice("potential", BARE.potential), density: choice("density", BARE.density), scaled: value("scaled") !== 0,
      width: value("width"), seed: value("seed"), spline: query.get("spline") === "1", time: value("time"),
      pinned: query.has("pinned") ? stateOf(query.get("pinned")) : null,
    };
    return sound(state) ? state : null;
  }

  /** Whether a state that came from outside can be shown at all; whether it can be solved, `solve` says. */
  function sound({ x, y, slope, ridge, width, seed, potential, density, time }) {
    const fine = [...x, ...y, slope, ridge, width, seed, time ?? 0].every(Number.isFinite);
    return fine && x.length === y.length && x.length <= MOST_POINTS && width >= 1 && width <= 5000 && Number.isInteger(width) &&
      Number.isInteger(seed) && seed >= 0 && potential.kind in POTENTIALS && density.kind in DENSITIES;
  }

  /*
   * The same in Python.
   */

  const HUMPS = `class Humps(stats.rv_continuous):
    """Half of the mass around each of -centre and centre."""

    def _pdf(self, t, centre, deviation):
        parts = [stats.norm.pdf(t, c, deviation) for c in (-centre, centre)]
        return 0.5 * sum(parts)

    def _cdf(self, t, centre, deviation):
        parts = [stats.norm.cdf(t, c, deviation) for c in (-centre, centre)]
        return 0.5 * sum(parts)

    def _stats(self, centre, deviation):
        return 0.0, centre**2 + deviation**2, 0.0, None


`;
  const NETWORK = `

def uniforms(state):
    """The page's random numbers."""
    while True:
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ state >> 15) * (state | 1)) & 0xFFFFFFFF
        t ^= (t + (t ^ t >> 7) * (t | 61)) & 0xFFFFFFFF
        yield (t ^ t >> 14) / 2**32


`;

  /** A program that gives the numbers of a state, and of its training once that has begun. */
  function pythonOf(state) {
    const { x, y, slope, potential, density, ridge, scaled, width, seed, time } = state;
    const names = { quadratic: "Quadratic", power: "Power", hypentropy: "Hypentropy" }, name = names[potential.kind];
    const plain = { quadratic: "Quadratic()", power: `Power(${potential.exponent})`, hypentropy: `Hypentropy(${potential.beta})` }[potential.kind];
    const regularized = potential.kind !== "quadratic" && potential.omega > 0;
    const activation = slope === -1 ? '"abs"' : slope === 0 ? '"relu"' : `leaky_relu(${slope})`;
    const frozen = {
      uniform: `stats.uniform(${-density.reach}, ${2 * density.reach})`, normal: `stats.norm(0, ${density.deviation})`,
      humps: `Humps(shapes="centre, deviation")(${density.centre}, ${density.deviation})`,
    }[density.kind];
    const train = time != null, potentials = new Set([name, ...(regularized ? ["Regularized"] : []), ...(scaled ? [] : ["Quadratic"])]);
    const lines = [
      ...(train ? ["import numpy as np", "import torch"] : []),
      "from scipy import stats", "",
      ...(train ? ["import mflib"] : []),
      "from mflib import variational",
      ...(activation.startsWith("leaky") ? ["from mflib.activations import leaky_relu"] : []),
      `from mflib.potentials import ${[...potentials].sort().join(", ")}`, "",
      ...(density.kind === "humps" ? ["", HUMPS.trimEnd(), "", ""] : []),
      `x = [${x.join(", ")}]`, `y = [${y.join(", ")}]`,
      `potential = ${regularized ? `Regularized(${plain}, omega=${potential.omega})` : plain}`,
      `density = ${frozen}`, "",
      "# the limit of infinite width",
      "h = variational.solve(", "    x,", "    y,", `    activation=${activation},`,
      scaled ? "    potential=potential," : "    potential=Quadratic(),  # the limit of every unscaled one",
      "    density=density,",
      ...(ridge > 0 ? [`    ridge=${ridge},`] : []), ")",
      "print(h.status.name, h.cost, h.gap, h.residual)", "print(h(x))",
    ];
    return lines.join("\n") + (train ? networkIn(density, width, seed, activation, scaled) : "") + "\n";
  }

  function networkIn(density, width, seed, activation, scaled) {
    const bias = {
      uniform: `${density.reach} * (2 * u - 1)`,
      normal: `${density.deviation} * bell`,
      humps: `${density.deviation} * bell + ${density.centre} * np.where(hump < 0.5, -1, 1)`,
    }[density.kind];
    return `${NETWORK}# a network of ${width} units, as the page draws it, and its training
numbers = uniforms(${seed})
draws = np.array([next(numbers) for _ in range(4 * ${width})])
sign, hump, u, angle = draws.reshape(-1, 4).T
bell = np.sqrt(-2 * np.log(1 - u)) * np.cos(2 * np.pi * angle)
net = mflib.ShallowNetwork(${width}, activation=${activation}, density=density)
with torch.no_grad():
    net.input_weight[:, 0] = torch.tensor(np.where(sign < 0.5, -1.0, 1.0))
    net.input_bias[:] = torch.tensor(${bias})
run = mflib.mirror_flow(net, x, y, potential=potential, scaled=${scaled ? "True" : "False"})
print(run.status.name, run.loss, run.steps)
print(run.network(x).tolist())`;
  }

  /*
   * The page.
   */

  /** A choice with its name. */
  function select(label, options, value, onChange) {
    const input = html("select", {}, ...Object.entries(options).map(([key, text]) => html("option", { value: key, selected: key === String(value) }, text)));
    input.addEventListener("change", () => onChange(input.value));
    return html("label", { class: "choice" }, html("span", {}, label), input);
  }

  function button(text, onClick, attributes = {}) {
    const result = html("button", { type: "button", ...attributes }, text);
    result.addEventListener("click", onClick);
    return result;
  }

  function checkbox(text, checked, onChange) {
    const input = html("input", { type: "checkbox", checked });
    input.addEventListener("change", () => onChange(input.checked));
    return html("label", { class: "check" }, input, text);
  }

  /** A slider for one of SLIDERS. */
  function slider(name, value, onInput) {
    const { label, low, high, step, factor = false, zero = false } = SLIDERS[name];
    const first = zero ? 1 : 0;
    const toValue = (k) => (!factor ? k : zero && k === 0 ? 0 : Number((low * (high / low) ** ((k - first) / (STEPS - first))).toPrecision(3)));
    const toPlace = (v) => (!factor ? v : v <= 0 ? 0 : Math.round(first + ((STEPS - first) * Math.log(v / low)) / Math.log(high / low)));
    const shown = html("span", { class: "value" }, short(value));
    const input = html("input", {
      type: "range", min: factor ? 0 : low, max: factor ? STEPS : high, step: factor ? 1 : step, value: toPlace(value),
      autocomplete: "off", "aria-valuetext": short(value),
    });
    input.addEventListener("input", () => {
      const chosen = toValue(Number(input.value));
      shown.textContent = short(chosen);
      input.setAttribute("aria-valuetext", short(chosen));
      onInput(chosen);
    });
    return html("label", { class: "choice slider" }, html("span", {}, `${label} `, shown), input);
  }

  class Laboratory {
    /** @param {HTMLElement} root */
    constructor(root) {
      this.root = root;
      const settings = JSON.parse(root.dataset.preset ?? "{}");
      this.presets = JSON.parse(root.dataset.presets ?? "{}");
      this.compact = root.dataset.compact !== undefined;
      this.shown = new Set((root.dataset.controls ?? "activation potential density ridge training").split(" "));
      this.preset = { ...copy(BARE), ...settings };
      this.state = (!this.compact && stateOf(location.hash)) || copy(this.preset);
      this.selected = -1;
      this.touched = false;
      this.build();
      this.fit();
      this.renew();
      this.observe();
      if (this.state.time != null) this.train(this.state.time);
    }

    get alone() { return !this.compact; }

    build() {
      const bench = html("div", { class: "bench" }), area = (name, ...children) => html("div", { class: `area ${name}` }, ...children);
      this.pictures = area("pictures");
      this.panel = new Panel(this.pictures, { name: "function", ylabel: "learned function h(x)", xlabel: "x", height: 300, role: "group" });
      this.points = new Points(this.panel);
      this.hint = svg("text", { class: "hint", "aria-hidden": "true" }, this.panel.root);
      this.hint.textContent = "drag me";
      this.legend = html("ul", { class: "legend" });
      this.pictures.append(this.legend);
      this.lower = area("lower");
      this.alpha = new Panel(this.lower, { name: "alpha", ylabel: "coefficient α of a unit, by its kink", xlabel: "kink", height: 190 });
      this.alphaLegend = html("ul", { class: "legend" });
      this.lower.append(this.alphaLegend);
      this.bars = new Bars(this.lower);
      this.training = area("training");
      this.lossBox = area("losses");
      this.loss = new Panel(this.lossBox, { name: "loss", ylabel: "mean squared error", xlabel: "time", height: 150, logarithmic: true });
      this.lossBox.hidden = true;
      this.choices = area("choices");
      this.certificate = html("p", { class: "certificate" });
      this.words = html("p", { class: "words", "aria-live": "polite" });
      this.extras = area("extras");
      bench.append(this.pictures, this.training, this.choices, this.lower, this.extras, this.words);
      this.lower.hidden = this.compact && !this.shown.has("units");
      this.pictures.append(this.certificate);
      this.training.append(this.lossBox);
      this.root.append(bench);
      this.root.classList.add("live");
      this.buildChoices();
      this.buildTraining();
      this.buildExtras();
      this.listen();
    }

    /** What can be chosen; sliders only where they do something. */
    buildChoices() {
      const { state, shown } = this, choices = [], focus = this.choices.querySelector(":focus")?.closest("[data-name]")?.dataset.name;
      const add = (name, control) => { control.dataset.name = name; choices.push(control); };
      const set = (change) => { this.change(change); };
      const anew = (change) => { this.change(change); this.buildChoices(); };
      if (this.alone && Object.keys(this.presets).length > 0) {
        const names = Object.fromEntries([["", "your own"], ...Object.entries(this.presets).map(([key, { name }]) => [key, name])]);
        add("preset", select("Start from", names, this.chosen ?? "", (key) => { if (key) this.start(key); }));
      }
      if (shown.has("activation")) {
        const kind = state.slope === -1 ? "abs" : state.slope === 0 ? "relu" : "leaky";
        add("activation", select("Activation", ACTIVATIONS, this.leaky ? "leaky" : kind, (key) => {
          this.leaky = key === "leaky";
          anew({ slope: { abs: -1, relu: 0, leaky: 0.3 }[key] });
        }));
        if (this.leaky || kind === "leaky") add("slope", slider("slope", state.slope, (slope) => set({ slope })));
      }
      if (shown.has("potential")) {
        const { potential } = state, change = (part) => set({ potential: { ...state.potential, ...part } });
        add("potential", select("Potential φ", POTENTIALS, kindOf(potential), (key) => anew({
          potential: {
            quadratic: { kind: "quadratic" }, power: { kind: "power", exponent: potential.exponent ?? 4, omega: potential.omega || 1 },
            hypentropy: { kind: "hypentropy", beta: potential.beta ?? 0.3 },
            regularized: { kind: "hypentropy", beta: potential.beta ?? 0.3, omega: potential.omega || 1 },
          }[key],
        })));
        for (const name of ["exponent", "beta", "omega"]) {
          if (potential[name] > 0) add(name, slider(name, potential[name], (value) => change({ [name]: value })));
        }
        add("scaled", checkbox("scaled (else: the limit of x²)", state.scaled, (scaled) => set({ scaled })));
      }
      if (shown.has("density")) {
        const { density } = state;
        add("density", select("Density of the kinks", DENSITIES, density.kind, (kind) => anew({
          density: { uniform: { kind, reach: 1 }, normal: { kind, deviation: 0.5 }, humps: { kind, centre: 0.6, deviation: 0.25 } }[kind],
        })));
        for (const name of ["reach", "centre", "deviation"]) {
          if (name in density) add(name, slider(name, density[name], (value) => set({ density: { ...state.density, [name]: value } })));
        }
      }
      if (shown.has("ridge")) add("ridge", slider("ridge", state.ridge, (ridge) => set({ ridge })));
      this.choices.replaceChildren(...choices);
      if (focus) choices.find((control) => control.dataset.name === focus)?.querySelector("select, input")?.focus();
    }

    buildTraining() {
      if (!this.shown.has("training")) return;
      this.play = button("", () => this.toggle(), { class: "play" });
      this.scrub = null;
      this.clock = html("span", { class: "clock" });
      const widths = Object.fromEntries(WIDTHS.map((n) => [n, n]));
      widths[this.state.width] ??= this.state.width;
      this.widthChoice = select("units", widths, this.state.width, (n) => this.change({ width: Number(n) }));
      this.timeRow = html("div", { class: "row time" });
      this.training.prepend(
        html("div", { class: "row" }, this.play, this.widthChoice,
          this.alone ? button("Other seed", () => this.change({ seed: this.state.seed + 1 })) : null),
        this.timeRow, this.clock,
      );
      this.showPlay();
    }

    buildExtras() {
      const actions = html("div", { class: "row" },
        button("Add a point", () => this.add()), button("Delete point", () => this.remove(this.selected)), button("Reset", () => this.reset()));
      if (this.compact) {
        const home = html("a", { class: "home", href: this.root.dataset.home ?? "laboratory.html" }, "Open in the laboratory");
        // only now: an address in the page would be one more place for links to lead to
        for (const event of ["pointerdown", "click", "contextmenu"]) {
          home.addEventListener(event, () => { home.href = `${this.root.dataset.home ?? "laboratory.html"}#${addressOf(this.state)}`; });
        }
        actions.append(home);
        this.extras.append(actions);
        return;
      }
      this.pinButton = button("Pin this curve", () => this.pin());
      this.splineBox = checkbox("natural cubic spline", this.state.spline, (spline) => this.change({ spline }, { keep: true }));
      this.code = html("code");
      this.program = html("details", {}, html("summary", {}, "As Python"), html("pre", { tabindex: 0 }, this.code));
      this.extras.append(actions,
        html("div", { class: "row" }, this.pinButton, this.splineBox),
        html("div", { class: "row" }, button("Copy link", () => this.copy(this.link(), "The link")),
          button("Copy as Python", () => this.copy(pythonOf(this.state), "The Python program"))),
        this.program);
    }

    listen() {
      const { panel } = this, svgRoot = panel.root;
      let held = -1, frame = 0, place = [0, 0];
      svgRoot.addEventListener("pointerdown", (event) => {
        const near = this.points.near(event.clientX, event.clientY);
        if (near < 0 || event.button > 0) return;
        event.preventDefault();
        held = near;
        svgRoot.setPointerCapture(event.pointerId);
        svgRoot.classList.add("dragging");
        this.select(near);
        this.points.get(near)?.focus({ preventScroll: true });
      });
      svgRoot.addEventListener("pointermove", (event) => {
        if (held < 0) return;
        place = panel.locate(event.clientX, event.clientY);
        // as often as the screen shows it
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          if (held >= 0) this.move(held, ...place, { within: true });
        });
      });
      const release = () => {
        if (held < 0) return;
        if (frame) {
          cancelAnimationFrame(frame);
          frame = 0;
          this.move(held, ...place, { within: true });
        }
        held = -1;
        svgRoot.classList.remove("dragging");
        if (this.needsFit()) {
          this.fit();
          this.draw();
        }
        this.settle();
      };
      svgRoot.addEventListener("pointerup", release);
      svgRoot.addEventListener("pointercancel", release);
      svgRoot.addEventListener("dblclick", (event) => {
        if (this.points.near(event.clientX, event.clientY) < 0) this.add(panel.locate(event.clientX, event.clientY));
      });
      this.points.root.addEventListener("keydown", (event) => this.onKey(event));
      this.points.root.addEventListener("focusin", (event) => {
        const point = event.target instanceof Element ? event.target.closest("[data-point]") : null;
        if (point) this.select(Number(point.getAttribute("data-point")));
      });
    }

    /** @param {KeyboardEvent} event */
    onKey(event) {
      const i = this.selected, { x, y } = this.state, large = event.shiftKey ? 10 : 1;
      const across = 0.01 * large, up = this.finestStep() * large;
      const step = { ArrowLeft: [-across, 0], ArrowRight: [across, 0], ArrowUp: [0, up], ArrowDown: [0, -up] }[event.key];
      if (step && i >= 0) {
        event.preventDefault();
        this.move(i, x[i] + step[0], y[i] + step[1]);
        if (this.needsFit()) {
          this.fit();
          this.draw();
        }
        this.settle();
      } else if (event.key === "Delete" || event.key === "Backspace") {
        event.preventDefault();
        this.remove(i);
      }
    }

    /** A hundredth of the height of the panel, as a round number. */
    finestStep() {
      const [low, high] = this.panel.y, power = 10 ** Math.floor(Math.log10((high - low) / 100));
      return power * ([1, 2, 5].reverse().find((factor) => factor * power <= (high - low) / 100) ?? 1);
    }

    /** Redraw when the room changes, and follow the address. */
    observe() {
      new ResizeObserver(() => {
        if (this.pictures.clientWidth !== this.drawnWidth) this.draw();
      }).observe(this.root);
      if (this.alone) {
        addEventListener("hashchange", () => {
          const state = stateOf(location.hash);
          if (state && addressOf(state) !== addressOf(this.state)) this.show(state);
        });
      }
      this.root.addEventListener("focusin", () => { active = this; });
      this.root.addEventListener("pointerdown", () => { active = this; });
    }

    /*
     * Changes.
     */

    /** Change a part of the state; `keep` what training has found. */
    change(part, { keep = false } = {}) {
      Object.assign(this.state, part);
      this.chosen = "";
      if (!keep) this.forget();
      this.renew();
      if (this.needsFit()) {
        this.fit();
        this.draw();
      }
      this.settle();
    }

    /** Replace the whole state. */
    show(state) {
      this.forget();
      this.state = { ...copy(BARE), ...copy(state) };
      this.leaky = false;
      this.selected = Math.min(this.selected, this.state.x.length - 1);
      this.buildChoices();
      this.choiceOfWidth();
      this.fit();
      this.renew();
      this.settle();
      if (this.state.time != null) this.train(this.state.time);
    }

    choiceOfWidth() {
      const box = this.widthChoice?.querySelector("select");
      if (!box) return;
      if (![...box.options].some(({ value }) => Number(value) === this.state.width)) box.append(html("option", { value: this.state.width }, String(this.state.width)));
      box.value = String(this.state.width);
      const spline = this.splineBox?.querySelector("input");
      if (spline) spline.checked = this.state.spline;
    }

    start(key) {
      const { name: _, ...preset } = this.presets[key];
      this.preset = { ...copy(BARE), ...preset };
      this.show(this.preset);
      this.chosen = key;
      this.buildChoices();
    }

    reset() {
      this.selected = -1;
      this.show(this.preset);
    }

    select(i) {
      this.selected = i;
      [...this.points.root.children].forEach((point, k) => point.classList.toggle("selected", k === i));
    }

    /** Put a point somewhere, not out of the support; while it is dragged, not out of the picture. */
    move(i, x, y, { within = false } = {}) {
      const { panel, state } = this, reach = densityOf(state.density).reach;
      const [low, high] = within ? panel.x : [-Infinity, Infinity], [bottom, top] = within ? panel.y : [-Infinity, Infinity];
      const clamp = (v, least, most) => Math.min(most, Math.max(least, v)), round = (v) => Number(v.toFixed(4));
      state.x[i] = round(clamp(x, Math.max(low, -reach), Math.min(high, reach)));
      state.y[i] = within ? Number(clamp(y, bottom, top).toPrecision(5)) : Number(y.toPrecision(8));
      this.touched = true;
      this.chosen = "";
      this.forget();
      this.renew();
    }

    add(place) {
      const { state } = this, { x, y } = state;
      if (x.length >= MOST_POINTS) return this.say(`There is room for ${MOST_POINTS} points.`);
      const reach = Math.min(densityOf(state.density).reach, 1), ends = [-reach, ...[...x].sort((a, b) => a - b), reach];
      const gaps = ends.slice(1).map((t, k) => t - ends[k]), widest = gaps.indexOf(Math.max(...gaps));
      const t = place ? place[0] : 0.5 * (ends[widest] + ends[widest + 1]);
      const value = place ? place[1] : this.limit.at(t) ?? 0;
      x.push(0);
      y.push(0);
      this.selected = x.length - 1;
      this.move(this.selected, t, value);
      this.points.get(this.selected)?.focus({ preventScroll: true });
      this.settle(`Point added at x = ${short(x[x.length - 1])}.`);
    }

    remove(i) {
      const { x, y } = this.state;
      if (i < 0 || i >= x.length) return this.say("Select a point first: click it, or focus it with the Tab key.");
      if (x.length === 1) return this.say("The last point stays.");
      x.splice(i, 1);
      y.splice(i, 1);
      this.selected = Math.min(i, x.length - 1);
      this.forget();
      this.renew();
      this.points.get(this.selected)?.focus({ preventScroll: true });
      this.settle("Point deleted.");
    }

    pin() {
      const { pinned, ...state } = this.state;
      this.state.pinned = pinned ? null : { ...copy(problemOf(state)), potential: copy(state.potential), scaled: state.scaled };
      this.renew();
      this.settle(pinned ? "The pinned curve is gone." : "Curve pinned.");
    }

    /** Solve and draw. */
    renew() {
      const { state } = this, start = this.limit?.multipliers?.length === state.x.length ? this.limit.multipliers : undefined;
      this.limit = solve({ ...problemOf(state), start });
      const key = state.pinned && JSON.stringify(state.pinned);
      if (key !== this.pinnedKey) {
        this.pinnedKey = key;
        this.pinned = state.pinned ? solve(problemOf(state.pinned)) : null;
      }
      if (this.pinButton) this.pinButton.textContent = state.pinned ? "Unpin the curve" : "Pin this curve";
      this.draw();
    }

    /** After a change has come to rest: the address, the program, and words. */
    settle(words = "") {
      clearTimeout(this.settling);
      this.settling = setTimeout(() => {
        if (this.alone) {
          history.replaceState(null, "", `#${addressOf(this.state)}`);
          this.code.textContent = pythonOf(this.state);
        }
        this.say(`${words} ${this.inWords()}`);
      }, 250);
    }

    say(text) { this.words.textContent = text.trim(); }

    inWords() {
      const { limit, selected, state } = this, i = selected;
      const point = i >= 0 && i < state.x.length ? `Point ${i + 1} at x = ${short(state.x[i])}, y = ${short(state.y[i])}. ` : "";
      if (limit.status !== "CONVERGED") return `${point}No curve: ${limit.message}`;
      const terms = limit.penalties ? ` (${Object.entries(limit.penalties).map(([name, v]) => `${name} ${short(v)}`).join(", ")})` : "";
      return `${point}${limit.status}, cost ${short(limit.cost)}${terms}, gap ${short(limit.gap, 2)}, residual ${short(limit.residual, 2)}.`;
    }

    /*
     * Drawing.
     */

    /** Ranges of the axes, for what is to be seen now; they stay while a point is dragged. */
    fit() {
      const { state } = this, { x, y, density } = state, p = densityOf(density);
      const edge = Math.max(1.5, Number.isFinite(p.reach) ? 1.15 * p.reach : 0, ...x.map((v) => 1.1 * Math.abs(v)));
      const range = [-edge, edge], t = Array.from({ length: 121 }, (_, k) => -edge + (edge * k) / 60);
      const limit = solve(problemOf(state)), values = [...y];
      if (limit.status === "CONVERGED") values.push(...limit.at(t));
      // a curve that shoots far beyond the data does not decide alone
      const [low, high] = [Math.min(...y), Math.max(...y)], spread = Math.max(high - low, 0.2 * Math.max(Math.abs(low), Math.abs(high)), 1e-6);
      const bottom = Math.max(Math.min(...values), low - 1.5 * spread), top = Math.min(Math.max(...values), high + 1.5 * spread);
      this.ranges = { x: range, y: [bottom - 0.12 * (top - bottom || 1), top + 0.12 * (top - bottom || 1)] };
      this.ranges.alpha = this.rangeOfUnits(limit, t);
      this.ranges.cost = limit.cost > 0 ? 1.3 * limit.cost : 1;
    }

    rangeOfUnits(limit, t) {
      let alpha = 0, z = 0;
      if (limit.status === "CONVERGED") {
        for (const { right, left } of t.map(limit.units)) {
          alpha = Math.max(alpha, Math.abs(right.alpha), Math.abs(left.alpha));
          z = Math.max(z, Math.abs(right.z), Math.abs(left.z));
        }
      }
      this.fieldScale = z > 0 ? alpha / z : 1;
      return [-1.15 * (alpha || 1), 1.15 * (alpha || 1)];
    }

    /** Whether the picture no longer shows what there is. */
    needsFit() {
      const { state: { x, y, density }, panel, limit, ranges } = this, [low, high] = panel.y, spread = Math.max(...y) - Math.min(...y);
      const reach = densityOf(density).reach;
      if (y.some((v) => v < low || v > high) || x.some((v) => Math.abs(v) > ranges.x[1])) return true;
      if (Number.isFinite(reach) && (1.05 * reach > ranges.x[1])) return true;
      if (limit.status !== "CONVERGED") return false;
      const sizes = x.map((t) => limit.units(t)).map(({ right, left }) => Math.max(Math.abs(right.alpha), Math.abs(left.alpha)));
      const alpha = Math.max(...sizes) / ranges.alpha[1];
      return alpha > 1.2 || alpha < 0.25 || limit.cost > ranges.cost || limit.cost < 0.15 * ranges.cost || spread < 0.15 * (high - low);
    }

    draw() {
      const { panel, alpha, state, limit, ranges } = this, { x, y } = state, converged = limit.status === "CONVERGED";
      const width = (this.drawnWidth = this.pictures.clientWidth || 600), last = this.frame;
      panel.height = Math.round(Math.min(320, Math.max(230, 0.6 * width)));
      panel.frame(width, ranges.x, ranges.y);
      const t = panel.abscissae(x);
      if (state.spline) panel.line("spline", t, t.map(naturalSpline(x, y)));
      else panel.clear("spline");
      if (this.pinned?.status === "CONVERGED") panel.line("pinned", t, this.pinned.at(t));
      else panel.clear("pinned");
      panel.line("limit", t, converged ? limit.at(t) : null);
      if (last) {
        panel.line("path", t, last.infinite?.at(t));
        panel.line("network", t, last.network.at(t));
      } else panel.clear("path", "network");
      this.points.draw(x, y, this.selected);
      this.drawHint();
      panel.root.setAttribute("aria-label", `The learned function and ${x.length} points. ${this.inWords()}`);
      if (!this.lower.hidden) this.drawUnits(width, converged);
      if (this.training.isConnected) this.drawLoss(width);
      this.describe(converged);
    }

    drawHint() {
      const { panel, state: { x, y } } = this, first = x.indexOf(Math.min(...x)), show = !this.touched && !this.frame;
      this.hint.setAttribute("x", String(panel.across(x[first]) + 12));
      this.hint.setAttribute("y", String(panel.up(y[first]) - 12));
      this.hint.style.display = show ? "" : "none";
    }

    drawUnits(width, converged) {
      const { alpha, state, limit, ranges, frame } = this, { slope, x } = state;
      alpha.frame(width, ranges.x, ranges.alpha);
      alpha.verticals("data", x);
      if (converged) {
        const t = alpha.abscissae(x), units = t.map((v) => limit.units(v)), inside = (f) => units.map((u) => (u.density > 0 ? f(u) : null));
        alpha.line("field", t, inside(({ right }) => right.z * this.fieldScale));
        alpha.line("right", t, inside(({ right }) => right.alpha));
        if (slope === -1) alpha.clear("left", "field-left");
        else {
          alpha.line("field-left", t, inside(({ left }) => left.z * this.fieldScale));
          alpha.line("left", t, inside(({ left }) => left.alpha));
        }
      } else alpha.clear("field", "field-left", "right", "left");
      if (frame) {
        const { outputWeight, inputWeight, inputBias } = frame.network, n = outputWeight.length;
        for (const [name, side] of [["neurons-right", 1], ["neurons-left", -1]]) {
          const units = [...outputWeight.keys()].filter((k) => inputWeight[k] * side > 0 && (n <= 1000 || k % 5 === 0));
          alpha.dots(name, units.map((k) => inputBias[k] / inputWeight[k]), units.map((k) => n * outputWeight[k]));
        }
      } else alpha.clear("neurons-right", "neurons-left");
      alpha.root.setAttribute("aria-label", converged ? `Coefficients α by the place of the kink, from ${short(-ranges.alpha[1])} to ` +
        `${short(ranges.alpha[1])}${frame ? `, and ${frame.network.outputWeight.length} neurons` : ""}` : "No coefficients: there is no solution");
      const bar = (name, { cost, penalties }) => ({
        name, text: penalties ? `${short(cost)} = ${Object.entries(penalties).map(([term, v]) => `${short(v)} (${term})`).join(" + ")}` : short(cost),
        parts: penalties ? Object.values(penalties) : [cost],
      });
      const bars = [converged ? bar("Cost", limit) : { name: "Cost", text: "none", parts: [] }];
      if (this.pinned?.status === "CONVERGED") bars.push(bar("Pinned", this.pinned));
      this.bars.draw(width, Math.max(ranges.cost, this.pinned?.cost ?? 0), bars);
      this.bars.root.setAttribute("aria-label", bars.map(({ name, text }) => `${name}: ${text}`).join(". "));
      legend(this.alphaLegend, [
        ["right", slope === -1 ? "α = h″/(2p)" : "α, facing right"], ...(slope === -1 ? [] : [["left", "α, facing left"]]),
        ["field", "dual field z (own scale)"], ...(frame ? [["neurons-right", "neurons: n × output weight"]] : []),
      ]);
    }

    drawLoss(width) {
      const { flow, loss } = this;
      this.lossBox.hidden = !flow || (this.compact && !this.shown.has("loss"));
      if (this.lossBox.hidden) return;
      const log = Math.log10, first = log(flow.times[0]), end = log(flow.times[flow.times.length - 1]);
      const most = log(flow.initialLoss), least = -7.3;
      loss.frame(this.training.clientWidth || width, [first, end], [Math.min(least, most - 1), most + 0.3]);
      const curve = (name, losses) => loss.line(name, flow.times.slice(0, losses.length).map(log), losses.map(log));
      curve("path", flow.infinite.map((frame) => frame.loss));
      curve("network", flow.frames.map((frame) => frame.loss));
      loss.verticals("now", [log(flow.times[flow.index])]);
      const { loss: now } = flow.frames[flow.index];
      loss.root.setAttribute("aria-label", `Loss ${short(now)} at time ${short(flow.times[flow.index])}; it began at ${short(flow.initialLoss)}`);
    }

    /** The certificate, the legend and the clock, in words. */
    describe(converged) {
      const { limit, state, frame } = this;
      this.certificate.replaceChildren(html("strong", { class: converged ? "good" : "bad" }, limit.status),
        converged ? ` cost ${short(limit.cost)} · gap ${short(limit.gap, 2)} · residual ${short(limit.residual, 2)}` : ` ${limit.message}`);
      legend(this.legend, [
        ...(converged ? [["limit", `infinite width: ${described(state)}`]] : []),
        ...(frame ? [["network", `network, ${state.width} units`], ["path", "infinitely wide, same time"]] : []),
        ...(state.spline ? [["spline", "natural cubic spline"]] : []),
        ...(this.pinned ? [["pinned", this.pinned.status === "CONVERGED" ? `pinned: ${described(state.pinned)}` : `pinned: ${this.pinned.message}`]] : []),
      ]);
      if (this.clock) this.clock.textContent = this.clockText();
    }

    clockText() {
      const { flow, frame, limit, state } = this;
      if (!flow || !frame) return flow?.message ?? "";
      const t = this.panel.abscissae(), target = limit.status === "CONVERGED" && state.ridge === 0 ? limit.at(t) : null;
      const away = target ? Math.max(...frame.network.at(t).map((v, k) => Math.abs(v - target[k]))) : null;
      frame.distance = away;
      const note = flow.done ? ` ${flow.ending}.` : "";
      return `time ${short(flow.times[flow.index])} · loss ${short(frame.loss)}${away == null ? "" : ` · largest distance from the limit ${short(away, 2)}`}.${note}`;
    }

    /*
     * Training.
     */

    get frame() {
      const { flow } = this;
      if (!flow || flow.frames.length === 0) return null;
      return { ...flow.frames[flow.index], network: flow.frames[flow.index], infinite: flow.infinite[Math.min(flow.index, flow.infinite.length - 1)] };
    }

    /** Forget the training: its data have changed. */
    forget() {
      if (!this.flow) return;
      cancelAnimationFrame(this.flow.timer);
      clearTimeout(this.flow.timeout);
      this.flow = null;
      this.state.time = null;
      this.timeRow.replaceChildren();
      this.scrub = null;
      this.showPlay();
    }

    toggle() {
      const { flow } = this;
      if (!flow) return this.train();
      if (flow.playing) {
        flow.playing = false;
        this.rest();
      } else {
        if (flow.done && flow.index === flow.times.length - 1) flow.index = 0;
        flow.playing = true;
        this.tick();
      }
      this.showPlay();
    }

    showPlay() {
      if (!this.play) return;
      const { flow } = this, again = flow?.done && flow.index === flow.times.length - 1;
      const [icon, text] = !flow ? ["▶", "Train a network"] : flow.playing ? ["❚❚", "Pause"] : again ? ["↻", "Play again"] : ["▶", "Go on"];
      this.play.replaceChildren(html("span", { "aria-hidden": "true" }, icon), ` ${text}`);
    }

    /** Begin to train; with a time, go there without a show. */
    train(time = null) {
      const { state } = this, options = { ...state, lossTarget: 1e-7 };
      let network, infinite;
      try {
        infinite = integrationOf(options, true);
        network = integrationOf({ ...options, ...drawNetwork(state) }, false);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        this.clock.textContent = `No training: ${error.message}`;
        return;
      }
      this.touched = true;
      this.flow = { network, frames: [], index: 0, playing: true, done: false, initialLoss: Math.max(network.loss, 1e-300), ...journey(infinite) };
      this.goal = time;
      const { times } = this.flow, range = html("input", { type: "range", min: 0, max: times.length - 1, step: 1, value: 0, autocomplete: "off" });
      range.addEventListener("input", () => this.scrubTo(Number(range.value)));
      this.scrub = range;
      this.timeRow.replaceChildren(html("label", { class: "choice slider" }, html("span", {}, "time, on a logarithmic axis"), range));
      this.showPlay();
      this.tick();
    }

    scrubTo(index) {
      const { flow } = this;
      flow.playing = false;
      flow.index = Math.min(index, flow.frames.length - 1);
      this.scrub.value = String(flow.index);
      this.showPlay();
      this.draw();
      this.rest();
    }

    /** One picture of the training: shown before, or computed for as long as a picture lasts. */
    tick() {
      const { flow } = this;
      if (!flow?.playing) return;
      const silent = still() || this.goal != null, begun = performance.now(), patience = () => performance.now() - begun < (silent ? 40 : 10);
      const next = flow.frames.length === 0 ? 0 : Math.min(flow.index + 1, flow.times.length - 1);
      if (next >= flow.frames.length && flow.network.advance(flow.times[next], patience)) {
        flow.frames.push({ ...flow.network.snapshot(), time: flow.times[next] });
      }
      if (next < flow.frames.length) {
        flow.index = next;
        this.state.time = flow.times[next];
        this.scrub.value = String(next);
        if (!silent) this.draw();
      }
      if (flow.frames.length === flow.times.length && flow.index === flow.times.length - 1) return this.arrive();
      flow.timer = silent ? 0 : requestAnimationFrame(() => { flow.timer = requestAnimationFrame(() => this.tick()); });
      if (silent) flow.timeout = setTimeout(() => this.tick(), 0);
    }

    /** The end of training. */
    arrive() {
      const { flow, goal } = this;
      flow.playing = false;
      flow.done = true;
      flow.ending = flow.network.status ? `Training ended: ${FLOW_STATUS[flow.network.status]}` : "The network needs longer than its infinitely wide limit; training stopped here";
      this.goal = null;
      if (goal != null) flow.index = nearest(flow.times, goal);
      this.scrub.value = String(flow.index);
      this.showPlay();
      this.draw();
      this.rest();
    }

    /** Tell where the training stands. */
    rest() {
      const { flow } = this;
      this.state.time = flow.times[flow.index];
      this.scrub.setAttribute("aria-valuetext", `time ${short(flow.times[flow.index])}, loss ${short(flow.frames[flow.index].loss)}`);
      this.settle(this.clockText());
    }

    /*
     * Sharing.
     */

    link() { return `${location.href.replace(/#.*/s, "")}#${addressOf(this.state)}`; }

    async copy(text, what) {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        const box = html("textarea", { class: "words", "aria-hidden": "true", tabindex: -1 });
        box.value = text;
        this.root.append(box);
        box.select();
        const done = document.execCommand("copy");
        box.remove();
        if (!done) return this.say(`${what} could not be copied: your browser does not allow it.`);
      }
      this.say(`${what} is copied.`);
      return undefined;
    }

    /** All there is to know, as plain data. */
    get data() {
      const { status, message, cost, gap, residual, penalties, slopes, multipliers } = this.limit, { flow, frame } = this;
      const training = flow && frame ? {
        time: flow.times[flow.index], loss: frame.loss, playing: flow.playing, done: flow.done, frames: flow.frames.length,
        status: flow.network.status, steps: flow.network.steps, distance: flow.frames[flow.index].distance ?? null,
      } : null;
      return copy({
        ...this.state, selected: this.selected, axes: { x: this.panel.x, y: this.panel.y }, training,
        result: { status, message, cost, gap, residual, penalties, slopes, multipliers },
      });
    }
  }

  /** The infinitely wide network's whole path, and the times at which both are shown. */
  function journey(infinite) {
    const first = Math.floor(PER_DECADE * Math.log10(infinite.first / 3)), times = [], frames = [];
    for (let k = first, extra = 5; extra > 0 && times.length < MOST_FRAMES; k++) {
      const time = 10 ** (k / PER_DECADE);
      infinite.advance(time);
      times.push(time);
      frames.push(infinite.snapshot());
      if (infinite.status !== null) extra--;
    }
    return { times, infinite: frames };
  }

  function nearest(values, goal) {
    let best = 0;
    values.forEach((v, k) => { if (Math.abs(Math.log(v / goal)) < Math.abs(Math.log(values[best] / goal))) best = k; });
    return best;
  }

  /** What the lines mean. @param {[string, string][]} entries */
  function legend(root, entries) {
    const key = JSON.stringify(entries);
    if (root.dataset.key === key) return;
    root.dataset.key = key;
    root.replaceChildren(...entries.map(([name, text]) => {
      const sample = svg("svg", { width: 26, height: 12, "aria-hidden": "true", class: "laboratory-panel" });
      svg("path", { class: name, d: name.startsWith("neurons") ? "M13,6h0" : "M1,6H25" }, sample);
      return html("li", {}, sample, ` ${text}`);
    }));
  }

  /** @type {Laboratory | null} the one that was used last */
  let active = null;

  Object.assign(window.laboratory, { addressOf, stateOf, pythonOf });
  Object.defineProperty(window.laboratory, "state", {
    get: () => active?.data ?? null,
    set: (state) => active?.show({ ...active.state, ...state }),
  });

  for (const root of document.querySelectorAll("div.laboratory")) {
    const made = new Laboratory(/** @type {HTMLElement} */ (root));
    active ??= made;
  }
})();
