"""From where a request comes, for what is written down of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase


class Whence:
    """Has the audit log know the address and the program of whoever asks."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; what is noted meanwhile came from there."""
        source = log.Source(
            "web", request.META.get("REMOTE_ADDR", ""), request.headers.get("User-Agent", "")
        )
        with log.coming_from(source):
            return self._get_response(request)
