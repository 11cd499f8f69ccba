"""Links in mails: each is for one wish and one purpose, and says itself that it is ours.

To confirm, one shows the link that only the mail had. The status page's link is another, so who
sees the one cannot do the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils.translation import gettext_lazy

from common.errors import NotFound

if TYPE_CHECKING:
    from privacy.models import Deletion

CONFIRM: Final = "privacy.confirm"
STATUS: Final = "privacy.status"
GONE: Final = gettext_lazy("This link is not one of ours, or its time is over.")


def token(deletion_id: UUID, purpose: str) -> str:
    """Return what a link for that purpose ends in."""
    return signing.Signer(salt=purpose).sign(deletion_id.hex).replace(":", ".")


def read(text: str, purpose: str) -> UUID:
    """Return for whose wish a link is; raise NotFound for any other text."""
    try:
        name = signing.Signer(salt=purpose).unsign(text.replace(".", ":", 1))
        return UUID(name)
    except (signing.BadSignature, ValueError):
        raise NotFound(GONE) from None


def address(deletion: Deletion, purpose: str, *, base_url: str) -> str:
    """Return the whole address of a link."""
    name = "deletion_confirm" if purpose == CONFIRM else "deletion_status"
    path = reverse(name, args=[token(deletion.pk, purpose)])
    return f"{settings.PUBLIC_URL or base_url}{path}"
