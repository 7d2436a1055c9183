"""Training of a fusion by RecBole's loop of epochs."""

from __future__ import annotations

import torch

from mml.model.fusion.slot import Trainable
from mml.trainer.base import StageTrainer, TrainerFrame, Valid


class FusionTrainer(StageTrainer):
    """Trains what a fusion wants to have trained.

    Args:
        frame: as for StageTrainer.
        what: says what an epoch and a validation are.
    """

    rate_keys = ("fusion_learning_rate",)

    def __init__(self, frame: TrainerFrame, what: Trainable) -> None:
        self._what = what
        super().__init__(frame, what.module, "fusion", what.epochs, 0.0)

    def _build_optimizer(self, **_: object) -> torch.optim.Optimizer:
        return self._what.optimizer()

    def train_epoch(self, train_data: Trainable, epoch_idx: int) -> float:
        loss = self._what.epoch(epoch_idx, self.optimizer, self.step)
        self.show(loss)
        return loss

    def validate(self, valid_data: Trainable) -> Valid:
        return self._what.validate()

    @classmethod
    def run(cls, frame: TrainerFrame, what: Trainable) -> None:
        """Train, and leave the best epoch's weights in the module; what harms alone is not kept."""
        trainer = cls(frame, what)
        trainer.start_from(what)
        trainer.train(what, what)
