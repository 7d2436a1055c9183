"""Fit of the linear learner: the decay and the penalty that are best on the validation users."""

from __future__ import annotations

from typing import Any

import numpy as np

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.evaluation.validation import Validation
from mml.model.learner.linear import LinearModel, LinearOutput, LinearRegression


class LinearFit:
    """Fits a LinearModel to the old users.

    Args:
        config: mml's Config, with `learners.linear`.
        dataset: whose old users.
        validation: its validation users.
    """

    def __init__(self, config: Config, dataset: MMLDataset, validation: Validation) -> None:
        self._config, self._dataset, self._validation = config, dataset, validation
        settings = config["learners"]["linear"]
        self._decays, self._penalties = _list(settings["decay"]), _list(settings["penalty"])
        self._max_items: int = settings["max_items"]
        self._by_shots: bool = config["popularity_by_shots"]
        self._regression_of_choice: LinearRegression | None = None

    def depends_on(self) -> list[Any]:
        """All that the choice and the model depend on."""
        config = self._config
        keys = ("MAX_ITEM_LIST_LENGTH", "valid_metric", "repeatable")
        parts = [config["learners"]["linear"], self._by_shots, *(config[key] for key in keys)]
        return [*parts, self._dataset.fingerprint(with_new_users=False)]

    def stage(self, _: int) -> tuple[dict[str, Any], int]:
        """The choice as a stage's state (`mml.run.frame.Build`)."""
        decay, penalty = self.choose()
        return {"decay": decay, "penalty": penalty}, len(self._validation)

    def choose(self) -> tuple[float, float]:
        """The best decay at the middle penalty, then the best penalty at that decay; the middle ones without users."""
        decay, middle = self._decays[len(self._decays) // 2], self._penalties[len(self._penalties) // 2]
        if not len(self._validation):
            return decay, middle
        best_score = -np.inf
        for value in self._decays:
            regression = self._regression(value)
            score = self._score(regression, middle)
            if score > best_score:
                best_score, self._regression_of_choice = score, regression
        chosen = self._regression_of_choice
        assert chosen is not None
        penalty = middle
        for value in self._penalties:
            score = -np.inf if value == middle else self._score(chosen, value)
            if score > best_score:
                best_score, penalty = score, value
        return chosen.decay, penalty

    def model(self, decay: float, penalty: float) -> LinearModel:
        """The model of these values."""
        regression, self._regression_of_choice = self._regression_of_choice, None  # large, and needed once
        if regression is None or regression.decay != decay:
            regression = self._regression(decay)
        return regression.solve(penalty)

    def _regression(self, decay: float) -> LinearRegression:
        data = self._dataset
        length, device = data.max_item_list_len, self._config["device"]
        return LinearRegression(data.users.old, data.item_num, self._max_items, length, decay, self._by_shots, device)

    def _score(self, regression: LinearRegression, penalty: float) -> float:
        validation = self._validation
        output = LinearOutput(regression.solve(penalty), validation.tasks, validation.n_candidates)
        return validation.score(validation.rank(output))[0]


def _list(value: float | list[float]) -> list[float]:
    return [float(one) for one in (value if isinstance(value, list) else [value])]
