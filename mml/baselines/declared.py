"""Declared settings of the baselines: those of RecBole's models that are ours to say, and those of all of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from mml.settings import setting


@dataclass(frozen=True)
class RecBoleSettings:
    """RecBole's models; the other keys of a model are RecBole's own, with RecBole's defaults."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "recbole"

    new_users: str = setting(
        "none",
        "none: history only; trans: fine-tuned on what all new users did so far, as often as overall.yaml's "
        "`moments` says; full_retrain: trained on that and the old users; down: trained on that only (so not at all "
        "before the second moment).",
        choices=("none", "trans", "full_retrain", "down"),
    )
    trans_epochs: int = setting(
        10,
        "Of trans: the validation users, who came before all new ones, would stop it at once.",
        low=0,
    )
    MAX_ITEM_LIST_LENGTH: int | None = setting(
        None,
        "Longest prefix that a model is trained on and sees; ~ = overall.yaml's, as for mml. Less trains faster and "
        "worse.",
        low=1,
    )
    epochs: int = setting(100, "At most.", low=0)
    train_batch_size: int = setting(256, "RecBole's 2048 is a handful of steps per epoch on logs of this size.", low=1)
    learning_rate: float = setting(0.001, "Adam's.", low=0.0)
    stopping_step: int = setting(5, "Validations without progress before training stops.", low=0)
    eval_step: int = setting(1, "Epochs between validations.", low=0)
    weight_decay: float = setting(0.0, "Adam's.", low=0.0)
    clip_grad_norm: Mapping[str, float] | None = setting(None, "Clips gradients, as in {max_norm: 5}; ~ = not at all.")
    selected_features: tuple[str, ...] | None = setting(
        None, "Item columns of SASRecF, FDSA and GRU4RecF; ~ = RecBole's choice, or all token columns."
    )


@dataclass(frozen=True)
class OwnSettings:
    """What all of mml's own baselines have; their encoder's and training's keys are those of overall.yaml."""

    stage: ClassVar[str] = "pretrain"
    section: ClassVar[str] = "own"

    new_users: str = setting(
        "none",
        "none: history only; trans, full_retrain: as above. What is fitted in one go (Linear, Pop, ContentKNN, models "
        "of the log) is fitted again to all in both.",
        choices=("none", "trans", "full_retrain"),
    )
    trans_epochs: int = setting(10, "Of trans.", low=0)
