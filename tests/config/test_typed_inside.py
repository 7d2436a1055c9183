"""Settings are typed inside: only the modules at the border to RecBole ask a Config for a key by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

BORDER = {
    "mml/config/config.py",  # RecBole's Config itself
    "mml/data/recbole_dataset.py",  # RecBole's Dataset
    "mml/baselines/recbole_data.py",  # training data of RecBole's models
    "mml/baselines/recbole_model.py",  # those models
}
_READS = ("get", "__getitem__")
SETTINGS = ("values", "settings")
"""What all settings together are called; the floors below `config` read parts of them only."""
MODELS = ("mml/data", "mml/evaluation", "mml/meta", "mml/model", "mml/recommender", "mml/trainer", "mml/updating")
SLOT = "mml/model/learner/slot.py"
"""It asks for the learners, which are no part's: names, each with keys of its own."""


def asked_by_name(source: str) -> Iterator[int]:
    """Lines in which something called config is asked for a key: `config["seed"]`, `self._config.get(key)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_config(node.value):
            yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr in _READS and _is_config(node.value):
            yield node.lineno


def _is_config(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lower().endswith("config") or name in ("final_config_dict", "external_config_dict")


def read_by_key(source: str) -> Iterator[int]:
    """Lines in which a value is taken out of all settings by its key: `values["seed"]`, `values.get("seed")`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            read = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            read = node.func.value, node.args[0]
        else:
            continue
        of, key = read
        name = of.attr if isinstance(of, ast.Attribute) else of.id if isinstance(of, ast.Name) else ""
        if name in SETTINGS and isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield node.lineno


def test_what_is_found() -> None:
    found = ('config["seed"]', "self._config[key]", 'moment.config.get("seed")', 'own.final_config_dict["seed"]')
    passed = ('config["topk"] = [5]', 'values["seed"]', "config.part(RunSettings).seed", "config.run.seed")
    assert all(list(asked_by_name(text)) == [1] for text in found)
    assert not any(list(asked_by_name(text)) for text in passed)


def test_only_the_border_asks_by_name(repo_root: Path) -> None:
    """A part gets a settings object; a misspelt field of it is an error of types, a misspelt key is None."""
    found = {}
    for path in sorted((repo_root / "mml").rglob("*.py")):
        name = path.relative_to(repo_root).as_posix()
        lines = list(asked_by_name(path.read_text(encoding="utf-8")))
        if lines and name not in BORDER:
            found[name] = lines
    assert not found


def test_no_model_reads_a_setting_by_its_key(repo_root: Path) -> None:
    """They get a part's settings, `read(LogSettings, values)`, where a misspelt field is an error of types."""
    texts = ('values["seed"]', 'parts.values.get("seed", 1)', 'context.values["repeatable"]')
    assert all(list(read_by_key(text)) == [1] for text in texts)
    assert not list(read_by_key('values[name]; state["values"]; values["seed"] = 1'))
    found = {}
    for path in sorted(path for folder in MODELS for path in (repo_root / folder).rglob("*.py")):
        name = path.relative_to(repo_root).as_posix()
        lines = list(read_by_key(path.read_text(encoding="utf-8")))
        if lines and name != SLOT:
            found[name] = lines
    assert not found
