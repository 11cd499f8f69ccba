"""A new user, with a personal workspace and its wallet: all or nothing."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Membership, User, Workspace
from common.errors import InvalidRequest
from credits.books import ledger
from credits.gifts import grants
from credits.payments import customers

LONGEST = MaxLengthValidator(254)
"""As the field has it; `validate_email` takes a little more."""


def sign_up(*, email: str, password: str | None = None, name: str = "") -> User:
    """Make a user who owns a personal workspace with an empty wallet, in one transaction.

    Without a password the user cannot sign in with one. Raises InvalidRequest if the address is
    not one, or is taken.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
        LONGEST(email)
    except ValidationError as exc:
        raise InvalidRequest(f"{email!r} is not an e-mail address.") from exc
    user = User(email=email, name=name or email.partition("@")[0])
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            wallet = ledger.open_wallet(uuid.uuid4())
            customers.billing_of(wallet.pk, email=email)
            workspace = Workspace.objects.create(
                wallet=wallet, kind=Workspace.Kind.PERSONAL, name="Personal", personal_of=user
            )
            Membership.objects.create(workspace=workspace, user=user, role=Membership.Role.OWNER)
    except IntegrityError as exc:
        if User.objects.filter(email=email).exists():
            raise InvalidRequest(f"{email} has an account already.") from exc
        raise
    return user


def is_verified(user: User) -> bool:
    """Whether the user's address is known to be theirs."""
    return user.email_verified_at is not None


@transaction.atomic
def verify_email(user: User) -> None:
    """Note that the user's address is theirs; the first time, give the welcome credits."""
    known = User.objects.filter(pk=user.pk, email_verified_at=None)
    if known.update(email_verified_at=timezone.now()):
        user.refresh_from_db()
        grants.welcome(wallet=user.personal_workspace.wallet, email=user.email)
