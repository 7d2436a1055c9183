"""The key `tf32`."""

from __future__ import annotations

import logging

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mml.config.config import Config
from mml.precision import set_precision, set_up_torch


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


def test_as_many_threads_whatever_the_machine() -> None:
    """Sums round by how they are shared among threads: numpy's products have as many as torch."""
    config = Config("ml-100k", config_dict={"use_gpu": False, "cpu_threads": 1})
    with threadpool_limits(2, user_api="blas"):
        set_up_torch(config)
        found = {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}
    assert found == {torch.get_num_threads()} == {1}
