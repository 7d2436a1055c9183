"""How torch and numpy compute in this process: threads, precision of matrix products."""

from __future__ import annotations

import logging

import torch
from threadpoolctl import threadpool_limits

from mml.config.config import Config

logger = logging.getLogger(__name__)


def set_up_torch(config: Config) -> None:
    """Threads and precision of the process, by the config.

    Sums round by how they are shared among threads, so numpy's products have as many as torch, whatever the machine.
    """
    run = config.run
    torch.set_num_threads(run.cpu_threads)
    threadpool_limits(run.cpu_threads, user_api="blas")
    set_precision(config.device, run.tf32)


def set_precision(device: torch.device, tf32: bool) -> None:
    """Use TF32 for matrix products on CUDA if wanted; elsewhere, and by default, full precision."""
    if tf32 and device.type != "cuda":
        logger.info("tf32 is for CUDA: on the %s products stay in full precision.", device.type)
    torch.set_float32_matmul_precision("high" if tf32 and device.type == "cuda" else "highest")
    torch.backends.cudnn.allow_tf32 = tf32 and device.type == "cuda"  # of its GRU, which does not heed the above
