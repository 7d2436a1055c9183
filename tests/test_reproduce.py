"""S3-Rec's table: the layout of its files, the protocol, and both models end to end on a tiny log."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import reproduce
from benchmarks.leave_one_out import LeaveOneOut, LeaveOneOutValidation, measured
from mml.config.config import set_numpy_aliases
from mml.errors import InputError
from mml.evaluation.scorer import ItemScores, of_rows
from mml.evaluation.settings import RankingRules

ROOT = Path(__file__).resolve().parent.parent
RULES = RankingRules(repeatable=False, seed=1, block=16)
SMALL = ["--pretrain_epochs=60", "--hidden_size=16", "--inner_size=16", "--n_layers=1", "--hidden_dropout_prob=0.1"]


def log_text(n_users: int = 90, n_items: int = 30) -> str:
    """Users walk a ring of items in steps of one to three, and so never meet one twice."""
    rng = np.random.default_rng(0)
    lines = []
    for user in range(1, n_users + 1):
        steps = rng.integers(1, 4, size=rng.integers(3, 9))
        items = 100 + (rng.integers(n_items) + np.concatenate([[0], steps.cumsum()])) % n_items
        lines.append(" ".join(map(str, [user, *items])))
    return "\n".join(lines) + "\n"


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    path = tmp_path / "ring.txt"
    path.write_text(log_text(), encoding="utf-8")
    return path


class Fixed:
    """Given scores [N, n_items]."""

    def __init__(self, values: torch.Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_items(self) -> int:
        return self.values.shape[1]

    def of_cases(self, cases: slice) -> ItemScores:
        return of_rows(self.values[cases].clone())


def test_who_is_trained_on_and_who_is_a_target(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text("7 30 10 20 40\n9 10 30 50\n" + "3 " + " ".join(map(str, range(60, 72))) + "\n\n", encoding="utf-8")
    data = LeaveOneOut.read(path)
    assert data.n_items == 1 + 5 + 12
    assert data.training.lengths.tolist() == [2, 1, 10]
    assert data.training.items[:3].tolist() == [1, 2, 2]  # 30 10 | 10
    assert data.tasks(1).target[:2].tolist() == [4, 5]
    assert data.tasks(2).target[:2].tolist() == [3, 1]
    assert data.tasks(1).inputs(slice(0, 2)).tolist() == [[1, 2, 3], [2, 1, 0]]
    assert data.tasks(1, 2).inputs(slice(0, 2)).tolist() == [[2, 3], [2, 1]]


def test_ranks_are_those_of_a_plain_loop(ring: Path) -> None:
    """Of the whole history no item is a candidate, however little of it a model sees."""
    data = LeaveOneOut.read(ring)
    scores = torch.randn(len(data.sequences), data.n_items, generator=torch.Generator().manual_seed(0))
    ranks = []
    for row, own in enumerate(np.split(data.sequences.items, data.sequences.offsets[1:-1])):
        others = set(range(1, data.n_items)) - set(own[:-1].tolist())
        ranks.append(1 + sum(bool(scores[row, item] > scores[row, own[-1]]) for item in others))
    ranking = data.rank(Fixed(scores), 1, RULES)
    assert ranking.ranks.tolist() == ranks
    found = measured(ranking)
    assert found["HR@5"] == pytest.approx(np.mean([rank <= 5 for rank in ranks]))
    assert found["NDCG@10"] == pytest.approx(np.mean([1 / np.log2(rank + 1) if rank <= 10 else 0 for rank in ranks]))
    assert found["MRR"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
    set_numpy_aliases()  # as a Config does, for RecBole's metrics
    validation = LeaveOneOutValidation(data, 2, "NDCG@10", RULES)
    value, _ = validation.score(validation.rank(Fixed(scores)))
    assert value == pytest.approx(measured(data.rank(Fixed(scores), 2, RULES))["NDCG@10"], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3 4\n2 5 x 6\n", "line 2: 'x' is no whole number"),
        ("1 2 3 4\n2 5 6\n", "line 2: a user with 2 items; leave-one-out needs 3"),
        ("1 2 3 4\n\n2 5 6 7\n", "line 2: a user with 0 items"),
        ("1 2 3 4\n1 5 6 7\n", "line 2: user 1 has line 1 already"),
        ("user_id item_id\n", "line 1: 'user_id' is no whole number"),
        ("", "no line"),
        ("1 2 3 4\n", "3 items; lists of 10 need more"),
    ],
)
def test_a_bad_line_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        LeaveOneOut.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_missing_files_are_named_with_where_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.reproduce", "--data", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "no Beauty.txt, Toys_and_Games.txt, Sports_and_Outdoors.txt; they are in" in line
    assert reproduce.main(["--data", str(tmp_path), "--only", "sasrec"]) == 2
    assert "error: --only: 'sasrec'; it is some of mml, recbole" in capsys.readouterr().err


@pytest.mark.slow
def test_both_models_end_to_end(ring: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published rows stand beside ours, and both learn that a step leads one to three items on."""
    beauty = ring.rename(ring.with_name("Beauty.txt"))
    argv = ["--data", str(beauty.parent), "--sets", "Beauty", "--work", str(tmp_path / "work"), "--use_gpu=False"]
    argv += ["--output", str(tmp_path / "table.md"), "--show_progress=False", "--pretrain_batch_size=16", *SMALL]
    assert reproduce.main(argv) == 0
    out = capsys.readouterr().out
    assert "| SASRec, published |  | 0.0605 |  | 0.0318 |  |" in out
    rows = {line.split(" | ")[0].strip("| "): line.strip("| ").split(" | ")[1:] for line in out.splitlines()[4:]}
    for method in ("mml's ID learner", "RecBole's SASRec"):
        assert float(rows[method][1]) > 0.6  # by chance 0.4 of 24 candidates
    written = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert out.strip() in written
    assert "90 users, 30 items" in written
    first, *figures = (tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()
    assert first == "set,method,HR@5,HR@10,NDCG@5,NDCG@10,MRR"
    assert figures[0] == 'Beauty,"SASRec, published",,0.0605,,0.0318,'
    assert [line.split(",")[1] for line in figures[2:]] == ["mml's ID learner", "RecBole's SASRec"]


def test_the_page_and_its_figures_agree() -> None:
    page = (ROOT / "docs/results/leave-one-out.md").read_text(encoding="utf-8")
    with (ROOT / "docs/results/leave-one-out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    sets = {name: {row["method"]: row for row in rows if row["set"] == name} for name in {row["set"] for row in rows}}
    ours = {method: {name: float(row[name]) for name in reproduce.COLUMNS} for method, row in sets["toys_2000"].items()}
    assert reproduce.table(ours) in page
    for method, published in reproduce.PUBLISHED.items():
        assert {name: float(sets[name][method]["NDCG@10"]) for name in published} == {
            name: values["NDCG@10"] for name, values in published.items()
        }


@pytest.mark.slow
def test_recbole_is_trained_on_the_same_targets(ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = reproduce.task_of(ring, tmp_path, ["--use_gpu=False", "--pretrain_epochs=1", "--show_progress=False"])
    seen = []
    loader = reproduce.TrainDataLoader

    def watched(config: object, dataset: object, *rest: object, **more: object) -> object:
        seen.append(dataset)
        return loader(config, dataset, *rest, **more)

    monkeypatch.setattr(reproduce, "TrainDataLoader", watched)
    reproduce.recbole_sasrec(task)
    (trained_on,) = seen
    training = task.data.training
    expected = [list(own[1:]) for own in np.split(training.items, training.offsets[1:-1])]
    targets = sorted(int(item) for item in trained_on.inter_feat["item_id"])  # type: ignore[attr-defined]
    assert targets == sorted(int(item) for own in expected for item in own)
