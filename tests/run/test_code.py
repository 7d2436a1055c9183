"""A cached stage does not outlive the code that made it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mml.run.code import closure, code_hash

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_an_edit_reruns_exactly_the_stages_that_it_can_touch(
    repo_root: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    for name in ("mml", "configs"):
        shutil.copytree(repo_root / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(repo_root / "run_meta.py", checkout)
    over = {"learners.img.item_feat_emb": "DROP", "generator": "paper", "use_gpu": False}
    argv = arguments(tiny_data, tmp_path / "output", **over)

    def skipped() -> set[str]:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "run_meta.py", *argv], cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if "skipped." in line]
        return {line.split("Stage ")[1].split(":")[0] for line in lines}

    assert skipped() == set()
    everything = skipped()
    assert {"id.pretrain", "id.meta", "linear", "generator", "fusion", "meta_test"} <= everything
    edit(
        checkout / "mml/trainer/generator.py",
        "        objective.backward()",
        "        objective.backward()  # a comment is no change",
    )
    assert skipped() == everything
    edit(checkout / "mml/trainer/generator.py", "clamp(min=1e-12)", "clamp(min=1e-11)")
    assert everything - skipped() == {"generator", "fusion", "meta_test"}
    edit(checkout / "mml/trainer/meta.py", "1.0 / len(batch)", "-1.0 / len(batch)")
    rerun = everything - skipped()
    assert {"id.meta", "id.adaptation", "txt.meta", "generator", "fusion", "meta_test"} <= rerun
    assert not {"id.pretrain", "txt.pretrain", "linear"} & rerun


@pytest.mark.parametrize(
    ("module", "holds", "lacks"),
    [
        ("mml.model.learner.linear_entry", "mml.model.learner.linear", "mml.trainer.meta"),
        ("mml.trainer.meta", "mml.meta.inner", "mml.model.fusion.adaptive"),
        ("mml.model.fusion.adaptive", "mml.model.fusion.weighted", "mml.trainer.meta"),
    ],
)
def test_what_a_module_depends_on(module: str, holds: str, lacks: str) -> None:
    found = closure([module])
    assert holds in found
    assert lacks not in found
    assert "mml.config.config" not in found  # settings come as values
    assert code_hash([module]) == code_hash([module])
