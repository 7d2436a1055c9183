"""User sequences in packed form: one items array and one offsets array, memory O(interactions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PackedSequences:
    """The item sequences of some users.

    Args:
        items: int64 [n_interactions], item ids sorted by user and time.
        offsets: int64 [n_users + 1]; user u has items[offsets[u]:offsets[u + 1]].
    """

    items: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_sorted(cls, users: np.ndarray, items: np.ndarray, n_users: int) -> PackedSequences:
        """Pack rows that are already sorted; `users` int64 [n] in 0..n_users-1."""
        counts = np.bincount(users, minlength=n_users)
        return cls(items, np.concatenate(([0], np.cumsum(counts))))

    @classmethod
    def joined(cls, parts: Sequence[PackedSequences]) -> PackedSequences:
        """The sequences of all parts, one part after the other."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.items for part in parts]), np.concatenate(([0], np.cumsum(lengths))))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 [n_users]."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> np.ndarray:
        """int64 [n_interactions], whose each one is."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def places(self) -> np.ndarray:
        """int64 [n_interactions], each one's place in its user's sequence, from 0."""
        return np.arange(len(self.items)) - np.repeat(self.offsets[:-1], self.lengths)

    def part(self, users: slice) -> PackedSequences:
        """The sequences of a slice of the users."""
        begin, end, _ = users.indices(len(self))
        bounds = self.offsets[begin : max(begin, end) + 1]
        return PackedSequences(self.items[bounds[0] : bounds[-1]], bounds - bounds[0])

    def head(self, n: int | None) -> PackedSequences:
        """Each user's first `n` interactions (all if None)."""
        if n is None:
            return self
        return self.only(self.places < n)

    def only(self, kept: np.ndarray) -> PackedSequences:
        """The interactions that are kept, bool [n_interactions]; a user may be left with none."""
        return PackedSequences.from_sorted(self.owners[kept], self.items[kept], len(self))
