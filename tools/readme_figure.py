"""Write docs/figure.svg, the picture of README.md: the figure of the book's first page.

It keeps its pale ground, so that it can be read on GitHub's dark pages, too.

python -m tools.readme_figure            write it
python -m tools.readme_figure --check    say if it is another one
"""

import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def first_figure(notebook: Path) -> str:
    """Return the first figure that the notebook stores, as SVG."""
    for cell in nbformat.reads(notebook.read_text("utf-8"), as_version=4).cells:
        for output in cell.get("outputs", ()):
            if "image/svg+xml" in output.get("data", {}):
                return str(output.data["image/svg+xml"])
    raise SystemExit(f"{notebook} stores no figure; run `make notebooks`")


if __name__ == "__main__":
    target = ROOT / "docs" / "figure.svg"
    figure = first_figure(ROOT / "chapters" / "index.ipynb")
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_text("utf-8") != figure:
            sys.exit("docs/figure.svg: is not the figure of the first page; run `make notebooks`")
    else:
        target.parent.mkdir(exist_ok=True)
        target.write_text(figure, "utf-8")
        print(f"wrote {target.relative_to(ROOT)}")
