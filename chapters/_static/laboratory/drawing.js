/*
 * Panels of curves in SVG, drawn in the pixels of the page so that text keeps its size: axes, lines,
 * dots, and the points that can be taken hold of. What is drawn is decided in controls.js.
 */
"use strict";

(() => {
  const NAMESPACE = "http://www.w3.org/2000/svg";
  const MARGIN = { left: 50, right: 12, top: 22, bottom: 24 };
  let clips = 0;

  /** Make an element of SVG. */
  function svg(name, attributes = {}, parent = null) {
    const element = document.createElementNS(NAMESPACE, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
    parent?.append(element);
    return element;
  }

  /** Make an element of HTML; text children are escaped by being text. */
  function html(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, String(value));
    }
    element.append(...children.filter((child) => child != null));
    return element;
  }

  /** Round numbers, at most `count` of them, that fill an interval. */
  function ticks([low, high], count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
    const first = Math.ceil(low / step - 1e-9), result = [];
    for (let k = first; k * step <= high + 1e-9 * step; k++) result.push(Number((k * step).toPrecision(12)));
    return result;
  }

  /** A number in a few digits, with a true minus. */
  function short(value, digits = 3) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    const text = size >= 1e5 || size < 1e-3
      ? value.toExponential(Math.max(digits - 1, 0)).replace(/\.?0+e/, "e").replace("e+", "e")
      : String(Number(value.toPrecision(digits)));
    return text.replace("-", "−").replace("e-", "e−");
  }

  /** A panel: axes, and layers of lines and dots with one scale. */
  class Panel {
    /**
     * @param {Element} parent
     * @param {{name: string, ylabel: string, xlabel?: string, height: number, logarithmic?: boolean,
     *   role?: string}} options  logarithmic: values are exponents of ten, of both axes
     */
    constructor(parent, { name, ylabel, xlabel = "", height, logarithmic = false, role = "img" }) {
      Object.assign(this, { ylabel, xlabel, height, logarithmic });
      this.root = svg("svg", { class: `laboratory-panel laboratory-${name}`, role }, parent);
      this.axes = svg("g", { class: "axes", "aria-hidden": "true" }, this.root);
      const clip = svg("clipPath", { id: `laboratory-clip-${++clips}` }, this.root);
      this.window = svg("rect", {}, clip);
      this.content = svg("g", { "clip-path": `url(#${clip.id})`, "aria-hidden": "true" }, this.root);
      this.layers = new Map();
      [this.x, this.y, this.width] = [[0, 1], [0, 1], 0];
    }

    /** Set size and ranges; axes are drawn anew only if something changed. */
    frame(width, x, y) {
      const key = [width, this.height, ...x, ...y].join();
      if (key === this.key) return;
      Object.assign(this, { key, width, x, y });
      this.root.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
      this.root.setAttribute("height", String(this.height));
      const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, this.height - MARGIN.bottom];
      for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) {
        this.window.setAttribute(name, String(value));
      }
      this.axes.replaceChildren();
      const text = (content, attributes) => { svg("text", attributes, this.axes).textContent = content; };
      const label = (v) => (this.logarithmic ? `10${superscript(v)}` : short(v));
      for (const v of this.marks(x, width / 75)) {
        const at = this.across(v);
        svg("path", { d: `M${at},${top}V${bottom}`, class: "grid" }, this.axes);
        text(label(v), { x: at, y: bottom + 16, "text-anchor": "middle" });
      }
      for (const v of this.marks(y, this.height / 45)) {
        const at = this.up(v);
        svg("path", { d: `M${left},${at}H${right}`, class: v === 0 && !this.logarithmic ? "zero" : "grid" }, this.axes);
        text(label(v), { x: left - 6, y: at + 4, "text-anchor": "end" });
      }
      text(this.ylabel, { x: 4, y: 14, class: "axis-label" });
      if (this.xlabel) text(this.xlabel, { x: right, y: bottom + 16, "text-anchor": "end", class: "axis-label ground" });
    }

    marks(range, count) {
      const all = ticks(range, Math.max(2, count));
      return this.logarithmic ? all.filter(Number.isInteger) : all;
    }

    across(v) {
      return MARGIN.left + ((this.width - MARGIN.left - MARGIN.right) * (v - this.x[0])) / (this.x[1] - this.x[0]);
    }

    up(v) {
      const bottom = this.height - MARGIN.bottom;
      return bottom - ((bottom - MARGIN.top) * (v - this.y[0])) / (this.y[1] - this.y[0]);
    }

    /** Coordinates of a place on the screen. */
    locate(clientX, clientY) {
      const box = this.root.getBoundingClientRect(), bottom = this.height - MARGIN.bottom;
      const across = ((clientX - box.left) * this.width) / box.width, down = ((clientY - box.top) * this.height) / box.height;
      return [
        this.x[0] + ((this.x[1] - this.x[0]) * (across - MARGIN.left)) / (this.width - MARGIN.left - MARGIN.right),
        this.y[0] + ((this.y[1] - this.y[0]) * (bottom - down)) / (bottom - MARGIN.top),
      ];
    }

    /** The abscissae at which a curve is drawn, a few pixels apart, and others that matter. */
    abscissae(extra = []) {
      const count = Math.max(60, Math.round((this.width - MARGIN.left - MARGIN.right) / 3)), [low, high] = this.x;
      const even = Array.from({ length: count + 1 }, (_, k) => low + ((high - low) * k) / count);
      return [...even, ...extra.filter((t) => t > low && t < high)].sort((a, b) => a - b);
    }

    layer(name) {
      let path = this.layers.get(name);
      if (!path) this.layers.set(name, (path = svg("path", { class: name }, this.content)));
      return path;
    }

    /** Draw a curve; what is not a number, or is null, interrupts it. */
    line(name, t, values) {
      let d = "", pen = false;
      for (let k = 0; k < t.length; k++) {
        const v = values?.[k];
        if (v == null || !Number.isFinite(v)) { pen = false; continue; }
        // far outside the window coordinates would overflow
        const height = Math.min(9999, Math.max(-9999, this.up(v)));
        d += `${pen ? "L" : "M"}${this.across(t[k]).toFixed(1)},${height.toFixed(1)}`;
        pen = true;
      }
      this.layer(name).setAttribute("d", d);
    }

    /** Draw dots, as a line of no length with round ends. */
    dots(name, t, values) {
      let d = "";
      for (let k = 0; k < t.length; k++) {
        const height = Math.min(9999, Math.max(-9999, this.up(values[k])));
        d += `M${this.across(t[k]).toFixed(1)},${height.toFixed(1)}h0`;
      }
      this.layer(name).setAttribute("d", d);
    }

    /** Draw vertical lines over the whole height. */
    verticals(name, t) {
      this.layer(name).setAttribute("d", t.map((v) => `M${this.across(v).toFixed(1)},${MARGIN.top}V${this.height - MARGIN.bottom}`).join(""));
    }

    clear(...names) { for (const name of names) this.layers.get(name)?.setAttribute("d", ""); }
  }

  function superscript(v) {
    return String(v).replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)]));
  }

  /** The points, drawn over a panel: each takes the focus, and has a name and a value in words. */
  class Points {
    constructor(panel) {
      this.panel = panel;
      this.root = svg("g", { class: "points" }, panel.root);
    }

    draw(x, y, selected) {
      const { panel, root } = this;
      while (root.childElementCount > x.length) root.lastElementChild?.remove();
      for (let i = root.childElementCount; i < x.length; i++) {
        const point = svg("g", { "data-point": i, tabindex: 0, role: "slider", "aria-roledescription": "point" }, root);
        svg("circle", { r: 22, class: "grip" }, point);
        svg("circle", { r: 7, class: "dot" }, point);
      }
      [...root.children].forEach((point, i) => {
        point.setAttribute("transform", `translate(${panel.across(x[i]).toFixed(1)} ${panel.up(y[i]).toFixed(1)})`);
        point.classList.toggle("selected", i === selected);
        for (const [name, value] of Object.entries({
          label: `Point ${i + 1} of ${x.length}`, valuenow: Number(y[i].toFixed(4)), valuemin: panel.y[0], valuemax: panel.y[1],
          valuetext: `x = ${short(x[i])}, y = ${short(y[i])}`,
        })) point.setAttribute(`aria-${name}`, String(value));
      });
    }

    get(i) { return /** @type {SVGGElement | undefined} */ (this.root.children[i]); }

    /** The point nearest to a place on the screen, if one is near enough for a finger. */
    near(clientX, clientY) {
      let [best, least] = [-1, 30];
      [...this.root.children].forEach((point, i) => {
        const box = point.querySelector(".dot").getBoundingClientRect();
        const distance = Math.hypot(clientX - box.left - box.width / 2, clientY - box.top - box.height / 2);
        if (distance < least) [best, least] = [i, distance];
      });
      return best;
    }
  }

  /** Horizontal bars made of segments, with one scale and a name each. */
  class Bars {
    constructor(parent) {
      this.root = svg("svg", { class: "laboratory-panel laboratory-bars", role: "img" }, parent);
    }

    /** @param {{name: string, text: string, parts: number[]}[]} bars */
    draw(width, most, bars) {
      const row = 34, right = width - MARGIN.right;
      this.root.setAttribute("viewBox", `0 0 ${width} ${row * bars.length}`);
      this.root.setAttribute("height", String(row * bars.length));
      this.root.replaceChildren();
      bars.forEach(({ name, text, parts }, j) => {
        svg("text", { x: 4, y: j * row + 13 }, this.root).textContent = `${name}: ${text}`;
        svg("path", { class: "grid", d: `M4,${j * row + 19}H${right}V${j * row + 31}H4Z` }, this.root);
        parts.reduce((start, part, k) => {
          const length = Math.max(0, Math.min(right - start, ((right - 4) * part) / most));
          svg("rect", { class: `part-${k}`, x: start.toFixed(1), y: j * row + 19, width: length.toFixed(1), height: 12 }, this.root);
          return start + length;
        }, 4);
      });
    }
  }

  /** The natural cubic spline through points: t → value, straight beyond them. */
  function naturalSpline(xs, ys) {
    const order = [...xs.keys()].sort((i, j) => xs[i] - xs[j]), x = order.map((i) => xs[i]), y = order.map((i) => ys[i]);
    const n = x.length, second = new Float64Array(n), factor = new Float64Array(n);
    // the tridiagonal system of the second derivatives, forward and back
    for (let i = 1; i < n - 1; i++) {
      const [before, after] = [x[i] - x[i - 1], x[i + 1] - x[i]];
      const pivot = 2 * (before + after) - before * factor[i - 1];
      factor[i] = after / pivot;
      second[i] = (6 * ((y[i + 1] - y[i]) / after - (y[i] - y[i - 1]) / before) - before * second[i - 1]) / pivot;
    }
    for (let i = n - 2; i > 0; i--) second[i] -= factor[i] * second[i + 1];
    return (t) => {
      if (n === 1) return y[0];
      let i = 0;
      while (i < n - 2 && x[i + 1] <= t) i++;
      const h = x[i + 1] - x[i], u = t - x[i], v = x[i + 1] - t, slope = (y[i + 1] - y[i]) / h;
      if (u < 0) return y[0] + (slope - (h * second[1]) / 6) * u;
      if (v < 0) return y[n - 1] - (slope + (h * second[n - 2]) / 6) * v;
      return (v * y[i] + u * y[i + 1]) / h - (u * v * ((h + v) * second[i] + (h + u) * second[i + 1])) / (6 * h);
    };
  }

  Object.assign(window.laboratory.parts, { Bars, Panel, Points, html, naturalSpline, short, svg });
})();
