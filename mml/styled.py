"""Lines that are the same text everywhere, and easier to read at a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import NamedTuple

GOOD, STRONG, DIM, COMMAND = "bold green", "bold", "dim", "cyan"
"""Styles: the best of several, what counts, what one may pass over, what one can type."""


class Line(NamedTuple):
    """A line of text.

    Args:
        text: as it is.
        style: of the constants above; "" for none.
    """

    text: str
    style: str = ""


def joined(lines: Iterable[Line]) -> str:
    """The plain text."""
    return "\n".join(line.text for line in lines)


def print_lines(lines: Iterable[Line]) -> None:
    """Print to stdout; in colours where that is a terminal that has some, and nobody set NO_COLOR."""
    if not sys.stdout.isatty() or os.environ.get("TERM") in (None, "", "dumb", "unknown"):
        print(joined(lines))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Text(line.text, line.style), soft_wrap=True)
