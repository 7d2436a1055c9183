"""The moments at which baselines are trained anew, and what is known of the new users at each."""

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
class Period:
    """Test cases from one moment up to the next, and what is known of the new users at the first of these.

    Args:
        name: of the stage of what is trained at its beginning.
        cases: int64 [n], places in the test tasks.
        new: the known interactions of the new users.
        times: float64 [n_interactions], when these came.
    """

    name: str
    cases: np.ndarray
    new: UserSequences
    times: np.ndarray

    @property
    def known(self) -> PackedSequences:
        """What is known of new users."""
        return self.new.sequences

    @property
    def knows_nothing(self) -> bool:
        """Whether nothing of them is known."""
        return not len(self.known.items)


def periods(dataset: MMLDataset, tasks: TaskSet, n: int) -> Iterator[Period]:
    """Yields the periods of the test tasks.

    The new users' targets, in order of time, are cut into n parts of equal size, and at the first one of a part all
    earlier interactions of new users are known. So nothing of them is known that came with or after a target, and
    nothing at all in the first part.

    Args:
        dataset: where the tasks are from.
        tasks: the test tasks.
        n: number of parts.
    """
    users, times = dataset.users, dataset.new_times
    targets = times[tasks.start + tasks.length]
    moments = np.unique(np.quantile(targets, np.arange(n) / n, method="lower"))
    part = np.searchsorted(moments, targets, side="right") - 1
    moments[0] = -np.inf
    for number, moment in enumerate(moments):
        is_known = times < moment
        known = UserSequences(np.arange(len(users.new)), users.new.only(is_known))
        yield Period(f"moment_{number + 1}", np.flatnonzero(part == number), known, times[is_known])
