"""What users did since a log ended: some of them are in it and go on, the others are new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, prefix_tasks


@dataclass(frozen=True)
class Newer:
    """Interactions that came after those of a log.

    Args:
        log: the newer ones of each user who has any.
        times: float64 [n_interactions], when they came; None if they are not known.
        order: float64 [n_interactions], what ascends with time, such as rows of a table; None if that is not known.
        users: int64 [n_users], the users' numbers in the older log; those who are not in it are numbered from its
            number of users on, one after the other.
        n_old: users of the older log.
    """

    log: PackedSequences
    times: np.ndarray | None
    order: np.ndarray | None
    users: np.ndarray
    n_old: int

    @classmethod
    def of(
        cls,
        log: PackedSequences,
        times: np.ndarray | None,
        numbers: np.ndarray,
        n_old: int,
        order: np.ndarray | None = None,
    ) -> Newer:
        """Of sequences, some of them empty, and the users' numbers in the older log, -1 for who is not in it.

        Where there are times, they are the order.
        """
        some = log.lengths > 0
        users = numbers[some]
        is_new = users < 0
        users[is_new] = n_old + np.arange(int(is_new.sum()))
        by_time = order if times is None else times
        return cls(PackedSequences(log.items, np.unique(log.offsets)), times, by_time, users, n_old)

    def without(self, left_out: np.ndarray) -> Newer:
        """What the other users did; bool [n_users]."""
        kept = ~left_out[self.log.owners]
        times, order = (None if one is None else one[kept] for one in (self.times, self.order))
        numbers = np.where(self.users < self.n_old, self.users, -1)
        return Newer.of(self.log.only(kept), times, numbers, self.n_old, order)

    def after(self, old: PackedSequences) -> PackedSequences:
        """All sequences: those of the older log, of which some go on, and those of users who are new."""
        owners = np.concatenate([old.owners, self.users[self.log.owners]])
        items = np.concatenate([old.items, self.log.items])
        order = np.argsort(owners, kind="stable")
        n_users = self.n_old + int((self.users >= self.n_old).sum())
        return PackedSequences.from_sorted(owners[order], items[order], n_users)

    def tasks(self, old: PackedSequences, max_length: int) -> TaskSet:
        """A task for each newer interaction of somebody of whom something was known; `users` of the tasks are numbers.

        Args:
            old: the older log.
            max_length: longest history.
        """
        whole = self.after(old)
        known = np.zeros(len(whole), dtype=np.int64)
        known[: len(old)] = old.lengths
        tasks = prefix_tasks(whole.only(np.isin(whole.owners, self.users)), max_length)
        return tasks.take(tasks.shots >= known[tasks.users])
