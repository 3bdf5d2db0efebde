// Cards: what a link leads to, beside the link, while the pointer or the keyboard is on it. A finger
// follows links as ever. _ext/cards.py writes down what stands on other pages.
const bookCards = (() => {
  const KINDS = 'dt[id^="term-"], div.math, div.proof, div.exercise, figure, div.citation';
  const LINKS = "article a.reference.internal[href*='#']";
  const LEFT_OUT = "script, template, button, input, .headerlink, .eqno, .citation > .label, .bench";
  const WAIT = 250, STAY = 200; // milliseconds before a card comes, and to move the pointer to it
  const own = { others: undefined };
  let loading, card, shown, timer;

  const load = () => loading ??= new Promise((done) => {
    const address = document.querySelector('meta[name="book-cards"]').content;
    const script = Object.assign(document.createElement("script"), { src: address });
    script.onload = script.onerror = done;
    document.head.append(script);
  });

  const fromHere = (link) => {
    const found = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!found?.matches(KINDS)) return;
    const parts = found.matches("dt") ? [found, found.nextElementSibling] : [found];
    const copies = parts.map((part) => part.cloneNode(true));
    for (const copy of copies)
      for (const part of [copy, ...copy.querySelectorAll("[id]")]) part.removeAttribute("id");
    return copies;
  };

  const fromElsewhere = async (link) => {
    await load();
    const text = own.others?.[link.getAttribute("href")];
    return text && [...new DOMParser().parseFromString(text, "text/html").body.childNodes];
  };

  const contents = async (link) => {
    const here = link.pathname === location.pathname;
    const parts = here ? fromHere(link) : await fromElsewhere(link);
    if (!parts?.length) return;
    const box = document.createElement("div");
    box.append(...parts);
    for (const part of box.querySelectorAll(LEFT_OUT)) part.remove();
    for (const a of box.querySelectorAll("a")) a.replaceWith(...a.childNodes);
    for (const part of box.querySelectorAll("[tabindex]")) part.removeAttribute("tabindex");
    for (const fold of box.querySelectorAll("details")) fold.open = true;
    return box;
  };

  const hide = () => {
    clearTimeout(timer);
    card?.remove();
    shown?.removeAttribute("aria-describedby");
    card = shown = undefined;
  };

  const place = (link) => {
    const { left, top, bottom } = link.getClientRects()[0];
    const { width, height } = card.getBoundingClientRect();
    const below = bottom + height + 8 < innerHeight || top < height + 8;
    card.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - width - 8))}px`;
    card.style.top = `${below ? bottom + 4 : top - height - 4}px`;
  };

  const show = async (link) => {
    hide();
    shown = link;
    const box = await contents(link);
    if (shown !== link || !box) return;
    card = Object.assign(box, { className: "book-card bd-article", id: "book-card" });
    card.setAttribute("role", "tooltip");
    document.querySelector(".bd-content, main, body").append(card);
    link.setAttribute("aria-describedby", card.id);
    place(link);
    if (card.querySelector(".math:not(:has(mjx-container))") && window.MathJax?.typesetPromise)
      await MathJax.typesetPromise([card]);
    if (shown === link && card) place(link);
  };

  const later = (act, wait) => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
  addEventListener("pointerover", ({ target, pointerType }) => {
    if (pointerType !== "mouse" && pointerType !== "pen") return;
    const link = target.closest?.(LINKS);
    if (card?.contains(target) || (link && link === shown)) clearTimeout(timer);
    else if (link) later(() => show(link), WAIT);
    else if (shown && !shown.matches(":focus-visible")) later(hide, STAY);
    else if (!shown) clearTimeout(timer);
  });
  addEventListener("focusin", ({ target }) => {
    if (target.matches?.(LINKS) && target.matches(":focus-visible")) show(target);
    else hide();
  });
  addEventListener("focusout", hide);
  addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  addEventListener("scroll", ({ target }) => target === document && hide(), true);
  return own;
})();
