"""States of users after their history, before and after adaptation, chunk by chunk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.data.tasks import TaskBatch, TaskSet, length_sorted_chunks
from mml.memory import in_halves
from mml.meta.inner import Rates, adaptation_path
from mml.model.learner.base import Learner
from mml.model.learner.episode import Episode
from mml.model.learner.tables import Start
from mml.progress import bar
from mml.settings import setting

logger = logging.getLogger(__name__)

T = TypeVar("T")
_CPU_CHUNK = 32  # stacked weights of a chunk should stay near the cache
_CPU_POSITIONS = 1024  # tasks so short that none are stacked: more at a time, so that few calls are made
_CUDA_SHARE = 0.3  # of the free memory; the rest is for what the estimate leaves out


@dataclass(frozen=True)
class AdaptationSettings:
    """What the validation users choose a learner's adaptation among."""

    stage: ClassVar[str] = "adaptation"
    section: ClassVar[str] = "Adaptation of new users; rate (of a list) and steps are chosen on the validation users"

    adapt_max_steps: int = setting(10, "Most steps; 0 = no adaptation.", low=0, per_learner=True)
    adapt_learning_rate: float | tuple[float, ...] = setting(
        [0.01, 0.03, 0.1], "Learning rates to choose among.", low=0.0, per_learner=True
    )

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates as a tuple."""
        return (self.adapt_learning_rate,) if isinstance(self.adapt_learning_rate, float) else self.adapt_learning_rate


@dataclass(frozen=True)
class Adaptation:
    """How a learner adapts to a new user.

    Args:
        rate: inner learning rate (ignored where the learner has learned rates).
        steps: number of steps; 0 leaves the learner as it is.
    """

    rate: float
    steps: int

    def __str__(self) -> str:
        return f"{self.steps} step{'s' * (self.steps != 1)} at rate {self.rate:g}"


def chunk_size(learner: Learner, configured: int, max_length: int) -> int:
    """Tasks of at most `max_length` inputs per chunk: `configured`, or if that is 0 what suits the cache or memory."""
    if configured:
        return configured
    if learner.device.type != "cuda":
        return max(_CPU_CHUNK, _CPU_POSITIONS // max_length)
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
    _evaluate(learner)
    table = learner.item_table() if table is None else table
    own = distributed.share(tasks.length)
    states = table.new_empty(len(own), learner.hidden_size)

    def work(rows: np.ndarray) -> Tensor:
        batch = tasks.batch(own[rows]).to(learner.device)
        return learner.states(batch.item_seq, table)[batch.query]

    for rows, found in in_halves(length_sorted_chunks(tasks.length[own], chunk), work):
        states[torch.from_numpy(rows).to(table.device)] = found
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
    start = Start.of(learner)

    def work(batch: TaskBatch, episode: Episode) -> list[Tensor]:
        path = adaptation_path(episode.support_loss, start.phi, len(batch), rates)
        return [episode.support_loss.states(next(path))[batch.query] for _ in range(max_steps + 1)]

    for rows, states in _worked(learner, tasks, chunk, progress, start, work):
        for step, own in enumerate(states):
            yield rows, step, own


def adapted_states(
    learner: Learner,
    tasks: TaskSet,
    how: Adaptation,
    chunk: int,
    progress: str | None = None,
    start: Start | None = None,
) -> Tensor:
    """State of each task's user after adaptation to its support, [N, d]. The processes of a run share the tasks.

    A user whose adaptation diverges, so that the state is no number, has the one before it; how many is logged.

    `start` is what the learner's adaptation starts from, if that is known already.
    """
    if how.steps == 0:
        return unadapted_states(learner, tasks, chunk, None if start is None else start.vectors)
    start = Start.of(learner) if start is None else start
    own = distributed.share(tasks.length)
    result = torch.empty(len(own), learner.hidden_size, device=learner.device)
    rates = learner.inner_rates(how.rate)
    phi = start.phi

    def work(batch: TaskBatch, episode: Episode) -> Tensor:
        return episode.support_loss.states_after(phi, rates, how.steps, batch.query)

    mine = tasks if len(own) == len(tasks) else tasks.take(own)
    for rows, states in _worked(learner, mine, chunk, progress, start, work):
        result[torch.from_numpy(rows).to(result.device)] = states
    found = result if distributed.size() == 1 else distributed.gather(own, result, len(tasks))
    return _where_it_diverges(learner, tasks, how, chunk, start, found)


def _where_it_diverges(
    learner: Learner, tasks: TaskSet, how: Adaptation, chunk: int, start: Start, states: Tensor
) -> Tensor:
    """The states [N, d], those that are no numbers exchanged for the unadapted ones."""
    if bool(states.isfinite().all()):
        return states
    rows = (~states.isfinite().all(1)).nonzero()[:, 0]
    logger.warning(
        "%s: adaptation of %s diverges for %d of %d histories, which are taken unadapted; "
        "use a smaller adapt_learning_rate.",
        learner.name,
        how,
        len(rows),
        len(tasks),
    )
    states[rows] = unadapted_states(learner, tasks.take(rows.cpu().numpy()), chunk, start.vectors)
    return states


def _worked(
    learner: Learner,
    tasks: TaskSet,
    chunk: int,
    progress: str | None,
    start: Start,
    work: Callable[[TaskBatch, Episode], T],
) -> Iterator[tuple[np.ndarray, T]]:
    """(rows, what came of their batch and episode) of each chunk, the learner in eval mode."""
    _evaluate(learner)

    def of_rows(rows: np.ndarray) -> T:
        batch = _with_negatives(learner, tasks, rows).to(learner.device)
        with torch.no_grad():
            episode = Episode(learner, batch, start.vectors, start.candidates)
        return work(batch, episode)

    with bar(progress or "", len(tasks), "users", progress is not None) as shown:
        for rows, found in in_halves(length_sorted_chunks(tasks.length, chunk), of_rows):
            yield rows, found
            shown.update(len(rows))


def _with_negatives(learner: Learner, tasks: TaskSet, rows: np.ndarray) -> TaskBatch:
    """The batch of some tasks, with the negatives that the loss needs; what else is random is for training only."""
    batch = tasks.batch(rows)
    if not (learner.loss.own_negatives or learner.loss.n_shared_negatives):
        return batch
    batch = learner.with_noise(batch, torch.Generator().manual_seed(0))
    if batch.negatives is not None:
        batch = replace(batch, negatives=tasks.fixed_negatives(rows, learner.n_warm_items))
    return batch


def _evaluate(learner: Learner) -> None:
    """Put it into eval mode; to walk through its modules takes longer than to adapt to one user."""
    if learner.training or learner.encoder.training:
        learner.eval()
