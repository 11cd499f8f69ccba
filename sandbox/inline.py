"""Files that came within a request, or before it, as each vendor takes them; else they are none.

What was found is noted by its digest (`Seen.files`), so that a test can say whether the bytes that
arrived are those that were sent.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping

from sandbox import forms
from sandbox.uploads import Uploads
from sandbox.vendor import RefusedError

DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,([A-Za-z0-9+/]+={0,2})")
PLAIN = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
URI, BASE64, EITHER = "uri", "base64", "either"
TAKES: dict[str, str] = {
    **dict.fromkeys(
        ("byteplus", "krea", "ltx", "meshy", "meta", "minimax", "openai", "openrouter", "qwen",
         "runway", "vidu", "wan", "xai"),
        URI,
    ),
    **dict.fromkeys(
        ("anthropic", "bria", "freepik", "heygen", "luma_2", "quiver", "reve", "tencent",
         "vertexai"),
        BASE64,
    ),
    **dict.fromkeys(("bfl", "kling"), EITHER),
}  # fmt: skip
"""By their documents; who is not here takes files as parts of a form, or none. Kling's own routes
refuse a prefix, in its words."""


def found(
    vendor: str, content_type: str, raw: bytes, body: Mapping[str, object], uploads: Uploads
) -> list[str]:
    """Return the digests of the files of a request; RefusedError for a form it does not take."""
    files = [*_of_form(content_type, raw), *_of_json(TAKES.get(vendor, ""), body)]
    return [*(hashlib.sha256(each).hexdigest() for each in files), *_of_uploads(uploads, body)]


def _of_uploads(uploads: Uploads, value: object) -> Iterator[str]:
    """Yield the digests of what was put here before and is named now; it must be whole."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _of_uploads(uploads, each)
    elif isinstance(value, list):
        for each in value:
            yield from _of_uploads(uploads, each)
    elif isinstance(value, str) and (upload := uploads.called(value)) is not None:
        if not upload.digest or not upload.is_whole:
            raise RefusedError(400, "The file was not uploaded")
        yield upload.digest


def _of_form(content_type: str, raw: bytes) -> Iterator[bytes]:
    if not content_type.startswith("multipart/form-data"):
        return
    try:
        form = forms.read(content_type, raw)
    except forms.InvalidFormError:
        return  # Its route says so.
    for files in form.files.values():
        for file in files:
            yield file.content


def _of_json(takes: str, value: object) -> Iterator[bytes]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _of_json(takes, each)
    elif isinstance(value, list):
        for each in value:
            yield from _of_json(takes, each)
    elif isinstance(value, str):
        if (uri := DATA_URI.fullmatch(value)) is not None:
            if takes == BASE64:
                raise RefusedError(400, "A file must be base64, without a prefix")
            yield _decoded(uri[1])
        elif takes in (BASE64, EITHER) and PLAIN.fullmatch(value):
            yield _decoded(value)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RefusedError(400, "A file is not base64") from None
