"""Lay a built book beside the earlier ones: the latest at the root, each in a folder of its own.

python -m tools.versions SITE _build/html

SITE is what GitHub Pages shows. Its root is the latest release, so that addresses stay what they
are; vX.Y/ keeps the book of each release; versions.html lists them. All are plain files.
"""

import re
import shutil
import sys
from pathlib import Path

from mflib import __version__

FOLDER = re.compile(r"v(\d+)\.(\d+)")
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Versions of the book</title>
<h1>The implicit bias of mirror flow: versions</h1>
<ul>
{items}
</ul>
</html>
"""


def number(folder: str) -> tuple[int, ...] | None:
    """Return (1, 2) of v1.2, and nothing of other names."""
    found = FOLDER.fullmatch(folder)
    return tuple(map(int, found.groups())) if found else None


def publish(site: Path, book: Path, version: str) -> None:
    """Put the book into its folder, at the root if none is later, and write the list."""
    own = "v" + ".".join(version.split(".")[:2])
    shutil.rmtree(site / own, ignore_errors=True)
    shutil.copytree(book, site / own)
    folders = [path.name for path in site.iterdir() if path.is_dir() and number(path.name)]
    folders.sort(key=lambda name: number(name) or (), reverse=True)
    if own == folders[0]:
        clear(site, keep={*folders, ".git", "CNAME"})
        shutil.copytree(book, site, dirs_exist_ok=True)
    (site / ".nojekyll").touch()  # or GitHub would leave out _static
    items = [f'<li><a href="index.html">latest</a>, which is {folders[0]}</li>']
    items += [f'<li><a href="{name}/index.html">{name}</a></li>' for name in folders]
    (site / "versions.html").write_text(PAGE.format(items="\n".join(items)), "utf-8")


def clear(site: Path, keep: set[str]) -> None:
    """Remove the pages of the release that was the latest before."""
    for path in site.iterdir():
        if path.name in keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(sys.argv[2]), __version__)
