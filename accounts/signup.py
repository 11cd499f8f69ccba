"""A new user, with a personal workspace and its wallet: all or nothing."""

from __future__ import annotations

import unicodedata
import uuid
from typing import TYPE_CHECKING, Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator, validate_email
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils.translation import get_language, gettext

from accounts.models import Membership, User, Workspace
from common.errors import InvalidRequest
from credits.books import ledger
from credits.gifts import grants
from credits.payments import customers

if TYPE_CHECKING:
    from django.http import HttpRequest

INVITED = "invitation"
"""The key of a session under which the address stands whose open invitation is being followed."""
LONGEST = MaxLengthValidator(254)
"""As the field has it; `validate_email` takes a little more."""


def sign_up(*, email: str, password: str | None = None, name: str = "") -> User:
    """Make a user who owns a personal workspace with an empty wallet, in one transaction.

    Without a password the user cannot sign in with one. Raises InvalidRequest if the address is
    not one, or is taken.
    """
    try:
        email = address(email)
    except ValidationError as exc:
        raise InvalidRequest(f"{email!r} is not an e-mail address.") from exc
    user = User(email=email, name=name or email.partition("@")[0], language=_language())
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


def _language() -> str:
    """Return the language of the page where somebody signs up, if it is not everybody's anyway."""
    shown = get_language() or ""
    return "" if shown == settings.LANGUAGE_CODE else shown


def address(text: str) -> str:
    """Return an e-mail address as it is kept; raise ValidationError if it is none.

    Of a sign that is younger than our own tables nobody here knows the small letter: the database
    may, and would refuse what we have made of it.
    """
    email = text.strip().lower()
    validate_email(email)
    LONGEST(email)
    if any(unicodedata.category(sign) == "Cn" for sign in email):
        raise ValidationError(gettext("This address has a sign that is not known here."))
    return email


def is_open(request: HttpRequest) -> bool:
    """Whether the form of signing up is there: for anybody, or for who follows an invitation.

    Which address may have an account is for `is_welcome`.
    """
    return settings.SIGN_UP != "invitation" or bool(request.session.get(INVITED))


def is_welcome(request: HttpRequest, email: str) -> bool:
    """Whether an address may have an account here: any, of a domain, or the one that is invited.

    One invitation makes no accounts for other addresses. Our own code alone writes it in a session.
    """
    email = email.strip().lower()
    if settings.SIGN_UP == "open" or request.session.get(INVITED) == email:
        return True
    return settings.SIGN_UP == "domains" and email.rpartition("@")[2] in settings.SIGN_UP_DOMAINS


def is_verified(user: User) -> bool:
    """Whether the user's address is known to be theirs: allauth's row says so, nothing else."""
    theirs = EmailAddress.objects.filter(user=user, email=user.email, verified=True)
    return bool(theirs.exists())


@transaction.atomic
def verify_email(user: User) -> None:
    """Note that the user's address is theirs, on the word of whoever calls; again: nothing.

    The welcome credits follow, once for each mailbox (`greet`). Raises InvalidRequest if the
    address was verified by somebody else.
    """
    address, _ = EmailAddress.objects.get_or_create(
        user=user, email=user.email, defaults={"primary": True}
    )
    if not address.set_verified():
        raise InvalidRequest(f"{user.email} is verified, and is somebody else's.")


@receiver(post_save, sender=EmailAddress, dispatch_uid="greet")
def greet(instance: EmailAddress, **_: Any) -> None:
    """Give the welcome credits when an address is known to be somebody's, however that came.

    Not on allauth's own signal of a confirmation: a social sign-up with an address that the other
    site has verified never sends it. The grant itself is given once for each mailbox.
    """
    if not instance.verified:
        return
    workspace = Workspace.objects.filter(personal_of=instance.user_id).first()
    if workspace is not None and not grants.was_welcomed(workspace.pk):
        grants.welcome(wallet=workspace.wallet, email=instance.email)
