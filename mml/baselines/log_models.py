"""Models of the log as baselines: their settings are chosen on the validation users, then they are fitted in one go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from mml.baselines.online import OnlineSettings
from mml.baselines.slot import BASELINES, Moment, Scores
from mml.files.bundle import State
from mml.model.learner.log_entries import LogLearnerSettings
from mml.model.log.methods import METHODS
from mml.model.log.prior import PriorMethod
from mml.model.log.slot import LogMethod, LogScorer, choose
from mml.model.log.sums import SumMethod
from mml.settings import read

_SUM = ("VSTAN", "SLIST", "EASE", "PrefixKNN")
_CODE = ("mml.model.log.methods", "mml.evaluation.validation")
_MEANINGS = {
    "Popularity": "number of interactions",
    "PositionPopularity": "what users take after so many interactions",
    "RecentPopularity": "number of interactions, decayed with their age",
    "RecentPositionPopularity": "both",
    "Markov": "what follows the last items",
    "VSKNN": "sessions like the history (Ludewig and Jannach 2018)",
    "STAN": "VSKNN with decays of position and time (Garg et al. 2019)",
    "VSTAN": "VSKNN and STAN together (Ludewig et al. 2021)",
    "SLIS": "item similarities in closed form (Choi et al. 2021)",
    "SLIST": "item similarities and transitions in closed form (Choi et al. 2021)",
    "EASE": "item similarities by ridge regression (Steck 2019)",
    "IALS": "matrix factorisation with implicit feedback (Hu et al. 2008)",
    "PrefixKNN": "users who began alike",
}


class LogEntry:
    """A model of the log, with popularity by position as a prior where the validation users gain by it.

    Args:
        name: one of METHODS.
    """

    settings = OnlineSettings

    def __init__(self, name: str) -> None:
        self.name, self.meaning = name, _MEANINGS[name]

    def check(self, moment: Moment) -> None:
        """It works with any data."""

    def method(self, moment: Moment) -> LogMethod:
        """It, with the settings that the validation users choose."""
        return _chosen(self.name, moment)

    def trained(self, moment: Moment) -> Scores:
        data = moment.dataset
        model = self.method(moment).fit(data.users.old, data.item_num, data.old_times)
        return lambda tasks, n_items: LogScorer(model, tasks, n_items)


class LogSumEntry(LogEntry):
    """The plain sum of four different kinds of them."""

    def __init__(self) -> None:
        self.name, self.meaning = "SumLog", " + ".join(_SUM)

    def method(self, moment: Moment) -> LogMethod:
        return SumMethod(methods=tuple(_chosen(name, moment) for name in _SUM))


def _chosen(name: str, moment: Moment) -> LogMethod:
    """The method of the best settings, chosen once in a run."""
    if name not in moment.methods:
        moment.methods[name] = _choice(name, moment)
    return moment.methods[name]


def _choice(name: str, moment: Moment) -> LogMethod:
    start, data = _start(name), moment.dataset
    times = data.old_times
    method = start

    def build(_: int) -> tuple[State, int]:
        best = _best(start, moment, times)
        return {"chosen": {key: getattr(best, key) for key in best.searched}}, len(moment.validation)

    if len(moment.validation):
        depends_on: list[object] = [
            name,
            data.fingerprint(with_new_users=False),
            data.times_fingerprint(),
            moment.config.valid_metric,
        ]
        depends_on += [moment.config.repeatable, _searched(start)]
        state = moment.stages(f"{name}{moment.suffix}", depends_on, (), [*_CODE, __name__], build)
        method = replace(start, **state["chosen"])
    return method


def _start(name: str) -> LogMethod:
    method = read(METHODS[name], {})
    if isinstance(method, PriorMethod):
        return replace(method, searched={**method.searched, "prior": LogLearnerSettings().prior})
    return method


def _searched(method: LogMethod) -> Mapping[str, list[float]]:
    return {one.name: list(method.searched[one.name]) for one in fields(method) if one.name in method.searched}


def _best(start: LogMethod, moment: Moment, times: np.ndarray | None) -> LogMethod:
    validation, data = moment.validation, moment.dataset

    def score(method: LogMethod) -> float:
        model = method.fit(data.users.old, data.item_num, times)
        scorer = LogScorer(model, validation.tasks, validation.n_candidates)
        return validation.score(validation.rank(scorer))[0]

    return choose(start, score)


for _name in METHODS:
    BASELINES.add(LogEntry(_name))
BASELINES.add(LogSumEntry())
