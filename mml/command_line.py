"""The parser of the commands, whose refusals are one line."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from mml.errors import did_you_mean, printable


class CommandParser(argparse.ArgumentParser):
    """argparse's, but a mistake is told in one line with the nearest option, instead of below the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with 2."""
        _, _, words = message.partition("unrecognized arguments: ")
        unknown = [word.partition("=")[0] for word in words.split() if word.startswith("-")]
        hint = did_you_mean(unknown[0], self._option_string_actions) if unknown else ""
        print(f"error: {printable(message)}.{hint} All options: {self.prog} --help", file=sys.stderr, flush=True)
        sys.exit(2)
