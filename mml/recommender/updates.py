"""What an update learns from a newer log, and whether that is kept."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import replace
from itertools import compress
from typing import TypedDict

import numpy as np
import torch
from scipy.special import stdtrit

from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.cases import WholeHistories
from mml.evaluation.ranking import rank_targets
from mml.evaluation.significance import per_case_ndcg, per_user
from mml.histories import Histories, among, keys_of
from mml.recommender.clocks import are_of_its_clock
from mml.recommender.lists import BLOCK
from mml.recommender.parts import Parts, TrainedParts
from mml.settings import read
from mml.tables.dates import as_date, far_ahead
from mml.updating.learning import Training, learned
from mml.updating.newer import Newer
from mml.updating.settings import UpdateSettings

logger = logging.getLogger(__name__)

_CHANCE = 0.05  # of refusing what does no harm
FEWEST_JUDGES = 8
"""Fewer, who may be alike by chance, refuse nothing."""


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

    Better by a t-test over these users, p < 0.05: few of them cannot tell, and what came since is evidence.

    Raises:
        InputError: for a log from which nothing can be learned, or parts without their own log.
    """
    if parts.log is None:
        raise InputError("this model was saved without its log, so it cannot be updated; train again.")
    given, again, twice = digest(found), learned_before(parts, found), found.repeats
    _say_of_repeats(twice)
    found = found.of_rows(~(again | twice))
    numbers = parts.numbers_of(found.users)
    times = found.times if are_of_its_clock(parts, found.times) else None  # its keys tell all the same what is learned
    newer = Newer.of(found.sequences(), times, numbers, len(parts.log), found.order)
    if not len(newer.users) and not again.any():
        skipped = f", {found.n_unknown:,} with unknown ones" if found.n_unknown else ""
        raise InputError(f"nothing can be learned from this log: it has no interaction with a known item{skipped}.")
    if times is not None:
        _say_of_old(parts, times)
        say_of_future(times)
    tasks = _to_judge(parts, newer)
    able = newer.users[np.isin(newer.users, tasks.users)]
    judges = able[len(able) - max(1, len(able) // read(UpdateSettings, parts.values).update_judges) :]
    is_judge = np.isin(newer.users, judges)
    kept, before, after = "new", np.nan, np.nan
    if len(able) and not is_judge.all():
        tasks = tasks.take(np.isin(tasks.users, judges))
        gains = _ndcg(parts, tasks), _ndcg(_with_newer(parts, newer.without(is_judge)), tasks)
        before, after = (float(one.mean()) for one in gains)
        kept = "old" if before - after > _chance(gains[1] - gains[0], tasks.users) else "new"
    else:
        judges = able[:0]  # too little has come since: it is learned unjudged
    whole = parts
    if kept == "new" and len(newer.users):
        whole = _with_newer(parts, newer)
        counts = parts.vocabulary.counts + np.bincount(newer.log.items, minlength=len(parts.vocabulary))
        whole.vocabulary = replace(parts.vocabulary, counts=counts)
        whole.log = newer.after(parts.log)
        whole.users = with_new_users(parts.users, found, numbers, len(parts.log))
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
        n_interactions=len(newer.log.items),
        n_unknown=found.n_unknown,
        n_again=int(again.sum()),
    )
    return whole, report


def _to_judge(parts: TrainedParts, newer: Newer) -> TaskSet:
    """What users took next, after all that they had done before."""
    assert parts.log is not None
    tasks = newer.tasks(parts.log, parts.rules.max_length)
    return tasks if parts.rules.repeatable else tasks.take(~tasks.target_in_history)


def with_new_users(known: np.ndarray, found: Histories, numbers: np.ndarray, n_old: int) -> np.ndarray:
    """`TrainedParts.users` and then those who are new.

    Args:
        known: uint64 [n], of the log's users; fewer than these are of a model that was saved without them.
        found: what some users did since.
        numbers: int64 [n_users], these users in the log, -1 for who is not in it.
        n_old: how many users the log has.
    """
    some = np.array([bool(items) for items in found.items], dtype=bool)
    unnamed = np.zeros(max(n_old - len(known), 0), dtype=np.uint64)
    return np.concatenate([known, unnamed, keys_of(compress(found.users, some & (numbers < 0)))])


def learned_before(parts: TrainedParts, found: Histories) -> np.ndarray:
    """bool [n_interactions], which of a log's an update has learned already; without times that cannot be told."""
    if found.seconds is None:
        return np.zeros(sum(map(len, found.items)), dtype=bool)
    return among(found.keys, parts.learned_rows)


def _say_of_repeats(repeats: np.ndarray) -> None:
    if repeats.any():
        said = "%s of %s interactions repeat user, item and time of another one, and count once."
        logger.warning(said, f"{int(repeats.sum()):,}", f"{len(repeats):,}")


def _say_of_old(parts: TrainedParts, times: np.ndarray) -> None:
    """Of interactions from before the end of the log that the parts were trained on, who may be in it."""
    ends = [float(one.events.times[one.n_past - 1]) for one in parts.counting if one.n_past and one.has_times]
    if not ends:
        return
    n_old = int((times <= ends[0]).sum())
    if n_old:
        logger.warning(
            "%s of %s interactions are no later than the end of the log that the model was trained on (%s), and not in "
            "it; they are learned as if they had come then.",
            f"{n_old:,}",
            f"{len(times):,}",
            as_date(ends[0]),
        )


def say_of_future(times: np.ndarray) -> None:
    """Of times that no clock shows yet: the log's end moves there with one of them, and stays."""
    late = times > far_ahead()
    if late.any():
        logger.warning(
            "%s of %s interactions are more than a year from now, such as on %s, and all that comes later counts as of "
            "then: mend or remove these rows.",
            f"{int(late.sum()):,}",
            f"{len(times):,}",
            as_date(float(times[late][0])),
        )


def _with_newer(parts: Parts, newer: Newer) -> Parts:
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
    return parts.with_learners(learned(parts.learners, training, newer, settings))


@torch.no_grad()
def _ndcg(parts: TrainedParts, tasks: TaskSet) -> np.ndarray:
    excluded = None if parts.rules.repeatable else WholeHistories(tasks)
    assert parts.log is not None
    tasks = parts.now(tasks, np.where(tasks.users < len(parts.log), tasks.users, -1))
    scorer = parts.fused(tasks, parts.outputs(tasks))
    ranks = rank_targets(scorer, tasks.target, excluded, seed=0, block=BLOCK).ranks
    return per_case_ndcg(ranks)


def _chance(changes: np.ndarray, users: np.ndarray) -> float:
    """How far the mean of the cases' changes [N] may be below 0 by chance, p = 0.05 over users; infinite for a few."""
    sums, counts = per_user(changes, users)
    n = len(sums)
    left = sums - changes.mean() * counts
    if n < FEWEST_JUDGES:
        return np.inf
    error = np.sqrt((left**2).sum() * n / (n - 1)) / len(changes)
    return float(stdtrit(n - 1, 1 - _CHANCE) * error)


def digest(log: Histories) -> str:
    """Of what an update learns of a log; items are named by their numbers, which stay."""
    return hashlib.sha256(json.dumps([log.users, log.items, log.seconds], default=float).encode()).hexdigest()
