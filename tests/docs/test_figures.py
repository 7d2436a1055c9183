"""README.md and pages that quote figures quote those of the results' pages."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

README = {
    "**mml, online**": "mml_online",
    "sum of VSTAN, SLIST, EASE and PrefixKNN, online (fitted anew 16 times)": "SumLog_online",
    "popularity as events, online (its half-life chosen before the split)": "counter_online",
    "sum of VSTAN, SLIST, EASE and PrefixKNN, frozen": "SumLog",
    "**mml, frozen**": "mml",
    "sum of three SASRec on IDs and text, a GRU and a linear model, frozen": "SumFive",
}
"""Rows of its table -> methods."""
Means = dict[tuple[str, str], list[str]]
FIGURE = re.compile(r"\b0\.\d{4}\b")


@pytest.fixture(scope="module")
def means(repo_root: Path) -> Means:
    """NDCG@10 over all, warm and new targets of each world and method, as pages print it."""
    frame = pd.read_csv(repo_root / "docs/results/panel.csv")
    found = frame.groupby(["world", "method"])[["all", "warm", "new"]].mean().reset_index()
    return {(world, method): [f"{value:.4f}" for value in values] for world, method, *values in found.to_numpy()}


def rows(page: str) -> list[list[str]]:
    """The cells of a page's tables."""
    lines = [line.strip("| ") for line in page.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def test_the_table_of_the_readme(repo_root: Path, means: Means) -> None:
    found = {name: values for name, *values in rows((repo_root / "README.md").read_text(encoding="utf-8"))}
    for name, method in README.items():
        assert found[name] == means["ml-100k", method], name


def test_limits_of_new_items(repo_root: Path, means: Means) -> None:
    page = (repo_root / "docs/limits.md").read_text(encoding="utf-8")
    own = {match[1]: row for row in rows(page) if (match := re.match(r"\[.*\]\(results/(.*)\.md\)", row[0]))}
    assert set(own) == {world for world, _ in means}
    for world, (*_, new, warm) in own.items():
        assert [warm, new] == means[world, "mml"][1:], world


def test_the_one_table_of_results(repo_root: Path) -> None:
    own = rows((repo_root / "docs/results.md").read_text(encoding="utf-8"))
    panel = rows((repo_root / "docs/results/panel.md").read_text(encoding="utf-8"))
    assert len(panel) > 10
    assert not [row for row in panel if row not in own]


@pytest.mark.parametrize("page", ["README.md", "docs/limits.md"])
def test_every_figure_is_on_a_page_of_results(page: str, repo_root: Path) -> None:
    known = {
        figure
        for path in (repo_root / "docs/results").glob("*.md")
        for figure in FIGURE.findall(path.read_text(encoding="utf-8"))
    }
    told = FIGURE.findall((repo_root / page).read_text(encoding="utf-8"))
    assert told
    assert not [figure for figure in told if figure not in known]


def test_every_line_of_the_results_is_in_the_glossary(repo_root: Path) -> None:
    glossary = (repo_root / "docs/method.md").read_text(encoding="utf-8").partition("\n## Glossary")[2]
    panel = pd.read_csv(repo_root / "docs/results/panel.csv")
    pages = [
        (repo_root / f"docs/results/{name}.md").read_text(encoding="utf-8") for name in ("every-baseline", "parts")
    ]
    lines = {row[0].strip("*") for page in pages for row in rows(page)}
    names = {line for line in lines if re.fullmatch(r"[A-Za-z]\w+", line)} - {"frozen", "online", "interactions"}
    names |= set(panel["method"]) | set(panel["kind"])
    assert {"mml_online", "SumFive", "no_text", "part"} <= names
    known = set(re.findall(r"`([^`]+)`", glossary))
    assert not {name for name in names if name not in known and name.removesuffix("_online") not in known}
