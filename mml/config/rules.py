"""What no key can be blamed for alone: values that must go together."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

from recbole.evaluator import metric_types
from recbole.utils import EvaluatorType

from mml.config.run_settings import ChosenLearners, RunSettings
from mml.data.settings import SplitSettings
from mml.errors import InputError
from mml.evaluation.metrics import NEEDS_TOP_ITEMS
from mml.logs import IN_SUMMARY
from mml.meta.algorithms import ALGORITHMS
from mml.model.encoder.settings import EncoderSettings
from mml.model.fusion import FUSIONS
from mml.model.generator import GENERATORS
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import LEARNERS
from mml.model.learner.base import InnerLoopSettings
from mml.settings import Values, inside, is_number, read
from mml.slots import CheckedEntry
from mml.trainer.loggers import LOGGERS, missing_package
from mml.trainer.settings import LoggerSettings, TrainingSettings

logger = logging.getLogger(__name__)

_LONGEST_NAME = 200  # bytes of a folder's name; file systems take 255, and files beside it have endings
TAKEN_FOLDERS = ("latest", "compare", "features", "model", "tune")
"""Names of folders beside the runs."""


def check_metrics(metrics: Sequence[str] | str, valid_metric: str) -> None:
    """Refuse metrics that are none of RecBole's ranking metrics, and a valid_metric that cannot choose epochs.

    Raises:
        InputError: naming the key, and what is legal.
    """
    ranking = sorted(name for name, kind in metric_types.items() if kind == EvaluatorType.RANKING)
    for name in metrics if isinstance(metrics, list) else [metrics]:
        if not isinstance(name, str) or name.lower() not in ranking:
            raise InputError(f"config: key 'metrics' holds {name}; it must hold some of {', '.join(ranking)}.")
    ranking = [name for name in ranking if name not in NEEDS_TOP_ITEMS]
    name, _, k = valid_metric.partition("@")
    if name.lower() not in ranking or not re.fullmatch("[1-9][0-9]{0,5}", k):
        raise InputError(
            f"config: key 'valid_metric' is {valid_metric!r}; write it as NDCG@10, with one of {', '.join(ranking)}."
        )


def check_together(values: Values) -> None:
    """Refuse values that do not go together.

    Args:
        values: all final ones.

    Raises:
        InputError: naming the key.
    """
    encoder, run, split = read(EncoderSettings, values), read(RunSettings, values), read(SplitSettings, values)
    if encoder.hidden_size % encoder.n_heads:
        raise InputError(
            f"config: key 'n_heads': hidden_size {encoder.hidden_size} is no multiple of {encoder.n_heads}."
        )
    clip = read(TrainingSettings, values).clip_grad_norm or {"max_norm": 1.0}
    named = "max_norm" in clip and not clip.keys() - {"max_norm", "norm_type"}
    if not named or not all(is_number(value) and value > 0 for value in clip.values()):
        raise InputError(
            "config: key 'clip_grad_norm' must be a mapping like {max_norm: 5, norm_type: 2}, of numbers above 0, or ~."
        )
    _check_loggers(read(LoggerSettings, values).logger)
    _check_folders(run.output_dir, run.run_name)
    _check_shots(split.eval_shots, split.cold_user_max_inter)
    if split.new_users_file is not None and split.data_split_time is not None:
        said = "Without effect: data_split_time, as new_users_file says who is new, and all of an old user counts."
        logger.warning(said)
    _check_method(values)


def _check_loggers(names: Sequence[str]) -> None:
    for name in names:
        if name not in LOGGERS:
            raise InputError(
                f"config: key 'logger' holds {name!r}; it must hold some of {', '.join(LOGGERS.names())}, or nothing."
            )
        missing = missing_package(name)
        if missing is not None:
            raise InputError(f"config: key 'logger': {missing}.")


def _check_folders(output_dir: str, run_name: str | None) -> None:
    output = Path(output_dir)
    if output.exists() and not output.is_dir():
        raise InputError(f"config: key 'output_dir': {output} is a file; name a folder.")
    if run_name is not None and len(os.fsencode(run_name)) > _LONGEST_NAME:
        raise InputError(f"config: key 'run_name' is longer than {_LONGEST_NAME} bytes; take a shorter one.")
    if run_name is not None and (Path(run_name).name != run_name or run_name in (*TAKEN_FOLDERS, "..")):
        raise InputError(
            f"config: key 'run_name' is {run_name!r}; it must be the name of one folder, and none of "
            f"{', '.join(TAKEN_FOLDERS)}."
        )


def _check_shots(shots: str | Sequence[int], limit: int | None) -> None:
    if not isinstance(shots, str) and not max(shots):
        raise InputError(
            "config: key 'eval_shots' holds 0 only, at which learners have no history to predict from; add some, as "
            "[0, 1, 3]."
        )
    if isinstance(shots, str) or limit is None or max(shots) < limit:
        return
    beyond = ", ".join(str(k) for k in sorted(shots) if k >= limit)
    kept = f"cold_user_max_inter keeps {limit} interactions of a new user, the target among them"
    if min(k for k in shots if k) >= limit:
        raise InputError(f"config: key 'eval_shots' holds {beyond}, but {kept}; use smaller shots or a larger limit.")
    logger.warning("There are no cases of eval_shots %s: %s.", beyond, kept, extra=IN_SUMMARY)


def _check_method(values: Values) -> None:
    learners, algorithm = read(ChosenLearners, values).learners, read(InnerLoopSettings, values).meta_algorithm
    rates = [read(InnerLoopSettings, {**values, **inside(own)}).local_learning_rate for own in learners.values()]
    if ALGORITHMS[algorithm].needs_steps and min(rates) == 0:
        raise InputError(f"config: key 'local_learning_rate' is 0, which {algorithm} cannot learn from; take another.")
    generator = read(GeneratorSettings, values).generator
    for entry in (*LEARNERS, *FUSIONS, *(() if generator is None else [GENERATORS[generator]])):
        if isinstance(entry, CheckedEntry):
            entry.check_values(values)
