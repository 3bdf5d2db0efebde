/*
 * Mirror flow of a finite network and of the infinitely wide one: mflib.flow, in the page.
 *
 * With residual r = f(x, θ) − y and dual variable ζ = ∇Φ(θ), where Φ(θ) = S⁻² Σ φ(S (θ − θ̂)) and
 * S = n for a scaled potential, 1 otherwise,
 *
 *     dζ/dt = −rate Jᵀ r,    dr/dt = −rate K r,    K = J (∇²Φ)⁻¹ Jᵀ,    rate = 1/(n m).
 *
 * K has only m rows but eigenvalues that span many orders of magnitude. An exponential midpoint step
 * solves the linear part exactly, and moves only as K does. At infinite width λ takes the place of
 * ζ, and K is the curvature of the dual: one integrator serves both.
 */
"use strict";

(() => {
  const { Dual, Quadratic, Refusal, checked, densityOf, dot, number, require, zeros } = window.laboratory.parts;

  const STATUS = {
    CONVERGED: "the loss reached its target",
    MAX_TIME: "the flow reached the last time before the loss reached its target",
    MAX_STEPS: "10000 steps did not bring the loss to its target: the network crosses too many kinks; use a wider one",
    STALLED: "the gradient vanished while the loss is above its target: the network is too narrow for these points",
    STEP_TOO_SMALL: "the step size fell below the rounding of time: the flow jumps; use a wider network",
  };
  const MOST_STEPS = 10000;
  const NULL = 1e-13; // eigenvalues of K below this share of the largest are rounding
  const BESIDE = 1e-8; // what is held, or let go, lies this far beside its kink: rounding has no say

  const norm = (v) => Math.sqrt(dot(v, v));

  /** Eigenvalues and eigenvectors (columns) of a symmetric matrix, by Jacobi's rotations. */
  function eigen(matrix) {
    const n = matrix.length, a = matrix.map((row) => Float64Array.from(row)), vectors = zeros(n);
    vectors.forEach((row, i) => { row[i] = 1; });
    for (let sweep = 0; sweep < 60; sweep++) {
      let turned = false;
      for (let p = 0; p < n; p++) {
        for (let q = p + 1; q < n; q++) {
          if (!(Math.abs(a[p][q]) > 1e-17 * Math.sqrt(Math.abs(a[p][p] * a[q][q])))) continue;
          turned = true;
          const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1)), c = 1 / Math.hypot(t, 1), s = t * c;
          for (let k = 0; k < n; k++) {
            const [u, v] = [a[k][p], a[k][q]];
            [a[k][p], a[k][q]] = [c * u - s * v, s * u + c * v];
          }
          for (let k = 0; k < n; k++) {
            const [u, v] = [a[p][k], a[q][k]];
            [a[p][k], a[q][k]] = [c * u - s * v, s * u + c * v];
            const [x, y] = [vectors[k][p], vectors[k][q]];
            [vectors[k][p], vectors[k][q]] = [c * x - s * y, s * x + c * y];
          }
        }
      }
      if (!turned) break;
    }
    return { values: a.map((row, i) => row[i]), vectors };
  }

  /** The linear flow r' = −rate K r, in the eigenbasis of K. */
  class Decay {
    constructor(kernel, residual, rate) {
      const { values, vectors } = eigen(kernel), most = Math.max(...values);
      [this.vectors, this.rate] = [vectors, rate];
      this.alive = values.map((v) => v > NULL * most);
      this.values = values.map((v, i) => (this.alive[i] ? v : 1));
      this.coefficients = this.coordinates(residual);
    }
    coordinates(v) { return this.values.map((_, k) => this.vectors.reduce((sum, row, i) => sum + row[k] * v[i], 0)); }
    combined(c) { return Float64Array.from(this.vectors, (row) => dot(row, c)); }
    /** r(t) */
    residual(t) {
      return this.combined(this.coefficients.map((c, k) => (this.alive[k] ? c * Math.exp(-this.rate * t * this.values[k]) : c)));
    }
    /** rate ∫ r from 0 to t */
    integral(t) {
      return this.combined(this.coefficients.map((c, k) =>
        c * (this.alive[k] ? -Math.expm1(-this.rate * t * this.values[k]) / this.values[k] : this.rate * t)));
    }
    fastest() { return this.rate * Math.max(...this.values.filter((_, k) => this.alive[k])); }
    /** Mean square of what no parameter can change. */
    stuckLoss() {
      return this.coefficients.reduce((sum, c, k) => sum + (this.alive[k] ? 0 : c * c), 0) / this.coefficients.length;
    }
    /** Norm in the kernel's Hilbert space of the least function with these values at the data. */
    functionNorm(v) {
      return Math.sqrt(this.coordinates(v).reduce((sum, c, k) => sum + (this.alive[k] ? (c * c) / this.values[k] : 0), 0));
    }
  }

  /**
   * A model has `start`, `rate`, `rtol` and `reach(at, through, v)`: the point to which the forces v
   * lead from `at`, with the derivatives of `through`. A point has residual, kernel, held.
   */
  class Model {
    decay(at) { return (at.decayed ??= new Decay(at.kernel, at.residual, this.rate)); }

    finite(at) {
      return at.residual.every(Number.isFinite) && at.kernel.every((row) => row.every(Number.isFinite));
    }

    /** Size of a function beside all that is to be learned, at the data and in the kernel's norm. */
    share(values, decay) {
      const all = this.start.residual;
      return Math.max(
        norm(values) / Math.max(this.rtol * norm(all), 1e-300),
        decay.functionNorm(values) / Math.max(this.rtol * decay.functionNorm(all), 1e-300),
      );
    }

    loss(at) { return dot(at.residual, at.residual) / at.residual.length; }

    /** Kernel and derivatives frozen at a predicted midpoint; the error is of third order. */
    midpointStep(at, step) {
      const middle = this.reach(at, at, this.decay(at).integral(0.5 * step));
      if (!this.finite(middle)) return { next: at, error: Infinity };
      const decay = new Decay(middle.kernel, at.residual, this.rate), next = this.reach(at, middle, decay.integral(step));
      if (!this.finite(next)) return { next: at, error: Infinity };
      const predicted = decay.residual(step), error = this.share(next.residual.map((r, i) => r - predicted[i]), decay);
      return { next, error: Number.isFinite(error) ? error : Infinity };
    }
  }

  /** The infinitely wide network: its multipliers λ, and the curvature of the dual as kernel. */
  class InfiniteNetwork extends Model {
    constructor(problem, rtol) {
      super();
      this.dual = new Dual(problem);
      [this.rate, this.rtol] = [1 / problem.x.length, rtol];
      this.start = this.linearize(new Float64Array(problem.x.length));
    }

    linearize(multipliers) {
      const { dual } = this, m = multipliers.length, at = dual.evaluate(dual.coefficients(multipliers), 16);
      const full = at.matrix.map((row, k) => row.map((v, l) => (l <= k ? v : at.matrix[l][k])));
      const rows = full.map((row) => dual.separate(row)), columns = zeros(m);
      for (let i = 0; i < m; i++) dual.separate(rows.map((row) => row[i])).forEach((v, j) => { columns[i][j] = v; });
      const errors = dual.separate(at.gradient);
      return { multipliers, xi: at.xi, residual: errors.map((e) => -e), kernel: columns, errors };
    }

    reach(at, through, v) { return this.linearize(at.multipliers.map((l, i) => l - v[i])); }

    snapshot(at) {
      let learned = null;
      const h = () => (learned ??= new window.laboratory.parts.Learned(this.dual, at.xi, 16, at.errors));
      return { at: each((t) => h().pair(t)[0]), units: (t) => h().units(t) };
    }
  }

  const each = (f) => (t) => (typeof t === "number" ? f(t) : Array.from(t, f));

  /**
   * A finite network. Parameters are three rows a, b, w of n + 1 units; the last one is always 1,
   * and its output weight is the output bias.
   */
  class FiniteNetwork extends Model {
    constructor({ x, y, slope, potential, scaled, inputWeight, inputBias, rtol }) {
      super();
      const n = inputBias.length;
      Object.assign(this, { x, y, slope, potential, rtol, n });
      this.scale = scaled ? n : 1;
      this.rate = 1 / (n * x.length);
      this.centre = [new Float64Array(n + 1), Float64Array.of(...inputBias, 0), Float64Array.of(...inputWeight, 0)];
      this.start = this.linearize(this.centre.map((row) => new Float64Array(row.length)));
    }

    sigma(u) { return u > 0 ? u : this.slope * u; }
    sigmaSlope(u) { return u > 0 ? 1 : u < 0 ? this.slope : 0.5 * (1 + this.slope); }

    /** θ and φ''(S (θ − θ̂)) of one parameter with dual variable ζ. */
    primal(row, k, zeta) {
      const { potential: phi, scale } = this;
      phi.at(phi.inverse(scale * zeta));
      return [this.centre[row][k] + phi.alpha / scale, phi.rise / phi.run];
    }

    /** All that is linear algebra at ζ, where no kink is held. */
    linearize(zeta) {
      const { x, y, n } = this, m = x.length, theta = [], metric = [];
      for (let row = 0; row < 3; row++) {
        theta.push(new Float64Array(n + 1));
        metric.push(new Float64Array(n + 1));
        for (let k = 0; k <= n; k++) [theta[row][k], metric[row][k]] = this.primal(row, k, zeta[row][k]);
      }
      const at = {
        zeta, theta, metric, held: [], reaction: [], residual: Float64Array.from(y, (v) => -v), kernel: zeros(m),
        values: zeros(m, n + 1), slopes: zeros(m, n + 1), positive: Array.from({ length: m }, () => new Uint8Array(n + 1)),
      };
      for (let k = 0; k <= n; k++) {
        this.derivatives(at, k);
        this.add(at, k, 1);
      }
      return at;
    }

    /** σ(u) and σ'(u) a of one unit at all points. */
    derivatives({ theta: [a, b, w], values, slopes, positive }, k) {
      for (let i = 0; i < this.x.length; i++) {
        const u = w[k] * this.x[i] - b[k];
        values[i][k] = k === this.n ? 1 : this.sigma(u);
        slopes[i][k] = k === this.n ? 0 : this.sigmaSlope(u) * a[k];
        positive[i][k] = u > 0 ? 1 : 0;
      }
    }

    /** Add one unit, sign times, to the residual and to K. */
    add({ theta, metric: [ma, mb, mw], values, slopes, residual, kernel }, k, sign) {
      const { x } = this, m = x.length;
      for (let i = 0; i < m; i++) {
        const value = sign * values[i][k], bent = (sign * slopes[i][k]) / mb[k], tilted = (sign * slopes[i][k] * x[i]) / mw[k];
        residual[i] += value * theta[0][k];
        for (let j = 0; j <= i; j++) {
          kernel[i][j] += (value * values[j][k]) / ma[k] + bent * slopes[j][k] + tilted * slopes[j][k] * x[j];
          kernel[j][i] = kernel[i][j];
        }
      }
    }

    /** ζ − Jᵀ v. */
    moved(from, through, v) {
      const { x, n } = this, zeta = from.zeta.map((row) => Float64Array.from(row)), [za, zb, zw] = zeta;
      for (let i = 0; i < x.length; i++) {
        const values = through.values[i], slopes = through.slopes[i];
        for (let k = 0; k <= n; k++) {
          za[k] -= v[i] * values[k];
          zb[k] += v[i] * slopes[k];
          zw[k] -= v[i] * slopes[k] * x[i];
        }
      }
      through.held.forEach(({ point, unit }, h) => {
        const force = dot(through.reaction[h], v);
        zb[unit] -= force;
        zw[unit] += force * x[point];
      });
      return zeta;
    }

    reach(at, through, v) {
      const next = this.linearize(this.moved(at, through, v));
      if (!this.finite(next)) return next;
      let met = this.met(at, through, next);
      if (met.length > 0 && !this.matters(at, next, met)) met = [];
      const kinks = [...through.held, ...met];
      if (kinks.length > 0) this.hold(next, kinks, through.held.length, v, this.nearlyDone(at));
      return next;
    }

    /*
     * Kinks. Where σ' jumps, the velocity of the flow jumps as u_k(x_i) changes its sign. If the
     * velocities of both sides point to the kink, the flow slides along it (Filippov): the slope lies
     * between the one-sided ones, where it holds u_k(x_i) = 0. With the gradients of all u so held as
     * the rows of C, that replaces Jᵀ by Jᵀ − Cᵀ R, R = (C M⁻¹ Cᵀ)⁻¹ C M⁻¹ Jᵀ. C has the rows
     * (−1, x_i), and kinks of different units do not touch.
     */

    /** The preactivations that have changed their sign and were not held. */
    met(at, through, next) {
      const name = ({ point, unit }) => point * (this.n + 1) + unit, met = [];
      const before = new Set(at.held.map(name)), held = new Set(through.held.map(name));
      for (let point = 0; point < this.x.length; point++) {
        for (let unit = 0; unit < this.n; unit++) {
          const key = point * (this.n + 1) + unit, from = before.has(key) ? through : at;
          if (next.positive[point][unit] !== from.positive[point][unit] && !held.has(key)) met.push({ point, unit });
        }
      }
      return met;
    }

    /** Whether it changes the function, seen at the tolerance, to put these kinks back to 0. */
    matters(at, { theta: [a, b, w] }, met) {
      const change = new Float64Array(this.x.length);
      for (const { point, unit } of met) {
        change[point] += Math.abs(a[unit] * (w[unit] * this.x[point] - b[unit]) * (1 - this.slope));
      }
      return this.share(change, this.decay(at)) > 0.1;
    }

    /** Whether what is left to learn is below the tolerance: the velocity's sign is unknown. */
    nearlyDone(at) {
      const decay = this.decay(at);
      return this.share(at.residual, decay) <= 1 && 2 * decay.stuckLoss() < this.loss(at);
    }

    /** Hold those of the kinks that slide; the first `before` ones have been held so far. */
    hold(next, kinks, before, v, keep) {
      const { slides, side } = this.sliding(next, kinks, v);
      for (let h = 0; keep && h < before; h++) [slides[h], side[h]] = [true, 1];
      const touched = kinks.map((_, h) => h).filter((h) => slides[h] || h < before);
      if (touched.length === 0) return;
      for (const unit of new Set(kinks.map((kink) => kink.unit))) {
        this.add(next, unit, -1);
        this.put(next, unit, touched.filter((h) => kinks[h].unit === unit), kinks, side);
        this.derivatives(next, unit);
        this.add(next, unit, 1);
      }
      next.held = kinks.filter((_, h) => slides[h]);
      next.reaction = this.reactions(next);
      const moves = next.held.map((kink) => this.moves(next, kink));
      next.kernel.forEach((row, i) => row.forEach((_, j) => {
        moves.forEach((move, h) => { row[j] -= move[i] * next.reaction[h][j]; });
      }));
    }

    /** A row of C M⁻¹ Jᵀ. */
    moves({ metric: [, mb, mw], slopes }, { point, unit }) {
      return Float64Array.from(this.x, (x, i) => (1 / mb[unit] + (this.x[point] * x) / mw[unit]) * slopes[i][unit]);
    }

    /** (C M⁻¹ Cᵀ)⁻¹ of the kinks of one unit, applied to columns. */
    gramSolve({ metric: [, mb, mw] }, kinks, right) {
      const { x } = this;
      const gram = kinks.map(({ point: p, unit }, h) =>
        kinks.map(({ point: q }, g) => (1 / mb[unit] + (x[p] * x[q]) / mw[unit]) * (h === g ? 1 + 1e-13 : 1)));
      return eliminate(gram, right);
    }

    /** R, a row for each held kink. */
    reactions(at) {
      const rows = [];
      for (const indices of byUnit(at.held)) {
        const kinks = indices.map((h) => at.held[h]);
        this.gramSolve(at, kinks, kinks.map((kink) => this.moves(at, kink))).forEach((row, g) => { rows[indices[g]] = row; });
      }
      return rows;
    }

    /**
     * Along which kinks the flow slides, and to which side it leaves the others: it slides if the
     * force that keeps u at 0 is that of a slope between the two sides.
     */
    sliding(at, kinks, v) {
      const slides = kinks.map(() => true), side = kinks.map(() => 1), [a] = at.theta;
      for (const indices of byUnit(kinks)) {
        for (let inside = indices; ;) {
          const some = inside.map((h) => kinks[h]), push = some.map((kink) => [dot(this.moves(at, kink), v)]);
          const holding = some.length ? this.gramSolve(at, some, push) : [];
          const stay = inside.filter((h, g) => {
            const { point, unit } = kinks[h], force = v[point] * a[unit];
            const excess = v[point] * at.slopes[point][unit] - holding[g][0] - 0.5 * (1 + this.slope) * force;
            const fits = Math.abs(excess) <= 0.5 * (1 - this.slope) * force;
            side[h] = fits ? 1 : Math.sign(excess);
            slides[h] = fits;
            return fits;
          });
          if (stay.length === inside.length) break;
          inside = stay;
        }
      }
      return { slides, side };
    }

    /** Add forces Cᵀ to ζ of one unit that put some of its kinks beside 0. */
    put(at, unit, which, kinks, side) {
      const { x } = this, some = which.map((h) => kinks[h]), small = some.map(({ point }) => BESIDE * (1 + Math.abs(x[point])));
      const beyond = (b, w) => some.map(({ point }, g) => w * x[point] - b - 2 * side[which[g]] * small[g]);
      const place = (zb, zw) => [this.primal(1, unit, zb), this.primal(2, unit, zw)];
      const set = (zb, zw, [[b, mb], [w, mw]]) => {
        [at.zeta[1][unit], at.zeta[2][unit]] = [zb, zw];
        [at.theta[1][unit], at.theta[2][unit], at.metric[1][unit], at.metric[2][unit]] = [b, w, mb, mw];
      };
      for (let k = 0, damping = 1; k < 100 && some.length > 0; k++) {
        const error = beyond(at.theta[1][unit], at.theta[2][unit]);
        if (error.every((e, g) => Math.abs(e) <= small[g])) break;
        const force = this.gramSolve(at, some, error.map((e) => [e])).map(([f]) => damping * f);
        const zb = force.reduce((z, f) => z + f, at.zeta[1][unit]);
        const zw = force.reduce((z, f, g) => z - f * x[some[g].point], at.zeta[2][unit]);
        // far from its centre a steep potential makes Newton's step too long
        const trial = place(zb, zw), nearer = norm(beyond(trial[0][0], trial[1][0])) < norm(error);
        if (nearer) set(zb, zw, trial);
        damping = nearer ? Math.min(1, 2 * damping) : 0.25 * damping;
      }
    }

    /** The network as it is now. */
    snapshot({ theta: [a, b, w] }) {
      const { n, slope } = this;
      const f = (t) => {
        let sum = a[n];
        for (let k = 0; k < n; k++) {
          const u = w[k] * t - b[k];
          sum += a[k] * (u > 0 ? u : slope * u);
        }
        return sum;
      };
      return {
        at: each(f), outputBias: a[n], outputWeight: a.slice(0, n), inputBias: b.slice(0, n), inputWeight: w.slice(0, n),
      };
    }
  }

  /** Indices of kinks, those of each unit together. */
  function byUnit(kinks) {
    const groups = new Map();
    kinks.forEach(({ unit }, h) => (groups.get(unit) ?? groups.set(unit, []).get(unit)).push(h));
    return [...groups.values()];
  }

  /** Gaussian elimination with partial pivoting, for several right-hand sides (rows of `right`). */
  function eliminate(matrix, right) {
    const n = matrix.length, a = matrix.map((row, i) => [...row, ...right[i]]);
    for (let k = 0; k < n; k++) {
      let pivot = k;
      for (let i = k + 1; i < n; i++) if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
      [a[k], a[pivot]] = [a[pivot], a[k]];
      for (let i = k + 1; i < n; i++) {
        const factor = a[i][k] / a[k][k];
        for (let j = k; j < a[i].length; j++) a[i][j] -= factor * a[k][j];
      }
    }
    for (let k = n - 1; k >= 0; k--) {
      for (let j = n; j < a[k].length; j++) {
        for (let i = k + 1; i < n; i++) a[k][j] -= a[k][i] * a[i][j];
        a[k][j] /= a[k][k];
      }
    }
    return a.map((row) => row.slice(n));
  }

  /** Time, step by step. The next step follows from the last errors, which grow like its cube. */
  class Integration {
    constructor(model, lossTarget, maxTime) {
      Object.assign(this, { model, lossTarget, maxTime, at: model.start, time: 0, steps: 0, accepted: null });
      this.step = this.first = 1 / model.decay(model.start).fastest();
      this.status = this.ended();
    }

    get loss() { return this.model.loss(this.at); }

    /** Go on to a time, or as long as there is patience; returns whether there is an end to it. */
    advance(stop, patience = () => true) {
      while (this.status === null && this.time < stop) {
        if (!patience()) return false;
        const trial = Math.min(this.step, stop - this.time), { next, error } = this.model.midpointStep(this.at, trial);
        this.step = this.stepAfter(trial, error);
        if (error <= 1) {
          [this.at, this.time] = [next, Math.min(this.time + trial, stop)];
          this.steps++;
          this.status = this.ended();
        } else if (Math.max(this.time, this.first) + this.step === Math.max(this.time, this.first)) {
          this.status = "STEP_TOO_SMALL";
        }
      }
      return true;
    }

    ended() {
      const { loss, lossTarget } = this, stuck = this.model.decay(this.at).stuckLoss();
      if (loss <= lossTarget) return "CONVERGED";
      if (this.time >= this.maxTime) return "MAX_TIME";
      if (stuck > lossTarget && loss <= 1.001 * stuck) return "STALLED";
      return this.steps >= MOST_STEPS ? "MAX_STEPS" : null;
    }

    /** Gustafsson's predictive control: errors that fall are expected to go on falling. */
    stepAfter(step, error) {
      const least = Math.max(error, 1e-30);
      let factor = 0.9 * least ** (-1 / 3);
      if (least <= 1) {
        if (this.accepted) {
          const [lastStep, lastError] = this.accepted, trend = (step / lastStep) * (lastError / least) ** (1 / 3);
          factor *= Math.min(Math.max(1, trend), 2);
        }
        this.accepted = [step, least];
      }
      return step * Math.min(100, Math.max(0.1, factor));
    }

    snapshot() { return { time: this.time, loss: this.loss, ...this.model.snapshot(this.at) }; }
  }

  /** Sorted, checked options, as `solve` takes them; an unscaled potential acts by φ''(0) alone. */
  function integrationOf(options, infinite) {
    const problem = checked({ ...options, density: infinite ? options.density : { kind: "normal", deviation: 1 }, ridge: 0, start: null });
    const lossTarget = number("lossTarget", options.lossTarget ?? 1e-7, 1e-300), rtol = number("rtol", options.rtol ?? 1e-2, 1e-14, 1);
    const maxTime = options.maxTime ?? Infinity, scaled = Boolean(options.scaled);
    if (infinite) {
      const potential = scaled ? problem.potential : new Quadratic(0.5 * problem.potential.curvature());
      return new Integration(new InfiniteNetwork({ ...problem, potential }, rtol), lossTarget, maxTime);
    }
    const { inputWeight, inputBias } = options;
    require(inputBias?.length > 0 && inputBias.length === inputWeight?.length, "inputWeight and inputBias must have the same length, at least one.");
    for (const row of [inputWeight, inputBias]) row.forEach((v) => number("each input weight and bias", v));
    return new Integration(new FiniteNetwork({ ...problem, scaled, inputWeight, inputBias, rtol }), lossTarget, maxTime);
  }

  /**
   * Train all parameters of a network by mirror flow, from output weights and bias 0.
   *
   * @param {object} options  x, y, slope, potential as in `solve`; scaled; inputWeight and inputBias
   *   of the n units; lossTarget, a mean squared error; times at which to keep the network; maxTime;
   *   rtol, the largest error of a step relative to all that is to be learned.
   * @returns at(t), the trained network at a number or an array; loss; time; steps; its parameters;
   *   snapshots, one for each of the times that the flow reached; status and message.
   */
  function train(options) {
    let flow;
    try {
      flow = integrationOf(options, false);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { at: () => null, loss: null, time: null, steps: 0, snapshots: [], status: "REFUSED", message: error.message };
    }
    const snapshots = [];
    for (const time of options.times ?? []) {
      flow.advance(time);
      if (flow.time < time) break;
      snapshots.push(flow.snapshot());
    }
    flow.advance(flow.maxTime);
    return { ...flow.snapshot(), steps: flow.steps, snapshots, status: flow.status, message: STATUS[flow.status] };
  }

  /** Uniform numbers from a seed (mulberry32): the same as in the Python that the page offers. */
  function uniforms(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  /** Input weights ±1 and biases from the density, four uniform numbers a unit. */
  function drawNetwork({ width, seed, density }) {
    densityOf(density);
    const uniform = uniforms(seed), inputWeight = new Float64Array(width), inputBias = new Float64Array(width);
    for (let k = 0; k < width; k++) {
      const [sign, hump, u, angle] = [uniform(), uniform(), uniform(), uniform()];
      const bell = Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * angle);
      inputWeight[k] = sign < 0.5 ? -1 : 1;
      inputBias[k] = density.kind === "uniform" ? density.reach * (2 * u - 1)
        : density.deviation * bell + (density.kind === "humps" ? (hump < 0.5 ? -1 : 1) * density.centre : 0);
    }
    return { inputWeight, inputBias };
  }

  Object.assign(window.laboratory, { train });
  Object.assign(window.laboratory.parts, { FLOW_STATUS: STATUS, drawNetwork, integrationOf });
})();
