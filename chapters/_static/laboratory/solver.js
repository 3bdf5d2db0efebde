/*
 * The infinite-width limit in function space, solved by its dual: mflib.variational, in the page.
 *
 * Units are kinks at t that face right, σ(x − t), or left, σ(t − x), with density p(t)/2 each and
 * σ(u) = max(u, 0) + slope · min(u, 0). The trained change h(x) = ∫ α σ dμ has the least cost
 * ∫ D_φ(α, 0) dμ among all interpolants. At the optimum φ'(α) = z, and z = Σ λ_i σ(±(x_i − t)) is
 * piecewise linear in t: m numbers hold the whole answer. They maximise the concave
 *
 *     g(λ) = λ·y − ∫ φ*(z) dμ − ½ Σ ridge λ_i²,    ∇g = y − h(x_i) − ridge λ_i.
 *
 * A classic script: pages opened from disk cannot import modules. `window.laboratory.solve`.
 */
"use strict";

(() => {
  /**
   * @typedef {{kind: "quadratic"} | {kind: "power", exponent: number, omega?: number}
   *   | {kind: "hypentropy", beta: number, omega?: number}} PotentialChoice
   * @typedef {{kind: "uniform", reach: number} | {kind: "normal", deviation: number}
   *   | {kind: "humps", centre: number, deviation: number}} DensityChoice
   * @typedef {object} Problem
   * @property {number[]} x  distinct inputs
   * @property {number[]} y  targets
   * @property {number} [slope]  of σ on the left: −1 is |·|, 0 (the default) ReLU
   * @property {PotentialChoice} [potential]  the scaled potential; quadratic if not given
   * @property {DensityChoice} [density]  of the biases; uniform with reach 1 if not given
   * @property {number} [ridge]  0 interpolates; with it h(x_i) + ridge λ_i = y_i
   * @property {number[]} [start]  multipliers near the solution, of a problem nearby
   */

  const STATUS = {
    CONVERGED: "the interpolant of least representation cost, to the accuracy of its certificate",
    STALLED:
      "Newton's method stopped short of the tolerance: this is no solution. Likely causes: points " +
      "almost on top of each other, or a potential that is nearly flat or nearly singular at " +
      "these magnitudes.",
  };

  /** A problem that has no answer here; its message says why, and what to do. */
  class Refusal extends Error {}

  /** @param {unknown} condition @param {string} message */
  function require(condition, message) {
    if (!condition) throw new Refusal(message);
  }

  /** A finite number within bounds, or a sentence. */
  function number(name, value, least = -Infinity, most = Infinity) {
    require(typeof value === "number" && Number.isFinite(value) && value >= least && value <= most,
      `${name} must be a number from ${least} to ${most}, not ${value}.`);
    return value;
  }

  /** Gauss–Legendre nodes and weights on [0, 1], by Newton's method on the recurrence. */
  const gauss = remembered((count) => {
    const x = new Float64Array(count), w = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      let z = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5)), slope = 1;
      for (let k = 0; k < 100; k++) {
        let before = 1, p = z;
        for (let j = 2; j <= count; j++) [before, p] = [p, ((2 * j - 1) * z * p - (j - 1) * before) / j];
        slope = (count * (z * p - before)) / (z * z - 1);
        z -= p / slope;
        if (Math.abs(p / slope) < 1e-16) break;
      }
      x[i] = 0.5 * (1 - z);
      w[i] = 1 / ((1 - z * z) * slope * slope);
    }
    return { x, w };
  });

  /** The same rule after v → v^grade, which crowds the nodes where α is 0 and φ'' not smooth. */
  const graded = remembered((count, grade) => {
    const { x, w } = gauss(count);
    return { x: x.map((v) => v ** grade), w: w.map((v, i) => v * grade * x[i] ** (grade - 1)) };
  });

  /** @template T @param {(...key: number[]) => T} make */
  function remembered(make) {
    const known = new Map();
    return (/** @type {number[]} */ ...key) => {
      const name = key.join();
      if (!known.has(name)) known.set(name, make(...key));
      return /** @type {T} */ (known.get(name));
    };
  }

  /*
   * Potentials. A variable u parametrizes α so that all integrands are smooth in u: α = u for
   * powers, α = β sinh u for hypentropy. `at(u)` sets
   *     alpha,  mirror = φ'(α),  rise = dφ'(α)/du,  run = dα/du,  price = D_φ(α, 0),
   * and `inverse(z)` is the u where φ'(α) = z.
   */

  /** φ(x) = factor x². */
  class Quadratic {
    grade = 1;
    constructor(factor = 1) { this.factor = factor; }
    at(u) {
      this.alpha = u;
      this.mirror = 2 * this.factor * u;
      this.rise = 2 * this.factor;
      this.run = 1;
      this.price = this.factor * u * u;
    }
    inverse(z) { return z / (2 * this.factor); }
    curvature() { return 2 * this.factor; }
  }

  /** φ(x) = (|x|^p + ω x²)/(1 + ω), p ≥ 2. */
  class Power {
    constructor(exponent, omega) {
      [this.p, this.omega] = [exponent, omega];
      // |α|^(p − 2) is not smooth at 0 for other exponents: the weaker, the higher they are
      this.grade = Number.isInteger(exponent) ? 1 : Math.max(2, Math.ceil(12 / exponent));
    }
    at(u) {
      const { p, omega } = this, power = Math.abs(u) ** (p - 2), total = 1 + omega;
      this.alpha = u;
      this.mirror = ((p * power + 2 * omega) * u) / total;
      this.rise = (p * (p - 1) * power + 2 * omega) / total;
      this.run = 1;
      this.price = ((power + omega) * u * u) / total;
    }
    inverse(z) {
      if (z === 0) return 0;
      const { p, omega } = this, target = (1 + omega) * Math.abs(z);
      // neither term exceeds the whole, and φ' is convex on u > 0: Newton from above
      let u = Math.min((target / p) ** (1 / (p - 1)), omega > 0 ? target / (2 * omega) : Infinity);
      for (let k = 0; k < 60; k++) {
        const power = u ** (p - 2);
        const step = ((p * power + 2 * omega) * u - target) / (p * (p - 1) * power + 2 * omega);
        u -= step;
        if (Math.abs(step) <= 4e-16 * u) break;
      }
      return Math.sign(z) * u;
    }
    curvature() { return (this.p === 2 ? 2 + 2 * this.omega : 2 * this.omega) / (1 + this.omega); }
  }

  /** φ(x) = (x asinh(x/β) − √(x² + β²) + ω x²)/(1 + ω). */
  class Hypentropy {
    grade = 1;
    constructor(beta, omega) { [this.beta, this.omega] = [beta, omega]; }
    at(u) {
      const { beta, omega } = this, total = 1 + omega, alpha = beta * Math.sinh(u);
      const root = beta * Math.cosh(u), half = Math.sinh(0.5 * u);
      this.alpha = alpha;
      this.mirror = (u + 2 * omega * alpha) / total;
      this.rise = (1 + 2 * omega * root) / total;
      this.run = root;
      // β − root, without cancelling digits
      this.price = (alpha * u - 2 * beta * half * half + omega * alpha * alpha) / total;
    }
    inverse(z) {
      const { beta, omega } = this, target = (1 + omega) * Math.abs(z), slope = 2 * omega * beta;
      let u = Math.min(target, omega > 0 ? Math.asinh(target / slope) : Infinity);
      for (let k = 0; k < 60 && omega > 0; k++) {
        const step = (u + slope * Math.sinh(u) - target) / (1 + slope * Math.cosh(u));
        u -= step;
        if (Math.abs(step) <= 4e-16 * u) break;
      }
      return Math.sign(z) * u;
    }
    curvature() { return (1 / this.beta + 2 * this.omega) / (1 + this.omega); }
  }

  /** @param {PotentialChoice} choice */
  function potentialOf(choice = { kind: "quadratic" }) {
    const omega = choice.omega == null ? 0 : number("omega", choice.omega, 0, 1e100);
    switch (choice.kind) {
      case "quadratic": return new Quadratic();
      case "power": {
        const p = number("the exponent", choice.exponent, 1, 50);
        require(p >= 2, `Below exponent 2 the curvature φ''(0) is infinite (here p = ${p}), and ` +
          "training cannot start there: choose an exponent of at least 2.");
        require(p === 2 || omega > 0, "Without ω the curvature φ''(0) of |x|^p is zero, and " +
          "training cannot start there: choose ω above 0.");
        return p === 2 ? new Quadratic() : new Power(p, omega);
      }
      case "hypentropy": return new Hypentropy(number("beta", choice.beta, 1e-100, 1e100), omega);
      default: throw new Refusal(`No potential is called ${choice.kind}: choose quadratic, power or hypentropy.`);
    }
  }

  /*
   * Densities, all of them even: `edges` of panels on which a few Gauss nodes see a smooth density.
   */

  /** Edges of panels for a normal density, in deviations. Beyond 16 nothing is left. */
  const TAILS = [0, 1, 2, 3, 4, 5, 6, 7.5, 9, 12, 16];

  /** @param {DensityChoice} choice */
  function densityOf(choice = { kind: "uniform", reach: 1 }) {
    const bell = (t) => Math.exp(-0.5 * t * t) / Math.sqrt(2 * Math.PI);
    switch (choice.kind) {
      case "uniform": {
        const r = number("reach", choice.reach, 1e-100, 1e100);
        return { reach: r, edges: [-r, r], second: (r * r) / 3, pdf: (t) => (Math.abs(t) <= r ? 0.5 / r : 0) };
      }
      case "normal": {
        const s = number("deviation", choice.deviation, 1e-100, 1e100);
        const edges = TAILS.flatMap((t) => [-s * t, s * t]);
        return { reach: Infinity, edges, second: s * s, pdf: (t) => bell(t / s) / s };
      }
      case "humps": {
        const s = number("deviation", choice.deviation, 1e-100, 1e100);
        const c = number("centre", choice.centre, 0, 1e100);
        const edges = TAILS.flatMap((t) => [-s * t - c, s * t - c, -s * t + c, s * t + c]);
        return {
          reach: Infinity, edges, second: s * s + c * c,
          pdf: (t) => (0.5 * (bell((t - c) / s) + bell((t + c) / s))) / s,
        };
      }
      default: throw new Refusal(`No density is called ${choice.kind}: choose uniform, normal or humps.`);
    }
  }

  /** Check a problem, and sort its points. @param {Problem} problem */
  function checked({ x, y, slope = 0, potential, density, ridge = 0, start }) {
    require(x?.length > 0 && x.length === y?.length, "x and y must have the same length, at least one.");
    require(x.length <= 60, `${x.length} points are too many for the page, which takes up to 60: use mflib.`);
    x.forEach((v) => number("each x", v, -1e150, 1e150));
    y.forEach((v) => number("each y", v, -1e150, 1e150));
    number("slope", slope, -1, 1);
    require(slope < 1, "At slope 1 the activation has no kink: choose a slope from −1 to below 1.");
    const order = [...x.keys()].sort((i, j) => x[i] - x[j]);
    const sorted = order.map((i) => x[i]), p = densityOf(density), phi = potentialOf(potential);
    const twice = sorted.find((v, i) => v === sorted[i + 1]);
    require(twice === undefined, `Two points share x = ${twice}: no function passes through both; move one.`);
    const outside = sorted.find((v) => Math.abs(v) > p.reach);
    require(outside === undefined, `The point at x = ${outside} lies outside the support of the density, which ` +
      `ends at ±${p.reach}: no unit has its kink there. Widen the density or move the point.`);
    return {
      x: Float64Array.from(sorted), y: Float64Array.from(order, (i) => y[i]), order, slope, potential: phi, density: p,
      ridge: number("ridge", ridge, 0, 1e100),
      start: start?.length === x.length && start.every(Number.isFinite) ? Float64Array.from(order, (i) => start[i]) : null,
    };
  }

  /** Largest absolute value. @param {ArrayLike<number>} values */
  function largest(values) {
    let most = 0;
    for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]));
    return most;
  }

  /** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
  function dot(a, b) {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }

  const zeros = (/** @type {number} */ rows, columns = rows) => Array.from({ length: rows }, () => new Float64Array(columns));

  /**
   * Solve a symmetric positive definite system, scaled to a unit diagonal, by Cholesky's method.
   * Not a number where the matrix is not definite: the caller then stops.
   */
  function solveDefinite(matrix, right) {
    const n = right.length, scale = Float64Array.from(right, (_, i) => 1 / Math.sqrt(matrix[i][i]));
    const lower = zeros(n), result = Float64Array.from(right, (v, i) => v * scale[i]);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = matrix[i][j] * scale[i] * scale[j];
        for (let k = 0; k < j; k++) sum -= lower[i][k] * lower[j][k];
        // two features that rounding cannot tell apart: any small pivot moves along neither
        lower[i][j] = i === j ? Math.sqrt(Math.max(sum, 1e-16)) : sum / lower[j][j];
      }
      for (let k = 0; k < i; k++) result[i] -= lower[i][k] * result[k];
      result[i] /= lower[i][i];
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let k = i + 1; k < n; k++) result[i] -= lower[k][i] * result[k];
      result[i] /= lower[i][i];
    }
    return result.map((v, i) => v * scale[i]);
  }

  /**
   * The dual problem in the basis in which Newton's matrix is well conditioned: second divided
   * differences of the features are hat functions; two global functions complete them. Places in
   * an element are offsets from its left node: where points are close, t has lost the digits.
   */
  class Dual {
    constructor(problem) {
      Object.assign(this, problem);
      const { x, y, slope, density } = this, m = x.length;
      const reach = Math.max(x[m - 1] - x[0], Math.sqrt(density.second));
      this.grid = Float64Array.of(x[0] - reach, ...x, x[m - 1] + reach);
      this.widths = this.grid.slice(1).map((t, j) => t - this.grid[j]);
      this.combination = matrixOf((h) => this.combine(h), m);
      this.targets = this.combine(y);
      this.panels = this.smoothPanels();
      // |·|: both orientations are the same function, one field serves for both
      this.fields = (slope === -1 ? [1] : [1, -1]).map((sign) => ({ sign, basis: this.basis(sign) }));
      this.weight = slope === -1 ? 1 : 0.5;
    }

    /** Intervals on which the density is smooth and no field has a kink. */
    smoothPanels() {
      const { x, grid, density } = this, m = x.length, panels = [];
      const edges = [...new Set([...density.edges, ...x])].sort((a, b) => a - b);
      for (let k = 0, element = 0; k + 1 < edges.length; k++) {
        const [a, b] = [edges[k], edges[k + 1]];
        while (element < m && x[element] <= a) element++;
        if (density.pdf(0.5 * (a + b)) > 0) panels.push({ element, left: a - grid[element], right: b - grid[element] });
      }
      return panels;
    }

    /** Columns: the field of each basis function at the nodes of the grid. */
    basis(sign) {
      const { x, grid, slope } = this, m = x.length, columns = zeros(m, m + 2);
      const middle = 0.5 * (x[0] + x[m - 1]), hats = Math.max(m - 2, 0);
      for (let i = 0; i < hats; i++) columns[i][i + 2] = 1 - slope;
      // σ(u) = (1 − s)/2 |u| + (1 + s)/2 u with u = x − t: for the mean of both end points and for
      // their difference quotient; between the end points |u| is a sum of hats, left out here
      for (const j of [0, 1, m, m + 1]) {
        const side = j < 2 ? 1 : -1;
        columns[hats][j] = 0.5 * (1 - slope) * Math.abs(middle - grid[j]);
        if (m > 1) columns[hats + 1][j] = 0.5 * (1 - slope) * side;
      }
      for (let j = 0; j < m + 2; j++) {
        columns[hats][j] += 0.5 * (1 + slope) * sign * (middle - grid[j]);
        if (m > 1) columns[hats + 1][j] += 0.5 * (1 + slope) * sign;
      }
      return columns;
    }

    /** Values at the points, combined as the basis combines features. */
    combine(h) {
      const { x } = this, m = h.length, result = new Float64Array(m);
      if (m === 1) return Float64Array.from(h);
      const slope = (j) => (h[j + 1] - h[j]) / (x[j + 1] - x[j]);
      for (let i = 0; i < m - 2; i++) result[i] = slope(i + 1) - slope(i);
      const [first, last] = [slope(0), slope(m - 2)];
      result[m - 2] = 0.5 * (h[0] + h[m - 1]) + 0.25 * (x[m - 1] - x[0]) * (first - last);
      result[m - 1] = 0.5 * (first + last);
      return result;
    }

    /** The inverse of `combine`: differences of slopes, summed twice. */
    separate(combined) {
      const { x } = this, m = combined.length, rise = new Float64Array(m);
      if (m === 1) return Float64Array.from(combined);
      let bends = 0;
      for (let i = 0; i < m - 2; i++) bends += combined[i];
      let slope = combined[m - 1] - 0.5 * bends;
      for (let i = 1; i < m; i++) {
        rise[i] = rise[i - 1] + slope * (x[i] - x[i - 1]);
        slope += i < m - 1 ? combined[i - 1] : 0;
      }
      const start = combined[m - 2] + 0.25 * (x[m - 1] - x[0]) * bends - 0.5 * rise[m - 1];
      return rise.map((v) => start + v);
    }

    /** Largest error at the points, from its combination. */
    error(combined) { return largest(this.separate(combined)); }

    /** The error at the points that rounding of slope differences adds up to. */
    rounding() {
      const { x, y } = this;
      let steepest = 0;
      for (let i = 1; i < x.length; i++) steepest = Math.max(steepest, Math.abs((y[i] - y[i - 1]) / (x[i] - x[i - 1])));
      return Number.EPSILON * (x[x.length - 1] - x[0]) * Math.sqrt(x.length) * steepest;
    }

    /** The residual that CONVERGED promises, as in Python: 1e-10 of the targets, or rounding. */
    tolerance() {
      const most = largest(this.y);
      return Math.min(1e-10 * most + 10 * this.rounding(), 1e-6 * most);
    }

    /** λ = Cᵀ ξ. */
    multipliers(xi) {
      return Float64Array.from(xi, (_, i) => this.combination.reduce((sum, row, k) => sum + row[i] * xi[k], 0));
    }

    /** ξ of given multipliers: the transpose of `separate`. */
    coefficients(multipliers) {
      return Float64Array.from(multipliers, (_, k) => {
        const unit = new Float64Array(multipliers.length);
        unit[k] = 1;
        return dot(this.separate(unit), multipliers);
      });
    }

    /** The field z at the nodes of the grid. */
    nodal({ basis }, xi) {
      const z = new Float64Array(this.grid.length);
      basis.forEach((column, k) => column.forEach((v, j) => { z[j] += v * xi[k]; }));
      return z;
    }

    /** The field z on a panel, split at its zero. Calls use(left, right, zLeft, zRight). */
    pieces(z, { element, left, right }, use) {
      const width = this.widths[element], low = z[element], high = z[element + 1];
      const at = (offset) => ((width - offset) * low + offset * high) / width;
      const [a, b] = [at(left), at(right)];
      if (a * b < 0) {
        const zero = left + (right - left) * (a / (a - b));
        use(left, zero, a, 0);
        use(zero, right, 0, b);
      } else use(left, right, a, b);
    }

    /**
     * Quadrature on a piece where z keeps its sign: use(offset, weight, curvature weight) with
     * φ at the node's α. Where z varies by less than a tenth, t is the variable; elsewhere u, since
     * dt = φ''(α) dα / z' leaves a smooth integrand even where (φ')⁻¹ is nearly singular.
     */
    nodes(left, right, zLeft, zRight, count, use) {
      const phi = this.potential, width = right - left, rise = zRight - zLeft;
      if (1.1 * Math.min(Math.abs(zLeft), Math.abs(zRight)) >= Math.max(Math.abs(zLeft), Math.abs(zRight))) {
        const { x, w } = gauss(count);
        for (let k = 0; k < count; k++) {
          phi.at(phi.inverse(zLeft + rise * x[k]));
          use(left + width * x[k], width * w[k], (width * w[k] * phi.run) / phi.rise);
        }
        return;
      }
      const outward = Math.abs(zRight) > Math.abs(zLeft), { x, w } = graded(count, phi.grade);
      const [inner, outer, zInner] = outward ? [left, right, zLeft] : [right, left, zRight];
      const start = phi.inverse(zInner), length = phi.inverse(outward ? zRight : zLeft) - start;
      const across = (outer - inner) / (outward ? rise : -rise), density = Math.abs((width * length) / rise);
      for (let k = 0; k < count; k++) {
        phi.at(start + length * x[k]);
        use(inner + across * (phi.mirror - zInner), density * w[k] * phi.rise, density * w[k] * phi.run);
      }
    }

    /** Cost, gradient and −Hessian of g at ξ, assembled like linear finite elements. */
    evaluate(xi, count) {
      const { density, potential, widths, grid, weight, fields, ridge } = this, m = xi.length;
      const gradient = Float64Array.from(this.targets), matrix = zeros(m);
      let cost = 0;
      for (const field of fields) {
        const z = this.nodal(field, xi), load = new Float64Array(m + 2);
        const diagonal = new Float64Array(m + 2), beside = new Float64Array(m + 2);
        for (const panel of this.panels) {
          const e = panel.element, width = widths[e], corner = grid[e];
          const use = (offset, w, curved) => {
            const p = weight * density.pdf(corner + offset), high = offset / width, low = (width - offset) / width;
            cost += p * w * potential.price;
            load[e] += p * w * potential.alpha * low;
            load[e + 1] += p * w * potential.alpha * high;
            diagonal[e] += p * curved * low * low;
            diagonal[e + 1] += p * curved * high * high;
            beside[e] += p * curved * low * high;
          };
          this.pieces(z, panel, (a, b, za, zb) => this.nodes(a, b, za, zb, count, use));
        }
        field.basis.forEach((column, k) => {
          gradient[k] -= dot(column, load);
          for (let l = 0; l <= k; l++) matrix[k][l] += product(column, field.basis[l], diagonal, beside);
        });
      }
      if (ridge > 0) this.addRidge(xi, gradient, matrix);
      return { xi, cost, gradient, matrix };
    }

    addRidge(xi, gradient, matrix) {
      const C = this.combination, smoothed = this.combine(this.multipliers(xi));
      for (let k = 0; k < xi.length; k++) {
        gradient[k] -= this.ridge * smoothed[k];
        for (let l = 0; l <= k; l++) matrix[k][l] += this.ridge * dot(C[k], C[l]);
      }
    }
  }

  /** Rows of the matrix of a linear map of m numbers. */
  function matrixOf(map, m) {
    const columns = Array.from({ length: m }, (_, i) => map(Float64Array.from({ length: m }, (_, j) => (i === j ? 1 : 0))));
    return Array.from({ length: m }, (_, k) => Float64Array.from(columns, (column) => column[k]));
  }

  /** aᵀ T b for a symmetric tridiagonal T. */
  function product(a, b, diagonal, beside) {
    let sum = 0;
    for (let j = 0; j < a.length; j++) {
      sum += a[j] * diagonal[j] * b[j];
      if (j + 1 < a.length) sum += beside[j] * (a[j] * b[j + 1] + a[j + 1] * b[j]);
    }
    return sum;
  }

  /** Each rule checks the one before; short smooth pieces need few nodes. */
  const RULES = [8, 16, 32, 64, 128];
  const MOST_STEPS = 100;

  /** Maximise g. Returns the optimum as a finer rule sees it than the one that found it. */
  function maximise(dual) {
    let xi = dual.start ? dual.coefficients(dual.start) : quadraticStart(dual);
    let at = dual.evaluate(xi, RULES[0]), check = at, rule = RULES[0], iterations = 0;
    for (let k = 0; k + 1 < RULES.length; k++) {
      rule = RULES[k];
      check = dual.evaluate(xi, RULES[k + 1]);
      if (k + 2 < RULES.length && !agree(dual, at, check)) {
        // far from the optimum the first rule serves as well as any, and costs least
        if (k === 0) {
          const near = newton(dual, at, rule, MOST_STEPS);
          iterations += near.steps;
          xi = near.at.xi;
          check = dual.evaluate(xi, RULES[k + 1]);
        }
        at = check;
        continue;
      }
      const found = newton(dual, at, rule, MOST_STEPS - iterations);
      iterations += found.steps;
      if (found.at.xi !== xi) {
        xi = found.at.xi;
        check = dual.evaluate(xi, RULES[k + 1]);
      }
      if (dual.error(check.gradient) <= Math.max(0.1 * dual.tolerance(), 4 * dual.error(found.at.gradient))) break;
      at = check;
    }
    return { at: check, rule, iterations };
  }

  /** Whether two rules see the same h. */
  function agree(dual, coarse, fine) {
    const difference = dual.error(coarse.gradient.map((v, k) => v - fine.gradient[k]));
    return difference <= 1e-13 * largest(dual.y) + dual.rounding();
  }

  /** The solution for φ''(0)/2 x², so scaled that its largest α has the right z. */
  function quadraticStart(dual) {
    const { potential } = dual, none = new Float64Array(dual.x.length), curvature = potential.curvature();
    const first = Object.assign(Object.create(Dual.prototype), dual, { potential: new Quadratic(0.5 * curvature) });
    const at = first.evaluate(none, RULES[0]), xi = solveDefinite(at.matrix, at.gradient);
    const most = Math.max(...dual.fields.map((field) => largest(dual.nodal(field, xi)))) / curvature;
    if (!(most > 0) || !Number.isFinite(most)) return none;
    potential.at(potential instanceof Hypentropy ? Math.asinh(most / potential.beta) : most);
    return xi.map((v) => (v * potential.mirror) / (curvature * most));
  }

  /** Newton's method until the residual stops falling. */
  function newton(dual, at, rule, budget) {
    const scale = largest(dual.y);
    let error = dual.error(at.gradient), steps = 0;
    while (steps < budget && error > 2e-14 * scale) {
      steps++;
      const step = solveDefinite(at.matrix, at.gradient);
      if (!step.every(Number.isFinite)) break;
      const close = error <= 1e-6 * scale; // full steps, until rounding leaves nothing to gain
      const next = damped(dual, at, step, rule, close ? 1 : 60), last = error, now = dual.error(next.gradient);
      if (now < last || !close) [at, error] = [next, now];
      if (close && !(now <= 0.5 * last)) break;
    }
    return { at, steps };
  }

  /**
   * Shorten the step until g, along it, falls less steeply than half its rise. Slopes are compared,
   * not values, which no longer differ near the optimum; where rounding hides the slope, the
   * residual has to fall.
   */
  function damped(dual, at, step, rule, tries) {
    const initial = dot(at.gradient, step), before = dual.error(at.gradient);
    const clear = initial > 1e3 * Number.EPSILON * dot(dual.targets.map(Math.abs), step.map(Math.abs));
    let trial = at;
    for (let t = 1, k = 0; k < tries; k++, t *= 0.4) {
      trial = dual.evaluate(at.xi.map((v, i) => v + t * step[i]), rule);
      if (clear && dot(trial.gradient, step) >= -0.5 * initial) break;
      if (dual.error(trial.gradient) / before <= (clear ? 0.25 : 1 - 0.25 * t)) break;
    }
    return trial;
  }

  /** The learned function: h, h' and h'' from the multipliers, exact at the data. */
  class Learned {
    constructor(dual, xi, rule, errors) {
      [this.dual, this.rule] = [dual, rule];
      const { fields, panels, grid, ridge, y, x } = dual, multipliers = dual.multipliers(xi);
      this.nodal = fields.map((field) => dual.nodal(field, xi));
      this.elements = Array.from({ length: grid.length - 1 }, () => []);
      for (const panel of panels) {
        this.nodal.forEach((z) => dual.pieces(z, panel, (a, b, za, zb) => {
          this.elements[panel.element].push({ a, b, za, zb, ...this.bend(a, b, za, zb, grid[panel.element]) });
        }));
      }
      this.value = Float64Array.from(y, (v, i) => v - ridge * multipliers[i] - errors[i]);
      const m = x.length, bent = this.elements.map((_, e) => this.since(e, dual.widths[e]));
      this.slope = new Float64Array(m + 1); // at the left end of each element, at the right of the first
      for (let e = 1; e < m; e++) this.slope[e] = (this.value[e] - this.value[e - 1] - bent[e].moment) / dual.widths[e];
      const first = this.since(0, -Infinity);
      this.slope[0] = m > 1 ? this.slope[1] : this.leftSlope() + first.mass;
      this.slope[m] = m > 1 ? this.slope[m - 1] + bent[m - 1].mass : this.slope[0];
      this.ends = [this.slope[0] - first.mass, this.slope[m] + this.since(m, Infinity).mass];
    }

    /** Integrals of h'' and of offset · h'' over a piece. */
    bend(a, b, za, zb, corner) {
      const { dual } = this, factor = (1 - dual.slope) * dual.weight;
      let mass = 0, moment = 0;
      dual.nodes(a, b, za, zb, this.rule, (offset, w) => {
        const bent = factor * w * dual.potential.alpha * dual.density.pdf(corner + offset);
        mass += bent;
        moment += bent * offset;
      });
      return { mass, moment };
    }

    /**
     * ∫ h'' and ∫ (offset − τ) h'' dτ from the element's left node to the offset; in the first
     * element, which has no left end, from the offset to its right node.
     */
    since(element, offset) {
      const { dual } = this, corner = dual.grid[element], backward = element === 0;
      let mass = 0, moment = 0;
      for (const piece of this.elements[element]) {
        const { a, b, za, zb } = piece;
        if (backward ? b <= offset : a >= offset) continue;
        let part = piece;
        if (a < offset && offset < b) {
          const z = za + (zb - za) * ((offset - a) / (b - a));
          part = backward ? this.bend(offset, b, z, zb, corner) : this.bend(a, offset, za, z, corner);
        }
        mass += part.mass;
        moment += part.moment;
      }
      return { mass, moment: Number.isFinite(offset) ? (backward ? moment - offset * mass : offset * mass - moment) : 0 };
    }

    /** h'(−∞) from the units, where one value alone fixes no slope. */
    leftSlope() {
      const { dual } = this;
      return dual.fields.reduce((total, { sign }, f) => {
        let mass = 0;
        for (const panel of dual.panels) {
          dual.pieces(this.nodal[f], panel, (a, b, za, zb) => {
            mass += this.bend(a, b, za, zb, dual.grid[panel.element]).mass / (1 - dual.slope);
          });
        }
        return total + (sign === 1 ? dual.slope : -1) * mass;
      }, 0);
    }

    element(t) {
      const { x } = this.dual;
      let e = 0;
      while (e < x.length && x[e] <= t) e++;
      return e;
    }

    /** [h, h'] at one point. */
    pair(t) {
      const { dual } = this, e = this.element(t), offset = t - dual.grid[e];
      const { mass, moment } = this.since(e, offset);
      if (e === 0) {
        return [this.value[0] + this.slope[0] * (t - dual.x[0]) + moment, this.slope[0] - mass];
      }
      return [this.value[e - 1] + this.slope[e] * offset + moment, this.slope[e] + mass];
    }

    /** z, α and their density p/2 for units that face right and left; for |·| both are alike. */
    units(t) {
      const { dual } = this, e = this.element(t), share = (t - dual.grid[e]) / dual.widths[e];
      const [right, left = right] = this.nodal.map((z) => {
        const value = (1 - share) * z[e] + share * z[e + 1];
        dual.potential.at(dual.potential.inverse(value));
        return { z: value, alpha: dual.potential.alpha };
      });
      return { right, left, density: dual.density.pdf(t) };
    }

    curvature(t) {
      const { right, left, density } = this.units(t);
      return density > 0 ? 0.5 * (1 - this.dual.slope) * density * (right.alpha + left.alpha) : 0;
    }

    /** G1, G2 and G3 of Theorem 2, from h itself; null where the theorem does not split the cost. */
    penalties() {
      const { dual } = this;
      if (dual.slope !== 0 || !(dual.potential instanceof Quadratic)) return null;
      const { x, w } = gauss(this.rule), edges = [...new Set([...dual.density.edges, ...dual.x, 0])].sort((a, b) => a - b);
      let G1 = 0, moment = -2 * this.pair(0)[0];
      for (let k = 0; k + 1 < edges.length; k++) {
        const width = edges[k + 1] - edges[k];
        for (let j = 0; j < x.length; j++) {
          const t = edges[k] + width * x[j], p = dual.density.pdf(t), bend = this.curvature(t);
          if (p > 0) G1 += (width * w[j] * bend * bend) / p;
          moment += width * w[j] * bend * Math.abs(t);
        }
      }
      return { G1, G2: (this.ends[0] + this.ends[1]) ** 2, G3: moment ** 2 / dual.density.second };
    }
  }

  /** Apply a function of numbers to a number, or to each of an array. */
  const elementwise = (f) => (t) => (typeof t === "number" ? f(t) : Array.from(t, f));

  /**
   * The function that mirror flow on an infinitely wide network learns.
   *
   * @param {Problem} problem
   * @returns at(t), derivative(t), curvature(t) of a number or an array; units(t), the two fields z
   *   and coefficients α; cost, ∫ D_φ(α, 0) dμ; gap, |λ·(y − h − ridge λ)|; residual, the largest
   *   |y − h − ridge λ| at the points, by a finer quadrature than the solver's; penalties; slopes at
   *   ∓∞; multipliers λ; status, CONVERGED, STALLED or REFUSED, and message, what that means.
   *   A refused problem has null for all numbers.
   */
  function solve(problem) {
    let dual;
    try {
      dual = new Dual(checked(problem));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return refused(error.message);
    }
    let found = maximise(dual);
    if (dual.start && !converged(dual, found)) found = maximise(Object.assign(dual, { start: null }));
    if (!Number.isFinite(found.at.cost) || !found.at.gradient.every(Number.isFinite)) return { ...refused(STATUS.STALLED), status: "STALLED" };
    const { xi, cost, gradient } = found.at, errors = dual.separate(gradient);
    const h = new Learned(dual, xi, found.rule, errors), sorted = dual.multipliers(xi), multipliers = [];
    dual.order.forEach((original, i) => { multipliers[original] = sorted[i]; });
    const status = converged(dual, found) ? "CONVERGED" : "STALLED";
    return {
      at: elementwise((t) => h.pair(t)[0]),
      derivative: elementwise((t) => h.pair(t)[1]),
      curvature: elementwise((t) => h.curvature(t)),
      units: (t) => h.units(t),
      cost, gap: Math.abs(dot(xi, gradient)), residual: largest(errors), iterations: found.iterations,
      penalties: h.penalties(), slopes: h.ends, multipliers, status, message: STATUS[status],
    };
  }

  function converged(dual, { at }) {
    return dual.error(at.gradient) <= dual.tolerance() && Number.isFinite(at.cost) && Number.isFinite(dot(at.xi, at.gradient));
  }

  function refused(message) {
    const nothing = () => null;
    return {
      at: nothing, derivative: nothing, curvature: nothing, units: nothing, cost: null, gap: null, residual: null,
      iterations: 0, penalties: null, slopes: null, multipliers: null, status: "REFUSED", message,
    };
  }

  window.laboratory = Object.assign(window.laboratory ?? {}, { solve });
  // what training shares with the solver
  window.laboratory.parts = { Dual, Learned, Quadratic, Refusal, checked, densityOf, dot, largest, number, potentialOf, require, zeros };
})();
