"""What accounts know of people, and how they forget one (common/personal.py).

What allauth and Django keep beside our own tables is here, too: they cannot say it themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import F, Q
from django.utils.translation import gettext_lazy

from accounts.models import Invitation, Membership, SignIn, User, Workspace
from common.personal import ERASED, NOWHERE, Fate, Kept, Known, Person, oldest

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from django_stubs_ext import StrOrPromise

USED_IN_SESSIONS = "_auth_user_id"


def _theirs(person: Person) -> Q:
    return Q(user_id=person.id)


def _about_nobody(model: str, why: str, *harmless: str) -> Known:
    return Known(model, Fate.NOTHING, why, harmless=frozenset(harmless))


def _deleted(
    model: str, why: StrOrPromise, *shown: str, whose: Callable[[Person], Q] | None = _theirs
) -> Known:
    return Known(model, Fate.DELETED, why, whose=whose, shown=shown)


KNOWN = (
    Known(
        "accounts.User",
        Fate.BLANKED,
        gettext_lazy(
            "Your name, address and password. A row with a number stays, so that what stays "
            "elsewhere is one deleted member's."
        ),
        whose=lambda person: Q(pk=person.id),
        shown=(
            "id", "email", "name", "language", "is_active", "created_at", "last_login",
            "status_reason",
        ),
    ),
    Known(
        "accounts.Workspace",
        Fate.BLANKED,
        gettext_lazy("Your own workspace, and teams of yours without other members: their names."),
        whose=lambda person: Q(pk__in=person.workspaces),
        shown=("wallet_id", "kind", "name", "allowed_vendors", "created_at"),
    ),
    _deleted("accounts.Membership", gettext_lazy("To what you belong."),
             "workspace_id", "role", "created_at"),
    Known(
        "accounts.Invitation",
        Fate.DELETED,
        gettext_lazy(
            "Invitations to you. Those that you sent name you no more, and go when their time is "
            "over."
        ),
        whose=lambda person: Q(email__in=person.emails),
        shown=("workspace_id", "email", "role", "created_at", "accepted_at", "withdrawn_at"),
    ),
    _deleted(
        "accounts.SignIn",
        gettext_lazy("Programs that acted for you, with addresses."),
        "client_id", "redirect_uri", "address", "agent", "created_at", "last_used_at", "ended_at",
    ),
    _deleted("account.EmailAddress", gettext_lazy("Your mail addresses."),
             "email", "verified", "primary"),
    _deleted("account.EmailConfirmation", gettext_lazy("Mails by which they were verified."),
             whose=lambda person: Q(email_address__user_id=person.id)),
    _deleted("mfa.Authenticator", gettext_lazy("Your passkeys and second factors."),
             "type", "created_at", "last_used_at"),
    _deleted("usersessions.UserSession", gettext_lazy("Browsers in which you were signed in."),
             "ip", "user_agent", "created_at", "last_seen_at"),
    _deleted("sessions.Session", gettext_lazy("The same, as the web server knows it."), whose=None),
    _deleted("socialaccount.SocialAccount", gettext_lazy("Other sites by which you signed in."),
             "provider", "uid", "extra_data", "date_joined"),
    _deleted("socialaccount.SocialToken", gettext_lazy("Their tokens; none is ever kept here."),
             whose=lambda person: Q(account__user_id=person.id)),
    _about_nobody("socialaccount.SocialApp", "Sites by which one may sign in.", "name"),
    Known(
        "admin.LogEntry",
        Fate.BLANKED,
        gettext_lazy("What staff did with a form: it names you no more."),
        whose=lambda person: Q(object_id=str(person.id)) | _theirs(person),
    ),
    _about_nobody("accounts.AllowedOrigin", "From where one may sign in; who said so is a number.",
                  "added_by", "reason"),
    Known("accounts.RefusedOrigin", Fate.PASSES,
          gettext_lazy("From where somebody may not; kept for 30 days.")),
    _about_nobody("accounts.SigningKey", "What signs tokens."),
    _about_nobody("auth.Group", "Roles.", "name"),
    _about_nobody("auth.Group_permissions", "What roles may."),
    _about_nobody("auth.Permission", "What may be done.", "name"),
    _about_nobody("contenttypes.ContentType", "Names of tables."),
    _deleted("accounts.User_groups", gettext_lazy("Roles that you had.")),
    _deleted("accounts.User_user_permissions", gettext_lazy("What you might do for the house.")),
)  # fmt: skip


def erase(person: Person) -> dict[str, int]:
    """Leave of somebody a row with a number, which signs in nobody and names nobody."""
    gone = {
        name: rows.delete()[0]
        for name, rows in (
            ("addresses", EmailAddress.objects.filter(user_id=person.id)),
            ("factors", Authenticator.objects.filter(user_id=person.id)),
            ("sites", SocialAccount.objects.filter(user_id=person.id)),
            ("browsers", UserSession.objects.filter(user_id=person.id)),
            ("programs", SignIn.objects.filter(user_id=person.id)),
            ("invitations", Invitation.objects.filter(email__in=person.emails)),
            ("memberships", Membership.objects.filter(user_id=person.id)),
        )
    }
    gone["sessions"] = _forget_sessions(person)
    own = Workspace.objects.filter(pk__in=person.workspaces)
    gone["workspaces"] = own.update(name=ERASED, allowed_vendors=None)
    theirs = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.id))
    LogEntry.objects.filter(theirs).update(object_repr=ERASED, change_message="")
    _blank(person)
    return gone


def _blank(person: Person) -> None:
    user = User(pk=person.id)
    user.groups.clear()
    user.user_permissions.clear()
    user.set_unusable_password()
    User.objects.filter(pk=person.id).update(
        email=f"{person.id}@{NOWHERE}",
        name="",
        language="",
        password=user.password,
        last_login=None,
        is_active=False,
        is_staff=False,
        is_superuser=False,
        status_changed_at=None,
        status_changed_by=None,
        status_reason="",
        updated_at=F("created_at"),
    )


def _forget_sessions(person: Person) -> int:
    """End sessions that no list of browsers knows, as well: each is opened, some at a time."""
    gone = 0
    for session in Session.objects.iterator(chunk_size=500):
        if session.get_decoded().get(USED_IN_SESSIONS) == str(person.id):
            gone += Session.objects.filter(pk=session.pk).delete()[0]
    return gone


def _forget_invitations(before: datetime, most: int) -> int:
    old = Invitation.objects.filter(expires_at__lt=before)
    return Invitation.objects.filter(pk__in=oldest(old, most)).delete()[0]


def _forget_sign_ins(before: datetime, most: int) -> int:
    old = SignIn.objects.filter(Q(ended_at__lt=before) | Q(expires_at__lt=before))
    return SignIn.objects.filter(pk__in=oldest(old, most)).delete()[0]


KEPT = (Kept("invitations", _forget_invitations), Kept("sign_ins", _forget_sign_ins))
