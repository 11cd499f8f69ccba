"""The stage: our application and the sandbox, both on real ports, in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import databases
import pytest
from kept_lanes import Kept
from proxy_stage import VENDOR_KEY, Stage, connect, serving

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


@pytest.fixture
async def stage(db: None, settings, tmp_path) -> AsyncIterator[Stage]:
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
            with connect() as db:
                made = Stage(host, port, vendor, db, session, application)
                yield made
                for member in made.members:
                    made.prove(member)
            keys.used._seen.clear()  # Nobody shall write it from a thread that keeps a connection.
