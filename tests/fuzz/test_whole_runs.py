"""Whole runs of a tiny log under any legal settings: each ends in a sound result, or in one clear line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file

import mml
from mml.config.config import Config
from mml.config.keys import declared, learner_keys, log_learners
from mml.errors import InputError
from mml.run.folder import RunFolder
from mml.run.run import run_meta
from mml.settings import Key
from tests.data.small_log import small_rows, write_log
from tests.fuzz.mutations import TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, check_message, tries
from tests.fuzz.test_logs import ITEMS, LOG

QUICK = {
    "hidden_size": 8,
    "inner_size": 8,
    "n_layers": 1,
    "n_heads": 2,
    "pretrain_epochs": 1,
    "meta_epochs": 1,
    "generator_epochs": 1,
    "fusion_epochs": 1,
    "adapt_max_steps": 1,
    "use_gpu": False,
    "show_progress": False,
    "topk": [5, 10],
}
"""A run in a second or two."""
_APART = {
    # what a run writes where, on which device, in which processes
    *("data_path", "output_dir", "dataset", "gpu_id", "use_gpu", "checkpoint_dir", "run_name", "device", "loggers"),
    *("new_users_file", "show_progress", "cpu_threads", "process_timeout", "learners", "dataset_overrides"),
}
_MOST = 40  # of a whole number: epochs, layers and sizes cost time
_LINES = 50  # each refused key has one
_LEARNERS = [*log_learners(), "txt"]


def _numbers(key: Key, whole: bool) -> st.SearchStrategy[float]:
    low = -1e6 if key.low is None else key.low
    high = 1e6 if key.high is None else key.high
    if whole:
        return st.integers(math.ceil(max(low, -_MOST)), math.floor(min(high, max(_MOST, low))))
    ends = [value for value in (low, high, 1e-6, 0.5, 2.0, 1e4) if low <= value <= high]
    return st.sampled_from(ends) | st.floats(low, high)


def _of(key: Key) -> st.SearchStrategy[object]:
    """Legal values of a key, the extreme ones among them."""
    some: list[st.SearchStrategy[object]] = [st.just(key.default)]
    if key.optional:
        some.append(st.none())
    if key.choices:
        some.append(st.sampled_from(list(key.choices)))
    elif bool in key.types:
        some.append(st.booleans())
    elif {int, float} & set(key.types):
        some.append(_numbers(key, float not in key.types))
    elif (
        list in key.types and isinstance(key.default, list) and all(isinstance(one, int | float) for one in key.default)
    ):
        some.append(st.lists(_numbers(key, key.whole), max_size=3))
    elif dict in key.types:
        names = [*(key.default if isinstance(key.default, dict) else ()), *_LEARNERS]
        some.append(st.dictionaries(st.sampled_from(names), st.floats() | st.integers(-3, 3), max_size=3))
    return st.one_of(some)


def _any_scalar() -> st.SearchStrategy[object]:
    """What YAML can hold, legal or not: numbers of any size, texts with any character."""
    return st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, -(10**31), True, None])


_anything = (
    _any_scalar()
    | st.lists(_any_scalar(), max_size=3)
    | st.dictionaries(st.text(max_size=3), _any_scalar(), max_size=3)
)


def _settings() -> Iterator[tuple[str, Key]]:
    yield from ((name, key) for name, key in declared().items() if name not in _APART and not key.is_path)
    for learner in _LEARNERS:
        yield from (
            (f"learners.{learner}.{name}", key) for name, key in learner_keys(learner).items() if name != "source"
        )


KEYS = dict(_settings())
_some = st.dictionaries(st.sampled_from(sorted(KEYS)), st.none(), min_size=1, max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: _of(KEYS[name]) for name in sorted(names)})
)


_odd = st.dictionaries(st.sampled_from(sorted(KEYS)), _anything, min_size=1, max_size=2)


def run(folder: Path, log: bytes, settings: dict[str, object]) -> Path | InputError:
    """The run's folder, or what it ended with; before it has begun it leaves nothing."""
    write_log(folder, small_rows()).write_bytes(log)
    (folder / "log" / "log.item").write_bytes(ITEMS)
    where = {"data_path": str(folder), "output_dir": str(folder / "output")}
    final = {"learners.txt.source": {"columns": ["title"]}, **QUICK, **settings, **where}
    started: list[bool] = []

    def ended() -> Path | InputError:
        try:
            config = Config("log", arguments=[f"--{name}={_written(value)}" for name, value in final.items()])
            return run_meta(config, RunFolder(config), lambda: started.append(True))[1]
        except InputError as error:
            if not started:
                raise
            check_message(str(error), folder, _LINES)
            return error

    found: Path | InputError = attempt(folder, ended, _LINES)
    if isinstance(found, Path):
        check(found)
    return found


def check(folder: Path) -> None:
    """Metrics and weights are numbers, and the model recommends."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    for groups in result["metrics"].values():
        for metrics in groups.values():
            assert all(math.isfinite(value) and value >= 0 for value in metrics.values()), metrics
    for path in (folder / "checkpoints").glob("*.safetensors"):
        for name, tensor in load_file(path).items():
            assert bool(tensor.isfinite().all()), (path.name, name)
    lists = mml.load(folder).recommend({"me": ["i001"], "nobody": []}, top=3)
    assert np.isfinite(lists.score).all()
    assert not lists.duplicated(["user_id", "item_id"]).any()


def _written(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


@tries(0.02)
@given(_some)
@example({"pretrain_learning_rate": 2.0, "learners.txt.adapt_learning_rate": 275936.0})
def test_settings(settings: dict[str, object]) -> None:
    with a_folder() as folder:
        run(folder, LOG, settings)


@tries(0.01)
@given(_odd)
def test_settings_that_may_not_be(settings: dict[str, object]) -> None:
    with a_folder() as folder:
        run(folder, LOG, settings)


@tries(0.006)
@given(damages(TEXT))
def test_logs(how: list[Damage]) -> None:
    with a_folder() as folder:
        run(folder, damaged(LOG, how), {})


def test_the_sound_log_runs() -> None:
    with a_folder() as folder:
        assert isinstance(run(folder, LOG, {}), Path)
