/*
 * The infinite-width limit, solved by its dual: mflib.variational, in the page.
 *
 * A unit is a kink at t that faces right, σ(x − t), or left, σ(t − x), with density p(t)/2 each;
 * σ(u) = max(u, 0) + slope · min(u, 0). The trained change h = ∫ α σ dμ has the least cost
 * ∫ D_φ(α, 0) dμ among all interpolants. There φ'(α) = z = Σ λ_i σ(±(x_i − t)), piecewise linear: m
 * numbers hold the answer. They maximise g(λ) = λ·y − ∫ φ*(z) dμ − ½ ridge |λ|², whose gradient is
 * y − h(x_i) − ridge λ_i. The rule for the status is Python's.
 *
 * Pages opened from disk cannot import modules: classic scripts, each one block, not indented.
 */
"use strict";
{
const STATUS = {
	CONVERGED: "the interpolant of least representation cost, to the accuracy of its certificate",
	STALLED: "Newton's method stopped short of the tolerance: this is no solution. Points almost on top of each other do " +
		"this, and potentials that are nearly flat or nearly singular at these magnitudes.",
};

/** The message says why there is no answer, and what to do. */
class Refusal extends Error {}

function require(condition, message) {
	if (!condition) throw new Refusal(message);
}

function unlessRefused(action, otherwise) {
	try {
		return action();
	} catch (error) {
		if (error instanceof Refusal) return otherwise(error.message);
		throw error;
	}
}

function number(name, value, least = -1e150, most = 1e150) {
	require(typeof value === "number" && value >= least && value <= most, `${name} must be a number from ${least} to ${most}, not ${value}.`);
	return value;
}

const dot = (a, b) => {
	let sum = 0;
	for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
	return sum;
};
const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
const zeros = (rows, columns = rows) => Array.from({ length: rows }, () => new Float64Array(columns));
const increasing = (values) => [...new Set(values)].sort((a, b) => a - b);

const rules = [];

/** Gauss–Legendre rule on [0, 1], after v → v^grade, which crowds the nodes at 0. */
const gauss = (count, grade = 1) => (rules[100 * count + grade] ??= makeRule(count, grade));

function makeRule(count, grade) {
	const x = new Float64Array(count), w = new Float64Array(count);
	for (let i = 0; i < count; i++) {
		let z = Math.cos((Math.PI * (i + 0.75)) / (count + 0.5)), slope = 1;
		for (let k = 0, step = 1; k < 100 && Math.abs(step) > 1e-16; k++) {
			let before = 1, p = z;
			for (let j = 2; j <= count; j++) [before, p] = [p, ((2 * j - 1) * z * p - (j - 1) * before) / j];
			slope = (count * (z * p - before)) / (z * z - 1);
			z -= step = p / slope;
		}
		const v = 0.5 * (1 - z);
		x[i] = v ** grade;
		w[i] = (grade * v ** (grade - 1)) / ((1 - z * z) * slope * slope);
	}
	return { x, w };
}

/*
 * Potentials. A variable u makes all integrands smooth: α = u for powers, α = β sinh u for
 * hypentropy. `at(u)` sets alpha, mirror = φ'(α), rise = dφ'(α)/du, run = dα/du and
 * price = D_φ(α, 0); `inverse(z)` is the u where φ'(α) = z.
 */

/** φ(x) = (|x|^p + ω x²)/total, p ≥ 2. */
class Power {
	constructor(p, omega = 0, total = 1 + omega) {
		Object.assign(this, { p, omega, total });
		// |α|^(p − 2) is not smooth at 0 for other exponents, the less so the lower they are
		this.grade = Number.isInteger(p) ? 1 : Math.max(2, Math.ceil(12 / p));
		this.curvature = (p === 2 ? 2 + 2 * omega : 2 * omega) / total; // φ''(0)
	}
	at(u) {
		const { p, omega, total } = this, power = p === 2 ? 1 : Math.abs(u) ** (p - 2);
		this.alpha = u;
		this.mirror = ((p * power + 2 * omega) * u) / total;
		this.rise = (p * (p - 1) * power + 2 * omega) / total;
		this.run = 1;
		this.price = ((power + omega) * u * u) / total;
	}
	inverse(z) {
		const { p, omega, total } = this, target = total * Math.abs(z);
		if (p === 2 || z === 0) return (total * z) / (2 + 2 * omega);
		// neither term exceeds the whole, and φ' is convex on u > 0
		return newtonFromAbove(Math.min((target / p) ** (1 / (p - 1)), target / (2 * omega)), (u) => {
			const power = u ** (p - 2);
			return ((p * power + 2 * omega) * u - target) / (p * (p - 1) * power + 2 * omega);
		}) * Math.sign(z);
	}
}

/** φ(x) = (x asinh(x/β) − √(x² + β²) + ω x²)/(1 + ω). */
class Hypentropy {
	grade = 1;
	constructor(beta, omega) {
		Object.assign(this, { beta, omega, total: 1 + omega });
		this.curvature = (1 / beta + 2 * omega) / (1 + omega);
	}
	at(u) {
		const { beta, omega, total } = this, sinh = Math.sinh(u), cosh = Math.sqrt(1 + sinh * sinh), alpha = beta * sinh;
		this.alpha = alpha;
		this.mirror = (u + 2 * omega * alpha) / total;
		this.run = beta * cosh;
		this.rise = (1 + 2 * omega * this.run) / total;
		// the second term is β cosh u − β, without cancelling digits
		this.price = (alpha * u - alpha * (sinh / (1 + cosh)) + omega * alpha * alpha) / total;
	}
	inverse(z) {
		const { beta, omega, total } = this, target = total * Math.abs(z), slope = 2 * omega * beta;
		if (omega === 0) return z;
		return newtonFromAbove(Math.min(target, Math.asinh(target / slope)), (u) =>
			(u + slope * Math.sinh(u) - target) / (1 + slope * Math.cosh(u))) * Math.sign(z);
	}
}

function newtonFromAbove(u, stepAt) {
	for (let k = 0; k < 60; k++) {
		const step = stepAt(u);
		u -= step;
		if (!(Math.abs(step) > 4e-16 * u)) break;
	}
	return u;
}

/** @param {{kind: string, exponent?: number, beta?: number, omega?: number}} choice */
function potentialOf({ kind, exponent, beta, omega } = { kind: "quadratic" }) {
	const weight = number("omega", omega ?? 0, 0);
	if (kind === "quadratic") return new Power(2);
	if (kind === "hypentropy") return new Hypentropy(number("beta", beta, 1e-100, 1e100), weight);
	require(kind === "power", `No potential is called ${kind}: choose quadratic, power or hypentropy.`);
	number("the exponent", exponent, 1, 50);
	require(exponent >= 2, `Below exponent 2 (here ${exponent}) φ''(0) is infinite, and training cannot start: choose 2 or more.`);
	require(exponent === 2 || weight > 0, "Without ω the curvature φ''(0) is zero, and training cannot start: choose ω above 0.");
	return new Power(exponent, weight);
}

/** Edges of panels for a normal density, in deviations; beyond 16 nothing is left. */
const TAILS = [0, 1, 2, 3, 4, 5, 6, 7.5, 9, 12, 16];

/**
 * An even density, with the edges of panels where it is smooth.
 * @param {{kind: string, reach?: number, deviation?: number, centre?: number}} choice
 */
function densityOf({ kind, reach, deviation, centre = 0 } = { kind: "uniform", reach: 1 }) {
	if (kind === "uniform") {
		const r = number("reach", reach, 1e-100);
		return { reach: r, edges: [-r, r], second: (r * r) / 3, pdf: (t) => (Math.abs(t) <= r ? 0.5 / r : 0) };
	}
	require(kind === "normal" || kind === "humps", `No density is called ${kind}: choose uniform, normal or humps.`);
	const s = number("deviation", deviation, 1e-100), c = kind === "humps" ? number("centre", centre, 0) : 0;
	const between = Math.ceil((2 * c) / s), edges = TAILS.flatMap((t) => [-c - s * t, c + s * t]);
	for (let k = 1; k < between; k++) edges.push(c * ((2 * k) / between - 1));
	const bell = (t) => Math.exp((-0.5 * t * t) / (s * s)) / (s * Math.sqrt(2 * Math.PI));
	return { reach: Infinity, edges, second: s * s + c * c, pdf: c === 0 ? bell : (t) => 0.5 * (bell(t - c) + bell(t + c)) };
}

/** Check a problem, and sort its points. */
function checked({ x, y, slope = 0, potential, density, ridge = 0 }) {
	require(x?.length > 0 && x.length === y?.length, "x and y must have the same length, at least one.");
	require(x.length <= 60, `The page takes up to 60 points, not ${x.length}: use mflib.`);
	for (const v of [...x, ...y]) number("each coordinate", v);
	require(number("slope", slope, -1, 1) < 1, "At slope 1 the activation has no kink: choose a slope below 1.");
	const order = [...x.keys()].sort((i, j) => x[i] - x[j]), sorted = (values) => Float64Array.from(order, (i) => values[i]);
	const p = densityOf(density), xs = sorted(x), twice = xs.find((v, i) => v === xs[i + 1]), outside = xs.find((v) => Math.abs(v) > p.reach);
	require(twice === undefined, `Two points share x = ${twice}: no function passes through both. Move one.`);
	require(outside === undefined, `The point at x = ${outside} lies outside the support of the density, ±${p.reach}: no unit has ` +
		"its kink there. Widen the density or move the point.");
	return { x: xs, y: sorted(y), order, slope, potential: potentialOf(potential), density: p, ridge: number("ridge", ridge, 0) };
}

/** Gaussian elimination with partial pivoting, for several right-hand sides. */
function eliminate(matrix, right) {
	const n = matrix.length, a = matrix.map((row, i) => [...row, ...right[i]]);
	for (let k = 0; k < n; k++) {
		let pivot = k;
		for (let i = k + 1; i < n; i++) if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
		[a[k], a[pivot]] = [a[pivot], a[k]];
		for (let i = 0; i < n; i++) {
			const factor = i === k ? 0 : a[i][k] / a[k][k];
			for (let j = k; j < a[i].length && factor !== 0; j++) a[i][j] -= factor * a[k][j];
		}
	}
	return a.map((row, k) => row.slice(n).map((v) => v / row[k]));
}

/** Newton's step: the matrix is scaled to a unit diagonal first. */
function newtonStep({ matrix, gradient }) {
	const scale = gradient.map((_, i) => 1 / Math.sqrt(matrix[i][i]));
	const scaled = matrix.map((row, i) => row.map((v, j) => v * scale[i] * scale[j]));
	return Float64Array.from(eliminate(scaled, Array.from(gradient, (g, i) => [g * scale[i]])), ([v], i) => v * scale[i]);
}

/**
 * The dual, in a basis in which Newton's matrix is well conditioned: second divided differences of the
 * features are hat functions; two global functions complete them. Places in an element are offsets
 * from its left node: where points are close, t itself has lost the digits.
 */
class Dual {
	constructor(problem) {
		Object.assign(this, problem);
		const { x, y, slope, density } = this, m = x.length, reach = Math.max(x[m - 1] - x[0], Math.sqrt(density.second));
		this.grid = Float64Array.of(x[0] - reach, ...x, x[m - 1] + reach);
		this.widths = this.grid.slice(1).map((t, j) => t - this.grid[j]);
		this.columns = zeros(m).map((row, i) => this.combine(row.fill(1, i, i + 1))); // C, by columns
		this.combination = zeros(m).map((row, k) => row.map((_, i) => this.columns[i][k])); // and by rows
		this.targets = this.combine(y);
		const edges = increasing([...density.edges, ...x]);
		this.panels = edges.slice(1).flatMap((b, k) => {
			const a = edges[k], middle = 0.5 * (a + b), element = x.filter((v) => v <= middle).length, corner = this.grid[element];
			return density.pdf(middle) > 0 ? [{ element, left: a - corner, right: b - corner }] : [];
		});
		// |·|: both orientations are the same function, and one field serves for both
		this.fields = (slope === -1 ? [1] : [1, -1]).map((sign) => ({ sign, basis: this.basis(sign) }));
		this.weight = slope === -1 ? 1 : 0.5;
	}

	/** Columns: the field of each basis function at the nodes of the grid. */
	basis(sign) {
		const { x, grid, slope } = this, m = x.length, columns = zeros(m, m + 2), hats = Math.max(m - 2, 0);
		const middle = 0.5 * (x[0] + x[m - 1]), even = 0.5 * (1 - slope), odd = 0.5 * (1 + slope) * sign;
		for (let i = 0; i < hats; i++) columns[i][i + 2] = 1 - slope;
		// σ(u) = even |u| + odd u with u = x − t, for the mean of both end points and for their difference
		// quotient; between the end points |u| is a sum of hats, left out here
		grid.forEach((t, j) => {
			const side = j < 2 ? 1 : j < m ? 0 : -1;
			columns[hats][j] = even * Math.abs(side * (middle - t)) + odd * (middle - t);
			if (m > 1) columns[hats + 1][j] = even * side + odd;
		});
		return columns;
	}

	/** Values at the points, combined as the basis combines features. */
	combine(h) {
		const { x } = this, m = h.length;
		if (m === 1) return h.slice();
		const slopes = Array.from({ length: m - 1 }, (_, j) => (h[j + 1] - h[j]) / (x[j + 1] - x[j])), first = slopes[0], last = slopes[m - 2];
		const mean = 0.5 * (h[0] + h[m - 1]) + 0.25 * (x[m - 1] - x[0]) * (first - last);
		return Float64Array.of(...slopes.slice(1).map((s, i) => s - slopes[i]), mean, 0.5 * (first + last));
	}

	/** The inverse of `combine`: differences of slopes, summed twice. */
	separate(combined) {
		const { x } = this, m = combined.length, rise = new Float64Array(m);
		if (m === 1) return combined.slice();
		const bends = combined.subarray(0, m - 2).reduce((sum, v) => sum + v, 0);
		let slope = combined[m - 1] - 0.5 * bends;
		for (let i = 1; i < m; i++) {
			rise[i] = rise[i - 1] + slope * (x[i] - x[i - 1]);
			slope += i < m - 1 ? combined[i - 1] : 0;
		}
		return rise.map((v) => combined[m - 2] + 0.25 * (x[m - 1] - x[0]) * bends - 0.5 * rise[m - 1] + v);
	}

	/** Largest error at the points, from its combination. */
	error(combined) { return largest(this.separate(combined)); }

	/** The error at the points that rounding of slopes adds up to. */
	rounding() {
		const { x, y } = this, m = x.length, slopes = x.subarray(1).map((t, i) => (y[i + 1] - y[i]) / (t - x[i]));
		return Number.EPSILON * (x[m - 1] - x[0]) * Math.sqrt(m) * largest(slopes);
	}

	/** The residual that CONVERGED promises: 1e-10 of the targets, or rounding. */
	tolerance() {
		const most = largest(this.y);
		return Math.min(1e-10 * most + 10 * this.rounding(), 1e-6 * most);
	}

	/** λ = Cᵀ ξ. */
	multipliers(xi) { return xi.map((_, i) => dot(this.columns[i], xi)); }

	/** The field z at the nodes of the grid. */
	nodal({ basis }, xi) { return this.grid.map((_, j) => basis.reduce((sum, column, k) => sum + column[j] * xi[k], 0)); }

	/** The field on a panel, split at its zero: use(left, right, zLeft, zRight). */
	pieces(z, { element, left, right }, use) {
		const width = this.widths[element], at = (offset) => ((width - offset) * z[element] + offset * z[element + 1]) / width;
		const a = at(left), b = at(right), zero = left + (right - left) * (a / (a - b));
		if (a * b < 0) {
			use(left, zero, a, 0);
			use(zero, right, 0, b);
		} else use(left, right, a, b);
	}

	/**
	 * Quadrature where z keeps its sign: use(offset, weight, weight/φ'') with the potential at α. Where z
	 * varies little, t is the variable; elsewhere u: dt = φ''(α) dα / z' leaves a smooth integrand even
	 * where the inverse of φ' is nearly singular.
	 */
	nodes(left, right, zLeft, zRight, count, use) {
		const phi = this.potential, width = right - left, rise = zRight - zLeft, [a, b] = [Math.abs(zLeft), Math.abs(zRight)];
		if (1.1 * Math.min(a, b) >= Math.max(a, b)) {
			const { x, w } = gauss(count);
			for (let k = 0; k < count; k++) {
				phi.at(phi.inverse(zLeft + rise * x[k]));
				use(left + width * x[k], width * w[k], (width * w[k] * phi.run) / phi.rise);
			}
			return;
		}
		const { x, w } = gauss(count, phi.grade), [inner, zInner, zOuter] = b > a ? [left, zLeft, zRight] : [right, zRight, zLeft];
		const start = phi.inverse(zInner), length = phi.inverse(zOuter) - start, density = Math.abs((width * length) / rise);
		for (let k = 0; k < count; k++) {
			phi.at(start + length * x[k]);
			use(inner + (width / rise) * (phi.mirror - zInner), density * w[k] * phi.rise, density * w[k] * phi.run);
		}
	}

	/** Cost, gradient and −Hessian (its lower half) of g at ξ, assembled like linear finite elements. */
	evaluate(xi, count) {
		const { density, potential, widths, grid, weight, ridge, combination } = this, m = xi.length;
		const gradient = this.targets.slice(), matrix = zeros(m), smoothed = this.combine(this.multipliers(xi));
		let cost = 0;
		for (const field of this.fields) {
			const z = this.nodal(field, xi), [load, diagonal, beside] = zeros(3, m + 2);
			for (const panel of this.panels) {
				const e = panel.element, width = widths[e], corner = grid[e];
				this.pieces(z, panel, (a, b, za, zb) => this.nodes(a, b, za, zb, count, (offset, w, curved) => {
					const p = weight * density.pdf(corner + offset), high = offset / width, low = (width - offset) / width;
					cost += p * w * potential.price;
					load[e] += p * w * potential.alpha * low;
					load[e + 1] += p * w * potential.alpha * high;
					diagonal[e] += p * curved * low * low;
					diagonal[e + 1] += p * curved * high * high;
					beside[e] += p * curved * low * high;
				}));
			}
			field.basis.forEach((column, k) => {
				gradient[k] -= dot(column, load);
				const weighted = column.map((v, j) => diagonal[j] * v + (beside[j] * column[j + 1] || 0) + (beside[j - 1] * column[j - 1] || 0));
				for (let l = 0; l < m; l++) matrix[l][k] += dot(field.basis[l], weighted);
			});
		}
		for (let k = 0; k < m && ridge > 0; k++) {
			gradient[k] -= ridge * smoothed[k];
			for (let l = 0; l < m; l++) matrix[k][l] += ridge * dot(combination[k], combination[l]);
		}
		return { xi, cost, gradient, matrix };
	}
}

/** Nodes of a piece. Each rule checks the one before; short smooth pieces need few. */
const RULES = [8, 16, 32, 64, 128];
const MOST_STEPS = 100;

/** Maximise g. Returns the optimum as a finer rule sees it than the one that found it. */
function maximise(dual) {
	let xi = new Float64Array(dual.x.length), at = dual.evaluate(xi, RULES[0]), check = at, rule = 0, iterations = 0;
	for (let k = 0; k + 1 < RULES.length; k++) {
		const last = k + 2 === RULES.length, [count, finer] = [RULES[k], RULES[k + 1]];
		check = dual.evaluate(xi, finer);
		const difference = dual.error(at.gradient.map((v, i) => v - check.gradient[i]));
		const agree = last || difference <= 1e-13 * largest(dual.y) + dual.rounding();
		// far from the optimum the first rule serves as well as any, and costs least
		if (agree || k === 0) {
			const found = newton(dual, at, count, MOST_STEPS - iterations);
			iterations += found.steps;
			if (found.at.xi !== xi) {
				xi = found.at.xi;
				check = dual.evaluate(xi, finer);
			}
			rule = count;
			if (agree && dual.error(check.gradient) <= Math.max(0.1 * dual.tolerance(), 4 * dual.error(found.at.gradient))) break;
		}
		at = check;
	}
	return { at: check, rule };
}

/** Newton's method until the residual stops falling. */
function newton(dual, at, count, budget) {
	const scale = largest(dual.y);
	let error = dual.error(at.gradient), steps = 0;
	while (steps < budget && error > 2e-14 * scale) {
		steps++;
		const step = newtonStep(at), close = error <= 1e-6 * scale;
		if (!step.every(Number.isFinite)) break;
		// close to the optimum full steps, until rounding leaves nothing to gain
		const next = damped(dual, at, step, count, close ? 1 : 60), last = error, now = dual.error(next.gradient);
		if (now < last || !close) [at, error] = [next, now];
		if (close && !(now <= 0.5 * last)) break;
	}
	return { at, steps };
}

/**
 * Shorten the step until g, along it, falls less steeply than half its rise. Values of g no longer
 * differ near the optimum; where rounding hides its slopes too, the residual has to fall.
 */
function damped(dual, at, step, count, tries) {
	const initial = dot(at.gradient, step), before = dual.error(at.gradient);
	const clear = initial > 1e3 * Number.EPSILON * dot(dual.targets.map(Math.abs), step.map(Math.abs));
	let trial = at;
	for (let t = 1, k = 0; k < tries; k++, t *= 0.4) {
		trial = dual.evaluate(at.xi.map((v, i) => v + t * step[i]), count);
		if (clear && dot(trial.gradient, step) >= -0.5 * initial) break;
		if (dual.error(trial.gradient) / before <= (clear ? 0.25 : 1 - 0.25 * t)) break;
	}
	return trial;
}

/** The learned function: h, h' and h'' from ξ, with the given errors at the points. */
class Learned {
	constructor(dual, xi, rule, errors) {
		Object.assign(this, { dual, rule });
		const { fields, panels, grid, widths, ridge, y, x } = dual, m = x.length, multipliers = dual.multipliers(xi);
		this.nodal = fields.map((field) => dual.nodal(field, xi));
		this.elements = [...widths].map(() => []);
		let left = 0; // h'(−∞) from the units: one value alone fixes no slope
		for (const panel of panels) {
			this.nodal.forEach((z, f) => dual.pieces(z, panel, (a, b, za, zb) => {
				const bent = this.bend(a, b, za, zb, grid[panel.element]);
				this.elements[panel.element].push({ a, b, za, zb, ...bent });
				left += (fields[f].sign === 1 ? dual.slope : -1) * (bent.mass / (1 - dual.slope));
			}));
		}
		this.value = y.map((v, i) => v - ridge * multipliers[i] - errors[i]);
		// the slope at the left end of each element, of the first one at its right end
		const first = this.since(0, -Infinity).mass, slope = (this.slope = new Float64Array(m + 1));
		for (let e = 1; e < m; e++) slope[e] = (this.value[e] - this.value[e - 1] - this.since(e, widths[e]).moment) / widths[e];
		slope[0] = m > 1 ? slope[1] : left + first;
		slope[m] = m > 1 ? slope[m - 1] + this.since(m - 1, widths[m - 1]).mass : slope[0];
		this.ends = [slope[0] - first, slope[m] + this.since(m, Infinity).mass];
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
	 * ∫ h'' and ∫ (offset − τ) h'' dτ from the element's left node to the offset; in the first element,
	 * which has no left end, from the offset to its right node.
	 */
	since(element, offset) {
		const corner = this.dual.grid[element], backward = element === 0;
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
		return { mass, moment: (backward ? -1 : 1) * (offset * mass - moment) };
	}

	element(t) {
		const { x } = this.dual;
		let e = 0;
		while (e < x.length && x[e] <= t) e++;
		return e;
	}

	/** [h, h'] at one point. */
	pair(t) {
		const { x, grid } = this.dual, e = this.element(t), { mass, moment } = this.since(e, t - grid[e]);
		if (e === 0) return [this.value[0] + this.slope[0] * (t - x[0]) + moment, this.slope[0] - mass];
		return [this.value[e - 1] + this.slope[e] * (t - x[e - 1]) + moment, this.slope[e] + mass];
	}

	/** z and α of units that face right and left (for |·| both are alike), and p. */
	units(t) {
		const { grid, widths, potential, density } = this.dual, e = this.element(t), share = (t - grid[e]) / widths[e];
		const [right, left = right] = this.nodal.map((nodal) => {
			const z = (1 - share) * nodal[e] + share * nodal[e + 1];
			potential.at(potential.inverse(z));
			return { z, alpha: potential.alpha };
		});
		return { right, left, density: density.pdf(t) };
	}

	curvature(t) {
		const { right, left, density } = this.units(t);
		return density > 0 ? 0.5 * (1 - this.dual.slope) * density * (right.alpha + left.alpha) : 0;
	}

	/** G1, G2, G3 of Theorem 2; null where the theorem does not split the cost. */
	penalties(cost) {
		const { slope, potential, density } = this.dual, [before, after] = this.ends, end = Math.max(...density.edges, ...this.dual.x);
		if (slope !== 0 || potential.p !== 2) return null;
		// ∫ h''|t| dt − 2 h(0), by parts: where the asymptotes meet the vertical axis
		const meet = this.pair(end)[0] - after * end + this.pair(-end)[0] + before * end;
		const G2 = (before + after) ** 2, G3 = meet ** 2 / density.second;
		return { G1: cost - G2 - G3, G2, G3 };
	}
}

/** Apply a function of numbers to a number, or to each of an array. */
const elementwise = (f) => (t) => (typeof t === "number" ? f(t) : Array.from(t, f));

/**
 * The function that mirror flow on an infinitely wide network learns.
 *
 * @param {object} problem  x, distinct inputs; y, targets; slope of σ on the left (−1: |·|, 0: ReLU);
 *   potential {kind: "quadratic" | "power" | "hypentropy", exponent, beta, omega}; density of the kinks
 *   {kind: "uniform" | "normal" | "humps", reach, deviation, centre}; ridge, 0 to interpolate. All but x
 *   and y may be left out.
 * @returns at(t), derivative(t), curvature(t) of a number or an array; units(t); cost; by a finer
 *   quadrature, gap |λ·(y − h − ridge λ)| and residual, its largest factor; penalties; slopes at ∓∞;
 *   multipliers λ; status; message. Without a solution numbers are null.
 */
function solve(problem) {
	return unlessRefused(() => solution(new Dual(checked(problem))), (message) => nothing("REFUSED", message));
}

function solution(dual) {
	const found = maximise(dual);
	const { xi, cost, gradient } = found.at, errors = dual.separate(gradient), gap = Math.abs(dot(xi, gradient));
	if (![cost, gap, ...errors].every(Number.isFinite)) return nothing("STALLED", STATUS.STALLED);
	const h = new Learned(dual, xi, found.rule, errors), sorted = dual.multipliers(xi), multipliers = [];
	dual.order.forEach((original, i) => { multipliers[original] = sorted[i]; });
	const status = converged(dual, found.at) ? "CONVERGED" : "STALLED";
	return {
		at: elementwise((t) => h.pair(t)[0]), derivative: elementwise((t) => h.pair(t)[1]), curvature: elementwise((t) => h.curvature(t)),
		units: (t) => h.units(t), cost, gap, residual: largest(errors), penalties: h.penalties(cost),
		slopes: h.ends, multipliers, status, message: STATUS[status],
	};
}

function converged(dual, { xi, cost, gradient }) {
	return dual.error(gradient) <= dual.tolerance() && Number.isFinite(cost + dot(xi, gradient));
}

function nothing(status, message) {
	const at = () => null;
	return {
		at, derivative: at, curvature: at, units: at, cost: null, gap: null, residual: null, penalties: null,
		slopes: null, multipliers: null, status, message,
	};
}

// for the other scripts
const parts = { Dual, Learned, Power, checked, densityOf, dot, eliminate, elementwise, number, require, unlessRefused, zeros };
window.laboratory = { solve, parts };
}
