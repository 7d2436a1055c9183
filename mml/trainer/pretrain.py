"""Plain training of one learner."""

from __future__ import annotations

import numpy as np
import torch

from mml import distributed
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskBatch, windows
from mml.model.learner.adaptation import Adaptation
from mml.model.learner.base import Learner
from mml.trainer.base import StageTrainer, TrainerFrame, Valid
from mml.trainer.choice import LearnerValidation
from mml.trainer.settings import PretrainSettings


class PretrainTrainer(StageTrainer):
    """Plain training over windows of the old users' sequences, every position a target.

    Args:
        frame, learner: as for StageTrainer.
        settings: epochs, batches and learning rate.
        seed: of the windows' cuts and the batches' order.
        epochs: largest number of epochs, if not the settings'.
        stage: name of the stage.
    """

    rate_keys = ("pretrain_learning_rate",)

    def __init__(
        self,
        frame: TrainerFrame,
        learner: Learner,
        settings: PretrainSettings,
        seed: int,
        epochs: int | None = None,
        stage: str = "pretrain",
    ) -> None:
        epochs = settings.pretrain_epochs if epochs is None else epochs
        rate = settings.pretrain_learning_rate
        super().__init__(frame, learner, f"{learner.name}.{stage}", epochs, rate, average=True)
        self._seed, self._batch_size = seed, settings.pretrain_batch_size

    def train_epoch(self, train_data: MMLDataset, epoch_idx: int) -> float:
        rng = np.random.default_rng([self._seed, epoch_idx])
        generator = torch.Generator().manual_seed(self._seed + epoch_idx)
        tasks = windows(train_data.users.old, train_data.max_item_list_len, rng)
        batches = bucketed_batches(tasks.length, self._batch_size, rng)
        self.model.train()
        total = 0.0
        for rows in self.with_bar(batches, len(batches)):
            batch = self.model.with_noise(tasks.batch(rows), generator)
            total += self._plain_step(batch, tasks.length[rows]) * len(rows)
        self.show(total / len(tasks))
        return total / len(tasks)

    def _plain_step(self, batch: TaskBatch, lengths: np.ndarray) -> float:
        """One step from a batch of tasks of these lengths [U]; returns the mean loss of its positions."""
        self.optimizer.zero_grad()
        rows, loss = distributed.share(lengths), 0.0
        if len(rows):
            own = batch.select(torch.from_numpy(rows)).to(self.device)
            mean = self.model.batch_loss(own, int(batch.query.sum()))
            mean.backward()
            loss = float(mean.detach())
        loss = distributed.add_number(loss)
        self._check_nan(torch.tensor(loss))
        distributed.add_gradients(self.model.parameters())
        self.step()
        return loss

    def validate(self, valid_data: LearnerValidation) -> Valid:
        return valid_data.score(self.model, Adaptation(0.0, 0))


def bucketed_batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches, indices [size], of tasks of similar length in random order; who shares one is random among equals."""
    shuffled = rng.permutation(len(lengths))
    order = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return [batches[place] for place in rng.permutation(len(batches))]
