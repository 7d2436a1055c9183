"""A finished tiny run whose items have hostile titles."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import run_meta

HOSTILE = '<script>alert("1")</script> & \'"</bdi></style><img src=x onerror=y> \u202e\u0000'


@pytest.fixture(scope="session")
def hostile_data(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data_path with `tiny`, whose titles try to break out of the page."""
    data = tmp_path_factory.mktemp("hostile")
    shutil.copytree(tiny_data / "tiny", data / "tiny")
    path = data / "tiny" / "tiny.item"
    items = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    items["title:token_seq"] = [f"{HOSTILE.replace(chr(0), '')} {place}" for place in range(len(items))]
    items.to_csv(path, sep="\t", index=False, quoting=3)
    return data


@pytest.fixture(scope="session")
def finished_run(
    hostile_data: Path, arguments: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a finished run."""
    output = tmp_path_factory.mktemp("output")
    assert run_meta.main(arguments(hostile_data, output)) == 0
    return (output / "tiny" / "latest").resolve()


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may damage."""
    target = tmp_path / "tiny" / finished_run.name
    shutil.copytree(finished_run, target)
    return target
