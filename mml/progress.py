"""Progress bars at a terminal, several below each other; nothing in a pipe, a file or a scheduler's log."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

_REFRESH = 4.0  # times per second
_TITLE, _BAR = 14, 18  # letters; all columns fit into 80
_SHOWN: list[Progress] = []
"""The bars that are on the screen now: one group or none."""


def at_terminal() -> bool:
    """Whether somebody watches stderr at a screen that can be drawn on."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb", "unknown")


def shows_bars() -> bool:
    """Whether there are bars on the screen now."""
    return bool(_SHOWN)


class Bar:
    """A bar that nobody sees."""

    def update(self, n: int = 1) -> None:
        """So many more are done."""

    def note(self, text: str) -> None:
        """Say something beside the bar."""


class _Drawn(Bar):
    def __init__(self, group: Progress, task: TaskID) -> None:
        self._group, self._task = group, task

    def update(self, n: int = 1) -> None:
        self._group.update(self._task, advance=n)

    def note(self, text: str) -> None:
        self._group.update(self._task, note=text)


@contextmanager
def bar(title: str, total: int, unit: str, wanted: bool = True, done: int = 0) -> Iterator[Bar]:
    """A bar that goes away with the context; within another's context it is drawn below that.

    Args:
        title: what is going on.
        total: how many there are.
        unit: of what, in the plural.
        wanted: False for none.
        done: how many are done already.
    """
    if not wanted or not at_terminal():
        yield Bar()
        return
    group = _SHOWN[0] if _SHOWN else _started()
    task = group.add_task(title, total=total, completed=done, unit=unit, note="")
    try:
        yield _Drawn(group, task)
    finally:
        group.remove_task(task)
        if not group.task_ids and group in _SHOWN:
            _SHOWN.remove(group)
            group.stop()


def each(items: Iterable[T], title: str, total: int, unit: str, wanted: bool = True) -> Iterator[T]:
    """The items, with a bar."""
    with bar(title, total, unit, wanted) as shown:
        for item in items:
            yield item
            shown.update()


def write_line(text: str) -> None:
    """Write a line to stderr, above any bars."""
    if _SHOWN:
        _SHOWN[0].console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
    else:
        print(text, file=sys.stderr, flush=True)


def _started() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    title = TextColumn("{task.description}", table_column=Column(width=_TITLE, no_wrap=True), markup=False)
    counts = TextColumn("{task.completed:,.0f}/{task.total:,.0f} {task.fields[unit]}", markup=False)
    note = TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, ratio=1), markup=False)
    group = Progress(
        title,
        BarColumn(_BAR),
        counts,
        TimeRemainingColumn(compact=True),
        note,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=_REFRESH,
        redirect_stdout=sys.stdout.isatty(),
        expand=True,
    )
    group.start()
    _SHOWN.append(group)
    return group
