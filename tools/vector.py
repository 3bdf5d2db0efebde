"""Figures as they are stored: SVG of Matplotlib with short numbers, and where its panels lie."""

import re
from collections.abc import Iterable

HEAD = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
PATH = re.compile(r'(?<= d=")[^"]*')
PLACE = re.compile(r'(?<=translate\()[^)]*|(?<= x=")[^"]*|(?<= y=")[^"]*')
LONG = re.compile(r"-?\d+\.\d+")
# Markers repeat their style: one for all of a group is enough.
MARKERS = re.compile(r'<g([^<>]*)>(\s*(?:<use [^<>]* style="([^"<>]*)"/>\s*)+)</g>')
USE_STYLE = re.compile(r' style="([^"<>]*)"/>')


def lighten(svg: str, panels: Iterable[str] = ()) -> str:
    """Return the same drawing in fewer bytes: a hundredth of a point is nothing to the eye."""
    svg = HEAD.sub("", svg)
    svg = PATH.sub(lambda path: tight(short(path[0])), svg)
    svg = PLACE.sub(lambda place: short(place[0]), svg)
    svg = MARKERS.sub(alike, svg)
    svg = re.sub(r">\s+<", ">\n<", svg).strip() + "\n"
    where = ";".join(panels)
    return svg.replace("<svg ", f'<svg data-panels="{where}" ', 1)


def short(numbers: str) -> str:
    return LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), numbers)


def tight(path: str) -> str:
    """Drop the spaces beside commands; Z may stand where a number ends."""
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", path).strip().replace("-0 ", "0 ")


def alike(group: re.Match[str]) -> str:
    styles = set(USE_STYLE.findall(group[2]))
    if len(styles) > 1 or "style=" in group[1]:
        return group[0]
    return f'<g{group[1]} style="{styles.pop()}">{USE_STYLE.sub("/>", group[2])}</g>'
