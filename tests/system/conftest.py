"""The whole platform as processes of its own: durable PostgreSQL, sandbox, web; one per file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from system_stack import Stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("system")
