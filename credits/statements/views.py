"""Statements over HTTP: asked for by period, cut at once, sent page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from common.drf import require_all, workspace_id
from common.streams import streamed
from credits.statements import files

if TYPE_CHECKING:
    from rest_framework.request import Request


class StatementView(APIView):
    """What moved in a period, to be filed and verified (docs/statements.md)."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(serializers.Serializer[object]):
        """Query parameters. Days are UTC's; `to` is not in the period; without it, until now."""

        to = serializers.DateField(required=False)
        format = serializers.ChoiceField(list(files.FORMS), default="json")

        def get_fields(self) -> dict[str, Any]:
            """Return the fields with `from`, which Python cannot name in a class."""
            return {"from": serializers.DateField(), **super().get_fields()}

    class Output(serializers.Serializer[object]):
        """A statement as JSON; amounts are signed micro-USD."""

        class Line(serializers.Serializer[object]):
            """One movement; its hash is over its content and the hash before."""

            position = serializers.IntegerField(help_text="1, 2, 3 ... in this wallet")
            time = serializers.DateTimeField()
            kind = serializers.CharField()
            key = serializers.CharField(help_text="Why it exists, like call:<id>")
            about = serializers.CharField(help_text="Of which purchase it is, or what it reverses")
            amount_micros = serializers.IntegerField()
            balance_micros = serializers.IntegerField()
            hash = serializers.CharField()

        class Total(serializers.Serializer[object]):
            """All lines of one kind."""

            kind = serializers.CharField()
            lines = serializers.IntegerField()
            amount_micros = serializers.IntegerField()

        statement = serializers.DictField(help_text="Workspace, period, opening, format")
        lines = Line(many=True)
        totals = Total(many=True)
        closing = serializers.DictField(help_text="Closing balance, hashes")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Answer in the format that was asked for; a refusal is JSON, whatever is accepted."""
        return JSONRenderer(), "application/json"

    @extend_schema(
        parameters=[Input],
        responses={
            (200, "application/json"): Output,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Return the statement of a period as a file, to who sees all of the workspace."""
        require_all(request)
        asked = self.Input(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        statement = files.cut(workspace_id(request), first=given["from"], until=given.get("to"))
        form, content_type = files.FORMS[given["format"]]
        return StreamingHttpResponse(
            streamed(files.pages(statement, form())),
            content_type=content_type,
            headers={
                "Content-Disposition": f'attachment; filename="{statement.name}.{given["format"]}"',
                "Cache-Control": "no-store",
            },
        )
