"""Where memory ends a chunk is cut in two, and nothing else changes."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from mml.cli.main import main
from mml.memory import in_halves, is_out_of_memory
from mml.stopping import in_order

CPU = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.fixture(autouse=True)
def _little_to_collect() -> Iterator[None]:
    """`in_halves` collects garbage; what other tests of the process have left need not be gone through each time."""
    gc.freeze()
    yield
    gc.unfreeze()


def of(most: int, error: Exception) -> Iterator[tuple[np.ndarray, int]]:
    """Chunks of 8, 8 and 3 rows where no more than `most` at a time have room."""

    def work(rows: np.ndarray) -> int:
        if len(rows) > most:
            raise error
        return int(rows.sum())

    return in_halves(np.split(np.arange(19), [8, 16]), work)


@pytest.mark.parametrize("most", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU), MemoryError()])
def test_all_rows_come_once_and_in_order(most: int, error: Exception) -> None:
    found = list(of(most, error))
    assert np.concatenate([rows for rows, _ in found]).tolist() == list(range(19))
    assert all(len(rows) <= most and done == rows.sum() for rows, done in found)


def test_what_was_too_much_is_not_tried_again_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert [len(rows) for rows, _ in of(5, MemoryError())] == [4, 4, 4, 4, 3]
    assert [one.getMessage() for one in caplog.records] == ["Memory does not hold 8 users at a time: going on with 4."]


def test_one_row_too_much_is_an_error() -> None:
    with pytest.raises(MemoryError):
        list(of(0, MemoryError()))


def test_other_errors_are_no_want_of_memory() -> None:
    for error in (RuntimeError("shapes do not match"), ValueError("out of memory"), ImportError("no module")):
        assert not is_out_of_memory(error)
    with pytest.raises(RuntimeError, match="shapes"):
        list(of(3, RuntimeError("shapes do not match")))
    caused = KeyError("x")
    caused.__cause__ = RuntimeError(CPU)
    assert is_out_of_memory(caused)


@pytest.mark.parametrize("error", [RuntimeError(CPU), MemoryError(), ImportError("x.so: failed to map segment")])
def test_a_command_says_it_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: object) -> int:
        raise error

    monkeypatch.setattr("mml.cli.recommend.main", fails)
    assert main(["recommend", "shop"]) == in_order(lambda: fails(None)) == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: memory has run out. Free some, raise the limit") for line in lines)


def test_other_errors_of_a_command_are_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> int:
        raise RuntimeError("a bug")

    monkeypatch.setattr("mml.cli.recommend.main", fails)
    with pytest.raises(RuntimeError, match="a bug"):
        main(["recommend", "shop"])
    with pytest.raises(RuntimeError, match="a bug"):
        in_order(lambda: fails(None))
