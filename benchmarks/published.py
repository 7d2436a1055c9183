"""The published way of working, rebuilt from RecBole's own parts, and a plain loop over our single-pass loss.

Published: a user's task is a RecBole batch of prefix-augmented rows padded to MAX_ITEM_LIST_LENGTH; the model is copied
for each user and adapted by torch's SGD; one user at a time. Autograd's anomaly mode, which RecBole turns on by
accident (its sine.py), is off: the published way is faster here than whoever runs it finds it. `as_imported` has it on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender import SASRec
from torch import Tensor, nn
from torch.nn.functional import embedding

from benchmarks.speed import RATE, Place, RandomItems, Settings
from mml.data.tasks import TaskSet
from mml.model.learner.base import Learner, local_parameter_names

# Importing RecBole's sequential models turns it on, which slows all of autograd down.
torch.autograd.set_detect_anomaly(False)

LOCAL = ("position_embedding", "trm_encoder", "LayerNorm")


def new_sasrec(place: Place) -> SASRec:
    """RecBole's SASRec of the default size."""
    torch.manual_seed(0)
    return SASRec(Settings(place), RandomItems()).to(place.device)


@contextmanager
def as_imported() -> Iterator[None]:
    """RecBole as one gets it, autograd's anomaly mode on."""
    with torch.autograd.set_detect_anomaly(True):
        yield


def augmented(tasks: TaskSet, row: int, max_length: int, device: torch.device) -> Interaction:
    """A user's prefixes, one row for each input position."""
    begin, length = tasks.start[row], tasks.length[row]
    items = torch.from_numpy(tasks.items[begin : begin + length + 1])
    prefixes = torch.zeros(length, max_length, dtype=torch.int64)
    for n in range(1, length + 1):
        prefixes[n - 1, :n] = items[:n]
    rows = {"item_id_list": prefixes, "item_length": torch.arange(1, length + 1), "item_id": items[1:]}
    return Interaction(rows).to(device)


def adapted_copies(model: SASRec, tasks: TaskSet, users: int, steps: int) -> Iterator[tuple[SASRec, Interaction]]:
    """Each user's adapted model and the rows that are no support."""
    for user in range(users):
        rows, n = augmented(tasks, user, model.max_seq_length, model.device), int(tasks.n_support[user])
        own = copy.deepcopy(model)
        for parameter in own.parameters():
            parameter.requires_grad_(False)
        local = [value for name, value in own.named_parameters() if name.startswith(LOCAL)]
        for parameter in local:
            parameter.requires_grad_(True)
        optimizer = torch.optim.SGD(local, lr=RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            own.calculate_loss(rows[:n]).backward()
            optimizer.step()
        for parameter in own.parameters():
            parameter.requires_grad_(True)
        yield own, rows[n:]


def train(model: SASRec, optimizer: torch.optim.Optimizer, tasks: TaskSet, users: int, steps: int) -> None:
    """One outer step: the query gradients of the adapted copies, summed onto the model."""
    optimizer.zero_grad()
    for own, query in adapted_copies(model.train(), tasks, users, steps):
        own.zero_grad()
        own.calculate_loss(query).backward()
        _add_gradients(model, own)
    optimizer.step()


@torch.no_grad()
def test_scores(model: SASRec, tasks: TaskSet, users: int, steps: int) -> list[Tensor]:
    """Scores of all items for each user, after adaptation."""
    with torch.enable_grad():
        pairs = adapted_copies(model.eval(), tasks, users, steps)
        return [own.full_sort_predict(query[len(query) - 1 :]).detach() for own, query in pairs]


def train_single_pass(
    learner: Learner, optimizer: torch.optim.Optimizer, tasks: TaskSet, users: int, steps: int
) -> None:
    """As `train`, with our learner: all prefixes in one pass over the user's own positions."""
    optimizer.zero_grad()
    for user in range(users):
        own, states, targets, query = _adapted(learner.train(), tasks, user, steps)
        own.zero_grad()
        table = own.warm_table()
        own.prediction_loss(states(table)[query], table, targets[query], None).mean().backward()
        _add_gradients(learner, own)
    optimizer.step()


def states_single_pass(learner: Learner, tasks: TaskSet, users: int, steps: int) -> Tensor:
    """States of the users' last positions after adaptation, one user at a time, [users, d]."""
    last = []
    for user in range(users):
        own, states, _, _ = _adapted(learner.eval(), tasks, user, steps)
        with torch.no_grad():
            last.append(states(own.item_table())[-1])
    return torch.stack(last)


def _adapted(learner: Learner, tasks: TaskSet, user: int, steps: int):  # type: ignore[no-untyped-def]
    batch = tasks.batch(np.array([user])).to(learner.device)
    own = copy.deepcopy(learner)
    names = {f"encoder.{name}" for name in local_parameter_names(own.encoder, LOCAL, own.name)}
    optimizer = torch.optim.SGD([value for name, value in own.named_parameters() if name in names], lr=RATE)
    targets, support = batch.targets[0], batch.support[0]
    n = int(support.sum())

    def states(table: Tensor, length: int | None = None) -> Tensor:
        found: Tensor = own.encoder(embedding(batch.item_seq[:, :length], table), fused=False)[0]
        return found

    fixed = own.warm_table().detach()
    for _ in range(steps):
        optimizer.zero_grad()
        own.prediction_loss(states(fixed, n), fixed, targets[:n], None).mean().backward()
        optimizer.step()
    return own, states, targets, batch.query[0]


def _add_gradients(model: nn.Module, own: nn.Module) -> None:
    for mine, theirs in zip(model.parameters(), own.parameters(), strict=True):
        if theirs.grad is not None:
            mine.grad = theirs.grad if mine.grad is None else mine.grad.add_(theirs.grad)
