"""REST framework's door to `keys.authenticate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication

from apikeys import keys
from common.errors import CHALLENGE, Unauthorized

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apikeys.models import ApiKey


class KeyAuthentication(BaseAuthentication):
    """`X-API-KEY: comfyui-...`; a bearer token wins where both come (contract 2.1)."""

    def authenticate(self, request: Request) -> tuple[Any, ApiKey] | None:
        """Return the key's user and the key, or None without a credential."""
        if request.headers.get("Authorization", "").strip():
            raise Unauthorized("This platform does not know that token. Sign in, or send a key.")
        key = request.headers.get("X-API-KEY")
        if not key:
            return None
        found = keys.authenticate(key.strip())
        return found.user, found

    def authenticate_header(self, request: Request) -> str:
        """Return what makes a missing credential a 401, not a 403."""
        return CHALLENGE


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document names the credential."""

    target_class = KeyAuthentication
    name = "ApiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "apiKey", "in": "header", "name": "X-API-KEY"}
