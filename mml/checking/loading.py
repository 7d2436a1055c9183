"""What the loading of a dataset warns of, as findings."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mml.checking.finding import Finding
from mml.logs import IN_SUMMARY


class _Kept(logging.Handler):
    """Keeps the warnings that say what the dataset's summary does not."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}  # in order, each once

    def emit(self, record: logging.LogRecord) -> None:
        if not IN_SUMMARY.keys() <= vars(record).keys():
            self.texts.setdefault(record.getMessage())


@contextmanager
def warnings_kept() -> Iterator[list[Finding]]:
    """A list that holds, after the context, what was warned of in it; nothing of that is logged elsewhere."""
    kept, found = _Kept(), list[Finding]()
    own, root = logging.getLogger("mml"), logging.getLogger()
    before = own.level, own.propagate, root.level
    own.addHandler(kept)
    own.setLevel(logging.WARNING)
    own.propagate = False
    root.setLevel(logging.ERROR)  # RecBole's logger
    try:
        yield found
    finally:
        own.removeHandler(kept)
        own.setLevel(before[0])
        own.propagate = before[1]
        root.setLevel(before[2])
        found += [Finding("warning", text) for text in kept.texts]
