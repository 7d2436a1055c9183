"""A server that is asked without a pause while everything goes wrong at once: who asks rightly is answered."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi", reason="serving's packages are not installed")

from tests.serve.server import Process, httpx
from tests.serve.test_process import _point, _Traffic, _until, latest  # noqa: F401

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process are Linux's"),
]

ROUNDS = 5
JSON = {"Content-Type": "application/json"}


def stalled(url: str) -> socket.socket:
    """A client that says it has a body, sends a part of it and nothing more."""
    place = urlsplit(url)
    opened = socket.create_connection((place.hostname, place.port or 80), timeout=20)
    opened.sendall(
        b"POST /recommend HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{"
    )
    return opened


def events(client: httpx.Client, number: int) -> int:
    """Post one event; its status."""
    body = {"events": [{"user_id": f"u{number}", "item_id": "001", "timestamp": number}]}
    return int(client.post("/events", json=body).status_code)


def test_faults_leave_others_alone(
    process: Callable[..., Process],
    latest: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal"
    server = process(latest, "--watch", "0", "--journal", str(journal))
    found: dict[str, set[int]] = {"json": set(), "large": set(), "full": set(), "kept": set()}
    kept: list[int] = []
    with _Traffic(server.url) as traffic, httpx.Client(trust_env=False, base_url=server.url, timeout=20) as client:
        slow = [stalled(server.url) for _ in range(8)]
        for number in range(ROUNDS):
            found["json"].add(client.post("/recommend", content=b'{"history": [', headers=JSON).status_code)
            found["large"].add(client.post("/recommend", content=b" " * 3_000_000, headers=JSON).status_code)
            kept.append(number)
            found["kept"].add(events(client, number))
            with full_disk(server.run.pid, journal / "events.jsonl"):
                found["full"].add(events(client, 100 + number))
            _point(latest, tmp_path / ("new" if number % 2 == 0 else "old"))
            server.run.send_signal(signal.SIGHUP)
            n_answered = len(traffic.statuses)
            _until(lambda n=n_answered: len(traffic.statuses) > n + 5)  # type: ignore[misc]
        health = client.get("/health").status_code
        for one in slow:
            one.close()
    assert found == {"json": {400}, "large": {413}, "full": {503}, "kept": {200}}
    assert health == 200
    assert set(traffic.statuses) == {200}
    assert all(len(generation) == 1 for generation in traffic.generations)
    rows = [json.loads(line) for line in (journal / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["timestamp"] for row in rows] == kept  # what was answered 503 is not there, not even in part
    assert server.end(signal.SIGTERM) == 0
    assert "Traceback" not in server.said


class full_disk:
    """Within it another process can make a file no longer than it is, and a few bytes."""

    def __init__(self, pid: int, path: Path) -> None:
        self._pid, self._path = pid, path
        self._before: Any = None

    def __enter__(self) -> None:
        self._before = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (os.path.getsize(self._path) + 5, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)
