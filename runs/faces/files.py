"""Files of runs at signed addresses: who has one may fetch that one file until its time is over.

GET /files/<id>/<name>?e=<seconds>&s=<signature>
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from django.http import FileResponse, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from common.drf import base_url
from runs import assets, dialects
from runs.models import Asset, Output
from uploads import shelf

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, StreamingHttpResponse
    from rest_framework.request import Request

AN_HOUR: Final = 3600
RESTED: Final = "sandbox; default-src 'none'"


def address(request: Request, output: Output, *, seconds: int | None = None) -> tuple[str, int]:
    """Return where anybody may fetch an output, and until when; None: as long as it is here."""
    return dialects.address(base_url(request), output, seconds=seconds)


@require_safe
def fetch(request: HttpRequest, output_id: UUID, name: str) -> HttpResponse | StreamingHttpResponse:
    """Send an output to who has its address."""
    until, signed = request.GET.get("e", ""), request.GET.get("s", "")
    is_number = until.isascii() and until.isdecimal() and len(until) < 12
    if is_number and int(until) > time.time():
        wanted = dialects.signature(output_id, int(until))
        if constant_time_compare(signed.encode(), wanted.encode()):
            found = Output.objects.filter(pk=output_id, expires_at__gt=timezone.now()).first()
            if found is not None:
                return given(found)
    return gone()


def given(kept: Asset | Output) -> HttpResponse | StreamingHttpResponse:
    """Return a file as an answer: shown where a browser never runs it, else only saved."""
    try:
        content = assets.opened(kept)
    except OSError:
        return gone()
    name = kept.name if isinstance(kept, Output) else kept.file_path
    return FileResponse(
        content,
        as_attachment=shelf.disposition(kept.content_type) == "attachment",
        filename=name.rpartition("/")[2],
        content_type=kept.content_type,
        headers={
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": RESTED,
            "Cache-Control": "private",
        },
    )


def gone() -> HttpResponse:
    """Return what is said of a file that is not there."""
    said = "There is no such file, or its time is over."
    return JsonResponse({"error": "not_found", "message": said}, status=404)

