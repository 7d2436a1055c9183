"""A cached stage does not outlive the code that made it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import run_meta
from mml.code import closure, code_hash
from mml.model.loss import LOSSES

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
    edit(checkout / "mml/meta/algorithms/fomaml.py", "    learns_rates = False", "    learns_rates = bool(0)")
    everything |= skipped()
    assert not {"linear", "newcomers"} & (everything - skipped())
    edit(checkout / "mml/run/fusion.py", "1.0 / len(scores.names)", "2.0 / len(scores.names)")
    assert everything - skipped() == {"fusion", "meta_test"}  # what builds a stage counts, too


@pytest.mark.parametrize(
    ("module", "holds", "lacks"),
    [
        ("mml.model.learner.linear_entry", "mml.model.learner.linear", "mml.trainer.meta"),
        ("mml.trainer.meta", "mml.meta.inner", "mml.model.fusion.adaptive"),
        ("mml.model.fusion.adaptive", "mml.model.fusion.weighted", "mml.trainer.meta"),
        ("mml.model.learner.linear_entry", "mml.model.learner.slot", "mml.meta.algorithms"),
        ("mml.model.learner.newcomers_entry", "mml.model.newcomers.parts", "mml.model.learner.base"),
    ],
)
def test_what_a_module_depends_on(module: str, holds: str, lacks: str) -> None:
    found = closure([module])
    assert holds in found
    assert lacks not in found
    assert "mml.config.config" not in found  # settings come as values
    assert code_hash([module]) == code_hash([module])


def test_a_module_alone_counts_without_what_it_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "built_by.py"
    path.write_text("from mml.model.fusion import adaptive\n\nRATE = 1\n", encoding="utf-8")
    importlib.import_module("built_by")
    first = code_hash([], alone=["built_by"])
    assert first == code_hash([], alone=["built_by"])
    assert first != code_hash(["built_by"])
    edit(path, "RATE = 1", "RATE = 2")
    assert code_hash([], alone=["built_by"]) != first


def test_what_a_learner_is_trained_with_counts_whoever_wrote_it(
    tiny_data: Path,
    tmp_path: Path,
    arguments: Arguments,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "their_loss.py"
    path.write_text(
        "from mml.model.loss import LOSSES\nfrom mml.model.loss.full_softmax import FullSoftmax\n\n\n"
        "class Theirs(FullSoftmax):\n    name = 'theirs'\n    version = 1\n\n\nLOSSES.add(Theirs())\n",
        encoding="utf-8",
    )
    importlib.import_module("their_loss")

    def skipped() -> set[str]:
        argv = arguments(tiny_data, tmp_path / "output", loss_type="theirs", use_gpu=False)
        assert run_meta.main(argv) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if "skipped." in line]
        return {line.split("Stage ")[1].split(":")[0] for line in lines}

    try:
        assert skipped() == set()
        everything = skipped()
        assert {"id.pretrain", "linear", "newcomers"} <= everything
        edit(path, "version = 1", "version = 2")
        assert skipped() == {"linear", "newcomers"}
    finally:
        LOSSES.remove("theirs")
