// Excerpts beside search results are fetched, which browsers refuse to a page opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Formulas, code and tables that are wider than their place. A phone shrinks formulas as far as they
// can be read; what still is too wide scrolls, and fades where there is more (reading.css). Only
// then is a formula a stop of the tab key.
addEventListener("DOMContentLoaded", () => {
  const SMALLEST = 0.6; // letters of 12 pixels
  const FORMULAS = '.math, mjx-container[display="true"]';
  const BOXES = `${FORMULAS}, pre, .pst-scrollable-table-container, .cell_output, .table-wrapper`;
  const phone = matchMedia("(max-width: 600px)");
  const all = (selector) => [...document.querySelectorAll(`article :is(${selector})`)];
  const fade = (box) => {
    box.classList.toggle("more-before", box.scrollLeft > 1);
    box.classList.toggle("more-after", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  };
  const shrink = () => { // the drawings: their unit, ex, comes in whole pixels
    const drawings = all('mjx-container[display="true"] > svg');
    for (const { style } of drawings) style.width = style.height = "";
    if (!phone.matches) return;
    const widths = drawings.map((one) => one.getBoundingClientRect().width);
    const places = drawings.map((one) => one.parentElement.clientWidth);
    drawings.forEach(({ style }, i) => {
      if (!places[i] || widths[i] <= places[i]) return;
      style.width = `${Math.max(SMALLEST * widths[i], places[i])}px`;
      style.height = "auto";
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
