"""Members, as staff who help them and the operator's programs see them (contract 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import Q
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import leaving
from accounts.models import User
from common.drf import STAFF
from common.errors import NotFound
from common.operators import HasAdminSecret
from credits.payments.views import balance_in_cents

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request


class Search(serializers.Serializer[object]):
    """Query parameters of a search."""

    email = serializers.CharField(max_length=254, default="", allow_blank=True)
    name = serializers.CharField(max_length=100, default="", allow_blank=True)
    page = serializers.IntegerField(min_value=1, max_value=10**6, default=1)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=10)


def search(request: Request) -> dict[str, Any]:
    """Return one page of members whose address and name hold what was asked for."""
    asked = Search(data=request.query_params)
    asked.is_valid(raise_exception=True)
    given = asked.validated_data
    found = User.objects.filter(
        Q(email__icontains=given["email"]) & Q(name__icontains=given["name"])
    ).order_by("-created_at", "id")
    begin = (given["page"] - 1) * given["limit"]
    total = found.count()
    return {
        "page": given["page"],
        "limit": given["limit"],
        "total": total,
        "totalPages": -(-total // given["limit"]),
        "customers": [described(user) for user in found[begin : begin + given["limit"]]],
    }


class CustomerView(APIView):
    """One member."""

    scopes: ClassVar[dict[str, str]] = {"GET": STAFF}

    @extend_schema(operation_id="customer", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, user_id: UUID) -> Response:
        """Return who it is."""
        return Response({"customer": described(_member(user_id))})


class CustomerBalanceView(APIView):
    """A member's own balance."""

    scopes: ClassVar[dict[str, str]] = {"GET": STAFF}

    @extend_schema(operation_id="customer_balance", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, user_id: UUID) -> Response:
        """Return that of their personal workspace, in the contract's form."""
        return Response(balance_in_cents(personal_workspace(user_id)))


class AdminBalanceView(CustomerBalanceView):
    """The same for the operator's programs, which show their secret."""

    authentication_classes = ()
    permission_classes = (HasAdminSecret,)

    @extend_schema(operation_id="admin_customer_balance", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, user_id: UUID) -> Response:
        """Return that of their personal workspace."""
        return super().get(request, user_id)


class AdminSubscriptionView(APIView):
    """Whether a member subscribes: nobody does here, so the want of it is no want of funds."""

    authentication_classes = ()
    permission_classes = (HasAdminSecret,)

    @extend_schema(operation_id="admin_subscription", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, user_id: UUID) -> Response:
        """Return that, of a member who is there."""
        _member(user_id)
        return Response({"is_active": False, "has_fund": True})


class StripeDataView(APIView):
    """What the payment provider knows of a member."""

    authentication_classes = ()
    permission_classes = (HasAdminSecret,)

    class Output(serializers.Serializer[object]):
        """What was done."""

        message = serializers.CharField()

    @extend_schema(operation_id="delete_stripe_data", responses=Output)
    def delete(self, request: Request, user_id: UUID) -> Response:
        """Have it deleted there, with saved cards; 400 while money is on its way.

        The member stays, and so do the books: all of somebody is forgotten by a deletion.
        """
        gone = leaving.forget_at_provider(_member(user_id))
        return Response({"message": f"Customers deleted: {gone}."})


def personal_workspace(user_id: UUID) -> UUID:
    """Return the id of a member's own workspace, or raise NotFound."""
    found: UUID = _member(user_id).personal_workspace.pk
    return found


def _member(user_id: UUID) -> User:
    people = User.objects.select_related("personal_workspace")
    found = people.filter(pk=user_id, personal_workspace__isnull=False).first()
    if found is None:
        raise NotFound("There is no such member.")
    return found


def described(user: User) -> dict[str, Any]:
    """Return the contract's Customer, of whom we only know who they are."""
    return {
        "id": str(user.pk),
        "email": user.email,
        "name": user.name,
        "createdAt": user.created_at,
        "updatedAt": user.updated_at,
        "is_admin": user.is_staff,
    }
