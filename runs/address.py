"""Addresses of a key, for scripts that can be given nothing but where their ComfyUI is.

    https://…/run/rt_<the address's id><32 digits of a signature>/prompt

Such an address is its key, and can do one thing of what that may: speak ComfyUI's own dialect, with
all that it has of the workspace's runs. It is a row, so it can be ended alone; it ends with its key
(revoked, disabled, expired, rotated), and has the key's limits. It may have narrower terms of its
own: what a run may cost that comes by it, and until when it holds. Nobody can make one who does not
have the platform's secret, and no row tells one.

    living --> ended (its owner, an owner of its workspace, staff), or over: for good

What was handed over by one that is ended meanwhile has the fate of a revoked key's: what waits is
not begun, and what works goes on.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext

from accounts.models import Membership
from apikeys import keys
from apikeys.models import ApiKey
from audit import log
from common import rotating
from common.errors import AccessDisabled, InvalidRequest, NotFound, Unauthorized
from common.money import Micros
from runs.models import Address

if TYPE_CHECKING:
    from collections.abc import Collection

FORM: Final = re.compile(r"rt_([0-9a-f]{32})([0-9a-f]{32})")
"""The address's id, and the signature."""
SALT: Final = "runs.address"
MOST_SECONDS: Final = 366 * 86_400
MOST_LIVING: Final = 100
"""Of one key."""
KEPT_DAYS: Final = 90
"""So long a row tells of an address that is over."""
BATCH: Final = 500


def of(key: ApiKey, *, most: Micros | None = None, seconds: int | None = None) -> str:
    """Return the part of an address that stands for a key, as `make` makes it."""
    return token(make(key, most=most, seconds=seconds))


@transaction.atomic
def make(key: ApiKey, *, most: Micros | None = None, seconds: int | None = None) -> Address:
    """Make an address of a key, with narrower terms if some are said; else it is the same again.

    Raises InvalidRequest where the key has as many as one may have.
    """
    ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)  # So nobody counts beside us.
    of_key = living().filter(key_id=key.pk)
    if most is None and seconds is None:
        plain = of_key.filter(max_micros=None, expires_at=None).first()
        if plain is not None:
            return plain
    if of_key.count() >= MOST_LIVING:
        raise InvalidRequest(
            gettext("This key has %(most)s addresses. End one of them first.")
            % {"most": MOST_LIVING}
        )
    made = Address.objects.create(
        workspace_id=key.workspace_id,
        user_id=key.user_id,
        key_id=key.pk,
        max_micros=most,
        expires_at=timezone.now() + timedelta(seconds=seconds) if seconds is not None else None,
    )
    log.note(
        "run-address.made",
        actor=key.user_id,
        workspace=key.workspace_id,
        target=made.pk,
        after={"key": str(key.pk), "max_micros": most, "seconds": seconds},
    )
    return made


def token(made: Address) -> str:
    """Return what an address is shown as: whoever has it has the address."""
    return f"rt_{made.pk.hex}{_signatures(made.pk.hex)[0]}"


def living() -> QuerySet[Address]:
    """Return the addresses that were not ended and are not over; perhaps their keys are."""
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Address.objects.filter(in_time, ended_at=None)


def of_keys(workspace_id: UUID, key_ids: Collection[UUID]) -> QuerySet[Address]:
    """Return the living addresses of some keys of a workspace, the newest first."""
    found = living().filter(workspace_id=workspace_id, key_id__in=key_ids)
    return found.order_by("-created_at", "-pk")


@transaction.atomic
def end(address: Address, *, by: UUID, reason: str = "") -> bool:
    """End an address for good; False where it was over or ended before."""
    now = timezone.now()
    if not living().filter(pk=address.pk).update(ended_at=now, ended_by=by):
        return False
    log.note(
        "run-address.ended",
        actor=by,
        subject=address.user_id if by != address.user_id else None,
        workspace=address.workspace_id,
        target=address.pk,
        reason=reason,
    )
    return True


def one(workspace_id: UUID, key_ids: Collection[UUID], address_id: UUID) -> Address:
    """Return a living address of one of these keys, or raise NotFound."""
    found = of_keys(workspace_id, key_ids).filter(pk=address_id).first()
    if found is None:
        raise NotFound(gettext("There is no such address, or it has ended."))
    return found


def authenticate(shown: str, *, address: str) -> ApiKey:
    """Return the living key of an address, with its user and their role; note that it was used.

    Which address that is, is the key's `address_id`; what a run by it may cost, `address_micros`.
    Raises Unauthorized, or AccessDisabled if it may not be used from where it is.
    """
    found = FORM.fullmatch(shown)
    signed = _signatures(found[1]) if found else []
    if found is None or not any(constant_time_compare(found[2], each) for each in signed):
        raise Unauthorized("This is no address for runs. Check it for a typing error.")
    row = living().filter(pk=UUID(found[1])).first()
    if row is None:
        raise Unauthorized("This address was ended, or its time is over. Make another one.")
    seats = Membership.objects.filter(
        workspace_id=OuterRef("workspace_id"), user_id=OuterRef("user_id")
    )
    known = keys.living().select_related("user", "workspace")
    known = known.annotate(role=Subquery(seats.values("role"))).filter(run_id=None)
    key = known.filter(pk=row.key_id).first()
    if key is None:
        raise Unauthorized("The key of this address is expired or revoked.")
    if not keys.may_come_from(key, address):
        raise AccessDisabled(keys.ELSEWHERE)
    keys.used.note(str(key.pk))
    key.address_id = row.pk  # type: ignore[attr-defined]
    key.address_micros = row.max_micros  # type: ignore[attr-defined]
    return key


def is_living(key: ApiKey) -> bool:
    """Whether a key that was shown is one still, and so is the address that it was shown by."""
    by = getattr(key, "address_id", None)
    if by is not None and not living().filter(pk=by).exists():
        return False
    return keys.living().filter(pk=key.pk).exists()


def was_ended(address_id: UUID) -> bool:
    """Whether somebody ended an address: who does so now waits for the transaction that asks.

    One that is over by its own time was good when a run came by it.
    """
    row = Address.objects.select_for_update(no_key=True).filter(pk=address_id).first()
    return row is None or row.ended_at is not None


def forget() -> int:
    """Delete rows of addresses that are over for long; return how many."""
    before = timezone.now() - timedelta(days=KEPT_DAYS)
    over = Address.objects.filter(Q(ended_at__lt=before) | Q(expires_at__lt=before))
    some = over.order_by("created_at").values_list("pk", flat=True)[:BATCH]
    return Address.objects.filter(pk__in=list(some)).delete()[0]


def _signatures(signed: str) -> list[str]:
    """Return it under each secret that is known, the one that makes new addresses first."""
    return [
        salted_hmac(SALT, signed, secret=each, algorithm="sha256").hexdigest()[:32]
        for each in rotating.secret_keys()
    ]
