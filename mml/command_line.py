"""The parser of the commands, whose refusals are one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mml.errors import did_you_mean, printable
from mml.help_page import HelpPage


class CommandParser(argparse.ArgumentParser):
    """argparse's, but a mistake is told in one line with the nearest option, instead of below the whole usage."""

    _given: Sequence[str] = ()  # where all options are its own

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"formatter_class": HelpPage, **kwargs})

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As argparse's."""
        self._given = sys.argv[1:] if args is None else args
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2; a misspelt option comes before one that is missing for it."""
        names = [word.partition("=")[0] for word in self._given if word.startswith("--") and word != "--"]
        misspelt = [name for name in names if name not in self._option_string_actions]
        if misspelt and "required" in message and not self.allow_abbrev:
            message = f"unrecognized arguments: {' '.join(misspelt)}"
        _, _, words = message.partition("unrecognized arguments: ")
        unknown = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
        hint = did_you_mean(unknown[0], self._option_string_actions) if unknown else ""
        print(f"error: {printable(message)}.{hint} All options: {self.prog} --help", file=sys.stderr, flush=True)
        sys.exit(2)
