"""Whether old users are long enough for what a run trains."""

from __future__ import annotations

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.model.generator import GENERATORS
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import entry_of
from mml.model.learner.slot import StateEntry
from mml.settings import Values


def refuse_untrainable(config: Config, dataset: MMLDataset) -> None:
    """Refuse old users that are all too short, before anything is written.

    Raises:
        InputError: if none has two interactions, or three where tasks are trained on.
    """
    if is_meta_trained(config) or _has_trained_generator(config, dataset):
        dataset.training_tasks()
    else:
        dataset.trainable_users()


def of_encoders(config: Config) -> list[Values]:
    """The settings of the learners with an encoder."""
    return [config.values(name) for name in config.learners if isinstance(entry_of(name), StateEntry)]


def is_meta_trained(config: Config) -> bool:
    """Whether a learner is."""
    return any(values["meta_epochs"] for values in of_encoders(config))


def _has_trained_generator(config: Config, dataset: MMLDataset) -> bool:
    kind = config.part(GeneratorSettings).generator
    return bool(kind is not None and dataset.item_features and GENERATORS[kind].is_trained)
