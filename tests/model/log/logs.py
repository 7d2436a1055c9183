"""Small random logs."""

from __future__ import annotations

import numpy as np

from mml.data.sequences import PackedSequences

N_ITEMS = 14  # ids 12 and 13 are cold


def small_log(seed: int = 0, users: int = 25, longest: int = 9) -> tuple[PackedSequences, np.ndarray]:
    """Sequences with repeats over the items 1..11, some of one interaction, and ascending times of each user."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, users)
    items = rng.integers(1, 12, lengths.sum())
    starts = np.sort(rng.random(users)) * 100
    times = np.concatenate([start + np.sort(rng.random(n)) for start, n in zip(starts, lengths, strict=True)])
    return PackedSequences(items, np.concatenate(([0], np.cumsum(lengths)))), times


def sequences_of(log: PackedSequences) -> list[list[int]]:
    """The sequences as lists."""
    return [log.items[begin:end].tolist() for begin, end in zip(log.offsets[:-1], log.offsets[1:], strict=True)]


HISTORIES = np.array([[3, 0, 0, 0], [1, 4, 2, 0], [5, 6, 5, 7], [12, 2, 0, 0], [9, 12, 0, 0]])
"""Of one item, several, with a repeat, and with a cold item first or last."""


def lists_of(histories: np.ndarray) -> list[list[int]]:
    """Histories without their pads."""
    return [[int(item) for item in row if item] for row in histories]


def weights_of(history: list[int], decay: float) -> dict[int, float]:
    """decay^age of each different item, the later place of one that is there twice."""
    return {item: decay ** (len(history) - 1 - place) for place, item in enumerate(history)}
