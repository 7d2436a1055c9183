"""Files and folders of the repository that pages and package docstrings name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = ("architecture.md", "method.md", "protocol.md", "reliability.md", "scaling.md", "serving.md")
_NAMED = re.compile(r"`((?:mml|configs|script|tests|benchmarks)/[\w./{},-]*)`")


def paths(text: str) -> set[str]:
    """The paths in a page; `a/{b,c}.py` is two."""
    found = set()
    for name in _NAMED.findall(text):
        head, _, rest = name.partition("{")
        inside, _, tail = rest.partition("}")
        found |= {head + one + tail for one in inside.split(",")} if rest else {name}
    return found


def test_what_is_found() -> None:
    assert paths("see `mml/run/{fusion,frame}.py`, `mml/meta/` and `mml train`") == {
        "mml/run/fusion.py",
        "mml/run/frame.py",
        "mml/meta/",
    }


@pytest.mark.parametrize("page", PAGES)
def test_they_are_there(page: str, repo_root: Path) -> None:
    named = paths((repo_root / "docs" / page).read_text(encoding="utf-8"))
    assert not [name for name in sorted(named) if "NAME" not in name and not (repo_root / name).exists()]


def test_where_things_are_is_answered(repo_root: Path) -> None:
    """Every package has a place in the page of the architecture, and says in a line what it holds."""
    text = (repo_root / "docs" / "architecture.md").read_text(encoding="utf-8")
    for init in sorted((repo_root / "mml").glob("*/__init__.py")):
        assert init.read_text(encoding="utf-8").startswith('"""')
        assert f"mml/{init.parent.name}/" in text or f"`{init.parent.name}`" in text, init.parent.name
    for module in sorted((repo_root / "mml").glob("[a-z]*.py")):
        assert f"`mml/{module.name}`" in text or f"`{module.stem}`" in text, module.name
