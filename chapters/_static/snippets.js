// Excerpts beside search results: formulas as characters, not as TeX.
(() => {
  const WORDS = {
    alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", varepsilon: "ε", eps: "ε", eta: "η",
    zeta: "ζ", theta: "θ", vartheta: "ϑ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π",
    rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", varphi: "φ", psi: "ψ", omega: "ω", Gamma: "Γ",
    Delta: "Δ", Theta: "Θ", Lambda: "Λ", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω", ell: "ℓ",
    RR: "ℝ", NN: "ℕ", EE: "E", PP: "P", dd: " d", nabla: "∇", partial: "∂", infty: "∞", sum: "∑",
    prod: "∏", int: "∫", sqrt: "√", to: " → ", mapsto: " ↦ ", le: " ≤ ", leq: " ≤ ", ge: " ≥ ",
    geq: " ≥ ", ne: " ≠ ", neq: " ≠ ", ll: " ≪ ", gg: " ≫ ", approx: " ≈ ", simeq: " ≃ ", sim: " ∼ ",
    propto: " ∝ ", equiv: " ≡ ", in: " ∈ ", cdot: "·", times: "×", pm: "±", mp: "∓", circ: "∘",
    cup: "∪", cap: "∩", subset: " ⊂ ", subseteq: " ⊆ ", forall: "∀", exists: "∃", mid: " | ",
    dots: "…", ldots: "…", cdots: "…", top: "ᵀ", star: "*", ast: "*", lvert: "|", rvert: "|",
    lVert: "‖", rVert: "‖", Vert: "‖", langle: "⟨", rangle: "⟩", prime: "′", quad: " ", qquad: " ",
  };
  const SPOKEN = "min|max|inf|sup|log|exp|sin|cos|tan|sinh|cosh|tanh|lim|det|argmin|sign|supp|diag|relu";
  const LOOSE = /\\(?:left|right|big|Big|bigg|Bigg|bigl|bigr|Bigl|Bigr|biggl|biggr|limits|displaystyle)\b/g;
  const RAISED = { 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", "+": "⁺", "-": "⁻" };

  const plain = (tex) => tex
    .replace(/\\[()[\]]|\\(?:begin|end)\{\w+\*?\}|\\label\{[^}]*\}/g, "")
    .replace(LOOSE, "")
    .replace(/\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, "$1/$2")
    .replace(new RegExp(`\\\\(${SPOKEN})\\b`, "g"), "$1 ")
    .replace(/\\([a-zA-Z]+)/g, (_, word) => WORDS[word] ?? "")
    .replace(/\\./g, " ")
    .replace(/\^\{?([0-4+-])\}?/g, (_, digit) => RAISED[digit])
    .replace(/[{}&]/g, "")
    .replace(/\s+/g, " ");

  const { htmlToText } = Search;
  Search.htmlToText = (text, anchor) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    for (const left of page.querySelectorAll(".eqno, .admonition-title .grade")) left.remove();
    for (const formula of page.querySelectorAll(".math"))
      formula.textContent = plain(formula.textContent);
    return htmlToText(page.documentElement.outerHTML, anchor);
  };
})();
