"""Tables that come after the import: histories and new items of strangers, by what the import was told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import example, given
from hypothesis import strategies as st

from mml.errors import InputError
from mml.features.new_items import read_new_items
from mml.tables.events import Events, read_events
from mml.tables.layout import TableLayout
from tests.fuzz.mutations import CELLS, TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, tries
from tests.fuzz.test_imports import ITEMS, log_csv

LAYOUT = TableLayout.of(
    {"imported": {"user": "customer_id", "item": "product_id", "time": "ordered_at", "item_id": "id"}}
)
LINES = b"".join(b'{"user_id": "u%d", "item_id": "i%d", "timestamp": %d}\n' % (n % 5, n, 1000 - n) for n in range(40))


def check(events: Events) -> None:
    """Every row has a user, and all are text."""
    frame = events.frame
    assert list(frame) == ["user_id", "item_id"]
    assert all(isinstance(cell, str) for cell in frame.to_numpy().ravel())
    assert (frame["user_id"] != "").all()


@tries(0.03)
@given(damages(TEXT), st.integers(0, 4))
def test_histories(how: list[Damage], form: int) -> None:
    with a_folder() as folder:
        (folder / "today.csv").write_bytes(damaged(log_csv(form), how))
        found = attempt(folder, lambda: read_events(folder / "today.csv", LAYOUT))
        if not isinstance(found, InputError):
            check(found)


@tries(0.02)
@given(damages(TEXT))
def test_lines_of_json(how: list[Damage]) -> None:
    with a_folder() as folder:
        (folder / "events.jsonl").write_bytes(damaged(LINES, how))
        found = attempt(folder, lambda: read_events(folder / "events.jsonl", LAYOUT))
        if not isinstance(found, InputError):
            check(found)


@tries(0.02)
@given(damages(TEXT), st.sampled_from(["new.csv", "new.tsv", "new.item", "new.jsonl"]))
def test_new_items(how: list[Damage], name: str) -> None:
    with a_folder() as folder:
        (folder / name).write_bytes(damaged(ITEMS, how))
        found = attempt(folder, lambda: read_new_items(folder / name, LAYOUT))
        assert isinstance(found, InputError) or (found.index.is_unique and "" not in found.index)


_cells = st.sampled_from([*CELLS, None, float("nan"), 3, 2.5, pd.NaT, np.int64(7), True, (1, 2)])


@tries(0.01)
@given(st.lists(st.tuples(_cells, _cells, _cells), max_size=6))
@example([("1e308", "9999-12-31", "1e308"), ("1e308", "9999-12-31", "1e308")])
def test_frames_of_anything(rows: list[tuple[object, ...]]) -> None:
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "ordered_at"])
    with a_folder() as folder:
        found = attempt(Path(folder), lambda: read_events(frame, LAYOUT))
        if not isinstance(found, InputError):
            check(found)
