"""Events on their way from a request to the model that counts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from mml.serve.errors import Unavailable
from mml.serve.metrics import Metrics
from mml.serve.models import Models
from mml.serve.schemas import EventRow
from mml.serve.worker import Worker

_LOGGER = logging.getLogger(__name__)
_PAUSE = 0.2  # seconds: what comes meanwhile is counted together
_MULTIPLE = 20.0  # a pause is as many times as long as the latest count has taken, so that this is 5 % of a core
_MOST_UNKNOWN = 100_000
"""Events that wait for their items in memory; all are in the journal."""


class Counting:
    """Lets the model count what was posted, within a second where the log is not large.

    Args:
        models: hold the model.
        worker: asks it.
        metrics: what is counted.
    """

    def __init__(self, models: Models, worker: Worker, metrics: Metrics) -> None:
        self._models, self._worker, self._metrics = models, worker, metrics
        self._rows: list[EventRow] = []
        self._unknown: list[EventRow] = []  # of items that the catalogue lacks, which may be posted yet
        self._arrival = asyncio.Event()

    def add(self, rows: Iterable[EventRow]) -> None:
        """Take events that wait to be counted."""
        self._rows += rows
        self._metrics.uncounted.set(len(self._rows))
        self._arrival.set()

    def look_again(self) -> None:
        """Count events that came before their items, which are in the catalogue now."""
        if self._unknown:
            self._arrival.set()

    async def run(self) -> None:
        """Count until it is cancelled."""
        took = 0.0
        while True:
            await self._arrival.wait()
            await asyncio.sleep(max(_PAUSE, _MULTIPLE * took))
            rows = self._known()
            self._arrival.clear()
            try:
                took = await self._models.count(self._worker, rows)
            except Unavailable:  # the server is stopping
                return
            except Exception:  # they are in the journal, and the next model or start counts them
                _LOGGER.exception("%d events could not be counted", len(rows))
            self._metrics.uncounted.set(len(self._rows))

    def _known(self) -> list[EventRow]:
        """The events that wait, without those of unknown items, which go on waiting."""
        rows, self._rows = [*self._unknown, *self._rows], []
        catalogue = self._models.current.catalogue
        self._unknown = [row for row in rows if row["item_id"] not in catalogue][-_MOST_UNKNOWN:]
        return [row for row in rows if row["item_id"] in catalogue]
