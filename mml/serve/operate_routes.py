"""Endpoints for whoever runs the server, and the pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path
from fastapi.responses import FileResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from mml.serve.errors import documented
from mml.serve.limits import MOST_LETTERS
from mml.serve.pictures import TYPES, type_of
from mml.serve.schemas import Alive, State
from mml.serve.service import Service

_Responses = dict[int | str, dict[str, object]]
_PICTURE: _Responses = {200: {"content": {kind: {} for kind in TYPES}, "description": "the picture"}}
_METRICS: _Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "the counters"}}


def operate_routes(service: Service, may_reload: bool) -> APIRouter:
    """GET /health, /ready, /metrics and /images; POST /reload."""
    router = APIRouter(tags=["operate"])

    @router.get("/health")
    async def health() -> Alive:
        """The process answers."""
        return Alive()

    @router.get("/ready", responses={503: {"model": State, "description": "It is stopping."}})
    async def ready() -> JSONResponse:
        """Whether requests should be sent here, and what answers them."""
        state = _state(service)
        return JSONResponse(state.model_dump(), status_code=200 if state.status == "ready" else 503)

    @router.get("/metrics", response_class=Response, responses={**_METRICS, **documented(401)})
    def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @router.get(
        "/images/{item_id:path}", response_class=FileResponse, responses={**_PICTURE, **documented(401, 404, 422)}
    )
    async def image(item_id: Annotated[str, Path(min_length=1, max_length=MOST_LETTERS)]) -> FileResponse:
        """An item's picture."""
        path = service.current.pictures.get(item_id)
        kind = None if path is None else type_of(path)
        if path is None or kind is None:
            raise HTTPException(404, f"there is no picture of item '{item_id}'")
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "private, max-age=3600"})

    @router.post("/reload", responses=documented(401, 403, 503))
    async def reload() -> State:
        """Read the model's folder anew; the old model answers until the new one is there."""
        if not may_reload:
            raise HTTPException(403, "set a token (MML_TOKEN) to reload by request, or send the process SIGHUP")
        await service.models.reload(service.worker)
        return _state(service)

    return router


def _state(service: Service) -> State:
    served = service.current
    return State(
        status="stopping" if service.is_stopping else "ready",
        name=service.name,
        model=served.source.name,
        items=len(served.catalogue),
        new_items=served.catalogue.n_new,
        reloads=service.models.reloads,
    )
