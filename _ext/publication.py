"""What follows from where the book is published: its address, and the buttons of each page.

The repository in _config.yml is the only setting; the address of the built book is that of its
GitHub Pages. Each chapter offers both twins for download, and Colab only where it can run there.
"""

import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

from mflib import __version__


def set_addresses(app: Sphinx, config: Config) -> None:
    owner, name = config.html_theme_options["repository_url"].rstrip("/").split("/")[-2:]
    config.html_baseurl = config.ogp_site_url = f"https://{owner}.github.io/{name}/"
    config.version = config.release = __version__


def add_buttons(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    source = Path(app.env.doc2path(page)) if doctree else Path()
    if source.suffix != ".ipynb":
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
    if "google.colab" not in text.read_text("utf-8"):
        launch = groups["launch-buttons"]
        launch["buttons"] = [b for b in launch["buttons"] if b["text"] != "Colab"]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", set_addresses, priority=900)  # after Jupyter Book's own
    app.connect("html-page-context", add_buttons, priority=900)  # after the theme's buttons
    return {"parallel_read_safe": True, "parallel_write_safe": True}
