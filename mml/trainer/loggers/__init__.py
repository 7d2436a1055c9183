"""Where learning curves go beside the run's folder; each logger is one file that adds itself to the slot."""

from mml.trainer.loggers import mlflow, tensorboard, wandb
from mml.trainer.loggers.slot import LOGGERS, LoggedRun, Logger, logging_to, missing_package, tell_epoch, tell_result

__all__ = [
    "LOGGERS",
    "LoggedRun",
    "Logger",
    "logging_to",
    "missing_package",
    "mlflow",
    "tell_epoch",
    "tell_result",
    "tensorboard",
    "wandb",
]
