"""Many runs in one process: what they hold does not grow."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

import mml
from tests.conftest import SMALL
from tests.data.small_log import small_rows, write_log
from tests.fuzz.outcome import CASES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="what a process holds is read from /proc"),
]

RUNS = 20 if CASES >= 20_000 else 6  # 20 in make test-long
WARM_UP = 3
"""Runs in which libraries load what they keep."""
MOST_GROWTH = 4 * 2**20
"""Bytes: some pages of the allocator, and much less than one run's data."""


def held() -> tuple[int, int, int]:
    """Bytes of memory, open files and threads of this process."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return pages * os.sysconf("SC_PAGE_SIZE"), files, max(threading.active_count(), len(os.listdir("/proc/self/task")))


def test_memory_files_and_threads_do_not_grow(tmp_path: Path) -> None:
    write_log(tmp_path / "data", small_rows())
    settings = {**SMALL, "pretrain_epochs": 1, "use_gpu": False, "topk": [5]}
    settings |= {"data_path": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    after = []
    for seed in range(RUNS):
        result = mml.run("log", config_dict={**settings, "seed": seed})
        assert len(mml.load(result["path"]).recommend({"anna": ["i001"]}, top=3)) == 3
        after.append(held())
    memory, files, threads = zip(*after[WARM_UP - 1 :], strict=True)
    assert memory[-1] - memory[0] < MOST_GROWTH, [size >> 20 for size, _, _ in after]
    assert set(files) == {files[0]}
    assert set(threads) == {threads[0]}
