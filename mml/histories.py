"""Users' histories, in whatever form they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mml.data.items import Items
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, tasks_after
from mml.errors import InputError
from mml.tables.events import Events, joined, read_events
from mml.tables.ids import is_no_id
from mml.tables.layout import TableLayout

Given = Mapping[str, Iterable[object]] | pd.DataFrame | str | Path


@dataclass(frozen=True)
class Histories:
    """Histories by user, the oldest item first.

    Args:
        users: their ids.
        items: numbers of the items that are known, of each user.
        unknown: items that were skipped because nobody knows them.
        seconds: when these were taken; None where there are no times.
        rows: of the table, that these were; None where there is no table.
    """

    users: list[str]
    items: list[list[int]]
    unknown: Sequence[object]
    seconds: list[list[float]] | None = None
    rows: list[list[int]] | None = None

    @classmethod
    def read(cls, given: Given, items: Items, layout: TableLayout | None = None) -> Histories:
        """Histories from a mapping of user id to item ids, a table, or the name of a file of one.

        A table has a column of users and one of items, and may have one of times; without it the rows are in order.

        Args:
            given: the histories.
            items: that are known.
            layout: what is known of the shop's tables, such as the names of their columns.

        Raises:
            InputError: if the columns are not there, or the file cannot be read.
        """
        if isinstance(given, (str, Path, pd.DataFrame)):
            return cls._known(items, *_by_user(read_events(given, layout or TableLayout())))
        if isinstance(given, Mapping):
            return cls._known(items, given)
        raise InputError(_no_histories(given))

    @classmethod
    def read_together(cls, files: Sequence[Path], items: Items, layout: TableLayout) -> Histories:
        """Histories from the files of several tables, such as those of two servers, as one log in the order of time.

        Raises:
            InputError: as `read`; or some of them have times and others none.
        """
        return cls._known(items, *_by_user(joined([read_events(file, layout) for file in files])))

    @classmethod
    def _known(
        cls,
        items: Items,
        lists: Mapping[str, Iterable[object]],
        numbers_of_rows: _Rows | None = None,
        times: _Times | None = None,
    ) -> Histories:
        """Histories of those items that are known; rows and times as `lists`, which has no user twice then."""
        users, known = [], []
        unknown: list[object] = []
        seconds: list[list[float]] | None = None if times is None else []
        rows: list[list[int]] | None = None if numbers_of_rows is None else []
        seen: set[str] = set()
        for name, own in lists.items():
            user = str(name).strip()
            if user in seen:
                raise InputError(f"the histories name user '{user}' twice; join the two.")
            seen.add(user)
            ids = listed(f"the history of '{user}'", own, ordered=True)
            numbers = items.known(ids)
            users.append(user)
            known.append(numbers)
            is_known = [True] * len(ids) if len(numbers) == len(ids) else [bool(items.known([one])) for one in ids]
            unknown += [one for one, some in zip(ids, is_known, strict=True) if not some]
            if seconds is not None and times is not None:
                seconds.append(list(compress(times[str(name)], is_known)))
            if rows is not None and numbers_of_rows is not None:
                rows.append(list(compress(numbers_of_rows[str(name)], is_known)))
        return cls(users, known, unknown, seconds, rows)

    @property
    def n_unknown(self) -> int:
        """How many items were skipped."""
        return len(self.unknown)

    @property
    def times(self) -> np.ndarray | None:
        """float64 [n_interactions], when those of all users' `sequences` were taken; None where there are no times."""
        if self.seconds is None:
            return None
        return np.array([time for own in self.seconds for time in own], dtype=np.float64)

    @property
    def order(self) -> np.ndarray | None:
        """float64 [n_interactions], rows of the table, of all users' `sequences`; they ascend with time."""
        if self.rows is None:
            return None
        return np.array([row for own in self.rows for row in own], dtype=np.float64)

    @cached_property
    def keys(self) -> np.ndarray:
        """uint64 [n_interactions], by which an interaction is known again: user, item and time; none without times.

        Times are told apart by microseconds, as files of logs hold them.
        """
        if self.seconds is None:
            return np.zeros(0, dtype=np.uint64)
        users = (user for user, own in zip(self.users, self.items, strict=True) for _ in own)
        return row_keys(users, chain.from_iterable(self.items), chain.from_iterable(self.seconds))

    @property
    def repeats(self) -> np.ndarray:
        """bool [n_interactions], those of a user, item and time that an earlier row has, as when it was sent again: an
        import counts them once, too. Without times they cannot be told."""
        found = np.zeros(sum(map(len, self.items)), dtype=bool)
        if self.seconds is not None:
            found[:] = True
            found[np.unique(self.keys, return_index=True)[1]] = False
        return found

    def once(self) -> Histories:
        """Without the repeats."""
        repeats = self.repeats
        return self.of_rows(~repeats) if repeats.any() else self

    def of_rows(self, kept: np.ndarray) -> Histories:
        """Some of the interactions, bool [n_interactions], of the same users."""
        ends = np.cumsum([len(own) for own in self.items])
        masks = [one.tolist() for one in np.split(kept, ends[:-1])] if len(ends) else []
        items = [list(compress(own, mask)) for own, mask in zip(self.items, masks, strict=True)]
        seconds, rows = self.seconds, self.rows
        if seconds is not None:
            seconds = [list(compress(own, mask)) for own, mask in zip(seconds, masks, strict=True)]
        if rows is not None:
            rows = [list(compress(own, mask)) for own, mask in zip(rows, masks, strict=True)]
        return replace(self, items=items, seconds=seconds, rows=rows)

    def tasks(self, rows: np.ndarray, max_length: int) -> TaskSet:
        """The tasks of the users `rows` [n], whose next item is to be predicted; each has one known item at least."""
        tasks = tasks_after(self.sequences(rows), max_length)
        if self.seconds is None:
            return tasks
        return replace(tasks, asked=np.array([self.seconds[row][-1] for row in rows], dtype=np.float64))

    def pairs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All known items of some users: the user's place among them and the item, int64 [n_interactions] each."""
        own = self.sequences(rows)
        return own.owners, own.items

    def sequences(self, rows: np.ndarray | None = None) -> PackedSequences:
        """The known items of some users, all if None, packed."""
        own = self.items if rows is None else [self.items[row] for row in rows]
        lengths = np.array([len(one) for one in own], dtype=np.int64)
        flat = np.concatenate([np.zeros(0, np.int64), *(np.asarray(one, dtype=np.int64) for one in own)])
        return PackedSequences(flat, np.concatenate(([0], np.cumsum(lengths))))


def row_keys(users: Iterable[str], items: Iterable[int], times: Iterable[float]) -> np.ndarray:
    """uint64 [n], by which interactions are known again; see Histories.keys."""
    return keys_of(
        f"{user}\0{item}\0{round(float(time), 6)!r}" for user, item, time in zip(users, items, times, strict=True)
    )


def among(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """bool [n], which keys are among others, uint64 [n], [m], the latter ascending: few are looked up in many."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


def keys_of(names: Iterable[str]) -> np.ndarray:
    """uint64 [n], by which names are known again."""
    digests = b"".join(hashlib.blake2b(one.encode(errors="surrogatepass"), digest_size=8).digest() for one in names)
    return np.frombuffer(bytearray(digests), dtype=np.uint64)


def listed(what: str, ids: object, ordered: bool = False, of: str = "item") -> list[object]:
    """Ids as a list.

    Args:
        what: they are, for messages.
        ids: any iterable.
        ordered: whether their order matters.
        of: what the ids are of, for messages.

    Raises:
        InputError: for a text, a single number, nothing, or a set where the order matters.
    """
    if isinstance(ids, (str, bytes)):
        raise InputError(f"{what} is the text {ids!r}; give a list of {of} ids.")
    if not isinstance(ids, Iterable):
        raise InputError(f"{what} is {ids!r}; give a list of {of} ids.")
    if ordered and isinstance(ids, (set, frozenset)):
        raise InputError(f"{what} is a set, which has no order; give a list, the oldest first.")
    return list(ids)


def user_ids(users: object) -> list[str]:
    """Ids of users, each once; a float that is a whole number, as a column with gaps has them, stands for that.

    Raises:
        InputError: for what is no list, or has nothing in the place of an id.
    """
    if isinstance(users, (Mapping, pd.DataFrame)):
        raise InputError(f"users is a {type(users).__name__}; give a list of user ids, or these as histories.")
    whole = [
        int(one) if isinstance(one, float) and one.is_integer() else one for one in listed("users", users, of="user")
    ]
    names = [str(one).strip() for one in whole]
    for one, name in zip(whole, names, strict=True):
        if not name or is_no_id(name):
            raise InputError(f"users has {one!r} in the place of an id; leave it out.")
    return list(dict.fromkeys(names))


def _no_histories(given: object) -> str:
    hint = "; a Series becomes one by .to_dict()" if isinstance(given, pd.Series) else ""
    return (
        f"histories of type {type(given).__name__}: give a mapping {{user id: [item ids]}}{hint}, a table, or the name "
        "of a file of one."
    )


_Times = dict[str, list[float]]
_Rows = dict[str, list[int]]


def _by_user(events: Events) -> tuple[dict[str, list[str]], _Rows, _Times | None]:
    """Each user's items, their rows, and when they took them, if there are times."""
    frame = events.frame
    codes, names = pd.factorize(frame["user_id"])
    kept = np.flatnonzero((frame["item_id"] != "").to_numpy(dtype=bool))
    kept = kept[np.argsort(codes[kept], kind="stable")]
    ends = np.cumsum(np.bincount(codes[kept], minlength=len(names))).tolist()

    def of_each(cells: np.ndarray) -> dict[str, list[Any]]:
        own = cells[kept].tolist()
        return {str(name): own[begin:end] for name, begin, end in zip(names, [0, *ends], ends, strict=False)}

    items, rows = of_each(frame["item_id"].to_numpy(dtype=object)), of_each(np.arange(len(frame)))
    return items, rows, None if events.times is None else of_each(events.times)
