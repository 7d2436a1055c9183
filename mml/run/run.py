"""One run: learners -> generator -> fusion -> refresh -> meta-test, each stage skipped when its result is there."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mml import distributed
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.data.transitions import spectral_embedding
from mml.evaluation.ranking import BlockScorer, Ranking, StateScorer, tie_draws
from mml.evaluation.validation import Validation, dataset_metrics, rank_cases
from mml.model.fusion.standardised import AdaptiveFusion, LearnerOutput, StandardisedScores, WeightedSum
from mml.model.generator import ItemEmbeddingGenerator
from mml.model.learner.adaptation import (
    Adaptation,
    adapted_states,
    chunk_size,
    states_at_best_valid_step,
    unadapted_states,
)
from mml.model.learner.base import IDLearner, Learner, build_learner
from mml.model.learner.linear import LinearModel, LinearOutput
from mml.precision import set_up_torch
from mml.refresh.correction import Refresh, data_at
from mml.refresh.snapshots import Snapshot, snapshots
from mml.run import result as report
from mml.run.folder import RunFolder
from mml.run.frame import Build, Stages, State
from mml.trainer.base import plain, seed_stage
from mml.trainer.fusion import FusionTrainer, adaptive_scorer, case_context, choose_weights, new_fusion
from mml.trainer.fusion_cases import fusion_cases
from mml.trainer.generator import GeneratorTrainer
from mml.trainer.linear import LinearFit
from mml.trainer.meta import MetaTrainer, PretrainTrainer, RefreshTrainer

logger = logging.getLogger(__name__)

# keys of the learners' stages that some of them do not read
_OF_ID = ("content_embedding", "spectral_embedding", "feature_attention", "feature_attention_scale")
_OF_FEATURE_LEARNERS = ("popularity_prior",)
_UPDATES = "refresh_updates"  # trains nothing
_IN_RANKING = "popularity_by_shots"  # trains none of them; linear's stage names it, later stages depend on all keys


class Run:
    """The stages of one run over a dataset.

    Args:
        config: mml's Config.
        folder: where everything lands; made only after the data have been read without complaint.
        on_start: called once the folder is there.
        only_saved: whether to take what a finished run left, write nothing and train nothing.
    """

    def __init__(
        self,
        config: Config,
        folder: RunFolder,
        on_start: Callable[[], None] = lambda: None,
        only_saved: bool = False,
    ) -> None:
        self.config, self.folder = config, folder
        self.dataset = MMLDataset(config)
        self.summary = self.dataset.summary()
        self.training_tasks = self.dataset.training_tasks()
        self.validation = Validation(config, self.dataset)
        self.learners: dict[str, Learner] = {}
        self.adaptations: dict[str, Adaptation] = {}
        self.generator: ItemEmbeddingGenerator | None = None
        self.stages = Stages(folder, config["seed"], only_saved)
        self._fingerprint = ""
        build_learner(config, self.dataset, "id")  # refuses what does not fit before anything is written
        if not only_saved:
            folder.create()
        on_start()
        logger.info("Data: %s", ", ".join(f"{key} {value}" for key, value in self.summary.items()))

    def run(self) -> dict[str, Any]:
        """Do what is not done yet, and return result.json's content."""
        self.train()
        self._refresh_stages()
        return self._meta_test_stage()

    def train(self) -> None:
        """Learners, generator and fusion: all that is needed to recommend."""
        for name in self.config["learners"]:
            if name == "linear":
                self._linear_stage()
            else:
                self._learner_stage(name)
        self._generator_stage()
        self._fusion_stage()

    # -- stages ----------------------------------------------------------------------------------------------------

    def _learner_stage(self, name: str) -> None:
        config = self.config
        without = {"learners", _IN_RANKING, *(_OF_FEATURE_LEARNERS if name == "id" else _OF_ID)}
        rest = {key: value for key, value in config.of_stage("learners").items() if key not in without}
        features = self.dataset.item_features
        used = features if name == "id" else {key: features[key] for key in (name,) if key in features}
        parts = [rest, config["learners"][name], self.dataset.fingerprint(with_new_users=False)]
        parts += [[key, one.fingerprint(self.dataset.n_known_items)] for key, one in used.items()]
        holder: list[Learner] = []

        def new_learner(seed: int) -> Learner:
            torch.manual_seed(seed)
            holder.append(build_learner(config, self.dataset, name).to(config["device"]))
            return holder[-1]

        def build(seed: int) -> tuple[State, int]:
            learner = new_learner(seed)
            if config["spectral_embedding"] and isinstance(learner, IDLearner):
                data, size = self.dataset, config["hidden_size"]
                users, n = data.users.old, data.n_warm_items + 1
                learner.start_from(spectral_embedding(users, n, size))
            pretrain = PretrainTrainer(config, learner, self.folder.path, seed)
            pretrain.train(self.dataset, self.validation)
            meta = MetaTrainer(config, learner, self.folder.path, seed)
            if meta.epochs:
                meta.start_from(self.validation)
            meta.train(self.dataset, self.validation)
            how = self._choose_adaptation(learner)
            n_epochs = len(pretrain.train_loss_dict) + len(meta.train_loss_dict)
            return {"weights": learner.state_dict(), "adaptation": asdict(how)}, n_epochs * len(self.training_tasks)

        state = self._stage(name, parts, build)
        learner = holder[-1] if holder else new_learner(0)
        learner.load_state_dict(state["weights"])
        self.learners[name] = learner
        self.adaptations[name] = Adaptation(**state["adaptation"])
        logger.info("%s adapts in %d steps at rate %g.", name, *reversed(state["adaptation"].values()))

    def _linear_stage(self) -> None:
        fit = LinearFit(self.config, self.dataset, self.validation)
        choice = self._stage("linear", fit.depends_on(), fit.stage)
        logger.info("linear has decay %g and penalty %g.", choice["decay"], choice["penalty"])

        def model(dataset: MMLDataset) -> LinearModel:
            own = fit if dataset is self.dataset else LinearFit(self.config, dataset, self.validation)
            return own.model(**choice)

        self._linear = functools.lru_cache(maxsize=1)(model)  # quicker to fit than to keep

    def _choose_adaptation(self, learner: Learner) -> Adaptation:
        config, name = self.config, learner.name
        rates = config.for_learner(name, "adapt_learning_rate")
        rates = [float(rate) for rate in (rates if isinstance(rates, list) else [rates])]
        steps = config.for_learner(name, "adapt_max_steps")
        if config["choose_epoch_by_valid_item"] or not len(self.validation):
            return Adaptation(rates[0], steps)
        return self.validation.choose_adaptation(learner, rates, steps)

    def _generator_stage(self) -> None:
        config, learner = self.config, self.learners["id"]
        assert isinstance(learner, IDLearner)
        features = self.dataset.item_features
        if not features or config["generator"] is None:
            logger.info(
                "No generator%s: cold items have no ID embedding.", "" if features else " without item features"
            )
            return
        seed_stage(config["seed"], "generator")  # its first weights, whatever ran before
        self.generator = ItemEmbeddingGenerator(
            features,
            learner.warm_table(),
            learner.content_table(),
            config["item_neighbour_num"],
            config["generator"],
            config["initializer_range"],
        ).to(config["device"])
        generator = self.generator

        def build(seed: int) -> tuple[State, int]:
            if config["generator"] == "content":
                return {"weights": generator.state_dict()}, 0
            trainer = GeneratorTrainer(config, generator, learner, self.folder.path, seed)
            trainer.train(self.dataset, self.validation)
            return {"weights": generator.state_dict()}, len(trainer.train_loss_dict) * len(self.training_tasks)

        parts = [config.of_stage("generator"), self._fingerprint]
        parts += [[key, one.fingerprint(self.dataset.n_known_items)] for key, one in features.items()]
        generator.load_state_dict(self._stage("generator", parts, build)["weights"])
        generator.eval()

    def _fusion_stage(self) -> None:
        config, tasks = self.config, self.validation.tasks
        context_size = 2 + len(self.dataset.item_features)
        names = config["learners"]
        layer = new_fusion(config, len(self.learners), len(names), context_size)
        self.fusion: AdaptiveFusion = layer.to(config["device"])

        def build(seed: int) -> tuple[State, int]:
            equal = dict.fromkeys(names, 1.0 / len(names))
            if not len(tasks):
                return {"weights": self.fusion.state_dict(), "fixed": config["fusion_weight"] or equal}, 0
            scores = self.scores(tasks, self.dataset.n_known_items + 1)
            cases = fusion_cases(scores, case_context(tasks, self.dataset), tasks, config["repeatable"], seed)
            fixed = config["fusion_weight"] or choose_weights(scores.names, cases, self.validation)
            trainer = FusionTrainer(config, cases, tasks, self.folder.path, seed)
            trainer.start_from(self.validation)
            trainer.train(self.validation, self.validation)
            n_tasks = (1 + len(trainer.train_loss_dict)) * len(tasks)
            return {"weights": trainer.fusion.state_dict(), "fixed": fixed}, n_tasks

        shapes = {name: list(value.shape) for name, value in self.fusion.state_dict().items()}
        state = self._stage("fusion", [config.of_stage("fusion"), self._fingerprint, shapes], build)
        self.fusion.load_state_dict(state["weights"])
        self.fixed_weights: dict[str, float] = state["fixed"]

    def _refresh_stages(self) -> None:
        """Train the learners on with what is known of the new users at each snapshot that is no update."""
        self._refreshed: dict[str, State] = {}  # name of a snapshot -> weights by learner, if any was trained
        if not self.config["refresh"] or not self.config["refresh_epochs"]:
            return
        for snapshot in self._snapshots():
            if not snapshot.is_update and snapshot.has_predictions:
                state = self._refresh_stage(snapshot, data_at(snapshot, self.dataset))
                self._refreshed[snapshot.name] = {
                    name: {key: value.cpu() for key, value in weights.items()} for name, weights in state.items()
                }

    def _snapshots(self) -> Iterator[Snapshot]:
        tasks, _ = self.dataset.test_tasks()
        return snapshots(self.dataset, tasks, self.validation.tasks, self.config["refresh_updates"])

    def _refresh_stage(self, snapshot: Snapshot, dataset: MMLDataset) -> State:
        """Weights of the learners trained on with the snapshot's interactions, by name."""
        config = self.config

        def build(seed: int) -> tuple[State, int]:
            self._set_cold_embeddings(generated=self.generator is not None)
            state: State = {}
            for name, start in self.learners.items():
                learner = build_learner(config, dataset, name).to(config["device"])
                learner.grown_from(start)
                RefreshTrainer(config, learner, self.folder.path, seed).train(dataset, None)
                state[name] = learner.state_dict()
            return state, len(state) * config["refresh_epochs"] * len(dataset.users.old)

        settings = {key: value for key, value in config.of_stage("refresh").items() if key != _UPDATES}
        parts = [settings, self._fingerprint, dataset.fingerprint(with_new_users=False)]
        parts += [[key, one.fingerprint(dataset.item_num)] for key, one in dataset.item_features.items()]
        return self._stage(f"refresh_{snapshot.name}", parts, build)

    def _meta_test_stage(self) -> dict[str, Any]:
        """Rank, then write both files from the stage's state, whichever run it is from."""
        dataset = self.dataset
        data = [self.config.of_stage("meta_test"), self._fingerprint, dataset.fingerprint(with_new_users=True)]
        data += [[key, one.fingerprint(dataset.item_num)] for key, one in dataset.item_features.items()]

        def build(seed: int) -> tuple[State, int]:
            tasks, _ = dataset.test_tasks()
            rankings, metrics = self._rank_all(tasks), self._metrics()
            by_group = {
                method: report.group_metrics(ranking, tasks, dataset.n_warm_items, metrics)
                for method, ranking in rankings.items()
            }
            ranks = {method: torch.from_numpy(ranking.ranks) for method, ranking in rankings.items()}
            return {"metrics": plain(by_group), "ranks": ranks}, len(tasks) * len(rankings)

        state = self._stage("meta_test", data, build)
        if distributed.is_main():
            ranks = {method: places.cpu().numpy() for method, places in state["ranks"].items()}
            self.folder.write_text("predictions.csv", report.predictions_csv(ranks, dataset.test_tasks()[0], dataset))
        result = self._result(state["metrics"])
        self.folder.write_text("result.json", report.to_json(result))
        return result

    # -- meta-test -------------------------------------------------------------------------------------------------

    def _rank_all(self, tasks: TaskSet) -> dict[str, Ranking]:
        """Method -> ranking of the new users' targets."""
        draws = tie_draws(len(tasks), self.config["seed"])
        if not self.config["refresh"]:
            return self._rank_part(tasks, draws, None)
        parts = []
        trained: dict[str, Learner] = {}
        for snapshot in self._snapshots():
            if not snapshot.is_update:
                trained.clear()  # one snapshot's learners at a time
                trained.update(self._trained_at(snapshot))
            refresh = Refresh(self.config, self.dataset, snapshot, trained)
            own = draws[torch.from_numpy(snapshot.cases)]
            parts.append((snapshot.cases, self._rank_part(tasks.take(snapshot.cases), own, refresh)))
        methods = parts[0][1]
        return {method: Ranking.joined([(cases, found[method]) for cases, found in parts]) for method in methods}

    def _trained_at(self, snapshot: Snapshot) -> dict[str, Learner]:
        """The learners that were trained on with a snapshot's data, if any was."""
        learners: dict[str, Learner] = {}
        state, dataset = self._refreshed.get(snapshot.name, {}), data_at(snapshot, self.dataset)
        for name, weights in state.items():
            learners[name] = build_learner(self.config, dataset, name).to(self.config["device"])
            learners[name].load_state_dict(weights)
        return learners

    def _rank_part(self, tasks: TaskSet, draws: torch.Tensor, refresh: Refresh | None) -> dict[str, Ranking]:
        """Method -> ranking of some tasks' targets, the places among equals by `draws` [N]."""
        rankings: dict[str, Ranking] = {}
        metrics = self._metrics()

        def rank(method: str, scorer: BlockScorer) -> None:
            top = metrics.top_items_needed
            rankings[method] = rank_cases(self.config, scorer, tasks, top, draws, shared=True)

        if self.generator is not None and refresh is None:
            self._set_cold_embeddings(generated=False)
            rank("id_no_generator", self._scorer("id", tasks))
            self._set_cold_embeddings(generated=True)
        outputs = self._outputs(tasks, self.dataset.item_num, refresh)
        for name, output in outputs.items():
            if isinstance(output, LearnerOutput):
                rank(name, StateScorer(output.states, output.table, output.columns))
                learner = self._learner(name, refresh)
                states = unadapted_states(learner, tasks, self._chunk(learner))
                rank(f"{name}_no_adapt", StateScorer(states, output.table, output.columns))
            else:
                rank(name, output)
        scores = StandardisedScores(outputs)
        equal = dict.fromkeys(outputs, 1.0 / len(outputs))
        fusions: dict[str, BlockScorer] = {
            "mean": WeightedSum(scores, equal),
            "weight": WeightedSum(scores, self.fixed_weights),
            "adaptive": adaptive_scorer(self.fusion, scores, case_context(tasks, self.dataset)),
        }
        rank("fusion_mean", fusions["mean"])
        rank("fusion_weight", fusions["weight"])
        rank("mml", fusions[self.config["fusion_method"]])
        return rankings

    def scores(self, tasks: TaskSet, n_items: int) -> StandardisedScores:
        """What every learner says about the first `n_items` items, cold ones' ID embeddings generated."""
        return StandardisedScores(self._outputs(tasks, n_items))

    def _outputs(
        self, tasks: TaskSet, n_items: int, refresh: Refresh | None = None
    ) -> dict[str, LearnerOutput | LinearOutput]:
        self._set_cold_embeddings(generated=self.generator is not None)
        outputs: dict[str, LearnerOutput | LinearOutput] = {}
        n_warm = self.dataset.n_warm_items
        for name in self.config["learners"]:
            if name == "linear":
                fitted = self._linear
                model = fitted(self.dataset) if refresh is None else refresh.corrected(fitted(refresh.dataset))
                outputs[name] = LinearOutput(model, tasks, n_items)
                continue
            scorer = self._scorer(name, tasks, refresh)
            table, known = scorer.table[:n_items], None
            if not self.learners[name].knows_cold_items:
                known = self._learner(name, refresh).is_candidate(torch.arange(n_items, device=table.device))
            outputs[name] = LearnerOutput(scorer.states, table, n_warm, known, scorer.columns)
        return outputs

    def _set_cold_embeddings(self, generated: bool) -> None:
        learner = self.learners["id"]
        assert isinstance(learner, IDLearner)
        vectors = self.generator.cold_embeddings(learner.n_items) if generated and self.generator else None
        learner.set_cold_embeddings(vectors)

    def _learner(self, name: str, refresh: Refresh | None) -> Learner:
        learner = self.learners[name]
        return learner if refresh is None else refresh.trained.get(name, learner)

    def _chunk(self, learner: Learner) -> int:
        return chunk_size(learner, self.config["task_chunk_size"], learner.max_seq_length)

    def _scorer(self, name: str, tasks: TaskSet, refresh: Refresh | None = None) -> StateScorer:
        """The scores of an adapted learner, of all items."""
        learner, how = self._learner(name, refresh), self.adaptations[name]
        chunk = self._chunk(learner)
        progress = f"adapting {name}" if self.config["show_progress"] else None
        with torch.no_grad():
            table = learner.candidate_table()
        if refresh is not None:
            table = refresh.refreshed(learner, table)
        if self.config["choose_epoch_by_valid_item"]:
            rank_valid = self._rank_valid(learner, tasks, table)
            states = states_at_best_valid_step(learner, tasks, how, chunk, rank_valid, progress)
        else:
            states = adapted_states(learner, tasks, how, chunk, progress)
        return StateScorer(states, table, learner.prior_columns(torch.from_numpy(tasks.shots)))

    def _rank_valid(self, learner: Learner, tasks: TaskSet, table: torch.Tensor) -> Callable[..., torch.Tensor]:
        before, draws = tasks.before_last(), tie_draws(len(tasks), self.config["seed"])
        columns = learner.prior_columns(torch.from_numpy(before.shots))

        def rank(rows: Any, states: torch.Tensor) -> torch.Tensor:
            places = torch.from_numpy(rows)
            scorer, own = StateScorer(states, table, columns[places]), draws[places]
            return torch.from_numpy(rank_cases(self.config, scorer, before.take(rows), draws=own).ranks)

        return rank

    def _metrics(self) -> Any:
        return dataset_metrics(self.config, self.dataset, self.config["metrics"], self.config["topk"])

    def _result(self, metrics: dict[str, Any]) -> dict[str, Any]:
        return {
            "dataset": self.config["dataset"],
            "synthetic": self.dataset.is_synthetic,
            "seed": self.config["seed"],
            "versions": report.versions(),
            "device": report.device_name(self.config["device"]),
            "data": self.summary,
            "stages": {
                stage: {key: value for key, value in asdict(record).items() if key != "fingerprint"}
                for stage, record in self.stages.records.items()
            },
            "adaptation": {name: asdict(how) for name, how in self.adaptations.items()},
            **report.new_users_learned_from(self.config, self.config["refresh"]),
            "metrics": metrics,
        }

    def _stage(self, stage: str, parts: list[Any], build: Build) -> State:
        """The stage's saved state if its fingerprint has not changed, else what `build` makes, saved."""
        fingerprint = self.stages.fingerprint(stage, parts)
        self._fingerprint = hashlib.sha256((self._fingerprint + fingerprint).encode()).hexdigest()
        return self.stages(stage, parts, build)


def run_meta(
    config: Config, folder: RunFolder, on_start: Callable[[], None] = lambda: None
) -> tuple[dict[str, Any], Path]:
    """Run all stages; returns result.json's content and the run's folder."""
    set_up_torch(config)
    with distributed.processes(config["device"], config["process_timeout"]):
        return Run(config, folder, on_start).run(), folder.path
