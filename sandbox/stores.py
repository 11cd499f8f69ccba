"""A vendor's own store: a place is asked for, the content put there, and then it has a name.

The place is at `/uploads/<id>` of the vendor, for whoever has its address. A key that is shown
there is refused: the stores of real vendors are somebody else's, who would learn it.
"""

import hashlib
import secrets
from collections.abc import Mapping

from aiohttp import web

from sandbox import forms, works
from sandbox.uploads import Upload
from sandbox.vendor import Answer, Exchange, Kind, Route, anybody

KEYS = ("authorization", "x-api-key", "apikey", "api_token")
FILE = "file"


def offer(
    exchange: Exchange,
    vendor: str,
    *,
    name: str = "{url}",
    content_type: str = "",
    fields: Mapping[str, str] | None = None,
    is_whole: bool = True,
) -> tuple[str, str]:
    """Return the address of a new place, and the file's name: `{id}` and `{url}` are filled in."""
    number = secrets.token_hex(12)
    url = f"{exchange.here}/{vendor}/uploads/{number}"
    called = name.format(id=number, url=f"{url}/file")
    upload = Upload(called, content_type, fields or {}, is_whole=is_whole)
    exchange.desk.uploads.add(number, upload)
    return url, called


def named(exchange: Exchange, path: str) -> bool:
    """Whether the body names an upload there."""
    found = works.at(exchange.body, path)
    return isinstance(found, str) and exchange.desk.uploads.called(found) is not None


def address(exchange: Exchange, path: str, *, wrong: int = works.WRONG) -> None:
    """Want the address of a file there, or the name of an upload."""
    if not named(exchange, path):
        works.address(exchange.body or {}, path, wrong=wrong)


async def _put(exchange: Exchange) -> Answer:
    request = exchange.request
    upload = exchange.desk.uploads.at(request.match_info["id"])
    if upload is None or any(name in request.headers for name in KEYS):
        return Answer(b"<Error><Code>AccessDenied</Code></Error>", 403, "application/xml")
    content, kind = exchange.raw, request.content_type
    if upload.fields:
        content, kind = _of_form(request, exchange.raw, upload)
    if upload.content_type not in ("", kind):
        return Answer(b"<Error><Code>SignatureDoesNotMatch</Code></Error>", 403, "application/xml")
    upload.digest = hashlib.sha256(content).hexdigest()
    return Answer(b"", 204 if upload.fields else 200, "application/xml")


def _of_form(request: web.Request, raw: bytes, upload: Upload) -> tuple[bytes, str]:
    """Return the file of a form whose fields are those that were handed out."""
    form = forms.read(request.headers.get("content-type", ""), raw)
    files = form.files.get(FILE, [])
    if len(files) != 1 or any(form.fields.get(k) != [v] for k, v in upload.fields.items()):
        return b"", "nothing"
    return files[0].content, files[0].content_type


PUT = Route("PUT", "/uploads/{id}", Kind.STORE, _put, anybody)
POST = Route("POST", "/uploads/{id}", Kind.STORE, _put, anybody)
