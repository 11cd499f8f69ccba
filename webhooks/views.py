"""Webhooks on the wire: for who manages a workspace's keys, and sees all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from common.drf import require_all, valid, workspace_id
from webhooks import endpoints
from webhooks.models import TYPES

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

    from webhooks.models import Delivery, Endpoint

MANAGE: Final = "keys:manage"


class WebhooksView(APIView):
    """List the webhooks of a workspace; make one."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "POST": MANAGE}

    class Input(serializers.Serializer[object]):
        """Where to, and what of."""

        url = serializers.CharField(max_length=2000)
        events = serializers.ListField(child=serializers.CharField(max_length=32), max_length=50)
        name = serializers.CharField(max_length=100, allow_blank=True, default="")

    @extend_schema(operation_id="v1_webhooks_list", responses={200: None})
    def get(self, request: Request) -> Response:
        """Return them, without their secrets."""
        require_all(request)
        return Response({"webhooks": [shown(each) for each in endpoints.of(workspace_id(request))]})

    @extend_schema(request=Input, responses={201: None})
    def post(self, request: Request) -> Response:
        """Make one. The answer is the only place where its secret is ever readable."""
        require_all(request)
        asked = valid(self.Input, request)
        made, secret = endpoints.make(
            workspace_id(request),
            url=asked["url"],
            types=asked["events"],
            name=asked["name"],
            by=by_whom(request),
        )
        return Response({**shown(made), "secret": secret}, 201)


class WebhookView(APIView):
    """One webhook."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE, "PATCH": MANAGE, "DELETE": MANAGE}

    class Input(serializers.Serializer[object]):
        """Only what is there is changed."""

        events = serializers.ListField(
            child=serializers.ChoiceField(TYPES), max_length=50, required=False
        )
        enabled = serializers.BooleanField(required=False)

    @extend_schema(responses={200: None})
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Return it."""
        require_all(request)
        return Response(shown(endpoints.one(workspace_id(request), endpoint_id)))

    @extend_schema(request=Input, responses={200: None})
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change what it is told, or switch it on or off."""
        require_all(request)
        endpoints.one(workspace_id(request), endpoint_id)
        asked = valid(self.Input, request)
        found = endpoints.change(
            workspace_id(request),
            endpoint_id,
            by=by_whom(request),
            types=asked.get("events"),
            on=asked.get("enabled"),
        )
        return Response(shown(found))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        """Take it away."""
        require_all(request)
        endpoints.remove(workspace_id(request), endpoint_id, by=by_whom(request))
        return Response(status=204)


class WebhookRotateView(APIView):
    """Another secret."""

    scopes: ClassVar[dict[str, str]] = {"POST": MANAGE}

    @extend_schema(request=None, responses={201: None})
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Return it, for the only time; the old one signs for a day more."""
        require_all(request)
        found, secret = endpoints.rotate(workspace_id(request), endpoint_id, by=by_whom(request))
        return Response({**shown(found), "secret": secret}, 201)


class WebhookTestView(APIView):
    """A message that tells of nothing."""

    scopes: ClassVar[dict[str, str]] = {"POST": MANAGE}

    @extend_schema(request=None, responses={202: None})
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Have it sent."""
        require_all(request)
        made = endpoints.try_out(workspace_id(request), endpoint_id, by=by_whom(request))
        return Response(told(made), 202)


class DeliveriesView(APIView):
    """What was sent to a webhook."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE}

    @extend_schema(responses={200: None})
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Return it, newest first."""
        require_all(request)
        found = endpoints.sent(workspace_id(request), endpoint_id)
        return Response({"deliveries": [told(each) for each in found]})


class ResendView(APIView):
    """A message once more."""

    scopes: ClassVar[dict[str, str]] = {"POST": MANAGE}

    @extend_schema(request=None, responses={202: None})
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Have it sent again, under its own id."""
        require_all(request)
        found = endpoints.resend(workspace_id(request), delivery_id, by=by_whom(request))
        return Response(told(found), 202)


class RunsSecretView(APIView):
    """What signs messages to addresses that runs name."""

    scopes: ClassVar[dict[str, str]] = {"GET": MANAGE}

    @extend_schema(responses={200: None})
    def get(self, request: Request) -> Response:
        """Return it."""
        require_all(request)
        return Response({"secret": endpoints.secret_for_runs(workspace_id(request))})


def by_whom(request: Request) -> UUID:
    """Return whose credential it is."""
    user: Any = request.user
    return user.pk  # type: ignore[no-any-return]


def shown(one: Endpoint) -> dict[str, Any]:
    """Return a webhook as it is told."""
    return {
        "id": str(one.pk),
        "url": one.url,
        "name": one.name,
        "events": one.events,
        "enabled": one.off_at is None,
        "disabled_reason": one.off_reason or None,
        "failing_since": one.failing_since,
        "old_secret_until": one.old_secret_until,
        "created_at": one.created_at,
    }


def told(one: Delivery) -> dict[str, Any]:
    """Return a message as it is told."""
    return {
        "id": str(one.pk),
        "webhook_id": f"msg_{one.pk.hex}",
        "type": one.type,
        "state": one.state,
        "attempts": one.attempts,
        "last_status": one.last_status,
        "last_error": one.last_error or None,
        "next_try_at": one.next_try_at,
        "delivered_at": one.delivered_at,
        "created_at": one.created_at,
        "tries": one.tries,
        "body": one.body,
    }
