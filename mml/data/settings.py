"""The keys of the split and of the tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class DataSettings:
    """What makes users, their sequences and their tasks of a log."""

    stage: ClassVar[str] = "data"
    section: ClassVar[str] = "Split, by time only"

    data_split_time: float | None = setting(
        None, "T; users whose first interaction is later are new. ~: by the quantile."
    )
    data_split_quantile: float = setting(0.8, "T as a quantile of the users' first interaction times.", low=0, high=1)
    new_users_file: str | None = setting(None, "Instead of T: a file with one new user per line.")
    valid_user_ratio: float = setting(
        0.1, "Share of the old users, the latest, kept for validation.", low=0.0, high=0.5
    )
    valid_user_max: int | None = setting(10000, "At most so many validation users; ~: no limit.", low=1)
    cold_user_max_inter: int | None = setting(10, "A new user's first n interactions are used; ~: all.", low=2)
    eval_shots: str | list[int] = setting(  # noqa: RUF009  # a list is a factory there
        [1, 3, 5, 9],
        "Predict a new user's next item after so many; or: last (support i2..i(n-2), test in).",
        low=1,
        choices=("last",),
    )
    repeatable: bool = setting(False, "Whether items of the history may be recommended again.")
    task_max_inter: int | None = setting(
        11,
        "An old user's task: a random stretch of so many interactions; ~: its latest MAX_ITEM_LIST_LENGTH.",
        low=3,
        stage="learners",
    )
    query_inter_num: int = setting(
        5, "The last n interactions of a task are query, those before are support.", low=1, stage="learners"
    )
