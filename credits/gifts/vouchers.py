"""Codes that give credits: made by staff, shown once, stored as digests, redeemed by members."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext

from audit import log
from common import failpoints
from common.errors import AccessDisabled, InvalidRequest, NotFound, RateLimited
from common.money import Micros
from credits.books import ledger, reasons
from credits.gifts import grants
from credits.models import Voucher, VoucherTry, VoucherUse

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from credits.models import Entry

WAITING = Q(needs_second=True, approved_by=None, disabled_at=None)
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # Without what people confuse: I, O, 0, 1.
GROUPS, GROUP_LENGTH = 4, 5  # 100 bits: a plain hash is enough to store them.
TRIES_PER_HOUR = 10
MOST_USES, MOST_NAME = 1_000_000, 100
MOST_DAYS = 36_500
"""A day that no calendar has would be found only by who redeems the code."""


@transaction.atomic
def make(
    *,
    name: str,
    amount: Micros,
    uses: int = 1,
    redeem_until: datetime | None = None,
    credits_last_days: int | None = None,
    made_by: UUID | None = None,
    reason: str = "",
) -> tuple[str, Voucher]:
    """Make a voucher; the code is readable only here.

    One that could give more than the limit of adjustments waits for a second person (`approve`).
    Raises InvalidRequest for what could never be redeemed, or not be told from others.
    """
    if amount <= 0 or not 0 < uses <= MOST_USES:
        raise InvalidRequest(f"A voucher gives something, and has 1 to {MOST_USES:,} uses.")
    if redeem_until is not None and redeem_until <= timezone.now():
        raise InvalidRequest("The last day to redeem it is over.")
    if not 0 < len(name.strip()) <= MOST_NAME:
        raise InvalidRequest(f"A voucher needs a name of at most {MOST_NAME} characters.")
    if credits_last_days is not None and not 0 < credits_last_days <= MOST_DAYS:
        raise InvalidRequest(f"Credits last 1 to {MOST_DAYS} days, or without end.")
    code = "-".join(
        "".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS)
    )
    voucher = Voucher.objects.create(
        digest=_digest(code),
        hint=code[-GROUP_LENGTH:],
        name=name.strip(),
        amount_micros=amount,
        uses=uses,
        redeem_until=redeem_until,
        credits_last_days=credits_last_days,
        made_by=made_by,
        reason=reason if made_by is None else reasons.given(reason, to="A voucher"),
        needs_second=amount * uses > settings.ADJUSTMENT_LIMIT_MICROS,
    )
    log.note(
        "voucher.made",
        actor=made_by,
        target=voucher.pk,
        after={"amount_micros": amount, "uses": uses},
        reason=reason,
    )
    return code, voucher


@transaction.atomic
def approve(voucher_id: UUID, *, by: UUID) -> bool:
    """Let a voucher that waits be redeemed; False if it does not wait.

    Raises NotFound, and AccessDisabled if that is the person who made it.
    """
    waiting = Voucher.objects.filter(WAITING, pk=voucher_id)
    if waiting.exclude(made_by=by).update(approved_by=by):
        log.note("voucher.approved", actor=by, target=voucher_id)
        return True
    if waiting.exists():
        raise AccessDisabled("It could give more than the limit: a second person must approve it.")
    _known(voucher_id)
    return False


@transaction.atomic
def stop(voucher_id: UUID, *, by: UUID, reason: str) -> bool:
    """Let nobody redeem it any more; False if that is so already. What was given stays given."""
    note = {"disabled_by": by, "disabled_reason": reasons.given(reason, to="This")}
    running = Voucher.objects.filter(pk=voucher_id, disabled_at=None)
    if running.update(disabled_at=timezone.now(), **note):
        log.note(
            "voucher.stopped", actor=by, target=voucher_id, reason=str(note["disabled_reason"])
        )
        return True
    _known(voucher_id)
    return False


def _known(voucher_id: UUID) -> None:
    if not Voucher.objects.filter(pk=voucher_id).exists():
        raise NotFound("There is no such voucher.")


def told(voucher: Voucher) -> str:
    """Return whether a voucher may be redeemed, or why not, in a word or two."""
    if voucher.disabled_at:
        return "stopped"
    if voucher.needs_second and not voucher.approved_by:
        return "waiting"
    if voucher.used >= voucher.uses:
        return "used up"
    over = voucher.redeem_until is not None and voucher.redeem_until <= timezone.now()
    return "over" if over else "running"


def redeem(wallet_id: UUID, code: str) -> Entry:
    """Give a workspace the credits of a code, once; a second time gives the same entry.

    Raises InvalidRequest if there is nothing to redeem (without saying whether such a code ever
    was), RateLimited after too many codes that did not fit.
    """
    tried = _try(wallet_id)
    voucher = Voucher.objects.filter(digest=_digest(code)).first()
    entry = _use(wallet_id, voucher) if voucher else None
    if entry is None:
        raise InvalidRequest(gettext("code: this code is not known, was used up, or is too old."))
    tried.delete()
    return entry


def _try(wallet_id: UUID) -> VoucherTry:
    """Note a try before it is made, so that many at once are not more than they may be."""
    tried = VoucherTry.objects.create(wallet_id=wallet_id)
    hour = timezone.now() - timedelta(hours=1)
    tries = VoucherTry.objects.filter(wallet_id=wallet_id, created_at__gt=hour).count()
    if tries > TRIES_PER_HOUR:
        tried.delete()  # It was not made.
        raise RateLimited(
            gettext("Too many codes that did not fit. Try again in an hour."),
            headers={"Retry-After": "3600"},
        )
    return tried


@transaction.atomic
def _use(wallet_id: UUID, voucher: Voucher) -> Entry | None:
    wallet = ledger.lock(wallet_id)
    before = VoucherUse.objects.filter(voucher=voucher, wallet=wallet).first()
    if before is not None:
        return before.entry
    now = timezone.now()
    taken = Voucher.objects.filter(
        Q(redeem_until__isnull=True) | Q(redeem_until__gt=now),
        Q(needs_second=False) | Q(approved_by__isnull=False),
        pk=voucher.pk,
        disabled_at=None,
        used__lt=F("uses"),
    ).update(used=F("used") + 1)
    if not taken:
        return None
    failpoints.reached("voucher.counted")
    days = voucher.credits_last_days
    entry = grants.grant(
        wallet=wallet,
        amount=Micros(voucher.amount_micros),
        key=f"voucher:{voucher.pk}:{wallet.pk}",
        reason=f"Voucher {voucher.name}",
        expires_at=now + timedelta(days=days) if days else None,
    )
    VoucherUse.objects.create(voucher=voucher, wallet=wallet, entry=entry)
    failpoints.reached("voucher.before_commit")
    return entry


def _digest(code: str) -> bytes:
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(plain.encode()).digest()
