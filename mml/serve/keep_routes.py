"""Endpoints that take something in: events and new items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from fastapi import APIRouter

from mml.serve.errors import documented
from mml.serve.schemas import Events, EventsKept, ItemsAdded, NewItem, NewItems
from mml.serve.service import Service


def keep_routes(service: Service) -> APIRouter:
    """POST /events and /items."""
    router = APIRouter(tags=["keep"])

    @router.post("/events", responses=documented(400, 401, 408, 413, 422, 503))
    async def events(request: Events) -> EventsKept:
        """Keep what users did: `user_id` in /recommend uses it at once, everybody's list within a second or so, as
        what is popular and what follows what is counted anew, and a later update learns from it."""
        now = round(time.time(), 3)
        rows = [event.row(now) for event in request.events]
        await asyncio.to_thread(service.events.append, rows)
        service.histories.add(rows)
        service.counting.add(rows)
        service.metrics.events.inc(len(rows))
        return EventsKept(
            kept=len(rows), unknown_items=service.current.catalogue.unknown(row["item_id"] for row in rows)
        )

    @router.post("/items", responses=documented(400, 401, 408, 413, 422, 429, 503))
    async def add_items(request: NewItems) -> ItemsAdded:
        """Make new items recommendable at once; columns as in the dataset's item table. Events of them that came before
        count within a second or so."""
        try:
            return await service.worker.call(lambda: _add(service, request.items))
        finally:  # they may be recommendable, and not written
            service.counting.look_again()

    return router


def _add(service: Service, items: Sequence[NewItem]) -> ItemsAdded:
    fresh = service.models.missing(items)
    added = service.models.add_items(fresh) if fresh else []
    service.unwritten += added
    if service.unwritten:  # also what an earlier request could not write, as the disk was full
        service.new_items.append([item.row() for item in service.unwritten])
        service.unwritten.clear()
    left = {id(item) for item in items} - {id(item) for item in fresh}
    known = dict.fromkeys(item.item_id for item in items if id(item) in left)
    return ItemsAdded(added=len(added), already_known=list(known))
