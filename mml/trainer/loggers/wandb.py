"""`logger: [wandb]`: a run of Weights & Biases, its project the dataset unless WANDB_PROJECT says otherwise."""

from __future__ import annotations

import os

from mml.files.safe import plain
from mml.trainer.curves import Epoch
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger


class _Run:
    """Each training's curves are over its own epochs, as W&B's own count of steps goes through all of them."""

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        project = os.environ.get("WANDB_PROJECT", run.dataset)
        self._run = wandb.init(
            project=project, name=run.name, dir=str(run.folder), config=plain(dict(run.settings)), reinit=True
        )
        self._stages: set[str] = set()

    def add(self, epoch: Epoch) -> None:
        stage = epoch.stage
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        values = {"epoch": epoch.epoch, "loss": epoch.loss}
        values |= {} if epoch.score is None else {"score": epoch.score}
        self._run.log({f"{stage}/{name}": value for name, value in values.items()})

    def close(self) -> None:
        self._run.finish()


class WandbEntry:
    """Weights & Biases."""

    name = "wandb"
    settings = None
    package = "wandb"

    def open(self, run: LoggedRun) -> Logger:
        return _Run(run)


LOGGERS.add(WandbEntry())
