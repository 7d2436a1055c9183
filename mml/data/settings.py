"""Settings of the data: the log's columns, the split, and what a new user is evaluated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class SeedSettings:
    """What all randomness starts from."""

    seed: int = setting(2020, "Of all that is random.", low=0, high=2**32 - 1, stage="data")


@dataclass(frozen=True)
class LogSettings:
    """What is read of the log."""

    stage: ClassVar[str] = "data"
    section: ClassVar[str] = "Data"

    USER_ID_FIELD: str = setting("user_id", "Column of the users.")
    ITEM_ID_FIELD: str = setting("item_id", "Column of the items.")
    TIME_FIELD: str = setting("timestamp", "Column of the times; a log without it is in time order row by row.")
    LAUNCH_FIELD: str | None = setting(
        "launch", "Column of .item with the time an item came, on the log's clock; read if it is there."
    )
    load_col: Mapping[str, object] | None = setting(
        {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
        "Columns to read; .item is read for its ids (items that nobody has touched yet).",
    )
    benchmark_filename: tuple[str, ...] | None = setting(
        None, "Parts of a log in several files, as RecBole has them: [train, valid, test]; they are read as one log."
    )
    filter_inter_by_user_or_item: bool = setting(
        False, "True: drop interactions with items or users missing in .item or .user."
    )
    MAX_ITEM_LIST_LENGTH: int = setting(50, "Longest history the encoder sees.", low=2)


@dataclass(frozen=True)
class SplitSettings:
    """Who is new: by time only."""

    stage: ClassVar[str] = "data"
    section: ClassVar[str] = "Split, by time only"

    data_split_time: float | None = setting(
        None, "T; users whose first interaction is later are new; ~ = by the quantile."
    )
    data_split_quantile: float = setting(
        0.8, "T as a quantile of the users' first interaction times.", low=0.0, high=1.0
    )
    new_users_file: str | None = setting(None, "Instead of T: a file with one new user per line.", is_path=True)
    valid_user_ratio: float = setting(
        0.1, "Share of the old users, the latest, kept for validation.", low=0.0, high=0.5
    )
    valid_user_max: int | None = setting(10000, "At most so many validation users; ~ = no limit.", low=1)
    cold_user_max_inter: int | None = setting(10, "A new user's first n interactions are used; ~ = all.", low=2)
    eval_shots: str | tuple[int, ...] = setting(
        [0, 1, 3, 5, 9],
        "Predict a new user's next item after so many, 0 for the first screen, reported by itself; or: last (support "
        "i2..i(n-2), test in).",
        choices=("last",),
        low=0,
    )
    repeatable: bool = setting(False, "True: items of the history may be recommended again.")


@dataclass(frozen=True)
class PopularitySettings:
    """Popularity after so many interactions: read when users are ranked, and by learners that are fitted."""

    stage: ClassVar[str] = "generator"
    section: ClassVar[str] = "Feature learners"

    popularity_by_shots: bool = setting(
        True,
        "What users take after so many interactions, instead of overall popularity: beside linear's predictions, and "
        "as that prior for new users with up to popularity_first.",
    )
    popularity_first: int = setting(
        3, "Up to so many interactions the prior of feature learners is popularity after so many.", low=0
    )
    popularity_lengths: int = setting(
        10, "Histories of so many interactions and more are alike in what users take next.", low=1
    )
    popularity_least_prior: float = setting(
        10.0,
        "Overall popularity counts for so many interactions at least, beside those counted after so many; for how many "
        "more, their likelihood says.",
        low=1e-3,
        high=1e6,
    )


OVERALL = PopularitySettings(popularity_by_shots=False)
"""Popularity whatever the number of interactions."""


@dataclass(frozen=True)
class TaskSettings:
    """The tasks of the old users."""

    stage: ClassVar[str] = "meta"
    section: ClassVar[str] = "Meta-training"

    task_max_inter: int | None = setting(
        11,
        "An old user's task: a random stretch of so many interactions, as short as a new user's; ~ = its latest "
        "MAX_ITEM_LIST_LENGTH.",
        low=3,
    )
    query_inter_num: int = setting(5, "The last n interactions of a task are query, those before are support.", low=1)
