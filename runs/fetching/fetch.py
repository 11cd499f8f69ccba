"""Fetch a file for a run from an address that its member named.

    read -> look up -> ask -> (redirect: from the beginning) -> body, measured as it comes -> cache

Only whole answers count: status 200, no coding, as long as it said. There are bounds for the time
until something comes, for the whole, for the pace once it had a while, for the size and for the
redirects. Every one of these ends in FetchFailed, whose sentence is for the member: it says nothing
of our network. A full disk is NoRoom: it is ours, and another worker may have room.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
from django.conf import settings

from common.outside import dialing, guard
from runs.fetching import weights
from runs.fetching.cache import Note

if TYPE_CHECKING:
    from pathlib import Path

    from common.outside.guard import LookUp, Target
    from runs.fetching.cache import Cache
    from runs.fetching.targets import Wanted

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MOST_REDIRECTS: Final = 3
CHUNK: Final = 1 << 18
USER_AGENT: Final = "comfy-platform/1 (files of runs)"


class FetchFailed(Exception):
    """Why a file could not be had, in a sentence for its member."""


class NoRoom(FetchFailed):
    """There is no room on this machine: nobody's fault but ours."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much, how long and how slowly."""

    most_bytes: int
    whole_seconds: float = 300
    silence_seconds: float = 10
    """The longest wait for anything to come."""
    grace_seconds: float = 10
    """After which the average must be at least the pace below."""
    bytes_per_second: int = 16 << 10
    spare_bytes: int = 1 << 30
    """What must stay free on the disk."""


def usual_bounds() -> Bounds:
    """Return those of the operator's settings."""
    return Bounds(most_bytes=settings.RUN_FILE_BYTES)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file as it lies at the run's own place."""

    sha256: str
    size: int
    from_cache: bool


async def fetch(
    wanted: Wanted, *, into: Path, cache: Cache, bounds: Bounds, look_up: LookUp | None = None
) -> Fetched:
    """Have the file at `into`, whole; raise FetchFailed if that cannot be, and leave nothing there.

    `into` must not exist, in a folder that does. Again after a crash is from the beginning, or from
    the cache.
    """
    try:
        async with asyncio.timeout(bounds.whole_seconds):
            sha256, from_cache = await _follow(wanted.target, cache, bounds, look_up)
    except TimeoutError:
        raise FetchFailed(f"{wanted.path}: its server was too slow.") from None
    except guard.NotAllowed as refusal:
        raise FetchFailed(f"{wanted.path}: its address {refusal}.") from None
    except _Refused as refusal:
        raise FetchFailed(f"{wanted.path}: {refusal}.") from None
    except (aiohttp.ClientError, ValueError):
        raise FetchFailed(
            f"{wanted.path}: its server could not be reached, or did not send it whole."
        ) from None
    except OSError as exc:
        raise NoRoom(f"{wanted.path}: there is no room for it now.") from exc
    size = await asyncio.to_thread(cache.take, sha256, into=into)
    if size is None:  # Put out between two lines: others needed all the room there is.
        raise NoRoom(f"{wanted.path}: there is no room for it now.")
    if wanted.is_model:
        try:
            await asyncio.to_thread(weights.require, into)
        except weights.NotWeights as refusal:
            await asyncio.to_thread(into.unlink)
            raise FetchFailed(f"{wanted.path}: {refusal}.") from None
    return Fetched(sha256, size, from_cache)


class _Refused(Exception):
    """What a server did that is not taken."""


async def _follow(
    target: Target, cache: Cache, bounds: Bounds, look_up: LookUp | None
) -> tuple[str, bool]:
    """Ask, and follow redirects, each of which is an address like the first."""
    for _ in range(1 + MOST_REDIRECTS):
        known = await asyncio.to_thread(cache.noted, target.url)
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", **_if_changed(known)}
        addresses = await guard.look_up(target, by=look_up)
        try:
            async with dialing.asking(
                "GET", target, addresses, headers=headers, silence_seconds=bounds.silence_seconds
            ) as answer:
                if answer.status == 304 and known is not None:
                    return known.sha256, True
                if answer.status not in REDIRECTS:
                    return await _store(target, answer, cache, bounds), False
                target = guard.read(_whither(target, answer))
        except TimeoutError:
            raise
        except (ConnectionError, aiohttp.ClientConnectionError) as exc:
            raise _Refused("its server could not be reached") from exc
    raise _Refused(f"its server redirects more than {MOST_REDIRECTS} times")


def _whither(target: Target, answer: aiohttp.ClientResponse) -> str:
    places = answer.headers.getall("Location", [])
    if len(places) != 1:
        raise _Refused("its server redirects to nowhere")
    try:
        return urlsplit(urljoin(target.url, places[0]))._replace(fragment="").geturl()
    except ValueError:
        raise _Refused("its server redirects to nowhere") from None


def _if_changed(known: Note | None) -> dict[str, str]:
    if known is None:
        return {}
    said = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
    return {name: value for name, value in said.items() if value}


async def _store(
    target: Target, answer: aiohttp.ClientResponse, cache: Cache, bounds: Bounds
) -> str:
    """Take the body into the cache; return its digest."""
    if answer.status != 200:
        raise _Refused(f"its server answered {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refused("its server sent it compressed, though it was asked not to")
    announced = answer.content_length or 0
    if announced > bounds.most_bytes:
        raise _Refused(_too_large(bounds))
    if cache.free_bytes() < announced + bounds.spare_bytes:
        raise OSError("the disk is almost full")
    with cache.incoming() as (path, file):
        sha256 = await _write(answer, file, cache, bounds)
        await asyncio.to_thread(cache.keep, path, file, sha256=sha256)
    note = Note(sha256, answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", ""))
    if note.etag or note.last_modified:
        await asyncio.to_thread(cache.note, target.url, note)
    return sha256


async def _write(
    answer: aiohttp.ClientResponse, file: IO[bytes], cache: Cache, bounds: Bounds
) -> str:
    """Write the body as it comes; return its digest."""
    digest, size, begun = hashlib.sha256(), 0, time.monotonic()
    async for chunk in answer.content.iter_chunked(CHUNK):
        size += len(chunk)
        if size > bounds.most_bytes:
            raise _Refused(_too_large(bounds))
        spent = time.monotonic() - begun
        if spent > bounds.grace_seconds and size < bounds.bytes_per_second * spent:
            raise _Refused("its server was too slow")
        await asyncio.to_thread(_put, file, chunk)
        digest.update(chunk)
        if size % (64 << 20) < len(chunk) and cache.free_bytes() < bounds.spare_bytes:
            raise OSError("the disk is almost full")
    return digest.hexdigest()


def _put(file: IO[bytes], chunk: bytes) -> None:
    """Write all of it: a raw file may take less at once."""
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


def _too_large(bounds: Bounds) -> str:
    return f"it is larger than {bounds.most_bytes:,} bytes"
