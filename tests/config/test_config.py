"""The config: precedence, strictness, and the shipped files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mml.baselines.entries import BASELINES
from mml.baselines.reference import reference as baselines_reference
from mml.baselines.settings import declared_keys
from mml.config import keys as config_keys
from mml.config.arguments import common_arguments
from mml.config.config import Config
from mml.config.gpu import among_given
from mml.config.reference import reference
from mml.config.sources import config_dir, merge, parse_arguments
from mml.errors import InputError
from mml.settings import keys_of

NOT_DATASETS = ("overall", "paper", "baselines", "compare", "tune")
FROM_THE_LOG = ["id", "linear", "newcomers"]
"""The learners that are there by default."""
DATASETS = sorted(path.stem for path in config_dir().glob("*.yaml") if path.stem not in NOT_DATASETS)

WriteYaml = Callable[..., Path]


@pytest.fixture
def write_yaml(tmp_path: Path) -> WriteYaml:
    def build(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return build


def config(*files: Path, argv: tuple[str, ...] = (), dataset: str = "shop", **settings: Any) -> Config:
    return Config(dataset, files, {"use_gpu": False, **settings}, argv)


# --- shipped files --------------------------------------------------------------------------------------------------


def overall() -> dict[str, Any]:
    return yaml.safe_load((config_dir() / "overall.yaml").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_overall_is_what_the_parts_declare() -> None:
    """`python -m mml.config.reference > configs/overall.yaml` after a change of a declaration."""
    assert (config_dir() / "overall.yaml").read_text(encoding="utf-8") == reference()
    assert overall().keys() == config_keys.declared().keys()
    defaults = config_keys.defaults()
    assert {key: value for key, value in overall().items() if key != "learners"} == {
        key: value for key, value in defaults.items() if key != "learners"
    }


def test_the_file_of_the_baselines_is_what_they_declare() -> None:
    """`python -m mml.baselines.reference > configs/baselines.yaml` after a change of a declaration."""
    text = (config_dir() / "baselines.yaml").read_text(encoding="utf-8")
    assert text == baselines_reference()
    found = yaml.safe_load(text)
    assert found["own"].keys() == {key for name in BASELINES.names() for key in declared_keys(name)}
    assert found["recbole"].keys() == declared_keys("SASRec").keys()


def test_every_key_has_a_meaning() -> None:
    for part, _ in config_keys.declarations():
        for name, key in keys_of(part).items():
            assert key.meaning.endswith("."), name
            assert key.section, name


def test_there_are_configs_of_the_datasets() -> None:
    assert {"ml-100k", "hangzhou", "shanghai", "changsha"} <= set(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_config_loads(dataset: str) -> None:
    loaded = config(dataset=dataset)
    own = yaml.safe_load((config_dir() / f"{dataset}.yaml").read_text(encoding="utf-8"))
    off = {name for name, spec in own["learners"].items() if (spec or {}).get("source", {}).get("folder", "") is None}
    dropped = {name for name, spec in own["learners"].items() if spec is None}
    assert set(loaded["learners"]) == {*FROM_THE_LOG, *own["learners"]} - off - dropped
    for key in own.keys() - {"learners"}:
        assert loaded[key] == own[key]


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_published_recipe_loads_for_every_dataset(dataset: str) -> None:
    loaded = config(config_dir() / "paper.yaml", dataset=dataset)
    assert loaded["loss_type"] == "BPR"
    assert (loaded["meta_epochs"], loaded["meta_batch_size"], loaded["pretrain_epochs"]) == (10, 2048, 0)
    assert (loaded["n_layers"], loaded["n_heads"], loaded["hidden_size"], loaded["inner_size"]) == (2, 2, 64, 256)


PUBLISHED = {
    "hangzhou": ([1e-3, 5e-3, 3e-3], [0.3, 0.5, 0.07], 0.1, 5, 1e-3, 1e-4),
    "shanghai": ([5e-4, 3e-3, 5e-3], [0.3, 0.5, 0.07], 0.1, 10, 5e-4, 5e-4),
    "changsha": ([1e-3, 5e-3, 3e-3], [0.2, 0.5, 0.07], 0.15, 5, 1e-3, 1e-5),
}


@pytest.mark.parametrize("city", PUBLISHED)
def test_the_published_values_of_the_cities(city: str) -> None:
    loaded = config(config_dir() / "paper.yaml", dataset=city)
    outer, adapt, rate, neighbours, generator_rate, fusion_rate = PUBLISHED[city]
    assert [loaded.values(name)["learning_rate"] for name in ("id", "txt", "img")] == outer
    assert [loaded.values(name)["adapt_learning_rate"] for name in ("id", "txt", "img")] == adapt
    assert (loaded["generate_rate"], loaded["item_neighbour_num"]) == (rate, neighbours)
    assert (loaded["generator_learning_rate"], loaded["fusion_learning_rate"]) == (generator_rate, fusion_rate)
    assert (loaded["num_local_update"], loaded["local_learning_rate"]) == (5, 1e-3)
    assert (loaded["fusion_hidden_size"], loaded["fusion_epochs"], loaded["adapt_max_steps"]) == ([128], 100, 50)
    assert loaded["data_split_time"] == 1631289599
    assert loaded["repeatable"] is True
    assert loaded["valid_metric"] == "MRR@10"


def test_the_published_recipe_over_any_dataset() -> None:
    paper = config_dir() / "paper.yaml"
    assert list(config(paper)["learners"]) == ["id"]
    loaded = config(paper, argv=("--learners.audio.item_feat_emb=a.pth",))
    rates = [loaded.values("audio")[key] for key in ("learning_rate", "adapt_learning_rate")]
    assert rates == [0.005, 0.5]


# --- precedence -----------------------------------------------------------------------------------------------------


def test_the_last_wins(write_yaml: WriteYaml) -> None:
    first = write_yaml("topk: [1]\nhidden_size: 8\nn_layers: 3\n", "first.yaml")
    second = write_yaml("hidden_size: 16\nn_layers: 4\n", "second.yaml")
    loaded = config(first, second, argv=("--n_heads=4",), n_layers=5, n_heads=8)
    assert [loaded[key] for key in ("topk", "hidden_size", "n_layers", "n_heads")] == [[1], 16, 5, 4]
    assert loaded["meta_algorithm"] == "fomaml"


def test_nested_mappings_merge(write_yaml: WriteYaml) -> None:
    first = write_yaml("learners: {txt: {item_feat_emb: a.pth, learning_rate: 0.1}}\n", "first.yaml")
    second = write_yaml("learners: {txt: {learning_rate: 0.2}, img: {item_feat_emb: b.npz}}\n", "second.yaml")
    loaded = config(first, second, argv=("--learners.txt.meta_epochs=7", "--learners.id.learning_rate=0.3"))
    assert {name: loaded["learners"][name] for name in ("id", "txt", "img")} == {
        "id": {"learning_rate": 0.3},
        "txt": {"item_feat_emb": "a.pth", "learning_rate": 0.2, "meta_epochs": 7},
        "img": {"item_feat_emb": "b.npz"},
    }
    assert loaded.values("txt")["meta_epochs"] == 7
    assert loaded.values("img")["meta_epochs"] == loaded["meta_epochs"]


def test_merge_leaves_its_arguments_alone() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merge(base, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1]}


def test_a_learner_is_dropped_with_none(write_yaml: WriteYaml) -> None:
    file = write_yaml("learners: {txt: {item_feat_emb: a.pth}, img: {item_feat_emb: b.pth}}\n")
    assert list(config(file, argv=("--learners.txt=~",))["learners"]) == [*FROM_THE_LOG, "img"]
    dropped = config(file, write_yaml("learners: {img: ~, linear: ~}", "drop.yaml"))
    assert list(dropped["learners"]) == ["id", "newcomers", "txt"]
    assert list(config(file, argv=("--learners.txt=~", "--learners.img=~"))["learners"]) == FROM_THE_LOG
    with pytest.raises(InputError, match="must hold the learner 'id'"):
        config(file, argv=("--learners.id=~",))


def test_overrides_of_a_dataset(write_yaml: WriteYaml) -> None:
    preset = write_yaml(
        "hidden_size: 8\n"
        "dataset_overrides:\n"
        "  shop: {hidden_size: 32, learners: {id: {learning_rate: 0.5}}}\n"
        "  other: {hidden_size: 64}\n"
    )
    assert config(preset)["hidden_size"] == 32
    assert config(preset).values("id")["learning_rate"] == 0.5
    assert config(preset, dataset="other")["hidden_size"] == 64
    assert config(preset, dataset="third")["hidden_size"] == 8
    assert config(preset, argv=("--hidden_size=16",))["hidden_size"] == 16


def test_a_later_file_goes_over_the_overrides_of_a_preset(write_yaml: WriteYaml) -> None:
    preset = write_yaml("dataset_overrides: {shop: {hidden_size: 32, inner_size: 64}}\n", "preset.yaml")
    mine = write_yaml("hidden_size: 16\n")
    assert [config(preset, mine)[key] for key in ("hidden_size", "inner_size")] == [16, 64]
    assert config(mine, preset)["hidden_size"] == 32


@pytest.mark.parametrize(
    "name", ["type", "a/b", "a.b", "1", "mml", "fusion", "fusion_x", "id_no_adapt", "popularity", "id_online", "float"]
)
def test_names_that_a_learner_cannot_have(name: str, write_yaml: WriteYaml) -> None:
    file = write_yaml(f"learners: {{{name}: {{item_feat_emb: a.pth}}}}\n")
    with pytest.raises(InputError, match=rf"mine\.yaml: learners\.{name}: a learner cannot be called that"):
        config(file)


def test_a_key_twice_in_a_file(write_yaml: WriteYaml) -> None:
    file = write_yaml("n_layers: 1\nlearners: {txt: {item_feat_emb: a.pth}}\nlearners: {id: {learning_rate: 0.1}}\n")
    with pytest.raises(InputError, match=r"mine\.yaml, line 3: key 'learners' is there twice"):
        config(file)
    with pytest.raises(InputError, match=r"line 2: key 'learning_rate' is there twice"):
        config(write_yaml("learners: {id: {learning_rate: 0.1,\n  learning_rate: 0.2}}\n"))


def test_a_gpu_among_those_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, gpu, expected in (
        ("all", "1", "1"),
        ("4,6", "1", "6"),
        ("4", "0", "4"),
        ("", "0", ""),
        ("-1", "0", "-1"),
    ):
        monkeypatch.setattr("mml.config.gpu._GIVEN_GPUS", given)
        assert among_given(gpu) == expected
    monkeypatch.setattr("mml.config.gpu._GIVEN_GPUS", "4")
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=4 has fewer GPUs"):
        among_given("1")


def test_shots_without_cases_are_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mml"):
        config(cold_user_max_inter=5)
    assert "There are no cases of eval_shots 5, 9: cold_user_max_inter keeps 5 interactions" in caplog.text


def test_overrides_are_checked(write_yaml: WriteYaml) -> None:
    preset = write_yaml("dataset_overrides: {shop: {hiden_size: 32}}\n")
    with pytest.raises(InputError, match=r"mine\.yaml: dataset_overrides\.shop: unknown key 'hiden_size'"):
        config(preset)
    with pytest.raises(InputError, match=r"mine\.yaml: .*dataset_overrides"):
        config(write_yaml("dataset_overrides: {shop: 3}\n"))


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("--a=1", {"a": 1}),
        ("--a.b.c=x", {"a": {"b": {"c": "x"}}}),
        ("--a=[1, 2]", {"a": [1, 2]}),
        ("--a=", {"a": None}),
        ("--a=None", {"a": None}),
        ("--a=~", {"a": None}),
        ("--a=True", {"a": True}),
        ("--a=1e-3", {"a": 1e-3}),
        ("--a=x=y", {"a": "x=y"}),
    ],
)
def test_arguments_are_yaml(argument: str, expected: dict[str, Any]) -> None:
    loaded = config()
    assert parse_arguments([argument], loaded.yaml_loader) == expected


# --- mistakes -------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("hiden_size: 3", "unknown key 'hiden_size'. Did you mean 'hidden_size'?"),
    ("Hidden_Size: 3", "unknown key 'Hidden_Size'. Did you mean 'hidden_size'?"),
    ("TOPK: [3]", "unknown key 'TOPK'. Did you mean 'topk'?"),
    ("qqqqqq: 3", "unknown key 'qqqqqq'. See configs/overall.yaml for every key."),
    ("hidden_size: big", "key 'hidden_size' has the value 'big'; it must be int, at least 1, at most 1000000."),
    ("hidden_size: 1.5", "key 'hidden_size' has the value 1.5"),
    ("hidden_size: True", "key 'hidden_size' has the value True"),
    ("hidden_size: 0", "key 'hidden_size' has the value 0"),
    ("hidden_size: ~", "key 'hidden_size' needs a value"),
    ("repeatable: 1", "key 'repeatable' has the value 1; it must be bool."),
    ("valid_user_ratio: 0.7", "key 'valid_user_ratio' has the value 0.7; it must be float, at least 0, at most 0.5."),
    ("data_split_quantile: -0.1", "key 'data_split_quantile' has the value -0.1"),
    ("learning_rate: .nan", "key 'learning_rate' has the value nan"),
    ("meta_algorithm: mamal", "key 'meta_algorithm' has the value 'mamal'; it must be one of fomaml, maml"),
    ("eval_shots: first", "key 'eval_shots' has the value 'first'; it must be one of last or a list of numbers"),
    ("eval_shots: [-1]", "key 'eval_shots' has the value [-1]"),
    ("eval_shots: [0]", "key 'eval_shots' holds 0 only, at which learners have no history to predict from"),
    ("eval_shots: []", "key 'eval_shots' has the value []"),
    ("topk: []", "key 'topk' has the value []; it must not be empty."),
    ("topk: [5, 1.5]", "key 'topk' has the value [5, 1.5]"),
    ("eval_shots: [1.5]", "key 'eval_shots' has the value [1.5]"),
    ("1: 2", "unknown key '1'"),
    ("run_name: 2021-13-45", "not a valid YAML file"),
    ("learners: {id: {1: 2}}", "unknown key 'learners.id.1'"),
    ("seed: 99999999999999", "key 'seed' has the value 99999999999999"),
    ("eval_shots: [10, 12]", "key 'eval_shots' holds 10, 12, but cold_user_max_inter keeps 10 interactions"),
    ("{meta_algorithm: reptile, local_learning_rate: 0}", "key 'local_learning_rate' is 0"),
    ("choose_epoch_by_valid_item: true", "key 'choose_epoch_by_valid_item' is gone"),
    ("snapshots: 3", "key 'snapshots' is gone: it is called moments now."),
    ("refresh: True", "key 'refresh' is gone: use online: True, the default"),
    ("refresh_epochs: 3", "key 'refresh_epochs' is gone: use online: True, the default"),
    ("refresh_updates: 2", "key 'refresh_updates' is gone: use online: True, the default"),
    ("moments: 1", "key 'moments' has the value 1; it must be int, at least 2."),
    ("generator: attention", "key 'generator' has the value 'attention'; it must be one of content, paper"),
    ("metrics: []", "key 'metrics' has the value []"),
    ("metrics: [Foo]", "key 'metrics' holds Foo"),
    ("metrics: [3]", "key 'metrics' has the value [3]"),
    ("logger: [[1]]", "key 'logger' has the value [[1]]"),
    ("logger: [{a: 1}]", "key 'logger' has the value [{'a': 1}]"),
    ("learning_rate: 1.0e+308", "key 'learning_rate' has the value 1e+308"),
    ("hidden_size: " + "9" * 400, "key 'hidden_size' has the value " + "9" * 100 + "...; it must be int"),
    ("n_layers: 1000000000", "key 'n_layers' has the value 1000000000; it must be int, at least 1, at most 1000"),
    ("metric_decimal_place: 31", "key 'metric_decimal_place' has the value 31"),
    ("fusion_weight: {id: .nan, linear: 1}", "key 'fusion_weight' has the value"),
    ("fusion_weight: {id: 1.0e+300}", "key 'fusion_weight' has the value"),
    ("clip_grad_norm: {max_norm: .nan}", "key 'clip_grad_norm' has the value"),
    (
        "clip_grad_norm: {max_norm: -1}",
        "key 'clip_grad_norm' must be a mapping like {max_norm: 5, norm_type: 2}, of numbers",
    ),
    ("clip_grad_norm: {max_norm: 0}", "key 'clip_grad_norm' must be a mapping like"),
    ("valid_metric: NDCG@\u00b2", "key 'valid_metric' is 'NDCG@\u00b2'; write it as NDCG@10"),
    ("valid_metric: NDCG@1" + "0" * 25, "key 'valid_metric' is 'NDCG@1"),
    ('run_name: "a\\0b"', "key 'run_name' has the value"),
    ('output_dir: "\\0"', "key 'output_dir' has the value"),
    ("run_name: " + "x" * 300, "key 'run_name' is longer than 200 bytes"),
    ("metrics: [AUC]", "key 'metrics' holds AUC"),
    ("valid_metric: NDCG", "key 'valid_metric' is 'NDCG'; write it as NDCG@10, with one of"),
    ("valid_metric: Foo@10", "key 'valid_metric' is 'Foo@10'"),
    ("valid_metric: NDCG@0", "key 'valid_metric' is 'NDCG@0'"),
    ("valid_metric: AUC@10", "key 'valid_metric' is 'AUC@10'"),
    ("learners: {id: {lerning_rate: 1}}", "unknown key 'learners.id.lerning_rate'. Did you mean 'learning_rate'?"),
    ("learners: {id: {learning_rate: fast}}", "key 'learners.id.learning_rate' has the value 'fast'"),
    ("learners: {id: 3}", "learners.id must be a mapping"),
    ("learners: {id: {item_feat_emb: a.pth}}", "learners.id learns from the log alone and takes no item_feat_emb"),
    ("learners: {linear: {decays: 1}}", "unknown key 'learners.linear.decays'. Did you mean 'decay'?"),
    ("learners: {linear: {decay: 2}}", "key 'learners.linear.decay' has the value 2"),
    ("learners: [id]", "key 'learners' has the value ['id']; it must be dict."),
    ("fusion_weight: {id: 0.5, sound: 0.5}", "key 'fusion_weight'"),
    ("fusion_weight: {id: heavy}", "key 'fusion_weight'"),
    (
        "fusion_weight: {id: 1, linear: -1, newcomers: 1}",
        "weights of a mean are not below 0, and one at least is above",
    ),
    ("fusion_weight: {id: 0, linear: 0, newcomers: 0}", "weights of a mean are not below 0, and one at least is above"),
    ("fusion_hidden_size: [64, wide]", "key 'fusion_hidden_size'"),
    ("epochs: 3", "key 'epochs' has no effect in mml; use pretrain_epochs and meta_epochs."),
    ("train_batch_size: 3", "key 'train_batch_size' has no effect in mml"),
    ("eval_args: {split: {LS: valid_and_test}}", "key 'eval_args' has no effect in mml"),
    ("threshold: {rating: 3}", "key 'threshold' has no effect in mml; use val_interval"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_names_its_file_and_key(text: str, message: str, write_yaml: WriteYaml) -> None:
    with pytest.raises(InputError) as caught:
        config(write_yaml(text))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    # what only the whole config shows wrong, or what another file might mend, cannot name one file
    assert str(caught.value).startswith((f"{write_yaml(text)}: ", "config: "))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--hiden_size=3"], "command line: unknown key 'hiden_size'. Did you mean 'hidden_size'?"),
        (["--hidden_size=big"], "command line: key 'hidden_size' has the value 'big'"),
        (["--learners.id.metaepochs=3"], "unknown key 'learners.id.metaepochs'. Did you mean 'meta_epochs'?"),
        (["--learners.sound.learning_rate=1"], "unknown learner 'sound'"),
        (["--hidden_size"], "command line: '--hidden_size' is not of the form --key=value."),
        (["--learning_rate=.inf"], "key 'learning_rate' has the value inf; it must be float, at least 0."),
        (["--adapt_learning_rate=[0.1, 1e400]"], "key 'adapt_learning_rate' has the value [0.1, inf]"),
        (["--data_split_time=.nan"], "key 'data_split_time' has the value nan"),
        (["hidden_size=3"], "'hidden_size=3' is not of the form --key=value."),
        (["--topk=[1"], "the value of '--topk=[1' is not valid YAML."),
        (["--topk=[1]", "--topk=[2]"], "key 'topk' is given twice with different values."),
        (["--learners=3", "--learners.id.meta_epochs=3"], "sets a key inside 'learners', which is already a value."),
        (["--learners.id.meta_epochs=3", "--learners={}"], "'learners' is given twice with different values."),
    ],
)
def test_a_mistake_on_the_command_line(argv: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config(argv=tuple(argv))
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_unreadable_files(write_yaml: WriteYaml, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.yaml does not exist"):
        config(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match=r"mine\.yaml: not a valid YAML file"):
        config(write_yaml("a: [1"))
    with pytest.raises(InputError, match=r"mine\.yaml: must be a mapping"):
        config(write_yaml("- a"))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.yaml: not a valid YAML file"):
        config(tmp_path / "bytes.yaml")
    assert config(write_yaml("# nothing set\n"))["hidden_size"] == 64


# --- RecBole's keys and the device ----------------------------------------------------------------------------------


def test_a_data_key_of_recbole_works(tmp_path: Path) -> None:
    from mml.data.dataset import MMLDataset

    rows = [f"u{user}\ti{item}\t{10 * user + item}" for user in range(8) for item in range(3 + user % 2)]
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "\n".join(rows))
    common: dict[str, Any] = {"data_path": str(tmp_path), "output_dir": str(tmp_path / "output"), "topk": [2]}
    loaded = config(**common, user_inter_num_interval="[4,inf)")
    assert MMLDataset(config(**common)).user_num - 1 == 8
    assert MMLDataset(loaded).user_num - 1 == 4
    assert config_keys.stage_of("user_inter_num_interval") == "data"
    assert loaded.of_stage("data")["user_inter_num_interval"] == "[4,inf)"


def test_a_list_of_new_users_beside_a_time_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="mml"):
        config(argv=("--new_users_file=new.txt", "--data_split_time=500"))
    assert "Without effect: data_split_time, as new_users_file says who is new" in caplog.text


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO, logger="mml"):
        loaded = Config("shop", arguments=["--gpu_id=3"])
    assert loaded["device"] == torch.device("cpu")
    own = [record.getMessage() for record in caplog.records if record.name.startswith("mml")]
    assert own == ["GPU 3 was asked for, but there is no CUDA here: running on the CPU."]
    caplog.clear()
    assert config()["device"] == torch.device("cpu")
    assert not [record for record in caplog.records if record.name.startswith("mml")]


@pytest.mark.parametrize("given", ["seed=3", "x", "0;1", "0,,1"])
def test_what_names_no_gpu_is_refused(given: str) -> None:
    """`run_meta.sh NAME seed=3` trained with the default seed, on the CPU."""
    with pytest.raises(InputError, match=r"key 'gpu_id' is '.*'; it is the number of a GPU, such as 0"):
        config(argv=(f"--gpu_id={given}",))


def test_stages_see_their_own_keys_and_those_before() -> None:
    loaded = config(fusion_epochs=3)
    assert "fusion_epochs" in loaded.of_stage("fusion")
    assert "fusion_epochs" not in loaded.of_stage("generator")
    for stage in config_keys.STAGES:
        assert "output_dir" not in loaded.of_stage(stage)
        assert "hidden_size" in loaded.of_stage(stage) or stage == "data"


# --- what users of RecBole write -------------------------------------------------------------------------------------


def test_all_refused_keys_of_a_file_are_named_at_once(write_yaml: WriteYaml) -> None:
    path = write_yaml("epochs: 5\nreproducibility: 3\nlog_wandb: True\neval_args: {split: {}}\ntopk: [0]\n")
    with pytest.raises(InputError) as caught:
        config(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for key in ("epochs", "reproducibility", "log_wandb", "eval_args", "topk"):
        assert any(f"key '{key}'" in line for line in lines)


def test_the_home_folder_in_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    loaded = config(argv=("--output_dir=~/runs", "--data_path=~/data", "--new_users_file=~/new.txt"))
    assert loaded["output_dir"] == f"{tmp_path}/runs"
    assert loaded["data_path"] == f"{tmp_path}/data/shop"
    assert loaded["new_users_file"] == f"{tmp_path}/new.txt"


def test_the_file_beside_the_dataset_counts(tmp_path: Path, write_yaml: WriteYaml) -> None:
    folder = tmp_path / "data" / "shop"
    folder.mkdir(parents=True)
    (folder / "shop.yaml").write_text("repeatable: True\nhidden_size: 8\n", encoding="utf-8")
    mine = write_yaml("hidden_size: 16\n")
    loaded = config(mine, argv=(f"--data_path={tmp_path / 'data'}",))
    assert (loaded["repeatable"], loaded["hidden_size"]) == (True, 16)


def test_a_setting_with_a_space_after_config_files() -> None:
    from mml.config.arguments import common_arguments

    given = ["--config_files", "my.yaml", "--metrics=[Recall, NDCG]", "--data_path=/home/me/my data"]
    _, files, rest = common_arguments(given, "")
    assert files == ["my.yaml"]
    assert rest == ["--metrics=[Recall, NDCG]", "--data_path=/home/me/my data"]


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ([], []),
        (["--device", "auto"], []),
        (["--device=cpu"], ["--use_gpu=False"]),
        (["--device=cuda"], ["--use_gpu=True", "--gpu_id=0"]),
        (["--device", "cuda:2"], ["--use_gpu=True", "--gpu_id=2"]),
        (["--gpu_id", "1"], ["--gpu_id=1"]),
    ],
)
def test_the_device_of_a_command(given: list[str], settings: list[str]) -> None:
    assert common_arguments(given, "A command.")[2] == settings


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "auto:1", "0", ""])
def test_a_device_that_is_none(device: str) -> None:
    with pytest.raises(InputError, match="it must be auto, cpu, cuda or cuda:N"):
        common_arguments([f"--device={device}"], "A command.")


def test_another_dataset_in_a_file_is_said(write_yaml: WriteYaml, caplog: pytest.LogCaptureFixture) -> None:
    path = write_yaml("dataset: other")
    config(path)
    assert f"{path}: key 'dataset' is other and is not read: this is " in caplog.text
