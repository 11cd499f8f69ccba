"""A lost answer, where the vendor knows a request again by the name that we gave it.

    lost --> asked once more, under the same name --> what it says of it: the call goes on
                                                '---> anything else: unknown, as everywhere

Few vendors do (docs/decisions/0059). Only what they *did* counts: that a second question is refused
says nothing of the first, which may be at work.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common import logs, metrics
from common.errors import PlatformError
from proxy.relay import Lost, Outgoing, Refused

if TYPE_CHECKING:
    from proxy.metered import Call
    from proxy.process import Platform
    from proxy.relay import Reply

PAUSE_SECONDS = 2
"""What broke off may not have come to the vendor's own table yet."""
LOOK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class KnownBy:
    """Where a request of an operation says its name: in a header, or in a field of its JSON."""

    header: str = ""
    field: str = ""
    lookup: str = ""
    """The path at the vendor that tells of the job so named, as a submit does; `{name}` in it.
    Empty: the same request once more is answered as the first was, and begins nothing."""

    def put(
        self,
        name: str,
        headers: dict[str, str],
        came: dict[str, Any],
        prepared: dict[str, Any] | None,
    ) -> dict[str, Any] | None:
        """Put the name into the headers, or return a body that has it."""
        if self.field:
            return {**(came if prepared is None else prepared), self.field: name}
        headers[self.header] = name
        return prepared


def can_ask(call: Call, outgoing: Outgoing) -> bool:
    """Whether the vendor can be asked what became of it, and was not yet."""
    known = call.route.operation.known_by
    return known is not None and not call.asked_again and isinstance(outgoing.body, bytes)


async def ask(platform: Platform, call: Call, outgoing: Outgoing) -> Reply | None:
    """Return what the vendor says of a call whose answer was lost; None if that stays unknown.

    It is asked once, and only while the hold stands, which begins anew.
    """
    if not can_ask(call, outgoing):
        return None
    call.asked_again = True
    try:
        if not await platform.books.move(call.id, call.ttl, account=call.account.name):
            return None
        await asyncio.sleep(PAUSE_SECONDS)
        reply = await platform.relay.exchange(await _question(platform, call, outgoing))
    except (Refused, Lost, PlatformError):
        return None
    metrics.outcome(call.route.vendor.name, "asked_again")
    logs.line(event="asked_again", call=call.id, vendor=call.route.vendor.name, status=reply.status)
    return reply


async def _question(platform: Platform, call: Call, outgoing: Outgoing) -> Outgoing:
    """Return the same request, or the one that looks for what it began."""
    operation, vendor = call.route.operation, call.route.vendor
    known = operation.known_by
    assert known is not None, "can_ask said so"
    if not known.lookup:
        return outgoing
    path = known.lookup.format(name=quote(outgoing.name, safe=""))
    made = Outgoing(
        "GET",
        vendor.address(operation.base) + path,
        {},
        silence_seconds=LOOK_SECONDS,
        total_seconds=LOOK_SECONDS,
        cover=call.account.redacted,
    )
    await vendor.scheme(operation).sign(made, call.account, platform.relay.exchange)
    return made
