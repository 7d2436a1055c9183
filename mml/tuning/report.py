"""What a search leaves for people: the table of trials, also as CSV, and the best settings as a config file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from mml.config import keys as config_keys
from mml.config.config import Config
from mml.files.safe import plain, write_text
from mml.files.sheets import csv_text
from mml.run.printing import aligned
from mml.tuning.arguments import Settings, as_arguments, as_yaml
from mml.tuning.search import Trial, best_of
from mml.tuning.space import Choice, Range, Space

_TITLE_WIDTH = 10
_KEPT_OF_RUN = ("data_path", "output_dir", "tf32")


def shown(one: Range) -> str:
    """A range in words."""
    if isinstance(one, Choice):
        return ", ".join(as_yaml(value) for value in one.values)
    text = f"{one.low:g} to {one.high:g}"
    if one.step is not None:
        return f"{text} by {one.step:g}"
    return f"{text}{', evenly in its logarithm' if one.log else ''}"


def ranges_text(space: Space) -> str:
    """A line for each range."""
    return aligned([[f"  {key}", shown(one)] for key, one in space.items()], n_left=2)


def value_text(value: object) -> str:
    """A setting's value, short."""
    return f"{value:.4g}" if isinstance(value, float) else as_yaml(value)


def settings_text(trial: Trial, defaults: Mapping[str, object]) -> str:
    """A trial's settings in a line."""
    settings = trial.settings or defaults
    return ", ".join(f"{key} {value_text(value)}" for key, value in settings.items())


def table(trials: Sequence[Trial], space: Space, metric: str, defaults: Mapping[str, object]) -> str:
    """All trials in their order, the best one marked."""
    best = best_of(trials)
    rows = []
    for trial in trials:
        settings = trial.settings or {**defaults}
        score = "-" if trial.score is None else f"{trial.score:.4f}"
        notes = [trial.state] if trial.state != "finished" else []
        notes += ["defaults"] if trial.place == 0 else []
        notes += ["best"] if best is not None and trial.place == best.place else []
        values = [value_text(settings[key]) for key in space]
        rows.append([str(trial.place), score, f"{trial.cpu_seconds:.0f}", *values, ", ".join(notes)])
    failed = [f"Trial {trial.place} failed: {trial.why}" for trial in trials if trial.why]
    return "\n".join([_columns(["trial", metric, "CPU s", *(_short(key, space) for key in space)], rows), *failed])


def _columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned to the right, but for the notes; long titles take several lines."""
    titles = [_broken(title) for title in head]
    height = max(map(len, titles))
    filled = [[""] * (height - len(title)) + title for title in titles]
    lines = [[*(title[place] for title in filled), ""] for place in range(height)]
    every = [*lines, *rows]
    text = aligned([row[:-1] for row in every], n_left=0).splitlines()
    return "\n".join(f"{line}  {row[-1]}".rstrip() for line, row in zip(text, every, strict=True))


def _broken(title: str) -> list[str]:
    """A key's name in lines of a few letters, broken after _ and dots."""
    lines = [""]
    for part in re.findall(r"[^_.]+[_.]?", title):
        if lines[-1] and len(lines[-1] + part) > _TITLE_WIDTH:
            lines.append("")
        lines[-1] += part
    return lines


def _short(key: str, space: Space) -> str:
    """A key's last part, where no other key has the same."""
    last = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == last for other in space) > 1 else last


def trials_csv(trials: Sequence[Trial], space: Space, metric: str) -> str:
    """trials.csv: one row per trial."""
    rows: list[list[object]] = [["trial", "state", metric, "cpu_seconds", *space, "why"]]
    for trial in trials:
        score = "" if trial.score is None else f"{trial.score:.6f}"
        values = [as_yaml(trial.settings[key]) if key in trial.settings else "" for key in space]
        rows.append([trial.place, trial.state, score, f"{trial.cpu_seconds:.1f}", *values, trial.why])
    return csv_text(rows)


def best_text(best: Trial, trials: Sequence[Trial], metric: str) -> str:
    """How the best trial compares with the defaults."""
    text = f"Best: trial {best.place}, {metric} {best.score:.4f} on the validation users"
    first = next((trial for trial in trials if trial.place == 0), None)
    if best.place == 0:
        return f"{text}; nothing was better than the defaults."
    if first is None or first.score is None or first.state != "finished":
        return f"{text}."
    return f"{text}; the defaults have {first.score:.4f}."


def write_best(path: Path, config: Config, plain_config: Config, best: Trial, metric: str, command: str) -> None:
    """Write what differs from a dataset's own settings as a config file.

    Args:
        path: of the file.
        config: with the best settings.
        plain_config: of the dataset without any.
        best: the trial.
        metric: that it is best by.
        command: that takes the file.
    """
    settings = difference(_of(plain_config), _of(config))
    head = f"Trial {best.place} of a search: {metric} {best.score:.4f} on the validation users. {command}"
    lines = textwrap.wrap(head, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    body = yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True) if settings else "{}\n"
    write_text(path, "\n".join(lines) + "\n" + body)


def _of(config: Config) -> Settings:
    """All that a config says but for what only acts on where and how it is run."""
    declared = config_keys.declared()
    stages = {key: declared[key].stage if key in declared else "data" for key in config.external_config_dict}
    kept = {
        key: value
        for key, value in config.external_config_dict.items()
        if (stages[key] != "run" or key in _KEPT_OF_RUN) and key != "dataset"
    }
    return kept | {"learners": dict.fromkeys(config.dropped_learners) | config.learners}


def difference(base: Mapping[str, object], other: Mapping[str, object]) -> Settings:
    """What has to be laid over `base` to get `other`; mappings are compared key by key."""
    found: Settings = {}
    for key, value in other.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            inner = difference(below, value)
            if inner:
                found[key] = inner
        elif key not in base or base[key] != value:
            found[key] = value
    gone = {key: None for key in base if key not in other and base[key] is not None}
    return found | gone


def train_command(dataset: str, file: Path | None) -> str:
    """The command that trains with a file of settings; without one with the dataset's own."""
    return f"mml train {dataset}" + ("" if file is None else f" --config_files {file}")


def baseline_command(model: str, dataset: str, given: Sequence[str], best: Trial) -> str:
    """The command that runs a baseline with the best settings."""
    settings = as_arguments(best.settings)
    quoted = [f"'{one}'" if set(one) & set(" []{}~'\"*$&|;<>()") else one for one in (*given, *settings)]
    return " ".join(["mml", "baseline", model, "--dataset", dataset, *quoted])
