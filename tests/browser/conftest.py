"""One visit to every page of the built book, shared by all tests; `make test-browser` runs them."""

import os
from pathlib import Path

import pytest
from visit import is_redirect, visit_all

from tools.browser import MISSING, find_browser

ROOT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    parser.addoption("--book", type=Path, default=ROOT / "_build/html", help="the built book")


@pytest.fixture(scope="session", autouse=True)
def browser():
    """Skip without a browser, but never in CI."""
    if find_browser() is None:
        pytest.fail(MISSING) if os.environ.get("CI") else pytest.skip(MISSING)


@pytest.fixture(scope="session")
def book(request):
    folder = request.config.getoption("book").resolve()
    if not (folder / "index.html").exists():
        pytest.fail(f"no book in {folder}; run `make book`")
    return folder


@pytest.fixture(scope="session")
def visits(book):
    pages = [page for page in sorted(book.rglob("*.html")) if "_static" not in page.parts]
    return visit_all([page for page in pages if not is_redirect(page)])
