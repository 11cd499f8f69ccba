"""The same request again: joined to the first, never paid for twice.

With an `Idempotency-Key`, the key names the intention: a repeat waits for a running call, and
gets the stored answer of one that ended (24 h). Without one, the request itself is the name, but
only of a call whose answer was never delivered: its client left, so the next equal request is
that client again, and takes the answer over. Two equal calls whose answers were delivered are two.

    new --> running --> answered --> (24 h) forgotten
               |            '--> consumed   the answer can no longer be given
               '--> released   nothing was charged: the next try is a new call
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from django.conf import settings

from common import metrics
from common.errors import (
    IdempotencyConsumed,
    IdempotencyInFlight,
    IdempotencyMismatch,
    InvalidRequest,
    Unavailable,
)
from credits.books import holds
from proxy.http import Left

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.books import Books
    from proxy.http import Headers, Request

log = logging.getLogger("proxy")
KEYED_SECONDS = 24 * 3600
UNDELIVERED_SECONDS = 10 * 60
SPOOLED_SECONDS = 3600
ROW_LIMIT_BYTES = 256 << 10
WAIT_SECONDS = 45.0
OWN = ("content-length", "call-id")
KNOWS_STATES = (0, 33, 1)  # Clients up to 0.33.0 read any 409 as a broken account (contract 3.5).

FIND = """
    SELECT fingerprint, status, headers, body, spool, once, call_id::text
      FROM proxy_answer WHERE intent = %s AND kept_until > now()
"""
TAKE = "DELETE FROM proxy_answer WHERE intent = %s AND once RETURNING intent"


class Intention:
    """What the client means by this request, as far as it lets us know."""

    def __init__(self, request: Request, digest: bytes, *, whole: bool) -> None:
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
        self.id = hashlib.sha256(digest + name).hexdigest()[:32]

    def kept(
        self, status: int, headers: Headers, body: bytes, *, spool: str = ""
    ) -> dict[str, Any]:
        """Return the row that keeps this answer."""
        return {
            "intent": self.id,
            "fingerprint": self.fingerprint,
            "status": status,
            "headers": {k.decode("latin-1"): v.decode("latin-1") for k, v in headers},
            **({} if spool else _as_json(body)),
            "spool": spool,
            "once": not self.keyed,
            "seconds": SPOOLED_SECONDS
            if spool
            else KEYED_SECONDS
            if self.keyed
            else UNDELIVERED_SECONDS,
        }


class Outgoing:
    """An answer on its way to its client, who may not get it, or ask for it again."""

    __slots__ = ("_intention", "_late", "_request", "intent", "kept", "row")

    def __init__(
        self, intention: Intention, request: Request, row: Callable[[], dict[str, Any]]
    ) -> None:
        """`row` makes the row that keeps it."""
        self.intent = intention.id
        self.row = row
        self.kept = False
        self._late = False
        self._intention = intention
        self._request = request

    @property
    def wanted(self) -> bool:
        """Whether another try is to find it, as far as is known now."""
        undelivered = self._request.gone or self._late
        return self._intention.keyed or (undelivered and self._intention.joinable)

    def postpone(self) -> None:
        """Its client is sent away before the books are written: from now on it outlives the try."""
        self._late = True
        if self.wanted:
            row = self.row()
            self.row = lambda: row


def _as_json(body: bytes) -> dict[str, str]:
    """Return a body for a JSON document: as text if it is one, which is half as long as hex."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\x00"
    return {"body": "\\x" + body.hex()} if "\x00" in text else {"text": text}


async def answer(request: Request, intention: Intention, books: Books) -> bool:
    """Answer a repeat from its first call, waiting for that if it runs.

    False if the first call was released meanwhile: then this one is new. Raises one of the
    idempotency states, or Unavailable for a client that does not know them.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    delay = 0.05
    if intention.whole:
        request.watch()
    while True:
        if request.gone:
            raise Left  # The answer stays for its next try.
        found = await books.query(FIND, intention.id)
        if found:
            return await _give(request, intention, books, found[0])
        running = await books.query(holds.MEMO_OF_INTENT, intention.id)
        if not running:
            return bool(found := await books.query(FIND, intention.id)) and await _give(
                request, intention, books, found[0]
            )
        if running[0][0].get("fingerprint") != intention.fingerprint:
            raise _mismatch()
        if time.monotonic() + delay > deadline:
            raise _in_flight(request, intention)
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, 1.0)


async def _give(request: Request, intention: Intention, books: Books, row: tuple[Any, ...]) -> bool:
    fingerprint, status, headers, body, spool, once, call_id = row
    if fingerprint != intention.fingerprint:
        raise _mismatch()
    if once and not await books.query(TAKE, intention.id):
        return False  # Another repeat took it.
    if spool:
        body = await asyncio.to_thread(_read_spool, spool)
    if not status or body is None:
        raise _consumed(request, intention)
    metrics.JOINED.labels("key" if intention.keyed else "undelivered").inc()
    kept = [(k.encode(), v.encode()) for k, v in headers.items() if k not in OWN]
    kept += [(b"call-id", call_id.encode()), (b"idempotent-replayed", b"true")]
    await request.answer(status, bytes(body), kept)
    if once:
        again = partial(intention.kept, status, kept, bytes(body))
        await books.keep(call_id, Outgoing(intention, request, again))
    return True


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


# --- Answers too large for a row ------------------------------------------------------------


def _spool_folder() -> Path:
    folder: Path = settings.DATA_DIR / "spool"
    return folder


class Spool:
    """An answer that is written down while it passes, in case it must be given again.

    Small ones stay in memory. What grows beyond a row goes to a file, which `forget` ends after
    an hour. Writing goes to the page cache and does not wait for a disk.
    """

    def __init__(self, call_id: str) -> None:
        self._name = call_id
        self._parts: list[bytes] = []
        self._size = 0
        self._file: Any = None
        self._failed = False
        self._kept = False

    def write(self, chunk: bytes) -> None:
        """Add a part. A disk that takes none ends the keeping, never the passing."""
        if self._failed:
            return
        try:
            self._write(chunk)
        except OSError as exc:
            self._fail(exc)

    def _fail(self, exc: OSError) -> None:
        log.warning("an answer cannot be kept: %s", exc.strerror)
        self._failed = True
        self._parts.clear()

    def _write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._file is None and self._size > ROW_LIMIT_BYTES:
            _spool_folder().mkdir(parents=True, exist_ok=True)
            self._file = (_spool_folder() / self._name).open("wb")
            self._file.writelines(self._parts)
            self._parts.clear()
        if self._file is None:
            self._parts.append(chunk)
        else:
            self._file.write(chunk)

    def kept(self, intention: Intention, status: int, headers: Headers) -> dict[str, Any]:
        """Return the row that keeps what was written, and keep the file."""
        if self._file is not None and not self._failed:
            try:
                self._file.flush()
            except OSError as exc:
                self._fail(exc)
        if self._failed:
            return intention.kept(0, [], b"")  # It can no longer be given.
        self._kept = True
        name = self._name if self._file is not None else ""
        return intention.kept(status, headers, b"".join(self._parts), spool=name)

    def close(self) -> None:
        """Close the file; delete it unless a row keeps it."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # It failed before, or nobody wants it.
                self._file.close()
            if not self._kept:
                (_spool_folder() / self._name).unlink(missing_ok=True)


def _read_spool(name: str) -> bytes | None:
    try:
        return (_spool_folder() / name).read_bytes()
    except OSError:
        return None  # Over, or on another machine.


def sweep_spool() -> None:
    """Delete spooled answers that are older than an hour."""
    folder = _spool_folder()
    if folder.is_dir():
        for file in folder.iterdir():
            if file.stat().st_mtime < time.time() - SPOOLED_SECONDS:
                file.unlink(missing_ok=True)
