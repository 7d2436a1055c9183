"""One of RecBole's models on mml's split, with its ways of treating new users."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import recbole
import torch
from torch import Tensor

from mml.baselines.recbole_data import UserSequences, first_interactions, old_users, supports, training_data
from mml.baselines.recbole_model import BaselineTrainer, ModelScorer, new_model
from mml.baselines.registry import recbole_class
from mml.baselines.settings import Baseline, ModelConfig, model_defaults
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet, evaluation_tasks
from mml.evaluation.ranking import Scorer
from mml.stages import Stages, State
from mml.trainer.base import plain
from mml.trainer.validation import Validation


@dataclass(frozen=True)
class Group:
    """Cases that one model serves: each user is in it at most once.

    Args:
        name: of its stage.
        cases: int64 [n], places in the test tasks.
        known: what may be trained on of the new and the validation users.
        validation: validation users after equally many interactions.
    """

    name: str
    cases: np.ndarray
    known: list[UserSequences]
    validation: Validation


class GroupedScorer:
    """Scores of N cases, each by the scorer of its group; all scorers are over all N cases."""

    def __init__(self, scorers: list[ModelScorer], group: np.ndarray) -> None:
        self._scorers, self._group = scorers, group

    def __len__(self) -> int:
        return len(self._group)

    def scores(self, cases: slice) -> Tensor:
        """[c, n_items]."""
        rows = np.arange(len(self._group))[cases]
        parts, places = [], []
        for number, scorer in enumerate(self._scorers):
            own = np.flatnonzero(self._group[rows] == number)
            if len(own):
                parts.append(scorer.scores(rows[own]))
                places.append(own)
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        return torch.cat(parts)[order.to(parts[0].device)]


class RecBoleRun:
    """Trains the model, or the models of each number of shots, and scores with them.

    Nobody's target is ever trained on. With `new_users: none` one model is trained on the old users. Otherwise a model
    is made for each number of shots k, as a user's first k interactions overlap with the targets of smaller k; it sees
    the first k interactions of the new users, and of the validation users, whose item k + 1 stops the training.

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

    def scorers(self, tasks: TaskSet) -> tuple[Scorer, Scorer | None]:
        """Scores of the test tasks, and of the validation tasks (None where there are several models)."""
        if self._baseline.settings["new_users"] == "none":
            config, model = self._trained(self._baseline.name, [old_users(self._dataset)], self._validation, None)
            n_valid = self._validation.n_candidates
            valid = ModelScorer(config, model, self._validation.tasks, self._first_valid, n_valid)
            return ModelScorer(config, model, tasks, self._first_new), valid
        groups = self._groups(tasks)
        number = np.zeros(len(tasks), dtype=np.int64)
        scorers = []
        for place, group in enumerate(groups):
            number[group.cases] = place
            config, model = self._treated(group)
            scorers.append(ModelScorer(config, model, tasks, self._first_new))
        return GroupedScorer(scorers, number), None

    def _groups(self, tasks: TaskSet) -> list[Group]:
        shots = self._baseline.config["eval_shots"]
        if isinstance(shots, str):
            valid, _ = evaluation_tasks(self._dataset.users.valid, self._dataset.max_item_list_len, shots)
            known = [supports(tasks, self._first_new), supports(valid, self._first_valid)]
            if not self._baseline.config["repeatable"]:
                valid = valid.take(~self._dataset.target_in_history(valid))
            return [Group(shots, np.arange(len(tasks)), known, _restricted(self._validation, valid))]
        groups = []
        for k in np.unique(tasks.shots):
            users = self._dataset.users
            known = [
                first_interactions(users.new, k, self._first_new),
                first_interactions(users.valid, k, self._first_valid),
            ]
            valid = self._validation.tasks.take(self._validation.tasks.shots == k)
            cases = np.flatnonzero(tasks.shots == k)
            groups.append(Group(str(k), cases, known, _restricted(self._validation, valid)))
        return groups

    def _treated(self, group: Group) -> tuple[ModelConfig, Any]:
        """The model of a group: fine-tuned from the old users' one, or trained anew."""
        how = self._baseline.settings["new_users"]
        parts = [old_users(self._dataset), *group.known] if how == "full_retrain" else group.known
        start = None
        if how == "trans":
            _, model = self._trained(self._baseline.name, [old_users(self._dataset)], self._validation, None)
            start = model.state_dict()
        return self._trained(f"{self._baseline.name}_{how}_{group.name}", parts, group.validation, start)

    def _trained(
        self, stage: str, parts: list[UserSequences], validation: Validation, start: State | None
    ) -> tuple[ModelConfig, Any]:
        """The model of a stage; with nothing to predict from in `parts` it is `start`, or untrained."""
        baseline = self._baseline
        n_targets = sum(part.n_targets for part in parts)
        config = copy.deepcopy(self._config)
        data = training_data(config, self._dataset, parts if n_targets else [old_users(self._dataset)])

        def fresh(seed: int) -> Any:
            torch.manual_seed(seed)
            return new_model(baseline.name, self._class, config, data.dataset)

        def build(seed: int) -> tuple[State, int]:
            model = fresh(seed)
            if start is not None:
                model.load_state_dict(start)
            epochs = 0
            if n_targets:
                trainer = BaselineTrainer(
                    config, model, stage, self._run_dir, self._first_valid, validation.n_candidates
                )
                if start is not None:
                    trainer.start_from(validation)
                trainer.train(data, validation)
                epochs = len(trainer.train_loss_dict)
            return {"weights": model.state_dict()}, epochs * sum(len(part.users) for part in parts)

        state = self._stages(stage, self._fingerprint(parts, start), build)
        model = fresh(0)
        model.load_state_dict(state["weights"])
        return config, model

    def _fingerprint(self, parts: list[UserSequences], start: State | None) -> list[Any]:
        """All that a stage's weights depend on; the items of new users only where they are trained on."""
        settings = {**model_defaults(self._baseline.name), **plain(self._baseline.settings)}
        del settings["new_users"]  # acts by what is trained on, and from where
        trained_on = [[part.users.tobytes().hex(), part.sequences.items.tobytes().hex()] for part in parts]
        base = [] if start is None else [float(value.double().sum()) for value in start.values()]
        return [
            recbole.__version__,
            settings,
            self._baseline.config.of_stage("data"),
            self._baseline.config["valid_metric"],
            self._dataset.fingerprint(with_new_users=False),
            self._dataset.attributes_fingerprint(),
            [self._dataset.item_num, self._dataset.user_num],
            trained_on,
            base,
        ]


def _restricted(validation: Validation, tasks: TaskSet) -> Validation:
    """The same validation over other tasks."""
    own = copy.copy(validation)
    own.tasks = tasks
    return own
