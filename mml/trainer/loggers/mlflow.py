"""`logger: [mlflow]`: a run of MLflow, its experiment the dataset.

All runs of a dataset are in `mlflow.db` beside their folders (`mlflow ui --backend-store-uri
sqlite:///output/NAME/mlflow.db`) unless MLFLOW_TRACKING_URI is set. A run that is open already, as in a notebook, is
taken, and left open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mml.files.safe import plain
from mml.trainer.curves import Epoch
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger

_LONGEST = 500  # characters of a parameter's value that MLflow keeps


class _Run:
    def __init__(self, run: LoggedRun) -> None:
        import mlflow

        self._mlflow = mlflow
        self._is_own = mlflow.active_run() is None
        if self._is_own:
            if "MLFLOW_TRACKING_URI" not in os.environ:
                mlflow.set_tracking_uri(f"sqlite:///{run.folder.resolve().parent / 'mlflow.db'}")
            mlflow.set_experiment(run.dataset)
            mlflow.start_run(run_name=run.name)
        mlflow.log_params({key: str(value)[:_LONGEST] for key, value in plain(dict(run.settings)).items()})

    def add(self, epoch: Epoch) -> None:
        stage = epoch.stage.replace(".", "/")
        values = {f"{stage}/loss": epoch.loss}
        values |= {} if epoch.score is None else {f"{stage}/score": epoch.score}
        self._mlflow.log_metrics(values, step=epoch.epoch)

    def result(self, metrics: Mapping[str, float]) -> None:
        # MLflow takes no @ in a name
        self._mlflow.log_metrics({name.replace("@", "_at_"): value for name, value in metrics.items()})

    def close(self, is_done: bool) -> None:
        if self._is_own:
            self._mlflow.end_run("FINISHED" if is_done else "FAILED")


class MLflowEntry:
    """MLflow."""

    name = "mlflow"
    settings = None
    package = "mlflow"
    hint = "see to MLFLOW_TRACKING_URI"

    def open(self, run: LoggedRun) -> Logger:
        return _Run(run)


LOGGERS.add(MLflowEntry())
