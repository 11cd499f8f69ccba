"""The same request again: joined to the first, never paid for twice.

With an `Idempotency-Key`, the key names the intention: a repeat waits for a running call, and
gets the stored answer of one that ended (24 h). Without one, the request itself is the name, but
only of a call whose answer was never delivered: its client left, so the next equal request is
that client again, and takes the answer over. Two equal calls whose answers were delivered are two.

    new --> running --> answered --> (24 h) forgotten
               |            '--> consumed   the answer can no longer be given
               '--> released   nothing was charged: the next try is a new call; one that
                               waited already is told if nobody knows what became of it
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import uuid
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from common import metrics
from common.errors import (
    IdempotencyConsumed,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    OutcomeUnknown,
    Unavailable,
)
from credits.books import holds
from proxy import answers, days
from proxy.http import Left

if TYPE_CHECKING:
    from proxy.books import Books
    from proxy.http import Headers, Request

KEYED_SECONDS = 24 * 3600
UNDELIVERED_SECONDS = 10 * 60
WAIT_SECONDS = 45.0
BLOCK_BYTES = 256 << 10
OWN = ("content-length", "call-id")
KNOWS_STATES = (0, 33, 1)  # Clients up to 0.33.0 read any 409 as a broken account (contract 3.5).

FIND = f"""
    SELECT fingerprint, status, headers, body, spool, once, call_id::text
      FROM proxy_kept WHERE intent = %s AND {days.LIVING} AND kept_until > now()
     ORDER BY created_at DESC LIMIT 1
"""  # noqa: S608 - constants of our own
CAME_TO_NOTHING = """
    SELECT 1 FROM usage_call
     WHERE id = %s AND outcome = 'refused' AND status BETWEEN 200 AND 299
"""
"""A vendor's success that nobody could read."""
TAKE = f"DELETE FROM proxy_kept WHERE intent = %s AND {days.LIVING} AND once RETURNING intent"  # noqa: S608


class Intention:
    """What the client means by this request, as far as it lets us know."""

    def __init__(self, request: Request, caller: bytes, *, whole: bool) -> None:
        """`whole`: the body was read; one that streams through cannot be compared."""
        key = request.header(b"idempotency-key")
        if len(key) > 255:
            raise InvalidRequest("Idempotency-Key must have at most 255 characters.")
        self.keyed = bool(key)
        self.whole = whole
        self.joinable = self.keyed or whole
        self.fingerprint = request.fingerprint()
        name = b"key:" + key.encode() if key else b"request:" + self.fingerprint.encode()
        if not self.joinable:
            name = uuid.uuid4().bytes
        self.id = hashlib.sha256(caller + name).hexdigest()[:32]

    def kept(
        self, status: int, headers: Headers, body: bytes, *, spool: str = ""
    ) -> dict[str, Any]:
        """Return the row that keeps this answer."""
        return {
            "intent": self.id,
            "fingerprint": self.fingerprint,
            "status": status,
            "headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in headers},
            **({} if spool else answers.as_json(body)),
            "spool": spool,
            "once": not self.keyed,
            "seconds": KEYED_SECONDS if self.keyed else UNDELIVERED_SECONDS,
        }


async def answer(request: Request, intention: Intention, books: Books) -> bool:
    """Answer a repeat from its first call, waiting for that if it runs.

    False if the first call was released meanwhile: then this one is new. Raises one of the
    idempotency states, or Unavailable for a client that does not know them; and OutcomeUnknown
    where that is what the first came to, because the vendor may have done what both meant.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    delay = 0.05
    first = ""
    if intention.whole:
        request.watch()
    while True:
        if request.gone:
            raise Left  # The answer stays for its next try.
        found = await books.query(FIND, intention.id)
        if found:
            return await _give(request, intention, books, found[0])
        running = await books.query(holds.OF_INTENT, intention.id)
        if not running and (found := await books.query(FIND, intention.id)):
            return await _give(request, intention, books, found[0])
        now, memo = running[0] if running else ("", {})
        if first and now != first and await _is_unknown(books, first):
            raise _unknown()
        if not running:
            return False
        if memo.get("fingerprint") != intention.fingerprint:
            raise _mismatch()
        first = now
        if time.monotonic() + delay > deadline:
            raise _in_flight(request, intention)
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, 1.0)


async def _is_unknown(books: Books, call: str) -> bool:
    """Whether a call that ended was sent, and nothing came that can be given."""
    return bool(
        await books.query(holds.IS_NAMELESS, call) or await books.query(CAME_TO_NOTHING, call)
    )


async def _give(request: Request, intention: Intention, books: Books, row: tuple[Any, ...]) -> bool:
    fingerprint, status, headers, body, spool, once, call_id = row
    if fingerprint != intention.fingerprint:
        raise _mismatch()
    spooled = await _spooled(spool) if spool else None
    if once and not await books.query(TAKE, intention.id):
        if spooled is not None:
            spooled[0].close()
        return False  # Another repeat took it.
    if not status or (spooled is None and (spool or body is None)):
        raise _consumed(request, intention)
    metrics.JOINED.labels("key" if intention.keyed else "undelivered").inc()
    kept = [(k.encode(), v.encode()) for k, v in headers.items() if k not in OWN]
    kept += [(b"call-id", call_id.encode()), (b"idempotent-replayed", b"true")]
    if spooled is not None:
        await _give_spooled(request, status, kept, *spooled)
    else:
        await request.answer(status, bytes(body), kept)
    if once:
        again = partial(intention.kept, status, kept, bytes(body or b""), spool=spool)
        await books.keep(call_id, answers.PendingAnswer(intention, request, again))
    return True


async def _spooled(name: str) -> tuple[IO[bytes], int] | None:
    """Return a body that lies in storage; None if it is gone. Raise where that is away."""
    try:
        return await asyncio.to_thread(answers.open_spool, name)
    except OSError as exc:
        raise Unavailable("The answer cannot be fetched at this moment. Try again.") from exc


async def _give_spooled(
    request: Request, status: int, headers: Headers, file: IO[bytes], size: int
) -> None:
    """Give a body as it is read from its file: it may be larger than what memory holds."""
    with file:
        await request.start(status, [*headers, (b"content-length", str(size).encode())])
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            await request.chunk(block)
    await request.last()


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "The answer to the first try of this request was lost. Nothing is charged unless the work "
        "turns out to be delivered. Running the node again is a new call."
    )


def _mismatch() -> IdempotencyMismatch:
    return IdempotencyMismatch("This Idempotency-Key was used for a different request.")


def _in_flight(request: Request, intention: Intention) -> IdempotencyInFlight | Unavailable:
    sentence = "The first try of this request is still running. Its result will be given here."
    if _knows_states(request, intention):
        return IdempotencyInFlight(sentence, headers={"Retry-After": "2"})
    return Unavailable(sentence, headers={"Retry-After": "10"})


def _consumed(request: Request, intention: Intention) -> IdempotencyConsumed:
    refusal = IdempotencyConsumed(
        "The result of the first try can no longer be given, and nothing is charged again. "
        "Run the node again."
    )
    if not _knows_states(request, intention):
        refusal.status = 422  # type: ignore[misc]  # A sentence that is read, and no next try.
    return refusal


def _knows_states(request: Request, intention: Intention) -> bool:
    """Whether a 409 tells this client a state; any other reads that its account is broken."""
    version = re.match(r"(\d{1,9})\.(\d{1,9})\.(\d{1,9})", request.header(b"comfy-core-version"))
    known = version is None or tuple(int(part) for part in version.groups()) >= KNOWS_STATES
    return intention.keyed and known
