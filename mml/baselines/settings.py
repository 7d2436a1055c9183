"""What a baseline is told: the arguments of the command line, parted into the split's settings and the model's."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mml.baselines.declared import OwnSettings, RecBoleSettings
from mml.baselines.entries import BASELINES
from mml.baselines.recbole_config import model_defaults
from mml.baselines.registry import check_name
from mml.config import keys as config_keys
from mml.config.config import Config
from mml.config.sources import Loader, config_dir, parse_arguments, read_yaml
from mml.errors import InputError, did_you_mean
from mml.files.atomic import read_header
from mml.model.learner.slot import MAIN
from mml.settings import Key, keys_of, read

_AT_LEAST_ONE = (
    "n_layers",
    "num_layers",
    "n_heads",
    "hidden_size",
    "inner_size",
    "embedding_size",
)  # of RecBole's keys
_NAMED = "baseline"  # in a run's config.yaml, by which it is repeated
_SHARED_STAGES = ("run", "data", "meta_test")


@dataclass(frozen=True)
class Baseline:
    """A baseline as asked for.

    Args:
        name: one of the registry's.
        config: mml's Config: data, split, evaluation, and for our own baselines the learners' keys.
        settings: the model's own settings by key, complete for the keys of baselines.yaml.
    """

    name: str
    config: Config
    settings: dict[str, object]

    @property
    def is_own(self) -> bool:
        """Whether it is mml's own, not RecBole's."""
        return self.name in BASELINES

    @property
    def used(self) -> dict[str, object]:
        """All settings of the model itself, RecBole's defaults among them."""
        return dict(self.settings) if self.is_own else {**model_defaults(self.name), **self.settings}

    @property
    def new_users(self) -> str:
        """How new users are treated: none, trans, full_retrain or down."""
        return (read(OwnSettings, self.settings) if self.is_own else self.recbole).new_users

    @property
    def recbole(self) -> RecBoleSettings:
        """What one of RecBole's models is told beside its own keys."""
        return read(RecBoleSettings, self.settings)

    @property
    def method(self) -> str:
        """Its name in result.json: the model, `-BPR` or `-CE` where the loss is not RecBole's own, the treatment."""
        text, treatment = self.name, self.new_users
        loss = None if self.is_own else self.settings.get("loss_type")
        if loss is not None and loss != model_defaults(self.name).get("loss_type"):
            text += f"-{loss}"
        return text if treatment == "none" else f"{text}_{treatment}"


def declared_keys(name: str) -> dict[str, Key]:
    """The keys that a baseline has beside those of overall.yaml and of RecBole's model."""
    if name not in BASELINES:
        return keys_of(RecBoleSettings)
    own = BASELINES[name].settings
    return keys_of(OwnSettings) | ({} if own is None else keys_of(own))


def read_baseline(
    name: str, dataset: str, files: Sequence[str], arguments: Sequence[str], files_are_mmls: bool = False
) -> Baseline:
    """The baseline `name` on `dataset`, with config files and `--key=value` arguments over the defaults.

    Args:
        name: of the baseline.
        dataset: of the dataset.
        files: config files, such as the one that a run leaves.
        arguments: over them.
        files_are_mmls: whether the files' keys of models are mml's, as in a comparison.

    Raises:
        InputError: for an unknown model or key, or a wrong value.
    """
    check_name(name)
    given, keys = parse_arguments(arguments), declared_keys(name)
    defaults = {key: one.default for key, one in keys.items()} | _of_file(name, keys)
    known = dict(defaults) if name in BASELINES else {**model_defaults(name), **defaults}
    in_files = {} if files_are_mmls else _of_given_files(name, files, known)
    sources = _Sources(dataset, files, in_files, (*known, _NAMED))
    return (_own if name in BASELINES else _recbole)(name, sources, given, defaults)


@dataclass(frozen=True)
class _Sources:
    """Config files of a baseline.

    Args:
        dataset: whose.
        files: their names.
        own: what they say of the baseline itself.
        passed_over: keys that mml does not read in them.
    """

    dataset: str
    files: Sequence[str]
    own: Mapping[str, object]
    passed_over: Sequence[str]

    def config(self, given: Mapping[str, object]) -> Config:
        """mml's part of them, and what is given over them."""
        return Config(self.dataset, self.files, given, passed_over=self.passed_over)


def _of_given_files(name: str, files: Sequence[str], known: Mapping[str, object]) -> dict[str, object]:
    own: dict[str, object] = {}
    for path in files:
        settings = read_yaml(Path(path), Loader)
        if settings.get(_NAMED, name) != name:
            raise InputError(f"{path} is of {settings[_NAMED]}; it does not say how {name} is trained.")
        found = {key: value for key, value in settings.items() if key in known}
        _check_values(found, known, declared_keys(name), path)
        own |= found
    return own


def _own(name: str, sources: _Sources, given: dict[str, object], defaults: Mapping[str, object]) -> Baseline:
    own = {key: given.pop(key) for key in list(given) if key in defaults}
    _check_values(own, defaults, declared_keys(name))
    entry = BASELINES[name]
    for key in getattr(entry, "unread", ()):
        if key in given:
            hint = did_you_mean(key, declared_keys(name), cutoff=0.5)
            raise InputError(f"command line: key '{key}' means nothing to {name}.{hint or ' Leave it out.'}")
    return Baseline(name, sources.config(given), {**defaults, **sources.own, **own})


def _recbole(name: str, sources: _Sources, given: Mapping[str, object], defaults: Mapping[str, object]) -> Baseline:
    known = {**model_defaults(name), **defaults}
    own = {key: value for key, value in given.items() if key in known}
    rest = {key: value for key, value in given.items() if key not in known}
    _check_recbole_keys(name, rest, known)
    _check_values(own, known, keys_of(RecBoleSettings))
    logging.disable(logging.WARNING)  # what it says will be said by the final one
    try:
        config = sources.config(rest)
    finally:
        logging.disable(logging.NOTSET)
    settings, log = {**defaults, **sources.own, **own}, config.log
    if settings["MAX_ITEM_LIST_LENGTH"] is None:
        settings["MAX_ITEM_LIST_LENGTH"] = log.MAX_ITEM_LIST_LENGTH
    if "selected_features" in model_defaults(name):
        columns = _item_columns(config, name, read(RecBoleSettings, settings).selected_features)
        settings["selected_features"] = columns
        rest["load_col"] = {**(log.load_col or {}), "item": [log.ITEM_ID_FIELD, *columns]}
    else:
        del settings["selected_features"]
    rest["learners"] = {learner: None for learner in config.learners if learner != MAIN}  # no features to encode
    return Baseline(name, sources.config(rest), settings)


def _of_file(name: str, keys: Mapping[str, Key]) -> dict[str, object]:
    """The defaults that configs/baselines.yaml lays over the declared ones; keys of other baselines are passed over."""
    path, section = config_dir() / "baselines.yaml", "own" if name in BASELINES else "recbole"
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get(section) or {}
    own = {key: value for key, value in found.items() if key in keys}
    config_keys.check_values(own, keys, f"{path}: {section}")
    return own


def shared(key: str) -> bool:
    """Whether a key of mml means something to RecBole's models: data, split, evaluation."""
    is_of_training = key in config_keys.declared() and config_keys.stage_of(key) not in _SHARED_STAGES
    return not is_of_training or key in ("learners", "valid_metric")


def _check_recbole_keys(name: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    """Keys of mml's training mean nothing to RecBole's models: refuse them rather than ignore them."""
    for key in given:
        if not shared(key):
            hint = did_you_mean(key, known)
            raise InputError(f"command line: key '{key}' means nothing to {name}.{hint} It has: {', '.join(known)}.")


def _check_values(
    own: Mapping[str, object], known: Mapping[str, object], keys: Mapping[str, Key], where: str = "command line"
) -> None:
    """A declared value must be legal, and one of RecBole's of its default's kind."""
    if own.get("loss_type", "CE") not in ("CE", "BPR"):
        raise InputError(f"{where}: key 'loss_type' has the value {own['loss_type']!r}; it must be CE or BPR.")
    for key in _AT_LEAST_ONE:
        if own.get(key, 1) == 0:
            raise InputError(f"{where}: key '{key}' has the value 0; it must be a whole number, at least 1.")
    for key, value in own.items():
        default = known[key]
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            legal = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
            if not legal or (isinstance(default, int) and not isinstance(value, int)):
                kind = "a whole number" if isinstance(default, int) else "a number"
                raise InputError(f"{where}: key '{key}' has the value {value!r}; it must be {kind}, at least 0.")
    config_keys.check_values({key: value for key, value in own.items() if key in keys}, keys, where)


def _item_columns(config: Config, name: str, wanted: Sequence[str] | None) -> list[str]:
    """Columns of the `.item` file that a feature model reads: those asked for, RecBole's choice, or all tokens."""
    path = config.data_file(".item")
    if not path.is_file():
        raise InputError(f"{name} needs item attributes, and there is no {path}.")
    types = read_header(path, config.field_separator)
    tokens = [c for c, kind in types.items() if kind.startswith("token") and c != config.log.ITEM_ID_FIELD]
    for column in wanted or ():
        if column not in types:
            raise InputError(f"config: key 'selected_features': {path} has no column '{column}'; it has {tokens}.")
        if column not in tokens:
            raise InputError(
                f"config: key 'selected_features': '{column}' of {path} is a {types[column]}, which {name} passes "
                f"over; take some of {tokens}."
            )
    usual = [one for one in read(RecBoleSettings, model_defaults(name)).selected_features or () if one in tokens]
    chosen = list(wanted or usual or tokens)
    if not chosen:
        raise InputError(f"{name} needs item attributes, and {path} has no token column.")
    return chosen
