"""The benchmark of missing pictures, with runs of seconds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import missing_modality
from mml.features.media.image import ImageMedium

pytestmark = pytest.mark.slow


@pytest.fixture
def argv(tiny_data: Path, arguments: Callable[..., list[str]], tmp_path: Path) -> list[str]:
    """Arguments of the benchmark on `tiny`: two shares, two seeds, into tmp_path/b."""
    drop = {"learners.img.item_feat_emb": "DROP", "use_gpu": False}
    _, _, *settings = arguments(tiny_data, tmp_path, **drop)
    settings = [one for one in settings if not one.startswith("--output_dir")]
    own = ["--dataset", "tiny", "--pictures", str(tiny_data / "tiny" / "images"), "--output", str(tmp_path / "b")]
    return [*own, "--seeds", "1", "2", "--shares", "50", "100", *settings]


def test_the_curve_and_its_reuse(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_modality.main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "NDCG@10 on tiny, mean ± std over 2 seeds"
    assert lines[2].split()[:2] == ["50", "%"]
    assert lines[3].split()[:3] == ["100", "%", "0.0%"]
    assert lines[3].endswith("+0.0000 ± 0.0000  1.000")
    content = json.loads((tmp_path / "b" / "missing_modality.json").read_text())
    assert [run["seed"] for run in content["results"]["50"]] == [1, 2]
    assert "img" not in content["results"]["100"][0]["metrics"]

    def refuse(*_: Any) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr("mml.trainer.pretrain.PretrainTrainer.train", refuse)
    assert missing_modality.main(argv) == 0
    assert capsys.readouterr().out.splitlines()[:4] == lines[:4]


def test_larger_shares_take_away_more_of_the_same(tiny_data: Path, tmp_path: Path) -> None:
    pictures = tiny_data / "tiny" / "images"
    kept = {
        share: {path.name for path in missing_modality.thinned(pictures, share, 1, tmp_path).iterdir()}
        for share in (0, 30, 70, 100)
    }
    assert kept[0] == {path.name for path in ImageMedium().files(pictures).values()}
    assert kept[70] < kept[30] < kept[0]
    assert not kept[100]
    again = missing_modality.thinned(pictures, 30, 1, tmp_path)
    assert {path.name for path in again.iterdir()} == kept[30]
    assert all(path.read_bytes() for path in again.iterdir())


def test_without_pictures_it_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert missing_modality.main(["--pictures", str(tmp_path / "nope")]) == 0
    assert "Skipped: there are no pictures in" in capsys.readouterr().out
