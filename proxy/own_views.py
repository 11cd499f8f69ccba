"""A workspace's own account with a vendor, as its owner sets it: written, and never read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.sessions import Session
from common.drf import workspace_id
from common.errors import AccessDisabled, NotFound
from proxy import choosing, vendor_accounts

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

OF_OWNERS = "billing:manage"
"""What no key of who is only a member has; that it is the owner is asked besides."""
OWNER = "owner"
MOST_SETTINGS = 10

VENDOR = OpenApiParameter("vendor", str, OpenApiParameter.PATH)


class OwnAccountView(APIView):
    """Calls of one vendor go under it, and cost the stated fee in the place of their price."""

    scopes: ClassVar[dict[str, str]] = {"GET": OF_OWNERS, "PUT": OF_OWNERS, "DELETE": OF_OWNERS}

    class Input(serializers.Serializer[object]):
        """What the vendor gave: its settings by name, like KEY."""

        settings = serializers.DictField(
            child=serializers.CharField(max_length=vendor_accounts.SECRET_LIMIT),
            allow_empty=False,
        )

        def validate_settings(self, value: dict[str, str]) -> dict[str, str]:
            """Refuse more than any vendor has."""
            if len(value) > MOST_SETTINGS:
                raise serializers.ValidationError(f"At most {MOST_SETTINGS} settings.")
            return value

    class Abandon(serializers.Serializer[object]):
        """Query parameters of a removal."""

        abandon_jobs = serializers.BooleanField(default=False)

    class Output(serializers.Serializer[object]):
        """That it is there; no secret."""

        vendor = serializers.CharField()
        settings = serializers.ListField(child=serializers.CharField())
        fee_micro_usd = serializers.IntegerField()
        running_jobs = serializers.IntegerField()
        changed_at = serializers.DateTimeField()

    class Removed(serializers.Serializer[object]):
        """What came of a removal."""

        abandoned_jobs = serializers.IntegerField()

    @extend_schema(parameters=[VENDOR], responses=Output)
    def get(self, request: Request, workspace_id: UUID, vendor: str) -> Response:
        """Return that it is there, and since when; its settings by name only."""
        _owner(request, workspace_id)
        return Response(_shown(workspace_id, vendor))

    @extend_schema(parameters=[VENDOR], request=Input, responses=Output)
    def put(self, request: Request, workspace_id: UUID, vendor: str) -> Response:
        """Have new calls go under it within seconds; a second time it has other settings."""
        owner = _owner(request, workspace_id)
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data["settings"]
        is_new = vendor_accounts.bring(workspace_id, vendor, given, by=owner.user.pk)
        return Response(_shown(workspace_id, vendor), 201 if is_new else 200)

    @extend_schema(parameters=[VENDOR, Abandon], responses=Removed)
    def delete(self, request: Request, workspace_id: UUID, vendor: str) -> Response:
        """Take it away with its secrets: 409 while jobs run under it, unless they are abandoned."""
        owner = _owner(request, workspace_id)
        asked = self.Abandon(data=request.query_params)
        asked.is_valid(raise_exception=True)
        abandoned = vendor_accounts.take_away(
            workspace_id, vendor, by=owner.user.pk, abandon=asked.validated_data["abandon_jobs"]
        )
        return Response({"abandoned_jobs": abandoned})


def _owner(request: Request, workspace: UUID) -> Session:
    """Return the session of somebody who may: an owner, signed in, of that workspace."""
    if workspace_id(request) != workspace:
        raise NotFound("There is no such workspace, or it is not yours.")
    if not isinstance(request.auth, Session):
        raise AccessDisabled("Accounts with providers are set by who is signed in, and by no key.")
    if request.auth.role != OWNER:
        raise AccessDisabled("For this one is owner of the workspace.")
    return request.auth


def _shown(workspace: UUID, vendor: str) -> dict[str, Any]:
    found = vendor_accounts.own(workspace, vendor)
    return {
        "vendor": found.vendor,
        "settings": list(found.settings),
        "fee_micro_usd": choosing.own_fee(found.vendor),
        "running_jobs": found.running_jobs,
        "changed_at": found.changed_at,
    }
