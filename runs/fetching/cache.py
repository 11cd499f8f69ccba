"""Files that were fetched, kept by what is in them: two addresses of one content are one file.

    incoming/<chance>  --written, forced to disk--> --renamed--> blobs/<ab>/<sha256>
                                                                      | linked
                                                                      v
                                                            a place of the run's own

A blob has its name only when it is whole and on disk, so a crash leaves none that is half. Whoever
uses one has a link of their own: what is put out of the cache meanwhile stays theirs. `notes/` says
what an address gave last, by which its server can be asked whether that still holds. Several
processes may share the folder. Nothing here is told to anybody who did not name the address.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Final

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

LEFT_SECONDS: Final = 3600
"""What is still coming after so long was left by a process that died."""
LONGEST_NOTE: Final = 500
SHA256: Final = re.compile(r"[0-9a-f]{64}")
COPIES: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP})
"""Where a link cannot be, a copy can."""


@dataclass(frozen=True, slots=True)
class Note:
    """What an address gave last, and by which words its server knows it."""

    sha256: str
    etag: str
    last_modified: str


class Cache:
    """A folder of files by content, of at most so many bytes."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes

    @contextmanager
    def incoming(self) -> Iterator[tuple[Path, IO[bytes]]]:
        """Give a file to write to; what is not `keep`-ed is gone at the end."""
        path = self._made("incoming") / uuid.uuid4().hex
        try:
            with path.open("xb", buffering=0) as file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def keep(self, incoming: Path, file: IO[bytes], *, sha256: str) -> None:
        """Have a whole file be a blob, durably; of two that keep the same one, either may win."""
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
        self.make_room(size)
        place = self._blob(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        incoming.replace(place)
        _force(place.parent)

    def take(self, sha256: str, *, into: Path) -> int | None:
        """Put a blob at a place of the caller's own, and return its size; None if it is not here.

        Raises FileExistsError where something is in that place.
        """
        place = self._blob(sha256)
        try:
            os.utime(place)
            try:
                os.link(place, into)
            except OSError as exc:
                if exc.errno not in COPIES:
                    raise
                with place.open("rb") as source, into.open("xb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            return into.stat().st_size
        except FileNotFoundError:
            if not into.parent.is_dir():
                raise
            return None

    def note(self, url: str, note: Note) -> None:
        """Remember what an address gave."""
        if max(map(len, (note.etag, note.last_modified))) > LONGEST_NOTE:
            return
        with self.incoming() as (path, file):
            file.write(json.dumps(asdict(note)).encode())
            path.replace(self._note(url))

    def noted(self, url: str) -> Note | None:
        """Return what an address gave last, if that is still here."""
        try:
            note = Note(**json.loads(self._note(url).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):  # A note of an older form says nothing.
            return None
        is_here = SHA256.fullmatch(note.sha256) and self._blob(note.sha256).exists()
        return note if is_here else None

    def make_room(self, size: int) -> None:
        """Put out what was not used for longest, until so much more fits."""
        found = []
        for path in (self._folder / "blobs").glob("*/*"):
            with suppress(FileNotFoundError):  # Another process put it out.
                known = path.stat()
                found.append((known.st_mtime, known.st_size, path))
        used = sum(each for _, each, _ in found)
        for _, each, path in sorted(found):
            if used + size <= self._most:
                return
            path.unlink(missing_ok=True)
            used -= each

    def tidy(self) -> None:
        """Take away what processes that died left, and notes of what is no longer here."""
        long_ago = time.time() - LEFT_SECONDS
        for path in (self._folder / "incoming").glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < long_ago:
                    path.unlink()
                    log.info("a file that was left half fetched is gone")
        for path in (self._folder / "notes").glob("*"):
            try:
                note = Note(**json.loads(path.read_bytes()))
                is_good = SHA256.fullmatch(note.sha256) and self._blob(note.sha256).exists()
            except FileNotFoundError:
                continue
            except (ValueError, TypeError):
                is_good = False
            if not is_good:
                path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return how much the disk still takes."""
        return shutil.disk_usage(self._made("incoming")).free

    def _made(self, name: str) -> Path:
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _blob(self, sha256: str) -> Path:
        assert SHA256.fullmatch(sha256)
        return self._folder / "blobs" / sha256[:2] / sha256

    def _note(self, url: str) -> Path:
        return self._made("notes") / hashlib.sha256(url.encode()).hexdigest()


def ours() -> Cache:
    """Return the cache of this machine."""
    return Cache(settings.DATA_DIR / "fetched", most_bytes=settings.RUN_FILES_CACHE_BYTES)


def _force(folder: Path) -> None:
    """Have a folder's names be on disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
