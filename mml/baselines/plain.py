"""Plain learners, trained one by one, and sums of their standardised scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from mml.baselines.content_init import ContentInitLearner
from mml.baselines.declared import OwnSettings
from mml.baselines.gru import GRULearner
from mml.baselines.slot import BASELINES, Moment, Scores, needs_features
from mml.data.catalogue import Catalogue
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.scorer import Scorer
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.model.learner import LEARNERS, entry_of
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDSettings
from mml.model.learner.linear_entry import LinearSettings
from mml.model.learner.outputs import Output, StateOutput
from mml.model.learner.slot import FitContext, FittedEntry, StateEntry, TrainedLearner
from mml.run.context import catalogue_of, trainer_frame
from mml.run.frame import State
from mml.settings import Values, keys_of, read, setting
from mml.trainer.choice import LearnerValidation
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import PretrainSettings

_STAGES = {"id": "IDSASRec", "gru": "IDGRU", "init": "ContentInitSASRec", "content": "ContentSASRec"}
_CODE = ("mml.trainer.pretrain", "mml.data.dataset", "mml.evaluation.validation", "mml.baselines.content_init")
_UNREAD = ("learners", "spectral_embedding", "spectral_decay", "spectral_noise", "popularity_by_shots")
_UNREAD_BY_GRU = ("n_layers", "n_heads", "inner_size", "attn_dropout_prob", "hidden_act", "pretrain_learning_rate")


@dataclass(frozen=True)
class PlainSettings:
    """What plain learners have beside the keys of mml's."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    modality: str | None = setting(None, "ContentSASRec and the sums: the modality; ~ = the first one.")
    gru_learning_rate: float = setting(0.002, "IDGRU and SumFive: the GRU's own pretrain_learning_rate.", low=0.0)
    delta_max_norm: float | None = setting(
        None,
        "ContentInitSASRec: largest norm of an item's free part, as a share of the mean norm of the content parts; "
        "~ = no bound.",
        low=0.0,
    )


class PlainEntry:
    """Independently trained learners; of several, the plain sum of their standardised scores.

    Args:
        name: of the baseline.
        parts: kinds of learners.
    """

    settings = PlainSettings

    def __init__(self, name: str, parts: tuple[str, ...], meaning: str) -> None:
        self.name, self.parts, self.meaning = name, parts, meaning

    def check(self, moment: Moment) -> None:
        if {"content", "init"} & {*self.parts}:
            needs_features(self.name, moment)
        if "linear" in self.parts and "linear" not in moment.config.learners:
            raise InputError(f"baseline {self.name} needs the learner linear, which learners.linear: ~ takes away.")
        _modality(moment)

    def trained(self, moment: Moment) -> Scores:
        plain = _PlainLearners(moment)
        learners = {kind: plain.learner(kind) for kind in self.parts if kind != "linear"}
        linear = plain.linear() if "linear" in self.parts else None
        return lambda tasks, n_items: plain.fused(learners, linear, tasks, n_items)


def _modality(moment: Moment) -> str:
    """The modality of content learners; empty where there are no features."""
    names = list(moment.dataset.item_features)
    if not names:
        return ""
    modality = moment.part(PlainSettings).modality or names[0]
    if modality not in names:
        raise InputError(
            f"config: key 'modality': '{modality}' is none of the modalities; take one of {', '.join(names)}."
        )
    return modality


class _PlainLearners:
    """Plain learners at a moment."""

    def __init__(self, moment: Moment) -> None:
        self._moment, self._modality = moment, _modality(moment)
        self._config, self._dataset, self._validation = moment.config, moment.dataset, moment.validation
        self._settings, self._stages, self._suffix = moment.part(PlainSettings), moment.stages, moment.suffix

    def linear(self) -> TrainedLearner:
        """The linear learner alone, whose settings are `learners.linear`, with overall popularity."""
        config, data, validation = self._config, self._dataset, self._validation
        values = config.values("linear") | {"popularity_by_shots": False}
        entry = LEARNERS["linear"]
        assert isinstance(entry, FittedEntry)
        context = FitContext(
            values=values,
            old=data.users.old,
            times=data.old_times,
            n_items=data.item_num,
            catalogue=catalogue_of(config, data),
            max_length=data.max_item_list_len,
            device=config.device,
            valid_tasks=validation.tasks,
            n_candidates=validation.n_candidates,
            score=lambda output: validation.score(validation.rank(output))[0],
        )
        read_keys = (*keys_of(LinearSettings), "MAX_ITEM_LIST_LENGTH", "valid_metric", "repeatable")
        depends_on = [{key: values[key] for key in read_keys}, data.fingerprint(with_new_users=False)]
        code = [type(entry).__module__, "mml.evaluation.validation"]
        choice = self._stages(
            "Linear" + self._suffix, depends_on, (), code, lambda _: (entry.choose(context), len(validation))
        )
        return entry.fitted("linear", choice, context)

    def _values(self, kind: str) -> dict[str, Any]:
        """The settings of a plain learner, trained as mml's are but without the parts that are mml's method."""
        values = self._config.values(self._modality if kind == "content" else "id")
        values |= {
            "content_embedding": False,
            "feature_attention": False,
            "popularity_prior": False,
            "meta_algorithm": "fomaml",
        }
        if kind == "gru":
            rate = self._settings.gru_learning_rate
            values |= {"local_modules": [], "pretrain_learning_rate": rate}
        return values

    def learner(self, kind: str) -> Learner:
        """A plainly trained learner; each kind has a seed of its own, that of its stage."""
        if kind not in self._moment.models:
            self._moment.models[kind] = self._train(kind)
        learner: Learner = self._moment.models[kind]
        return learner

    def _new(self, kind: str, seed: int) -> Learner:
        torch.manual_seed(seed)
        values, catalogue = self._values(kind), Catalogue.of(self._dataset, by_shots=False)
        name = self._modality if kind == "content" else "id"
        parts = LearnerParts.of(name, values, catalogue)
        learner: Learner
        if kind == "init":
            learner = ContentInitLearner(parts, self._settings.delta_max_norm)
        elif kind == "gru":
            learner = GRULearner(parts, read(IDSettings, values))
        else:
            entry = entry_of(name)
            assert isinstance(entry, StateEntry)
            learner = entry.build(name, values, catalogue)
        return learner.to(self._config.device)

    def _train(self, kind: str) -> Learner:
        config, dataset = self._config, self._dataset
        stage = _STAGES[kind] + (f".{self._modality}" if kind == "content" else "") + self._suffix
        settings = read(PretrainSettings, self._values(kind))
        chunk, frame = config.run.task_chunk_size, trainer_frame(config, self._moment.run_dir)

        def build(seed: int) -> tuple[State, int]:
            learner = self._new(kind, seed)
            if self._moment.tuned is None:
                trainer = PretrainTrainer(frame, learner, settings, seed)
                trainer.train(dataset, LearnerValidation(self._validation, chunk))
                n_users = len(dataset.users.old)
            else:
                start, known = self._moment.tuned
                learner.grown_from(_PlainLearners(start).learner(kind))
                epochs = self._moment.part(OwnSettings).trans_epochs
                trainer = PretrainTrainer(frame, learner, settings, seed, epochs, "refresh")
                if known.lengths.max(initial=0) > 1:
                    trainer.train(dataset.only(known), None)
                n_users = len(known)
            return {"weights": dict(learner.state_dict())}, trainer.n_trained * n_users

        code = [*_CODE, GRULearner.__module__, type(entry_of(self._modality or "id")).__module__]
        state = self._stages(stage, self._depends_on(kind), (), code, build)
        learner = self._new(kind, 0)
        learner.load_state_dict(state["weights"])
        return learner

    def _depends_on(self, kind: str) -> list[Any]:
        values: Values = self._values(kind)
        unread = {*_UNREAD, *(_UNREAD_BY_GRU if kind == "gru" else ())}
        stage = {key: values.get(key, value) for key, value in self._config.of_stage("pretrain").items()}
        features = self._dataset.item_features
        used = {"content": [self._modality], "init": list(features)}.get(kind, [])
        parts: list[Any] = [{key: value for key, value in stage.items() if key not in unread}]
        parts += [self._dataset.fingerprint(with_new_users=False)]
        parts += [[name, features[name].fingerprint(self._dataset.n_known_items)] for name in used]
        if kind == "init":
            parts.append(self._settings.delta_max_norm)
        if kind == "gru":
            parts.append(self._settings.gru_learning_rate)
        if self._moment.tuned is not None:
            start = self._moment.tuned[0]
            parts += [self._moment.part(OwnSettings).trans_epochs, _PlainLearners(start)._depends_on(kind)]
        return parts

    def fused(
        self, learners: dict[str, Learner], linear: TrainedLearner | None, tasks: TaskSet, n_items: int | None
    ) -> Scorer:
        """The only learner's scores, or the plain sum of the standardised ones."""
        outputs: dict[str, Output] = {}
        for kind, learner in learners.items():
            chunk = chunk_size(learner, self._config.run.task_chunk_size, learner.max_seq_length)
            with torch.no_grad():
                table = learner.candidate_table()
            states = unadapted_states(learner, tasks, chunk)
            outputs[kind] = StateOutput(states, table[:n_items], self._moment.n_warm_items)
        if linear is not None:
            outputs["linear"] = linear.output(tasks, n_items or self._dataset.item_num)
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        scores = StandardisedScores(outputs)
        return WeightedSum(scores, dict.fromkeys(outputs, 1.0 / len(outputs)))


for _name, _parts, _meaning in (
    ("Linear", ("linear",), "ridge regression of the next item on the history"),
    ("IDSASRec", ("id",), "SASRec, softmax at every position"),
    ("IDGRU", ("gru",), "GRU4Rec, trained alike"),
    ("ContentSASRec", ("content",), "SASRec whose item vectors are projections of one modality's features"),
    ("ContentInitSASRec", ("init",), "SASRec whose item vectors start from content"),
    ("SumIDContent", ("id", "content"), "IDSASRec + ContentSASRec"),
    ("SumAll", ("id", "init", "content"), "IDSASRec + ContentInitSASRec + ContentSASRec"),
    ("SumFive", ("id", "init", "content", "gru", "linear"), "SumAll + IDGRU + Linear"),
):
    BASELINES.add(PlainEntry(_name, _parts, _meaning))
