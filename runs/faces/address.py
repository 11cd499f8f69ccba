"""Addresses of a key, for scripts that can be given nothing but where their ComfyUI is.

    https://…/run/rt_<the key's id><32 digits of a signature>/prompt

Such an address is its key, and can do one thing of what that may: speak ComfyUI's own dialect, with
all that it has of the workspace's runs. It needs no row: it ends with the key (revoked, disabled,
expired, rotated), and has the key's limits. Nobody can make one who does not have the platform's
secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import Membership
from apikeys import keys
from common import rotating
from common.errors import AccessDisabled, Unauthorized

if TYPE_CHECKING:
    from apikeys.models import ApiKey

FORM: Final = re.compile(r"rt_([0-9a-f]{32})([0-9a-f]{32})")
SALT: Final = "runs.address"


def of(key: ApiKey) -> str:
    """Return the part of an address that stands for a key."""
    return f"rt_{key.pk.hex}{_signatures(key.pk.hex)[0]}"


def authenticate(token: str, *, address: str) -> ApiKey:
    """Return the living key of an address, with its user and their role; note that it was used.

    Raises Unauthorized, or AccessDisabled if it may not be used from where it is.
    """
    found = FORM.fullmatch(token)
    signed = _signatures(found[1]) if found else []
    if found is None or not any(constant_time_compare(found[2], each) for each in signed):
        raise Unauthorized("This is no address for runs. Check it for a typing error.")
    seats = Membership.objects.filter(
        workspace_id=OuterRef("workspace_id"), user_id=OuterRef("user_id")
    )
    known = keys.living().select_related("user", "workspace")
    known = known.annotate(role=Subquery(seats.values("role"))).filter(run_id=None)
    key = known.filter(pk=UUID(found[1])).first()
    if key is None:
        raise Unauthorized("The key of this address is expired or revoked.")
    if not keys.may_come_from(key, address):
        raise AccessDisabled(keys.ELSEWHERE)
    keys.used.note(str(key.pk))
    return key


def _signatures(key_id: str) -> list[str]:
    """Return it under each secret that is known, the one that makes new addresses first."""
    return [
        salted_hmac(SALT, key_id, secret=each, algorithm="sha256").hexdigest()[:32]
        for each in rotating.secret_keys()
    ]
