"""What `mml check` says about data with one thing wrong each."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from mml.checking.command import check, main
from mml.checking.dataset import check_dataset
from mml.checking.features import _constant
from mml.checking.finding import Finding, by_level
from mml.checking.log import Log, check_log, repeats, same_moment
from mml.checking.matching import why_unmatched, written_twice
from mml.config.config import Config
from mml.data import dataset
from mml.errors import InputError, MachineError
from mml.files.faults import cannot_read
from tests.data.small_log import small_rows, write_log


def argv(folder: Path, *more: str) -> list[str]:
    return [f"--data_path={folder}", f"--output_dir={folder / 'output'}", "--use_gpu=False", "--topk=[5]", *more]


def texts(folder: Path, *more: str) -> list[str]:
    return [str(finding) for finding in check("log", (), argv(folder, *more))]


def scaled(folder: Path, *more: str) -> list[str]:
    """As `texts`, where RecBole scales columns, as its own files for its datasets ask for."""
    config = Config("log", arguments=argv(folder, *more))
    config["normalize_all"] = True
    return [str(finding) for finding in check_dataset(dataset.MMLDataset(config))]


def found(lines: list[str], *parts: str) -> bool:
    return any(all(part in line for part in parts) for line in lines)


def test_a_plain_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_log(tmp_path, small_rows())
    assert main(["log", *argv(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "note: Times run from 2020-09-13 12:26 to 2020-09-15" in printed
    assert "8 of 40 (20 %) users are new" in printed
    assert "Cases by interactions known (eval_shots): 8 after 0, 8 after 1, " in printed
    assert printed.endswith("log: 0 error(s), 2 warning(s).\n")


@pytest.mark.parametrize(
    ("key", "earlier", "later"),
    [
        ("--data_split_quantile=0.8", "Set a smaller data_split_quantile.", "or set a larger data_split_quantile."),
        ("--data_split_time=1600100000", "Set an earlier data_split_time.", "or set a later data_split_time."),
        ("--new_users_file=new.txt", "List other users in new_users_file.", "or list other users in new_users_file."),
    ],
)
def test_few_users_are_mended_by_the_key_that_parts_them(
    key: str, earlier: str, later: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path, small_rows())
    Path("new.txt").write_text("u036\nu037\nu038\n")
    lines = texts(tmp_path, key)
    assert found(lines, "differences between methods may be chance", earlier)
    assert found(lines, "validation users choose epochs", f"Raise valid_user_ratio, {later}")
    assert found(lines, "fewer than 3 interactions up to T: encoders") == ("new_users" not in key)


def test_what_a_run_would_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", *argv(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().out


@pytest.mark.parametrize(("most", "keys", "said"), [(1, (), "2"), (2, (), None), (2, ("--meta_epochs=1",), "3")])
def test_old_users_that_are_all_too_short(most: int, keys: tuple[str, ...], said: str | None, tmp_path: Path) -> None:
    """Plain training needs two interactions of somebody, meta-training three; once three were always asked for."""
    write_log(tmp_path, [row for row in small_rows() if row[0] >= "u032" or _place(row) < most])
    wanted = f"no old user has {said} interactions up to T"
    assert found(texts(tmp_path, *keys), "error: ", wanted) == (said is not None)


def _place(row: list[str]) -> int:
    return (int(row[2]) - 1_600_000_000) % 3600 // 60


def test_validation_users_who_can_choose_nothing(tmp_path: Path) -> None:
    write_log(tmp_path, [row for row in small_rows() if not "u029" <= row[0] < "u032" or _place(row) < 1])
    assert found(texts(tmp_path), "warning: No validation user has two interactions: all epochs", "valid_user_ratio")
    assert not found(texts(tmp_path), "Only 0")


def test_a_fault_of_the_machine_is_none_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_log(tmp_path, small_rows())

    def broken(*_: object, **__: object) -> None:
        raise cannot_read("log.inter", OSError(errno.EIO, "Input/output error"))

    monkeypatch.setattr(dataset, "load_item_features", broken)
    assert main(["log", *argv(tmp_path)]) == 4
    printed = capsys.readouterr()
    assert printed.err == "error: log.inter: cannot be read (Input/output error); check the disk\n"
    assert "error(s)" not in printed.out
    assert logging.root.manager.disable == logging.NOTSET


def test_a_fault_stays_one_wherever_it_is_found() -> None:
    assert type(MachineError("full").said_of("config: key 'a'")) is MachineError
    assert str(InputError("odd").said_of("config: key 'a'")) == "config: key 'a': odd"


def test_times(tmp_path: Path) -> None:
    rows = small_rows()
    write_log(tmp_path, [[user, item, f"{time}000"] for user, item, time in rows])
    assert found(texts(tmp_path), "warning: Times look like milliseconds", "Divide them by 1000")
    write_log(tmp_path, rows, header=("user_id:token", "item_id:token", "when:float"))
    assert found(texts(tmp_path), "warning: There is no time column")
    write_log(tmp_path, [[user, item, str(int(time) // 3600 * 3600)] for user, item, time in rows])
    lines = texts(tmp_path)
    assert found(lines, "targets are at the same time as their neighbour", "warning")
    odd = check_texts(np.array([4070908800, 1.6e9, -2209161600, 1.7e9]))
    assert found(odd, "note: Times run from 1899-12-30 00:00 to 2099-01-01 00:00.")
    assert found(odd, "warning: 2 of 4 (50 %) times are before 1990 or more than a year from now, such as 2099-01-01")
    assert found(check_texts(np.array([0, 1.6e9, 1.6e9, 1.7e9])), "warning: 1 of 4 ", "such as 1970-01-01 00:00.")
    assert found(check_texts(np.array([0.0, 1.0, 2.0, 3.0])), "note: Times run from 0 to 3.")
    assert found(check_texts(np.full(4, 7.0)), "warning: Every row has the same time")
    tied = check_texts(np.array([3.0, 1.0, 1.0, 2.0]))
    assert found(tied, "note: 2 of 2 (100 %) users arrive at the same time as another")
    assert not any("arrive at the same" in line for line in check_texts(np.array([3.0, 1.0, 2.0, 2.0])))


def test_one_time_for_all_is_an_error_only_without_a_list_of_new_users(tmp_path: Path) -> None:
    """With one a run trains; the check refused it."""
    write_log(tmp_path, [[user, item, "1600000000"] for user, item, _ in small_rows()])
    (tmp_path / "users.txt").write_text("u039\n")
    assert found(texts(tmp_path), "error: ", "no time parts old from new", "new_users_file")
    lines = texts(tmp_path, f"--new_users_file={tmp_path / 'users.txt'}")
    assert found(lines, "warning: Every row has the same time, 2020-09-13 12:26")
    assert not found(lines, "error: ")


def test_times_within_a_second_are_no_ties(tmp_path: Path) -> None:
    """They were said to be, though the log is sorted by them."""
    rows = [
        [user, item, f"{1_600_000_000 + (int(time) - 1_600_000_000) / 1e6:.6f}"] for user, item, time in small_rows()
    ]
    write_log(tmp_path, rows)
    assert not found(texts(tmp_path), "at the same time")


@pytest.mark.parametrize(("gap", "said"), [(1.0, ""), (90.0, ""), (110.0, "53%"), (1e7, "100%")])
def test_a_stretch_without_anybody(gap: float, said: str) -> None:
    times = np.arange(100.0) + gap * (np.arange(100) >= 60)
    rows = Log(np.arange(100), np.arange(100), times)
    lines = [str(one) for one in check_log(rows, False) if "nobody did anything" in one.text]
    assert len(lines) == bool(said)
    if said:
        assert lines[0].startswith(
            f"warning: From 59 to {60 + gap:.15g}, {said} of the log's time, nobody did anything."
        )
    few = Log(rows.users[:99], rows.items[:99], times[:99])
    assert not any("nobody did anything" in one.text for one in check_log(few, False))


def check_texts(times: np.ndarray | None) -> list[str]:
    return [str(one) for one in check_log(Log(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), times), False)]


def test_times_are_those_of_the_file_where_columns_are_scaled(tmp_path: Path) -> None:
    rows = small_rows()
    write_log(tmp_path, [*rows, ["u000", "i000", "1600300000"], ["u000", "i001", "1600300000"]])
    plain = texts(tmp_path)
    assert scaled(tmp_path) == plain
    assert found(plain, "note: Times run from 2020-09-13 12:26 to 2020-09-15 0")
    assert found(plain, "2 rows are of old users after T")
    assert not found(plain, "at the same time as another of their")  # the two late rows are left out by the split
    (tmp_path / "users.txt").write_text("u039\n")
    listed = scaled(tmp_path, f"--new_users_file={tmp_path / 'users.txt'}")
    assert found(listed, f"2 of {len(rows) + 2} (", "rows are at the same time as another of their user")


@pytest.mark.parametrize(("log", "item"), [("000{}", "{}"), ("{}", "000{}")])
def test_zeros_that_the_log_or_the_item_file_has_lost(log: str, item: str, tmp_path: Path) -> None:
    numbers = {f"i{number:03}": str(number) for number in range(24)}
    write_log(tmp_path, [[user, log.format(numbers[one]), time] for user, one, time in small_rows()])
    lines = "".join(f"{item.format(number)}\tred shoe {number}\n" for number in numbers.values())
    (tmp_path / "log" / "log.item").write_text(f"item_id:token\ttitle:token_seq\n{lines}")
    first = f"('{log.format(0)}' and '{item.format(0)}')"
    said = f"24 would match but for lost leading zeros {first}: keep ids as text, not as numbers."
    for more in ([], ["--learners.txt.source={columns: [title]}"]):
        assert found(texts(tmp_path, *more), f"warning: 0 of 24 (0 %) of the log's items are in log.item. {said}")


@pytest.mark.parametrize(("clicks", "is_said"), [(4000, True), (500, False)])
@pytest.mark.parametrize("user", ["u001", "robot"])
def test_a_user_with_much_of_the_log(user: str, clicks: int, is_said: bool, tmp_path: Path) -> None:
    """An old user, whose clicks come after T, and a new one."""
    clicked = [[user, "i003", str(1_600_000_000 + 3600 * 35 + step)] for step in range(clicks)]
    rows = small_rows()
    write_log(tmp_path, [*rows, *clicked])
    n = clicks + sum(row[0] == user for row in rows)
    n_on_one = clicks + sum(row[:2] == [user, "i003"] for row in rows)
    said = f"such as '{user}' with {n:,} of {len(rows) + clicks:,}"
    assert found(texts(tmp_path), "warning: 1 user has", said, f"{n_on_one:,} of them of one item.") == is_said
    assert not found(texts(tmp_path, "--data_split_quantile=0.5"), "2 users have")


@pytest.mark.parametrize(("n_early", "is_warned"), [(0, False), (6, True)])
def test_when_items_came(n_early: int, is_warned: bool, tmp_path: Path) -> None:
    write_log(tmp_path, small_rows())
    launches = [1_600_500_000] * n_early + [1_500_000_000] * (24 - n_early)
    rows = [[f"i{item:03}", str(when)] for item, when in enumerate(launches)]
    write_log(
        tmp_path, [*rows, ["later", "1700000000"], ["some", ""]], ("item_id:token", "launch:float"), name="log.item"
    )
    lines = texts(tmp_path)
    assert found(
        lines,
        "note: Launches: 25 of 26 (96.2 %) items say when they came, from 2017-07-14 02:40 to 2023-11-14 22:13; "
        f"{n_early + 1} after T.",
    )
    assert (
        found(lines, "warning: ", "interactions up to T are with items that came later by their launch.") == is_warned
    )
    assert not found(lines, "warning: All items came before")
    assert not found(texts(tmp_path, "--LAUNCH_FIELD=~"), "Launches")


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("launch:token", "spring", "column 'launch' is token; times when items came are numbers"),
        ("launch:float", "1600000000000", "most items were taken before they came"),
        ("launch:float", "", None),
    ],
)
def test_launches_that_are_left_out(header: str, cell: str, said: str | None, tmp_path: Path) -> None:
    """Runs said so; the check, which is asked before, did not."""
    write_log(tmp_path, small_rows())
    write_log(tmp_path, [[f"i{item:03}", cell] for item in range(24)], ("item_id:token", header), name="log.item")
    lines = texts(tmp_path)
    assert found(lines, "warning: ", said) if said else not found(lines, "launch")
    (tmp_path / "users.txt").write_text("u039\n")
    both = texts(tmp_path, f"--new_users_file={tmp_path / 'users.txt'}", "--data_split_time=1")
    assert found(both, "warning: Without effect: data_split_time")


def test_launches_of_another_unit(tmp_path: Path) -> None:
    """Days, beside a log in seconds."""
    write_log(tmp_path, small_rows())
    rows = [[f"i{item:03}", str(17_000 + item)] for item in range(24)]
    write_log(tmp_path, rows, ("item_id:token", "launch:float"), name="log.item")
    lines = texts(tmp_path)
    assert found(lines, "note: Launches: 24 of 24 (100 %) items say when they came, from 17000 to 17023; 0 after T.")
    assert found(lines, "warning: All items came before the first interaction (2020-", "by their launch.")


def test_repeats_and_ties_against_a_plain_loop() -> None:
    random = np.random.default_rng(3)
    users, items, times = (random.integers(0, high, 300) for high in (20, 9, 40))
    log = Log(users, items, times.astype(float))
    seen: set[tuple[int, int]] = set()
    again = np.zeros(300, dtype=bool)
    for row in sorted(range(300), key=lambda row: (times[row], row)):
        pair = (int(users[row]), int(items[row]))
        again[row] = pair in seen
        seen.add(pair)
    assert repeats(log).tolist() == again.tolist()
    tied = [((users == users[row]) & (times == times[row])).sum() > 1 for row in range(300)]
    assert same_moment(log).tolist() == tied
    assert found(check_texts(None), "next items are ones that the user has had before", "repeatable is False")


def test_features_that_do_not_match_or_say_nothing(tmp_path: Path) -> None:
    rows = [[user, item.replace("i", ""), time] for user, item, time in small_rows()]
    write_log(tmp_path, rows)
    items = sorted({row[1] for row in rows})
    vectors = {item.lstrip("0") or "0": torch.rand(3) for item in items[:8]} | {
        item: torch.rand(3) for item in items[8:]
    }
    torch.save(vectors, tmp_path / "log" / "f.pth")
    lines = texts(tmp_path, "--learners.txt.item_feat_emb=f.pth")
    assert found(lines, "warning: txt: 16 of 24 (66.7 %) items have features", "lost leading zeros ('000' and '0')")
    torch.save({item: torch.zeros(3) for item in items}, tmp_path / "log" / "f.pth")
    assert found(
        texts(tmp_path, "--learners.txt.item_feat_emb=f.pth"),
        "error: learners.txt: nothing is left to learn from its features",
    )


def test_what_the_loading_warns_of_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = write_log(tmp_path, small_rows())
    items = sorted({row[1] for row in small_rows()})
    vectors = np.random.default_rng(0).normal(size=(len(items), 3))
    vectors[2] = 0
    torch.save(dict(zip(items, torch.tensor(vectors), strict=True)), tmp_path / "log" / "f.pth")
    prices = "".join(f"{item}\t{number % 4}\n" for number, item in enumerate(items[1:]))
    (tmp_path / "log" / "log.item").write_text(f"item_id:token\tprice:float\n{items[0]}\t5e7\n{prices}")
    learners = ["--learners.txt.item_feat_emb=f.pth", "--learners.price.source={columns: [price]}"]
    for level in (logging.NOTSET, logging.ERROR):
        logging.getLogger("mml").setLevel(level)
        assert main(["log", *argv(tmp_path, *learners)]) == 0
        printed = capsys.readouterr()
        lines = printed.out.splitlines()
        zero = "warning: learners.txt: 1 of 24 items have an all-zero vector, which passes for content, such as 'i002'."
        assert lines.count(zero) == 1
        assert sum("column 'price': item 'i000' has 5e+07, beside which" in line for line in lines) == 1
        assert printed.err == ""
        assert logging.getLogger("mml").level == level
    logging.getLogger("mml").setLevel(logging.NOTSET)
    assert not caplog.records
    (tmp_path / "log" / "log.item").write_text(f"item_id:token\tprice:float\n{items[0]}\t1e30\n{prices}")
    assert main(["log", *argv(tmp_path, *learners)]) == 2
    assert "log.item: column 'price': item 'i000' has 1e+30, beside which" in capsys.readouterr().out
    path.unlink()
    for number, part in enumerate(("train", "valid", "test")):
        write_log(tmp_path, small_rows()[number::3], name=f"log.{part}.inter")
    assert found(texts(tmp_path), "warning: log.train.inter, log.valid.inter, log.test.inter are read as one log")
    write_log(tmp_path, small_rows(), header=("user_id:token", "item_id:token", "when:float"))
    assert sum("the order of" in line for line in texts(tmp_path)) == 1


def test_why_ids_do_not_match() -> None:
    reasons = why_unmatched(["007", "AB", "x", "9"], ["7", "ab", "x ", "9.0", "z"])
    assert {reason: (count, mine, theirs) for reason, (count, mine, theirs, _) in reasons.items()} == {
        "spaces around them": (1, "x", "x "),
        "capital letters": (1, "AB", "ab"),
        "lost leading zeros": (1, "007", "7"),
        "a decimal .0 at the end": (1, "9", "9.0"),
    }
    composed, apart = "caf\u00e9", "cafe\u0301"  # as macOS may write a picture's name
    (reason,) = why_unmatched([composed], [apart]).items()
    assert reason == ("how their accents are encoded", (1, composed, apart, "write both in Unicode's form NFC"))


def test_ids_that_are_written_in_two_ways() -> None:
    assert written_twice(["14", "0014", "14.0", "AB", "ab", "x", "X"], "item") == [
        "2 item ids differ from another by capital letters alone ('AB' and 'ab'); they count as different items: write "
        "the ids alike.",
        "1 item id differs from another by lost leading zeros alone ('0014' and '14'); they count as different items: "
        "keep ids as text, not as numbers.",
        "1 item id differs from another by a decimal .0 at the end alone ('14' and '14.0'); they count as different "
        "items: write whole numbers.",
    ]
    assert written_twice(["14", "15", "140", "a", "b"], "item") == []


def test_a_log_with_such_ids(tmp_path: Path) -> None:
    rows = small_rows()
    write_log(tmp_path, rows)
    assert not found(texts(tmp_path), "differ from another")
    numbered = [[user, item[1:], time] for user, item, time in rows]
    numbered[0][1] = str(int(numbered[0][1]))
    write_log(tmp_path, numbered)
    assert found(texts(tmp_path), "warning: 1 item id differs from another by lost leading zeros alone ('")


def test_the_worst_comes_first() -> None:
    findings = [Finding("note", "n"), Finding("error", "e", "Mend."), Finding("warning", "w")]
    assert [str(one) for one in by_level(findings)] == ["error: e Mend.", "warning: w", "note: n"]


def test_features_that_tell_little() -> None:
    few = np.repeat(np.eye(3, 4, dtype=np.float32), 5, axis=0)  # 15 items, 3 different vectors, a constant column
    assert [str(one).partition(".")[0] for one in _constant("txt", few)] == [
        "note: txt: 1 of 4 (25 %) numbers are constant",
        "warning: txt: 15 items have only 3 different vectors between them",
    ]
    alike = [str(one) for one in _constant("img", np.ones((3, 2), dtype=np.float32))]
    assert found(alike, "warning: img: all 3 items have the same features")
    assert not _constant("img", np.ones((1, 2), dtype=np.float32))
    assert not _constant("img", np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))


def test_ids_of_a_table_are_told_apart_from_the_logs(tmp_path: Path) -> None:
    rows = [[user, item.replace("i", ""), time] for user, item, time in small_rows()]
    write_log(tmp_path, rows)
    items = sorted({row[1] for row in rows})
    table = "".join(f"{item.lstrip('0') or '0'},some words {item}\n" for item in items[:8])
    table += "".join(f"{item},other words {item}\n" for item in items[8:])
    (tmp_path / "log" / "texts.csv").write_text("item_id,title\n" + table)
    lines = texts(tmp_path, "--learners.txt.source={csv: texts.csv, columns: [title]}")
    assert found(lines, "warning: txt: 16 of 24 (66.7 %) items have features", "lost leading zeros ('000' and '0')")
