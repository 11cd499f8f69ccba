"""Files given to a vendor before the request that names them, where it takes them by an upload.

    a place is asked for --> the content goes there, --> the vendor is told, --> it has a name
    under our credential     without our credential     if it wants that        to be asked by

It happens once the call's money is set aside, under the account that the call goes under, and costs
nothing: whatever goes wrong here, the vendor has nothing of the call itself.
"""

from __future__ import annotations

import asyncio
from typing import IO, TYPE_CHECKING, Any

import orjson

from common.errors import NotFound
from proxy import along, delivery, dialect, forms
from proxy.along import Uploaded
from proxy.dialect import DELIVERING, Judged, Said, Verdict
from proxy.pricing.shapes import at
from proxy.relay import OWN, Lost, Outgoing, Refused
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.inputs import Ours
    from proxy.process import Platform

QUESTION_SECONDS = 30
CONTENT_SECONDS = 240
"""Of one file. With its questions it is shorter than any hold stands without being renewed."""
ANSWER_BYTES = 1 << 20
BLOCK_BYTES = 256 << 10
MOST_HEADERS = 20
LONGEST_WORD = 4000
JSON = "application/json"
FILE_FIELD = "file"
STORED = (200, 201, 204)
OWNER = "uploads"


class Unplaced(Exception):
    """The vendor did not take a file, and certainly nothing of the call; it said so."""

    def __init__(self, judged: Judged, said: Said) -> None:
        super().__init__(judged.verdict.value)
        self.judged, self.said = judged, said


async def over(
    platform: Platform,
    route: Route,
    asked: Asked,
    account: Account,
    renew: Callable[[], Awaitable[None]],
) -> None:
    """Give the vendor every file that it takes by an upload; `asked.given` then has their names.

    `renew` is awaited after each. Raises Unplaced for what the vendor refuses, Refused where it is
    not reached, NotFound where a file is gone.
    """
    given = {}
    for address, ours in asked.uploads.items():
        how = along.how_of(route, ours)
        assert isinstance(how, Uploaded), "so it was found before"
        given[address] = await _handed(platform, route, account, ours, how)
        await renew()
    asked.given, asked.given_to = given, account.name


async def _handed(
    platform: Platform, route: Route, account: Account, ours: Ours, how: Uploaded
) -> str:
    """Give the vendor one file; return what it calls it."""
    try:
        said = await _ask(platform, route, account, how.at, how.asks(ours))
        place = said.object
        url = next((found for each in how.put if (found := _word(at(place, each)))), "")
        name = _word(at(place, how.called))
        if not url or not name or not route.vendor.may_store(url):
            raise Unplaced(Judged(Verdict.BROKEN), said)
        await _put(platform, url, place, ours, how)
        if how.complete:
            await _ask(platform, route, account, how.complete.replace("{}", name), {})
    except Lost as exc:
        raise Refused(f"the vendor did not take a file: {exc}") from exc
    return name


def _word(value: Any) -> str:
    """Return an address or a name that a vendor gave; empty for what is none."""
    is_word = isinstance(value, str) and len(value) <= LONGEST_WORD and value.isprintable()
    return value if is_word else ""


async def _ask(
    platform: Platform, route: Route, account: Account, path: str, body: Mapping[str, Any]
) -> Said:
    """Return what the vendor answers to one of an upload's questions, which it must take."""
    vendor = route.vendor
    outgoing = Outgoing(
        method="POST",
        url=vendor.address() + path,
        headers={"content-type": JSON},
        body=orjson.dumps(body),
        silence_seconds=QUESTION_SECONDS,
        total_seconds=QUESTION_SECONDS,
        cover=account.redacted,
    )
    await vendor.scheme(route.operation).sign(outgoing, account, platform.relay.exchange)
    reply = await platform.relay.exchange(outgoing)
    try:
        said = await delivery.gather(reply, owner=OWNER, limit=ANSWER_BYTES, account=account)
    finally:
        reply.close()
    if said.status in DELIVERING and said.object:
        return said
    judged = dialect.judge(vendor, said)
    if judged.verdict in (Verdict.DONE, Verdict.RUNNING, Verdict.UNKNOWN):
        judged = Judged(Verdict.BROKEN)  # It is no place, and nothing was done.
    raise Unplaced(judged, said)


async def _put(
    platform: Platform, url: str, place: dict[str, Any], ours: Ours, how: Uploaded
) -> None:
    """Put the content where the vendor wants it; the store that takes it knows no key of ours."""
    headers = _told(at(place, how.headers)) if how.headers else {}
    head = tail = b""
    if how.fields:
        fields = {**_texts(at(place, how.fields)), "Content-Type": ours.content_type}
        attached = along.Attached(FILE_FIELD, along.filename(ours), ours.content_type, b"")
        head, tail, headers = forms.around(fields, attached)
    headers.setdefault("content-type", ours.content_type)
    try:
        content = await asyncio.to_thread(shelf.opened, ours.key)
    except OSError as exc:
        raise NotFound(along.NO_FILE) from exc
    with content:
        reply = await platform.relay.exchange(
            Outgoing(
                method="POST" if how.fields else "PUT",
                url=url,
                headers=headers,
                body=_blocks(content, head, tail),
                length=len(head) + ours.size + len(tail),
                silence_seconds=QUESTION_SECONDS,
                total_seconds=CONTENT_SECONDS,
            )
        )
        status = reply.status
        reply.close()
    if status not in STORED:
        raise Unplaced(Judged(Verdict.BROKEN), Said(status, b""))


async def _blocks(content: IO[bytes], head: bytes, tail: bytes) -> AsyncIterator[bytes]:
    if head:
        yield head
    while block := await asyncio.to_thread(content.read, BLOCK_BYTES):
        yield block
    if tail:
        yield tail


def _told(headers: Any) -> dict[str, str]:
    """Return the headers that a vendor wants with a content, but what is the relay's own."""
    found = _texts(headers)
    return {name.lower(): value for name, value in found.items() if name.lower() not in OWN}


def _texts(value: Any) -> dict[str, str]:
    """Return the texts of an object, as many as an upload can need."""
    pairs = list(value.items())[:MOST_HEADERS] if isinstance(value, dict) else []
    return {name: text for name, text in pairs if isinstance(text, str)}
