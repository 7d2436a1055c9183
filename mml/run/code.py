"""Hash of the code that a stage's result depends on, so that an edit reruns what it can touch."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PACKAGE = "mml"


def code_hash(modules: Iterable[str]) -> str:
    """Hash of some modules and of all of mml that they import, whatever their comments and docstrings say.

    Args:
        modules: names, as in `sys.modules`. A module outside of mml, such as a slot's entry of somebody else's, counts
            with its own file and with what it imports of mml.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(modules)):
        digest.update(f"{name}\n{_meaning(_file(name))}\n".encode())
    return digest.hexdigest()[:16]


def _closure(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and _file(name) is not None:
            found.add(name)
            waiting += _imported(_file(name))
    return found


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


def _tree(path: Path | None) -> ast.Module:
    return ast.Module([], []) if path is None else ast.parse(path.read_text(encoding="utf-8"))


def _imported(path: Path | None) -> list[str]:
    """What a file imports of mml when it runs: modules, and names that may be modules."""
    names: list[str] = []
    for node in _running(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.startswith(f"{_PACKAGE}.")]  # the package itself imports nothing of use


def _running(tree: ast.AST) -> Iterable[ast.AST]:
    """All nodes but those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _running(node)


def _meaning(path: Path | None) -> str:
    """The source without comments, docstrings and layout."""
    tree = _tree(path)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.dump(tree)
