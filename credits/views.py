"""What a wallet's owner can ask of the books (contract 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import workspace_id
from common.money import cents
from credits import statements

if TYPE_CHECKING:
    from rest_framework.request import Request


class BalanceView(APIView):
    """The balance of the credential's workspace."""

    class Output(serializers.Serializer[object]):
        """The `*_micros` names are the contract's; the values are cents (contract 8.1)."""

        amount_micros = serializers.FloatField(help_text="Posted balance, in cents")
        prepaid_balance_micros = serializers.FloatField(help_text="The same, in cents")
        cloud_credit_balance_micros = serializers.FloatField(help_text="Always 0: no plans")
        pending_charges_micros = serializers.FloatField(help_text="Open holds, in cents")
        effective_balance_micros = serializers.FloatField(help_text="Available, in cents")
        currency = serializers.CharField()

    schema_tags: ClassVar[list[str]] = ["customers"]

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return the balance, what open holds set aside of it, and what is available."""
        now = statements.balance(workspace_id(request))
        return Response(
            {
                "amount_micros": cents(now.balance),
                "prepaid_balance_micros": cents(now.balance),
                "cloud_credit_balance_micros": 0,
                "pending_charges_micros": cents(now.held),
                "effective_balance_micros": cents(now.available),
                "currency": "usd",
            }
        )
