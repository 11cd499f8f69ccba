"""Where a browser may be sent back to with a code: to the page of a ComfyUI on its own machine.

Exactly an origin and a slash, written as browsers write it. The stock frontend asks from a loopback
name alone; anything else signs in with a key.
"""

from __future__ import annotations

import re

LOOPBACK = re.compile(r"(https?)://(localhost|127\.0\.0\.1|\[::1\])(?::([1-9]\d{0,4}))?/")
USUAL = {"http": "80", "https": "443"}


def origin_of(redirect_uri: str) -> str | None:
    """Return the origin of an address that may be gone back to; None for any other."""
    found = LOOPBACK.fullmatch(redirect_uri)
    if found is None:
        return None
    scheme, _, port = found.groups()
    if port is not None and (port == USUAL[scheme] or int(port) > 65535):
        return None
    return redirect_uri[:-1]
