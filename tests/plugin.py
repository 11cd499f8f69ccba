"""Gives the tests their PostgreSQL and their environment, before Django reads its settings.

Loaded by `-p tests.plugin`: pytest-django reads the settings before any conftest.py is imported.
With xdist the controller starts the server, and the workers inherit its address.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from local import scratch

_scratch: scratch.Scratch | None = None


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, None, None]:
    """Come before everybody: a wrapper does, whatever the order of registration."""
    global _scratch
    _scratch = scratch.Scratch()
    scratch.set_placeholders(_scratch.folder)
    if not os.environ.get("DATABASE_URL"):
        os.environ["DATABASE_URL"] = _scratch.database_url()
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Stop the server and remove its folder."""
    if _scratch is not None:
        _scratch.close()
