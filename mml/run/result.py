"""What a run leaves behind: predictions.csv, result.json, and its table for people."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import recbole
import torch

import mml
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.tasks import TaskSet
from mml.evaluation.cases import case_groups
from mml.evaluation.metrics import Metrics
from mml.evaluation.ranking import Ranking

GroupMetrics = dict[str, dict[str, float]]


def group_metrics(ranking: Ranking, tasks: TaskSet, n_warm_items: int, metrics: Metrics) -> GroupMetrics:
    """Group -> metric -> value, with each group's number of users and cases."""
    return {
        group: {
            **metrics(ranking, cases),
            "n_users": len(np.unique(tasks.users[cases])),
            "n_cases": len(cases),
        }
        for group, cases in case_groups(tasks, n_warm_items).items()
    }


def predictions_csv(ranks: Mapping[str, np.ndarray], tasks: TaskSet, dataset: MMLDataset) -> str:
    """One row per case and method: user_id, target_item, target_is_cold, shots, method, rank.

    Args:
        ranks: method -> the targets' ranks, int64 [N].
        tasks, dataset: the cases.
    """
    first_new = len(dataset.users.old) + len(dataset.users.valid)
    cases = pd.DataFrame(
        {
            "user_id": dataset.user_tokens[first_new + tasks.users],
            "target_item": dataset.item_tokens[tasks.target],
            "target_is_cold": (tasks.target > dataset.n_warm_items).astype(int),
            "shots": tasks.shots,
        }
    )
    parts: list[str] = []
    for method, places in ranks.items():  # one after the other: together the frames would be many times the text
        parts.append(cases.assign(method=method, rank=places).to_csv(index=False, header=not parts))
    return "".join(parts)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "mml": mml.__version__,
        "recbole": recbole.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "python": platform.python_version(),
    }


def new_users_learned_from(config: Config, does: bool) -> dict[str, Any]:
    """Whether what other new users did was learned from, and if so at which snapshots, as it stands in result.json."""
    return {"learned_from_new_users": does, "snapshots": config["snapshots"] if does else None}


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def to_json(result: Mapping[str, Any]) -> str:
    """result.json's text."""
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"
