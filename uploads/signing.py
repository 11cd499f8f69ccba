"""Addresses that are a secret: who has one may put, or fetch, that one file until its time is over.

    PUT /uploads/<id>?expires=<seconds>&signed=<signature>
    GET /uploads/<id>/<name>?expires=<seconds>&signed=<signature>

A signature is of one thing: the address for fetching, which vendors are given, puts nothing.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Literal
from urllib.parse import urlencode

from django.utils.crypto import constant_time_compare, salted_hmac

from common import rotating

Verb = Literal["put", "get"]
PATH = re.compile(r"/uploads/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/([\w.-]{1,100}))?")
MARK = "signed="
"""What each address for fetching holds, ours or a bucket's (`X-Amz-SignedHeaders` is not it)."""


def path(verb: Verb, upload_id: str, name: str, expires: int) -> str:
    """Return the path and query of an address, signed."""
    place = f"/uploads/{upload_id}/{name}" if verb == "get" else f"/uploads/{upload_id}"
    name = name if verb == "get" else ""
    signature = _signature(verb, upload_id, name, expires, by=rotating.secret_keys()[0])
    return f"{place}?{urlencode({'expires': expires, 'signed': signature})}"


def holds(verb: Verb, upload_id: str, name: str, query: dict[str, str]) -> bool:
    """Whether a query signs that address, and its time is not over."""
    expires, signed = query.get("expires", ""), query.get("signed", "")
    if not (expires.isascii() and expires.isdecimal() and len(expires) < 12):
        return False
    is_signed = any(
        constant_time_compare(signed, _signature(verb, upload_id, name, int(expires), by=key))
        for key in rotating.secret_keys()
    )
    return is_signed and int(expires) > time.time()


def _signature(verb: Verb, upload_id: str, name: str, expires: int, *, by: bytes) -> str:
    said = "\n".join((verb, upload_id, name, f"{expires}"))
    made = salted_hmac("uploads.signing", said, secret=by, algorithm="sha256").digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
