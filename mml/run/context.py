"""What all stages of a run share."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from mml.config.config import Config
from mml.data.catalogue import Catalogue
from mml.data.dataset import MMLDataset
from mml.data.settings import PopularitySettings
from mml.evaluation.settings import RankingRules
from mml.evaluation.validation import Validation
from mml.model.learner.slot import Serving
from mml.run.frame import Stages
from mml.trainer.base import TrainerFrame
from mml.trainer.choice import LearnerValidation
from mml.trainer.loggers import LoggedRun, logging_to
from mml.trainer.settings import LoggerSettings, TrainingSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """The data, the validation and the frame that stages work in.

    Args:
        config: mml's Config.
        dataset: the data.
        catalogue: its items.
        validation: its validation users.
        stages: runs or takes stages.
        run_dir: the run's folder.
    """

    config: Config
    dataset: MMLDataset
    catalogue: Catalogue
    validation: LearnerValidation
    stages: Stages
    run_dir: Path

    @classmethod
    def of(cls, config: Config, dataset: MMLDataset, stages: Stages, run_dir: Path) -> RunContext:
        """The context of a run over a dataset."""
        choosing = LearnerValidation(validation_of(config, dataset), config.run.task_chunk_size)
        return cls(config, dataset, catalogue_of(config, dataset), choosing, stages, run_dir)

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.config.device

    @property
    def serving(self) -> Serving:
        """Where the run asks its learners."""
        run = self.config.run
        return Serving(self.catalogue, self.config.device, run.task_chunk_size, run.show_progress)

    @property
    def trainer_frame(self) -> TrainerFrame:
        """Where and how the run trains."""
        return trainer_frame(self.config, self.run_dir)

    def known_features(self, modalities: Iterable[str], n_items: int) -> list[list[str]]:
        """Names and hashes of modalities' features of the first `n_items` items."""
        features = self.catalogue.features
        return [[name, features[name].fingerprint(n_items)] for name in modalities if name in features]

    @property
    def past(self) -> str:
        """Hash of what old and validation users did."""
        return self.dataset.fingerprint(with_new_users=False)


def validation_of(config: Config, dataset: MMLDataset) -> Validation:
    """The validation of a run over a dataset; the log says how many cases are left out."""
    validation = Validation(dataset, config.valid_metric, ranking_rules(config))
    if validation.n_left_out:
        n_all = len(validation) + validation.n_left_out
        logger.info(
            "Validation: %d of %d cases are left out, as their target is in the user's own history and repeatable is "
            "False.",
            validation.n_left_out,
            n_all,
        )
    return validation


def trainer_frame(config: Config, run_dir: Path) -> TrainerFrame:
    """Where and how a run trains."""
    run = config.run
    return TrainerFrame(config, config.part(TrainingSettings), run_dir, run.task_chunk_size, run.show_progress)


def curves_logged(config: Config, run_dir: Path) -> AbstractContextManager[None]:
    """A context within which learning curves go to the run's loggers."""
    return logging_to(config.part(LoggerSettings).logger, LoggedRun(config.dataset_name, run_dir, config.values()))


def ranking_rules(config: Config) -> RankingRules:
    """How a run ranks targets."""
    return RankingRules(config.repeatable, config.run.seed, config.run.eval_batch_size)


def catalogue_of(config: Config, dataset: MMLDataset) -> Catalogue:
    """The items of a dataset as a run's learners see them."""
    return Catalogue.of(dataset, config.part(PopularitySettings))
