"""The key `tf32`."""

from __future__ import annotations

import logging

import pytest
import torch

from mml.precision import set_precision


def test_only_for_cuda(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        set_precision(torch.device("cpu"), tf32=True)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.backends.cudnn.allow_tf32
    assert "full precision" in caplog.text
    try:
        set_precision(torch.device("cuda"), tf32=True)
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        set_precision(torch.device("cpu"), tf32=False)
