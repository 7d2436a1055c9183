"""The whole log as events, also what the split leaves out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mml.data.dataset import MMLDataset
from mml.data.events import EventLog
from tests.data.loading import load


def _dataset(folder: Path, with_time: bool = True) -> tuple[MMLDataset, list[tuple[str, str, float]]]:
    """A log of 30 users whose old half goes on after T; `late` is an item that only old users touch, after T."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(30):
        for step in range(int(rng.integers(4, 14))):
            rows.append((f"u{user}", f"i{rng.integers(0, 20)}", float(10 * user + step * 7)))
    rows.append(("u0", "late", 1000.0))
    order = rng.permutation(len(rows))
    rows = [rows[place] for place in order] if with_time else sorted(rows, key=lambda row: row[2])
    (folder / "log").mkdir()
    columns = "user_id:token\titem_id:token" + ("\ttimestamp:float" if with_time else "")
    lines = ["\t".join(map(str, row if with_time else row[:2])) for row in rows]
    (folder / "log" / "log.inter").write_text("\n".join([columns, *lines]) + "\n", encoding="utf-8")
    argv = ["--dataset", "log", f"--data_path={folder}", "--data_split_quantile=0.5", "--topk=[3]"]
    return load([*argv, "--valid_metric=NDCG@3", "--repeatable=True", "--MAX_ITEM_LIST_LENGTH=10"]), rows


@pytest.mark.parametrize("with_time", [True, False])
def test_all_rows_in_order_of_time(tmp_path: Path, with_time: bool) -> None:
    dataset, rows = _dataset(tmp_path, with_time)
    events = dataset.event_log()
    ranks = {user: rank for rank, user in enumerate(dataset.user_tokens)}
    ordered = sorted(rows, key=lambda row: (row[2], ranks[row[0]])) if with_time else rows
    kept = [row for row in ordered if row[1] != "late"]
    assert events.n_dropped == 1
    assert dataset.user_tokens[events.users].tolist() == [user for user, _, _ in kept]
    assert dataset.item_tokens[events.items].tolist() == [item for _, item, _ in kept]
    if with_time:
        assert events.times.tolist() == [time for _, _, time in kept]
    seen: dict[str, int] = {}
    for place, (user, _, _) in zip(events.places, kept, strict=True):
        assert place == seen.get(user, 0)
        seen[user] = seen.get(user, 0) + 1


def test_packed_interactions_are_found_among_the_events(tmp_path: Path) -> None:
    dataset, _ = _dataset(tmp_path)
    events, users = dataset.event_log(), dataset.users
    assert len(events) > sum(len(group.items) for group in (users.old, users.valid, users.new))
    first = 0
    for group in (users.old, users.valid, users.new):
        numbers = events.number_of(first + group.owners, group.places)
        assert events.items[numbers].tolist() == group.items.tolist()
        assert events.times_of(group, first).tolist() == events.times[numbers].tolist()
        first += len(group)
    np.testing.assert_array_equal(events.times_of(users.new, first - len(users.new)), dataset.new_times)
    end = events.times_of(users.old, 0).max()
    past = events.before(end)
    assert len(past) == (events.times <= end).sum()
    packed, times = past.sequences(len(users.old))
    assert packed.items.tolist() == users.old.items.tolist()
    assert packed.offsets.tolist() == users.old.offsets.tolist()
    assert times.tolist() == events.times_of(users.old, 0).tolist()


def test_an_empty_log() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert len(EventLog.from_rows(nothing, nothing, np.empty(0))) == 0
