"""Config: RecBole's, with mml's defaults, strict keys, deep merging and dotted keys.

Order of precedence, the last wins: the declared defaults, `configs/overall.yaml`, `configs/<dataset>.yaml` and
`<data_path>/<dataset>/<dataset>.yaml` if they exist, the given config files in order, the config dict, the command
line. Nested mappings are merged key by key; a learner's `item_feat_emb` takes the place of an earlier `source`, and the
other way round.

It stands at the border to RecBole, which reads it as a mapping. Our own modules get typed settings (`Config.part`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from recbole.config import Config as RecBoleConfig
from recbole.model.abstract_recommender import SequentialRecommender

from mml import distributed
from mml.config import keys as config_keys
from mml.config.gpu import among_given, check_gpus, own_gpu
from mml.config.rules import check_metrics, check_together
from mml.config.run_settings import RunSettings
from mml.config.sources import Loader, Settings, config_dir, lay_over, parse_arguments, read_yaml
from mml.data.settings import LogSettings, SplitSettings
from mml.errors import InputError
from mml.features.sources import why_off
from mml.model.learner import entry_of
from mml.model.learner.slot import MAIN
from mml.model.loss import LOSSES
from mml.settings import inside, keys_of, read
from mml.trainer.settings import TrainingSettings

logger = logging.getLogger(__name__)
S = TypeVar("S")


def set_numpy_aliases() -> None:
    """Give numpy the scalar names that RecBole 1.2.1 uses and numpy 1.24 and 2.0 took away."""
    aliases = {
        "float": np.float64,
        "int": np.int64,
        "complex": np.complex128,
        "object": np.object_,
        "str": np.str_,
        "unicode": np.str_,
    }
    if "long" not in vars(np):
        aliases["long"] = np.int64
    if "bool" not in vars(np):  # asked by name, numpy 1.26 warns
        aliases["bool"] = np.bool_
    for name, kind in aliases.items():
        setattr(np, name, kind)


class Config(RecBoleConfig):
    """The settings of one run.

    Args:
        dataset: name of the dataset, a folder below `data_path`.
        config_files: YAML files over the defaults.
        config_dict: settings over the files.
        arguments: `--key=value` arguments over all others; a dotted key reaches into a nested mapping.
        model: the model class, for RecBole's own classes; mml's whole method if None.
        passed_over: keys of the files that are somebody else's, such as a baseline's.

    Raises:
        InputError: for an unknown key, a wrong type or value, an unreadable file or a malformed argument.
    """

    def __init__(
        self,
        dataset: str,
        config_files: Sequence[str | Path] = (),
        config_dict: Mapping[str, object] | None = None,
        arguments: Sequence[str] = (),
        model: type | None = None,
        passed_over: Collection[str] = (),
    ) -> None:
        if not isinstance(dataset, str) or not dataset.strip():
            raise InputError(f"dataset {dataset!r} is no name; give that of a folder below data_path, such as ml-100k.")
        if Path(dataset).name != dataset or dataset == "..":
            name = Path(dataset).name or "ml-100k"
            raise InputError(f"dataset '{dataset}' is no name; give '{name}' alone, and where it is as data_path.")
        self._arguments = list(arguments)
        self._dataset_name = dataset
        self._passed_over = frozenset(passed_over)
        self._given = dict(config_dict or {})
        super().__init__(
            model=SequentialRecommender if model is None else model,  # whose keys RecBole's Config gives
            dataset=dataset,
            config_file_list=[Path(path) for path in config_files],
            config_dict=self._given,
        )
        self._drop_absent_learners()
        check_together(self.values())

    def compatibility_settings(self) -> None:
        set_numpy_aliases()

    def _build_yaml_loader(self) -> type[Loader]:
        return Loader  # RecBole's, which it makes of FullLoader, would find Python's functions by name

    # -- loading: each source is read, checked and merged deeply ----------------------------------------------------

    def _load_config_files(self, file_list: Sequence[Path]) -> Settings:
        name = self._dataset_name
        merged: Settings = config_keys.defaults()
        given = [(path, self._read(path, self._passed_over)) for path in file_list]
        for path in (config_dir() / "overall.yaml", config_dir() / f"{name}.yaml"):
            if path.is_file():
                merged = self._over(merged, self._read(path))
        data_path = self._data_path(merged, [settings for _, settings in given])
        beside = data_path / name / f"{name}.yaml"
        if beside.is_file() and all(beside.resolve() != path.resolve() for path, _ in given):
            merged = self._over(merged, self._read(beside))
        for _, settings in given:
            merged = self._over(merged, settings)
        return merged

    def _read(self, path: Path, passed_over: Collection[str] = ()) -> Settings:
        settings = read_yaml(path, self.yaml_loader)
        settings = {key: value for key, value in settings.items() if key not in passed_over}
        _check(settings, str(path))
        named = settings.get("dataset", self._dataset_name)
        if named != self._dataset_name:
            logger.warning("%s: key 'dataset' is %s and is not read: this is %s.", path, named, self._dataset_name)
        return settings

    def _over(self, merged: Settings, settings: Settings) -> Settings:
        """A file's settings over others, and over those what it has for this dataset alone."""
        settings = dict(settings)
        own = inside(settings.pop("dataset_overrides", None))
        return lay_over(lay_over(merged, settings), inside(own.get(self._dataset_name)))

    def _data_path(self, merged: Settings, given: Sequence[Settings]) -> Path:
        """Where the datasets are, before all sources are merged."""
        last = [merged, *given, self._given, parse_arguments(self._arguments, self.yaml_loader)]
        paths = [str(settings["data_path"]) for settings in last if isinstance(settings.get("data_path"), str)]
        return Path(paths[-1]).expanduser()

    def _load_variable_config_dict(self, config_dict: Settings) -> Settings:
        _check(config_dict, "config_dict")
        return config_dict

    def _load_cmd_line(self) -> Settings:
        settings = parse_arguments(self._arguments, self.yaml_loader)
        _check(settings, "command line")
        return settings

    def _merge_external_config_dict(self) -> None:
        merged: Settings = self.file_config_dict
        for settings in (self.variable_config_dict, self.cmd_config_dict):
            merged = lay_over(merged, settings)
        idle = [key for key, value in merged.items() if config_keys.asks_for_nothing(key, value)]
        self.external_config_dict = _with_home({key: value for key, value in merged.items() if key not in idle})

    # -- final values ----------------------------------------------------------------------------------------------

    def _set_default_parameters(self) -> None:
        """RecBole's own, with our values kept: the one place where it is told another value than the user's."""
        final = self.final_config_dict
        check_metrics(final["metrics"], final["valid_metric"])
        own_folder = Path(final["data_path"]) / self.dataset
        repeatable, loss_type = final["repeatable"], final["loss_type"]
        negatives = {"distribution": "uniform", "sample_num": 1}
        final["train_neg_sample_args"] = negatives if LOSSES[loss_type].make(final).own_negatives else None
        final["repeatable"] = True  # RecBole refuses False for sequential models; mml excludes the history itself
        final["loss_type"] = "BPR" if final["train_neg_sample_args"] else "CE"  # it knows no others
        super()._set_default_parameters()
        final["repeatable"], final["loss_type"] = repeatable, loss_type
        if self.dataset != "ml-100k" or own_folder.is_dir():
            final["data_path"] = str(own_folder)

    def _init_device(self) -> None:
        """Choose the device and say so in one line when the wanted GPU is not there."""
        final = self.final_config_dict
        final["gpu_id"] = str(final["gpu_id"])
        final.update(single_spec=True, local_rank=0)  # torchrun's processes are mml.distributed's, not RecBole's
        is_named = final["gpu_id"] not in ("", "-1", "cpu")
        if is_named:
            check_gpus(final["gpu_id"])
        wanted = final["use_gpu"] and is_named
        if wanted:
            os.environ["CUDA_VISIBLE_DEVICES"] = among_given(own_gpu(final["gpu_id"], distributed.local_rank()))
        if wanted and torch.cuda.is_available():
            final["device"] = torch.device("cuda")
            return
        final["device"] = torch.device("cpu")
        asked = any("gpu_id" in source for source in (self.variable_config_dict, self.cmd_config_dict))
        if wanted and asked:
            logger.warning("GPU %s was asked for, but there is no CUDA here: running on the CPU.", final["gpu_id"])

    def _drop_absent_learners(self) -> None:
        """`learners.<name>: ~` drops the learner, and so does one without features on purpose, with a line."""
        named = list(self.learners)
        learners = {name: spec for name, spec in self.learners.items() if spec is not None}
        if MAIN not in learners:
            raise InputError(f"config: key 'learners' must hold the learner '{MAIN}', the main one.")
        for name, spec in list(learners.items()):
            learners[name] = {key: value for key, value in spec.items() if value is not None}
            if name in config_keys.log_learners() or "item_feat_emb" in learners[name]:
                continue
            if not {"item_feat_emb", "source"} & spec.keys():
                raise InputError(
                    f"config: unknown learner '{name}': it has no features. Known: {_other(learners, name)}; for a new "
                    f"modality set learners.{name}.item_feat_emb=FILE."
                )
            source = spec.get("source")
            why = why_off(source if isinstance(source, Mapping) else None, f"learners.{name}.source")
            if why is not None:
                logger.info("This run has no %s learner: %s.", name, why)
                del learners[name]
        self.final_config_dict["learners"] = self.external_config_dict["learners"] = learners
        self.dropped_learners: list[str] = [name for name in named if name not in learners]

    # -- typed -----------------------------------------------------------------------------------------------------

    def values(self, learner: str | None = None) -> dict[str, object]:
        """All declared keys' final values; with `learner`, those of `learners.<learner>` over the common ones."""
        final = {key: self.final_config_dict[key] for key in config_keys.declared()}
        if learner is None:
            return final
        own = entry_of(learner).own_settings
        defaults = {} if own is None else {key: declared.default for key, declared in keys_of(own).items()}
        return defaults | final | self.learners[learner]

    def value(self, key: str) -> object:
        """The final value of a key that somebody names, mml's or RecBole's; KeyError if there is none."""
        return self.final_config_dict[key]

    def part(self, settings: type[S], learner: str | None = None) -> S:
        """The settings of one part, typed."""
        return read(settings, self.values(learner))

    @property
    def run(self) -> RunSettings:
        """Where the run computes, reads and writes."""
        return self.part(RunSettings)

    @property
    def log(self) -> LogSettings:
        """What is read of the log."""
        return self.part(LogSettings)

    @property
    def repeatable(self) -> bool:
        """Whether items of the history are candidates."""
        return self.part(SplitSettings).repeatable

    @property
    def valid_metric(self) -> str:
        """What validation users judge by."""
        return self.part(TrainingSettings).valid_metric

    @property
    def learners(self) -> dict[str, dict[str, object]]:
        """Name -> own settings of each learner of the run."""
        learners: dict[str, dict[str, object]] = self.final_config_dict["learners"]
        return learners

    @property
    def dataset_name(self) -> str:
        """Of the dataset's folder and files."""
        return self._dataset_name

    @property
    def field_separator(self) -> str:
        """Between the columns of the dataset's files."""
        return str(self.final_config_dict["field_separator"])

    @property
    def results(self) -> Path:
        """The folder of the dataset's runs."""
        return Path(self.run.output_dir) / self.dataset_name

    def data_file(self, ending: str) -> Path:
        """The dataset's file with an ending, such as `.item`, whether or not it is there."""
        return Path(self.run.data_path) / f"{self.dataset_name}{ending}"  # RecBole has added the dataset's folder

    def without_progress(self) -> None:
        """Show no bars from now on."""
        self.final_config_dict["show_progress"] = False

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        device: torch.device = self.final_config_dict["device"]
        return device

    def of_stage(self, stage: str) -> Settings:
        """The settings of mml and of the data that act on `stage`, those of earlier stages included."""
        keys, stages = config_keys.declared(), self._up_to(stage)
        return {
            key: value
            for key, value in self.external_config_dict.items()
            if key != "dataset"
            and not config_keys.changes_nothing(key, value)
            and (keys[key].stage if key in keys else "data") in stages
        }

    def of_learner(self, name: str, kind: str, stage: str) -> Settings:
        """The settings that act on a stage of a learner of this kind: its own over the common ones, no other kind's."""
        owners = config_keys.owners()
        others = {key for key, owner in owners.items() if owner.startswith("learner.") and owner != f"learner.{kind}"}
        own = {key: value for key, value in self.of_stage(stage).items() if key not in others | {"learners"}}
        keys = config_keys.learner_keys(name)
        return own | {key: value for key, value in self.learners[name].items() if keys[key].stage in self._up_to(stage)}

    @staticmethod
    def _up_to(stage: str) -> tuple[str, ...]:
        return config_keys.STAGES[: config_keys.STAGES.index(stage) + 1]


def _check(settings: Mapping[str, object], source: str) -> None:
    """Refuse what cannot be of a source, and say what of it has no effect."""
    config_keys.check(settings, source)
    instead = [f"{name} (use {config_keys.USE_INSTEAD[name]})" for name in config_keys.passed_over(settings)]
    if instead:
        logger.warning("%s: without effect in mml, at RecBole's defaults: %s.", source, ", ".join(instead))


def _with_home(settings: Settings) -> Settings:
    """The settings with `~` in paths replaced by the user's home."""
    keys = config_keys.declared()
    settings = {
        key: os.path.expanduser(value) if key in keys and keys[key].is_path and isinstance(value, str) else value
        for key, value in settings.items()
    }
    learners: dict[str, object] = {}
    for name, own in inside(settings.get("learners")).items():
        file = inside(own).get("item_feat_emb")
        learners[name] = {**inside(own), "item_feat_emb": os.path.expanduser(file)} if isinstance(file, str) else own
    return settings | {"learners": learners}


def _other(learners: Iterable[str], name: str) -> str:
    return ", ".join(one for one in learners if one != name)
