"""One thread that owns the model: requests gathered into one call, behind a queue that has an end."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from mml.serve.answering import Answer, Ask
from mml.serve.errors import Overloaded, Unavailable
from mml.serve.limits import Limits
from mml.serve.metrics import Metrics
from mml.serve.schemas import Recommendation

T = TypeVar("T")


@dataclass
class _Job:
    """Asks, whose answers are put into `done`; or a call that is made alone, and then is done."""

    asks: Sequence[Ask]
    call: Callable[[], None] | None
    done: asyncio.Future[list[Answer]]
    arrived: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return max(1, len(self.asks))


class Worker:
    """Takes jobs in their order. Asks that wait next to each other share a call.

    Args:
        answer: the answers to asks, each independent of the others; called in the thread.
        limits: window, batch and queue.
        metrics: what is counted.
    """

    def __init__(self, answer: Callable[[Sequence[Ask]], list[Answer]], limits: Limits, metrics: Metrics) -> None:
        self._answer = answer
        self._limits = limits
        self._metrics = metrics
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._arrival = asyncio.Event()
        self._closing = False
        self._seconds_each = 0.01
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to take jobs; within a running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Refuse new jobs, finish those that wait, end the thread."""
        self._closing = True
        self._arrival.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def recommend(self, asks: Sequence[Ask]) -> list[Recommendation]:
        """The asks' answers, in their order.

        Raises:
            Overloaded: if too much waits.
            Exception: what the model raised for one of them.
        """
        found = []
        for answer in await self._put(asks, None, bounded=True):
            if isinstance(answer, Exception):
                raise answer
            found.append(answer)
        return found

    async def call(self, function: Callable[[], T], bounded: bool = True) -> T:
        """What a function returns that uses or changes the model, with nothing else at work on it.

        Args:
            function: called in the thread.
            bounded: whether it is refused where too much waits.
        """
        result: list[T] = []
        await self._put((), lambda: result.append(function()), bounded)
        return result[0]

    async def _put(self, asks: Sequence[Ask], call: Callable[[], None] | None, bounded: bool) -> list[Answer]:
        if self._closing:
            raise Unavailable("the server is stopping")
        job = _Job(asks, call, asyncio.get_running_loop().create_future())
        # what is larger than the whole queue is let in when nothing else waits
        if bounded and self._waiting and self._waiting + job.size > self._limits.queue:
            self._metrics.refused.inc()
            raise Overloaded(self._retry_after())
        self._jobs.append(job)
        self._count(job.size)
        self._arrival.set()
        return await job.done

    def _retry_after(self) -> int:
        return min(60, max(1, math.ceil(self._waiting * self._seconds_each)))

    def _count(self, change: int) -> None:
        self._waiting += change
        self._metrics.waiting.set(self._waiting)

    async def _run(self) -> None:
        while True:
            if not self._jobs:
                if self._closing:
                    return
                self._arrival.clear()
                await self._arrival.wait()
                continue
            if self._jobs[0].call is None:
                await self._gather()
            await self._work(self._take())

    async def _gather(self) -> None:
        """Wait for company until the first job's window is over."""
        rest = self._jobs[0].arrived + self._limits.window - time.monotonic()
        if rest > 0 and self._waiting < self._limits.batch and not self._closing:
            await asyncio.sleep(rest)

    def _take(self) -> list[_Job]:
        """The first job, with the asks next to it that fit into one call."""
        taken = [self._jobs.popleft()]
        size = taken[0].size
        while taken[0].call is None and self._jobs and self._jobs[0].call is None:
            if size + self._jobs[0].size > self._limits.batch:
                break
            taken.append(self._jobs.popleft())
            size += taken[-1].size
        self._count(-size)
        return [job for job in taken if not job.done.done()]

    async def _work(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        begin = time.perf_counter()
        loop, call = asyncio.get_running_loop(), jobs[0].call
        try:
            if call is not None:
                await loop.run_in_executor(self._thread, call)
                _finish(jobs[0], [])
                return
            result = await loop.run_in_executor(self._thread, self._answered, jobs)
        except Exception as error:  # it belongs to whoever asked
            for job in jobs:
                _finish(job, error)
            return
        self._note(sum(job.size for job in jobs), time.perf_counter() - begin)
        for job, answered in zip(jobs, result, strict=True):
            _finish(job, answered)

    def _answered(self, jobs: Sequence[_Job]) -> list[list[Answer]]:
        found = iter(self._answer([ask for job in jobs for ask in job.asks]))
        return [[next(found) for _ in job.asks] for job in jobs]

    def _note(self, persons: int, seconds: float) -> None:
        self._metrics.batch_persons.observe(persons)
        self._metrics.model_seconds.observe(seconds)
        self._seconds_each = 0.9 * self._seconds_each + 0.1 * seconds / persons


def _finish(job: _Job, result: list[Answer] | Exception) -> None:
    if job.done.done():  # whoever asked has gone
        return
    if isinstance(result, Exception):
        job.done.set_exception(result)
    else:
        job.done.set_result(result)
