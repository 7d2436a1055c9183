"""Learners are corrected where their predictions miss what was taken since."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml.data.popularity import prior_strength
from mml.data.tasks import TaskSet
from mml.evaluation.scorer import Scorer
from mml.model.learner.slot import TrainedLearner
from mml.updating.settings import UpdateSettings

_CELLS = 2**22  # scores held at a time: bounds memory and changes no result
_LEAST = 1e-9  # expected number of an item that no prediction expects, so that its logarithm is finite


class Correction:
    """What newer interactions add to the log that learners were trained on.

    A learner expects item i for a share e_i of the newer interactions: the mean of its probabilities, each of a history
    before the interaction. i was c_i of the M. The shares are taken to be drawn from a Dirichlet distribution around e,
    worth alpha interactions, so their mean is (c_i + alpha e_i) / (M + alpha), and its log ratio to e_i is added to the
    learner's scores of i: a correction for a shift of the targets' shares (Saerens et al., Neural Computation 2002),
    learned from the interactions themselves. alpha is chosen by their likelihood. A cold item that others have taken
    since gets its share in this way as well.

    Args:
        tasks: a task for each newer interaction of somebody of whom something was known.
        n_items: number of items, the padding item included.
        repeatable: whether items of the history are candidates.
        settings: from how many predictions the expected shares are estimated.
    """

    def __init__(self, tasks: TaskSet, n_items: int, repeatable: bool, settings: UpdateSettings) -> None:
        self._n_items, self._repeatable = n_items, repeatable
        self._tasks = tasks if repeatable else tasks.take(~tasks.target_in_history)
        n = len(self._tasks)
        self._some_tasks = self._tasks.take(np.linspace(0, n - 1, min(n, settings.update_cases)).astype(np.int64))

    def corrected(self, learner: TrainedLearner) -> TrainedLearner:
        """The learner with its probabilities corrected; as it is where nothing could have been predicted yet."""
        if not len(self._tasks):
            return learner
        return learner.corrected(self.log_ratios(learner))

    @torch.no_grad()
    def log_ratios(self, learner: TrainedLearner) -> Tensor:
        """Log of the items' shares over those that the learner expects, float64 [n_items]; 0 where it has none."""
        output = learner.expectations(self._some_tasks)
        known = output.known
        if known is None:
            device = torch.device("cpu") if output.states is None else output.states.device
            known = torch.ones(self._n_items, dtype=torch.bool, device=device)
        return self._log_ratios(output, known)

    def _log_ratios(self, scorer: Scorer, known: Tensor) -> Tensor:
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

    def _expected(self, scorer: Scorer, known: Tensor) -> np.ndarray:
        """How often each item is expected as the target in `_some_tasks`, [n_items]."""
        tasks = self._some_tasks
        total = torch.zeros(self._n_items, dtype=torch.float64, device=known.device)
        size = max(_CELLS // self._n_items, 1)
        for begin in range(0, len(tasks), size):
            cases = slice(begin, min(begin + size, len(tasks)))
            scores = scorer.of_cases(cases)(slice(0, self._n_items)).masked_fill(~known, -torch.inf)
            scores[:, 0] = -torch.inf
            if not self._repeatable:
                scores.scatter_(1, torch.from_numpy(tasks.histories(cases)).to(scores.device), -torch.inf)
            shares = scores.softmax(1).nan_to_num()  # nan: all that is known is in the history
            total += shares.sum(0, dtype=torch.float64)
        expected: np.ndarray = total.cpu().numpy()
        return expected
