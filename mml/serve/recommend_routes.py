"""Endpoints that answer with lists of items."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Path, Query

from mml.data.items import zeros_lost
from mml.serve.answering import Ask, Wanted, item_answer, ranked
from mml.serve.errors import documented, known_query
from mml.serve.limits import MOST_LETTERS, MOST_TOP
from mml.serve.schemas import (
    BatchRecommendation,
    BatchRequest,
    ItemList,
    RankedList,
    Recommendation,
    RecommendRequest,
    Wishes,
)
from mml.serve.service import Service

Top = Annotated[int, Query(ge=1, le=MOST_TOP, description="length of the list")]
ItemPath = Annotated[str, Path(min_length=1, max_length=MOST_LETTERS, description="item id")]


def recommend_routes(service: Service) -> APIRouter:
    """POST /recommend and /recommend/batch, GET /similar, /popular and /items."""
    router = APIRouter(tags=["recommend"], dependencies=[Depends(known_query)])

    @router.post("/recommend", responses=documented(400, 401, 408, 413, 422, 429, 503))
    async def recommend(request: RecommendRequest) -> Recommendation:
        """Items for one person, after their history. An unknown or empty history gets the popular items."""
        posted = None if request.user_id is None else service.histories.of(request.user_id)
        ask = Ask(tuple(request.history), _wanted(request), request.user_id, posted)
        return (await _asked(service, [ask]))[0]

    @router.post("/recommend/batch", responses=documented(400, 401, 408, 413, 422, 429, 503))
    async def recommend_batch(request: BatchRequest) -> BatchRecommendation:
        """Items for several persons; each list is the one that the person would get alone."""
        wanted = _wanted(request)
        asks = [Ask(tuple(history), wanted, user) for user, history in request.histories.items()]
        asks += [Ask((), wanted, user, service.histories.of(user)) for user in request.user_ids]
        found = await _asked(service, asks)
        return BatchRecommendation(users=dict(zip([*request.histories, *request.user_ids], found, strict=True)))

    @router.get("/similar/{item_id:path}", responses=documented(401, 404, 422, 429, 503))
    async def similar(item_id: ItemPath, top: Top = 10) -> RankedList:
        """Items that are most like an item."""
        return await service.worker.call(lambda: _similar(service, item_id, top))

    @router.get("/popular", responses=documented(401, 422, 429, 503))
    async def popular(top: Top = 10) -> RankedList:
        """The items that most people took, in the log and in what updates have learned."""
        return await service.worker.call(lambda: _popular(service, top))

    @router.get("/items", responses=documented(401, 422))
    def search(
        q: Annotated[str, Query(max_length=MOST_LETTERS, description="terms in title or id; empty for all")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_TOP, description="most items")] = 20,
    ) -> ItemList:
        """Items of the catalogue, most taken first."""
        served = service.current
        return ItemList(items=[item_answer(served, item) for item in served.catalogue.search(q, limit)])

    return router


def _wanted(request: Wishes) -> Wanted:
    items = None if request.items is None else tuple(request.items)
    return Wanted(request.top, items, tuple(request.exclude), request.new_items_share, request.explain)


async def _asked(service: Service, asks: list[Ask]) -> list[Recommendation]:
    found = await service.worker.recommend(asks)
    service.metrics.unknown.inc(sum(len(answer.unknown_items) for answer in found))
    return found


def _similar(service: Service, item: str, top: int) -> RankedList:
    served = service.current
    if item not in served.catalogue:
        like = zeros_lost([item], served.catalogue.ids)
        raise HTTPException(404, f"there is no item '{item}' in the catalogue{'.' * bool(like)}{like}")
    return RankedList(items=ranked(served, served.model.similar(item, top=top)))


def _popular(service: Service, top: int) -> RankedList:
    served = service.current
    return RankedList(items=ranked(served, served.model.popular(top=top)))
