"""REST framework's side of `common.errors`: the same refusals, the contract's flat shape."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from rest_framework import serializers
from rest_framework.parsers import JSONParser
from rest_framework.response import Response
from rest_framework.views import exception_handler

from common import strict_json
from common.errors import AccessDisabled, PlatformError, combined, is_for_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from rest_framework.request import Request

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
    for_nodes = is_for_nodes(context["request"].path)
    if isinstance(exc, PlatformError):
        body = exc.proxy_body() if for_nodes else exc.body()
        return Response(body, exc.status, headers=exc.headers)
    answer = exception_handler(exc, context)
    if answer is not None:
        code, sentence = CODES.get(answer.status_code, "invalid_request"), _sentence(answer.data)
        flat = {"error": code, "message": sentence}
        answer.data = combined(sentence, code) if for_nodes else flat
    return answer


def workspace_id(request: Request) -> UUID:
    """Return the workspace that the request's credential speaks for."""
    found: UUID = request.auth.workspace_id  # type: ignore[union-attr]
    return found


def require_scope(request: Request, scope: str) -> None:
    """Raise AccessDisabled unless the request's key was made for that, too."""
    if scope not in request.auth.scopes:  # type: ignore[union-attr]
        raise AccessDisabled(f"This key may not do that (scope {scope}). Use another key.")


def base_url(request: Request) -> str:
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
