"""How exactly matrix products of 32-bit numbers are computed."""

from __future__ import annotations

import logging

import torch

logger = logging.getLogger(__name__)


def set_precision(device: torch.device, tf32: bool) -> None:
    """Use TF32 for matrix products on CUDA if wanted; elsewhere, and by default, full precision."""
    if tf32 and device.type != "cuda":
        logger.info("tf32 is for CUDA: on the %s products stay in full precision.", device.type)
    torch.set_float32_matmul_precision("high" if tf32 and device.type == "cuda" else "highest")
