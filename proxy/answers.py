"""Answers that are kept for a repeat of their request, and for nothing else.

A small one is a row; the body of one that is too large for a row lies where uploads do, in a folder
of its day, which any machine finds. It is put there before the row that names it is committed, so a
crash in between leaves a file that no row names, and the other way about is not possible. What lies
there goes with its whole day: nobody asks whose it was.

One that can no longer be given is kept as that: the repeat is told so, and the vendor is not paid
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings

from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from proxy.http import Headers, Request
    from proxy.replay import Intention

log = logging.getLogger("proxy")
_storing = ThreadPoolExecutor(4, thread_name_prefix="answers")
ROW_LIMIT_BYTES = 64 << 10
"""A larger body lies in the storage of files."""
STAGED_SECONDS = 3600
"""So long may a body be on its way there; then its program died."""
STORE_SECONDS = 5
"""So long may storage take for it; otherwise it is not kept."""
FOLDER = "answers"
TYPE = "application/octet-stream"
KEPT_DAYS = 2
"""So many days after its own a folder may still be asked for; after that it goes."""
DROPPED_AT_ONCE, DROPPED_AT_MOST = 1000, 100_000
"""In one step; in all, each time. 300 a second may be kept by that."""
SPOOL_LIMIT_BYTES = 512 << 20
"""What passes beyond this is not kept: its repeat reads that it can no longer be given."""


class PendingAnswer:
    """An answer on its way to its client, who may not get it, or ask for it again."""

    __slots__ = ("_intention", "_late", "_request", "_store", "intent", "kept", "row")

    def __init__(
        self,
        intention: Intention,
        request: Request,
        row: Callable[[], dict[str, Any]],
        store: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`row` makes the row that keeps it; before, `store` puts away what one cannot hold."""
        self.intent = intention.id
        self.row = row
        self.kept = False
        self._late = False
        self._intention = intention
        self._request = request
        self._store = store

    @property
    def wanted(self) -> bool:
        """Whether another try is to find it, as far as is known now."""
        undelivered = self._request.gone or self._late
        return self._intention.keyed or (undelivered and self._intention.joinable)

    async def stored(self) -> dict[str, Any]:
        """Return the row that keeps it, once all that it names is where it says."""
        if self._store is not None:
            await self._store()
        return self.row()

    def postpone(self) -> None:
        """Its client is sent away before the books are written: from now on it outlives the try."""
        self._late = True
        if self.wanted:
            row = self.row()
            self.row = lambda: row


def as_json(body: bytes) -> dict[str, str]:
    """Return a body for a JSON document: as text if it is one, which is half as long as hex."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = "\x00"
    return {"body": "\\x" + body.hex()} if "\x00" in text else {"text": text}


def _spool_folder() -> Path:
    folder: Path = settings.DATA_DIR / "spool"
    return folder


def _key(call_id: str) -> str:
    """Return where a body lies in the storage of files: with those of its day."""
    return f"{FOLDER}/{datetime.now(UTC).date()}/{call_id}"


async def _in_time(put: Callable[[], None]) -> None:
    """Have a body be put away by threads that do nothing else. Raises OSError, also if it lasts.

    The call is paid for after that, and its hold does not wait for ever.
    """
    async with asyncio.timeout(STORE_SECONDS):
        await asyncio.get_running_loop().run_in_executor(_storing, put)


class Whole:
    """An answer whose body is there at once."""

    def __init__(self, call_id: str, body: bytes) -> None:
        self._call_id, self._key, self._body = call_id, _key(call_id), body
        self._is_large = len(body) > ROW_LIMIT_BYTES
        self._failed = self._stored = False

    async def store(self) -> None:
        """Have what is too large for a row lie in storage; where that fails, it is not kept."""
        if self._is_large and not (self._failed or self._stored):
            try:
                await _in_time(self._put)
            except OSError as exc:
                log.warning("an answer cannot be kept: %s", exc.strerror or repr(exc))
                self._failed = True

    def _put(self) -> None:
        path = _spool_folder() / self._call_id
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._body)
            shelf.keep(self._key, TYPE, path)
        finally:
            path.unlink(missing_ok=True)
        self._stored = True

    def kept(self, intention: Intention, status: int, headers: Headers) -> dict[str, Any]:
        """Return the row that keeps it."""
        if self._failed:
            return intention.kept(0, [], b"")
        if self._is_large:
            return intention.kept(status, headers, b"", spool=self._key)
        return intention.kept(status, headers, self._body)


class Spool:
    """An answer that is written down while it passes, in case it must be given again.

    Small ones stay in memory. What grows beyond a row goes to a file of this machine, and from
    there to the storage of files, if it is to be kept. Writing goes to the page cache and does not
    wait for a disk.
    """

    def __init__(self, call_id: str) -> None:
        self._path = _spool_folder() / call_id
        self._key = _key(call_id)
        self._parts: list[bytes] = []
        self._size = 0
        self._file: Any = None
        self._failed = self._kept = self._stored = False

    def write(self, chunk: bytes) -> None:
        """Add a part. A disk that takes none, or too much, ends the keeping, never the passing."""
        if self._failed:
            return
        if self._size + len(chunk) > SPOOL_LIMIT_BYTES:
            self._fail("it is too large")
            return
        try:
            self._write(chunk)
        except OSError as exc:
            self._fail(exc.strerror or repr(exc))

    def _fail(self, why: str) -> None:
        log.warning("an answer cannot be kept: %s", why)
        self._failed = True
        self._parts.clear()
        if self._file is not None:
            with contextlib.suppress(OSError):  # Of a full disk, the rest that was buffered.
                self._file.truncate(0)

    def _write(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._file is None and self._size > ROW_LIMIT_BYTES:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
            self._file.writelines(self._parts)
            self._parts.clear()
        if self._file is None:
            self._parts.append(chunk)
        else:
            self._file.write(chunk)

    async def store(self) -> None:
        """Have what is too large for a row lie in storage; where that fails, it is not kept."""
        if self._file is None or self._failed or self._stored:
            return
        try:
            await _in_time(self._put)
        except OSError as exc:
            self._fail(exc.strerror or repr(exc))

    def _put(self) -> None:
        if not self._file.closed:
            self._file.flush()
        shelf.keep(self._key, TYPE, self._path)
        self._stored = True
        self._path.unlink(missing_ok=True)  # Into a folder it was moved, into a bucket copied.

    def kept(self, intention: Intention, status: int, headers: Headers) -> dict[str, Any]:
        """Return the row that keeps what was written; a file is there for `store` from now on."""
        if self._failed:
            return intention.kept(0, [], b"")  # It can no longer be given.
        self._kept = True
        name = self._key if self._file is not None else ""
        return intention.kept(status, headers, b"".join(self._parts), spool=name)

    def close(self) -> None:
        """Close the file; delete it unless a row keeps it that is still to be written."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # It failed before, or nobody wants it.
                self._file.close()
            if not self._kept or self._failed:
                self._path.unlink(missing_ok=True)


def open_spool(name: str) -> tuple[IO[bytes], int] | None:
    """Return a body that is kept beside its row, and its size; None if it is over.

    Raises OSError where the storage of files does not answer. The version before kept it on the
    machine that made the call, under a name without a folder.
    """
    try:
        file = shelf.on_the_disk(name) if "/" in name else (_spool_folder() / name).open("rb")
    except FileNotFoundError:
        return None
    return file, os.fstat(file.fileno()).st_size


def drop_spool(name: str) -> None:
    """Delete a body that is kept beside its row. Raises OSError where storage is away."""
    if "/" in name:
        shelf.drop(name)
    else:
        (_spool_folder() / name).unlink(missing_ok=True)


def forget() -> int:
    """Delete what is over, in steps: bodies of days that are, and files that did not get there.

    Return how many bodies that were.
    """
    _sweep_staged()
    last, left = str(datetime.now(UTC).date() - timedelta(days=KEPT_DAYS)), DROPPED_AT_MOST
    for day in sorted(shelf.folders(FOLDER)):
        while day < last and left > 0:
            gone = shelf.drop_some(f"{FOLDER}/{day}", min(left, DROPPED_AT_ONCE))
            left -= gone
            if gone < DROPPED_AT_ONCE:
                break
    return DROPPED_AT_MOST - left


def _sweep_staged() -> None:
    folder = _spool_folder()
    if folder.is_dir():
        for file in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # It was just put away.
                if file.stat().st_mtime < time.time() - STAGED_SECONDS:
                    file.unlink()
