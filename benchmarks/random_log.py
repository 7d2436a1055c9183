"""Big random logs, written fast: atomic files for what is measured by size alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

_BLOCK = 1_000_000
_START = 1_600_000_000
_SPAN = 10_000_000
MEAN_LENGTH = 20


def write_random_log(folder: Path, n_users: int, n_items: int, seed: int = 0) -> int:
    """Write `folder/<name of the folder>.inter` and `.item`; returns the number of interactions.

    Users arrive evenly over time and have 3 to 37 interactions, 20 in the mean, within a tenth of the whole time. Items
    are skewed (a tenth of them take about half of the log), and each is there from a random time on, so that some are
    cold. Rows are in time order.

    Args:
        folder: made if it is not there.
        n_users, n_items: of the log; the `.item` file has all items, also those without an interaction.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 2 * MEAN_LENGTH - 2, n_users)
    users = np.repeat(np.arange(n_users, dtype=np.int32), lengths)
    times = np.repeat(rng.integers(0, _SPAN, n_users), lengths) + rng.integers(0, _SPAN // 10, len(users))
    order = np.argsort(times, kind="stable")
    users, times = users[order], times[order]
    grown = np.linspace(0.7, 1.0, len(users))  # the catalogue grows with time
    items = (rng.random(len(users)) ** 3 * grown * n_items).astype(np.int32)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{folder.name}.inter").open("wb") as file:
        file.write(b"user_id:token\titem_id:token\ttimestamp:float\n")
        for begin in range(0, len(users), _BLOCK):
            rows = slice(begin, begin + _BLOCK)
            file.write(_lines(users[rows], items[rows], _START + times[rows]))
    numbers = np.arange(n_items)
    names = np.hstack([_text(b"i", n_items), _digits(numbers, 7), _text(b"\n", n_items)])
    (folder / f"{folder.name}.item").write_bytes(b"item_id:token\n" + names.tobytes())
    return len(users)


def _lines(users: np.ndarray, items: np.ndarray, times: np.ndarray) -> bytes:
    n = len(users)
    parts = [_text(b"u", n), _digits(users, 7), _text(b"\ti", n), _digits(items, 7), _text(b"\t", n)]
    return np.hstack([*parts, _digits(times, 10), _text(b"\n", n)]).tobytes()


def _text(text: bytes, n: int) -> np.ndarray:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (n, len(text)))


def _digits(values: np.ndarray, width: int) -> np.ndarray:
    """Decimal digits as ASCII: int [n] -> uint8 [n, width]."""
    digits = np.empty((len(values), width), dtype=np.uint8)
    rest = values.astype(np.int64)
    for place in range(width - 1, -1, -1):
        rest, digits[:, place] = np.divmod(rest, 10)
    return digits + ord("0")
