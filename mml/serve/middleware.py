"""Around every request: token, bounds of the body, what is counted, headers."""

from __future__ import annotations

import asyncio
import hmac
import time

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mml.serve.errors import refusal, template
from mml.serve.limits import Limits
from mml.serve.metrics import Metrics

OPEN = frozenset({"/", "/docs", "/openapi.json", "/health", "/ready", "/favicon.ico"})
"""Paths that need no token: the pages, which hold no data, and what a supervisor asks."""


class TokenCheck:
    """Refuses requests without the bearer token, before their body is read.

    Args:
        app: what is behind it.
        token: the token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN or self._is_right(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        answer = refusal(
            401,
            "this server needs a token: send the header 'Authorization: Bearer TOKEN'",
            {"WWW-Authenticate": "Bearer"},
        )
        await answer(scope, receive, send)

    def _is_right(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)


class BodyBounds:
    """Reads the whole body before the application starts, and refuses one that is too large or too slow.

    It counts what comes, so it holds for a body without Content-Length as well.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > self._limits.body_bytes:
            await self._too_large()(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(self._read(receive), self._limits.body_seconds)
        except TimeoutError:
            seconds = f"{self._limits.body_seconds:g}"
            slow = refusal(408, f"the body did not come within {seconds} s", {"Connection": "close"})
            await slow(scope, receive, send)
            return
        if body is None:
            await self._too_large()(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    def _too_large(self) -> JSONResponse:
        most = self._limits.body_bytes
        return refusal(413, f"the body is larger than {most} bytes: send fewer rows at once", {"Connection": "close"})

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return bytes(body)
            body += message.get("body", b"")
            if len(body) > self._limits.body_bytes:
                return None
            if not message.get("more_body", False):
                return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class Observed:
    """Counts and times requests, and adds the headers that every answer has."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = template(scope)
            self._metrics.requests.labels(path, _method(scope["method"]), str(status)).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - begin)


def _method(name: str) -> str:
    return name if name in ("GET", "HEAD", "POST", "OPTIONS") else "other"


def _add_headers(headers: MutableHeaders) -> None:
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    headers.setdefault("Cache-Control", "no-store")
