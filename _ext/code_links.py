"""Let sphinx-codeautolink read pages with theorems.

sphinx-proof and sphinx-exercise keep the body of a block in a section without a title; the titles
that codeautolink counts on leaving a section then run out. Only sections with a title count.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_codeautolink import extension
from sphinx_codeautolink.extension.block import CodeBlockAnalyser


def has_title(section: nodes.section) -> bool:
    return bool(section.children) and isinstance(section[0], nodes.title)


class Analyser(CodeBlockAnalyser):
    def visit_section(self, node: nodes.section) -> None:
        if has_title(node):
            super().visit_section(node)

    def depart_section(self, node: nodes.section) -> None:
        if has_title(node):
            super().depart_section(node)


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("sphinx_codeautolink")
    extension.CodeBlockAnalyser = Analyser
    return {"parallel_read_safe": True}
