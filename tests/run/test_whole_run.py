"""Whole runs on a small synthetic dataset: what they leave, what they skip, and that nothing leaks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import mml
import run_meta
from mml.cli.main import main
from mml.config.arguments import common_arguments, split_names
from mml.config.config import Config
from mml.data.dataset import MMLDataset
from mml.data.summary import Summary
from mml.evaluation.ranking import Ranking
from mml.files.bundle import is_same_state, read_about, read_state, write_state
from mml.meta.algorithms import ALGORITHMS
from mml.model.learner.adaptation import Adaptation, adapted_states
from mml.model.learner.base import InnerLoopSettings, Learner
from mml.model.learner.episode import Episode
from mml.model.learner.linear import LinearModel, LinearRegression
from mml.run import printing
from mml.run.context import trainer_frame, validation_of
from mml.run.learners import untrained_learner
from mml.trainer.choice import LearnerValidation
from mml.trainer.meta import MetaTrainer
from mml.trainer.settings import MetaSettings

pytestmark = pytest.mark.slow

Arguments = Callable[..., list[str]]
METHODS = {"id", "id_no_adapt", "id_no_generator", "txt", "txt_no_adapt", "img", "img_no_adapt", "fusion_mean"}
METHODS |= {"linear", "newcomers", "newcomers_online", "fusion_weight", "mml", "mml_online", "popularity"}


@pytest.fixture(scope="module")
def finished(tiny_data: Path, arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a finished run."""
    output = tmp_path_factory.mktemp("output")
    assert run_meta.main(arguments(tiny_data, output)) == 0
    return output


def latest(output: Path) -> Path:
    return (output / "tiny" / "latest").resolve()


def result_of(output: Path) -> dict:  # type: ignore[type-arg]
    return json.loads((latest(output) / "result.json").read_text())  # type: ignore[no-any-return]


def weights_hash(output: Path) -> dict[str, str]:
    """Stage -> hash of every tensor of its checkpoint."""
    hashes = {}
    for path in sorted((latest(output) / "checkpoints").glob("*.safetensors")):
        digest = hashlib.sha256()
        for name, value in read_state(path.parent, path.stem).get("weights", {}).items():
            digest.update(name.encode() + value.numpy().tobytes())
        hashes[path.stem] = digest.hexdigest()
    return hashes


def meta_trainer(config: Config, learner: Learner, folder: Path) -> MetaTrainer:
    frame = trainer_frame(config, folder)
    return MetaTrainer(frame, learner, config.part(MetaSettings), config.part(InnerLoopSettings), seed=0)


def test_what_a_run_leaves(finished: Path) -> None:
    names = {path.name for path in latest(finished).iterdir()}
    assert {
        "config.yaml",
        "run.log",
        "learning_curves.csv",
        "checkpoints",
        "predictions.csv",
        "result.json",
        "model",
    } <= names
    assert not [path for path in latest(finished).rglob("*") if ".tmp" in path.name]
    result = result_of(finished)
    assert set(result["metrics"]) == METHODS
    assert result["synthetic"] is True
    assert result["seed"] == 2020
    assert {"old_users", "valid_users", "new_users", "evaluated_users", "skipped_users", "items", "cold_items",
            "interactions", "modality_coverage"} <= set(result["data"])  # fmt: skip
    with_encoder = {f"{name}.{stage}" for name in ("id", "txt", "img") for stage in ("pretrain", "meta", "adaptation")}
    assert set(result["stages"]) == {*with_encoder, "linear", "newcomers", "generator", "fusion", "meta_test"}
    for stage in result["stages"].values():
        assert set(stage) == {"seconds", "cpu_seconds", "users_per_second", "peak_memory_mb", "versions"}
    groups = result["metrics"]["mml"]
    assert {"all", "warm_target", "cold_target", "shots_1", "shots_3"} <= set(groups)
    assert groups["all"]["n_cases"] == groups["warm_target"]["n_cases"] + groups["cold_target"]["n_cases"]
    assert groups["all"]["n_users"] == result["data"]["evaluated_users"]
    fusions = read_state(latest(finished) / "checkpoints", "fusion")["fusions"]
    assert (fusions["pool"]["others"], fusions["pool"]["untouched"]) == (0.6, 0.7)
    assert 0.01 < fusions["pool"]["temperature"] < 20.0
    assert len(fusions["pool"]["weights"]) == 5
    assert sum(fusions["pool"]["weights"]) == pytest.approx(1.0, abs=1e-3)
    log = (latest(finished) / "run.log").read_text(encoding="utf-8")
    assert re.search(r"The pool's weights by the validation users: id \d\.\d\d, .*; temperature \d", log)
    assert {"mean", "weight"} < set(fusions)


def test_predictions_give_the_metrics(finished: Path) -> None:
    rows = pd.read_csv(latest(finished) / "predictions.csv", dtype={"user_id": str, "target_item": str})
    assert list(rows) == ["user_id", "target_item", "target_is_cold", "shots", "method", "rank"]
    for method, groups in result_of(finished)["metrics"].items():
        own = rows[rows.method == method]
        cases = {"all": own, "cold_target": own[own.target_is_cold == 1], "shots_3": own[own.shots == 3]}
        for group, part in cases.items():
            assert groups[group]["n_cases"] == len(part)
            assert groups[group]["n_users"] == part.user_id.nunique()
            for k in (5, 10, 20):
                hit = part["rank"] <= k
                expected = {"recall": hit, "mrr": hit / part["rank"], "ndcg": hit / np.log2(part["rank"] + 1)}
                for metric, values in expected.items():
                    assert groups[group][f"{metric}@{k}"] == pytest.approx(values.mean(), abs=2e-6)


def test_lists_agree_with_ranks(finished: Path) -> None:
    """Where a target is in its case's list, it is at its rank; where it is not, its rank is lower."""
    ranks = pd.read_csv(latest(finished) / "predictions.csv", dtype={"user_id": str, "target_item": str})
    ranks = ranks[ranks.method == "mml"]
    lists = pd.read_csv(latest(finished) / "recommendations.csv", dtype={"user_id": str, "item_id": str})
    assert list(lists) == ["user_id", "shots", "rank", "item_id"]
    assert (lists.groupby(["user_id", "shots"])["rank"].apply(list).map(lambda own: own == list(range(1, 11)))).all()
    both = ranks.merge(lists, left_on=["user_id", "shots", "target_item"], right_on=["user_id", "shots", "item_id"])
    assert (both["rank_x"] == both["rank_y"]).mean() > 0.9  # equal scores have any order
    assert len(both) == (ranks["rank"] <= 10).sum()


def test_what_is_printed_at_the_end(
    finished: Path, tiny_data: Path, arguments: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run_meta.main(arguments(tiny_data, finished)) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("Of 100 new users, ")
    assert "; by popularity " in " ".join(lines[:2])
    shown = [line for line in lines if not line.startswith("Written to") and "--output_dir" not in line]
    assert max(map(len, shown)) <= 80
    assert "New items: " in out
    typed = next(line for line in lines if line.startswith("Next:  mml recommend tiny --items "))
    assert main(shlex.split(typed)[2:]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11
    assert [line.split()[0] for line in lines if line.startswith(("popularity", "linear", "mml "))][-1] == "mml"
    assert "\r" not in out


def test_finished_stages_are_skipped(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    before = result_of(output)
    assert run_meta.main(arguments(tiny_data, output)) == 0
    assert capsys.readouterr().err.count("skipped.") == 14
    assert result_of(output) == before
    assert run_meta.main(arguments(tiny_data, output, fusion_epochs=4)) == 0
    assert capsys.readouterr().err.count("skipped.") == 12  # all but fusion and meta-test
    assert run_meta.main(arguments(tiny_data, output, **{"learners.txt.learning_rate": 0.1})) == 0
    assert (
        capsys.readouterr().err.count("skipped.") == 10
    )  # txt's pre-training, and the other learners with the generator
    assert run_meta.main(arguments(tiny_data, output, topk="[5]")) == 0
    assert capsys.readouterr().err.count("skipped.") == 13
    assert set(result_of(output)["metrics"]["mml"]["all"]) == {"recall@5", "mrr@5", "ndcg@5", "n_users", "n_cases"}


def test_a_finished_run_fits_and_writes_nothing_again(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The linear learner took minutes on ten thousand items; a model that is damaged or lost is made again."""
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    fits: list[int] = []
    plain = LinearRegression.solve

    def solve(regression: LinearRegression, penalty: float) -> LinearModel:
        fits.append(1)
        return plain(regression, penalty)

    monkeypatch.setattr(LinearRegression, "solve", solve)
    assert run_meta.main(arguments(tiny_data, output)) == 0  # here its model says where it was made
    assert len(fits) == 1
    fits.clear()
    weights = output / "tiny" / "latest" / "model" / "recommender.safetensors"
    whole, written = weights.read_bytes(), weights.stat().st_mtime_ns
    assert run_meta.main(arguments(tiny_data, output)) == 0
    assert not fits
    assert weights.stat().st_mtime_ns == written
    for damage in (lambda: weights.write_bytes(whole[:-9]), weights.unlink):
        damage()
        assert run_meta.main(arguments(tiny_data, output)) == 0
        assert weights.read_bytes() == whole
        assert len(fits) == 1
        fits.clear()


@pytest.mark.slow
def test_a_finished_run_writes_its_model_again_where_that_would_have_other_parts(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """Titles were mended, which no stage depends on; or earlier code wrote it, which did not keep the users' keys."""
    data, output = tmp_path / "data", tmp_path / "output"
    shutil.copytree(tiny_data, data)
    shutil.copytree(finished, output, symlinks=True)
    assert run_meta.main(arguments(data, output)) == 0
    table, place = data / "tiny" / "tiny.item", output / "tiny" / "latest" / "model"
    model = mml.load(place)
    token, title = model.items.index[0], model.items["title"].iloc[0]
    table.write_text(table.read_text(encoding="utf-8").replace(title, "Mended"), encoding="utf-8")
    assert run_meta.main(arguments(data, output)) == 0
    assert mml.load(place).items["title"][token] == "Mended"
    state = read_state(place, "recommender")
    del state["users"]
    about = read_about(place, "recommender")
    assert about is not None
    write_state(place, "recommender", state, format=about["format"], versions=about["versions"])
    assert run_meta.main(arguments(data, output)) == 0
    np.testing.assert_array_equal(mml.load(place).users, model.users)


def test_a_state_with_numbers_that_are_not_known_is_as_it_was_written(tmp_path: Path) -> None:
    """Else a model of items with launches, of which the padding's is none, would be written at each run."""
    launched = torch.tensor([torch.nan, 3.0, torch.inf], dtype=torch.float64)
    write_state(tmp_path, "model", {"launched": launched}, format=1)
    kept = read_state(tmp_path, "model")
    assert is_same_state(kept, {"launched": launched})
    for other in (torch.tensor([2.0, 3.0, torch.inf]).double(), launched[:2], launched.nan_to_num(), launched.float()):
        assert not is_same_state(kept, {"launched": other})


@pytest.mark.parametrize(
    ("changes", "skipped"),
    [
        ([{"popularity_prior": False}], 6),  # id, linear and the generator
        ([{"feature_attention": False}], 8),  # linear, txt and img
        ([{"popularity_by_shots": False}], 10),  # id, txt and img: only rankings change
        ([{"learners.linear": "~"}, {"popularity_by_shots": False}], 10),  # and fusion sees it without linear, too
    ],
)
def test_learners_are_trained_again_only_for_the_keys_they_read(
    finished: Path,
    tiny_data: Path,
    arguments: Arguments,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: list[dict[str, object]],
    skipped: int,
) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    keys: dict[str, object] = {}
    for change in changes:
        keys |= change
        capsys.readouterr()
        assert run_meta.main(arguments(tiny_data, output, **keys)) == 0
    assert capsys.readouterr().err.count("skipped.") == skipped


def test_new_vectors_of_cold_items_reach_the_result(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, data = tmp_path / "output", tmp_path / "data"
    shutil.copytree(finished, output, symlinks=True)
    shutil.copytree(tiny_data / "tiny", data / "tiny", ignore=shutil.ignore_patterns("images", "*.csv"))
    dataset = MMLDataset(Config("tiny", arguments=arguments(tiny_data, output)[2:]))
    cold = set(map(str, dataset.item_tokens[dataset.n_known_items + 1 :]))
    assert cold
    features = torch.load(data / "tiny" / "txt_emb.pth", weights_only=True)
    rows = [place for place, token in enumerate(features["item_id"]) if token in cold]
    features["embs"][rows] = features["embs"][rows].flip(1)
    torch.save(features, data / "tiny" / "txt_emb.pth")
    assert run_meta.main(arguments(data, output)) == 0
    assert capsys.readouterr().err.count("skipped.") == 13  # all but meta-test
    assert run_meta.main(arguments(data, tmp_path / "fresh")) == 0
    assert result_of(output)["metrics"] == result_of(tmp_path / "fresh")["metrics"]


def test_a_named_run_has_its_own_result(finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    expected = {"seven": result_of(output)["metrics"]}
    assert run_meta.main(arguments(tiny_data, output, run_name="seven")) == 0  # all of it was done under another name
    assert result_of(output)["metrics"] == expected["seven"]
    assert run_meta.main(arguments(tiny_data, output, run_name="seven", eval_shots="[1]")) == 0
    assert {"shots_1"} == {name for name in result_of(output)["metrics"]["mml"] if name.startswith("shots_")}
    assert run_meta.main(arguments(tiny_data, output, run_name="seven")) == 0
    assert result_of(output)["metrics"] == expected["seven"]
    rows = pd.read_csv(latest(output) / "predictions.csv")
    assert len(rows[rows["method"] == "mml"]) == expected["seven"]["mml"]["all"]["n_cases"]


def test_an_interrupted_run_writes_what_its_stages_say(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    before = result_of(output)
    for name in ("result.json", "predictions.csv"):
        text = (latest(output) / name).read_text()
        (latest(output) / name).write_text("of another run")
        assert run_meta.main(arguments(tiny_data, output)) == 0
        assert (latest(output) / name).read_text() == text
    assert result_of(output) == before


def test_a_modality_may_get_another_name(finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    renamed = {"learners.txt.item_feat_emb": "DROP", "learners.text.item_feat_emb": "txt_emb.pth"}
    assert run_meta.main(arguments(tiny_data, output, **renamed)) == 0
    assert "text" in result_of(output)["metrics"]


def test_reported_decimals_choose_nothing(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    found = []
    for decimals in (1, 6):
        config = Config("tiny", arguments=arguments(tiny_data, tmp_path, metric_decimal_place=decimals)[2:])
        validation = validation_of(config, MMLDataset(config))
        ranks = np.arange(1, len(validation) + 1)
        found.append(validation.score(Ranking(ranks, np.full_like(ranks, 60), None))[0])
    assert found[0] == found[1]


def test_same_seed_same_result(finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    assert run_meta.main(arguments(tiny_data, tmp_path / "a")) == 0
    assert result_of(tmp_path / "a")["metrics"] == result_of(finished)["metrics"]
    assert weights_hash(tmp_path / "a") == weights_hash(finished)


LOSSES = pytest.mark.parametrize("loss_type", ["CE", "BPR", "sampled"])


@LOSSES
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_outer_gradient_does_not_depend_on_the_chunks(
    chunk: int, loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """Compared before Adam, which makes whole steps of rounding where a gradient is nearly zero."""
    over = {"loss_type": loss_type, "n_negatives": 20, "hidden_dropout_prob": 0.4, "clip_grad_norm": "~"}
    gradients = []
    for size in (chunk, 7):
        argv = arguments(tiny_data, tmp_path, task_chunk_size=size, **over)
        config = Config("tiny", arguments=argv[2:])
        dataset = MMLDataset(config)
        torch.manual_seed(0)
        learner = untrained_learner(config, dataset, "id")
        trainer = meta_trainer(config, learner, tmp_path)
        trainer.model.train()
        batch = dataset.training_tasks().batch(np.arange(40))
        trainer.meta_step(trainer.model.with_noise(batch, torch.Generator().manual_seed(1)))
        gradients.append({name: value.grad for name, value in trainer.model.named_parameters()})
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["id", "txt"])
@pytest.mark.parametrize("algorithm", ["fomaml", "maml", "reptile"])
def test_the_outer_gradient_is_that_of_all_tasks_at_once(
    algorithm: str, name: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """The trainer makes the items' vectors once, before it cuts the batch."""
    over = {"meta_algorithm": algorithm, "task_chunk_size": 7, "clip_grad_norm": "~"}
    config = Config("tiny", arguments=arguments(tiny_data, tmp_path, **over)[2:])
    dataset = MMLDataset(config)
    torch.manual_seed(0)
    learner = untrained_learner(config, dataset, name).train()
    trainer = meta_trainer(config, learner, tmp_path)
    batch = learner.with_noise(dataset.training_tasks().batch(np.arange(40)), torch.Generator().manual_seed(1))
    fast, slow, inner = learner.fast_parameters(), learner.slow_parameters(), trainer.inner
    whole = ALGORITHMS[algorithm].gradient(
        Episode(learner, batch.to(learner.device)), fast, slow, inner.rate, inner.steps
    )
    trainer.meta_step(batch)
    for params, grads in ((fast, whole.fast), (slow, whole.slow)):
        for key, grad in grads.items():
            torch.testing.assert_close(params[key].grad, grad / len(batch), atol=1e-6, rtol=1e-4)


@LOSSES
def test_adapted_states_do_not_depend_on_the_chunks(
    loss_type: str, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    argv = arguments(tiny_data, tmp_path, loss_type=loss_type, n_negatives=20)
    config = Config("tiny", arguments=argv[2:])
    dataset = MMLDataset(config)
    tasks = dataset.test_tasks()[0].take(np.arange(40))
    for name in ("id", "txt"):
        torch.manual_seed(0)
        learner = untrained_learner(config, dataset, name)
        one, *others = (adapted_states(learner, tasks, Adaptation(0.03, 5), chunk) for chunk in (7, 1, 5, 1000))
        assert not torch.allclose(one, adapted_states(learner, tasks, Adaptation(0.03, 0), 7), atol=1e-3)
        for states in others:
            torch.testing.assert_close(states, one, atol=1e-5, rtol=1e-4)


def test_the_outer_step_moves_the_original_parameters(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """By Adam's first step, the rate against the gradient's sign, from where they were."""
    config = Config("tiny", arguments=arguments(tiny_data, tmp_path, clip_grad_norm="~", learning_rate=0.01)[2:])
    dataset = MMLDataset(config)
    torch.manual_seed(0)
    learner = untrained_learner(config, dataset, "id")
    trainer = meta_trainer(config, learner, tmp_path)
    before = {name: value.detach().clone() for name, value in learner.named_parameters()}
    batch = dataset.training_tasks().batch(np.arange(40))
    trainer.meta_step(batch.with_noise(dataset.n_warm_items, torch.Generator().manual_seed(1), negatives=False))
    for name, value in learner.named_parameters():
        assert value.grad is not None
        clear = value.grad.abs() > 1e-5
        expected = before[name] - 0.01 * value.grad.sign()
        torch.testing.assert_close(value.detach()[clear], expected[clear], atol=2e-5, rtol=0)


@pytest.mark.parametrize("algorithm", ["maml", "reptile", "metasgd"])
def test_every_algorithm_and_bpr_run(algorithm: str, tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    argv = arguments(
        tiny_data, tmp_path, **{"learners.img": "~", "learners.img.item_feat_emb": "DROP"},
        meta_algorithm=algorithm, loss_type="BPR", pretrain_epochs=0, eval_shots="last", generator="paper",
    )  # fmt: skip
    assert run_meta.main(argv) == 0
    assert "img" not in result_of(tmp_path)["metrics"]


def test_algorithms_share_the_training_before_them(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """Whichever came first, and those that learn rates too."""
    for number, algorithms in enumerate((("metasgd",), ("fomaml", "metasgd", "fomaml"), ("fomaml",))):
        for algorithm in algorithms:
            argv = arguments(tiny_data, tmp_path / str(number), meta_algorithm=algorithm, meta_epochs=2, use_gpu=False)
            assert run_meta.main(argv) == 0
    alone, shared, plain = (
        {
            yaml.safe_load((path.parent / "config.yaml").read_text())["meta_algorithm"]: json.loads(path.read_text())[
                "metrics"
            ]
            for path in (tmp_path / str(number)).glob("tiny/seed*/result.json")
        }
        for number in range(3)
    )
    assert shared == alone | plain


def test_a_log_without_time_and_without_features(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = (tiny_data / "tiny" / "tiny.inter").read_text().splitlines()
    folder = tmp_path / "data" / "bare"
    folder.mkdir(parents=True)
    (folder / "bare.inter").write_text("\n".join("\t".join(line.split("\t")[:2]) for line in log))
    argv = arguments(
        tmp_path / "data", tmp_path / "output", dataset="bare",
        **{"learners.txt.item_feat_emb": "DROP", "learners.img.item_feat_emb": "DROP"},
    )  # fmt: skip
    assert run_meta.main(argv) == 0
    result = json.loads((tmp_path / "output" / "bare" / "latest" / "result.json").read_text())
    assert result["synthetic"] is False
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"Its model knows the log up to row {int(result['data']['split_time']) + 1}; the rest: mml ")
    methods = {"id", "id_no_adapt", "linear", "fusion_mean", "fusion_weight", "mml", "popularity"}
    assert set(result["metrics"]) == methods | {"newcomers", "newcomers_online", "mml_online"}


def test_print_result(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printing.main(["--output_dir", str(finished)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["dataset", "R@5", "R@10", "R@20", "M@5", "M@10", "M@20", "N@5", "N@10", "N@20"]
    assert lines[1].startswith("tiny ")
    assert printing.main(["--output_dir", str(finished), "--all", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "shots_1" in out
    assert "id_no_generator" in out
    assert printing.main(["--output_dir", str(tmp_path)]) == 2
    assert printing.main(["--output_dir", str(finished), "other"]) == 2
    assert "mml train other" in capsys.readouterr().err


def test_print_result_while_another_run_goes_on(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    shutil.copytree(finished, output, symlinks=True)
    done = latest(output).resolve()
    (output / "tiny" / "seed9-new").mkdir()
    (output / "tiny" / "latest").unlink()
    (output / "tiny" / "latest").symlink_to("seed9-new")
    (output / "tiny" / "Pop-seed1").mkdir()
    (output / "tiny" / "Pop-seed1" / "result.json").write_text('{"metrics": {"Pop": {}}}')
    assert printing.main(["--output_dir", str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].startswith("tiny ")
    assert f"tiny: the latest run is not finished; this is {done.name}." in captured.err
    (output / "tiny" / "latest").unlink()
    (output / "tiny" / "latest").symlink_to(done.name)
    whole = (done / "result.json").read_text()
    deep, wrong = "[" * 100_000 + "]" * 100_000, whole.replace('"ndcg@10": 0', '"ndcg@10": "x"')
    for text in ('{"metrics"', "{}", "[]", deep, f'{{"metrics": {deep}}}', wrong, "\x00\xff"):
        (done / "result.json").write_text(text)
        assert printing.main(["--output_dir", str(output), "tiny"]) == 2
        assert f"{output / 'tiny' / done.name / 'result.json'} is damaged" in capsys.readouterr().err


def test_the_scripts_whatever_cdpath_says(repo_root: Path, finished: Path) -> None:
    command = ["bash", "script/print_result.sh", "--output_dir", str(finished)]
    environment = {**os.environ, "CDPATH": ".", "PYTHON": sys.executable}
    done = subprocess.run(command, cwd=repo_root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "tiny" in done.stdout


def test_an_inner_rate_may_be_a_whole_number(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    more = {"learners.img.item_feat_emb": "DROP", "local_learning_rate": 1, "pretrain_epochs": 1}
    assert run_meta.main(arguments(tiny_data, tmp_path, meta_algorithm="reptile", **more)) == 0
    assert run_meta.main(arguments(tiny_data, tmp_path, generator="paper", **more)) == 0


def test_names_of_files(tmp_path: Path) -> None:
    spaced = tmp_path / "my file.yaml"
    spaced.write_text("")
    assert split_names("a.yaml b.yaml,c.yaml") == ["a.yaml", "b.yaml", "c.yaml"]
    assert split_names(str(spaced)) == [str(spaced)]
    _, files, _ = common_arguments(["--config_files", "a b", "--config_files=c"], "")
    assert files == ["a", "b", "c"]


def changed_copy(tiny_data: Path, target: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    """The dataset with another log."""
    shutil.copytree(tiny_data / "tiny", target / "tiny")
    path = target / "tiny" / "tiny.inter"
    log = pd.read_csv(path, sep="\t", dtype=str)
    change(log).to_csv(path, sep="\t", index=False)
    return target


def test_nothing_after_t_reaches_a_weight(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    time = result_of(finished)["data"]["split_time"]

    def change(log: pd.DataFrame) -> pd.DataFrame:
        late = log["timestamp:float"].astype(float) > time
        rows = np.flatnonzero(late)
        log.loc[rows[::3], "item_id:token"] = "never_seen_before"
        log.loc[rows[1::3], "item_id:token"] = log["item_id:token"].iloc[0]
        return log.drop(index=list(rows[2::30]))

    data = changed_copy(tiny_data, tmp_path / "data", change)
    argv = arguments(data, tmp_path / "output", data_split_time=time)
    assert run_meta.main(argv) == 0
    ours, theirs = weights_hash(tmp_path / "output"), weights_hash(finished)
    assert {stage for stage in ours if ours[stage] != theirs[stage]} == set()
    assert len(ours) == 14
    assert result_of(tmp_path / "output")["metrics"] != result_of(finished)["metrics"]


def test_old_users_later_interactions_are_counted_online_alone(
    finished: Path, tiny_data: Path, arguments: Arguments, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What old users do after T reaches no weight and no frozen rank; a run is not taken for that of another log."""
    output, time = tmp_path / "output", result_of(finished)["data"]["split_time"]
    shutil.copytree(finished, output, symlinks=True)
    log = pd.read_csv(tiny_data / "tiny" / "tiny.inter", sep="\t", dtype=str)
    times = log["timestamp:float"].astype(float)
    first = times.groupby(log["user_id:token"]).transform("min")
    late_of_old = (times > time) & (first <= time)
    assert late_of_old.sum() > 5

    def change(own: pd.DataFrame) -> pd.DataFrame:
        own.loc[late_of_old.to_numpy(), "item_id:token"] = own["item_id:token"].iloc[0]
        return own

    assert run_meta.main(arguments(tiny_data, output, data_split_time=time)) == 0
    theirs = result_of(output)["metrics"]
    data = changed_copy(tiny_data, tmp_path / "data", change)
    capsys.readouterr()
    assert run_meta.main(arguments(data, output, data_split_time=time)) == 0
    assert capsys.readouterr().err.count("skipped.") == 13  # all but meta-test
    ours = result_of(output)["metrics"]
    assert {name for name in ours if ours[name] != theirs[name]} == {"newcomers_online", "mml_online"}


def test_all_that_validation_users_did_is_learned_from_in_the_end(
    tiny_data: Path, arguments: Arguments, tmp_path: Path
) -> None:
    """Beyond their first interactions as well, so a run is not taken for that of a log which differs there alone."""
    keys: dict[str, object] = {"cold_user_max_inter": 3, "eval_shots": "[1]", "online": False}
    output = tmp_path / "output"
    assert run_meta.main(arguments(tiny_data, output, **keys)) == 0
    dataset = MMLDataset(Config("tiny", arguments=arguments(tiny_data, output, **keys)[2:]))
    first = len(dataset.users.old)
    valid = set(dataset.user_tokens[first : first + len(dataset.users.valid)])
    split_time = dataset.summary()["split_time"]
    assert split_time is not None

    def change(log: pd.DataFrame) -> pd.DataFrame:
        times = log["timestamp:float"].astype(float)
        places = times.groupby(log["user_id:token"]).rank(method="first")
        rows = log["user_id:token"].isin(valid) & (places > 3) & (times <= split_time)
        assert rows.sum() > 5
        log.loc[rows, "item_id:token"] = str(dataset.item_tokens[1])
        return log

    data = changed_copy(tiny_data, tmp_path / "data", change)
    assert run_meta.main(arguments(data, output, **keys)) == 0
    assert run_meta.main(arguments(data, tmp_path / "fresh", **keys)) == 0
    assert result_of(output)["metrics"] == result_of(tmp_path / "fresh")["metrics"]


def test_validation_users_train_no_learner(
    tiny_data: Path, arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With validation's say in when to stop taken away, another validation log gives the same learners."""
    calls = iter(range(10**6))
    monkeypatch.setattr(LearnerValidation, "score", lambda *_: (float(next(calls)), {}))
    monkeypatch.setattr(LearnerValidation, "choose_adaptation", lambda *_: (Adaptation(0.03, 1), [0.0, 0.0]))
    valid_users: list[str] = []
    remember = MMLDataset.summary

    def summary(self: MMLDataset) -> Summary:
        first = len(self.users.old)
        valid_users[:] = [str(token) for token in self.user_tokens[first : first + len(self.users.valid)]]
        return remember(self)

    monkeypatch.setattr(MMLDataset, "summary", summary)
    assert run_meta.main(arguments(tiny_data, tmp_path / "a")) == 0
    assert valid_users

    def change(log: pd.DataFrame) -> pd.DataFrame:
        own = log["user_id:token"].isin(valid_users)
        log.loc[own, "item_id:token"] = log.loc[own, "item_id:token"].to_numpy()[::-1]
        return log

    data = changed_copy(tiny_data, tmp_path / "data", change)
    assert run_meta.main(arguments(data, tmp_path / "b")) == 0
    ours, theirs = weights_hash(tmp_path / "a"), weights_hash(tmp_path / "b")
    stages = [f"{name}.{stage}" for name in ("id", "txt", "img") for stage in ("pretrain", "meta")]
    assert [ours[name] for name in stages] == [theirs[name] for name in stages]


def test_metrics_that_need_more_of_the_data(tiny_data: Path, arguments: Arguments, tmp_path: Path) -> None:
    """RecBole's own collector would ask for a dataset of its own kind."""
    argv = arguments(tiny_data, tmp_path, metrics="[Recall,AveragePopularity,ItemCoverage]", topk="[5]")
    assert run_meta.main(argv) == 0
    assert {"recall@5", "averagepopularity@5", "itemcoverage@5"} <= set(result_of(tmp_path)["metrics"]["mml"]["all"])
