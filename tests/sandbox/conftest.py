"""The cast: a sandbox on a real port, and a caller who has its credentials."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from vendor_keys import KEY, SECRET

from sandbox.far_side import FarSide, Settings
from sandbox.server import running


@pytest.fixture
async def far_side() -> AsyncIterator[FarSide]:
    async with running(Settings(key=KEY, secret=SECRET, job_seconds=0.05)) as far_side:
        yield far_side


@pytest.fixture
async def caller(far_side: FarSide) -> AsyncIterator[ClientSession]:
    headers = {"x-key": KEY, "x-goog-api-key": KEY, "authorization": f"Bearer {KEY}"}
    async with ClientSession(far_side.url, headers=headers) as session:
        yield session


@pytest.fixture
async def stranger(far_side: FarSide) -> AsyncIterator[ClientSession]:
    async with ClientSession(far_side.url) as session:
        yield session
