"""REST framework's side of `common.errors`: the same refusals, the contract's flat shape."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.response import Response

from common import strict_json
from common.errors import AccessDisabled, PlatformError, as_flat, combined, is_for_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from django.http import HttpRequest
    from rest_framework.request import Request
    from rest_framework.views import APIView

STAFF = "staff"
"""The scope of what is for staff: no key has it, only one of them who is signed in."""
SESSION = "session"
"""The scope of what a person does at our own pages: no key has it."""
ALONE = "member"
"""Who has this role sees what is their own; every other role sees all of the workspace."""
CODES = {400: "invalid_request", 401: "unauthorized", 403: "access_disabled", 404: "not_found"}


class LenientJSONParser(JSONParser):
    """JSON, whatever the Content-Type says; no body at all is an empty object (contract 4.1)."""

    media_type = "*/*"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the parsed body, always an object; raise InvalidRequest for anything else."""
        return strict_json.loads(stream.read())


class ReturnURLField(serializers.CharField):
    """Where a browser is sent back to: any web page that a person may have open.

    A ComfyUI often runs on a machine of the house: its host may be one word, or an address. So a
    host need not look like one of the internet, as the framework's own URLField wants it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=2000, **options)
        self.validators.append(_check_web_page)


HOST = re.compile(r"[\w.~-]+")
READ_DIFFERENTLY = re.compile(r"[\s\x00-\x1f\x7f\\]")
"""Browsers drop or turn these, and may end at another host than the one that we read."""


def _check_web_page(url: str) -> None:
    if not re.match("https?:", url, re.IGNORECASE):
        raise serializers.ValidationError("It must begin with http:// or https://.")
    try:
        parts = urlsplit(url)
        is_good = _is_host(parts) and not READ_DIFFERENTLY.search(url)
    except ValueError:
        is_good = False
    if not is_good:
        raise serializers.ValidationError("It names no host that a browser could go to.")
    if "@" in parts.netloc:
        raise serializers.ValidationError("It must hold no name or password.")


def _is_host(parts: SplitResult) -> bool:
    """Whether a host is named, and a port that is one; raises ValueError for a broken address."""
    host, port = parts.hostname or "", parts.port
    if "[" in parts.netloc:
        ipaddress.IPv6Address(host)
    elif not HOST.fullmatch(host):
        return False
    return port != 0


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Answer a refusal in the contract's shape; leave the rest to the framework (a 500)."""
    path = context["request"].path
    if isinstance(exc, PlatformError):
        return Response(exc.body_at(path), exc.status, headers=exc.headers)
    from rest_framework.views import exception_handler  # Its views load this module.

    answer = exception_handler(exc, context)
    if answer is not None:
        code, sentence = CODES.get(answer.status_code, "invalid_request"), _sentence(answer.data)
        flat = as_flat(path, error=code, message=sentence)
        answer.data = combined(sentence, code) if is_for_nodes(path) else flat
    return answer


def workspace_id(request: Request) -> UUID:
    """Return the workspace that the request's credential speaks for."""
    found: UUID = request.auth.workspace_id  # type: ignore[union-attr]
    return found


def may(request: Request, scope: str) -> bool:
    """Whether the request's credential was made for that, too."""
    return scope in request.auth.scopes  # type: ignore[union-attr]


def only(request: Request) -> UUID | None:
    """Return whose calls alone the request's credential may see; None: everybody's.

    By the role that its person has now, whichever credential it is.
    """
    own: Any = request.user.pk
    return own if request.auth.role == ALONE else None  # type: ignore[union-attr]


def require_all(request: Request) -> None:
    """Raise AccessDisabled for who sees only what is their own."""
    if only(request) is not None:
        raise AccessDisabled(gettext("For this one is owner or billing of the workspace."))


class HasScope(BasePermission):
    """A credential does what it was made for: a view says in `scopes` what each method needs.

    What a view does not say is refused, whatever the credential.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return False without a credential (a 401); raise AccessDisabled without the scope."""
        if request.auth is None:
            return False
        method = {"HEAD": "GET"}.get(request.method or "", request.method or "")
        if method == "OPTIONS" or not hasattr(view, method.lower()):
            return True  # The framework describes the view, or says that it has no such method.
        needed = getattr(view, "scopes", {}).get(method)
        if needed is None or not may(request, needed):
            what = {
                STAFF: "This is for staff",
                SESSION: "This is for who is signed in at our pages, and for no key",
            }.get(str(needed), "This key may not do that")
            raise AccessDisabled(f"{what} (scope {needed}). Use another credential.")
        return True


def valid(
    serializer: type[serializers.Serializer[Any]], request: Request, *, partial: bool = False
) -> dict[str, Any]:
    """Return what was sent, checked."""
    asked = serializer(data=request.data, partial=partial)
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


def base_url(request: Request | HttpRequest) -> str:
    """Return where the client reaches us, without a slash at the end."""
    return settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")


def _sentence(data: Any) -> str:
    """Return one sentence for what REST framework says as a tree of fields and lists."""
    if isinstance(data, dict):
        if "detail" in data:
            return str(data["detail"])
        return " ".join(f"{field}: {_sentence(value)}" for field, value in data.items())
    if isinstance(data, list):
        return " ".join(_sentence(item) for item in data)
    return str(data)
