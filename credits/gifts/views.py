"""Credits that are given: where a member redeems a code."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import workspace_id
from credits.gifts import vouchers

if TYPE_CHECKING:
    from rest_framework.request import Request


class RedeemView(APIView):
    """Voucher codes."""

    scopes: ClassVar[dict[str, str]] = {"POST": "usage:read"}

    class Input(serializers.Serializer[object]):
        """The code as it was given; case, spaces and dashes do not matter."""

        code = serializers.CharField(max_length=64)

    class Output(serializers.Serializer[object]):
        """What it gave."""

        amount_micro_usd = serializers.IntegerField()

    @extend_schema(request=Input, responses=Output)
    def post(self, request: Request) -> Response:
        """Redeem a code, once for the workspace."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        entry = vouchers.redeem(workspace_id(request), asked.validated_data["code"])
        return Response({"amount_micro_usd": entry.amount_micros})
