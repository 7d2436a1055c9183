"""Endpoints that take something in: events and new items."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from fastapi import APIRouter

from mml.serve.errors import documented
from mml.serve.journal import Row
from mml.serve.schemas import Events, EventsKept, ItemsAdded, NewItems
from mml.serve.service import Service


def keep_routes(service: Service) -> APIRouter:
    """POST /events and /items."""
    router = APIRouter(tags=["keep"])

    @router.post("/events", responses=documented(400, 401, 408, 413, 422, 503))
    async def events(request: Events) -> EventsKept:
        """Keep what users did: `user_id` in /recommend uses it at once, and a later update learns from it."""
        now = round(time.time(), 3)
        rows: list[Row] = [one.model_dump() for one in request.events]
        for row in rows:
            row["timestamp"] = now if row["timestamp"] is None else row["timestamp"]
        await asyncio.to_thread(service.events.append, rows)
        service.histories.add(rows)
        service.metrics.events.inc(len(rows))
        return EventsKept(
            kept=len(rows), unknown_items=service.current.catalogue.unknown(row["item_id"] for row in rows)
        )

    @router.post("/items", responses=documented(400, 401, 408, 413, 422, 429, 503))
    async def add_items(request: NewItems) -> ItemsAdded:
        """Make new items recommendable at once; columns as in the dataset's item table."""
        rows = [one.model_dump(exclude_none=True) for one in request.items]
        return await service.worker.call(lambda: _add(service, rows))

    return router


def _add(service: Service, rows: Sequence[Row]) -> ItemsAdded:
    fresh = service.models.missing(rows)
    if fresh:
        service.models.add_items(fresh)
        service.new_items.append(fresh)
    left = {id(row) for row in rows} - {id(row) for row in fresh}
    known = dict.fromkeys(row["item_id"] for row in rows if id(row) in left)
    return ItemsAdded(added=len(fresh), already_known=list(known))
