"""mml's own baselines: popularity, content neighbours, plain learners and sums of their standardised scores."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mml.baselines.content_init import ContentInitLearner
from mml.baselines.gru import GRULearner
from mml.baselines.settings import Baseline
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.ranking import BlockScorer, Scorer, StateScorer
from mml.evaluation.validation import Part, Validation
from mml.model.fusion.standardised import LearnerOutput, StandardisedScores, WeightedSum
from mml.model.learner.adaptation import chunk_size, unadapted_states
from mml.model.learner.base import Learner, build_learner
from mml.model.learner.linear import LinearModel, LinearOutput
from mml.refresh.snapshots import snapshots
from mml.run.frame import Stages, State
from mml.trainer.linear import LinearFit
from mml.trainer.meta import PretrainTrainer, RefreshTrainer

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


@dataclass(frozen=True)
class SameScores:
    """The same scores for every case.

    Args:
        values: [n_items].
        n_cases: N.
    """

    values: Tensor
    n_cases: int

    def __len__(self) -> int:
        return self.n_cases

    def scores(self, cases: slice) -> Tensor:
        """[c, n_items]."""
        n = len(range(*cases.indices(self.n_cases)))
        return self.values.expand(n, -1)


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

    def scorers(self, tasks: TaskSet) -> tuple[list[Part], Scorer | BlockScorer | None]:
        """Scores of the test tasks, in parts, and of the validation tasks (None where there are several models)."""
        valid = self._validation
        if self._baseline.settings["new_users"] == "none":
            score = self._trained_scores()
            return [(np.arange(len(tasks)), score(tasks, None))], score(valid.tasks, valid.n_candidates)
        parts: list[Part] = []
        treatment = self._baseline.settings["new_users"]
        for snapshot in snapshots(self._dataset, tasks, valid.tasks):
            retrained = copy.copy(self)
            if not snapshot.knows_nothing:
                retrained._learners = {}
                retrained._dataset = self._dataset.after(snapshot.new.sequences, snapshot.valid.sequences)
                retrained._validation = valid.over(snapshot.valid_tasks)
                retrained._suffix = f"_{treatment}_{snapshot.name}"
                if treatment == "trans":
                    retrained._tuned = self, snapshot.known
            parts.append((snapshot.cases, retrained._trained_scores()(tasks.take(snapshot.cases), None)))
        return parts, None

    def _trained_scores(self) -> Callable[[TaskSet, int | None], Scorer | BlockScorer]:
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
    def _linear(self) -> LinearModel:
        """The linear learner alone, whose settings are `learners.linear`, with overall popularity."""
        config = self._config_with(popularity_by_shots=False)
        fit = LinearFit(config, self._dataset, self._validation)
        return fit.model(**self._stages("Linear" + self._suffix, fit.depends_on(), fit.stage))

    def _content_scorer(self, tasks: TaskSet, decay: float, n_items: int | None) -> StateScorer:
        table = unit_content(self._dataset, self._dataset.item_num)
        return StateScorer(content_states(table, tasks, decay), table[:n_items])

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

    def _config_with(self, **changes: Any) -> Config:
        """A copy of the config with other values."""
        own = copy.copy(self._baseline.config)
        own.final_config_dict = {**own.final_config_dict, **changes}
        own.external_config_dict = {**own.external_config_dict, **changes}
        return own

    def _plain_config(self, kind: str) -> Config:
        """The config for plain learners, trained as mml's are but without the parts that are mml's method."""
        own: dict[str, Any] = {}
        if kind == "gru":
            rate = {"pretrain_learning_rate": self._baseline.settings["gru_learning_rate"]}
            learners = self._baseline.config["learners"]
            own = {"local_modules": [], "learners": learners | {"id": learners["id"] | rate}}
        return self._config_with(
            content_embedding=False,
            feature_attention=False,
            popularity_prior=False,
            meta_algorithm="fomaml",
            refresh_epochs=self._baseline.settings["trans_epochs"],
            **own,
        )

    def _trained(self, kind: str) -> Learner:
        """A plainly trained learner; each kind has a seed of its own, that of its stage."""
        if kind not in self._learners:
            self._learners[kind] = self._train(kind)
        return self._learners[kind]

    def _train(self, kind: str) -> Learner:
        config, dataset = self._plain_config(kind), self._dataset
        modality, bound = self._modality, self._baseline.settings["delta_max_norm"]
        stages = {"id": "IDSASRec", "gru": "IDGRU", "init": "ContentInitSASRec", "content": f"ContentSASRec.{modality}"}
        stage = stages[kind] + self._suffix

        def fresh(seed: int) -> Learner:
            torch.manual_seed(seed)
            learner: Learner
            if kind == "init":
                learner = ContentInitLearner(config, dataset, bound)
            elif kind == "gru":
                learner = GRULearner(config, dataset)
            else:
                learner = build_learner(config, dataset, modality if kind == "content" else "id")
            return learner.to(config["device"])

        def build(seed: int) -> tuple[State, int]:
            learner = fresh(seed)
            if self._tuned is None:
                trainer = PretrainTrainer(config, learner, self._run_dir, seed)
                trainer.train(dataset, self._validation)
                n_users = len(dataset.users.old)
            else:
                start, known = self._tuned
                learner.grown_from(start._trained(kind))
                trainer = RefreshTrainer(config, learner, self._run_dir, seed)
                if known.lengths.max(initial=0) > 1:
                    trainer.train(dataset.only(known), None)
                n_users = len(known)
            return {"weights": learner.state_dict()}, len(trainer.train_loss_dict) * n_users

        state = self._stages(stage, self._fingerprint(config, kind), build)
        learner = fresh(0)
        learner.load_state_dict(state["weights"])
        return learner

    def _fingerprint(self, config: Config, kind: str) -> list[Any]:
        unread = {"learners", "spectral_embedding", "popularity_by_shots"}
        if kind == "gru":
            unread |= {"n_layers", "n_heads", "inner_size", "attn_dropout_prob", "hidden_act"}
            unread.add("pretrain_learning_rate")  # it has its own
        rest = {key: value for key, value in config.of_stage("learners").items() if key not in unread}
        features = self._dataset.item_features
        used = {"content": [self._modality], "init": list(features)}.get(kind, [])
        parts: list[Any] = [rest, self._dataset.fingerprint(with_new_users=False)]
        parts += [[name, features[name].fingerprint(self._dataset.n_known_items)] for name in used]
        parts += [config["learners"]["id" if kind != "content" else self._modality]]
        if kind == "init":
            parts.append(self._baseline.settings["delta_max_norm"])
        if self._tuned is not None:
            parts += [self._baseline.settings["trans_epochs"], self._tuned[0]._fingerprint(config, kind)]
        return parts

    def _fused(self, learners: dict[str, Learner], tasks: TaskSet, n_items: int | None) -> BlockScorer:
        """The only learner's scores, or the plain sum of the standardised ones."""
        outputs: dict[str, LearnerOutput | LinearOutput] = {}
        for kind, learner in learners.items():
            chunk = chunk_size(learner, self._baseline.config["task_chunk_size"], learner.max_seq_length)
            with torch.no_grad():
                table = learner.candidate_table()
            states = unadapted_states(learner, tasks, chunk)
            outputs[kind] = LearnerOutput(states, table[:n_items], self._n_warm_items)
        if "linear" in PARTS[self._baseline.name]:
            outputs["linear"] = LinearOutput(self._linear, tasks, n_items or self._dataset.item_num)
        if len(outputs) == 1:
            only = next(iter(outputs.values()))
            return StateScorer(only.states, only.table) if isinstance(only, LearnerOutput) else only
        scores = StandardisedScores(outputs)
        return WeightedSum(scores, dict.fromkeys(outputs, 1.0 / len(outputs)))
