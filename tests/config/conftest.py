import time

import pytest

from apikeys import keys


@pytest.fixture(autouse=True)
def _used_keys_were_just_written(monkeypatch):
    fresh = keys.Used()
    fresh._written = time.monotonic()
    monkeypatch.setattr(keys, "used", fresh)
