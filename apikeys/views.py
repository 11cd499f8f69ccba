"""What a member can do with their keys (contract 4.7, and our own `/v1/keys`)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.sessions import Session
from apikeys import authentication, life, rights, states, wire
from apikeys.life import Giver
from apikeys.models import SCOPES, ApiKey, default_scopes
from apikeys.rights import Rights
from apikeys.wire import contracted, read, shown
from common.drf import valid, workspace_id
from common.errors import InvalidRequest, NotFound
from common.openapi import holding

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

MANAGE = "keys:manage"
A_DAY = 24 * 3600
BY_ITS_OWNER = "by its owner"
WITH_MADE = OpenApiParameter(
    "with_made", bool, description="Also end the keys that were made with it, and with these."
)


class CustomerKeysView(APIView):
    """One's keys, as the contract has them."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "POST": MANAGE}

    @extend_schema(responses=holding("ContractedKeys", api_keys=wire.Contracted(many=True)))
    def get(self, request: Request) -> Response:
        """Return one's own keys that were not revoked, the newest first."""
        return Response({"api_keys": [contracted(key) for key in own(request)]})

    @extend_schema(
        request=wire.Name,
        responses={201: holding("ContractedKeyMade", api_key=wire.ContractedMade())},
    )
    def post(self, request: Request) -> Response:
        """Make a key that calls nodes and reads. Only this answer ever holds it."""
        asked = valid(wire.Name, request)
        whole, key = life.make(
            giver_of(request), **asked, asked=Rights(scopes=frozenset(default_scopes()))
        )
        return Response({"api_key": {**contracted(key), "plaintext_key": whole}}, 201)


class CustomerKeyView(APIView):
    """One of them."""

    scopes: ClassVar[dict[str, str]] = {"DELETE": MANAGE}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        """End it at once and for good; of one that is ended nothing is left to end."""
        revoke(request, key_id)
        return Response(status=204)


class KeysView(APIView):
    """One's keys, with all that they may."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "POST": MANAGE}

    class Input(wire.Name, wire.Bounds):
        """Without bounds of its own a key calls nodes and reads, wherever, until it is ended."""

        scopes = serializers.ListField(
            child=serializers.CharField(max_length=32), default=default_scopes, max_length=10
        )
        allowed_vendors = serializers.ListField(
            child=serializers.CharField(max_length=32), allow_null=True, default=None
        )
        allowed_networks = serializers.ListField(
            child=serializers.CharField(max_length=64), allow_null=True, default=None
        )
        call_limit_micro_usd = serializers.IntegerField(
            allow_null=True, default=None, min_value=1, max_value=rights.MOST_MICROS
        )
        expires_at = serializers.DateTimeField(allow_null=True, default=None)

    @extend_schema(operation_id="v1_keys_list", responses=holding("Keys", keys=wire.Key(many=True)))
    def get(self, request: Request) -> Response:
        """Return one's own keys, or with `?all=true` those of all members, to an owner."""
        giver = giver_of(request)
        found = life.visible(giver).order_by("-created_at", "id")
        if request.query_params.get("all") != "true":
            found = found.filter(user_id=giver.user_id)
        return Response({"keys": [shown(key) for key in found[:MOST_LISTED]]})

    @extend_schema(request=Input, responses={201: wire.KeyMade})
    def post(self, request: Request) -> Response:
        """Make a key. The answer is the only place where it is ever readable."""
        asked = valid(self.Input, request)
        told = {name: asked.pop(name) for name in ("name", "description")}
        whole, key = life.make(giver_of(request), **told, asked=Rights(**read(asked)))
        return Response({**shown(key), "key": whole}, 201)


class KeyView(APIView):
    """One key."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "PATCH": MANAGE, "DELETE": MANAGE}

    class Input(wire.Bounds, wire.Name):
        """Only what is there is changed."""

        disabled = serializers.BooleanField()
        reason = serializers.CharField(max_length=300, allow_blank=True)

    @extend_schema(responses=wire.Key)
    def get(self, request: Request, key_id: UUID) -> Response:
        """Return it."""
        return Response(shown(life.one(giver_of(request), key_id)))

    @extend_schema(request=Input, responses=wire.Key)
    def patch(self, request: Request, key_id: UUID) -> Response:
        """Change its name or what it may, disable or enable it; takes effect with the next call."""
        asked, giver = valid(self.Input, request, partial=True), giver_of(request)
        told: dict[str, Any] = {
            name: asked[name] for name in ("name", "description") if name in asked
        }
        key = life.change(
            giver,
            key_id,
            asked={**told, **read(asked)},
            disabled=asked.get("disabled"),
            reason=asked.get("reason", ""),
        )
        return Response(shown(key))

    @extend_schema(parameters=[WITH_MADE], responses={204: None})
    def delete(self, request: Request, key_id: UUID) -> Response:
        """End it at once and for good; `with_made`: also what was made with it, and with these."""
        with_made = request.query_params.get("with_made", "false")
        if with_made not in ("true", "false"):
            raise InvalidRequest("with_made: true or false.")
        revoke(request, key_id, with_made=with_made == "true")
        return Response(status=204)


class RotateView(APIView):
    """A successor for a key."""

    scopes: ClassVar[dict[str, str]] = {"POST": MANAGE}

    class Input(serializers.Serializer[object]):
        """For how long both may be used."""

        overlap_seconds = serializers.IntegerField(
            default=A_DAY, min_value=0, max_value=int(life.MOST_OVERLAP.total_seconds())
        )

    @extend_schema(request=Input, responses={201: wire.KeyMade})
    def post(self, request: Request, key_id: UUID) -> Response:
        """Make a key with the same name and rights; the first expires when the overlap is over."""
        overlap = timedelta(seconds=valid(self.Input, request)["overlap_seconds"])
        whole, key = life.rotate(giver_of(request), key_id, overlap=overlap)
        return Response({**shown(key), "key": whole}, 201)


class RevokeAllView(APIView):
    """The end of all keys of a member."""

    scopes: ClassVar[dict[str, str]] = {"POST": MANAGE}

    class Input(serializers.Serializer[object]):
        """Whose; one's own unless it is said."""

        member = serializers.UUIDField(required=False)

    @extend_schema(
        request=Input, responses=holding("KeysRevoked", revoked=serializers.IntegerField())
    )
    def post(self, request: Request) -> Response:
        """End them at once and for good; another's only to an owner who is signed in."""
        giver = giver_of(request)
        member = valid(self.Input, request).get("member", giver.user_id)
        if not life.visible(giver).filter(user_id=member).exists() and member != giver.user_id:
            raise NotFound("There is no such member, or they have no keys here.")
        ended = states.revoke_all(
            member, by=giver.user_id, reason=BY_ITS_OWNER, workspace_id=giver.workspace_id
        )
        return Response({"revoked": ended})


MOST_LISTED = 500


def giver_of(request: Request) -> Giver:
    """Return who asks, and what they could give: all that they have themselves."""
    auth: Any = request.auth
    if isinstance(auth, ApiKey):
        return Giver(auth.user_id, workspace_id(request), rights.of(auth), auth)
    if isinstance(auth, Session):
        return authentication.giver(auth)
    own_rights = Rights(scopes=frozenset(SCOPES) & auth.scopes)
    user: Any = request.user
    return Giver(user.pk, workspace_id(request), own_rights)


def own(request: Request) -> list[ApiKey]:
    """Return one's own keys that were not revoked."""
    giver = giver_of(request)
    found = life.visible(giver).filter(user_id=giver.user_id, revoked_at=None)
    return list(found.order_by("-created_at", "id")[:MOST_LISTED])


def revoke(request: Request, key_id: UUID, *, with_made: bool = False) -> None:
    """End a key; raise NotFound for what is not there, another's, or ended already."""
    giver = giver_of(request)
    end = states.revoke_with_made if with_made else states.revoke
    if not end(life.one(giver, key_id), by=giver.user_id, reason=BY_ITS_OWNER):
        raise NotFound("This key was revoked before.")
