"""Links, pipes, folders and damaged files in the place of what mml writes and reads: told in one line, never used."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from mml.cli.main import main
from mml.cli.recommend import main as recommend
from mml.errors import InputError
from mml.files.kinds import kind_of
from mml.files.safe import check_target, write_text
from mml.trainer.base import StageTrainer
from mml.trainer.keeping import Keeper
from tests.conftest import SMALL
from tests.fuzz.test_disk import snapshot
from tests.run.killed import at

Strange = Callable[[Path], None]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with chdir(path.parent), socket.socket(socket.AF_UNIX) as made:  # the name of a socket must be short
        made.bind(path.name)


def _link(path: Path) -> None:
    (path.parent / "elsewhere").write_text("kept")
    path.symlink_to("elsewhere")


STRANGE: dict[str, Strange] = {
    "a pipe": _pipe,
    "a socket": _socket,
    "a link": _link,
    "a folder": Path.mkdir,
}


def _stands(folder: Path) -> dict[str, tuple[int, int]]:
    """Name -> number and time of all that is below a folder."""
    found = {path.relative_to(folder): path.lstat() for path in folder.rglob("*")}
    return {str(path): (one.st_ino, one.st_mtime_ns) for path, one in found.items()}


# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STRANGE)
def test_a_file_is_written_over_plain_files_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "place" / "a"
    path.parent.mkdir()
    STRANGE[kind](path)
    before = _stands(tmp_path)
    with pytest.raises(InputError) as caught:
        write_text(path, "new")
    assert str(caught.value) == f"{path}: is {kind}, not a plain file, and is not written over; choose another name"
    assert _stands(tmp_path) == before
    assert kind_of(path) == kind


def test_a_link_that_leads_nowhere_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    with pytest.raises(InputError, match="is a link"):
        write_text(tmp_path / "a", "new")
    assert os.listdir(tmp_path) == ["a"]


def test_a_device_is_known(tmp_path: Path) -> None:
    assert kind_of(Path("/dev/null")) == kind_of(Path("/dev/zero")) == "a device"
    assert kind_of(tmp_path / "none") is None
    for folder in ("/", ".", ".."):
        with pytest.raises(InputError, match="is a folder, not a plain file"):
            check_target(Path(folder))


@pytest.mark.parametrize("kind", STRANGE)
def test_lists_are_written_over_plain_files_alone(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is told before a model is looked for."""
    STRANGE[kind](tmp_path / "recs.csv")
    before = _stands(tmp_path)
    assert recommend(["nothing", "--items", "1", "--output", str(tmp_path / "recs.csv")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'recs.csv'}: is {kind}, not a plain file")
    assert error.count("\n") == 1
    assert _stands(tmp_path) == before


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("", "--output is ''; name a file, or leave --output out"),
        ("-", "--output is '-'; name a file, or leave --output out"),
        ("/dev/stdout", "leave --output out, and the lists are printed."),
        (".", ".: is a folder, not a plain file"),
    ],
)
def test_an_output_that_is_no_file(
    output: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with chdir(tmp_path):
        assert recommend(["nothing", "--items", "1", "--output", output]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- a run's folder -------------------------------------------------------------------------------------------------


def argv(data: Path, output: Path, name: str | None = "one") -> list[str]:
    few = {"learners.txt": "~", "learners.img": "~", "fusion_method": "mean", "pretrain_epochs": 1}
    given: dict[str, Any] = {**SMALL, **few, "repeatable": True, "use_gpu": False}
    given |= {"data_path": data, "output_dir": output} | ({} if name is None else {"run_name": name})
    return ["train", "tiny", *(f"--{key}={value}" for key, value in given.items())]


@pytest.fixture(scope="module")
def finished(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run that is called `one`."""
    output = tmp_path_factory.mktemp("finished")
    assert main(argv(tiny_data, output)) == 0
    return output


@pytest.fixture
def output(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "output", symlinks=True)
    return tmp_path / "output"


def _one_line(captured: str) -> str:
    """The message that a command ended with."""
    progress, _, error = captured.rpartition("error: ")
    assert "Traceback" not in progress
    assert error.count("\n") == 1, captured
    return error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["a pipe", "a link"])
@pytest.mark.parametrize(
    "name",
    ["run.log", "learning_curves.csv", "config.yaml", "checkpoints/linear.json", "model/recommender.safetensors"],
)
def test_a_strange_file_in_the_runs_folder(
    name: str, kind: str, output: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = output / "tiny" / "one" / name
    path.unlink(missing_ok=True)
    STRANGE[kind](path)
    before = _stands(output)
    assert main(argv(tiny_data, output)) == 2
    assert _one_line(capsys.readouterr().err) == f"{path}: is {kind}, and a run writes through none; move it away\n"
    assert _stands(output) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "one/checkpoints", "one/model"])
@pytest.mark.parametrize("command", ["train", "baseline"])
def test_a_linked_folder(
    name: str, command: str, finished: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "output" / "tiny" / name
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "elsewhere")
    common = [f"--data_path={tiny_data}", f"--output_dir={tmp_path / 'output'}", "--run_name=one", "--use_gpu=False"]
    line = argv(tiny_data, tmp_path / "output") if command == "train" else ["baseline", "Pop", "tiny", *common]
    assert main(line) == 2
    assert _one_line(capsys.readouterr().err).startswith(f"{path}: is a link, and a run writes through none")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["recommender.json", "recommender.safetensors"])
def test_a_model_that_is_a_pipe(name: str, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = output / "tiny" / "one" / "model" / name
    path.unlink()
    os.mkfifo(path)
    assert main(["recommend", "tiny", "--items", "1", "--output_dir", str(output)]) == 2
    error = _one_line(capsys.readouterr().err)
    assert "holds no trained recommender" in error or f"{name} cannot be read (it is a pipe" in error


@pytest.mark.slow
def test_latest_is_looked_at_before_a_folder_is_made(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = tmp_path / "tiny" / "latest"
    latest.mkdir(parents=True)
    assert main(argv(tiny_data, tmp_path, name=None)) == 2
    assert _one_line(capsys.readouterr().err) == f"{latest}: is a folder, not a link; move it away\n"
    assert list((tmp_path / "tiny").iterdir()) == [latest]


# --- damaged records ------------------------------------------------------------------------------------------------


def _cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b'"seconds": ') + 12] ^= 1
    path.write_bytes(content)


def _piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "name"),
    [(_cut_off, "one"), (_flipped, "one"), (_cut_off, "another"), (_flipped, "another"), (_piped, "another")],
)
def test_a_damaged_record_is_named_and_set_aside(
    damage: Strange,
    name: str,
    output: Path,
    finished: Path,
    tiny_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the run's own folder and in another one's, where a stage of the same fingerprint is looked for."""
    path = output / "tiny" / "one" / "checkpoints" / "id.pretrain.json"
    damage(path)
    assert main(argv(tiny_data, output, name)) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "checkpoints/id.pretrain.json is damaged" in line]
    assert len(said) == 1
    assert said[0].endswith("the same run makes it again. It is set aside.")
    for suffix in ("json", "safetensors"):
        assert os.path.lexists(path.with_name(f"id.pretrain.{suffix}.damaged"))
    result = (output / "tiny" / name / "predictions.csv").read_bytes()
    assert result == (finished / "tiny" / "one" / "predictions.csv").read_bytes()


def test_a_damaged_record_of_a_training_is_named_and_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Keeper(tmp_path, "id", "print").write("id.pretrain", {"epoch": 1})
    path = tmp_path / "id.unfinished.id.pretrain.1.json"
    _cut_off(path)
    assert Keeper(tmp_path, "id", "print").find("id.pretrain") is None
    assert f"{path} is damaged (" in caplog.text
    assert caplog.messages[0].endswith("It is set aside.")
    assert sorted(os.listdir(tmp_path)) == [f"{path.stem}.json.damaged", f"{path.stem}.safetensors.damaged"]
    assert Keeper(tmp_path, "id", "print").find("id.pretrain") is None
    assert len(caplog.messages) == 1


@pytest.mark.slow
def test_a_record_that_a_killed_write_lacks_is_not_complained_of(
    output: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (output / "tiny" / "one" / "checkpoints" / "id.pretrain.json").unlink()
    assert main(argv(tiny_data, output)) == 0
    captured = capsys.readouterr().err
    assert "Stage id.pretrain: finished before" not in captured
    assert "damaged" not in captured
    assert "set aside" not in captured


# --- a folder that goes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("gone", [".", "tiny/one"])
def test_a_folder_that_is_deleted_while_the_run_goes_on(
    gone: str,
    finished: Path,
    tiny_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "output"
    with monkeypatch.context() as patch:
        epoch = at(2, StageTrainer._train_epoch, lambda: shutil.rmtree(output / gone), after=True)
        patch.setattr(StageTrainer, "_train_epoch", epoch)
        assert main(argv(tiny_data, output)) == 4
    path = output / "tiny" / "one"
    error = _one_line(capsys.readouterr().err)
    assert error.startswith(f"{path}: was deleted or moved while the run was going")
    assert error.endswith("give the same command again\n")
    assert main(argv(tiny_data, output)) == 0
    assert {"config.yaml", "run.log", "result.json"} <= snapshot(path).keys()
    assert (output / "tiny" / "latest").resolve() == path.resolve()
    result = (path / "predictions.csv").read_bytes()
    assert result == (finished / "tiny" / "one" / "predictions.csv").read_bytes()
