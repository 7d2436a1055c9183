"""What all stages' trainers share: RecBole's Trainer, with its files kept in the run's folder."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import recbole.trainer.trainer as recbole_trainer
import torch
from recbole.config import Config as RecBoleConfig
from torch import nn

from mml import distributed
from mml.errors import InputError
from mml.files.safe import replacing
from mml.progress import Bar, bar, each
from mml.trainer import watching
from mml.trainer.averaging import WeightAverage
from mml.trainer.curves import Curves, Epoch
from mml.trainer.loggers import tell_epoch
from mml.trainer.settings import TrainingSettings

Valid = tuple[float, dict[str, float]]
T = TypeVar("T")


@dataclass(frozen=True)
class TrainerFrame:
    """Where and how all stages of a run are trained.

    Args:
        border: RecBole's Config, which its Trainer reads.
        training: what all trainings share.
        run_dir: the run's folder.
        task_chunk_size: user tasks that adapt at a time; 0 = choose.
    """

    border: RecBoleConfig
    training: TrainingSettings
    run_dir: Path
    task_chunk_size: int = 0


class StageTrainer(recbole_trainer.Trainer):
    """RecBole's Trainer (its `fit`: epochs, early stopping, best checkpoint) for one stage.

    Subclasses say what an epoch and a validation are. The best epoch's weights are saved, and loaded at the end
    of `train`. Checkpoints hold tensors, numbers and plain settings only, so they load with weights_only=True.

    Args:
        frame: where and how.
        model: what is trained.
        stage: name of the stage, for its files and messages.
        epochs: largest number of epochs.
        learning_rate: of Adam.
        average: validate and keep the average of the weights over the steps, if the settings want it.
    """

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
        self.stage = stage
        with events_go_to(lambda: _Events(run_dir, stage)):
            super().__init__(own, model)
        self.epochs = epochs
        self.best_epoch = -1  # of what was kept; -1: what training began with
        self.saved_model_file = str(run_dir / "checkpoints" / f"{stage}.best{os.getpid()}.pth")  # this process's own
        self._bar = Bar()
        self._score_name = "score"
        wanted = average and training.average_weights
        self._average = WeightAverage(model, training.average_decay) if wanted else None

    def validate(self, valid_data: Any) -> Valid:
        """The score that chooses the best epoch, and the same by name."""
        raise NotImplementedError

    def _valid_epoch(self, valid_data: Any, show_progress: bool = False) -> Valid:
        with self._kept_weights():
            valid = self.validate(valid_data)
        self._score_name = next(iter(valid[1]), self._score_name)
        watching.tell(self.stage, valid[0])
        return distributed.from_main(lambda: valid)  # so that all processes stop at the same epoch

    def _kept_weights(self) -> AbstractContextManager[None]:
        return nullcontext() if self._average is None else self._average.applied()

    def train(self, train_data: Any, valid_data: Any) -> None:
        """Fit, then load the best epoch's weights. With `valid_data` empty the last epoch's are kept."""
        if self.epochs == 0:
            return
        with bar(self.stage, self.epochs, "epochs", bool(self.config["show_progress"])) as shown:
            self._bar = shown
            self.fit(train_data, valid_data, verbose=True, saved=True)
        self.model.load_state_dict(distributed.from_main(self._take_best))
        self.tensorboard.close()

    @property
    def n_trained(self) -> int:
        """Epochs that were trained."""
        return len(self.train_loss_dict)

    def _take_best(self) -> dict[str, Any]:
        state = torch.load(self.saved_model_file, map_location=self.device, weights_only=True)
        Path(self.saved_model_file).unlink()
        self.best_epoch = int(state["epoch"])
        best: dict[str, Any] = state["state_dict"]
        return best

    def start_from(self, valid_data: Any) -> None:
        """Make the untrained model the first best one, so that training that only harms is not kept."""
        if not valid_data:
            return
        self.best_valid_score, self.best_valid_result = self._valid_epoch(valid_data)
        self._save_checkpoint(-1, verbose=False)

    def show(self, epoch_loss: float) -> None:
        """One epoch is over: advance the progress bar."""
        best = self.best_valid_score
        told = f", best {best:.4f} {self._score_name}" if np.isfinite(best) else ""
        self._bar.note(f"loss {epoch_loss:.4f}{told}")
        self._bar.update()

    def with_bar(self, batches: Iterable[T], total: int) -> Iterator[T]:
        """The batches of an epoch, with a bar."""
        return each(batches, f"epoch {self.n_trained + 1}", total, "batches", bool(self.config["show_progress"]))

    def step(self) -> None:
        """Clip the gradients if asked to, and take an optimiser step."""
        if self.clip_grad_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), **self.clip_grad_norm)
        self.optimizer.step()
        if self._average is not None:
            self._average.update()

    def _check_nan(self, loss: torch.Tensor) -> None:
        if not torch.isfinite(loss):
            raise InputError(
                f"{self.stage}: the training loss is {float(loss)}; use smaller learning rates, or clip_grad_norm."
            )

    def _build_optimizer(self, **_: Any) -> torch.optim.Optimizer:
        """Adam, in one operation over all parameters."""
        return torch.optim.Adam(
            self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay, fused=True
        )

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        if not distributed.is_main():
            return
        state = {
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "state_dict": self.model.state_dict(),
            "other_parameter": {},
            "optimizer": self.optimizer.state_dict(),
        }
        target = Path(kwargs.get("saved_model_file", self.saved_model_file))
        with self._kept_weights(), replacing(target) as path:
            torch.save(state, path)

    def _add_hparam_to_tensorboard(self, best_valid_result: float) -> None:
        self.tensorboard.add_scalar("best_valid_score", best_valid_result)


class _Events:
    """What stands for RecBole's TensorBoard writer: makes epochs of what is told; only rank 0 keeps them.

    Args:
        run_dir: the run's folder.
        stage: the training's name.
    """

    def __init__(self, run_dir: Path, stage: str) -> None:
        self._stage = stage
        self._curves = Curves(run_dir, stage) if distributed.is_main() else None
        self._pending: Epoch | None = None

    def add_scalar(self, name: str, value: float, epoch: int | None = None) -> None:
        if name in (_LOSS, f"{_LOSS}0"):  # a model of RecBole may have several
            self._keep()
            self._pending = Epoch(self._stage, int(epoch or 0), float(value))
        elif name == _SCORE and self._pending is not None:
            self._pending = self._pending._replace(score=float(value))
            self._keep()
        elif name.startswith(_LOSS) and self._pending is not None:
            self._pending = self._pending._replace(loss=self._pending.loss + float(value))

    def close(self) -> None:
        self._keep()

    def _keep(self) -> None:
        epoch, self._pending = self._pending, None
        if epoch is not None and self._curves is not None:
            self._curves.add(epoch)
            tell_epoch(epoch)


class NoEvents:
    """The part of a TensorBoard writer that RecBole's Trainer uses, for those who want nothing of it."""

    def add_scalar(self, *_: object) -> None: ...

    def add_hparams(self, *_: object) -> None: ...


_LOSS, _SCORE = "Loss/Train", "Vaild_score"  # RecBole's names, one misspelt there


@contextmanager
def events_go_to(make: Callable[[], Any]) -> Iterator[None]:
    """RecBole's Trainer writes its events below the working directory; within this context to what `make` returns."""
    original = recbole_trainer.get_tensorboard
    recbole_trainer.get_tensorboard = lambda _: make()
    try:
        yield
    finally:
        recbole_trainer.get_tensorboard = original
