"""The two pages, each one file that asks nobody but this server."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse


def page_routes() -> APIRouter:
    """GET / and /docs, and the icon that browsers ask for."""
    router = APIRouter(include_in_schema=False)

    def add(path: str, name: str) -> None:
        text = files("mml.serve").joinpath(name).read_text(encoding="utf-8")
        headers = {"Content-Security-Policy": content_policy(text), "Cache-Control": "no-cache"}

        @router.api_route(path, methods=["GET", "HEAD"])
        async def page() -> HTMLResponse:
            return HTMLResponse(text, headers=headers)

    @router.get("/favicon.ico", status_code=204)
    async def icon() -> None:
        """Browsers ask for one; there is none."""

    add("/", "page.html")
    add("/docs", "docs.html")
    return router


def content_policy(page: str) -> str:
    """A Content-Security-Policy that lets run the page's own script and style, by their hashes, and nothing else."""
    rules = [f"{kind}-src {_hashes(page, kind)}" for kind in ("script", "style")]
    fixed = "default-src 'none'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    return "; ".join([fixed, "frame-ancestors 'none'", *rules])


def _hashes(page: str, tag: str) -> str:
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (hashlib.sha256(text.encode()).digest() for text in inside)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
