"""Every config key: its type, its legal values and the stage it acts on.

The values' defaults and meanings are in `configs/overall.yaml`; a test keeps the two in step. Keys of RecBole
that act on loading and filtering data are legal too; keys of RecBole without effect here are refused with the
key to use instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recbole.utils import dataset_arguments
from torch import nn

from mml.errors import InputError

STAGES = ("data", "learners", "generator", "fusion", "refresh", "meta_test")
"""Stages of a run in order; a key acts on its stage and on all later ones. `run` keys change no result."""


@dataclass(frozen=True)
class Key:
    """What a config key accepts.

    Args:
        types: accepted types; int passes for float, bool for neither.
        stage: first stage whose result depends on the key, or "run" when none does.
        optional: whether `~` (None) is legal.
        choices: legal values, empty for any.
        low, high: inclusive bounds of a number (of each number of a list).
    """

    types: tuple[type, ...]
    stage: str
    optional: bool = False
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None


KEYS: dict[str, Key] = {
    # run
    "dataset": Key((str,), "run"),
    "gpu_id": Key((str, int), "run"),
    "use_gpu": Key((bool,), "run"),
    "cpu_threads": Key((int,), "run", low=1),
    "tf32": Key((bool,), "learners"),
    "process_timeout": Key((float,), "run", low=1.0),
    "seed": Key((int,), "data", low=0, high=2**32 - 1),
    "state": Key((str,), "run", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    "show_progress": Key((bool,), "run"),
    "data_path": Key((str,), "run"),
    "output_dir": Key((str,), "run"),
    "run_name": Key((str,), "run", optional=True),
    "task_chunk_size": Key((int,), "run", low=0),
    "eval_batch_size": Key((int,), "run", low=1),
    # data and split
    "USER_ID_FIELD": Key((str,), "data"),
    "ITEM_ID_FIELD": Key((str,), "data"),
    "TIME_FIELD": Key((str,), "data"),
    "MAX_ITEM_LIST_LENGTH": Key((int,), "data", low=2),
    "load_col": Key((dict,), "data", optional=True),
    "filter_inter_by_user_or_item": Key((bool,), "data"),
    "normalize_all": Key((bool,), "data", optional=True),
    "data_split_time": Key((float,), "data", optional=True),
    "data_split_quantile": Key((float,), "data", low=0.0, high=1.0),
    "benchmark_filename": Key((list,), "data", optional=True),
    "new_users_file": Key((str,), "data", optional=True),
    "valid_user_ratio": Key((float,), "data", low=0.0, high=0.5),
    "valid_user_max": Key((int,), "data", optional=True, low=1),
    "cold_user_max_inter": Key((int,), "data", optional=True, low=2),
    "eval_shots": Key((str, list), "data", choices=("last",), low=1),
    "repeatable": Key((bool,), "data"),
    # encoder and losses
    "learners": Key((dict,), "learners"),
    "n_layers": Key((int,), "learners", low=1),
    "n_heads": Key((int,), "learners", low=1),
    "hidden_size": Key((int,), "learners", low=1),
    "inner_size": Key((int,), "learners", low=1),
    "hidden_dropout_prob": Key((float,), "learners", low=0.0, high=0.99),
    "attn_dropout_prob": Key((float,), "learners", low=0.0, high=0.99),
    "hidden_act": Key((str,), "learners", choices=("gelu", "relu", "swish", "tanh", "sigmoid")),
    "layer_norm_eps": Key((float,), "learners", low=0.0),
    "initializer_range": Key((float,), "learners", low=0.0),
    "loss_type": Key((str,), "learners", choices=("BPR", "CE", "sampled")),
    "n_negatives": Key((int,), "learners", low=1),
    "popularity_prior": Key((bool,), "learners"),
    "popularity_by_shots": Key((bool,), "learners"),
    "content_embedding": Key((bool,), "learners"),
    "spectral_embedding": Key((bool,), "learners"),
    "feature_attention": Key((bool,), "learners"),
    "feature_attention_scale": Key((float,), "learners"),
    # pre-training and meta-training
    "pretrain_epochs": Key((int,), "learners", low=0),
    "pretrain_batch_size": Key((int,), "learners", low=1),
    "pretrain_learning_rate": Key((float,), "learners", low=0.0),
    "meta_algorithm": Key((str,), "learners", choices=("fomaml", "maml", "reptile", "metasgd")),
    "meta_epochs": Key((int,), "learners", low=0),
    "meta_batch_size": Key((int,), "learners", low=1),
    "learning_rate": Key((float,), "learners", low=0.0),
    "task_max_inter": Key((int,), "learners", optional=True, low=3),
    "query_inter_num": Key((int,), "learners", low=1),
    "num_local_update": Key((int,), "learners", low=0),
    "local_learning_rate": Key((float,), "learners", low=0.0),
    "local_modules": Key((list,), "learners"),
    "average_weights": Key((bool,), "learners"),
    "weight_decay": Key((float,), "learners", low=0.0),
    "clip_grad_norm": Key((dict,), "learners", optional=True),
    "eval_step": Key((int,), "learners", low=1),
    "stopping_step": Key((int,), "learners", low=0),
    "loss_decimal_place": Key((int,), "run", low=0),
    "valid_metric": Key((str,), "learners"),
    # adaptation
    "adapt_max_steps": Key((int,), "learners", low=0),
    "adapt_learning_rate": Key((float, list), "learners", low=0.0),
    "choose_epoch_by_valid_item": Key((bool,), "learners"),
    # generator
    "generator": Key((str,), "generator", optional=True, choices=("content", "attention", "paper")),
    "generate_rate": Key((float,), "generator", low=0.0, high=1.0),
    "item_neighbour_num": Key((int,), "generator", low=1),
    "generator_epochs": Key((int,), "generator", low=0),
    "generator_learning_rate": Key((float,), "generator", low=0.0),
    "reconstruction_weight": Key((float,), "generator", low=0.0),
    # fusion
    "fusion_method": Key((str,), "fusion", choices=("adaptive", "weight", "mean")),
    "fusion_hidden_size": Key((list,), "fusion", low=1),
    "fusion_epochs": Key((int,), "fusion", low=0),
    "fusion_learning_rate": Key((float,), "fusion", low=0.0),
    "fusion_weight": Key((dict,), "fusion", optional=True),
    # refresh
    "refresh": Key((bool,), "refresh"),
    "refresh_epochs": Key((int,), "refresh", low=0),
    "refresh_updates": Key((int,), "refresh", low=1),
    # evaluation
    "snapshots": Key((str, int), "meta_test", choices=("shots",), low=2),
    "metrics": Key((list, str), "meta_test"),
    "topk": Key((list, int), "meta_test", low=1),
    "metric_decimal_place": Key((int,), "meta_test", low=1),
    "dataset_overrides": Key((dict,), "run", optional=True),
}

LEARNER_KEYS: dict[str, Key] = {
    "item_feat_emb": Key((str,), "learners", optional=True),
    "source": Key((dict,), "learners", optional=True),
    **{
        name: KEYS[name]
        for name in (
            "learning_rate",
            "pretrain_learning_rate",
            "local_learning_rate",
            "num_local_update",
            "adapt_learning_rate",
            "adapt_max_steps",
            "pretrain_epochs",
            "meta_epochs",
        )
    },
}
"""Keys inside `learners.<name>`; those that are also top-level keys override them for that learner."""

LINEAR_KEYS: dict[str, Key] = {
    "decay": Key((float, list), "learners", low=0.0, high=1.0),
    "penalty": Key((float, list), "learners", low=1e-6),
    "max_items": Key((int,), "learners", low=1),
}
"""Keys inside `learners.linear`."""

BUILT_IN = ("id", "linear")
"""Learners of the log alone; any other is a modality's and needs features."""

_TAKEN_NAMES = ("generator", "fusion", "meta_test", "mml")  # of stages and methods

_TORCHRUN = "torchrun --nproc_per_node=N run_meta.py ... (several machines: its --nnodes and --rdzv_endpoint)"
_NO_EFFECT = {
    "epochs": "pretrain_epochs and meta_epochs",
    "train_batch_size": "pretrain_batch_size and meta_batch_size",
    "learner": "learning_rate (the outer optimiser is Adam)",
    "model": "learners",
    "eval_args": "data_split_time, valid_user_ratio and eval_shots",
    "checkpoint_dir": "output_dir",
    "train_neg_sample_args": "loss_type",
    "preload_weight": "learners.<name>.item_feat_emb",
    "additional_feat_suffix": "learners.<name>.item_feat_emb",
    **dict.fromkeys(("nproc", "world_size", "local_rank", "offset", "group_offset", "ip", "port"), _TORCHRUN),
    "threshold": "val_interval (rows below it are then left out; a label means nothing to a next item)",
    "enable_amp": "tf32",
    "reproducibility": "seed (runs are always reproducible)",
    "log_wandb": "TensorBoard on tensorboard/ in the run's folder, where curves are always written",
}
_RECBOLE_DATA_KEYS = frozenset(dataset_arguments) - _NO_EFFECT.keys() - KEYS.keys()


def stage_of(key: str) -> str:
    """The first stage whose result depends on `key`; RecBole's data keys act on `data`."""
    return KEYS[key].stage if key in KEYS else "data"


def check(settings: Mapping[str, Any], source: str) -> None:
    """Refuse unknown keys and wrong values.

    Args:
        settings: one source's keys and values.
        source: where they come from, for the message (a file, or "command line").

    Raises:
        InputError: names the source, the key and the nearest known key or the legal values.
    """
    problems: list[str] = []
    for name, value in settings.items():
        try:
            _check_key(source, str(name), value)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise InputError("\n".join(problems))
    for name, learner in (settings.get("learners") or {}).items():
        _check_learner(source, str(name), learner)
    for dataset, overrides in (settings.get("dataset_overrides") or {}).items():
        if not isinstance(overrides, dict):
            raise InputError(f"{source}: dataset_overrides.{dataset} must be a mapping of keys.")
        check(overrides, f"{source}: dataset_overrides.{dataset}")


def _check_key(source: str, key: str, value: Any) -> None:
    if key in KEYS:
        _check_value(source, key, value, KEYS[key])
    elif key in _NO_EFFECT:
        raise InputError(f"{source}: key '{key}' has no effect in mml; use {_NO_EFFECT[key]}.")
    elif key not in _RECBOLE_DATA_KEYS:
        raise InputError(f"{source}: unknown key '{key}'.{_nearest(key, [*KEYS, *_RECBOLE_DATA_KEYS])}")


def _check_learner(source: str, name: str, learner: Any) -> None:
    if learner is None:
        return
    taken = (
        name in _TAKEN_NAMES
        or name.startswith(("fusion_", "refresh_"))
        or name.endswith(("_no_adapt", "_no_generator"))
    )
    if taken or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or hasattr(nn.ModuleDict(), name):
        raise InputError(
            f"{source}: learners.{name}: a learner cannot be called that; take a word of letters, digits and _, which "
            "begins with a letter and is no stage, method or attribute of a module."
        )
    if not isinstance(learner, dict):
        raise InputError(f"{source}: learners.{name} must be a mapping of keys, or ~ to drop the learner.")
    known = LINEAR_KEYS if name == "linear" else LEARNER_KEYS
    for word, value in learner.items():
        key = str(word)
        if name in BUILT_IN and key in ("item_feat_emb", "source"):
            raise InputError(
                f"{source}: learners.{name} learns from the log alone and takes no {key}; give the "
                "modality another name."
            )
        if key not in known:
            raise InputError(f"{source}: unknown key 'learners.{name}.{key}'.{_nearest(key, known)}")
        _check_value(source, f"learners.{name}.{key}", value, known[key])
    if learner.get("item_feat_emb") is not None and learner.get("source") is not None:
        raise InputError(f"{source}: learners.{name} has both item_feat_emb and source; keep one of them.")


def _check_value(source: str, name: str, value: Any, key: Key) -> None:
    if value is None:
        if key.optional:
            return
        raise InputError(f"{source}: key '{name}' needs a value; {_expected(key)}.")
    typed = any(_is(value, kind) for kind in key.types)
    numbers = value if isinstance(value, list) else [value]
    typed = typed and bool(numbers)
    whole = list in key.types and float not in key.types  # topk, eval_shots, fusion_hidden_size
    if whole and any(isinstance(number, float) for number in numbers):
        typed = False
    if not typed or (key.choices and isinstance(value, str) and value not in key.choices):
        raise InputError(f"{source}: key '{name}' has the value {value!r}; {_expected(key)}.")
    for number in numbers if key.low is not None else ():
        if isinstance(value, str) and value in key.choices:
            continue
        low_ok = _is(number, float) and number >= key.low
        if not low_ok or (key.high is not None and number > key.high):
            raise InputError(f"{source}: key '{name}' has the value {value!r}; {_expected(key)}.")


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _expected(key: Key) -> str:
    names = " or ".join(kind.__name__ for kind in key.types)
    text = f"it must be {names}"
    if key.choices:
        text = "it must be one of " + ", ".join(map(str, key.choices))
        if list in key.types:
            text += " or a list of numbers"
        elif int in key.types:
            text += " or a whole number"
    if key.low is not None:
        text += f", at least {key.low:g}"
    if key.high is not None:
        text += f", at most {key.high:g}"
    return text + (" (or ~)" if key.optional else "")


def _nearest(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key.lower(), {name.lower(): name for name in known}, n=1, cutoff=0.5)
    names = {name.lower(): name for name in known}
    return f" Did you mean '{names[near[0]]}'?" if near else " See configs/overall.yaml for every key."
