"""Baselines report as mml does, treat new users as told, and are not run twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest
import torch
import yaml

import run_meta
from mml.baselines.__main__ import main
from mml.baselines.registry import CANNOT, recbole_names
from mml.data.summary import Summary
from mml.errors import InputError
from mml.run.printing import result_table
from mml.run.schema import AdaptationFacts, LearnerFacts, NewUsers, Result, StageFacts, TrainingFacts

pytestmark = pytest.mark.slow

Argv = Callable[..., list[str]]
GRU = {"inner_size": "DROP", "n_layers": "DROP", "embedding_size": 16}


def only_run(output: Path, prefix: str) -> Path:
    runs = [path for path in (output / "tiny").glob(f"{prefix}-seed*")]
    assert len(runs) == 1
    return runs[0]


def result_of(path: Path) -> Result:
    return json.loads((path / "result.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def mml_run(tiny_data: Path, arguments: Argv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("mml")
    assert run_meta.main(arguments(tiny_data, output, use_gpu=False)) == 0
    return output / "tiny" / "latest"


@pytest.mark.parametrize(
    ("model", "method", "settings"),
    [
        ("SASRec", "SASRec", {}),
        ("SASRec", "SASRec-BPR", {"loss_type": "BPR"}),
        ("GRU4Rec", "GRU4Rec", GRU),
        ("BERT4Rec", "BERT4Rec", {}),
        ("Pop", "Pop", None),
        ("ContentKNN", "ContentKNN", None),
        ("Linear", "Linear", None),
        ("IDGRU", "IDGRU", None),
        ("SumAll", "SumAll", None),
        ("SumFive", "SumFive", None),
    ],
)
def test_reports_as_mml_does(
    model: str,
    method: str,
    settings: dict[str, Any] | None,
    mml_run: Path,
    tiny_data: Path,
    argv: Argv,
    tmp_path: Path,
) -> None:
    line = argv(model, tiny_data, tmp_path, recbole=settings is not None, **(settings or {}))
    assert main(line) == 0
    path = only_run(tmp_path, method)
    ours, theirs = result_of(path), result_of(mml_run)
    assert ours.keys() - theirs.keys() == {"learned_from_new_users", "moments"}
    assert theirs.keys() - ours.keys() == {"first_screen", "popular_items"}
    assert (ours["learned_from_new_users"], ours["moments"]) == (False, None)
    assert list(ours["metrics"]) == [method]
    full = theirs["metrics"]["mml"]
    assert {group: set(values) for group, values in ours["metrics"][method].items()} == {
        group: set(values) for group, values in full.items()
    }
    counts = [(g, v["n_users"], v["n_cases"]) for g, v in full.items()]
    assert [(g, v["n_users"], v["n_cases"]) for g, v in ours["metrics"][method].items()] == counts
    assert set(ours["validation"]) == {"ndcg@1000"}
    keys = ["user_id", "target_item", "target_is_cold", "shots"]
    theirs_rows = pd.read_csv(mml_run / "predictions.csv").query("method == 'mml'")
    ours_rows = pd.read_csv(path / "predictions.csv")
    assert list(ours_rows) == list(theirs_rows)
    assert ours_rows[keys].equals(theirs_rows[keys].reset_index(drop=True))
    assert ours_rows["rank"].between(1, ours["data"]["items"]).all()
    assert not (tmp_path / "tiny" / "latest").exists()


def test_a_result_has_just_the_keys_that_its_types_declare(mml_run: Path) -> None:
    result = result_of(mml_run)
    assert result.keys() | NewUsers.__annotations__.keys() == get_type_hints(Result).keys()
    assert result["data"].keys() == Summary.__annotations__.keys()
    assert all(facts.keys() == StageFacts.__annotations__.keys() for facts in result["stages"].values())
    assert set().union(*result["learners"].values()) == LearnerFacts.__annotations__.keys()
    of_id = result["learners"]["id"]
    assert of_id["meta_training"].keys() == of_id["pretraining"].keys() == TrainingFacts.__annotations__.keys()
    assert of_id["adaptation"].keys() == AdaptationFacts.__annotations__.keys()


def test_a_finished_run_is_not_repeated(
    tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = argv("SASRec", tiny_data, tmp_path)
    assert main(line) == 0
    first = capsys.readouterr()
    assert main(line) == 0
    second = capsys.readouterr()
    assert second.out == first.out
    assert "Stage meta_test: finished before" in second.err
    assert "Stage SASRec" not in second.err
    assert main([*line, "--topk=[3, 10]"]) == 0  # the weights serve again
    assert "Stage SASRec: finished before" in capsys.readouterr().err


@pytest.mark.parametrize("treatment", ["trans", "full_retrain", "down"])
def test_treatments_at_moments_in_time(treatment: str, tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    assert main(argv("SASRec", tiny_data, tmp_path, new_users=treatment, moments=2)) == 0
    path = only_run(tmp_path, f"SASRec_{treatment}")
    at_first = f"SASRec_{treatment}_moment_1" if treatment == "down" else "SASRec"  # nobody has done anything since T
    result = result_of(path)
    assert set(result["stages"]) == {at_first, f"SASRec_{treatment}_moment_2"}
    assert (result["learned_from_new_users"], result["moments"]) == (True, 2)
    assert "learned from other new users too (moments: 2)" in result_table(result)
    plain = tmp_path / "plain"
    assert main(argv("SASRec", tiny_data, plain)) == 0
    ours, theirs = (pd.read_csv(one / "predictions.csv")["rank"] for one in (path, only_run(plain, "SASRec")))
    share = (ours == theirs).mean()
    assert 0.45 < share < 1 if treatment != "down" else share < 0.5


def test_a_fine_tuning_in_time_takes_so_many_epochs(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """No validation stops it; none at all leaves the old users' model."""
    ranks = {}
    for epochs in (0, 3):
        given = {"new_users": "trans", "moments": 2, "trans_epochs": epochs}
        assert main(argv("SASRec", tiny_data, tmp_path / str(epochs), **given)) == 0
        path = only_run(tmp_path / str(epochs), "SASRec_trans")
        ranks[epochs] = pd.read_csv(path / "predictions.csv")["rank"]
    assert main(argv("SASRec", tiny_data, tmp_path / "plain")) == 0
    plain = pd.read_csv(only_run(tmp_path / "plain", "SASRec") / "predictions.csv")["rank"]
    assert ranks[0].equals(plain)
    assert 0.45 < (ranks[3] == plain).mean() < 0.9


@pytest.mark.parametrize("treatment", ["trans", "full_retrain"])
def test_own_baselines_are_retrained_at_moments_in_time(
    treatment: str, tiny_data: Path, argv: Argv, tmp_path: Path
) -> None:
    given = {"recbole": False, "new_users": treatment, "moments": 2}
    assert main(argv("SumFive", tiny_data, tmp_path, **given)) == 0
    stages = set(result_of(only_run(tmp_path, f"SumFive_{treatment}"))["stages"])
    kinds = {"IDSASRec", "ContentInitSASRec", "ContentSASRec.txt", "IDGRU", "Linear"}
    assert stages == {*kinds, *(f"{kind}_{treatment}_moment_2" for kind in kinds)}


def test_own_baselines_are_fine_tuned_from_what_they_were(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """Without an epoch they rank the items that were there as before."""
    found: list[pd.Series] = []
    for settings in ({}, {"new_users": "trans", "trans_epochs": 0}, {"new_users": "trans", "trans_epochs": 3}):
        folder = tmp_path / str(len(found))
        given = {"recbole": False, "moments": 2, "eval_shots": "[3]", **settings}
        assert main(argv("ContentInitSASRec", tiny_data, folder, **given)) == 0
        name = "ContentInitSASRec" + ("_trans" if settings else "")
        found.append(pd.read_csv(only_run(folder, name) / "predictions.csv")["rank"])
    assert found[1].equals(found[0])
    assert not found[2].equals(found[0])


def test_feature_models_read_token_columns(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    for name in ("tiny.inter", "txt_emb.pth", "img_emb.pth"):
        (folder / name).write_bytes((tiny_data / "tiny" / name).read_bytes())
    items = sorted(pd.read_csv(folder / "tiny.inter", sep="\t", dtype=str)["item_id:token"].unique())
    rows = [f"{item}\tbrand{i % 3}\tred blue" for i, item in enumerate(items)]
    (folder / "tiny.item").write_text("\n".join(["item_id:token\tbrand:token\tcolours:token_seq", *rows]) + "\n")
    for model in ("SASRecF", "FDSA"):
        assert main(argv(model, tmp_path / "data", tmp_path)) == 0
        config = (only_run(tmp_path, model) / "config.yaml").read_text()
        assert "brand" in config
        assert "colours" in config
    first = result_of(only_run(tmp_path, "SASRecF"))["metrics"]
    (folder / "tiny.item").write_text((folder / "tiny.item").read_text().replace("brand0", "brand1"))
    assert main(argv("SASRecF", tmp_path / "data", tmp_path)) == 0
    assert main(argv("SASRecF", tmp_path / "data", tmp_path / "fresh")) == 0
    found = result_of(only_run(tmp_path, "SASRecF"))["metrics"]
    assert found == result_of(only_run(tmp_path / "fresh", "SASRecF"))["metrics"]
    assert found != first


def test_the_gru_is_trained_again_only_for_the_keys_it_reads(
    tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes: list[dict[str, object]] = [
        {},
        {"pretrain_learning_rate": 0.01, "attn_dropout_prob": 0.1, "learners.id.pretrain_learning_rate": 0.1},
        {"gru_learning_rate": 0.01},
    ]
    skipped = []
    for change in changes:
        assert main(argv("IDGRU", tiny_data, tmp_path, recbole=False, **change)) == 0
        skipped.append("Stage IDGRU: finished before" in capsys.readouterr().err)
    assert skipped == [False, True, False]


def test_no_validation_users(tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    for model in ("ContentKNN", "Linear", "Pop"):
        assert main(argv(model, tiny_data, tmp_path, recbole=False, valid_user_ratio=0.0)) == 0


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        ("SASRek", {}, "there is no baseline 'SASRek'. Did you mean 'SASRec'?"),
        ("DIN", {}, "it scores single items"),
        ("SASRec", {"new_users": "maybe"}, "must be one of none, trans, full_retrain, down"),
        ("SASRec", {"meta_epochs": 3}, "key 'meta_epochs' means nothing to SASRec"),
        (
            "gSASRec",
            {"recbole": False, "pretrain_learning_rate": 0.1},
            "key 'pretrain_learning_rate' means nothing to gSASRec. Did you mean 'gbce_learning_rate'?",
        ),
        (
            "eSASRec",
            {"recbole": False, "stopping_step": 3},
            "key 'stopping_step' means nothing to eSASRec. Did you mean 'esasrec_stopping_step'?",
        ),
        (
            "MeLU",
            {"recbole": False, "meta_epochs": 3},
            "key 'meta_epochs' means nothing to MeLU. Did you mean 'melu_meta_epochs'?",
        ),
        ("eSASRec", {"recbole": False, "loss_type": "CE"}, "key 'loss_type' means nothing to eSASRec. Leave it out."),
        ("SASRec", {"refresh": True}, "key 'refresh' is gone: use online: True"),
        ("IDSASRec", {"recbole": False, "refresh": True}, "baselines have new_users"),
        ("SASRec", {"snapshots": 2}, "key 'snapshots' is gone: it is called moments now"),
        ("IDSASRec", {"recbole": False, "snapshots": 2}, "key 'snapshots' is gone: it is called moments now"),
        ("IDSASRec", {"recbole": False, "new_users": "down"}, "must be one of none, trans, full_retrain"),
        ("SASRec", {"epochs": "many"}, "key 'epochs' has the value 'many'"),
        ("SASRec", {"clip_grad_norm": 3}, "key 'clip_grad_norm' has the value 3; it must be dict (or ~)"),
        (
            "SASRec",
            {"MAX_ITEM_LIST_LENGTH": 0},
            "key 'MAX_ITEM_LIST_LENGTH' has the value 0; it must be int, at least 1",
        ),
        (
            "ContentKNN",
            {"recbole": False, "decay": "often"},
            "key 'decay' has the value 'often'; it must be list",
        ),
        ("Pop", {"recbole": False, "gru_learning_rate": 0.1}, "unknown key 'gru_learning_rate'"),
        ("IDGRU", {"recbole": False, "gru_learning_rate": -1}, "key 'gru_learning_rate' has the value -1; it must be"),
        ("SASRec", {"hiden_size": 8}, "Did you mean 'hidden_size'?"),
        ("SASRec", {"loss_type": "MSE"}, "it must be CE or BPR"),
        ("SASRec", {"n_heads": 3}, "RecBole refuses its settings"),
        ("SASRecCPR", {"loss_type": "BPR"}, "RecBole refuses its settings, as it says above."),
        ("SASRecF", {"selected_features": "[colour]"}, "has no column 'colour'"),
        ("SASRec", {"data_split_time": 9e11}, "no user arrives after it"),
        ("EASE", {"recbole": False, "data_split_time": 9e11}, "no user arrives after it"),
    ],
)
def test_mistakes(
    model: str,
    settings: dict[str, Any],
    message: str,
    tiny_data: Path,
    argv: Argv,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(argv(model, tiny_data, tmp_path, **settings)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().splitlines()[-1].startswith("error: ")


def test_own_baselines_say_what_they_lack(
    tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drop = {"learners.txt.item_feat_emb": "DROP", "learners.img.item_feat_emb": "DROP"}
    assert main(argv("ContentKNN", tiny_data, tmp_path, recbole=False, **drop)) == 2
    assert "needs item features" in capsys.readouterr().err
    assert main(argv("ContentSASRec", tiny_data, tmp_path, recbole=False, modality="sound")) == 2
    assert "take one of txt, img" in capsys.readouterr().err
    without = {"learners.linear": "~"}
    assert main(argv("SumFive", tiny_data, tmp_path, recbole=False, **without)) == 2
    assert "needs the learner linear, which learners.linear: ~ takes away" in capsys.readouterr().err
    assert not (tmp_path / "tiny").exists()


def test_the_registry_has_the_models() -> None:
    assert {"GRU4Rec", "SASRec", "SASRecF", "BERT4Rec", "FDSA"} <= recbole_names().keys()
    assert not CANNOT.keys() & recbole_names().keys()


@pytest.mark.parametrize("model", ["GRU4RecCPR", "SASRecCPR"])
def test_models_that_take_a_loss_as_they_predict(model: str, tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """They asked for a target, which nobody is told, and ended in a traceback."""
    few: dict[str, Any] = {"epochs": 1, "reranker_CAN_NUM": 20}
    few |= {"inner_size": "DROP", "n_layers": "DROP", "n_heads": "DROP"} if model == "GRU4RecCPR" else {}
    assert main(argv(model, tiny_data, tmp_path, **few)) == 0
    metrics = result_of(only_run(tmp_path, model))["metrics"][model]["all"]
    assert 0 < metrics["recall@20"] < 1


def test_what_recbole_stumbles_over_as_it_trains(
    tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes the first thousand of fewer items; that ended in a traceback."""
    few: dict[str, Any] = {"epochs": 1, "reranker_CAN_NUM": 1000, "MAX_ITEM_LIST_LENGTH": 9}
    few |= {"inner_size": "DROP", "n_layers": "DROP", "n_heads": "DROP"}
    assert main(argv("GRU4RecCPR", tiny_data, tmp_path, **few)) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    stumbled = "error: baseline GRU4RecCPR: RecBole fails in training: RuntimeError: selected index k out of range. "
    assert line.startswith(stumbled + "Look for a key that does not fit ")
    assert " items and histories of up to 9: embedding_size=64, " in line
    assert ", reranker_CAN_NUM=1000, " in line


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IndexError("row 3"), "baseline SASRec: RecBole fails as it scores: IndexError: row 3. Look for a key that "),
        (InputError("the user's own"), "the user's own"),
        (torch.OutOfMemoryError("CUDA out of memory"), None),
    ],
)
def test_what_recbole_stumbles_over_as_it_scores(
    error: Exception,
    told: str | None,
    tiny_data: Path,
    argv: Argv,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("recbole.model.sequential_recommender.sasrec.SASRec.full_sort_predict", fails)
    code = main(argv("SASRec", tiny_data, tmp_path, epochs=1))
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == (4 if told is None else 2)
    assert last.startswith("error: memory has run out" if told is None else f"error: {told}")


@pytest.mark.parametrize("model", ["VSTAN", "SumLog", "EASE"])
def test_models_of_the_log(model: str, tiny_data: Path, argv: Argv, tmp_path: Path) -> None:
    """Their settings are chosen once, and kept."""
    assert main(argv(model, tiny_data, tmp_path, recbole=False)) == 0
    result = result_of(only_run(tmp_path, model))
    assert model in result["metrics"]
    assert main(argv(model, tiny_data, tmp_path, recbole=False, topk="[7]")) == 0


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("SASRec", {"hidden_size": 16, "loss_type": "BPR", "n_layers": 1, "epochs": 1, "new_users": "full_retrain"}),
        ("Markov", {"online_fits": 3}),
    ],
)
def test_what_a_file_says_of_a_model_is_what_is_trained(
    model: str, keys: dict[str, object], tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was passed over, and config.yaml said that it had been used; that file repeats the run."""
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    common = [f"--data_path={tiny_data}", "--use_gpu=False", "--repeatable=True", "--topk=[5]"]
    typed = [f"--{key}={value}" for key, value in keys.items()]
    found = []
    for place, more in enumerate((["--config_files", str(tmp_path / "s.yaml")], typed, ["--config_files", "config"])):
        folder = tmp_path / f"output{place}"
        if place == 2:
            more[1] = str(next((tmp_path / "output0" / "tiny").glob(f"{model}*")) / "config.yaml")
        assert main([model, "--dataset", "tiny", *common, f"--output_dir={folder}", *more]) == 0
        (run,) = (folder / "tiny").glob(f"{model}*")
        found.append((run.name, result_of(run)["metrics"]))
        written = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        assert keys.items() <= written.items()
        assert "meta_epochs" not in written or model == "Markov"  # nothing of mml's training
    assert found[0] == found[1] == found[2]
    assert main(["Pop", "--dataset", "tiny", *common, f"--output_dir={tmp_path}", "--config_files", more[1]]) == 2
    assert f"config.yaml is of {model}; it does not say how Pop is trained" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("--n_layers=0", "key 'n_layers' has the value 0; it must be a whole number, at least 1"),
        ("--hidden_act=foo", "baseline SASRec: RecBole refuses its settings: KeyError: 'foo'"),
    ],
)
def test_values_that_recbole_stumbles_over(
    wrong: str, message: str, tiny_data: Path, argv: Argv, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["SASRec", "--dataset", "tiny", f"--data_path={tiny_data}", f"--output_dir={tmp_path}", "--use_gpu=False"]
    assert main([*line, "--epochs=1", wrong]) == 2
    assert message in capsys.readouterr().err
