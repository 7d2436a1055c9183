"""Help of a command, laid out for the terminal's width: prose is filled, examples keep their lines."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

_INDENT = "  "
_GAP = re.compile(r" {3,}|(?<=\S)  (?=\S)")
_BOUND = "\u00a0"  # a blank at which textwrap breaks no line
_LEAST = 30  # columns for what an example does; where there are fewer, it stands below


class HelpPage(argparse.HelpFormatter):
    """argparse's, for descriptions and epilogs in which lines that begin with two blanks are examples.

    An example may say after three blanks what it does.
    """

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _filled(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(textwrap.indent(line, indent) for line in laid_out(text, width))


def laid_out(text: str, width: int) -> Iterator[str]:
    """Lines of `width` columns at most, but for a word that is longer."""
    for kind, lines in groupby(text.splitlines(), _kind):
        if kind == "blank":
            yield from ("" for _ in lines)
        elif kind == "prose":
            yield from _filled(" ".join(lines), width)
        else:
            yield from _examples(list(lines), width)


def _kind(line: str) -> str:
    return "blank" if not line.strip() else "example" if line.startswith(_INDENT) else "prose"


def _filled(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False, break_long_words=False
    )


def _examples(lines: list[str], width: int) -> Iterator[str]:
    """Commands and what they do: side by side where there is room for all of them, else below one another."""
    parts = [[part.strip() for part in _GAP.split(line.strip(), maxsplit=1)] for line in lines]
    column = max((len(command) for command, *does in parts if does), default=0) + len(_INDENT) + 3
    for command, *does in parts:
        if does and width - column >= _LEAST:
            yield from _filled(does[0], width, f"{_INDENT}{command}".ljust(column), " " * column)
        else:
            yield from _command(command, width)
            yield from _filled(does[0], width, _INDENT * 3, _INDENT * 3) if does else ()


def _command(command: str, width: int) -> Iterator[str]:
    """A command as it is typed, over several lines where it is longer than one; an option stays with its value."""
    if len(command) + len(_INDENT) <= width:
        yield _INDENT + command
        return
    together = re.sub(r" (?!-)", _BOUND, command)
    lines = [line.replace(_BOUND, " ") for line in _filled(together, width - 2, _INDENT, _INDENT * 3)]
    yield from (f"{line} \\" for line in lines[:-1])
    yield from lines[-1:]
