"""The operator's own programs: they show a secret, and act for nobody (contract 4.9)."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import BasePermission

from common import ratelimits
from common.addresses import household
from common.errors import Unauthorized

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

HEADER = "X-Comfy-Admin-Secret"
MOST_WRONG = 60
SECONDS = 60


def known_as(request: Request) -> str:
    """Return by which secret a program acts, as a log may have it: it tells nobody the secret."""
    given = request.headers.get(HEADER, "").encode()
    return f"secret {hashlib.sha256(given).hexdigest()[:8]}"


class HasAdminSecret(BasePermission):
    """`X-Comfy-Admin-Secret` is one of ADMIN_SECRETS; without any, nobody has it.

    So many wrong ones are heard from one household in a minute.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise what answers 401, or 429."""
        given = request.headers.get(HEADER, "").encode()
        who = household(request.META.get("REMOTE_ADDR", ""))
        ratelimits.take("operator", who, most=MOST_WRONG, seconds=SECONDS)
        found = [
            hmac.compare_digest(given, secret.encode()) for secret in settings.ADMIN_SECRETS
        ]  # All are compared: how long it takes tells nothing.
        if not any(found):
            raise Unauthorized(f"This needs the operator's secret ({HEADER}).")
        ratelimits.give_back("operator", who, seconds=SECONDS)
        return True
