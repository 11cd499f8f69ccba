"""The operator's own programs: they show a secret, and act for nobody (contract 4.9)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import BasePermission

from common.errors import Unauthorized

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

HEADER = "X-Comfy-Admin-Secret"


class HasAdminSecret(BasePermission):
    """`X-Comfy-Admin-Secret` is one of ADMIN_SECRETS; without any, nobody has it."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return True, or raise what answers 401."""
        given = request.headers.get(HEADER, "").encode()
        found = [
            hmac.compare_digest(given, secret.encode()) for secret in settings.ADMIN_SECRETS
        ]  # All are compared: how long it takes tells nothing.
        if not any(found):
            raise Unauthorized(f"This needs the operator's secret ({HEADER}).")
        return True
