"""RecBole's keys and forms of files: each acts, or is refused in one line, or is counted and said."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import numpy as np
import pytest
import recbole
import yaml
from recbole.utils import argument_list

import mml
from mml.cli.main import main
from mml.config import keys as config_keys
from mml.config.config import Config
from mml.config.recbole_defaults import recbole_defaults
from mml.data import dataset as dataset_module
from mml.data.dataset import MMLDataset
from mml.data.filters import parse_intervals, within
from mml.data.recbole_dataset import AtomicDataset
from mml.data.settings import LogSettings
from mml.errors import InputError
from mml.settings import keys_of
from tests.data.small_log import HEADER, load_log, small_rows, write_log

RATED = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")


def rated_rows() -> list[list[str]]:
    return [[user, item, str(number % 5), time] for number, (user, item, time) in enumerate(small_rows())]


def refused(folder: Path, *argv: str) -> str:
    with pytest.raises(InputError) as caught:
        load_log(folder, *argv)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the time column --------------------------------------------------------------------------------------------------


def test_named_fields_are_loaded_whatever_load_col_says(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    expected = load_log(tmp_path)
    rows = [small_rows()[place] for place in np.random.default_rng(1).permutation(len(small_rows()))]
    write_log(tmp_path, rows, header=("who:token", "what:token", "time:float"))
    fields = ["--USER_ID_FIELD=who", "--ITEM_ID_FIELD=what", "--TIME_FIELD=time"]
    for more in ([], ["--load_col={inter: [who]}"], ["--load_col={item: [item_id]}"], ["--load_col=~"]):
        dataset = load_log(tmp_path, *fields, *more)
        assert dataset.has_time
        assert dataset.fingerprint(True) == expected.fingerprint(True)


def test_row_order_is_said_with_the_columns_that_are_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_log(tmp_path, small_rows(), header=("user_id:token", "item_id:token", "time:float"))
    with caplog.at_level(logging.WARNING):
        assert not load_log(tmp_path).has_time
    lines = [record.getMessage() for record in caplog.records if "log.inter" in record.getMessage()]
    assert len(lines) == 1
    assert "no column 'timestamp', it has user_id, item_id, time" in lines[0]
    assert "set TIME_FIELD" in lines[0]
    message = refused(tmp_path, "--data_split_time=1600000000")
    assert "key 'data_split_time' is a time, but log.inter has no column 'timestamp'" in message


def test_a_time_field_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    message = refused(tmp_path, "--TIME_FIELD=timestmp")
    assert "key 'TIME_FIELD' is 'timestmp', but log.inter has user_id, item_id, timestamp; name its" in message


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--threshold={rating: 3}", "key 'threshold' has no effect in mml; use val_interval"),
        ("--threshold=3", "key 'threshold' has no effect"),
        (
            "--val_interval={rating: 3}",
            "key 'val_interval.rating' has the value 3, which is no interval; write it as \"[3",
        ),
        ("--val_interval={rating: abc}", "has the value 'abc', which is no interval"),
        ('--val_interval={rating: "(5,inf"}', "has the value '(5,inf', which is no interval"),
        ('--val_interval={rating: "[5,3]"}', "no interval"),
        ('--val_interval={rating: "[nan,3]"}', "no interval"),
        ("--val_interval=3", "key 'val_interval' is 3; it must be a mapping"),
        (
            '--val_interval={nothing: "[1,2]"}',
            "no column 'nothing' in the files that load_col names; log.inter has user_id",
        ),
        ('--val_interval={rating: "[100,inf)"}', "key 'val_interval' leaves no row of the log"),
        ("--val_interval={user_id: u001}", "key 'val_interval.user_id' is 'u001'; for a token column write a list"),
        ("--user_inter_num_interval=abc", "key 'user_inter_num_interval' has the value 'abc'"),
        ("--item_inter_num_interval=[5", "item_inter_num_interval"),
        (
            "--unload_col={inter: [timestamp]}",
            "key 'unload_col' leaves out 'timestamp' of log.inter, but every run needs",
        ),
        ("--unload_col={inter: [nothing]}", "key 'unload_col' names the column 'nothing', but log.inter has"),
        ("--unload_col={item: [colour]}", "key 'unload_col' names the column 'colour' of log.item, but there is none."),
        (
            "--unload_col={user: [user_id]}",
            "key 'unload_col' names the column 'user_id' of log.user, but there is none.",
        ),
        (
            "--load_col={inter: [rating], user: [age]}",
            "key 'load_col' names the column 'age' of log.user, but there is",
        ),
        (
            "--val_interval={user_id: [u01, u02]}",
            "key 'val_interval.user_id': no row has 'u01', 'u02'. Did you mean 'u0",
        ),
        (
            "--val_interval={user_id: [1, 2]}",
            "no row has '1', '2'. There are u000, u001, u002, u003, u004 and 35 more.",
        ),
        ("--unload_col=rating", "key 'unload_col' is 'rating'; it must be a mapping"),
        ("--load_col={inter: rating}", "key 'load_col.inter' is 'rating'; it must be a list"),
        ("--load_col={link: [x]}", "key 'load_col' names the file 'link'; mml reads inter, item, user"),
        ("--rm_dup_inter=middle", "key 'rm_dup_inter' is 'middle'; it must be first, last or ~."),
        ("--alias_of_item_id=[rating]", "key 'alias_of_item_id': 'rating' is a float; ids are tokens"),
        ("--alias_of_item_id=rating", "key 'alias_of_item_id' is 'rating'; it must be a list"),
        ("--normalize_field=[timestamp]", "key 'normalize_field' has no effect in mml; use learners.<name>.source"),
        ("--normalize_all=True", "key 'normalize_all' has no effect in mml; use learners.<name>.source with the enc"),
        ("--unused_col={inter: [rating]}", "key 'unused_col' has no effect in mml; use unload_col"),
        ("--alias_of_user_id=[rating]", "key 'alias_of_user_id' has no effect in mml: users are those of USER_ID"),
        ("--HEAD_ENTITY_ID_FIELD=head", "key 'HEAD_ENTITY_ID_FIELD' has no effect in mml: no knowledge graph is read"),
        ("--LABEL_FIELD=3", "key 'LABEL_FIELD' has the value 3; it must be text."),
        ("--seq_len={rating: 4}", "key 'seq_len' names 'rating', which is no token_seq of log.item that this run"),
        ("--seq_len=4", "key 'seq_len' is 4; it must be a mapping"),
        ("--field_separator=", "key 'field_separator' is ''; it must be what stands between"),
        ("--benchmark_filename=[]", "benchmark_filename"),
    ],
)
def test_what_cannot_act_is_refused_in_one_line(argument: str, message: str, tmp_path: Path) -> None:
    write_log(tmp_path, rated_rows(), header=RATED)
    assert message in refused(tmp_path, argument)


def test_a_filter_loads_its_column_and_is_counted(tmp_path: Path) -> None:
    rows = rated_rows()
    write_log(tmp_path, [row for row in rows if float(row[2]) >= 3], header=RATED)
    expected = load_log(tmp_path)
    write_log(tmp_path, rows, header=RATED)
    for one in ('--val_interval={rating: "[3,inf)"}', "--val_interval={rating: [3, 9]}"):
        dataset = load_log(tmp_path, one)
        assert dataset.fingerprint(True) == expected.fingerprint(True)
        left = sum(float(row[2]) < 3 for row in rows)
        assert dataset.summary()["dropped_rows"]["val_interval"] == left
    assert load_log(tmp_path, "--unload_col={inter: [rating]}").summary()["interactions"]


def test_tokens_of_a_filter_that_are_in_no_row_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [[*row, "shoes" if n % 9 else "hats"] for n, row in enumerate(small_rows())]
    write_log(tmp_path, rows, header=(*HEADER, "category:token"))
    expected = load_log(tmp_path, "--val_interval={category: [shoes]}").fingerprint(True)
    assert "val_interval" not in caplog.text
    with caplog.at_level(logging.WARNING):
        one = load_log(tmp_path, "--val_interval={category: [shoes, hat, 7, true]}")
    assert one.fingerprint(True) == expected
    said = [text for text in caplog.messages if "val_interval" in text]
    assert said == ["config: key 'val_interval.category': no row has 'hat', '7', 'True'. Did you mean 'hats'?"]


def test_what_unload_col_names_of_a_file_that_is_not_read(tmp_path: Path) -> None:
    wide_log(tmp_path)
    message = refused(tmp_path, "--unload_col={user: [age]}")
    assert "names the column 'age' of log.user, but load_col names nothing of it; set load_col.user." in message
    assert "'clas', but log.item has" in refused(tmp_path, "--unload_col={item: [clas]}")
    write_log(tmp_path, small_rows(), header=("user_id:token", "item_id:token", "time:float"))
    assert "names the column 'timestamp', but log.inter has" in refused(tmp_path, "--unload_col={inter: [timestamp]}")


def test_a_filter_of_items_by_a_misspelt_token(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    write_log(
        tmp_path, [[f"i{n:03}", "ab"[n % 2]] for n in range(24)], ("item_id:token", "kind:token"), name="log.item"
    )
    given = ["--load_col={inter: [user_id, item_id, timestamp], item: [item_id, kind]}"]
    given += ["--filter_inter_by_user_or_item=True"]
    message = refused(tmp_path, *given, "--val_interval={kind: [A]}")
    assert "key 'val_interval.kind': no row has 'A'. Did you mean 'a'?" in message
    assert load_log(tmp_path, *given, "--val_interval={kind: [a]}").summary()["dropped_rows"]


def test_intervals() -> None:
    values = np.array([-1.0, 0, 2.5, 3, 5, 7, np.nan, np.inf])
    both = (values >= 0) & (values < 3) | (values > 5) & (values <= np.inf)
    assert within(values, parse_intervals("[0,3); (5, inf]", "key")).tolist() == both.tolist()
    assert within(values, parse_intervals("(-inf,0]", "key")).tolist() == (values <= 0).tolist()


def test_every_dropped_row_is_counted(tmp_path: Path) -> None:
    rows = small_rows() + small_rows()[:7]
    write_log(tmp_path, rows)
    summary = load_log(tmp_path, "--rm_dup_inter=first", "--cold_user_max_inter=4", "--eval_shots=[1, 3]").summary()
    assert summary["dropped_rows"]["rm_dup_inter"] == 7
    assert summary["interactions"] == len(rows) - 7 - summary["dropped_rows"].get("of_old_users_after_T", 0)


def test_a_fault_of_recbole_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_log(tmp_path, small_rows())
    monkeypatch.setattr(AtomicDataset, "_load_user_or_item_feat", lambda *_: 3)  # no table, so RecBole stumbles
    with pytest.raises(InputError, match="RecBole's data keys do not fit the data"):
        load_log(tmp_path)


def test_a_fault_of_ours_is_not_blamed_on_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    write_log(tmp_path, small_rows())
    monkeypatch.setattr(dataset_module, "split_users", broken)
    with pytest.raises(KeyError, match="ours"):
        load_log(tmp_path)


# --- all of RecBole's keys --------------------------------------------------------------------------------------------

WIDE = ("user_id:token", "item_id:token", "rating:float", "next:token", "timestamp:float")
LOADED = (
    "--load_col={inter: [user_id, item_id, rating, next, timestamp], item: [item_id, class, year], user: [user_id]}"
)
ACTS = {
    "alias_of_item_id": "[next]",
    "benchmark_filename": "[one, two]",
    "field_separator": ";",
    "filter_inter_by_user_or_item": "True",
    "item_inter_num_interval": "[9,inf)",
    "load_col": "{inter: [user_id, item_id]}",
    "rm_dup_inter": "last",
    "seq_len": "{class: 1}",
    "seq_separator": "/",
    "unload_col": "{inter: [rating]}",
    "user_inter_num_interval": "[5,inf)",
    "val_interval": '{rating: "[2,inf)"}',
    "ITEM_ID_FIELD": "next",
    "MAX_ITEM_LIST_LENGTH": "3",
    "TIME_FIELD": "rating",
    "USER_ID_FIELD": "next",
    "repeatable": "True",
}
"""RecBole's keys of data that are legal here -> a value that makes other data of `wide_log`'s."""


def names_of_recbole() -> list[str]:
    """All that its defaults, and its lists of arguments, name."""
    folder = Path(recbole.__file__).parent / "properties"
    files = [folder / "overall.yaml", folder / "dataset" / "sample.yaml", *folder.glob("quick_start_config/*.yaml")]
    names = {name for file in files for name in yaml.safe_load(file.read_text(encoding="utf-8"))}
    lists = ("general_arguments", "training_arguments", "evaluation_arguments", "dataset_arguments")
    return sorted(names.union(*(getattr(argument_list, one) for one in lists)))


def wide_log(folder: Path) -> None:
    """A log with a rating, a second item and repeats, of which `.item` and `.user` lack some."""
    again = [[user, item, str(int(time) + 5000)] for user, item, time in small_rows()[-30:]]
    rows = [
        [user, item, str(number % 5), f"i{(int(item[1:]) + 9) % 30:03}", time]
        for number, (user, item, time) in enumerate(small_rows() + again)
    ]
    write_log(folder, rows, header=WIDE)
    for number, name in enumerate(("one", "two")):
        write_log(folder, rows[number * 100 :: 2], header=WIDE, name=f"log.{name}.inter")
    write_log(folder, [[f"i{n:03}", f"a b/c{n % 3}", str(n)] for n in range(20)], WIDE_ITEM, name="log.item")
    write_log(folder, [[f"u{n:03}"] for n in range(35)], ("user_id:token",), name="log.user")


WIDE_ITEM = ("item_id:token", "class:token_seq", "year:float")


def seen(folder: Path, *argv: str) -> object:
    """All that a run may see of the data, or why there is none."""
    try:
        data = load_log(folder, LOADED, *argv)
    except InputError as error:
        return str(error)
    prints = data.fingerprint(True), data.times_fingerprint(), data.attributes_fingerprint()
    tasks = data.test_tasks()[0]
    return prints, data.summary(), list(data.inter_feat), data.max_item_list_len, tasks.inputs(slice(None)).tolist()


@pytest.mark.parametrize("name", names_of_recbole())
def test_each_key_of_recbole_acts_or_is_refused_or_changes_nothing(name: str, tmp_path: Path) -> None:
    """There is no fourth: a key that is passed over."""
    data_keys = config_keys.recbole_data_keys() | {key for key in keys_of(LogSettings)} | {"repeatable"}
    known = [
        name in data_keys,
        name in config_keys.declared().keys() - data_keys,
        name in config_keys.NAMES_INSIDE,
        name in config_keys.USE_INSTEAD,
        name in config_keys.NOTHING_TO_USE,
    ]
    assert sum(known) == 1
    if name in data_keys:
        wide_log(tmp_path)
        assert seen(tmp_path, f"--{name}={ACTS[name]}") != seen(tmp_path)
    elif name in config_keys.NAMES_INSIDE:
        wide_log(tmp_path)
        plain = Config("log", arguments=[f"--data_path={tmp_path}"])
        for value in ("item_id", "rating", "x", ""):
            assert seen(tmp_path, f"--{name}={value}") == seen(tmp_path)
            named = Config("log", arguments=[f"--data_path={tmp_path}", f"--{name}={value}"])
            assert named.of_stage("meta_test") == plain.of_stage("meta_test")
    elif name not in config_keys.declared():
        switch = recbole_defaults().get(name) is not True  # what is on by default asks for something where it is off
        for wrong in (switch, "[1,2]", ["x"], {"a": 1}):
            with pytest.raises(InputError, match=rf"^here: key '{name}' has no effect in mml[;:] "):
                config_keys.check({name: wrong}, "here")


def test_keys_of_older_recboles_say_what_stands_for_them() -> None:
    older = {
        "neg_sampling": "loss_type",
        "eval_setting": "data_split_time, valid_user_ratio and eval_shots",
        "min_user_inter_num": "user_inter_num_interval",
        "lowest_val": "val_interval",
        "config_file_list": "config_files",
    }
    with pytest.raises(InputError) as refused:
        config_keys.check(dict.fromkeys(older, 1), "here")
    assert str(refused.value).splitlines() == [
        f"here: key '{name}' has no effect in mml; use {instead}." for name, instead in older.items()
    ]


def test_what_is_off_anyhow_is_legal_and_no_other_run(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    plain = Config("log", arguments=[f"--data_path={tmp_path}"])
    off = ["--normalize_all=False", "--normalize_field=~", "--unused_col=~", "--alias_of_user_id=~", "--transform=~"]
    off += ["--threshold=~", "--train_neg_sample_args=~", "--save_dataset=False", "--enable_amp=False", "--epochs=~"]
    off += ["--preload_weight=~", "--eval_args={}", "--log_wandb=False", "--dataset_save_path=~", "--worker=0"]
    given = Config("log", arguments=[f"--data_path={tmp_path}", *off])
    assert given.of_stage("meta_test") == plain.of_stage("meta_test")
    assert given.external_config_dict == plain.external_config_dict | {"data_path": str(tmp_path)}


@pytest.mark.parametrize("name", ["overall.yaml", "dataset/sample.yaml"])
def test_recboles_own_files_load(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_log(tmp_path, small_rows())
    file = Path(recbole.__file__).parent / "properties" / name
    config = Config("log", [str(file)], arguments=[f"--data_path={tmp_path}"])
    MMLDataset(config)
    idle = config_keys.USE_INSTEAD.keys() | config_keys.NOTHING_TO_USE.keys()
    assert not idle & config.external_config_dict.keys()
    said = [
        f"{file}: without effect in mml, at RecBole's defaults: checkpoint_dir (use output_dir), epochs (use "
        "pretrain_epochs and meta_epochs), train_batch_size (use pretrain_batch_size and meta_batch_size), "
        "train_neg_sample_args (use loss_type), eval_args (use data_split_time, valid_user_ratio and eval_shots)."
    ]
    assert [one for one in caplog.messages if "without effect" in one] == (said if name == "overall.yaml" else [])


def test_what_a_file_of_recbole_asks_for_is_refused_at_once(tmp_path: Path) -> None:
    own = Path(recbole.__file__).parent / "properties" / "overall.yaml"
    text = own.read_text().replace("epochs: 300 ", "epochs: 50 ").replace("shuffle: True ", "shuffle: False ")
    text = text.replace("log_wandb: False ", "log_wandb: True ").replace("order: RO ", "order: TO ")
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("valid_metric_bigger: True ", "valid_metric_bigger: False "))
    with pytest.raises(InputError) as refused:
        Config("log", [str(file)], arguments=[f"--data_path={tmp_path}"])
    keys = ["log_wandb", "shuffle", "epochs", "eval_args", "valid_metric_bigger"]
    assert [line.split("'")[1] for line in str(refused.value).splitlines()] == keys


def test_every_declared_key_is_read_somewhere() -> None:
    """By mml, or by the part of RecBole that runs here."""
    package = Path(mml.__file__).parent
    trainer = Path(recbole.__file__).parent / "trainer" / "trainer.py"
    read = {
        node.attr if isinstance(node, ast.Attribute) else node.value
        for path in [*package.rglob("*.py"), trainer]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    }
    assert not config_keys.declared().keys() - read


def test_a_filter_of_items_takes_rows_or_is_refused(tmp_path: Path) -> None:
    wide_log(tmp_path)
    only = '--val_interval={year: "[9,inf)"}'
    assert "'year' is a column of log.item; set filter_inter_by_user_or_item: True" in refused(tmp_path, only)
    summary = load_log(tmp_path, only, "--filter_inter_by_user_or_item=True").summary()
    left = sum(not 9 <= int(item[1:]) < 20 for _, item, _ in [*small_rows(), *small_rows()[-30:]])
    assert summary["dropped_rows"]["filter_inter_by_user_or_item"] >= left


# --- forms of files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n\n", "\n\n\n", "\n\r\n", ""])
def test_blank_lines_at_the_end(end: str, tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    expected = load_log(tmp_path)
    write_log(tmp_path, small_rows(), end=end)
    dataset = load_log(tmp_path)
    assert dataset.fingerprint(True) == expected.fingerprint(True)
    assert dataset.summary() == expected.summary()


def test_a_blank_line_inside_is_said(tmp_path: Path) -> None:
    path = write_log(tmp_path, small_rows())
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:5], "", *lines[5:]]))
    assert f"{path}, line 6: the line is blank; mend or remove" in refused(tmp_path)


@pytest.mark.parametrize(
    ("separator", "argument"),
    [
        (",", "--field_separator=,"),
        (",", "--field_separator=','"),
        (" ", "--field_separator= "),
        ("\t", "--field_separator=\\t"),
        ("||", "--field_separator=||"),
    ],
)
def test_separators_are_taken_as_they_are(separator: str, argument: str, tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    expected = load_log(tmp_path).fingerprint(True)
    write_log(tmp_path, small_rows(), separator=separator)
    assert load_log(tmp_path, argument).fingerprint(True) == expected


def test_quoted_cells_where_commas_separate(tmp_path: Path) -> None:
    rows = [[user, f'"shoe, {item}"', time] for user, item, time in small_rows()]
    write_log(tmp_path, rows, separator=",", end="\n\n")
    dataset = load_log(tmp_path, "--field_separator=,")
    assert len(set(dataset.item_tokens)) == 25
    assert str(dataset.item_tokens[1]).startswith("shoe, i0")
    write_log(tmp_path, [*rows, ["u1", '"a\nb"', "5"]], separator=",")
    assert "a quoted cell goes on in the next line" in refused(tmp_path, "--field_separator=,")
    write_log(tmp_path, [rows[0], [*rows[1], "more"], *rows[2:]], separator=",")
    assert "line 3: 4 columns, but the header names 3" in refused(tmp_path, "--field_separator=,")


@pytest.mark.parametrize("kind", ["float", "token_seq"])
@pytest.mark.parametrize("place", [0, 1])
def test_ids_are_tokens(kind: str, place: int, tmp_path: Path) -> None:
    header = list(HEADER)
    name = header[place].partition(":")[0]
    header[place] = f"{name}:{kind}"
    write_log(tmp_path, small_rows(), header=header)
    assert f"line 1: column '{name}' is {name}:{kind}, but ids must be {name}:token." in refused(tmp_path)


def test_repeats_name_their_mend(tmp_path: Path) -> None:
    write_log(tmp_path, [row for row in small_rows() for _ in range(2)])
    message = refused(tmp_path)
    assert "is an item of the user's own history" in message
    assert "set repeatable: True, or drop repeats by rm_dup_inter: first" in message
    assert load_log(tmp_path, "--repeatable=True").summary()["evaluated_cases"]
    assert load_log(tmp_path, "--rm_dup_inter=first").summary()["evaluated_cases"]


def test_repeated_targets_are_counted(tmp_path: Path) -> None:
    rows = small_rows()
    rows += [[user, item, str(int(time) + 30)] for user, item, time in rows if user in ("u038", "u039")]
    write_log(tmp_path, rows)
    summary = load_log(tmp_path).summary()
    assert summary["skipped_cases"]["target_in_history"] > 0


@pytest.mark.parametrize("argument", [None, "--benchmark_filename=[train,valid,test]"])
def test_parts_of_a_log_are_one_log(argument: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = small_rows()
    path = write_log(tmp_path, rows)
    expected = load_log(tmp_path).fingerprint(True)
    path.unlink()
    for number, part in enumerate(("train", "valid", "test")):
        write_log(tmp_path, rows[number::3], name=f"log.{part}.inter")
    with caplog.at_level(logging.WARNING):
        assert load_log(tmp_path, *([argument] if argument else [])).fingerprint(True) == expected
    assert "log.train.inter, log.valid.inter, log.test.inter are read as one log" in caplog.text


def test_other_parts_are_named(tmp_path: Path) -> None:
    write_log(tmp_path, small_rows(), name="log.old.inter")
    message = refused(tmp_path)
    assert "The folder has log.old.inter." in message
    assert "benchmark_filename" in message
    assert "log.new.inter does not exist. The folder has log.old.inter." in refused(
        tmp_path, "--benchmark_filename=[old,new]"
    )


def test_lists_in_the_log_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [[*row, "a b"] for row in small_rows()]
    write_log(tmp_path, rows, header=(*HEADER, "item_id_list:token_seq"))
    with caplog.at_level(logging.WARNING):
        dataset = load_log(tmp_path)
    assert "item_id_list:token_seq are ignored" in caplog.text
    assert dataset.summary()["ignored_columns"] == ["item_id_list"]


def test_numbers_are_no_features_of_recboles_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide_log(tmp_path)
    places = [f"--data_path={tmp_path}", f"--output_dir={tmp_path / 'out'}", "--use_gpu=False", "--topk=[5]"]
    assert main(["baseline", "SASRecF", "--dataset", "log", *places, "--selected_features=[year]"]) == 2
    error = capsys.readouterr().err
    assert "key 'selected_features': 'year' of " in error
    assert "is a float, which SASRecF passes over; take some of ['class']." in error
