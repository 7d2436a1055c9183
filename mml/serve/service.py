"""All that the endpoints share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mml.serve.answering import Answer, Ask, answers
from mml.serve.counting import Counting
from mml.serve.histories import Histories
from mml.serve.journal import Journal
from mml.serve.limits import MOST_HISTORY, Limits
from mml.serve.metrics import Metrics
from mml.serve.model import Load, Served
from mml.serve.models import Models
from mml.serve.schemas import NewItem, kept_event
from mml.serve.worker import Worker

_LOGGER = logging.getLogger(__name__)


class Service:
    """A model, the thread that asks it, and what is kept.

    Args:
        name: what is served, for people.
        path: the model's folder, or a link to it.
        load: reads the model.
        journal: folder of events.jsonl and items.jsonl.
        limits: what one request may ask for.
        watch: seconds between two checks of where the link points; 0 for never.

    Raises:
        InputError: if the model cannot be read or the journal cannot be written.
    """

    def __init__(
        self, name: str, path: Path, load: Load, journal: Path, limits: Limits | None = None, watch: float = 0.0
    ) -> None:
        self.name = name
        self.limits = limits = limits or Limits()
        self.metrics = Metrics()
        self.events = Journal(journal / "events.jsonl")
        self.new_items = Journal(journal / "items.jsonl")
        self.models = Models(path, load, self.metrics, lambda: list(self.events.rows(kept_event)))
        self.worker = Worker(self._answer, limits, self.metrics)
        self.counting = Counting(self.models, self.worker, self.metrics)
        self.histories = Histories(limits.remembered_users, MOST_HISTORY)
        self.unwritten: list[NewItem] = []  # posted items that are recommendable and not in the journal yet
        self.is_stopping = False
        self._watch = watch
        self._restore()

    @property
    def current(self) -> Served:
        """The model that answers now."""
        return self.models.current

    def _answer(self, asks: Sequence[Ask]) -> list[Answer]:
        return answers(self.models.current, asks)

    def _restore(self) -> None:
        """Take up what was posted before the last stop."""
        events = list(self.events.rows(kept_event))
        self.histories.add(events)
        n_items = self.models.take_up(list(self.new_items.rows(NewItem.model_validate)))
        self.models.take_up_events(events)
        self.counting.add(row for row in events if row["item_id"] not in self.current.catalogue)
        if events or n_items:
            _LOGGER.info("taken up from %s: %d events, %d new items", self.events.path.parent, len(events), n_items)

    @asynccontextmanager
    async def running(self, _: object = None) -> AsyncIterator[None]:
        """While it answers. At the end, what waits is answered."""
        self.worker.start()
        tasks = [asyncio.create_task(self.counting.run())]
        if self._watch:
            tasks.append(asyncio.create_task(self.models.watch(self.worker, self._watch)))
        try:
            yield
        finally:
            self.is_stopping = True
            for task in tasks:
                task.cancel()
            await self.worker.close()
            self.events.close()
            self.new_items.close()
