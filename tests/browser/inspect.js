// What a page holds once its equations are typeset; visit.py turns it into complaints.
() => {
  const article = document.querySelector("article, main") ?? document.body;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const start = (element) => element.outerHTML.slice(0, 90);

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const prose = [];
  while (texts.nextNode()) {
    const parent = texts.currentNode.parentElement;
    if (!parent.closest("pre, code, script, style, noscript, mjx-container"))
      prose.push(texts.currentNode.data);
  }

  const scrolls = (element) =>
    element.scrollWidth > element.clientWidth + 1 &&
    getComputedStyle(element).overflowX !== "visible" && element.clientWidth > 1;

  return {
    ids: all("[id], a[name]").map((element) => element.id || element.name),
    links: all("[href], [src]").map((element) => ({
      url: element.href?.baseVal ?? element.href ?? element.src,
      cites: article.contains(element) && element.matches("a:not(.headerlink)"),
    })),
    // what a link to it shows in a card
    shown: all('dt[id^="term-"], div.math[id], div.proof[id], div.exercise[id], figure[id], ' +
      "div.citation[id]", article).map((element) => element.id),
    rawTex: prose.join("").match(/\\[([]|\$\$|\\[a-zA-Z]+|.{0,20}\\\\.{0,20}/g) ?? [],
    badMath: all(
      "[data-mjx-error], mjx-merror, [data-mml-node=merror], " +
      "mjx-container [fill=red], mjx-container [stroke=red]"
    ).map((element) => element.closest("mjx-container")?.textContent.trim() + " " +
      (element.dataset.mjxError ?? "in red")),
    mute: all("mjx-container:not(:has(mjx-assistive-mml math))").map(start),
    stops: all("mjx-container[tabindex], .math[tabindex]")
      .filter((element) => element.scrollWidth <= element.clientWidth + 1).map(start),
    figures: all("figure", article).map((figure) => ({
      id: figure.id,
      number: figure.querySelector(".caption-number")?.textContent ?? "",
      caption: figure.querySelector(".caption-text")?.textContent.trim() ?? "",
    })),
    pictures: all("img, .drawing", article).map((image) => ({
      alt: (image.alt ?? image.ariaLabel).trim(),
      src: image.src ?? "a drawing",
    })),
    cut: all("pre, div.math, mjx-container[display], table, .cell_output, .table-wrapper, " +
      ".pst-scrollable-table-container", article).filter(scrolls).map((element) =>
        `${element.scrollWidth - element.clientWidth} px of ${start(element)}`),
  };
}
