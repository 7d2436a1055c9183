"""The panel's baselines."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.panel import BASELINES, COUNTING, READING, main, make_stand_in, wanted
from mml.baselines.entries import BASELINES as ENTRIES
from mml.config.config import Config
from mml.synthetic import STAND_IN, generate, spec_for, spec_of, write
from tests.conftest import SMALL


def test_all_of_them_are_baselines() -> None:
    assert set(BASELINES) <= set(ENTRIES.names())


def test_those_that_read_features_are_left_out_where_there_are_none(
    tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = [f"--data_path={tiny_data}", "--use_gpu=False"]
    with_text = Config("tiny", arguments=[*data, "--learners.txt.item_feat_emb=txt_emb.pth"])
    assert wanted(with_text, BASELINES) == list(BASELINES)
    assert wanted(Config("tiny", arguments=data), BASELINES) == list(COUNTING)
    assert f"tiny: no item features, so without {', '.join(READING)}" in capsys.readouterr().err


def test_the_stand_in_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = spec_for(STAND_IN, users=60, items=40)
    write(generate(small), tmp_path / STAND_IN, features=False)
    make_stand_in(tmp_path)
    assert spec_of(tmp_path / STAND_IN) == small
    assert not capsys.readouterr().err


@pytest.mark.slow
def test_a_table_with_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = spec_for(STAND_IN, users=300, items=80, seed=3)
    monkeypatch.setattr("benchmarks.panel.spec_for", lambda name: small)
    monkeypatch.chdir(tmp_path)
    settings = [f"--{key}={value}" for key, value in {**SMALL, "learners.img": "~", "use_gpu": False}.items()]
    assert main(["--worlds", STAND_IN, "--baselines", "Markov", "--output", "panel.md", *settings]) == 0
    assert f"{STAND_IN}: made in dataset" in capsys.readouterr().err
    text = (tmp_path / "panel.md").read_text()
    frozen, online = text.split("| online ")
    places = {name: frozen.index(f"| {name} |") for name in ("oracle", "**mml**", "Markov")}
    assert places["oracle"] == min(places.values())
    assert "| oracle_online |" in online
    assert "_online" not in frozen
    values = [float(line.split("|")[2]) for line in online.splitlines() if "_online" in line]
    assert values == sorted(values, reverse=True)
    assert all(f"{name} |" in online for name in ("Markov_online", "mml_online**", "counter_online"))
    numbers = (tmp_path / "panel.csv").read_text()
    assert f"{STAND_IN},oracle,2020," in numbers
    assert f"{STAND_IN},Markov_online,2020," in numbers
