"""States of users after their history, before and after adaptation, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mml import distributed
from mml.data.tasks import TaskBatch, TaskSet, length_sorted_chunks
from mml.meta.inner import Rates, adaptation_path, descended
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode

_CPU_CHUNK = 32  # stacked weights of a chunk should stay near the cache
_CUDA_SHARE = 0.3


@dataclass(frozen=True)
class Adaptation:
    """How a learner adapts to a new user.

    Args:
        rate: inner learning rate (ignored where the learner has learned rates).
        steps: number of steps; 0 leaves the learner as it is.
    """

    rate: float
    steps: int


def chunk_size(learner: Learner, configured: int, max_length: int) -> int:
    """Tasks per chunk: `configured`, or if that is 0 what fits into the device's free memory."""
    if configured:
        return configured
    if learner.device.type != "cuda":
        return _CPU_CHUNK
    free, _ = torch.cuda.mem_get_info(learner.device)
    n_fast = sum(value.numel() for value in learner.fast_parameters().values())
    per_task = 4 * (4 * n_fast + 40 * max_length * learner.hidden_size + 8 * max_length**2)
    return max(1, int(_CUDA_SHARE * free / per_task))


@torch.no_grad()
def unadapted_states(learner: Learner, tasks: TaskSet, chunk: int, table: Tensor | None = None) -> Tensor:
    """State of each task's user after all its inputs, under the learner's own weights; [N, d].

    `table`, [n_items, d], is used instead of the learner's own item vectors if given. The processes of a run share
    the tasks.
    """
    learner.eval()
    table = learner.item_table() if table is None else table
    own = distributed.share(tasks.length)
    states = table.new_empty(len(own), learner.hidden_size)
    for rows in length_sorted_chunks(tasks.length[own], chunk):
        batch = tasks.batch(own[rows]).to(learner.device)
        states[torch.from_numpy(rows).to(table.device)] = learner.states(batch.item_seq, table)[batch.query]
    return distributed.gather(own, states, len(tasks))


def states_along_adaptation(
    learner: Learner, tasks: TaskSet, rates: Rates, max_steps: int, chunk: int, progress: str | None = None
) -> Iterator[tuple[np.ndarray, int, Tensor]]:
    """Adapt all tasks and yield their states at every step.

    Args:
        learner: see Learner; it is put into eval mode.
        tasks: N tasks with one query position each.
        rates: inner learning rate(s).
        max_steps: number of steps.
        chunk: tasks adapted at a time.
        progress: title of the progress bar, or None for none.

    Yields:
        (rows int64 [c], step, states [c, d]) for each chunk and each step from 0 to `max_steps`.
    """
    for rows, step, states, query in _paths(learner, tasks, rates, max_steps, chunk, progress):
        yield rows, step, states[query]


def adapted_states(
    learner: Learner, tasks: TaskSet, how: Adaptation, chunk: int, progress: str | None = None
) -> Tensor:
    """State of each task's user after adaptation to its support, [N, d]. The processes of a run share the tasks."""
    if how.steps == 0:
        return unadapted_states(learner, tasks, chunk)
    own = distributed.share(tasks.length)
    result = torch.empty(len(own), learner.hidden_size, device=learner.device)
    rates, phi = learner.inner_rates(how.rate), learner.fast_parameters()
    for rows, batch, episode in _episodes(learner, tasks.take(own), chunk, progress):
        fast = descended(episode.support_loss, phi, len(rows), rates, how.steps)
        result[torch.from_numpy(rows).to(result.device)] = episode.support_loss.states(fast)[batch.query]
    return distributed.gather(own, result, len(tasks))


def states_at_best_valid_step(
    learner: Learner,
    tasks: TaskSet,
    how: Adaptation,
    chunk: int,
    rank_valid: Callable[[np.ndarray, Tensor], Tensor],
    progress: str | None = None,
) -> Tensor:
    """States [N, d], each user's at the step at which its own validation item ranks best (the first such step).

    This is how the published code chose each new user's epoch. It uses a label of that same user: it is here so
    that old numbers can be understood, and must not be used to report a result.

    Args:
        learner, tasks, chunk, progress: as for `states_along_adaptation`; `tasks` of the protocol `last`, where the
            position before the query predicts the validation item.
        how: rate and largest number of steps.
        rank_valid: (rows, states before the validation item [c, d]) -> rank of that item [c].
    """
    result = torch.empty(len(tasks), learner.hidden_size, device=learner.device)
    best = torch.full((len(tasks),), torch.iinfo(torch.int64).max, device=learner.device)
    rates = learner.inner_rates(how.rate)
    for rows, _, states, query in _paths(learner, tasks, rates, how.steps, chunk, progress):
        valid = torch.roll(query, -1, dims=1)
        places = torch.from_numpy(rows).to(result.device)
        ranks = rank_valid(rows, states[valid]).to(result.device)
        better = ranks < best[places]
        best[places] = torch.minimum(best[places], ranks)
        result[places[better]] = states[query][better]
    return result


def _paths(
    learner: Learner, tasks: TaskSet, rates: Rates, max_steps: int, chunk: int, progress: str | None
) -> Iterator[tuple[np.ndarray, int, Tensor, Tensor]]:
    """(rows, step, states [c, L, d], query bool [c, L]) along the adaptation of each chunk."""
    for rows, batch, episode in _episodes(learner, tasks, chunk, progress):
        path = adaptation_path(episode.support_loss, learner.fast_parameters(), len(rows), rates)
        for step in range(max_steps + 1):
            yield rows, step, episode.support_loss.states(next(path)), batch.query


def _episodes(
    learner: Learner, tasks: TaskSet, chunk: int, progress: str | None
) -> Iterator[tuple[np.ndarray, TaskBatch, Episode]]:
    """(rows, batch, episode) of each chunk, the learner in eval mode."""
    learner.eval()
    with torch.no_grad():
        table = learner.item_table()
    bar = tqdm(total=len(tasks), desc=progress, unit="user", disable=progress is None, leave=False)
    for rows in length_sorted_chunks(tasks.length, chunk):
        batch = learner.with_noise(tasks.batch(rows), torch.Generator().manual_seed(0))
        if batch.negatives is not None:
            batch = replace(batch, negatives=tasks.fixed_negatives(rows, learner.n_warm_items))
        batch = batch.to(learner.device)
        with torch.no_grad():
            episode = learner.episode(batch, table)
        yield rows, batch, episode
        bar.update(len(rows))
    bar.close()
