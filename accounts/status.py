"""Who may act here at all: staff deactivate somebody, or let them act again, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit import log
from credits.books import reasons

if TYPE_CHECKING:
    from uuid import UUID


def deactivate(user: User, *, by: UUID, reason: str) -> bool:
    """Let a person and all their keys do nothing, from now on; False if that is so already.

    Their credits, purchases and history stay, and what runs for them is settled.
    """
    return _set(user, is_active=False, by=by, reason=reason)


def reactivate(user: User, *, by: UUID, reason: str) -> bool:
    """Let them act again, with the keys that were not ended one by one; False if they may."""
    return _set(user, is_active=True, by=by, reason=reason)


@transaction.atomic
def _set(user: User, *, is_active: bool, by: UUID, reason: str) -> bool:
    reason = reasons.given(reason, to="This")
    others = User.objects.filter(pk=user.pk).exclude(is_active=is_active)
    changed = others.update(
        is_active=is_active,
        status_changed_at=timezone.now(),
        status_changed_by=by,
        status_reason=reason,
    )
    if changed:
        log.note(
            "member.reactivated" if is_active else "member.deactivated",
            actor=by,
            subject=user.pk,
            before={"is_active": not is_active},
            after={"is_active": is_active},
            reason=reason,
        )
    return bool(changed)


@transaction.atomic
def appoint(user: User, *, by: UUID | None) -> bool:
    """Let a person act for the house; False if they may already. The first is nobody's to name."""
    changed = User.objects.filter(pk=user.pk, is_staff=False).update(is_staff=True)
    if changed:
        log.note(
            "member.made_staff",
            actor=by,
            subject=user.pk,
            before={"is_staff": False},
            after={"is_staff": True},
        )
        user.is_staff = True
    return bool(changed)
