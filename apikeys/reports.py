"""Where a scanner of secrets reports keys that it found published."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.conf import settings
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt

from apikeys import leaks
from common import ratelimits
from common.addresses import household
from common.errors import BodyTooLarge, InvalidRequest, NotFound, PlatformError

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)

MOST_BYTES = 2 << 20
MOST_A_MINUTE = 120


@csrf_exempt
def leaked_keys(request: HttpRequest) -> JsonResponse:
    """Take a signed report; nothing of it is read before its signature is."""
    try:
        body = _body(request)
        leaks.verify(
            body,
            identifier=request.headers.get("Github-Public-Key-Identifier", ""),
            signature=request.headers.get("Github-Public-Key-Signature", ""),
        )
        judged = leaks.report(body)
    except PlatformError as exc:
        log.warning("a report of leaked keys was refused: %s", exc)
        return JsonResponse(exc.body(), status=exc.status, headers=exc.headers)
    return JsonResponse([each.feedback() for each in judged], safe=False)


def _body(request: HttpRequest) -> bytes:
    if not settings.LEAK_REPORT_KEYS_URL:
        raise NotFound("No reports are taken here.")
    if request.method != "POST":
        raise InvalidRequest("Reports are posted.")
    who = household(request.META.get("REMOTE_ADDR", ""))
    ratelimits.take("leak-report", who, most=MOST_A_MINUTE, seconds=60)
    body = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise BodyTooLarge(f"No report is larger than {MOST_BYTES >> 20} MiB.")
    return body
