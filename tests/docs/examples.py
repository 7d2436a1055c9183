"""What the pages and notebooks show as code, taken out and run."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(page: Path, title: str) -> str:
    """The text below a page's heading of that title, up to the next one of the same depth."""
    text = page.read_text(encoding="utf-8")
    heading = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert heading is not None, f"{page} has no heading '{title}'"
    rest = text[heading.end() :]
    end = re.search(rf"^#{{1,{len(heading[1])}}} ", re.sub(_FENCE, lambda found: " " * len(found[0]), rest), re.MULTILINE)
    return rest if end is None else rest[: end.start()]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [body for kind, body in _FENCE.findall(text) if kind == language]


def commands(text: str) -> list[str]:
    """The `mml ...` lines of the sh blocks."""
    return [line for body in blocks(text, "sh") for line in body.splitlines() if line.startswith("mml ")]


def examples(text: str) -> Iterator[tuple[str, str]]:
    """The statements of the pycon blocks with the output that is shown."""
    for body in blocks(text, "pycon"):
        for found in doctest.DocTestParser().get_examples(body):
            yield found.source, found.want


def cells(notebook: Path) -> list[str]:
    """The code cells of a notebook."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def run(source: str, namespace: dict[str, Any]) -> str:
    """Run statements as a notebook does; what they print, and the value of the last one if it is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "<example>", "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<example>", "eval"), namespace)
            if value is not None:
                print(value if isinstance(value, str) and "\n" in value else repr(value))
    return printed.getvalue()


def form(output: str) -> tuple[int, str]:
    """What an output has in common on all machines: the number of lines and, without its numbers, the first one."""
    lines = output.strip("\n").splitlines()
    return len(lines), re.sub(r"[\d.e+-]+|\s+", " ", lines[0]) if lines else ""


