"""The report of a small run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import run_meta
from mml.cli.main import main
from mml.evaluation.significance import per_case_ndcg
from mml.report.numbers import estimate
from mml.report.page import page

pytestmark = pytest.mark.slow
Arguments = Callable[..., list[str]]


@pytest.fixture(scope="module")
def run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory, arguments: Arguments) -> Path:
    output = tmp_path_factory.mktemp("output")
    assert run_meta.main(arguments(tiny_data, output, repeatable=False, use_gpu=False)) == 0
    return (output / "tiny" / "latest").resolve()


class Checked(HTMLParser):
    """Every element is closed, and nothing is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img")
        assert not [name for name, value in attrs if name in ("src", "href") and value]
        self.headings += tag == "h2"
        if tag not in ("meta", "rect", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "path"):
            assert self.open.pop() == tag


def test_a_run_leaves_a_whole_page(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    checked = Checked()
    checked.feed(text)
    assert not checked.open
    assert checked.headings == 8
    result = json.loads((run / "result.json").read_text())
    hit = round(100 * result["metrics"]["mml"]["all"]["recall@10"])
    assert f"{hit} find their next item in the top ten" in text
    assert f"{result['metrics']['mml']['all']['ndcg@10']:.4f}" in text
    assert text.count("<svg") == text.count('role="img" aria-label=') == 2
    assert re.search(r"\\begin\{table\}", text)


def test_hostile_titles_are_text(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "model" / "recommender.json"
    record = json.loads(path.read_text())
    tokens = record["state"]["items"]["tokens"]
    record["state"]["items"]["titles"] = ["<script>alert(1)</script>"] * len(tokens)
    path.write_text(json.dumps(record))
    text = page(tmp_path / "run")
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_what_is_missing_is_said(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "recommendations.csv").unlink()
    assert "left no recommendations.csv" in page(tmp_path / "run")
    assert main(["report", str(tmp_path / "run"), "--output", str(tmp_path / "mine.html")]) == 0
    assert (tmp_path / "mine.html").is_file()
    assert main(["report", "nothing", "--output_dir", str(tmp_path)]) == 2
    assert "holds no finished run; train first" in capsys.readouterr().err


def test_intervals_are_those_of_a_bootstrap_over_users() -> None:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(200), 4)
    rows = pd.DataFrame({"user_id": users, "rank": rng.integers(1, 40, 800) // (1 + users % 3)})
    rows["rank"] = rows["rank"].clip(lower=1)
    found = estimate(rows)
    gains = per_case_ndcg(rows["rank"].to_numpy()).reshape(200, 4).mean(1)
    draws = gains[rng.integers(0, 200, (4000, 200))].mean(1)
    assert found.value == pytest.approx(gains.mean())
    assert found.low == pytest.approx(np.quantile(draws, 0.025), abs=0.006)
    assert found.high == pytest.approx(np.quantile(draws, 0.975), abs=0.006)
