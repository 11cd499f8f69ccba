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
from runs import assets, dialects
from runs.faces import thumbnails
from runs.models import Asset, Output
from uploads import shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from django.http import HttpRequest, StreamingHttpResponse
    from rest_framework.request import Request

AN_HOUR: Final = 3600
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
    """Return a file as an answer: shown where a browser never runs it, else only saved."""
    try:
        content = assets.opened(kept)
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
        },
    )
    if isinstance(whole, ASGIRequest):  # Or all of it is read before the first byte is sent.
        answer.streaming_content = _blocks(content)
    return answer


def _small(kept: Asset | Output) -> HttpResponse:
    picture = thumbnails.made(kept)
    if picture is None:
        return gone()
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private"}
    return HttpResponse(picture, content_type="image/webp", headers=headers)


async def _blocks(content: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield a file block by block; nothing waits for its disk but who asked for it."""
    while block := await asyncio.to_thread(content.read, BLOCK):
        yield block


def gone() -> HttpResponse:
    """Return what is said of a file that is not there."""
    said = "There is no such file, or its time is over."
    return JsonResponse({"error": "not_found", "message": said}, status=404)
