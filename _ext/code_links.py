"""Link each name of mflib in a chapter's code to its place in the programming interface.

A page's own imports tell which names are meant; they stay valid from cell to cell.
"""

import ast
import re
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

BLOCK = re.compile(r'<div class="highlight-(?:ipython3|python) .*?</pre>', re.DOTALL)
DOT = '<span class="o">.</span>'
# A name or a dotted chain that starts with one, as Pygments marks them up.
CHAIN = re.compile(
    rf'(?<!{re.escape(DOT)})<span class="nn?">([\w.]+)</span>'
    rf'(?:{re.escape(DOT)}<span class="n">\w+</span>)*'
)


def imports(doctree: nodes.document) -> dict[str, str]:
    """Return the full name of everything that the page's code imports from mflib."""
    found = {"mflib": "mflib"}
    for block in doctree.findall(nodes.literal_block):
        if block.get("language") in ("ipython3", "python"):
            for node in ast.walk(ast.parse(block.astext())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mflib"):
                    found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def documented(name: str, objects: dict[str, Any]) -> str:
    """Return the name under which an object of mflib is documented: mflib.Flow is flow.Flow."""
    module, _, attribute = name.rpartition(".")
    if name not in objects and module == "mflib":
        described = getattr(import_module("mflib"), attribute, None)
        name = f"{getattr(described, '__module__', '')}.{attribute}"
    return name


def add_links(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None or app.builder.name != "html":
        return
    names, objects = imports(doctree), app.env.domaindata["py"]["objects"]

    def link(chain: re.Match[str]) -> str:
        parts = re.sub("<.*?>", "", chain[0]).split(".")
        full = ".".join([names.get(parts[0], ""), *parts[1:]])
        while full.startswith("mflib."):
            entry = objects.get(documented(full, objects))
            if entry:
                address = f"{context['pathto'](entry.docname)}#{entry.node_id}"
                return f'<a class="code-link" href="{address}">{chain[0]}</a>'
            full = full.rpartition(".")[0]
        return chain[0]

    context["body"] = BLOCK.sub(lambda block: CHAIN.sub(link, block[0]), context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", add_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
