"""The page of settings says what the declarations say."""

from __future__ import annotations

from pathlib import Path

from mml.cli.settings_page import page
from mml.config import keys as config_keys


def test_the_page_is_that_of_the_declarations(repo_root: Path) -> None:
    """`python -m mml.cli.settings_page > docs/settings.md` after a change of a declaration."""
    assert (repo_root / "docs/settings.md").read_text(encoding="utf-8") == page()


def test_every_key_has_one_row() -> None:
    text, _, of_baselines = page().partition("## Of baselines")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    keys = [f"`{name}`" for name in config_keys.declared()]
    assert set(keys) <= set(rows)
    assert len([row for row in rows if row in keys]) == len(keys)
    assert all(f"\n| `{name}` |" in of_baselines for name in ("new_users", "decay", "selected_features"))


def test_what_a_key_accepts_is_said() -> None:
    text = page()
    assert "| `meta_algorithm` | `fomaml` | one of `fomaml`, `maml`, `metasgd`, `reptile` |" in text
    assert "| `valid_user_ratio` | `0.1` | number, at least 0, at most 0.5 |" in text
    assert "| `pretrain_epochs` | `100` | whole number, at least 0 | Most epochs. *Per learner.* |" in text
    assert "| `train_batch_size` | pretrain_batch_size and meta_batch_size |" in text
