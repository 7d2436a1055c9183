"""`logger: [mlflow]`: a run of MLflow, its experiment the dataset.

It is in `mlflow.db` of the run's folder (`mlflow ui --backend-store-uri sqlite:///.../mlflow.db`) unless
MLFLOW_TRACKING_URI is set.
"""

from __future__ import annotations

import os

from mml.files.safe import plain
from mml.trainer.curves import Epoch
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger

_LONGEST = 500  # characters of a parameter's value that MLflow keeps


class _Run:
    def __init__(self, run: LoggedRun) -> None:
        import mlflow

        self._mlflow = mlflow
        if "MLFLOW_TRACKING_URI" not in os.environ:
            mlflow.set_tracking_uri(f"sqlite:///{(run.folder / 'mlflow.db').resolve()}")
        mlflow.set_experiment(run.dataset)
        mlflow.start_run(run_name=run.name)
        mlflow.log_params({key: str(value)[:_LONGEST] for key, value in plain(dict(run.settings)).items()})

    def add(self, epoch: Epoch) -> None:
        values = {f"{epoch.stage}.loss": epoch.loss}
        values |= {} if epoch.score is None else {f"{epoch.stage}.score": epoch.score}
        self._mlflow.log_metrics(values, step=epoch.epoch)

    def close(self) -> None:
        self._mlflow.end_run()


class MLflowEntry:
    """MLflow."""

    name = "mlflow"
    settings = None
    package = "mlflow"

    def open(self, run: LoggedRun) -> Logger:
        return _Run(run)


LOGGERS.add(MLflowEntry())
