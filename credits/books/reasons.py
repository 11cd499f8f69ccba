"""Why staff do what they do with money: always said, and short enough to be stored as it is."""

from __future__ import annotations

from typing import Final

from common.errors import InvalidRequest

MOST: Final = 300


def given(reason: str, *, to: str) -> str:
    """Return a reason without spaces around it; raise InvalidRequest if there is none to store."""
    reason = reason.strip()
    if not reason:
        raise InvalidRequest(f"{to} needs a reason.")
    if len(reason) > MOST:
        raise InvalidRequest(f"{to} needs a reason of at most {MOST} characters.")
    return reason
