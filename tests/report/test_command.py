"""`mml report` as a person types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mml.cli.main import main
from mml.report.plots import FORMATS

pytestmark = pytest.mark.slow  # they wait for a whole run


def test_of_a_name_and_of_a_folder(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = finished_run.parent.parent
    (finished_run / "report.html").unlink()
    assert main(["report", "tiny", "--output_dir", str(output)]) == 0
    assert (finished_run / "report.html").is_file()
    assert main(["report", str(finished_run), "--output", str(tmp_path / "new" / "r.html")]) == 0
    assert (tmp_path / "new" / "r.html").is_file()
    assert str(tmp_path / "new" / "r.html") in capsys.readouterr().out


def test_plots_in_three_formats(finished_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert (
        main(["report", str(finished_run), "--output", str(tmp_path / "r.html"), "--plots", str(tmp_path / "p")]) == 0
    )
    names = {path.stem for path in (tmp_path / "p").iterdir()}
    assert {"baselines", "recall_by_shots", "adaptation", "fusion_weights"} <= names
    assert {path.name for path in (tmp_path / "p").iterdir()} == {f"{name}.{end}" for name in names for end in FORMATS}
    assert (tmp_path / "p" / "baselines.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "p" / "baselines.pdf").read_bytes().startswith(b"%PDF")


def test_mistakes_are_one_line(run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "nothing", "--output_dir", str(tmp_path)]) == 2
    assert "mml train nothing" in capsys.readouterr().err
    predictions = run_copy / "predictions.csv"
    predictions.write_text(predictions.read_text().rsplit("\n", 2)[0] + "\n")
    assert main(["report", str(run_copy)]) == 2
    assert "predictions.csv is damaged" in capsys.readouterr().err
    predictions.unlink()
    assert main(["report", str(run_copy)]) == 2
    capsys.readouterr()
    (run_copy / "config.yaml").write_text("a: &a [*a]\n")
    assert main(["report", str(run_copy)]) == 2
    assert "config.yaml: *a stands inside of what it stands for" in capsys.readouterr().err
    (run_copy / "result.json").write_text("{}")
    assert main(["report", str(run_copy)]) == 2
    assert "result.json is damaged" in capsys.readouterr().err
    (run_copy / "result.json").unlink()
    assert main(["report", str(run_copy)]) == 2
    err = capsys.readouterr().err
    assert "holds no finished run" in err
    assert len(err.strip().splitlines()) == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--help"])
    assert stopped.value.code == 0
    assert "--plots figures/" in capsys.readouterr().out
