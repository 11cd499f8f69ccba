"""The stage: our application and the sandbox, both on real ports, in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import databases
import psycopg
import pytest
from kept_lanes import Kept
from proxy_stage import VENDOR_KEY, Stage, connect, serving
from psycopg.pq import TransactionStatus

from sandbox.far_side import Settings
from sandbox.server import running


@pytest.fixture(scope="session")
def kept_lanes(commits: str) -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


@pytest.fixture
def db(commits: str, django_db_blocker, kept_lanes: Kept, monkeypatch) -> Iterator[None]:
    """The database of those who commit; by this name pytest-django knows to make one at all.

    It leaves nothing to look at: other tests prove that there is nothing.
    """
    from credits.models import Finding

    monkeypatch.setattr("common.db.connect", kept_lanes.connect)
    with django_db_blocker.unblock(), databases.inside(commits):
        yield
        Finding.objects.all().delete()


@pytest.fixture(scope="session")
def kept_looks(commits: str) -> Iterator[list[psycopg.Connection[dict[str, Any]]]]:
    kept: list[psycopg.Connection[dict[str, Any]]] = []
    yield kept
    for each in kept:
        each.close()


@pytest.fixture
def looks(db: None, kept_looks: list[Any]) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """By what a stage looks into the database: the connection of the one before, if as it came.

    A new one costs the server more than what most tests look at.
    """
    made = kept_looks.pop() if kept_looks else connect()
    try:
        made.execute("RESET ALL; RESET ROLE")
    except psycopg.OperationalError:  # Its session was ended meanwhile.
        made = connect()
    yield made
    if made.info.transaction_status == TransactionStatus.IDLE:
        kept_looks.append(made)
    else:
        made.close()


@pytest.fixture
async def stage(db: None, looks, settings, tmp_path) -> AsyncIterator[Stage]:
    from config.asgi import Application

    from apikeys import keys

    async with running(Settings(key=VENDOR_KEY, job_seconds=0)) as vendor:
        settings.VENDOR_BASE_URL = vendor.url + "/{vendor}"
        settings.VENDOR_SETTINGS = {
            "VENDOR_BFL_KEY": VENDOR_KEY,
            "VENDOR_SANDBOX_KEY": VENDOR_KEY,
        }
        settings.PUBLIC_URL = ""
        settings.DATA_DIR = tmp_path
        application = Application()
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            serving(application) as (host, port),
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
        ):
            made = Stage(host, port, vendor, looks, session, application)
            yield made
            for member in made.members:
                made.prove(member)
            keys.used._seen.clear()  # Nobody shall write it from a thread that keeps a connection.
