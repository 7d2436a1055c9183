"""What a baseline is told: the words of the command line, parted into the split's settings and the model's."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recbole
import yaml
from recbole.config import Config as RecBoleConfig
from recbole.utils import ModelType

from mml.baselines.entries import BASELINES
from mml.baselines.registry import check_name
from mml.config import keys as config_keys
from mml.config.config import Config, set_numpy_aliases
from mml.config.sources import config_dir, parse_arguments
from mml.errors import InputError
from mml.files.atomic import read_header
from mml.settings import keys_of

NEW_USERS = ("none", "trans", "full_retrain", "down")
OWN_NEW_USERS = ("none", "trans", "full_retrain")
_SHARED_STAGES = ("run", "data", "meta_test")
_LISTS = ("decay", "selected_features")
_TREATMENT = ("new_users", "trans_epochs")  # of new users, of which RecBole knows nothing


@dataclass(frozen=True)
class Baseline:
    """A baseline as asked for.

    Args:
        name: one of the registry's.
        config: mml's Config: data, split, evaluation, and for our own baselines the learners' keys.
        settings: the model's own settings, complete for the keys of baselines.yaml.
    """

    name: str
    config: Config
    settings: dict[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether it is mml's own, not RecBole's."""
        return self.name in BASELINES

    @property
    def method(self) -> str:
        """Its name in result.json: the model, `-BPR` or `-CE` where the loss is not RecBole's own, the treatment."""
        text, treatment = self.name, self.settings["new_users"]
        loss = None if self.is_own else self.settings.get("loss_type")
        if loss is not None and loss != model_defaults(self.name).get("loss_type"):
            text += f"-{loss}"
        return text if treatment == "none" else f"{text}_{treatment}"


class ModelConfig(RecBoleConfig):
    """RecBole's Config of a model: RecBole's defaults, our data and evaluation, nothing from sys.argv.

    Args:
        model: RecBole's class.
        split: mml's Config.
        settings: over RecBole's defaults.
    """

    _FROM_SPLIT = (
        "USER_ID_FIELD",
        "ITEM_ID_FIELD",
        "TIME_FIELD",
        "MAX_ITEM_LIST_LENGTH",
        "load_col",
        "seed",
        "state",
        "metrics",
        "topk",
        "valid_metric",
        "metric_decimal_place",
        "eval_batch_size",
        "show_progress",
        "loss_decimal_place",
    )

    def __init__(self, model: type, split: Config, settings: Mapping[str, Any]) -> None:
        self._split = split
        given = {key: split[key] for key in self._FROM_SPLIT}
        given |= {key: value for key, value in settings.items() if key not in _TREATMENT}  # a length of its own
        given |= {"repeatable": True, "log_wandb": False}
        super().__init__(model=model, dataset=split["dataset"], config_dict=given)

    def compatibility_settings(self) -> None:
        set_numpy_aliases()

    def _load_variable_config_dict(self, config_dict: dict[str, Any]) -> dict[str, Any]:
        return dict(config_dict)  # as it is; RecBole evaluates every string

    def _load_cmd_line(self) -> dict[str, Any]:
        return {}

    def _set_default_parameters(self) -> None:
        final = self.final_config_dict
        pairwise = final["loss_type"] == "BPR" if "loss_type" in final else final["MODEL_TYPE"] == ModelType.SEQUENTIAL
        final["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1} if pairwise else None
        super()._set_default_parameters()
        final["data_path"] = self._split["data_path"]

    def _init_device(self) -> None:
        self.final_config_dict.update(
            device=self._split["device"], gpu_id=self._split["gpu_id"], single_spec=True, local_rank=0
        )


def read_baseline(name: str, dataset: str, files: Sequence[str], words: Sequence[str]) -> Baseline:
    """The baseline `name` on `dataset`, with config files of mml and `--key=value` words over the defaults.

    Raises:
        InputError: for an unknown model or key, or a wrong value.
    """
    check_name(name)
    given = parse_arguments(words)
    defaults = _defaults("own" if name in BASELINES else "recbole")
    if name in BASELINES:
        declared, shared_defaults = BASELINES[name].settings, {*defaults}
        defaults |= {} if declared is None else {key: one.default for key, one in keys_of(declared).items()}
        own = {key: given.pop(key) for key in list(given) if key in defaults}
        if declared is not None:
            config_keys.check_own(own, declared, "command line")
        _check_values({key: value for key, value in own.items() if key in shared_defaults}, defaults, OWN_NEW_USERS)
        for key in given:
            if key.startswith("refresh"):
                raise InputError(
                    f"command line: key '{key}' means nothing to {name}; use new_users: trans or full_retrain."
                )
        return Baseline(name, Config(dataset, files, given), {**defaults, **own})
    known = {**model_defaults(name), **defaults}
    shared, own = {}, {}
    for key, value in given.items():
        if key in known:
            own[key] = value
        else:
            shared[key] = value
    _check_recbole_keys(name, shared, known)
    _check_values(own, known, NEW_USERS)
    logging.disable(logging.WARNING)  # what it says will be said by the final one
    try:
        config = Config(dataset, files, shared)
    finally:
        logging.disable(logging.NOTSET)
    settings = {**defaults, **own}
    if settings["MAX_ITEM_LIST_LENGTH"] is None:
        settings["MAX_ITEM_LIST_LENGTH"] = config["MAX_ITEM_LIST_LENGTH"]
    if "selected_features" in model_defaults(name):
        settings["selected_features"] = _item_columns(config, name, settings["selected_features"])
        shared["load_col"] = {**config["load_col"], "item": [config["ITEM_ID_FIELD"], *settings["selected_features"]]}
    else:
        del settings["selected_features"]
    shared["learners"] = {learner: None for learner in config["learners"] if learner != "id"}  # no features to encode
    return Baseline(name, Config(dataset, files, shared), settings)


def model_defaults(name: str) -> dict[str, Any]:
    """RecBole's defaults of a model's own keys."""
    path = Path(recbole.__file__).parent / "properties" / "model" / f"{name}.yaml"
    defaults: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return defaults


def _defaults(section: str) -> dict[str, Any]:
    settings: dict[str, Any] = yaml.safe_load((config_dir() / "baselines.yaml").read_text(encoding="utf-8"))[section]
    return settings


def _check_recbole_keys(name: str, shared: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Keys of mml's training mean nothing to RecBole's models: refuse them rather than ignore them."""
    for key in shared:
        declared = config_keys.declared()
        stage = config_keys.stage_of(key) if key in declared else "data"
        if key in declared and stage not in _SHARED_STAGES and key not in ("learners", "valid_metric"):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise InputError(f"command line: key '{key}' means nothing to {name}.{hint} It has: {', '.join(known)}.")


def _check_values(own: Mapping[str, Any], known: Mapping[str, Any], treatments: Sequence[str]) -> None:
    """A value must be of its default's kind."""
    if own.get("new_users", "none") not in treatments:
        raise InputError(
            f"command line: key 'new_users' has the value {own['new_users']!r}; it must be one of "
            f"{', '.join(treatments)}."
        )
    if own.get("loss_type", "CE") not in ("CE", "BPR"):
        raise InputError(f"command line: key 'loss_type' has the value {own['loss_type']!r}; it must be CE or BPR.")
    for key, value in own.items():
        default = known[key]
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            legal = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
            if not legal or (isinstance(default, int) and not isinstance(value, int)):
                kind = "a whole number" if isinstance(default, int) else "a number"
                raise InputError(f"command line: key '{key}' has the value {value!r}; it must be {kind}, at least 0.")
        elif key in _LISTS and value is not None and not isinstance(value, list):
            raise InputError(f"command line: key '{key}' has the value {value!r}; it must be a list.")


def _item_columns(config: Config, name: str, wanted: Sequence[str] | None) -> list[str]:
    """Columns of the `.item` file that a feature model reads: those asked for, RecBole's choice, or all tokens."""
    path = Path(config["data_path"]) / f"{config['dataset']}.item"
    if not path.is_file():
        raise InputError(f"{name} needs item attributes, and there is no {path}.")
    types = read_header(path, config["field_separator"])
    tokens = [c for c, kind in types.items() if kind.startswith("token") and c != config["ITEM_ID_FIELD"]]
    for column in wanted or ():
        if column not in types:
            raise InputError(f"config: key 'selected_features': {path} has no column '{column}'; it has {tokens}.")
    usual = [column for column in model_defaults(name)["selected_features"] if column in types]
    chosen = list(wanted or usual or tokens)
    if not chosen:
        raise InputError(f"{name} needs item attributes, and {path} has no token column.")
    return chosen
