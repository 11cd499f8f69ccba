"""Members' nodes: they call vendors over HTTP, and poll as nodes do."""

from __future__ import annotations

import asyncio
import copy
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import aiohttp

from local.halfyear.clock import Clock

if TYPE_CHECKING:
    from sandbox.samples import Sample
    from sandbox.tour import Tourist

PAUSE_SECONDS = 0.05
OF_JOBS = ("failed", "moderated")
"""Failures of the sandbox that only a job ends with."""
LOST = 0
"""What counts as a status where no answer came."""
DEAREST_MICROS = 5_000_000
"""What is held for one call at most: the samples have some that hold a hundred dollars."""


@dataclass(frozen=True)
class Press:
    """One press of Run: the calls that it makes."""

    key: str
    samples: Sequence[Sample]
    failure: str = ""
    """How the first of them fails, in the sandbox's words."""


class Callers:
    """All members' ComfyUIs, at one address."""

    def __init__(self, base_url: str, clock: Clock) -> None:
        self._base_url = base_url
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._session: aiohttp.ClientSession | None = None
        self.statuses: dict[int, int] = {}

    def press(self, presses: Sequence[Press], *, seconds: float = 30) -> None:
        """Make all calls of all presses; what is a job takes so long, and is polled then."""
        jobs = self._loop.run_until_complete(self._begin(presses))
        if jobs:
            self._clock.set(_later(self._clock, seconds))
            self._loop.run_until_complete(self._poll(jobs))

    def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            self._loop.run_until_complete(self._session.close())
        self._loop.close()

    async def _begin(self, presses: Sequence[Press]) -> list[tuple[Tourist, Sample, str]]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=60)
            self._session = aiohttp.ClientSession(timeout=timeout)
        made = await asyncio.gather(*(self._one_press(each) for each in presses))
        return [job for jobs in made for job in jobs]

    async def _one_press(self, press: Press) -> list[tuple[Tourist, Sample, str]]:
        """Call one after the other, as a workflow does whose nodes need each other."""
        job, begun = str(uuid.uuid4()), []
        failure = press.failure
        for sample in press.samples:
            status, call = await self._call(press.key, sample, job=job, failure=failure)
            failure = ""
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if LOST < status < 300 and sample.operation.job is not None and call:
                begun.append((self._tourist(press.key), sample, call))
        return begun

    async def _call(self, key: str, sample: Sample, *, job: str, failure: str) -> tuple[int, str]:
        from sandbox.samples import address, form_of

        entry = copy.deepcopy(sample.entry)
        if failure in OF_JOBS and sample.operation.job is None:
            failure = "status=500"  # What is answered at once has no end of its own.
        if failure and isinstance(entry.get("body"), dict):
            entry["body"] = _failing(entry["body"], failure)
        given: dict[str, Any] = {"json": entry["body"]} if entry.get("body") else {}
        if entry.get("form"):
            given = {"data": form_of(entry, entry["body"])}
        headers = {"X-API-KEY": key, "Comfy-Job-Id": job, **entry.get("headers", {})}
        assert self._session is not None, "it has begun"
        try:
            async with self._session.request(
                entry["method"], self._base_url + address(entry), headers=headers, **given
            ) as answer:
                await answer.read()
                return answer.status, answer.headers.get("Call-Id", "")
        except (aiohttp.ClientError, TimeoutError):
            return LOST, ""  # As it happens to nodes: a refusal came before all was sent.

    async def _poll(self, jobs: Sequence[tuple[Tourist, Sample, str]]) -> None:
        await asyncio.gather(*(self._to_its_end(*each) for each in jobs))

    async def _to_its_end(self, tourist: Tourist, sample: Sample, call: str) -> None:
        """Poll until the call is over; one that fails is over, too."""
        from sandbox.tour import TourFailed, polled

        try:
            await polled(tourist, sample, call, pause=PAUSE_SECONDS, most_seconds=10)
        except (TourFailed, aiohttp.ClientError, TimeoutError):
            self.statuses[-1] = self.statuses.get(-1, 0) + 1

    def _tourist(self, key: str) -> Tourist:
        import os

        from sandbox.tour import Tourist

        assert self._session is not None, "it has begun"
        made = Tourist(self._base_url, key, os.environ["DATABASE_URL"])
        made.session = self._session
        return made


def _later(clock: Clock, seconds: float) -> Any:
    from datetime import timedelta

    return clock.now() + timedelta(seconds=seconds)


def _failing(body: dict[str, Any], failure: str) -> dict[str, Any]:
    """Return a body in whose words the failure stands."""
    for name in ("prompt", "promptText", "text", "input", "text_prompt"):
        if isinstance(body.get(name), str):
            return {**body, name: f"{body[name]} sandbox:{failure}"}
    return body


@lru_cache(maxsize=1)
def affordable() -> dict[str, list[Sample]]:
    """Return the samples that a member could make again and again, by vendor."""
    from sandbox.samples import SAMPLES

    found: dict[str, list[Sample]] = {}
    for sample in SAMPLES:
        if sample.most <= DEAREST_MICROS and "after" not in sample.entry:
            found.setdefault(sample.vendor.name, []).append(sample)
    return found


def chosen(dice: random.Random, vendors: Sequence[str], count: int) -> list[Sample]:
    """Return what a workflow calls: some of these vendors' operations, with what the dice say."""
    there = affordable()
    return [dice.choice(there[name]) for name in dice.choices(vendors, k=count)]


def one(path: str) -> Sample:
    """Return the sample of a path."""
    from sandbox.samples import sample_of

    return sample_of(path)
