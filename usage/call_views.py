"""A workspace's calls, runs, refusals and sums, for its own programs (scope usage:read).

Who sees only what is their own (a member of a team) reads that alone, whatever they ask for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common import pages
from common.drf import only, workspace_id
from common.errors import NotFound
from common.streams import streamed
from usage import depth, exports, history, refusals, runs, spend
from usage.models import Call, CallSum
from usage.wire import call_told, part_told, refusal_told, run_told

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

MOST_ROUNDS = 5
"""So often does one answer go on where the calls looked at were others than those wanted."""
Wanted = TypeVar("Wanted", history.Wanted, runs.Wanted, refusals.Wanted)


class Filters(serializers.Serializer[object]):
    """Which rows; all that is given must fit. `until` is exclusive."""

    vendor = serializers.CharField(max_length=32, default="", allow_blank=True)
    operation = serializers.CharField(max_length=200, default="", allow_blank=True)
    key = serializers.UUIDField(default=None, allow_null=True, help_text="The id of a key")
    member = serializers.UUIDField(default=None, allow_null=True, help_text="The id of a person")
    project = serializers.CharField(max_length=64, default="", allow_blank=True)
    since = serializers.DateTimeField(default=None, allow_null=True)
    until = serializers.DateTimeField(default=None, allow_null=True)


COMMON = ("vendor", "operation", "project", "since", "until")


def asked(form: type[serializers.Serializer[object]], request: Request) -> dict[str, Any]:
    """Return the query's parameters, checked."""
    given = form(data=request.query_params)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


def common(given: dict[str, Any]) -> dict[str, Any]:
    """Return the filters that all lists have, in our words."""
    found = {name: given[name] for name in COMMON}
    return {**found, "key_id": given["key"], "user_id": given["member"]}


def own(request: Request, wanted: Wanted) -> Wanted | None:
    """Return what is wanted of what the credential may see; None if that is nothing."""
    whose = only(request)
    if whose is None:
        return wanted
    return None if wanted.user_id not in (None, whose) else replace(wanted, user_id=whose)


class CallsView(APIView):
    """Calls, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(Filters, pages.PageInput):
        """Query parameters."""

        status = serializers.ChoiceField(Call.Outcome.values, default="", allow_blank=True)
        run = serializers.CharField(max_length=64, default="", allow_blank=True)

    class Output(pages.PageOutput):
        """One page."""

        class Row(serializers.Serializer[object]):
            """A call that has ended; amounts are millionths of a dollar."""

            id = serializers.UUIDField()
            vendor = serializers.CharField()
            operation = serializers.CharField()
            title = serializers.CharField(help_text="What the client calls it, if it said")
            run = serializers.CharField(help_text="Comfy-Job-Id: one press of Run")
            project = serializers.CharField(help_text="What its key was for when it was made")
            member = serializers.UUIDField(allow_null=True)
            key = serializers.UUIDField(allow_null=True)
            status = serializers.ChoiceField(Call.Outcome.values)
            reason = serializers.CharField(help_text="If nothing was charged, why")
            held_micro_usd = serializers.IntegerField()
            charged_micro_usd = serializers.IntegerField()
            credits = serializers.CharField(help_text="The same in ComfyUI's credits")
            price_version = serializers.CharField()
            price_inputs = serializers.DictField(help_text="Of what the price was made")
            attempts = serializers.IntegerField()
            vendor_request = serializers.CharField()
            started_at = serializers.DateTimeField()
            settled_at = serializers.DateTimeField()

        calls = Row(many=True)

    @extend_schema(operation_id="calls", parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return one page of the calls that fit."""
        given, workspace = asked(self.Input, request), workspace_id(request)
        wanted = own(request, history.Wanted(
            **common(given), outcome=given["status"], run=given["run"]
        ))  # fmt: skip
        limit, page = given["limit"], given.get("page")
        if wanted is None:
            return Response(_nothing("calls", page, limit))
        if page is not None:
            found = depth.page(workspace, wanted, page=page, limit=limit)
            rows = [call_told(history.Receipt.of(each)) for each in found.rows]
            return Response(
                pages.numbered("calls", rows, total=found.total, page=page, limit=limit)
            )
        older = pages.number(given.get("cursor"))
        for _ in range(MOST_ROUNDS):
            some = history.page(workspace, wanted, limit=limit, older_than=older)
            older = some.older
            if some.calls or older is None:
                break
        return Response(pages.following("calls", list(map(call_told, some.calls)), older))


class CallView(APIView):
    """The receipt of one call."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(operation_id="call", responses=CallsView.Output.Row)
    def get(self, request: Request, call_id: UUID) -> Response:
        """Return it."""
        found = history.one(workspace_id(request), call_id, user_id=only(request))
        if found is None:
            raise NotFound("There is no such call, or it is another workspace's.")
        return Response(call_told(found))


class RunsView(APIView):
    """Runs, newest first: one row for each press of Run in ComfyUI (`Comfy-Job-Id`)."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(Filters, pages.PageInput):
        """Query parameters; by page the first ten thousand runs are found."""

        status = serializers.ChoiceField(list(runs.State), default="", allow_blank=True)

    class Output(pages.PageOutput):
        """One page."""

        class Row(serializers.Serializer[object]):
            """The calls of one run that have ended, together."""

            id = serializers.CharField()
            member = serializers.UUIDField(allow_null=True)
            key = serializers.UUIDField(allow_null=True, help_text="Of its last call")
            project = serializers.CharField()
            status = serializers.ChoiceField(list(runs.State))
            calls = serializers.IntegerField()
            failures = serializers.IntegerField(help_text="Calls that delivered nothing")
            charged_micro_usd = serializers.IntegerField()
            credits = serializers.CharField()
            vendors = serializers.ListField(child=serializers.CharField())
            nodes = serializers.ListField(child=serializers.CharField())
            began_at = serializers.DateTimeField()
            ended_at = serializers.DateTimeField()

        runs = Row(many=True)

    @extend_schema(operation_id="runs", parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return one page of the runs that fit."""
        given, workspace = asked(self.Input, request), workspace_id(request)
        state = runs.State(given["status"]) if given["status"] else None
        wanted = own(request, runs.Wanted(**common(given), state=state))
        limit, page = given["limit"], given.get("page")
        if wanted is None:
            return Response(_nothing("runs", page, limit))
        if page is not None:
            found = runs.page(workspace, wanted, page=page, limit=limit)
            rows = list(map(run_told, found.runs))
            return Response(pages.numbered("runs", rows, total=found.total, page=page, limit=limit))
        after = pages.number(given.get("cursor"))
        some, after = runs.older(workspace, wanted, than=after, limit=limit)
        return Response(pages.following("runs", list(map(run_told, some)), after))


class RefusalsView(APIView):
    """Calls that a limit refused, newest first; alike ones of an hour are one row."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(Filters, pages.PageInput):
        """Query parameters."""

        status = serializers.CharField(
            max_length=32, default="", allow_blank=True, help_text="The code of the error"
        )
        limit_kind = serializers.ChoiceField(
            sorted(refusals.REMEDIES), default="", allow_blank=True
        )

    class Output(pages.PageOutput):
        """One page."""

        class Row(serializers.Serializer[object]):
            """What was refused; the figures are those of the last time."""

            id = serializers.UUIDField()
            code = serializers.CharField()
            limit = serializers.ChoiceField(sorted(refusals.REMEDIES))
            of = serializers.CharField(help_text="Of a budget: workspace, project, member or key")
            remedy = serializers.ChoiceField(list(refusals.Remedy))
            message = serializers.CharField()
            vendor = serializers.CharField()
            operation = serializers.CharField()
            run = serializers.CharField()
            project = serializers.CharField()
            member = serializers.UUIDField(allow_null=True)
            key = serializers.UUIDField(allow_null=True)
            needed_micro_usd = serializers.IntegerField()
            left_micro_usd = serializers.IntegerField(allow_null=True)
            most_micro_usd = serializers.IntegerField(allow_null=True)
            left_calls = serializers.IntegerField(allow_null=True)
            most_calls = serializers.IntegerField(allow_null=True)
            resets_at = serializers.DateTimeField(allow_null=True)
            times = serializers.IntegerField()
            first_at = serializers.DateTimeField()
            last_at = serializers.DateTimeField()

        refusals = Row(many=True)

    @extend_schema(operation_id="refusals", parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return one page of the refusals that fit."""
        given, workspace = asked(self.Input, request), workspace_id(request)
        wanted = own(request, refusals.Wanted(
            **common(given), code=given["status"], limit=given["limit_kind"]
        ))  # fmt: skip
        limit, page = given["limit"], given.get("page")
        if wanted is None:
            return Response(_nothing("refusals", page, limit))
        if page is not None:
            found = refusals.page(workspace, wanted, page=page, limit=limit)
            rows = list(map(refusal_told, found.refusals))
            return Response(
                pages.numbered("refusals", rows, total=found.total, page=page, limit=limit)
            )
        than = pages.identity(given.get("cursor"))
        some, after = refusals.older(workspace, wanted, than=than, limit=limit)
        return Response(pages.following("refusals", list(map(refusal_told, some)), after))


class SpendView(APIView):
    """Sums of calls by hour, day or month: always those of all calls that have ended."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(Filters):
        """Query parameters; spans of time are by UTC."""

        span = serializers.ChoiceField(CallSum.Span.values, default="day")
        by = serializers.ChoiceField(list(spend.By), default=None, allow_null=True)

    class Output(serializers.Serializer[object]):
        """The spans in which there were calls, oldest first."""

        class Row(serializers.Serializer[object]):
            """One span."""

            begins_at = serializers.DateTimeField()
            of = serializers.CharField(help_text="What it was told apart by; empty: nobody's")
            calls = serializers.IntegerField()
            delivered = serializers.IntegerField()
            uncharged = serializers.IntegerField()
            charged_micro_usd = serializers.IntegerField()

        span = serializers.ChoiceField(CallSum.Span.values)
        by = serializers.ChoiceField(list(spend.By), allow_null=True)
        sums = Row(many=True)

    @extend_schema(operation_id="spend", parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return them, at most ten thousand."""
        given = asked(self.Input, request)
        wanted = own(request, history.Wanted(**common(given)))
        by = spend.By(given["by"]) if given["by"] else None
        parts = () if wanted is None else spend.by_span(
            workspace_id(request), wanted, span=given["span"], by=by
        )  # fmt: skip
        rows = [part_told(each) for each in parts]
        return Response({"span": given["span"], "by": given["by"], "sums": rows})


class ExportView(APIView):
    """All calls that fit, as a file."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(Filters):
        """Query parameters."""

        form = serializers.ChoiceField(sorted(exports.FORMS), default="csv")
        status = serializers.ChoiceField(Call.Outcome.values, default="", allow_blank=True)
        run = serializers.CharField(max_length=64, default="", allow_blank=True)

    @extend_schema(
        operation_id="calls_export",
        parameters=[Input],
        responses={
            (200, "text/csv"): OpenApiTypes.STR,
            (200, "application/jsonl"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Send it as it is made: a table, lines of JSON, or a cost export by FOCUS 1.2."""
        given = asked(self.Input, request)
        wanted = own(request, history.Wanted(
            **common(given), outcome=given["status"], run=given["run"]
        ))  # fmt: skip
        if wanted is None:
            raise NotFound("You see the calls that are your own, and no other member's.")
        return file_of(workspace_id(request), wanted, form=given["form"])


def file_of(workspace: UUID, wanted: history.Wanted, *, form: str) -> StreamingHttpResponse:
    """Return the calls that are wanted as a file that is sent as it is made."""
    kind, ending = exports.TYPES[form]
    return StreamingHttpResponse(
        streamed(exports.FORMS[form](workspace, wanted)),
        content_type=kind,
        headers={"Content-Disposition": f'attachment; filename="calls.{ending}"'},
    )


def _nothing(name: str, page: int | None, limit: int) -> dict[str, Any]:
    if page is None:
        return pages.following(name, [], None)
    return pages.numbered(name, [], total=0, page=page, limit=limit)
