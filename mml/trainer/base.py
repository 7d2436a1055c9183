"""What all stages' trainers share: RecBole's Trainer, with its files kept in the run's folder."""

from __future__ import annotations

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn, TypeVar

import numpy as np
import recbole.trainer.trainer as recbole_trainer
import torch
from recbole.config import Config as RecBoleConfig
from torch import Tensor, nn

from mml import distributed
from mml.errors import InputError
from mml.progress import Bar, bar, each
from mml.trainer import watching
from mml.trainer.averaging import WeightAverage
from mml.trainer.events import Events, events_go_to
from mml.trainer.keeping import State, keeper
from mml.trainer.random_state import random_state, set_random_state
from mml.trainer.settings import TrainingSettings

logger = logging.getLogger(__name__)
Valid = tuple[float, dict[str, float]]
Data = Any
"""What a stage trains on or is validated by: each has its own kind, which RecBole's loop only passes on."""
T = TypeVar("T")
_DIVERGED = 1e6  # weights begin near 0.02; none that tells anything is near this


@dataclass(frozen=True)
class TrainerFrame:
    """Where and how all stages of a run are trained.

    Args:
        border: RecBole's Config, which its Trainer reads.
        training: what all trainings share.
        run_dir: the run's folder.
        task_chunk_size: user tasks that adapt at a time; 0 = choose.
        show_progress: whether bars are shown.
    """

    border: RecBoleConfig
    training: TrainingSettings
    run_dir: Path
    task_chunk_size: int = 0
    show_progress: bool = False


class StageTrainer(recbole_trainer.Trainer, ABC):
    """RecBole's Trainer (its `fit`: epochs, early stopping, best checkpoint) for one stage.

    Subclasses say what an epoch and a validation are. The best epoch's weights are kept in memory, and loaded at the
    end of `train`. Between epochs all that the rest depends on goes to the stage's keeper, if there is one
    (mml.trainer.keeping), and a training that finds such a state goes on from it, as if it had not been interrupted.

    Args:
        frame: where and how.
        model: what is trained.
        stage: name of the stage, for its files and messages.
        epochs: largest number of epochs.
        learning_rate: of Adam.
        average: validate and keep the average of the weights over the steps, if the settings want it.
    """

    rate_keys: ClassVar[tuple[str, ...]] = ("learning_rate",)
    """Keys that are too large where the loss is no number any more."""

    def __init__(
        self,
        frame: TrainerFrame,
        model: nn.Module,
        stage: str,
        epochs: int,
        learning_rate: float,
        average: bool = False,
    ) -> None:
        border, training, run_dir = frame.border, frame.training, frame.run_dir
        own = copy.copy(border)
        own.final_config_dict = {
            **border.final_config_dict,  # RecBole's Trainer asks for these keys, ours are settings
            "epochs": max(epochs, 1),
            "learning_rate": learning_rate,
            "learner": "adam",
            "checkpoint_dir": str(run_dir / "checkpoints"),
            "eval_args": {"mode": {"valid": "full", "test": "full"}},
            "train_neg_sample_args": {"dynamic": False},
            "reg_weight": None,
            "metrics": ["NDCG"],  # RecBole's collector, unused here, wants more of the data for some
        }
        self.stage, self._shows_progress = stage, frame.show_progress
        self.tensorboard: Events
        with events_go_to(lambda: Events(run_dir, stage)):
            super().__init__(own, model)
        self.epochs = epochs
        self.best_epoch = -1  # of what was kept; -1: what training began with
        self.start_score: float | None = None  # of what training began with, if that was validated
        self._best: dict[str, Tensor] = {}
        self._scores: list[float] = []
        self._found: State | None = None  # an interrupted training's: what is drawn from
        self._bar = Bar()
        self._score_name = "score"
        wanted = average and training.average_weights
        self._average = WeightAverage(model, training.average_decay) if wanted else None

    @abstractmethod
    def validate(self, valid_data: Data) -> Valid:
        """The score that chooses the best epoch, and the same by name."""

    @abstractmethod
    def train_epoch(self, train_data: Data, epoch_idx: int) -> float | tuple[float, ...]:
        """Train for an epoch; returns its loss, or its losses."""

    def _train_epoch(self, train_data: Data, epoch_idx: int, *_: object, **__: object) -> float | tuple[float, ...]:
        if epoch_idx > self.start_epoch:
            self._keep(train_data, epoch_idx)
        loss = self.train_epoch(train_data, epoch_idx)
        self._check_weights()
        return loss

    def _valid_epoch(self, valid_data: Data, show_progress: bool = False) -> Valid:
        with self._kept_weights():
            valid = self.validate(valid_data)
        self._score_name = next(iter(valid[1]), self._score_name)
        self._scores.append(float(valid[0]))
        watching.tell(self.stage, valid[0])
        return distributed.from_main(lambda: valid)  # so that all processes stop at the same epoch

    def _kept_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self._average is None else self._average.applied()

    def train(self, train_data: Data, valid_data: Data) -> None:
        """Fit, then load the best epoch's weights. With `valid_data` empty the last epoch's are kept."""
        if self.epochs == 0:
            return
        if self._goes_on() and self._found is not None:
            set_random_state(self._found, self.device, self.generator_of(train_data))
        if self.start_epoch < self.epochs:
            self._fit(train_data, valid_data)
            self._keep(train_data, self.epochs)
        if self._best:  # there is none if no score was a number
            self.model.load_state_dict(distributed.from_main(lambda: self._best))
        self._best = {}
        self.tensorboard.close()

    def _fit(self, train_data: Data, valid_data: Data) -> None:
        with bar(self.stage, self.epochs, "epochs", self._shows_progress, done=self.start_epoch) as self._bar:
            self.fit(train_data, valid_data, verbose=True, saved=True)

    @property
    def n_trained(self) -> int:
        """Epochs that were trained."""
        return len(self.train_loss_dict)

    @property
    def best_trained_score(self) -> float | None:
        """The best validation score of the epochs that were trained, kept or not; None if none had one."""
        of_epochs = self._scores[0 if self.start_score is None else 1 :]
        return max((score for score in of_epochs if np.isfinite(score)), default=None)

    def start_from(self, valid_data: Data) -> None:
        """Make the untrained model the first best one, so that training that only harms is not kept."""
        if not valid_data or self._goes_on():
            return
        self.best_valid_score, self.best_valid_result = self._valid_epoch(valid_data)
        self.start_score = float(self.best_valid_score)
        self._save_checkpoint(-1, verbose=False)

    def show(self, epoch_loss: float) -> None:
        """One epoch is over: advance the progress bar."""
        best = self.best_valid_score
        score = f", best {best:.4f} {self._score_name}" if np.isfinite(best) else ""
        self._bar.note(f"loss {epoch_loss:.4f}{score}")
        self._bar.update()

    def with_bar(self, batches: Iterable[T], total: int) -> Iterator[T]:
        """The batches of an epoch, with a bar."""
        return each(batches, f"epoch {self.n_trained + 1}", total, "batches", self._shows_progress)

    def step(self) -> None:
        """Clip the gradients if asked to, and take an optimiser step."""
        if self.clip_grad_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
        self.optimizer.step()
        if self._average is not None:
            self._average.update()

    def _check_nan(self, loss: torch.Tensor) -> None:
        if not torch.isfinite(loss):
            self._refuse(f"the training loss is {float(loss)}")

    def _check_weights(self) -> None:
        """After an epoch: its last step may have been too large, which the loss before it does not tell."""
        own = [value.detach().abs().max() for value in self.model.parameters() if value.numel()]
        largest = float(torch.stack(own).max()) if own else 0.0  # nan if one of them is
        if not largest < _DIVERGED:  # nor is nan
            self._refuse(f"the largest weight is {largest:.3g}")

    def _refuse(self, what: str) -> NoReturn:
        keys = " or ".join(self.rate_keys)
        raise InputError(
            f"{self.stage}, epoch {self.n_trained + 1}: {what}; use a smaller {keys}, or a smaller max_norm in "
            "clip_grad_norm."
        )

    def _build_optimizer(self, **_: object) -> torch.optim.Optimizer:
        """Adam, in one operation over all parameters."""
        return torch.optim.Adam(
            self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **_: object) -> None:
        """Take the weights as the best ones."""
        self.best_epoch = epoch
        with self._kept_weights():
            self._best = {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    # -- going on after an interruption ------------------------------------------------------------------------------

    def generator_of(self, train_data: Data) -> torch.Generator | None:
        """What the data are drawn by, if it is a generator of their own that lives longer than an epoch."""
        return None

    def _keep(self, train_data: Data, epoch: int) -> None:
        """Hand the state before an epoch to the stage's keeper, if it is time to."""
        by = keeper()
        if by is not None and by.is_due:
            by.write(self.stage, self._state(train_data, epoch))

    def _state(self, train_data: Data, epoch: int) -> State:
        return {
            "model": self.model.state_dict(),
            "optimizer": {str(number): state for number, state in self.optimizer.state_dict()["state"].items()},
            "average": None if self._average is None else self._average.state(),
            "best": self._best,
            "random": random_state(self.device, self.generator_of(train_data)),
            "epoch": epoch,
            "best_epoch": self.best_epoch,
            "start_score": self.start_score,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": self.best_valid_result,
            "losses": {str(number): float(loss) for number, loss in self.train_loss_dict.items()},
            "scores": self._scores,
            "points": self.tensorboard.points,
        }

    def _goes_on(self) -> bool:
        """Take up, once, what an interrupted training has left; whether there was something."""
        by = keeper()
        if self._found is None and by is not None and not (self._scores or self.train_loss_dict):
            state = by.find(self.stage)
            if state is not None:
                self._take_up(state)
                self._found = state["random"]
        return self._found is not None

    def _take_up(self, state: State) -> None:
        self.model.load_state_dict(state["model"])
        optimizer = self.optimizer.state_dict()
        optimizer["state"] = {int(number): own for number, own in state["optimizer"].items()}
        self.optimizer.load_state_dict(optimizer)
        if self._average is not None:
            self._average.restore(state["average"])
        self._best, self.best_epoch, self.start_epoch = state["best"], state["best_epoch"], state["epoch"]
        self.start_score, self.cur_step = state["start_score"], state["cur_step"]
        self.best_valid_score, self.best_valid_result = state["best_valid_score"], state["best_valid_result"]
        self.train_loss_dict = {int(number): loss for number, loss in state["losses"].items()}
        self.tensorboard.again(state["points"])
        for score in state["scores"]:
            self._scores.append(score)
            watching.tell(self.stage, score)
        if self.start_epoch < self.epochs:
            logger.info("%s goes on at epoch %d of %d.", self.stage, self.start_epoch, self.epochs)

    def _add_hparam_to_tensorboard(self, best_valid_result: float) -> None:
        self.tensorboard.add_scalar("best_valid_score", best_valid_result)
