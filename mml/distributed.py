"""Several processes for one run, started by torchrun: users are shared out, sums are made over all, rank 0 writes.

Every process reads all data, makes the same random draws and holds all parameters; so each knows its share without
asking, and a run comes out as that of one process. Without torchrun every function here does nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from mml.logs import say_end

T = TypeVar("T")

GO_ON = "The finished stages are kept: start the same command again to go on."


class PeerLost(Exception):
    """Another process of the run has died or does not answer."""


def local_rank() -> int:
    """Number of this process on its machine, as torchrun says; 0 without it."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this is the process that writes files and shows progress."""
    return rank() == 0


@contextmanager
def processes(device: torch.device, timeout: float) -> Iterator[None]:
    """Join the other processes of the run, if torchrun has started any.

    Args:
        device: of this process: gloo moves what is on the CPU, NCCL what is on a GPU.
        timeout: seconds to wait for another process before it counts as lost.

    Raises:
        PeerLost: if the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    with _guarded():
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    yield  # after an error nothing is torn down in order: that would wait for the lost ones
    dist.destroy_process_group()
    signal.signal(signal.SIGTERM, before)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """torchrun ends all processes once one has failed."""
    say_end(f"process {rank()} was stopped, since another process of the run failed.")
    print(f"error: process {rank()}: stopped, since another process of the run failed. {GO_ON}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(128 + signal.SIGTERM)


@contextmanager
def _guarded() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo and of torch's DistError alike
        why = str(error).strip().splitlines()[0]
        raise PeerLost(f"process {rank()}: another process of the run is lost ({why}). {GO_ON}") from error


def share(lengths: np.ndarray) -> np.ndarray:
    """This process's rows of some tasks, all rows without torchrun.

    Args:
        lengths: int64 [n], the tasks' lengths; every process gets as many long ones.
    """
    if size() == 1:
        return np.arange(len(lengths))
    return np.sort(np.argsort(-lengths, kind="stable")[rank() :: size()])


def gather(rows: np.ndarray, values: Tensor, n: int) -> Tensor:
    """All processes' values: rows int64 [m], values [m, ...] -> [n, ...] on every process."""
    if size() == 1 and len(rows) == n:
        return values[torch.from_numpy(np.argsort(rows)).to(values.device)]
    whole = values.new_zeros(n, *values.shape[1:])
    whole[torch.from_numpy(rows).to(values.device)] = values
    return add(whole)


def add(values: Tensor) -> Tensor:
    """Sum over the processes, in place; of any shape, the same in all of them."""
    if size() > 1 and values.numel():
        with _guarded():
            dist.all_reduce(values)
    return values


def add_array(values: np.ndarray) -> np.ndarray:
    """As `add`."""
    add(torch.from_numpy(values))
    return values


def add_number(value: float) -> float:
    """Sum of a number over the processes."""
    return float(add(torch.tensor(value, dtype=torch.float64))) if size() > 1 else value


def add_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum the gradients over the processes; a parameter stays without one if it has none anywhere."""
    if size() == 1:
        return
    trained = [value for value in parameters if value.requires_grad]
    has = torch.tensor([value.grad is not None for value in trained], dtype=trained[0].dtype)
    grads = [torch.zeros_like(value) if value.grad is None else value.grad for value in trained]
    flat = add(torch.cat([has.to(trained[0].device), *(grad.reshape(-1) for grad in grads)]))
    anywhere = flat[: len(trained)].tolist()
    parts = flat[len(trained) :].split([value.numel() for value in trained])
    for value, part, n in zip(trained, parts, anywhere, strict=True):
        value.grad = part.view_as(value) if n else None


def from_main(make: Callable[[], T]) -> T:
    """What `make` returns on rank 0, which alone calls it, on every process."""
    if size() == 1:
        return make()
    box = [make() if is_main() else None]
    with _guarded():
        dist.broadcast_object_list(box, device=torch.device("cpu"))
    return box[0]  # type: ignore[return-value]
