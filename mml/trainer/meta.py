"""Meta-training of one learner."""

from __future__ import annotations

import numpy as np
import torch

from mml import distributed
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskBatch, length_sorted_chunks
from mml.memory import in_halves
from mml.meta.algorithms import ALGORITHMS
from mml.meta.outer import MetaGradient
from mml.model.learner.adaptation import Adaptation, chunk_size
from mml.model.learner.base import InnerLoopSettings, Learner, Params
from mml.model.learner.episode import Episode
from mml.trainer.base import StageTrainer, TrainerFrame, Valid
from mml.trainer.choice import LearnerValidation
from mml.trainer.settings import MetaSettings


class MetaTrainer(StageTrainer):
    """Meta-training over the old users' tasks (docs/method.md).

    The outer step moves the learner's own parameters: by Adam, along the mean over the meta batch of the tasks'
    outer gradients. The meta batch is cut into chunks of similar length; what is random about it is drawn before,
    so that the result does not depend on the cuts.

    Args:
        frame, learner: as for StageTrainer.
        settings, inner: of the outer and the inner loop.
        seed: of the batches' order, the negatives and the dropout.
    """

    rate_keys = ("learning_rate", "local_learning_rate", "pretrain_learning_rate")

    def __init__(
        self, frame: TrainerFrame, learner: Learner, settings: MetaSettings, inner: InnerLoopSettings, seed: int
    ) -> None:
        epochs, rate = settings.meta_epochs, settings.learning_rate
        super().__init__(frame, learner, f"{learner.name}.meta", epochs, rate, average=True)
        self._seed, self._batch_size = seed, settings.meta_batch_size
        self._algorithm = ALGORITHMS[inner.meta_algorithm]
        self.inner = Adaptation(inner.local_learning_rate, inner.num_local_update)
        self._chunk = chunk_size(learner, frame.task_chunk_size, learner.max_seq_length)

    def train_epoch(self, train_data: MMLDataset, epoch_idx: int) -> float:
        rng = np.random.default_rng([self._seed, epoch_idx])
        tasks = train_data.training_tasks(rng)
        generator = torch.Generator().manual_seed(self._seed + epoch_idx)
        order = rng.permutation(len(tasks))
        self.model.train()
        total = 0.0
        begins = range(0, len(order), self._batch_size)
        for begin in self.with_bar(begins, len(begins)):
            rows = order[begin : begin + self._batch_size]
            total += self.meta_step(self.model.with_noise(tasks.batch(rows), generator))
        self.show(total / len(order))
        return total / len(order)

    def meta_step(self, batch: TaskBatch) -> float:
        """One outer step from a meta batch; returns the sum of its query losses."""
        learner = self.model
        table = learner.warm_table()  # once for all chunks: of many items or wide features it takes long
        items = table.detach().requires_grad_()
        fast, slow = learner.fast_parameters(), learner.slow_parameters() | {"table": items}
        rates = learner.inner_rates(self.inner.rate)
        self.optimizer.zero_grad()
        loss = 0.0
        lengths = (batch.item_seq != 0).sum(1).numpy()
        own = distributed.share(lengths)

        def work(chunk: np.ndarray) -> MetaGradient:
            episode = Episode(learner, batch.select(torch.from_numpy(own[chunk])).to(self.device), items)
            return self._algorithm.gradient(episode, fast, slow, rates, self.inner.steps)

        for _, gradient in in_halves(length_sorted_chunks(lengths[own], self._chunk), work):
            for params, grads in ((fast, gradient.fast), (slow, gradient.slow), (rates, gradient.rates)):
                accumulate(params, grads, 1.0 / len(batch))
            loss += gradient.query_loss
        if items.grad is not None:
            table.backward(items.grad)
        loss = distributed.add_number(loss)
        self._check_nan(torch.tensor(loss))
        distributed.add_gradients(learner.parameters())
        self.step()
        return loss

    def validate(self, valid_data: LearnerValidation) -> Valid:
        return valid_data.score(self.model, self.inner)


def accumulate(params: Params | float, grads: Params, weight: float) -> None:
    """Add weight * grads to the parameters' `.grad`."""
    for name, grad in grads.items():
        assert isinstance(params, dict)
        value = params[name]
        value.grad = weight * grad if value.grad is None else value.grad.add_(grad, alpha=weight)
