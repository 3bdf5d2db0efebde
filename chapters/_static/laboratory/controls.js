/*
 * The laboratory on the page. _ext/laboratory.py writes each `div.laboratory`, its markup in a template:
 * inputs say in `data-set` what they set, buttons in `data-do` what they do. Everything is drawn from
 * one object, `state`.
 */
"use strict";
{
const { solve, parts } = window.laboratory;
const { Panel, Points, FLOW_STATUS, densityOf, drawNetwork, integrationOf, naturalSpline, roundStep, short, svg, unlessRefused } = parts;

const MOST_POINTS = 12;
const APART = 0.005; // least distance of two points that are moved
const PER_DECADE = 10; // frames of training
const BARE = {
	x: [0], y: [1], slope: 0, potential: { kind: "quadratic" }, density: { kind: "uniform", reach: 1 }, ridge: 0, scaled: true,
	width: 500, seed: 0, spline: false, pinned: null, time: null,
};
const copy = structuredClone;
const clamp = (v, least, most) => Math.min(most, Math.max(least, v));
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const sized = (width) => clamp(Math.round(width) || BARE.width, 1, 5000);

/** The choice that a state shows. */
const chosen = {
	activation: ({ slope }) => (slope === -1 ? "abs" : slope === 0 ? "relu" : "leaky"),
	potential: ({ potential: { kind, omega } }) => (kind === "hypentropy" && omega > 0 ? "regularized" : kind),
	density: ({ density }) => density.kind,
};

/** What `solve` is asked: an unscaled potential has the limit of x², whatever it is. */
function problemOf({ x, y, slope, potential, density, ridge, scaled }) {
	return { x, y, slope, potential: scaled ? potential : BARE.potential, density, ridge };
}

/** What makes two states the same problem. */
const essence = (state) => JSON.stringify([problemOf({ ...state, scaled: true }), state.scaled]);

/** A state in a few words. */
function described(state) {
	const { slope, scaled, ridge } = state, { exponent, beta, omega } = state.potential, square = omega > 0 ? ` + ${omega === 1 ? "" : `${short(omega)} `}x²` : "";
	const phi = exponent ? `|x|^${short(exponent)}${square}` : beta ? `hypentropy ${short(beta)}${square}` : "x²";
	const activation = { abs: "|u|", relu: "ReLU", leaky: `leaky ReLU ${short(slope)}` }[chosen.activation(state)];
	return `${activation}, ${phi}${scaled ? "" : " unscaled"}, ${state.density.kind}${ridge > 0 ? `, ridge ${short(ridge)}` : ""}`;
}

/** A state as the fragment of an address, and back; null if that holds none that can be shown. */
const addressOf = (state) => `#${encodeURIComponent(JSON.stringify(state))}`;

function stateOf(fragment) {
	try {
		const given = JSON.parse(decodeURIComponent(fragment.slice(1))), state = { ...BARE, ...given }, { x, width, seed, pinned } = state;
		const solved = [state, pinned ?? state].every((some) => solve(problemOf(some)).status !== "REFUSED");
		return solved && x === given.x && x.length <= MOST_POINTS && Number.isInteger(seed) && width === sized(width) ? state : null;
	} catch {
		return null;
	}
}

/** The program that gives the same numbers: its text, with names in brackets, is in the page. */
function pythonOf(state, program) {
	const { potential, density, ridge, scaled, time } = state, values = {
		...state, ...potential, ...density, x: state.x.join(", "), y: state.y.join(", "), activation: program.activation[chosen.activation(state)],
		plain: program.plain[potential.kind], potential: program.potential[Number(potential.omega > 0)], felt: program.felt[Number(scaled)],
		density: program.density[density.kind], bias: program.bias[density.kind], ridge: ridge > 0 ? `, ridge=${ridge}` : "", scaled: scaled ? "True" : "False",
	};
	const fill = (text) => text.replace(/<(\w+)>/g, (_, name) => fill(String(values[name])));
	return fill(program.head + (density.kind === "humps" ? program.humps : "") + program.limit + (time == null ? "" : program.network));
}

function make(tag, properties, ...children) {
	const element = Object.assign(document.createElement(tag), properties);
	element.append(...children);
	return element;
}

/** Fill a list of what the lines mean: a class for the sample, and words. */
function legend(root, entries) {
	root.replaceChildren(...entries.filter(([, text]) => text).map(([className, text]) => make("li", { className }, text)));
}

class Laboratory {
	constructor(root) {
		const { preset, presets = "{}", python, home } = root.dataset;
		Object.assign(this, { root, home, presets: JSON.parse(presets), program: python && JSON.parse(python), preset: { ...BARE, ...JSON.parse(preset) } });
		Object.assign(this, { touched: false, ranges: {}, flow: null });
		root.append(root.querySelector("template").content.cloneNode(true));
		root.classList.add("live");
		const panel = (key, options) => this.find(`[data-panel=${key}]`) && new Panel(this.find(`[data-panel=${key}]`), { name: key, ...options });
		this.panel = panel("function", { height: 300, ylabel: "learned function h(x)", xlabel: "x" });
		this.alpha = panel("alpha", { height: 190, ylabel: "coefficient α of a unit, by its kink", xlabel: "kink" });
		this.loss = panel("loss", { height: 150, ylabel: "mean squared error", xlabel: "time", logarithmic: true });
		this.points = new Points(this.panel);
		this.listen();
		this.show((!home && stateOf(location.hash)) || this.preset);
		clearTimeout(this.settling);
	}

	find(selector) { return this.root.querySelector(selector); }

	listen() {
		const { root, panel, points } = this, picture = panel.root;
		let held = -1, frame = 0, place = [0, 0];
		const follow = () => {
			frame = 0;
			if (held >= 0) this.move(held, ...place, { dragging: true });
		};
		picture.addEventListener("pointerdown", (event) => {
			const near = points.near(event);
			if (near < 0 || event.button > 0) return;
			event.preventDefault();
			[held, place] = [near, [this.state.x[near], this.state.y[near]]];
			picture.setPointerCapture(event.pointerId);
			points.focus(near);
		});
		picture.addEventListener("pointermove", (event) => {
			if (held < 0) return;
			place = panel.locate(event);
			frame ||= requestAnimationFrame(follow);
		});
		points.root.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // do not scroll
		const release = () => {
			if (held < 0) return;
			cancelAnimationFrame(frame);
			if (frame) follow();
			held = -1;
			this.update("");
		};
		for (const kind of ["pointerup", "pointercancel"]) picture.addEventListener(kind, release);
		picture.addEventListener("dblclick", (event) => points.near(event) < 0 && this.add(panel.locate(event)));
		points.root.addEventListener("keydown", (event) => this.onKey(event));
		for (const [kind, is] of [["input", ":not([type=number])"], ["change", "[type=number]"]]) { // a number counts when it is complete
			root.addEventListener(kind, ({ target }) => target.matches(is) && this.set(target.dataset.set, valueOf(target)));
		}
		root.addEventListener("click", ({ target }) => {
			const action = target.closest("[data-do]")?.dataset.do;
			if (action) this[action]();
		});
		root.addEventListener("pointerdown", () => (active = this));
		root.addEventListener("focusin", ({ target }) => { // not on the picture: that would make it a Tab stop
			active = this;
			if (!target.dataset.point) return;
			this.selected = Number(target.dataset.point);
			points.draw(this.state.x, this.state.y, this.selected);
			this.showInputs();
		});
		this.find(".home")?.addEventListener("click", ({ target }) => { target.href = this.home + addressOf(this.state); });
		if (!this.home) {
			addEventListener("hashchange", () => {
				const state = stateOf(location.hash);
				if (state && addressOf(state) !== addressOf(this.state)) this.show(state);
			});
		}
		new ResizeObserver(() => this.panel.width !== this.panel.root.parentElement.clientWidth && this.draw()).observe(root);
	}

	onKey(event) {
		const { selected: i, state: { x, y }, panel } = this, large = event.shiftKey ? 10 : 1;
		const step = roundStep((panel.y[1] - panel.y[0]) / 100) * large, away = event.key === "Delete" || event.key === "Backspace";
		const arrow = { ArrowLeft: [-0.01 * large, 0], ArrowRight: [0.01 * large, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
		if (away || /Arrow|Home|End|Page/.test(event.key)) event.preventDefault();
		if (away) this.remove();
		if (arrow) this.move(i, x[i] + arrow[0], y[i] + arrow[1], {});
	}

	show(state) {
		Object.assign(this, { selected: -1, state: copy({ ...BARE, ...state }) });
		this.update("", { afresh: true });
		if (state.time != null && this.clock) this.train(state.time);
	}

	set(name, value) {
		const { state } = this;
		if (name === "time") return this.scrubTo(value);
		if (name === "preset") {
			this.preset = { ...BARE, ...this.presets[value] };
			return this.reset();
		}
		if (typeof value === "object") Object.assign(state, value);
		else (name in state.potential ? state.potential : name in state.density ? state.density : state)[name] = value;
		const again = this.flow && (name === "width" || name === "seed");
		this.update("", { keep: name === "spline" });
		return again && this.train(null);
	}

	reset() { this.show(this.preset); }

	reseed() { this.set("seed", this.state.seed + 1); }

	/** Put a point somewhere, not out of the support nor onto another; while it is dragged, not out of the picture. */
	move(i, x, y, { dragging = false, words = "" }) {
		const { panel, state } = this, reach = densityOf(state.density).reach, [a, b, c, d] = dragging ? [...panel.x, ...panel.y] : [-1e9, 1e9, -1e9, 1e9];
		const goal = clamp(x, Math.max(a, -reach), Math.min(b, reach)), free = (t) => Math.abs(t) <= reach && state.x.every((v, j) => j === i || Math.abs(v - t) > 0.99 * APART);
		const places = [goal, ...state.x.flatMap((v) => [v - APART, v + APART])].filter(free).sort((s, t) => (s - goal) ** 2 - (t - goal) ** 2);
		state.x[i] = Number((places[0] ?? state.x[i]).toFixed(4));
		state.y[i] = Number(clamp(y, c, d).toPrecision(5));
		this.touched = true;
		this.update(words, { dragging });
	}

	add(place) {
		const { x, y, density } = this.state, reach = Math.min(densityOf(density).reach, 1), n = x.length;
		if (n >= MOST_POINTS) return;
		const ends = [-reach, ...x, reach].sort((a, b) => a - b), gaps = ends.slice(1).map((t, k) => t - ends[k]), widest = gaps.indexOf(Math.max(...gaps));
		const t = ends[widest] + 0.5 * gaps[widest], [across, up] = place ?? [t, this.limit.at(t) ?? 0];
		[x[n], y[n], this.selected] = [t, 0, n];
		this.move(n, across, up, { words: "Point added." });
		this.points.focus(n);
	}

	remove() {
		const { selected: i, state: { x, y } } = this;
		if (x.length === 1) return;
		for (const row of [x, y]) row.splice(i, 1);
		this.selected = Math.min(i, x.length - 1);
		this.update("Point deleted.");
		this.points.focus(this.selected);
	}

	pin() {
		const { pinned, time: _, spline: __, ...state } = this.state;
		this.state.pinned = pinned ? null : copy(state);
		this.update(pinned ? "The pinned curve is gone." : "The curve is pinned.", { keep: true });
	}

	/** Solve, draw, and when it has come to rest say so. */
	update(words, { dragging = false, keep = false, afresh = false } = {}) {
		const { state } = this, pinned = JSON.stringify(state.pinned);
		if (!keep) this.forget();
		this.limit = solve(problemOf(state));
		if (pinned !== this.pinnedKey) Object.assign(this, { pinnedKey: pinned, pinned: state.pinned && solve(problemOf(state.pinned)) });
		if (!dragging) this.fit(afresh);
		this.draw();
		if (dragging) return;
		this.showInputs();
		clearTimeout(this.settling);
		this.settling = setTimeout(() => {
			if (!this.home) history.replaceState(null, "", addressOf(state));
			this.say(`${words} ${this.inWords()}`);
		}, 250);
	}

	/** Bring the inputs in line with the state; sliders are there only where they do something. */
	showInputs() {
		const { state, flow } = this, values = {
			...state, ...state.potential, ...state.density, preset: Object.keys(this.presets).find((key) => essence({ ...BARE, ...this.presets[key] }) === essence(state)) ?? "", activation: chosen.activation(state), potential: chosen.potential(state),
			density: state.density.kind, slope: [-1, 0].includes(state.slope) ? undefined : state.slope, time: flow?.index,
		};
		for (const input of this.root.querySelectorAll("[data-set]")) {
			const value = values[input.dataset.set]; // one that is taken from the tree lets go of the mouse
			input.closest("label").hidden = value === undefined;
			if (value !== undefined) put(input, value);
		}
		const [add, remove, pin, seed, code] = ["[data-do=add]", "[data-do=remove]", "[data-do=pin]", ".seed", "code"].map((name) => this.find(name));
		[add.disabled, remove.disabled] = [state.x.length >= MOST_POINTS, state.x.length === 1 || this.selected < 0];
		if (seed) seed.textContent = state.seed;
		if (pin) pin.textContent = state.pinned ? "Unpin the curve" : "Pin this curve";
		if (code) code.textContent = pythonOf(state, this.program);
	}

	say(text) { this.find(".words").textContent = text.trim(); }

	inWords() {
		const { limit: { status, message, cost, gap, residual, penalties }, selected: i, state: { x, y, density } } = this, { reach } = densityOf(density);
		const point = i >= 0 && i < x.length ? `Point ${i + 1} at x = ${short(x[i])}, y = ${short(y[i])}${Math.abs(x[i]) < reach ? "" : " (the reach)"}. ` : "";
		if (status !== "CONVERGED") return `${point}No curve: ${message}`;
		return `${point}Limit ${status}: cost ${inTerms(cost, penalties)}, gap ${short(gap, 2)}, residual ${short(residual, 2)}.`;
	}

	/** Ranges of the axes: they stay for as long as they show what there is, and while a point is dragged. */
	fit(afresh) {
		const { state: { x, y, density }, limit, ranges } = this, { reach } = densityOf(density), converged = limit.status === "CONVERGED";
		const edge = Math.max(1.5, reach < Infinity ? 1.15 * reach : 0, ...x.map((v) => 1.1 * Math.abs(v))), t = Array.from({ length: 121 }, (_, k) => edge * (k / 60 - 1));
		const [low, high] = [Math.min(...y), Math.max(...y)], spread = Math.max(high - low, 0.2 * Math.abs(low), 0.2 * Math.abs(high), 1e-6);
		const values = [...y, low + 0.2 * spread, ...(converged ? limit.at(t) : [])]; // a curve that shoots far beyond the data does not decide alone
		const units = converged ? t.map(limit.units).filter((u) => u.density > 0).flatMap(({ right, left }) => [right, left]) : [];
		const most = (name) => units.reduce((size, unit) => Math.max(size, Math.abs(unit[name])), 0), alpha = most("alpha") || 1;
		const extents = {
			x: [-edge, edge, 0], y: [Math.max(Math.min(...values), low - 1.5 * spread), Math.min(Math.max(...values), high + 1.5 * spread), 0.12],
			alpha: [-alpha, alpha, 0.08], cost: [0, limit.cost || 1, 0.3],
		};
		for (const [name, [from, to, room]] of Object.entries(extents)) {
			const [a, b] = ranges[name] ?? [0, 0], margin = room * (to - from);
			if (afresh || from < a || to > b || to - from < 0.3 * (b - a)) ranges[name] = [from - margin, to + margin];
		}
		this.fieldScale = alpha / (most("z") || 1);
	}

	draw() {
		const { panel, state, limit, ranges, pinned } = this, { x, y, spline } = state, converged = limit.status === "CONVERGED", frame = this.frame;
		const width = panel.root.parentElement.clientWidth || 600;
		panel.height = Math.round(clamp(0.6 * width, 230, 320));
		panel.frame(width, ranges.x, ranges.y);
		const t = panel.abscissae(x);
		panel.line("spline", t, spline && t.map(naturalSpline(x, y)));
		panel.line("pinned", t, pinned?.status === "CONVERGED" && pinned.at(t));
		panel.line("limit", t, converged && limit.at(t));
		panel.line("path", t, frame?.infinite.at(t));
		panel.line("network", t, frame?.network.at(t));
		this.points.draw(x, y, this.selected);
		if (this.touched) this.find(".hint")?.remove();
		else if (!this.find(".hint")) svg("text", { class: "hint", x: 12, y: -12, "aria-hidden": true }, this.points.root.firstElementChild).textContent = "drag me";
		panel.root.setAttribute("aria-label", `The learned function and ${x.length} points`);
		if (this.alpha) this.drawUnits(width, converged, frame);
		if (this.loss) this.drawLoss();
		this.find(".certificate").replaceChildren("limit: ", make("strong", { className: limit.status }, limit.status), converged ? ` cost ${short(limit.cost)} · gap ${short(limit.gap, 2)} · residual ${short(limit.residual, 2)}` : ` ${limit.message}`);
		legend(this.find(".legend"), [
			["limit", converged && `infinite width: ${described(state)}`], ["network", frame && `network, ${state.width} units`],
			["path", frame && "infinitely wide, same time"], ["spline", spline && "natural cubic spline"],
			["pinned", pinned && `pinned: ${pinned.status === "CONVERGED" ? described(state.pinned) : pinned.message}`],
		]);
		if (this.clock) this.clock.textContent = this.clockText();
	}

	drawUnits(width, converged, frame) {
		const { alpha, state: { slope, x }, limit, ranges, pinned } = this, both = slope !== -1;
		alpha.frame(width, ranges.x, ranges.alpha);
		const t = alpha.abscissae(x);
		alpha.verticals("data", x);
		const units = converged ? t.map(limit.units) : [], inside = (f) => units.map((u) => (u.density > 0 ? f(u) : null));
		alpha.line("field", t, inside(({ right }) => right.z * this.fieldScale));
		alpha.line("field left", t, both && inside(({ left }) => left.z * this.fieldScale));
		alpha.line("right", t, inside(({ right }) => right.alpha));
		alpha.line("left", t, both && inside(({ left }) => left.alpha));
		for (const [name, side] of [["neurons", 1], ["neurons left", -1]]) {
			const { outputWeight: a = [], inputWeight: w, inputBias: b } = frame?.network ?? {}, n = a.length;
			const some = [...a.keys()].filter((k) => w[k] * side > 0 && (n <= 1000 || k % 5 === 0));
			alpha.dots(name, some.map((k) => b[k] / w[k]), some.map((k) => n * a[k]));
		}
		alpha.root.setAttribute("aria-label", `Coefficients α by the place of the kink: ${converged ? `from ${ranges.alpha.map((v) => short(v)).join(" to ")}` : "none"}`);
		legend(this.find(".lower .legend"), [
			["limit", both ? "α, facing right" : "α = h″/(2p)"], ["left", both && "α, facing left"], ["field", "dual field z (own scale)"],
			["neurons", frame && "neurons: n × output weight"],
		]);
		const most = Math.max(ranges.cost[1], pinned?.cost ?? 0);
		this.find(".bars").replaceChildren(...[["Cost", limit], ["Pinned", pinned]].filter(([, of]) => of?.status === "CONVERGED").flatMap(([name, { cost, penalties }]) => {
			const pieces = Object.values(penalties ?? { cost }).map((part) => make("span", { style: `width: ${clamp((100 * part) / most, 0, 100)}%` }));
			return [`${name} ${inTerms(cost, penalties)}`, penalties || pinned ? make("div", { className: "bar" }, ...pieces) : ""];
		}));
	}

	drawLoss() {
		const { flow, loss } = this, box = loss.root.parentElement, log = Math.log10;
		box.hidden = !this.frame;
		if (box.hidden) return;
		const times = flow.times.map(log), first = log(flow.initialLoss);
		loss.frame(box.clientWidth || 600, [times[0], times.at(-1)], [Math.min(-7.3, first - 1), first + 0.3]);
		loss.line("path", times, flow.infinite.map((frame) => log(frame.loss)));
		loss.line("network", times, flow.frames.map((frame) => log(frame.loss)));
		loss.verticals("now", [times[flow.index]]);
		loss.root.setAttribute("aria-label", this.clockText());
	}

	clockText() {
		const { flow, frame, limit, state, panel } = this, t = panel.abscissae();
		if (!frame) return this.refusal ?? "";
		const target = limit.status === "CONVERGED" && state.ridge === 0 && limit.at(t);
		flow.distance = target ? Math.max(...frame.network.at(t).map((v, k) => Math.abs(v - target[k]))) : null;
		return `network: time ${short(flow.times[flow.index])} · loss ${short(frame.network.loss)}${target ? ` · largest distance ${short(flow.distance, 2)} from the limit` : ""}. ${(flow.index === flow.times.length - 1 && flow.ending) || ""}`;
	}

	get clock() { return this.find(".clock"); }

	get frame() {
		const { flow } = this;
		return flow?.frames.length ? { network: flow.frames[flow.index], infinite: flow.infinite[flow.index] } : null;
	}

	/** Forget the training: what it began with has changed. */
	forget() {
		if (this.flow) clearTimeout(this.flow.timer);
		Object.assign(this, { flow: null, refusal: null });
		this.state.time = null;
		this.showPlay();
	}

	showPlay() {
		const { flow } = this, play = this.find(".play");
		if (play) play.textContent = !flow ? "▶ Train a network" : flow.playing ? "❚❚ Pause" : flow.ending && flow.index === flow.times.length - 1 ? "↻ Play again" : "▶ Go on";
	}

	toggle() {
		const { flow } = this;
		if (!flow) return this.train(null);
		flow.playing = !flow.playing;
		if (flow.playing && flow.index === flow.times.length - 1) flow.index = 0;
		this.showPlay();
		return flow.playing ? this.tick() : this.rest();
	}

	/** Begin to train; with a time, go there without a show. */
	train(goal) {
		const { state } = this, options = { ...state, lossTarget: 1e-7 };
		unlessRefused(() => {
			const infinite = integrationOf(options, true), network = integrationOf({ ...options, ...drawNetwork(state) }, false);
			this.flow = { network, goal, frames: [], index: 0, playing: true, initialLoss: Math.max(network.loss, 1e-300), ...journey(infinite) };
		}, (message) => { this.refusal = `No training: ${message}`; });
		if (!this.flow) return this.draw();
		this.touched = true;
		this.showInputs();
		this.showPlay();
		return this.tick();
	}

	/** One picture of the training: seen before, or computed for as long as a picture lasts. */
	tick() {
		const { flow } = this;
		if (!flow?.playing) return;
		const silent = still() || flow.goal != null, end = performance.now() + (silent ? 40 : 10), last = flow.times.length - 1;
		const next = flow.frames.length === 0 ? 0 : Math.min(flow.index + 1, last);
		if (next >= flow.frames.length && flow.network.advance(flow.times[next], () => performance.now() < end)) flow.frames.push(flow.network.snapshot());
		if (next < flow.frames.length) {
			flow.index = next;
			this.showTime();
			if (!silent) this.draw();
		}
		if (flow.index < last || flow.frames.length <= last) flow.timer = setTimeout(() => (silent ? this.tick() : requestAnimationFrame(() => this.tick())), silent ? 0 : 16);
		else this.arrive();
	}

	arrive() {
		const { flow } = this, { status } = flow.network;
		flow.playing = false;
		flow.ending = status ? `Training ended: ${FLOW_STATUS[status]}.` : "The network needs longer than its infinitely wide limit; training stopped here.";
		if (flow.goal != null) flow.index = flow.times.filter((time) => time < 0.999 * flow.goal && time < flow.times.at(-1)).length;
		flow.goal = null;
		this.rest();
	}

	scrubTo(index) {
		const { flow } = this;
		Object.assign(flow, { playing: false, index: Math.min(index, flow.frames.length - 1) });
		this.rest();
	}

	showTime() {
		const { flow } = this, input = this.find("[data-set=time]");
		this.state.time = flow.times[flow.index];
		Object.assign(input, { max: flow.times.length - 1, value: flow.index });
		input.setAttribute("aria-valuetext", `time ${short(flow.times[flow.index])}`);
	}

	/** Stand still, and tell where. */
	rest() {
		this.showTime();
		this.showPlay();
		this.update(this.clockText(), { keep: true });
	}

	link() { return this.copy(location.href.replace(/#.*/s, "") + addressOf(this.state), "The link"); }
	python() { return this.copy(pythonOf(this.state, this.program), "The Python program"); }

	async copy(text, what) {
		try {
			await navigator.clipboard.writeText(text);
		} catch {
			return this.say(`${what} could not be copied: take it from the page.`);
		}
		return this.say(`${what} is copied.`);
	}

	/** All there is to know, as plain data. */
	get data() {
		const { flow, limit, selected, ranges, frame } = this, { status, message, cost, gap, residual, penalties, slopes, multipliers } = limit;
		const training = frame && {
			time: flow.times[flow.index], loss: frame.network.loss, playing: flow.playing, done: Boolean(flow.ending), frames: flow.frames.length,
			status: flow.network.status, steps: flow.network.steps, distance: flow.distance,
		};
		return copy({ ...this.state, selected, axes: ranges, training, result: { status, message, cost, gap, residual, penalties, slopes, multipliers } });
	}
}

/** The infinitely wide network's whole path, and the times at which both are shown. */
function journey(infinite) {
	const times = [], frames = [];
	for (let k = Math.floor(PER_DECADE * Math.log10(infinite.first / 3)), extra = 5; extra > 0 && times.length < 240; k++) {
		times.push(10 ** (k / PER_DECADE));
		infinite.advance(times.at(-1));
		frames.push(infinite.snapshot());
		if (infinite.status) extra--;
	}
	return { times, infinite: frames };
}

/** A cost, and its terms where the theorem splits it. */
function inTerms(cost, penalties) {
	return short(cost) + (penalties ? ` = ${Object.entries(penalties).map(([name, v]) => `${v > 1e-12 * cost ? short(v) : 0} (${name})`).join(" + ")}` : "");
}

/** The value of an input: an option may hold what it sets; a slider, the power of ten, and its low end zero. */
function valueOf({ type, value, min, checked, selectedOptions, dataset: { power } }) {
	if (type === "checkbox") return checked;
	if (selectedOptions?.[0].dataset.sets) return JSON.parse(selectedOptions[0].dataset.sets);
	if (power) return power === "zero" && value === min ? 0 : Number((10 ** value).toPrecision(3));
	return type === "number" ? sized(value) : type === "range" ? Number(value) : value;
}

function put(input, value) {
	const { power } = input.dataset;
	if (input.type === "checkbox") input.checked = value;
	else input.value = power ? Math.max(input.min, Math.log10(value)) : value;
	const shown = input.type === "range" && input.previousElementSibling?.querySelector("b");
	if (shown) shown.textContent = short(value);
	if (shown) input.setAttribute("aria-valuetext", short(value));
}

let active = null; // the one that was used last

Object.assign(window.laboratory, { addressOf, pythonOf, stateOf });
Object.defineProperty(window.laboratory, "state", { get: () => active?.data ?? null, set: (state) => active?.show({ ...active.state, ...state }) });

for (const root of document.querySelectorAll("div.laboratory")) {
	const made = new Laboratory(root);
	active ??= made;
}
}
