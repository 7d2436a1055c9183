"""The leave-one-out protocol of S3-Rec (Zhou et al., CIKM 2020) over files of its layout.

A file has a line for each user: `user item item item ...`, whole numbers, the oldest item first. The last item is the
test's target, the one before the validation's; what precedes is trained on. All items are ranked but those of the
history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.cases import WholeHistories
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking, rank_targets
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import RankingRules
from mml.evaluation.validation import Validation

LENGTHS = (5, 10)
_FEWEST = 3  # items of a user: one to learn from, one to choose by, one to test
_DECIMALS = 6


@dataclass(frozen=True)
class LeaveOneOut:
    """A log under this protocol.

    Args:
        sequences: the users' whole sequences; item ids are 1..n_items - 1, in the order of first appearance.
        n_items: number of items, the padding item included.
    """

    sequences: PackedSequences
    n_items: int

    @classmethod
    def read(cls, path: Path) -> LeaveOneOut:
        """The log of a file.

        Raises:
            InputError: for a file that cannot be read, and for a line that is not of the layout; names file and line.
        """
        users: dict[int, int] = {}
        ids: dict[int, int] = {}
        items: list[int] = []
        lengths: list[int] = []
        for number, (user, *own) in _numbers(path):
            if user in users:
                raise InputError(f"{path}: line {number}: user {user} has line {users[user]} already; join the two.")
            users[user] = number
            items += [ids.setdefault(item, len(ids) + 1) for item in own]
            lengths.append(len(own))
        if not lengths:
            raise InputError(f"{path}: no line; each is 'user item item item ...'.")
        if len(ids) <= max(LENGTHS):
            raise InputError(f"{path}: {len(ids)} items; lists of {max(LENGTHS)} need more.")
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        return cls(PackedSequences(np.asarray(items, dtype=np.int64), offsets), len(ids) + 1)

    @property
    def training(self) -> PackedSequences:
        """All but the last two items of each user."""
        sequences = self.sequences
        return sequences.only(sequences.places < np.repeat(sequences.lengths - 2, sequences.lengths))

    def tasks(self, from_last: int, max_length: int | None = None) -> TaskSet:
        """A case for each user, whose target is the last item (1) or the one before (2).

        Args:
            from_last: see above.
            max_length: of the history; all of it if None.
        """
        sequences, users = self.sequences, np.arange(len(self.sequences))
        known = sequences.lengths - from_last
        inputs = known if max_length is None else np.minimum(known, max_length)
        start, ones = sequences.offsets[:-1] + known - inputs, np.ones_like(users)
        return TaskSet(sequences.items, users, start, inputs, inputs - 1, ones, known)

    def rank(self, scorer: Scorer, from_last: int, rules: RankingRules) -> Ranking:
        """The users' ranks among all items but those of their whole history."""
        whole = self.tasks(from_last)
        return rank_targets(scorer, whole.target, WholeHistories(whole), rules.seed, rules.block)


class LeaveOneOutValidation(Validation):
    """Scores the users' last items but one by `valid_metric`, for mml's and RecBole's training alike.

    Args:
        data: the log.
        max_length: of the histories that models see.
        valid_metric: such as NDCG@10.
        rules: how targets are ranked.
    """

    def __init__(self, data: LeaveOneOut, max_length: int, valid_metric: str, rules: RankingRules) -> None:
        self._data, self.rules = data, rules
        self.tasks, self.n_left_out = data.tasks(2, max_length), 0
        self.n_candidates = data.n_items
        self.metric = valid_metric.lower()
        name, _, k = valid_metric.partition("@")
        self.metrics = Metrics([name], [int(k)], _DECIMALS, data.n_items, len(data.sequences) + 1, {})

    def rank(self, scorer: Scorer, tasks: TaskSet | None = None, topk: int = 0) -> Ranking:
        return self._data.rank(scorer, 2, self.rules)


def measured(ranking: Ranking) -> dict[str, float]:
    """HR and NDCG at 5 and 10, and MRR over the whole ranking, each with one target a case."""
    ranks = ranking.ranks
    values = {f"HR@{k}": float((ranks <= k).mean()) for k in LENGTHS}
    values |= {f"NDCG@{k}": float(np.where(ranks <= k, 1 / np.log2(ranks + 1), 0).mean()) for k in LENGTHS}
    return values | {"MRR": float((1 / ranks).mean())}


def _numbers(path: Path) -> Iterator[tuple[int, list[int]]]:
    """Line number, and its numbers."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is no text in UTF-8.") from error
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words and number == len(lines):
            return
        wrong = next((word for word in words if not (word.isascii() and word.isdigit())), None)
        if wrong is not None:
            raise InputError(
                f"{path}: line {number}: '{wrong}' is no whole number; a line is 'user item item item ...'."
            )
        if len(words) <= _FEWEST:
            n = max(len(words) - 1, 0)
            raise InputError(
                f"{path}: line {number}: a user with {n} items; leave-one-out needs {_FEWEST}: take the line out."
            )
        yield number, [int(word) for word in words]
