"""What a stored result depends on beside settings and data: the code that made it, and the libraries.

An edit so reruns what it can touch.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PACKAGE = "mml"
_LIBRARIES = ("recbole", "torch", "numpy", "scipy", "scikit-learn", "pandas")


def code_hash(modules: Iterable[str], alone: Iterable[str] = ()) -> str:
    """Hash of some modules and of all of mml that they import, whatever their comments and docstrings say.

    Args:
        modules: names, as in `sys.modules`. A module outside of mml, such as a slot's entry of somebody else's, counts
            with its own file and with what it imports of mml.
        alone: names of modules that count without what they import.
    """
    digest = hashlib.sha256()
    found = closure(modules)
    found |= {name: source for name in alone if (source := _source(name)) is not None}
    for name, source in sorted(found.items()):
        digest.update(f"{name} {source.meaning}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Source:
    """What a file says: a hash of its code, and what it imports of mml when it runs (names that may be modules)."""

    meaning: str
    imported: tuple[str, ...]


def closure(modules: Iterable[str]) -> dict[str, Source]:
    """The modules and all of mml that they import, by name."""
    found: dict[str, Source] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        source = None if name in found else _source(name)
        if source is not None:
            found[name] = source
            waiting += source.imported
    return found


def _source(name: str) -> Source | None:
    """A module's; None if there is no such module."""
    path = _file(name)
    return None if path is None else _read(path, path.stat().st_mtime_ns)


@cache
def _file(name: str) -> Path | None:
    """The source of a module; None if there is no such module, as for a function that is imported from one."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None and name.split(".")[0] == _PACKAGE:
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            return None
        origin = None if spec is None else spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


@cache
def _read(path: Path, _modified: int) -> Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: list[str] = []
    for statement in tree.body:
        if isinstance(statement, ast.If) and isinstance(statement.test, ast.Name):  # TYPE_CHECKING
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
                node.body = node.body[1:]
    if ast.get_docstring(tree, clean=False):
        tree.body = tree.body[1:]
    own = tuple(name for name in names if name.startswith(f"{_PACKAGE}."))  # the package itself imports nothing of use
    return Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), own)


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that compute what is stored."""
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}
