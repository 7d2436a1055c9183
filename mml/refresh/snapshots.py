"""Snapshots: what a system would know of all new users when it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet


@dataclass(frozen=True)
class UserSequences:
    """Sequences with the users they belong to.

    Args:
        users: int64 [n], the users' numbers, each once: from 0 in their group, or as RecBole numbers them.
        sequences: n sequences of item ids.
    """

    users: np.ndarray
    sequences: PackedSequences

    @property
    def n_targets(self) -> int:
        """How many items can be predicted from a prefix of their sequence."""
        return int(np.maximum(self.sequences.lengths - 1, 0).sum())

    def numbered_from(self, first: int) -> UserSequences:
        """The same with the group's first user being number `first`."""
        return UserSequences(first + self.users, self.sequences)


@dataclass(frozen=True)
class Snapshot:
    """Test cases that are predicted together, and what is known of the new users when they are.

    Args:
        name: of the stage of what is trained on it; updates have that of the last one that is none.
        cases: int64 [n], places in the test tasks.
        new: the known interactions of the new users.
        is_update: another one before it is close, so that what takes long need not be done again.
    """

    name: str
    cases: np.ndarray
    new: UserSequences
    is_update: bool = False

    @property
    def known(self) -> PackedSequences:
        """What is known of new users."""
        return self.new.sequences

    @property
    def has_predictions(self) -> bool:
        """Whether any known interaction has another one before it."""
        return self.new.n_targets > 0

    @property
    def knows_nothing(self) -> bool:
        """Whether nothing of them is known."""
        return not len(self.known.items)


def snapshots(dataset: MMLDataset, tasks: TaskSet, n: int, n_updates: int = 1) -> Iterator[Snapshot]:
    """Yields the snapshots of the test tasks at moments in time.

    The new users' targets, in order of time, are cut into n parts of equal size, and at the first one of a part all
    earlier interactions of new users are known. So nothing of them is known that came with or after a target, and
    nothing at all in the first part.

    Args:
        dataset: where the tasks are from.
        tasks: the test tasks.
        n: number of parts.
        n_updates: cut each part in time into so many again; all snapshots but the first of each are updates.
    """
    users, times = dataset.users, dataset.new_times
    targets = times[tasks.start + tasks.length]
    coarse, fine = (np.quantile(targets, np.arange(m) / m, method="lower") for m in (n, n * n_updates))
    moments = np.unique(fine)  # the coarse ones are among them
    is_update = ~np.isin(moments, coarse)
    names = [f"moment_{number}" for number in np.cumsum(~is_update)]
    part = np.searchsorted(moments, targets, side="right") - 1
    moments[0] = -np.inf
    for number, moment in enumerate(moments):
        known = UserSequences(np.arange(len(users.new)), users.new.only(times < moment))
        yield Snapshot(names[number], np.flatnonzero(part == number), known, bool(is_update[number]))
