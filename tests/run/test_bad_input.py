"""Bad input: exit code 2, one line that says what to do, and nothing written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import run_meta

Arguments = Callable[..., list[str]]


@dataclass
class World:
    """A changeable copy of `tiny`, and a way to run on it."""

    root: Path
    arguments: Arguments
    capsys: pytest.CaptureFixture[str]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "data" / "tiny"

    @property
    def log(self) -> Path:
        return self.folder / "tiny.inter"

    @property
    def output(self) -> Path:
        return self.root / "output"

    def edit(self, line: int, column: int, text: str) -> None:
        """Put `text` into a cell of the log; the header is line 1."""
        lines = self.log.read_text().split("\n")
        cells = lines[line - 1].split("\t")
        cells[column] = text
        lines[line - 1] = "\t".join(cells)
        self.log.write_text("\n".join(lines))

    def features(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Replace txt_emb.pth by what `change` makes of its {token: vector}."""
        path = self.folder / "txt_emb.pth"
        content = torch.load(path, weights_only=True)
        torch.save(change(dict(zip(content["item_id"], content["embs"], strict=True))), path)

    def argv(self, **settings: Any) -> list[str]:
        common = {"use_gpu": False, "learners.img.item_feat_emb": "DROP"}
        return self.arguments(self.root / "data", self.output, **{**common, **settings})

    def refused(self, n_lines: int = 1, argv: list[str] | None = None, **settings: Any) -> str:
        """Run, check the exit code, the length of the message and that nothing is written; returns the message."""
        before = sorted(self.root.rglob("*"))
        assert run_meta.main(self.argv(**settings) if argv is None else argv) == 2
        captured = self.capsys.readouterr()
        assert captured.out == ""
        progress, error, message = captured.err.partition("error: ")
        assert error
        assert "Traceback" not in progress
        assert len(message.strip().splitlines()) == n_lines, captured.err
        assert sorted(self.root.rglob("*")) == before
        assert not self.output.exists()
        return message


@pytest.fixture
def world(tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> World:
    skip = shutil.ignore_patterns("images", "ground_truth.npz", "*.csv")
    shutil.copytree(tiny_data / "tiny", tmp_path / "data" / "tiny", ignore=skip)
    return World(tmp_path, arguments, capsys)


# --- the log --------------------------------------------------------------------------------------------------------


def test_no_dataset(world: World) -> None:
    shutil.rmtree(world.folder)
    message = world.refused(n_lines=3)
    lines = message.splitlines()
    assert str(world.log) in lines[0]
    assert "user_id:token, item_id:token" in lines[1]
    assert "timestamp:float" in lines[1]
    assert "python -m mml.synthetic tiny" in lines[2]


@pytest.mark.slow
def test_as_a_process(world: World, repo_root: Path) -> None:
    shutil.rmtree(world.folder)
    command = [sys.executable, "run_meta.py", *world.argv()]
    done = subprocess.run(command, cwd=repo_root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 3
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_no_such_column(column: str, world: World) -> None:
    world.log.write_text(world.log.read_text().replace(f"{column}:token", "other:token", 1))
    message = world.refused()
    assert f"{world.log}, line 1: there is no column '{column}:token'" in message


def test_a_header_without_types(world: World) -> None:
    world.log.write_text(world.log.read_text().replace(":token", "").replace(":float", ""))
    assert "line 1: column 'user_id' is not written name:type" in world.refused()


def test_time_as_a_token(world: World) -> None:
    world.log.write_text(world.log.read_text().replace("timestamp:float", "timestamp:token", 1))
    message = world.refused()
    assert str(world.log) in message
    assert "timestamp:float" in message


def test_an_empty_file(world: World) -> None:
    world.log.write_text("")
    assert f"{world.log} is empty" in world.refused()


def test_a_header_only(world: World) -> None:
    world.log.write_text(world.log.read_text().split("\n")[0] + "\n")
    assert f"{world.log} has a header but no rows." in world.refused()


@pytest.mark.parametrize(("column", "name"), [(0, "user_id"), (1, "item_id"), (2, "timestamp")])
def test_a_missing_value(column: int, name: str, world: World) -> None:
    world.edit(17, column, "")
    world.edit(19, column, "")
    message = world.refused()
    assert f"{world.log}, line 17: no value for '{name}' (2 such lines)" in message


@pytest.mark.parametrize("text", ["yesterday", "2021-09-10", "nan", "inf"])
def test_a_time_that_is_none(text: str, world: World) -> None:
    world.edit(9, 2, text)
    message = world.refused()
    assert f"{world.log}, line 9: " in message
    assert "timestamp" in message


@pytest.mark.parametrize("row", ["u1\ti1", "u1", "u1\ti1\t5\t6", ""])
def test_a_row_with_other_columns(row: str, world: World) -> None:
    lines = world.log.read_text().split("\n")
    lines[11] = row
    world.log.write_text("\n".join(lines))
    message = world.refused()
    assert str(world.log) in message
    assert "12" in message


def test_bytes_that_are_no_text(world: World) -> None:
    world.log.write_bytes(world.log.read_bytes() + b"\xff\xfe\t\xff\t1\n")
    assert str(world.log) in world.refused()


@pytest.mark.parametrize("name", ["tiny.inter", "tiny.item"])
def test_latin_1_and_utf_16(name: str, world: World) -> None:
    path = world.folder / name
    text = path.read_text()
    for encoding in ("latin-1", "utf-16"):
        path.write_bytes(text.replace("\t", "\u00e9\t", 9).encode(encoding))
        message = world.refused()
        assert str(path) in message
        assert "save the file as UTF-8" in message


def test_an_item_file_without_items(world: World) -> None:
    path = world.folder / "tiny.item"
    path.write_text(path.read_text().replace("item_id:token", "thing:token", 1))
    assert f"{path}, line 1: there is no column 'item_id:token'; it has thing, " in world.refused()


def test_a_blank_line_of_items(world: World) -> None:
    path = world.folder / "tiny.item"
    path.write_text("item_id:token\na\nb\n\nc\n\n")
    assert f"{path}, line 4: no value for 'item_id'" in world.refused()


def test_a_carriage_return_inside_a_line(world: World) -> None:
    path = world.folder / "tiny.item"
    lines = path.read_bytes().split(b"\n")
    lines[3] += b"\rmore"
    path.write_bytes(b"\n".join(lines))
    assert f"{path}, line 4: there is a carriage return inside the line" in world.refused()


@pytest.mark.slow
def test_windows_line_ends_are_fine(world: World) -> None:
    for path in (world.log, world.folder / "tiny.item"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run_meta.main(world.argv(pretrain_epochs=1, meta_epochs=0)) == 0


def test_an_output_folder_that_is_a_file(world: World) -> None:
    file = world.root / "file"
    file.write_text("")
    argv = [one for one in world.argv() if not one.startswith("--output_dir")]
    assert f"key 'output_dir': {file} is a file" in world.refused(argv=[*argv, f"--output_dir={file}"])


@pytest.mark.slow
def test_a_diverged_training(world: World) -> None:
    assert run_meta.main(world.argv(pretrain_learning_rate=1e29)) == 2
    said = world.capsys.readouterr().err
    assert "error: id.pretrain, epoch 1: the training loss is " in said
    assert "use a smaller pretrain_learning_rate, or a smaller max_norm in clip_grad_norm." in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "stage"),
    [
        ({"pretrain_learning_rate": 1e29, "pretrain_epochs": 1, "pretrain_batch_size": 4096}, "id.pretrain"),
        ({"learning_rate": 1e29, "meta_epochs": 1, "meta_batch_size": 4096, "valid_user_ratio": 0.0}, "id.meta"),
    ],
)
def test_weights_that_the_last_step_has_broken(settings: dict[str, object], stage: str, world: World) -> None:
    """One step an epoch: the loss before it tells nothing."""
    assert run_meta.main(world.argv(**settings)) == 2
    said = world.capsys.readouterr().err
    assert f"error: {stage}, epoch 1: the largest weight is " in said


# --- the split ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("time", [9_999_999_999, 0])
def test_a_useless_t_names_one_that_works(time: int, world: World) -> None:
    message = world.refused(data_split_time=time)
    assert f"data_split_time {time}: " in message
    suggested = re.search(r"data_split_time=(\d+) would give (\d+) new users", message)
    assert suggested is not None
    assert run_meta.main(world.argv(data_split_time=suggested[1], pretrain_epochs=1, meta_epochs=0)) == 0
    assert f"new_users {suggested[2]}," in world.capsys.readouterr().err


def test_all_users_arrive_at_once(world: World) -> None:
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    rows += [f"u{user}\ti{item}\t{5 + item}" for user in range(9) for item in range(30)]
    world.log.write_text("\n".join(rows))
    message = world.refused()
    assert "no user arrives after it" in message
    assert "would give 0 new users" not in message


def write_log(world: World, old: int, new: int) -> None:
    """Users with `old` interactions before time 1000, and with `new` ones after it, over the same 30 items."""
    rows = ["user_id:token\titem_id:token\ttimestamp:float"]
    for user in range(60):
        begin, length = (user, old) if user < 40 else (1000 + user, new)
        rows += [f"u{user}\ti{(7 * user + step) % 30}\t{begin + step / 100}" for step in range(length)]
    world.log.write_text("\n".join(rows))
    (world.folder / "tiny.item").unlink()


BARE: dict[str, Any] = {"learners.txt.item_feat_emb": "DROP", "data_split_time": 1000}


def test_no_support_to_train_on(world: World) -> None:
    write_log(world, old=2, new=5)
    assert "no old user has 3 interactions up to T" in world.refused(**BARE, meta_epochs=1)


def test_nothing_to_train_on(world: World) -> None:
    write_log(world, old=1, new=5)
    assert "no old user has 2 interactions up to T" in world.refused(**BARE, meta_epochs=0)


@pytest.mark.slow
def test_two_interactions_are_enough_for_plain_training(world: World) -> None:
    write_log(world, old=2, new=5)
    assert run_meta.main(world.argv(**BARE, pretrain_epochs=1, meta_epochs=0)) == 0


def test_no_new_user_is_long_enough(world: World) -> None:
    write_log(world, old=5, new=1)
    message = world.refused(**BARE)
    assert "none of the 20 new users has enough interactions" in message
    write_log_again = world.refused(**BARE, eval_shots="last")
    assert "eval_shots=last" in write_log_again


def test_topk_beyond_the_catalogue(world: World) -> None:
    message = world.refused(topk="[5, 100]")
    assert "key 'topk' asks for 100 items, but tiny has only 60. Set topk to no more, such as topk: [5]." in message


# --- features -------------------------------------------------------------------------------------------------------


def test_no_feature_file(world: World) -> None:
    (world.folder / "txt_emb.pth").unlink()
    message = world.refused()
    assert "key 'learners.txt.item_feat_emb': there is no file txt_emb.pth" in message


def test_vectors_of_unequal_length(world: World) -> None:
    world.features(lambda rows: {token: row[: 3 + place % 2] for place, (token, row) in enumerate(rows.items())})
    message = world.refused()
    assert str(world.folder / "txt_emb.pth") in message
    assert "give every item the same number" in message


def test_a_tensor_of_another_size(world: World) -> None:
    world.features(lambda rows: torch.stack(list(rows.values()))[:7])
    assert "the dataset has 60 items" in world.refused()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(value: float, world: World) -> None:
    def spoil(rows: dict[str, Any]) -> dict[str, Any]:
        rows[list(rows)[4]] = torch.full_like(rows[list(rows)[4]], value)
        return rows

    world.features(spoil)
    message = world.refused()
    assert str(world.folder / "txt_emb.pth") in message
    assert "NaN or infinite numbers (1 of" in message


def test_an_item_twice(world: World) -> None:
    world.features(lambda rows: {"item_id": [*rows, next(iter(rows))], "embs": torch.rand(len(rows) + 1, 4)})
    message = world.refused()
    assert str(world.folder / "txt_emb.pth") in message
    assert "has 2 rows" in message


def test_features_of_another_shop(world: World) -> None:
    world.features(lambda rows: {f"other_{token}": row for token, row in rows.items()})
    message = world.refused()
    assert "none of the dataset's 60 items has a feature row" in message
    assert "txt_emb.pth" in message or "learners.txt" in message


def test_ragged_text_features(world: World) -> None:
    (world.folder / "txt.emb").write_text("item_id:token\ttxt_emb:float_seq\na\t1 2 3\nb\t1 2\n")
    given: dict[str, Any] = {"learners.txt.item_feat_emb": "txt.emb"}
    message = world.refused(**given)
    assert f"{world.folder / 'txt.emb'}, line 3: item 'b' has 2 numbers" in message


def test_a_pickle_is_not_run(world: World) -> None:
    torch.save({"a": np.ones(3)}, world.folder / "txt_emb.pth")
    assert "pickled Python objects" in world.refused()


# --- arguments and config files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--hiden_size=8", "command line: unknown key 'hiden_size'. Did you mean 'hidden_size'?"),
        ("--learners.sound.learning_rate=1", "unknown learner 'sound'"),
        ("--hidden_size", "'--hidden_size' is not of the form --key=value"),
        ("hidden_size=8", "'hidden_size=8' is not of the form --key=value"),
        ("--metrics=[Foo]", "key 'metrics' holds Foo"),
        ("--valid_metric=NDCG", "key 'valid_metric' is 'NDCG'"),
        ("--valid_metric=Foo@10", "key 'valid_metric' is 'Foo@10'"),
        ("--load_col={inter: [user]}", "key 'load_col' names the column 'user', but tiny.inter has user_id, "),
        ("--local_modules=[nonsense]", "local_modules"),
        ("--n_heads=3", "n_heads"),
        ("--enable_amp=True", "use tf32"),
        ("--tf32=yes_please", "key 'tf32'"),
        ("--fusion_weight={sound: 1.0}", "fusion_weight"),
        ("--user_inter_num_interval=[1000,inf)", "user_inter_num_interval"),
        (
            "--val_interval={foo: '[1,2]'}",
            "key 'val_interval': there is no column 'foo' in the files that load_col names; tiny.inter has",
        ),
        ("--normalize_field=[foo]", "key 'normalize_field' has no effect in mml"),
        ("--alias_of_item_id=[foo]", "there is no column 'foo'"),
        ("--rm_dup_inter=middle", "key 'rm_dup_inter' is 'middle'; it must be first, last or ~."),
        ("--valid_metric=ItemCoverage@10", "key 'valid_metric' is 'ItemCoverage@10'"),
        ("--eval_shots=[last, 3]", "key 'eval_shots'"),
        ("--fusion_hidden_size=[64.5]", "key 'fusion_hidden_size'"),
        ("--clip_grad_norm={max_nrom: 5}", "key 'clip_grad_norm'"),
        ("--clip_grad_norm={max_norm: a}", "key 'clip_grad_norm'"),
        ("--hidden_dropout_prob=1.0", "key 'hidden_dropout_prob'"),
        ("--run_name=latest", "key 'run_name' is 'latest'"),
        ("--run_name=../elsewhere", "key 'run_name' is '../elsewhere'"),
    ],
)
def test_a_bad_argument(argument: str, message: str, world: World) -> None:
    assert message in world.refused(argv=[*world.argv(), argument])


def test_a_bad_config_file(world: World) -> None:
    file = world.root / "mine.yaml"
    file.write_text("hiden_size: 8\n")
    message = world.refused(argv=[*world.argv(), "--config_files", str(file)])
    assert f"{file}: unknown key 'hiden_size'. Did you mean 'hidden_size'?" in message


@pytest.mark.parametrize("source", ["{columns: [nonsense]}", "{columns: []}", "{encoder: tfidf}"])
def test_a_source_is_checked_before_anything_is_written(source: str, world: World) -> None:
    settings: dict[str, Any] = {"learners.txt.item_feat_emb": "DROP", "learners.txt.source": source}
    assert "learners.txt.source" in world.refused(**settings)
