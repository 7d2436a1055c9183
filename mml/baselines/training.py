"""Learners of baselines: trained plainly on the old users of a moment, or trained on from what they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from mml.baselines.declared import OwnSettings
from mml.baselines.slot import Moment
from mml.data.catalogue import Catalogue
from mml.data.settings import OVERALL, PopularitySettings
from mml.data.tasks import TaskSet
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDSettings
from mml.model.learner.outputs import StateOutput
from mml.run.context import trainer_frame
from mml.run.frame import State
from mml.settings import Values, keys_of, read
from mml.trainer.base import StageTrainer
from mml.trainer.choice import LearnerValidation
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import PretrainSettings

_CODE = ("mml.baselines.training", "mml.trainer.pretrain", "mml.data.dataset", "mml.evaluation.validation")
_UNREAD = ("learners", "spectral_embedding", "spectral_decay", "spectral_noise", *keys_of(PopularitySettings))

PLAIN_IDS = IDSettings(content_embedding=False, spectral_embedding=False, feature_attention=False)
"""Of an ID learner without the parts that are mml's method."""

MakeTrainer = Callable[[Learner, Values, Moment, int, "int | None"], StageTrainer]
"""A learner, its settings, a moment, a seed, and a number of epochs, None for the settings' -> what trains it."""


def plain_values(moment: Moment, learner: str) -> dict[str, object]:
    """The settings of a learner that is trained as mml's are, but without the parts that are mml's method."""
    return moment.config.values(learner) | {
        "content_embedding": False,
        "feature_attention": False,
        "popularity_prior": False,
        "meta_algorithm": "fomaml",
    }


def plain_trainer(learner: Learner, values: Values, moment: Moment, seed: int, epochs: int | None) -> StageTrainer:
    """Plain training: every position of the old users' sequences is a target."""
    frame, settings = trainer_frame(moment.config, moment.run_dir), read(PretrainSettings, values)
    stage = "pretrain" if epochs is None else "trans"
    trainer = PretrainTrainer(frame, learner, settings, seed, epochs, stage)
    trainer.stopping_step = values["stopping_step"]  # RecBole's attribute; a baseline may be more patient than mml
    return trainer


@dataclass(frozen=True)
class Recipe:
    """How a learner of a baseline is made and trained.

    Args:
        stage: of its training.
        learner: whose settings those are that it shares with mml's learners: `id` or a modality.
        values: its settings.
        build: an untrained one of its parts.
        code: the modules that compute it.
        own: what it depends on beside the settings of mml's pre-training.
        unread: keys of these that it does not read.
        features: modalities that it reads.
        trainer: what trains it.
        start: what it is trained from instead of initial values.
    """

    stage: str
    learner: str
    values: Values
    build: Callable[[LearnerParts], Learner]
    code: Sequence[str]
    own: Sequence[object] = ()
    unread: Sequence[str] = ()
    features: Sequence[str] = ()
    trainer: MakeTrainer = plain_trainer
    start: Recipe | None = None

    def new(self, moment: Moment, seed: int) -> Learner:
        """An untrained learner."""
        torch.manual_seed(seed)
        catalogue = Catalogue.of(moment.dataset, OVERALL)
        return self.build(LearnerParts.of(self.learner, self.values, catalogue)).to(moment.config.device)

    def trained(self, moment: Moment) -> Learner:
        """The learner trained at a moment; each has a seed of its own, that of its stage."""
        if self.stage not in moment.learners:
            moment.learners[self.stage] = self._train(moment)
        return moment.learners[self.stage]

    def _train(self, moment: Moment) -> Learner:
        start = self.start.trained(moment) if self.start is not None and moment.tuned is None else None

        def build(seed: int) -> tuple[State, int]:
            learner = self.new(moment, seed)
            if start is not None:
                learner.load_state_dict(start.state_dict())
            n = self._fit(learner, moment, seed) if moment.tuned is None else self._tune(learner, moment, seed)
            return {"weights": dict(learner.state_dict())}, n

        state = moment.stages(self.stage + moment.suffix, self._depends_on(moment), (), [*_CODE, *self.code], build)
        learner = self.new(moment, 0)
        learner.load_state_dict(state["weights"])
        return learner

    def _fit(self, learner: Learner, moment: Moment, seed: int) -> int:
        trainer = self.trainer(learner, self.values, moment, seed, None)
        trainer.train(moment.dataset, LearnerValidation(moment.validation, moment.config.run.task_chunk_size))
        return trainer.n_trained * len(moment.dataset.users.old)

    def _tune(self, learner: Learner, moment: Moment, seed: int) -> int:
        assert moment.tuned is not None
        start, known = moment.tuned
        learner.grown_from(self.trained(start))
        trainer = self.trainer(learner, self.values, moment, seed, moment.part(OwnSettings).trans_epochs)
        if known.lengths.max(initial=0) > 1:
            trainer.train(moment.dataset.only(known), None)
        return trainer.n_trained * len(known)

    def _depends_on(self, moment: Moment) -> list[object]:
        unread, data = {*_UNREAD, *self.unread}, moment.dataset
        stage = {key: self.values.get(key, value) for key, value in moment.config.of_stage("pretrain").items()}
        parts: list[object] = [{key: value for key, value in stage.items() if key not in unread}]
        parts += [data.fingerprint(with_new_users=False)]
        features = data.item_features
        parts += [[name, features[name].fingerprint(data.n_known_items)] for name in self.features]
        parts += self.own
        if self.start is not None:
            parts.append(self.start._depends_on(moment))
        if moment.tuned is not None:
            parts += [moment.part(OwnSettings).trans_epochs, self._depends_on(moment.tuned[0])]
        return parts


def unadapted(learner: Learner, moment: Moment, tasks: TaskSet, n_items: int | None) -> StateOutput:
    """What a learner says of the tasks' users without adapting to them."""
    with torch.no_grad():
        table = learner.candidate_table()
    chunk = chunk_size(learner, moment.config.run.task_chunk_size, learner.max_seq_length)
    return StateOutput(unadapted_states(learner, tasks, chunk), table[:n_items], moment.n_warm_items)
