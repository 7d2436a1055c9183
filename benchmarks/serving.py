"""How many requests per second a served model answers, how long they take, and what it does when there are too many.

    python -m benchmarks.serving shop
    python -m benchmarks.serving --stub 8

The server is a process of its own on the loopback address, and so is not slowed by what asks it. First so many clients
as are given ask one after the other; then eight times as many as may wait ask at once; then a few ask again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

QUEUE = 64


@dataclass
class Measured:
    """Of one load: seconds per answer, by status, and how long it all took."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    wall: float = 0.0

    def line(self, name: str) -> str:
        """One line of the table."""
        good = np.array(self.seconds.get(200, [np.nan])) * 1000
        counts = Counter({status: len(times) for status, times in self.seconds.items()})
        other = ", ".join(f"{count} x {status}" for status, count in sorted(counts.items()) if status != 200) or "none"
        p50, p99 = np.percentile(good, [50, 99])
        speed = f"{counts[200] / self.wall:>10.0f}{p50:>10.1f}{p99:>10.1f}"
        return f"{name:<22}{speed}   {counts[200]} answered, refused: {other}"


class Client:
    """One connection that is kept open."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, path: str, body: object) -> int:
        """The status of an answer, which is read to its end."""
        text = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        self._writer.write(head.encode() + text)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", answer, re.IGNORECASE)
        await self._reader.readexactly(int(length[1]) if length else 0)
        return int(answer.split(" ", 2)[1])


async def load(host: str, port: int, clients: int, requests: int, histories: Sequence[list[str]]) -> Measured:
    """Several clients that each ask `requests` times, one after the other."""
    measured = Measured()

    async def ask(place: int) -> None:
        async with Client(host, port) as client:
            for number in range(requests):
                history = histories[(place * requests + number) % len(histories)]
                begin = time.perf_counter()
                status = await client.post("/recommend", {"history": history, "top": 10, "explain": False})
                measured.seconds.setdefault(status, []).append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(ask(place) for place in range(clients)))
    measured.wall = time.perf_counter() - begin
    return measured


@contextmanager
def server(command: Sequence[str]) -> Iterator[tuple[str, int]]:
    """A server that ends with the context: host and port."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        try:
            assert run.stdout is not None
            for line in run.stdout:
                found = re.match(r"http://([\d.]+):(\d+)", line)
                if found:
                    yield found[1], int(found[2])
                    break
            else:
                raise SystemExit("the server did not start")
        finally:
            run.send_signal(signal.SIGTERM)
            run.communicate()


async def measure(host: str, port: int, clients: int, requests: int, histories: Sequence[list[str]]) -> None:
    """Print the table."""
    print(f"{'':<22}{'answers/s':>10}{'p50 ms':>10}{'p99 ms':>10}")
    await load(host, port, 4, 10, histories)  # the first calls are slower
    loads = (("one client", 1, requests), (f"{clients} clients", clients, requests), ("overload", 8 * QUEUE, 3))
    for name, many, each in (*loads, ("after the overload", 1, requests)):
        print((await load(host, port, many, each, histories)).line(name), flush=True)


def some_histories(host: str, port: int) -> list[list[str]]:
    """Histories of one to nine of the items that most people take."""
    import urllib.request

    with urllib.request.urlopen(f"http://{host}:{port}/items?limit=200", timeout=60) as answer:
        items = [item["item_id"] for item in json.load(answer)["items"]]
    draw = np.random.default_rng(0)
    return [draw.choice(items, size=draw.integers(1, 10)).tolist() for _ in range(1000)]


def main() -> None:
    """Start a server and measure it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", help="a dataset whose latest run is served, or a folder with a model")
    parser.add_argument(
        "--stub", type=float, metavar="MS", help="instead, a model whose every call takes MS milliseconds"
    )
    parser.add_argument("--clients", type=int, default=16, help="that ask at the same time (default: 16)")
    parser.add_argument("--requests", type=int, default=200, help="that each sends (default: 200)")
    options = parser.parse_args()
    if (options.model is None) == (options.stub is None):
        parser.error("name a model, or give --stub")
    with tempfile.TemporaryDirectory() as folder:
        module, model = "mml.serve", options.model
        if options.stub is not None:
            module, model = "tests.serve", folder
            Path(folder, "stub.json").write_text(json.dumps({"seconds": options.stub / 1000}), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            module,
            model,
            "--port",
            "0",
            "--queue",
            str(QUEUE),
            "--journal",
            f"{folder}/j",
        ]
        with server([*command, "--watch", "0"]) as (host, port):
            asyncio.run(measure(host, port, options.clients, options.requests, some_histories(host, port)))


if __name__ == "__main__":
    main()
