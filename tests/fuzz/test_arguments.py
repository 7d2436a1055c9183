"""Values of config keys, YAML files, and the arguments of commands; nothing is trained."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from mml.cli.main import main
from mml.config.config import Config
from mml.config.sources import config_dir
from mml.data.dataset import MMLDataset
from mml.errors import InputError
from prepare_multimodal_information_file.cli import main as prepare
from tests.data.small_log import small_rows, write_log
from tests.fuzz.mutations import CELLS, TEXT, Damage, damaged, damages
from tests.fuzz.outcome import a_folder, attempt, names, tries
from tests.fuzz.test_logs import ITEMS
from tests.fuzz.test_pictures import picture

OVERALL = (config_dir() / "overall.yaml").read_bytes()
VECTORS = io.BytesIO()
np.savez(VECTORS, item_id=[f"i{item:03}" for item in range(24)], emb=np.random.default_rng(0).normal(size=(24, 3)))
DATA_KEYS = {
    "load_col": "{inter: [user_id, item_id, timestamp]}",
    "unload_col": "{inter: [timestamp]}",
    "val_interval": '{timestamp: "[0,inf)"}',
    "user_inter_num_interval": "[0,inf)",
    "item_inter_num_interval": "[0,inf)",
    "rm_dup_inter": "first",
    "filter_inter_by_user_or_item": "True",
    "normalize_field": "[timestamp]",
    "normalize_all": "False",
    "field_separator": ",",
    "seq_separator": " ",
    "seq_len": "{title: 4}",
    "threshold": "{timestamp: 3}",
    "TIME_FIELD": "timestamp",
    "USER_ID_FIELD": "user_id",
    "ITEM_ID_FIELD": "item_id",
    "LABEL_FIELD": "label",
    "benchmark_filename": "[train, test]",
    "alias_of_user_id": "[user_id]",
    "new_users_file": "new.txt",
    "data_split_time": "1600000000",
    "learners.txt.item_feat_emb": "f.pth",
    "learners.txt.source": "{columns: [title]}",
}


def _flat(settings: dict[str, object], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = yaml.safe_dump(value, default_flow_style=True).split("\n")[0]
    return found


KEYS = {**_flat(yaml.safe_load(OVERALL)), **DATA_KEYS}
# where things are, and what would use another device
APART = ("data_path", "output_dir", "dataset", "gpu_id", "use_gpu", "checkpoint_dir", "run_name")
_scalars = st.none() | st.booleans() | st.integers(-3, 2**33) | st.floats(width=32) | st.sampled_from(CELLS)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(CELLS[:60]), inner, max_size=2),
    max_leaves=4,
).map(lambda value: yaml.safe_dump(value, default_flow_style=True).replace("\n...\n", "").strip())
_words = st.sampled_from(sorted(set(KEYS) - set(APART))).flatmap(
    lambda key: (st.just(KEYS[key]) | st.sampled_from(sorted(set(KEYS.values()))) | _values).map(
        lambda value: f"--{key}={value}"
    )
)


_LINES = 50  # each refused key has one


def load(folder: Path, argv: list[str], files: list[str] | None = None) -> MMLDataset | InputError:
    """The small log under these arguments."""
    write_log(folder, small_rows())
    common = [f"--data_path={folder}", f"--output_dir={folder / 'output'}", "--use_gpu=False", "--topk=[5]"]
    given = [one for one in argv if not one.startswith("--topk=")]
    found: MMLDataset | InputError = attempt(
        folder, lambda: MMLDataset(Config("log", files or [], arguments=[*common, *given])), _LINES
    )
    return found


@tries(0.09)
@given(st.lists(_words, min_size=1, max_size=2))
def test_values_of_keys(argv: list[str]) -> None:
    with a_folder() as folder:
        load(folder, argv)


@tries(0.038)
@given(damages(TEXT))
def test_config_files(how: list[Damage]) -> None:
    content = damaged(OVERALL, how)
    with a_folder() as folder:
        (folder / "mine.yaml").write_bytes(content)
        load(folder, [], [str(folder / "mine.yaml")])


SOUND = {
    "text": {"--input": "log/log.item", "--text-cols": "title", "--output": "o.pth"},
    "columns": {"--input": "log/log.item", "--columns": "genre", "--encoder": "multihot", "--output": "o.npz"},
    "image": {"--input": "pictures", "--output": "o.txt"},
    "convert": {"--input": "f.npz", "--output": "o.txt"},
    "check": {"--input": "f.npz", "--dataset": "log"},
}
"""Arguments of `mml features` that do something."""
FILES = ("log/log.inter", "log/log.item", "log", "none", "f.npz", "o.npy", "", ".", "/dev/null", "none/o.txt", "pipe")
_options = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["--input", "--output", "--dataset", "--fit-on"], st.sampled_from(FILES)),
        **dict.fromkeys(
            ["--text-cols", "--columns"], st.sampled_from(["genre", "price,vector", "nothing", "", ",", "item_id"])
        ),
        "--encoder": st.sampled_from(["tfidf", "multihot", "numeric", "descriptor", "tfid", ""]),
        "--id-col": st.sampled_from(["item_id", "genre", ""]),
        "--dim": st.sampled_from(["1", "0", "-1", "9999999", "x"]),
        "--items": st.sampled_from(["i001", "none", ""]),
        "--neighbours": st.sampled_from(["0", "-1", "99"]),
        "--separator": st.sampled_from([" ", "", "|"]),
        "--path-col": st.sampled_from(["title", "nothing"]),
    },
)


@tries(0.051)
@example("image", {"--output": "pipe"})
@example("text", {"--output": "pipe"})
@given(st.sampled_from(sorted(SOUND)), _options)
def test_commands_of_features(command: str, options: dict[str, str]) -> None:
    with a_folder() as folder:
        write_log(folder, small_rows())
        (folder / "log" / "log.item").write_bytes(ITEMS)
        (folder / "f.npz").write_bytes(VECTORS.getvalue())
        (folder / "pictures").mkdir()
        (folder / "pictures" / "i001.png").write_bytes(picture("PNG", "RGB"))
        os.mkfifo(folder / "pipe")
        argv = [command]
        for name, value in {**SOUND[command], **options}.items():
            is_path = name in ("--input", "--output", "--dataset", "--fit-on")
            argv += [name, f"{folder}/{value}" if is_path and value and not value.startswith("/") else value]
        code_of(folder, lambda: prepare(argv))


_commands = st.sampled_from(
    ["import", "check", "recommend", "update", "result", "report", "keys", "features", "baseline", "traim", ""]
)


@tries(0.032)
@given(
    _commands,
    st.lists(
        st.sampled_from([*CELLS[:60], "--help", "--name", "--items", "--output", "--top", "--only", "x.csv"]),
        max_size=4,
    ),
)
def test_arguments_of_commands(command: str, argv: list[str]) -> None:
    with a_folder() as folder, contextlib.chdir(folder):
        code_of(folder, lambda: main([command, *argv]))


def code_of(folder: Path, call: object) -> int:
    """A command's exit code: 0, or 2 with one line and no trace."""
    before, out, err = names(folder), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = attempt(folder, call)  # type: ignore[arg-type]
        except SystemExit as end:  # argparse's own refusals
            code = end.code
    assert code in (0, 2), (code, err.getvalue())
    if code == 2:
        assert names(folder) == before, set(names(folder)) ^ set(before)
        last = err.getvalue().strip().split("\n")[-1]
        assert "error: " in last or out.getvalue().startswith("error: ") or "usage: mml" in out.getvalue(), (
            err.getvalue()
        )
        assert last.isprintable()
    return int(code)
