"""Each check of a page, on a small page without that fault and on one with it."""

import pytest
from visit import broken_links, empty_cards, uncited_figures, visit_all

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SLIDER = """<div><svg width="9" height="9" role="img" aria-label="a dot"><circle r="4"/></svg>
<label for="a">size</label><input type="range" id="a" min="0" max="9" value="0">
<script>document.getElementById("a").addEventListener("input", (event) =>
document.querySelector("circle").setAttribute("r", event.target.value));</script></div>"""
FIGURE = f"""<figure id="one"><img src="{PNG}" alt="a dot"><figcaption>
<span class="caption-number">Fig. 1</span><span class="caption-text">A dot.</span>
</figcaption></figure>"""
DRAWING = """<div class="drawing" role="img" aria-label="a letter">
<svg class="whole" aria-hidden="true" viewBox="0 0 300 90" width="300">
<g transform="translate(9 9) scale(0.12 -0.12)"><path d="M0 0H50"/></g></svg></div>"""
SOUND = rf"""<!DOCTYPE html><html lang="en"><head><title>t</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width">
<script>MathJax = {{ options: {{ enableMenu: false }} }};</script>
<script defer src="MATHJAX"></script>
<meta name="book-cards" content="OTHERS"><script defer src="CARDS"></script></head>
<body><main><article><h1>A page</h1>
<p>Let \(x^2\), as <a class="reference internal" href="#one">the figure</a>
shows.</p>{FIGURE}{DRAWING}{SLIDER}
<pre style="overflow: auto">short</pre></article></main></body></html>"""

PHONE_SHRINKS = "<style>@media (width < 600px) {.whole {width: 260px}}</style><h1>"
FAULTS = {
    "console": ("short", "short<script>console.error('no')</script>"),
    "outside": (PNG, "https://example.org/dot.png"),
    "failed": (PNG, "nowhere.png"),
    "equations": ("x^2", r"\undefined{x}"),
    "cut": ("short", "wide " * 400),
    "shift": (
        "<h1>",
        "<div id=late></div><script>requestAnimationFrame(() => setTimeout(() => {"
        "late.style.height = '500px'}, 50))</script><h1>",
    ),
    "mute": (
        "short",
        "short<script>setInterval(() => document.querySelector('mjx-assistive-mml')?.remove())"
        "</script>",
    ),
    "unseen": ("short", "rather long " * 6),
    "outputs": ("<pre ", f"<div class=cell_output><pre>{'wide ' * 20}</pre></div><pre "),
    "stops": ("enableMenu: false", "enableMenu: true"),
    "figures": ('alt="a dot"', 'alt="_images/dot.png"'),
    "light": ('<label for="a">size</label>', "size"),
    "dark": ("<p>", "<style>@media (prefers-color-scheme: dark) {p {color: #eee}}</style><p>"),
    "phone": ("<h1>", "<style>@media (width < 600px) {h1 {display: none}}</style><h1>"),
    "sideways": ("<p>", '<p style="width: 350px; margin: 0">'),
    "lost": ("<img", '<div style="overflow: hidden"><img style="width: 600px"'),
    "type": ("scale(0.12", "scale(0.1"),
    "drawings": ('width="300"', 'width="380"'),
    "sliders": ('.setAttribute("r", event.target.value)', ""),
}


@pytest.fixture(scope="session")
def visit_to(tmp_path_factory, book):
    """Return the visits to the sound page and to one page for each fault."""
    folder = tmp_path_factory.mktemp("pages")
    sound = SOUND.replace("MATHJAX", (book / "mathjax/tex-svg-full.js").as_uri())
    scripts = book / "_static"
    sound = sound.replace("CARDS", (scripts / "cards.js").as_uri())
    texts = {
        "sound": sound,
        "raw": sound.replace(r"\(x^2\)", r"\frac{1}{2}"),
        "unnamed": sound.replace('aria-label="a letter"', 'aria-label=" "'),
        "shrunk": sound.replace("<h1>", PHONE_SHRINKS),
        "stuck": sound.replace('min="0" max="9"', 'min="0" max="0"'),
        "unnumbered": sound.replace("Fig. 1", ""),
        "cardless": sound.replace("bookCards", "x").replace("cards.js", "copybutton.js"),
        "uncited": sound.replace('href="#one"', 'href="#a"'),
        "anchor": sound.replace('href="#one"', 'href="#two"'),
        "link": sound.replace('href="#one"', 'href="nowhere.html"'),
    }
    texts |= {kind: sound.replace(*change) for kind, change in FAULTS.items()}
    pages = {name: folder / f"{name}.html" for name in texts}
    for name, text in texts.items():
        pages[name].write_text(text, "utf-8")
    return dict(zip(pages, visit_all(pages.values()), strict=True))


def faults(seen):
    return {kind: messages for kind, messages in seen.complaints.items() if messages}


def test_sound_page_gives_no_complaint(visit_to):
    seen = visit_to["sound"]
    assert faults(seen) == {}
    assert broken_links([seen]) == uncited_figures([seen]) == []
    assert seen.sliders == 1


@pytest.mark.parametrize("kind", FAULTS)
def test_fault_is_seen(visit_to, kind):
    assert visit_to[kind].complaints.get(kind)


@pytest.mark.parametrize(
    "page, kind",
    [
        ("raw", "equations"),
        ("stuck", "sliders"),
        ("unnumbered", "figures"),
        ("shrunk", "type"),
    ],
)
def test_other_faults_of_the_same_kind_are_seen(visit_to, page, kind):
    assert set(faults(visit_to[page])) == {kind}


def test_drawings_without_a_text_are_seen(visit_to):
    assert visit_to["unnamed"].complaints["figures"] == ["a drawing has no alternative text"]


def test_broken_links_are_seen(visit_to):
    assert len(broken_links([visit_to["anchor"]])) == 1
    assert len(broken_links([visit_to["link"]])) == 1


def test_uncited_figures_are_seen(visit_to):
    assert len(uncited_figures([visit_to["uncited"]])) == 1


def test_empty_cards_are_seen(visit_to):
    assert empty_cards([visit_to["sound"]]) == []
    assert len(empty_cards([visit_to["cardless"]])) == 1


def test_weight_counts_each_file(visit_to, book):
    seen = visit_to["sound"]
    script = book / "_static/cards.js"
    assert seen.weight == seen.page.stat().st_size + script.stat().st_size
