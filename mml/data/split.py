"""The split into old, validation and new users, by time only: nothing at random (docs/protocol.md)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mml.errors import InputError


@dataclass(frozen=True)
class UserSplit:
    """Which rows of a log belong to which kind of user.

    Args:
        rows: int64 [n_kept], the kept rows: users in order of arrival, each user's rows in time order. Old users
            come first, then validation users, then new users.
        users: int64 [n_kept], arrival rank of each kept row's user, from 0.
        times: float64 [n_kept], their times.
        n_old, n_valid, n_new: number of users of each kind.
        time: T, or None if a list of users made the split.
    """

    rows: np.ndarray
    users: np.ndarray
    times: np.ndarray
    n_old: int
    n_valid: int
    n_new: int
    time: float | None


def split_users(
    users: np.ndarray,
    times: np.ndarray,
    *,
    split_time: float | None,
    split_quantile: float,
    valid_user_ratio: float,
    valid_user_max: int | None = None,
    new_users: Collection[int] | None = None,
) -> UserSplit:
    """Split a log by the time of the users' first interactions.

    Args:
        users: int64 [n], user codes 0..n_users-1; of users who arrive at one time the smaller code comes first.
        times: float64 [n]; the row number where the log has no time column.
        split_time: T; if None, the quantile `split_quantile` of the users' first interaction times.
        split_quantile: see above, in [0, 1].
        valid_user_ratio: share of the old users, the latest to arrive, that become validation users.
        valid_user_max: at most so many of them, if given.
        new_users: user codes that are new, whatever their times; then all of an old user's rows are used.

    Raises:
        InputError: if no user is new, or fewer than two are old; says which T would do.
    """
    n_users = int(users.max()) + 1
    by_time = np.lexsort((users, times))  # ties by user; within a user, in file order
    first = np.full(n_users, -1, dtype=np.int64)
    first[users[by_time[::-1]]] = np.arange(len(users))[::-1]  # place of each user's first row in time order
    arrival = times[by_time[first]]

    if new_users is None:
        time = float(np.quantile(arrival, split_quantile)) if split_time is None else float(split_time)
        is_new = arrival > time
        _require_both(is_new, arrival, time, None if split_time is not None else split_quantile)
        kept = is_new[users] | (times <= time)
    else:
        time = None
        is_new = np.zeros(n_users, dtype=bool)
        is_new[np.fromiter(new_users, dtype=np.int64)] = True
        if is_new.all():
            raise InputError("new_users_file lists every user of the log; some must stay to be trained on.")
        kept = np.ones(len(users), dtype=bool)

    in_order = np.lexsort((first, is_new))  # old users by arrival, then new users by arrival
    rank = np.empty(n_users, dtype=np.int64)
    rank[in_order] = np.arange(n_users)
    rows = by_time[kept[by_time]]
    rows = rows[np.argsort(rank[users[rows]], kind="stable")]
    n_before = int((~is_new).sum())
    n_valid = round(valid_user_ratio * n_before)
    if valid_user_max is not None:
        n_valid = min(n_valid, valid_user_max)
    return UserSplit(rows, rank[users[rows]], times[rows], n_before - n_valid, n_valid, int(is_new.sum()), time)


def _require_both(is_new: np.ndarray, arrival: np.ndarray, time: float, quantile: float | None) -> None:
    """Refuse a T, named by the key that has set it, which does not part the users; `quantile`: of it, if it is one."""
    n_old = int((~is_new).sum())
    if is_new.any() and n_old >= 2:
        return
    what = "no user arrives after it" if not is_new.any() else f"only {n_old} user(s) arrive before it"
    key = "data_split_time" if quantile is None else "data_split_quantile"
    value = f"{time:.15g}" if quantile is None else f"{quantile:g}, T = {time:.15g}"
    arrive = f"users arrive from {arrival.min():.15g} to {arrival.max():.15g}"
    if arrival.min() == arrival.max():
        arrive = f"all users arrive at {arrival.max():.15g}"
    tried = [0.8, 0.5, 0.2, 0.0]
    method: Literal["lower", "linear"] = "lower" if quantile is None else "linear"
    quantiles = np.quantile(arrival, tried, method=method)
    usual = next((i for i, t in enumerate(quantiles) if (arrival > t).any() and (arrival <= t).sum() >= 2), None)
    if usual is None:
        raise InputError(
            f"{key} {value}: {what}; {arrive}, so no time parts old from new with two old ones. List the new users in "
            "new_users_file."
        )
    n_usual = int((arrival > quantiles[usual]).sum())
    mend = quantiles[usual] if quantile is None else tried[usual]
    raise InputError(f"{key} {value}: {what} ({arrive}). {key}={mend:.15g} would give {n_usual} new users.")
