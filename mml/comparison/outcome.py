"""What a run gave a method of a comparison."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mml.files.sheets import read_sheet, restored
from mml.method_names import learner_of
from mml.model.learner.slot import MAIN
from mml.run.schema import Result


@dataclass(frozen=True)
class Outcome:
    """A run, and the line of its result that is the method's.

    Args:
        result: result.json.
        path: the run's folder.
        method: the line.
    """

    result: Result
    path: Path
    method: str

    @property
    def groups(self) -> dict[str, dict[str, float]]:
        """Group -> metric -> value."""
        return self.result["metrics"][self.method]

    @property
    def cpu_seconds(self) -> float:
        """Of the stages that the line needs, up to the evaluation; as they took when they were run."""
        stages = self.result["stages"]
        return float(sum(record["cpu_seconds"] for stage, record in stages.items() if self._needs(stage)))

    def _needs(self, stage: str) -> bool:
        if stage == "meta_test":
            return False
        learners = self.result["learners"]
        learner = learner_of(self.method)
        if learner in learners:
            with_generator = self.method == MAIN and stage == "generator"
            return with_generator or stage.partition(".")[0] == learner
        return not (self.method == "fusion_mean" and stage == "fusion")

    def cases(self) -> pd.DataFrame:
        """The method's rows of predictions.csv, in an order that is the same for every method.

        Raises:
            InputError: if the file is damaged.
        """
        kinds: dict[Hashable, str] = {
            "user_id": "str",
            "target_item": "str",
            "shots": "int64",
            "method": "str",
            "rank": "int64",
        }
        rows = read_sheet(self.path / "predictions.csv", kinds)
        rows = restored(rows[rows["method"] == self.method])
        return rows.sort_values(["user_id", "shots", "target_item"], kind="stable").reset_index(drop=True)
