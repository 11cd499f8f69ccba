"""Spans for OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT says to whom; metrics stay Prometheus.

Without that setting nothing of OpenTelemetry is imported, and calls go through the same functions
as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Serve = TypeVar("Serve", bound="Callable[..., Awaitable[None]]")


def begin(program: str) -> None:
    """Have the spans of this program be sent from now on, if anybody wants them.

    A second call changes nothing. In a web process it comes before Django reads which middleware
    there is.
    """
    if settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        from config import spans

        spans.begin(program)


def of_calls(serve: Serve) -> Serve:
    """Return what serves a call within a span of its own; the same function if nobody wants any."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return serve
    from config import spans

    traced: Serve = spans.of_calls(serve)
    return traced
