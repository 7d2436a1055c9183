"""Settings of the trainings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class TrainingSettings:
    """What all trainings share."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Training"

    average_weights: bool = setting(True, "Keep the average of the weights over the last steps, not the last step's.")
    average_decay: float = setting(
        8.0, "The average reaches back over about 1 / (average_decay + 1) of the steps.", low=0.0
    )
    weight_decay: float = setting(0.0, "Adam's.", low=0.0)
    clip_grad_norm: Mapping[str, float] | None = setting({"max_norm": 5.0}, "Clips gradients; ~ = not at all.")
    eval_step: int = setting(1, "Epochs between validations.", low=1)
    stopping_step: int = setting(5, "More validations than that in a row below the best one stop the training.", low=0)
    valid_metric: str = setting(
        "NDCG@1000",
        "On validation users; deeper than what is reported, so that each case counts: less noisy.",
    )


@dataclass(frozen=True)
class PretrainSettings:
    """Plain training, before meta-training if there is any."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "Plain training, with early stopping"

    pretrain_epochs: int = setting(100, "Most epochs.", low=0, per_learner=True)
    pretrain_batch_size: int = setting(64, "Sequences.", low=1)
    pretrain_learning_rate: float = setting(0.001, "Adam's.", low=0.0, per_learner=True)


@dataclass(frozen=True)
class MetaSettings:
    """The outer loop."""

    stage: ClassVar[str] = "meta"
    section: ClassVar[str] = "Meta-training"

    meta_epochs: int = setting(
        0,
        "Most epochs; 20 are enough. 0 = none: after plain training it has gained nothing on any log measured.",
        low=0,
        per_learner=True,
    )
    meta_batch_size: int = setting(64, "Users per outer step.", low=1)
    learning_rate: float = setting(0.0003, "Of the outer loop (Adam).", low=0.0, per_learner=True)


@dataclass(frozen=True)
class LoggerSettings:
    """Where learning curves go; it changes no result."""

    stage: ClassVar[str] = "run"
    section: ClassVar[str] = "Run"

    logger: tuple[str, ...] = setting(
        [],
        "Where learning curves and results go, too: some of tensorboard, wandb, mlflow, each an extra of that name.",
    )
