"""Events that the counting learners know at once; nothing is fitted to them, as an update does."""

from __future__ import annotations

import copy
import logging

import numpy as np

from mml.data.sequences import PackedSequences
from mml.errors import InputError
from mml.histories import Histories, among
from mml.model.learner.slot import EventLearner
from mml.recommender.clocks import are_of_its_clock
from mml.recommender.parts import Parts
from mml.recommender.updates import learned_before, say_of_future, with_new_users
from mml.tables.dates import as_date
from mml.updating.newer import Newer

logger = logging.getLogger(__name__)


def with_events(parts: Parts, found: Histories) -> Parts:
    """The parts where the learners that count events know these too, in the order of their times.

    What an update has learned, what was counted before, and what came up to T is passed over: these know it.

    Raises:
        InputError: the parts have no learner that counts events.
    """
    counting = parts.counting
    if not counting:
        raise InputError("this model has no learner that counts events, such as newcomers; update it, or train again.")
    n_own = len(counting[0].events) - len(parts.counted_at)
    fits = are_of_its_clock(parts, found.times)
    known = learned_before(parts, found) | found.repeats
    if found.seconds is not None:
        known |= among(found.keys, parts.counted_rows)
    if fits and found.times is not None:
        say_of_future(found.times[~known])
        end = max(_end_of_training(one) for one in counting)
        _say_of_old(found.times[~known], end)
        known |= found.times <= end
    found = found.of_rows(~known)
    n_users = max([len(parts.users), *(int(one.events.users.max(initial=-1)) + 1 for one in counting)])
    numbers = parts.numbers_of(found.users)
    newer = Newer.of(found.sequences(), found.times, numbers, n_users, found.order)
    whole = copy.copy(parts)
    whole.is_ahead = True
    if not len(newer.users):
        return whole
    counted = counting[0].events
    users = np.concatenate([counted.users[n_own:], newer.users[newer.log.owners]])
    items = np.concatenate([counted.items[n_own:], newer.log.items])
    at = np.concatenate([parts.counted_at, _ordered_by(newer, _end_of(counting[0], n_own, parts.counted_at))])
    whole.users = with_new_users(parts.users, found, numbers, n_users)
    # all that is counted is put in order anew: what comes late counts as of its time
    numbered, owners, counts = np.unique(users, return_inverse=True, return_counts=True)
    by_user = _in_order(numbered, int(counted.users[:n_own].max(initial=-1)) + 1, whole.users)
    rank = np.argsort(by_user)
    order = np.lexsort((at, rank[owners]))
    sequences = PackedSequences(items[order], np.concatenate(([0], np.cumsum(counts[by_user]))))
    at = at[order]
    times = at if are_of_its_clock(parts, at) else None
    whole.learners = dict(parts.learners)
    for name, one in parts.learners.items():
        if isinstance(one, EventLearner):
            own = one.events.first(n_own)
            whole.learners[name] = one.over(own.followed_by(sequences, times, numbered[by_user], at))
    whole.counted_rows = np.union1d(parts.counted_rows, found.keys)
    whole.counted_at = np.sort(at)
    return whole


def _say_of_old(times: np.ndarray, end: float) -> None:
    """Where none counts, as when times are not of the log's clock; a log that grows has old ones beside others."""
    if len(times) and (times <= end).all():
        said = (
            "events: all %s are no later than the end of the log that the model was trained on (%s), and none counts."
        )
        logger.warning(said, f"{len(times):,}", as_date(end))


def _in_order(numbers: np.ndarray, n_known: int, keys: np.ndarray) -> np.ndarray:
    """int64 [n], the order of users in events of one time: the log's as in it, others the same whoever came first.

    Args:
        numbers: int64 [n], the users' numbers.
        n_known: how many users the log has.
        keys: uint64, all users' by their numbers.
    """
    is_known = numbers < n_known
    return np.lexsort((np.where(is_known, np.uint64(0), keys[numbers]), np.where(is_known, numbers, n_known)))


def _ordered_by(newer: Newer, end: float) -> np.ndarray:
    """float64 [n_interactions], what ascends with time: times, or where there are none, a second each after `end`."""
    if newer.times is not None:
        return newer.times
    by = newer.log.places if newer.order is None else newer.order
    seconds = np.empty(len(by))
    seconds[np.argsort(by, kind="stable")] = end + 1 + np.arange(len(by))
    return seconds


def _end_of(learner: EventLearner, n_own: int, counted_at: np.ndarray) -> float:
    """When the latest event came that is learned or counted."""
    own = learner.events.times[:n_own]
    return float(max(own[-1] if n_own else 0.0, counted_at[-1] if len(counted_at) else -np.inf))


def _end_of_training(learner: EventLearner) -> float:
    """When the log's last event up to T came."""
    return float(learner.events.times[learner.n_past - 1]) if learner.n_past else -np.inf
