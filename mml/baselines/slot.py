"""The slot of mml's own baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.sequences import PackedSequences
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.scorer import Scorer
from mml.evaluation.validation import Validation
from mml.settings import Values, read
from mml.slots import Registry

if TYPE_CHECKING:
    from mml.model.learner.base import Learner
    from mml.model.log.slot import LogMethod
    from mml.run.frame import Stages

S = TypeVar("S")
Scores = Callable[[TaskSet, "int | None"], Scorer]
"""Tasks and a number of items, None for all -> the tasks' scores of the first so many items."""


@dataclass(frozen=True)
class Moment:
    """What a baseline learns from at some moment, and where it is kept.

    Args:
        config: mml's Config.
        values: the baseline's own settings by key; `part` gives them typed.
        dataset: the old users at that moment.
        validation: the validation users.
        stages: runs or takes stages.
        run_dir: the run's folder.
        n_warm_items: items 1..n_warm_items were warm at T; a sum is of scores that are standardised over these.
        suffix: of the stages' names.
        tuned: the moment whose models are trained on, and on what; None to train anew.
        methods: models of the log with the settings that were chosen at this moment, by name.
        learners: what was trained at this moment, by stage.
    """

    config: Config
    values: Values
    dataset: MMLDataset
    validation: Validation
    stages: Stages
    run_dir: Path
    n_warm_items: int
    suffix: str = ""
    tuned: tuple[Moment, PackedSequences] | None = None
    methods: dict[str, LogMethod] = field(default_factory=dict)
    learners: dict[str, Learner] = field(default_factory=dict)

    def part(self, settings: type[S]) -> S:
        """The baseline's own settings of one class."""
        return read(settings, self.values)


class BaselineEntry(Protocol):
    """A baseline of our own."""

    @property
    def name(self) -> str:
        """By which it is asked for."""

    @property
    def settings(self) -> type | None:
        """The class that declares the keys it has beside OwnSettings."""

    @property
    def meaning(self) -> str:
        """What it is, in a line."""

    def check(self, moment: Moment) -> None:
        """Refuse data or settings that it cannot work with.

        Raises:
            InputError: says what it needs.
        """

    def trained(self, moment: Moment) -> Scores:
        """Train, or take what is there."""


BASELINES: Registry[BaselineEntry] = Registry("baseline")


def needs_features(name: str, moment: Moment) -> None:
    """Refuse a dataset without item features.

    Raises:
        InputError: says how to give some.
    """
    if not moment.dataset.item_features:
        raise InputError(
            f"baseline {name} needs item features, and {moment.dataset.dataset_name} has none; give it some, such as "
            "learners.txt.item_feat_emb=FILE."
        )
