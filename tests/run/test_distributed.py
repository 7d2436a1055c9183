"""Two processes of torchrun against one: the same result, and what happens when one of them dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import run_meta
from mml import distributed
from mml.config.gpu import own_gpu
from mml.errors import InputError
from mml.files.bundle import read_state

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
SETTINGS = {
    "learners.img.item_feat_emb": "DROP",
    "meta_epochs": 2,
    "meta_batch_size": 31,
    "hidden_dropout_prob": 0.2,
}
NO_INFLUENCE = "key.bias"  # attention's softmax takes it out: its gradient is rounding alone, which Adam blows up

DYING = """
import os, signal, sys, time
import mml.run.run, run_meta
stage = mml.run.run.generator_stage
def dying(*arguments):
    if os.environ["RANK"] == "1":
        if os.environ["HOW"] == "hangs":
            time.sleep(1000)
        os.kill(os.getpid(), signal.SIGKILL)
    return stage(*arguments)
mml.run.run.generator_stage = dying
sys.exit(run_meta.main(sys.argv[1:]))
"""


def launch(script: Path, argv: list[str], root: Path, n: int = 2, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={n}", str(script)]
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", **env}
    return subprocess.run(
        [*command, *argv], cwd=root, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def _tensors(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights of a stage: one module's, or those of several."""
    parts = {name: part for name, part in state.items() if isinstance(part, dict)}
    return {
        f"{name}.{key}": value
        for name, part in parts.items()
        for key, value in part.items()
        if isinstance(value, torch.Tensor)
    }


def weights(output: Path) -> dict[str, torch.Tensor]:
    folder = output / "tiny" / "latest" / "checkpoints"
    return {
        f"{path.stem}.{name}": value
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in _tensors(read_state(folder, path.stem)).items()
    }


def result(output: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((output / "tiny" / "latest" / "result.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def single(tiny_data: Path, arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("single")
    assert run_meta.main(arguments(tiny_data, output, **SETTINGS)) == 0
    return output


def assert_same(ours: Path, theirs: Path) -> None:
    one, other = weights(ours), weights(theirs)
    assert one.keys() == other.keys()
    for name, value in one.items():
        if not name.endswith(NO_INFLUENCE):
            torch.testing.assert_close(
                value,
                other[name],
                atol=1e-5,
                rtol=1e-5,
                msg=lambda text, of=name: str(of) + str(text),  # type: ignore[misc]
            )
    assert result(ours)["adaptation"] == result(theirs)["adaptation"]
    for method, groups in result(ours)["metrics"].items():
        for group, values in groups.items():
            assert values == pytest.approx(result(theirs)["metrics"][method][group], abs=1e-5), (method, group)


def test_two_processes_give_the_result_of_one(
    single: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, repo_root: Path
) -> None:
    done = launch(repo_root / "run_meta.py", arguments(tiny_data, tmp_path, **SETTINGS), repo_root)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Written to") == 1
    assert_same(tmp_path, single)


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_a_lost_process_stops_the_others_and_the_run_resumes(
    single: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, repo_root: Path, how: str
) -> None:
    script, argv = tmp_path / "dying.py", arguments(tiny_data, tmp_path / "output", **SETTINGS)
    script.write_text(DYING)
    done = launch(script, [*argv, "--process_timeout=20"], repo_root, HOW=how)
    assert done.returncode != 0
    assert "another process of the run" in done.stderr
    assert "start the same command again" in done.stderr
    if how == "hangs":
        return
    again = launch(repo_root / "run_meta.py", argv, repo_root)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("skipped.") == 8  # id, linear, newcomers and txt
    assert_same(tmp_path / "output", single)


def test_killed_in_an_epoch_and_on_again(
    single: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, repo_root: Path
) -> None:
    argv, script = arguments(tiny_data, tmp_path, **SETTINGS), repo_root / "tests" / "run" / "killed.py"
    assert launch(script, ["SIGKILL", "2", "train", *argv, "--process_timeout=20"], repo_root).returncode != 0
    assert list(tmp_path.glob("tiny/*/checkpoints/id.pretrain.unfinished.*"))
    again = launch(repo_root / "run_meta.py", argv, repo_root)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("id.pretrain goes on at epoch 1 of 2.") == 1
    assert_same(tmp_path, single)


def test_bad_input_is_one_error(tmp_path: Path, arguments: Arguments, repo_root: Path) -> None:
    done = launch(repo_root / "run_meta.py", arguments(tmp_path, tmp_path / "output"), repo_root)
    assert done.returncode != 0
    assert "tiny.inter does not exist" in done.stderr
    assert not (tmp_path / "output").exists()


def test_recboles_keys_of_processes_name_torchrun(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_meta.main(arguments(tiny_data, tmp_path, nproc=2)) == 2
    assert "torchrun --nproc_per_node=N" in capsys.readouterr().err


def test_without_torchrun_nothing_is_shared() -> None:
    values = torch.tensor([3.0, 4.0])
    assert distributed.share(values.long().numpy()).tolist() == [0, 1]
    assert torch.equal(distributed.add(values.clone()), values)
    assert distributed.from_main(lambda: 5) == 5
    assert distributed.is_main()


def test_each_process_has_its_gpu() -> None:
    assert own_gpu("0", 0) == "0"
    assert own_gpu("0", 1) == "1"
    assert own_gpu("4,6", 1) == "6"
    assert own_gpu("0,1", 0) == "0"
    with pytest.raises(InputError, match="gpu_id"):
        own_gpu("4,6", 2)
