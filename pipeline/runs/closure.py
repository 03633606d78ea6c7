"""The code that a file reaches through its imports, and the packages that it names.

Code counts as what it does: comments, docstrings and layout are not part of its digest, nor does
the version of Python change it. What lies beside a module under its name (``page.py``,
``page.html.j2``) belongs to it.
"""

import ast
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.files import file_digest, read_json, write_json

OWN = ("pipeline", "stages")
NOTED = Path(".dvc", "tmp", "code.json")
READER = file_digest(__file__)  # what another version of this file has noted does not count
MODULE = re.compile(r"pipeline(\.\w+)+")  # mmengine's `custom_imports` are texts


@dataclass(frozen=True)
class Closure:
    """``files``: relative to the project, sorted; ``packages``: top-level names of imports."""

    files: tuple[str, ...]
    packages: frozenset[str]


@dataclass(frozen=True)
class Source:
    """One file: the digest of what it does, and the dotted names that it may import."""

    digest: str
    names: frozenset[str]


@dataclass(frozen=True)
class Node:
    """What a file leads to: other files, those that belong to it, and packages."""

    imports: tuple[str, ...]
    beside: tuple[str, ...]
    packages: frozenset[str]


class Code:
    """The code in the project ``root`` as it is now.

    What a file had is noted beside DVC's own notes, by its inode, size and time as DVC does it, so
    that a command reads only what was edited.
    """

    def __init__(self, root: Path):
        self.root = root
        self.nodes, self.digests = {}, {}
        self.notes = read_notes(root / NOTED)
        self.changed = False

    def source(self, path: str) -> Source:
        file = self.root / path
        info = file.stat()
        state = [info.st_ino, info.st_size, info.st_mtime_ns]
        note = self.notes.get(path)
        if note is None or note[0] != state:
            found = read_source(file)
            note = self.notes[path] = [state, found.digest, sorted(found.names)]
            self.changed = True
        return Source(note[1], frozenset(note[2]))

    def keep_notes(self) -> None:
        if self.changed and (self.root / NOTED).parent.is_dir():
            write_json(self.root / NOTED, {"by": READER, "files": self.notes})

    def closure(self, entries: Iterable[str], closed: Iterable[str] = ()) -> Closure:
        """What ``entries``, paths relative to the project, reach; not into the ``closed`` folders
        and files, and not what only those reach."""
        seen, packages, waiting = set(), set(), list(entries)
        while waiting:
            path = waiting.pop()
            if path in seen or is_closed(path, closed):
                continue
            if path not in self.nodes:
                self.nodes[path] = node_of(self.root, path, self.source(path).names)
            node = self.nodes[path]
            seen |= {path, *node.beside}
            packages |= node.packages
            waiting += node.imports
        return Closure(tuple(sorted(seen)), frozenset(packages))

    def digest(self, files: Iterable[str]) -> str:
        """16 hex digits."""
        for path in files:
            if path not in self.digests:
                self.digests[path] = self.digest_of(path)
        lines = [f"{path} {self.digests[path]}\n" for path in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    def digest_of(self, path) -> str:
        if path.endswith(".py"):
            return self.source(path).digest
        return file_digest(self.root / path)


def read_notes(file) -> dict[str, list]:
    try:
        notes = read_json(file)
    except ValueError:  # there are none yet, or half of them
        return {}
    return notes["files"] if isinstance(notes, dict) and notes.get("by") == READER else {}


def node_of(root, path, names) -> Node:
    imports, packages = bases(root, path), set()
    for name in names:
        files = files_of(root, name)
        imports += files
        if not files and name.partition(".")[0] not in (*OWN, *sys.stdlib_module_names):
            packages.add(name.partition(".")[0])
    return Node(tuple(imports), tuple(companions(root, path)), frozenset(packages))


def is_closed(path, closed) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in closed)


def companions(root, path) -> list[str]:
    """``sections/cost.html.j2`` of ``sections/cost.py``."""
    file = root / path
    beside = file.parent.glob(f"{file.stem}.*")
    return [str(other.relative_to(root)) for other in beside if other != file]


def files_of(root, name) -> list[str]:
    """The files that ``import name`` runs: of its packages too; [] of what is not the project's."""
    parts = name.split(".")
    if parts[0] not in OWN:
        return []
    found = []
    for length in range(1, len(parts) + 1):
        place = "/".join(parts[:length])
        found += [f"{place}.py", f"{place}/__init__.py"]
    return [file for file in found if (root / file).is_file()]


def bases(root, path) -> list[str]:
    """What a detector's config builds on: mmengine's ``_base_``."""
    if not path.startswith("configs/"):
        return []
    named = literal(root / path, "_base_") or []
    folder = (root / path).parent
    every = [named] if isinstance(named, str) else named
    return [os.path.relpath(base_file(folder, text), root) for text in every]


def base_file(folder, text) -> Path:
    """Beside the config, or, of ``package::path``, in a package's own configs."""
    package, within, path = text.partition("::")
    if not within:
        return folder / text
    return Path(importlib.util.find_spec(package).origin).parent / ".mim" / "configs" / path


def keys_of(root, path, name) -> set[str]:
    """The keys of ``name = dict(...)`` in a config and in what it builds on."""
    value = assigned(root / path, name)
    own = {keyword.arg for keyword in getattr(value, "keywords", ())}
    return own.union(*(keys_of(root, base, name) for base in bases(root, path)))


def literal(file, name):
    """The plain value that a file gives a name; None where it has no such."""
    value = assigned(file, name)
    return None if value is None else ast.literal_eval(value)


def assigned(file, name):
    lines = parsed(file.read_text(encoding="utf-8"), str(file)).body
    found = [line.value for line in lines if isinstance(line, ast.Assign) and names(line, name)]
    return found[0] if found else None


def names(line, name) -> bool:
    return getattr(line.targets[0], "id", "") == name


def read_source(file: Path) -> Source:
    return parse_source(file.read_text(encoding="utf-8"), package_of(file), str(file))


def package_of(file) -> tuple[str, ...]:
    """The packages that a relative import of ``file`` starts from."""
    folders = [folder for folder in file.parents if (folder / "__init__.py").is_file()]
    return tuple(folder.name for folder in reversed(folders))


@cache
def parse_source(text: str, package: tuple[str, ...], place: str = "") -> Source:
    tree = parsed(text, place)
    names = {name for node in ast.walk(tree) for name in named_by(node, package)}
    digest = hashlib.sha256(repr(plain(tree)).encode()).hexdigest()
    return Source(digest, frozenset(names))


def parsed(text, place) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"{place}, line {error.lineno}: {error.msg}; correct it") from None


def named_by(node, package) -> list[str]:
    """Dotted names; of `from a import b` also a.b, which may be a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join([*start, *filter(None, [node.module])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if MODULE.fullmatch(node.value) else []
    return []


def plain(node):
    """The tree as tuples, without docstrings and what is empty: newer versions of Python have
    fields that older ones have not."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if has_docstring(node):
        fields["body"] = fields["body"][1:]
    return (type(node).__name__, *((name, plain(value)) for name, value in fields.items()))


def has_docstring(node) -> bool:
    owner = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    first = node.body[0] if owner and node.body else None
    return isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str)
