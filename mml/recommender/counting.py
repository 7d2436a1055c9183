"""Events that the counting learners know at once; nothing is fitted to them, as an update does."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from mml.errors import InputError
from mml.histories import Histories, among
from mml.model.learner.slot import EventLearner
from mml.recommender.parts import Parts
from mml.recommender.updates import learned_before, repeated, with_new_users
from mml.tables.times import COUNTER
from mml.updating.newer import Newer


def with_events(parts: Parts, found: Histories) -> Parts:
    """The parts where the learners that count events know these too, in the order of their times.

    What an update has learned, what was counted before, and what came up to T is passed over: these know it.

    Raises:
        InputError: the parts have no learner that counts events.
    """
    counting = parts.counting
    if not counting:
        raise InputError("this model has no learner that counts events, such as newcomers; update it, or train again.")
    fits = _fits(counting, found.times)
    known = learned_before(parts, found) | repeated(found)
    if found.seconds is not None:
        known |= among(found.keys, parts.counted_rows)
    if fits and found.times is not None:
        known |= found.times <= max(_end_of_training(one) for one in counting)
    found = found.of_rows(~known)
    n_users = max([len(parts.users), *(int(one.events.users.max(initial=-1)) + 1 for one in counting)])
    numbers = parts.numbers_of(found.users)
    times, order = (found.times, None) if fits else (None, found.order if found.times is None else found.times)
    newer = Newer.of(found.sequences(), times, numbers, n_users, order)
    whole = copy.copy(parts)
    whole.is_ahead = True
    if not len(newer.users):
        return whole
    added = newer.log, newer.times, newer.users, newer.order
    whole.learners = {
        name: one.followed_by(*added) if isinstance(one, EventLearner) else one for name, one in parts.learners.items()
    }
    whole.users = with_new_users(parts.users, found, numbers, n_users)
    whole.counted_rows = np.union1d(parts.counted_rows, found.keys)
    return whole


def _fits(counting: Sequence[EventLearner], times: np.ndarray | None) -> bool:
    """Whether the events' times are of the log's clock: not dates where that one only counts, as a server's are."""
    if times is None or not all(one.has_times for one in counting):
        return False
    is_counter = any(len(one.events) and one.events.times[-1] < COUNTER for one in counting)
    return not is_counter or bool((times < COUNTER).all())


def _end_of_training(learner: EventLearner) -> float:
    """When the log's last event up to T came."""
    return float(learner.events.times[learner.n_past - 1]) if learner.n_past else -np.inf
