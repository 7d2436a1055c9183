"""What an update learns from a newer log, and whether that is kept."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from typing import TypedDict

import numpy as np
import torch
from scipy.special import stdtrit

from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet, prefix_tasks
from mml.errors import InputError
from mml.evaluation.ranking import rank_targets
from mml.evaluation.significance import per_case_ndcg, per_user
from mml.histories import Histories
from mml.recommender.lists import BLOCK
from mml.recommender.parts import Parts, TrainedParts
from mml.settings import read
from mml.tables.dates import as_date
from mml.updating.learning import Training, learned
from mml.updating.settings import UpdateSettings

logger = logging.getLogger(__name__)

_CHANCE = 0.05  # of refusing what does no harm


class Updated(TypedDict):
    """What an update gained; see Recommender.update."""

    kept: str
    ndcg_before: float
    ndcg_after: float
    n_judges: int
    n_interactions: int
    n_unknown: int
    n_again: int


def updated(parts: Parts, found: Histories) -> tuple[Parts, Updated]:
    """The parts after what users did since the training, or as they were if these predict the newest users better.

    Better by a t-test over these users, p < 0.05: a few of them cannot tell, and what came since is evidence.

    Raises:
        InputError: for a log from which nothing can be learned, or parts without their own log.
    """
    if parts.log is None:
        raise InputError("this model was saved without its log, so it cannot be updated; train again.")
    given, again = digest(found), learned_before(parts, found)
    tasks = _to_judge(parts, found.sequences(), again)
    found = found.of_rows(~again)
    newer, times = found.sequences(), found.times
    if not len(newer.items) and not again.any():
        raise InputError("nothing can be learned from this log: it has no interaction with a known item.")
    _say_of_old(parts, found)
    able = np.unique(tasks.users)
    judges = able[-max(1, len(able) // read(UpdateSettings, parts.values).update_judges) :]
    of_others = ~np.isin(newer.owners, judges)
    kept, before, after = "new", np.nan, np.nan
    if len(able) and of_others.any():
        tasks, others = tasks.take(np.isin(tasks.users, judges)), newer.only(of_others)
        own = None if times is None else times[of_others]
        gains = _ndcg(parts, tasks), _ndcg(_with_newer(parts, others, own), tasks)
        before, after = (float(one.mean()) for one in gains)
        kept = "old" if before - after > _chance(gains[1] - gains[0], tasks.users) else "new"
    elif again.any():
        judges = able[:0]  # little has come since, which is learned unjudged
    else:
        raise InputError(
            "nothing can be learned from this log: it needs a user with two known interactions or more, who judges "
            "what is learned from the others, and one other user."
        )
    whole = parts
    if kept == "new" and len(newer.items):
        whole = _with_newer(parts, newer, times)
        counts = parts.vocabulary.counts + np.bincount(newer.items, minlength=len(parts.vocabulary))
        whole.vocabulary = replace(parts.vocabulary, counts=counts)
        whole.log = PackedSequences.joined([parts.log, newer])
        whole.learned_logs = (*parts.learned_logs, given)
        whole.learned_rows = np.union1d(parts.learned_rows, found.keys)
    said = "too little to judge by"
    if len(judges):
        said = f"NDCG@10 for the {len(judges)} newest users: {before:.4f} before, {after:.4f} after"
    logger.info("%s; %s.", said, "updated" if kept == "new" else "the model is kept as it was")
    report = Updated(
        kept=kept,
        ndcg_before=before,
        ndcg_after=after,
        n_judges=len(judges),
        n_interactions=len(newer.items),
        n_unknown=found.n_unknown,
        n_again=int(again.sum()),
    )
    return whole, report


def _to_judge(parts: TrainedParts, log: PackedSequences, again: np.ndarray) -> TaskSet:
    """What users of a log took next, after all that they did before, but for what has been learned already."""
    tasks = prefix_tasks(log, parts.rules.max_length)
    tasks = tasks.take(~again[tasks.start + tasks.length])
    if parts.rules.repeatable:
        return tasks
    return tasks.take(~(tasks.inputs(slice(None)) == tasks.target[:, None]).any(1))


def learned_before(parts: TrainedParts, found: Histories) -> np.ndarray:
    """bool [n_interactions], which of a log's an update has learned already; without times that cannot be told."""
    if found.seconds is None:
        return np.zeros(sum(map(len, found.items)), dtype=bool)
    return np.isin(found.keys, parts.learned_rows)


def _say_of_old(parts: TrainedParts, found: Histories) -> None:
    """Of interactions from before the end of the log that the parts were trained on, who may be in it."""
    ends = [float(one.events.times[one.n_past - 1]) for one in parts.counting if one.n_past]
    if found.times is None or not ends:
        return
    n_old = int((found.times <= ends[0]).sum())
    if n_old:
        logger.warning(
            "%s of %s interactions are no later than the end of the log that the model was trained on (%s); those that "
            "are in it count twice.",
            f"{n_old:,}",
            f"{len(found.times):,}",
            as_date(ends[0]),
        )


def _with_newer(parts: Parts, newer: PackedSequences, times: np.ndarray | None) -> Parts:
    assert parts.log is not None
    rules = parts.rules
    training = Training(
        choices=parts.choices,
        values=parts.values,
        catalogue=parts.catalogue,
        max_length=rules.max_length,
        repeatable=rules.repeatable,
        device=parts.device,
        old=parts.log,
    )
    settings = read(UpdateSettings, parts.values)
    return parts.with_learners(learned(parts.learners, training, newer, times, settings))


@torch.no_grad()
def _ndcg(parts: TrainedParts, tasks: TaskSet) -> np.ndarray:
    excluded = None if parts.rules.repeatable else tasks.inputs(slice(None))
    tasks = parts.now(tasks)
    scorer = parts.fused(tasks, parts.outputs(tasks))
    ranks = rank_targets(scorer, tasks.target, excluded, seed=0, block=BLOCK).ranks
    return per_case_ndcg(ranks)


def _chance(changes: np.ndarray, users: np.ndarray) -> float:
    """How far the mean of the cases' changes [N] may be below 0 by chance, p = 0.05 over users; infinite for one."""
    sums, counts = per_user(changes, users)
    n = len(sums)
    left = sums - changes.mean() * counts
    if n < 2:
        return np.inf
    error = np.sqrt((left**2).sum() * n / (n - 1)) / len(changes)
    return float(stdtrit(n - 1, 1 - _CHANCE) * error)


def digest(log: Histories) -> str:
    """Of what an update learns of a log; items are named by their numbers, which stay."""
    return hashlib.sha256(json.dumps([log.users, log.items, log.seconds], default=float).encode()).hexdigest()
