"""Files at Google: addresses that our key opens, and so must be their workspace's own."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from common.errors import InvalidRequest
from proxy.along import Inside
from proxy.catalogue import moved_to

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from proxy.catalogue import Asset

GEMINI = "https://generativelanguage.googleapis.com"
BASE = "gemini"
"""What the address of the Gemini API is called among the vendor's bases."""
BUCKETS = "storage.googleapis.com"
OF_GOOGLES_APIS = ".googleapis.com"
HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}")
FILES = ("image", "video", "audio", "application", "text")
"""Kinds of files that a model reads."""
INSIDE = Inside(
    {"fileUri": "data", "file_uri": "data"},
    kind="mimeType",
    around={"fileData": "inlineData", "file_data": "inline_data"},
)
"""How a part of a request holds one."""
ADDRESSES = ("uri", "fileUri", "file_uri", "gcsUri", "gcs_uri")
NAMED = re.compile(r"(?:.*/v1(?:beta)?/|/?)files/([\w-]{1,200})(?::download)?(?:\?.*)?")


def file_at(uri: object) -> str:
    """Return the name of the file at an address that only our key opens; empty for another."""
    found = NAMED.fullmatch(uri) if isinstance(uri, str) else None
    return found[1] if found and ("://" not in found[0] or _is_theirs(found[0])) else ""


def files_of(value: Any, along: Container[str] = ()) -> Iterator[Asset]:
    """Yield the files of Google's that a request names, or raise InvalidRequest.

    Google would open with our account's rights whatever they reach: buckets, others' files. Of
    what is sent `along` it gets no address.
    """
    if isinstance(value, list):
        for each in value:
            yield from files_of(each, along)
    elif isinstance(value, dict):
        for name, each in value.items():
            if name in ADDRESSES and isinstance(each, str):
                yield from () if each in along else _file_of(each)
            else:
                yield from files_of(each, along)


def _file_of(uri: str) -> Iterator[Asset]:
    if name := file_at(uri):
        yield "file", name
    elif not uri.startswith("https://") or not _is_public(_host(uri)) or _is_theirs(uri):
        raise InvalidRequest("The address of a file must begin with https://, and be public.")


def _host(uri: str) -> str:
    """Return the host of an address, in one spelling; empty if it cannot be read."""
    try:
        return (urlsplit(uri).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_public(host: str) -> bool:
    """Whether a host may be anybody's: a name as DNS has it, not of Google's APIs, or an address.

    Google's own hosts know whose key or account asks, all but the one of public buckets.
    """
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        own = host != BUCKETS and f".{host}".endswith(OF_GOOGLES_APIS)
        return HOST.fullmatch(host) is not None and not own


def _is_theirs(uri: str) -> bool:
    """Whether an address is where our key belongs."""
    own = (GEMINI, moved_to("vertexai", BASE))
    return _host(uri) in {_host(base) for base in own if base}
