"""The PDF that `make pdf` prints is a whole, numbered, linked book; nothing is cut or coarse."""

import os
import re
import unicodedata
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from pypdf import PageObject, PdfReader
from pypdf.generic import DecodedStreamObject, NameObject

BUILD = Path(__file__).resolve().parents[2] / "_build"
MILLIMETRE = 72 / 25.4
# Outlines, colours and marks: most of a page, and of no interest to these tests.
DRAWN = re.compile(
    rb"^(?:[-.\d ]*(?:m|l|c|v|y|re|h|f\*?|W\*?|n|S|rg|RG)|[-.\d RG]* rg|/G\d+ gs"
    rb"|/\w+ <</MCID \d+ >>BDC|EMC)\n",
    re.MULTILINE,
)


class Sheet:
    """What one page shows: its text, where each piece starts, and how fine its pictures are."""

    def __init__(self, page: PageObject):
        self.starts: list[tuple[str, float, float]] = []
        self.dots_per_inch: list[float] = []
        contents = DecodedStreamObject()
        contents.set_data(DRAWN.sub(b"", page.get_contents().get_data()))
        page[NameObject("/Contents")] = contents
        pictures = page["/Resources"].get("/XObject", {})

        def on_text(text, matrix, place, *_):
            if text.strip():
                x = place[4] * matrix[0] + place[5] * matrix[2] + matrix[4]
                y = place[4] * matrix[1] + place[5] * matrix[3] + matrix[5]
                self.starts.append((text.strip(), x, y))

        def on_operator(operator, operands, matrix, _):
            if operator == b"Do" and pictures[operands[0]]["/Subtype"] == "/Image":
                self.dots_per_inch.append(72 * pictures[operands[0]]["/Width"] / matrix[0])

        self.text = page.extract_text(visitor_text=on_text, visitor_operand_before=on_operator)
        self.width, self.height = map(float, page.mediabox[2:])


@pytest.fixture(scope="module")
def reader() -> PdfReader:
    pdf = BUILD / "mflib-book.pdf"
    if not pdf.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {pdf}; run `make pdf`")
    return PdfReader(pdf)


@pytest.fixture(scope="module")
def sheets(reader) -> list[Sheet]:
    return [Sheet(page) for page in reader.pages]


@pytest.fixture(scope="module")
def pages() -> dict[Path, str]:
    """Files and titles of the book's pages, from the sidebar of the HTML book."""
    html = BUILD / "html"
    sidebar = BeautifulSoup((html / "search.html").read_text("utf-8"), "html.parser")
    links = sidebar.select("nav.bd-docs-nav a.internal")
    return {html / link["href"]: plain(link.get_text()) for link in links}


@pytest.fixture(scope="module")
def outline(reader) -> list[tuple[int, str, int]]:
    """Depth, title and number of the page of each bookmark."""

    def flat(entries, depth):
        for entry in entries:
            if isinstance(entry, list):
                yield from flat(entry, depth + 1)
            else:
                yield depth, plain(entry.title), reader.get_destination_page_number(entry) + 1

    return list(flat(reader.outline, 1))


def plain(text: str) -> str:
    """Without line breaks, and without the ligatures that some fonts put for fl and fi."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_every_chapter_has_a_bookmark_and_starts_a_page(outline, sheets, pages):
    chapters = [(title, page) for depth, title, page in outline if depth == 1]
    assert [title for title, _ in chapters] == ["Contents", *pages.values()]
    for title, page in chapters[1:]:
        first = " ".join(text for text, _, y in sheets[page - 1].starts[:12])
        assert title in plain(first), f"page {page}"
        assert title not in plain(sheets[page - 2].text[: len(title) + 20]), f"page {page - 1}"


def test_the_table_of_contents_names_the_pages_where_things_stand(outline, sheets):
    expected = [f"{title} {page}" for depth, title, page in outline[1:] if depth <= 2]
    first = outline[1][2]
    contents = plain(" ".join(sheet.text for sheet in sheets[1 : first - 1]))
    position = 0
    for entry in expected:
        position = contents.find(entry, position)
        assert position >= 0, f"{entry!r} is not in the table of contents, or not at its place"


def test_pages_are_numbered_and_text_lies_within_the_paper(sheets):
    assert "Version" in sheets[0].text
    for number, sheet in enumerate(sheets, 1):
        assert (round(sheet.width), round(sheet.height)) == (595, 842)
        below = [text for text, _, y in sheet.starts if y < 20 * MILLIMETRE]
        assert below == ([str(number)] if number > 1 else []), f"page {number}"
        for text, x, y in sheet.starts:
            assert 15 * MILLIMETRE < x < sheet.width - 20 * MILLIMETRE, f"page {number}: {text}"
            assert 8 * MILLIMETRE < y < sheet.height - 8 * MILLIMETRE, f"page {number}: {text}"


def test_every_link_within_the_book_leads_somewhere(reader):
    known, within = set(reader.named_destinations), 0
    for number, page in enumerate(reader.pages, 1):
        for link in (entry.get_object() for entry in page.get("/Annots", [])):
            if "/Dest" in link:
                assert link["/Dest"] in known, f"page {number}"
                within += 1
            else:
                assert re.match("https?://", link["/A"]["/URI"]), f"page {number}"
    assert within > 400


def test_equations_are_typeset_and_references_resolved(sheets):
    for number, sheet in enumerate(sheets, 1):
        assert not re.search(r"\\[()\[\]](?!\S*['\"])|\\begin\{|\?\?", sheet.text), f"page {number}"


def test_figures_are_drawn_and_images_in_them_are_fine(sheets, pages):
    """A drawing prints as curves: no picture is on these sheets but images within figures."""
    fineness = [dots for sheet in sheets for dots in sheet.dots_per_inch]
    html = [path.read_text("utf-8") for path in pages]
    assert sum(text.count('class="drawing ') for text in html) > 40
    assert len(fineness) <= sum(len(re.findall("<ima?ge? ", text)) for text in html)
    assert min(fineness, default=150) >= 149


def test_fonts_are_embedded(reader):
    checked = set()
    for page in reader.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            for part in (entry.get_object() for entry in font.get("/DescendantFonts", [font])):
                files = {"/FontFile", "/FontFile2", "/FontFile3"} & set(part["/FontDescriptor"])
                assert files or part["/Subtype"] == "/Type3", part  # which is drawn in place
                checked.add(part["/FontDescriptor"]["/FontName"])
    assert checked


def test_all_code_and_output_is_there_in_solutions_too(sheets, pages):
    printed = squeezed("".join(sheet.text for sheet in sheets))
    for path in pages:
        soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
        for line in "".join(code.get_text() for code in soup.select("article pre")).splitlines():
            assert squeezed(line) in printed, f"{path.name}: {line}"
