// Excerpts beside search results are fetched, which browsers refuse to a page opened from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A formula is a stop of the tab key only where it is wider than its place, so that it scrolls.
addEventListener("DOMContentLoaded", () => {
  const update = () => {
    for (const box of document.querySelectorAll('.math, mjx-container[display="true"]'))
      if (box.scrollWidth > box.clientWidth + 1 && box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
  };
  if (window.MathJax?.startup)
    MathJax.startup.promise.then(() => new ResizeObserver(update).observe(document.body));
});
