"""Who the credential speaks for (contract 4.1, 4.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import support
from common.drf import STAFF, workspace_id
from credits.books import wallets

if TYPE_CHECKING:
    from rest_framework.request import Request


class Customer(serializers.Serializer[object]):
    """The contract's Customer; the frontend cannot sign in without `id`."""

    id = serializers.CharField()
    email = serializers.CharField()
    name = serializers.CharField()
    createdAt = serializers.DateTimeField()  # noqa: N815 - the contract's name
    updatedAt = serializers.DateTimeField()  # noqa: N815
    is_admin = serializers.BooleanField()
    has_fund = serializers.BooleanField()


class CustomersView(APIView):
    """Signing in with a key: validate it, and say whose it is."""

    scopes: ClassVar[dict[str, str]] = {"POST": "usage:read", "GET": STAFF}

    @extend_schema(request=None, responses=Customer)
    def post(self, request: Request) -> Response:
        """Return the customer, always 200: the account exists whenever the key does.

        Any other answer makes the frontend throw the key away (contract 4.1), so the body is not
        looked at, and nothing but the database is asked.
        """
        return Response(customer(request))

    @extend_schema(parameters=[support.Search], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return the members that staff look for."""
        return Response(support.search(request))


class MeView(APIView):
    """One's own profile."""

    scopes: ClassVar[dict[str, str]] = {"GET": "usage:read"}

    @extend_schema(responses=Customer)
    def get(self, request: Request) -> Response:
        """Return the customer."""
        return Response(customer(request))


def customer(request: Request) -> dict[str, Any]:
    """Return the wire's form of the request's user."""
    user: Any = request.user
    return {
        "id": str(user.id),
        "email": user.email,
        "name": user.name,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
        "is_admin": user.is_staff,
        "has_fund": wallets.balance(workspace_id(request)).available > 0,
    }
