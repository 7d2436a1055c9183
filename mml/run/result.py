"""What a run leaves behind: predictions.csv and result.json."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mml.code import library_versions
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.summary import Summary
from mml.data.tasks import TaskSet
from mml.files.bundle import State
from mml.files.sheets import neutral
from mml.run.schema import Head, LearnerFacts, Result, StageFacts
from mml.version import __version__

if TYPE_CHECKING:
    from mml.run.folder import StageRecord


def predictions_csv(ranks: Mapping[str, np.ndarray], tasks: TaskSet, dataset: MMLDataset) -> str:
    """One row per case and method: user_id, target_item, target_is_cold, shots, method, rank.

    Ids that a spreadsheet would run are marked (mml.files.sheets).

    Args:
        ranks: method -> the targets' ranks, int64 [N].
        tasks, dataset: the cases.
    """
    first_new = len(dataset.users.old) + len(dataset.users.valid)
    cases = neutral(
        pd.DataFrame(
            {
                "user_id": dataset.user_tokens[first_new + tasks.users],
                "target_item": dataset.item_tokens[tasks.target],
                "target_is_cold": (tasks.target > dataset.n_warm_items).astype(int),
                "shots": tasks.shots,
            }
        )
    )
    parts: list[str] = []
    for method, places in ranks.items():  # one after the other: together the frames would be many times the text
        parts.append(cases.assign(method=method, rank=places).to_csv(index=False, header=not parts))
    return "".join(parts)


def recommendations_csv(lists: np.ndarray, tasks: TaskSet, dataset: MMLDataset) -> str:
    """One row per case and listed item: user_id, shots, rank, item_id; marked as in `predictions_csv`.

    Args:
        lists: each case's best items by the whole method, int64 [N, k]; 0 where it has fewer candidates.
        tasks, dataset: the cases.
    """
    first_new, k = len(dataset.users.old) + len(dataset.users.valid), lists.shape[1]
    users = neutral(pd.DataFrame({"id": dataset.user_tokens[first_new + tasks.users]}))["id"].to_numpy()
    items = neutral(pd.DataFrame({"id": dataset.item_tokens}))["id"].to_numpy()
    listed = lists.reshape(-1)
    rows = pd.DataFrame(
        {
            "user_id": np.repeat(users, k),
            "shots": np.repeat(tasks.shots, k),
            "rank": np.tile(np.arange(1, k + 1), len(lists)),
            "item_id": items[listed],
        }
    )
    return rows[listed > 0].to_csv(index=False)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "mml": __version__,
        **library_versions(),
        "pandas": pd.__version__,
        "python": platform.python_version(),
    }


def result_of(
    config: Config,
    dataset: MMLDataset,
    summary: Summary,
    records: Mapping[str, StageRecord],
    reports: Mapping[str, LearnerFacts],
    tested: State,
    popular: Sequence[str],
) -> Result:
    """The content of result.json.

    Args:
        config, dataset: of the run.
        summary: counts of the data.
        records: stage -> its record.
        reports: learner -> what was kept of its training.
        tested: the state of the meta-test, and `validation`, the validation score of the plain sum of the learners.
        popular: ids of items that many take, to try the model with.
    """
    adaptation = {name: report["adaptation"] for name, report in reports.items() if "adaptation" in report}
    return {
        **head_of(config, dataset, summary, records),
        "learners": dict(reports),
        "adaptation": {name: {"rate": how["rate"], "steps": how["steps"]} for name, how in adaptation.items()},
        "validation": dict(tested["validation"]),
        "metrics": {method: tested["metrics"][method] for method in tested["order"]},
        "first_screen": dict(tested["first_screen"]),
        "popular_items": list(popular),
    }


def head_of(config: Config, dataset: MMLDataset, summary: Summary, records: Mapping[str, StageRecord]) -> Head:
    """What every result.json begins with, mml's and a baseline's: what was run, on what, and how long its stages took.

    Args:
        config, dataset: of the run.
        summary: counts of the data.
        records: stage -> its record.
    """
    return {
        "dataset": config.dataset_name,
        "synthetic": dataset.is_synthetic,
        "seed": config.run.seed,
        "versions": versions(),
        "device": device_name(config.device),
        "data": summary,
        "stages": {stage: _facts(record) for stage, record in records.items()},
    }


def _facts(record: StageRecord) -> StageFacts:
    return {
        "seconds": record.seconds,
        "cpu_seconds": record.cpu_seconds,
        "users_per_second": record.users_per_second,
        "peak_memory_mb": record.peak_memory_mb,
        "versions": record.versions,
    }


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def to_json(result: Result) -> str:
    """result.json's text."""
    return json.dumps(result, indent=2, ensure_ascii=False) + "\n"
