"""A refresh: all learners learn from what all new users did so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mml.config import Config
from mml.data.dataset import MMLDataset
from mml.data.snapshots import Snapshot
from mml.data.tasks import prefix_tasks
from mml.evaluation.ranking import StateScorer
from mml.evaluation.states import chunk_size, unadapted_states
from mml.model.learner import Learner
from mml.model.popularity import prior_strength

_MAX_TASKS = 10_000  # what is expected is estimated from so many predictions
_CELLS = 2**22  # scores held at a time
_LEAST = 1e-9  # expected number


def data_at(snapshot: Snapshot, dataset: MMLDataset) -> MMLDataset:
    """The data with a snapshot's interactions, and all those of the validation users, among the old users'."""
    return dataset.after(snapshot.new.sequences, dataset.users.valid)


class Refresh:
    """What a snapshot tells beyond the old users' log, and how each kind of learner learns from it.

    The linear learner is fitted again, with the known interactions and all those of the validation users among the old
    users' (`dataset`). It abstains from cold items as before: the few counts of one that was touched put it last.

    Learners with an encoder are trained on with the same data for a few epochs, at this moment or an earlier one
    (`trained`), then corrected where their predictions still miss (`refreshed`). A learner expects item i for a share
    e_i of the known interactions: the mean of its probabilities, each of a history before the interaction. i was c_i of
    the M. The shares are taken to be drawn from a Dirichlet distribution around e, worth alpha interactions, so their
    mean is (c_i + alpha e_i) / (M + alpha), and its log ratio to e_i is added to the learner's scores of i: a
    correction for a shift of the targets' shares (Saerens et al., Neural Computation 2002), learned from the
    interactions themselves. alpha is chosen by their likelihood. A cold item that others have taken since gets its
    share in this way as well.

    Args:
        config: mml's Config.
        dataset: where the snapshot is from.
        snapshot: what is known.
        trained: learners that were trained on, by name, at this snapshot or at an earlier one.
    """

    def __init__(
        self, config: Config, dataset: MMLDataset, snapshot: Snapshot, trained: Mapping[str, Learner] | None = None
    ) -> None:
        self._config, self._n_items = config, dataset.item_num
        self.trained: Mapping[str, Learner] = trained or {}
        self.dataset = data_at(snapshot, dataset)
        """The data that the linear learner is fitted to: every item is warm in them."""
        tasks = prefix_tasks(snapshot.known, dataset.max_item_list_len)
        self._tasks = tasks if config["repeatable"] else tasks.take(~dataset.target_in_history(tasks))

    def refreshed(self, learner: Learner, table: Tensor) -> Tensor:
        """The candidates' table [n_items, d + R] with the corrections in its offsets, [n_items, d + max(R, 1)].

        Where nothing could have been predicted yet, the table is left as it is.
        """
        if not len(self._tasks):
            return table
        offsets = self.offsets(learner, table)[:, None]
        if table.shape[1] == learner.hidden_size:
            return torch.cat([table, offsets], 1)
        return torch.cat([table[:, : learner.hidden_size], table[:, learner.hidden_size :] + offsets], 1)

    @torch.no_grad()
    def offsets(self, learner: Learner, table: Tensor) -> Tensor:
        """The corrections of the items' scores, [n_items]."""
        shares = np.maximum(self._expected(learner, table)[1:], _LEAST)
        shares /= shares.sum()
        counts = np.bincount(self._tasks.target, minlength=self._n_items)[1:]
        strength = prior_strength(counts, shares)
        ratio = (counts + strength * shares) / ((counts.sum() + strength) * shares)
        return torch.from_numpy(np.append(0.0, np.log(ratio))).to(table)

    def _expected(self, learner: Learner, table: Tensor) -> np.ndarray:
        """How often each item is expected as the target in some of the tasks, [n_items]."""
        n = len(self._tasks)
        picked = self._tasks.take(np.linspace(0, n - 1, min(n, _MAX_TASKS)).astype(np.int64))
        states = unadapted_states(
            learner, picked, chunk_size(learner, self._config["task_chunk_size"], learner.max_seq_length)
        )
        scorer = StateScorer(states, table, learner.prior_columns(torch.from_numpy(picked.shots)))
        total = torch.zeros(self._n_items, dtype=torch.float64, device=table.device)
        size = max(_CELLS // self._n_items, 1)
        for begin in range(0, len(picked), size):
            cases = slice(begin, min(begin + size, len(picked)))
            scores = scorer.of_cases(cases)(slice(0, self._n_items))
            scores[:, 0] = -torch.inf
            if not self._config["repeatable"]:
                scores.scatter_(1, torch.from_numpy(picked.inputs(cases)).to(scores.device), -torch.inf)
            total += scores.softmax(1).sum(0, dtype=torch.float64)
        expected: np.ndarray = total.cpu().numpy()
        return expected
