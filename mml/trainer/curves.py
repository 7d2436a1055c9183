"""The curves of a training: TensorBoard's events, which can be written anew after an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import recbole.trainer.trainer as recbole_trainer
from torch.utils.tensorboard import SummaryWriter

from mml import distributed


class Curves:
    """The part of a SummaryWriter that trainers use; it remembers its points. Only rank 0 writes.

    Args:
        folder: of the events; what an earlier training left there is taken away.
    """

    def __init__(self, folder: Path) -> None:
        self.points: list[list[Any]] = []
        self._writer: SummaryWriter | None = None
        if distributed.is_main():
            shutil.rmtree(folder, ignore_errors=True)
            self._writer = SummaryWriter(str(folder))

    def add_scalar(self, tag: str, value: float, step: int | None = None) -> None:
        """Add a point to the curve `tag`."""
        self.points.append([tag, float(value), step])
        if self._writer is not None:
            self._writer.add_scalar(tag, float(value), step)

    def add_hparams(self, settings: dict[str, Any], values: dict[str, float]) -> None:
        """What RecBole's own Trainer ends with."""
        if self._writer is not None:
            self._writer.add_hparams(settings, values)

    def again(self, points: Iterable[Sequence[Any]]) -> None:
        """Add the points of an interrupted training."""
        for tag, value, step in points:
            self.add_scalar(tag, value, step)

    def close(self) -> None:
        """Flush all to the disk."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def curves_in(folder: Path) -> Iterator[None]:
    """RecBole's Trainer writes its events below the working directory; send them to `folder` instead."""
    original = recbole_trainer.get_tensorboard
    recbole_trainer.get_tensorboard = lambda _: Curves(folder)
    try:
        yield
    finally:
        recbole_trainer.get_tensorboard = original
