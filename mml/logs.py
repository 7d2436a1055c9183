"""Logging: short lines for people on the screen, everything in the run's folder."""

from __future__ import annotations

import copy
import fcntl
import io
import logging
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mml.errors import InputError, visible
from mml.opening import plain_opener
from mml.progress import write_line
from mml.stopping import Terminated

END = "End of the run: "
"""What the last line of a `run.log` begins with."""
IN_SUMMARY = {"in_summary": True}
"""`extra` of a warning of what `mml check` finds by itself."""
_LONGEST_END = 1 << 13  # bytes
_REPORTED = (InputError, KeyboardInterrupt, SystemExit)
_OPEN: list[logging.Handler] = []
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class _Screen(logging.Handler):
    """Writes above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        write_line(self.format(record))


class _Visible(logging.Formatter):
    """A message of ours is one line that is seen, whatever cells it quotes; RecBole's have lines and colours."""

    def format(self, record: logging.LogRecord) -> str:
        if record.name.startswith("mml"):
            record = copy.copy(record)
            record.msg, record.args = visible(record.getMessage()), None
        return super().format(record)


class _Plain(_Visible):
    def format(self, record: logging.LogRecord) -> str:
        return _COLOUR.sub("", super().format(record))


class _LogFile(logging.FileHandler):
    """Appends to a plain file, and to nothing that stands in its place."""

    def _open(self) -> io.TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=plain_opener)


def setup_logging(level: str) -> None:
    """Log to the screen: mml's own messages from `level` on, other packages' warnings (RecBole logs as root)."""
    screen = _Screen()
    screen.setFormatter(_Visible("%(message)s"))
    screen.addFilter(lambda record: record.name.startswith("mml") or record.levelno >= logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [screen]
    root.setLevel(level)


def add_log(path: Path) -> logging.FileHandler:
    """Log everything to a file as well; returns what writes, so that it can be taken away again.

    Raises:
        InputError: if a link, a pipe or a device is in its place.
        OSError: if it cannot be opened.
    """
    file = _LogFile(path, encoding="utf-8")
    file.setFormatter(_Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(file)
    return file


@contextmanager
def own_log(foreseen: tuple[type[BaseException], ...] = ()) -> Iterator[Callable[[Path], None]]:
    """Gives what starts a log in a folder that is known later; the log ends with the context.

    That is `run.log`. Its last line says why the run ended; where there is none, as after a kill, the next log in the
    same file begins with saying so. Without a call nothing is written.

    Args:
        foreseen: exceptions that are no mistakes, so that the log holds no traceback of them.
    """
    files: list[logging.FileHandler] = []

    def start(folder: Path) -> None:
        path = folder / "run.log"
        files.append(add_log(path))
        cut_off = _is_cut_off(path)
        _OPEN.append(files[-1])
        if _owned(files[-1]) and cut_off:
            _write(files, logging.WARNING, "The run before ended without a word: killed, or the machine stopped.")

    try:
        yield start
        _write(files, logging.INFO, f"{END}finished.")
    except BaseException as error:
        if not isinstance(error, (*_REPORTED, *foreseen)):
            _write(files, logging.ERROR, "".join(traceback.format_exception(error)).rstrip(), name="traceback")
        _write(files, logging.INFO if isinstance(error, foreseen) else logging.ERROR, END + _why(error))
        raise
    finally:
        for file in files:
            logging.getLogger().removeHandler(file)
            _OPEN.remove(file)
            file.close()


def say_end(why: str) -> None:
    """Write the last line of every open `run.log`, where the process is about to end without more ado."""
    _write(_OPEN, logging.ERROR, END + why)


def _why(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return f"stopped by {'SIGTERM' if isinstance(error, Terminated) else 'Ctrl-C'}."
    text = " ".join(str(error).split())
    return text if text and isinstance(error, InputError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _write(files: Sequence[logging.Handler], level: int, text: str, name: str = __name__) -> None:
    """A record for these files alone; a full disk must not hide what the record is about."""
    for file in files:
        with suppress(OSError):
            file.handle(logging.LogRecord(name, level, __file__, 0, text, None, None))


def _owned(file: logging.FileHandler) -> bool:
    """Lock the log's file, as long as it is open; False if a living process writes it, too."""
    assert file.stream is not None
    try:
        fcntl.flock(file.stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_cut_off(path: Path) -> bool:
    """Whether there is a log whose last line does not say why its run ended."""
    try:
        with path.open("rb") as file:  # the log's own, which is open to append to
            file.seek(max(path.stat().st_size - _LONGEST_END, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return False
    return bool(lines) and f" {__name__}: {END}" not in lines[-1]
