"""Users per second of adapting new users in 5 steps and ranking all items for them.

python -m benchmarks.adaptation [--users 64] [--threads 1 0] ...

The ways are those of benchmarks.meta_training; each ends with the rank of the user's next item.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
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
from mml.data.tasks import TaskSet, evaluation_tasks, length_sorted_chunks
from mml.evaluation.ranking import rank_targets
from mml.model.learner.adaptation import Adaptation, adapted_states
from mml.model.learner.base import Learner
from mml.model.learner.outputs import StateOutput


def shared_states(learner: Learner, tasks: TaskSet, chunk: int, fused: bool) -> Tensor:
    """States after as many passes with one set of weights for all users; nobody is adapted."""
    learner.eval()
    table = learner.item_table().detach()
    fast = list(learner.fast_parameters().values())
    result = table.new_empty(len(tasks), learner.hidden_size)
    for rows in length_sorted_chunks(tasks.length, chunk):
        batch = tasks.batch(rows).to(learner.device)
        length = int(batch.support.sum(1).max())
        vectors, support = embedding(batch.item_seq, table), batch.support[:, :length]
        for _ in range(STEPS):
            states = learner.encoder(vectors[:, :length], fused=fused)[support]
            loss = learner.prediction_loss(states, table, batch.targets[:, :length][support], None).mean()
            torch.autograd.grad(loss, fast)
        with torch.no_grad():
            result[torch.from_numpy(rows).to(result.device)] = learner.encoder(vectors, fused=fused)[batch.query]
    return result


def rank(states: Tensor, learner: Learner, tasks: TaskSet, block: int) -> None:
    """Rank the targets among all items, a block of cases at a time."""
    items = tasks.batch(np.arange(len(tasks))).item_seq.numpy()
    rank_targets(StateOutput(states, learner.item_table().detach()), tasks.target, items, 0, block)


def prepare(chosen: argparse.Namespace, case: str, place: Place) -> tuple[Ways, dict[str, float]]:
    """The ways of adapting to one kind of users."""
    size = place.size(chosen)
    tasks, _ = evaluation_tasks(random_users(size.users, LENGTHS[case]), 50, "last")
    learner, sasrec = new_learner(place), published.new_sasrec(place)
    stacked, vmapped = in_plain_form(new_learner(place)), in_plain_form(new_learner(place), vmapped=True)
    few, how, chunk, block = tasks.take(np.arange(chosen.single)), Adaptation(RATE, STEPS), size.chunk, size.ranked

    def one_by_one() -> None:
        for scores in published.test_scores(sasrec, few, len(few), STEPS):
            scores.argsort(descending=True)

    def ranked(states: Tensor) -> None:
        rank(states, learner, tasks.take(np.arange(len(states))), block)

    def as_imported() -> None:
        with published.as_imported():
            one_by_one()

    ways: Ways = {
        "published, as imported": (len(few), as_imported),
        "published": (len(few), one_by_one),
        "single pass": (len(few), lambda: ranked(published.states_single_pass(learner, few, len(few), STEPS))),
        "shared, modules": (len(tasks), lambda: ranked(shared_states(learner, tasks, chunk, False))),
        "shared, fused": (len(tasks), lambda: ranked(shared_states(learner, tasks, chunk, True))),
        "vmap": (len(tasks), lambda: ranked(adapted_states(vmapped, tasks, how, chunk))),
        "plain": (len(tasks), lambda: ranked(adapted_states(stacked, tasks, how, chunk))),
        "mml": (len(tasks), lambda: ranked(adapted_states(learner, tasks, how, chunk))),
    }
    return ways, hardware_bounds(learner, tasks, False, place)


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write."""
    chosen = options(arguments, "Users per second of adaptation and ranking.")
    return report("adaptation", everywhere(chosen, LENGTHS, prepare), chosen.output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
