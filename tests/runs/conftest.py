from __future__ import annotations

import pytest
import runs_by_hand
from runs_stage import Stage


@pytest.fixture(autouse=True)
def _nothing_by_hand_is_left(request):
    if "committed" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("committed")
    yield
    runs_by_hand.clear()


@pytest.fixture
def stage(committed, tmp_path, settings):
    settings.DATA_DIR = tmp_path / "data"
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture
def ada(committed, make_member):
    return make_member("5.00")


@pytest.fixture
def bob(committed, make_member):
    return make_member("5.00")
