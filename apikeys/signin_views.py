"""The programs that act for somebody, as they see and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import redirects, signins
from accounts.models import SignIn
from apikeys.models import ApiKey
from common.errors import NotFound
from common.openapi import holding

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet
    from rest_framework.request import Request

MANAGE = "keys:manage"
BY_THEMSELVES = "by its person"


class SignInsView(APIView):
    """What was let in at the consent page, and acts still."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "DELETE": MANAGE}

    class Output(serializers.Serializer[object]):
        """One program."""

        id = serializers.UUIDField()
        origin = serializers.CharField(help_text="The page that it is")
        workspace_id = serializers.UUIDField()
        address = serializers.CharField()
        agent = serializers.CharField()
        created_at = serializers.DateTimeField()
        last_used_at = serializers.DateTimeField(allow_null=True)
        expires_at = serializers.DateTimeField()

    @extend_schema(responses=holding("SignIns", sign_ins=Output(many=True)))
    def get(self, request: Request) -> Response:
        """Return one's own, the newest first."""
        return Response({"sign_ins": [_shown(row) for row in _own(request)]})

    @extend_schema(
        operation_id="v1_sign_ins_destroy_all",
        responses=holding("SignInsEnded", ended=serializers.IntegerField()),
    )
    def delete(self, request: Request) -> Response:
        """End all of one's own; their tokens call nothing from the next call on."""
        user: Any = request.user
        auth: Any = request.auth
        workspace = auth.workspace_id if isinstance(auth, ApiKey) else None
        ended = signins.end_all(user.pk, why=BY_THEMSELVES, by=user.pk, workspace_id=workspace)
        return Response({"ended": ended})


class SignInView(APIView):
    """One of them."""

    scopes: ClassVar[dict[str, str]] = {"DELETE": MANAGE}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, sign_in_id: UUID) -> Response:
        """End it; another's is as if it were not there."""
        user: Any = request.user
        found = _own(request).filter(pk=sign_in_id).first()
        if found is None or not signins.end(found, why=BY_THEMSELVES, by=user.pk):
            raise NotFound("There is no such sign-in, or it has ended.")
        return Response(status=204)


def _own(request: Request) -> QuerySet[SignIn]:
    """Return one's own; to a key, those of its workspace."""
    user: Any = request.user
    auth: Any = request.auth
    found = signins.open_of(user)
    return found.filter(workspace_id=auth.workspace_id) if isinstance(auth, ApiKey) else found


def _shown(row: SignIn) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "origin": str(redirects.named_by(row.redirect_uri) or ""),
        "workspace_id": str(row.workspace_id),
        "address": row.address,
        "agent": row.agent,
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "expires_at": row.expires_at,
    }
