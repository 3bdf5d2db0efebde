/*
 * Mirror flow of a finite network and of the infinitely wide one: mflib.flow, in the page.
 *
 * With residual r = f(x, θ) − y and ζ = ∇Φ(θ), Φ(θ) = S⁻² Σ φ(S (θ − θ̂)), S = n if scaled, else 1:
 *
 *     dζ/dt = −rate Jᵀ r,    dr/dt = −rate K r,    K = J (∇²Φ)⁻¹ Jᵀ,    rate = 1/(n m).
 *
 * K has only m rows, but eigenvalues that span many orders of magnitude. An exponential midpoint step
 * solves the linear part exactly, and moves only as K does. At infinite width λ takes the place of ζ,
 * and K is the curvature of the dual: one integrator serves both.
 */
"use strict";
{
const { Dual, Learned, Power, checked, dot, eliminate, elementwise, number, require, unlessRefused, zeros } = window.laboratory.parts;

const STATUS = {
	CONVERGED: "the loss reached its target",
	MAX_TIME: "the loss did not reach its target in time",
	MAX_STEPS: "10000 steps were not enough: the network crosses too many kinks; use a wider one",
	STALLED: "the gradient vanished too early: the network is too narrow for these points",
	STEP_TOO_SMALL: "the flow jumps; use a wider network",
};
const NULL = 1e-13; // eigenvalues of K below this share of the largest are rounding
const BESIDE = 1e-8; // what is held, or let go, lies this far beside its kink: rounding has no say

const norm = (v) => Math.sqrt(dot(v, v));
const sum = (values) => values.reduce((total, v) => total + v, 0);

/** Eigenvalues and eigenvectors (as rows) of a symmetric matrix, by Jacobi's rotations. */
function eigen(matrix) {
	const n = matrix.length, a = matrix.map((row) => row.slice()), vectors = zeros(n).map((row, i) => row.fill(1, i, i + 1));
	const turn = (u, v, c, s) => u.forEach((_, k) => { [u[k], v[k]] = [c * u[k] - s * v[k], s * u[k] + c * v[k]]; });
	for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
		turned = false;
		for (let p = 0; p < n; p++) {
			for (let q = p + 1; q < n; q++) {
				if (!(Math.abs(a[p][q]) > 1e-17 * Math.sqrt(Math.abs(a[p][p] * a[q][q])))) continue;
				turned = true;
				const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]), t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
				const c = 1 / Math.hypot(t, 1), s = t * c;
				for (const row of a) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
				turn(a[p], a[q], c, s);
				turn(vectors[p], vectors[q], c, s);
			}
		}
	}
	return { values: a.map((row, i) => row[i]), vectors };
}

/** The linear flow r' = −rate K r, in the eigenbasis of K. */
class Decay {
	constructor(kernel, residual, rate) {
		const { values, vectors } = eigen(kernel), least = NULL * Math.max(...values);
		this.alive = values.map((v) => v > least);
		Object.assign(this, { vectors, rate, values: values.map((v, k) => (this.alive[k] ? v : 1)) });
		this.coefficients = this.coordinates(residual);
	}
	coordinates(v) { return this.vectors.map((vector) => dot(vector, v)); }
	/** r, with each of its parts times a factor of its eigenvalue, or times another one where that is 0. */
	combined(factor, dead) {
		const parts = this.coefficients.map((c, k) => c * (this.alive[k] ? factor(this.values[k]) : dead));
		return Float64Array.from(parts, (_, i) => sum(parts.map((c, k) => c * this.vectors[k][i])));
	}
	/** r(t), and rate ∫ r from 0 to t */
	residual(t) { return this.combined((v) => Math.exp(-this.rate * t * v), 1); }
	integral(t) { return this.combined((v) => -Math.expm1(-this.rate * t * v) / v, this.rate * t); }
	fastest() { return this.rate * Math.max(...this.values.filter((_, k) => this.alive[k])); }
	/** Mean square of what no parameter can change. */
	stuckLoss() { return sum(this.coefficients.map((c, k) => (this.alive[k] ? 0 : c * c))) / this.values.length; }
	/** Norm in the kernel's Hilbert space of the least function with these values at the data. */
	functionNorm(v) { return Math.sqrt(sum(this.coordinates(v).map((c, k) => (this.alive[k] ? (c * c) / this.values[k] : 0)))); }
}

/**
 * A model has `start`, `rate`, `rtol` and `reach(at, through, v)`, the point to which the forces v lead
 * from `at`, with the derivatives of `through`. A point has a residual and a kernel.
 */
class Model {
	decay(at) { return (at.decayed ??= new Decay(at.kernel, at.residual, this.rate)); }
	finite({ residual, kernel }) { return [residual, ...kernel].every((row) => row.every(Number.isFinite)); }
	loss({ residual }) { return dot(residual, residual) / residual.length; }

	/** Size of a function beside all that is to be learned, in units of rtol: at the data and as a function. */
	share(values, decay) {
		const all = this.start.residual, beside = (measure) => measure(values) / Math.max(this.rtol * measure(all), 1e-300);
		return Math.max(beside(norm), beside((v) => decay.functionNorm(v)));
	}

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

/** The infinitely wide network. */
class InfiniteNetwork extends Model {
	constructor(problem, rtol) {
		super();
		Object.assign(this, { dual: new Dual(problem), rate: 1 / problem.x.length, rtol });
		this.start = this.reach({ xi: problem.x.map(() => 0) }, null, problem.x.map(() => 0));
	}

	reach(at, through, v) {
		const { dual } = this, step = eliminate(dual.columns, Array.from(v, (force) => [force])).flat(); // λ − v = Cᵀ (ξ − step)
		const { xi, gradient, matrix } = dual.evaluate(at.xi.map((c, k) => c - step[k]), 16), errors = dual.separate(gradient);
		const half = matrix.map((row) => dual.separate(row)); // C⁻¹ M C⁻ᵀ, one factor at a time
		const kernel = matrix.map((_, i) => dual.separate(Float64Array.from(half, (row) => row[i])));
		return { xi, errors, kernel, residual: errors.map((e) => -e) };
	}

	snapshot({ xi, errors }) {
		let h = null;
		return { at: elementwise((t) => (h ??= new Learned(this.dual, xi, 16, errors)).pair(t)[0]) };
	}
}

/**
 * A finite network. Parameters are three rows a, b, w of n + 1 units; the last one is always 1, and its
 * output weight is the output bias.
 */
class FiniteNetwork extends Model {
	constructor(options) {
		super();
		const { x, scaled, inputBias, inputWeight, n } = options;
		Object.assign(this, options, { scale: scaled ? n : 1, rate: 1 / (n * x.length) });
		this.centre = [new Float64Array(n + 1), Float64Array.of(...inputBias, 0), Float64Array.of(...inputWeight, 0)];
		this.start = this.linearize(zeros(3, n + 1));
	}

	/** θ and φ''(S (θ − θ̂)) of one parameter with dual variable ζ. */
	primal(row, k, zeta) {
		const { potential: phi, scale } = this;
		phi.at(phi.inverse(scale * zeta));
		return [this.centre[row][k] + phi.alpha / scale, phi.rise / phi.run];
	}

	/** All that is linear algebra at ζ, where no kink is held. */
	linearize(zeta) {
		const { x, y, n } = this, m = x.length, at = {
			zeta, theta: zeros(3, n + 1), metric: zeros(3, n + 1), held: [], reaction: [], residual: y.map((v) => -v), kernel: zeros(m),
			values: zeros(m, n + 1), slopes: zeros(m, n + 1), positive: zeros(m, n + 1),
		};
		for (let k = 0; k <= n; k++) {
			for (let row = 0; row < 3; row++) [at.theta[row][k], at.metric[row][k]] = this.primal(row, k, zeta[row][k]);
			this.derivatives(at, k);
			this.add(at, k, 1);
		}
		return at;
	}

	/** σ(u) and σ'(u) a of one unit at all points. */
	derivatives({ theta: [a, b, w], values, slopes, positive }, k) {
		const { x, n, slope } = this;
		for (let i = 0; i < x.length; i++) {
			const u = w[k] * x[i] - b[k];
			values[i][k] = k === n ? 1 : u > 0 ? u : slope * u;
			slopes[i][k] = k === n ? 0 : a[k] * (u > 0 ? 1 : u < 0 ? slope : 0.5 * (1 + slope));
			positive[i][k] = u > 0 ? 1 : 0;
		}
	}

	/** Add one unit, sign times, to the residual and to K. */
	add({ theta, metric: [ma, mb, mw], values, slopes, residual, kernel }, k, sign) {
		const { x } = this;
		for (let i = 0; i < x.length; i++) {
			const value = sign * values[i][k], bent = (sign * slopes[i][k]) / mb[k], tilted = (sign * slopes[i][k] * x[i]) / mw[k];
			residual[i] += value * theta[0][k];
			for (let j = 0; j <= i; j++) {
				kernel[i][j] += (value * values[j][k]) / ma[k] + bent * slopes[j][k] + tilted * slopes[j][k] * x[j];
				kernel[j][i] = kernel[i][j];
			}
		}
	}

	/** Go from `at` to ζ − Jᵀ v, with J of `through`, and hold the kinks that slide. */
	reach(at, through, v) {
		const { x } = this, zeta = at.zeta.map((row) => row.slice()), [za, zb, zw] = zeta;
		for (let i = 0; i < x.length; i++) {
			const values = through.values[i], slopes = through.slopes[i];
			for (let k = 0; k < za.length; k++) {
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
		const next = this.linearize(zeta);
		if (!this.finite(next)) return next;
		const met = this.met(at, through, next), kinks = [...through.held, ...(this.matters(at, next, met) ? met : [])];
		if (kinks.length > 0) this.hold(next, kinks, through.held.length, v, this.nearlyDone(at));
		return next;
	}

	/*
	 * Where σ' jumps, the velocity of the flow jumps as u_k(x_i) changes its sign. If the velocities of
	 * both sides point to the kink, the flow slides along it (Filippov): the slope lies between the
	 * one-sided ones, where it holds u_k(x_i) = 0. With the gradients of all u so held as the rows of C,
	 * here (−1, x_i), that replaces Jᵀ by Jᵀ − Cᵀ R, R = (C M⁻¹ Cᵀ)⁻¹ C M⁻¹ Jᵀ, M = ∇²Φ.
	 */

	/** The preactivations that have changed their sign and were not held. */
	met(at, through, next) {
		const key = ({ point, unit }) => point * this.n + unit, before = new Set(at.held.map(key)), held = new Set(through.held.map(key)), met = [];
		for (let point = 0; point < this.x.length; point++) {
			for (let unit = 0; unit < this.n; unit++) {
				const kink = point * this.n + unit, from = before.has(kink) ? through : at;
				if (next.positive[point][unit] !== from.positive[point][unit] && !held.has(kink)) met.push({ point, unit });
			}
		}
		return met;
	}

	/** Whether it changes the function, seen at the tolerance, to put these kinks back to 0. */
	matters(at, { theta: [a, b, w] }, met) {
		const change = this.x.map((x, i) => sum(met.map(({ point, unit: k }) =>
			(point === i ? Math.abs(a[k] * (w[k] * x - b[k])) * (1 - this.slope) : 0))));
		return met.length > 0 && this.share(change, this.decay(at)) > 0.1;
	}

	/** Whether what is left to learn is below the tolerance: the velocity's sign is unknown. */
	nearlyDone(at) { return this.share(at.residual, this.decay(at)) <= 1 && 2 * this.decay(at).stuckLoss() < this.loss(at); }

	/** Hold those of the kinks that slide; the first `before` ones have been held so far. */
	hold(next, kinks, before, v, keep) {
		const groups = new Map(kinks.map(({ unit }) => [unit, []]));
		kinks.forEach((kink, h) => groups.get(kink.unit).push(Object.assign(kink, { slides: true, side: 1, known: h < before })));
		for (const group of groups.values()) this.decide(next, group, v);
		for (const kink of kinks) if (keep && kink.known) Object.assign(kink, { slides: true, side: 1 });
		for (const [unit, group] of groups) {
			const touched = group.filter(({ slides, known }) => slides || known);
			if (touched.length === 0) continue;
			this.add(next, unit, -1);
			this.put(next, unit, touched);
			this.derivatives(next, unit);
			this.add(next, unit, 1);
			const held = group.filter(({ slides }) => slides), moves = held.map((kink) => this.moves(next, kink)), reaction = this.gramSolve(next, held, moves);
			next.held.push(...held.map(({ point }) => ({ point, unit })));
			next.reaction.push(...reaction);
			next.kernel.forEach((row, i) => row.forEach((_, j) => { row[j] -= sum(moves.map((move, h) => move[i] * reaction[h][j])); }));
		}
	}

	/** A row of C M⁻¹ Jᵀ. */
	moves({ metric: [, mb, mw], slopes }, { point, unit }) {
		return this.x.map((x, i) => (1 / mb[unit] + (this.x[point] * x) / mw[unit]) * slopes[i][unit]);
	}

	/** (C M⁻¹ Cᵀ)⁻¹ of kinks of one unit, applied to columns that are given as rows. */
	gramSolve({ metric: [, mb, mw] }, kinks, right) {
		const { x } = this;
		return eliminate(kinks.map(({ point: p, unit }, h) => kinks.map(({ point: q }, g) =>
			(1 / mb[unit] + (x[p] * x[q]) / mw[unit]) * (h === g ? 1 + 1e-13 : 1))), right);
	}

	/** Kinks of a unit slide if the force that keeps u at 0 is that of a slope between the sides; the others leave to a side. */
	decide(at, kinks, v) {
		const [a] = at.theta, { slope } = this;
		for (let trial = kinks, stay; ; trial = stay) {
			const holding = this.gramSolve(at, trial, trial.map((kink) => [dot(this.moves(at, kink), v)]));
			stay = trial.filter((kink, g) => {
				const { point, unit } = kink, force = v[point] * a[unit];
				const excess = v[point] * at.slopes[point][unit] - holding[g][0] - 0.5 * (1 + slope) * force;
				kink.slides = Math.abs(excess) <= 0.5 * (1 - slope) * force;
				kink.side = kink.slides ? 1 : Math.sign(excess);
				return kink.slides;
			});
			if (stay.length === trial.length) return;
		}
	}

	/** Add forces Cᵀ to ζ of one unit that put some of its kinks beside 0. */
	put(at, unit, kinks) {
		const { x } = this, small = kinks.map(({ point }) => BESIDE * (1 + Math.abs(x[point])));
		const beyond = (b, w) => kinks.map(({ point, side }, g) => w * x[point] - b - 2 * side * small[g]);
		for (let k = 0, damping = 1; k < 100; k++) {
			const error = beyond(at.theta[1][unit], at.theta[2][unit]);
			if (error.every((e, g) => Math.abs(e) <= small[g])) return;
			const force = this.gramSolve(at, kinks, error.map((e) => [e])).map(([f]) => damping * f);
			const zeta = [at.zeta[1][unit] + sum(force), at.zeta[2][unit] - sum(force.map((f, g) => f * x[kinks[g].point]))];
			// far from its centre a steep potential makes Newton's step too long
			const [[b, mb], [w, mw]] = zeta.map((z, row) => this.primal(row + 1, unit, z)), nearer = norm(beyond(b, w)) < norm(error);
			damping = nearer ? Math.min(1, 2 * damping) : 0.25 * damping;
			if (!nearer) continue;
			[at.zeta[1][unit], at.zeta[2][unit]] = zeta;
			[at.theta[1][unit], at.theta[2][unit], at.metric[1][unit], at.metric[2][unit]] = [b, w, mb, mw];
		}
	}

	snapshot({ theta: [a, b, w] }) {
		const { n, slope } = this, at = elementwise((t) => {
			let f = a[n];
			for (let k = 0; k < n; k++) {
				const u = w[k] * t - b[k];
				f += a[k] * (u > 0 ? u : slope * u);
			}
			return f;
		});
		return { at, outputBias: a[n], outputWeight: a.slice(0, n), inputBias: b.slice(0, n), inputWeight: w.slice(0, n) };
	}
}

/** Time, step by step. */
class Integration {
	constructor(model, lossTarget, maxTime) {
		Object.assign(this, { model, lossTarget, maxTime, at: model.start, time: 0, steps: 0, accepted: null });
		this.step = this.first = 1 / model.decay(model.start).fastest();
		this.status = this.ended();
	}

	get loss() { return this.model.loss(this.at); }

	/** Go on to a time, for as long as there is patience; returns whether that is done. */
	advance(stop, patience = () => true) {
		while (this.status === null && this.time < stop) {
			if (!patience()) return false;
			const trial = Math.min(this.step, stop - this.time), { next, error } = this.model.midpointStep(this.at, trial);
			this.step = this.stepAfter(trial, error);
			if (error <= 1) {
				[this.at, this.time] = [next, Math.min(this.time + trial, stop)];
				this.steps++;
				this.status = this.ended();
			} else {
				const now = Math.max(this.time, this.first);
				if (now + this.step === now) this.status = "STEP_TOO_SMALL";
			}
		}
		return true;
	}

	ended() {
		const { loss, lossTarget } = this, stuck = this.model.decay(this.at).stuckLoss();
		if (loss <= lossTarget) return "CONVERGED";
		if (this.time >= this.maxTime) return "MAX_TIME";
		if (stuck > lossTarget && loss <= 1.001 * stuck) return "STALLED";
		return this.steps >= 10000 ? "MAX_STEPS" : null;
	}

	/** Errors grow like the cube of the step; those that fall are expected to go on falling (Gustafsson). */
	stepAfter(step, found) {
		const error = Math.max(found, 1e-30);
		let factor = 0.9 * error ** (-1 / 3);
		if (error <= 1) {
			const [lastStep, lastError] = this.accepted ?? [step, error];
			factor *= Math.min(Math.max(1, (step / lastStep) * (lastError / error) ** (1 / 3)), 2);
			this.accepted = [step, error];
		}
		return step * Math.min(100, Math.max(0.1, factor));
	}

	snapshot() { return { time: this.time, loss: this.loss, ...this.model.snapshot(this.at) }; }
}

/** The flow of a network, or of the infinitely wide one; there an unscaled potential acts by φ''(0) alone. */
function integrationOf(options, infinite) {
	const { scaled = false, lossTarget = 1e-7, rtol = 1e-2, maxTime = Infinity, inputWeight = [], inputBias = [] } = options;
	const density = infinite ? options.density : { kind: "normal", deviation: 1 }; // it has no say in a network
	const problem = checked({ ...options, density, ridge: 0 }), { potential } = problem, n = inputBias.length;
	number("lossTarget", lossTarget, 1e-300);
	number("rtol", rtol, 1e-14, 1);
	if (infinite) {
		const felt = scaled ? potential : new Power(2, 0, 2 / potential.curvature);
		return new Integration(new InfiniteNetwork({ ...problem, potential: felt }, rtol), lossTarget, maxTime);
	}
	require(n > 0 && n === inputWeight.length, "inputWeight and inputBias must have the same length, at least one.");
	for (const v of [...inputWeight, ...inputBias]) number("each input weight and bias", v);
	return new Integration(new FiniteNetwork({ ...problem, scaled, inputWeight, inputBias, rtol, n }), lossTarget, maxTime);
}

/**
 * Train all parameters of a network by mirror flow, from output weights and bias 0.
 *
 * @param {object} options  x, y, slope, potential as in `solve`; scaled; inputWeight and inputBias;
 *   lossTarget; times to keep; maxTime; rtol, the largest error of a step relative to all that is learned.
 * @returns at(t), the network; its parameters; loss; time; steps; snapshots at the times reached; status; message.
 */
function train(options) {
	return unlessRefused(() => trained(integrationOf(options, false), options.times ?? []), (message) => (
		{ at: () => null, loss: null, time: null, steps: 0, snapshots: [], status: "REFUSED", message }));
}

function trained(flow, times) {
	const snapshots = times.flatMap((time) => {
		flow.advance(time);
		return flow.time >= time ? [flow.snapshot()] : [];
	});
	flow.advance(flow.maxTime);
	return { ...flow.snapshot(), steps: flow.steps, snapshots, status: flow.status, message: STATUS[flow.status] };
}

/** Uniform numbers from a seed (mulberry32), as in the Python that the page offers. */
function uniforms(seed) {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), state | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** Input weights ±1, and biases from the density: four uniform numbers a unit. */
function drawNetwork({ width, seed, density: { kind, reach, deviation, centre } }) {
	const uniform = uniforms(seed), inputWeight = new Float64Array(width), inputBias = new Float64Array(width);
	for (let k = 0; k < width; k++) {
		const [sign, hump, u, angle] = [uniform(), uniform(), uniform(), uniform()];
		const bell = deviation * Math.sqrt(-2 * Math.log(1 - u)) * Math.cos(2 * Math.PI * angle);
		inputWeight[k] = sign < 0.5 ? -1 : 1;
		inputBias[k] = kind === "uniform" ? reach * (2 * u - 1) : kind === "normal" ? bell : bell + (hump < 0.5 ? -centre : centre);
	}
	return { inputWeight, inputBias };
}

window.laboratory.train = train;
Object.assign(window.laboratory.parts, { FLOW_STATUS: STATUS, drawNetwork, integrationOf });
}
