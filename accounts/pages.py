"""The pages about one's own account that allauth does not have, and what every page needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language, gettext, gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts import browsers
from accounts.adapters import SessionsAdapter
from audit import log
from common.money import show

if TYPE_CHECKING:
    from datetime import datetime

    from django.http import HttpRequest

    from accounts.models import User
    from audit.models import Event

SITES: Final = {"google": "Google", "github": "GitHub"}
SAID: Final = {
    "account.made": gettext_lazy("Account made"),
    "session.began": gettext_lazy("Signed in"),
    "session.refused": gettext_lazy("Wrong password or code"),
    "session.ended": gettext_lazy("Signed out elsewhere"),
    "password.changed": gettext_lazy("Password changed"),
    "password.reset": gettext_lazy("Password reset by mail"),
    "email.changed": gettext_lazy("Mail address changed"),
    "factor.added.totp": gettext_lazy("Codes from an app set up"),
    "factor.added.webauthn": gettext_lazy("Passkey added"),
    "factor.added.recovery_codes": gettext_lazy("Spare codes made"),
    "factor.removed.totp": gettext_lazy("Codes from an app switched off"),
    "factor.removed.webauthn": gettext_lazy("Passkey removed"),
    "factor.removed.recovery_codes": gettext_lazy("Spare codes taken away"),
    "factor.made_anew": gettext_lazy("New spare codes made"),
    "social.connected": gettext_lazy("Other site connected"),
    "social.disconnected": gettext_lazy("Other site disconnected"),
    "member.deactivated": gettext_lazy("Account deactivated by staff"),
    "member.reactivated": gettext_lazy("Account active again, by staff"),
    "member.made_staff": gettext_lazy("Made staff"),
    "member.viewed": gettext_lazy("Your pages looked at by staff"),
    "member.view_ended": gettext_lazy("Staff stopped looking at your pages"),
    "deletion.asked": gettext_lazy("Asked to be deleted"),
    "deletion.confirmed": gettext_lazy("Deletion confirmed"),
    "deletion.cancelled": gettext_lazy("Stayed after all"),
    "export.asked": gettext_lazy("Archive asked for"),
    "export.taken": gettext_lazy("Archive taken"),
    "keys.stopped": gettext_lazy("Keys stopped"),
    "keys.restarted": gettext_lazy("Keys work again"),
    "key.made": gettext_lazy("Key made"),
    "key.changed": gettext_lazy("Key changed"),
    "key.renamed": gettext_lazy("Key renamed"),
    "key.rotated": gettext_lazy("Key rotated"),
    "sign-in.begun": gettext_lazy("ComfyUI signed in"),
    "sign-in.ended": gettext_lazy("ComfyUI signed out"),
    "key.disabled": gettext_lazy("Key disabled"),
    "key.enabled": gettext_lazy("Key enabled"),
    "pairing.approved": gettext_lazy("Machine paired"),
    "pairing.refused": gettext_lazy("Machine not paired"),
    "ask.made": gettext_lazy("More asked for"),
    "ask.granted": gettext_lazy("More allowed"),
    "ask.declined": gettext_lazy("More not allowed"),
    "key.revoked": gettext_lazy("Key revoked"),
    "run-address.made": gettext_lazy("Address for scripts made"),
    "run-address.ended": gettext_lazy("Address for scripts ended"),
    "key.limited": gettext_lazy("Limits of a key set"),
    "allowance.set": gettext_lazy("Limit set"),
    "member.joined": gettext_lazy("Joined a team"),
    "member.left": gettext_lazy("Left a team"),
    "member.removed": gettext_lazy("Removed from a team"),
    "member.role_changed": gettext_lazy("Role changed"),
}
"""What happened to somebody, as they read it; what is not here shows its own name."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One place where somebody is signed in."""

    id: int
    browser: str
    address: str
    since: datetime
    seen: datetime
    is_this: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of what happened."""

    said: str
    from_where: str
    at: datetime
    reason: str


def everywhere(request: HttpRequest) -> dict[str, Any]:
    """Return what every template may name."""
    welcome = settings.WELCOME_GRANT_MICROS
    return {
        "PLATFORM": settings.PLATFORM_NAME,
        "WELCOME": show(welcome) if welcome else "",
        "LANGUAGES": settings.LANGUAGES,
        "LANGUAGE_CODE": get_language(),
    }


@require_safe
@login_required
def security(request: HttpRequest) -> HttpResponse:
    """Show how one signs in, where one is signed in, and what happened."""
    user: Any = request.user
    factors = list(Authenticator.objects.filter(user=user).order_by("created_at"))
    codes = [each for each in factors if each.type == Authenticator.Type.RECOVERY_CODES]
    connected = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    shown = {
        "passkeys": [each for each in factors if each.type == Authenticator.Type.WEBAUTHN],
        "has_totp": any(each.type == Authenticator.Type.TOTP for each in factors),
        "spare_codes": len(codes[0].wrap().get_unused_codes()) if codes else None,
        "sites": [(SITES[name], name in connected) for name in settings.SOCIAL],
        "visits": _visits(user, request.session.session_key),
        "events": [_happening(event) for event in log.of_subject(user.pk, most=30)],
    }
    return render(request, "accounts/security.html", shown)


@require_safe
@login_required
def to_security(request: HttpRequest) -> HttpResponse:
    """Lead there from allauth's own lists, of which it shows the same."""
    return redirect("security")


@require_POST
@login_required
def end_session(request: HttpRequest, session: int) -> HttpResponse:
    """End one of one's own sessions; another's is not there."""
    user: Any = request.user
    found = UserSession.objects.filter(user=user, pk=session).first()
    if found is None:
        raise Http404
    SessionsAdapter().end_sessions([found])
    messages.success(request, gettext("That browser is signed out."))
    return redirect("security")


def _visits(user: User, this: str | None) -> list[Visit]:
    found = [
        Visit(
            id=each.pk,
            browser=browsers.name(each.user_agent),
            address=each.ip,
            since=each.created_at,
            seen=each.last_seen_at,
            is_this=each.session_key == this,
        )
        for each in UserSession.objects.purge_and_list(user)
    ]
    return sorted(found, key=lambda visit: (not visit.is_this, -visit.seen.timestamp()))


def _happening(event: Event) -> Happening:
    by_staff = event.actor_id is not None and event.actor_id != event.subject_id
    name = ".".join(filter(None, (event.action, event.after.get("type"))))
    return Happening(
        said=str(SAID.get(name) or SAID.get(event.action) or event.action),
        from_where=gettext("Staff") if by_staff else event.address,
        at=event.at,
        reason=event.reason if by_staff else "",
    )
