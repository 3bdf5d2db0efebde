"""Stored figures become part of the page: they follow its theme, and stack their panels on phones.

tools/vector.py stores the figures of Matplotlib as SVG and says in it where the panels lie. Here
each is put in the place of its `<img>`. Its black becomes the colour of the text, its ground and
its greys mixtures of that and the page's ground, and its curves take colours from book.css. Axes
that hold an image or areas between contours, or have a ground of their own (`ax.set_facecolor`),
keep all colours, and so do filled patches with type upon them.
"""

import html
import re
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx

from mflib.plotting import COLORS

ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
IMAGE = re.compile(
    r'(?:<a class="[^"]*image-reference" [^<>]*>)?'
    r'(<img [^<>]*\bsrc="[^"]*_images/([^"/]+\.svg)"[^<>]*>)(?:</a>)?'
)
ALT = re.compile(r'\balt="([^"]*)"')
COLOUR = re.compile(r"#[0-9a-f]{6}")
URL = re.compile(r"url\(#([^)]+)\)")
GROUND = "#fbfbf8"  # of the style of mflib.plotting
THEMED = {color.lower(): f"var(--curve-{i})" for i, color in enumerate(COLORS[:-1], start=1)}
THEMED |= {"#000000": "currentColor", GROUND: "var(--pst-color-background)"}
TEXT = 0.7  # share of a curve's colour in that of its name
WIDE, MEDIUM = 560, 400  # points; see book.css


def inline_figures(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None or app.builder.name != "html":
        return
    files = {name: Path(app.srcdir, source) for source, name in app.builder.images.items()}

    def inline(image: re.Match[str]) -> str:
        text = files[unquote(image[2])].read_text("utf-8")
        if "data-panels=" not in text:
            return image[0]
        alt = ALT.search(image[1])
        return drawing(text, html.unescape(alt[1] if alt else ""))

    context["body"] = IMAGE.sub(inline, context["body"])


def drawing(text: str, alt: str) -> str:
    """Return the markup of a stored figure: the whole, and views of its panels for narrow pages."""
    root = ElementTree.fromstring(text)
    width, height = (float(value) for value in root.get("viewBox", "").split()[2:])
    panels = [panel for panel in (root.get("data-panels") or "").split(";") if panel]
    name = f"f{sha256(text.encode()).hexdigest()[:7]}"
    follow_theme(root)
    rename(root, name)
    inside = "".join(serialise(child) for child in root)
    kind = "wide" if width > WIDE else "medium" if width > MEDIUM else "narrow"
    size = 1.1 if kind == "narrow" else 1.0  # a single panel has room to be larger
    whole = (
        f'<svg class="whole" viewBox="0 0 {width:g} {height:g}" width="{pixels(size * width)}" '
        f'height="{pixels(size * height)}" aria-hidden="true"><g id="{name}">{inside}</g></svg>'
    )
    if kind == "narrow":
        panels = []
    rows = groupby(panels, lambda panel: panel.split(" ")[0])  # words above, panels, words below
    inner = "".join(
        f'<div class="{row}">{"".join(view(panel, name) for panel in tiles)}</div>'
        for row, tiles in rows
    )
    stack = f'<div class="stack">{inner}</div>' if panels else ""
    label = html.escape(alt)
    return f'<div class="drawing {kind}" role="img" aria-label="{label}">\n{whole}{stack}</div>'


def pixels(points: float) -> str:
    return f"{points * 4 / 3:.0f}"


# Panels


def view(panel: str, name: str) -> str:
    """Return one panel, with the numbers that it borrows from its neighbours."""
    places = panel.partition(" ")[2].split("|")
    tile, *strips = ([float(value) for value in part.split()] for part in places)
    crops = [(tile, 0.0, 0.0), *((strip[:4], strip[4], strip[5]) for strip in strips)]
    corners = [(x + dx, y + dy, x + w + dx, y + h + dy) for (x, y, w, h), dx, dy in crops]
    left, top = (min(corner[i] for corner in corners) for i in (0, 1))
    right, bottom = (max(corner[i] for corner in corners) for i in (2, 3))
    width, height = right - left, bottom - top
    cuts = "".join(cut(crop, dx, dy, name) for crop, dx, dy in crops)
    return (
        f'<svg viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" '
        f'style="--width: {pixels(width)}px" aria-hidden="true">{cuts}</svg>'
    )


def cut(crop: list[float], dx: float, dy: float, name: str) -> str:
    x, y, width, height = crop
    box = " ".join(f"{value:g}" for value in crop)
    return (
        f'<svg x="{x + dx:.1f}" y="{y + dy:.1f}" width="{width:g}" height="{height:g}" '
        f'viewBox="{box}"><use href="#{name}"/></svg>'
    )


# Colours


def follow_theme(root: ElementTree.Element) -> None:
    """Let colours follow the theme, but for what lies on a ground that stays pale."""
    for figure in root.findall(f"{SVG}g"):
        for part in list(figure):
            name = part.get("id", "")
            if name.startswith("patch"):  # the ground of the whole
                figure.remove(part)
            elif name.startswith("axes"):
                follow_theme_in(part)
            else:
                recolour(part)


def follow_theme_in(axes: ElementTree.Element) -> None:
    ground = ground_of(axes)
    if ground is not None and keeps_its_colours(axes, ground):
        kept = [p for p in axes if is_within(p, ground) or not (is_text(p) or is_frame(p))]
    else:
        if ground is not None:
            axes.remove(ground)
        cells = [p for p in axes if is_opaque(p) and any(is_within(text, p) for text in axes)]
        kept = cells + [p for p in axes if any(is_within(p, cell) for cell in cells)]
    for part in axes:
        if part not in kept:
            recolour(part)
        else:  # what has no colour of its own is black
            part.set("style", f"color: #000; fill: currentColor; {part.get('style', '')}".strip())


def ground_of(axes: ElementTree.Element) -> ElementTree.Element | None:
    """Return the rectangle below all else; there is none if the axis is off."""
    has_axis = any(part.get("id", "").startswith("matplotlib.axis") for part in axes)
    first = next(iter(axes), None)
    return first if has_axis and first is not None and is_patch(first) else None


def is_patch(part: ElementTree.Element) -> bool:
    return part.get("id", "").startswith("patch")


def is_text(part: ElementTree.Element) -> bool:
    return part.get("id", "").startswith("text")


def is_opaque(part: ElementTree.Element) -> bool:
    style = " ".join(styles(part))
    return is_patch(part) and "fill: #" in style and "opacity" not in style


def is_frame(part: ElementTree.Element) -> bool:
    """Whether a part of axes are its numbers or a spine."""
    spine = any("stroke-linecap: square" in style for style in styles(part))
    return part.get("id", "").startswith("matplotlib.axis") or (is_patch(part) and spine)


def is_within(part: ElementTree.Element, patch: ElementTree.Element) -> bool:
    """Whether a text starts within a patch, or less than half its size to the left of it."""
    place = re.search(r"translate\(([-\d.]+) ([-\d.]+)\)", ElementTree.tostring(part, "unicode"))
    path = patch.find(f"{SVG}path")
    if not is_text(part) or place is None or path is None:
        return False
    corners = re.findall(r"([-\d.]+) ([-\d.]+)", path.get("d", ""))
    (x0, x1), (y0, y1) = ((min(v), max(v)) for v in np.array(corners, dtype=float).T)
    return bool(x0 - 5 <= float(place[1]) <= x1 and y0 <= float(place[2]) <= y1)


def keeps_its_colours(axes: ElementTree.Element, ground: ElementTree.Element) -> bool:
    if not any(GROUND in style for style in styles(ground)):
        return True
    filled = (
        part
        for part in axes
        if part.get("id", "").startswith("QuadContourSet")
        and any("fill: #" in style for style in styles(part))
    )
    return axes.find(f".//{SVG}image") is not None or any(True for _ in filled)


def styles(part: ElementTree.Element) -> Iterator[str]:
    return (style for each in part.iter() if (style := each.get("style")))


def recolour(part: ElementTree.Element) -> None:
    texts = {each for text in part.iter() if is_text(text) for each in text.iter()}
    for each in part.iter():
        if style := each.get("style"):
            show = readable if each in texts else themed
            pieces = re.split(f"({COLOUR.pattern})", style)
            each.set("style", "".join(show(p) if COLOUR.match(p) else p for p in pieces))


def readable(color: str) -> str:
    """Return the colour of a text: that of a curve with some ink, which type needs to be read."""
    shown = themed(color)
    curve = shown.startswith("var(--curve")
    return f"color-mix(in srgb, {shown} {TEXT:.0%}, currentColor)" if curve else shown


def themed(color: str) -> str:
    """Return what the page shows for a colour: a grey is a mixture of ink and ground."""
    if color in THEMED:
        return THEMED[color]
    red, green, blue = color[1:3], color[3:5], color[5:7]
    if not red == green == blue:
        return color
    share = ink(int(red, 16) / 255)
    return f"color-mix(in srgb, currentColor {share:.0%}, var(--pst-color-background))"


def ink(grey: float) -> float:
    """Return the share of ink in a grey, raised so that guides (0.6) are seen on either ground."""
    return min(1.0, 1.25 * (1 - grey))


# Markup


def rename(root: ElementTree.Element, name: str) -> None:
    """Give ids, those that are used, names that no other figure of the page has."""
    used = set(URL.findall(ElementTree.tostring(root, "unicode")))
    used |= {each.get(LINK, "")[1:] for each in root.iter(f"{SVG}use")}
    short = {old: f"{name}-{i}" for i, old in enumerate(sorted(used))}
    for each in root.iter():
        old = each.attrib.pop("id", "")
        if old in short:
            each.set("id", short[old])
        if LINK in each.attrib:
            target = each.attrib.pop(LINK)
            each.set("href", f"#{short[target[1:]]}" if target.startswith("#") else target)
        for key, value in each.attrib.items():
            each.set(key, URL.sub(lambda url: f"url(#{short[url[1]]})", value))


def serialise(element: ElementTree.Element) -> str:
    """Return a part as it stands in HTML, which knows the names of SVG by itself."""
    if element.find(f"{SVG}style") is not None:  # a rule for all of a page: see book.css
        return ""
    text = ElementTree.tostring(element, "unicode")
    return re.sub(r' xmlns="[^"]*"|(?<=>)\s+(?=<)', "", text)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", inline_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
