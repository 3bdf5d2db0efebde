// Excerpts beside search results are fetched, which browsers refuse to a page opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// Nothing moves under the reader's eyes: what stands on the first screen is typeset first, and until
// then the text below the title is not painted (reading.css). The rest follows in small portions.
(() => {
  const SCREENS = 1.5, PORTION = 30, PATIENCE = 4000; // milliseconds, should MathJax not come
  const page = document.documentElement;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const near = (box) => {
    const { top, bottom } = box.getBoundingClientRect();
    return bottom > -innerHeight && top < SCREENS * innerHeight;
  };
  const show = () => page.classList.remove("typesetting");
  const pause = () => new Promise((done) => setTimeout(done));
  page.classList.add("typesetting");
  setTimeout(show, PATIENCE);
  document.addEventListener("readystatechange", () => {
    if (!all("article :is(.math, .laboratory)").some(near)) show();
  }, { once: true });

  const pageReady = async () => {
    if (document.readyState !== "complete")
      await new Promise((done) => addEventListener("load", done, { once: true }));
    const first = all(".math").filter(near);
    const rest = all(".math").filter((formula) => !first.includes(formula));
    await MathJax.typesetPromise(first);
    page.dispatchEvent(new Event("typeset"));
    show();
    for (let i = 0; i < rest.length; i += PORTION) {
      await pause();
      await MathJax.typesetPromise(rest.slice(i, i + PORTION));
    }
    page.dispatchEvent(new Event("typeset"));
  };
  if (window.MathJax) MathJax.startup = { pageReady };
})();

// Formulas, code and tables that are wider than their place. A phone shrinks formulas as far as they
// can be read; what still is too wide scrolls, and fades where there is more (reading.css). Only
// then is a formula or a table a stop of the tab key.
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
      if (box.matches(`${FORMULAS}, .pst-scrollable-table-container`))
        if (wide[i]) box.tabIndex = 0;
        else box.removeAttribute("tabindex");
    });
  };
  addEventListener("scroll", ({ target }) => target.matches?.(BOXES) && fade(target),
    { capture: true, passive: true });
  document.documentElement.addEventListener("typeset", update);
  new ResizeObserver(update).observe(document.body);
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
