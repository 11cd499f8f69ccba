"""What the operator's own programs ask of a key (contract 4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys import keys
from common.errors import AccessDisabled, NotFound, Unauthorized
from common.operators import HasAdminSecret

if TYPE_CHECKING:
    from rest_framework.request import Request


class VerifyView(APIView):
    """Whose a key is, for the operator's own programs (contract 4.9)."""

    authentication_classes = ()
    permission_classes = (HasAdminSecret,)

    class Input(serializers.Serializer[object]):
        """The whole key."""

        api_key = serializers.CharField(max_length=200)

    class Output(serializers.Serializer[object]):
        """`firebase_uid` is the contract's name; the value is the customer's id."""

        valid = serializers.BooleanField()
        firebase_uid = serializers.CharField()
        email = serializers.CharField()
        name = serializers.CharField()
        is_admin = serializers.BooleanField()

    @extend_schema(request=Input, responses=Output)
    def post(self, request: Request) -> Response:
        """Return whose it is: 404 for a key that is unknown or ended, 403 for one that may nothing.

        From where it is used is not known here, so its networks are not looked at.
        """
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            key = keys.living_of(asked.validated_data["api_key"].strip())
        except Unauthorized as exc:
            raise NotFound(str(exc)) from exc
        if "proxy" not in key.scopes:
            raise AccessDisabled("This key may not call nodes (scope proxy).")
        user = key.user
        return Response(
            {
                "valid": True,
                "firebase_uid": str(user.pk),
                "email": user.email,
                "name": user.name,
                "is_admin": user.is_staff,
            }
        )
