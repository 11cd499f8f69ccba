"""Where a browser may be sent back to with a code: the page of an allowed origin, and nowhere else.

Exactly the origin and a slash, written as browsers write it.
"""

from __future__ import annotations

from accounts import origins
from common.errors import OriginNotAllowed


def named_by(redirect_uri: str) -> origins.Origin | None:
    """Return the origin of such an address; None if it is none, or written in another way."""
    text = redirect_uri.removesuffix("/")
    found = origins.read(text)
    return found if found is not None and f"{found}/" == redirect_uri else None


def origin_of(redirect_uri: str) -> str | None:
    """Return the origin of an address that may be gone back to; None for any other.

    One that is not allowed is written down, for staff to allow.
    """
    found = named_by(redirect_uri)
    if found is None:
        return None
    try:
        origins.check(str(found))
    except OriginNotAllowed:
        return None
    return str(found)
