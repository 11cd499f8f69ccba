"""Who leaves for good: signed out when they confirm it, shut out when it is done.

Of who is shut out each key, token and session does nothing: what asks for one looks whether its
person is active, in the same statement. What is known of them is found by `gather`, before it is
erased (personal.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from accounts import signins
from accounts.models import Membership, User
from audit import log
from common.personal import Person
from credits import leaving as money

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

WHY = "asked to be deleted"


@transaction.atomic
def shut(user_id: UUID) -> bool:
    """Let somebody with all keys and programs do nothing any more; False if that was so already."""
    active = User.objects.filter(pk=user_id, is_active=True)
    changed = active.update(
        is_active=False,
        status_changed_at=timezone.now(),
        status_changed_by=user_id,
        status_reason=WHY,
    )
    end_sessions(user_id)
    return bool(changed)


def end_sessions(user_id: UUID) -> None:
    """End all that somebody is signed in by, in browsers and in programs."""
    signins.end_all(user_id, why=WHY, by=user_id)
    known = UserSession.objects.filter(user_id=user_id)
    Session.objects.filter(session_key__in=known.values("session_key")).delete()
    known.delete()


def gather(user: User) -> Person:
    """Return all that is needed to find what is known of somebody."""
    here = Membership.objects.filter(user=user)
    alone, others = _workspaces(user)
    told = EmailAddress.objects.filter(user=user).values_list("email", flat=True)
    more = {each.lower() for each in told} - {user.email}
    past = set(user.api_keys.values_list("workspace_id", flat=True))
    past |= set(user.sign_ins.values_list("workspace_id", flat=True))
    past |= set(here.values_list("workspace_id", flat=True))
    return Person(
        id=user.pk,
        name=user.name,
        emails=(user.email, *sorted(more)),
        workspaces=alone,
        others=tuple(sorted({*past, *others} - {*alone})),
        customers=money.customers_of(alone),
        language=user.language,
    )


def forget_at_provider(user: User) -> int:
    """Have the payment provider forget somebody who stays; return how many customers it had.

    Raises InvalidRequest while money is on its way, and PaymentsUnavailable.
    """
    gone = money.forget_customers(gather(user))
    log.note("stripe-data.deleted", subject=user.pk, target=user.pk, after=gone)
    return gone["customers"]


def teams_in_the_way(user_id: UUID) -> list[str]:
    """Return the names of teams that others belong to and this person owns."""
    owned = _owned(user_id).filter(people__gt=1)
    return list(owned.order_by("workspace__name").values_list("workspace__name", flat=True))


def _owned(user_id: UUID) -> QuerySet[Any]:
    mine: QuerySet[Any] = Membership.objects.filter(user_id=user_id, role=Membership.Role.OWNER)
    counted: QuerySet[Any] = mine.annotate(people=Count("workspace__memberships"))
    return counted


def _workspaces(user: User) -> tuple[tuple[UUID, ...], tuple[UUID, ...]]:
    """Return those that are theirs alone, and those where others are, too."""
    alone = set(_owned(user.pk).filter(people=1).values_list("workspace_id", flat=True))
    if (own := getattr(user, "personal_workspace", None)) is not None:
        alone.add(own.pk)
    every = Membership.objects.filter(user=user).exclude(Q(workspace_id__in=alone))
    return tuple(sorted(alone)), tuple(sorted(every.values_list("workspace_id", flat=True)))
