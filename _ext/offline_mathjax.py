"""Put MathJax beside the pages, so that equations are typeset without a network.

The package sphinx-mathjax-offline carries it as one file without fonts. It must stay out of
`_static`, where Jupyter Book would load it a second time; `mathjax_path` in _config.yml names it.
"""

import shutil
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SCRIPT = "mathjax/tex-svg-full.js"


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        package = distribution("sphinx-mathjax-offline")
        target = Path(app.outdir, SCRIPT)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(str(package.locate_file(f"sphinx-mathjax-offline/static/{SCRIPT}")), target)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True}
