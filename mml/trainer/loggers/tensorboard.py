"""`logger: [tensorboard]`: events in `tensorboard/` of the run's folder, a folder for each training and each method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mml.trainer.curves import Epoch
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class _Events:
    def __init__(self, run: LoggedRun) -> None:
        self._folder = run.folder / "tensorboard"
        self._writers: dict[str, SummaryWriter] = {}

    def add(self, epoch: Epoch) -> None:
        writer = self._writer(epoch.stage)
        writer.add_scalar("loss", epoch.loss, epoch.epoch)
        if epoch.score is not None:
            writer.add_scalar("score", epoch.score, epoch.epoch)

    def result(self, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            method, _, metric = name.partition("/")
            self._writer(method).add_scalar(metric, value, 0)

    def _writer(self, name: str) -> SummaryWriter:
        from torch.utils.tensorboard import SummaryWriter

        if name not in self._writers:
            self._writers[name] = SummaryWriter(str(self._folder / name))
        return self._writers[name]

    def close(self, is_done: bool) -> None:
        for writer in self._writers.values():
            writer.close()


class TensorBoardEntry:
    """TensorBoard."""

    name = "tensorboard"
    settings = None
    package = "tensorboard"
    hint = "see to tensorboard/ in the run's folder"

    def open(self, run: LoggedRun) -> Logger:
        return _Events(run)


LOGGERS.add(TensorBoardEntry())
