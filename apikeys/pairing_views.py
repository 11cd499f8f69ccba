"""What a machine asks that wants a key of its own: by https, without a credential."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import origins
from apikeys import pairing
from apikeys.models import Pairing
from common.drf import base_url
from common.errors import InvalidRequest

if TYPE_CHECKING:
    from uuid import UUID

    from rest_framework.request import Request

SECRET = "X-Pairing-Secret"  # noqa: S105 - a header's name
DIGEST_BYTES = KEY_BYTES = 32


class FromMachines(APIView):
    """Who asks has no credential, and is counted by address (pairing.py)."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse plain http: what is said here lets whoever hears it act as the machine."""
        super().initial(request, *args, **kwargs)
        own = origins.read(f"{request.scheme}://{request.get_host()}")
        if own is None or not own.is_secure:
            raise InvalidRequest("Machines are paired by https alone. Use our https address.")


class PairingsView(FromMachines):
    """Where it begins."""

    class Input(serializers.Serializer[object]):
        """A fresh public key, and the digest of a secret that the machine shows later."""

        machine = serializers.CharField(max_length=200, default="", allow_blank=True)
        public_key = serializers.CharField(max_length=64, help_text="X25519, in base64")
        secret_digest = serializers.CharField(max_length=64, help_text="SHA-256, in hex")

    class Output(serializers.Serializer[object]):
        """What the machine shows, and where somebody types it."""

        id = serializers.UUIDField()
        code = serializers.CharField()
        pair_url = serializers.URLField()
        expires_at = serializers.DateTimeField()

    @extend_schema(request=Input, responses={201: Output})
    def post(self, request: Request) -> Response:
        """Have the machine wait; only this answer ever holds the code."""
        asked = self.Input(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        begun = pairing.begin(
            machine=given["machine"],
            public_key=_key(given["public_key"]),
            secret_digest=_digest(given["secret_digest"]),
            address=request.META.get("REMOTE_ADDR", ""),
        )
        said = {
            "id": str(begun.pairing.pk),
            "code": begun.code,
            "pair_url": f"{base_url(request)}/pair",
            "expires_at": begun.pairing.expires_at,
        }
        return Response(said, 201)


class PairingView(FromMachines):
    """One pairing, to the machine that shows its secret."""

    class Output(serializers.Serializer[object]):
        """How it stands; `box` is there between approval and taking."""

        state = serializers.ChoiceField([*Pairing.State.values, "expired"])
        expires_at = serializers.DateTimeField()
        account = serializers.CharField(allow_null=True, help_text="Whose, as its owner knows it")
        box = serializers.CharField(allow_null=True, help_text="The sealed key, in base64")

    @extend_schema(responses=Output)
    def get(self, request: Request, pairing_id: UUID) -> Response:
        """Return how it stands."""
        row = _asked(request, pairing_id)
        state = pairing.told(row)
        is_there = state == Pairing.State.APPROVED and row.box is not None
        return Response(
            {
                "state": state,
                "expires_at": row.expires_at,
                "account": pairing.masked(row.found_by.email) if row.found_by else None,
                "box": base64.b64encode(bytes(row.box)).decode() if is_there else None,  # type: ignore[arg-type]
            }
        )

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pairing_id: UUID) -> Response:
        """End it: the machine wants no key, or not that one, which is revoked."""
        pairing.give_up(_asked(request, pairing_id))
        return Response(status=204)


class TakenView(FromMachines):
    """That the machine has its key."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, pairing_id: UUID) -> Response:
        """Forget the box."""
        pairing.take(_asked(request, pairing_id))
        return Response(status=204)


def _asked(request: Request, pairing_id: UUID) -> Pairing:
    return pairing.asked_by(
        pairing_id,
        request.headers.get(SECRET, ""),
        address=request.META.get("REMOTE_ADDR", ""),
    )


def _key(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != KEY_BYTES:
        raise InvalidRequest("public_key: 32 bytes of X25519, in base64.")
    return found


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != DIGEST_BYTES:
        raise InvalidRequest("secret_digest: the SHA-256 of the secret, in hex.")
    return found
