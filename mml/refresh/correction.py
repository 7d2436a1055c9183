"""A refresh: all learners learn from what all new users did so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.popularity import prior_strength
from mml.data.tasks import prefix_tasks
from mml.evaluation.ranking import BlockScorer, StateScorer
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.base import Learner
from mml.model.learner.linear import LinearModel, LinearOutput
from mml.refresh.snapshots import Snapshot

_MAX_TASKS = 10_000  # what is expected is estimated from so many predictions
_CELLS = 2**22  # scores held at a time
_LEAST = 1e-9  # expected number


def data_at(snapshot: Snapshot, dataset: MMLDataset) -> MMLDataset:
    """The data with a snapshot's interactions, and all those of the validation users, among the old users'."""
    return dataset.after(snapshot.new.sequences, dataset.users.valid)


class Refresh:
    """What a snapshot tells beyond the old users' log, and how each kind of learner learns from it.

    The linear learner is fitted again, with the known interactions and all those of the validation users among the old
    users' (`dataset`), and abstains from items that nobody has touched yet. Learners with an encoder are trained on
    with the same data for a few epochs, at this moment or an earlier one (`trained`).

    Then all are corrected where their predictions still miss (`corrected`, `refreshed`). A learner expects item i for a
    share e_i of the known interactions: the mean of its probabilities, each of a history before the interaction. i was
    c_i of the M. The shares are taken to be drawn from a Dirichlet distribution around e, worth alpha interactions, so
    their mean is (c_i + alpha e_i) / (M + alpha), and its log ratio to e_i is added to the learner's scores of i: a
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
        n = len(self._tasks)
        self._some_tasks = self._tasks.take(np.linspace(0, n - 1, min(n, _MAX_TASKS)).astype(np.int64))

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
        tasks = self._some_tasks
        states = unadapted_states(
            learner, tasks, chunk_size(learner, self._config["task_chunk_size"], learner.max_seq_length)
        )
        scorer = StateScorer(states, table, learner.prior_columns(torch.from_numpy(tasks.shots)))
        everything = torch.ones(self._n_items, dtype=torch.bool, device=table.device)
        return self._log_ratios(scorer, everything).to(table)

    def corrected(self, model: LinearModel) -> LinearModel:
        """The linear model with its probabilities corrected; as it is where nothing could have been predicted yet."""
        if not len(self._tasks):
            return model
        output = LinearOutput(model, self._some_tasks, self._n_items)
        return model.corrected(self._log_ratios(output, output.known).exp())

    def _log_ratios(self, scorer: BlockScorer, known: Tensor) -> Tensor:
        """Log of the items' shares over the expected ones, those of some scores of `_some_tasks`.

        Args:
            scorer: the scores.
            known: bool [n_items], the items that can have shares; the others have 0.
        """
        items = np.flatnonzero(known.cpu().numpy()[1:]) + 1
        shares = np.maximum(self._expected(scorer, known)[items], _LEAST)
        shares /= shares.sum()
        counts = np.bincount(self._tasks.target, minlength=self._n_items)[items]
        strength = prior_strength(counts, shares)
        ratios = np.zeros(self._n_items)
        ratios[items] = np.log((counts + strength * shares) / ((counts.sum() + strength) * shares))
        return torch.from_numpy(ratios)

    def _expected(self, scorer: BlockScorer, known: Tensor) -> np.ndarray:
        """How often each item is expected as the target in `_some_tasks`, [n_items]."""
        tasks = self._some_tasks
        total = torch.zeros(self._n_items, dtype=torch.float64, device=known.device)
        size = max(_CELLS // self._n_items, 1)
        for begin in range(0, len(tasks), size):
            cases = slice(begin, min(begin + size, len(tasks)))
            scores = scorer.of_cases(cases)(slice(0, self._n_items)).masked_fill(~known, -torch.inf)
            scores[:, 0] = -torch.inf
            if not self._config["repeatable"]:
                scores.scatter_(1, torch.from_numpy(tasks.inputs(cases)).to(scores.device), -torch.inf)
            shares = scores.softmax(1).nan_to_num()  # nan: all that is known is in the history
            total += shares.sum(0, dtype=torch.float64)
        expected: np.ndarray = total.cpu().numpy()
        return expected
