"""Where a service of the operator's own tells what a member used of it (contract 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.support import personal_workspace
from apikeys import recorded
from common.operators import HasAdminSecret

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from rest_framework.request import Request


class RecordedView(APIView):
    """One use, charged to the member's personal workspace."""

    authentication_classes = ()
    permission_classes = (HasAdminSecret,)

    class Input(serializers.Serializer[object]):
        """What was used; `params.charge_micro_usd` is what it cost."""

        transaction_id = serializers.UUIDField()
        timestamp = serializers.DateTimeField(default=None, allow_null=True)
        params = serializers.DictField()

        def validate_timestamp(self, at: datetime | None) -> datetime | None:
            """Refuse a use that has not been yet."""
            if at is not None and at > timezone.now() + recorded.CLOCKS:
                raise serializers.ValidationError("It lies ahead.")
            return at

    class Output(serializers.Serializer[object]):
        """That it is recorded, now or before."""

        message = serializers.CharField()

    @extend_schema(operation_id="record_usage", request=Input, responses=Output)
    def post(self, request: Request, user_id: UUID) -> Response:
        """Record it once: 402 or 403 where the wallet or a budget has no room, 409 for a reused id.

        Then nothing is written, and the same may be told again.
        """
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        is_new = recorded.take(
            recorded.read(given["params"], given["timestamp"]),
            transaction_id=given["transaction_id"],
            user_id=user_id,
            workspace_id=personal_workspace(user_id),
        )
        return Response({"message": "Recorded." if is_new else "This was recorded before."})
