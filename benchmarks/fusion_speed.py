"""Users per second of fusion with three learners: training on the validation users, and the test.

python -m benchmarks.fusion_speed [--users 64] [--threads 1 0] ...

Of the users half are treated in batches, and a quarter of those treated singly.

- `published`: one user at a time, each of three learners adapted in 50 steps (one for each of its epochs); the scores
  of all items are stored per row, and fused by an MLP over them.
- `mml, 50 steps`: the engine with as many steps. A user is three states; scores are made from them when needed.
- `mml`: 10 steps, the largest number of the default settings.

`training` is the adaptation of the users and 10 epochs of the fusion layer; `test` is adaptation, fusion and ranking.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import published
from benchmarks.speed import (
    LENGTHS,
    N_ITEMS,
    RATE,
    Place,
    Size,
    Ways,
    everywhere,
    new_feature_learner,
    new_learner,
    options,
    random_users,
    report,
)
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.evaluation.ranking import rank_targets
from mml.model.fusion.adaptive_layer import AdaptiveFusion, AdaptiveScorer
from mml.model.fusion.cases import fusion_cases
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import weighted_mean
from mml.model.learner.adaptation import Adaptation, adapted_states
from mml.model.learner.base import Learner
from mml.model.learner.outputs import StateOutput

N_LEARNERS, PUBLISHED_STEPS, DEFAULT_STEPS, EPOCHS = 3, 50, 10, 10
COLD = LENGTHS["cold"]


class Ours:
    """mml's fusion over some users.

    Args:
        learners: the learners.
        tasks: one per user.
        steps: of adaptation.
        size: users and cases at once.
    """

    def __init__(self, learners: Sequence[Learner], tasks: TaskSet, steps: int, size: Size) -> None:
        self._learners, self._tasks, self._how, self._chunk = learners, tasks, Adaptation(RATE, steps), size.chunk
        self._ranked = size.ranked
        device = learners[0].device
        self._context = torch.zeros(len(tasks), 4, device=device)
        self._fusion = AdaptiveFusion(N_LEARNERS, N_LEARNERS, learners[0].hidden_size, 4, [64], 0.2).to(device)
        self._optimizer = torch.optim.Adam(self._fusion.parameters())

    def _scorer(self) -> AdaptiveScorer:
        outputs = {}
        for number, learner in enumerate(self._learners):
            states = adapted_states(learner, self._tasks, self._how, self._chunk)
            outputs[str(number)] = StateOutput(states, learner.item_table().detach(), N_ITEMS)
        return AdaptiveScorer(self._fusion, StandardisedScores(outputs), self._context)

    def train(self) -> None:
        """Adapt, then train the layer."""
        own = fusion_cases(self._scorer().standardised, self._context, self._tasks, repeatable=True, seed=0)
        self._fusion.train()
        for _ in range(EPOCHS):
            for rows in torch.arange(len(own), device=own.target.device).split(64):
                weights, tau = self._fusion(own.states[:, rows], own.context[rows])
                fused = tau * weighted_mean(own.z[:, rows], weights, own.known[:, rows].to(own.z.dtype), own.unknown)
                self._optimizer.zero_grad()
                nn.functional.cross_entropy(fused + own.offset[rows], own.target[rows]).backward()
                self._optimizer.step()

    def test(self) -> None:
        """Adapt, fuse and rank."""
        self._fusion.eval()
        items = self._tasks.batch(np.arange(len(self._tasks))).item_seq.numpy()
        rank_targets(self._scorer(), self._tasks.target, items, 0, self._ranked)


class Published:
    """The published fusion over some users: an MLP that weighs stored scores."""

    def __init__(self, tasks: TaskSet, place: Place) -> None:
        self._tasks, device = tasks, place.device
        self._learners = [published.new_sasrec(place) for _ in range(N_LEARNERS)]
        sizes = (N_LEARNERS * (N_ITEMS + 1), 64, N_LEARNERS)
        self._mlp = nn.Sequential(nn.Linear(sizes[0], sizes[1]), nn.ReLU(), nn.Linear(*sizes[1:])).to(device)
        self._optimizer = torch.optim.Adam(self._mlp.parameters())
        self._targets = torch.from_numpy(tasks.target).to(device)

    def _scores(self) -> Tensor:
        """[U, M, n_items]."""
        found = [published.test_scores(own, self._tasks, len(self._tasks), PUBLISHED_STEPS) for own in self._learners]
        return torch.stack([torch.cat(scores) for scores in found], 1)[..., : N_ITEMS + 1]

    def _fused(self, scores: Tensor) -> Tensor:
        weights = self._mlp(scores.flatten(1)).softmax(-1)
        return torch.einsum("um,umi->ui", weights, scores)

    def train(self) -> None:
        """Adapt, store, then train the layer."""
        scores = self._scores()
        for _ in range(EPOCHS):
            self._optimizer.zero_grad()
            nn.functional.cross_entropy(self._fused(scores), self._targets).backward()
            self._optimizer.step()

    @torch.no_grad()
    def test(self) -> None:
        """Adapt, fuse and sort."""
        for scores in self._fused(self._scores()):
            scores.argsort(descending=True)


def prepare(chosen: argparse.Namespace, case: str, place: Place) -> tuple[Ways, dict[str, float]]:
    """The ways of training or of testing."""
    size = place.size(chosen)
    tasks, _ = evaluation_tasks(random_users(max(size.users // 2, 1), COLD), 50, "last")
    few = tasks.take(np.arange(max(chosen.single // 4, 1)))
    learners = [new_learner(place), new_feature_learner(place, "txt"), new_feature_learner(place, "img")]
    theirs = Published(few, place)
    ours = {
        "mml, 50 steps": Ours(learners, tasks, PUBLISHED_STEPS, size),
        "mml": Ours(learners, tasks, DEFAULT_STEPS, size),
    }
    ways: Ways = {"published": (len(few), getattr(theirs, case))}
    return {**ways, **{name: (len(tasks), getattr(way, case)) for name, way in ours.items()}}, {}


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    chosen = options(arguments, "Users per second of fusion.")
    n_bytes = {"published": 4 * N_LEARNERS * (N_ITEMS + 1), "mml": 4 * N_LEARNERS * 64}
    print("bytes stored per row: " + ", ".join(f"{way} {count:,}" for way, count in n_bytes.items()))
    return report("fusion_speed", everywhere(chosen, ["train", "test"], prepare), chosen.output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
