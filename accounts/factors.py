"""Second factors: their secrets are sealed in the database, and passkeys belong to one address.

A secret is sealed by a key that is derived from a pepper (KEY_PEPPERS), whose version stands before
it. `reseal` moves what an older pepper sealed to the newest, so that the older one can go.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import qrcode
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import transaction
from qrcode.image.svg import SvgPathFillImage

from common import sealing

if TYPE_CHECKING:
    from collections.abc import Iterator

PURPOSE: Final = b"secrets of second factors"
SEALED = ("secret", "seed")
"""The names under which allauth keeps what it gives to `encrypt`."""


class FactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # It has no types.
    """What allauth asks about second factors."""

    error_messages = {
        **DefaultMFAAdapter.error_messages,
        "incorrect_code": "This is not the code that the app shows now.",
    }

    def generate_authenticator_name(self, user: Any, type: str) -> str:  # noqa: A002 - allauth's
        """Return what a new passkey is called until its owner says it better."""
        others = Authenticator.objects.filter(user=user, type=type).count()
        return f"Passkey {others + 1}" if others else "Passkey"

    def build_totp_svg(self, url: str) -> str:
        """Return the picture that apps scan, on white whatever the page's theme is."""
        picture = io.BytesIO()
        qrcode.make(url, image_factory=SvgPathFillImage).save(picture)
        return picture.getvalue().decode()

    def encrypt(self, text: str) -> str:
        """Return a secret as it is stored: `version:box`."""
        return seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Return a secret as it was."""
        return unseal(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return to which site a passkey belongs: ours, whatever Host a request names."""
        host = urlsplit(settings.PUBLIC_URL).hostname or context.request.get_host().split(":")[0]
        return {"id": host, "name": settings.PLATFORM_NAME}


def seal(text: str) -> str:
    """Return a text in a box that the newest pepper opens."""
    return sealing.seal(text, purpose=PURPOSE)


def unseal(sealed: str) -> str:
    """Return what is in a box; raises if its pepper is gone, or if it was changed."""
    return sealing.unseal(sealed, purpose=PURPOSE)


def reseal() -> int:
    """Have every secret sealed by the newest pepper; return how many were not."""
    newest = sealing.newest()
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES)
    changed = 0
    for pk in list(Authenticator.objects.filter(type__in=kinds).values_list("pk", flat=True)):
        with transaction.atomic():
            found = Authenticator.objects.select_for_update().filter(pk=pk).first()
            old = list(_sealed_by_others(found.data, newest)) if found else []
            if found and old:
                found.data |= {name: seal(unseal(found.data[name])) for name in old}
                found.save(update_fields=["data"])
                changed += 1
    return changed


def _sealed_by_others(data: dict[str, Any], newest: str) -> Iterator[str]:
    for name in SEALED:
        if name in data and not data[name].startswith(newest):
            yield name
