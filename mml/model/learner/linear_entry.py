"""`learners.linear`: what the linear learner's settings are chosen by, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mml.data.catalogue import Catalogue
from mml.data.settings import PopularitySettings
from mml.data.tasks import TaskSet
from mml.model.learner.linear import LinearModel, LinearOutput, LinearRegression
from mml.model.learner.slot import LEARNERS, FitContext, Serving, State, TrainedLearner
from mml.settings import Values, read, setting


@dataclass(frozen=True)
class LinearSettings:
    """Keys inside `learners.linear`."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Linear learner"

    decay: float | tuple[float, ...] = setting(
        [0.5, 0.8, 0.95],
        "Weight of each earlier item against the next; chosen on the validation users.",
        low=0.0,
        high=1.0,
    )
    penalty: float | tuple[float, ...] = setting(
        [30, 100, 300], "Penalty of the ridge regression; chosen likewise.", low=1e-6
    )
    max_items: int = setting(
        10000, "The most popular ones, a matrix of so many squared; it abstains from the others.", low=1
    )
    floor: float = setting(0.15, "Weight of popularity, beside the linear prediction.", low=0.0)


class LinearLearner:
    """A fitted linear model.

    Args:
        name: the learner's.
        made: the model, or what makes it when it is first asked: of a run that was finished before nobody asks.
        n_items: number of items, the padding item included.
    """

    adapts = False

    def __init__(self, name: str, made: LinearModel | Callable[[], LinearModel], n_items: int) -> None:
        self.name, self._made, self._n_items = name, made, n_items

    @property
    def model(self) -> LinearModel:
        """The model."""
        made = self._made
        if not isinstance(made, LinearModel):
            made = self._made = made()
        return made

    def prepare(self) -> None:
        self.model  # noqa: B018 - made when it is first asked for

    def output(self, tasks: TaskSet, n_items: int, adapted: bool = True) -> LinearOutput:
        return LinearOutput(self.model, tasks, n_items)

    def expectations(self, tasks: TaskSet) -> LinearOutput:
        return LinearOutput(self.model, tasks, self._n_items)

    def corrected(self, log_ratios: Tensor) -> LinearLearner:
        return LinearLearner(self.name, self.model.corrected(log_ratios.exp()), self._n_items)

    def state(self) -> State:
        model = self.model
        return {"weights": model.weights, "floor": model.floor, "place": model.place, "decay": model.decay}


class LinearEntry:
    """`learners.linear`: the decay and the penalty that are best on the validation users."""

    name = "linear"
    meaning = "the linear learner: a regression of the next item on the history, in closed form; it does not adapt"
    settings = None
    own_settings = LinearSettings
    needs_features = False
    by_default = True

    def __init__(self) -> None:
        self._last: tuple[FitContext, LinearRegression] | None = None  # quicker to keep for a moment than to make again

    def features_used(self, name: str, catalogue: Catalogue) -> list[str]:
        return []

    def reads(self) -> tuple[type, ...]:
        return (PopularitySettings,)

    def choose(self, context: FitContext) -> State:
        """The best decay at the middle penalty, then the best penalty at that decay; the middle ones without users."""
        settings = read(LinearSettings, context.values)
        decays, penalties = _tuple(settings.decay), _tuple(settings.penalty)
        decay, middle = decays[len(decays) // 2], penalties[len(penalties) // 2]
        if not len(context.valid_tasks):
            return {"decay": decay, "penalty": middle}
        best_score, chosen = -np.inf, None
        for value in decays:
            regression = _regression(context, value)
            score = _score(context, regression, middle)
            if score > best_score:
                best_score, chosen = score, regression
        assert chosen is not None
        penalty = middle
        for value in penalties:
            score = -np.inf if value == middle else _score(context, chosen, value)
            if score > best_score:
                best_score, penalty = score, value
        self._last = context, chosen
        return {"decay": chosen.decay, "penalty": penalty, "score": best_score}

    def fitted(self, name: str, choice: State, context: FitContext) -> TrainedLearner:
        last, self._last = self._last, None  # large, and needed once
        if last is not None and last[0] is context and last[1].decay == choice["decay"]:
            return LinearLearner(name, last[1].solve(choice["penalty"]), context.n_items)
        return LinearLearner(
            name, lambda: _regression(context, choice["decay"]).solve(choice["penalty"]), context.n_items
        )

    def restored(self, name: str, state: State, values: Values, context: Serving) -> TrainedLearner:
        own = {key: state[key].to(context.device) for key in ("weights", "floor", "place")}
        new = own["place"].new_zeros(context.catalogue.n_items - len(own["place"]))  # items since: it abstains
        own["place"] = torch.cat([own["place"], new])
        return LinearLearner(name, LinearModel(**own, decay=state["decay"]), context.catalogue.n_items)


def _regression(context: FitContext, decay: float) -> LinearRegression:
    settings = read(LinearSettings, context.values)
    return LinearRegression(
        context.old,
        context.n_items,
        settings.max_items,
        context.max_length,
        decay,
        read(PopularitySettings, context.values),
        settings.floor,
        torch.device(context.device),
    )


def _score(context: FitContext, regression: LinearRegression, penalty: float) -> float:
    return context.score(LinearOutput(regression.solve(penalty), context.valid_tasks, context.n_candidates))


def _tuple(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return (value,) if isinstance(value, float) else value


LEARNERS.add(LinearEntry())
