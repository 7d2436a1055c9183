"""Lines of JSON that are only ever appended: what users did, and items that were posted."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from mml.errors import InputError
from mml.opening import plain_opener
from mml.serve.errors import Unavailable

T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)
_LONGEST = 2**23  # bytes of a line: more than a request may have


class Journal:
    """One file. Rows that were written are read again at the next start.

    Args:
        path: the file; it and its folder are made.

    Raises:
        InputError: if it cannot be written, or a link, a pipe or a device is in its place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._file = self._opened()
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}): give another folder with --journal."
            ) from None
        self._end_line()

    def _opened(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return plain_opener(str(self.path), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)

    def _follow(self) -> None:
        """Open a new file where the old one was moved or removed, or what is written into that would be lost."""
        with suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(self.path), os.fstat(self._file)):
                return
        fresh = self._opened()
        os.close(self._file)
        self._file = fresh

    def _end_line(self) -> None:
        """A line that a crash has cut short must not swallow the next one, nor stop an update that reads the file."""
        size = os.fstat(self._file).st_size
        begin = max(0, size - _LONGEST)
        read = os.pread(self._file, size - begin, begin)
        line = read[read.rfind(b"\n") + 1 :]
        if not line:
            return
        if len(line) == _LONGEST or _is_whole(line):
            os.write(self._file, b"\n")
            return
        os.ftruncate(self._file, size - len(line))
        _LOGGER.warning("%s: the last line was cut short, as by a crash, and is removed", self.path)

    def append(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Add rows, all or none.

        Raises:
            Unavailable: if the disk refuses.
        """
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        with self._lock:
            try:
                self._follow()
            except (OSError, InputError) as error:
                _LOGGER.error("%s: %s", self.path, error)
                raise Unavailable("it could not be kept: the journal cannot be opened") from None
            size = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, text)
                if written < len(text):
                    raise OSError(0, "the disk is full")
            except OSError as error:
                os.ftruncate(self._file, size)
                _LOGGER.error("%s: %s", self.path, error.strerror)
                raise Unavailable(f"it could not be kept: {error.strerror}") from None

    def rows(self, kept: Callable[[object], T]) -> Iterator[T]:
        """All rows that the file had when it was opened, oldest first; damaged lines are counted and said.

        Args:
            kept: the row that a line's content stands for; raises ValueError where it is none.
        """
        broken = 0
        try:
            file = open(self.path, encoding="utf-8", errors="replace", opener=plain_opener)  # noqa: SIM115
        except FileNotFoundError:  # it was moved away, and nothing has come since
            return
        with file:
            for line in file:
                try:
                    row = kept(json.loads(line))
                except (ValueError, RecursionError):
                    broken += bool(line.strip())
                    continue
                yield row
        if broken:
            _LOGGER.warning("%s: %d lines are damaged and were passed over", self.path, broken)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _is_whole(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
