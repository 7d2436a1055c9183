"""The benchmark of mml's parts, at tiny size."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import parts
from tests.conftest import SMALL


def test_which_parts_there_are() -> None:
    names = [one.name for one in parts.parts()]
    assert names[0] == "mml"
    assert {"no_text", "no_linear", "fomaml", "metasgd", "adaptive_fusion"} <= set(names)
    assert "no_fusion" not in names  # a line of mml's own run


@pytest.mark.slow
def test_a_page_of_two_worlds(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ("mml", "no_text", "no_image", "adaptive_fusion")
    few = [one for one in parts.parts() if one.name in wanted]
    monkeypatch.setattr(parts, "parts", lambda: few)
    settings = {**SMALL, "repeatable": True, "use_gpu": False, "learners.txt.item_feat_emb": "txt_emb.pth"}
    given = [f"--{key}={value}" for key, value in settings.items() if key != "show_progress"]
    own = ["--worlds", "tiny:2", "--data", str(tiny_data), "--output", str(tmp_path / "page")]
    assert parts.main([*own, *given, f"--output_dir={tmp_path / 'out'}"]) == 0
    text = (tmp_path / "page" / "parts.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert "Seeds: tiny 2; commit " in text
    assert "--data FOLDER" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| ") for line in table[2:]] == ["mml", "no_text", "adaptive_fusion"]
    rows = pd.read_csv(tmp_path / "page" / "parts.csv")
    assert list(rows.method) == ["mml", "mml", "no_text", "no_text", "adaptive_fusion", "adaptive_fusion"]
    mean = rows[rows.method == "mml"]["all"].mean()
    assert f"| mml | {mean:.4f} |" in text
    without = rows[rows.method == "no_text"]["all"].mean()
    assert f"{100 * (mean / without - 1):+.1f} %, p " in next(line for line in table if line.startswith("| no_text"))
