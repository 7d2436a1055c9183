"""Help that one can work from, and what is said of likely mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml.cli.main import _COMMANDS, main


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_names_the_command_and_shows_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: mml {command}")
    assert max(map(len, page.splitlines())) <= 120
    if command != "features":  # whose sub-commands have their own pages
        assert f"mml {command} " in page.split("\n\n", 1)[1].replace("`mml baseline ", "mml baselines ")


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
    ],
)
def test_likely_mistakes(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert said in shown.err + shown.out
    assert list(tmp_path.iterdir()) == []
