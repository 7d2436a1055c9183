"""Training of the item embedding generator, the ID learner frozen (docs/method.md)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mml import distributed
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet, length_sorted_chunks
from mml.memory import in_halves
from mml.meta.inner import adapt
from mml.model.generator import Generator
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner.adaptation import Adaptation, chunk_size
from mml.model.learner.base import InnerLoopSettings
from mml.model.learner.episode import Episode
from mml.model.learner.id import IDLearner
from mml.trainer.base import StageTrainer, TrainerFrame, Valid
from mml.trainer.choice import LearnerValidation
from mml.trainer.settings import MetaSettings


class GeneratorTrainer(StageTrainer):
    """Trains the generator by the ID learner's own meta-objective.

    In each meta batch each warm item's embedding is replaced by the generated one with probability
    `generate_rate`, as input and as candidate; users adapt with the replaced table; the query loss trains the
    generator. `reconstruction_weight` times the relative squared distance to the trained embedding is added.

    Args:
        frame: as for StageTrainer.
        generator: what is trained.
        learner: the trained ID learner; it is not changed.
        settings, meta, inner: of the generator and of both loops.
        seed: of batches and replacements.
    """

    rate_keys = ("generator_learning_rate",)

    def __init__(
        self,
        frame: TrainerFrame,
        generator: Generator,
        learner: IDLearner,
        settings: GeneratorSettings,
        meta: MetaSettings,
        inner: InnerLoopSettings,
        seed: int,
    ) -> None:
        super().__init__(frame, generator, "generator", settings.generator_epochs, settings.generator_learning_rate)
        self._learner, self._settings, self._batch_size, self._seed = learner, settings, meta.meta_batch_size, seed
        self._inner = Adaptation(inner.local_learning_rate, inner.num_local_update)
        self._chunk = chunk_size(learner, frame.task_chunk_size, learner.max_seq_length)
        folds = np.random.default_rng(seed).permutation(learner.n_warm_items) % settings.generator_folds
        self._fold = torch.from_numpy(np.concatenate([[-1], folds]))  # of each warm item; the padding has none

    def train_epoch(self, train_data: MMLDataset, epoch_idx: int) -> float:
        rng = np.random.default_rng([self._seed, epoch_idx])
        noise = torch.Generator().manual_seed(self._seed + epoch_idx)
        tasks = train_data.training_tasks(rng)
        order = rng.permutation(len(tasks))
        size = self._batch_size
        self.model.train()
        self._learner.eval()
        total = 0.0
        for begin in range(0, len(order), size):
            total += self._meta_step(tasks, order[begin : begin + size], noise)
        self.show(total / len(order))
        return total / len(order)

    def _meta_step(self, tasks: TaskSet, rows: np.ndarray, noise: torch.Generator) -> float:
        learner, n_warm = self._learner, self._learner.n_warm_items
        batch = learner.with_noise(tasks.batch(rows), noise)
        replaced = 1 + (torch.rand(n_warm, generator=noise) < self._settings.generate_rate).nonzero()[:, 0]
        if not len(replaced):
            return 0.0
        self.optimizer.zero_grad()
        generated = self.model(replaced.to(self.device))
        stand_in = generated.detach().requires_grad_()  # each chunk's gradient stops here, then goes back at once
        fast = {name: value.detach() for name, value in learner.fast_parameters().items()}
        total = 0.0
        lengths = (batch.item_seq != 0).sum(1).numpy()
        own = distributed.share(lengths)
        stand_in.grad = torch.zeros_like(stand_in)

        def work(chunk: np.ndarray) -> tuple[Tensor, float]:
            table = learner.warm_table().detach().index_put((replaced.to(self.device),), stand_in)
            episode = Episode(learner, batch.select(torch.from_numpy(own[chunk])).to(self.device), table)
            adapted = adapt(episode.support_loss, fast, len(chunk), self._inner_rates(), self._inner.steps)
            loss = episode.query_loss(adapted).sum()
            (gradient,) = torch.autograd.grad(loss / len(batch), stand_in)
            return gradient, float(loss.detach())

        for _, (gradient, loss) in in_halves(length_sorted_chunks(lengths[own], self._chunk), work):
            stand_in.grad += gradient
            total += loss
        distributed.add(stand_in.grad)
        objective = (generated * stand_in.grad).sum() + self._reconstruction(replaced, generated)
        objective.backward()
        self.step()
        return distributed.add_number(total)

    def _inner_rates(self) -> float | dict[str, Tensor]:
        rates = self._learner.inner_rates(self._inner.rate)
        return rates if isinstance(rates, float) else {name: rate.detach() for name, rate in rates.items()}

    def _reconstruction(self, items: Tensor, generated: Tensor) -> Tensor:
        trained = self._learner.warm_table().detach()[items.to(self.device)]
        distance = (generated - trained).square().sum() / trained.square().sum().clamp(min=1e-12)
        loss: Tensor = self._settings.reconstruction_weight * distance
        return loss

    def validate(self, valid_data: LearnerValidation) -> Valid:
        """Mean of `valid_metric` over folds of the warm items, each fold in turn treated as if it were cold.

        The validation users touch few items that are really cold, and their scores hardly move with the generator.
        """
        self.model.eval()
        with torch.no_grad():
            trained = self._learner.warm_table()
            generated = self.model(torch.arange(self._learner.n_items, device=self.device))
        cold = generated[len(trained) :]
        scores = []
        for fold in range(self._settings.generator_folds):
            pretended = (self._fold == fold).to(self.device)[:, None]
            table = torch.cat([torch.where(pretended, generated[: len(trained)], trained), cold])
            scores.append(valid_data.score_table(self._learner, table)[0])
        score = float(np.mean(scores))
        return score, {valid_data.metric: score}
