"""The process: socket, signals, and an end that answers what has begun."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from mml.errors import InputError
from mml.serve.app import create_app
from mml.serve.errors import Unavailable
from mml.serve.service import Service

_LOGGER = logging.getLogger(__name__)
_STOP = (signal.SIGINT, signal.SIGTERM)


def open_socket(host: str, port: int) -> socket.socket:
    """A bound socket, taken before the model is read so that a taken port is said at once.

    Raises:
        InputError: if it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio leaves Nagle's algorithm on and each answer waits 40 ms for an acknowledgement
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        return opened
    except (OSError, OverflowError) as error:
        opened.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port} cannot be listened on ({reason}): give another --port or --host.") from None


def address(opened: socket.socket) -> str:
    """Its URL."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with our signals: SIGTERM and Ctrl-C finish what has begun, SIGHUP takes a new model.

    Args:
        service: what answers.
        token: bearer token, or None.
        listening: called as soon as connections are taken.
    """

    def __init__(self, service: Service, token: str | None, listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(service, token),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=int(service.limits.drain_seconds),
            )
        )
        self.service = service
        self._listening = listening
        self.stopped_by: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reload: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While it runs, signals are ours. Unlike uvicorn's own, they are not raised again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {**dict.fromkeys(_STOP, self.handle_exit), signal.SIGHUP: self._on_hangup}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: no new connections, answers for what has begun; at the second Ctrl-C at once."""
        self.service.is_stopping = True
        self.stopped_by = sig
        super().handle_exit(sig, frame)

    def _on_hangup(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._start_reload)

    def _start_reload(self) -> None:
        self._reload = asyncio.get_running_loop().create_task(self._try_reload())

    async def _try_reload(self) -> None:
        try:
            await self.service.models.reload(self.service.worker)
        except Unavailable as error:
            _LOGGER.warning("%s", error)
