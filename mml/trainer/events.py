"""What RecBole's Trainer tells of its epochs: learning curves, which an interrupted training goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import recbole.trainer.trainer as recbole_trainer

from mml import distributed
from mml.trainer.curves import Curves, Epoch
from mml.trainer.loggers import tell_epoch

Point = tuple[str, float, int | None]
"""Name, value and epoch of a number."""
_LOSS, _SCORE = "Loss/Train", "Vaild_score"  # RecBole's names, one misspelt there


class Events:
    """What stands for RecBole's TensorBoard writer: makes epochs of what is told; only rank 0 keeps them.

    Args:
        run_dir: the run's folder.
        stage: the training's name.
    """

    def __init__(self, run_dir: Path, stage: str) -> None:
        self.points: list[Point] = []
        self._stage = stage
        self._curves = Curves(run_dir, stage) if distributed.is_main() else None
        self._pending: Epoch | None = None

    def add_scalar(self, name: str, value: float, epoch: int | None = None) -> None:
        """Take a number of an epoch."""
        self.points.append((name, float(value), epoch))
        if name in (_LOSS, f"{_LOSS}0"):  # a model of RecBole may have several
            self._keep()
            self._pending = Epoch(self._stage, int(epoch or 0), float(value))
        elif name == _SCORE and self._pending is not None:
            self._pending = self._pending._replace(score=float(value))
            self._keep()
        elif name.startswith(_LOSS) and self._pending is not None:
            self._pending = self._pending._replace(loss=self._pending.loss + float(value))

    def again(self, points: Iterable[Point]) -> None:
        """Take the numbers of an interrupted training."""
        for name, value, epoch in points:
            self.add_scalar(name, value, epoch)

    def close(self) -> None:
        """No more will come."""
        self._keep()

    def _keep(self) -> None:
        epoch, self._pending = self._pending, None
        if epoch is not None and self._curves is not None:
            self._curves.add(epoch)
            tell_epoch(epoch)


class NoEvents:
    """The part of a TensorBoard writer that RecBole's Trainer uses, for those who want nothing of it."""

    def add_scalar(self, *_: object) -> None:
        """Pass over a number."""

    def add_hparams(self, *_: object) -> None:
        """Pass over settings."""


@contextmanager
def events_go_to(make: Callable[[], object]) -> Iterator[None]:
    """RecBole's Trainer writes its events below the working directory; within this context to what `make` returns."""
    original = recbole_trainer.get_tensorboard
    recbole_trainer.get_tensorboard = lambda _: make()
    try:
        yield
    finally:
        recbole_trainer.get_tensorboard = original
