"""Whether we live, whether we can serve, what we count; and JSON where Django would say HTML."""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest, multiprocess, registry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.errors import combined, is_for_nodes
from proxy import origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

WORKER_SILENT_SECONDS = 30


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process runs (contract 4.11)."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 if calls can be served and settled: database, migrations, worker; else 503.

    What this process last found wrong with the URLs that it hands out is told beside it.
    """
    try:
        parts = {"database": _database(), "migrations": _migrated(), "worker": _worker()}
    except DatabaseError:
        parts = {"database": False}
    fine = all(parts.values())
    found = {"public_url": origin.finding() or "fine"}
    return JsonResponse({"ready": fine, **parts, **found}, status=200 if fine else 503)


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return True


_done: dict[str, bool] = {}


def _migrated() -> bool:
    if not _done.get("migrated"):
        executor = MigrationExecutor(connection)
        _done["migrated"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _done["migrated"]


def _worker() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(max(seen_at) > now() - %s * interval '1 second', false)"
            " FROM proxy_heartbeat WHERE name = 'worker'",
            [WORKER_SILENT_SECONDS],
        )
        return bool(cursor.fetchone()[0])


class _Known(Collector):
    """Gauges whose values are known now; they live for one answer, in no process's memory."""

    def __init__(self, **gauges: tuple[str, Any]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """Yield each as Prometheus reads it."""
        for name, (text, value) in self._gauges.items():
            yield GaugeMetricFamily(name, text, float(value))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer what Prometheus asks; holds are counted in the database, so once for all processes."""
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and not hmac.compare_digest(given.encode(), wanted.encode()):
        return JsonResponse(
            {"error": "unauthorized", "message": "Metrics need a token."}, status=401
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(amount_micros), 0),"
            " coalesce(extract(epoch FROM now() - min(placed_at)), 0) FROM credits_hold"
        )
        count, micros, age = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM proxy_job WHERE ended_at IS NULL")
        running = cursor.fetchone()[0]
    own = CollectorRegistry()
    own.register(
        _Known(
            platform_open_holds=("Holds that are open", count),
            platform_held_micros=("What they set aside", micros),
            platform_oldest_hold_seconds=("Age of the oldest", age),
            platform_running_jobs=("Vendors' jobs not yet ended", running),
        )
    )
    counted: Any = registry.REGISTRY
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    body = generate_latest(own) + generate_latest(counted)
    return HttpResponse(body, content_type="text/plain; version=0.0.4; charset=utf-8")


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Say that there is no such path, as JSON; below /customers a node may have asked for it."""
    flat = not is_for_nodes(request.path) and not request.path.startswith("/customers")
    return _refusal("There is no such path.", "not_found", 404, flat=flat)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Say that the request cannot be read, as JSON."""
    flat = not is_for_nodes(request.path)
    return _refusal("The request cannot be read.", "invalid_request", 400, flat=flat)


def server_error(request: HttpRequest) -> JsonResponse:
    """Say that something went wrong here, as JSON."""
    flat = not is_for_nodes(request.path)
    return _refusal("Something went wrong here.", "internal", 500, flat=flat)


def _refusal(sentence: str, code: str, status: int, *, flat: bool) -> JsonResponse:
    body = {"error": code, "message": sentence} if flat else combined(sentence, code)
    return JsonResponse(body, status=status)
