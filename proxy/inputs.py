"""Files that a request names: ours are found, and measured where a price depends on it.

An address is ours if it is, letter by letter, one that we handed out; then the file is the one that
we hold, for it never becomes another (`uploads/models.py`). Another's is a 404, as if it was not
there. What is elsewhere is never fetched: its price is held at the maximum.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from django.conf import settings

from common.cached import from_settings
from common.errors import BodyTooLarge, NotFound
from proxy import findings, probing
from proxy.along import NO_FILE
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Route, Vendor
    from proxy.http import Request
    from proxy.process import Platform

MARKS = (b"signed=", b"X-Amz-Signature=")
"""One of them stands in each address that we hand out."""
LONGEST_ADDRESS = 4000
MOST_FILES = 50
ID = re.compile(r"/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/")
OURS = """
SELECT id::text, workspace_id::text, address_digest, name, content_type, size_bytes, measured,
       stored_at IS NOT NULL AND expires_at > now()
  FROM uploads_upload WHERE id = ANY (%s::uuid[])
"""
MEASURED = "UPDATE uploads_upload SET measured = %s::jsonb WHERE id = %s AND digest <> ''"
PRIVATE = (".localhost", ".local", ".lan", ".internal", ".home", ".home.arpa", ".corp", ".test")
BASE64 = re.compile(r"[A-Za-z0-9+/]{64}")


@dataclass(frozen=True, slots=True)
class Input:
    """What of a request a price is measured by: under which name, where, and by which unit."""

    name: str
    find: Callable[[Asked], Iterable[Any]]
    """The addresses, or base64, that must each be measured."""
    unit: str = "seconds"
    summed: bool = False
    """Whether all count, or the longest."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A file of the caller's that a request names."""

    id: str
    key: str
    content_type: str
    size: int
    measured: Mapping[str, str] | None = field(compare=False)


def is_marked(body: bytes) -> bool:
    """Whether an address of ours may stand in it."""
    return any(mark in body for mark in MARKS)


async def found_in(
    platform: Platform, value: Any, workspace: Callable[[], Awaitable[str]]
) -> dict[str, Ours]:
    """Return the caller's files by the addresses that name them; raise NotFound for another's.

    `workspace` tells who calls, and refuses strangers before anything is looked up for them.
    """
    named = {
        text: match[1]
        for text in texts(value)
        if len(text) <= LONGEST_ADDRESS
        and is_marked(text.encode(errors="replace"))
        and (match := ID.search(text))
    }
    if not named:
        return {}
    if len(named) > MOST_FILES:
        raise BodyTooLarge(f"A request names at most {MOST_FILES} files.")
    owner = await workspace()
    rows = await platform.books.query(OURS, list(set(named.values())))
    known = {(row[0], row[2]): row for row in rows}
    found = {}
    for text, identifier in named.items():
        row = known.get((identifier, shelf.digest_of(text)))
        if row is None:
            continue  # It is not what we handed out, whatever it looks like.
        if row[1] != owner or not row[7]:
            raise NotFound(NO_FILE)
        found[text] = Ours(row[0], f"{row[0]}/{row[3]}", row[4], row[5], row[6])
    return found


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


# --- Measuring ----------------------------------------------------------------------------------


async def measured(
    platform: Platform,
    request: Request,
    route: Route,
    asked: Asked,
    workspace: Callable[[], Awaitable[str]],
) -> dict[str, Fraction]:
    """Return what could be measured of the files that decide a price, by the names of inputs.

    One that is here and cannot be measured leaves a finding for staff: it is held at the most.
    """
    found = {}
    for each in route.operation.measures:
        named = list(each.find(asked))
        if not named or not all(_is_here(asked, one) for one in named):
            continue
        await workspace()  # Nothing is opened for strangers.
        values = [await _measure(platform, request, asked, one) for one in named]
        sizes = [value[each.unit] for value in values if each.unit in value]
        if sizes and len(sizes) == len(values):
            found[each.name] = sum(sizes, Fraction(0)) if each.summed else max(sizes)
        else:
            await findings.unmeasured_input(
                platform.books, route.vendor.name, route.name, each.name
            )
    return found


def _is_here(asked: Asked, value: Any) -> bool:
    """Whether a file is ours, for certain, or comes along as base64."""
    if not isinstance(value, str):
        return False
    if value in asked.files:
        return is_what_vendors_fetch()
    return value.startswith("data:") or BASE64.match(value) is not None


async def _measure(
    platform: Platform, request: Request, asked: Asked, value: str
) -> Mapping[str, Fraction]:
    if value in asked.files:
        return await _of_ours(platform, request, asked.files[value])
    return await probing.of_base64(value, owner=request.owner)


async def _of_ours(platform: Platform, request: Request, ours: Ours) -> Mapping[str, Fraction]:
    """Return what a file of ours measures; it is measured once."""
    if ours.measured is not None:
        return {name: Fraction(text) for name, text in ours.measured.items()}
    try:
        content = await asyncio.to_thread(shelf.on_the_disk, ours.key)
    except OSError:
        return {}
    with content:
        found = await probing.of_file(content, owner=request.owner)
    if found:
        told = orjson.dumps({name: f"{value}" for name, value in found.items()}).decode()
        await platform.books.query(MEASURED, told, ours.id)
    return found


def is_what_vendors_fetch() -> bool:
    """Whether an address that we handed out leads nowhere else.

    Without PUBLIC_URL its host is what its client said; where any is allowed, it may be theirs.
    """
    return bool(settings.PUBLIC_URL) or shelf.is_bucket() or "*" not in settings.ALLOWED_HOSTS


# --- Fetching -----------------------------------------------------------------------------------


def can_fetch(vendor: Vendor) -> bool:
    """Whether a vendor can fetch what lies here; one beside us can."""
    if settings.UPLOADS_ARE_PUBLIC != "auto":
        return settings.UPLOADS_ARE_PUBLIC == "yes"
    return shelf.is_bucket() or _is_public(settings.PUBLIC_URL) or not _is_public(vendor.address())


@from_settings
def _is_public(url: str) -> bool:
    """Whether an address may be reached from the internet, as far as it tells."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not f".{host}".endswith(PRIVATE)
