"""The counts of a dataset, as they stand in result.json."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Summary(TypedDict):
    """What is in the data, and what was left out."""

    old_users: int
    valid_users: int
    new_users: int
    evaluated_users: int
    evaluated_cases: int
    skipped_users: dict[str, int]
    items: int
    warm_items: int
    cold_items: int
    interactions: int
    split_time: float | None
    split_at: NotRequired[str | None]
    dropped_rows: dict[str, int]
    skipped_cases: dict[str, int]
    ignored_columns: list[str]
    modality_coverage: dict[str, float]
