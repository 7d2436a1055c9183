"""Every config key, as the parts and the slots' entries declare them, and the check of what users write.

The declarations are the settings classes of the parts (`PARTS`) and of the slots' entries; `configs/overall.yaml` is
written from them. Keys of RecBole that act on loading and filtering data are legal too; keys of RecBole without effect
here are legal as long as they ask for nothing, off or at RecBole's default, and refused with the key to use if not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from recbole.utils import dataset_arguments
from torch import nn

from mml.config.recbole_defaults import is_default, is_off
from mml.config.run_settings import ChosenLearners, PresetSettings, RunSettings
from mml.data.settings import LogSettings, PopularitySettings, SplitSettings, TaskSettings
from mml.errors import InputError, did_you_mean
from mml.evaluation.settings import EvaluationSettings, MomentSettings
from mml.method_names import FLOOR, FULL, FUSION, NO_ADAPT, NO_GENERATOR, ONLINE
from mml.model.encoder.settings import EncoderSettings
from mml.model.fusion.cases import CandidateSettings
from mml.model.fusion.slot import FusionSettings
from mml.model.fusion.standardised import ScoreSettings
from mml.model.generator.slot import GeneratorSettings
from mml.model.learner import LEARNERS, entry_of
from mml.model.learner.adaptation import AdaptationSettings
from mml.model.learner.base import InnerLoopSettings
from mml.model.learner.slot import StateEntry
from mml.model.loss import LossSettings
from mml.settings import LARGEST, Key, Values, inside, keys_of
from mml.slots import SLOTS
from mml.tables.layout import wrong_in
from mml.trainer.settings import (
    LoggerSettings,
    MetaSettings,
    PretrainSettings,
    TrainingSettings,
)
from mml.updating.settings import UpdateSettings

STAGES = ("data", "pretrain", "meta", "adaptation", "generator", "fusion", "meta_test")
"""Stages of a run in order; a key acts on its stage and on all later ones. `run` keys change no result."""

PARTS: tuple[type, ...] = (
    RunSettings,
    LoggerSettings,
    LogSettings,
    SplitSettings,
    ChosenLearners,
    EncoderSettings,
    LossSettings,
    PopularitySettings,
    TrainingSettings,
    PretrainSettings,
    InnerLoopSettings,
    MetaSettings,
    TaskSettings,
    AdaptationSettings,
    GeneratorSettings,
    FusionSettings,
    ScoreSettings,
    CandidateSettings,
    EvaluationSettings,
    MomentSettings,
    UpdateSettings,
    PresetSettings,
)
"""The settings classes that belong to no slot's entry, in the order of the reference."""


_TOP_LEVEL = ("learner", "meta-algorithm", "loss", "generator", "fusion")  # the slots whose entries' keys stand there


def declarations() -> Iterator[tuple[type, str | None]]:
    """Each settings class of top-level keys, with `slot.entry` if it is an entry's."""
    yield from ((part, None) for part in PARTS)
    for slot in _TOP_LEVEL:
        for entry in SLOTS[slot]:
            if entry.settings is not None:
                yield entry.settings, f"{slot}.{entry.name}"


def declared() -> dict[str, Key]:
    """All top-level keys."""
    return {name: key for part, _ in declarations() for name, key in keys_of(part).items()}


def defaults() -> dict[str, object]:
    """Top-level key -> what it is if nobody sets it; the learners that are there by default among them."""
    values = {name: key.default for name, key in declared().items()}
    return values | {"learners": {entry.name: {} for entry in LEARNERS if entry.by_default}}


def owners() -> dict[str, str]:
    """Key -> `slot.entry` that alone reads it, for the keys of entries."""
    return {name: owner for part, owner in declarations() if owner for name in keys_of(part)}


def learner_keys(name: str) -> dict[str, Key]:
    """The keys inside `learners.<name>`; those that are also top-level keys go over them for that learner."""
    entry = entry_of(name)
    own = {} if entry.own_settings is None else keys_of(entry.own_settings)
    if isinstance(entry, StateEntry):
        own |= {key: value for key, value in declared().items() if value.per_learner}
    return own


def log_learners() -> list[str]:
    """Names of the learners of the log alone; any other is a modality's and needs features."""
    return [entry.name for entry in LEARNERS if not entry.needs_features]


_ENDLESS = "a number of thousands of digits"
_LARGEST_WHOLE = 2**53  # up to which floats hold every whole number
_LONGEST = 100  # characters of a value in a message
_TAKEN_NAMES = ("generator", "fusion", "meta_test", FULL, FLOOR, "feature")  # of stages, methods and entries

_TORCHRUN = "torchrun --nproc_per_node=N run_meta.py ... (several machines: its --nnodes and --rdzv_endpoint)"
USE_INSTEAD = {
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
    "enable_amp": "tf32 (reduced precision on CUDA)",
    "reproducibility": "seed (runs are always reproducible)",
    "log_wandb": "logger: [wandb]; the project is the dataset's name, or what the variable WANDB_PROJECT says",
    "wandb_project": "logger: [wandb] and the variable WANDB_PROJECT",
    "save_dataset": "output_dir (nothing of the data is saved)",
    **dict.fromkeys(
        ("save_dataloaders", "dataset_save_path", "dataloaders_save_path"), "output_dir (nothing of the data is saved)"
    ),
    "enable_scaler": "tf32 (reduced precision on CUDA)",
    "config_file": "config_files",
    "device": "use_gpu and gpu_id (on the command line also --device auto, cpu or cuda:N)",
    "unused_col": "unload_col (what a part does not name is not read by it)",
    **dict.fromkeys(
        ("normalize_field", "normalize_all", "numerical_features", "discretization"),
        "learners.<name>.source with the encoder numeric, which scales its columns (nothing reads numbers otherwise)",
    ),
    # of RecBole before 1.0.1, which many tutorials have
    **dict.fromkeys(("neg_sampling", "training_neg_sample_num", "training_neg_sample_distribution"), "loss_type"),
    **dict.fromkeys(
        ("eval_setting", "group_by_user", "split_ratio", "leave_one_num"),
        "data_split_time, valid_user_ratio and eval_shots",
    ),
    **dict.fromkeys(("min_user_inter_num", "max_user_inter_num"), "user_inter_num_interval"),
    **dict.fromkeys(("min_item_inter_num", "max_item_inter_num"), "item_inter_num_interval"),
    **dict.fromkeys(("lowest_val", "highest_val", "equal_val", "not_equal_val"), "val_interval"),
    "config_file_list": "config_files",
}
"""RecBole's keys that have no effect here, and what has."""
NOTHING_TO_USE = {
    **dict.fromkeys(
        (
            *("ENTITY_ID_FIELD", "HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD"),
            *("alias_of_entity_id", "alias_of_relation_id"),
            *("kg_reverse_r", "entity_kg_num_interval", "relation_kg_num_interval"),
        ),
        "no knowledge graph is read",
    ),
    "alias_of_user_id": "users are those of USER_ID_FIELD",
    "valid_metric_bigger": "more is better in every ranking metric",
    "shuffle": "tasks are drawn anew in every epoch",
    "worker": "nothing is loaded by processes of its own",
    "transform": "sequences are trained on as they are",
    "require_pow": "no loss has such a term",
}
"""RecBole's keys that have no effect here, and why; nothing stands for them."""
NAMES_INSIDE = frozenset(
    ("RATING_FIELD", "LABEL_FIELD", "NEG_PREFIX", "ITEM_LIST_LENGTH_FIELD", "LIST_SUFFIX", "POSITION_FIELD")
)
"""RecBole's names of columns that it makes itself: legal, since its files have them; no result hangs on them."""
_LIKE_HERE = ("reproducibility", "learner", "wandb_project")  # keys whose default in RecBole is what mml does
_GONE = {
    "amp": "bfloat16 gained nothing over tf32; use tf32: True on CUDA",
    "compile": "compiled encoders gained nothing over the written-out passes; leave it out",
    "choose_epoch_by_valid_item": "it chose by a label of the same user; leave it out",
    **dict.fromkeys(
        ("refresh", "refresh_epochs", "refresh_updates"),
        "use online: True, the default, which counts what others did up to each target; baselines have new_users",
    ),
    "snapshots": "it is called moments now",
}


def stage_of(key: str) -> str:
    """The first stage whose result depends on `key`; RecBole's data keys act on `data`."""
    found = declared().get(key)
    return "data" if found is None else found.stage


_DATASET_ARGUMENTS = frozenset(dataset_arguments)  # as it is now: RecBole adds to the list for some of its models


def recbole_data_keys() -> frozenset[str]:
    """RecBole's keys that act on loading and filtering, and have no declaration here."""
    return _DATASET_ARGUMENTS - USE_INSTEAD.keys() - NOTHING_TO_USE.keys() - NAMES_INSIDE - declared().keys()


def changes_nothing(key: str, value: object) -> bool:
    """Whether RecBole's key is legal though nothing hangs on it: a name inside, or what asks for nothing."""
    return key in NAMES_INSIDE or asks_for_nothing(key, value)


def asks_for_nothing(key: str, value: object) -> bool:
    """Whether a key of RecBole's that has no effect here is switched off, or what it is if nobody sets it."""
    is_idle = key in USE_INSTEAD or key in NOTHING_TO_USE
    return is_idle and (is_off(key, value) or is_default(key, value))


def passed_over(settings: Mapping[str, object]) -> list[str]:
    """RecBole's keys that are at its defaults, though mml has something else in their place."""
    other = [key for key in settings if key in USE_INSTEAD and key not in _LIKE_HERE]
    return [key for key in other if is_default(key, settings[key]) and not is_off(key, settings[key])]


def check(settings: Mapping[str, object], source: str) -> None:
    """Refuse unknown keys and wrong values, all of a source in one message.

    Args:
        settings: one source's keys and values.
        source: where they come from, for the message (a file, or "command line").

    Raises:
        InputError: names the source, the key and the nearest known key or the legal values.
    """
    problems = list(_problems(settings, source))
    if problems:
        raise InputError(*problems)


def check_values(values: Values, keys: Mapping[str, Key], source: str) -> None:
    """Refuse illegal values of keys that are declared elsewhere, such as a baseline's.

    Raises:
        InputError: names the source, the key and the legal values.
    """
    problems = [text for name, value in values.items() for text in _of_value(source, name, value, keys[name])]
    if problems:
        raise InputError(*problems)


def _problems(settings: Mapping[str, object], source: str) -> Iterator[str]:
    keys, recbole = declared(), recbole_data_keys()
    for name, value in settings.items():
        yield from _of_key(source, str(name), value, keys, recbole)
    for name, learner in inside(settings.get("learners")).items():
        yield from _of_learner(source, str(name), learner)
    imported = settings.get("imported")
    for wrong in wrong_in(imported) if isinstance(imported, dict) else ():
        yield f"{source}: {wrong}."
    for dataset, own in inside(settings.get("dataset_overrides")).items():
        if isinstance(own, dict):
            yield from _problems(own, f"{source}: dataset_overrides.{dataset}")
        else:
            yield f"{source}: dataset_overrides.{dataset} must be a mapping of keys."


def _of_key(source: str, key: str, value: object, keys: Mapping[str, Key], recbole: frozenset[str]) -> Iterator[str]:
    if key == "dataset":
        yield from _of_value(source, key, value, Key((str,), None, "", "run"))
    elif key in keys:
        yield from _of_value(source, key, value, keys[key])
    elif key in _GONE:
        yield f"{source}: key '{key}' is gone: {_GONE[key]}."
    elif key in (*NAMES_INSIDE, *NOTHING_TO_USE, *USE_INSTEAD):
        yield from _of_idle_key(source, key, value)
    elif key not in recbole:
        yield f"{source}: unknown key '{key}'.{_nearest(key, [*keys, *recbole])}"
    elif key.endswith("_separator") and not isinstance(value, str):
        yield f"{source}: key '{key}' has the value {_shown(value)}; it must be text, such as \",\"."
    elif any(_shown(one) == _ENDLESS for one in _inner(value)):
        yield f"{source}: key '{key}' holds {_ENDLESS}; write a shorter one."


def _of_idle_key(source: str, key: str, value: object) -> Iterator[str]:
    """A key of RecBole's that has no effect here."""
    if key in NAMES_INSIDE and value is not None and not isinstance(value, str):
        yield f"{source}: key '{key}' has the value {_shown(value)}; it must be text."
    elif changes_nothing(key, value):
        return
    elif key in NOTHING_TO_USE:
        yield f"{source}: key '{key}' has no effect in mml: {NOTHING_TO_USE[key]}; leave it out."
    else:
        yield f"{source}: key '{key}' has no effect in mml; use {USE_INSTEAD[key]}."


def _of_learner(source: str, name: str, learner: object) -> Iterator[str]:
    if learner is None:
        return
    taken = name in _TAKEN_NAMES or name.startswith(FUSION) or name.endswith((NO_ADAPT, NO_GENERATOR, ONLINE))
    if taken or not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or hasattr(nn.ModuleDict(), name):
        yield (
            f"{source}: learners.{name}: a learner cannot be called that; take a word of letters, digits and _, which "
            "begins with a letter and is no stage, method or attribute of a module."
        )
        return
    if not isinstance(learner, dict):
        yield f"{source}: learners.{name} must be a mapping of keys, or ~ to drop the learner."
        return
    known = learner_keys(name)
    for word, value in learner.items():
        key = str(word)
        if name in log_learners() and key in ("item_feat_emb", "source"):
            yield (
                f"{source}: learners.{name} learns from the log alone and takes no {key}; give the "
                "modality another name."
            )
        elif key not in known:
            yield f"{source}: unknown key 'learners.{name}.{key}'.{_nearest(key, known)}"
        else:
            yield from _of_value(source, f"learners.{name}.{key}", value, known[key])
    if learner.get("item_feat_emb") is not None and learner.get("source") is not None:
        yield f"{source}: learners.{name} has both item_feat_emb and source; keep one of them."


def _of_value(source: str, name: str, value: object, key: Key) -> Iterator[str]:
    if value is None:
        if not key.optional:
            yield f"{source}: key '{name}' needs a value; {_expected(key)}."
    elif not _is_legal(value, key):
        wanted = "it must not be empty" if value == [] and list in key.types else _expected(key)
        yield f"{source}: key '{name}' has the value {_shown(value)}; {wanted}."


def _is_legal(value: object, key: Key) -> bool:
    numbers = value if isinstance(value, list) else [value]
    if value == []:
        return key.default == []
    if not any(_is(value, kind) for kind in key.types) or not all(map(_can_be, _inner(value))):
        return False
    if key.texts and isinstance(value, list) and not all(isinstance(one, str) for one in value):
        return False
    if isinstance(value, str) and key.choices:
        return value in key.choices
    if key.whole and any(isinstance(number, float) for number in numbers):
        return False
    return key.low is None or all(_is_within(number, key) for number in numbers)


def _inner(value: object) -> Iterator[object]:
    """A value, or all that a list or a mapping holds, however deep."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from (key, *_inner(one))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _inner(one)
    else:
        yield value


def _can_be(value: object) -> bool:
    """Whether a number is one that float32 or an int64 can hold, and a text one that a file's name can be."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < _LARGEST_WHOLE
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) < LARGEST
    return not isinstance(value, str) or "\0" not in value


def _shown(value: object) -> str:
    """A value in a message: the beginning of a long one."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return _ENDLESS
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _is_within(number: object, key: Key) -> bool:
    assert key.low is not None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return False
    return number >= key.low and (key.high is None or number <= key.high)


def _is(value: object, kind: type) -> bool:
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
        text += f", at least {key.low:.10g}"
    if key.high is not None:
        text += f", at most {key.high:.10g}"
    return text + (" (or ~)" if key.optional else "")


def _nearest(key: str, known: Iterable[str]) -> str:
    return did_you_mean(key, known, 0.5) or " See configs/overall.yaml for every key."
