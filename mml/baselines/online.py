"""Models of the log online: made anew at moments of the test period, each of every event before it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from mml.baselines.slot import Moment
from mml.data.moments import Followed
from mml.data.past import Past, span_of
from mml.data.tasks import TaskSet
from mml.evaluation.cases import Part
from mml.model.log.slot import LogMethod, LogScorer
from mml.settings import setting

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnlineSettings:
    """What models of the log have for their lines `<name>_online`."""

    stage: ClassVar[str] = "meta_test"
    section: ClassVar[str] = "own"

    online_fits: int = setting(
        16,
        "Models of the log, online: fitted anew at so many moments, which part the test cases equally in time; each "
        "fit has seen every event before its moment, and a case is answered by the latest fit.",
        low=1,
    )


@runtime_checkable
class RefittedEntry(Protocol):
    """A baseline that can be made anew from any log, with the settings that were chosen at T."""

    def method(self, moment: Moment) -> LogMethod:
        """It, with these settings."""


def online_parts(
    method: LogMethod, span: float, followed: Followed, tasks: TaskSet, n_items: int, n_fits: int
) -> Iterator[Part]:
    """Scores of the test tasks, moment by moment; a fit is dropped before the next one is made.

    Lengths of time among the settings stay as they were chosen, however long the log has become.

    Args:
        method: with the settings that were chosen at T.
        span: the time that its log took, of which some of them are shares.
        followed: the whole log and its new users.
        tasks: the test tasks.
        n_items: number of items, the padding item included.
        n_fits: at most so many moments.
    """
    asked, begin = followed.at_moments(tasks).moments, time.process_time()
    assert asked is not None
    fits, answered_by = fit_points(asked.known, n_fits)
    for number, n_known in enumerate(fits):
        past = Past.of(followed.events, int(n_known))
        model = method.in_longer(span_of(past.times) / span).fit(past.log, n_items, past.times)
        cases = np.flatnonzero(answered_by == number)
        yield cases, LogScorer(model, tasks.take(cases), own=past.rows[asked.users[cases]])
    logger.info("Online: fitted at %d moments, %.1f s of CPU.", len(fits), time.process_time() - begin)


def fit_points(known: np.ndarray, n_fits: int) -> tuple[np.ndarray, np.ndarray]:
    """The moments, and by which of them each case is answered: the latest one that is not after its target.

    Args:
        known: int64 [N], how many events came before each case's target.
        n_fits: the cases, in order of time, are cut into so many equal parts; each begins with a moment.

    Returns:
        How many events came before each moment, int64 [m], ascending, and the moments' numbers, int64 [N].
    """
    n = min(n_fits, len(known))
    moments = np.unique(np.sort(known)[np.arange(n) * len(known) // n])
    return moments, np.searchsorted(moments, known, side="right") - 1
