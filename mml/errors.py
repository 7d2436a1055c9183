"""The exceptions that are told in one line: a user's mistake, and a fault of the machine."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from contextlib import suppress

_LONGEST = 1200
_HEAD, _TAIL = 800, 300  # of a longer line: what is wrong stands at its beginning, the mend at its end


def visible(text: str) -> str:
    """The text as one line of characters that are seen.

    What a stranger's file holds may end a line, steer a terminal or turn the direction of writing; such characters are
    written as Python writes them, and bytes of a name that are no text as bytes.
    """
    if text.isprintable():
        return text
    with suppress(UnicodeEncodeError):  # half of a surrogate pair that stands for no byte
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def printable(text: str) -> str:
    """`visible`, without the middle of a long text."""
    text = visible(text)
    return text if len(text) <= _LONGEST else f"{text[:_HEAD]} ... {text[-_TAIL:]}"


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like a misspelt one, whatever their case; None if none is.

    Args:
        name: as it was written.
        known: the legal ones.
        cutoff: least likeness, from 0 to 1.
    """
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """` Did you mean 'NAME'?` with the nearest of the known names; nothing if none is near."""
    near = nearest(name, known, cutoff)
    return "" if near is None else f" Did you mean '{near}'?"


class InputError(ValueError):
    """A mistake in the input: a file, a config key or an argument.

    The message is one line that names the file, the line or the key, and the mend. Entry points print it
    and exit with `exit_code`; they show a traceback for any other exception only.

    Args:
        lines: the message; further lines are help.
    """

    exit_code = 2

    def __init__(self, *lines: object) -> None:
        super().__init__(*(printable(str(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(self.args)

    def said_of(self, what: str) -> InputError:
        """The same mistake or fault, with what it was found in before the message."""
        first, *rest = self.args
        return type(self)(f"{what}: {first}", *rest)


class MachineError(InputError):
    """A fault of the machine that no other input would mend: a full disk, a limit of the system, a broken device.

    It is told as an InputError is, and where those are caught it is caught too; only the exit code differs.
    """

    exit_code = 4
