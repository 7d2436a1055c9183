"""Help that one can work from, and what is said of likely mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mml.cli.main import _COMMANDS, main
from mml.errors import visible
from mml.help_page import laid_out

_OF_FEATURES = [f"features {name}" for name in ("text", "image", "columns", "convert", "check")]


def _page(command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as left:
        main([*command.split(), "--help"])
    assert left.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("command", [*_COMMANDS, *_OF_FEATURES])
def test_help_names_the_command_and_shows_it(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page(command, width, monkeypatch, capsys)
    assert page.startswith(f"usage: mml {command}")
    assert max(map(len, page.splitlines())) <= width
    if not command.startswith("features"):  # whose sub-commands have their own pages
        assert f"mml {command} " in page.split("\n\n", 1)[1].replace("`mml baseline ", "mml baselines ")


def test_help_of_all_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_an_example_can_be_pasted(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = _page("import", width, monkeypatch, capsys).replace(" \\\n     ", "")
    line = "  mml import orders.csv --user customer_id --item product_id --time ordered_at --name shop"
    assert line in page.splitlines()


def test_what_examples_do_stands_beside_or_below_them() -> None:
    text = "Prose that goes\non here.\n  mml one --option value   what it does, in words\n  mml two"
    assert list(laid_out(text, 80)) == [
        "Prose that goes on here.",
        "  mml one --option value   what it does, in words",
        "  mml two",
    ]
    assert list(laid_out(text, 40)) == [
        "Prose that goes on here.",
        "  mml one --option value",
        "      what it does, in words",
        "  mml two",
    ]


def test_the_demo_offers_no_dataset(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--dataset" not in _page("demo", 80, monkeypatch, capsys)
    assert "--dataset NAME" in _page("train", 80, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("trian shop", "there is no command 'trian'. Did you mean 'train'?"),
        ("check nowhere", "mml import FILE.csv --name nowhere. Or make"),
        ("train shop --hidden_size 3", "'--hidden_size' is not of the form --key=value. Write --hidden_size=3"),
        ("train ml-100k --seed=abc", "it must be int, at least 0, at most 4294967295"),
        ("baseline SASRek shop", "there is no baseline 'SASRek'. Did you mean 'SASRec'?"),
        ("baseline SLIST nowhere", "dataset/nowhere/nowhere.inter does not exist"),
        ("result nowhere", "run: mml train nowhere"),
        ("demo shop", "mml demo is about ml-100k and takes no 'shop'; for a dataset of yours: mml train shop"),
        ("demo --dataset shop", "takes no 'shop'"),
        ("demo --seedd=1", "unknown key 'seedd'. Did you mean 'seed'?"),
        (
            "train dataset/shop/",
            "dataset 'dataset/shop/' is no name; give 'shop' alone",
        ),
        ("train ..", "dataset '..' is no name"),
        ("recommend dataset/shop/ --items 1", "train first: mml train shop"),
        (
            "tune ml-100k --pretrain_epochs 3",
            "error: command line: '--pretrain_epochs' is not of the form --key=value.",
        ),
        ("train shop --dataset shop2", "the dataset is named twice, by 'shop' and by --dataset; leave one out"),
        ("baseline SLIST shop --dataset=shop2", "the dataset is named twice"),
        ("check shop --device gpu", "--device is 'gpu'; it must be auto, cpu, cuda or cuda:N"),
        ("check shop --dataset shop", "the dataset is named twice"),
        ("compare shop --dataset=shop2", "the dataset is named twice"),
        ("import orders.csv --name x --items ", "--items is empty; name a file, or leave it out"),
        ("import orders.csv --name x --images ", "--images is empty"),
        ("import  --name x", "the name of a table is empty; give a file"),
        ("import orders.csv --name x --data_path ", "--data_path is empty"),
        ("import https://a.b/orders.csv --name x", "https://a.b/orders.csv: is an address; download the table first"),
    ],
)
def test_likely_mistakes(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split(" ")) == 2
    shown = capsys.readouterr()
    assert said in shown.err + shown.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "import orders.csv --name x --usr who",
            "unrecognized arguments: --usr who. Did you mean '--user'? All options",
        ),
        ("import orders.csv", "the following arguments are required: --name. All options: mml import --help"),
        ("recommend shop", "one of the arguments --items --users-from --users is required."),
        ("recommend shop --items 1 --topp=3", "Did you mean '--top'?"),
        ("recommend shop --user-from=today.csv", "unrecognized arguments: --user-from. Did you mean '--users-from'?"),
        ("recommend shop", "one of the arguments --items --users-from --users is required"),
        ("serve shop --port x", "argument --port: "),
        ("features chek", "mml features --help"),
        ("baselines logs", "invalid choice: 'logs'"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(line.split())
    assert end.value.code == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("error: ")
    assert said in told


def test_help_as_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    assert capsys.readouterr().out.startswith("usage: mml COMMAND")
    with pytest.raises(SystemExit) as end:
        main(["help", "train"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: mml train")


@pytest.mark.parametrize(
    "command", ["check shp", "train shp", "baseline SLIST shp", "recommend shp --items 1", "report shp"]
)
def test_a_misspelt_dataset_has_its_nearest(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dataset" / "shop").mkdir(parents=True)
    (tmp_path / "dataset" / "shop" / "shop.inter").write_text("user_id:token\titem_id:token\n")
    (tmp_path / "output" / "shop" / "latest").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    shown = capsys.readouterr()
    assert "Did you mean 'shop'?" in shown.err + shown.out
    assert main(command.replace("shp", "cinema").split()) == 2
    shown = capsys.readouterr()
    assert "Did you mean" not in shown.err + shown.out


def test_names_are_shown_as_typed_in_a_locale_of_ascii(tmp_path: Path, repo_root: Path) -> None:
    ascii_alone = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONPATH": str(repo_root)}
    line = [sys.executable, "-m", "mml", "lädchen"]
    done = subprocess.run(line, cwd=tmp_path, env={**os.environ, **ascii_alone}, capture_output=True)
    assert done.returncode == 2
    assert "there is no command 'lädchen'" in done.stderr.decode()


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("l\udcc3\udca4dchen", "lädchen"),  # as Python has bytes that its locale cannot read
        ("l\udcffd", r"l\xffd"),
        ("l\ud800d", r"l\ud800d"),
        ("l\udcc3\udca4\n", r"lä\n"),
    ],
)
def test_bytes_of_a_name_are_shown_as_what_they_are(typed: str, shown: str) -> None:
    assert visible(typed) == shown == visible(shown)


def test_windows_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'fcntl'", name="fcntl")

    monkeypatch.setattr("mml.cli.main.importlib.import_module", absent)
    assert main(["train", "shop"]) == 2
    assert "WSL" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["recommend shop --items 1", "import orders.csv --name shop", "check shop"])
def test_a_command_without_stages_promises_none(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mml.cli.main.importlib.import_module", stopped)
    assert main(command.split()) == 130
    assert capsys.readouterr().err == "\nStopped. Nothing is half written: give the same command again.\n"
