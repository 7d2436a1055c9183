"""User tasks: which positions of a sequence are support and which are query, and padded batches of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mml.data.sequences import PackedSequences


@dataclass(frozen=True)
class TaskBatch:
    """Left-aligned tasks of U users, padded to L inputs; 0 pads.

    Position t holds item t+1 of the sequence and predicts item t+2, so a causal encoder sees the prefix only.

    Args:
        item_seq: int64 [U, L], inputs.
        targets: int64 [U, L], the item after each input.
        support: bool [U, L], positions of the inner loss.
        query: bool [U, L], positions of the outer loss.
        negatives: int64 [U, L], sampled negatives, or None.
        noise_keys: int64 [U], the keys of the tasks' dropout noise, or None.
        shared_negatives: int64 [K], sampled negatives of every position of every task, or None.
    """

    item_seq: Tensor
    targets: Tensor
    support: Tensor
    query: Tensor
    negatives: Tensor | None = None
    noise_keys: Tensor | None = None
    shared_negatives: Tensor | None = None

    def __len__(self) -> int:
        return self.item_seq.shape[0]

    def select(self, rows: Tensor) -> TaskBatch:
        """The tasks `rows` [n], with the padding that none of them needs cut off."""
        length = int((self.item_seq[rows] != 0).sum(1).max())
        picked: dict[str, Tensor] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name != "shared_negatives":
                picked[field.name] = value[rows][:, :length] if value.dim() == 2 else value[rows]
        return replace(self, **picked)

    def negatives_of(self, positions: tuple[Tensor, ...]) -> Tensor | None:
        """The negatives of P positions: their own, [P], or those that all share, [K]; None if none were drawn."""
        return self.shared_negatives if self.negatives is None else self.negatives[positions]

    def with_noise(
        self, n_warm_items: int, generator: torch.Generator, negatives: bool, n_shared: int = 0
    ) -> TaskBatch:
        """Draw what is random about the tasks: dropout keys and, if wanted, uniform warm negatives.

        Drawn for the whole batch at once, so that nothing depends on how it is cut into chunks.

        Args:
            n_warm_items: negatives are in 1..n_warm_items.
            generator: of the draws.
            negatives: whether to draw one negative for each position.
            n_shared: how many different negatives to draw that all positions share.
        """
        # the shared ones first: they must not depend on the number of tasks
        shared = 1 + torch.randperm(n_warm_items, generator=generator)[:n_shared] if n_shared else None
        keys = torch.randint(2**31, (len(self),), generator=generator)
        sampled = None
        if negatives:
            # one of the n_warm - 1 warm items that are not the target
            draw = torch.randint(1, max(n_warm_items, 2), self.targets.shape, generator=generator)
            sampled = draw + (draw >= self.targets).long()
            sampled = sampled.clamp(max=n_warm_items)
        return replace(self, negatives=sampled, noise_keys=keys, shared_negatives=shared)

    def to(self, device: torch.device) -> TaskBatch:
        """The same batch on `device`."""
        if self.item_seq.device == device:
            return self
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.to(device) for name, value in values.items() if value is not None})


@dataclass(frozen=True)
class Moments:
    """When N tasks are asked.

    Args:
        known: int64 [N], the events of the log before this number are known.
        users: int64 [N], arrival ranks, by which a user's own events are told from others'; -1 for none in the log.
        is_online: whether events after T are counted; if not, all tasks are asked as of T.
    """

    known: np.ndarray
    users: np.ndarray
    is_online: bool = True

    def take(self, rows: np.ndarray | slice) -> Moments:
        """Those of the tasks `rows` [k]."""
        return Moments(self.known[rows], self.users[rows], self.is_online)


_LOOKED_UP = ("target_in_history", "n_different")


@dataclass(frozen=True)
class TaskSet:
    """N tasks over packed sequences; arrays are [N] int64.

    Args:
        items: int64 [n_interactions], the packed items that the tasks point into.
        users: whose task it is.
        start: place of the first input in `items`.
        length: number of inputs; the last target is items[start + length].
        n_support: the first positions, which are support.
        n_query: the last positions, which are query. Positions between the two are history only.
        shots: number of the user's interactions that are known when the query is predicted.
        moments: what is known when they are asked; None for what was known at T.
        asked: float64 [N], when the last input came, on the log's clock, or without inputs when the user did; None if
            that is not known.
    """

    items: np.ndarray
    users: np.ndarray
    start: np.ndarray
    length: np.ndarray
    n_support: np.ndarray
    n_query: np.ndarray
    shots: np.ndarray
    moments: Moments | None = None
    asked: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.start)

    def asked_at(self, rows: np.ndarray | slice) -> np.ndarray:
        """float64 [c], `asked` of the tasks `rows`, NaN where that is not known."""
        return np.full(len(self.start[rows]), np.nan) if self.asked is None else self.asked[rows]

    @property
    def target(self) -> np.ndarray:
        """int64 [N], the item after the last input."""
        return self.items[self.start + self.length]

    def take(self, rows: np.ndarray) -> TaskSet:
        """The tasks `rows`, an index int64 [n] or a mask bool [N]; what has been looked up of all is not again."""
        own = [f.name for f in fields(self) if f.name not in ("items", "moments", "asked")]
        moments = None if self.moments is None else self.moments.take(rows)
        asked = None if self.asked is None else self.asked[rows]
        chosen = {name: getattr(self, name)[rows] for name in own}
        found = TaskSet(items=self.items, **chosen, moments=moments, asked=asked)
        found.__dict__.update({name: self.__dict__[name][rows] for name in _LOOKED_UP if name in self.__dict__})
        return found

    def with_times(self, times: np.ndarray) -> TaskSet:
        """The same with `asked`, given when each of the packed interactions came, float64 [n_interactions]."""
        return replace(self, asked=times[self.start + np.maximum(self.length - 1, 0)])

    def inputs(self, rows: np.ndarray | slice) -> np.ndarray:
        """The padded inputs of the tasks `rows`, int64 [U, L]."""
        return self._padded(self.start[rows, None], self.length[rows, None])

    def histories(self, rows: np.ndarray | slice) -> np.ndarray:
        """All that the users of the tasks `rows` had before, padded, int64 [U, H]; their latest are the inputs."""
        return self._padded(self._begin[rows, None], self.shots[rows, None])

    @property
    def _begin(self) -> np.ndarray:
        """Place of the user's first interaction in `items`."""
        return self.start + self.length - self.shots

    def _padded(self, start: np.ndarray, length: np.ndarray) -> np.ndarray:
        steps = np.arange(int(length.max(initial=1)))[None]
        valid = steps < length
        return np.where(valid, self.items[np.where(valid, start + steps, 0)], 0)

    @cached_property
    def target_in_history(self) -> np.ndarray:
        """bool [N]: the user had the target before, so that it is no candidate unless `repeatable`."""
        found: np.ndarray = self._latest[self.start + self.length] >= self._begin
        return found

    @cached_property
    def n_different(self) -> np.ndarray:
        """int64 [N]: different items of all that the users had before; at the cost of the log, not of the histories."""
        begins = np.unique(self._begin)
        of_place = np.searchsorted(begins, np.arange(len(self.items)), side="right") - 1
        is_first = self._latest < begins[np.maximum(of_place, 0)] if len(begins) else np.zeros(len(self.items), bool)
        before = np.concatenate(([0], np.cumsum(is_first)))
        return np.asarray(before[self._begin + self.shots] - before[self._begin])

    @cached_property
    def _latest(self) -> np.ndarray:
        """int64 [n_interactions], the place before which the item stood last, whoever's it was; -1 for none."""
        order = np.argsort(self.items, kind="stable")
        again = np.flatnonzero(self.items[order][1:] == self.items[order][:-1])
        latest = np.full(len(self.items), -1)
        latest[order[again + 1]] = order[again]
        return latest

    def batch(self, rows: np.ndarray) -> TaskBatch:
        """The padded batch of the tasks `rows` [U]."""
        start, length = self.start[rows, None], self.length[rows, None]
        steps = np.arange(int(length.max(initial=1)))[None]
        valid = steps < length
        places = np.where(valid, start + steps, start)
        inputs = np.where(valid, self.items[places], 0)
        targets = np.where(valid, self.items[places + 1], 0)
        support = steps < self.n_support[rows, None]
        query = valid & (steps >= length - self.n_query[rows, None])
        return TaskBatch(*(torch.from_numpy(array) for array in (inputs, targets, support, query)))

    def fixed_negatives(self, rows: np.ndarray, n_warm_items: int) -> Tensor:
        """One warm negative for each position of the batch of the tasks `rows`, int64 [U, L].

        It follows from the position's place in the log alone, so it is the same in any batch.
        """
        places = (self.start[rows, None] + np.arange(int(self.length[rows].max()))[None]).astype(np.uint64)
        mixed = places * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        draw = 1 + ((mixed >> np.uint64(33)) % np.uint64(max(n_warm_items - 1, 1))).astype(np.int64)
        targets = self.items[np.minimum(places.astype(np.int64) + 1, len(self.items) - 1)]
        return torch.from_numpy(np.minimum(draw + (draw >= targets), n_warm_items))


def training_tasks(
    sequences: PackedSequences, max_length: int, n_query: int, rng: np.random.Generator | None = None
) -> TaskSet:
    """Tasks of old users: the last `n_query` interactions are query, those before are support.

    Users with fewer than three interactions have no support and are left out. Of a sequence longer than
    `max_length` + 1 the task is a random stretch of that length, or the latest one without `rng`.
    """
    length = sequences.lengths - 1
    users = np.flatnonzero(length >= 2)
    length = length[users]
    inputs = np.minimum(length, max_length)
    begin = length - inputs if rng is None else rng.integers(0, length - inputs + 1)
    start = sequences.offsets[users] + begin
    query = np.minimum(n_query, inputs - 1)
    return TaskSet(sequences.items, users, start, inputs, inputs - query, query, shots=begin + inputs)


def evaluation_tasks(
    sequences: PackedSequences, max_length: int, eval_shots: str | Sequence[int]
) -> tuple[TaskSet, np.ndarray]:
    """Tasks of new users (or of validation users, treated alike), one target each.

    `eval_shots: last`: support predicts i2..i(n-2), i(n-1) is kept for validation, the target is in.
    A list: for each k, support predicts i2..ik and the target is i(k+1); 0 is passed over, see `first_screens`.

    Returns:
        The tasks, and the users [m] too short for any.
    """
    lengths = sequences.lengths
    if isinstance(eval_shots, str):
        users = np.flatnonzero(lengths >= 3)
        shots = lengths[users] - 1
        n_support = shots - 2
    else:
        ks = np.unique(np.asarray(eval_shots, dtype=np.int64))
        ks = ks[ks > 0]
        users, column = np.nonzero(lengths[:, None] > ks[None])
        shots = ks[column]
        n_support = shots - 1
    tasks = _one_target_each(sequences, max_length, users, shots, n_support)
    return tasks, np.setdiff1d(np.arange(len(sequences)), users)


def prefix_tasks(sequences: PackedSequences, max_length: int) -> TaskSet:
    """A task after each interaction of a user but the last: what `evaluation_tasks` makes of all numbers of shots."""
    later = sequences.places > 0
    users, shots = sequences.owners[later], sequences.places[later]
    return _one_target_each(sequences, max_length, users, shots, shots - 1)


def tasks_after(sequences: PackedSequences, max_length: int) -> TaskSet:
    """A task for each user whose whole sequence is known and whose next item is not; its target is the padding item.

    Every user has one interaction at least.
    """
    lengths, users = sequences.lengths, np.arange(len(sequences))
    open_ended = np.insert(sequences.items, sequences.offsets[1:], 0)
    packed = PackedSequences(open_ended, sequences.offsets + np.arange(len(sequences) + 1))
    return _one_target_each(packed, max_length, users, lengths, lengths - 1)


def first_screens(sequences: PackedSequences) -> TaskSet:
    """A task for each user of whom nothing is known yet, without inputs: the target is the first item."""
    users = np.flatnonzero(sequences.lengths > 0)
    nothing = np.zeros(len(users), dtype=np.int64)
    return _one_target_each(sequences, 1, users, nothing, nothing)


def _one_target_each(
    sequences: PackedSequences, max_length: int, users: np.ndarray, shots: np.ndarray, n_support: np.ndarray
) -> TaskSet:
    inputs = np.minimum(shots, max_length)
    start = sequences.offsets[users] + shots - inputs
    n_support = np.maximum(n_support - (shots - inputs), 0)
    return TaskSet(sequences.items, users, start, inputs, n_support, np.ones_like(users), shots)


def windows(sequences: PackedSequences, max_length: int, rng: np.random.Generator) -> TaskSet:
    """Cut whole sequences into windows of at most `max_length` targets, every position being query.

    Each target of a user is in exactly one window. Where the cuts fall is drawn anew at each call, so that over
    the epochs a target is seen with contexts of every length.
    """
    lengths = sequences.lengths
    users = np.flatnonzero(lengths >= 2)
    n_targets = lengths[users] - 1
    shift = np.where(n_targets > max_length, rng.integers(0, max_length, len(users)), 0)
    n_windows = -(-(n_targets + shift) // max_length)
    owner = np.repeat(np.arange(len(users)), n_windows)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    begin = np.maximum(number * max_length - shift[owner], 0)
    end = np.minimum((number + 1) * max_length - shift[owner], n_targets[owner])
    length = end - begin
    start = sequences.offsets[users[owner]] + begin
    return TaskSet(sequences.items, users[owner], start, length, np.zeros_like(length), length, shots=begin + length)


def length_sorted_chunks(lengths: np.ndarray, max_tasks: int) -> Iterator[np.ndarray]:
    """Cut tasks of `lengths` [N] into chunks of similar length, the longest first; yields indices [max_tasks]."""
    order = np.argsort(-lengths, kind="stable")
    for begin in range(0, len(order), max_tasks):
        yield order[begin : begin + max_tasks]
