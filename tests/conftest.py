"""Fixtures shared by all tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout that the tests run in."""
    return Path(__file__).resolve().parent.parent
