"""Which macros MathJax knows: an unknown one shows up red on the page, and no build warns of it."""

import functools
import re
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import yaml

SCRIPT = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"


def undefined_macros(text: str, root: Path) -> Iterator[str]:
    r"""Yield each \macro of a text in Markdown that neither MathJax nor _config.yml defines.

    A name that is also a word of MathJax's own code, such as \data, passes; it takes a browser to
    see it.
    """
    prose = re.sub(r"(?<!\})`[^`]*`", "", text)  # code is no mathematics, but {math}`...` is
    for name in dict.fromkeys(re.findall(r"\\([A-Za-z]+)", prose)):
        if name not in mathjax_words() and name not in own_macros(root):
            yield name


@functools.cache
def mathjax_words() -> frozenset[str]:
    """Return the keys of all tables in MathJax's code, those of macros among them."""
    script = Path(str(distribution("sphinx-mathjax-offline").locate_file(SCRIPT)))
    return frozenset(re.findall(r'[{,]"?(?:\\\\)?([A-Za-z]+)"?:', script.read_text("utf-8")))


@functools.cache
def own_macros(root: Path) -> frozenset[str]:
    config = root / "_config.yml"
    if not config.exists():
        return frozenset()
    settings = yaml.safe_load(config.read_text("utf-8"))["sphinx"]["config"]["mathjax3_config"]
    return frozenset(settings["tex"]["macros"])
