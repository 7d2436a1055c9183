"""Users' histories, in whatever form they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mml.data.items import Items
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, tasks_after
from mml.errors import InputError

Given = Mapping[str, Iterable[object]] | pd.DataFrame | str | Path
_USERS = ("user_id", "user", "userId", "customer_id")
_ITEMS = ("item_id", "item", "itemId", "product_id")
_TIMES = ("timestamp", "time", "datetime", "date")


@dataclass(frozen=True)
class Histories:
    """Histories by user, the oldest item first.

    Args:
        users: their ids.
        items: numbers of the items that are known, of each user.
        ranks: places of these among all interactions in order of time; None where there are no times.
        n_unknown: how many items were skipped because nobody knows them.
    """

    users: list[str]
    items: list[list[int]]
    n_unknown: int
    ranks: list[list[int]] | None = None

    @classmethod
    def read(cls, given: Given, items: Items) -> Histories:
        """Histories from a mapping of user id to item ids, a table, or the name of a CSV or `.inter` file.

        A table has a column of users and one of items, and may have one of times; without it the rows are in order.

        Raises:
            InputError: if the columns are not there, or the file cannot be read.
        """
        if isinstance(given, (str, Path)):
            given = _read_table(Path(given))
        lists, places = _by_user(given) if isinstance(given, pd.DataFrame) else (given, None)
        users, known, unknown = [], [], 0
        ranks: list[list[int]] | None = None if places is None else []
        for user, own in lists.items():
            if isinstance(own, str):
                raise InputError(f"the history of '{user}' is the text {own!r}; give a list of item ids.")
            ids = list(own)
            numbers = items.known(ids)
            users.append(str(user))
            known.append(numbers)
            unknown += len(ids) - len(numbers)
            if ranks is not None and places is not None:
                ranks.append([place for one, place in zip(ids, places[user], strict=True) if items.known([one])])
        return cls(users, known, unknown, ranks)

    @property
    def times(self) -> np.ndarray | None:
        """float64 [n_interactions], an order in time of all users' `sequences`; None where there are no times."""
        if self.ranks is None:
            return None
        return np.array([rank for own in self.ranks for rank in own], dtype=np.float64)

    def tasks(self, rows: np.ndarray, max_length: int) -> TaskSet:
        """The tasks of some users, whose next item is to be predicted; each has one known item at least."""
        return tasks_after(self.sequences(rows), max_length)

    def sequences(self, rows: np.ndarray | None = None) -> PackedSequences:
        """The known items of some users, all if None, packed."""
        own = self.items if rows is None else [self.items[row] for row in rows]
        lengths = np.array([len(one) for one in own], dtype=np.int64)
        flat = np.concatenate([np.zeros(0, np.int64), *(np.asarray(one, dtype=np.int64) for one in own)])
        return PackedSequences(flat, np.concatenate(([0], np.cumsum(lengths))))


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path}: no such file; name a CSV with the columns user_id and item_id.")
    separator = "\t" if path.suffix in (".inter", ".tsv") else ","
    try:
        frame = pd.read_csv(
            path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig", compression=None
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a table ({' '.join(str(error).split())}).") from None
    return frame.rename(columns=lambda column: str(column).partition(":")[0])


_Places = dict[str, list[int]]


def _by_user(frame: pd.DataFrame) -> tuple[dict[str, list[object]], _Places | None]:
    """Each user's items, and their places among all rows in order of time, if there are times."""
    user, item = _column(frame, _USERS, "users"), _column(frame, _ITEMS, "items")
    time = next((name for name in _TIMES if name in frame), None)
    if time is not None:
        times = pd.to_numeric(frame[time], errors="coerce")
        order = frame[time] if times.isna().any() else times
        frame = frame.loc[order.sort_values(kind="stable").index]
    kept = frame.assign(_place=np.arange(len(frame)))[frame[item].astype(str) != ""]
    groups = kept.groupby(user, sort=False)
    everybody = [str(name) for name in frame[user].unique()]
    items: dict[str, list[object]] = {name: [] for name in everybody}
    items |= {str(name): list(own) for name, own in groups[item]}
    if time is None:
        return items, None
    places: _Places = {name: [] for name in everybody}
    return items, places | {str(name): list(own) for name, own in groups["_place"]}


def _column(frame: pd.DataFrame, names: tuple[str, ...], what: str) -> str:
    found = next((name for name in names if name in frame), None)
    if found is None:
        raise InputError(
            f"the table of histories has no column of {what}: it has {', '.join(map(str, frame))}; call it {names[0]}."
        )
    return found
