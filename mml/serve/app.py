"""The application: endpoints, checks and pages around one service."""

from __future__ import annotations

from fastapi import FastAPI

from mml.serve.errors import add_handlers
from mml.serve.keep_routes import keep_routes
from mml.serve.middleware import OPEN, BodyBounds, Observed, TokenCheck
from mml.serve.operate_routes import operate_routes
from mml.serve.pages import page_routes
from mml.serve.recommend_routes import recommend_routes
from mml.serve.service import Service
from mml.version import __version__

_ABOUT = 'Recommendations for people who have only just arrived. Every refusal is JSON: {"error": "why"}.'


def create_app(service: Service, token: str | None = None) -> FastAPI:
    """The ASGI application.

    Args:
        service: what answers; it starts and stops with the application.
        token: bearer token that requests must have; None for open.
    """
    app = FastAPI(
        title=f"mml: {service.name}",
        description=_ABOUT,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=service.running,
    )
    add_handlers(app)
    for router in (
        recommend_routes(service),
        keep_routes(service),
        operate_routes(service, may_reload=token is not None),
        page_routes(),
    ):
        app.include_router(router)
    app.add_middleware(BodyBounds, limits=service.limits)
    if token is not None:
        app.add_middleware(TokenCheck, token=token)
        _document_token(app)
    app.add_middleware(Observed, metrics=service.metrics)
    return app


def _document_token(app: FastAPI) -> None:
    """Say in the specification which paths need the token."""
    specification = app.openapi()
    specification.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, methods in specification["paths"].items():
        if path not in OPEN:
            for operation in methods.values():
                operation["security"] = [{"token": []}]
