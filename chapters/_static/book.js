// Excerpts beside search results are fetched, which browsers refuse to a page opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Formulas, code and tables that are wider than their place. A phone shrinks formulas as far as they
// can be read; what still is too wide scrolls, and fades where there is more (reading.css). Only
// then is a formula a stop of the tab key.
addEventListener("DOMContentLoaded", () => {
  const SMALLEST = 0.72;
  const FORMULAS = '.math, mjx-container[display="true"]';
  const BOXES = `${FORMULAS}, pre, .pst-scrollable-table-container, .cell_output, .table-wrapper`;
  const phone = matchMedia("(max-width: 600px)");
  const all = (selector) => [...document.querySelectorAll(`article :is(${selector})`)];
  const fade = (box) => {
    box.classList.toggle("more-before", box.scrollLeft > 1);
    box.classList.toggle("more-after", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  const shrink = () => {
    const formulas = all('mjx-container[display="true"]');
    for (const formula of formulas) formula.style.fontSize = "";
    if (!phone.matches) return;
    const shares = formulas.map((one) => one.clientWidth / one.scrollWidth || 1);
    formulas.forEach((one, i) => {
      if (shares[i] < 1) one.style.fontSize = `${100 * Math.max(SMALLEST, shares[i] - 0.01)}%`;
    });
  };
  const update = () => {
    shrink();
    const boxes = all(BOXES);
    const wide = boxes.map((box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1);
    boxes.forEach((box, i) => {
      if (wide[i]) fade(box);
      else box.classList.remove("more-before", "more-after");
      if (box.matches(FORMULAS))
        if (wide[i]) box.tabIndex = 0;
        else box.removeAttribute("tabindex");
    });
  };
  addEventListener("scroll", ({ target }) => target.matches?.(BOXES) && fade(target),
    { capture: true, passive: true });
  if (window.MathJax?.startup)
    MathJax.startup.promise.then(() => new ResizeObserver(update).observe(document.body));
});

// One switch for all folded code, remembered from page to page. On paper everything is open.
const switchCode = (() => {
  const KEY = "book-code";
  const folds = () => document.querySelectorAll("article .cell details.hide");
  const open = (shown) => {
    for (const fold of folds()) fold.open = shown;
    document.querySelector(".btn-code-switch")?.setAttribute("aria-pressed", shown);
  };
  let shown = false;
  try { shown = localStorage.getItem(KEY) === "shown"; } catch { /* no storage: nothing to remember */ }
  addEventListener("DOMContentLoaded", () => open(shown));
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("article details")) fold.open = true;
  });
  return () => {
    shown = !shown;
    open(shown);
    try { localStorage.setItem(KEY, shown ? "shown" : "hidden"); } catch { /* see above */ }
  };
})();
