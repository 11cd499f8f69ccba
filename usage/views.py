"""The history that the frontend shows (contract 4.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import STAFF, only, workspace_id
from common.money import cents
from usage import reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from rest_framework.request import Request

EVENTS = {
    reports.Kind.CALLED: "api_usage_completed",
    reports.Kind.ADDED: "credit_added",
    reports.Kind.REFUNDED: "credit_refunded",
    reports.Kind.DISPUTED: "credit_disputed",
    reports.Kind.OWED: "credit_owed",
    reports.Kind.RESTORED: "credit_restored",
    reports.Kind.EXPIRED: "credit_expired",
    reports.Kind.ADJUSTED: "credit_adjusted",
    reports.Kind.REVERSED: "credit_reversed",
}
"""What the wire calls each kind of row."""
KINDS = {name: kind for kind, name in EVENTS.items()}


class EventsView(APIView):
    """Calls and credits of the credential's workspace, newest first; a member's own calls."""

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
    def get(self, request: Request, **named: Any) -> Response:
        """Return one page, with the exact total."""
        asked = self.Input(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        whose = self._whose(request)
        page = self._page(self._workspace(request, **named), user_id=whose, **given)
        return Response(
            {
                "events": [event(row) for row in page.rows],
                "total": page.total,
                "page": given["page"],
                "limit": given["limit"],
                "totalPages": -(-page.total // given["limit"]),
            }
        )

    def _workspace(self, request: Request, **named: Any) -> UUID:
        """Return whose events these are."""
        return workspace_id(request)

    def _whose(self, request: Request) -> UUID | None:
        """Return whose calls alone are shown; None: all that is there."""
        return only(request)

    def _page(self, workspace: UUID, *, user_id: UUID | None, **given: Any) -> reports.Page:
        if given["filter"] and given["filter"] not in KINDS:
            return reports.Page(0, [])  # A type that no event has.
        kind = KINDS.get(given["filter"])
        return reports.events(
            workspace,
            page=given["page"],
            limit=given["limit"],
            wanted=reports.Filter(kind, given["start_date"], given["end_date"], user_id),
        )


class CustomerEventsView(EventsView):
    """The same of a member's own workspace, for staff."""

    scopes: ClassVar[dict[str, str]] = {"GET": STAFF}
    workspace_of: Callable[[UUID], UUID] | None = None
    """Given where the addresses are put together: who somebody is, is not known here."""

    @extend_schema(
        operation_id="customer_events",
        parameters=[EventsView.Input],
        responses=EventsView.Output,
    )
    def get(self, request: Request, **named: Any) -> Response:
        """Return one page of a member's events."""
        return super().get(request, **named)

    def _workspace(self, request: Request, **named: Any) -> UUID:
        assert self.workspace_of is not None, "it is wired with it"
        return self.workspace_of(named["user_id"])

    def _whose(self, request: Request) -> UUID | None:
        return None  # Of that workspace staff see all, whatever they are in their own.


def event(row: reports.Called | reports.Moved) -> dict[str, Any]:
    """Return the wire's form of one row; params are scalars that are safe to show."""
    if isinstance(row, reports.Called):
        params: dict[str, Any] = {
            "api_name": row.title or f"{row.vendor} {row.operation}",
            "model": row.operation,
            "charge_micro_usd": row.charged,
            "outcome": row.outcome,
        }
        if row.is_own_account:
            params["own_account"] = True
        if row.run:
            params["job_id"] = row.run
        if row.reason:
            params["reason"] = row.reason
        return _event(EVENTS[reports.Kind.CALLED], str(row.id), row.at, params)
    params = {"amount": cents(row.amount), "transaction_id": row.key}
    return _event(EVENTS[row.kind], f"entry-{row.entry}", row.at, params)


def _event(name: str, event_id: str, at: datetime, params: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": name, "event_id": event_id, "createdAt": at, "params": params}
