"""What is sent to OpenTelemetry: a span of each metered call, of each of Django's views and tasks.

Who calls may say by `traceparent` what it belongs to. It goes on to our tasks, and never to a
vendor. Nothing leaves that is not named here: an address may hold a token, and the words of an
error a mail.

Only where it is wanted is this imported (tracing.py): its libraries are an extra.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from common import tracing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from proxy.http import Message, Receive, Scope, Send
    from proxy.process import Platform

OURS: Final = "comfy."
STATUS: Final = "http.response.status_code"
TOLD: Final = frozenset(
    {
        *("http.method", "http.request.method", "http.route", "http.status_code", STATUS),
        *("celery.action", "celery.state", "celery.task_name", "messaging.message.id"),
    }
)
"""What is told beside our own: no address, no header, no argument of a task."""
UNTRACED: Final = "/health$,/ready$,/serving$,/metrics$"
FAILED: Final = 500
CONTEXT: Final = TraceContextTextMapPropagator()
_call: ContextVar[Any] = ContextVar("call", default=None)
"""The span of the call that the running task serves."""


class Covered(SpanExporter):  # type: ignore[misc]  # It is not here where types are checked.
    """Sends spans on, and of each only what may be told."""

    def __init__(self, to: SpanExporter) -> None:
        self._to = to

    def export(self, spans: Sequence[ReadableSpan]) -> Any:
        """Send them; what became of it is for the processor."""
        return self._to.export([covered(each) for each in spans])

    def shutdown(self) -> None:
        """Let go of the way there."""
        self._to.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Have everything be sent that was given."""
        flushed: bool = self._to.force_flush(timeout_millis)
        return flushed


def begin(program: str, exporter: SpanExporter | None = None) -> None:
    """Have the spans of this program be made and sent, in the background; once."""
    if tracing.tell is not None:
        return
    name = Resource({SERVICE_NAME: f"comfy-platform-{program}"})
    provider = TracerProvider(resource=name.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(Covered(exporter or OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(CONTEXT)  # Baggage, which may be anything, goes nowhere.
    DjangoInstrumentor().instrument(excluded_urls=UNTRACED)
    CeleryInstrumentor().instrument()
    tracing.tell = tell


def of_calls(serve: Callable[..., Awaitable[None]]) -> Any:
    """Return what serves each request of the proxy within a span, below what its caller names."""
    tracer = trace.get_tracer("proxy")

    @functools.wraps(serve)
    async def traced(platform: Platform, scope: Scope, receive: Receive, send: Send) -> None:
        with tracer.start_as_current_span(
            "call",
            CONTEXT.extract(_said(scope)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"]},
            record_exception=False,
        ) as span:
            token = _call.set(span)
            try:
                await serve(platform, scope, receive, functools.partial(_noting, span, send))
            finally:
                _call.reset(token)

    return traced


def _said(scope: Scope) -> dict[str, str]:
    """Return what its caller says that it belongs to."""
    return {
        name.decode(): value.decode("latin-1")
        for name, value in scope["headers"]
        if name in (b"traceparent", b"tracestate")
    }


async def _noting(span: Any, send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        span.set_attribute(STATUS, message["status"])
        if message["status"] >= FAILED:
            span.set_status(Status(StatusCode.ERROR))
    await send(message)


def tell(**facts: Any) -> None:
    """Tell facts of the call that the running task serves; nobody hears of one that has ended."""
    span = _call.get()
    if span is None or not span.is_recording():
        return
    for name, value in facts.items():
        span.set_attribute(OURS + name, value)
    if "operation" in facts:
        span.update_name(f"call {facts['vendor']} {facts['operation']}")


def covered(span: ReadableSpan) -> ReadableSpan:
    """Return the span as it may be told: without events, other attributes, or an error's words."""
    told = {
        name: value
        for name, value in (span.attributes or {}).items()
        if name in TOLD or name.startswith(OURS)
    }
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=told,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
