"""`mml demo`, in a folder where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml.cli.main import main


@pytest.mark.slow
def test_the_whole_way_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["--pretrain_epochs=1", "--meta_epochs=0", "--adapt_max_steps=0", "--show_progress=False"]
    assert main(["demo", *quick]) == 0
    out = capsys.readouterr().out
    assert "Of 100 new users, " in out
    table = out.partition("For somebody who saw Star Wars and Return of the Jedi: ")[2].splitlines()
    assert table[0] == "mml recommend ml-100k --items 50,181 --top 5"
    assert [line.split()[0] for line in table if line.strip()][1:] == ["rank", "1", "2", "3", "4", "5"]
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
    assert (tmp_path / "output" / "ml-100k" / "latest" / "report.html").is_file()
    assert main(table[0].split()[1:]) == 0  # as it is printed
    assert capsys.readouterr().out.splitlines() == table[2:]
