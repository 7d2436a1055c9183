"""`mml keys`, `mml baselines`, and the help pages of the commands that tune and compare."""

from __future__ import annotations

import pytest

from mml.baselines.meanings import MEANINGS
from mml.baselines.registry import CANNOT, recbole_names
from mml.cli.keys import Part, accepted, chosen, parts
from mml.cli.main import main
from mml.config import keys as config_keys
from mml.settings import Key


def test_every_key_is_in_the_list() -> None:
    found = {name for part in parts() for name in part.keys}
    assert set(config_keys.declared()) <= found
    assert "learners.linear.penalty" in found
    assert {"new_users", "selected_features", "decay", "gru_learning_rate"} <= found  # of baselines


def test_parts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == 0
    out = capsys.readouterr().out
    assert all(len(row) <= 100 for row in out.splitlines())
    for part in ("encoder", "fusion", "fusion.adaptive", "learners.linear"):
        assert any(row.startswith(f"{part} ") for row in out.splitlines())


def test_a_part_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "encoder"]) == 0
    out = capsys.readouterr().out
    assert "hidden_size: 64    (whole number, at least 1, at most 1000000)" in out
    assert "Acts from stage pretrain on." in out
    assert main(["keys", "fusion"]) == 0
    out = capsys.readouterr().out
    assert "fusion_method: pool    (one of adaptive" in out
    assert "fusion_epochs" in out


def test_stages_and_names_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "meta_test"]) == 0
    assert "topk" in capsys.readouterr().out
    assert main(["keys", "penalty"]) == 0
    out = capsys.readouterr().out
    assert "learners.linear.penalty" in out
    assert "hidden_size" not in out
    assert main(["keys", "--all"]) == 0
    assert "hidden_size" in capsys.readouterr().out


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "fuson"]) == 2
    assert "no part, stage or key 'fuson'. Did you mean 'fusion'?" in capsys.readouterr().err


def test_words_for_what_a_key_accepts() -> None:
    assert accepted(Key((float,), 0.5, "", "data", low=0.0, high=1.0)) == "number, at least 0, at most 1"
    assert accepted(Key((str, int), 0, "", "data", choices=("last",), low=1)) == (
        "one of last or whole number, at least 1"
    )
    assert accepted(Key((bool,), True, "", "data", optional=True)) == "True or False, or ~"


def test_a_part_and_what_is_below_it() -> None:
    key = {"k": Key((int,), 1, "", "data")}
    every = [Part("fusion", "", key), Part("fusion.x", "", key), Part("fusions", "", key)]
    assert [part.name for part in chosen(every, "fusion")] == ["fusion", "fusion.x"]


def test_every_baseline_is_listed_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(MEANINGS) == set(recbole_names())
    assert main(["baselines"]) == 0
    rows = {row.split()[0]: row.split() for row in capsys.readouterr().out.splitlines()}
    assert rows["SLIST"][1] == "log"
    assert rows["SumFive"][1] == "own"
    assert rows["SASRec"][1] == "recbole"
    assert set(recbole_names()) | set(CANNOT) <= set(rows)
    assert all(len(row) > 2 for row in rows.values())
    assert main(["baselines", "log"]) == 0
    out = capsys.readouterr().out
    assert "EASE" in out
    assert "SASRec" not in out


@pytest.mark.parametrize("command", ["tune", "compare", "keys", "baselines", "baseline"])
def test_help_pages_have_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "mml " in out
    assert len(out.splitlines()) > 12


def test_commands_are_in_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {command} " in out for command in ("tune", "compare", "keys", "baselines"))
