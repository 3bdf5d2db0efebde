"""Numbers in captions, alternative texts and prose: each comes from the run, or is named as a fact.

A number counts as found if its section prints it, with as many digits or more, or if it stands in
the code: for a caption or an alternative text in the code of the figure's cell and in what defines
the names that this cell uses, for prose in any cell; or in a table of data that the chapter loads.
What is not found stands in `chapters/facts.yml`, by chapter or "everywhere", each number with the
reason why it is right. The reason `in another section` is checked; a fact not needed is a fault.

Looked at are, in captions and alternative texts, all numbers; in prose decimal fractions, per cent,
and numbers of two digits or more; in formulas these, and powers of ten; quantities in words where
they measure something ("nine times", "half a per cent", "a third") or count ten or more. Display
mathematics, exponents, years, numbers of theorems, roles and code are not.
"""

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from tools.dependencies import Repository, behind, chains
from tools.rules import code_cells, where

FACTS = "facts.yml"
DATA_SETS = "mflib.datasets"
EVERYWHERE, ELSEWHERE = "everywhere", "in another section"
DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
NUMBER = re.compile(
    rf"(?P<minus>minus |(?<![\w)}}\]])[-−])?(?<![\w.^_\\])(?P<digits>{DIGITS})"
    r"(?P<exponent>e[-+]?\d+)?(?!\w|\.\d)(?P<per_cent>\s*\\?%|\s+per\s+cent)?"
)
POWER = re.compile(
    r"(?:(?P<factor>\d+(?:\.\d+)?)\s*\\(?:cdot|times)\s*)?10\^\{?(?P<power>-?\d+)\}?"
)
WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
WORDS |= {"ten": 10, "twelve": 12, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
WORDS |= {"a hundred": 100, "a thousand": 1000}
PER_CENT = {**WORDS, "half a": 0.5}
PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10, "hundredth": 100}
PARTS["thousandth"] = 1000
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
COUNTS = {word: value for value, word in enumerate(TEENS.split(" "), start=10)}
COUNTS |= {word: value for value, word in zip(range(20, 100, 10), TENS.split(" "), strict=True)}
COUNT = re.compile(
    rf"\b(?P<tens>{'|'.join(COUNTS)})(?:-(?P<ones>one|{'|'.join(list(WORDS)[:8])}))?\b(?! times)"
)
IN_WORDS = re.compile(
    rf"\b(?P<count>{'|'.join(PER_CENT)})\s+(?:times\b|(?P<per_cent>per\s+cent))"
    rf"|(?<!minus )\b(?:(?:a|one)\s+(?P<part>{'|'.join(PARTS)})\b|(?P<half>half)\s+of\b)"
)
NAMED = r"(?:Theorem|Figure|Assumption|Proposition|Lemma|Corollary|Section|Chapter|Part|Python)s?"
NO_STATEMENT = [
    re.compile(pattern, re.MULTILINE | re.DOTALL)
    for pattern in (
        r"^(`{3,})\{(?:index|math|code-cell|literalinclude|bibliography)[^\n]*\n.*?^\1$",
        r"\$\$.*?\$\$(?: *\([^)]*\))?",
        r"^(?:`{3,}[^\n]*|:[\w-]+:[^\n]*|\([^)\n]*\)=|#+ [^\n]*)$",
        r"\{[\w:]+\}`[^`]*`|`[^`]*`|\]\([^)]*\)|<[^>]*>",
        rf"{NAMED}\s+\d+(?:\.\d+)?|^\s*\d+\.\s|\b(?:1[89]|20)\d\d\b",
    )
]


@dataclass(frozen=True)
class Stated:
    """A number as a text states it, up to half of its last digit's unit."""

    text: str
    value: float
    unit: float
    scale: int = 1  # of a printed number: 100 for per cent


@dataclass
class Evidence:
    """The numbers that a chapter prints, which may be rounded, and those that its code sets."""

    printed: set[float] = field(default_factory=set)
    literal: set[float] = field(default_factory=set)

    def shows(self, stated: Stated) -> bool:
        near = [(v, 1e-9 * abs(stated.value)) for v in self.literal]
        near += [(v, 0.5001 * stated.unit) for v in self.printed]
        return any(
            abs(value * scale - stated.value) <= error
            for value, error in near
            for scale in {1, stated.scale}
        )


# Reading numbers


def stated(text: str, least_digits: int = 1) -> Iterator[Stated]:
    """Yield the numbers in a text, and in its formulas."""
    for formula in re.findall(r"\$([^$]+)\$", text):
        yield from in_formula(formula)
    plain = re.sub(r"\$[^$]+\$", " $ ", text)
    for match in NUMBER.finditer(plain):
        if len(re.sub(r"\D", "", match["digits"])) >= least_digits or match["per_cent"]:
            yield as_shown(match)
    for match in COUNT.finditer(plain):
        ones = {"one": 1.0, **WORDS}.get(match["ones"] or "", 0)
        yield Stated(match.group(), COUNTS[match["tens"]] + ones, 1)
    for match in IN_WORDS.finditer(plain):
        name = " ".join(match.group().split())
        part = PARTS.get(match["part"] or match["half"] or "")
        if part:
            yield Stated(name, 1 / part, 0.3 / part)
        elif count := PER_CENT[match["count"]]:
            yield Stated(name, count, 0.2 * count, 100 if match["per_cent"] else 1)


def in_formula(formula: str) -> Iterator[Stated]:
    """Yield the numbers of a formula, apart from fractions, exponents, indices and lone digits."""
    for match in POWER.finditer(formula):
        unit = 10.0 ** int(match["power"])
        yield Stated(match.group(), float(match["factor"] or 1) * unit, unit)
    rest = re.sub(r"\\[td]?frac\s*(?:\d\d|\{[^}]*\}\{[^}]*\})", " ", POWER.sub(" ", formula))
    rest = re.sub(r"[\^_](?:\{[^}]*\}|\w)", " ", rest.replace("{,}", ","))
    for match in NUMBER.finditer(rest):
        if len(re.sub(r"\D", "", match["digits"])) > 1:
            yield as_shown(match)


def as_shown(match: re.Match[str]) -> Stated:
    digits, exponent = match["digits"].replace(",", ""), match["exponent"] or ""
    decimals = len(digits.partition(".")[2]) - int(exponent[1:] or 0)
    value = float(f"{'-' if match['minus'] else ''}{digits}{exponent}")
    text = " ".join(match.group().split())
    return Stated(text, value, 10.0**-decimals, 100 if match["per_cent"] else 1)


def prose(source: str) -> str:
    """Return the text of a cell that may state a result."""
    for pattern in NO_STATEMENT:
        source = pattern.sub(" ", source)
    return source


def printed(cells: Iterable[NotebookNode]) -> set[float]:
    """Return the numbers that some cells print or show in tables."""
    texts = []
    for cell in cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            table = data.get("text/html", "")
            texts += [output.get("text", ""), data.get("text/plain", "")]
            texts += [] if "<svg" in table else [re.sub(r"<style.*?</style>|<[^>]*>", " ", table)]
    return {number.value for text in texts for number in map(as_shown, NUMBER.finditer(text))}


def literals(nodes: Iterable[ast.AST]) -> set[float]:
    """Return the numbers in some code, 10**6 and those in strings among them, with either sign."""
    found: set[float] = set()
    for node in (each for root in nodes for each in ast.walk(root)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if NUMBER.fullmatch(node.value) else node.value  # "0.3" is a shade of grey
            found |= {as_shown(match).value for match in NUMBER.finditer(text)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            found.add(float(node.value))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            found |= power_of_constants(node)
    return {sign * value for value in found for sign in (1, -1) if math.isfinite(value)}


def power_of_constants(node: ast.BinOp) -> set[float]:
    try:
        base, exponent = ast.literal_eval(node.left), ast.literal_eval(node.right)
        return {float(base) ** float(exponent)}
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return set()


def of_data(code: ast.Module, repository: Repository) -> set[float]:
    """Return the numbers of the data sets that some code loads: in their functions and files."""
    loaded = {each for each in repository.taken(code) if each.module == DATA_SETS and each.name}
    paths = {path for each in loaded for path in repository.files(each) if path.suffix != ".py"}
    texts = [path.read_text("utf-8") for path in paths]
    source = repository.path(DATA_SETS)
    tree = repository.tree(source) if source and loaded else ast.Module([], [])
    nodes = [node for each in loaded if each.name for node in behind(tree, each.name)]
    return literals([*nodes, *(ast.Constant(text) for text in texts)])


# The rule


@dataclass(frozen=True)
class Unfounded:
    """A number that is not found where it should be, and whether the chapter has it elsewhere."""

    place: str
    text: str
    elsewhere: bool


def unfounded(twin: NotebookNode, repository: Repository) -> Iterator[Unfounded]:
    """Yield the numbers of a chapter that are not found where they should be."""
    chapter = syntax(code_cells(twin))
    data = of_data(chapter, repository)
    every = Evidence(printed(twin.cells), literals([chapter]) | data)
    for index, (cell, section) in enumerate(zip(twin.cells, by_section(twin.cells), strict=True)):
        numbers = list(statements(cell))
        if numbers:
            own = literals(used_by(cell, chapter)) | data
            evidence = Evidence(
                printed(section), own if cell.cell_type == "code" else every.literal
            )
            place = where(index, cell)
            yield from (
                Unfounded(f"{place}: {kind}", number.text, every.shows(number))
                for kind, number in numbers
                if not evidence.shows(number)
            )


def statements(cell: NotebookNode) -> Iterator[tuple[str, Stated]]:
    """Yield the numbers that a cell states, after where it states them."""
    if cell.cell_type == "markdown":
        yield from (("text", number) for number in stated(prose(cell.source), 2))
    for group, key in (("figure", "caption"), ("image", "alt")):
        text = cell.metadata.get("mystnb", {}).get(group, {}).get(key)
        yield from ((f"{group} {key}", number) for number in stated(str(text or "")))


def syntax(cells: Iterable[NotebookNode]) -> ast.Module:
    magic = TransformerManager()
    body: list[ast.stmt] = []
    for cell in cells:
        try:
            body += ast.parse(magic.transform_cell(cell.source)).body
        except SyntaxError:
            continue  # tools.rules names it
    return ast.Module(body, [])


def used_by(cell: NotebookNode, chapter: ast.Module) -> list[ast.AST]:
    """Return the code of a cell, and what defines the names that it uses."""
    own = syntax([cell])
    names = {chain[0] for chain in chains(own)}
    return [own, *(node for name in names for node in behind(chapter, name))]


def by_section(cells: list[NotebookNode]) -> Iterator[list[NotebookNode]]:
    """Yield for each cell those of its section, between two headings of the second level."""
    starts = [i for i, c in enumerate(cells) if re.search(r"^## ", c.source, re.M) or i == 0]
    for index in range(len(cells)):
        first = max(start for start in starts if start <= index)
        yield cells[first : min((s for s in starts if s > index), default=len(cells))]


def unknown_numbers(twin: NotebookNode, chapter: str, repository: Repository) -> Iterator[str]:
    """Yield the numbers of a chapter that come from nowhere, and its facts that are not needed."""
    path = repository.root / "chapters" / FACTS
    known = yaml.safe_load(path.read_text("utf-8")) if path.exists() else {}
    own = known.get(chapter) or {}
    facts = (known.get(EVERYWHERE) or {}) | own
    missing = list(unfounded(twin, repository))
    for each in missing:
        reason = facts.get(each.text)
        if not reason or (reason == ELSEWHERE and not each.elsewhere):
            advice = f"print it, mend it, or say in {FACTS} why it is right"
            yield f"{each.place}: {each.text!r} is neither printed nor set in the code; {advice}"
    for text in own.keys() - {each.text for each in missing}:
        yield f"{FACTS}: {text!r} is no longer needed; remove it"
