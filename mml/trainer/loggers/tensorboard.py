"""`logger: [tensorboard]`: events in `tensorboard/` of the run's folder, a folder for each training."""

from __future__ import annotations

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
        from torch.utils.tensorboard import SummaryWriter

        if epoch.stage not in self._writers:
            self._writers[epoch.stage] = SummaryWriter(str(self._folder / epoch.stage))
        writer = self._writers[epoch.stage]
        writer.add_scalar("loss", epoch.loss, epoch.epoch)
        if epoch.score is not None:
            writer.add_scalar("score", epoch.score, epoch.epoch)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class TensorBoardEntry:
    """TensorBoard."""

    name = "tensorboard"
    settings = None
    package = "tensorboard"

    def open(self, run: LoggedRun) -> Logger:
        return _Events(run)


LOGGERS.add(TensorBoardEntry())
