"""`docs/settings.md`: every key in a table for each section, written from the declarations.

python -m mml.cli.settings_page > docs/settings.md
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mml.baselines.reference import sections as of_baselines
from mml.cli.keys import accepted, written
from mml.config import keys as config_keys
from mml.model.learner import LEARNERS
from mml.settings import Key, keys_of

_HEAD = """\
# Settings

<!-- Written by python -m mml.cli.settings_page from the declarations; do not edit. -->

Every key with its default, what it accepts, and what it does. All of them have defaults that run; most people set three
or four.

| where | how |
| --- | --- |
| command line | `mml train shop --hidden_size=32 "--topk=[5, 10]" --learners.txt.learning_rate=0.001` |
| the dataset's own file, `dataset/shop/shop.yaml` | `hidden_size: 32` |
| a file of yours | `mml train shop --config_files mine.yaml` |
| Python | `mml.fit("shop", hidden_size=32, topk=[5, 10], **{"learners.txt.learning_rate": 0.001})` |

Later ones go over earlier ones, in this order: `configs/overall.yaml` (the defaults below), `configs/shop.yaml`,
`dataset/shop/shop.yaml`, `--config_files`, the command line. `~` is YAML's "no value". A key that does not exist, or a
value that cannot be, is refused before anything starts, with the nearest key that does exist. `mml keys` prints the
same tables, and the stage that each key acts on: what comes before that stage is not computed again.

A key marked *per learner* can have a value of its own in each learner with an encoder:
`learners.txt.pretrain_epochs`.
"""
_FEW = """\
## The few that matter first

| question | key |
| --- | --- |
| Who counts as new? | [`data_split_quantile`](#split-by-time-only), or a date: `data_split_time` |
| May items of the history be recommended again? | [`repeatable`](#split-by-time-only); `mml import` sets it |
| Which texts, pictures and columns? | [`learners`](#inside-learners); `mml import` writes them |
| 50,000 items or more? | [`loss_type`](#loss)`: sampled` |
| Too slow? | fewer [`pretrain_epochs`](#plain-training-with-early-stopping), and [`use_gpu`](#run) |
| Another seed? | [`seed`](#run) |
"""
_INSIDE = """\
## Inside learners

Keys of one learner, written as `learners.NAME.KEY` or nested. Give a modality any name that no entry has.
"""


def page() -> str:
    """The whole page, Markdown."""
    parts = [_HEAD, _FEW, *_sections(), _INSIDE, *_learners(), *_baselines(), *_recbole()]
    return "\n".join(parts)


def _sections() -> Iterator[str]:
    """A table for each section of top-level keys, in the order of configs/overall.yaml."""
    sections: dict[str, dict[str, Key]] = {}
    for part, _ in config_keys.declarations():
        for name, key in keys_of(part).items():
            sections.setdefault(key.section, {})[name] = replace(key, default=config_keys.defaults()[name])
    for title, keys in sections.items():
        yield f"## {title}\n\n{_table(keys)}"


def _learners() -> Iterator[str]:
    """A table for each kind of learner; kinds with the same keys share one."""
    titles: dict[str, list[str]] = {}
    for entry in LEARNERS:
        if entry.own_settings is not None:
            name = "a modality, such as `txt`" if entry.needs_features else f"`{entry.name}`"
            titles.setdefault(_table(keys_of(entry.own_settings)), []).append(name)
    for table, names in titles.items():
        yield f"### Of {', '.join(names)}\n\n{table}"


def _baselines() -> Iterator[str]:
    yield "## Of baselines\n"
    yield "Written as `mml baseline NAME --dataset shop --KEY=VALUE`; defaults stand in `configs/baselines.yaml`.\n"
    for title, about, keys in of_baselines():
        yield f"### {title}\n\n{about}.\n\n{_table(keys)}"


def _recbole() -> Iterator[str]:
    legal, inside = (
        ", ".join(f"`{name}`" for name in sorted(names))
        for names in (config_keys.recbole_data_keys(), config_keys.NAMES_INSIDE)
    )
    yield f"## RecBole's keys\n\nThese act on loading and filtering as they do in RecBole: {legal}.\n"
    yield f"These name columns that RecBole makes itself; they are legal, and no result hangs on them: {inside}.\n"
    yield "Those of the two tables have no effect here. They are legal as long as they ask for nothing: switched off"
    yield "(`~`, `False`), or at the default of RecBole's own files. Others are refused, with what to use:\n"
    yield _by_text("use", config_keys.USE_INSTEAD)
    yield "Nothing stands for these:\n"
    yield _by_text("why", config_keys.NOTHING_TO_USE)


def _by_text(header: str, texts: Mapping[str, str]) -> str:
    """A table of RecBole's keys, those with the same text in one row."""
    keys: dict[str, list[str]] = {}
    for name, text in texts.items():
        keys.setdefault(_escaped(text), []).append(f"`{name}`")
    return _rows(("RecBole's key", header), ((", ".join(names), text) for text, names in keys.items()))


def _table(keys: Mapping[str, Key]) -> str:
    header = ("key", "default", "accepts", "meaning")
    return _rows(header, ((f"`{name}`", f"`{written(key.default)}`", *_said(key)) for name, key in keys.items()))


def _said(key: Key) -> tuple[str, str]:
    legal = accepted(key).replace("~", "`~`")
    for choice in key.choices:
        legal = re.sub(rf"(?<![\w`]){re.escape(str(choice))}(?![\w`])", f"`{choice}`", legal)
    return legal, _escaped(key.meaning) + (" *Per learner.*" if key.per_learner else "")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "\\|").replace("*", "\\*")


def _rows(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
