"""RecBole's Config of one of its models, made of mml's: the border between the two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import recbole
import yaml
from recbole.config import Config as RecBoleConfig
from recbole.utils import ModelType

from mml.config.config import Config, set_numpy_aliases
from mml.config.sources import Loader
from mml.files.safe import JSON

TREATMENT = ("new_users", "trans_epochs")
"""Keys of the treatment of new users, of which RecBole knows nothing."""


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

    def __init__(self, model: type, split: Config, settings: Mapping[str, object]) -> None:
        self._split = split
        final = split.values()
        given = {key: final[key] for key in self._FROM_SPLIT}
        given |= {key: value for key, value in settings.items() if key not in TREATMENT}  # a length of its own
        given |= {"repeatable": True, "log_wandb": False}
        super().__init__(model=model, dataset=split.dataset_name, config_dict=given)

    def compatibility_settings(self) -> None:
        set_numpy_aliases()

    def _load_variable_config_dict(self, config_dict: dict[str, object]) -> dict[str, object]:
        return dict(config_dict)  # as it is; RecBole evaluates every string

    def _load_cmd_line(self) -> dict[str, object]:
        return {}

    def _set_default_parameters(self) -> None:
        final = self.final_config_dict
        pairwise = final["loss_type"] == "BPR" if "loss_type" in final else final["MODEL_TYPE"] == ModelType.SEQUENTIAL
        final["train_neg_sample_args"] = {"distribution": "uniform", "sample_num": 1} if pairwise else None
        super()._set_default_parameters()
        final["data_path"] = self._split.run.data_path

    def _init_device(self) -> None:
        own = self._split
        self.final_config_dict.update(device=own.device, gpu_id=own.run.gpu_id, single_spec=True, local_rank=0)


def model_defaults(name: str) -> dict[str, JSON]:
    """RecBole's defaults of a model's own keys."""
    path = Path(recbole.__file__).parent / "properties" / "model" / f"{name}.yaml"
    defaults: dict[str, JSON] = yaml.load(path.read_text(encoding="utf-8"), Loader) or {}
    return defaults
