"""What the outputs of a chapter depend on: the files of this repository that its code can reach.

Everything is read from syntax trees. A name that is taken from a package counts as the module from
which the package imports it: `mflib.Flow` as `mflib.flow`, and not as all that `mflib` offers. What
cannot be resolved, as `getattr(mflib, name)`, counts as the whole package. Of the data, a function
depends on the files that it names in full, "titanium.csv", itself or through others of its module.
"""

import ast
import functools
import hashlib
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "mflib"
MODULE = re.compile(rf"{LIBRARY}(\.\w+)+")
DYNAMIC = {"import_module", "__import__"}  # may import anything
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# What a package may do when it is imported, and still count only by what is taken from it.
DEFINITIONS = ast.Import | ast.ImportFrom | ast.ClassDef | ast.FunctionDef | ast.If


# Digests


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def code_only(source: str) -> str:
    """Return Python source without docstrings, blank lines and comments: they change no output."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            first, last = node.body[0].lineno, node.body[0].end_lineno or 0
            lines[first - 1 : last] = [""] * (last - first + 1)
    return "\n".join(line for line in lines if line.strip())


# Syntax trees


def chains(node: ast.AST) -> Iterator[list[str]]:
    """Yield every name with the attributes that are taken from it: `a.b.c` as a, b, c."""
    attributes: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        attributes.insert(0, inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield [inner.id, *attributes]
    for child in ast.iter_child_nodes(inner):
        yield from chains(child)


def bindings(tree: ast.AST, package: str) -> dict[str, set[str]]:
    """Return which dotted names each name may stand for that an import binds, anywhere."""
    bound: dict[str, set[str]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name].add(alias.name)
                if not alias.asname:
                    bound[alias.name.split(".")[0]].add(alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                bound[alias.asname or alias.name].add(f"{base}.{alias.name}")
    return bound


def strings(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the short strings in some code: a file's name is one."""
    constants = (n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Constant))
    return {c.value for c in constants if isinstance(c.value, str) and len(c.value) < 200}


def definitions(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    """Return the statements of a module by the names that they define or assign."""
    found: dict[str, list[ast.stmt]] = defaultdict(list)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name].append(node)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            for each in ast.walk(target) if target else ():
                if isinstance(each, ast.Name):
                    found[each.id].append(node)
    return found


def behind(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return what defines a name of a module, with all of the module that it uses."""
    known, used, queue = definitions(tree), set(), [name]
    while queue:
        if (each := queue.pop()) not in used:
            used.add(each)
            queue += [chain[0] for node in known.get(each, ()) for chain in chains(node)]
    return [node for each in used for node in known.get(each, ())]


def acts(tree: ast.Module) -> bool:
    """Whether a package does more than define things when it is imported."""

    def defines(node: ast.stmt) -> bool:
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant)
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        return isinstance(node, DEFINITIONS) or all(isinstance(t, ast.Name) for t in targets)

    return not all(defines(node) for node in tree.body)


# Names and the modules that they come from


@dataclass(frozen=True)
class Taken:
    """What code takes from a module: a name, "" where it only imports it, None for all of it."""

    module: str
    name: str | None


class Repository:
    """The modules below one folder, each read once."""

    def __init__(self, root: Path):
        self.root = root.resolve()
        self.tree = functools.cache(lambda path: ast.parse(path.read_text("utf-8")))
        self.file_digest = functools.cache(self._file_digest)
        self.data = functools.cache(self._data)
        self.taken_by = functools.cache(lambda module: list(self._taken_by(module)))

    def inputs(self, code: str | None, folder: Path) -> dict[str, str]:
        """Return a digest of each file that the code of a chapter in a folder can reach.

        None stands for code that cannot be read: it may reach all of the library.
        """
        tree = None if code is None else ast.parse(code)
        start = self.whole(LIBRARY) if tree is None else self.taken(tree)
        paths = {path for each in self.closure(start) for path in self.files(each)}
        paths |= {(folder / text).resolve() for text in strings([tree] if tree else [])}
        ours = sorted(p for p in paths if p.is_relative_to(self.root) and p.is_file())
        return {p.relative_to(self.root).as_posix(): self.file_digest(p) for p in ours}

    def closure(self, start: Iterable[Taken]) -> set[Taken]:
        """Add what the modules that are reached take from others, until nothing is new."""
        reached: set[Taken] = set()
        queue = list(start)
        while queue:
            if (each := queue.pop()) not in reached:
                reached.add(each)
                queue += self.taken_by(each.module)
        return reached

    def _taken_by(self, module: str) -> Iterator[Taken]:
        path = self.path(module)
        if path is not None:
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            yield from self.taken(self.tree(path), package, path.name == "__init__.py")

    def taken(self, tree: ast.AST, package: str = "", is_init: bool = False) -> Iterator[Taken]:
        """Yield what some code takes from the modules of this repository.

        What a package's `__init__` imports is on offer there; it takes only what it also uses.
        """
        bound = bindings(tree, package)
        if not is_init:
            for dotted in {dotted for each in bound.values() for dotted in each}:
                yield from self.resolve(dotted.split("."), bare=dotted.endswith(".*"))
        used = list(chains(tree))
        for name, *rest in used:
            for dotted in bound.get(name, ()):
                yield from self.resolve([*dotted.split("."), *rest], bare=True)
        for text in strings([tree]):
            if MODULE.fullmatch(text) and self.exists(text):  # sys.modules[text]
                yield from self.resolve(text.split("."), bare=True)
        if not is_init and any(DYNAMIC.intersection(chain) for chain in used):
            yield from self.whole(LIBRARY)

    def resolve(
        self, dotted: list[str], bare: bool, at: int = 1, seen: frozenset[str] = frozenset()
    ) -> Iterator[Taken]:
        """Yield where a dotted name comes from, of which the first parts, `at`, are a module.

        A package as such counts as a whole where it is used bare, as a value: anything might be
        taken from it. Where it is only imported it does not count.
        """
        module, names = ".".join(dotted[:at]), dotted[at:]
        path = self.path(module)
        if not self.is_package(module):
            if path is not None:
                yield Taken(module, names[0] if names else None if bare else "")
        elif not names or names == ["*"]:
            yield from self.whole(module) if bare else ()
        elif module not in seen or path is None:
            yield from self.offered(module, dotted, bare, at, seen)

    def offered(
        self, package: str, dotted: list[str], bare: bool, at: int, seen: frozenset[str]
    ) -> Iterator[Taken]:
        """Yield where the next part of a dotted name comes from, which is taken from a package."""
        name, path = dotted[at], self.path(package)
        tree = ast.Module([], []) if path is None else self.tree(path)
        inner = f"{package}.{name}"
        origins = bindings(tree, package).get(name, set()) - {inner, *seen}
        for origin in origins:
            parts = [*origin.split("."), *dotted[at + 1 :]]
            yield from self.resolve(parts, bare, seen=seen | {origin})
        if self.exists(inner):
            yield from self.resolve(dotted, bare, at + 1, seen)
        elif not origins:
            own = name in definitions(tree)
            yield from [Taken(package, name)] if own else self.whole(package)
        if acts(tree):
            yield Taken(package, "")

    # Files

    def path(self, module: str) -> Path | None:
        """Return the file of a module, if it is one of this repository."""
        base = self.root.joinpath(*module.split("."))
        paths = (base / "__init__.py", base.with_name(f"{base.name}.py"))
        return next((path for path in paths if path.is_file()), None)

    def is_package(self, module: str) -> bool:
        return any(self.root.joinpath(*module.split(".")).glob("*.py"))

    def exists(self, module: str) -> bool:
        return self.is_package(module) or self.path(module) is not None

    def whole(self, package: str) -> Iterator[Taken]:
        for path in sorted(self.root.joinpath(*package.split(".")).rglob("*.py")):
            *folders, name = path.relative_to(self.root).with_suffix("").parts
            yield Taken(".".join(folders if name == "__init__" else [*folders, name]), None)

    def files(self, taken: Taken) -> Iterator[Path]:
        """Yield a module's file, and the data that what is taken from it names."""
        path = self.path(taken.module)
        if path is not None:
            yield path
            tree = self.tree(path)
            named = strings([tree] if taken.name is None else behind(tree, taken.name))
            data = self.data(taken.module.split(".")[0])
            yield from (data[name] for text in named if (name := Path(text).name) in data)

    def _data(self, package: str) -> dict[str, Path]:
        paths = sorted((self.root / package).rglob("*"))
        return {p.name: p for p in paths if p.is_file() and p.suffix not in {".py", ".pyc"}}

    def _file_digest(self, path: Path) -> str:
        if path.suffix == ".py":
            return digest([code_only(path.read_text("utf-8"))])
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
