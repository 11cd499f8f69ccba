"""What a wallet's owner can ask and do (contract 4.3 to 4.5), and where Stripe speaks to us."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common import pages
from common.drf import ReturnURLField, base_url, require_all, workspace_id
from common.errors import BodyTooLarge, InvalidRequest, PlatformError
from common.money import Micros, cents
from credits.books import lots, wallets
from credits.models import Lot, TopUp
from credits.payments import (
    automatic,
    customers,
    following,
    methods,
    purchases,
    receivables,
    tasks,
    topups,
    webhooks,
)

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

log = logging.getLogger(__name__)

MOST_EVENT_BYTES = 2 << 20
MOST_MICROS = 2**53  # What JSON numbers hold exactly.


class BalanceView(APIView):
    """The balance of the credential's workspace."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

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
        if following.watched(workspace_id(request)):
            tasks.hurry(tasks.check_purchases)
        return Response(balance_in_cents(workspace_id(request)))


def balance_in_cents(workspace: UUID) -> dict[str, Any]:
    """Return the contract's balance: its `*_micros` are cents (contract 4.3, 8.1)."""
    now = wallets.balance(workspace)
    return {
        "amount_micros": cents(now.balance),
        "prepaid_balance_micros": cents(now.balance),
        "cloud_credit_balance_micros": 0,
        "pending_charges_micros": cents(now.held),
        "effective_balance_micros": cents(now.available),
        "currency": "usd",
    }


class WalletView(APIView):
    """The wallet with its parts, in real micro-USD."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read", "PATCH": "billing:manage"}

    class Output(serializers.Serializer[object]):
        """All amounts are micro-USD."""

        class LotLeft(serializers.Serializer[object]):
            """Credits that came in together, in the order of their use."""

            kind = serializers.CharField(help_text="granted or paid")
            left_micro_usd = serializers.IntegerField()
            expires_at = serializers.DateTimeField(allow_null=True)

        balance_micro_usd = serializers.IntegerField()
        paid_micro_usd = serializers.IntegerField()
        granted_micro_usd = serializers.IntegerField()
        held_micro_usd = serializers.IntegerField(help_text="Set aside by calls that run")
        available_micro_usd = serializers.IntegerField()
        due_micro_usd = serializers.IntegerField(help_text="Owed; paid first by the next purchase")
        paused_because = serializers.CharField(help_text="Empty: calls are taken")
        low_balance_micro_usd = serializers.IntegerField(
            help_text="Below it a mail is sent; 0: never"
        )
        lots = LotLeft(many=True)

    class Input(serializers.Serializer[object]):
        """What can be set."""

        low_balance_micro_usd = serializers.IntegerField(min_value=0, max_value=MOST_MICROS)

    @extend_schema(request=Input, responses=Output)
    def patch(self, request: Request) -> Response:
        """Set below which balance a mail is sent, once for each time that it falls below."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        least = Micros(asked.validated_data["low_balance_micro_usd"])
        customers.warn_below(workspace_id(request), least)
        return self.get(request)

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return what is paid for, granted, held, available and due."""
        workspace = workspace_id(request)
        wallet = lots.contents(workspace)
        return Response(
            {
                "balance_micro_usd": wallet.balance,
                "paid_micro_usd": wallet.left(Lot.Kind.PAID),
                "granted_micro_usd": wallet.left(Lot.Kind.GRANTED),
                "held_micro_usd": wallet.held,
                "available_micro_usd": wallet.available,
                "due_micro_usd": receivables.due_of(workspace),
                "paused_because": wallet.paused_because,
                "low_balance_micro_usd": customers.low_balance(workspace),
                "lots": [
                    {"kind": lot.kind, "left_micro_usd": lot.left, "expires_at": lot.expires_at}
                    for lot in wallet.lots
                ],
            }
        )


class CreditView(APIView):
    """Buying credits (contract 4.4)."""

    scopes: ClassVar[dict[str, str]] = {"POST": "usage:read"}

    class Input(serializers.Serializer[object]):
        """The one place of the contract where `_micros` are micro-USD."""

        amount_micros = serializers.IntegerField(min_value=0, max_value=MOST_MICROS)
        currency = serializers.ChoiceField(["usd"])

    class Output(serializers.Serializer[object]):
        """Where to pay."""

        checkout_url = serializers.URLField()

    @extend_schema(request=Input, responses={201: Output})
    def post(self, request: Request) -> Response:
        """Begin a purchase; the client opens the page, and nothing is charged before that."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        user: Any = request.user
        top_up = topups.start(
            workspace_id(request),
            amount=Micros(asked.validated_data["amount_micros"]),
            email=user.email,
            user_id=user.pk,
            base_url=base_url(request),
        )
        return Response({"checkout_url": top_up.checkout_url}, status=201)


class BillingView(APIView):
    """Stripe's own pages for methods and invoices (contract 4.5)."""

    scopes: ClassVar[dict[str, str]] = {"POST": "billing:manage"}

    class Input(serializers.Serializer[object]):
        """Tiers are ignored: there are no plans."""

        return_url = ReturnURLField(required=False, allow_blank=True, allow_null=True)

    class Output(serializers.Serializer[object]):
        """Where they are, for a few minutes."""

        billing_portal_url = serializers.URLField()

    @extend_schema(request=Input, responses=Output)
    def post(self, request: Request) -> Response:
        """Open the billing portal of the workspace's customer."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        user: Any = request.user
        back = asked.validated_data.get("return_url") or base_url(request)
        portal = customers.portal(workspace_id(request), email=user.email, return_url=back)
        return Response({"billing_portal_url": portal})


class PurchasesView(APIView):
    """What was bought, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Input(pages.PageInput):
        """Query parameters; without `cursor` the first page, with the total."""

        limit = serializers.IntegerField(min_value=1, max_value=100, default=20)
        state = serializers.ChoiceField(TopUp.State.values, default="", allow_blank=True)
        since = serializers.DateTimeField(default=None, allow_null=True)
        until = serializers.DateTimeField(default=None, allow_null=True)

    class Output(pages.PageOutput):
        """One page."""

        class Purchase(serializers.Serializer[object]):
            """Amounts are micro-USD; `paid` is with tax."""

            id = serializers.UUIDField()
            state = serializers.CharField()
            automatic = serializers.BooleanField()
            amount_micro_usd = serializers.IntegerField()
            tax_micro_usd = serializers.IntegerField()
            refunded_micro_usd = serializers.IntegerField()
            unspent_micro_usd = serializers.IntegerField()
            checkout_url = serializers.CharField(help_text="While it is open")
            receipt_url = serializers.CharField()
            invoice_url = serializers.CharField()
            failure = serializers.CharField()
            created_at = serializers.DateTimeField()
            credited_at = serializers.DateTimeField(allow_null=True)

        purchases = Purchase(many=True)

    @extend_schema(parameters=[Input], responses=Output)
    def get(self, request: Request) -> Response:
        """Return one page of purchases, to who sees all of the workspace."""
        require_all(request)
        asked = self.Input(data=request.query_params)
        asked.is_valid(raise_exception=True)
        given, workspace = asked.validated_data, workspace_id(request)
        wanted = purchases.Wanted(given["state"], given["since"], given["until"])
        limit = given["limit"]
        if "cursor" in given:
            than = pages.identity(given["cursor"])
            some, rest = purchases.older(workspace, than=than, limit=limit, wanted=wanted)
            return Response(pages.following("purchases", list(map(self._shown, some)), rest))
        page = given.get("page", 1)
        found = purchases.page_of(workspace, page=page, limit=limit, wanted=wanted)
        shown = list(map(self._shown, found.purchases))
        answer = pages.numbered("purchases", shown, total=found.total, page=page, limit=limit)
        if page == 1 and found.total > limit:  # From here one may go on by cursor.
            answer["next"] = pages.sealed(f"{found.purchases[-1].id}")
        return Response(answer)

    def _shown(self, each: purchases.Purchase) -> dict[str, Any]:
        return {
            "id": each.id,
            "state": each.state,
            "automatic": each.is_automatic,
            "amount_micro_usd": each.amount,
            "tax_micro_usd": each.tax,
            "refunded_micro_usd": each.refunded,
            "unspent_micro_usd": each.unspent,
            "checkout_url": each.checkout_url,
            "receipt_url": each.receipt_url,
            "invoice_url": each.invoice_url,
            "failure": each.failure,
            "created_at": each.created_at,
            "credited_at": each.credited_at,
        }


class AutoTopUpView(APIView):
    """The standing wish to buy when the wallet runs low."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read", "PUT": "billing:manage"}

    class Input(serializers.Serializer[object]):
        """Amounts are micro-USD."""

        enabled = serializers.BooleanField()
        threshold_micro_usd = serializers.IntegerField(min_value=1, max_value=MOST_MICROS)
        amount_micro_usd = serializers.IntegerField(min_value=1, max_value=MOST_MICROS)
        monthly_cap_micro_usd = serializers.IntegerField(min_value=1, max_value=MOST_MICROS)

    class Output(Input):
        """The wish, and how it fares."""

        payment_method = serializers.CharField(help_text="Empty: none is saved")
        bought_this_month_micro_usd = serializers.IntegerField()
        failures = serializers.IntegerField(help_text="In a row; the third switches it off")
        last_failure = serializers.CharField()
        last_failure_at = serializers.DateTimeField(allow_null=True)
        next_try_at = serializers.DateTimeField(allow_null=True)

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return the wish as it stands."""
        return Response(self._shown(automatic.standing(workspace_id(request))))

    @extend_schema(request=Input, responses=Output)
    def put(self, request: Request) -> Response:
        """Set it; switching it on needs a saved method."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        automatic.configure(
            workspace_id(request),
            enabled=given["enabled"],
            threshold=Micros(given["threshold_micro_usd"]),
            amount=Micros(given["amount_micro_usd"]),
            monthly_cap=Micros(given["monthly_cap_micro_usd"]),
        )
        return self.get(request)

    def _shown(self, wish: automatic.Standing) -> dict[str, Any]:
        return {
            "enabled": wish.enabled,
            "threshold_micro_usd": wish.threshold,
            "amount_micro_usd": wish.amount,
            "monthly_cap_micro_usd": wish.monthly_cap,
            "payment_method": wish.method,
            "bought_this_month_micro_usd": wish.bought_this_month,
            "failures": wish.failures,
            "last_failure": wish.last_failure,
            "last_failure_at": wish.last_failure_at,
            "next_try_at": wish.next_try_at,
        }


class AutoTopUpSetupView(APIView):
    """Saving a payment method."""

    scopes: ClassVar[dict[str, str]] = {"POST": "billing:manage"}

    class Output(serializers.Serializer[object]):
        """Where to save it."""

        setup_url = serializers.URLField()

    @extend_schema(request=None, responses={201: Output})
    def post(self, request: Request) -> Response:
        """Open the hosted page that saves a card for later charges."""
        user: Any = request.user
        session = methods.start_setup(
            workspace_id(request), email=user.email, user_id=user.pk, base_url=base_url(request)
        )
        return Response({"setup_url": session.url}, status=201)


@csrf_exempt  # A signature says who speaks; no browser is asked.
def stripe_webhook(request: HttpRequest) -> JsonResponse:
    """Take what Stripe signed: 200 once it is stored; anything else is a 400, never a 500."""
    try:
        if request.method != "POST":
            raise InvalidRequest("Events are posted.")
        body = request.read(MOST_EVENT_BYTES + 1)
        if len(body) > MOST_EVENT_BYTES:
            raise BodyTooLarge(f"No event is larger than {MOST_EVENT_BYTES >> 20} MiB.")
        new = webhooks.receive(body, request.headers.get("Stripe-Signature", ""))
    except PlatformError as exc:
        log.warning("an event was refused: %s", exc)
        return JsonResponse(exc.body(), status=exc.status)
    if new is not None:
        tasks.hurry(tasks.process_event, new)
    return JsonResponse({"received": True, "new": new is not None})
