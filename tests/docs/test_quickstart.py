"""What the quickstart prints, typed in as it stands there."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.docs.conftest import Shop, exec_in
from tests.docs.examples import blocks, commands, examples, form, run

pytestmark = pytest.mark.slow


def plain(text: str) -> str:
    """The text without line breaks and repeated spaces."""
    return " ".join(text.split())


def test_the_first_day(shop: Shop, quickstart: str) -> None:
    assert [line.split()[1] for line in shop.printed] == ["import", "check", "train", "recommend", "report"]
    with (shop.folder / "recs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 500
    assert all(row["title"] and row["by"] == "mml" for row in rows)
    assert (shop.folder / "output/shop/latest/report.html").stat().st_size > 10_000


def test_what_is_printed_is_shown(shop: Shop, quickstart: str) -> None:
    shown = [plain(block) for block in blocks(quickstart, "text")]
    understood, trained = shop.printed.values().__iter__(), plain("".join(shop.printed.values()))
    assert plain(next(understood)).startswith(shown[0])
    head = "method in top 10 N@10 N@10 warm N@10 new"
    assert head in shown[1]
    assert head in trained
    assert shown[1].split(")")[0].split("(")[1] in trained  # shop: 120 new users, ...
    with (shop.folder / "recs.csv").open() as file:
        assert shown[2].split()[0] == file.readline().strip()


def test_the_day_after(shop: Shop, quickstart: str, with_mml: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, symlinks=True)
    lines = commands(quickstart)[len(shop.printed) :]
    assert [line.split()[1] for line in lines] == ["update", "recommend", "update", "serve"]
    assert "1 new item can be recommended." in exec_in(folder, with_mml, lines[0])
    listed = exec_in(folder, with_mml, lines[1])
    assert form(listed) == form(blocks(quickstart, "text")[3])
    assert "Matcha, organic" in listed
    assert "148 interactions " in exec_in(folder, with_mml, lines[2])
    # The port alone is another one: 8000 may be in use.
    server = subprocess.Popen(
        [*lines[3].split(), "--port", "0"], cwd=folder, env=with_mml, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server:
        assert server.stdout.readline().startswith("shop: 73 items, ")
        assert "http://127.0.0.1:" in server.stdout.readline()
        server.send_signal(signal.SIGINT)
        assert server.wait(60) in (0, 130)


def test_the_page_on_python(
    shop: Shop, repo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each example runs, and its output has the shape that is shown; the numbers are a machine's own."""
    folder = tmp_path / "shop"
    shutil.copytree(shop.folder, folder, symlinks=True)
    monkeypatch.chdir(folder)
    namespace: dict[str, object] = {}
    for source, shown in examples((repo_root / "docs/python.md").read_text(encoding="utf-8")):
        assert form(run(source, namespace)) == form(shown), source
    for source, _ in examples((repo_root / "docs/faq.md").read_text(encoding="utf-8")):
        run(source, namespace)
