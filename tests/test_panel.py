"""The panel's baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.panel import (
    BASELINES,
    COUNTING,
    CUBIC,
    PRESETS,
    READING,
    main,
    make_stand_in,
    presets_of,
    seeds_of,
    wanted,
)
from benchmarks.panel_pages import Row, lines_of, overview, tables
from mml.baselines.entries import BASELINES as ENTRIES
from mml.config.config import Config
from mml.config.sources import config_dir
from mml.evaluation.significance import paired_difference
from mml.synthetic import STAND_IN, generate, spec_for, spec_of, write
from tests.conftest import SMALL


def test_all_of_them_are_baselines() -> None:
    assert set(BASELINES) <= set(ENTRIES.names())
    assert all((config_dir() / f"{name}.yaml").is_file() for name in PRESETS)


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


def test_costly_ones_are_left_out_of_large_worlds(
    tiny_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.panel.MOST_ITEMS", 3)
    text = "--learners.txt.item_feat_emb=txt_emb.pth"
    config = Config("tiny", arguments=[f"--data_path={tiny_data}", "--use_gpu=False", text])
    assert "SumFive" in wanted(config, BASELINES)
    assert wanted(config, COUNTING) == [name for name in COUNTING if name not in CUBIC]
    assert f"items, so without {', '.join(CUBIC)}" in capsys.readouterr().err
    assert presets_of(config, PRESETS) == list(PRESETS)
    monkeypatch.setattr("benchmarks.panel.MOST_OF_LONG", 3)
    assert presets_of(config, PRESETS) == []
    assert f"items, so without {', '.join(PRESETS)}" in capsys.readouterr().err


def test_a_world_may_have_its_own_number_of_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert seeds_of("toys:2", 5) == ("toys", 2)
    assert seeds_of("toys", 5) == ("toys", 5)
    assert main(["--worlds", "toys:two"]) == 2
    assert "after the colon comes the number of seeds, such as toys:1" in capsys.readouterr().err


def row(method: str, kind: str, seed: int, gains: np.ndarray, users: np.ndarray) -> Row:
    return Row("shop", method, seed, kind, {"all": float(gains.mean())}, None, gains, users)


def test_lines_are_paired_with_mml_of_their_protocol() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(100), 3)
    base = rng.random(300)
    rows = [row("mml", "mml", seed, base + 0.1 + 0.01 * seed, users) for seed in range(2)]
    rows += [row("Markov", "baseline", 0, base, users), row("Pop", "baseline", 0, base + 0.1, users)]
    rows += [row("mml_online", "mml", 0, base, users), row("Markov_online", "baseline", 0, base + 0.2, users)]
    lines = {line.method: line for line in lines_of(rows, "frozen")}
    assert list(lines) == ["mml", "Pop", "Markov"]
    assert lines["mml"].paired is None
    for name, difference in (("Markov", 0.105), ("Pop", 0.005)):
        alone = paired_difference(base + 0.105, base + 0.105 - difference, users)
        paired, p = lines[name].paired, lines[name].p
        assert paired is not None
        assert p is not None
        assert paired.difference == pytest.approx(difference)
        assert p >= alone.p
    assert [line.method for line in lines_of(rows, "online")] == ["Markov_online", "mml_online"]


def test_what_is_not_known_case_by_case_has_no_p() -> None:
    users, gains = np.arange(4), np.full(4, 0.5)
    rows = [row("mml", "mml", 0, gains, users), Row("shop", "oracle", 0, "oracle", {"all": 0.7})]
    oracle = lines_of(rows, "frozen")[0]
    assert (oracle.method, oracle.paired, oracle.p, oracle.cell("new")) == ("oracle", None, None, "–")
    assert "| oracle | oracle | 0.7000 | – | – | – |  | 1 |  |" in tables(rows)


def test_the_overview_takes_the_strongest_of_others_not_mmls_parts() -> None:
    users, gains = np.arange(50), np.linspace(0, 1, 50)
    rows = [row("mml", "mml", 0, gains, users), row("fusion_mean", "part", 0, gains + 0.3, users)]
    rows += [row("Pop", "baseline", 0, gains - 0.3, users), row("Markov", "baseline", 0, gains - 0.1, users)]
    line = overview(rows).splitlines()[2]
    assert line.startswith("| shop | frozen | 0.5000 | Markov | 0.4000 | +25.0 % | < 0.001 |")


@pytest.mark.slow
def test_a_table_with_the_oracle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = spec_for(STAND_IN, users=300, items=80, seed=3)
    monkeypatch.setattr("benchmarks.panel.spec_for", lambda name: small)
    monkeypatch.chdir(tmp_path)
    settings = [f"--{key}={value}" for key, value in {**SMALL, "learners.img": "~", "use_gpu": False}.items()]
    rest = ["--baselines", "Markov", "--presets", "", "--output", "pages"]
    assert main(["--worlds", STAND_IN, *rest, *settings]) == 0
    assert f"{STAND_IN}: made in dataset" in capsys.readouterr().err
    text = (tmp_path / "pages" / f"{STAND_IN}.md").read_text()
    text, by_shots = text.split("After so many interactions of the user:")
    frozen, online = text.split("| online ")
    places = {name: frozen.index(f"| {name} |") for name in ("oracle", "**mml**", "Markov")}
    assert places["oracle"] == min(places.values())
    assert "new ones with" in frozen
    assert "| oracle_online |" in online
    assert "_online" not in frozen
    values = [float(line.split("|")[3]) for line in online.splitlines() if "_online" in line]
    assert values == sorted(values, reverse=True)
    assert all(f"{name} |" in online for name in ("Markov_online", "mml_online**", "counter_online"))
    assert f"| {STAND_IN} | online |" in (tmp_path / "pages" / "panel.md").read_text()
    numbers = (tmp_path / "pages" / "panel.csv").read_text()
    assert f"{STAND_IN},oracle,oracle,2020," in numbers
    assert f"{STAND_IN},Markov_online,baseline,2020," in numbers
    head, _, *lines = by_shots.strip().splitlines()
    assert head == "| interactions | 1 | 3 | 5 | 9 |"
    methods = [line.split(" | ")[0].strip("| *") for line in lines]
    assert {"mml", "Markov", "oracle", "mml_online", "Markov_online"} <= set(methods)
    assert "counter_online" not in methods
    assert numbers.splitlines()[0].endswith("new,after 1,after 3,after 5,after 9,cpu_seconds")


@pytest.mark.slow
def test_a_preset_is_a_line_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = spec_for(STAND_IN, users=200, items=60, seed=3)
    monkeypatch.setattr("benchmarks.panel.spec_for", lambda name: small)
    monkeypatch.chdir(tmp_path)
    settings = [f"--{key}={value}" for key, value in {**SMALL, "learners.img": "~", "use_gpu": False}.items()]
    assert main(["--worlds", STAND_IN, "--baselines", "", "--output", "pages", *settings]) == 0
    page = (tmp_path / "pages" / f"{STAND_IN}.md").read_text()
    lines = page.partition("After so many interactions")[0].splitlines()
    (preset,) = [line for line in lines if line.startswith("| mml_2022 |")]
    assert "| preset |" in preset
    assert not any(line.startswith("| mml_2022_no") for line in lines)
