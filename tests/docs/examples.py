"""What the pages and notebooks show as code, taken out and run."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_FOR_SHELL = re.compile(r"^!(.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(page: Path, title: str) -> str:
    """The text below a page's heading of the second depth, up to the next one."""
    text = page.read_text(encoding="utf-8")
    parts = text.split(f"\n## {title}\n")
    assert len(parts) == 2, f"{page} has no heading '{title}'"
    return parts[1].partition("\n## ")[0]


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
    """Run statements as a notebook does; what they print, and the value of the last one if it is an expression.

    A line that begins with ! is for the shell, with Python's expressions in braces.
    """
    namespace["_shell"] = shell
    tree = ast.parse(_FOR_SHELL.sub(lambda line: f"_shell(f{line[1]!r})", source))
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(tree, "<example>", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<example>", "eval"), namespace)
            if value is not None:
                print(repr(value))
    return printed.getvalue()


def shell(line: str) -> None:
    """Run a command line and print what it says.

    Raises:
        AssertionError: if its exit code is not 0.
    """
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    print(done.stdout, end="")
    assert done.returncode == 0, f"{line}\n{done.stderr}"


def form(output: str) -> tuple[int, str]:
    """What an output has in common on all machines: the number of lines and, without its numbers, the first one."""
    lines = output.strip("\n").splitlines()
    return len(lines), re.sub(r"[\d.e+-]+|\s+", " ", lines[0]) if lines else ""
