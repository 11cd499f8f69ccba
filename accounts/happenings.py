"""What people do to their own account, as allauth tells it, written into the audit log.

The mails about it are allauth's own (ACCOUNT_EMAIL_NOTIFICATIONS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.socialaccount import signals as social
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver

from accounts import signins
from accounts.models import User
from audit import log

if TYPE_CHECKING:
    from django.dispatch import Signal
    from django.http import HttpRequest

TOLD: Final[dict[str, tuple[Signal, ...]]] = {
    "account.made": (account.user_signed_up,),
    "password.changed": (account.password_changed, account.password_set),
    "password.reset": (account.password_reset,),
    "factor.added": (mfa.authenticator_added,),
    "factor.removed": (mfa.authenticator_removed,),
    "factor.made_anew": (mfa.authenticator_reset,),
}
"""What is written, by the signals that say so; each names its user."""


def _write(action: str, user: Any, facts: dict[str, Any]) -> None:
    log.note(action, actor=user.pk, subject=user.pk, after=facts)


def _listen(action: str, signal: Signal) -> None:
    def written(*, user: Any, authenticator: Any = None, **_: Any) -> None:
        _write(action, user, {"type": str(authenticator.type)} if authenticator else {})

    signal.connect(written, weak=False, dispatch_uid=f"audit:{action}")


for _action, _signals in TOLD.items():
    for _signal in _signals:
        _listen(_action, _signal)


@receiver(account.email_changed, dispatch_uid="audit:email.changed")
def email_changed(user: Any, from_email_address: Any, **_: Any) -> None:
    """Write that an address took another's place; the first one takes nobody's."""
    if from_email_address is not None:
        _write("email.changed", user, {})


def _end_sign_ins(*, user: Any, **_: Any) -> None:
    """End what programs do for somebody who changes how they sign in; browsers allauth ends."""
    signins.end_all(user.pk, why="how one signs in was changed", by=user.pk)


for _signal in (
    account.password_changed,
    account.password_set,
    account.password_reset,
    mfa.authenticator_removed,
):
    _signal.connect(_end_sign_ins, weak=False, dispatch_uid="sign-ins")


@receiver(user_logged_in, dispatch_uid="audit:signed_in")
def signed_in(request: HttpRequest, user: Any, **_: Any) -> None:
    """Write by which ways somebody came in."""
    known = request.session.get("account_authentication_methods") or []
    _write("session.began", user, {"by": [each["method"] for each in known]})


@receiver(user_login_failed, dispatch_uid="audit:not_signed_in")
def not_signed_in(credentials: dict[str, Any], **_: Any) -> None:
    """Write that somebody tried and failed; it takes as long where there is no such person."""
    email = str(credentials.get("email") or "").replace("\0", "").strip().lower()
    user = User.objects.filter(email=email).only("pk").first()
    log.note("session.refused", subject=user.pk if user else None)


@receiver(social.social_account_added, dispatch_uid="audit:social_added")
def social_added(request: HttpRequest, sociallogin: Any, **_: Any) -> None:
    """Write that another site may sign somebody in."""
    _write("social.connected", sociallogin.user, {"provider": sociallogin.account.provider})


@receiver(social.social_account_removed, dispatch_uid="audit:social_removed")
def social_removed(request: HttpRequest, socialaccount: Any, **_: Any) -> None:
    """Write that it may no more."""
    _write("social.disconnected", socialaccount.user, {"provider": socialaccount.provider})
