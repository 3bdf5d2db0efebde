"""Write docs/figure.png, the picture of README.md: the figure of the book's first page.

python -m tools.readme_figure            write it
python -m tools.readme_figure --check    say if it is another one
"""

import base64
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def first_figure(notebook: Path) -> bytes:
    """Return the first image that the notebook stores, as PNG."""
    for cell in nbformat.reads(notebook.read_text("utf-8"), as_version=4).cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output.data["image/png"])
    raise SystemExit(f"{notebook} stores no figure; run `make notebooks`")


if __name__ == "__main__":
    target = ROOT / "docs" / "figure.png"
    figure = first_figure(ROOT / "chapters" / "index.ipynb")
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_bytes() != figure:
            sys.exit("docs/figure.png: is not the figure of the first page; run `make notebooks`")
    else:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(figure)
        print(f"wrote {target.relative_to(ROOT)}")
