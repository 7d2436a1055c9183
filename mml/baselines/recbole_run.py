"""One of RecBole's models on mml's split, with its ways of treating new users."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender

from mml.baselines.moments import Period, UserSequences, periods
from mml.baselines.recbole_config import ModelConfig, model_defaults
from mml.baselines.recbole_data import old_users, training_data
from mml.baselines.recbole_model import BaselineTrainer, ModelScorer, new_model
from mml.baselines.registry import recbole_class
from mml.baselines.settings import Baseline
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.cases import Part
from mml.evaluation.scorer import Scorer
from mml.evaluation.settings import MomentSettings
from mml.evaluation.validation import Validation
from mml.files.safe import plain
from mml.run.frame import Stages, State


class RecBoleRun:
    """Trains the model, or the models of each moment, and scores with them.

    Nobody's target is ever trained on. With `new_users: none` one model is trained on the old users. Otherwise a model
    is made for each moment, on what is known of the new users by then; the validation users stop the training. A
    fine-tuning (`trans`) takes `trans_epochs` instead: the validation users came before.

    Args:
        baseline: what is asked for.
        dataset, validation: mml's.
        stages: the frame of its stages.
        run_dir: the run's folder.
    """

    def __init__(
        self, baseline: Baseline, dataset: MMLDataset, validation: Validation, stages: Stages, run_dir: Path
    ) -> None:
        self._baseline, self._dataset, self._validation = baseline, dataset, validation
        self._stages, self._run_dir = stages, run_dir
        self._class = recbole_class(baseline.name)
        self._first_valid = 1 + len(dataset.users.old)
        self._first_new = self._first_valid + len(dataset.users.valid)
        self._config = ModelConfig(self._class, baseline.config, baseline.settings)

    @property
    def code(self) -> list[str]:
        """The modules that compute it."""
        return ["mml.baselines.recbole_model", "mml.baselines.recbole_data"]

    def scorers(self, tasks: TaskSet) -> tuple[list[Part], Scorer | None]:
        """Scores of the test tasks, in parts, and of the validation tasks (None where there are several models)."""
        if self._baseline.new_users == "none":
            config, model = self._trained(self._baseline.name, [old_users(self._dataset)], self._validation, None)
            n_valid = self._validation.n_candidates
            valid = ModelScorer(config, model, self._validation.tasks, self._first_valid, n_valid)
            return [(np.arange(len(tasks)), ModelScorer(config, model, tasks, self._first_new))], valid
        parts: list[Part] = []
        for period in periods(self._dataset, tasks, self._baseline.config.part(MomentSettings).moments):
            config, model = self._treated(period)
            scorer = ModelScorer(config, model, tasks.take(period.cases), self._first_new)
            parts.append((period.cases, scorer))
        return parts, None

    def _treated(self, period: Period) -> tuple[ModelConfig, SequentialRecommender]:
        """The model of a period: fine-tuned from the old users' one, or trained anew."""
        how = self._baseline.new_users
        known = [period.new.numbered_from(self._first_new)]
        parts = [old_users(self._dataset), *known] if how == "full_retrain" else known
        start = None
        if how == "trans" or (how == "full_retrain" and period.knows_nothing):
            config, model = self._trained(self._baseline.name, [old_users(self._dataset)], self._validation, None)
            if period.knows_nothing:
                return config, model
            start = model.state_dict()
        validation = self._validation if start is None else None
        return self._trained(f"{self._baseline.name}_{how}_{period.name}", parts, validation, start)

    def _trained(
        self, stage: str, parts: list[UserSequences], validation: Validation | None, start: State | None
    ) -> tuple[ModelConfig, SequentialRecommender]:
        """The model of a stage; with nothing to predict from in `parts` it is `start`, or untrained.

        Without a validation it is trained for `trans_epochs`.
        """
        baseline = self._baseline
        n_targets = sum(part.n_targets for part in parts)
        config = copy.deepcopy(self._config)
        data = training_data(config, self._dataset, parts if n_targets else [old_users(self._dataset)])

        def fresh(seed: int) -> SequentialRecommender:
            torch.manual_seed(seed)
            return new_model(baseline.name, self._class, config, data.dataset)

        def build(seed: int) -> tuple[State, int]:
            model = fresh(seed)
            if start is not None:
                model.load_state_dict(start)
            epochs = 0
            if n_targets:
                n_candidates = self._validation.n_candidates
                trainer = BaselineTrainer(config, model, stage, self._run_dir, self._first_valid, n_candidates)
                if validation is None:
                    trainer.epochs = baseline.recbole.trans_epochs
                elif start is not None:
                    trainer.start_from(validation)
                trainer.train(data, validation)
                epochs = trainer.n_trained
            return {"weights": dict(model.state_dict())}, epochs * sum(len(part.users) for part in parts)

        state = self._stages(stage, self._depends_on(parts, validation, start), (), self.code, build)
        model = fresh(0)
        model.load_state_dict(state["weights"])
        return config, model

    def _depends_on(
        self, parts: list[UserSequences], validation: Validation | None, start: State | None
    ) -> list[object]:
        """All that a stage's weights depend on; the items of new users only where they are trained on."""
        settings = {**model_defaults(self._baseline.name), **plain(self._baseline.settings)}
        del settings["new_users"]  # acts by what is trained on, and from where
        if validation is not None:
            del settings["trans_epochs"]
        trained_on = [
            [array.tobytes().hex() for array in (part.users, part.sequences.items, part.sequences.offsets)]
            for part in parts
        ]
        base = [] if start is None else [float(value.double().sum()) for value in start.values()]
        return [
            settings,
            self._baseline.config.of_stage("data"),
            self._baseline.config.valid_metric,
            self._dataset.fingerprint(with_new_users=False),
            self._dataset.attributes_fingerprint(),
            [self._dataset.item_num, self._dataset.user_num],
            trained_on,
            base,
        ]
