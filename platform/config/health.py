"""Whether we live, whether we can serve, what we count; and JSON where Django would say HTML."""

from __future__ import annotations

import hmac
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse, JsonResponse
from django.http.request import split_domain_port
from django.utils.translation import gettext
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest, multiprocess, registry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts import doors
from common.drf import base_url
from common.errors import AccessDisabled, NotFound, as_flat, combined, is_for_nodes
from common.rows import rows, values
from config import counted, nowhere, preflight
from credits.books import holds
from credits.proofs import marks
from privacy import watch
from proxy import days, origin
from proxy import health as vendors_health
from runs.faces import refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

WORKER_SILENT_SECONDS = 30
OF_A_PROXY = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via")
BOUND_TO = "WEB_BOUND_TO"
"""The environment variable in which `config.web` leaves the address that it listens at."""
PAGES = (
    "/account/", "/my/", "/staff/", "/invitations/", "/notices/", "/privacy/", "/receipts/",
    "/oauth/authorize",
)  # fmt: skip
"""Where people are: a browser that reads pages is answered by one, a program by JSON."""
WORKERS = ("worker", "jobs")
"""Names of heartbeats: of the worker that does the most, and of the one that asks vendors."""


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process runs (contract 4.11)."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if this process can serve, which needs a database that fits its code; else 503.

    The other fields tell of what lives elsewhere. Were they decisive, every web process would
    leave its balancer because of one worker. What is wrong with the URLs that this process hands
    out is told beside them.
    """
    try:
        needed = {"database": _database(), "migrations": _migrated(), "encoding": _encoded()}
        told = {**_workers(), "public_url": _about_public_url(request)}
    except DatabaseError:
        needed, told = {"database": False}, {}
    fine = all(needed.values())
    return JsonResponse({"ready": fine, **needed, **told}, status=200 if fine else 503)


def _about_public_url(request: HttpRequest) -> str:
    if (found := origin.finding()) or fits_public_url(request):
        return found or "fine"
    return "The address that is handed out is not the one at which this was asked."


def fits_public_url(request: HttpRequest) -> bool:
    """Whether the address that we hand out is the one at which this asker reached us.

    A proxy says what it was asked (`X-Forwarded-Proto`, `X-Forwarded-Host`). That is compared here
    also where it is not believed: then the addresses that we hand out lead nowhere.
    """
    handed = urlsplit(base_url(request))
    scheme = _first(request, "X-Forwarded-Proto") or handed.scheme
    host = _first(request, "X-Forwarded-Host") or handed.netloc
    if (handed.scheme, handed.netloc.rpartition(":")[2]) in (("http", "443"), ("https", "80")):
        return False  # A proxy passed its own port on, and not its scheme.
    return _without_port(handed.scheme, handed.netloc) == _without_port(scheme, host)


def _without_port(scheme: str, host: str) -> tuple[str, str]:
    usual = {"http": ":80", "https": ":443"}.get(scheme, "")
    return scheme, host.lower().removesuffix(usual)


def _first(request: HttpRequest, header: str) -> str:
    """Return what the outermost proxy said; empty if no proxy did."""
    return request.headers.get(header, "").split(",")[0].strip().lower()


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


_done: dict[str, bool] = {}


def _migrated() -> bool:
    if not _done.get("migrated"):
        _done["migrated"] = not preflight.unmigrated()
    return _done["migrated"]


def _encoded() -> bool:
    if not _done.get("encoded"):
        connection.ensure_connection()
        _done["encoded"] = preflight.encoding_of(connection.connection) == preflight.ENCODING
    return _done["encoded"]


def _workers() -> dict[str, bool]:
    """Return for each worker whether it lives."""
    alive = values(
        "SELECT name FROM proxy_heartbeat WHERE seen_at > now() - %s * interval '1 second'",
        [WORKER_SILENT_SECONDS],
    )
    return {name: name in alive for name in WORKERS}


class _Known(Collector):
    """Gauges whose values are known now; they live for one answer, in no process's memory."""

    def __init__(self, **gauges: tuple[str, Any]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield each as Prometheus reads it."""
        for name, (text, value) in self._gauges.items():
            yield GaugeMetricFamily(name, text, float(value))


class _Served(Collector):
    """How vendors served each account in the last hour, in all processes together."""

    def collect(self) -> Iterator[Metric]:
        """Yield the calls by outcome, the part that was served, and how long answers took."""
        named = ["vendor", "account"]
        calls = GaugeMetricFamily(
            "platform_vendor_calls", "Calls in the last hour", labels=[*named, "outcome"]
        )
        success = GaugeMetricFamily(
            "platform_vendor_success_ratio", "Served of what was due in it", labels=named
        )
        took = GaugeMetricFamily(
            "platform_vendor_answer_seconds",
            "Bound of an answer's head in it",
            labels=[*named, "quantile"],
        )
        for each in vendors_health.read():
            of = [each.vendor, each.account]
            for outcome, n in each.outcomes.items():
                calls.add_metric([*of, outcome], n)
            if each.success is not None:
                success.add_metric(of, each.success)
            for quantile, seconds in (("0.5", each.p50_seconds), ("0.9", each.p90_seconds)):
                if seconds is not None:
                    took.add_metric([*of, quantile], seconds)
        yield from (calls, success, took)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer what Prometheus asks; holds are counted in the database, so once for all processes.

    With METRICS_TOKEN it needs that; without one only this machine itself is answered.
    """
    if settings.METRICS_TOKEN:
        wanted = f"Bearer {settings.METRICS_TOKEN}"
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            return _refused(request, 401, "unauthorized", "Metrics need a token (METRICS_TOKEN).")
    elif not metrics_are_private(request):
        sentence = "Metrics are for this machine alone where no METRICS_TOKEN is set."
        return _refused(request, 403, "access_disabled", sentence)
    (open_holds,) = rows(holds.Open, holds.OPEN)
    (running,) = values("SELECT count(*) FROM proxy_job WHERE ended_at IS NULL")
    own = CollectorRegistry()
    own.register(
        _Known(
            platform_open_holds=("Holds that are open", open_holds.holds),
            platform_held_micros=("What they set aside", open_holds.micros),
            platform_oldest_hold_seconds=("Age of the oldest", open_holds.oldest_seconds),
            platform_running_jobs=("Vendors' jobs not yet ended", running),
            **watch.gauges(),
            **marks.gauges(),
            **days.gauges(),
        )
    )
    own.register(_Served())
    body = generate_latest(own) + _counted()
    return HttpResponse(body, content_type="text/plain; version=0.0.4; charset=utf-8")


def _counted() -> bytes:
    """Return what is counted: by all processes of this machine where they do so together."""
    folder = os.environ.get(counted.FOLDER)
    if not folder:
        return generate_latest(registry.REGISTRY)
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
    with counted.locked(Path(folder)):
        return generate_latest(together)


def metrics_are_private(request: HttpRequest) -> bool:
    """Whether whoever asks is a process of this machine, and no proxy that may speak for others.

    That needs a web process bound to loopback, and a request that came there as such a one comes.
    A public address says that there is a proxy, even if that hides in its requests.
    """
    bound = os.environ.get(BOUND_TO, "")
    asker = request.META.get("REMOTE_ADDR", "")
    asked, _ = split_domain_port(request.headers.get("Host", ""))
    public = urlsplit(settings.PUBLIC_URL).hostname or bound
    return not any(name in request.headers for name in OF_A_PROXY) and all(
        map(_is_loopback, (bound, asker, asked, public))
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _refused(request: HttpRequest, status: int, code: str, sentence: str) -> JsonResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    flat = as_flat(request.path, error=code, message=sentence)
    body = combined(sentence, code) if is_for_nodes(request.path) else flat
    return JsonResponse(body, status=status, headers=headers)


def forbidden(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say that a browser's request lacks what proves that it is no other site's."""
    sentence = gettext("This must be sent from a page of ours. Reload it.")
    if request.path.startswith(PAGES):
        return doors.refused(request, AccessDisabled(sentence), title=gettext("Reload the page"))
    return _refused(request, 403, "access_disabled", sentence)


def denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that who asks may not do that, or not as their account is now."""
    sentence = gettext("You may not do this, or not as your account is now.")
    if request.path.startswith(PAGES):
        return doors.refused(
            request, AccessDisabled(sentence), title=gettext("This is not for you")
        )
    return _refused(request, 403, "access_disabled", sentence)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is no such path, as JSON; below /customers a node may have asked for it.

    To a person's browser it is a page, where pages are.
    """
    if nowhere.is_for_people(request):
        return nowhere.page(request)
    sentence = "There is no such path."
    if request.path.startswith("/customers"):
        return JsonResponse(combined(sentence, "not_found"), status=404)
    status, body, headers = refusals.at(request.path, NotFound(sentence))
    return JsonResponse(body, status=status, headers=headers)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Say that the request cannot be read, as JSON."""
    return _refused(request, 400, "invalid_request", "The request cannot be read.")


def server_error(request: HttpRequest) -> JsonResponse:
    """Say that something went wrong here, as JSON."""
    return _refused(request, 500, "internal", "Something went wrong here.")
