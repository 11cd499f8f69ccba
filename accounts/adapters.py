"""What allauth asks us: who may sign up and in, how a person is made, how mails leave.

allauth calls Django's own `login` in one place, `AccountAdapter.login`; nothing else of ours or of
its signs a person in.
"""

from __future__ import annotations

import copy
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.signup import prevent_enumeration
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.expressions import DatabaseDefault
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy

from accounts import doors, signup
from accounts.models import User
from audit import log
from common.drf import base_url
from common.errors import InvalidRequest, OriginNotAllowed
from outbox import mails

if TYPE_CHECKING:
    from collections.abc import Iterable

    from allauth.socialaccount.models import SocialLogin
    from allauth.usersessions.models import UserSession
    from django.db.models import Model
    from django.forms import BaseForm
    from django.http import HttpRequest, HttpResponse

TYPED = "new_password"
"""Under what name a request has the password that was typed for a new account."""


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # It has no types.
    """What allauth asks about accounts and mails."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "email_password_mismatch": gettext_lazy("Mail and password do not belong together."),
        "too_many_login_attempts": gettext_lazy(
            "Too many tries. Wait five minutes, or reset the password."
        ),
        "incorrect_code": gettext_lazy("This is not the code that was sent last."),
        "rate_limited": gettext_lazy("That is too often. Wait a little."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Return whether whoever asks may make an account; social sign-ups ask it, too."""
        return signup.is_open(request)

    def clean_email(self, email: str) -> str:
        """Return the address, or raise ValidationError if it may have no account here."""
        request = context.request
        if not signup.is_welcome(request, email):
            raise ValidationError(_not_welcome())
        return signup.address(str(super().clean_email(email)))

    def clean_password(self, password: str, user: User | None = None) -> str:
        """Return a new password, or raise ValidationError; that one was typed is remembered."""
        cleaned = str(super().clean_password(password, user))
        setattr(context.request, TYPED, cleaned)
        return cleaned

    def save_user(
        self, request: HttpRequest, user: User, form: BaseForm, commit: bool = True
    ) -> User:
        """Make the person, with a workspace and a wallet.

        Who has the address already, since a moment ago, is answered as everybody is: that a code
        was sent.
        """
        assert commit, "a person is made whole, or not at all"
        given = form.cleaned_data
        password = given.get("password1") or given.get("password")  # Of a page, or of a script.
        try:
            return signup.sign_up(email=given["email"], password=password or None)
        except InvalidRequest:
            raise ImmediateHttpResponse(
                prevent_enumeration(request, email=given["email"])
            ) from None

    def send_confirmation_mail(
        self, request: HttpRequest, emailconfirmation: Any, signup: bool
    ) -> None:
        """Send a code, and note when: the sweep leaves alone who is about to verify an address."""
        user = emailconfirmation.email_address.user
        User.objects.filter(pk=user.pk).update(updated_at=timezone.now())
        super().send_confirmation_mail(request, emailconfirmation, signup)

    def pre_login(self, request: HttpRequest, user: User, **hook: Any) -> HttpResponse | None:
        """Refuse from where nobody signs in, and whom staff deactivated."""
        _from_an_allowed_origin(request)
        answer: HttpResponse | None = super().pre_login(request, user, **hook)
        return answer

    def login(self, request: HttpRequest, user: User) -> None:
        """Sign somebody in; from where is asked once more, for second steps resume here."""
        _from_an_allowed_origin(request)
        super().login(request, user)

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the client's address, as the wire has found it behind our own proxies."""
        return request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104  # nosec B104

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Write the mail into the outbox: it leaves when what caused it is committed."""
        place = base_url(self.request)
        site = SimpleNamespace(name=settings.PLATFORM_NAME, domain=urlsplit(place).netloc)
        key = f"{template_prefix}:{secrets.token_hex(16)}"
        with mails.in_language_of(email):
            letter = self.render_mail(template_prefix, email, {**context, "current_site": site})
            mails.write(key, to=email, subject=str(letter.subject), text=str(letter.body))

    def send_account_already_exists_mail(self, email: str) -> None:
        """Tell the owner of an address that somebody wanted an account with it.

        It takes as long as making one, most of which is the digest of a password.
        """
        if (typed := getattr(context.request, TYPED, None)) is not None:
            make_password(typed)
        place = base_url(self.request)
        links = {
            "signup_url": place + reverse("account_signup"),
            "password_reset_url": place + reverse("account_reset_password"),
        }
        self.send_mail("account/email/account_already_exists", email, {**links, "email": email})

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Return under what failed tries are counted: the address, at whatever name of ours."""
        return str(credentials.get("email", "")).lower()


def _not_welcome() -> str:
    """Return for whom accounts are here."""
    if settings.SIGN_UP != "domains":
        return gettext(
            "Accounts here are by invitation, for the invited address. Use such an address, or ask "
            "for an invitation to yours."
        )
    return gettext(
        "Accounts here are for addresses of %(domains)s. Use such an address, or ask for an "
        "invitation to yours."
    ) % {"domains": ", ".join(settings.SIGN_UP_DOMAINS)}


def _from_an_allowed_origin(request: HttpRequest) -> None:
    try:
        doors.check(request)
    except OriginNotAllowed as refusal:
        raise ImmediateHttpResponse(doors.refused(request, refusal)) from None


class SocialAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """What allauth asks about people who come from another site."""

    def save_user(
        self, request: HttpRequest, sociallogin: SocialLogin, form: BaseForm | None = None
    ) -> User:
        """Make the person, with a workspace and a wallet, and keep from where they come."""
        draft: Any = sociallogin.user
        email = (form.cleaned_data.get("email") if form else "") or draft.email
        if not signup.is_welcome(request, email):
            raise ImmediateHttpResponse(redirect("account_signup"))
        try:
            user = signup.sign_up(email=email)
        except InvalidRequest:
            raise ImmediateHttpResponse(prevent_enumeration(request, email=email)) from None
        sociallogin.user = user
        sociallogin.save(request)
        return user

    def serialize_instance(self, instance: Model) -> dict[str, Any]:
        """Return a draft as a session keeps it, while its person is asked for an address.

        What the database itself will give has no value yet.
        """
        draft = copy.copy(instance)
        for name, value in instance.__dict__.items():
            if isinstance(value, DatabaseDefault):
                del draft.__dict__[name]
        kept: dict[str, Any] = super().serialize_instance(draft)
        return kept


class SessionsAdapter(DefaultUserSessionsAdapter):  # type: ignore[misc]
    """What becomes of a browser's session that its person ends, at whichever door."""

    def end_sessions(self, sessions: Iterable[UserSession]) -> None:
        """End them, each with an entry in the audit log."""
        with transaction.atomic():
            for session in sessions:
                session.end()
                log.note("session.ended", actor=session.user_id, subject=session.user_id)
