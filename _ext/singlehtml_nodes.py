"""Let the singlehtml builder draw theorems as the html builder does.

sphinx-exercise registers its nodes for singlehtml; Sphinx then no longer falls back to the html
visitors of other extensions, and sphinx-proof has no others.
"""

from typing import Any

from sphinx.application import Sphinx


def share_visitors(app: Sphinx) -> None:
    handlers = app.registry.translation_handlers
    handlers["singlehtml"] = handlers.get("html", {}) | handlers.get("singlehtml", {})


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", share_visitors)
    return {"parallel_read_safe": True}
