/*
 * Panels of curves in SVG, drawn in the pixels of the page so that text keeps its size, and the points
 * that can be taken hold of. What is drawn is decided in controls.js.
 */
"use strict";
{
const { dot, eliminate } = window.laboratory.parts;
const LEFT = 50, RIGHT = 12, TOP = 22, BOTTOM = 24; // margins
let panels = 0;

/** Make an element of SVG. */
function svg(name, attributes, parent) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	setAll(element, attributes);
	parent.append(element);
	return element;
}

function setAll(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

/** A length, up to the next 1, 2 or 5 times a power of ten. */
function roundStep(rough) {
	const power = 10 ** Math.floor(Math.log10(rough));
	return power * [1, 2, 5, 10].find((f) => f * power >= rough * 0.999);
}

/** Round numbers, some `count` of them, in an interval. */
function ticks([low, high], count) {
	const step = roundStep((high - low) / count), first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
	return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

/** A number in a few digits, with a true minus. */
function short(value, digits = 3) {
	const size = Math.abs(value), plain = value === 0 || (size >= 1e-3 && size < 1e5);
	return (plain ? String(Number(value.toPrecision(digits))) : Number(value.toPrecision(digits)).toExponential().replace("+", "")).replaceAll("-", "−");
}

const powerOfTen = (v) => "10" + String(v).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));

/** Axes, and layers of lines and dots, each with a name that is its class. */
class Panel {
	/** If `logarithmic`, both axes show exponents of ten. */
	constructor(parent, options) {
		Object.assign(this, options, { layers: {}, x: [0, 1], y: [0, 1] });
		this.root = svg("svg", { class: `panel ${options.name}`, role: options.name === "function" ? "group" : "img" }, parent);
		this.axes = svg("g", { "aria-hidden": true }, this.root);
		this.window = svg("rect", {}, svg("clipPath", { id: `laboratory-panel-${++panels}` }, this.root));
		this.content = svg("g", { "clip-path": `url(#laboratory-panel-${panels})`, "aria-hidden": true }, this.root);
	}

	/** Set size and ranges; axes are drawn anew only if something changed. */
	frame(width, x, y) {
		const { axes, root, height, xlabel, logarithmic } = this, key = [width, height, x, y].join();
		if (key === this.key) return;
		Object.assign(this, { key, width, x, y });
		const right = width - RIGHT, bottom = height - BOTTOM, label = logarithmic ? powerOfTen : short;
		setAll(root, { viewBox: `0 0 ${width} ${height}`, height });
		setAll(this.window, { x: LEFT, y: TOP, width: right - LEFT, height: bottom - TOP });
		axes.replaceChildren();
		const text = (content, attributes) => { svg("text", attributes, axes).textContent = content; };
		const marks = (range, count) => ticks(range, Math.max(2, count)).filter((v) => !logarithmic || Number.isInteger(v));
		for (const v of marks(x, width / 75)) {
			const at = this.across(v);
			svg("path", { d: `M${at},${TOP}V${bottom}`, class: "grid" }, axes);
			if (at < right - 8 * xlabel.length - 8) text(label(v), { x: at, y: bottom + 16, "text-anchor": "middle" });
		}
		for (const v of marks(y, height / 45)) {
			svg("path", { d: `M${LEFT},${this.up(v)}H${right}`, class: v === 0 && !logarithmic ? "zero" : "grid" }, axes);
			text(label(v), { x: LEFT - 6, y: this.up(v) + 4, "text-anchor": "end" });
		}
		text(this.ylabel, { x: 4, y: 14 });
		text(xlabel, { x: right, y: bottom + 16, "text-anchor": "end" });
	}

	across(v) { return LEFT + ((this.width - LEFT - RIGHT) * (v - this.x[0])) / (this.x[1] - this.x[0]); }

	/** Heights; far outside the window coordinates would overflow. */
	up(v) {
		const bottom = this.height - BOTTOM;
		return Math.min(9999, Math.max(-9999, bottom - ((bottom - TOP) * (v - this.y[0])) / (this.y[1] - this.y[0])));
	}

	/** The values at a place on the screen. */
	locate({ clientX, clientY }) {
		const box = this.root.getBoundingClientRect(), { x, y, width, height } = this;
		const across = ((clientX - box.left) * width) / box.width, down = ((clientY - box.top) * height) / box.height;
		return [x[0] + ((x[1] - x[0]) * (across - LEFT)) / (width - LEFT - RIGHT),
			y[0] + ((y[1] - y[0]) * (height - BOTTOM - down)) / (height - BOTTOM - TOP)];
	}

	/** Where a curve is evaluated: every few pixels, and at the points. */
	abscissae(points = []) {
		const [low, high] = this.x, count = Math.round(Math.max(180, this.width) / 3);
		return [...Array.from({ length: count + 1 }, (_, k) => low + ((high - low) * k) / count), ...points].sort((a, b) => a - b);
	}

	path(name, d) { (this.layers[name] ??= svg("path", { class: name }, this.content)).setAttribute("d", d); }

	/** Draw a curve, interrupted where a value is null; none without values. */
	line(name, t, values) {
		let d = "", pen = "M";
		for (let k = 0; values && k < t.length; k++) {
			if (values[k] != null) d += `${pen}${this.across(t[k]).toFixed(1)},${this.up(values[k]).toFixed(1)}`;
			pen = values[k] == null ? "M" : "L";
		}
		this.path(name, d);
	}

	/** Draw dots: lines of no length with round ends. */
	dots(name, t, values) {
		this.path(name, Array.from(t, (v, k) => `M${this.across(v).toFixed(1)},${this.up(values[k]).toFixed(1)}h0`).join(""));
	}

	verticals(name, t) { this.path(name, t.map((v) => `M${this.across(v).toFixed(1)},${TOP}V${this.height - BOTTOM}`).join("")); }
}

/** The points over a panel: each takes the focus, and has a name and a value in words. */
class Points {
	constructor(panel) {
		Object.assign(this, { panel, root: svg("g", {}, panel.root) });
	}

	draw(x, y, selected) {
		const { panel, root } = this;
		while (root.childElementCount > x.length) root.lastElementChild.remove();
		for (let i = root.childElementCount; i < x.length; i++) {
			const point = svg("g", { "data-point": i, tabindex: 0, role: "slider", "aria-roledescription": "point" }, root);
			svg("circle", { r: 22, class: "grip" }, point);
			svg("circle", { r: 7, class: "dot" }, point);
		}
		[...root.children].forEach((point, i) => setAll(point, {
			transform: `translate(${panel.across(x[i]).toFixed(1)} ${panel.up(y[i]).toFixed(1)})`, class: i === selected ? "selected" : "",
			"aria-label": `Point ${i + 1} of ${x.length}`, "aria-valuetext": `x = ${short(x[i])}, y = ${short(y[i])}`,
			"aria-valuenow": y[i], "aria-valuemin": panel.y[0], "aria-valuemax": panel.y[1],
		}));
	}

	focus(i) { this.root.children[i]?.focus({ preventScroll: true }); }

	/** The point nearest to a place on the screen, or −1 if a finger would not reach it. */
	near({ clientX, clientY }) {
		const distances = [...this.root.children].map((point) => {
			const box = point.children[1].getBoundingClientRect();
			return Math.hypot(clientX - box.left - box.width / 2, clientY - box.top - box.height / 2);
		});
		const least = Math.min(...distances);
		return least < 30 ? distances.indexOf(least) : -1;
	}
}

/** The natural cubic spline through points: Σ c_i |t − x_i|³ and a straight line that c does not see. */
function naturalSpline(x, y) {
	if (x.length === 1) return () => y[0];
	const basis = (t) => [...x.map((v) => Math.abs(t - v) ** 3), 1, t];
	const rows = [...x.map(basis), [...x.map(() => 1), 0, 0], [...x, 0, 0]], c = eliminate(rows, [...y, 0, 0].map((v) => [v])).flat();
	return (t) => dot(basis(t), c);
}

Object.assign(window.laboratory.parts, { Panel, Points, naturalSpline, roundStep, short, svg });
}
