"""What can be ranked: scores of cases, some items at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

ItemScores = Callable[[slice | Tensor], Tensor]
"""Items, a slice or int64 [n], -> scores [c, n] of some cases, a new tensor that the caller may write to."""


class Scorer(Protocol):
    """Scores of N cases, computed for some cases and some items at a time, as large catalogues need."""

    def __len__(self) -> int:
        """Number of cases."""

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included; column 0 is the padding's and is ignored."""

    def of_cases(self, cases: slice, /) -> ItemScores:
        """The scores of a slice of the cases; what they need once, such as a normaliser, is computed here."""


class Stretch:
    """Some cases of a scorer that are next to each other.

    Args:
        scorer: of more cases.
        begin: the first of these.
        n: how many.
    """

    def __init__(self, scorer: Scorer, begin: int, n: int) -> None:
        self._scorer, self._begin, self._n = scorer, begin, n

    def __len__(self) -> int:
        return self._n

    @property
    def n_items(self) -> int:
        """Number of items, the padding item included."""
        return self._scorer.n_items

    def of_cases(self, cases: slice) -> ItemScores:
        """Items -> scores [c, n]."""
        return self._scorer.of_cases(slice(self._begin + cases.start, self._begin + cases.stop))


def of_rows(scores: Tensor) -> ItemScores:
    """The scores [c, n_items] of some cases as ItemScores."""
    return lambda items: scores[:, items].clone() if isinstance(items, slice) else scores[:, items]
