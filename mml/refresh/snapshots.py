"""Snapshots: what a system would know of all new users when it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, evaluation_tasks


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
        new, valid: the known interactions of the new and of the validation users.
        valid_tasks: those validation tasks that come after what `valid` holds.
        is_update: another one before it is close, so that what takes long need not be done again.
    """

    name: str
    cases: np.ndarray
    new: UserSequences
    valid: UserSequences
    valid_tasks: TaskSet
    is_update: bool = False

    @property
    def known(self) -> PackedSequences:
        """What is known of new and validation users alike."""
        return PackedSequences.joined([self.new.sequences, self.valid.sequences])

    @property
    def has_predictions(self) -> bool:
        """Whether any known interaction has another one before it."""
        return self.new.n_targets + self.valid.n_targets > 0

    @property
    def knows_nothing(self) -> bool:
        """Whether nothing of them is known."""
        return not len(self.known.items)


def snapshots(dataset: MMLDataset, tasks: TaskSet, valid_tasks: TaskSet, n_updates: int = 1) -> Iterator[Snapshot]:
    """Yields the snapshots of the test tasks, by number of shots or at moments in time, as the key `snapshots` says.

    `shots`: where the target is a user's interaction k + 1, the first k of every new user are known and no more, as
    later ones are targets. So users count as if they had come at the same time: what is known may be later than a
    case's target.

    A number n: the new users' targets, in order of time, are cut into n parts of equal size, and at the first one of a
    part all earlier interactions of new users are known. So nothing of them is known that came with or after a target,
    and nothing at all in the first part. Of the validation users nothing need be known to choose by them.

    Args:
        dataset: where the tasks are from.
        tasks: the test tasks.
        valid_tasks: the validation tasks.
        n_updates: cut each part in time into so many again; all snapshots but the first of each are updates.
    """
    how = dataset.config["snapshots"]
    if how == "shots":
        return iter(_by_shots(dataset, tasks, valid_tasks))
    return _in_time(dataset, tasks, valid_tasks, how, n_updates)


def _in_time(dataset: MMLDataset, tasks: TaskSet, valid_tasks: TaskSet, n: int, n_updates: int) -> Iterator[Snapshot]:
    users, times = dataset.users, dataset.new_times
    targets = times[tasks.start + tasks.length]
    coarse, fine = (np.quantile(targets, np.arange(m) / m, method="lower") for m in (n, n * n_updates))
    moments = np.unique(fine)  # the coarse ones are among them
    is_update = ~np.isin(moments, coarse)
    names = [f"moment_{number}" for number in np.cumsum(~is_update)]
    part = np.searchsorted(moments, targets, side="right") - 1
    moments[0] = -np.inf
    nobody = UserSequences(np.arange(len(users.valid)), users.valid.head(0))
    for number, moment in enumerate(moments):
        known = UserSequences(np.arange(len(users.new)), users.new.only(times < moment))
        cases = np.flatnonzero(part == number)
        yield Snapshot(names[number], cases, known, nobody, valid_tasks, bool(is_update[number]))


def _by_shots(dataset: MMLDataset, tasks: TaskSet, valid_tasks: TaskSet) -> list[Snapshot]:
    """One per number of shots, or a single one for `eval_shots: last`."""
    users, shots = dataset.users, dataset.config["eval_shots"]
    if isinstance(shots, str):
        # all of them: whether a target is a candidate must not decide whether its user's support is known
        new, _ = evaluation_tasks(users.new, dataset.max_item_list_len, shots)
        valid, _ = evaluation_tasks(users.valid, dataset.max_item_list_len, shots)
        known = _supports(new), _supports(valid)
        if not dataset.config["repeatable"]:
            valid = valid.take(~dataset.target_in_history(valid))
        return [Snapshot(shots, np.arange(len(tasks)), *known, valid)]
    return [
        Snapshot(
            str(k),
            np.flatnonzero(tasks.shots == k),
            _first_interactions(users.new, k),
            _first_interactions(users.valid, k),
            valid_tasks.take(valid_tasks.shots == k),
        )
        for k in np.unique(tasks.shots)
    ]


def _first_interactions(users: PackedSequences, k: int) -> UserSequences:
    """The first k interactions of each user, whether item k + 1 exists or not, so that nothing depends on it."""
    return UserSequences(np.arange(len(users)), users.head(k))


def _supports(tasks: TaskSet) -> UserSequences:
    """The support's items of each task (n_support + 1, as the first is no target), at most one task per user."""
    lengths = tasks.n_support + 1
    places = np.concatenate([start + np.arange(n) for start, n in zip(tasks.start, lengths, strict=True)] or [[]])
    packed = PackedSequences(tasks.items[places.astype(np.int64)], np.concatenate(([0], np.cumsum(lengths))))
    return UserSequences(tasks.users, packed)
