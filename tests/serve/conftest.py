"""The fixtures of server.py, where serving is installed; elsewhere the test modules say so and are skipped."""

from __future__ import annotations

import contextlib

import pytest

with contextlib.suppress(pytest.skip.Exception):
    from tests.serve.server import client, process, serve, service_of  # noqa: F401
