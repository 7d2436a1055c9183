"""How torch and numpy compute in this process: threads, precision of matrix products, deterministic operations."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import torch
from threadpoolctl import threadpool_limits

from mml.config.config import Config

logger = logging.getLogger(__name__)

_memory: Any = torch.utils.deterministic  # a module with a property, which its type does not know


def set_up_torch(config: Config) -> None:
    """Threads and precision of the process, by the config.

    Sums round by how they are shared among threads, so numpy's products have as many as torch, whatever the machine.
    """
    run = config.run
    torch.set_num_threads(run.cpu_threads)
    threadpool_limits(run.cpu_threads, user_api="blas")
    if config.device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when it starts
    set_precision(config.device, run.tf32)


def set_precision(device: torch.device, tf32: bool) -> None:
    """Use TF32 for matrix products on CUDA if wanted; elsewhere, and by default, full precision."""
    if tf32 and device.type != "cuda":
        logger.info("tf32 is for CUDA: on the %s products stay in full precision.", device.type)
    torch.set_float32_matmul_precision("high" if tf32 and device.type == "cuda" else "highest")
    torch.backends.cudnn.allow_tf32 = tf32 and device.type == "cuda"  # of its GRU, which does not heed the above


@contextmanager
def deterministic(said: set[str]) -> Iterator[None]:
    """Within this context torch takes the deterministic form of every operation that has one.

    One that has none runs all the same, and is logged. Where the caller has switched to deterministic operations,
    that stays as it is. `use_deterministic_algorithms` is the same switch, but first imports torch's compiler, 1.3 s.

    Args:
        said: what was logged of this run, which is not said again.
    """
    mode, fill, show = torch.get_deterministic_debug_mode(), _memory.fill_uninitialized_memory, warnings.showwarning
    if mode:
        yield
        return

    def log_once(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message)
        if "determinis" not in text:
            show(message, category, filename, lineno, file, line)
        elif (first := text.partition(", but you set")[0].partition(". ")[0]) not in said:
            said.add(first)
            logger.warning("%s: two runs can differ in rounding.", first)

    try:
        torch.set_deterministic_debug_mode("warn")
        _memory.fill_uninitialized_memory = False  # it would cost a pass over each new tensor, and nothing reads these
        warnings.showwarning = log_once
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        _memory.fill_uninitialized_memory = fill
        warnings.showwarning = show
