"""Files of runs at signed addresses: who has one may fetch that one file until its time is over.

GET /files/<id>/<name>?e=<seconds>&s=<signature>     and with &small=1, a small picture of it
"""

from __future__ import annotations

import asyncio
import time
from typing import IO, TYPE_CHECKING, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from common.drf import base_url
from common.errors import Unavailable
from runs import assets, dialects
from runs.faces import ranges, thumbnails
from runs.models import Asset, Output
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from django.http import HttpRequest, StreamingHttpResponse
    from rest_framework.request import Request

AN_HOUR: Final = dialects.AN_HOUR
BLOCK: Final = 1 << 18
RESTED: Final = "sandbox; default-src 'none'"


def address(
    request: Request, kept: Asset | Output, *, seconds: int | None = None
) -> tuple[str, int]:
    """Return where anybody may fetch a file, and until when; None: as long as it is here."""
    return dialects.address(base_url(request), kept, seconds=seconds)


@require_safe
def fetch(request: HttpRequest, output_id: UUID, name: str) -> HttpResponse | StreamingHttpResponse:
    """Send a file to who has its address."""
    until, signed = request.GET.get("e", ""), request.GET.get("s", "")
    is_number = until.isascii() and until.isdecimal() and len(until) < 12
    if is_number and int(until) > time.time():
        wanted = dialects.signatures(output_id, int(until))
        if any(constant_time_compare(signed.encode(), each.encode()) for each in wanted):
            for kind in (Output, Asset):
                found = kind.objects.filter(pk=output_id, expires_at__gt=timezone.now()).first()
                if found is not None:
                    return _small(found) if "small" in request.GET else given(request, found)
    return gone()


def given(
    request: HttpRequest | Request, kept: Asset | Output
) -> HttpResponse | StreamingHttpResponse:
    """Return a file, or the part of it that is asked for; a browser shows what it never runs."""
    tag = f'"{kept.sha256}"'
    wanted = request.headers.get("Range", "")
    if request.headers.get("If-Range", tag) != tag:
        wanted = ""
    try:
        part = ranges.read(wanted, kept.size_bytes)
        content = assets.opened(kept)
    except ranges.OutOfRange:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{kept.size_bytes}"})
    except OSError:
        return gone()
    whole = getattr(request, "_request", request)
    answer = FileResponse(
        content,
        as_attachment=shelf.disposition(kept.content_type) == "attachment",
        filename=dialects.path_of(kept).rpartition("/")[2],
        content_type=kept.content_type,
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": RESTED,
            "Cache-Control": "private",
            "Accept-Ranges": "bytes",
            "ETag": tag,
        },
    )
    first, length = part or (0, kept.size_bytes)
    if part is not None:
        content.seek(first)
        answer.status_code = 206
        answer.headers["Content-Length"] = str(length)
        answer.headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{kept.size_bytes}"
    if isinstance(whole, ASGIRequest):  # Or all of it is read before the first byte is sent.
        answer.streaming_content = _blocks(content, length)
    elif part is not None:
        answer.streaming_content = _plain_blocks(content, length)
    return answer


def _small(kept: Asset | Output) -> HttpResponse:
    try:
        picture = thumbnails.made(kept)
    except Unavailable as busy:
        body = {"error": busy.code, "message": str(busy)}
        return JsonResponse(body, status=busy.status, headers=busy.headers)
    if picture is None:
        return gone()
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
    return HttpResponse(picture, content_type="image/webp", headers=headers)


async def _blocks(content: IO[bytes], left: int) -> AsyncIterator[bytes]:
    """Yield so much of a file block by block; nothing waits for its disk but who asked for it."""
    while left > 0 and (block := await asyncio.to_thread(content.read, min(BLOCK, left))):
        left -= len(block)
        yield block


def _plain_blocks(content: IO[bytes], left: int) -> Iterator[bytes]:
    while left > 0 and (block := content.read(min(BLOCK, left))):
        left -= len(block)
        yield block


def gone() -> HttpResponse:
    """Return what is said of a file that is not there."""
    said = "There is no such file, or its time is over."
    return JsonResponse({"error": "not_found", "message": said}, status=404)
