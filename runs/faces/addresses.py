"""Addresses of a key by program (runs/address.py): asked for, listed, ended.

    GET /v1/run-address     GET /v1/run-addresses     DELETE /v1/run-addresses/<id>

With a key one has to do with that key's own; signed in, with those of all keys that one sees. No
list tells an address itself: that is a secret, told where it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import life
from apikeys.models import ApiKey
from apikeys.views import giver_of
from common.drf import base_url, workspace_id
from common.errors import AccessDisabled
from common.openapi import holding
from runs import address
from runs.faces import asking

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from runs.models import Address

MOST_LISTED = 1000


class _Address(serializers.Serializer[object]):
    """An address, without what makes it one."""

    id = serializers.UUIDField()
    key_id = serializers.UUIDField()
    max_credits = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Null: it ends with its key, at the latest"
    )


class AddressView(APIView):
    """The address of a key, for scripts that take nothing but one."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    @extend_schema(
        parameters=[
            OpenApiParameter("max_credits", int, description="The most that a run by it may cost"),
            OpenApiParameter("expires_in", int, description="Seconds; else it ends with the key"),
        ],
        responses=holding("RunAddress", id=serializers.UUIDField(), address=serializers.URLField()),
    )
    def get(self, request: Request) -> Response:
        """Return it: who has it may hand over runs and see the workspace's, until it ends.

        It may have narrower terms of its own; one that has none is the same until it is ended.
        """
        who = asking.by(request)
        if who.key is None:
            raise AccessDisabled("An address is a key's. Ask for it with that key.")
        asked = request.query_params
        most = asked.get("max_credits")
        whole = (
            None if most is None else asking.count(most, "max_credits", most=asking.MOST_CREDITS)
        )
        seconds = asking.seconds(
            asked.get("expires_in"), "expires_in", least=60, most=address.MOST_SECONDS
        )
        made = address.make(who.key, most=asking.micros(whole), seconds=seconds)
        shown = f"{base_url(request)}/run/{address.token(made)}"
        return Response({"id": str(made.pk), "address": shown})


class AddressesView(APIView):
    """The addresses that hold."""

    scopes: ClassVar[dict[str, str]] = {"GET": asking.SCOPE}

    @extend_schema(responses=holding("RunAddresses", addresses=_Address(many=True)))
    def get(self, request: Request) -> Response:
        """Return them, the newest first."""
        found = address.of_keys(workspace_id(request), _keys(request))[:MOST_LISTED]
        return Response({"addresses": [_shown(each) for each in found]})


class OneAddressView(APIView):
    """One of them."""

    scopes: ClassVar[dict[str, str]] = {"DELETE": asking.SCOPE}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, address_id: UUID) -> Response:
        """End it, for good: what works by it goes on, what waits is not begun."""
        found = address.one(workspace_id(request), _keys(request), address_id)
        by = request.user.pk
        assert by is not None, "who may is somebody"
        address.end(found, by=by)
        return Response(status=204)


def _keys(request: Request) -> list[UUID]:
    """Return of which keys whoever asks sees the addresses."""
    if isinstance(request.auth, ApiKey):
        return [request.auth.pk]
    return list(life.visible(giver_of(request)).values_list("pk", flat=True))


def _shown(each: Address) -> dict[str, object]:
    return {
        "id": str(each.pk),
        "key_id": str(each.key_id),
        "max_credits": asking.whole_credits(each.max_micros),
        "created_at": each.created_at.isoformat(),
        "expires_at": each.expires_at.isoformat() if each.expires_at else None,
    }
