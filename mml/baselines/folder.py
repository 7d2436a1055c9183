"""The folder of a baseline's run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import yaml

from mml.baselines.settings import Baseline, shared
from mml.files.safe import make_folder, plain
from mml.run.folder import RunFolder


def _of_mml(baseline: Baseline) -> dict[str, object]:
    """mml's settings that a baseline's result depends on: of RecBole's models, none of mml's learners."""
    settings = baseline.config.of_stage("meta_test")
    return settings if baseline.is_own else {key: value for key, value in settings.items() if shared(key)}


class BaselineFolder(RunFolder):
    """`output/<dataset>/<method>-seed<seed>-<hash>/`; `latest` keeps pointing to a run of mml."""

    def __init__(self, baseline: Baseline) -> None:
        super().__init__(baseline.config)
        self._settings = {**plain(_of_mml(baseline)), **plain(baseline.used)}
        if self.config.run.run_name is None:
            digest = hashlib.sha256(json.dumps(self._settings, sort_keys=True).encode()).hexdigest()[:8]
            self.path: Path = self.dataset_dir / f"{baseline.method}-seed{self.config.run.seed}-{digest}"
            self.checkpoints = self.path / "checkpoints"
        self._name = baseline.name

    def create(self) -> None:
        """Make the folder and write `config.yaml`."""
        make_folder(self.checkpoints)
        settings = {"baseline": self._name, "dataset": self.config.dataset_name, **self._settings}
        self.write_text("config.yaml", yaml.safe_dump(settings, sort_keys=True, allow_unicode=True))
