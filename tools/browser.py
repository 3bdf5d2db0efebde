"""Chromium or Chrome as it is installed on this system: it checks the pages, and prints them."""

import shutil

NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser")
# No sandbox: in a container there is none. The rest keeps the browser from looking for a network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MISSING = f"none of {', '.join(NAMES)} is on the PATH; install one: `apt-get install chromium`"


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
