"""Training and scoring of RecBole's sequential models, unmodified, on mml's tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from recbole.data.dataloader import TrainDataLoader
from recbole.data.dataset import SequentialDataset
from recbole.data.interaction import Interaction
from recbole.data.transform import InverseItemSequence
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from mml.baselines.recbole_config import ModelConfig, model_defaults
from mml.data.tasks import TaskSet
from mml.errors import InputError
from mml.evaluation.scorer import ItemScores, Scorer, of_rows
from mml.evaluation.validation import Validation
from mml.memory import is_out_of_memory
from mml.trainer.base import StageTrainer, TrainerFrame, Valid
from mml.trainer.settings import TrainingSettings


class ModelScorer:
    """A RecBole model's scores of all items after each task's history.

    Args:
        config: the model's.
        model: any of RecBole's sequential models.
        tasks: N tasks.
        first_user: RecBole's id of the first user of the tasks' kind.
        n_candidates: items from this id on are cut off; None for all.
    """

    def __init__(
        self,
        config: ModelConfig,
        model: SequentialRecommender,
        tasks: TaskSet,
        first_user: int,
        n_candidates: int | None = None,
    ) -> None:
        self._config, self._model, self._tasks = config, model, tasks
        self._first_user, self._n = first_user, n_candidates

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def n_items(self) -> int:
        n: int = self._model.n_items
        return n if self._n is None else min(n, self._n)

    def of_cases(self, cases: slice) -> ItemScores:
        return of_rows(self._scores(cases))

    @torch.no_grad()
    def _scores(self, cases: slice) -> Tensor:
        """[c, n_items]."""
        config = self._config
        rows = np.arange(len(self))[cases]
        history, lengths = latest(self._tasks, rows, config["MAX_ITEM_LIST_LENGTH"])
        batch = Interaction(
            {
                config["USER_ID_FIELD"]: torch.from_numpy(self._first_user + self._tasks.users[rows]),
                config["ITEM_ID_FIELD"]: torch.zeros(
                    len(rows), dtype=torch.int64
                ),  # some take a loss; no target is told
                config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]: history,
                config["ITEM_LIST_LENGTH_FIELD"]: lengths,
            }
        )
        if config["transform"] == "inverse_itemseq":
            batch = InverseItemSequence(config)(None, batch)
        self._model.eval()
        with told_of(type(self._model).__name__, config, self._model.n_items, "fails as it scores"):
            scores: Tensor = self._model.full_sort_predict(batch.to(config["device"]))
        return scores.view(len(rows), -1)[:, : self._n]


def latest(tasks: TaskSet, rows: np.ndarray, width: int) -> tuple[Tensor, Tensor]:
    """The latest `width` items of each history, left-aligned, and their number: int64 [c, width], int64 [c].

    It is always padded to the full width, which some models need.
    """
    length = tasks.length[rows]
    kept = np.minimum(length, width)
    steps = np.arange(width)[None]
    inside = steps < kept[:, None]
    places = np.where(inside, (tasks.start[rows] + length - kept)[:, None] + steps, 0)
    history = np.where(inside, tasks.items[places], 0)
    return torch.from_numpy(history), torch.from_numpy(kept)


class BaselineTrainer(StageTrainer):
    """RecBole's training loop, stopped by the validation users' tasks that mml is stopped by.

    Args:
        config: the model's.
        model: RecBole's.
        stage: as for StageTrainer.
        run_dir: the run's folder.
        first_user: RecBole's id of the first validation user.
        n_candidates: the validation's, so that nothing after T can sway it.
    """

    def __init__(
        self,
        config: ModelConfig,
        model: SequentialRecommender,
        stage: str,
        run_dir: Path,
        first_user: int,
        n_candidates: int,
    ) -> None:
        frame = TrainerFrame(config, TrainingSettings(), run_dir, show_progress=bool(config["show_progress"]))
        super().__init__(frame, model, stage, config["epochs"], config["learning_rate"])
        self._first_user, self._n_candidates = first_user, n_candidates

    def scorer(self, tasks: TaskSet) -> Scorer:
        """The model's scores of validation tasks."""
        return ModelScorer(self.config, self.model, tasks, self._first_user, self._n_candidates)

    def generator_of(self, train_data: TrainDataLoader) -> torch.Generator:
        generator: torch.Generator = train_data.generator
        return generator

    def train_epoch(self, train_data: TrainDataLoader, epoch_idx: int) -> float | tuple[float, ...]:
        with told_of(type(self.model).__name__, self.config, self.model.n_items, "fails in training"):
            loss: float | tuple[float, ...] = super(StageTrainer, self)._train_epoch(
                train_data, epoch_idx, show_progress=False
            )
        self.show((sum(loss) if isinstance(loss, tuple) else loss) / max(len(train_data), 1))
        return loss

    def validate(self, valid_data: Validation) -> Valid:
        return valid_data.score(valid_data.rank(self.scorer(valid_data.tasks)))


@contextmanager
def told_of(name: str, config: ModelConfig, n_items: int, what: str) -> Iterator[None]:
    """Where RecBole's own code stumbles within this context, a line says over what, and which keys the model has.

    Args:
        name: the model's.
        config: the model's.
        n_items: of the log, the padding among them.
        what: is said of RecBole then.

    Raises:
        InputError: instead of what RecBole raised, but for faults of the machine.
    """
    own = ", ".join(f"{key}={config[key]}" for key in model_defaults(name))
    fit = f"{n_items - 1:,} items and histories of up to {config['MAX_ITEM_LIST_LENGTH']}"
    mend = f"Look for a key that does not fit {fit}: {own}."
    try:
        yield
    except InputError:
        raise
    except SystemExit:  # of exit code 0
        raise InputError(f"baseline {name}: RecBole {what}, as it says above. {mend}") from None
    except (ValueError, RuntimeError, AssertionError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        if is_out_of_memory(error) or "CUDA error" in str(error):
            raise
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        said = f"{kind}{' '.join(str(error).split())}".removesuffix(".")
        raise InputError(f"baseline {name}: RecBole {what}: {said}. {mend}") from error


def new_model(name: str, model: type, config: ModelConfig, dataset: SequentialDataset) -> SequentialRecommender:
    """An untrained model.

    Raises:
        InputError: where RecBole's model refuses its settings.
    """
    with told_of(name, config, dataset.item_num, "refuses its settings"):
        return model(config, dataset).to(config["device"])
