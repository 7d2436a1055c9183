"""A run of one of our own baselines, with its ways of treating new users."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from mml.baselines.entries import BASELINES
from mml.baselines.moments import Period, periods
from mml.baselines.online import OnlineSettings, RefittedEntry, online_parts
from mml.baselines.settings import Baseline
from mml.baselines.slot import Moment, Scores
from mml.data.dataset import MMLDataset
from mml.data.moments import Followed
from mml.data.past import span_of
from mml.data.tasks import TaskSet
from mml.evaluation.cases import Part
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import MomentSettings
from mml.evaluation.validation import Validation
from mml.model.log.slot import even_times
from mml.run.frame import Stages


@runtime_checkable
class ValidatedApart(Protocol):
    """A baseline that may be fitted to the validation users as well, once all is chosen."""

    def on_validation(self, moment: Moment) -> Scores:
        """What it says of them, fitted without them."""


class OwnRun:
    """Trains and scores one of our own baselines.

    Args:
        baseline, dataset, validation, stages, run_dir: as for RecBoleRun.
    """

    def __init__(
        self, baseline: Baseline, dataset: MMLDataset, validation: Validation, stages: Stages, run_dir: Path
    ) -> None:
        self._entry, self._treatment = BASELINES[baseline.name], baseline.new_users
        settings, n_warm = baseline.settings, dataset.n_warm_items
        self._start = Moment(baseline.config, settings, dataset, validation, stages, run_dir, n_warm)
        self._entry.check(self._start)

    @property
    def code(self) -> list[str]:
        """The modules that compute it."""
        return [type(self._entry).__module__]

    def scorers(self, tasks: TaskSet) -> tuple[list[Part], Scorer | None]:
        """Scores of the test tasks, in parts, and of the validation tasks (None where there are several models)."""
        if self._treatment == "none":
            score = unseen = self._entry.trained(self._start)
            if isinstance(self._entry, ValidatedApart):
                unseen = self._entry.on_validation(self._start)
            valid = self._start.validation
            return [(np.arange(len(tasks)), score(tasks, None))], unseen(valid.tasks, valid.n_candidates)
        return list(self._parts(tasks)), None

    @property
    def follows_events(self) -> bool:
        """Whether it is also asked at the moments of the targets."""
        is_refitted = isinstance(self._entry, RefittedEntry) and self._treatment == "none"
        return is_refitted and self._start.dataset.has_moments

    def online(self, tasks: TaskSet, followed: Followed) -> Iterable[Part]:
        """Scores of the test tasks where every event before a moment is known; of those that follow events."""
        data, n_fits = self._start.dataset, self._start.part(OnlineSettings).online_fits
        assert isinstance(self._entry, RefittedEntry)
        method, span = self._entry.method(self._start), span_of(even_times(data.past, data.past_times))
        return online_parts(method, span, followed, tasks, data.item_num, n_fits)

    def _parts(self, tasks: TaskSet) -> Iterator[Part]:
        for period in periods(self._start.dataset, tasks, self._start.config.part(MomentSettings).moments):
            score = self._entry.trained(self._at(period))
            yield period.cases, score(tasks.take(period.cases), None)

    def _at(self, period: Period) -> Moment:
        """The moment at which a period begins: trained anew on all that is known by then, or tuned on what is new."""
        if period.knows_nothing:
            return self._start
        return replace(
            self._start,
            dataset=self._start.dataset.after(period.known, period.times),
            suffix=f"_{self._treatment}_{period.name}",
            tuned=(self._start, period.known) if self._treatment == "trans" else None,
            methods={},
            learners={},
        )
