"""What helps a reader of a chapter: graded exercises, output that can wrap, a switch for code.

A grade is the class of an exercise, one of GRADES; it is shown in words beside the title. Lines of
output become elements, so that a phone can wrap each with its continuation indented (book.css). On
pages with folded code a button in the header opens and closes it (book.js).
"""

import re
from collections import defaultdict
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains import IndexEntry
from sphinx_proof.domain import ProofDomain, ProofIndex

GRADES = ("quick-check", "work", "project")
EXERCISE = re.compile(
    r'(<div class="exercise [^"]*?\b(' + "|".join(GRADES) + r')\b[^>]*>\s*'
    r'<p class="admonition-title">.*?)(</p>)',
    re.DOTALL,
)  # fmt: skip
OUTPUT = re.compile(
    r'(<div class="output [^"]*"><div class="highlight"><pre>(?:<span></span>)?)([^<]*)(</pre>)'
)
FOLDED_CODE = re.compile(r'<details class="[^"]*\bhide\b')
SWITCH = {
    "type": "javascript",
    "javascript": "switchCode()",
    "text": "All code",
    "tooltip": "Show or hide the folded code",
    "icon": "fas fa-code",
    "label": "code-switch",
}


def add_grade(exercise: re.Match[str]) -> str:
    head, grade, end = exercise.groups()
    return f'{head} <span class="grade">{grade.replace("-", " ")}</span>{end}'


def split_lines(output: re.Match[str]) -> str:
    head, text, end = output.groups()
    lines = (f'<span class="line">{line}</span>' for line in text.splitlines(keepends=True))
    return head + "".join(lines) + end


def change_body(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if page == "search":
        app.add_js_file("snippets.js", loading_method="defer")
    if doctree is None or app.builder.format != "html":
        return
    body = OUTPUT.sub(split_lines, EXERCISE.sub(add_grade, context["body"]))
    context["body"] = body
    if FOLDED_CODE.search(body) and "header_buttons" in context:
        context["header_buttons"].insert(0, SWITCH)


class StatementIndex(ProofIndex):
    """Definitions, theorems and the like by kind, with number, title and page instead of labels."""

    localname = "Definitions and theorems"
    shortname = "theorems"

    def generate(self, docnames: Any = None) -> tuple[Any, bool]:
        env, kinds = self.domain.env, defaultdict(list)
        listed = getattr(env, "proof_list", {})
        for page in sorted({found["docname"] for found in listed.values()}):
            for node in env.get_doctree(page).findall(nodes.Element):
                kind, label = node.get("realtype"), node.get("label")
                if kind is None or label not in listed:
                    continue
                counted = env.toc_fignumbers.get(page, {}).get(node["countertype"], {})
                number = counted.get(label, ())
                numbered = f"{kind.capitalize()} {'.'.join(map(str, number))}"
                name = f"{numbered.strip()} {node['title'].strip()}".strip()
                entry = IndexEntry(name, 0, page, label, env.titles[page].astext(), "", "")
                kinds[kind.capitalize()].append((number, entry))
        order = [(kind, [entry for _, entry in sorted(kinds[kind])]) for kind in sorted(kinds)]
        return order, False


def setup(app: Sphinx) -> dict[str, Any]:
    app.setup_extension("sphinx_proof")
    ProofDomain.indices = {StatementIndex}
    app.connect("html-page-context", change_body, priority=900)  # after the theme's buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
