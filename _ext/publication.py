"""What follows from where the book is published: addresses, and what a link to a page shows.

The repository in _config.yml is the only setting; the built book's address is that of its GitHub
Pages. Chapters offer both twins for download, and Colab where they can run there.
"""

import html
import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from mflib import __version__

DESCRIPTION_LENGTH = 200


def set_addresses(app: Sphinx, config: Config) -> None:
    owner, name = config.html_theme_options["repository_url"].rstrip("/").split("/")[-2:]
    config.html_baseurl = f"https://{owner}.github.io/{name}/"
    config.version = config.release = __version__
    versions = f'<a href="{config.html_baseurl}versions.html">all versions</a>'  # tools/versions.py
    config.html_theme_options["extra_footer"] += f"<p>Version {__version__}; {versions}.</p>"


def description(doctree: nodes.document) -> str:
    """Return the first sentences of a page without formulas, which search engines show as TeX."""
    text = ""
    page = doctree.next_node(nodes.section)
    for paragraph in (node for node in page or () if isinstance(node, nodes.paragraph)):
        plain = paragraph.deepcopy()
        for formula in list(plain.findall(nodes.math)):
            formula.replace_self(nodes.Text("$"))
        for sentence in re.split(r"(?<=[.?!]) ", " ".join(plain.astext().split())):
            if len(text) + len(sentence) >= DESCRIPTION_LENGTH:
                return text.strip()
            if "$" not in sentence and sentence[-1:] in list(".?!"):
                text += f"{sentence} "
    return text.strip()


def add_metadata(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if doctree is None or app.builder.name != "html":
        return
    title = html.unescape(re.sub("<.*?>", "", context["title"]))
    summary = description(doctree) or f"{title}: a page of the book."
    properties = {
        "og:type": "article",
        "og:site_name": app.config.project,
        "og:title": title,
        "og:description": summary,
        "og:url": app.config.html_baseurl + app.builder.get_target_uri(page),
        "og:image": f"{app.config.html_baseurl}_static/card.png",
    }
    tags = [("name", "description", summary), *(("property", *p) for p in properties.items())]
    context["metatags"] += "".join(
        f'<meta {kind}="{key}" content="{html.escape(value)}" />\n' for kind, key, value in tags
    )


def add_buttons(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    source = Path(app.env.doc2path(page)) if doctree else Path()
    if source.suffix != ".ipynb" or app.builder.name != "html":
        return
    text = source.with_suffix(".md")
    target = Path(app.outdir, "_sources", page).with_suffix(".md")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(text, target)
    groups = {group.get("label"): group for group in context["header_buttons"]}
    button = {
        "type": "link",
        "url": f"{context['pathto']('_sources', 1)}/{page}.md",
        "text": ".md",
        "tooltip": "Download as MyST Markdown",
        "icon": "fas fa-file-lines",
        "label": "download-markdown-button",
    }
    groups["download-buttons"]["buttons"].insert(1, button)
    if "google.colab" not in text.read_text("utf-8"):  # the cell that tools.sources writes
        launch = groups["launch-buttons"]
        launch["buttons"] = [b for b in launch["buttons"] if b["text"] != "Colab"]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", set_addresses, priority=900)  # after Jupyter Book's own
    app.connect("html-page-context", add_metadata)
    app.connect("html-page-context", add_buttons, priority=900)  # after the theme's buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
