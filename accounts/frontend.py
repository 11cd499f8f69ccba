"""What the stock frontend's workspace layer asks (contract 4.13), so that it shows its billing.

It is told that money goes by the older rail: then balance, history, top-up and portal are asked
of `/customers/*`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import workspaces
from accounts.models import Membership, Workspace
from common.drf import may, workspace_id
from credits.books import wallets
from credits.payments import stripe_api
from credits.payments.views import balance_in_cents

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

GOOD_FOR = timedelta(hours=1)
CAPABILITIES = (
    "can_top_up",
    "can_manage_billing",
    "can_run_workflows",
    "can_view_own_usage",
    "can_cancel",
    "can_change_seats",
    "can_delete_workspace",
    "can_downgrade_to_personal",
    "can_edit_workspace",
    "can_invite_members",
    "can_leave_workspace",
    "can_manage_auto_top_up",
    "can_manage_members",
    "can_manage_partner_node_access",
    "can_manage_subscription",
    "can_open_plans",
    "can_reactivate",
    "can_revert_scheduled_change",
    "can_subscribe_self_serve",
    "can_upgrade",
    "can_view_pending_invites",
    "can_view_team_usage",
)
ROLLOUT = ("can_downgrade_to_personal", "can_subscribe_self_serve", "can_top_up")


class CurrentWorkspaceView(APIView):
    """The workspace that the credential speaks for."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Output(serializers.Serializer[object]):
        """Without `role` the frontend hides what is about money."""

        id = serializers.CharField()
        name = serializers.CharField()
        type = serializers.ChoiceField(Workspace.Kind.choices)
        role = serializers.ChoiceField(["owner", "member"])
        auth_method = serializers.CharField()
        permissions = serializers.ListField(child=serializers.CharField())

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return it, with the role of the credential's user."""
        user: Any = request.user
        seen = workspaces.seen_by(user.pk, workspace_id(request))
        return Response(
            {
                "id": str(seen.id),
                "name": seen.name,
                "type": seen.kind,
                "role": role(seen),
                "auth_method": "api_key",
                "permissions": [],
            }
        )


class SpokenForView(APIView):
    """The workspaces that the credential speaks for: the one."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return it, as the frontend lists what can be chosen after signing in by token."""
        user: Any = request.user
        seen = workspaces.seen_by(user.pk, workspace_id(request))
        listed = {
            "id": str(seen.id),
            "name": seen.name,
            "type": seen.kind,
            "role": role(seen),
            "created_at": seen.created_at,
            "joined_at": seen.joined_at,
        }
        return Response({"workspaces": [listed], "can_create_workspace": False})


def role(seen: workspaces.Seen) -> str:
    """Return the role as the contract has it, which knows two: who pays sees what is of money."""
    return "member" if seen.role == Membership.Role.MEMBER else "owner"


class BillingStatusView(APIView):
    """Whether the workspace may use what costs."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Output(serializers.Serializer[object]):
        """As the contract has it; there are no plans and no seats."""

        is_active = serializers.BooleanField()
        has_funds = serializers.BooleanField()
        billing_rail = serializers.CharField()
        billing_status = serializers.CharField()
        max_seats = serializers.IntegerField()
        occupied_seats = serializers.IntegerField()
        scheduled_change = serializers.JSONField(allow_null=True)
        team_credit_stop = serializers.JSONField(allow_null=True)

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(
            {
                "is_active": True,
                "has_funds": wallets.balance(workspace_id(request)).available > 0,
                "billing_rail": "legacy_stripe",
                "billing_status": "paid",
                "max_seats": 1,
                "occupied_seats": 1,
                "scheduled_change": None,
                "team_credit_stop": None,
            }
        )


class BillingBalanceView(APIView):
    """The balance once more, under the older names and under honest ones. All are cents."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return it."""
        now = balance_in_cents(workspace_id(request))
        honest = {
            name.replace("_micros", "_cents"): value
            for name, value in now.items()
            if name.endswith("_micros")
        }
        return Response({**now, **honest})


class CapabilitiesView(APIView):
    """Which buttons the frontend shows."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return what can be done here; good for an hour."""
        user: Any = request.user
        sells = stripe_api.is_configured()
        can = {
            "can_top_up": sells,
            "can_manage_billing": sells and may(request, "billing:manage"),
            "can_run_workflows": True,
            "can_view_own_usage": True,
        }
        return Response(
            {
                "capabilities": {name: can.get(name, False) for name in CAPABILITIES},
                "resolved_for": {
                    "user_id": str(user.pk),
                    "workspace_id": str(workspace_id(request)),
                },
                "expires_at": timezone.now() + GOOD_FOR,
                "revision": 1,
                "rollout_defaults_applied": dict.fromkeys(ROLLOUT, False),
                "plan_kind": "none",
            }
        )


class SubscriptionView(APIView):
    """What an older frontend asks when it starts; anything but an answer is a red toast to it."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    class Output(serializers.Serializer[object]):
        """There are no subscriptions, so the want of one is no want of funds either."""

        is_active = serializers.BooleanField()
        has_fund = serializers.BooleanField()

    @extend_schema(responses=Output)
    def get(self, request: Request) -> Response:
        """Return that; what is left is for the balance to say."""
        return Response({"is_active": False, "has_fund": True})


class PlansView(APIView):
    """There are no plans."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return none."""
        return Response({"plans": []})


@require_safe
def releases(request: HttpRequest) -> JsonResponse:
    """Have no news of ComfyUI to tell (contract 4.8): what is new there, is not ours to say."""
    return JsonResponse([], safe=False)


@csrf_exempt
def no_settings(request: HttpRequest, key: str = "") -> JsonResponse:
    """Say that nobody keeps settings for all of somebody's machines; the frontend takes that."""
    said = {"code": "NOT_FOUND", "error": "NOT_FOUND", "message": "No settings are kept here."}
    return JsonResponse(said, status=404)
