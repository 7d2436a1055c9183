"""Config: RecBole's, with mml's defaults, strict keys, deep merging and dotted keys.

Order of precedence, the last wins: `configs/overall.yaml`, `configs/<dataset>.yaml` and the dataset's own
`<data_path>/<dataset>/<dataset>.yaml` if they exist, the given config files in order, the config dict, the command
line. Nested mappings are merged key by key; a learner's `item_feat_emb` takes the place of an earlier `source`, and the
other way round.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from recbole.config import Config as RecBoleConfig
from recbole.evaluator import metric_types
from recbole.utils import EvaluatorType

from mml import distributed
from mml.config import keys as config_keys
from mml.errors import InputError
from mml.evaluation.metrics import NEEDS_TOP_ITEMS
from mml.features.sources import why_off

logger = logging.getLogger(__name__)

Settings = dict[str, Any]

# What CUDA_VISIBLE_DEVICES was before a Config set it, also for the processes that this one starts
_GIVEN_GPUS = os.environ.setdefault("MML_GIVEN_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
_TAKEN_NAMES = ("latest", "compare", "features")  # of folders beside the runs


def config_dir() -> Path:
    """The folder of the shipped YAML files: `configs/` of a checkout, or its copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "configs"
    return checkout if (checkout / "overall.yaml").is_file() else package / "configs"


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
        arguments: `--key=value` words over all others; a dotted key reaches into a nested mapping.
        model: the model class, for RecBole's own classes; mml's whole method if None.

    Raises:
        InputError: for an unknown key, a wrong type or value, an unreadable file or a malformed argument.
    """

    def __init__(
        self,
        dataset: str,
        config_files: Sequence[str | Path] = (),
        config_dict: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        model: type | None = None,
    ) -> None:
        if model is None:
            from mml.model.learner.base import Learner  # the learners import no config; this only breaks the cycle

            model = Learner
        self._arguments = list(arguments)
        self._dataset_name = dataset
        given = [Path(path) for path in config_files]
        beside = self._data_path(given, config_dict or {}) / dataset / f"{dataset}.yaml"
        own = [config_dir() / "overall.yaml", config_dir() / f"{dataset}.yaml", beside]
        already = {path.resolve() for path in given}
        files = [path for path in own if path.is_file() and path.resolve() not in already] + given
        super().__init__(model=model, dataset=dataset, config_file_list=files, config_dict=dict(config_dict or {}))
        self._drop_absent_learners()
        self._check_together()

    def _data_path(self, given: Sequence[Path], config_dict: Mapping[str, Any]) -> Path:
        """Where the datasets are, as the sources say before they are merged."""
        loader = self._build_yaml_loader()
        sources = [_read_yaml(path, loader) for path in (config_dir() / "overall.yaml", *given)]
        sources += [dict(config_dict), parse_arguments(self._arguments, loader)]
        paths = [source["data_path"] for source in sources if isinstance(source.get("data_path"), str)]
        return Path(paths[-1]).expanduser()

    def compatibility_settings(self) -> None:
        set_numpy_aliases()

    # -- loading: each source is read, checked and merged deeply ----------------------------------------------------

    def _load_config_files(self, file_list: Sequence[Path]) -> Settings:
        merged: Settings = {}
        for path in file_list:
            settings = _read_yaml(path, self.yaml_loader)
            config_keys.check(settings, str(path))
            own = settings.pop("dataset_overrides", None) or {}
            merged = lay_over(lay_over(merged, settings), own.get(self._dataset_name) or {})
        return merged

    def _load_variable_config_dict(self, config_dict: Settings) -> Settings:
        config_keys.check(config_dict, "config_dict")
        return config_dict

    def _load_cmd_line(self) -> Settings:
        settings = parse_arguments(self._arguments, self.yaml_loader)
        config_keys.check(settings, "command line")
        return settings

    def _merge_external_config_dict(self) -> None:
        merged: Settings = self.file_config_dict
        for settings in (self.variable_config_dict, self.cmd_config_dict):
            merged = lay_over(merged, settings)
        for key in ("data_path", "output_dir", "new_users_file"):
            if isinstance(merged.get(key), str):
                merged[key] = os.path.expanduser(merged[key])
        self.external_config_dict = merged

    # -- final values ----------------------------------------------------------------------------------------------

    def _set_default_parameters(self) -> None:
        self._check_metrics()
        final = self.final_config_dict
        own_folder = Path(final["data_path"]) / self.dataset
        repeatable = final["repeatable"]
        final["repeatable"] = True  # RecBole refuses False for sequential models; mml excludes the history itself
        final["train_neg_sample_args"] = (
            None if final["loss_type"] != "BPR" else {"distribution": "uniform", "sample_num": 1}
        )
        loss_type = final["loss_type"]
        if loss_type == "sampled":
            final["loss_type"] = "CE"  # RecBole knows no other that draws its negatives itself
        super()._set_default_parameters()
        final["repeatable"], final["loss_type"] = repeatable, loss_type
        if self.dataset != "ml-100k" or own_folder.is_dir():
            final["data_path"] = str(own_folder)

    def _init_device(self) -> None:
        """Choose the device and say so in one line when the wanted GPU is not there."""
        final = self.final_config_dict
        final["gpu_id"] = str(final["gpu_id"])
        final.update(single_spec=True, local_rank=0)  # torchrun's processes are mml.distributed's, not RecBole's
        wanted = final["use_gpu"] and final["gpu_id"] not in ("", "-1", "cpu")
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
        named = list(self["learners"])
        learners = {name: spec for name, spec in self["learners"].items() if spec is not None}
        if "id" not in learners:
            raise InputError("config: key 'learners' must hold the learner 'id', the main one.")
        for name, spec in list(learners.items()):
            learners[name] = {key: value for key, value in spec.items() if value is not None}
            if name in config_keys.BUILT_IN or "item_feat_emb" in learners[name]:
                continue
            if not {"item_feat_emb", "source"} & spec.keys():
                raise InputError(
                    f"config: unknown learner '{name}': it has no features. Known: {', '.join(learners)}; for a new "
                    f"modality set learners.{name}.item_feat_emb=FILE."
                )
            why = why_off(spec.get("source"), f"learners.{name}.source")
            if why is not None:
                logger.info("This run has no %s learner: %s.", name, why)
                del learners[name]
        self.final_config_dict["learners"] = self.external_config_dict["learners"] = learners
        self.dropped_learners: list[str] = [name for name in named if name not in learners]

    def _check_metrics(self) -> None:
        final = self.final_config_dict
        names = final["metrics"] if isinstance(final["metrics"], list) else [final["metrics"]]
        ranking = sorted(name for name, kind in metric_types.items() if kind == EvaluatorType.RANKING)
        for name in names:
            if not isinstance(name, str) or name.lower() not in ranking:
                raise InputError(f"config: key 'metrics' holds {name}; it must hold some of {', '.join(ranking)}.")
        ranking = [name for name in ranking if name not in NEEDS_TOP_ITEMS]
        name, _, k = final["valid_metric"].partition("@")
        if name.lower() not in ranking or not k.isdigit() or int(k) < 1:
            raise InputError(
                f"config: key 'valid_metric' is {final['valid_metric']!r}; write it as NDCG@10, with one of "
                f"{', '.join(ranking)}."
            )

    def _check_together(self) -> None:
        """What no key can be blamed for alone."""
        if self["hidden_size"] % self["n_heads"]:
            raise InputError(
                f"config: key 'n_heads': hidden_size {self['hidden_size']} is no multiple of {self['n_heads']}."
            )
        clip = self["clip_grad_norm"] or {"max_norm": 1.0}
        if "max_norm" not in clip or clip.keys() - {"max_norm", "norm_type"} or not all(map(_is_number, clip.values())):
            raise InputError("config: key 'clip_grad_norm' must be a mapping like {max_norm: 5, norm_type: 2}, or ~.")
        output = Path(self["output_dir"])
        if output.exists() and not output.is_dir():
            raise InputError(f"config: key 'output_dir': {output} is a file; name a folder.")
        name = self["run_name"]
        if name is not None and (Path(name).name != name or name in _TAKEN_NAMES):
            raise InputError(
                f"config: key 'run_name' is {name!r}; it must be the name of one folder, and none of "
                f"{', '.join(_TAKEN_NAMES)}."
            )
        self._check_shots()
        rates = [self.for_learner(name, "local_learning_rate") for name in self["learners"] if name != "linear"]
        if self["meta_algorithm"] == "reptile" and min(rates) == 0:
            raise InputError("config: key 'local_learning_rate' is 0, which reptile cannot learn from; take another.")
        if self["choose_epoch_by_valid_item"] and self["eval_shots"] != "last":
            raise InputError("config: key 'choose_epoch_by_valid_item' needs eval_shots: last.")
        if self["choose_epoch_by_valid_item"] and self["refresh"] and self["snapshots"] != "shots":
            raise InputError(
                "config: key 'choose_epoch_by_valid_item' needs snapshots: shots if there is a refresh; else the item "
                "that it chooses by may have been learned from."
            )
        if self["generator"] == "content" and not self["content_embedding"]:
            raise InputError(
                "config: key 'generator': content needs content_embedding: True; or set generator: attention."
            )
        weights = self["fusion_weight"]
        if weights is not None and (
            set(weights) != set(self["learners"]) or not all(map(_is_number, weights.values()))
        ):
            raise InputError(
                f"config: key 'fusion_weight' must give a number to each learner: {', '.join(self['learners'])}."
            )

    def _check_shots(self) -> None:
        shots, limit = self["eval_shots"], self["cold_user_max_inter"]
        if isinstance(shots, str) or limit is None or max(shots) < limit:
            return
        beyond = ", ".join(str(k) for k in sorted(shots) if k >= limit)
        kept = f"cold_user_max_inter keeps {limit} interactions of a new user, the target among them"
        if min(shots) >= limit:
            raise InputError(
                f"config: key 'eval_shots' holds {beyond}, but {kept}; use smaller shots or a larger limit."
            )
        logger.warning("There are no cases of eval_shots %s: %s.", beyond, kept)

    def for_learner(self, name: str, key: str) -> Any:
        """The value of `key` for learner `name`: `learners.<name>.<key>` if given, else the common one."""
        return self["learners"][name].get(key, self[key])

    def of_stage(self, stage: str) -> Settings:
        """The settings of mml and of the data that act on `stage`, those of earlier stages included."""
        last = config_keys.STAGES.index(stage)
        return {
            key: value
            for key, value in self.external_config_dict.items()
            if config_keys.stage_of(key) in config_keys.STAGES[: last + 1]
        }


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def own_gpu(gpu_id: str, local_rank: int) -> str:
    """The GPU of one of torchrun's processes: its own of the list `gpu_id`, or so many further than the only one."""
    listed = [name.strip() for name in gpu_id.split(",")]
    if local_rank < len(listed):
        return listed[local_rank] if len(listed) > 1 else gpu_id
    if len(listed) > 1 or not gpu_id.isdigit():
        raise InputError(
            f"config: key 'gpu_id' lists {len(listed)} GPU(s), '{gpu_id}', but torchrun has started more processes; "
            "name one for each, or a single first one."
        )
    return str(int(gpu_id) + local_rank)


def among_given(gpu: str) -> str:
    """The GPU of that number among those of CUDA_VISIBLE_DEVICES, if a scheduler or the user has set it."""
    if _GIVEN_GPUS == "all" or not gpu.isdigit():
        return gpu
    listed = [name.strip() for name in _GIVEN_GPUS.split(",")]
    if listed[0] in ("", "-1"):
        return _GIVEN_GPUS  # none at all
    if int(gpu) >= len(listed):
        raise InputError(f"config: key 'gpu_id' is {gpu}, but CUDA_VISIBLE_DEVICES={_GIVEN_GPUS} has fewer GPUs.")
    return listed[int(gpu)]


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Settings:
    """`over` laid over `base`; nested mappings are merged key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def lay_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> Settings:
    """merge(base, over); a learner that gets its features from a file in the one has no source from the other."""
    merged = merge(base, over)
    for name, learner in (over.get("learners") or {}).items():
        for key, other in (("item_feat_emb", "source"), ("source", "item_feat_emb")):
            if learner and learner.get(key) is not None:
                rest = {known: value for known, value in merged["learners"][name].items() if known != other}
                merged["learners"] = merged["learners"] | {name: rest}
    return merged


def parse_arguments(arguments: Sequence[str], loader: type = yaml.FullLoader) -> Settings:
    """`["--a.b=1"]` -> `{"a": {"b": 1}}`; values are YAML.

    Raises:
        InputError: for a word that is not `--key=value`, or a key given twice with different values.
    """
    settings: Settings = {}
    for word in arguments:
        match = re.fullmatch(r"--([A-Za-z_][\w.\-]*)=(.*)", word, flags=re.DOTALL)
        if match is None:
            raise InputError(f"command line: '{word}' is not of the form --key=value.")
        separates = match[1] in ("field_separator", "seq_separator")
        value = _separator(match[2]) if separates else _parse_value(match[2], word, loader)
        *parents, last = match[1].split(".")
        holder = settings
        for parent in parents:
            child = holder.setdefault(parent, {})
            if not isinstance(child, dict):
                raise InputError(f"command line: '{word}' sets a key inside '{parent}', which is already a value.")
            holder = child
        if last in holder and holder[last] != value:
            raise InputError(f"command line: key '{match[1]}' is given twice with different values.")
        holder[last] = value
    return settings


def _separator(text: str) -> str:
    """What stands between columns, as it is: no YAML, in which a blank is nothing; quotes around it are left out."""
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.replace("\\t", "\t")


def _parse_value(text: str, word: str, loader: type) -> Any:
    if text in ("None", ""):
        return None
    try:
        return yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError):  # a ValueError for what looks like a date and is none
        if re.fullmatch(r"[\[(][^\[\]()]*[\])]", text):  # an interval as RecBole writes it, [5,inf)
            return text
        raise InputError(f"command line: the value of '{word}' is not valid YAML.") from None


def _read_yaml(path: Path, loader: type) -> Settings:
    if not path.is_file():
        raise InputError(f"config file {path} does not exist.")
    try:
        text = path.read_text(encoding="utf-8-sig")
        _refuse_repeated_keys(path, yaml.compose(text, Loader=loader))
        settings = yaml.load(text, Loader=loader)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # UnicodeDecodeError among the latter
        raise InputError(f"{path}: not a valid YAML file: {' '.join(str(error).split())}") from None
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise InputError(f"{path}: must be a mapping of keys to values.")
    return settings


def _refuse_repeated_keys(path: Path, node: yaml.Node | None) -> None:
    """YAML would take the last one without a word, and lose what the first one holds."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise InputError(
                    f"{path}, line {key.start_mark.line + 1}: key '{key.value}' is there twice; make one of them."
                )
            if isinstance(key.value, str):
                seen.add(key.value)
            _refuse_repeated_keys(path, value)
