"""Users per second of meta-training (first-order, 5 inner steps, one outer step of Adam).

python -m benchmarks.meta_training [--users 64] [--threads 1 0] ...

- `mml`: the engine.
- `plain`: the engine in the plain form, batched operations under autograd; `vmap`: RecBole's modules under vmap, as any
  encoder without passes of its own is run.
- `published, as imported`, `published`, `single pass`: one user at a time, see benchmarks.published.
- `shared, modules` and `shared, fused`: as many passes over the same positions with one set of weights for all users,
  by RecBole's modules and by the engine's passes. They adapt nobody: no engine that gives each user weights of its own
  can be expected to be faster. The faster of the two is the bound.
- `operations`, `bytes`: see benchmarks.speed.hardware_bounds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import embedding

from benchmarks import published
from benchmarks.speed import (
    LENGTHS,
    RATE,
    STEPS,
    Place,
    Ways,
    everywhere,
    hardware_bounds,
    in_plain_form,
    new_learner,
    options,
    random_users,
    report,
)
from mml.data.tasks import TaskBatch, length_sorted_chunks, training_tasks
from mml.meta.algorithms import ALGORITHMS
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode
from mml.trainer.meta import accumulate

QUERY = {"long": 1, "cold": 5}


class Batched:
    """The batched ways over one meta batch.

    Args:
        learner: see Learner.
        batch: the meta batch.
        chunk: users at once.
    """

    def __init__(self, learner: Learner, batch: TaskBatch, chunk: int) -> None:
        self.learner, self.batch = learner.train(), batch
        self.rows = [torch.from_numpy(r) for r in length_sorted_chunks((batch.item_seq != 0).sum(1).numpy(), chunk)]
        self.optimizer = torch.optim.Adam(learner.parameters(), fused=True)

    def engine(self) -> None:
        """An outer step."""
        learner = self.learner
        fast, slow = learner.fast_parameters(), learner.slow_parameters()
        self.optimizer.zero_grad()
        for rows in self.rows:
            episode = Episode(learner, self.batch.select(rows).to(learner.device))
            gradient = ALGORITHMS["fomaml"].gradient(episode, fast, slow, RATE, STEPS)
            accumulate(fast, gradient.fast, 1.0 / len(self.batch))
            accumulate(slow, gradient.slow, 1.0 / len(self.batch))
        self.optimizer.step()

    def shared(self, fused: bool) -> None:
        """As many passes, nobody adapted."""
        learner, fast = self.learner, list(self.learner.fast_parameters().values())
        self.optimizer.zero_grad()
        for rows in self.rows:
            batch = self.batch.select(rows).to(learner.device)
            fixed, length = learner.warm_table().detach(), int(batch.support.sum(1).max())
            support, inputs = batch.support[:, :length], batch.item_seq[:, :length]
            learner.eval()
            for _ in range(STEPS):
                states = learner.encoder(embedding(inputs, fixed), fused=fused)[support]
                loss = learner.prediction_loss(states, fixed, batch.targets[:, :length][support], None).mean()
                torch.autograd.grad(loss, fast)
            learner.train()
            table = learner.warm_table()
            states = learner.encoder(embedding(batch.item_seq, table), None, batch.noise_keys, fused)[batch.query]
            learner.prediction_loss(states, table, batch.targets[batch.query], None).mean().backward()
        self.optimizer.step()


def prepare(chosen: argparse.Namespace, case: str, place: Place) -> tuple[Ways, dict[str, float]]:
    """The ways of training on one kind of users."""
    size = place.size(chosen)
    tasks = training_tasks(random_users(size.users, LENGTHS[case]), 50, QUERY[case])
    learner, plain, sasrec = new_learner(place), new_learner(place), published.new_sasrec(place)
    noise = torch.Generator().manual_seed(0)
    batch = tasks.batch(np.arange(len(tasks))).with_noise(learner.n_warm_items, noise, negatives=False)
    batched, n = Batched(learner, batch, size.chunk), chosen.single
    stacked = Batched(in_plain_form(new_learner(place)), batch, size.chunk)
    vmapped = Batched(in_plain_form(new_learner(place), vmapped=True), batch, size.chunk)
    adam, own_adam = torch.optim.Adam(sasrec.parameters()), torch.optim.Adam(plain.parameters())

    def as_imported() -> None:
        with published.as_imported():
            published.train(sasrec, adam, tasks, n, STEPS)

    ways: Ways = {
        "published, as imported": (n, as_imported),
        "published": (n, lambda: published.train(sasrec, adam, tasks, n, STEPS)),
        "single pass": (n, lambda: published.train_single_pass(plain, own_adam, tasks, n, STEPS)),
        "shared, modules": (len(tasks), lambda: batched.shared(False)),
        "shared, fused": (len(tasks), lambda: batched.shared(True)),
        "vmap": (len(tasks), vmapped.engine),
        "plain": (len(tasks), stacked.engine),
        "mml": (len(tasks), batched.engine),
    }
    return ways, hardware_bounds(learner, tasks, True, place)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    chosen = options(arguments, "Users per second of meta-training.")
    return report("meta_training", everywhere(chosen, LENGTHS, prepare), chosen.output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
