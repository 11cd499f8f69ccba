"""Addresses of a key, for scripts that can be given nothing but where their ComfyUI is.

    https://…/run/rt_<the key's id><terms, if it has some><32 digits of a signature>/prompt

Such an address is its key, and can do one thing of what that may: speak ComfyUI's own dialect, with
all that it has of the workspace's runs. It needs no row: it ends with the key (revoked, disabled,
expired, rotated), and has the key's limits. It may have narrower terms of its own, which stand in
it and are signed with it: what a run may cost that comes by it, and until when it holds. Nobody can
make one who does not have the platform's secret.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db.models import OuterRef, Subquery
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import Membership
from apikeys import keys
from common import rotating
from common.errors import AccessDisabled, Unauthorized
from common.money import Micros

if TYPE_CHECKING:
    from apikeys.models import ApiKey

FORM: Final = re.compile(r"rt_(([0-9a-f]{32})(?:([0-9a-f]{12})([0-9a-f]{8}))?)([0-9a-f]{32})")
"""The key, micros of a maximum (0: none), seconds of an end (0: the key's), the signature."""
SALT: Final = "runs.address"
MOST_SECONDS: Final = 366 * 86_400


def of(key: ApiKey, *, most: Micros | None = None, seconds: int | None = None) -> str:
    """Return the part of an address that stands for a key, with narrower terms if some are said."""
    signed = key.pk.hex
    if most is not None or seconds is not None:
        until = int(time.time()) + seconds if seconds is not None else 0
        signed = f"{signed}{most or 0:012x}{until:08x}"
    return f"rt_{signed}{_signatures(signed)[0]}"


def authenticate(token: str, *, address: str) -> ApiKey:
    """Return the living key of an address, with its user and their role; note that it was used.

    What a run by it may cost is the key's `address_micros`, its end the key's `address_until`.
    Raises Unauthorized, or AccessDisabled if it may not be used from where it is.
    """
    found = FORM.fullmatch(token)
    signed = _signatures(found[1]) if found else []
    if found is None or not any(constant_time_compare(found[5], each) for each in signed):
        raise Unauthorized("This is no address for runs. Check it for a typing error.")
    most, until = int(found[3] or "0", 16), int(found[4] or "0", 16)
    if _is_over(until):
        raise Unauthorized("The time of this address is over. Make another one.")
    seats = Membership.objects.filter(
        workspace_id=OuterRef("workspace_id"), user_id=OuterRef("user_id")
    )
    known = keys.living().select_related("user", "workspace")
    known = known.annotate(role=Subquery(seats.values("role"))).filter(run_id=None)
    key = known.filter(pk=UUID(found[2])).first()
    if key is None:
        raise Unauthorized("The key of this address is expired or revoked.")
    if not keys.may_come_from(key, address):
        raise AccessDisabled(keys.ELSEWHERE)
    keys.used.note(str(key.pk))
    key.address_micros = Micros(most) if most else None  # type: ignore[attr-defined]
    key.address_until = until  # type: ignore[attr-defined]
    return key


def is_living(key: ApiKey) -> bool:
    """Whether a key that was shown is one still, and so is the address that it was shown by."""
    until = getattr(key, "address_until", 0)
    return not _is_over(until) and keys.living().filter(pk=key.pk).exists()


def _is_over(until: int) -> bool:
    return bool(until) and until <= time.time()


def _signatures(signed: str) -> list[str]:
    """Return it under each secret that is known, the one that makes new addresses first."""
    return [
        salted_hmac(SALT, signed, secret=each, algorithm="sha256").hexdigest()[:32]
        for each in rotating.secret_keys()
    ]
