"""Damaged logs and item files: loaded as a run loads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mml.data.dataset import MMLDataset
from mml.errors import InputError
from tests.data.small_log import load_log, small_rows, write_log
from tests.fuzz.mutations import TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, tries

ITEM_HEADER = "item_id:token\ttitle:token_seq\tgenre:token\tprice:float\tvector:float_seq"
SOURCES = (
    "{columns: [title], encoder: tfidf}",
    "{columns: [genre], encoder: multihot}",
    "{columns: [price], encoder: numeric}",
    "{columns: [vector], encoder: numeric}",
    "{columns: [genre, title]}",
)


def log_bytes(separator: str = "\t") -> bytes:
    """The small log."""
    with a_folder() as folder:
        return write_log(folder, small_rows(), separator=separator).read_bytes()


def item_bytes() -> bytes:
    """An item file for it."""
    rows = [
        f"i{item:03}\tshoe number {item}\tkind{item % 4}\t{item * 1.5}\t{item} {item % 7} 0.5" for item in range(24)
    ]
    return "\n".join([ITEM_HEADER, *rows, ""]).encode()


LOG, ITEMS = log_bytes(), item_bytes()


def load(folder: Path, log: bytes = LOG, items: bytes | None = None, *argv: str) -> MMLDataset | InputError:
    """What comes of a log and an item file."""
    path = folder / "log" / "log.inter"
    path.parent.mkdir()
    path.write_bytes(log)
    if items is not None:
        path.with_name("log.item").write_bytes(items)
    found = attempt(folder, lambda: load_log(folder, *argv))
    if isinstance(found, MMLDataset):
        check(found, log)
    return found  # type: ignore[no-any-return]


def check(dataset: MMLDataset, log: bytes) -> None:
    """Every row of the log is used or counted."""
    summary = dataset.summary()
    n_rows = len(log.rstrip(b"\r\n").split(b"\n")) - 1
    dropped = {
        k: v
        for k, v in summary["dropped_rows"].items()
        if k not in ("repeated_in_item_file", "beyond_cold_user_max_inter")
    }
    assert summary["interactions"] + sum(dropped.values()) == n_rows
    assert summary["items"] >= summary["warm_items"] > 0
    for features in dataset.item_features.values():
        assert abs(features.vectors).max() < 1e15


@tries(0.109)
@given(damages(TEXT))
def test_logs(how: list[Damage]) -> None:
    with a_folder() as folder:
        load(folder, damaged(LOG, how))


@tries(0.026)
@given(damages(TEXT), st.sampled_from([",", " ", "||", ";"]))
def test_logs_with_other_separators(how: list[Damage], separator: str) -> None:
    with a_folder() as folder:
        load(folder, damaged(log_bytes(separator), how), None, f"--field_separator={separator}")


@tries(0.09)
@given(damages(TEXT), st.sampled_from(SOURCES))
def test_item_files(how: list[Damage], source: str) -> None:
    with a_folder() as folder:
        load(folder, LOG, damaged(ITEMS, how), f"--learners.txt.source={source}")


@tries(0.026)
@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    with a_folder() as folder:
        load(folder, content)


@pytest.mark.parametrize("source", SOURCES)
def test_the_sound_files_load(source: str) -> None:
    with a_folder() as folder:
        assert isinstance(load(folder, LOG, ITEMS, f"--learners.txt.source={source}"), MMLDataset)
