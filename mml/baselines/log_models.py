"""Models of the log as baselines: their settings are chosen on earlier newcomers, then they are fitted in one go."""

from __future__ import annotations

from dataclasses import asdict, replace

from mml.baselines.online import OnlineSettings
from mml.baselines.slot import BASELINES, Moment, Scores
from mml.files.bundle import State
from mml.model.log.choice import EarlierNewcomers, chosen, settings_of, start_of
from mml.model.log.methods import METHODS
from mml.model.log.slot import LogMethod, LogScorer
from mml.model.log.sums import SumMethod
from mml.settings import read

_SUM = ("VSTAN", "SLIST", "EASE", "PrefixKNN")
_CODE = ("mml.model.log.methods", "mml.model.log.choice")
_AS_BASELINES = {"max_items": 20_000}
"""What differs from the learners of the same names."""
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
    """A model of the log, with popularity by position as a prior where earlier newcomers gain by it.

    It is fitted to all who came up to T, validation users among them.

    Args:
        name: one of METHODS.
    """

    settings = OnlineSettings

    def __init__(self, name: str) -> None:
        self.name, self.meaning = name, _MEANINGS[name]

    def check(self, moment: Moment) -> None:
        """It works with any data."""

    def method(self, moment: Moment) -> LogMethod:
        """It, with the settings that are best for earlier newcomers."""
        return _chosen(self.name, moment)

    def on_validation(self, moment: Moment) -> Scores:
        """What it says of validation users who are not in its log; its settings are chosen on such as they as well."""
        data = moment.dataset
        model = self.method(moment).fit(data.users.old, data.item_num, data.old_times)
        return lambda tasks, n_items: LogScorer(model, tasks, n_items)

    def trained(self, moment: Moment) -> Scores:
        data = moment.dataset
        model = self.method(moment).fit(data.past, data.item_num, data.past_times)
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
    how, data, repeatable = read(settings_of(METHODS[name]), _AS_BASELINES), moment.dataset, moment.config.repeatable
    start, longest = start_of(METHODS[name], how), data.max_item_list_len

    def build(_: int) -> tuple[State, int]:
        newcomers = EarlierNewcomers(data.past, data.past_times, data.item_num, repeatable, longest, how)
        return {"chosen": chosen(newcomers.best(start))}, len(newcomers)

    depends_on: list[object] = [name, data.past_fingerprint(), data.item_num, repeatable, longest, asdict(how)]
    depends_on.append({key: list(values) for key, values in sorted(start.searched.items())})
    state = moment.stages(f"{name}{moment.suffix}", depends_on, (), [*_CODE, __name__], build)
    return replace(start, **state["chosen"])


for _name in METHODS:
    BASELINES.add(LogEntry(_name))
BASELINES.add(LogSumEntry())
