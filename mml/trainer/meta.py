"""Training of one learner: plain pre-training, meta-training, and training on in a refresh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from mml import distributed
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskBatch, length_sorted_chunks, windows
from mml.evaluation.validation import Validation
from mml.meta.outer import meta_gradient
from mml.model.learner.adaptation import Adaptation, chunk_size
from mml.model.learner.base import Learner, Params
from mml.trainer.base import StageTrainer, Valid


class PretrainTrainer(StageTrainer):
    """Plain training over windows of the old users' sequences, every position a target.

    Args:
        config, learner, run_dir: as for StageTrainer.
        seed: of the windows' cuts and the batches' order.
    """

    _STAGE = "pretrain"

    def __init__(self, config: Config, learner: Learner, run_dir: Path, seed: int) -> None:
        epochs = self._n_epochs(config, learner)
        rate = config.for_learner(learner.name, "pretrain_learning_rate")
        average = config["average_weights"]
        super().__init__(config, learner, f"{learner.name}.{self._STAGE}", run_dir, epochs, rate, average)
        self._seed = seed

    @staticmethod
    def _n_epochs(config: Config, learner: Learner) -> int:
        epochs: int = config.for_learner(learner.name, "pretrain_epochs")
        return epochs

    def _train_epoch(self, train_data: MMLDataset, epoch_idx: int, *_: object, **__: object) -> float:
        rng = np.random.default_rng([self._seed, epoch_idx])
        generator = torch.Generator().manual_seed(self._seed + epoch_idx)
        tasks = windows(train_data.users.old, train_data.max_item_list_len, rng)
        batches = bucketed_batches(tasks.length, self.config["pretrain_batch_size"], rng)
        self.model.train()
        total = 0.0
        for rows in batches:
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

    def validate(self, valid_data: Validation) -> Valid:
        return valid_data.score_learner(self.model, Adaptation(0.0, 0))


class RefreshTrainer(PretrainTrainer):
    """The same for `refresh_epochs` more, with no validation: nobody is left who has not been learned from.

    Args:
        config, learner, run_dir, seed: as for PretrainTrainer.
    """

    _STAGE = "refresh"

    @staticmethod
    def _n_epochs(config: Config, learner: Learner) -> int:
        epochs: int = config["refresh_epochs"]
        return epochs


class MetaTrainer(StageTrainer):
    """Meta-training over the old users' tasks (DESIGN section 5).

    The outer step moves the learner's own parameters: by Adam, along the mean over the meta batch of the tasks'
    outer gradients. The meta batch is cut into chunks of similar length; what is random about it is drawn before,
    so that the result does not depend on the cuts.

    Args:
        config, learner, run_dir: as for StageTrainer.
        seed: of the batches' order, the negatives and the dropout.
    """

    def __init__(self, config: Config, learner: Learner, run_dir: Path, seed: int) -> None:
        epochs = config.for_learner(learner.name, "meta_epochs")
        rate = config.for_learner(learner.name, "learning_rate")
        average = config["average_weights"]
        super().__init__(config, learner, f"{learner.name}.meta", run_dir, epochs, rate, average)
        self._seed = seed
        self._algorithm = config["meta_algorithm"]
        self._inner = Adaptation(
            float(config.for_learner(learner.name, "local_learning_rate")),
            config.for_learner(learner.name, "num_local_update"),
        )
        self._chunk = chunk_size(learner, config["task_chunk_size"], learner.max_seq_length)

    def _train_epoch(self, train_data: MMLDataset, epoch_idx: int, *_: object, **__: object) -> float:
        rng = np.random.default_rng([self._seed, epoch_idx])
        tasks = train_data.training_tasks(rng)
        generator = torch.Generator().manual_seed(self._seed + epoch_idx)
        order = rng.permutation(len(tasks))
        self.model.train()
        total = 0.0
        for begin in range(0, len(order), self.config["meta_batch_size"]):
            rows = order[begin : begin + self.config["meta_batch_size"]]
            total += self.meta_step(self.model.with_noise(tasks.batch(rows), generator))
        self.show(total / len(order))
        return total / len(order)

    def meta_step(self, batch: TaskBatch) -> float:
        """One outer step from a meta batch; returns the sum of its query losses."""
        learner = self.model
        table = learner.warm_table()  # once for all chunks: of many items or wide features it takes long
        items = table.detach().requires_grad_()
        fast, slow = learner.fast_parameters(), learner.slow_parameters() | {"table": items}
        rates = learner.inner_rates(self._inner.rate)
        self.optimizer.zero_grad()
        loss = 0.0
        lengths = (batch.item_seq != 0).sum(1).numpy()
        own = distributed.share(lengths)
        for chunk in length_sorted_chunks(lengths[own], self._chunk):
            episode = learner.episode(batch.select(torch.from_numpy(own[chunk])).to(self.device), items)
            gradient = meta_gradient(self._algorithm, episode, fast, slow, rates, self._inner.steps)
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

    def validate(self, valid_data: Validation) -> Valid:
        return valid_data.score_learner(self.model, self._inner)


def accumulate(params: Params | float, grads: Params, weight: float) -> None:
    """Add weight * grads to the parameters' `.grad`."""
    for name, grad in grads.items():
        assert isinstance(params, dict)
        value = params[name]
        value.grad = weight * grad if value.grad is None else value.grad.add_(grad, alpha=weight)


def bucketed_batches(lengths: np.ndarray, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Batches of tasks of similar length in random order; which tasks share a batch is random among equals."""
    shuffled = rng.permutation(len(lengths))
    order = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    batches = [order[begin : begin + size] for begin in range(0, len(order), size)]
    return [batches[place] for place in rng.permutation(len(batches))]
