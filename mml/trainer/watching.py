"""Who watches trainings: is told each validation score, and may stop the training by an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watcher = Callable[[str, float], None]
"""Gets a stage's name and the score of its latest validation."""

_WATCHERS: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Within this context all trainings of the process are watched."""
    _WATCHERS.append(watcher)
    try:
        yield
    finally:
        _WATCHERS.remove(watcher)


def tell(stage: str, score: float) -> None:
    """A validation is over."""
    for watcher in list(_WATCHERS):
        watcher(stage, score)
