"""What nobody comes back to is taken away: accounts never verified, sessions, refused origins.

So an address that a stranger signed up with is free again for its owner.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, ProtectedError
from django.utils import timezone

from accounts.models import Membership, RefusedOrigin, User, Workspace
from common.personal import delete_in_steps
from credits.payments import customers

if TYPE_CHECKING:
    from uuid import UUID

MOST_AT_ONCE = 1000
REFUSED_FOR_DAYS = 30


def sweep() -> int:
    """Take them away, in bounded steps; return how many people were."""
    delete_in_steps(Session.objects.filter(expire_date__lt=timezone.now()))
    long_ago = timezone.now() - timedelta(days=REFUSED_FOR_DAYS)
    delete_in_steps(RefusedOrigin.objects.filter(last_at__lt=long_ago))
    live = Session.objects.filter(session_key=OuterRef("session_key"))
    delete_in_steps(UserSession.objects.filter(~Exists(live)))
    return sum(_forget(pk) for pk in _never_verified())


def _never_verified() -> list[UUID]:
    old = timezone.now() - timedelta(days=settings.SIGN_UP_FORGOTTEN_DAYS)
    addresses = EmailAddress.objects.filter(user=OuterRef("pk"))
    found = User.objects.filter(
        Exists(addresses.filter(verified=False)),
        ~Exists(addresses.filter(verified=True)),
        is_staff=False,
        last_login=None,
        status_changed_at=None,
        created_at__lt=old,
        updated_at__lt=old,  # Who tries to sign in is about to verify.
    )
    return list(found.values_list("pk", flat=True)[:MOST_AT_ONCE])


def _forget(user_id: UUID) -> bool:
    """Take one away, if nothing of theirs is anywhere; False if something is.

    Of the books nothing is ever taken away: the wallet stays, empty, and names nobody.
    """
    try:
        with transaction.atomic():
            user = User.objects.select_for_update(skip_locked=True).filter(pk=user_id).first()
            if user is None:
                return False
            wallet = Workspace.objects.get(personal_of=user).pk
            Membership.objects.filter(user=user).delete()
            Workspace.objects.filter(pk=wallet).delete()
            customers.forget(wallet)
            user.delete()
    except (ProtectedError, IntegrityError, Workspace.DoesNotExist):
        return False
    return True
