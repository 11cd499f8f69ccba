"""Numbers as syllables that people read to each other: five letters for 16 bits (proquints)."""

from __future__ import annotations

CONSONANTS = "bdfghjklmnprstvz"
VOWELS = "aiou"


def of(bits: bytes) -> str:
    """Return an even number of bytes as words: `lusab-babad` for 127.0.0.1."""
    return "-".join(
        _word(int.from_bytes(bits[at : at + 2], "big")) for at in range(0, len(bits), 2)
    )


def _word(number: int) -> str:
    return (
        CONSONANTS[number >> 12]
        + VOWELS[number >> 10 & 3]
        + CONSONANTS[number >> 6 & 15]
        + VOWELS[number >> 4 & 3]
        + CONSONANTS[number & 15]
    )
