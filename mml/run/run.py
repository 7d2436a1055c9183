"""One run: learners -> generator -> fusion -> meta-test, each stage skipped when its result is there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mml import distributed
from mml.checking.dataset import check_dataset
from mml.checking.trainable import refuse_untrainable
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.items import Items
from mml.evaluation.measured import measured
from mml.histories import keys_of, row_keys
from mml.method_names import FLOOR, FULL, ONLINE
from mml.model.encoder.settings import EncoderSettings
from mml.model.fusion.slot import FusionSettings
from mml.model.learner import entry_of
from mml.model.learner.slot import MAIN, StateEntry
from mml.precision import set_up_torch
from mml.recommender import MODEL, Recommender, Rules
from mml.recommender.saved import has_learned_since, is_saved
from mml.run.context import RunContext, curves_logged
from mml.run.folder import RunFolder
from mml.run.frame import Stages, State
from mml.run.fusion import fusion_stage
from mml.run.generator import generator_stage
from mml.run.learners import LearnerStages, fitted_to_all, learner_stages, warn_of_unread
from mml.run.meta_test import meta_test_stage
from mml.run.result import predictions_csv, recommendations_csv, result_of, to_json
from mml.run.schema import Result
from mml.trainer.loggers import tell_result

logger = logging.getLogger(__name__)

_N_POPULAR = 2


class Run:
    """The stages of one run over a dataset.

    Args:
        config: mml's Config.
        folder: where everything lands; made only after the data have been read without complaint.
        on_start: called once the folder is there.
    """

    def __init__(self, config: Config, folder: RunFolder, on_start: Callable[[], None] = lambda: None) -> None:
        self.config, self.folder = config, folder
        self.dataset = MMLDataset(config)
        self.summary = self.dataset.summary()
        self.stages = Stages(folder, config.run.seed, config.device)
        self.context = RunContext.of(config, self.dataset, self.stages, folder.path)
        refuse_untrainable(config, self.dataset)
        self._build_once()
        folder.create()
        on_start()
        warn_of_unread(config)
        logger.info(
            "Data: %s", ", ".join(f"{key} {_said(value)}" for key, value in self.summary.items() if key != "split_time")
        )
        for finding in check_dataset(self.dataset):
            if finding.level != "note":
                logger.warning("%s", finding)

    def run(self) -> Result:
        """Do what is not done yet, and return result.json's content."""
        learners, recommender, validation = self._trained()
        recommender = recommender.with_learners(fitted_to_all(self.context, learners))
        state = meta_test_stage(self.context, recommender, list(self.stages.records))
        return self._written(recommender, learners, state | {"validation": validation})

    def validated(self) -> dict[str, float]:
        """Train what is not trained yet; returns the validation score by name. No new user is evaluated."""
        return self._trained()[2]

    def _trained(self) -> tuple[dict[str, LearnerStages], Recommender, dict[str, float]]:
        learners = {name: learner_stages(self.context, name) for name in self.config.learners}
        recommender = self._recommender(learners)
        return learners, recommender, fusion_stage(self.context, recommender, list(self.stages.records))

    def _build_once(self) -> None:
        """Refuse what does not fit before anything is written: each learner with an encoder, untrained."""
        for name in self.config.learners:
            entry = entry_of(name)
            if isinstance(entry, StateEntry):
                entry.build(name, self.config.values(name), self.context.catalogue)

    def _recommender(self, learners: dict[str, LearnerStages]) -> Recommender:
        config = self.config
        trained = {name: stages.learner for name, stages in learners.items()}
        generator = generator_stage(self.context, trained, learners[MAIN].names)
        rules = Rules(
            max_length=self.dataset.max_item_list_len,
            repeatable=config.repeatable,
            fusion=config.part(FusionSettings).fusion_method,
            hidden_size=config.part(EncoderSettings).hidden_size,
        )
        vocabulary = Items.of(self.dataset, config.learners)
        catalogue, values = self.context.catalogue, config.values()
        choices = {name: stages.choice for name, stages in learners.items() if stages.choice is not None}
        log = self.dataset.past
        names = [str(token) for token in self.dataset.user_tokens[: len(log)]]
        whole = Recommender(
            vocabulary, catalogue, trained, generator, rules, values, config.device, log, keys_of(names), choices
        )
        if self.dataset.has_time:
            assert self.dataset.past_times is not None
            whole.learned_rows = np.unique(
                row_keys([names[user] for user in log.owners], log.items, self.dataset.past_times)
            )
        return whole

    def _save(self, recommender: Recommender) -> None:
        """Write the model, unless no stage was made anew and it is there, or one that has learned since."""
        place = self.folder.path / MODEL
        if not self.stages.built and has_learned_since(place, len(recommender.vocabulary)):
            logger.warning(
                "%s has learned since the training and is left as it is; without it, it is written anew.", place
            )
        elif self.stages.built or not is_saved(recommender, place):
            recommender.save(place)

    def _written(self, recommender: Recommender, learners: dict[str, LearnerStages], state: State) -> Result:
        """Write the files of a finished run from its stages' states, whichever run these are from."""
        reports = {name: stages.report for name, stages in learners.items()}
        popular = recommender.items["n_interactions"].nlargest(_N_POPULAR).index.tolist()
        result = result_of(self.config, self.dataset, self.summary, self.stages.records, reports, state, popular)
        _warn_of_nothing_found(result["metrics"])
        if distributed.is_main():
            ranks = {method: state["ranks"][method].cpu().numpy() for method in state["order"]}
            tasks, _ = self.dataset.test_tasks()
            lists = recommendations_csv(state["lists"].cpu().numpy(), tasks, self.dataset)
            self.folder.write_text("recommendations.csv", lists)
            self.folder.write_text("predictions.csv", predictions_csv(ranks, tasks, self.dataset))
            for method in {FULL, FULL + ONLINE, FLOOR} & ranks.keys():
                recommender.measured[method] = measured(ranks[method], tasks)
            self._save(recommender)
            tell_result(result["metrics"])
        self.folder.write_text("result.json", to_json(result))
        self.folder.point_latest()
        return result


def _said(value: object) -> object:
    """A count, the counts of a mapping that are not 0, or a text."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {count}" for name, count in value.items() if count) or "none"
    return (", ".join(map(str, value)) or "none") if isinstance(value, (list, tuple)) else value


def _warn_of_nothing_found(metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Name the methods whose metrics are all 0, as a part is that has diverged."""
    for method, groups in metrics.items():
        found = [value for name, value in groups["all"].items() if not name.startswith("n_")]
        if not any(found):
            logger.warning("%s: all its metrics are 0; no next item is among the first it names.", method)


def run_meta(config: Config, folder: RunFolder, on_start: Callable[[], None] = lambda: None) -> tuple[Result, Path]:
    """Run all stages; returns result.json's content and the run's folder."""
    set_up_torch(config)
    with distributed.processes(config.device, config.run.process_timeout), curves_logged(config, folder.path):
        return Run(config, folder, on_start).run(), folder.path
