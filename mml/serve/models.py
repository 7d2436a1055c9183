"""The model that answers now, and the change to a new one while requests come in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mml.errors import InputError
from mml.serve.errors import Unavailable
from mml.serve.metrics import Metrics
from mml.serve.model import Load, Recommender, Served, last_written
from mml.serve.schemas import EventRow, NewItem
from mml.serve.worker import Worker
from mml.tables.columns import called
from mml.tables.layout import TableLayout

_LOGGER = logging.getLogger(__name__)


class Models:
    """Holds the current model. It is replaced between two calls of the worker, so that no request meets both.

    Args:
        path: the model's folder, or a link to it.
        load: reads it.
        metrics: what is counted.
        events: all that were posted.

    Raises:
        InputError: if it cannot be read.
    """

    def __init__(self, path: Path, load: Load, metrics: Metrics, events: Callable[[], Sequence[EventRow]]) -> None:
        self.path = path
        self._load = load
        self._metrics = metrics
        self._events = events
        self._posted: dict[str, NewItem] = {}  # all of them, as the next model may lack what this one has
        self._changing = asyncio.Lock()  # one reload or count at a time
        self._said: Path | None = None
        self._uncounted: Path | None = None
        self.reloads = 0
        self.current = self._read()
        self._metrics.items.set(len(self.current.catalogue))

    def _read(self) -> Served:
        source = self.path.resolve()
        written = last_written(source)  # before it is read: what is written meanwhile is read next time
        model = self._load(source)
        model.prepare()
        return Served.of(model, source, written)

    def add_items(self, items: Sequence[NewItem]) -> list[NewItem]:
        """Make items recommendable that the catalogue lacks. Called in the worker's thread, or before it starts.

        Returns:
            Those that are recommendable now.

        Raises:
            InputError: if the model cannot encode them.
        """
        table = _table(items)
        _refuse_other_ids(self.current.model, table)
        self.current.model.add_items(table)
        self.current.model.prepare()
        self._take(self.current.renewed())
        added = [item for item in items if item.item_id in self.current.catalogue]
        self._posted.update({item.item_id: item for item in added})
        return added

    def take_up(self, items: Sequence[NewItem]) -> int:
        """Add items that were posted to an earlier server, before the worker starts; how many were lacking and fit."""
        for item in items:
            self._posted.setdefault(item.item_id, item)
        fresh, n = _grown(self.current, self.missing(items))
        self._take(fresh)
        return n

    def take_up_events(self, rows: Sequence[EventRow]) -> None:
        """Count what was posted to an earlier server, after its items are taken up, before the worker starts."""
        self._take(self._counted(self.current, rows))

    async def count(self, worker: Worker, rows: Sequence[EventRow]) -> float:
        """Let a model answer that counts these events, too. The old one answers meanwhile.

        Returns:
            CPU seconds that it took.

        Raises:
            Unavailable: the server is stopping.
        """
        async with self._changing:
            before = self.current
            counted, seconds = await asyncio.to_thread(self._timed, before, rows)

            def change() -> None:
                # items that were added meanwhile are in the model, but not in the one that counts
                self._take(counted if self.current is before else self._counted(self.current, rows))

            await worker.call(change, bounded=False)
        return seconds

    def _timed(self, served: Served, rows: Sequence[EventRow]) -> tuple[Served, float]:
        begin = time.thread_time()
        return self._counted(served, rows), time.thread_time() - begin

    def _counted(self, served: Served, rows: Sequence[EventRow]) -> Served:
        """The model with events; as it is where it cannot count them, which is said once."""
        rows = [row for row in rows if row["item_id"] in served.catalogue]  # the answer to whoever posted them said so
        if not rows:
            return served
        try:
            model = served.model.with_events(pd.DataFrame(rows))
        except InputError as error:
            if self._uncounted != served.source:
                _LOGGER.warning("events are kept, and move no list until the model is updated: %s", error)
            self._uncounted = served.source
            return served
        model.prepare()
        return replace(served, model=model)

    def missing(self, items: Sequence[NewItem]) -> list[NewItem]:
        """Items that the catalogue lacks, the first of each id."""
        first: dict[str, NewItem] = {}
        for item in items:
            if item.item_id not in self.current.catalogue:
                first.setdefault(item.item_id, item)
        return list(first.values())

    async def reload(self, worker: Worker) -> None:
        """Read the model anew and let it answer from the next call on. The old one answers meanwhile.

        Raises:
            Unavailable: if it cannot be read; the old one goes on.
        """
        async with self._changing:
            try:
                fresh = await asyncio.to_thread(self._read_with_posted)
                await worker.call(lambda: self._change(fresh), bounded=False)
            except Unavailable:  # the server is stopping
                raise
            except Exception as error:  # whatever is wrong with the new model, the old one is there
                self._metrics.failed_reloads.inc()
                if not isinstance(error, InputError):
                    _LOGGER.exception("the new model cannot be read")
                raise Unavailable(f"the new model cannot be read, the old one goes on: {error}") from None
        _LOGGER.info("a new model answers: %s, %d items", fresh.source, len(self.current.catalogue))

    def _read_with_posted(self) -> Served:
        """The model with what was posted; what it has learned of that is not counted twice."""
        return self._counted(self._with_posted(self._read()), self._events())

    def _with_posted(self, served: Served) -> Served:
        late = [item for token, item in list(self._posted.items()) if token not in served.catalogue]
        return _grown(served, late)[0]

    def _change(self, fresh: Served) -> None:
        """In the worker's thread: items that were posted meanwhile are added to the new model, then it answers."""
        self._take(self._with_posted(fresh))
        self.reloads += 1
        self._metrics.reloads.inc()

    def _take(self, served: Served) -> None:
        self.current = served
        self._metrics.items.set(len(served.catalogue))

    async def watch(self, worker: Worker, seconds: float) -> None:
        """Reload whenever the link points elsewhere, or the model was written anew where it is, as an update does.

        A target that is not complete yet is tried again.
        """
        while True:
            await asyncio.sleep(seconds)
            target = self.path.resolve()
            as_it_was = target == self.current.source and last_written(target) in (self.current.written, 0)
            if as_it_was or not target.is_dir():
                continue
            try:
                await self.reload(worker)
                self._said = None
            except Unavailable as error:
                if self._said != target:
                    _LOGGER.warning("%s (tried again every %g s)", error, seconds)
                self._said = target


def _grown(served: Served, items: Sequence[NewItem]) -> tuple[Served, int]:
    """A model with items that were posted, and how many: one that does not fit takes no other with it."""
    if not items:
        return served, 0
    refused = _added(served.model, _table(items))
    if refused:
        name, why = next(iter(refused.items()))
        _LOGGER.warning("%d of %d posted items do not fit this model; '%s': %s", len(refused), len(items), name, why)
    served.model.prepare()
    grown = served.renewed()
    return grown, sum(item.item_id in grown.catalogue for item in items)


def _added(model: Recommender, table: pd.DataFrame) -> dict[str, InputError]:
    """Items that the model refuses, found by halves, and why; the others are added."""
    try:
        _refuse_other_ids(model, table)
        model.add_items(table)
    except InputError as error:
        if len(table) == 1:
            return {str(table["item_id"].iat[0]): error}
        half = len(table) // 2
        return _added(model, table[:half]) | _added(model, table[half:].reset_index(drop=True))
    return {}


def _refuse_other_ids(model: Recommender, table: pd.DataFrame) -> None:
    """The model would read the ids from the column that the shop's tables have them in.

    Raises:
        InputError: there is such a column beside item_id.
    """
    layout: TableLayout | None = getattr(model, "layout", None)
    own = None if layout is None else called([str(column) for column in table], layout.item_ids)
    if own not in (None, "item_id"):
        raise InputError(f"an item's id is its item_id here; leave out {own}, which the ids are called in tables")


def _table(items: Sequence[NewItem]) -> pd.DataFrame:
    return pd.DataFrame([item.row() for item in items])
