"""Headers that every answer of Django's has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.deprecation import MiddlewareMixin

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase

AT_SIGN_IN = {"google": "https://accounts.google.com", "github": "https://github.com"}
"""Browsers hold against a form where it is led on to."""


class ContentPolicy(MiddlewareMixin):
    """What a page of ours may load, do and be put into; a page that says so itself is left alone.

    Nothing inline, nothing of other sites. A form may lead to the sites by which people sign in.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Add the header to what a browser shows."""
        if response.headers.get("Content-Type", "").startswith("text/html"):
            response.headers.setdefault("Content-Security-Policy", _policy())
        return response


def _policy() -> str:
    forms = " ".join(["'self'", *(AT_SIGN_IN[name] for name in settings.SOCIAL)])
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action {forms}"
    )


class NoStore(MiddlewareMixin):
    """What we say of somebody is kept by nobody on the way, unless a view says otherwise."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Add the header."""
        response.headers.setdefault("Cache-Control", "no-store")
        return response
