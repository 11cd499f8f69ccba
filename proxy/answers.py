"""Answers that are kept for a repeat of their request, and for nothing else.

A small one is a row; what is too large for a row waits in a file, at most an hour. One that can
no longer be given is kept as that: the repeat is told so, and the vendor is not paid again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import IO, TYPE_CHECKING, Any

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from proxy.http import Headers, Request
    from proxy.replay import Intention

log = logging.getLogger("proxy")
ROW_LIMIT_BYTES = 256 << 10
SPOOLED_SECONDS = 3600
SPOOL_LIMIT_BYTES = 512 << 20
"""What passes beyond this is not kept: its repeat reads that it can no longer be given."""


class PendingAnswer:
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
                self._fail(exc.strerror or repr(exc))
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


def open_spool(name: str) -> tuple[IO[bytes], int] | None:
    """Return a spooled body and its size; None if it is over, or on another machine."""
    try:
        file = (_spool_folder() / name).open("rb")
    except OSError:
        return None
    return file, os.fstat(file.fileno()).st_size


def drop_spool(name: str) -> None:
    """Delete a spooled body, if it is on this machine; elsewhere it is over within the hour."""
    (_spool_folder() / name).unlink(missing_ok=True)


def sweep_spool() -> None:
    """Delete spooled answers that are older than an hour."""
    folder = _spool_folder()
    if folder.is_dir():
        for file in folder.iterdir():
            if file.stat().st_mtime < time.time() - SPOOLED_SECONDS:
                file.unlink(missing_ok=True)
