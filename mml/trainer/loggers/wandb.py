"""`logger: [wandb]`: a run of Weights & Biases, its project the dataset unless WANDB_PROJECT says otherwise.

A run that is open already, as in a notebook or a sweep, is taken, and left open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mml.files.safe import plain
from mml.trainer.curves import Epoch
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger


class _Run:
    """Each training's curves are over its own epochs, as W&B's own count of steps goes through all of them."""

    def __init__(self, run: LoggedRun) -> None:
        import wandb

        self._is_own = wandb.run is None
        project = os.environ.get("WANDB_PROJECT", run.dataset)
        self._run = wandb.init(project=project, name=run.name, dir=str(run.folder), config=plain(dict(run.settings)))
        self._stages: set[str] = set()

    def add(self, epoch: Epoch) -> None:
        stage = epoch.stage.replace(".", "/")  # W&B takes what stands before a dot for a mapping
        if stage not in self._stages:
            self._stages.add(stage)
            self._run.define_metric(f"{stage}/epoch", hidden=True)
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        values = {"epoch": epoch.epoch, "loss": epoch.loss}
        values |= {} if epoch.score is None else {"score": epoch.score}
        self._run.log({f"{stage}/{name}": value for name, value in values.items()})

    def result(self, metrics: Mapping[str, float]) -> None:
        self._run.summary.update(dict(metrics))

    def close(self, is_done: bool) -> None:
        if self._is_own:
            self._run.finish(exit_code=0 if is_done else 1)


class WandbEntry:
    """Weights & Biases."""

    name = "wandb"
    settings = None
    package = "wandb"
    hint = "log in with `wandb login`, or set WANDB_MODE=offline"

    def open(self, run: LoggedRun) -> Logger:
        return _Run(run)


LOGGERS.add(WandbEntry())
