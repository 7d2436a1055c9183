"""A server around the stub: in this process for single requests, as a process of its own for signals."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="serving's packages are not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

import httpx
from fastapi.testclient import TestClient

from mml.serve.app import create_app
from mml.serve.limits import Limits
from mml.serve.service import Service
from tests.serve.stub import Stub, write_pictures


def stub_folder(path: Path, **settings: object) -> Path:
    """A folder that the stub is read from."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "stub.json").write_text(json.dumps(settings), encoding="utf-8")
    return path


@dataclass
class Served:
    """A service in this process, its model and a client."""

    service: Service
    model: Stub
    client: TestClient


@pytest.fixture
def service_of(tmp_path: Path) -> Callable[..., Service]:
    """Makes a service of a stub; it is not running yet."""

    def make(model: Stub, limits: Limits | None = None) -> Service:
        return Service("shop", tmp_path, lambda _: model, tmp_path / "served", limits)

    return make


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """Runs a service in this event loop; gives a client that can send many requests at one time."""
    transport = httpx.ASGITransport(create_app(service), raise_app_exceptions=False)
    async with service.running(), httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        yield client


@pytest.fixture
def serve(tmp_path: Path, service_of: Callable[..., Service]) -> Callable[..., object]:
    """Serve a stub within a context: `with serve(token=...) as served`."""

    @contextmanager
    def serving(model: Stub | None = None, token: str | None = None, limits: Limits | None = None) -> Iterator[Served]:
        own = model or Stub(write_pictures(tmp_path / "images"))
        service = service_of(own, limits)
        with TestClient(create_app(service, token), raise_server_exceptions=False) as client:
            yield Served(service, own, client)

    return serving


@pytest.fixture
def client(serve: Callable[..., object]) -> Iterator[TestClient]:
    """A client of a stub with pictures, without a token."""
    with serve() as served:  # type: ignore[attr-defined]
        yield served.client


class Process:
    """`python -m tests.serve` and where it listens."""

    def __init__(self, model: Path, *options: str) -> None:
        command = [sys.executable, "-m", "tests.serve", str(model), "--port", "0", *options]
        root = Path(__file__).resolve().parents[2]
        self.run = subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(root)
        )
        self.said = ""
        assert self.run.stdout is not None
        for line in self.run.stdout:
            self.said += line
            found = re.match(r"(http://\S+)  the page", line)
            if found:
                self.url = found[1]
                break
        else:
            raise AssertionError(self.said)

    def end(self, number: int) -> int:
        """Send a signal and wait for the exit code."""
        self.run.send_signal(number)
        self.said += self.run.communicate(timeout=30)[0]
        return self.run.returncode

    def kill(self) -> None:
        """Whatever happened in the test, nothing is left running."""
        if self.run.poll() is None:
            self.run.kill()
            self.run.communicate()


def _environment(root: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Starts servers that end with the test."""
    begun: list[Process] = []

    def start(model: Path, *options: str) -> Process:
        begun.append(Process(model, *options))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
