"""The door of files: PUT and GET under `/uploads/`, by addresses that are signed.

They pass between the wire and the disk in blocks, never whole in memory, and never through Django.
What breaks off leaves nothing. There are no credentials here: the address is the secret.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING

from django.conf import settings

from common.errors import AccessDisabled, InvalidRequest, NotFound, Unavailable, UnknownRoute
from proxy import forms
from uploads import places, shelf, signing

if TYPE_CHECKING:
    from proxy.http import Headers, Request
    from proxy.process import Platform

BLOCK_BYTES = 256 << 10
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
GONE = "There is no such file, or its time is over."
SAFE = (b"content-security-policy", b"default-src 'none'; sandbox")


async def answer(platform: Platform, request: Request) -> None:
    """Answer one request for a file; raise what refuses it."""
    found = signing.PATH.fullmatch(request.path)
    match request.method, found and found[2]:
        case "PUT", None if found:
            await _put(platform, request, found[1])
        case (("GET" | "HEAD"), str(name)) if found:
            await _get(platform, request, found[1], name)
        case _:
            raise UnknownRoute(f"{request.method} {request.path[:200]} is not an address of files.")


async def _put(platform: Platform, request: Request, upload_id: str) -> None:
    """Take a file whole, once."""
    if not signing.holds("put", upload_id, "", request.query):
        raise NotFound(GONE)
    request.check_stream_length()
    rows = await platform.books.query(places.FIND, upload_id)
    if not rows:
        raise NotFound(GONE)
    workspace, name, content_type, *_ = rows[0]
    request.owner = f"workspace {workspace}"
    try:
        arrived = await asyncio.to_thread(shelf.arriving)
    except OSError as exc:
        raise _no_room() from exc
    path = Path(arrived.name)
    try:
        digest, size = await _receive(request, arrived)
        await _claim(platform, upload_id, digest, size)
        await asyncio.to_thread(shelf.keep, f"{upload_id}/{name}", content_type, path)
    except OSError as exc:
        raise _no_room() from exc
    finally:
        shelf.put_away(path)
    if not await platform.books.query(places.STORED, upload_id, digest):
        await asyncio.to_thread(shelf.drop, f"{upload_id}/{name}")
        raise NotFound(GONE)
    await request.answer(200, b"", [])


async def _receive(request: Request, arrived: IO[bytes]) -> tuple[str, int]:
    """Write the body to disk, in the share of its workspace; return its digest and its size."""
    digest, size = hashlib.sha256(), 0
    with arrived, forms.on_disk.reserve(request.owner) as taken:
        async for block in request.stream():
            taken.add(len(block))
            size += len(block)
            await asyncio.to_thread(_write, arrived, digest, block)
    if not size:
        raise InvalidRequest("The file is empty.")
    return digest.hexdigest(), size


def _write(arrived: IO[bytes], digest: hashlib._Hash, block: bytes) -> None:
    arrived.write(block)
    digest.update(block)


async def _claim(platform: Platform, upload_id: str, digest: str, size: int) -> None:
    given = (upload_id, digest, size, settings.UPLOADS_QUOTA_BYTES)
    rows = await platform.books.query(places.CLAIM, *given)
    verdict = rows[0][0] if rows else "gone"
    if verdict == "gone":
        raise NotFound(GONE)
    if verdict == "full":
        raise places.full()
    if verdict == "other":
        raise AccessDisabled("There is another file at this place already. Ask for a new place.")


def _no_room() -> Unavailable:
    return Unavailable("The platform has no room for files right now.")


async def _get(platform: Platform, request: Request, upload_id: str, name: str) -> None:
    """Give a file, or a range of it, to whoever has its address."""
    rows: list[tuple[object, ...]] = []
    if signing.holds("get", upload_id, name, request.query):
        rows = await platform.books.query(places.FIND, upload_id)
    if not rows or not rows[0][4] or rows[0][1] != name:
        raise NotFound(GONE)
    content_type, size = str(rows[0][2]), int(str(rows[0][3]))
    first, last = _range(request.header(b"range"), size)
    status = 200 if (first, last) == (0, size - 1) else 206 if first <= last else 416
    headers: Headers = [
        (b"content-type", content_type.encode()),
        (b"content-disposition", shelf.disposition(content_type).encode()),
        (b"cache-control", b"private, no-store"),
        (b"accept-ranges", b"bytes"),
        SAFE,
    ]
    if status == 416:
        await request.answer(416, b"", [*headers, (b"content-range", f"bytes */{size}".encode())])
        return
    if status == 206:
        headers.append((b"content-range", f"bytes {first}-{last}/{size}".encode()))
    headers.append((b"content-length", f"{last - first + 1}".encode()))
    try:
        content = await asyncio.to_thread(shelf.opened, f"{upload_id}/{name}")
    except OSError as exc:
        raise NotFound(GONE) from exc
    with content:
        await request.start(status, headers)
        if request.method == "GET":
            await _give(request, content, first, last + 1 - first)
        await request.last()


def _range(asked: str, size: int) -> tuple[int, int]:
    """Return the first and the last byte of what is asked for; all where it is not one range.

    The last before the first: there is no such range.
    """
    found = RANGE.fullmatch(asked)
    if found is None or not (found[1] or found[2]):
        return 0, size - 1
    if not found[1]:
        return (max(0, size - int(found[2])), size - 1) if int(found[2]) else (1, 0)
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    return (int(found[1]), last) if int(found[1]) <= last else (1, 0)


async def _give(request: Request, content: IO[bytes], first: int, count: int) -> None:
    await asyncio.to_thread(content.seek, first)
    while count and (block := await asyncio.to_thread(content.read, min(BLOCK_BYTES, count))):
        count -= len(block)
        await request.chunk(block)
    if count:
        raise Unavailable("The file ended before its end.")
