"""mml's own baselines: popularity, content neighbours, plain learners and sums of their standardised scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mml.baselines.content_init import ContentInitLearner
from mml.baselines.gru import GRULearner
from mml.baselines.popular import SameScores
from mml.baselines.settings import Baseline
from mml.data.catalogue import Catalogue
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.cases import Part
from mml.evaluation.scorer import Scorer
from mml.evaluation.validation import Validation
from mml.model.fusion.standardised import StandardisedScores
from mml.model.fusion.weighted import WeightedSum
from mml.model.learner import LEARNERS, entry_of
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.base import Learner, LearnerParts
from mml.model.learner.id import IDSettings
from mml.model.learner.linear_entry import LinearSettings
from mml.model.learner.outputs import Output, StateOutput
from mml.model.learner.slot import FitContext, FittedEntry, StateEntry, TrainedLearner
from mml.refresh.snapshots import snapshots
from mml.run.context import trainer_frame
from mml.run.frame import Stages, State
from mml.settings import keys_of, read
from mml.trainer.choice import LearnerValidation
from mml.trainer.pretrain import PretrainTrainer
from mml.trainer.settings import PretrainSettings

PARTS = {
    "Linear": ("linear",),
    "IDSASRec": ("id",),
    "IDGRU": ("gru",),
    "ContentSASRec": ("content",),
    "ContentInitSASRec": ("init",),
    "SumIDContent": ("id", "content"),
    "SumAll": ("id", "init", "content"),
    "SumFive": ("id", "init", "content", "gru", "linear"),
}
"""The independently trained models of a baseline."""

_STAGES = {"id": "IDSASRec", "gru": "IDGRU", "init": "ContentInitSASRec", "content": "ContentSASRec"}
_CODE = ("mml.trainer.pretrain", "mml.data.dataset", "mml.evaluation.validation", "mml.baselines.content_init")
_UNREAD = ("learners", "spectral_embedding", "popularity_by_shots")
_UNREAD_BY_GRU = ("n_layers", "n_heads", "inner_size", "attn_dropout_prob", "hidden_act", "pretrain_learning_rate")


def content_states(vectors: Tensor, tasks: TaskSet, decay: float) -> Tensor:
    """Mean of the histories' content vectors, the item j before the last weighing decay**j; [N, d]."""
    items = tasks.batch(np.arange(len(tasks))).item_seq
    age = torch.from_numpy(tasks.length)[:, None] - 1 - torch.arange(items.shape[1])
    weights = torch.where(items > 0, torch.tensor(decay, dtype=torch.float32) ** age.clamp(min=0), 0.0)
    return torch.einsum("nl,nld->nd", weights.to(vectors.device), vectors[items.to(vectors.device)])


def unit_content(dataset: MMLDataset, n_items: int) -> Tensor:
    """Each modality's vectors at unit length, side by side, at unit length again; [n_items, d], zero where missing."""
    parts = [torch.from_numpy(features.vectors[:n_items]) for features in dataset.item_features.values()]
    units = [torch.nn.functional.normalize(part, dim=1) for part in parts]
    return torch.nn.functional.normalize(torch.cat(units, dim=1), dim=1)


class OwnRun:
    """Trains and scores one of our own baselines.

    Args:
        baseline, dataset, validation, stages, run_dir: as for RecBoleRun.
    """

    def __init__(
        self, baseline: Baseline, dataset: MMLDataset, validation: Validation, stages: Stages, run_dir: Path
    ) -> None:
        self._baseline, self._dataset, self._validation = baseline, dataset, validation
        self._stages, self._run_dir = stages, run_dir
        self._suffix = ""  # of the stages' names
        self._tuned: tuple[OwnRun, PackedSequences] | None = None  # whose learners are fine-tuned, and on what
        self._learners: dict[str, Learner] = {}  # by kind, those that were trained
        self._n_warm_items = dataset.n_warm_items  # at T; a sum is of scores that are standardised over these
        parts = PARTS.get(baseline.name, ())
        of_content = baseline.name == "ContentKNN" or {"content", "init"} & {*parts}
        if of_content and not dataset.item_features:
            raise InputError(
                f"baseline {baseline.name} needs item features, and {dataset.dataset_name} has none; give it some, "
                "such as learners.txt.item_feat_emb=FILE."
            )
        if "linear" in parts and "linear" not in baseline.config["learners"]:
            raise InputError(f"baseline {baseline.name} needs the learner linear, which learners.linear: ~ takes away.")
        self._modality = self._chosen_modality() if dataset.item_features else ""

    def scorers(self, tasks: TaskSet) -> tuple[list[Part], Scorer | None]:
        """Scores of the test tasks, in parts, and of the validation tasks (None where there are several models)."""
        valid, treatment = self._validation, self._baseline.settings["new_users"]
        if treatment == "none":
            score = self._trained_scores()
            return [(np.arange(len(tasks)), score(tasks, None))], score(valid.tasks, valid.n_candidates)
        parts: list[Part] = []
        for snapshot in snapshots(self._dataset, tasks, self._baseline.config["snapshots"]):
            retrained = copy.copy(self)
            if not snapshot.knows_nothing:
                retrained._learners = {}
                retrained._dataset = self._dataset.after(snapshot.known)
                retrained._suffix = f"_{treatment}_{snapshot.name}"
                if treatment == "trans":
                    retrained._tuned = self, snapshot.known
            parts.append((snapshot.cases, retrained._trained_scores()(tasks.take(snapshot.cases), None)))
        return parts, None

    def _trained_scores(self) -> Callable[[TaskSet, int | None], Scorer]:
        """Train; then tasks and a number of items, None for all -> the tasks' scores of the first so many items."""
        name = self._baseline.name
        if name in ("Pop", "Random"):
            values = self._popularity() if name == "Pop" else torch.zeros(self._dataset.item_num)
            return lambda tasks, n_items: SameScores(values[:n_items], len(tasks))
        if name == "ContentKNN":
            decay = self._choose_decay()
            return lambda tasks, n_items: self._content_scorer(tasks, decay, n_items)
        learners = {kind: self._trained(kind) for kind in PARTS[name] if kind != "linear"}
        return lambda tasks, n_items: self._fused(learners, tasks, n_items)

    # -- without training --------------------------------------------------------------------------------------------

    def _popularity(self) -> Tensor:
        counts = np.bincount(self._dataset.users.old.items, minlength=self._dataset.item_num)
        return torch.from_numpy(counts.astype(np.float64))

    @cached_property
    def _linear(self) -> TrainedLearner:
        """The linear learner alone, whose settings are `learners.linear`, with overall popularity."""
        config, data, validation = self._baseline.config, self._dataset, self._validation
        values = config.values("linear") | {"popularity_by_shots": False}
        entry = LEARNERS["linear"]
        assert isinstance(entry, FittedEntry)
        context = FitContext(
            values=values,
            old=data.users.old,
            n_items=data.item_num,
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

    def _content_scorer(self, tasks: TaskSet, decay: float, n_items: int | None) -> StateOutput:
        table = unit_content(self._dataset, self._dataset.item_num)
        return StateOutput(content_states(table, tasks, decay), table[:n_items])

    def _choose_decay(self) -> float:
        """The decay that is best on the validation users, the first among equals."""
        decays: list[float] = self._baseline.settings["decay"]
        if not len(self._validation):
            return decays[-1]
        values = []
        for decay in decays:
            scorer = self._content_scorer(self._validation.tasks, decay, self._validation.n_candidates)
            values.append(self._validation.score(self._validation.rank(scorer))[0])
        return decays[int(np.argmax(values))]

    # -- learners ------------------------------------------------------------------------------------------------------

    def _chosen_modality(self) -> str:
        names = list(self._dataset.item_features)
        modality = self._baseline.settings["modality"] or names[0]
        if modality not in names:
            raise InputError(
                f"config: key 'modality': '{modality}' is none of the modalities; take one of {', '.join(names)}."
            )
        return str(modality)

    def _values(self, kind: str) -> dict[str, Any]:
        """The settings of a plain learner, trained as mml's are but without the parts that are mml's method."""
        values = self._baseline.config.values(self._modality if kind == "content" else "id")
        values |= {
            "content_embedding": False,
            "feature_attention": False,
            "popularity_prior": False,
            "meta_algorithm": "fomaml",
        }
        if kind == "gru":
            rate = self._baseline.settings["gru_learning_rate"]
            values |= {"local_modules": [], "pretrain_learning_rate": rate}
        return values

    def _trained(self, kind: str) -> Learner:
        """A plainly trained learner; each kind has a seed of its own, that of its stage."""
        if kind not in self._learners:
            self._learners[kind] = self._train(kind)
        return self._learners[kind]

    def _new(self, kind: str, seed: int) -> Learner:
        torch.manual_seed(seed)
        values, catalogue = self._values(kind), Catalogue.of(self._dataset, by_shots=False)
        name = self._modality if kind == "content" else "id"
        parts = LearnerParts.of(name, values, catalogue)
        learner: Learner
        if kind == "init":
            learner = ContentInitLearner(parts, self._baseline.settings["delta_max_norm"])
        elif kind == "gru":
            learner = GRULearner(parts, read(IDSettings, values))
        else:
            entry = entry_of(name)
            assert isinstance(entry, StateEntry)
            learner = entry.build(name, values, catalogue)
        return learner.to(self._baseline.config.device)

    def _train(self, kind: str) -> Learner:
        config, dataset = self._baseline.config, self._dataset
        stage = _STAGES[kind] + (f".{self._modality}" if kind == "content" else "") + self._suffix
        settings = read(PretrainSettings, self._values(kind))
        chunk, frame = config["task_chunk_size"], trainer_frame(config, self._run_dir)

        def build(seed: int) -> tuple[State, int]:
            learner = self._new(kind, seed)
            if self._tuned is None:
                trainer = PretrainTrainer(frame, learner, settings, seed)
                trainer.train(dataset, LearnerValidation(self._validation, chunk))
                n_users = len(dataset.users.old)
            else:
                start, known = self._tuned
                learner.grown_from(start._trained(kind))
                epochs = self._baseline.settings["trans_epochs"]
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
        values: Mapping[str, Any] = self._values(kind)
        unread = {*_UNREAD, *(_UNREAD_BY_GRU if kind == "gru" else ())}
        stage = {key: values.get(key, value) for key, value in self._baseline.config.of_stage("pretrain").items()}
        features = self._dataset.item_features
        used = {"content": [self._modality], "init": list(features)}.get(kind, [])
        parts: list[Any] = [{key: value for key, value in stage.items() if key not in unread}]
        parts += [self._dataset.fingerprint(with_new_users=False)]
        parts += [[name, features[name].fingerprint(self._dataset.n_known_items)] for name in used]
        if kind == "init":
            parts.append(self._baseline.settings["delta_max_norm"])
        if kind == "gru":
            parts.append(self._baseline.settings["gru_learning_rate"])
        if self._tuned is not None:
            parts += [self._baseline.settings["trans_epochs"], self._tuned[0]._depends_on(kind)]
        return parts

    def _fused(self, learners: dict[str, Learner], tasks: TaskSet, n_items: int | None) -> Scorer:
        """The only learner's scores, or the plain sum of the standardised ones."""
        outputs: dict[str, Output] = {}
        for kind, learner in learners.items():
            chunk = chunk_size(learner, self._baseline.config["task_chunk_size"], learner.max_seq_length)
            with torch.no_grad():
                table = learner.candidate_table()
            states = unadapted_states(learner, tasks, chunk)
            outputs[kind] = StateOutput(states, table[:n_items], self._n_warm_items)
        if "linear" in PARTS[self._baseline.name]:
            outputs["linear"] = self._linear.output(tasks, n_items or self._dataset.item_num)
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        scores = StandardisedScores(outputs)
        return WeightedSum(scores, dict.fromkeys(outputs, 1.0 / len(outputs)))
