"""The key `tf32`, threads and deterministic operations."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mml.config.config import Config
from mml.files.bundle import State
from mml.precision import deterministic, set_precision, set_up_torch
from mml.run.folder import RunFolder
from mml.run.frame import Stages
from mml.trainer.keeping import Keeper


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


def test_operations_are_deterministic_within_a_stage_and_as_before_after_it(caplog: pytest.LogCaptureFixture) -> None:
    memory: Any = torch.utils.deterministic
    said: set[str] = set()
    before = memory.fill_uninitialized_memory, warnings.showwarning
    place, value = torch.tensor([0]), torch.tensor([1.0])

    def work() -> None:
        with deterministic(said):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
            assert not memory.fill_uninitialized_memory
            torch.zeros(3).put_(place, value)  # has no deterministic form
            torch.zeros(3).put_(place, value)
            raise KeyError

    for _ in range(2):  # in the second nothing is said again
        with pytest.raises(KeyError):
            work()
        assert not torch.are_deterministic_algorithms_enabled()
        assert (memory.fill_uninitialized_memory, warnings.showwarning) == before
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("put_ does not have a deterministic implementation")
    assert caplog.messages[0].endswith(": two runs can differ in rounding.")


def test_other_warnings_are_shown_as_before(recwarn: pytest.WarningsRecorder) -> None:
    with deterministic(set()):
        warnings.warn("something else", stacklevel=1)
    assert [str(one.message) for one in recwarn] == ["something else"]


def test_a_callers_own_choice_stays() -> None:
    torch.set_deterministic_debug_mode("error")
    try:
        with deterministic(set()):
            assert torch.get_deterministic_debug_mode() == 2
        assert torch.get_deterministic_debug_mode() == 2
    finally:
        torch.set_deterministic_debug_mode("default")


@pytest.mark.parametrize(
    ("n_tasks", "seconds", "said"),
    [(0, 0.0, "0.0 s."), (3, 8.0, "8.0 s, 0.4 users/s."), (4800, 2.0, "2.0 s, 2,400 users/s.")],
)
def test_a_stage_says_how_many_users_it_worked_on(
    n_tasks: int,
    seconds: float,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One that works on none, such as a generator that trains nothing, had `0 users/s`."""
    caplog.set_level("INFO")
    config = Config("x", arguments=[f"--output_dir={tmp_path}", "--use_gpu=False"])
    stages = Stages(RunFolder(config), 1, torch.device("cpu"))
    stages._folder.create()
    monkeypatch.setattr(Keeper, "seconds", seconds)
    stages("stage", [], [], [__name__], lambda _: ({}, n_tasks))
    assert caplog.messages[-1] == f"Stage stage: {said}"


def test_a_stage_is_deterministic(tmp_path: Path) -> None:
    config = Config("x", arguments=[f"--output_dir={tmp_path}", "--use_gpu=False"])
    stages = Stages(RunFolder(config), 1, torch.device("cpu"))
    stages._folder.create()

    def build(_: int) -> tuple[State, int]:
        return {"is": torch.are_deterministic_algorithms_enabled()}, 1

    assert stages("stage", [], [], [__name__], build)["is"]
    assert not torch.are_deterministic_algorithms_enabled()
