"""When memory ends: how it is recognised, and work that goes on in smaller parts."""

from __future__ import annotations

import gc
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
logger = logging.getLogger(__name__)

EXIT = 4
"""The exit code of a fault of the machine."""
_SIGNS = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc", "alloc_failed")
_FOR_GOOD = ("could not create a primitive", "could not create a memory object", "failed to map segment")
"""Of oneDNN, which stays so once it had no room for its code, and of the loader of libraries: less data do not help."""
_ADVICE = (
    "error: memory has run out. Free some, raise the limit (ulimit -v, cgroup), or take less at a time: a smaller "
    "task_chunk_size or eval_batch_size. Then give the same command again: what is finished is kept."
)


def is_out_of_memory(error: BaseException, signs: tuple[str, ...] = (*_SIGNS, *_FOR_GOOD)) -> bool:
    """Whether an exception says that memory has run out, in whichever of the libraries.

    torch raises a RuntimeError on the CPU and its own kind of one on a GPU, the loader of libraries an ImportError.
    """
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, MemoryError):
            return True
        if isinstance(chain, (RuntimeError, ImportError, OSError)) and any(
            sign in str(chain).lower() for sign in signs
        ):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def report_out_of_memory() -> int:
    """Print what to do in one line; returns the exit code."""
    print(_ADVICE, file=sys.stderr, flush=True)
    return EXIT


def in_halves(chunks: Iterable[np.ndarray], work: Callable[[np.ndarray], T]) -> Iterator[tuple[np.ndarray, T]]:
    """Work on each chunk of rows; one that memory does not hold is cut in two, until single rows are too much.

    Args:
        chunks: rows int64 [c] each.
        work: on some rows. It may be called again with a part of them, so it changes nothing before it is done.

    Yields:
        (rows, what came of them) in order.
    """
    most: int | None = None
    for whole in chunks:
        waiting = deque(_cut(whole, most))
        while waiting:
            rows = waiting.popleft()
            try:
                done = work(rows)
            except (MemoryError, RuntimeError) as error:
                if len(rows) < 2 or not is_out_of_memory(error, _SIGNS):
                    raise
            else:
                yield rows, done
                continue
            most = -(-len(rows) // 2)
            logger.warning("Memory does not hold %d users at a time: going on with %d.", len(rows), most)
            _let_go()
            waiting.extendleft(reversed(_cut(rows, most)))


def _cut(rows: np.ndarray, most: int | None) -> list[np.ndarray]:
    size = len(rows) if most is None else most
    return [rows[begin : begin + size] for begin in range(0, len(rows), size)]


def _let_go() -> None:
    """Give back what a failed try has left."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
