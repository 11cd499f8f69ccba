"""What a file is known by: its SHA-256, and its BLAKE3, by which Comfy's own libraries name files.

Both are worked out from the blocks as they come, so no file is read a second time for them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from blake3 import blake3

if TYPE_CHECKING:
    from pathlib import Path

BLOCK: Final = 1 << 20
SPELLED: Final = re.compile(r"(?:(sha256|blake3):)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Measured:
    """A whole file's digests, and how many bytes it has."""

    sha256: str
    blake3: str
    size: int


class Measure:
    """Takes a file block by block."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake3 = blake3()
        self._size = 0

    def add(self, block: bytes) -> None:
        """Take the next block."""
        self._sha256.update(block)
        self._blake3.update(block)
        self._size += len(block)

    def whole(self) -> Measured:
        """Return what all of it came to."""
        return Measured(self._sha256.hexdigest(), self._blake3.hexdigest(), self._size)


def of(path: Path) -> Measured:
    """Read a file that was not measured as it came."""
    with path.open("rb") as content:
        return copied(content)


def copied(content: IO[bytes], into: IO[bytes] | None = None) -> Measured:
    """Read all of it, and write it, if somewhere is named."""
    measure = Measure()
    while block := content.read(BLOCK):
        measure.add(block)
        if into is not None:
            into.write(block)
    return measure.whole()


def read(spelled: object) -> dict[str, str] | None:
    """Return by which field a file is found, and its digest; None where that is no digest.

    `blake3:<hex>`, `sha256:<hex>`, and hex alone, which is a SHA-256.
    """
    found = SPELLED.fullmatch(spelled) if isinstance(spelled, str) else None
    return {found[1] or "sha256": found[2]} if found else None


def told(sha256: str, blake3: str) -> str:
    """Return what a file is called by its content; one of before BLAKE3 was kept by its SHA-256."""
    return f"blake3:{blake3}" if blake3 else f"sha256:{sha256}"
