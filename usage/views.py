"""The history that the frontend shows (contract 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import workspace_id
from common.money import cents
from usage import reports
from usage.models import Call

if TYPE_CHECKING:
    from rest_framework.request import Request

    from credits.models import Entry


class EventsView(APIView):
    """Calls and credits of the credential's workspace, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(serializers.Serializer[object]):
        """Query parameters."""

        page = serializers.IntegerField(min_value=1, max_value=10**12, default=1)
        limit = serializers.IntegerField(min_value=1, max_value=100, default=10)
        filter = serializers.CharField(max_length=50, default="", allow_blank=True)
        start_date = serializers.DateTimeField(default=None, allow_null=True)
        end_date = serializers.DateTimeField(default=None, allow_null=True)

    class Output(serializers.Serializer[object]):
        """One page; which `params` an event has depends on its type."""

        class Event(serializers.Serializer[object]):
            """One row."""

            event_type = serializers.CharField()
            event_id = serializers.CharField()
            createdAt = serializers.DateTimeField()  # noqa: N815 - the contract's name
            params = serializers.DictField()

        events = Event(many=True)
        total = serializers.IntegerField()
        page = serializers.IntegerField()
        limit = serializers.IntegerField()
        totalPages = serializers.IntegerField()  # noqa: N815

    @extend_schema(parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return one page, with the exact total."""
        asked = self.Input(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        page = reports.events(
            workspace_id(request),
            page=given["page"],
            limit=given["limit"],
            wanted=reports.Filter(given["filter"], given["start_date"], given["end_date"]),
        )
        return Response(
            {
                "events": [event(row) for row in page.rows],
                "total": page.total,
                "page": given["page"],
                "limit": given["limit"],
                "totalPages": -(-page.total // given["limit"]),
            }
        )


def event(row: Call | Entry) -> dict[str, Any]:
    """Return the wire's form of one row; params are scalars that are safe to show."""
    if isinstance(row, Call):
        params: dict[str, Any] = {
            "api_name": row.facts.get("title") or f"{row.vendor} {row.operation}",
            "model": row.operation,
            "charge_micro_usd": row.charged_micros,
            "outcome": row.outcome,
        }
        if row.run_id:
            params["job_id"] = row.run_id
        if row.reason:
            params["reason"] = row.reason
        return _event(reports.CALL_EVENT, str(row.id), row.settled_at, params)
    params = {"amount": cents(row.amount_micros), "transaction_id": row.key}
    return _event(reports.entry_event(row), f"entry-{row.pk}", row.created_at, params)


def _event(kind: str, event_id: str, at: Any, params: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": kind, "event_id": event_id, "createdAt": at, "params": params}
